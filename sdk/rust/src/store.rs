//! What a device keeps so that a crash or a restart neither loses nor doubles anything: its stream and the numbers
//! given in it, the messages without an answer, and its place in the mailbox.
//!
//! [`MemoryStore`] keeps it for the life of the process, [`FileStore`] across kills and power cuts.

mod file;
mod log;

use bytes::Bytes;
use tidings_proto::{GroupId, UserId};

use crate::recipient::Recipient;

pub use file::FileStore;

/// A message without an answer.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StoredSend {
    /// Its number in the stream.
    #[prost(uint64, tag = "1")]
    pub seq: u64,
    /// The recipient; empty where it is a group.
    #[prost(string, tag = "2")]
    pub to: String,
    /// An encoded `Content`.
    #[prost(bytes = "bytes", tag = "3")]
    pub content: Bytes,
    /// As in `Send.ttl_ms`.
    #[prost(uint64, optional, tag = "4")]
    pub ttl_ms: Option<u64>,
    /// As in `Send.receipts`.
    #[prost(int32, tag = "5")]
    pub receipts: i32,
    /// The group that it is for.
    #[prost(string, tag = "6")]
    pub group: String,
    /// An encoded `Change`; empty: it has content.
    #[prost(bytes = "bytes", tag = "7")]
    pub change: Bytes,
    /// An encoded `Disappearance`.
    #[prost(bytes = "bytes", optional, tag = "12")]
    pub disappears: Option<Bytes>,
    /// As in `Send.deliver_at_ms`.
    #[prost(int64, tag = "13")]
    pub deliver_at_ms: i64,
}

impl StoredSend {
    /// Whom it is for; none when what is stored is no id.
    pub fn recipient(&self) -> Option<Recipient> {
        if self.group.is_empty() {
            return UserId::new(&self.to).ok().map(Recipient::User);
        }
        GroupId::new(&self.group).ok().map(Recipient::Group)
    }
}

/// Whose state it is: the outbox of one user must never go out under another's name.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Identity {
    /// The app of the token.
    #[prost(string, tag = "1")]
    pub app: String,
    /// The user of the token.
    #[prost(string, tag = "2")]
    pub user: String,
    /// The device; empty for a session that only sends.
    #[prost(string, tag = "3")]
    pub device: String,
}

/// Everything that a device keeps.
#[derive(Clone, PartialEq, prost::Message)]
pub struct State {
    /// Unset until the first `Welcome`.
    #[prost(message, optional, tag = "1")]
    pub identity: Option<Identity>,
    /// As `Welcome` gave it.
    #[prost(uint64, tag = "2")]
    pub mailbox_epoch: u64,
    /// As `Welcome` gave it; 0 until then.
    #[prost(uint64, tag = "3")]
    pub stream: u64,
    /// The number that the next message gets; 0 stands for 1.
    #[prost(uint64, tag = "4")]
    pub next_seq: u64,
    /// Everything up to here was dealt with by the application.
    #[prost(uint64, tag = "5")]
    pub cursor: u64,
    /// Rising by number.
    #[prost(message, repeated, tag = "6")]
    pub outbox: Vec<StoredSend>,
}

/// A change of the [`State`].
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The whole of it is new: a first connection, or another stream.
    Reset(State),
    /// The application sent a message; it takes the next number.
    Enqueued(StoredSend),
    /// A message has its answer.
    Answered(u64),
    /// The application dealt with everything up to here.
    Cursor(u64),
}

/// Why a store does not work.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system says no. After a failed write the store refuses everything: what is on the disk is not
    /// known.
    #[error("{action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// Another process has the device's state open.
    #[error("{path} is in use by another process: a device's state belongs to one process at a time")]
    Locked {
        /// The folder.
        path: String,
    },
    /// The file holds something else than was written (promise 1: nothing is guessed).
    #[error("{path} is damaged at byte {offset}: {what}")]
    Damaged {
        /// The file.
        path: String,
        /// Where.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// Written by a newer build.
    #[error("{path} has format version {version}; this build reads up to {supported}")]
    Version {
        /// The file.
        path: String,
        /// The version found.
        version: u32,
        /// The newest that this build reads.
        supported: u32,
    },
    /// An earlier write failed.
    #[error("the store failed earlier and takes nothing more")]
    Failed,
}

/// Where a device keeps its [`State`].
pub trait Store: Send + 'static {
    /// The state as the last successful writes left it.
    fn load(&mut self) -> Result<State, StoreError>;

    /// Makes the changes durable, all or none, before it returns. The client transmits a message, and acknowledges a
    /// delivery, only after this.
    fn write(&mut self, changes: Vec<Change>) -> Result<(), StoreError>;

    /// Whether it keeps anything; where not, the client does not call [`Store::write`].
    fn keeps(&self) -> bool {
        true
    }
}

/// Keeps the state in the process alone: a restarted process is a new stream, and goes on where the server's cursor
/// stands.
#[derive(Debug, Default, Clone, Copy)]
pub struct MemoryStore;

impl Store for MemoryStore {
    fn load(&mut self) -> Result<State, StoreError> {
        Ok(State::default())
    }

    fn write(&mut self, _changes: Vec<Change>) -> Result<(), StoreError> {
        Ok(())
    }

    fn keeps(&self) -> bool {
        false
    }
}
