//! The shards that have a replica on this node.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;
use tidings_consensus::NodeId;

use crate::shard::ShardHandle;

/// Shards by number. Cheap to clone; all clones see the same.
#[derive(Clone, Default)]
pub struct Shards(Arc<RwLock<BTreeMap<u32, ShardHandle>>>);

impl Shards {
    /// The replica of a shard.
    pub fn get(&self, shard: u32) -> Option<ShardHandle> {
        self.0.read().get(&shard).cloned()
    }

    /// The replica of a shard, where it leads; otherwise the node that does, which is another one than `node`, or 0:
    /// not known.
    pub fn led(&self, shard: u32, node: NodeId) -> Result<ShardHandle, NodeId> {
        let handle = self.get(shard).ok_or(0u64)?;
        let leadership = handle.leadership();
        if leadership.is_leader {
            return Ok(handle);
        }
        Err(leadership.leader.filter(|leader| *leader != node).unwrap_or(0))
    }

    /// All replicas.
    pub fn all(&self) -> Vec<ShardHandle> {
        self.0.read().values().cloned().collect()
    }

    pub(crate) fn insert(&self, shard: u32, handle: ShardHandle) {
        self.0.write().insert(shard, handle);
    }

    pub(crate) fn remove(&self, shard: u32) {
        self.0.write().remove(&shard);
    }
}
