//! Broker nodes over one cluster's mailboxes in memory: duplicate windows, `after`, delivery windows, cursors, leaders
//! that move, links that break with answers on them.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message as _;
use tidings_proto::ErrorCode;
use tidings_proto::broker::v1::broker_server::{Broker, BrokerServer};
use tidings_proto::broker::v1::{
    Attach, Attached, BrokerBatch, BrokerFrame, Deliver, Detached, GatewayBatch, GatewayFrame, GetIgnoredRequest,
    GetIgnoredResponse, GetMembersRequest, GetMembersResponse, LinkWelcome, Presence, PresenceChanged, ReadRecorded,
    RelayRequest, RelayResponse, Request as UserRequest, Response as UserResponse, SearchGroupsRequest,
    SearchGroupsResponse, Submit, Submitted, Transient, broker_frame, gateway_frame, presence,
};
use tidings_proto::client::v1::{self as client, Durability, user_presence};
use tidings_proto::message::v1::{Content, Envelope, Message, MessageId, envelope};
use tidings_proto::shard::{shard_of, stream_id};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

/// Room for more than any test puts on a link.
const LINK_FRAMES: usize = 100_000;

#[derive(Default)]
struct Mailbox {
    entries: BTreeMap<u64, Bytes>,
    tail: u64,
    cursors: HashMap<String, u64>,
    /// Accepted numbers by sender and stream.
    seen: HashMap<(String, u64), BTreeMap<u64, Submitted>>,
    sessions: Vec<Session>,
}

struct Session {
    id: u64,
    device: String,
    node: u64,
    link: u64,
    frames: mpsc::Sender<BrokerFrame>,
    sent: u64,
    window_entries: usize,
    window_bytes: usize,
}

struct State {
    leaders: Vec<u64>,
    mailboxes: HashMap<String, Mailbox>,
    users_of_sessions: HashMap<(u64, u64), String>,
    streams: u64,
    links: HashMap<u64, tokio_util::sync::CancellationToken>,
    next_link: u64,
}

/// What all brokers share, as if replicated.
pub struct Cluster {
    state: Mutex<State>,
    shards: u32,
    /// Messages are accepted, and their answers lost.
    pub lose_answers: AtomicBool,
    /// So many more answers are lost, and then all links break.
    pub lose_then_break: AtomicU32,
    /// Delivers without regard to windows.
    pub ignore_windows: AtomicBool,
    /// Submits are answered with this code instead, while it is not 0.
    pub refuse_with: AtomicU32,
    pub submits: AtomicU32,
    /// Frames of presence and activity that gateways sent.
    pub presence_frames: AtomicU32,
    last_submit: Mutex<Option<Submit>>,
    /// What new links are told that the brokers understand.
    pub level: AtomicU32,
    /// Requests are kept unanswered, and answered with their own user's devices otherwise.
    pub hold_requests: AtomicBool,
    pub requests: AtomicU32,
}

impl Cluster {
    pub fn new(shards: u32) -> Arc<Self> {
        let state = State {
            leaders: vec![1; shards as usize],
            mailboxes: HashMap::new(),
            users_of_sessions: HashMap::new(),
            streams: 0,
            links: HashMap::new(),
            next_link: 1,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            shards,
            lose_answers: AtomicBool::new(false),
            lose_then_break: AtomicU32::new(0),
            ignore_windows: AtomicBool::new(false),
            refuse_with: AtomicU32::new(0),
            submits: AtomicU32::new(0),
            presence_frames: AtomicU32::new(0),
            last_submit: Mutex::default(),
            level: AtomicU32::new(3),
            hold_requests: AtomicBool::new(false),
            requests: AtomicU32::new(0),
        })
    }

    pub fn last_submitted(&self) -> Submit {
        self.last_submit.lock().clone().unwrap()
    }

    /// Another node leads all shards; sessions of the former leader are told.
    pub fn move_leaders(&self, to: u64) {
        let mut state = self.state.lock();
        state.leaders.iter_mut().for_each(|leader| *leader = to);
        for mailbox in state.mailboxes.values_mut() {
            for session in mailbox.sessions.extract_if(.., |session| session.node != to) {
                let code = ErrorCode::NotLeader as i32;
                let detached = Detached { session: session.id, code, leader_node: to };
                send(&session.frames, broker_frame::Frame::Detached(detached));
            }
        }
    }

    /// Ends every link of every node at once.
    pub fn break_links(&self) {
        let links = std::mem::take(&mut self.state.lock().links);
        links.values().for_each(|link| link.cancel());
    }

    /// Sessions that are attached, of all users.
    pub fn sessions(&self) -> usize {
        self.state.lock().mailboxes.values().map(|mailbox| mailbox.sessions.len()).sum()
    }

    /// The cursor of a device.
    pub fn cursor(&self, user: &str, device: &str) -> u64 {
        let state = self.state.lock();
        state.mailboxes.get(user).and_then(|mailbox| mailbox.cursors.get(device)).copied().unwrap_or(0)
    }

    /// The texts in a user's mailbox, in order.
    pub fn texts(&self, user: &str) -> Vec<String> {
        let state = self.state.lock();
        let entries = state.mailboxes.get(user).map(|mailbox| mailbox.entries.values().cloned().collect::<Vec<_>>());
        entries.unwrap_or_default().into_iter().map(text_of).collect()
    }

    fn attach(&self, node: u64, link: u64, frames: &mpsc::Sender<BrokerFrame>, attach: Attach) {
        let mut state = self.state.lock();
        let shard = shard_of(&attach.app, &attach.user, self.shards);
        assert_eq!(shard, attach.shard);
        let mut attached = Attached { session: attach.session, ..Attached::default() };
        if state.leaders[shard as usize] != node {
            attached.code = ErrorCode::NotLeader as i32;
            attached.leader_node = state.leaders[shard as usize];
            return send(frames, broker_frame::Frame::Attached(attached));
        }
        state.streams += 1;
        attached.stream = match attach.resume {
            Some(resume) => resume.stream,
            None => stream_id(state.streams, shard),
        };
        let mailbox = state.mailboxes.entry(attach.user.clone()).or_default();
        let stored = mailbox.cursors.entry(attach.device.clone()).or_default();
        if let Some(resume) = attach.resume {
            assert!(resume.cursor <= mailbox.tail);
            *stored = (*stored).max(resume.cursor);
        }
        (attached.mailbox_epoch, attached.cursor, attached.tail, attached.slot) = (1, *stored, mailbox.tail, 7);
        for old in mailbox.sessions.extract_if(.., |old| old.device == attach.device && !old.device.is_empty()) {
            let code = ErrorCode::SessionSuperseded as i32;
            send(&old.frames, broker_frame::Frame::Detached(Detached { session: old.id, code, leader_node: 0 }));
        }
        mailbox.sessions.push(Session {
            id: attach.session,
            device: attach.device,
            node,
            link,
            frames: frames.clone(),
            sent: attached.cursor,
            window_entries: attach.window_entries as usize,
            window_bytes: attach.window_bytes as usize,
        });
        send(frames, broker_frame::Frame::Attached(attached));
        state.users_of_sessions.insert((link, attach.session), attach.user.clone());
        self.deliver(&mut state, &attach.user);
    }

    fn submit(&self, node: u64, frames: &mpsc::Sender<BrokerFrame>, submit: Submit) {
        self.submits.fetch_add(1, Ordering::SeqCst);
        *self.last_submit.lock() = Some(submit.clone());
        let mut state = self.state.lock();
        let shard = shard_of(&submit.app, &submit.to, self.shards);
        assert_eq!((shard, submit.from_slot), (submit.shard, 7));
        let mut answer = Submitted { session: submit.session, seq: submit.seq, ..Submitted::default() };
        let leader = state.leaders[shard as usize];
        let refusal = self.refuse_with.load(Ordering::SeqCst);
        let mailbox = state.mailboxes.entry(submit.to.clone()).or_default();
        let seen = mailbox.seen.entry((submit.from.clone(), submit.stream)).or_default();
        if leader != node {
            answer.code = ErrorCode::NotLeader as i32;
            answer.leader_node = leader;
        } else if refusal != 0 {
            answer.code = i32::try_from(refusal).unwrap();
        } else if let Some(first) = seen.get(&submit.seq) {
            answer = *first;
            answer.session = submit.session;
        } else if submit.after != 0 && !seen.contains_key(&submit.after) {
            answer.code = ErrorCode::OutOfOrder as i32;
        } else {
            answer.sent_at_ms = 42;
            let transient = submit.ttl_ms == Some(0);
            answer.durability = if transient { Durability::Transient } else { Durability::QuorumFsync } as i32;
            if !transient {
                seen.insert(submit.seq, answer);
            }
            let envelope = Bytes::from(envelope_of(&submit).encode_to_vec());
            if transient {
                for session in &mailbox.sessions {
                    let transient = Transient { session: session.id, envelope: envelope.clone(), conflates: 0 };
                    send(&session.frames, broker_frame::Frame::Transient(transient));
                }
            } else {
                mailbox.tail += 1;
                mailbox.entries.insert(mailbox.tail, envelope);
                self.deliver(&mut state, &submit.to);
            }
        }
        drop(state);
        let left = self.lose_then_break.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match left {
            Ok(1) => return self.break_links(),
            Ok(_) => return,
            Err(_) => {}
        }
        if !self.lose_answers.load(Ordering::SeqCst) {
            send(frames, broker_frame::Frame::Submitted(answer));
        }
    }

    fn deliver(&self, state: &mut State, user: &str) {
        let Some(mailbox) = state.mailboxes.get_mut(user) else { return };
        let ignore_windows = self.ignore_windows.load(Ordering::SeqCst);
        for session in mailbox.sessions.iter_mut().filter(|session| !session.device.is_empty()) {
            let cursor = mailbox.cursors[&session.device];
            for (seq, envelope) in mailbox.entries.range(session.sent + 1..) {
                let unacked = mailbox.entries.range(cursor + 1..*seq);
                let (entries, bytes) = unacked.fold((1, envelope.len()), |(n, b), (_, e)| (n + 1, b + e.len()));
                if !ignore_windows && (entries > session.window_entries || bytes > session.window_bytes) {
                    break;
                }
                let deliver =
                    Deliver { session: session.id, seq: *seq, after: session.sent, envelope: envelope.clone() };
                send(&session.frames, broker_frame::Frame::Deliver(deliver));
                session.sent = *seq;
            }
        }
    }

    fn handle(&self, node: u64, link: u64, frames: &mpsc::Sender<BrokerFrame>, frame: GatewayFrame) {
        match frame.frame.unwrap() {
            gateway_frame::Frame::Hello(hello) => {
                assert_eq!(hello.gateway, "test");
                send(
                    frames,
                    broker_frame::Frame::Welcome(LinkWelcome {
                        version: 1,
                        node,
                        level: self.level.load(Ordering::SeqCst),
                    }),
                );
            }
            gateway_frame::Frame::Attach(attach) => self.attach(node, link, frames, attach),
            gateway_frame::Frame::Submit(submit) => self.submit(node, frames, submit),
            gateway_frame::Frame::Request(request) => self.answer(node, frames, request),
            gateway_frame::Frame::Presence(presence) => self.presence(node, frames, presence),
            gateway_frame::Frame::Detach(detach) => self.detach(link, |session| session.id == detach.session),
            gateway_frame::Frame::Ack(ack) => {
                let mut state = self.state.lock();
                let Some(user) = state.users_of_sessions.get(&(link, ack.session)).cloned() else { return };
                let mailbox = state.mailboxes.get_mut(&user).unwrap();
                let Some(session) = mailbox.sessions.iter().find(|session| session.id == ack.session) else { return };
                let (device, sent) = (session.device.clone(), session.sent);
                let cursor = mailbox.cursors.get_mut(&device).unwrap();
                assert!(ack.cursor >= *cursor && ack.cursor <= sent.max(mailbox.tail), "cursors never go back");
                *cursor = ack.cursor;
                self.deliver(&mut state, &user);
            }
            gateway_frame::Frame::Read(read) => {
                let (session, from, id) = (read.session, read.from, read.id);
                let code = if from == "nobody" { ErrorCode::NotFound as i32 } else { 0 };
                if !self.lose_answers.load(Ordering::SeqCst) {
                    send(frames, broker_frame::Frame::ReadRecorded(ReadRecorded { session, from, id, code }));
                }
            }
        }
    }

    fn presence(&self, node: u64, frames: &mpsc::Sender<BrokerFrame>, presence: Presence) {
        self.presence_frames.fetch_add(1, Ordering::SeqCst);
        let Some(presence::Presence::Watch(watch)) = presence.presence else { return };
        let state = self.state.lock();
        let leader = state.leaders[watch.shard as usize];
        let mut changed = PresenceChanged { shard: watch.shard, app: watch.app, ..PresenceChanged::default() };
        if leader == node {
            // As a leader that was never asked before.
            changed.users.extend(watch.users.into_iter().map(|user| {
                let is_online = state.mailboxes.get(&user.user).is_some_and(|mailbox| !mailbox.sessions.is_empty());
                let known = client::UserPresence { user: user.user, last_seen_ms: 0, state: 0 };
                match is_online {
                    true => client::UserPresence { state: user_presence::State::Online.into(), ..known },
                    false => {
                        let (state, last_seen_ms) = (user_presence::State::Offline.into(), user.last_seen_ms);
                        client::UserPresence { state, last_seen_ms, ..known }
                    }
                }
            }));
        } else {
            (changed.code, changed.leader_node) = (ErrorCode::NotLeader.into(), leader);
        }
        send(frames, broker_frame::Frame::Presence(changed));
    }

    fn answer(&self, node: u64, frames: &mpsc::Sender<BrokerFrame>, request: UserRequest) {
        self.requests.fetch_add(1, Ordering::SeqCst);
        if self.hold_requests.load(Ordering::SeqCst) {
            return;
        }
        let leader = self.state.lock().leaders[request.shard as usize];
        let id = request.request.unwrap().id;
        let mut response = client::Response { id, ..client::Response::default() };
        let mut leader_node = 0;
        if leader == node {
            let devices = vec![client::Device { device: request.user, ..client::Device::default() }];
            let devices = client::Devices { devices, tail: 0 };
            response.response = Some(client::response::Response::Devices(devices));
        } else {
            (response.code, leader_node) = (ErrorCode::NotLeader as i32, leader);
        }
        let answer = UserResponse { session: request.session, leader_node, response: Some(response) };
        send(frames, broker_frame::Frame::Response(answer));
    }

    fn detach(&self, link: u64, which: impl Fn(&Session) -> bool) {
        for mailbox in self.state.lock().mailboxes.values_mut() {
            mailbox.sessions.retain(|session| !(session.link == link && which(session)));
        }
    }
}

fn envelope_of(submit: &Submit) -> Envelope {
    Envelope {
        event: Some(envelope::Event::Message(Message {
            id: Some(MessageId { stream: submit.stream, seq: submit.seq }),
            from: submit.from.clone(),
            to: submit.to.clone(),
            sent_at_ms: 42,
            content: Some(Content::decode(submit.content.clone()).unwrap()),
            receipts: submit.receipts,
            from_slot: submit.from_slot,
            ..Message::default()
        })),
    }
}

fn text_of(envelope: Bytes) -> String {
    match Envelope::decode(envelope).unwrap().event {
        Some(envelope::Event::Message(message)) => message.content.unwrap().text,
        other => panic!("no message: {other:?}"),
    }
}

fn send(frames: &mpsc::Sender<BrokerFrame>, frame: broker_frame::Frame) {
    // A link that is gone loses what is on it.
    if let Err(mpsc::error::TrySendError::Full(_)) = frames.try_send(BrokerFrame { frame: Some(frame) }) {
        panic!("a test put more on a link than it holds");
    }
}

/// One node.
pub struct TestBroker {
    pub node: u64,
    pub address: SocketAddr,
}

struct Service {
    node: u64,
    cluster: Arc<Cluster>,
}

impl TestBroker {
    pub async fn start(node: u64, cluster: Arc<Cluster>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tonic::transport::Server::builder()
            .add_service(BrokerServer::new(Service { node, cluster }))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(async move { serving.await.unwrap() });
        Self { node, address }
    }
}

#[tonic::async_trait]
impl Broker for Service {
    type LinkStream = Pin<Box<dyn tokio_stream::Stream<Item = Result<BrokerBatch, Status>> + Send>>;

    async fn link(&self, request: Request<Streaming<GatewayBatch>>) -> Result<Response<Self::LinkStream>, Status> {
        assert_eq!(request.metadata().get("authorization").unwrap(), "Bearer the-cluster-secret");
        let (node, cluster, mut inbound) = (self.node, self.cluster.clone(), request.into_inner());
        let (frames, mut ready) = mpsc::channel(LINK_FRAMES);
        let (batches, outbound) = mpsc::channel(1);
        let broken = tokio_util::sync::CancellationToken::new();
        let link = {
            let mut state = cluster.state.lock();
            state.next_link += 1;
            let link = state.next_link;
            state.links.insert(link, broken.clone());
            link
        };
        tokio::spawn(async move {
            let serve = async {
                while let Ok(Some(batch)) = inbound.message().await {
                    batch.frames.into_iter().for_each(|frame| cluster.handle(node, link, &frames, frame));
                }
            };
            tokio::select! {
                () = serve => {}
                () = broken.cancelled() => {}
            }
            cluster.detach(link, |_| true);
        });
        tokio::spawn(async move {
            let mut frames = Vec::new();
            while ready.recv_many(&mut frames, 256).await > 0 {
                let frames = std::mem::take(&mut frames);
                if batches.send(Ok(BrokerBatch { frames })).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(outbound))))
    }

    async fn search_groups(&self, _: Request<SearchGroupsRequest>) -> Result<Response<SearchGroupsResponse>, Status> {
        Err(Status::unimplemented("no gateway asks this"))
    }

    async fn get_ignored(&self, _: Request<GetIgnoredRequest>) -> Result<Response<GetIgnoredResponse>, Status> {
        Err(Status::unimplemented("no gateway asks this"))
    }

    async fn get_members(&self, _: Request<GetMembersRequest>) -> Result<Response<GetMembersResponse>, Status> {
        Err(Status::unimplemented("gateways do not ask this"))
    }

    async fn relay(&self, _: Request<RelayRequest>) -> Result<Response<RelayResponse>, Status> {
        Err(Status::unimplemented("between brokers"))
    }
}
