//! `tidings.control.v1.Cluster`: what operators see and do of the cluster itself. The leader answers, because it alone
//! knows who was heard of; another node passes the question on, with the operator's key.

mod status;

use tidings_proto::ErrorCode;
use tidings_proto::cluster::v1::{Node, NodePhase, NodeRole, ShardPlacement};
use tidings_proto::control::v1::cluster_server::Cluster;
use tidings_proto::control::v1::{
    ClusterStatus, DrainNodeRequest, GetClusterRequest, MoveShardRequest, NodeStatus, RemoveNodeRequest,
    RemoveNodeResponse, ShardStatus, UndrainNodeRequest,
};
use tidings_proto::registry::v1::{PlaceShards, RemoveNode, SetNodePhase, command::Command};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::answer;
use super::auth::Scope;
use crate::controller::{Controller, knows_members};
use crate::registry::cluster;
use crate::registry::refusal::Refusal;
use status::Overview;

/// The cluster, for operators.
#[derive(Clone)]
pub struct ClusterService(pub Controller);

impl ClusterService {
    /// Lets operators through; answers the leader's address where that is another node.
    async fn admit(&self, metadata: &MetadataMap) -> Result<Option<String>, Status> {
        let replica = &self.0.replica;
        Scope::of(replica, metadata)?.operator()?;
        let leader = replica.leader_elsewhere();
        if leader.is_none() {
            replica.group().read_barrier().await.map_err(|error| crate::replica::status_of(&error))?;
        }
        Ok(leader)
    }

    fn overview(&self) -> Result<Overview, Status> {
        Ok(Overview::of(&self.0)?)
    }

    fn node(&self, id: u64) -> Result<Node, Status> {
        let nodes = cluster::nodes(&self.0.replica.view())?;
        let found = nodes.into_iter().find(|node| node.id == id);
        Ok(found.ok_or_else(|| Refusal::not_found(format!("node {id}")))?)
    }

    async fn set_phase(&self, node: &Node, phase: NodePhase) -> Result<(), Status> {
        let set = SetNodePhase { role: node.role, id: node.id, phase: phase.into() };
        self.0.replica.propose(Command::SetNodePhase(set)).await?;
        self.0.leases.nudge();
        Ok(())
    }

    async fn drain(&self, id: u64, phase: NodePhase) -> Result<NodeStatus, Status> {
        let node = self.node(id)?;
        if node.role() != NodeRole::Broker {
            let message = "brokers alone hold something to drain; stop other nodes by SIGTERM and remove them";
            return Err(Refusal::precondition(message).into());
        }
        self.set_phase(&node, phase).await?;
        self.overview()?.node_status(id).ok_or_else(|| Refusal::not_found(format!("node {id}")).into())
    }

    async fn remove(&self, id: u64, is_dead: bool) -> Result<RemoveNodeResponse, Status> {
        let node = self.node(id)?;
        if is_dead && self.0.leases.is_alive(node.role, id) {
            let message = format!("node {id} is alive: it was heard of within its lease; stop it first");
            return Err(Refusal::precondition(message).into());
        }
        if is_dead && node.role() == NodeRole::Broker && node.phase() != NodePhase::Gone {
            self.set_phase(&node, NodePhase::Gone).await?;
        }
        let status = self.overview()?.node_status(id).unwrap_or_default();
        if !status.safe_to_remove {
            if is_dead {
                return Ok(RemoveNodeResponse { removed: false });
            }
            return Err(Refusal::precondition(format!("not safe to remove: {}", status.unsafe_because)).into());
        }
        if node.role() == NodeRole::ControlPlane {
            let removed = self.0.remove_member(id).await;
            removed.map_err(|error| ErrorCode::FailedPrecondition.status(error.to_string()))?;
        }
        let remove = RemoveNode { role: node.role, id };
        self.0.replica.propose(Command::RemoveNode(remove)).await?;
        Ok(RemoveNodeResponse { removed: true })
    }

    async fn move_shard(&self, request: MoveShardRequest) -> Result<ShardStatus, Status> {
        let MoveShardRequest { shard, from, to } = request;
        let map = cluster::shard_map(&self.0.replica.view())?;
        let today = map.shards.iter().find(|placement| placement.shard == shard);
        let today = today.ok_or_else(|| Refusal::not_found(format!("shard {shard}")))?;
        let status = self.overview()?.shard_status(today);
        let target = self.node(to)?;
        let reason = if !today.replicas.contains(&from) {
            Some(format!("broker {from} does not hold shard {shard}"))
        } else if today.replicas.contains(&to) {
            Some(format!("broker {to} holds shard {shard} already"))
        } else if target.role() != NodeRole::Broker || target.phase() != NodePhase::Active {
            Some(format!("node {to} is no active broker"))
        } else if !knows_members(&target) {
            Some(format!("broker {to} is of release 0.1, which cannot take a replica; upgrade it first"))
        } else if !status.settled {
            Some(format!("shard {shard} has not finished its last change"))
        } else {
            None
        };
        if let Some(reason) = reason {
            return Err(Refusal::precondition(reason).into());
        }
        let replicas = today.replicas.iter().map(|id| if *id == from { to } else { *id }).collect();
        let placement = ShardPlacement { replicas, ..today.clone() };
        let place = PlaceShards { epoch: map.epoch, shards: vec![placement.clone()] };
        self.0.replica.propose(Command::PlaceShards(place)).await?;
        Ok(self.overview()?.shard_status(&placement))
    }
}

/// Answers here, or has the leader answer.
macro_rules! answered_by_the_leader {
    ($self:ident, $name:literal, $method:ident, $request:ident, $here:expr) => {
        answer($name, async {
            match $self.admit($request.metadata()).await? {
                None => $here($request.into_inner()).await,
                Some(leader) => Ok($self.0.replica.peers().cluster(&leader)?.$method($request).await?.into_inner()),
            }
        })
        .await
    };
}

#[tonic::async_trait]
impl Cluster for ClusterService {
    async fn get_cluster(&self, request: Request<GetClusterRequest>) -> Result<Response<ClusterStatus>, Status> {
        answered_by_the_leader!(self, "GetCluster", get_cluster, request, async |_| Ok(self.overview()?.status()))
    }

    async fn drain_node(&self, request: Request<DrainNodeRequest>) -> Result<Response<NodeStatus>, Status> {
        let here = async |request: DrainNodeRequest| self.drain(request.id, NodePhase::Draining).await;
        answered_by_the_leader!(self, "DrainNode", drain_node, request, here)
    }

    async fn undrain_node(&self, request: Request<UndrainNodeRequest>) -> Result<Response<NodeStatus>, Status> {
        let here = async |request: UndrainNodeRequest| self.drain(request.id, NodePhase::Active).await;
        answered_by_the_leader!(self, "UndrainNode", undrain_node, request, here)
    }

    async fn remove_node(&self, request: Request<RemoveNodeRequest>) -> Result<Response<RemoveNodeResponse>, Status> {
        let here = async |request: RemoveNodeRequest| self.remove(request.id, request.dead).await;
        answered_by_the_leader!(self, "RemoveNode", remove_node, request, here)
    }

    async fn move_shard(&self, request: Request<MoveShardRequest>) -> Result<Response<ShardStatus>, Status> {
        let here = async |request: MoveShardRequest| self.move_shard(request).await;
        answered_by_the_leader!(self, "MoveShard", move_shard, request, here)
    }
}
