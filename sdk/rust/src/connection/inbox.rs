//! Where the device stands in its mailbox: what came, what the application has dealt with, and whether something is
//! missing between (promises 2 and 4).

use std::collections::VecDeque;

/// What to do with a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The application has not seen it: hand it on.
    New,
    /// The application was given it before.
    Duplicate,
    /// Something between is missing: connect again with the own cursor.
    Gap,
}

/// The device's place in its mailbox.
#[derive(Debug, Default)]
pub struct Inbox {
    /// Everything up to here was dealt with; what `Resume` and `Ack` carry.
    cursor: u64,
    /// The last number of this connection.
    chain: u64,
    /// The highest number that the application was given.
    received: u64,
    /// Given to the application, above the cursor: number, and whether it was acknowledged.
    open: VecDeque<(u64, bool)>,
    /// The backlog of this connection ends here, until it was reached.
    backlog_end: Option<u64>,
    generation: u32,
}

impl Inbox {
    /// A device that stands at `cursor`.
    pub fn new(cursor: u64) -> Self {
        Self { cursor, chain: cursor, received: cursor, ..Self::default() }
    }

    /// Everything up to here was dealt with by the application.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// What can be acknowledged in this connection: not what it has yet to deliver again.
    pub fn acknowledgeable(&self) -> u64 {
        self.cursor.min(self.chain)
    }

    /// Rises when numbers lose their meaning; acknowledgements of an earlier generation are void.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// A connection begins; it delivers what follows `cursor`, and its backlog ends at `tail`.
    pub fn connected(&mut self, cursor: u64, tail: u64) {
        self.chain = cursor;
        self.backlog_end = Some(tail);
        if cursor > self.cursor {
            // The server will not deliver what lies between: there is nothing left to wait for.
            self.cursor = cursor;
            self.open.retain(|(seq, _)| *seq > cursor);
        }
        self.received = self.received.max(cursor);
    }

    /// The mailbox is another one: the old numbers mean nothing.
    pub fn start_over(&mut self, cursor: u64) {
        *self = Self { generation: self.generation.wrapping_add(1), ..Self::new(cursor) };
    }

    /// A delivery came.
    pub fn arrive(&mut self, seq: u64, after: u64) -> Arrival {
        if after != self.chain || seq <= after {
            return Arrival::Gap;
        }
        self.chain = seq;
        if seq <= self.received {
            return Arrival::Duplicate;
        }
        self.received = seq;
        self.open.push_back((seq, false));
        Arrival::New
    }

    /// Whether the backlog has just been reached; says so once for each connection.
    pub fn caught_up(&mut self) -> bool {
        let reached = self.backlog_end.is_some_and(|end| self.chain >= end);
        if reached {
            self.backlog_end = None;
        }
        reached
    }

    /// The application dealt with one entry. Answers whether the cursor moved.
    pub fn acknowledge(&mut self, generation: u32, seq: u64) -> bool {
        if generation != self.generation {
            return false;
        }
        if let Ok(index) = self.open.binary_search_by_key(&seq, |(number, _)| *number) {
            self.open[index].1 = true;
        }
        let before = self.cursor;
        while let Some((number, true)) = self.open.front().copied() {
            self.cursor = number;
            self.open.pop_front();
        }
        self.cursor > before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_moves_over_what_is_acknowledged_without_a_gap() {
        let mut inbox = Inbox::new(10);
        for (after, seq) in [(10, 11), (11, 15), (15, 16)] {
            assert_eq!(inbox.arrive(seq, after), Arrival::New);
        }
        assert!(!inbox.acknowledge(0, 15));
        assert_eq!(inbox.cursor(), 10);
        assert!(inbox.acknowledge(0, 11));
        assert_eq!(inbox.cursor(), 15);
        assert!(!inbox.acknowledge(0, 11), "an acknowledgement twice changes nothing");
    }

    #[test]
    fn redelivery_after_a_reconnect_is_passed_over_and_a_gap_is_seen() {
        let mut inbox = Inbox::new(0);
        assert_eq!(inbox.arrive(1, 0), Arrival::New);
        assert_eq!(inbox.arrive(2, 1), Arrival::New);
        inbox.connected(0, 3);
        assert_eq!(inbox.arrive(1, 0), Arrival::Duplicate);
        assert_eq!(inbox.arrive(2, 1), Arrival::Duplicate);
        assert!(!inbox.caught_up());
        assert_eq!(inbox.arrive(3, 2), Arrival::New);
        assert!(inbox.caught_up());
        assert!(!inbox.caught_up());
        assert_eq!(inbox.arrive(6, 5), Arrival::Gap);
    }

    #[test]
    fn acknowledgements_for_an_earlier_mailbox_are_void() {
        let mut inbox = Inbox::new(0);
        inbox.arrive(1, 0);
        inbox.start_over(0);
        inbox.arrive(1, 0);
        assert!(!inbox.acknowledge(0, 1));
        assert!(inbox.acknowledge(1, 1));
    }
}
