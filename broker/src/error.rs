//! Why the broker could not do something as a whole; what happens to a single message is an `ErrorCode`.

use tidings_consensus::ProposeError;
use tidings_proto::ErrorCode;

/// An operation of the broker failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine refused or failed.
    #[error(transparent)]
    Consensus(#[from] tidings_consensus::Error),
    /// What is stored cannot be read; the shard serves nothing.
    #[error(transparent)]
    Core(#[from] crate::core::CoreError),
    /// A read from the store was cut off, because the process is stopping or a part of it failed.
    #[error("reading from the store was interrupted")]
    Interrupted,
    /// The shard map makes no sense.
    #[error("the shard map of epoch {epoch} is not usable: {reason}")]
    ShardMap { epoch: u64, reason: String },
    /// What the registry says of a group could not be taken in yet.
    #[error("groups: {0}")]
    GroupFeed(String),
    /// Another node did not take what was relayed.
    #[error("shard {shard} did not take what it is owed: {reason}")]
    Relay { shard: u32, reason: String },
}

/// What the one who proposed is told, and the leader to turn to (0: not known).
pub fn code_of(error: &ProposeError) -> (ErrorCode, u64) {
    match error {
        ProposeError::NotLeader { leader } => (ErrorCode::NotLeader, leader.as_ref().map_or(0, |leader| leader.0)),
        ProposeError::Overloaded => (ErrorCode::Overloaded, 0),
        ProposeError::TooLarge => (ErrorCode::TooLarge, 0),
        ProposeError::StorageFailed => (ErrorCode::StorageFailed, 0),
        // Elsewhere or later the shard goes on, but whether this was done is not known.
        ProposeError::ShuttingDown | ProposeError::Unknown => (ErrorCode::OutcomeUnknown, 0),
    }
}
