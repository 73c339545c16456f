//! One session of a connection: the handshake, the frames that come, and the ways it ends.

use std::time::Duration;

use bytes::Bytes;
use tidings_proto::client::v1::{self, Deliver, Hello, Refused, Resume, Welcome, client_frame, server_frame};
use tidings_proto::error::{Next, reconnects};
use tidings_proto::frame::encode_client;
use tidings_proto::message::v1::MessageId;
use tidings_proto::{ErrorCode, PROTOCOL_VERSION, UserId};

use super::backoff::random_up_to;
use super::inbox::Arrival;
use super::receipts::WatchedReceipts;
use super::watching::OWN_REQUEST;
use super::{Closing, Connection, Effect, Emit, LARGEST_SEND_WINDOW, Online, Phase, Sent};
use crate::error::{SendError, StopReason};
use crate::store::{Change, Identity};

/// Where `Welcome` names no heartbeat.
const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(30);
/// How long after an attempt was given up it may still come through.
const LATE: Duration = Duration::from_secs(60);

pub(super) fn ack_frame(cursor: u64) -> Bytes {
    encode_client(client_frame::Frame::Ack(v1::Ack { cursor }))
}

pub(super) fn read_frame(from: &UserId, id: MessageId) -> Bytes {
    encode_client(client_frame::Frame::Read(v1::Read { from: from.to_string(), id: Some(id) }))
}

impl<T: Clone> Connection<T> {
    pub(super) fn open(&mut self, now: Duration, effects: &mut Vec<Effect<T>>) {
        self.closing = None;
        self.phase = Phase::Opening { deadline: now + self.config.handshake_timeout };
        effects.push(Effect::Connect);
    }

    pub(super) fn introduce(&mut self, now: Duration, token: String, effects: &mut Vec<Effect<T>>) {
        if !matches!(self.phase, Phase::Opening { .. }) {
            return;
        }
        let resume = (self.stream != 0).then(|| Resume {
            mailbox_epoch: self.mailbox_epoch,
            stream: self.stream,
            cursor: self.inbox.cursor(),
        });
        let hello = Hello {
            version: PROTOCOL_VERSION,
            token,
            device: self.config.device.clone(),
            app_id: self.config.app_id.clone(),
            resume,
            agent: self.config.agent.clone(),
        };
        // What `Resume` says counts as acknowledged, hence it is durable first.
        self.flush_cursor(now, true, effects);
        self.acked = self.inbox.cursor();
        effects.push(Effect::Transmit(encode_client(client_frame::Frame::Hello(hello))));
        self.phase = Phase::Handshake { deadline: now + self.config.handshake_timeout };
    }

    pub(super) fn heard(&mut self, now: Duration) {
        if let Phase::Online(online) = &mut self.phase {
            online.last_heard = now;
        }
    }

    pub(super) fn frame(&mut self, now: Duration, frame: server_frame::Frame, effects: &mut Vec<Effect<T>>) {
        use server_frame::Frame;
        self.heard(now);
        match (frame, &self.phase) {
            (Frame::Closing(closing), _) => {
                let code = ErrorCode::try_from(closing.code).unwrap_or(ErrorCode::Unspecified);
                let reconnect_within = closing.reconnect_within_ms.map(|ms| Duration::from_millis(ms.into()));
                self.closing = Some(Closing { code, message: closing.message, reconnect_within });
            }
            (Frame::Welcome(welcome), Phase::Handshake { .. }) => self.welcome(now, welcome, effects),
            (Frame::Accepted(accepted), Phase::Online(_)) => {
                let id = MessageId { stream: self.stream, seq: accepted.seq };
                let sent = Sent { id, sent_at_ms: accepted.sent_at_ms, durability: accepted.durability() };
                self.settle(accepted.seq, Ok(sent), effects);
            }
            (Frame::Refused(refused), Phase::Online(_)) => self.refused(now, refused, effects),
            (Frame::Deliver(deliver), Phase::Online(_)) => self.deliver(now, deliver, effects),
            (Frame::Transient(transient), Phase::Online(_)) => {
                if let Some(envelope) = transient.envelope {
                    effects.push(Effect::Emit(Emit::Transient(envelope)));
                }
            }
            (Frame::ReadRecorded(recorded), Phase::Online(_)) => {
                let again = recorded.code != 0 && recorded.code().next() != Next::Stop;
                self.reads.recorded(&recorded.from, recorded.id.unwrap_or_default(), again, now);
            }
            (Frame::Response(response), Phase::Online(_)) if response.id == OWN_REQUEST => {
                self.watching.prolonged(&response, now);
            }
            (Frame::Response(response), Phase::Online(_)) if WatchedReceipts::is_own(response.id) => {
                self.receipts.prolonged(&response, now);
            }
            (Frame::Response(response), Phase::Online(_)) => {
                if let Some((id, answer)) = self.requests.answered(response, now) {
                    self.watching.answered(id, answer.as_ref().ok(), now);
                    self.receipts.answered(id, answer.as_ref().ok(), now);
                    effects.push(Effect::Answered { id, answer });
                }
            }
            (Frame::Presence(update), Phase::Online(_)) => {
                effects.push(Effect::Emit(Emit::Presence(update.users)));
            }
            (Frame::Pong(_), _) => {}
            // Of a connection that we gave up.
            (_, Phase::New | Phase::Opening { .. } | Phase::Waiting { .. } | Phase::Stopped(_)) => {}
            (_, Phase::Handshake { .. } | Phase::Online(_)) => {
                self.broken(now, "the gateway sent a frame that does not belong here", effects);
            }
        }
    }

    fn welcome(&mut self, now: Duration, welcome: Welcome, effects: &mut Vec<Effect<T>>) {
        let device = self.config.device.clone();
        let identity = Identity { app: welcome.app.clone(), user: welcome.user.clone(), device };
        if let Some(found) = self.identity.as_ref().filter(|found| **found != identity) {
            let name = |of: &Identity| format!("{}/{}/{}", of.app, of.user, of.device);
            let reason = StopReason::StateOfAnother { found: name(found), expected: name(&identity) };
            return self.stop(reason, effects);
        }
        let mut changed = self.identity.replace(identity).is_none();
        changed |= self.take_up_mailbox(&welcome, effects);
        changed |= self.take_up_stream(&welcome, effects);
        if changed && self.config.persist {
            effects.push(Effect::Persist(Change::Reset(self.state())));
            self.persisted_cursor = self.inbox.cursor();
        }
        for seq in self.outbox.transient_without_answer() {
            self.settle(seq, Err(SendError::Unknown), effects);
        }
        let heartbeat = Duration::from_millis(welcome.heartbeat_ms.into());
        let heartbeat = if heartbeat.is_zero() { DEFAULT_HEARTBEAT } else { heartbeat };
        self.phase = Phase::Online(Online {
            since: now,
            last_heard: now,
            // A ping comes each heartbeat; one may be late.
            silence_limit: heartbeat * 2 + Duration::from_secs(1),
            send_window: u64::from(welcome.send_window).clamp(1, LARGEST_SEND_WINDOW),
            max_frame_bytes: if welcome.max_frame_bytes == 0 { usize::MAX } else { welcome.max_frame_bytes as usize },
        });
        effects.push(Effect::Emit(Emit::Online(Box::new(welcome))));
        self.tell_when_caught_up(effects);
    }

    /// Brings the inbox to where the server goes on. Answers whether the mailbox is another one.
    fn take_up_mailbox(&mut self, welcome: &Welcome, effects: &mut Vec<Effect<T>>) -> bool {
        let resumed = self.stream != 0;
        let other_mailbox = welcome.mailbox_epoch != self.mailbox_epoch;
        // Its end before our place: the mailbox was put back to an earlier state, and will give the numbers again.
        let put_back = resumed && !other_mailbox && welcome.tail < self.inbox.cursor();
        if let Some(unknown) = &welcome.unknown {
            effects.push(Effect::Emit(Emit::UnknownRange(unknown.from, unknown.to)));
        } else if put_back {
            effects.push(Effect::Emit(Emit::UnknownRange(welcome.tail + 1, self.inbox.cursor())));
        }
        if other_mailbox || put_back {
            self.inbox.start_over(welcome.cursor);
            self.mailbox_epoch = welcome.mailbox_epoch;
        }
        self.inbox.connected(welcome.cursor, welcome.tail);
        self.acked = self.inbox.cursor();
        other_mailbox || put_back
    }

    /// Goes on in the stream, or begins the new one. Answers whether it is new.
    ///
    /// In a new stream the server cannot know what an earlier number stood for. What was never transmitted is numbered
    /// anew; what may have been sent is reported as unknown, or sent again when the caller chose so (it may double).
    fn take_up_stream(&mut self, welcome: &Welcome, effects: &mut Vec<Effect<T>>) -> bool {
        if welcome.stream == self.stream {
            return false;
        }
        let first_stream = self.stream == 0;
        let unanswered = self.outbox.take_all();
        let mut kept = Vec::new();
        for (seq, entry) in unanswered {
            if entry.maybe_transmitted && !first_stream && !self.config.resend_unknown {
                effects.push(self.settled(seq, entry, Err(SendError::Unknown)));
            } else {
                kept.push(entry.afresh());
            }
        }
        self.stream = welcome.stream;
        effects.push(Effect::Emit(Emit::NewStream(self.stream)));
        for entry in kept {
            let id = MessageId { stream: self.stream, seq: self.outbox.next_seq() };
            if let Some(tag) = &entry.tag {
                effects.push(Effect::Numbered { tag: tag.clone(), id });
            }
            self.outbox.push(entry);
        }
        true
    }

    fn refused(&mut self, now: Duration, refused: Refused, effects: &mut Vec<Effect<T>>) {
        let code = refused.code();
        let retry_after = refused.retry_after_ms.map(|ms| Duration::from_millis(ms.into()));
        let Some(entry) = self.outbox.get(refused.seq) else { return };
        // A superseded stream tells nothing about an earlier attempt.
        let tried_before = entry.attempts() > 1 || entry.tag.is_none();
        if entry.is_transient() && code == ErrorCode::OutcomeUnknown {
            return self.settle(refused.seq, Err(SendError::Unknown), effects);
        }
        if retry_after.is_some() || code.next() != Next::Stop {
            return self.outbox.retry(refused.seq, now, retry_after, code == ErrorCode::OutOfOrder);
        }
        let error = if code == ErrorCode::StreamSuperseded && tried_before {
            SendError::Unknown
        } else {
            SendError::Refused { code, message: refused.message }
        };
        self.settle(refused.seq, Err(error), effects);
    }

    fn deliver(&mut self, now: Duration, deliver: Deliver, effects: &mut Vec<Effect<T>>) {
        match self.inbox.arrive(deliver.seq, deliver.after) {
            Arrival::New => {
                let (generation, seq) = (self.inbox.generation(), deliver.seq);
                let envelope = deliver.envelope.unwrap_or_default();
                effects.push(Effect::Emit(Emit::Delivery { generation, seq, envelope }));
            }
            Arrival::Duplicate => {}
            Arrival::Gap => return self.broken(now, "a delivery is missing", effects),
        }
        self.tell_when_caught_up(effects);
    }

    fn tell_when_caught_up(&mut self, effects: &mut Vec<Effect<T>>) {
        if self.inbox.caught_up() {
            effects.push(Effect::Emit(Emit::CaughtUp));
        }
    }

    /// The socket ended. A close code outranks what `Closing` said, except where the connection just broke.
    pub(super) fn closed(&mut self, now: Duration, code: Option<u16>, reason: String, effects: &mut Vec<Effect<T>>) {
        if matches!(self.phase, Phase::Waiting { .. } | Phase::New) {
            return;
        }
        let closing = self.closing.take();
        let close_code = code.filter(|code| *code >= 4000);
        let comes_back = match (close_code, &closing) {
            (Some(close_code), _) => reconnects(close_code),
            (None, Some(closing)) => closing.reconnect_within.is_some() || closing.code.next() != Next::Stop,
            (None, None) => true,
        };
        let error_code = close_code.and_then(ErrorCode::of_close_code).or(closing.as_ref().map(|closing| closing.code));
        let reason = closing.as_ref().map_or(reason, |closing| closing.message.clone());
        // By an earlier attempt of our own, perhaps: then nobody else has the device.
        let by_ourselves = error_code == Some(ErrorCode::SessionSuperseded) && now < self.late_until;
        if !comes_back && !by_ourselves {
            let reason = match (error_code, close_code) {
                (Some(code), _) => StopReason::Refused { code, message: reason },
                (None, close_code) => StopReason::CloseCode(close_code.unwrap_or_default()),
            };
            return self.stop(reason, effects);
        }
        let reason = match error_code {
            Some(code) => format!("{}: {reason}", code.as_str_name()),
            None => reason,
        };
        self.wait(now, closing.and_then(|closing| closing.reconnect_within), reason, effects);
    }

    /// We end the connection ourselves, and come back.
    pub(super) fn broken(&mut self, now: Duration, reason: &str, effects: &mut Vec<Effect<T>>) {
        effects.push(Effect::Disconnect);
        self.wait(now, None, reason.to_owned(), effects);
    }

    fn wait(&mut self, now: Duration, within: Option<Duration>, reason: String, effects: &mut Vec<Effect<T>>) {
        if let Phase::Online(online) = &self.phase
            && online.since + self.config.stable_after <= now
        {
            self.backoff.reset();
        }
        if matches!(self.phase, Phase::Handshake { .. }) {
            self.late_until = now + LATE;
        }
        let retry_in = match within {
            Some(within) => random_up_to(within, &mut self.rng),
            None => self.backoff.next(&mut self.rng),
        };
        self.outbox.disconnected();
        self.reads.disconnected();
        self.requests.disconnected();
        self.watching.disconnected();
        self.receipts.disconnected();
        self.phase = Phase::Waiting { until: now + retry_in };
        effects.push(Effect::Emit(Emit::Offline { retry_in, reason }));
    }
}
