//! `tidings.cluster.v1.Nodes`: the nodes of the cluster and the map of its shards. What a node is goes through the log;
//! that it was seen again stays in the leader's memory, so that a quiet cluster writes nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidings_proto::cluster::v1::nodes_server::Nodes;
use tidings_proto::cluster::v1::{
    GetShardMapRequest, HeartbeatRequest, HeartbeatResponse, ListNodesRequest, ListNodesResponse, Node, NodeRole,
    ShardMap,
};
use tidings_proto::registry::v1::{RegisterNode, command::Command};
use tonic::{Request, Response, Status};

use super::{answer, door, unexpected};
use crate::registry::cluster;
use crate::registry::machine::Outcome;
use crate::registry::refusal::Refusal;
use crate::replica::Replica;

/// How often a node should be heard of, in milliseconds; its lease is three times as long.
pub const HEARTBEAT_INTERVAL_MS: u32 = 2000;
/// Bytes of an address, at most.
const MAX_ADDRESS_BYTES: usize = 255;

/// When each node was last seen, by role and number; as many as are registered.
// A blocking mutex: held for one look-up, never across an await.
type Seen = Arc<Mutex<BTreeMap<(i32, u64), i64>>>;

/// The nodes, for the nodes.
#[derive(Clone)]
pub struct NodesService {
    replica: Replica,
    seen: Seen,
}

impl NodesService {
    /// Nobody seen yet.
    pub fn new(replica: Replica) -> Self {
        Self { replica, seen: Seen::default() }
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<(i32, u64), i64>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn heartbeat(&self, node: Node) -> Result<HeartbeatResponse, Status> {
        check(&node)?;
        // Only the leader's answer counts: it alone knows who was seen.
        let view = self.replica.current().await?;
        let place = (node.role, node.id);
        let known = cluster::node(&view, node.role, node.id)?;
        if let Some(known) = &known {
            cluster::check_incarnation(known, node.incarnation)?;
        }
        let same = known.is_some_and(|known| Node { seen_at_ms: node.seen_at_ms, ..known } == node);
        if !same {
            tracing::info!(node = node.id, role = ?node.role(), address = %node.address, "a node registers");
            match self.replica.propose(Command::RegisterNode(RegisterNode { node: Some(node) })).await? {
                Outcome::Node(_) => {}
                other => return Err(unexpected(&other)),
            }
        }
        self.seen().insert(place, self.replica.clock().now_ms());
        let shard_map = Some(cluster::shard_map(&self.replica.view())?);
        Ok(HeartbeatResponse { interval_ms: HEARTBEAT_INTERVAL_MS, shard_map })
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
            let node = request.into_inner().node.ok_or_else(|| Refusal::invalid("node", "is missing"))?;
            self.heartbeat(node).await
        })
        .await
    }

    async fn get_shard_map(&self, _: Request<GetShardMapRequest>) -> Result<Response<ShardMap>, Status> {
        answer("GetShardMap", async { Ok(cluster::shard_map(&self.replica.view())?) }).await
    }

    async fn list_nodes(&self, _: Request<ListNodesRequest>) -> Result<Response<ListNodesResponse>, Status> {
        answer("ListNodes", async {
            let mut nodes = cluster::nodes(&self.replica.view())?;
            let seen = self.seen();
            for node in &mut nodes {
                let again = seen.get(&(node.role, node.id)).copied().unwrap_or_default();
                node.seen_at_ms = node.seen_at_ms.max(again);
            }
            Ok(ListNodesResponse { nodes })
        })
        .await
    }
}
