//! A replica of a shard on this node: its Raft group, and while it leads, the memory of who is attached.
//!
//! - [`actor`]: the shard's memory: sessions, deliveries, acknowledgements, expiry
//! - [`session`]: one attached device
//! - [`backlog`] and [`courier`]: what the shard owes to other shards, and who brings it there
//! - [`presence`]: who is online, for gateways that asked
//! - [`releaser`]: scheduled messages, when their time has come
//! - [`reconcile`]: the members of the shard's group, brought into line with the shard map

pub mod actor;
pub mod backlog;
pub mod courier;
pub mod presence;
pub mod reconcile;
pub mod releaser;
pub mod session;

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tidings_consensus::{Group, Leadership, NodeId, ProposeError, StateView};
use tidings_proto::broker::v1::Attach;
use tidings_proto::message::v1::MessageId;
use tidings_proto::policy::v1::Audience;
use tokio::sync::{mpsc, oneshot, watch};

use crate::core::{Core, MailboxId, Reply};
use crate::error::Error;
use crate::group_activity::GroupTalk;
use crate::group_feed::news::GroupNews;
use crate::group_receipts::ReceiptWatches;
use crate::level::ClusterLevel;
use crate::link::outbox::Outbox;
use crate::machine::ShardMachine;
use backlog::Backlog;
use presence::UserState;
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
        /// Senders are not told that it was delivered.
        withholds: bool,
    },
    MarkRead {
        key: SessionKey,
        outbox: Arc<Outbox>,
        from: String,
        id: MessageId,
        /// The senders are not told.
        privately: bool,
    },
    /// Proposes a command of a session; nothing is answered when that is not attached.
    Propose {
        key: SessionKey,
        command: Bytes,
        answer: oneshot::Sender<Outcome>,
    },
    /// Hands an envelope to the sessions that are attached now.
    Transient {
        mailbox: MailboxId,
        envelope: Bytes,
        /// As in [`Transient`](tidings_proto::broker::v1::Transient).
        conflates: u64,
    },
    /// The same to the sessions of several users.
    GroupTransient {
        members: Vec<MailboxId>,
        envelope: Bytes,
        conflates: u64,
    },
    /// A gateway wants to know when users come and go.
    Watch {
        outbox: Arc<Outbox>,
        users: Vec<WatchedMailbox>,
        lease: Duration,
    },
    /// Of users who live here, in their order; `None` of those of whom nothing can be said yet, and nothing at all when
    /// this replica does not lead.
    GetPresence {
        users: Vec<MailboxId>,
        answer: oneshot::Sender<Vec<Option<UserState>>>,
    },
    LinkEnded {
        link: u64,
    },
}

/// A user whom a gateway watches, and what it knows of them.
pub struct WatchedMailbox {
    pub mailbox: MailboxId,
    pub is_known: bool,
    /// Unix ms; 0: not known.
    pub last_seen_ms: i64,
    /// Which others it wants to know of, and whether it does.
    pub among: Audience,
    pub knows_them: bool,
}

/// A shard, as the links and the other shards see it. Cheap to clone.
#[derive(Clone)]
pub struct ShardHandle {
    pub core: Core,
    pub group: Group<ShardMachine>,
    pub level: ClusterLevel,
    pub requests: mpsc::Sender<Request>,
    /// How many replicas vote, as the leader counted them last.
    pub voters: Arc<AtomicUsize>,
    /// Groups whose home this is, and that have changed in the registry.
    pub news: Arc<GroupNews>,
    /// What is told in these groups beside messages.
    pub talk: Arc<GroupTalk>,
    /// Who wants to be told how far what they sent to them has come.
    pub receipts: Arc<ReceiptWatches>,
    /// What other shards are owed, and have.
    pub backlog: Arc<Backlog>,
    /// Members that have lost their data: the leader lets them out.
    pub exclude: watch::Sender<BTreeSet<NodeId>>,
}

/// What will become of a proposed command.
pub type Outcome = Pin<Box<dyn Future<Output = Result<Reply, ProposeError>> + Send>>;

impl ShardHandle {
    /// As [`propose`](Self::propose), for a session, in the order in which sessions come and go; `None` when it is not
    /// attached here.
    pub async fn propose_for(&self, key: SessionKey, command: Bytes) -> Option<Result<Reply, ProposeError>> {
        let (answer, proposed) = oneshot::channel();
        self.requests.send(Request::Propose { key, command, answer }).await.ok()?;
        Some(proposed.await.ok()?.await)
    }

    /// Queues a command that this crate's [`ClusterLevel`] let through; see [`Group::propose`].
    pub fn propose(
        &self,
        command: Bytes,
    ) -> impl Future<Output = Result<Reply, ProposeError>> + Send + 'static + use<> {
        self.group.propose(command)
    }

    /// Looks at what is applied, where this replica leads: everything that anybody was told to be done before. A look
    /// that was cut off is [`Error::Interrupted`].
    pub async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&StateView) -> Result<T, Error> + Send + 'static,
    ) -> Result<Result<T, Error>, ProposeError> {
        self.group.read_barrier().await?;
        let view = self.group.view();
        Ok(tokio::task::spawn_blocking(move || look(&view)).await.unwrap_or(Err(Error::Interrupted)))
    }

    /// The members, committed and known for certain, where this replica leads. A member that is to be excluded is out
    /// of them first; that takes as long as it takes.
    pub async fn members(&self, exclude: Option<NodeId>) -> Result<Vec<NodeId>, ProposeError> {
        self.group.read_barrier().await?;
        if let Some(node) = exclude {
            self.exclude.send_modify(|excluded| excluded.extend([node]));
        }
        loop {
            let status = self.group.status();
            let is_out = exclude.is_none_or(|node| !status.members.contains_key(&node));
            if !status.is_changing && is_out {
                if let Some(node) = exclude {
                    self.exclude.send_modify(|excluded| excluded.retain(|other| *other != node));
                }
                return Ok(status.members.into_keys().collect());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            self.group.read_barrier().await?;
        }
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
