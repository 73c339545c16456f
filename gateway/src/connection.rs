//! One client's connection after its handshake: a hand-written future, because what an idle session costs is the size
//! of its task. All waiting is in [`Connection::poll`]; whatever is seldom needed is boxed and absent while idle.
//!
//! - [`inbound`]: what the client says
//! - [`outbound`]: what brokers say
//! - [`requests`]: what the client wants to know or to have set
//! - [`presence`]: whom the client watches, and what it is told of them
//! - [`place`]: how far deliveries and acknowledgements are

mod inbound;
mod outbound;
mod place;
mod presence;
mod requests;

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tidings_proto::ErrorCode;
use tidings_proto::client::v1::{Hello, Resume, Send, server_frame};
use tokio::time::{Instant, Sleep};

use crate::admission::ConnectionPermit;
use crate::attachment::Attachment;
use crate::claims::NotClaimed;
use crate::codec::Encoding;
use crate::core::Core;
use crate::directory::{Found, Refusal};
use crate::limits::{Limited, Meters};
use crate::rate::Bucket;
use crate::registry::SessionGuard;
use crate::requests::Requests;
use crate::sends::Sends;
use crate::session::{Close, Event, Session};
use crate::socket::{Socket, SocketEnd, Transport, close_of_protocol};
use crate::websocket::{Incoming, Opcode, encode_frame};
use outbound::UnansweredRead;
use place::Place;

/// How long a client waits for its first attachment.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(10);
/// Rounds in one poll, before others get their turn.
const ROUNDS: usize = 32;
/// Messages read in one round, before what they caused is written.
const MESSAGES_PER_ROUND: usize = 64;
/// After so many heartbeats without a byte from the client it is gone.
const MISSED_HEARTBEATS: u8 = 2;

/// Why a connection ended.
pub(crate) enum End {
    /// This side closes it.
    Closed(Close),
    /// The client closed the WebSocket.
    Peer(Option<u16>),
    /// TCP ended or broke.
    Gone,
}

impl From<Close> for End {
    fn from(close: Close) -> Self {
        Self::Closed(close)
    }
}

/// What a connection that reads nothing for now waits for.
enum Unblocked {
    /// Whether this send may be sent now, by limits that all gateways share.
    Counted { send: Box<Send>, limited: Option<Limited> },
    /// Whether the files that this send names are there, and why not.
    Claimed { send: Box<Send>, refused: Option<NotClaimed> },
    /// What the recipient of this send goes by, if there is one.
    Recipient { send: Box<Send>, found: Result<Found, Refusal> },
    /// A frame found its place in a link's queue, or the link is gone; the send that it was, if it was one.
    Queued { sent: bool, seq: Option<u64>, link: u64 },
}

/// Before the client is welcomed.
struct Greeting {
    resume: Option<Resume>,
    deadline: Instant,
}

/// One session's state.
pub(crate) struct Connection<S> {
    core: Arc<Core>,
    attachment: Attachment,
    guard: SessionGuard,
    permit: ConnectionPermit,
    socket: Socket<S>,
    place: Place,
    sends: Sends,
    reads: Vec<UnansweredRead>,
    requests: Requests,
    /// Taken from the inbox, not written yet.
    batch: VecDeque<Event>,
    greeting: Option<Box<Greeting>>,
    blocked: Option<BoxFuture<'static, Unblocked>>,
    timer: Option<(Instant, Pin<Box<Sleep>>)>,
    write_deadline: Option<Instant>,
    /// Closes as soon as nothing is unanswered, or at this time.
    draining: Option<Box<(Close, Instant)>>,
    frames: Bucket,
    sent: Bucket,
    watched: Bucket,
    activity: Bucket,
    /// Of the user and the app; absent until the first send.
    meters: Option<Arc<Meters>>,
    encoding: Encoding,
    missed_heartbeats: u8,
}

impl<S: Transport> Connection<S> {
    /// A session that was admitted; it attaches and welcomes its client.
    pub fn new(
        core: Arc<Core>,
        guard: SessionGuard,
        permit: ConnectionPermit,
        socket: Socket<S>,
        encoding: Encoding,
        hello: Hello,
        shard: u32,
    ) -> Self {
        let now = Instant::now();
        Self {
            attachment: Attachment::new(shard, now),
            guard,
            permit,
            socket,
            place: Place::default(),
            sends: Sends::default(),
            reads: Vec::new(),
            requests: Requests::default(),
            batch: VecDeque::new(),
            greeting: Some(Box::new(Greeting { resume: hello.resume, deadline: now + WELCOME_TIMEOUT })),
            blocked: None,
            timer: None,
            write_deadline: None,
            draining: None,
            frames: Bucket::default(),
            sent: Bucket::default(),
            watched: Bucket::default(),
            activity: Bucket::default(),
            meters: None,
            encoding,
            missed_heartbeats: 0,
            core,
        }
    }

    fn session(&self) -> &Arc<Session> {
        self.guard.session()
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        for _ in 0..ROUNDS {
            let now = Instant::now();
            match self.round(cx, now) {
                Ok(true) => {}
                Ok(false) => {
                    if !self.arm_timer(cx, now) {
                        return Poll::Pending;
                    }
                }
                Err(end) => return Poll::Ready(end),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Does what can be done now; answers whether there may be more.
    fn round(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<bool, End> {
        let mut progress = self.take_inbox(cx, now)?;
        while self.socket.has_room()
            && let Some(event) = self.batch.pop_front()
        {
            self.on_event(event, now)?;
            progress = true;
        }
        if self.batch.is_empty() && self.batch.capacity() > 0 {
            self.batch = VecDeque::new();
        }
        if let Some(blocked) = &mut self.blocked
            && let Poll::Ready(unblocked) = blocked.as_mut().poll(cx)
        {
            self.blocked = None;
            self.on_unblocked(unblocked, now)?;
            progress = true;
        }
        self.drive(now)?;
        progress |= self.read(cx, now)?;
        progress |= self.flush(cx, now)?;
        self.check_drained(now)?;
        Ok(progress)
    }

    fn take_inbox(&mut self, cx: &Context<'_>, now: Instant) -> Result<bool, End> {
        let wants_events = self.batch.is_empty() && self.socket.has_room();
        let taken = self.session().take(cx, wants_events);
        if let Some(close) = taken.close {
            if close.code != ErrorCode::Draining {
                return Err(End::Closed(*close));
            }
            // What is on its way to be accepted is answered first; nothing new is read.
            let until = now + self.core.config.drain_timeout() / 2;
            self.draining.get_or_insert_with(|| Box::new((*close, until)));
        }
        if taken.ticked {
            self.heartbeat()?;
        }
        let more = !taken.events.is_empty();
        if wants_events {
            self.batch = taken.events;
        }
        Ok(more)
    }

    /// A client that is not listened to is not blamed for its silence: what holds up the reading has a limit of its
    /// own.
    fn heartbeat(&mut self) -> Result<(), Close> {
        if self.may_read() {
            if self.missed_heartbeats >= MISSED_HEARTBEATS {
                return Err(Close::new(ErrorCode::HeartbeatTimeout, "nothing was heard from the client"));
            }
            self.missed_heartbeats += 1;
        }
        encode_frame(Opcode::Ping, &[], self.socket.out());
        self.sends.shrink();
        Ok(())
    }

    fn drive(&mut self, now: Instant) -> Result<(), Close> {
        if self.greeting.as_ref().is_some_and(|greeting| greeting.deadline <= now) {
            return Err(Close::new(ErrorCode::Unavailable, "the mailbox's shard cannot be reached"));
        }
        let (core, guard, place, greeting) = (&self.core, &self.guard, &self.place, &self.greeting);
        self.attachment.drive(now, core, guard, || match greeting {
            Some(greeting) => (greeting.resume, 0),
            None => (Some(place.resume()), place.attached),
        });
        self.submit_due(now)?;
        self.give_up_requests(now)
    }

    fn may_read(&self) -> bool {
        self.greeting.is_none()
            && self.draining.is_none()
            && self.blocked.is_none()
            && self.socket.has_room()
            && self.sends.bytes() < self.core.config.send_window_bytes as usize
    }

    fn read(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<bool, End> {
        for count in 0..MESSAGES_PER_ROUND {
            if !self.may_read() {
                return Ok(count > 0);
            }
            let mut heard = false;
            let polled = self.socket.poll_message(cx, &mut heard);
            if heard {
                self.missed_heartbeats = 0;
            }
            match polled {
                Poll::Pending => return Ok(count > 0),
                Poll::Ready(Ok(message)) => self.on_message(message, now)?,
                Poll::Ready(Err(SocketEnd::Gone)) => return Err(End::Gone),
                Poll::Ready(Err(SocketEnd::Protocol(error))) => return Err(close_of_protocol(error).into()),
            }
        }
        Ok(true)
    }

    fn on_message(&mut self, message: Incoming, now: Instant) -> Result<(), End> {
        if self.frames.take(&self.core.frame_rate, self.core.uptime(now)).is_err() {
            return Err(Close::new(ErrorCode::Flood, "more frames per second than allowed").into());
        }
        let (payload, is_text) = match message {
            Incoming::Binary(payload) => (payload, false),
            Incoming::Text(payload) => (payload, true),
            Incoming::Ping(payload) => {
                encode_frame(Opcode::Pong, &payload, self.socket.out());
                return Ok(());
            }
            Incoming::Pong => return Ok(()),
            Incoming::Close(code) => return Err(End::Peer(code)),
        };
        let frame = self.encoding.decode(payload, is_text)?;
        self.core.metrics.frame_in(&frame);
        self.on_frame(frame, now).map_err(End::Closed)
    }

    fn flush(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<bool, End> {
        let before = self.socket.unwritten();
        if before == 0 {
            return Ok(false);
        }
        match self.socket.poll_flush(cx) {
            Poll::Ready(Ok(())) => {
                self.write_deadline = None;
                // What did not fit may go on.
                Ok(!self.batch.is_empty() || self.may_read())
            }
            Poll::Ready(Err(_)) => Err(End::Gone),
            Poll::Pending => {
                let taken = self.socket.unwritten() < before;
                match self.write_deadline {
                    Some(deadline) if !taken && deadline <= now => {
                        Err(Close::new(ErrorCode::SlowConsumer, "the socket takes no bytes").into())
                    }
                    Some(_) if !taken => Ok(false),
                    _ => {
                        self.write_deadline = Some(now + self.core.config.write_timeout());
                        Ok(false)
                    }
                }
            }
        }
    }

    fn check_drained(&self, now: Instant) -> Result<(), End> {
        match &self.draining {
            Some(draining) if self.sends.is_empty() || draining.1 <= now => Err(End::Closed(draining.0.clone())),
            _ => Ok(()),
        }
    }

    /// Makes sure that the task is woken in time; `true` when it is time already.
    fn arm_timer(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let deadlines = [
            self.attachment.deadline(),
            self.sends.deadline(self.core.patience),
            self.requests.deadline(),
            self.write_deadline,
            self.greeting.as_ref().map(|greeting| greeting.deadline),
            self.draining.as_ref().map(|draining| draining.1),
        ];
        let Some(deadline) = deadlines.into_iter().flatten().min() else {
            // Perhaps soon again; it goes when it has run out.
            if self.timer.as_mut().is_some_and(|(_, sleep)| sleep.as_mut().poll(cx).is_ready()) {
                self.timer = None;
            }
            return false;
        };
        // A timer that is set for earlier stays as it is: moving it with each message would cost more than one wake.
        let armed = match &mut self.timer {
            Some((at, sleep)) if *at <= deadline && *at > now => sleep,
            Some((at, sleep)) => {
                *at = deadline;
                sleep.as_mut().reset(deadline);
                sleep
            }
            None => &mut self.timer.insert((deadline, Box::pin(tokio::time::sleep_until(deadline)))).1,
        };
        armed.as_mut().poll(cx).is_ready()
    }

    /// Appends a frame for the client.
    fn tell(&mut self, frame: server_frame::Frame) -> Result<(), Close> {
        self.encoding.encode(frame, self.socket.out())
    }
}

/// The task of a connection: the session, then its farewell. The session's memory and places are given back before the
/// farewell, which may wait for a slow client.
// The live variant is what almost every task holds; a box around it would cost memory, not save it.
#[allow(clippy::large_enum_variant)]
pub(crate) enum SessionTask<S> {
    Live(Connection<S>),
    Farewell(BoxFuture<'static, ()>),
}

impl<S: Transport> Future for SessionTask<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if let Self::Live(connection) = this {
            let Poll::Ready(end) = connection.poll(cx) else { return Poll::Pending };
            // The placeholder is never polled: the farewell takes its place in the next statement.
            let Self::Live(connection) = std::mem::replace(this, Self::Farewell(Box::pin(std::future::ready(()))))
            else {
                return Poll::Ready(());
            };
            *this = Self::Farewell(Box::pin(farewell(connection, end)));
        }
        match this {
            Self::Farewell(farewell) => farewell.as_mut().poll(cx),
            Self::Live(_) => Poll::Pending,
        }
    }
}

fn farewell<S: Transport>(connection: Connection<S>, end: End) -> BoxFuture<'static, ()> {
    let Connection { core, attachment, guard, permit, socket, encoding, .. } = connection;
    match &end {
        End::Closed(close) => {
            core.metrics.closed(close.code);
            tracing::debug!(user = ?guard.session().token.user, code = close.code.as_str_name(), reason = %close.message, "closing a session");
        }
        End::Peer(_) | End::Gone => core.metrics.closed_by_peer.increment(1),
    }
    drop((attachment, guard));
    Box::pin(async move {
        match end {
            End::Closed(close) => socket.close(encoding, close).await,
            End::Peer(code) => socket.echo_close(code).await,
            End::Gone => {}
        }
        drop(permit);
    })
}
