//! What can go wrong, apart by what the caller can do about it.

use std::io;
use std::path::PathBuf;

use crate::group_id::{GroupId, NodeId};
use crate::record::RecordError;

/// An operation of the engine or of a group failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database could not be opened: in use by another process, not readable, or damaged.
    #[error("cannot open the database in {path}: {reason}")]
    Open { path: PathBuf, reason: String },
    /// A database is damaged where no part of it can be told from another. Nothing was changed.
    #[error(
        "the database in {path} is damaged and cannot be opened: {reason}. Nothing was changed. Remove this node from the \
         cluster as dead, move its data folder away, and start it as a new node"
    )]
    StoreDamaged { path: PathBuf, reason: String },
    /// The folder belongs to another node or cluster, or its two databases are of different stores.
    #[error("the store in {path} is not this node's: {reason}")]
    WrongStore { path: PathBuf, reason: String },
    /// A stored record does not match its checksum, or has a format that this version does not know. Never served.
    #[error("{what} of group {group} is damaged: {source}")]
    Corrupt { group: GroupId, what: String, source: RecordError },
    /// This node's replica is damaged and stopped. Once its group has removed this node from its members, it can be
    /// [erased](crate::Engine::erase_group), started anew, and added again.
    #[error("this replica of group {group} is damaged: {reason}")]
    Damaged { group: GroupId, reason: String },
    /// What is stored contradicts itself, for example a hole in the log. Never served.
    #[error("group {group} cannot be used: {reason}")]
    Inconsistent { group: GroupId, reason: String },
    /// Reading or writing failed; after a failed write the engine stays failed until it is opened anew.
    #[error("storage failed: {0}")]
    Storage(String),
    /// An option is out of its range.
    #[error("option {option}: {reason}")]
    Option { option: &'static str, reason: String },
    /// This replica does not lead; `leader` is whom it believes to.
    #[error("this replica does not lead the group")]
    NotLeader { leader: Option<(NodeId, String)> },
    /// The change of members is not possible now; the reason says why.
    #[error("members not changed: {0}")]
    Membership(String),
    /// The group was started already, or its id is above [`GroupId::MAX`].
    #[error("group {0} cannot be started: it runs already, or its id is reserved")]
    GroupTaken(GroupId),
    /// There is no running replica of this group here.
    #[error("no replica of group {0} runs here")]
    NoSuchGroup(GroupId),
    /// The engine or the group is shutting down.
    #[error("shutting down")]
    ShuttingDown,
}

impl Error {
    /// Whether this is damage of one replica, as opposed to a failure of the process.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::Damaged { .. } | Self::Inconsistent { .. })
    }
}

impl From<rocksdb::Error> for Error {
    fn from(error: rocksdb::Error) -> Self {
        Self::Storage(error.to_string())
    }
}

/// An error that went through Raft comes out as it was.
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        error.downcast().unwrap_or_else(|other| Self::Storage(other.to_string()))
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::other(error)
    }
}

/// Why a command has no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Not applied: this replica does not lead, or not yet. Propose to `leader`, or where it is `None` again after a
    /// wait.
    #[error("this replica does not lead the group")]
    NotLeader { leader: Option<(NodeId, String)> },
    /// Not applied: the queue is full (promise 6). Propose again later.
    #[error("the queue of proposals is full")]
    Overloaded,
    /// Not applied, and never will be: the command is larger than [`Tuning::max_command_bytes`](crate::Tuning).
    #[error("the command is too large")]
    TooLarge,
    /// This replica's storage failed, and it accepts nothing until it is restarted or rebuilt. The outcome is unknown.
    #[error("this replica's storage failed")]
    StorageFailed,
    /// The group is shutting down. The outcome is unknown.
    #[error("shutting down")]
    ShuttingDown,
    /// The command may or may not be applied: propose it again with the same number.
    #[error("outcome unknown")]
    Unknown,
}
