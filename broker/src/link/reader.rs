//! Reads what one gateway asks and hands it on, in its order: attachments and acknowledgements to the shards' memory,
//! submissions straight to the shards' logs. When the stream ends, however it does, the sessions of the link end too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use tidings_proto::broker::v1::{
    Ack, Attach, Attached, Detach, GatewayBatch, LedShard, LinkHello, LinkWelcome, Read, ReadRecorded,
    Request as UserRequest, Submit, TellActivity, WatchUsers, WatchedUser, broker_frame, gateway_frame,
};
use tidings_proto::frame::MAX_ACTIVITY_BYTES;
use tidings_proto::mailbox::v1::{AppendMessage, ScheduleMessage, command::Command};
use tidings_proto::message::v1::{Envelope, envelope};
use tidings_proto::shard::shard_of;
use tidings_proto::{AppId, DeviceId, ErrorCode, UserId};
use tokio::sync::{Semaphore, mpsc};
use tonic::{Status, Streaming};

use super::LinkContext;
use super::activities::{self, Told};
use super::answers::{Answers, Pending, QUESTIONS, Transient, refusal};
use super::outbox::Outbox;
use super::requests::{self, Refusal};
use crate::core::entry::Entry;
use crate::core::envelope::MessageHead;
use crate::core::{GroupName, MailboxId};
use crate::group_activity;
use crate::shard::actor::not_watched;
use crate::shard::session::SessionKey;
use crate::shard::{Request, ShardHandle, WatchedMailbox};

/// The version of this protocol.
pub const LINK_VERSION: u32 = 1;
/// What this broker understands beyond the first release; see `LinkWelcome.level`.
const LEVEL: u32 = 4;
/// Users that one frame may ask for; more are passed over.
const MAX_WATCHED: usize = 1024;

/// The reading half of a link.
pub struct Reader {
    context: Arc<LinkContext>,
    outbox: Arc<Outbox>,
    /// Where submissions to each shard wait for their answers.
    lanes: BTreeMap<u32, Lane>,
    activities: mpsc::Sender<(ShardHandle, Told)>,
    /// Shards that sessions of this link were attached to.
    touched: BTreeSet<u32>,
    is_welcome: bool,
}

struct Lane {
    shard: ShardHandle,
    pending: mpsc::Sender<Pending>,
}

impl Reader {
    /// The reader of a stream whose answers go to `outbox`.
    pub fn new(context: Arc<LinkContext>, outbox: Arc<Outbox>) -> Self {
        let (lanes, touched) = (BTreeMap::new(), BTreeSet::new());
        Self { context, outbox, lanes, activities: activities::open(), touched, is_welcome: false }
    }

    /// Runs until the stream ends.
    pub async fn run(mut self, stream: Streaming<GatewayBatch>) {
        let ended = self.read(stream).await;
        self.outbox.close(ended.err());
        for shard in std::mem::take(&mut self.touched) {
            if let Some(shard) = self.context.shards.get(shard) {
                // Fails when the shard is closing, and has forgotten its sessions.
                let _ = shard.requests.send(Request::LinkEnded { link: self.outbox.id }).await;
            }
        }
    }

    async fn read(&mut self, mut stream: Streaming<GatewayBatch>) -> Result<(), Status> {
        loop {
            if self.outbox.len() > 2 * self.context.config.link_queue_frames {
                // A gateway that does not take its answers is asked to wait with its questions.
                tokio::select! {
                    () = self.context.shutdown.requested() => {}
                    () = self.outbox.room() => {}
                }
            }
            let batch = tokio::select! {
                () = self.outbox.closed() => return Ok(()),
                () = self.context.shutdown.requested() => {
                    return Err(ErrorCode::Draining.status("this broker is stopping"));
                }
                batch = stream.message() => batch?,
            };
            let Some(batch) = batch else { return Ok(()) };
            for frame in batch.frames {
                // A frame of a kind that this version does not know is passed over.
                if let Some(frame) = frame.frame {
                    self.frame(frame).await?;
                }
            }
        }
    }

    async fn frame(&mut self, frame: gateway_frame::Frame) -> Result<(), Status> {
        use gateway_frame::Frame;
        use tidings_proto::broker::v1::presence::Presence;
        match frame {
            Frame::Hello(hello) => self.hello(&hello)?,
            _ if !self.is_welcome => return Err(ErrorCode::FrameUnexpected.status("the first frame must be a hello")),
            Frame::Submit(submit) => self.submit(submit),
            Frame::Ack(ack) => self.acknowledge(ack).await,
            Frame::Read(read) => self.mark_read(read).await,
            Frame::Attach(attach) => self.attach(attach).await,
            Frame::Detach(detach) => self.detach(detach).await,
            Frame::Request(asked) => self.ask(asked),
            Frame::Presence(presence) => match presence.presence {
                Some(Presence::Watch(watch)) => self.watch(watch).await,
                Some(Presence::Activity(told)) => self.tell_activity(told),
                None => {}
            },
        }
        Ok(())
    }

    fn hello(&mut self, hello: &LinkHello) -> Result<(), Status> {
        if hello.version != LINK_VERSION {
            let message = format!("this broker speaks version {LINK_VERSION}, the gateway {}", hello.version);
            return Err(ErrorCode::ProtocolVersionUnsupported.status(message));
        }
        tracing::info!(link = self.outbox.id, gateway = %hello.gateway, "a gateway is linked");
        self.is_welcome = true;
        let welcome = LinkWelcome { version: LINK_VERSION, node: self.context.node, level: LEVEL };
        self.outbox.push(broker_frame::Frame::Welcome(welcome));
        let shards = self.context.shards.all();
        let led = shards.iter().filter_map(|shard| {
            let term = shard.group.leads_now()?;
            Some(LedShard { shard: shard.core.shard, term })
        });
        self.context.links.add(&self.outbox, led.collect());
        Ok(())
    }

    fn key(&self, session: u64) -> SessionKey {
        SessionKey { link: self.outbox.id, session }
    }

    // Sessions ------------------------------------------------------------------------------------------------------

    async fn attach(&mut self, attach: Attach) {
        let (session, shard) = (attach.session, attach.shard);
        let refuse = |code: ErrorCode, leader_node: u64| {
            broker_frame::Frame::Attached(Attached { session, code: code.into(), leader_node, ..Attached::default() })
        };
        let mailbox = match self.mailbox(shard, &attach.app, &attach.user) {
            Ok(mailbox) if attach.device.is_empty() || DeviceId::new(&attach.device).is_ok() => mailbox,
            Ok(_) => return self.outbox.push(refuse(ErrorCode::InvalidArgument, 0)),
            Err(code) => return self.outbox.push(refuse(code, 0)),
        };
        let Some(handle) = self.context.shards.get(shard) else {
            return self.outbox.push(refuse(ErrorCode::NotLeader, self.preferred_leader(shard)));
        };
        self.touched.insert(shard);
        let attach = Box::new(attach);
        let request = Request::Attach { key: self.key(session), outbox: self.outbox.clone(), mailbox, attach };
        if handle.requests.send(request).await.is_err() {
            self.outbox.push(refuse(ErrorCode::NotLeader, 0));
        }
    }

    async fn detach(&mut self, detach: Detach) {
        let key = self.key(detach.session);
        if let Some(shard) = self.context.shards.get(detach.shard) {
            // Fails when the shard is closing, and has forgotten its sessions.
            let _ = shard.requests.send(Request::Detach { key }).await;
        }
    }

    async fn acknowledge(&mut self, ack: Ack) {
        let key = self.key(ack.session);
        if let Some(shard) = self.context.shards.get(ack.shard) {
            // As above; the client brings its cursor along when it attaches elsewhere.
            let _ = shard
                .requests
                .send(Request::Acknowledge { key, cursor: ack.cursor, withholds: ack.withholds_delivered })
                .await;
        }
    }

    async fn mark_read(&mut self, read: Read) {
        let (key, session) = (self.key(read.session), read.session);
        let recorded =
            |code: ErrorCode| ReadRecorded { session, from: read.from.clone(), id: read.id, code: code.into() };
        let Some(id) = read.id.filter(|_| UserId::new(&read.from).is_ok()) else {
            return self.outbox.push(broker_frame::Frame::ReadRecorded(recorded(ErrorCode::InvalidArgument)));
        };
        let outbox = self.outbox.clone();
        let is_taken = match self.context.shards.get(read.shard) {
            Some(shard) => {
                let privately = read.privately;
                let request = Request::MarkRead { key, outbox, from: read.from.clone(), id, privately };
                shard.requests.send(request).await.is_ok()
            }
            None => false,
        };
        if !is_taken {
            self.outbox.push(broker_frame::Frame::ReadRecorded(recorded(ErrorCode::NotLeader)));
        }
    }

    // Requests ------------------------------------------------------------------------------------------------------

    fn ask(&mut self, asked: UserRequest) {
        let (session, id) = (asked.session, asked.request.as_ref().map_or(0, |request| request.id));
        let mailbox = match asked.request.as_ref().and_then(requests::group_of) {
            None => self.mailbox(asked.shard, &asked.app, &asked.user),
            Some(group) => {
                let user = MailboxId::new(&asked.app, &asked.user).filter(|_| UserId::new(&asked.user).is_ok());
                let home = self.mailbox(asked.shard, &asked.app, group);
                home.and_then(|_| user.ok_or(ErrorCode::InvalidArgument))
            }
        };
        let place = self.context.requests.clone().try_acquire_owned();
        let refused = match (mailbox, place) {
            (Ok(mailbox), Ok(place)) => {
                let (context, outbox) = (self.context.clone(), self.outbox.clone());
                let asked = requests::Asked { context, outbox, place, mailbox, request: asked };
                tokio::spawn(asked.answer());
                return;
            }
            (Err(code), _) => code,
            (Ok(_), Err(_)) => ErrorCode::Overloaded,
        };
        self.context.metrics.refused(refused);
        let refusal = Err(Refusal::from(refused));
        self.outbox.push(requests::answer(session, id, refusal, self.context.config.retry_after_ms));
    }

    // Presence ------------------------------------------------------------------------------------------------------

    async fn watch(&mut self, watch: WatchUsers) {
        let WatchUsers { shard, app, users, lease_ms } = watch;
        let Some(handle) = self.context.shards.get(shard) else {
            return self.outbox.push(not_watched(shard, ErrorCode::NotLeader, self.preferred_leader(shard)));
        };
        // Whoever does not live here is passed over.
        let watched = users.into_iter().take(MAX_WATCHED).filter_map(|user| {
            let among = user.among();
            let WatchedUser { user, is_known, last_seen_ms, knows_them, .. } = user;
            let mailbox = self.mailbox(shard, &app, &user).ok()?;
            Some(WatchedMailbox { mailbox, is_known, last_seen_ms, among, knows_them })
        });
        let users: Vec<_> = watched.collect();
        self.touched.insert(shard);
        let (outbox, lease) = (self.outbox.clone(), Duration::from_millis(lease_ms.into()));
        if handle.requests.send(Request::Watch { outbox, users, lease }).await.is_err() {
            self.outbox.push(not_watched(shard, ErrorCode::NotLeader, 0));
        }
    }

    /// At most once: what cannot be handed on is dropped.
    fn tell_activity(&self, told: TellActivity) {
        let audience = told.audience();
        let Some(activity) = told.activity.filter(|activity| activity.data.len() <= MAX_ACTIVITY_BYTES) else { return };
        let to = if activity.group.is_empty() { &activity.to } else { &activity.group };
        let Ok(mailbox) = self.mailbox(told.shard, &told.app, to) else { return };
        if !activity.group.is_empty() {
            let place = self.context.activities.clone().try_acquire_owned();
            let (Ok(place), Some(group)) = (place, GroupName::new(&told.app, &activity.group)) else { return };
            let Some(handle) = self.context.shards.get(told.shard) else { return };
            let relay = self.context.relay.clone();
            tokio::spawn(async move {
                group_activity::tell(relay, handle, group, activity).await;
                drop(place);
            });
            return;
        }
        let Some(shard) = self.context.shards.get(told.shard) else { return };
        let from = activity.from.clone();
        let envelope = Envelope { event: Some(envelope::Event::Activity(activity)) }.encode_to_vec().into();
        // Fails when the shard has more to do than it can, or is closing.
        let _ = self.activities.try_send((shard, Told { mailbox, from, audience, envelope, conflates: 0 }));
    }

    // Submissions ---------------------------------------------------------------------------------------------------

    fn submit(&mut self, submit: Submit) {
        let (session, seq) = (submit.session, submit.seq);
        if let Err((code, leader_node)) = self.try_submit(submit) {
            self.context.metrics.refused(code);
            let refusal = refusal(session, seq, code, leader_node, self.context.config.retry_after_ms);
            self.outbox.push(broker_frame::Frame::Submitted(refusal));
        }
    }

    fn try_submit(&mut self, submit: Submit) -> Result<(), (ErrorCode, u64)> {
        let to_group = !submit.group.is_empty();
        let to = if to_group { &submit.group } else { &submit.to };
        let waits = submit.deliver_at_ms != 0;
        // A group's id is as a user's, and finds its home as a user's finds the mailbox. What waits does so where its
        // sender lives.
        let lives = if waits { &submit.from } else { to };
        let mailbox = self.mailbox(submit.shard, &submit.app, lives).map_err(|code| (code, 0))?;
        UserId::new(&submit.from).map_err(|_| (ErrorCode::InvalidArgument, 0))?;
        let now_ms = self.context.clock.now_ms();
        let lane = self.lane(submit.shard)?;
        // The place first: nothing is proposed that could not be answered.
        let place = lane.pending.try_reserve().map_err(|_| (ErrorCode::Overloaded, 0))?;
        let (session, seq) = (submit.session, submit.seq);
        if submit.ttl_ms == Some(0) && !waits {
            let (envelope, conflates) = (transient_envelope(&submit, now_ms), conflation(&submit));
            let transient = Transient { session, seq, sent_at_ms: now_ms };
            let group = GroupName::new(&submit.app, &submit.group).filter(|_| to_group);
            let (audience, from) = (submit.audience(), submit.from);
            place.send(match group {
                None => {
                    let told = Told { mailbox, from, audience, envelope, conflates };
                    Pending::Transient { transient, told }
                }
                Some(group) => Pending::GroupTransient { transient, group, from, envelope, conflates },
            });
            return Ok(());
        }
        let deliver_at_ms = submit.deliver_at_ms;
        let append = AppendMessage {
            app: submit.app,
            to: if to_group { submit.group } else { submit.to },
            from: submit.from,
            from_slot: submit.from_slot,
            stream: submit.stream,
            seq: submit.seq,
            after: submit.after,
            ttl_ms: submit.ttl_ms,
            receipts: submit.receipts,
            content: submit.content,
            inbox_limit: submit.inbox_limit,
            retention_ms: submit.retention_ms,
            sender_retention_ms: submit.sender_retention_ms,
            change: submit.change,
            change_window_ms: submit.change_window_ms,
            disappears: submit.disappears,
            large_beyond: submit.large_group_members,
            audience: submit.audience,
        };
        let not_yet = (ErrorCode::Unavailable, 0);
        if waits {
            let message = Some(append);
            let schedule = ScheduleMessage { message, to_group, deliver_at_ms, ..ScheduleMessage::default() };
            let command = lane.shard.level.encode(Command::ScheduleMessage(schedule)).ok_or(not_yet)?;
            place.send(Pending::Append { session, seq, outcome: Box::pin(lane.shard.propose(command)) });
            return Ok(());
        }
        let Some(group) = GroupName::new(&append.app, &append.to).filter(|_| to_group) else {
            let command = lane.shard.level.encode(Command::AppendMessage(append)).ok_or(not_yet)?;
            place.send(Pending::Append { session, seq, outcome: Box::pin(lane.shard.propose(command)) });
            return Ok(());
        };
        let from = append.from.clone();
        let command = lane.shard.level.encode(Command::AppendToGroup(append)).ok_or(not_yet)?;
        let outcome = Box::pin(lane.shard.propose(command));
        place.send(Pending::AppendToGroup { session, seq, group, from, outcome });
        Ok(())
    }

    /// The way to a shard's log from this link.
    fn lane(&mut self, shard: u32) -> Result<&Lane, (ErrorCode, u64)> {
        // A shard that was closed and opened again has another group behind it.
        if self.lanes.get(&shard).is_some_and(|lane| lane.shard.requests.is_closed()) {
            self.lanes.remove(&shard);
        }
        if !self.lanes.contains_key(&shard) {
            let not_here = || (ErrorCode::NotLeader, self.preferred_leader(shard));
            let handle = self.context.shards.get(shard).ok_or_else(not_here)?;
            let (pending, taken) = mpsc::channel(self.context.config.submissions_in_flight);
            let answers = Answers {
                shard: handle.clone(),
                outbox: self.outbox.clone(),
                retry_after_ms: self.context.config.retry_after_ms,
                groups: self.context.groups.clone(),
                live: self.context.live.clone(),
                questions: Arc::new(Semaphore::new(QUESTIONS)),
                metrics: self.context.metrics.clone(),
            };
            tokio::spawn(answers.run(taken));
            self.lanes.insert(shard, Lane { shard: handle, pending });
        }
        self.lanes.get(&shard).ok_or((ErrorCode::Internal, 0))
    }

    /// The mailbox of a user, who must live in the shard that was named.
    fn mailbox(&self, shard: u32, app: &str, user: &str) -> Result<MailboxId, ErrorCode> {
        let is_valid = AppId::new(app).is_ok() && UserId::new(user).is_ok();
        let shards = u32::try_from(self.context.map.borrow().shards.len()).unwrap_or(0);
        if shards == 0 {
            // A node that has just started: it will know in a moment.
            return Err(ErrorCode::NotLeader);
        }
        if !is_valid || shard_of(app, user, shards) != shard {
            return Err(ErrorCode::InvalidArgument);
        }
        MailboxId::new(app, user).ok_or(ErrorCode::InvalidArgument)
    }

    /// Who leads a shard when all is well; 0: not known, or this node.
    fn preferred_leader(&self, shard: u32) -> u64 {
        let map = self.context.map.borrow();
        let placement = map.shards.iter().find(|placement| placement.shard == shard);
        let first = placement.and_then(|placement| placement.replicas.first().copied());
        first.filter(|node| *node != self.context.node).unwrap_or(0)
    }
}

/// The envelope of a message that is stored nowhere.
fn transient_envelope(submit: &Submit, now_ms: i64) -> Bytes {
    let head = MessageHead {
        stream: submit.stream,
        seq: submit.seq,
        from: &submit.from,
        to: &submit.to,
        sent_at_ms: now_ms,
        expires_at_ms: 0,
        receipts: submit.receipts,
        from_slot: submit.from_slot,
        group: &submit.group,
        ..MessageHead::default()
    };
    Entry::of_message(&head, &submit.content).envelope()
}

/// The same for all that a slow device needs the last of; 0: it is of no such kind.
fn conflation(submit: &Submit) -> u64 {
    let Submit { from, to, group, conflation_key, .. } = submit;
    if conflation_key.is_empty() {
        return 0;
    }
    // Ids have no line ends.
    xxhash_rust::xxh3::xxh3_64(format!("{from}\n{to}\n{group}\n{conflation_key}").as_bytes()).max(1)
}
