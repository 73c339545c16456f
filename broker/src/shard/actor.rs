//! The memory of a shard's leader: who is attached, what was pushed to them, what they acknowledged. It waits for
//! nothing but its own queues: what takes time (proposals, pages from the store, room in a link) runs beside it and
//! reports back. When leadership goes, all sessions are told and forgotten (promise 5).

mod attaching;
mod delivery;
mod presence;
mod recording;
mod upkeep;

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tidings_consensus::{Group, Leadership, NodeId, ProposeError};
use tidings_node::{Clock, Shutdown};
use tidings_proto::ErrorCode;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, Interval, MissedTickBehavior};

pub use presence::not_watched;

use super::Request;
use super::presence::Presence;
use super::session::{Entry, Session, SessionKey, Window};
use crate::config::BrokerConfig;
use crate::core::{Core, Effect, MailboxId, Reply};
use crate::error::Error;
use crate::level::ClusterLevel;
use crate::link::links::Links;
use crate::link::outbox::Outbox;
use crate::machine::ShardMachine;
use crate::metrics::Metrics;

/// Requests taken at once.
const REQUESTS: usize = 256;
/// How often the leader looks for entries whose time has passed.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(1);
/// Entries that one command may remove because their time has passed.
const EXPIRED_AT_ONCE: u32 = 512;
/// How long acknowledgements gather before their cursors are recorded.
const GATHER_CURSORS: Duration = Duration::from_millis(10);
/// How long after one cursor of a session was recorded the next one waits: what a busy device acknowledges costs so
/// much a second, however much it is.
const BETWEEN_CURSORS: Duration = Duration::from_millis(100);
/// How long a page that could not be read waits before it is asked for again.
const RETRY_PAGE: Duration = Duration::from_millis(200);

/// What an actor is made of.
pub struct ShardParts {
    pub core: Core,
    pub node: NodeId,
    pub group: Group<ShardMachine>,
    pub level: ClusterLevel,
    pub requests: mpsc::Receiver<Request>,
    pub entries: mpsc::Receiver<Vec<Effect>>,
    pub wanted: Arc<AtomicBool>,
    pub voters: Arc<AtomicUsize>,
    pub links: Links,
    pub config: Arc<BrokerConfig>,
    pub clock: Clock,
    pub metrics: Metrics,
}

/// The actor.
pub struct ShardActor {
    core: Core,
    node: NodeId,
    group: Group<ShardMachine>,
    level: ClusterLevel,
    requests: mpsc::Receiver<Request>,
    entries: mpsc::Receiver<Vec<Effect>>,
    wanted: Arc<AtomicBool>,
    voters: Arc<AtomicUsize>,
    links: Links,
    config: Arc<BrokerConfig>,
    clock: Clock,
    metrics: Metrics,

    /// `None` while this replica does not lead; otherwise the term.
    reign: Option<u64>,
    mailboxes: HashMap<MailboxId, Vec<Session>>,
    sessions: HashMap<SessionKey, MailboxId>,
    presence: Presence,
    /// Links that watch users of the shard.
    watching_links: HashMap<u64, Arc<Outbox>>,
    /// On their way through Raft; `false` once they were given up.
    attaching: HashMap<SessionKey, bool>,
    /// Sessions that wait for room in a link.
    blocked: HashMap<u64, Vec<SessionKey>>,
    running: FuturesUnordered<Pin<Box<dyn Future<Output = Done> + Send>>>,
    reads: Arc<Semaphore>,
    is_expiring: bool,
    is_telling_receipts: bool,
    adoption: Adoption,
    is_expanding: bool,
    /// Something more came while that was under way.
    expands_again: bool,
    lagging: usize,
    /// Sessions whose cursors are to be recorded, and when.
    gathered: Vec<SessionKey>,
    gather_until: Instant,
    /// Sessions whose cursors were recorded a moment ago, and until when the next ones wait.
    pausing: VecDeque<(Instant, SessionKey)>,
}

/// Whether members of groups have conversations with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Adoption {
    Waiting,
    Running,
    Done,
}

/// What ran beside the actor and is done.
enum Done {
    Attached { request: Attaching, answer: Result<Reply, ProposeError> },
    CursorMoved { key: SessionKey, to: u64, answer: Result<Reply, ProposeError> },
    PageRead { key: SessionKey, page: Result<Page, Error> },
    RetryPage { key: SessionKey },
    LinkHasRoom { outbox: Arc<Outbox> },
    Expired { answer: Option<Result<Reply, ProposeError>> },
    Expanded { answer: Option<Result<Reply, ProposeError>> },
    ReceiptsTold { answer: Option<Result<Reply, ProposeError>> },
    Adopted { answer: Result<Reply, ProposeError> },
    ReadMarked,
    LastCursorMoved,
}

struct Attaching {
    key: SessionKey,
    outbox: Arc<Outbox>,
    mailbox: MailboxId,
    device: String,
    window: Window,
    reign: u64,
}

struct Page {
    entries: Vec<Entry>,
    is_end: bool,
    /// Entries up to here are gone from the store.
    trimmed_to: u64,
}

impl ShardActor {
    /// An actor that leads nothing yet.
    pub fn new(parts: ShardParts) -> Self {
        Self {
            core: parts.core,
            node: parts.node,
            group: parts.group,
            level: parts.level,
            requests: parts.requests,
            entries: parts.entries,
            wanted: parts.wanted,
            voters: parts.voters,
            links: parts.links,
            reads: Arc::new(Semaphore::new(parts.config.concurrent_reads)),
            presence: Presence::new(parts.config.presence_limits(), Instant::now()),
            watching_links: HashMap::new(),
            config: parts.config,
            clock: parts.clock,
            metrics: parts.metrics,
            reign: None,
            mailboxes: HashMap::new(),
            sessions: HashMap::new(),
            attaching: HashMap::new(),
            blocked: HashMap::new(),
            running: FuturesUnordered::new(),
            is_expiring: false,
            is_telling_receipts: false,
            adoption: Adoption::Waiting,
            is_expanding: false,
            expands_again: false,
            lagging: 0,
            gathered: Vec::new(),
            gather_until: Instant::now(),
            pausing: VecDeque::new(),
        }
    }

    /// Runs until the shard closes.
    pub async fn run(mut self, shutdown: Shutdown) {
        let mut leadership = self.group.leadership();
        let mut ticks = tokio::time::interval(EXPIRY_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let first = leadership.borrow_and_update().clone();
        self.follow(&first);
        let mut taken = Vec::with_capacity(REQUESTS);
        while self.step(&shutdown, &mut leadership, &mut ticks, &mut taken).await {}
        self.detach_all(ErrorCode::Draining, 0);
        self.wanted.store(false, Ordering::SeqCst);
    }

    async fn step(
        &mut self,
        shutdown: &Shutdown,
        leadership: &mut tokio::sync::watch::Receiver<Leadership>,
        ticks: &mut Interval,
        taken: &mut Vec<Request>,
    ) -> bool {
        tokio::select! {
            // Fair: each queue is bounded or fed by the others, and none may starve another.
            () = shutdown.requested() => return false,
            changed = leadership.changed() => {
                if changed.is_err() {
                    return false;
                }
                let now = leadership.borrow_and_update().clone();
                self.follow(&now);
            }
            Some(effects) = self.entries.recv() => self.committed(effects),
            count = self.requests.recv_many(taken, REQUESTS) => {
                if count == 0 {
                    return false;
                }
                for request in taken.drain(..) {
                    self.requested(request);
                }
            }
            () = sleep_until(self.presence.next_due()) => self.tell_presence(),
            Some(done) = self.running.next(), if !self.running.is_empty() => self.done(done),
            () = tokio::time::sleep_until(self.gather_until), if !self.gathered.is_empty() => self.record_gathered(),
            () = sleep_until(self.pausing.front().map(|(until, _)| *until)) => self.end_pauses(),
            _ = ticks.tick() => self.tick(),
        }
        true
    }

    fn follow(&mut self, leadership: &Leadership) {
        let reign = leadership.is_leader.then_some(leadership.term);
        if reign == self.reign {
            return;
        }
        if self.reign.is_some() {
            let elsewhere = leadership.leader.filter(|leader| *leader != self.node).unwrap_or(0);
            self.detach_all(ErrorCode::NotLeader, elsewhere);
        }
        self.reign = reign;
        self.presence = Presence::new(self.config.presence_limits(), Instant::now());
        self.watching_links.clear();
        self.pausing.clear();
        self.count_voters();
        // Before anything is read: what is committed from now on is told, what was before is in the store.
        self.wanted.store(reign.is_some(), Ordering::SeqCst);
        tracing::info!(shard = self.core.shard, term = leadership.term, leads = reign.is_some(), "leadership changed");
        if let Some(term) = reign {
            self.links.announce(self.core.shard, term);
            self.expand_groups();
        }
    }

    /// Whether this replica leads at this very moment. One that was stopped for a while, and has not noticed yet that
    /// others went on, lets its sessions go before it hands them anything (promise 5).
    fn still_leads(&mut self) -> bool {
        let Some(reign) = self.reign else { return false };
        let leads = self.group.leads_now() == Some(reign);
        if !leads {
            let now = self.group.leadership().borrow().clone();
            self.follow(&Leadership { is_leader: false, ..now });
        }
        leads
    }

    fn requested(&mut self, request: Request) {
        match request {
            Request::Attach { key, outbox, mailbox, attach } => self.attach(key, outbox, mailbox, *attach),
            Request::Detach { key } => self.detach(key),
            Request::Acknowledge { key, cursor, withholds } => self.acknowledge(key, cursor, withholds),
            Request::MarkRead { key, outbox, from, id, privately } => {
                self.mark_read(key, outbox, (from, id), privately);
            }
            Request::Propose { key, command, answer } => {
                if self.sessions.contains_key(&key) {
                    // Who asked may have gone.
                    let _ = answer.send(Box::pin(self.group.propose(command)));
                }
            }
            Request::Transient { mailbox, envelope, conflates } => self.transient(&mailbox, &envelope, conflates),
            Request::GroupTransient { members, envelope, conflates } => {
                members.iter().for_each(|mailbox| self.transient(mailbox, &envelope, conflates));
            }
            Request::Watch { outbox, users, lease } => self.watch(&outbox, users, lease),
            Request::GetPresence { users, answer } => self.answer_presence(&users, answer),
            Request::LinkEnded { link } => self.link_ended(link),
        }
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Attached { request, answer } => self.attached(request, answer),
            Done::CursorMoved { key, to, answer } => self.cursor_moved(key, to, answer),
            Done::PageRead { key, page } => self.page_read(key, page),
            Done::RetryPage { key } => self.read_page(key),
            Done::LinkHasRoom { outbox } => {
                let waiting = self.blocked.remove(&outbox.id).unwrap_or_default();
                if outbox.is_closed() {
                    return;
                }
                for key in waiting {
                    if let Some(session) = self.session(key) {
                        session.link_has_room();
                        self.read_page(key);
                    }
                }
            }
            Done::Expired { answer } => self.expired(answer),
            Done::Expanded { answer } => self.expanded(answer),
            Done::ReceiptsTold { answer } => self.group_receipts_told(answer),
            Done::Adopted { answer } => self.adopted(&answer),
            Done::ReadMarked | Done::LastCursorMoved => {}
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
