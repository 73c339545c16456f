//! One attached device in the memory of its shard's leader: what was pushed to it, what is in flight, and whether it
//! keeps up. No I/O but the link's queue, so that its rules can be tested alone.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tidings_proto::broker::v1::{Deliver, broker_frame};

use crate::link::outbox::Outbox;

/// Names a session: the link that it came on, and the gateway's number for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey {
    pub link: u64,
    pub session: u64,
}

/// An entry that may be pushed.
#[derive(Debug, Clone)]
pub struct Entry {
    pub seq: u64,
    pub envelope: Bytes,
    /// Unix ms; 0: never.
    pub expires_at_ms: i64,
}

/// What may be in flight to a session at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub entries: usize,
    pub bytes: usize,
}

/// Why an entry was not pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocked {
    /// An acknowledgement has to come first.
    Window,
    /// The link has to drain first.
    Link,
}

/// A session.
pub struct Session {
    pub key: SessionKey,
    pub outbox: Arc<Outbox>,
    pub device: String,
    pub slot: u32,
    pub stream: u64,
    /// Of two sessions of a device the one with the higher number is newer.
    pub attached: u64,
    window: Window,
    in_flight: VecDeque<(u64, u32)>,
    bytes_in_flight: usize,
    /// The last entry that was pushed; the next one names it.
    delivered: u64,
    /// Everything up to here was pushed, or need not be.
    seen: u64,
    /// The newest entry that came since the last page was asked for.
    missed: u64,
    /// Whether entries are pushed as they are committed.
    keeps_up: bool,
    is_reading: bool,
    waits_for_link: bool,
    /// What the client acknowledged, and how far the mailbox knows.
    acknowledged: u64,
    recorded: u64,
    is_recording: bool,
    /// Of what was read last, for a guess at how many entries fit into the window.
    mean_bytes: usize,
    /// Senders are not told what was delivered.
    pub withholds: bool,
}

impl Session {
    /// A session that begins behind `cursor`, and has to be read for first.
    #[allow(clippy::too_many_arguments)] // Called once; each comes from another place.
    pub fn new(
        key: SessionKey,
        outbox: Arc<Outbox>,
        device: String,
        slot: u32,
        stream: u64,
        attached: u64,
        window: Window,
        cursor: u64,
        recorded: u64,
    ) -> Self {
        Self {
            key,
            outbox,
            device,
            slot,
            stream,
            attached,
            window,
            in_flight: VecDeque::new(),
            bytes_in_flight: 0,
            delivered: cursor,
            seen: cursor,
            missed: 0,
            keeps_up: false,
            is_reading: false,
            waits_for_link: false,
            acknowledged: cursor,
            recorded,
            is_recording: false,
            mean_bytes: 512,
            withholds: false,
        }
    }

    /// Whether the session waits to be read for.
    pub fn lags(&self) -> bool {
        !self.keeps_up
    }

    /// An entry was committed. Pushes it, or remembers that it has to be read; says what stands in the way.
    pub fn committed(&mut self, entry: &Entry, now_ms: i64) -> Result<bool, Blocked> {
        if !self.keeps_up {
            self.missed = self.missed.max(entry.seq);
            return Ok(false);
        }
        if entry.seq <= self.seen {
            return Ok(false);
        }
        if entry.seq != self.seen + 1 {
            // Something between was never seen here: only the store knows what.
            self.fall_behind(entry.seq);
            return Err(Blocked::Window);
        }
        self.push(entry, now_ms).inspect_err(|_| self.fall_behind(entry.seq))
    }

    fn fall_behind(&mut self, seq: u64) {
        self.keeps_up = false;
        self.missed = self.missed.max(seq);
    }

    /// Pushes an entry if there is room; `false` when its time has passed.
    fn push(&mut self, entry: &Entry, now_ms: i64) -> Result<bool, Blocked> {
        if entry.expires_at_ms != 0 && entry.expires_at_ms < now_ms {
            self.seen = entry.seq;
            return Ok(false);
        }
        let bytes = entry.envelope.len();
        let is_full = self.in_flight.len() >= self.window.entries || self.bytes_in_flight + bytes > self.window.bytes;
        // One that is larger than the window goes alone.
        if is_full && !self.in_flight.is_empty() {
            return Err(Blocked::Window);
        }
        let deliver = Deliver {
            session: self.key.session,
            seq: entry.seq,
            after: self.delivered,
            envelope: entry.envelope.clone(),
        };
        if !self.outbox.try_deliver(broker_frame::Frame::Deliver(deliver)) {
            return Err(Blocked::Link);
        }
        self.in_flight.push_back((entry.seq, u32::try_from(bytes).unwrap_or(u32::MAX)));
        self.bytes_in_flight += bytes;
        (self.delivered, self.seen) = (entry.seq, entry.seq);
        Ok(true)
    }

    /// What to read next: entries after a number, so many at most. `None` when it keeps up, is being read for, or its
    /// window is not open wide enough to be worth it.
    pub fn wants_page(&mut self, page_entries: usize) -> Option<(u64, usize)> {
        if self.keeps_up || self.is_reading || self.waits_for_link {
            return None;
        }
        let free_entries = self.window.entries.saturating_sub(self.in_flight.len());
        let free_bytes = self.window.bytes.saturating_sub(self.bytes_in_flight);
        let is_open = self.in_flight.is_empty()
            || (free_entries * 2 >= self.window.entries.min(page_entries) && free_bytes * 2 >= self.window.bytes);
        if !is_open {
            return None;
        }
        self.is_reading = true;
        // What came before now is in the store, or gone from it already.
        self.missed = 0;
        let fitting = (free_bytes / self.mean_bytes.max(1)).max(1);
        Some((self.seen, page_entries.min(free_entries.max(1)).min(fitting)))
    }

    /// A page was read; `is_end` when the store had no more. Pushes what there is room for, answers how many were
    /// pushed and what stands in the way of the rest.
    pub fn page(&mut self, entries: &[Entry], is_end: bool, now_ms: i64) -> (u64, Option<Blocked>) {
        self.is_reading = false;
        if !entries.is_empty() {
            let bytes: usize = entries.iter().map(|entry| entry.envelope.len()).sum();
            self.mean_bytes = bytes / entries.len();
        }
        let mut pushed = 0;
        for entry in entries {
            match self.push(entry, now_ms) {
                Ok(delivered) => pushed += u64::from(delivered),
                Err(blocked) => return (pushed, Some(blocked)),
            }
        }
        if is_end && self.missed <= self.seen {
            self.keeps_up = true;
        }
        (pushed, None)
    }

    /// Nothing is read until the link has room again; `false` when it waits already.
    pub fn wait_for_link(&mut self) -> bool {
        !std::mem::replace(&mut self.waits_for_link, true)
    }

    /// The link has room again.
    pub fn link_has_room(&mut self) {
        self.waits_for_link = false;
    }

    /// Whether entries are gone from the store that this session has not had.
    pub fn has_lost(&self, trimmed_to: u64) -> bool {
        self.seen < trimmed_to
    }

    /// The page could not be read; it may be asked for again.
    pub fn page_failed(&mut self) {
        self.is_reading = false;
    }

    /// The client has everything up to `cursor`.
    pub fn acknowledge(&mut self, cursor: u64) {
        let cursor = cursor.min(self.delivered);
        while let Some((seq, bytes)) = self.in_flight.front().copied()
            && seq <= cursor
        {
            self.bytes_in_flight = self.bytes_in_flight.saturating_sub(bytes as usize);
            self.in_flight.pop_front();
        }
        if self.in_flight.is_empty() {
            // An idle session costs next to nothing.
            self.in_flight.shrink_to(4);
        }
        self.acknowledged = self.acknowledged.max(cursor);
    }

    /// Whether there is a new cursor to record in the mailbox, and none is on its way, about to be, or was a moment
    /// ago.
    pub fn wants_recording(&mut self) -> bool {
        let wants = !self.is_recording && self.acknowledged > self.recorded;
        self.is_recording |= wants;
        wants
    }

    /// The newest cursor, when the mailbox does not know it yet.
    pub fn unrecorded(&self) -> Option<u64> {
        (self.acknowledged > self.recorded).then_some(self.acknowledged)
    }

    /// The mailbox has recorded the device's cursor. The next one waits for [`Self::may_record_again`].
    pub fn recorded(&mut self, cursor: u64) {
        self.recorded = self.recorded.max(cursor);
    }

    /// The next cursor may be recorded.
    pub fn may_record_again(&mut self) {
        self.is_recording = false;
    }

    /// Entries pushed and not acknowledged.
    #[cfg(test)]
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { entries: 4, bytes: 1000 };

    fn session(outbox: &Arc<Outbox>) -> Session {
        let key = SessionKey { link: outbox.id, session: 1 };
        let mut session = Session::new(key, outbox.clone(), "phone".to_owned(), 0, 1, 1, WINDOW, 0, 0);
        assert_eq!(session.wants_page(100), Some((0, 1)));
        session.page(&[], true, 0);
        session
    }

    fn entry(seq: u64) -> Entry {
        Entry { seq, envelope: Bytes::from_static(b"0123456789"), expires_at_ms: 0 }
    }

    async fn pushed(outbox: &Outbox) -> Vec<(u64, u64)> {
        if outbox.is_empty() {
            return Vec::new();
        }
        let batch = outbox.next_batch().await.unwrap().unwrap();
        let deliveries = batch.frames.into_iter().filter_map(|frame| match frame.frame {
            Some(broker_frame::Frame::Deliver(deliver)) => Some((deliver.after, deliver.seq)),
            _ => None,
        });
        deliveries.collect()
    }

    #[tokio::test]
    async fn what_is_committed_is_pushed_until_the_window_is_full_and_read_once_it_opens() {
        let outbox = Arc::new(Outbox::new(100, 1 << 20));
        let mut session = session(&outbox);
        for seq in 1..=4 {
            assert_eq!(session.committed(&entry(seq), 0), Ok(true));
        }
        assert_eq!(session.committed(&entry(5), 0), Err(Blocked::Window));
        assert_eq!(session.committed(&entry(6), 0), Ok(false));
        assert_eq!(pushed(&outbox).await, [(0, 1), (1, 2), (2, 3), (3, 4)]);
        assert_eq!(session.wants_page(100), None);
        session.acknowledge(3);
        let (after, _) = session.wants_page(100).unwrap();
        assert_eq!(after, 4);
        assert_eq!(session.wants_page(100), None, "one page at a time");
        assert_eq!(session.committed(&entry(7), 0), Ok(false));
        assert_eq!(session.page(&[entry(5), entry(6)], true, 0), (2, None));
        assert!(session.lags(), "7 came while the page was read");
        session.acknowledge(6);
        assert!(session.wants_page(100).is_some());
        assert_eq!(session.page(&[entry(7)], true, 0), (1, None));
        assert!(!session.lags());
        assert_eq!(session.committed(&entry(7), 0), Ok(false), "it was read already");
        assert_eq!(session.committed(&entry(8), 0), Ok(true));
        assert_eq!(pushed(&outbox).await, [(4, 5), (5, 6), (6, 7), (7, 8)]);
    }

    #[test]
    fn what_went_before_it_could_be_read_is_not_waited_for() {
        let outbox = Arc::new(Outbox::new(100, 1 << 20));
        let mut session = session(&outbox);
        assert!(session.committed(&entry(2), 0).is_err());
        assert!(session.wants_page(100).is_some());
        assert_eq!(session.page(&[], true, 0), (0, None));
        assert!(!session.lags(), "2 expired meanwhile");
    }

    #[tokio::test]
    async fn a_gap_is_read_and_not_jumped_over() {
        let outbox = Arc::new(Outbox::new(100, 1 << 20));
        let mut session = session(&outbox);
        assert_eq!(session.committed(&entry(1), 0), Ok(true));
        assert!(session.committed(&entry(3), 0).is_err());
        assert!(session.lags());
        assert_eq!(pushed(&outbox).await, [(0, 1)]);
    }

    #[tokio::test]
    async fn what_has_expired_is_passed_over() {
        let outbox = Arc::new(Outbox::new(100, 1 << 20));
        let mut session = session(&outbox);
        let late = Entry { expires_at_ms: 5, ..entry(1) };
        assert_eq!(session.committed(&late, 6), Ok(false));
        let in_time = Entry { expires_at_ms: 6, ..entry(2) };
        assert_eq!(session.committed(&in_time, 6), Ok(true));
        assert_eq!(pushed(&outbox).await, [(0, 2)]);
    }

    #[tokio::test]
    async fn an_entry_larger_than_the_window_goes_alone() {
        let outbox = Arc::new(Outbox::new(100, 1 << 20));
        let mut session = session(&outbox);
        let large = Entry { envelope: Bytes::from(vec![0; 2000]), ..entry(1) };
        assert_eq!(session.committed(&large, 0), Ok(true));
        assert_eq!(session.committed(&entry(2), 0), Err(Blocked::Window));
        assert_eq!(session.in_flight(), 1);
    }

    #[test]
    fn cursors_are_recorded_one_at_a_time_and_never_beyond_what_was_delivered() {
        let outbox = Arc::new(Outbox::new(100, 1 << 20));
        let mut session = session(&outbox);
        for seq in 1..=4 {
            session.committed(&entry(seq), 0).unwrap();
        }
        session.acknowledge(1);
        assert!(session.wants_recording());
        assert_eq!(session.unrecorded(), Some(1));
        session.acknowledge(2);
        session.acknowledge(99);
        assert!(!session.wants_recording());
        session.recorded(1);
        assert!(!session.wants_recording(), "a moment later");
        session.may_record_again();
        assert!(session.wants_recording());
        assert_eq!(session.unrecorded(), Some(4));
        session.recorded(4);
        session.may_record_again();
        session.acknowledge(2);
        assert!(!session.wants_recording());
    }
}
