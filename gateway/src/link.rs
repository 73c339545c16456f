//! The stream between this gateway and one broker node, for all sessions: what is ready goes in one batch, and what
//! comes back goes into the inboxes of its sessions without waiting for any of them.
//!
//! A link that breaks loses what was on it. Every session is told; each knows what it had there, and repeats it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::RwLock;
use prost::Message as _;
use tidings_node::membership::MemberClient;
use tidings_node::{Dialer, Shutdown, dial};
use tidings_proto::ErrorCode;
use tidings_proto::broker::v1::broker_client::BrokerClient;
use tidings_proto::broker::v1::{
    BrokerFrame, GatewayBatch, GatewayFrame, LedShard, LinkHello, broker_frame, gateway_frame,
};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tonic::Streaming;

use crate::backoff;
use crate::leaders::Leaders;
use crate::metrics::Metrics;
use crate::presence::Presence;
use crate::registry::Registry;
use crate::session::{Event, InboxLimits, Pushed};

/// The version of the protocol between gateway and broker.
const LINK_VERSION: u32 = 1;
/// Frames that may wait for one broker; a connection that finds the queue full waits, alone.
const QUEUED_FRAMES: usize = 8192;
const BATCH_FRAMES: usize = 256;
const BATCH_BYTES: usize = 256 << 10;
/// More than any batch of a broker.
const MAX_BATCH_BYTES: usize = 64 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const WELCOME_TIMEOUT: Duration = Duration::from_secs(3);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(2);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(3);
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(2);
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;

/// What all links of a gateway share.
pub(crate) struct LinkContext {
    pub gateway: String,
    pub member: MemberClient,
    pub dialer: Dialer,
    pub registry: Arc<Registry>,
    pub presence: Arc<Presence>,
    pub leaders: Arc<Leaders>,
    pub limits: InboxLimits,
    pub metrics: Arc<Metrics>,
    pub shutdown: Shutdown,
    pub next_link: AtomicU64,
}

/// A link that is up. Dead once its queue is closed; another one of the same node has another id.
#[derive(Debug)]
pub(crate) struct LinkHandle {
    /// Unique in the gateway.
    pub id: u64,
    pub node: u64,
    /// What the broker understands; see `LinkWelcome.level`.
    pub level: u32,
    frames: mpsc::Sender<GatewayFrame>,
    /// Set before the sessions are told that the link is lost. Whoever queued a frame and still finds it unset will be
    /// told later; whoever finds it set has queued in vain.
    lost: AtomicBool,
}

/// A frame that found no place.
#[derive(Debug)]
pub(crate) enum NotQueued {
    /// The queue is full; wait with [`LinkHandle::send`].
    Full(Box<gateway_frame::Frame>),
    /// The link is gone.
    Gone,
}

impl LinkHandle {
    /// Queues a frame, if there is room now.
    pub fn try_send(&self, frame: gateway_frame::Frame) -> Result<(), NotQueued> {
        match self.frames.try_send(GatewayFrame { frame: Some(frame) }) {
            Ok(()) if !self.is_lost() => Ok(()),
            Err(mpsc::error::TrySendError::Full(GatewayFrame { frame: Some(frame) })) => {
                Err(NotQueued::Full(Box::new(frame)))
            }
            _ => Err(NotQueued::Gone),
        }
    }

    /// Queues a frame as soon as there is room; `false` when the link is gone.
    pub async fn send(&self, frame: gateway_frame::Frame) -> bool {
        self.frames.send(GatewayFrame { frame: Some(frame) }).await.is_ok() && !self.is_lost()
    }

    fn is_lost(&self) -> bool {
        self.lost.load(Ordering::SeqCst)
    }
}

/// A broker node and the task that keeps a link to it. Dropping it ends the link.
#[derive(Debug)]
pub(crate) struct Link {
    address: String,
    current: Arc<RwLock<Option<Arc<LinkHandle>>>>,
    shutdown: Shutdown,
}

impl Link {
    /// Connects, and connects again whenever the link breaks.
    pub fn start(node: u64, address: &str, context: Arc<LinkContext>) -> Self {
        let (shutdown, current) = (context.shutdown.child(), Arc::new(RwLock::new(None)));
        let task = LinkTask { node, address: address.to_owned(), context, current: current.clone(), attempts: 0 };
        let ends = shutdown.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = ends.requested() => {}
                () = task.run() => {}
            }
        });
        Self { address: address.to_owned(), current, shutdown }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// The link, when it is up.
    pub fn handle(&self) -> Option<Arc<LinkHandle>> {
        self.current.read().clone()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shutdown.request();
    }
}

struct LinkTask {
    node: u64,
    address: String,
    context: Arc<LinkContext>,
    current: Arc<RwLock<Option<Arc<LinkHandle>>>>,
    attempts: u32,
}

impl LinkTask {
    async fn run(mut self) {
        loop {
            if let Err(reason) = self.connect_and_serve().await {
                tracing::warn!(node = self.node, address = %self.address, %reason, "the link to a broker ended");
            }
            tokio::time::sleep(backoff::jittered(FIRST_RETRY, LAST_RETRY, self.attempts)).await;
            self.attempts += 1;
        }
    }

    async fn connect_and_serve(&mut self) -> Result<(), String> {
        let (frames, queue) = mpsc::channel(QUEUED_FRAMES);
        let hello = LinkHello { version: LINK_VERSION, gateway: self.context.gateway.clone() };
        let first = GatewayFrame { frame: Some(gateway_frame::Frame::Hello(hello)) };
        frames.try_send(first).map_err(|_| "the queue of a new link is full".to_owned())?;
        let batches = Batches { queue, metrics: self.context.metrics.clone() };

        let endpoint = dial::endpoint(&self.address)
            .map_err(|error| error.to_string())?
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        let channel = self.context.dialer.connect(&endpoint).await.map_err(|error| format!("{error:?}"))?;
        let mut client = BrokerClient::with_interceptor(channel, self.context.member.clone())
            .max_decoding_message_size(MAX_BATCH_BYTES);
        let open = async {
            let mut inbound = client.link(batches).await.map_err(|status| status.to_string())?.into_inner();
            let (level, welcomed) = expect_welcome(&mut inbound, self.node).await?;
            Ok::<_, String>((inbound, level, welcomed))
        };
        let opened = tokio::time::timeout(WELCOME_TIMEOUT, open).await;
        let (mut inbound, level, rest) =
            opened.map_err(|_| "the broker did not welcome the link in time".to_owned())??;

        let id = self.context.next_link.fetch_add(1, Ordering::Relaxed);
        let handle = Arc::new(LinkHandle { id, node: self.node, level, frames, lost: AtomicBool::new(false) });
        *self.current.write() = Some(handle.clone());
        let _up = Up { handle, current: self.current.clone(), context: self.context.clone() };
        self.context.metrics.links_up.increment(1);
        self.context.metrics.link_connects.increment(1);
        tracing::info!(node = self.node, address = %self.address, link = id, "the link to a broker is up");
        self.attempts = 0;

        rest.into_iter().for_each(|frame| self.dispatch(id, frame));
        while let Some(batch) = inbound.message().await.map_err(|status| status.to_string())? {
            batch.frames.into_iter().for_each(|frame| self.dispatch(id, frame));
        }
        Err("the broker ended it".to_owned())
    }

    fn dispatch(&self, link: u64, frame: BrokerFrame) {
        use broker_frame::Frame;
        let (to, event) = match frame.frame {
            Some(Frame::Deliver(deliver)) => {
                let (attachment, seq, after) = (deliver.session, deliver.seq, deliver.after);
                (attachment, Event::Deliver { attachment, seq, after, envelope: deliver.envelope })
            }
            Some(Frame::Submitted(answer)) => {
                (answer.session, Event::Submitted { node: self.node, answer: Box::new(answer) })
            }
            Some(Frame::Transient(transient)) => {
                let tidings_proto::broker::v1::Transient { session, envelope, conflates } = transient;
                (session, Event::Transient { attachment: session, envelope, conflates })
            }
            Some(Frame::Response(answer)) => {
                (answer.session, Event::Response { node: self.node, answer: Box::new(answer) })
            }
            Some(Frame::ReadRecorded(recorded)) => (recorded.session, Event::ReadRecorded(Box::new(recorded))),
            Some(Frame::Attached(attached)) => (attached.session, Event::Attached(Box::new(attached))),
            Some(Frame::Detached(detached)) => {
                let code = ErrorCode::try_from(detached.code).unwrap_or(ErrorCode::Unavailable);
                let attachment = detached.session;
                (attachment, Event::Detached { attachment, code, leader_node: detached.leader_node })
            }
            Some(Frame::Leads(leads)) => return self.led(link, &leads.shards),
            Some(Frame::Presence(changed)) => return self.context.presence.told(self.node, &changed),
            // Of a newer broker, or a second welcome: nothing for any session.
            Some(Frame::Welcome(_)) | None => return,
        };
        // A session that is gone needs nothing any more.
        let Some(session) = self.context.registry.find(to) else { return };
        match session.push(event, self.context.limits) {
            Pushed::Queued => {}
            Pushed::Conflated => self.context.metrics.transients_conflated.increment(1),
            Pushed::Dropped => self.context.metrics.transients_dropped.increment(1),
        }
    }

    /// The node leads shards from now on: sessions that are elsewhere, or wait for an answer from elsewhere, come here.
    fn led(&self, link: u64, shards: &[LedShard]) {
        // Also of one that led it before: what it knew of presence went with its former reign.
        self.context.presence.led(shards.iter().map(|led| led.shard));
        let news = shards.iter().filter(|led| self.context.leaders.announced(led.shard, self.node, led.term));
        let moved: Arc<[u32]> = news.map(|led| led.shard).collect();
        if moved.is_empty() {
            return;
        }
        tracing::info!(node = self.node, shards = ?moved, "a broker leads shards");
        self.context.registry.visit(|session| {
            session.push(Event::Moved { shards: moved.clone(), link }, self.context.limits);
        });
    }
}

/// What the broker understands, and the frames that came in the same batch after the welcome.
async fn expect_welcome(
    inbound: &mut Streaming<tidings_proto::broker::v1::BrokerBatch>,
    node: u64,
) -> Result<(u32, Vec<BrokerFrame>), String> {
    let batch = inbound.message().await.map_err(|status| status.to_string())?.ok_or("the broker ended it")?;
    let mut frames = batch.frames;
    if frames.is_empty() {
        return Err("the broker's first batch is empty".to_owned());
    }
    match frames.remove(0).frame {
        Some(broker_frame::Frame::Welcome(welcome)) if welcome.node == node => Ok((welcome.level, frames)),
        Some(broker_frame::Frame::Welcome(welcome)) => {
            Err(format!("node {} answers at the address of node {node}", welcome.node))
        }
        _ => Err("the broker's first frame is no welcome".to_owned()),
    }
}

/// Takes the link out of use and tells the sessions, however it ended.
struct Up {
    handle: Arc<LinkHandle>,
    current: Arc<RwLock<Option<Arc<LinkHandle>>>>,
    context: Arc<LinkContext>,
}

impl Drop for Up {
    fn drop(&mut self) {
        *self.current.write() = None;
        self.handle.lost.store(true, Ordering::SeqCst);
        self.context.metrics.links_up.decrement(1);
        self.context.metrics.link_breaks.increment(1);
        self.context.presence.link_lost();
        self.context.registry.visit(|session| {
            session.push(Event::LinkLost { link: self.handle.id }, self.context.limits);
        });
    }
}

/// The queue as a stream of batches: what is ready goes together. HTTP/2's flow control decides when it is asked.
struct Batches {
    queue: mpsc::Receiver<GatewayFrame>,
    metrics: Arc<Metrics>,
}

impl Stream for Batches {
    type Item = GatewayBatch;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<GatewayBatch>> {
        let mut frames = Vec::new();
        let mut bytes = 0;
        while frames.len() < BATCH_FRAMES && bytes < BATCH_BYTES {
            match self.queue.poll_recv(cx) {
                Poll::Ready(Some(frame)) => {
                    bytes += frame.encoded_len();
                    frames.push(frame);
                }
                Poll::Ready(None) if frames.is_empty() => return Poll::Ready(None),
                Poll::Pending if frames.is_empty() => return Poll::Pending,
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        self.metrics.link_batch_frames.record(frames.len() as f64);
        Poll::Ready(Some(GatewayBatch { frames }))
    }
}
