//! What the engine is started with.

use std::path::PathBuf;
use std::time::Duration;

use tidings_node::{Clock, Dialer};

use crate::error::Error;
use crate::group_id::NodeId;

/// Where the engine stores, who it is, and how it is tuned.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Folder of the databases; created when absent. One process at a time.
    pub dir: PathBuf,
    /// This node, the same for as long as the folder lives.
    pub node_id: NodeId,
    /// Nodes of another cluster are refused, and so is a folder of another cluster.
    pub cluster_id: String,
    /// Stamps the commands that this node proposes as a leader.
    pub clock: Clock,
    /// Sent with every call to a peer and asked of every peer; `None` sends nothing and asks nothing.
    pub peer_secret: Option<String>,
    /// Connects to the peers.
    pub dialer: Dialer,
    /// Limits and times.
    pub tuning: Tuning,
}

impl EngineOptions {
    /// The machine's clock, no secret, no TLS, default tuning.
    pub fn new(dir: impl Into<PathBuf>, node_id: NodeId, cluster_id: impl Into<String>) -> Self {
        Self {
            dir: dir.into(),
            node_id,
            cluster_id: cluster_id.into(),
            clock: Clock::system(),
            peer_secret: None,
            dialer: Dialer::default(),
            tuning: Tuning::default(),
        }
    }
}

/// Limits (promise 6) and times of the engine. The defaults suit nodes in one region.
#[derive(Debug, Clone)]
pub struct Tuning {
    /// Leaders tell followers that they live, this often. Default 75 ms.
    pub heartbeat: Duration,
    /// A follower waits this long at least, beyond the leader's lease, before it asks for votes. Default 300 ms.
    pub election_timeout_min: Duration,
    /// The longest such wait; also the leader's lease. Default 600 ms.
    pub election_timeout_max: Duration,
    /// Commands in one Raft entry, at most. Default 1,024.
    pub max_batch_commands: usize,
    /// Bytes of commands in one Raft entry, at most, unless a single command is larger. Default 1 MiB.
    pub max_batch_bytes: usize,
    /// Larger commands are refused as `TooLarge`. Default 8 MiB, at most 32 MiB.
    pub max_command_bytes: usize,
    /// Entries of one group proposed and not yet answered, at most. Default 4.
    pub pipeline_depth: usize,
    /// Commands waiting to be proposed, per group; more are refused as `Overloaded`. Default 16,384.
    pub queue_commands: usize,
    /// Bytes of commands waiting to be proposed, per group. Default 64 MiB.
    pub queue_bytes: usize,
    /// Recent log entries kept in memory per group, at most, once they are on disk. Default 8 MiB.
    pub log_cache_bytes: usize,
    /// A group's log is compacted when it has grown by this many bytes. Default 64 MiB.
    pub compact_after_bytes: u64,
    /// A group's log is compacted when it has grown by this many entries. Default 50,000.
    pub compact_after_entries: u64,
    /// Entries that compaction leaves in the log for followers that lag a little. Default 1,000.
    pub keep_entries: u64,
    /// Writes waiting for the log-writer thread, all groups together; at the limit the groups wait. Default 4,096.
    pub log_queue: usize,
    /// Cache for reading the state, all groups together. Default 128 MiB.
    pub block_cache_bytes: usize,
    /// A peer that leaves a request unanswered for so long is given up on for now. Default 3 s.
    pub peer_timeout: Duration,
    /// The scrub reads what is stored at most at this rate. Default 8 MiB/s.
    pub scrub_bytes_per_second: u64,
    /// The scrub pauses this long between two rounds. Default 24 h.
    pub scrub_pause: Duration,
    /// What was deleted is in no file of this node any more after so long. Default three days; at least 3 s.
    pub erase_within: Duration,
    /// Snapshots are sent at most at this rate, all groups of the node together; `None` is no limit. Default 8 MiB/s.
    pub snapshot_bytes_per_second: Option<u64>,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(75),
            election_timeout_min: Duration::from_millis(300),
            election_timeout_max: Duration::from_millis(600),
            max_batch_commands: 1024,
            max_batch_bytes: 1024 * 1024,
            max_command_bytes: 8 * 1024 * 1024,
            pipeline_depth: 4,
            queue_commands: 16 * 1024,
            queue_bytes: 64 * 1024 * 1024,
            log_cache_bytes: 8 * 1024 * 1024,
            compact_after_bytes: 64 * 1024 * 1024,
            compact_after_entries: 50_000,
            keep_entries: 1_000,
            log_queue: 4096,
            block_cache_bytes: 128 * 1024 * 1024,
            peer_timeout: Duration::from_secs(3),
            scrub_bytes_per_second: 8 * 1024 * 1024,
            scrub_pause: Duration::from_secs(24 * 3600),
            erase_within: Duration::from_secs(3 * 24 * 3600),
            snapshot_bytes_per_second: Some(8 * 1024 * 1024),
        }
    }
}

impl Tuning {
    pub(crate) const LARGEST_COMMAND_BYTES: usize = 32 * 1024 * 1024;

    pub(crate) fn validate(&self) -> Result<(), Error> {
        let at_least_one = [
            ("max_batch_commands", self.max_batch_commands),
            ("max_batch_bytes", self.max_batch_bytes),
            ("max_command_bytes", self.max_command_bytes),
            ("pipeline_depth", self.pipeline_depth),
            ("queue_commands", self.queue_commands),
            ("log_queue", self.log_queue),
        ];
        for (option, value) in at_least_one {
            if value == 0 {
                return Err(Error::Option { option, reason: "must be at least 1".to_owned() });
            }
        }
        if self.max_command_bytes > Self::LARGEST_COMMAND_BYTES {
            let reason = format!("must be at most {} bytes", Self::LARGEST_COMMAND_BYTES);
            return Err(Error::Option { option: "max_command_bytes", reason });
        }
        if self.erase_within < Duration::from_secs(3) {
            return Err(Error::Option { option: "erase_within", reason: "must be at least 3 s".to_owned() });
        }
        if self.queue_bytes < self.max_command_bytes || u32::try_from(self.queue_bytes).is_err() {
            let reason = "must hold the largest command, and be below 4 GiB".to_owned();
            return Err(Error::Option { option: "queue_bytes", reason });
        }
        Ok(())
    }

    pub(crate) fn raft_config(&self, cluster_id: &str) -> Result<openraft::Config, Error> {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        openraft::Config {
            cluster_name: cluster_id.to_owned(),
            heartbeat_interval: millis(self.heartbeat),
            election_timeout_min: millis(self.election_timeout_min),
            election_timeout_max: millis(self.election_timeout_max),
            enable_pre_vote: Some(true),
            // A restarted leader stands for election like everybody else, so that its term tells its readers apart.
            enable_leader_restore: Some(false),
            // `crate::compaction` decides when, by bytes as well as by entries, and how much to keep.
            snapshot_policy: openraft::SnapshotPolicy::Never,
            max_in_snapshot_log_to_keep: u64::MAX / 2,
            install_snapshot_timeout: millis(Duration::from_secs(3600)),
            backoff: "50ms 100ms 200ms ..1s".to_owned(),
            ..openraft::Config::default()
        }
        .validate()
        .map_err(|error| Error::Option { option: "heartbeat and election timeouts", reason: error.to_string() })
    }
}
