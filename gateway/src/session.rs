//! What the rest of the gateway knows of one client: who it is, and an inbox that its connection empties.
//!
//! Links, the watch and the heartbeat put events in; they never wait. The connection's own task takes them out and is
//! the only one that acts on them, so that there is nothing to lock but the inbox.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Context;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use prost::Message as _;
use tidings_proto::ErrorCode;
use tidings_proto::broker::v1 as broker;
use tidings_proto::client::v1::{self as client, UserPresence};

use crate::directory::{Policy, TokenEntry};

/// Something that a connection has to know.
#[derive(Debug)]
pub(crate) enum Event {
    /// A mailbox entry for the attachment.
    Deliver { attachment: u64, seq: u64, after: u64, envelope: Bytes },
    /// A transient for the attachment; it takes the place of one with the same number, if that is not 0.
    Transient { attachment: u64, envelope: Bytes, conflates: u64 },
    /// What became known of users whom the client watches.
    Presence(Arc<Vec<UserPresence>>),
    /// The answer to a submitted message, and the node that gave it.
    Submitted { node: u64, answer: Box<broker::Submitted> },
    /// The answer to a request, and the node that gave it.
    Response { node: u64, answer: Box<broker::Response> },
    /// A read watermark was recorded, or not.
    ReadRecorded(Box<broker::ReadRecorded>),
    /// The answer to `Attach`.
    Attached(Box<broker::Attached>),
    /// The broker ended the attachment.
    Detached { attachment: u64, code: ErrorCode, leader_node: u64 },
    /// The link with this id is gone, with whatever was on it.
    LinkLost { link: u64 },
    /// These shards are led by the node at the end of this link from now on.
    Moved { shards: Arc<[u32]>, link: u64 },
}

/// Why the gateway ends a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Close {
    pub code: ErrorCode,
    pub message: String,
    /// Set where the code asks for a reconnect at another delay than the usual one.
    pub reconnect_within_ms: Option<u32>,
}

impl Close {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), reconnect_within_ms: None }
    }
}

/// How much may wait in an inbox.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InboxLimits {
    pub events: usize,
    pub bytes: usize,
}

#[derive(Debug, Default)]
struct Inbox {
    events: VecDeque<Event>,
    bytes: usize,
    close: Option<Box<Close>>,
    ticked: bool,
}

/// What became of an event for an inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    Queued,
    /// Queued, and one that it says again is not.
    Conflated,
    /// There was no room for it, and it is of a kind that may go.
    Dropped,
}

impl Inbox {
    /// Takes out what waits with this number.
    fn withdraw(&mut self, number: u64) -> bool {
        let is_it = |event: &Event| matches!(event, Event::Transient { conflates, .. } if *conflates == number);
        let found = if number == 0 { None } else { self.events.iter().rposition(is_it) };
        let Some(Event::Transient { envelope, .. }) = found.and_then(|at| self.events.remove(at)) else { return false };
        self.bytes -= envelope.len();
        true
    }
}

/// One client's session; shared by its connection and by what feeds it.
#[derive(Debug)]
pub(crate) struct Session {
    /// Unique in the gateway for its lifetime.
    pub id: u64,
    /// Tells this session from every other of the device, also on other gateways.
    pub nonce: u64,
    /// The token it came with: app and user, expiry.
    pub token: Arc<TokenEntry>,
    /// Empty: a session that only sends.
    pub device: Box<str>,
    /// What its user goes by.
    policy: Mutex<Arc<Policy>>,
    /// The id under which it is attached to its shard; changes with each attempt, so that a late frame of an earlier
    /// attachment is known as such (promise 5).
    attachment: AtomicU64,
    inbox: Mutex<Inbox>,
    waker: AtomicWaker,
}

/// What [`Session::take`] found.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub events: VecDeque<Event>,
    pub close: Option<Box<Close>>,
    pub ticked: bool,
}

impl Session {
    pub fn new(id: u64, token: Arc<TokenEntry>, policy: Arc<Policy>, device: &str) -> Self {
        Self {
            id,
            nonce: rand::random(),
            token,
            device: device.into(),
            policy: Mutex::new(policy),
            attachment: AtomicU64::new(0),
            inbox: Mutex::default(),
            waker: AtomicWaker::new(),
        }
    }

    /// The current attachment; 0 when there was none yet.
    pub fn attachment(&self) -> u64 {
        self.attachment.load(Ordering::Relaxed)
    }

    pub fn set_attachment(&self, attachment: u64) {
        self.attachment.store(attachment, Ordering::Relaxed);
    }

    /// What its user goes by.
    pub fn policy(&self) -> Arc<Policy> {
        self.policy.lock().clone()
    }

    pub fn set_policy(&self, policy: Arc<Policy>) {
        *self.policy.lock() = policy;
    }

    /// Adds an event. A session whose inbox is full is closed as a slow consumer; the windows that its broker and its
    /// client keep make that a fault of one of them. A transient, or what is told of presence, is dropped instead; of
    /// an answer to a request only that it found no room is told, and the client asks again.
    pub fn push(&self, event: Event, limits: InboxLimits) -> Pushed {
        let mut pushed = Pushed::Queued;
        {
            let mut inbox = self.inbox.lock();
            if let Event::Transient { conflates, .. } = event
                && inbox.withdraw(conflates)
            {
                pushed = Pushed::Conflated;
            }
            let bytes = match &event {
                Event::Deliver { envelope, .. } | Event::Transient { envelope, .. } => envelope.len(),
                Event::Response { answer, .. } => answer.encoded_len(),
                _ => 0,
            };
            let has_place = inbox.events.len() < limits.events;
            if !has_place || inbox.bytes + bytes > limits.bytes {
                if matches!(event, Event::Transient { .. } | Event::Presence(_)) {
                    return Pushed::Dropped;
                }
                if let (true, Event::Response { node, answer }) = (has_place, &event) {
                    let answer = Box::new(without_room(answer));
                    inbox.events.push_back(Event::Response { node: *node, answer });
                    drop(inbox);
                    self.waker.wake();
                    return Pushed::Queued;
                }
                let close = || Box::new(Close::new(ErrorCode::SlowConsumer, "deliveries were not taken in time"));
                inbox.close.get_or_insert_with(close);
            } else {
                inbox.bytes += bytes;
                inbox.events.push_back(event);
            }
        }
        self.waker.wake();
        pushed
    }

    /// Asks the connection to end; the first reason stands.
    pub fn close(&self, close: Close) {
        self.inbox.lock().close.get_or_insert_with(|| Box::new(close));
        self.waker.wake();
    }

    /// A heartbeat interval went by.
    pub fn tick(&self) {
        self.inbox.lock().ticked = true;
        self.waker.wake();
    }

    /// Everything that waits, events only when `events` is asked for; the context's task is woken when more comes.
    pub fn take(&self, cx: &Context<'_>, events: bool) -> Taken {
        self.waker.register(cx.waker());
        let mut inbox = self.inbox.lock();
        let mut taken =
            Taken { close: inbox.close.take(), ticked: std::mem::take(&mut inbox.ticked), ..Taken::default() };
        if events {
            inbox.bytes = 0;
            // Leaves a queue without memory behind: an idle session keeps none.
            taken.events = std::mem::take(&mut inbox.events);
        }
        taken
    }
}

/// What is told in place of an answer that has no room.
fn without_room(answer: &broker::Response) -> broker::Response {
    let id = answer.response.as_ref().map_or(0, |response| response.id);
    let response = client::Response { id, code: ErrorCode::Overloaded.into(), ..client::Response::default() };
    broker::Response { session: answer.session, leader_node: 0, response: Some(response) }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::task::Waker;

    pub(crate) const LIMITS: InboxLimits = InboxLimits { events: 4, bytes: 100 };

    fn session() -> Session {
        Session::new(1, Arc::new(TokenEntry::for_tests("app", "user")), Policy::for_tests(), "phone")
    }

    fn deliver(seq: u64, bytes: usize) -> Event {
        Event::Deliver { attachment: 1, seq, after: seq - 1, envelope: vec![0; bytes].into() }
    }

    #[test]
    fn a_full_inbox_closes_the_session_and_drops_transients_silently() {
        let session = session();
        let cx = Context::from_waker(Waker::noop());
        assert_eq!(session.push(deliver(1, 90), LIMITS), Pushed::Queued);
        assert_eq!(session.push(transient(0, 20), LIMITS), Pushed::Dropped);
        assert_eq!(session.take(&cx, false).close, None);
        session.push(deliver(2, 20), LIMITS);
        let taken = session.take(&cx, true);
        assert_eq!(taken.close.unwrap().code, ErrorCode::SlowConsumer);
        assert_eq!(taken.events.len(), 1);
        assert_eq!(session.push(deliver(3, 90), LIMITS), Pushed::Queued, "what was taken makes room");
        assert_eq!(session.take(&cx, true).close, None);
    }

    fn transient(conflates: u64, bytes: usize) -> Event {
        Event::Transient { attachment: 1, envelope: vec![0; bytes].into(), conflates }
    }

    #[test]
    fn of_transients_with_one_number_the_last_one_waits_behind_what_came_before_it() {
        let session = session();
        let pushed = [transient(7, 60), transient(8, 10), transient(0, 10), transient(7, 70), transient(0, 10)]
            .map(|event| session.push(event, LIMITS));
        let queued = Pushed::Queued;
        assert_eq!(pushed, [queued, queued, queued, Pushed::Conflated, queued]);
        let waiting = session.take(&Context::from_waker(Waker::noop()), true).events;
        let numbers = waiting.iter().map(|event| match event {
            Event::Transient { conflates, envelope, .. } => (*conflates, envelope.len()),
            other => panic!("{other:?}"),
        });
        assert_eq!(numbers.collect::<Vec<_>>(), [(8, 10), (0, 10), (7, 70), (0, 10)]);
        assert_eq!(session.push(transient(7, 100), LIMITS), queued, "what was taken is not replaced");
    }

    #[test]
    fn the_first_reason_to_close_stands() {
        let session = session();
        session.close(Close::new(ErrorCode::TokenRevoked, ""));
        session.close(Close::new(ErrorCode::Draining, ""));
        assert_eq!(
            session.take(&Context::from_waker(Waker::noop()), true).close.unwrap().code,
            ErrorCode::TokenRevoked
        );
    }
}
