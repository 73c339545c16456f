//! `tidings.cluster.v1.Nodes`: the nodes of the cluster and the map of its shards. What a node is goes through the log;
//! that it was heard of again stays in the leader's memory, so that a quiet cluster writes nothing.

use tidings_proto::ErrorCode;
use tidings_proto::cluster::v1::nodes_server::Nodes;
use tidings_proto::cluster::v1::{
    GetShardMapRequest, HeartbeatRequest, HeartbeatResponse, ListNodesRequest, ListNodesResponse, Node, NodePhase,
    NodeRole, ShardMap, ShardReport,
};
use tidings_proto::registry::v1::{RegisterNode, command::Command};
use tonic::{Request, Response, Status};

use super::{answer, door, unexpected};
use crate::leases::{HEARTBEAT_INTERVAL, Leases};
use crate::registry::cluster;
use crate::registry::machine::Outcome;
use crate::registry::refusal::Refusal;
use crate::replica::Replica;

/// Bytes of an address, at most.
const MAX_ADDRESS_BYTES: usize = 255;
/// A heartbeat with reports of 4,096 shards fits.
pub const MAX_HEARTBEAT_BYTES: usize = 4 << 20;
/// Metadata of a heartbeat that a node that does not lead passed on: the next one does not pass it on again.
const PASSED_ON: &str = "tidings-passed-on";

/// The nodes, for the nodes.
#[derive(Clone)]
pub struct NodesService {
    replica: Replica,
    leases: Leases,
}

impl NodesService {
    /// Notes in `leases` who was heard of.
    pub fn new(replica: Replica, leases: Leases) -> Self {
        Self { replica, leases }
    }

    async fn heartbeat(&self, node: Node, reports: Vec<ShardReport>) -> Result<HeartbeatResponse, Status> {
        check(&node)?;
        // Only the leader's answer counts: it alone knows who was heard of.
        self.replica.group().read_barrier().await.map_err(|error| crate::replica::status_of(&error))?;
        let view = self.replica.view();
        let known = cluster::node(&view, node.role, node.id)?;
        if let Some(known) = &known {
            cluster::check_store(known, &node)?;
            cluster::check_incarnation(known, node.incarnation)?;
        }
        let same = known.is_some_and(|known| {
            let phase = if known.phase() == NodePhase::Draining { known.phase } else { NodePhase::Active.into() };
            Node { phase, seen_at_ms: known.seen_at_ms, ..node.clone() } == known
        });
        let place = (node.role, node.id);
        if !same {
            tracing::info!(node = node.id, role = ?node.role(), address = %node.address, "a node registers");
            match self.replica.propose(Command::RegisterNode(RegisterNode { node: Some(node) })).await? {
                Outcome::Node(_) => {}
                other => return Err(unexpected(&other)),
            }
        }
        self.leases.heard(place.0, place.1, reports);
        let shard_map = Some(cluster::shard_map(&self.replica.view())?);
        let interval_ms = u32::try_from(HEARTBEAT_INTERVAL.as_millis()).unwrap_or(u32::MAX);
        Ok(HeartbeatResponse { interval_ms, shard_map })
    }

    /// Passes a heartbeat on to the leader, once.
    async fn pass_on(&self, leader: &str, heartbeat: HeartbeatRequest) -> Result<HeartbeatResponse, Status> {
        let mut request = Request::new(heartbeat);
        request.metadata_mut().insert(PASSED_ON, tonic::metadata::MetadataValue::from_static("1"));
        Ok(self.replica.peers().nodes(leader)?.heartbeat(request).await?.into_inner())
    }
}

fn check(node: &Node) -> Result<(), Refusal> {
    if node.id == 0 {
        return Err(Refusal::invalid("node.id", "must be 1 or more"));
    }
    if node.role() == NodeRole::Unspecified {
        return Err(Refusal::invalid("node.role", "is missing or not known"));
    }
    let port = node.address.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
    if !matches!(port, Some(Ok(_))) || node.address.len() > MAX_ADDRESS_BYTES {
        return Err(Refusal::invalid("node.address", "must be host:port, at most 255 bytes"));
    }
    door::label("node.zone", &node.zone)?;
    door::label("node.version", &node.version)
}

#[tonic::async_trait]
impl Nodes for NodesService {
    async fn heartbeat(&self, request: Request<HeartbeatRequest>) -> Result<Response<HeartbeatResponse>, Status> {
        answer("Heartbeat", async {
            let was_passed_on = request.metadata().contains_key(PASSED_ON);
            let heartbeat = request.into_inner();
            if let Some(leader) = self.replica.leader_elsewhere() {
                return match was_passed_on {
                    true => Err(ErrorCode::NotLeader.status("this node does not lead the control plane")),
                    false => self.pass_on(&leader, heartbeat).await,
                };
            }
            let node = heartbeat.node.ok_or_else(|| Refusal::invalid("node", "is missing"))?;
            self.heartbeat(node, heartbeat.shards).await
        })
        .await
    }

    async fn get_shard_map(&self, _: Request<GetShardMapRequest>) -> Result<Response<ShardMap>, Status> {
        answer("GetShardMap", async { Ok(cluster::shard_map(&self.replica.view())?) }).await
    }

    async fn list_nodes(&self, _: Request<ListNodesRequest>) -> Result<Response<ListNodesResponse>, Status> {
        answer("ListNodes", async { Ok(ListNodesResponse { nodes: cluster::nodes(&self.replica.view())? }) }).await
    }
}
