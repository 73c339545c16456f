//! The `[control_plane]` section.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::Deserialize;
use tidings_limits::check_url;
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
    /// The nodes that found the control plane, as `node@host:port` with their node-to-node addresses; the same on each
    /// of them. Empty: this node alone. A node that is not among them joins.
    pub founders: Vec<String>,
    /// A broker that is away for so long, in seconds, is replaced where there is room.
    pub replace_after_seconds: u32,
    /// No history keeps what backends send for longer, in seconds, whatever policies say; 0: not at all.
    pub history_seconds: u32,
    /// A Redis server (`redis://`, `rediss://`) in which gateways, and control-plane nodes for what backends send as
    /// users, count what rate limits of policies allow; empty: each node counts for itself.
    pub redis_url: String,
    /// An answer of Redis that takes longer is none, in milliseconds.
    pub redis_timeout_ms: u32,
}

impl Default for ControlPlaneConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7701)),
            shards: 4,
            replication: 1,
            founders: Vec::new(),
            replace_after_seconds: 600,
            history_seconds: u32::MAX,
            redis_url: String::new(),
            redis_timeout_ms: 200,
        }
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
        if self.replace_after_seconds < 10 {
            return Err("replace_after_seconds must be 10 or more".to_owned());
        }
        if !(1..=10_000).contains(&self.redis_timeout_ms) {
            return Err("redis_timeout_ms must be 1 to 10000".to_owned());
        }
        if !self.redis_url.is_empty() {
            check_url(&self.redis_url)?;
        }
        self.founders().map(drop)
    }
}

impl ControlPlaneConfig {
    /// The founders by node, with their addresses; the error is the rest of a sentence.
    pub fn founders(&self) -> Result<BTreeMap<u64, String>, String> {
        let mut founders = BTreeMap::new();
        for text in &self.founders {
            let parts = text.split_once('@').and_then(|(node, address)| Some((node.parse::<u64>().ok()?, address)));
            let Some((node, address)) = parts.filter(|(node, address)| *node > 0 && address.contains(':')) else {
                return Err(format!("founders: {text:?} is not node@host:port"));
            };
            if founders.insert(node, address.to_owned()).is_some() {
                return Err(format!("founders: node {node} is named twice"));
            }
        }
        Ok(founders)
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

    #[test]
    fn where_rates_are_shared_is_checked() {
        let with = |redis_url: &str, redis_timeout_ms| ControlPlaneConfig {
            redis_url: redis_url.to_owned(),
            redis_timeout_ms,
            ..ControlPlaneConfig::default()
        };
        for (url, timeout_ms, good) in [
            ("", 1, true),
            ("redis://host", 10_000, true),
            ("redis://host", 0, false),
            ("redis://host", 10_001, false),
            ("host:6379", 200, false),
        ] {
            assert_eq!(with(url, timeout_ms).validate().is_ok(), good, "{url} {timeout_ms}");
        }
    }

    #[test]
    fn founders_are_nodes_with_addresses() {
        let with = |founders: &[&str]| ControlPlaneConfig {
            founders: founders.iter().map(ToString::to_string).collect(),
            ..ControlPlaneConfig::default()
        };
        let good = with(&["1@a:7702", "2@[::1]:7702"]);
        assert_eq!(good.validate(), Ok(()));
        assert_eq!(good.founders().unwrap()[&2], "[::1]:7702");
        for bad in [&["a:7702"][..], &["0@a:1"], &["1@a"], &["1@a:1", "1@b:1"]] {
            assert!(with(bad).validate().is_err(), "{bad:?}");
        }
    }
}
