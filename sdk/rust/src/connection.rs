//! The connection as a pure state machine: an input and the time go in, effects come out; no clock and no I/O. The
//! driver performs the effects in order, with all [`Effect::Persist`] of a batch made durable first.
//!
//! States: new → opening → handshake → online → waiting → opening …, and stopped from any of them.
//! [`Connection::handle`] takes one input; [`Connection::flush`] ends a batch of inputs and writes what may be written
//! together; [`Connection::wake_at`] says when [`Input::Tick`] is due.

mod backoff;
mod inbox;
mod outbox;
mod reads;
mod receipts;
mod requests;
mod session;
mod watching;

#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tidings_proto::client::v1::{Durability, UserPresence, Welcome, client_frame, request, server_frame};
use tidings_proto::frame::encode_client;
use tidings_proto::message::v1::{Activity, Envelope, MessageId};
use tidings_proto::{ErrorCode, UserId};

use crate::error::{RequestError, SendError, StopReason};
use crate::recipient::Recipient;
use crate::store::{Change, Identity, State};
use backoff::Backoff;
use inbox::Inbox;
pub use outbox::Entry;
use outbox::Outbox;
use reads::Reads;
use receipts::WatchedReceipts;
pub use requests::Answer;
use requests::Requests;
use watching::Watching;

/// The anti-replay window of a mailbox: no sender may have numbers further apart in flight.
pub const LARGEST_SEND_WINDOW: u64 = 256;

/// What the state machine is told once.
#[derive(Debug, Clone)]
pub struct Config {
    /// As in `Hello.device`.
    pub device: String,
    /// As in `Hello.app_id`.
    pub app_id: String,
    /// As in `Hello.agent`.
    pub agent: String,
    /// Ceiling of the first wait before a reconnect.
    pub first_backoff: Duration,
    /// Ceiling of every wait before a reconnect.
    pub last_backoff: Duration,
    /// After so long online, the back-off begins anew.
    pub stable_after: Duration,
    /// From the attempt to connect to `Welcome`.
    pub handshake_timeout: Duration,
    /// A send without an answer for so long ends the connection, and goes out again on the next one.
    pub answer_timeout: Duration,
    /// Acknowledgements within this time go together.
    pub ack_delay: Duration,
    /// When the server lost the stream: send again what may have been sent already.
    pub resend_unknown: bool,
    /// Whether changes are worth persisting.
    pub persist: bool,
    /// Of the jitter.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            device: String::new(),
            app_id: String::new(),
            agent: concat!("tidings-sdk/", env!("CARGO_PKG_VERSION")).to_owned(),
            first_backoff: Duration::from_millis(500),
            last_backoff: Duration::from_secs(20),
            stable_after: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(30),
            ack_delay: Duration::from_millis(5),
            resend_unknown: false,
            persist: true,
            seed: 0,
        }
    }
}

/// What happens to the state machine. `T` is the caller's tag on a message.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // Each is handled at once, and most of them are frames.
pub enum Input<T> {
    /// Begin to connect.
    Start,
    /// The WebSocket is open; the token to introduce ourselves with.
    Opened {
        /// As in `Hello.token`.
        token: String,
    },
    /// The connection did not come about, or broke, or was closed with a code.
    Closed {
        /// The WebSocket close code, when there was a close frame.
        code: Option<u16>,
        /// For people.
        reason: String,
    },
    /// No connection can ever be made.
    CannotOpen(StopReason),
    /// Anything was heard from the server, a WebSocket ping for example.
    Heard,
    /// A frame came.
    Frame(server_frame::Frame),
    /// The application sends a message.
    Send(Entry<T>),
    /// The application dealt with an entry.
    Acknowledge {
        /// As the delivery carried it.
        generation: u32,
        /// As the delivery carried it.
        seq: u64,
    },
    /// The application read everything up to a message.
    Read {
        /// Its sender.
        from: UserId,
        /// Its id.
        id: MessageId,
    },
    /// The application asks something.
    Request {
        /// The caller's number, never used before.
        id: u64,
        /// What it asks.
        request: request::Request,
    },
    /// The application says what the user is doing.
    Activity(Activity),
    /// The time of [`Connection::wake_at`] has come.
    Tick,
    /// The application closes the client.
    Stop,
}

/// What is to be done, in this order.
#[derive(Debug, PartialEq)]
pub enum Effect<T> {
    /// Make the change durable before any effect of the batch that is no `Persist`.
    Persist(Change),
    /// Get a token and open a WebSocket.
    Connect,
    /// Write a binary message.
    Transmit(Bytes),
    /// Drop the WebSocket, or the attempt to open it.
    Disconnect,
    /// A message got its id (or another one: only what was never transmitted is numbered anew).
    Numbered {
        /// The caller's.
        tag: T,
        /// Its id from now on.
        id: MessageId,
    },
    /// A message came to its end, or to `sent`.
    Settled(Settled<T>),
    /// A request came to its end.
    Answered {
        /// The caller's number.
        id: u64,
        /// The answer.
        answer: Answer,
    },
    /// Tell the application.
    Emit(Emit),
    /// Nothing will happen any more.
    Stopped(StopReason),
}

/// How a message ended.
#[derive(Debug, PartialEq)]
pub struct Settled<T> {
    /// The caller's; none when it was sent in an earlier life of the process.
    pub tag: Option<T>,
    /// Its id.
    pub id: MessageId,
    /// Its recipient.
    pub to: Recipient,
    /// As in `Send.receipts`.
    pub receipts: i32,
    /// It waits for its time.
    pub is_scheduled: bool,
    /// Bytes of the encoded content.
    pub content_bytes: usize,
    /// The answer.
    pub result: Result<Sent, SendError>,
}

/// The message is `sent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Its id.
    pub id: MessageId,
    /// When the recipient's shard accepted it, Unix time in milliseconds.
    pub sent_at_ms: i64,
    /// What the acceptance vouches for.
    pub durability: Durability,
}

/// What the application is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Emit {
    /// Attached to the mailbox.
    Online(Box<Welcome>),
    /// Not attached; the next attempt follows after this time.
    Offline {
        /// Until the next attempt.
        retry_in: Duration,
        /// For people.
        reason: String,
    },
    /// An entry of the mailbox, once.
    Delivery {
        /// For the acknowledgement.
        generation: u32,
        /// For the acknowledgement.
        seq: u64,
        /// What it is.
        envelope: Envelope,
    },
    /// Something that is not kept.
    Transient(Envelope),
    /// What became known of users who are watched.
    Presence(Vec<UserPresence>),
    /// Entries from the first to the second number were lost to this device (promise 4).
    UnknownRange(u64, u64),
    /// The backlog of this connection was delivered.
    CaughtUp,
    /// The device sends in another stream now: watermarks of the earlier one will not come.
    NewStream(u64),
}

#[derive(Debug, Clone, PartialEq)]
enum Phase {
    New,
    Opening { deadline: Duration },
    Handshake { deadline: Duration },
    Online(Online),
    Waiting { until: Duration },
    Stopped(StopReason),
}

/// Of a session that is attached.
#[derive(Debug, Clone, PartialEq)]
struct Online {
    since: Duration,
    last_heard: Duration,
    silence_limit: Duration,
    send_window: u64,
    max_frame_bytes: usize,
}

/// One device's connection to the service, across sockets.
#[derive(Debug)]
pub struct Connection<T> {
    config: Config,
    phase: Phase,
    backoff: Backoff,
    rng: SmallRng,
    identity: Option<Identity>,
    mailbox_epoch: u64,
    stream: u64,
    outbox: Outbox<T>,
    inbox: Inbox,
    reads: Reads,
    requests: Requests,
    watching: Watching,
    receipts: WatchedReceipts,
    /// The cursor that the server was last told, and when.
    acked: u64,
    acked_at: Duration,
    persisted_cursor: u64,
    /// What the last `Closing` asked for.
    closing: Option<Closing>,
    /// Until when an attempt that was given up before its `Welcome` may still come through, and push out a later one.
    late_until: Duration,
}

#[derive(Debug)]
struct Closing {
    code: ErrorCode,
    message: String,
    reconnect_within: Option<Duration>,
}

impl<T: Clone> Connection<T> {
    /// A connection that goes on from a stored state.
    pub fn new(config: Config, state: State) -> Self {
        Self {
            phase: Phase::New,
            backoff: Backoff::new(config.first_backoff, config.last_backoff),
            rng: SmallRng::seed_from_u64(config.seed),
            config,
            identity: state.identity,
            mailbox_epoch: state.mailbox_epoch,
            stream: state.stream,
            outbox: Outbox::restore(state.outbox, state.next_seq.max(1)),
            inbox: Inbox::new(state.cursor),
            reads: Reads::default(),
            requests: Requests::default(),
            watching: Watching::default(),
            receipts: WatchedReceipts::default(),
            acked: state.cursor,
            acked_at: Duration::ZERO,
            persisted_cursor: state.cursor,
            closing: None,
            late_until: Duration::ZERO,
        }
    }

    /// Whether every message has its answer.
    pub fn is_settled(&self) -> bool {
        self.outbox.is_empty()
    }

    /// Takes one input at `now`, a time since any fixed moment. Call [`Self::flush`] after the last one of a batch.
    pub fn handle(&mut self, now: Duration, input: Input<T>, effects: &mut Vec<Effect<T>>) {
        if let Phase::Stopped(reason) = &self.phase {
            match input {
                Input::Send(entry) => {
                    let reason = SendError::Stopped(reason.clone());
                    effects.push(self.settled(0, entry, Err(reason)));
                }
                Input::Request { id, .. } => {
                    effects.push(Effect::Answered { id, answer: Err(RequestError::Stopped(reason.clone())) });
                }
                _ => {}
            }
            return;
        }
        match input {
            Input::Start => self.open(now, effects),
            Input::Opened { token } => self.introduce(now, token, effects),
            Input::Closed { code, reason } => self.closed(now, code, reason, effects),
            Input::CannotOpen(reason) => self.stop(reason, effects),
            Input::Heard => self.heard(now),
            Input::Frame(frame) => self.frame(now, frame, effects),
            Input::Send(entry) => self.enqueue(entry, effects),
            Input::Acknowledge { generation, seq } => {
                self.inbox.acknowledge(generation, seq);
            }
            Input::Read { from, id } => self.reads.mark(from, id, now),
            Input::Request { id, request } => {
                self.watching.asked(id, &request);
                self.receipts.asked(id, &request);
                if let Err(error) = self.requests.ask(id, request, now) {
                    self.watching.answered(id, None, now);
                    self.receipts.answered(id, None, now);
                    effects.push(Effect::Answered { id, answer: Err(error) });
                }
            }
            Input::Activity(activity) => {
                // Nobody wants to hear of it later.
                if matches!(self.phase, Phase::Online(_)) {
                    effects.push(Effect::Transmit(encode_client(client_frame::Frame::Activity(activity))));
                }
            }
            Input::Tick => self.tick(now, effects),
            Input::Stop => {
                self.flush_cursor(now, true, effects);
                self.flush_reads(now, effects);
                self.stop(StopReason::Closed, effects);
            }
        }
    }

    /// Ends a batch of inputs: writes what the window lets go, and acknowledges.
    pub fn flush(&mut self, now: Duration, effects: &mut Vec<Effect<T>>) {
        self.flush_cursor(now, false, effects);
        self.flush_reads(now, effects);
        let Phase::Online(online) = &self.phase else { return };
        self.requests.take_due(now, |frame| effects.push(Effect::Transmit(frame)));
        effects.extend(self.watching.take_due(now).map(Effect::Transmit));
        self.receipts.take_due(now, |frame| effects.push(Effect::Transmit(frame)));
        let (window, max_frame_bytes) = (online.send_window, online.max_frame_bytes);
        loop {
            let mut too_large = Vec::new();
            let write = |frame| effects.push(Effect::Transmit(frame));
            self.outbox.transmit(now, window, max_frame_bytes, &mut too_large, write);
            if too_large.is_empty() {
                return;
            }
            for seq in too_large {
                let message = format!("the gateway takes frames of at most {max_frame_bytes} bytes");
                self.settle(seq, Err(SendError::Refused { code: ErrorCode::TooLarge, message }), effects);
            }
        }
    }

    /// When [`Input::Tick`] is due at the latest.
    pub fn wake_at(&self) -> Option<Duration> {
        match &self.phase {
            Phase::New | Phase::Stopped(_) => None,
            Phase::Opening { deadline } | Phase::Handshake { deadline } => Some(*deadline),
            Phase::Waiting { until } => Some(*until),
            Phase::Online(online) => {
                let silent = online.last_heard + online.silence_limit;
                let unanswered = self.outbox.oldest_in_flight_since().map(|since| since + self.config.answer_timeout);
                let acknowledge =
                    (self.acked < self.inbox.acknowledgeable()).then(|| self.acked_at + self.config.ack_delay);
                let asks = [self.requests.wake_at(), self.watching.wake_at(), self.receipts.wake_at()];
                let others = [unanswered, acknowledge, self.outbox.wake_at(), self.reads.wake_at()];
                others.into_iter().chain(asks).flatten().chain([silent]).min()
            }
        }
    }

    fn tick(&mut self, now: Duration, effects: &mut Vec<Effect<T>>) {
        match &self.phase {
            Phase::Waiting { until } if *until <= now => self.open(now, effects),
            Phase::Opening { deadline } | Phase::Handshake { deadline } if *deadline <= now => {
                self.broken(now, "the gateway does not answer", effects);
            }
            Phase::Online(online) if online.last_heard + online.silence_limit <= now => {
                self.broken(now, "the connection has gone silent", effects);
            }
            Phase::Online(_) => {
                let oldest = self.outbox.oldest_in_flight_since();
                if oldest.is_some_and(|since| since + self.config.answer_timeout <= now) {
                    self.broken(now, "a send was not answered", effects);
                }
            }
            _ => {}
        }
    }

    fn enqueue(&mut self, entry: Entry<T>, effects: &mut Vec<Effect<T>>) {
        let seq = self.outbox.next_seq();
        if self.config.persist {
            effects.push(Effect::Persist(Change::Enqueued(entry.stored(seq))));
        }
        if let (Some(tag), true) = (&entry.tag, self.stream != 0) {
            effects.push(Effect::Numbered { tag: tag.clone(), id: MessageId { stream: self.stream, seq } });
        }
        self.outbox.push(entry);
    }

    fn flush_reads(&mut self, now: Duration, effects: &mut Vec<Effect<T>>) {
        if matches!(self.phase, Phase::Online(_)) {
            self.reads.take_due(now, |from, id| effects.push(Effect::Transmit(session::read_frame(from, id))));
        }
    }

    /// Persists the cursor, and tells the server when it is due or `at_once`.
    fn flush_cursor(&mut self, now: Duration, at_once: bool, effects: &mut Vec<Effect<T>>) {
        let cursor = self.inbox.cursor();
        let online = matches!(self.phase, Phase::Online(_));
        let due = !online || at_once || self.acked_at + self.config.ack_delay <= now || self.acked_at == Duration::ZERO;
        if !due {
            return;
        }
        if self.config.persist && cursor > self.persisted_cursor {
            self.persisted_cursor = cursor;
            effects.push(Effect::Persist(Change::Cursor(cursor)));
        }
        let acknowledgeable = self.inbox.acknowledgeable();
        if online && acknowledgeable > self.acked {
            self.acked = acknowledgeable;
            self.acked_at = now;
            effects.push(Effect::Transmit(session::ack_frame(acknowledgeable)));
        }
    }

    fn settle(&mut self, seq: u64, result: Result<Sent, SendError>, effects: &mut Vec<Effect<T>>) {
        if let Some(entry) = self.outbox.answered(seq) {
            if self.config.persist {
                effects.push(Effect::Persist(Change::Answered(seq)));
            }
            effects.push(self.settled(seq, entry, result));
        }
    }

    fn settled(&self, seq: u64, entry: Entry<T>, result: Result<Sent, SendError>) -> Effect<T> {
        let id = MessageId { stream: self.stream, seq };
        let content_bytes = entry.body_bytes();
        let (to, receipts, is_scheduled) = (entry.to, entry.receipts, entry.deliver_at_ms != 0);
        Effect::Settled(Settled { tag: entry.tag, id, to, receipts, is_scheduled, content_bytes, result })
    }

    /// What a restarted process would go on from.
    pub fn state(&self) -> State {
        State {
            identity: self.identity.clone(),
            mailbox_epoch: self.mailbox_epoch,
            stream: self.stream,
            next_seq: self.outbox.next_seq(),
            cursor: self.inbox.cursor(),
            outbox: self.outbox.iter().map(|(seq, entry)| entry.stored(seq)).collect(),
        }
    }

    fn stop(&mut self, reason: StopReason, effects: &mut Vec<Effect<T>>) {
        effects.push(Effect::Disconnect);
        for (seq, entry) in self.outbox.take_all() {
            let result = Err(SendError::Stopped(reason.clone()));
            effects.push(self.settled(seq, entry, result));
        }
        for id in self.requests.take_all() {
            effects.push(Effect::Answered { id, answer: Err(RequestError::Stopped(reason.clone())) });
        }
        self.phase = Phase::Stopped(reason.clone());
        effects.push(Effect::Stopped(reason));
    }
}
