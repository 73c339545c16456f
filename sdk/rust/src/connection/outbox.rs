//! What the application sent and the server has not answered: numbered without gaps, transmitted in order within the
//! send window, and sent again with the same number until there is an answer (promises 2 and 3).
//!
//! The window counts from the oldest unanswered number, not the unanswered ones: the recipient's mailbox remembers only
//! the numbers shortly below the highest (RFC 4303, 3.4.3), and a straggler must not fall out of that memory.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tidings_proto::UserId;

use crate::recipient::Recipient;
use crate::store::StoredSend;
use crate::wire;

const FIRST_RETRY: Duration = Duration::from_millis(10);
const LAST_RETRY: Duration = Duration::from_secs(2);

/// One message on its way.
#[derive(Debug)]
pub struct Entry<T> {
    /// The recipient.
    pub to: Recipient,
    /// An encoded `Content`.
    pub content: Bytes,
    /// An encoded `Change`; empty: it has content.
    pub change: Bytes,
    /// An encoded `Disappearance`.
    pub disappears: Option<Bytes>,
    /// As in `Send.conflation_key`. Of a transient, hence in no store.
    pub conflation_key: Box<str>,
    /// As in `Send.deliver_at_ms`.
    pub deliver_at_ms: i64,
    /// As in `Send.ttl_ms`.
    pub ttl_ms: Option<u64>,
    /// As in `Send.receipts`.
    pub receipts: i32,
    /// The caller's; none when the message comes from an earlier life of the process.
    pub tag: Option<T>,
    /// Whether the server may have it: it was written to a connection, or comes from an earlier life of the process.
    pub maybe_transmitted: bool,
    state: EntryState,
    attempts: u32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum EntryState {
    /// Not written to this connection yet.
    Queued,
    /// Written to this connection at that time, not answered.
    InFlight { at: Duration },
    /// To be sent again, not before a time and not before what stands in front of it.
    Waiting { due: Duration, behind: Option<Predecessor> },
    /// Has its answer; leaves with the front.
    Answered,
}

/// An earlier message to the same recipient, and how often it had been transmitted when we were refused because of it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Predecessor {
    seq: u64,
    attempts: u32,
}

/// The messages of one stream that have no answer.
#[derive(Debug)]
pub struct Outbox<T> {
    entries: VecDeque<Entry<T>>,
    /// The number of the front entry; every answered number is below it or marked.
    base: u64,
    /// The lowest number not looked at in this connection.
    next_fresh: u64,
    waiting: BTreeSet<u64>,
    /// Unanswered numbers by recipient, rising. Without transient ones, which no mailbox remembers, and scheduled ones,
    /// which the sender's own remembers.
    by_recipient: HashMap<Recipient, VecDeque<u64>>,
    buffer: BytesMut,
}

impl<T> Outbox<T> {
    /// An empty outbox whose first message gets the number `next_seq`.
    pub fn new(next_seq: u64) -> Self {
        Self {
            entries: VecDeque::new(),
            base: next_seq,
            next_fresh: next_seq,
            waiting: BTreeSet::new(),
            by_recipient: HashMap::new(),
            buffer: BytesMut::new(),
        }
    }

    /// The outbox of an earlier life of the process; `sends` rise by number and lie below `next_seq`.
    pub fn restore(sends: Vec<StoredSend>, next_seq: u64) -> Self {
        let base = sends.first().map_or(next_seq, |first| first.seq);
        let mut outbox = Self::new(base);
        for send in sends {
            while outbox.next_seq() < send.seq {
                outbox.push_answered();
            }
            match send.recipient() {
                Some(to) => {
                    outbox.push(Entry::restored(to, send));
                }
                None => outbox.push_answered(),
            }
        }
        while outbox.next_seq() < next_seq {
            outbox.push_answered();
        }
        outbox.drop_answered_front();
        outbox
    }

    /// The number that the next message gets.
    pub fn next_seq(&self) -> u64 {
        self.base + self.entries.len() as u64
    }

    /// Whether nothing waits for an answer.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes a message; answers its number.
    pub fn push(&mut self, entry: Entry<T>) -> u64 {
        let seq = self.next_seq();
        if entry.is_in_order() {
            match self.by_recipient.get_mut(&entry.to) {
                Some(numbers) => numbers.push_back(seq),
                None => {
                    self.by_recipient.insert(entry.to.clone(), VecDeque::from([seq]));
                }
            }
        }
        self.entries.push_back(entry);
        seq
    }

    /// The unanswered messages in order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Entry<T>)> {
        let numbered = self.entries.iter().enumerate().map(|(index, entry)| (self.base + index as u64, entry));
        numbered.filter(|(_, entry)| entry.state != EntryState::Answered)
    }

    /// Transient messages that the server may have: they are handed on at most once, hence never sent again.
    pub fn transient_without_answer(&self) -> Vec<u64> {
        let unknown = |(_, entry): &(u64, &Entry<T>)| entry.is_transient() && entry.maybe_transmitted;
        self.iter().filter(unknown).map(|(seq, _)| seq).collect()
    }

    /// Takes all unanswered messages out; the next number is 1.
    pub fn take_all(&mut self) -> Vec<(u64, Entry<T>)> {
        let base = self.base;
        let taken = std::mem::replace(self, Self::new(1)).entries;
        let numbered = taken.into_iter().enumerate().map(|(index, entry)| (base + index as u64, entry));
        numbered.filter(|(_, entry)| entry.state != EntryState::Answered).collect()
    }

    /// The connection is gone: everything unanswered goes out again, in order, on the next one.
    pub fn disconnected(&mut self) {
        for entry in &mut self.entries {
            if entry.state != EntryState::Answered {
                entry.state = EntryState::Queued;
            }
        }
        self.waiting.clear();
        self.next_fresh = self.base;
    }

    /// The final answer came. `None` when the number is not waiting for one.
    pub fn answered(&mut self, seq: u64) -> Option<Entry<T>> {
        let entry = self.get_mut(seq)?;
        let never_asked = entry.state == EntryState::Queued && !entry.maybe_transmitted;
        if never_asked || entry.state == EntryState::Answered {
            return None;
        }
        let answered = std::mem::replace(entry, Entry::placeholder(entry.to.clone()));
        self.waiting.remove(&seq);
        if let Some(numbers) = self.by_recipient.get_mut(&answered.to) {
            if let Ok(index) = numbers.binary_search(&seq) {
                numbers.remove(index);
            }
            if numbers.is_empty() {
                self.by_recipient.remove(&answered.to);
            }
        }
        self.drop_answered_front();
        Some(answered)
    }

    /// The server asks to try again, after `retry_after` or a time of our own that grows.
    pub fn retry(&mut self, seq: u64, now: Duration, retry_after: Option<Duration>, out_of_order: bool) {
        let predecessor = self.unanswered_before(seq);
        let behind = match predecessor {
            Some(earlier) if out_of_order => {
                self.get(earlier).map(|entry| Predecessor { seq: earlier, attempts: entry.attempts })
            }
            _ => None,
        };
        let Some(entry) = self.get_mut(seq) else { return };
        if !matches!(entry.state, EntryState::InFlight { .. }) {
            return;
        }
        let own_delay = FIRST_RETRY.saturating_mul(1 << entry.attempts.saturating_sub(1).min(8)).min(LAST_RETRY);
        let delay = if behind.is_some() { Duration::ZERO } else { retry_after.unwrap_or(own_delay) };
        entry.state = EntryState::Waiting { due: now + delay, behind };
        self.waiting.insert(seq);
    }

    /// Writes what may go now, in order, at most `window` numbers above the oldest unanswered one. A message whose
    /// frame would exceed `max_frame_bytes` is not written but named in `too_large`.
    pub fn transmit(
        &mut self,
        now: Duration,
        window: u64,
        max_frame_bytes: usize,
        too_large: &mut Vec<u64>,
        mut write: impl FnMut(Bytes),
    ) {
        let mut again = Vec::new();
        let mut cursor = 0;
        while let Some(seq) = self.waiting.range(cursor..).next().copied() {
            cursor = seq + 1;
            if self.may_go_again(seq, now) {
                self.transmit_one(seq, now, max_frame_bytes, &mut again, too_large);
            }
        }
        while self.next_fresh < self.next_seq() && self.next_fresh < self.base + window {
            let seq = self.next_fresh;
            self.next_fresh += 1;
            if self.get(seq).is_none_or(|entry| entry.state == EntryState::Answered) {
                continue;
            }
            let behind_a_waiting_one =
                self.unanswered_before(seq).is_some_and(|earlier| self.waiting.contains(&earlier));
            if behind_a_waiting_one {
                // It would be refused as out of order: it follows when the earlier one goes.
                if let Some(entry) = self.get_mut(seq) {
                    entry.state = EntryState::Waiting { due: now, behind: None };
                }
                self.waiting.insert(seq);
            } else {
                self.transmit_one(seq, now, max_frame_bytes, &mut again, too_large);
            }
        }
        again.into_iter().for_each(&mut write);
    }

    /// When [`Self::transmit`] has more to do without a further answer.
    pub fn wake_at(&self) -> Option<Duration> {
        let own_time = |seq: &u64| match self.get(*seq)?.state {
            EntryState::Waiting { due, behind: None } => {
                let led = self.unanswered_before(*seq).is_some_and(|earlier| self.waiting.contains(&earlier));
                (!led).then_some(due)
            }
            _ => None,
        };
        self.waiting.iter().filter_map(own_time).min()
    }

    /// Since when the oldest unanswered message has been waiting for its answer.
    pub fn oldest_in_flight_since(&self) -> Option<Duration> {
        match self.entries.front()?.state {
            EntryState::InFlight { at } => Some(at),
            _ => None,
        }
    }

    fn transmit_one(
        &mut self,
        seq: u64,
        now: Duration,
        max_frame_bytes: usize,
        frames: &mut Vec<Bytes>,
        too_large: &mut Vec<u64>,
    ) {
        let after = self.unanswered_before(seq).unwrap_or(0);
        let mut buffer = std::mem::take(&mut self.buffer);
        if let Some(entry) = self.get_mut(seq) {
            entry.state = EntryState::InFlight { at: now };
            entry.attempts = entry.attempts.saturating_add(1);
            let frame = wire::SendFrame {
                seq,
                after,
                to: entry.to.user(),
                group: entry.to.group(),
                body: if entry.change.is_empty() {
                    wire::Body::Content(&entry.content)
                } else {
                    wire::Body::Change(&entry.change)
                },
                ttl_ms: entry.ttl_ms,
                receipts: entry.receipts,
                disappears: entry.disappears.as_deref(),
                conflation_key: &entry.conflation_key,
                deliver_at_ms: entry.deliver_at_ms,
            };
            if frame.encoded_len() > max_frame_bytes {
                too_large.push(seq);
            } else {
                entry.maybe_transmitted = true;
                frame.encode(&mut buffer);
                frames.push(buffer.split().freeze());
            }
        }
        self.waiting.remove(&seq);
        self.buffer = buffer;
    }

    fn may_go_again(&self, seq: u64, now: Duration) -> bool {
        let Some(EntryState::Waiting { due, behind }) = self.get(seq).map(|entry| entry.state) else {
            return false;
        };
        let earlier = self.unanswered_before(seq);
        let earlier_is_on_its_way = earlier.is_none_or(|earlier| !self.waiting.contains(&earlier));
        let moved_since = |then: Predecessor| {
            earlier != Some(then.seq) || self.get(then.seq).is_some_and(|entry| entry.attempts > then.attempts)
        };
        due <= now && earlier_is_on_its_way && behind.is_none_or(moved_since)
    }

    fn unanswered_before(&self, seq: u64) -> Option<u64> {
        let entry = self.get(seq).filter(|entry| entry.deliver_at_ms == 0)?;
        let numbers = self.by_recipient.get(&entry.to)?;
        let index = numbers.partition_point(|number| *number < seq);
        index.checked_sub(1).map(|before| numbers[before])
    }

    /// The message with this number.
    pub fn get(&self, seq: u64) -> Option<&Entry<T>> {
        let index = usize::try_from(seq.checked_sub(self.base)?).ok()?;
        self.entries.get(index)
    }

    fn get_mut(&mut self, seq: u64) -> Option<&mut Entry<T>> {
        let index = usize::try_from(seq.checked_sub(self.base)?).ok()?;
        self.entries.get_mut(index)
    }

    fn push_answered(&mut self) {
        let nobody = UserId::new("-").expect("a dash is a valid user id");
        self.entries.push_back(Entry::placeholder(nobody.into()));
    }

    fn drop_answered_front(&mut self) {
        while self.entries.front().is_some_and(|entry| entry.state == EntryState::Answered) {
            self.entries.pop_front();
            self.base += 1;
        }
        self.next_fresh = self.next_fresh.max(self.base);
    }
}

impl<T> Entry<T> {
    /// A new message of the application.
    pub fn new(to: Recipient, content: Bytes, ttl_ms: Option<u64>, receipts: i32, tag: T) -> Self {
        let (state, tag) = (EntryState::Queued, Some(tag));
        Self { content, ttl_ms, receipts, tag, state, ..Self::placeholder(to) }
    }

    /// A change of an earlier message.
    pub fn of_change(to: Recipient, change: Bytes, tag: T) -> Self {
        Self { change, ..Self::new(to, Bytes::new(), None, 0, tag) }
    }

    /// Bytes of what it carries.
    pub fn body_bytes(&self) -> usize {
        self.content.len() + self.change.len()
    }

    /// Only for devices that are online now.
    pub fn is_transient(&self) -> bool {
        self.ttl_ms == Some(0)
    }

    /// Whether others to the same recipient wait for it.
    fn is_in_order(&self) -> bool {
        !self.is_transient() && self.deliver_at_ms == 0
    }

    /// How often it was written to a connection by this process.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The same message for another stream: it was not sent in that one.
    pub fn afresh(self) -> Self {
        Self { maybe_transmitted: false, state: EntryState::Queued, attempts: 0, ..self }
    }

    /// As the store keeps it.
    pub fn stored(&self, seq: u64) -> StoredSend {
        StoredSend {
            seq,
            to: self.to.user().to_owned(),
            content: self.content.clone(),
            ttl_ms: self.ttl_ms,
            receipts: self.receipts,
            group: self.to.group().to_owned(),
            change: self.change.clone(),
            disappears: self.disappears.clone(),
            deliver_at_ms: self.deliver_at_ms,
        }
    }

    fn restored(to: Recipient, send: StoredSend) -> Self {
        Self {
            to,
            content: send.content,
            change: send.change,
            disappears: send.disappears,
            conflation_key: Box::default(),
            deliver_at_ms: send.deliver_at_ms,
            ttl_ms: send.ttl_ms,
            receipts: send.receipts,
            tag: None,
            maybe_transmitted: true,
            state: EntryState::Queued,
            attempts: 0,
        }
    }

    fn placeholder(to: Recipient) -> Self {
        Self {
            to,
            content: Bytes::new(),
            change: Bytes::new(),
            disappears: None,
            conflation_key: Box::default(),
            deliver_at_ms: 0,
            ttl_ms: None,
            receipts: 0,
            tag: None,
            maybe_transmitted: false,
            state: EntryState::Answered,
            attempts: 0,
        }
    }
}
