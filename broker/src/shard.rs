//! A replica of a shard on this node: its Raft group, and while it leads, the memory of who is attached.
//!
//! - [`actor`]: the shard's memory: sessions, deliveries, acknowledgements, expiry
//! - [`session`]: one attached device
//! - [`backlog`] and [`courier`]: what the shard owes to other shards, and who brings it there

pub mod actor;
pub mod backlog;
pub mod courier;
pub mod session;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tidings_consensus::{Group, Leadership, ProposeError};
use tidings_proto::broker::v1::Attach;
use tidings_proto::message::v1::MessageId;
use tokio::sync::mpsc;

use crate::core::{Core, MailboxId, Reply};
use crate::link::outbox::Outbox;
use crate::machine::ShardMachine;
use session::SessionKey;

/// What the memory of a shard is asked. Every request comes from a link, in the order of the link.
pub enum Request {
    Attach {
        key: SessionKey,
        outbox: Arc<Outbox>,
        mailbox: MailboxId,
        attach: Box<Attach>,
    },
    Detach {
        key: SessionKey,
    },
    Acknowledge {
        key: SessionKey,
        cursor: u64,
    },
    MarkRead {
        key: SessionKey,
        outbox: Arc<Outbox>,
        from: String,
        id: MessageId,
    },
    /// Hands an envelope to the sessions that are attached now.
    Transient {
        mailbox: MailboxId,
        envelope: Bytes,
    },
    LinkEnded {
        link: u64,
    },
}

/// A shard, as the links and the other shards see it. Cheap to clone.
#[derive(Clone)]
pub struct ShardHandle {
    pub core: Core,
    pub group: Group<ShardMachine>,
    pub requests: mpsc::Sender<Request>,
    /// How many replicas vote, as the leader counted them last.
    pub voters: Arc<AtomicUsize>,
}

impl ShardHandle {
    /// Queues a command; see [`Group::propose`].
    pub fn propose(
        &self,
        command: Bytes,
    ) -> impl Future<Output = Result<Reply, ProposeError>> + Send + 'static + use<> {
        self.group.propose(command)
    }

    /// Who leads now.
    pub fn leadership(&self) -> Leadership {
        self.group.leadership().borrow().clone()
    }

    /// Whether an fsync here is all there is.
    pub fn has_one_voter(&self) -> bool {
        self.voters.load(Ordering::Relaxed) <= 1
    }
}
