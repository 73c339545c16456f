//! The memory of a shard's leader: who is attached, what was pushed to them, what they acknowledged. It waits for nothing
//! but its own queues: what takes time (proposals, pages from the store, room in a link) runs beside it and reports back.
//! When leadership goes, all sessions are told and forgotten (promise 5).

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tidings_consensus::{Group, Leadership, NodeId, ProposeError};
use tidings_node::{Clock, Shutdown};
use tidings_proto::ErrorCode;
use tidings_proto::broker::v1::{Attach, Attached, Detached, ReadRecorded, Transient, broker_frame};
use tidings_proto::client::v1::UnknownRange;
use tidings_proto::mailbox::v1::{AttachDevice, ExpireDue, MailboxRecord, MarkRead, MoveCursor, command::Command};
use tidings_proto::message::v1::MessageId;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Interval, MissedTickBehavior};

use super::Request;
use super::session::{Blocked, Entry, Session, SessionKey, Window};
use crate::config::BrokerConfig;
use crate::core::{AttachedDevice, Core, Effect, MailboxId, Reply, encode, keys, records};
use crate::error::{Error, code_of};
use crate::link::outbox::Outbox;
use crate::machine::ShardMachine;
use crate::metrics::Metrics;

/// Requests taken at once.
const REQUESTS: usize = 256;
/// How often the leader looks for entries whose time has passed.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(1);
/// Entries that one command may remove because their time has passed.
const EXPIRED_AT_ONCE: u32 = 512;
/// How long a page that could not be read waits before it is asked for again.
const RETRY_PAGE: Duration = Duration::from_millis(200);

/// What an actor is made of.
pub struct ShardParts {
    pub core: Core,
    pub node: NodeId,
    pub group: Group<ShardMachine>,
    pub requests: mpsc::Receiver<Request>,
    pub entries: mpsc::Receiver<Vec<Effect>>,
    pub wanted: Arc<AtomicBool>,
    pub voters: Arc<AtomicUsize>,
    pub config: Arc<BrokerConfig>,
    pub clock: Clock,
    pub metrics: Metrics,
}

/// The actor.
pub struct ShardActor {
    core: Core,
    node: NodeId,
    group: Group<ShardMachine>,
    requests: mpsc::Receiver<Request>,
    entries: mpsc::Receiver<Vec<Effect>>,
    wanted: Arc<AtomicBool>,
    voters: Arc<AtomicUsize>,
    config: Arc<BrokerConfig>,
    clock: Clock,
    metrics: Metrics,

    /// `None` while this replica does not lead; otherwise the term.
    reign: Option<u64>,
    mailboxes: HashMap<MailboxId, Vec<Session>>,
    sessions: HashMap<SessionKey, MailboxId>,
    /// On their way through Raft; `false` once they were given up.
    attaching: HashMap<SessionKey, bool>,
    /// Sessions that wait for room in a link.
    blocked: HashMap<u64, Vec<SessionKey>>,
    running: FuturesUnordered<Pin<Box<dyn Future<Output = Done> + Send>>>,
    reads: Arc<Semaphore>,
    is_expiring: bool,
    lagging: usize,
}

/// What ran beside the actor and is done.
enum Done {
    Attached { request: Attaching, answer: Result<Reply, ProposeError> },
    CursorMoved { key: SessionKey, answer: Result<Reply, ProposeError> },
    PageRead { key: SessionKey, page: Result<Page, Error> },
    RetryPage { key: SessionKey },
    LinkHasRoom { outbox: Arc<Outbox> },
    Expired { answer: Option<Result<Reply, ProposeError>> },
    ReadMarked,
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
            requests: parts.requests,
            entries: parts.entries,
            wanted: parts.wanted,
            voters: parts.voters,
            reads: Arc::new(Semaphore::new(parts.config.concurrent_reads)),
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
            lagging: 0,
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
            Some(done) = self.running.next(), if !self.running.is_empty() => self.done(done),
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
        self.count_voters();
        // Before anything is read: what is committed from now on is told, what was before is in the store.
        self.wanted.store(reign.is_some(), Ordering::SeqCst);
        tracing::info!(shard = self.core.shard, term = leadership.term, leads = reign.is_some(), "leadership changed");
    }

    fn requested(&mut self, request: Request) {
        match request {
            Request::Attach { key, outbox, mailbox, attach } => self.attach(key, outbox, mailbox, *attach),
            Request::Detach { key } => self.detach(key),
            Request::Acknowledge { key, cursor } => self.acknowledge(key, cursor),
            Request::MarkRead { key, outbox, from, id } => self.mark_read(key, outbox, from, id),
            Request::Transient { mailbox, envelope } => self.transient(&mailbox, &envelope),
            Request::LinkEnded { link } => self.link_ended(link),
        }
    }

    // Attaching and detaching ---------------------------------------------------------------------------------------

    fn attach(&mut self, key: SessionKey, outbox: Arc<Outbox>, mailbox: MailboxId, attach: Attach) {
        if self.reign.is_none() {
            // The request may have overtaken the news.
            let now = self.group.leadership().borrow().clone();
            self.follow(&now);
        }
        let Some(reign) = self.reign else {
            let leader = self.group.leadership().borrow().leader.filter(|leader| *leader != self.node);
            return refuse(&outbox, key, ErrorCode::NotLeader, leader.unwrap_or(0));
        };
        if self.sessions.contains_key(&key) || self.attaching.contains_key(&key) {
            return refuse(&outbox, key, ErrorCode::InvalidArgument, 0);
        }
        if self.sessions.len() + self.attaching.len() >= self.config.sessions_per_shard {
            return refuse(&outbox, key, ErrorCode::Overloaded, 0);
        }
        self.attaching.insert(key, true);
        let resume = attach.resume.unwrap_or_default();
        let command = encode(Command::AttachDevice(AttachDevice {
            app: attach.app,
            user: attach.user,
            device: attach.device.clone(),
            stream: resume.stream,
            mailbox_epoch: resume.mailbox_epoch,
            // Without an epoch the cursor means nothing.
            cursor: Some(resume.cursor),
        }));
        let window = self.window(attach.window_entries, attach.window_bytes);
        let request = Attaching { key, outbox, mailbox, device: attach.device, window, reign };
        let group = self.group.clone();
        self.running.push(Box::pin(async move {
            let answer = group.propose_when_ready(command).await;
            Done::Attached { request, answer }
        }));
    }

    fn window(&self, entries: u32, bytes: u32) -> Window {
        let or_default =
            |asked: u32, default: u32, max: u32| if asked == 0 { default } else { asked.min(max) } as usize;
        Window {
            entries: or_default(entries, self.config.window_entries, self.config.max_window_entries),
            bytes: or_default(bytes, self.config.window_bytes, self.config.max_window_bytes),
        }
    }

    fn attached(&mut self, request: Attaching, answer: Result<Reply, ProposeError>) {
        let still_wanted = self.attaching.remove(&request.key).unwrap_or(false);
        if !still_wanted {
            return;
        }
        let (key, outbox) = (request.key, request.outbox.clone());
        match answer {
            Ok(Reply::Attached(device)) if self.reign == Some(request.reign) => self.admit(request, device),
            Ok(Reply::Attached(_)) => refuse(&outbox, key, ErrorCode::NotLeader, 0),
            Ok(Reply::Refused(code)) => refuse(&outbox, key, code, 0),
            Ok(_) => refuse(&outbox, key, ErrorCode::Internal, 0),
            Err(error) => {
                let (code, leader) = code_of(&error);
                refuse(&outbox, key, code, leader);
            }
        }
    }

    fn admit(&mut self, request: Attaching, device: AttachedDevice) {
        let key = request.key;
        let is_named = !request.device.is_empty();
        if is_named && !self.supersede(&request, &device) {
            return refuse(&request.outbox, key, ErrorCode::SessionSuperseded, 0);
        }
        request.outbox.push(broker_frame::Frame::Attached(Attached {
            session: key.session,
            code: 0,
            leader_node: 0,
            mailbox_epoch: device.mailbox_epoch,
            stream: device.stream,
            slot: device.slot,
            cursor: device.cursor,
            tail: device.tail,
            unknown: device.unknown.map(|(from, to)| UnknownRange { from, to }),
        }));
        // A session that only sends is not delivered to: there is nothing to remember of it.
        if !is_named {
            return;
        }
        let session = Session::new(
            key,
            request.outbox,
            request.device,
            device.slot,
            device.stream,
            device.attached,
            request.window,
            device.cursor,
            device.recorded_cursor,
        );
        self.sessions.insert(key, request.mailbox.clone());
        self.mailboxes.entry(request.mailbox).or_default().push(session);
        self.metrics.sessions.increment(1.0);
        self.lagging += 1;
        self.read_page(key);
        self.record_cursor(key);
    }

    /// Ends the older sessions of the device, and the one of the device that lost its slot. `false` when there is a newer
    /// session already.
    fn supersede(&mut self, request: &Attaching, device: &AttachedDevice) -> bool {
        let Some(others) = self.mailboxes.get(&request.mailbox) else { return true };
        let same = |other: &&Session| other.device == request.device;
        if others.iter().filter(same).any(|other| other.attached > device.attached) {
            return false;
        }
        let evicted = |other: &&Session| device.evicted_slot == Some(other.slot) && other.attached < device.attached;
        let ended: Vec<_> =
            others.iter().filter(|other| same(other) || evicted(other)).map(|other| other.key).collect();
        for key in ended {
            self.end_session(key, ErrorCode::SessionSuperseded, 0);
        }
        true
    }

    fn detach(&mut self, key: SessionKey) {
        if let Some(wanted) = self.attaching.get_mut(&key) {
            *wanted = false;
        }
        self.remove(key);
    }

    /// Takes a session out, by its own identity: a newer one of the same device stays (promise 5).
    fn remove(&mut self, key: SessionKey) -> Option<Session> {
        let mailbox = self.sessions.remove(&key)?;
        let sessions = self.mailboxes.get_mut(&mailbox)?;
        let place = sessions.iter().position(|session| session.key == key)?;
        let session = sessions.swap_remove(place);
        if sessions.is_empty() {
            self.mailboxes.remove(&mailbox);
        }
        self.lagging -= usize::from(session.lags());
        self.metrics.sessions.decrement(1.0);
        Some(session)
    }

    fn end_session(&mut self, key: SessionKey, code: ErrorCode, leader_node: u64) {
        let Some(session) = self.remove(key) else { return };
        session.outbox.push(detached(key, code, leader_node));
        self.metrics.detached(code, 1);
    }

    fn detach_all(&mut self, code: ErrorCode, leader_node: u64) {
        let sessions = std::mem::take(&mut self.mailboxes).into_values().flatten();
        let mut count = 0;
        for session in sessions {
            session.outbox.push(detached(session.key, code, leader_node));
            count += 1;
        }
        self.sessions.clear();
        self.blocked.clear();
        self.lagging = 0;
        self.metrics.sessions.decrement(count as f64);
        self.metrics.detached(code, count);
    }

    fn link_ended(&mut self, link: u64) {
        for (key, wanted) in &mut self.attaching {
            *wanted &= key.link != link;
        }
        self.blocked.remove(&link);
        let gone: Vec<_> = self.sessions.keys().filter(|key| key.link == link).copied().collect();
        for key in gone {
            self.remove(key);
        }
    }

    fn session(&mut self, key: SessionKey) -> Option<&mut Session> {
        let mailbox = self.sessions.get(&key)?;
        self.mailboxes.get_mut(mailbox)?.iter_mut().find(|session| session.key == key)
    }

    // Delivery ------------------------------------------------------------------------------------------------------

    fn committed(&mut self, effects: Vec<Effect>) {
        if self.reign.is_none() {
            return;
        }
        let now_ms = self.clock.now_ms();
        let mut blocked = Vec::new();
        let mut to_read = Vec::new();
        let mut lost = Vec::new();
        let (mut pushed, mut fell_behind) = (0, 0);
        for effect in effects {
            match effect {
                Effect::Appended { mailbox, seq, envelope, expires_at_ms } => {
                    let Some(sessions) = self.mailboxes.get_mut(&mailbox) else { continue };
                    let entry = Entry { seq, envelope, expires_at_ms };
                    for session in sessions {
                        let kept_up = !session.lags();
                        match session.committed(&entry, now_ms) {
                            Ok(delivered) => pushed += u64::from(delivered),
                            Err(Blocked::Link) => blocked.push(session.key),
                            Err(Blocked::Window) => to_read.push(session.key),
                        }
                        fell_behind += usize::from(kept_up && session.lags());
                    }
                }
                Effect::Lost { mailbox } => lost.push(mailbox),
                Effect::Owed { .. } => {}
            }
        }
        self.lagging += fell_behind;
        self.metrics.delivered.increment(pushed);
        for key in blocked {
            self.wait_for_link(key);
        }
        for key in to_read {
            self.read_page(key);
        }
        for mailbox in lost {
            let keys: Vec<_> = self.mailboxes.get(&mailbox).into_iter().flatten().map(|session| session.key).collect();
            for key in keys {
                // It attaches again, and is told what is missing (promise 4).
                self.end_session(key, ErrorCode::SlowConsumer, 0);
            }
        }
    }

    fn transient(&mut self, mailbox: &MailboxId, envelope: &Bytes) {
        for session in self.mailboxes.get(mailbox).into_iter().flatten() {
            let transient = Transient { session: session.key.session, envelope: envelope.clone() };
            // At most once: a link without room loses it.
            session.outbox.try_deliver(broker_frame::Frame::Transient(transient));
        }
        self.metrics.transients.increment(1);
    }

    fn read_page(&mut self, key: SessionKey) {
        let page_entries = self.config.page_entries;
        let Some(mailbox) = self.sessions.get(&key).cloned() else { return };
        let Some((after, limit)) = self.session(key).and_then(|session| session.wants_page(page_entries)) else {
            return;
        };
        let (view, reads) = (self.group.view(), self.reads.clone());
        self.running.push(Box::pin(async move {
            // Closed never: the actor holds it for as long as it polls this.
            let _permit = reads.acquire_owned().await;
            let read = tokio::task::spawn_blocking(move || {
                let (from, to) = keys::entries(&mailbox, after + 1, u64::MAX);
                let stored = view.scan(&from, &to, limit)?;
                let is_end = stored.len() < limit;
                let record = view.get(&keys::mailbox(&mailbox))?;
                let record = record.map(|stored| records::open::<MailboxRecord>("mailbox", stored)).transpose()?;
                let trimmed_to = record.map_or(0, |record| record.trimmed_to);
                let entries = stored.into_iter().map(|(key, stored)| read_entry(&key, stored));
                Ok(Page { entries: entries.collect::<Result<_, Error>>()?, is_end, trimmed_to })
            });
            let page = read.await.unwrap_or(Err(Error::Interrupted));
            Done::PageRead { key, page }
        }));
    }

    fn page_read(&mut self, key: SessionKey, page: Result<Page, Error>) {
        let now_ms = self.clock.now_ms();
        let Some(session) = self.session(key) else { return };
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                tracing::error!(%error, "a page of a mailbox could not be read");
                session.page_failed();
                self.running.push(Box::pin(async move {
                    tokio::time::sleep(RETRY_PAGE).await;
                    Done::RetryPage { key }
                }));
                return;
            }
        };
        if session.has_lost(page.trimmed_to) {
            // Entries went before this session had them: it attaches again, and is told which (promise 4).
            return self.end_session(key, ErrorCode::SlowConsumer, 0);
        }
        let lagged = session.lags();
        let (pushed, blocked) = session.page(&page.entries, page.is_end, now_ms);
        let caught_up = lagged && !session.lags();
        self.lagging -= usize::from(caught_up);
        self.metrics.pages_read.increment(1);
        self.metrics.page_entries.record(page.entries.len() as f64);
        self.metrics.delivered.increment(pushed);
        match blocked {
            Some(Blocked::Link) => self.wait_for_link(key),
            Some(Blocked::Window) | None => self.read_page(key),
        }
    }

    /// The session goes on when its link has drained.
    fn wait_for_link(&mut self, key: SessionKey) {
        let Some(session) = self.session(key) else { return };
        if !session.wait_for_link() {
            return;
        }
        let outbox = session.outbox.clone();
        let waiting = self.blocked.entry(key.link).or_default();
        waiting.push(key);
        if waiting.len() == 1 {
            self.running.push(Box::pin(async move {
                outbox.room().await;
                Done::LinkHasRoom { outbox }
            }));
        }
    }

    // Acknowledgements ----------------------------------------------------------------------------------------------

    fn acknowledge(&mut self, key: SessionKey, cursor: u64) {
        let Some(session) = self.session(key) else { return };
        session.acknowledge(cursor);
        if session.lags() {
            self.read_page(key);
        }
        self.record_cursor(key);
    }

    /// One cursor of a session at a time is on its way; the newest waits.
    fn record_cursor(&mut self, key: SessionKey) {
        let Some(mailbox) = self.sessions.get(&key).cloned() else { return };
        let Some(session) = self.session(key) else { return };
        let Some(cursor) = session.wants_recording() else { return };
        let command = encode(Command::MoveCursor(MoveCursor {
            app: mailbox.app().to_owned(),
            user: mailbox.user().to_owned(),
            slot: session.slot,
            cursor,
            stream: session.stream,
        }));
        let group = self.group.clone();
        self.running.push(Box::pin(async move {
            let answer = group.propose_when_ready(command).await;
            Done::CursorMoved { key, answer }
        }));
    }

    fn cursor_moved(&mut self, key: SessionKey, answer: Result<Reply, ProposeError>) {
        match answer {
            Ok(Reply::CursorMoved { cursor }) => {
                self.metrics.cursor_moves.increment(1);
                if let Some(session) = self.session(key) {
                    session.recorded(cursor);
                }
                self.record_cursor(key);
            }
            Ok(Reply::Refused(ErrorCode::StreamSuperseded)) => {
                self.end_session(key, ErrorCode::SessionSuperseded, 0);
            }
            Ok(_) => self.end_session(key, ErrorCode::Internal, 0),
            Err(error) => {
                // The client keeps its cursor and brings it along when it attaches again.
                let (code, leader) = code_of(&error);
                let code = if code == ErrorCode::OutcomeUnknown { ErrorCode::NotLeader } else { code };
                self.end_session(key, code, leader);
            }
        }
    }

    fn mark_read(&mut self, key: SessionKey, outbox: Arc<Outbox>, from: String, id: MessageId) {
        let Some(mailbox) = self.sessions.get(&key) else {
            let code = if self.reign.is_some() { ErrorCode::InvalidArgument } else { ErrorCode::NotLeader };
            return outbox.push(read_recorded(key, from, id, code.into()));
        };
        let outcome = self.group.propose(encode(Command::MarkRead(MarkRead {
            app: mailbox.app().to_owned(),
            user: mailbox.user().to_owned(),
            from: from.clone(),
            stream: id.stream,
            up_to_seq: id.seq,
        })));
        self.running.push(Box::pin(async move {
            let code = match outcome.await {
                Ok(Reply::ReadRecorded) => 0,
                Ok(Reply::Refused(code)) => code.into(),
                Ok(_) => ErrorCode::Internal.into(),
                Err(error) => code_of(&error).0.into(),
            };
            outbox.push(read_recorded(key, from, id, code));
            Done::ReadMarked
        }));
    }

    // Time ----------------------------------------------------------------------------------------------------------

    fn tick(&mut self) {
        self.metrics.lagging(self.core.shard, self.lagging);
        self.count_voters();
        self.expire();
    }

    fn count_voters(&self) {
        let voters = self.group.status().members.values().filter(|member| member.is_voter).count();
        self.voters.store(voters, Ordering::Relaxed);
    }

    fn expire(&mut self) {
        if self.reign.is_none() || self.is_expiring {
            return;
        }
        self.is_expiring = true;
        let (group, now_ms) = (self.group.clone(), self.clock.now_ms());
        self.running.push(Box::pin(async move {
            let view = group.view();
            let due = tokio::task::spawn_blocking(move || {
                let (from, to) = keys::expiring_before(now_ms);
                let (upkeep_from, upkeep_to) = keys::upkeep_before(now_ms.saturating_add(1));
                Ok::<_, Error>(
                    !view.scan(&from, &to, 1)?.is_empty() || !view.scan(&upkeep_from, &upkeep_to, 1)?.is_empty(),
                )
            });
            match due.await {
                Ok(Ok(true)) => {
                    let command = encode(Command::ExpireDue(ExpireDue { limit: EXPIRED_AT_ONCE }));
                    Done::Expired { answer: Some(group.propose_when_ready(command).await) }
                }
                Ok(Err(error)) => {
                    tracing::error!(%error, "what expires could not be read");
                    Done::Expired { answer: None }
                }
                Ok(Ok(false)) | Err(_) => Done::Expired { answer: None },
            }
        }));
    }

    fn expired(&mut self, answer: Option<Result<Reply, ProposeError>>) {
        self.is_expiring = false;
        if let Some(Ok(Reply::Expired { entries, more })) = answer {
            self.metrics.expired.increment(u64::from(entries));
            if more {
                self.expire();
            }
        }
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Attached { request, answer } => self.attached(request, answer),
            Done::CursorMoved { key, answer } => self.cursor_moved(key, answer),
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
            Done::ReadMarked => {}
        }
    }
}

fn read_entry(key: &[u8], stored: Bytes) -> Result<Entry, Error> {
    let seq = keys::entry_seq(key).ok_or(crate::core::CoreError::Contradiction("an entry's key has no number"))?;
    let envelope = records::open_bytes("entry", stored)?;
    let expires_at_ms = crate::core::envelope::peek(&envelope)?.expires_at_ms();
    Ok(Entry { seq, envelope, expires_at_ms })
}

fn refuse(outbox: &Outbox, key: SessionKey, code: ErrorCode, leader_node: u64) {
    let attached = Attached { session: key.session, code: code.into(), leader_node, ..Attached::default() };
    outbox.push(broker_frame::Frame::Attached(attached));
}

fn read_recorded(key: SessionKey, from: String, id: MessageId, code: i32) -> broker_frame::Frame {
    broker_frame::Frame::ReadRecorded(ReadRecorded { session: key.session, from, id: Some(id), code })
}

fn detached(key: SessionKey, code: ErrorCode, leader_node: u64) -> broker_frame::Frame {
    broker_frame::Frame::Detached(Detached { session: key.session, code: code.into(), leader_node })
}
