//! Messages that wait on the server for their time, a little ahead; some are taken back, well before it or in that very
//! moment.

use std::collections::HashSet;
use std::time::Duration;

use rand::Rng as _;
use rand::rngs::SmallRng;
use tidings_node::Clock;
use tidings_sdk::schedule_update::Kind;
use tidings_sdk::{Client, ErrorCode, Failure, MessageId, RequestError, ScheduleUpdate};
use tokio::time::{Instant, sleep_until, timeout};

use super::device::To;
use crate::history::{self, End, Event, History};

/// One message of so many waits.
const SCHEDULE_ONE_OF: u32 = 12;
/// How far ahead its time is, in milliseconds.
const AHEAD_MS: std::ops::Range<u64> = 300..4_000;
/// One of so many is cancelled, and half of these at once, the others about in its moment, at most so much before or
/// after it.
const CANCEL_ONE_OF: u32 = 3;
const ABOUT: Duration = Duration::from_millis(150);
/// How long the answer is waited for. Without one, the devices are told all the same what became of the message.
const PATIENCE: Duration = Duration::from_secs(5);

/// The time of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// For the server.
    pub(super) deliver_at_ms: i64,
    /// In the history; none where the servers have other clocks.
    due_ms: Option<u64>,
    /// Here.
    pub(super) at: Instant,
    /// When it is cancelled.
    pub(super) cancel_at: Option<Instant>,
}

impl Moment {
    /// A little ahead. `one_clock`: the servers' clocks are this machine's.
    pub(super) fn ahead(history: &History, one_clock: bool, rng: &mut SmallRng) -> Self {
        let ahead_ms = rng.random_range(AHEAD_MS);
        Self {
            deliver_at_ms: Clock::system().now_ms().saturating_add_unsigned(ahead_ms),
            due_ms: one_clock.then(|| history.now_ms() + ahead_ms),
            at: Instant::now() + Duration::from_millis(ahead_ms),
            cancel_at: None,
        }
    }

    /// A message that waits until then is given.
    pub(super) fn event(&self, number: u64, to: To) -> Event {
        let due_ms = self.due_ms;
        match to {
            To::User(to) => Event::GivenScheduled { number, to, due_ms },
            To::Group(group) => Event::GivenGroupScheduled { number, group, due_ms },
        }
    }
}

/// What one device schedules.
#[derive(Debug)]
pub(super) struct Scheduling {
    this: history::Client,
    history: History,
    one_clock: bool,
    /// The numbers of what it scheduled.
    numbers: HashSet<u64>,
}

impl Scheduling {
    pub(super) fn new(this: history::Client, history: History, one_clock: bool) -> Self {
        Self { this, history, one_clock, numbers: HashSet::new() }
    }

    /// Whether the servers' clocks are this machine's.
    pub(super) fn one_clock(&self) -> bool {
        self.one_clock
    }

    /// Whether the next message waits, and until when.
    pub(super) fn draw(&self, rng: &mut SmallRng) -> Option<Moment> {
        if !rng.random_ratio(1, SCHEDULE_ONE_OF) {
            return None;
        }
        let moment = Moment::ahead(&self.history, self.one_clock, rng);
        let cancel_at = rng.random_ratio(1, CANCEL_ONE_OF).then(|| {
            let about = moment.at - ABOUT + 2 * ABOUT.mul_f64(rng.random());
            if rng.random() { Instant::now() } else { about }
        });
        Some(Moment { cancel_at, ..moment })
    }

    /// A message that waits is given to the client.
    pub(super) fn give(&mut self, number: u64, to: To, moment: Moment) -> Event {
        self.numbers.insert(number);
        moment.event(number, to)
    }

    pub(super) fn is_one(&self, number: u64) -> bool {
        self.numbers.contains(&number)
    }

    /// Takes a message back at a time, if its client is still there.
    pub(super) fn cancel_at(&self, client: &Client, number: u64, id: MessageId, at: Instant) {
        let (client, history, this) = (client.clone(), self.history.clone(), self.this);
        tokio::spawn(async move {
            sleep_until(at).await;
            let in_time = match timeout(PATIENCE, client.cancel_scheduled(id)).await {
                Ok(Ok(())) => true,
                Ok(Err(RequestError::Refused { code: ErrorCode::NotFound, .. })) => false,
                // Nobody knows yet.
                Ok(Err(_)) | Err(_) => return,
            };
            history.record(this, Event::Cancelled { number, in_time });
        });
    }

    /// The device was told of a message that waits, or did.
    pub(super) fn updated(&self, update: &ScheduleUpdate) {
        let end = match (update.kind(), update.message) {
            (Kind::Sent, Some(MessageId { stream, seq })) => End::Sent { stream, seq },
            // An end in no message is a contradiction, and is told as one.
            (Kind::Sent, None) => End::Sent { stream: 0, seq: 0 },
            (Kind::Cancelled, _) => End::Cancelled,
            (Kind::Scheduled | Kind::Unspecified, _) => return,
        };
        self.ended(update.id, end);
    }

    /// The device was told of a failure that is none of what it sent at once.
    pub(super) fn failed(&self, failure: &Failure) {
        self.ended(failure.id, End::Failed { code: failure.reason().as_str_name().to_owned() });
    }

    fn ended(&self, id: Option<MessageId>, end: End) {
        let MessageId { stream, seq } = id.unwrap_or_default();
        self.history.record(self.this, Event::ScheduleEnded { stream, seq, end });
    }
}
