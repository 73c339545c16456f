//! A client's unanswered sends: the window, what has to be submitted again, and when to give up. Pure: no I/O, no
//! clock.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use tidings_proto::ErrorCode;
use tidings_proto::message::v1::{Change, Disappearance};
use tokio::time::Instant;

use crate::permission::Terms;

/// One send that was taken and not answered.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
    pub seq: u64,
    pub after: u64,
    /// The recipient's shard; of what is scheduled the sender's.
    pub shard: u32,
    /// The recipient, a user or a group.
    pub to: Box<str>,
    pub is_group: bool,
    /// Encoded `Content`.
    pub content: Bytes,
    /// Instead of content.
    pub change: Option<Box<Change>>,
    pub disappears: Option<Disappearance>,
    /// When it is to be sent; 0: now.
    pub deliver_at_ms: i64,
    pub ttl_ms: Option<u64>,
    pub conflation_key: Box<str>,
    pub receipts: i32,
    /// Of the recipient.
    pub inbox_limit: u32,
    pub terms: Terms,
    pub taken: Instant,
    /// The link it was submitted on; 0 while it waits to be submitted (again).
    pub link: u64,
    /// A shard may have accepted it without our knowing.
    pub may_be_accepted: bool,
}

impl Pending {
    /// Until when it is tried, and what its sender is told then.
    fn given_up_at(&self, patience: Patience) -> (Instant, ErrorCode) {
        if self.may_be_accepted || self.link != 0 {
            (self.taken + patience.unknown, ErrorCode::OutcomeUnknown)
        } else {
            (self.taken + patience.not_accepted, ErrorCode::Unavailable)
        }
    }

    /// Stored nowhere, hence in no duplicate window: it must not be submitted twice.
    pub fn is_transient(&self) -> bool {
        self.ttl_ms == Some(0)
    }
}

/// What a number means to the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It may be taken.
    New,
    /// It was taken and will be answered: nothing to do.
    Unanswered,
    /// Too many are unanswered, or it is too far from the oldest.
    OutsideWindow,
}

/// A send that is given up, and what its sender is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GivenUp {
    pub seq: u64,
    pub code: ErrorCode,
}

/// How long a send is tried again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// When it certainly was not accepted.
    pub not_accepted: Duration,
    /// When it may have been accepted.
    pub unknown: Duration,
}

/// The unanswered sends of one connection, by number.
#[derive(Debug, Default)]
pub(crate) struct Sends {
    pending: VecDeque<Pending>,
    bytes: usize,
    retry_at: Option<Instant>,
}

impl Sends {
    /// Whether `seq` may be taken into a window of so many.
    pub fn admission(&self, seq: u64, window: u32) -> Admission {
        let (Some(first), Some(last)) = (self.pending.front(), self.pending.back()) else { return Admission::New };
        if self.position(seq).is_ok() {
            return Admission::Unanswered;
        }
        let span = last.seq.max(seq) - first.seq.min(seq);
        let fits = self.pending.len() < window as usize && span < u64::from(window);
        if fits { Admission::New } else { Admission::OutsideWindow }
    }

    /// Takes a send that was admitted.
    pub fn insert(&mut self, pending: Pending) {
        self.bytes += pending.content.len();
        match self.pending.back() {
            Some(last) if last.seq > pending.seq => {
                let at = self.position(pending.seq).unwrap_or_else(|at| at);
                self.pending.insert(at, pending);
            }
            _ => self.pending.push_back(pending),
        }
    }

    pub fn get(&self, seq: u64) -> Option<&Pending> {
        self.position(seq).ok().map(|at| &self.pending[at])
    }

    /// Removes what was answered.
    pub fn answered(&mut self, seq: u64) -> Option<Pending> {
        let at = self.position(seq).ok()?;
        let pending = self.pending.remove(at)?;
        self.bytes -= pending.content.len();
        Some(pending)
    }

    /// Notes that it was submitted.
    pub fn submitted(&mut self, seq: u64, link: u64) {
        if let Ok(at) = self.position(seq) {
            self.pending[at].link = link;
        }
    }

    /// It has to be submitted again, `at` or later.
    pub fn again(&mut self, seq: u64, may_be_accepted: bool, at: Instant) {
        if let Ok(position) = self.position(seq) {
            let pending = &mut self.pending[position];
            pending.link = 0;
            pending.may_be_accepted |= may_be_accepted;
            self.retry_by(at);
        }
    }

    /// A link broke: whatever was unanswered on it is unknown, and submitted again. Answers the transients among them,
    /// which cannot be.
    pub fn link_lost(&mut self, link: u64, at: Instant) -> Vec<GivenUp> {
        self.again_where(|pending| pending.link == link, at)
    }

    /// Shards are led by the node at the end of this link from now on: what was submitted for them on others may never
    /// be answered, and is submitted again. Answers the transients among them, which cannot be.
    pub fn moved(&mut self, shards: &[u32], link: u64, at: Instant) -> Vec<GivenUp> {
        let elsewhere = |pending: &Pending| pending.link != 0 && pending.link != link;
        let given_up = self.again_where(|pending| elsewhere(pending) && shards.contains(&pending.shard), at);
        if self.pending.iter().any(|pending| pending.link == 0 && shards.contains(&pending.shard)) {
            self.retry_by(at);
        }
        given_up
    }

    fn again_where(&mut self, is_lost: impl Fn(&Pending) -> bool, at: Instant) -> Vec<GivenUp> {
        let mut given_up = Vec::new();
        let mut any = false;
        for pending in self.pending.iter_mut().filter(|pending| is_lost(pending)) {
            if pending.is_transient() {
                given_up.push(GivenUp { seq: pending.seq, code: ErrorCode::OutcomeUnknown });
            }
            pending.link = 0;
            pending.may_be_accepted = true;
            any = true;
        }
        given_up.iter().for_each(|gone| drop(self.answered(gone.seq)));
        if any {
            self.retry_by(at);
        }
        given_up
    }

    /// Whether a send to this shard waits to be submitted: a later one must queue behind it.
    pub fn is_waiting_for(&self, shard: u32) -> bool {
        self.retry_at.is_some() && self.pending.iter().any(|pending| pending.link == 0 && pending.shard == shard)
    }

    /// What waits to be submitted, in order, when its time has come.
    pub fn due(&mut self, now: Instant) -> Vec<Pending> {
        if self.retry_at.is_none_or(|at| at > now) {
            return Vec::new();
        }
        self.retry_at = None;
        self.pending.iter().filter(|pending| pending.link == 0).cloned().collect()
    }

    /// Makes what waits due at `at`, if not before.
    pub fn retry_by(&mut self, at: Instant) {
        self.retry_at = Some(self.retry_at.map_or(at, |before| before.min(at)));
    }

    /// Removes what has been tried for long enough.
    pub fn give_up(&mut self, now: Instant, patience: Patience) -> Vec<GivenUp> {
        let over = |pending: &Pending| {
            let (until, code) = pending.given_up_at(patience);
            (now >= until).then_some(GivenUp { seq: pending.seq, code })
        };
        let given_up: Vec<GivenUp> = self.pending.iter().filter_map(over).collect();
        given_up.iter().for_each(|gone| drop(self.answered(gone.seq)));
        given_up
    }

    /// When to look again.
    pub fn deadline(&self, patience: Patience) -> Option<Instant> {
        let oldest = self.pending.front()?;
        match self.retry_at {
            // Nothing waits. Numbers mostly rise with time; a retry among them is given up a little late.
            None => Some(oldest.taken + patience.unknown),
            Some(at) => self.pending.iter().map(|pending| pending.given_up_at(patience).0).chain([at]).min(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Bytes of content that are held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Gives memory back that a burst took.
    pub fn shrink(&mut self) {
        if self.pending.is_empty() {
            self.pending = VecDeque::new();
        }
    }

    fn position(&self, seq: u64) -> Result<usize, usize> {
        self.pending.binary_search_by_key(&seq, |pending| pending.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience { not_accepted: Duration::from_millis(800), unknown: Duration::from_secs(10) };

    fn pending(seq: u64, taken: Instant) -> Pending {
        Pending {
            seq,
            after: 0,
            shard: 0,
            to: "bob".into(),
            is_group: false,
            content: Bytes::from_static(b"12345"),
            change: None,
            disappears: None,
            deliver_at_ms: 0,
            ttl_ms: None,
            conflation_key: "".into(),
            receipts: 0,
            terms: Terms::default(),
            inbox_limit: 0,
            taken,
            link: 1,
            may_be_accepted: false,
        }
    }

    fn seqs(pending: &[Pending]) -> Vec<u64> {
        pending.iter().map(|pending| pending.seq).collect()
    }

    #[test]
    fn the_window_is_a_span_of_numbers_from_the_oldest_unanswered() {
        let now = Instant::now();
        let mut sends = Sends::default();
        assert_eq!(sends.admission(1_000, 4), Admission::New);
        for seq in [10, 11, 13] {
            sends.insert(pending(seq, now));
        }
        assert_eq!(sends.admission(11, 4), Admission::Unanswered);
        assert_eq!(sends.admission(12, 4), Admission::New);
        assert_eq!(sends.admission(14, 4), Admission::OutsideWindow);
        assert_eq!(sends.admission(9, 4), Admission::OutsideWindow);
        assert!(sends.answered(10).is_some() && sends.answered(10).is_none());
        assert_eq!(sends.admission(14, 4), Admission::New);
        sends.insert(pending(12, now));
        sends.insert(pending(14, now));
        assert_eq!(seqs(sends.pending.make_contiguous()), [11, 12, 13, 14]);
        assert_eq!(sends.admission(15, 4), Admission::OutsideWindow);
        assert_eq!(sends.bytes(), 20);
    }

    #[test]
    fn a_broken_link_brings_back_what_was_on_it_in_order_and_nothing_else() {
        let now = Instant::now();
        let mut sends = Sends::default();
        for (seq, link) in [(1, 1), (2, 2), (3, 1)] {
            sends.insert(Pending { link, ..pending(seq, now) });
        }
        sends.insert(Pending { ttl_ms: Some(0), ..pending(4, now) });
        assert_eq!(sends.link_lost(1, now), [GivenUp { seq: 4, code: ErrorCode::OutcomeUnknown }]);
        assert!(sends.is_waiting_for(0) && !sends.is_waiting_for(1));
        assert_eq!(seqs(&sends.due(now)), [1, 3]);
        sends.submitted(1, 5);
        sends.submitted(3, 5);
        assert!(sends.due(now + Duration::from_secs(1)).is_empty());
        assert!(!sends.is_waiting_for(0));
    }

    #[test]
    fn a_shard_that_moved_brings_back_what_was_submitted_elsewhere() {
        let now = Instant::now();
        let mut sends = Sends::default();
        for (seq, link, shard) in [(1, 1, 7), (2, 1, 8), (3, 2, 7), (4, 1, 7)] {
            sends.insert(Pending { link, shard, ..pending(seq, now) });
        }
        sends.insert(Pending { ttl_ms: Some(0), shard: 7, ..pending(5, now) });
        let gone = sends.moved(&[7], 2, now);
        assert_eq!(gone, [GivenUp { seq: 5, code: ErrorCode::OutcomeUnknown }]);
        assert_eq!(seqs(&sends.due(now)), [1, 4]);
    }

    #[test]
    fn patience_is_short_for_the_certain_and_long_for_the_unknown() {
        let now = Instant::now();
        let mut sends = Sends::default();
        sends.insert(pending(1, now));
        sends.insert(pending(2, now));
        sends.insert(pending(3, now));
        sends.again(1, false, now);
        sends.again(2, true, now);
        assert!(sends.deadline(PATIENCE).unwrap() <= now + PATIENCE.not_accepted);
        assert_eq!(
            sends.give_up(now + PATIENCE.not_accepted, PATIENCE),
            [GivenUp { seq: 1, code: ErrorCode::Unavailable }]
        );
        let unknown = |seq| GivenUp { seq, code: ErrorCode::OutcomeUnknown };
        assert_eq!(sends.give_up(now + PATIENCE.unknown, PATIENCE), [unknown(2), unknown(3)]);
        assert_eq!((sends.is_empty(), sends.bytes(), sends.deadline(PATIENCE)), (true, 0, None));
    }
}
