//! What all brokers of the cluster apply, as the shard map tells it.

use bytes::Bytes;
use tidings_proto::cluster::v1::ShardMap;
use tidings_proto::mailbox::v1::command::Command;
use tokio::sync::watch;

use crate::core::encode_at;
use crate::core::level::{LEVEL, for_level};

/// Commands, fit for the replicas of a cluster. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ClusterLevel {
    map: watch::Receiver<ShardMap>,
}

impl ClusterLevel {
    pub fn new(map: watch::Receiver<ShardMap>) -> Self {
        Self { map }
    }

    /// Up to which level every broker applies commands.
    pub fn now(&self) -> u32 {
        self.map.borrow().nodes.iter().map(|node| node.level).min().unwrap_or(0).min(LEVEL)
    }

    /// The command for a shard's log; `None` when it has to wait until every broker is of this release.
    pub fn encode(&self, command: Command) -> Option<Bytes> {
        let level = self.now();
        for_level(command, level).map(|command| encode_at(command, level))
    }
}
