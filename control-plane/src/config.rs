//! The `[control_plane]` section.

use std::net::SocketAddr;

use serde::Deserialize;
use tidings_node::Section;
use tidings_proto::shard::MAX_SHARDS;

/// The most replicas that a shard can have.
pub const MAX_REPLICATION: u32 = 7;

/// How the cluster is made, and where backends call.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ControlPlaneConfig {
    /// Where backends and operators call.
    pub listen: SocketAddr,
    /// The number of shards, 1 to 4,096. Fixed when the cluster is made.
    pub shards: u32,
    /// How many brokers hold each shard, 1 to 7.
    pub replication: u32,
}

impl Default for ControlPlaneConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 7701)), shards: 4, replication: 1 }
    }
}

impl Section for ControlPlaneConfig {
    const NAME: &'static str = "control_plane";

    fn validate(&self) -> Result<(), String> {
        if !(1..=MAX_SHARDS).contains(&self.shards) {
            return Err(format!("shards must be 1 to {MAX_SHARDS}"));
        }
        if !(1..=MAX_REPLICATION).contains(&self.replication) {
            return Err(format!("replication must be 1 to {MAX_REPLICATION}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_at_the_edges() {
        let with = |shards, replication| ControlPlaneConfig { shards, replication, ..ControlPlaneConfig::default() };
        for (shards, replication) in [(1, 1), (4096, 7)] {
            assert_eq!(with(shards, replication).validate(), Ok(()));
        }
        for (shards, replication) in [(0, 1), (4097, 1), (4, 0), (4, 8)] {
            assert!(with(shards, replication).validate().is_err(), "{shards} {replication}");
        }
    }
}
