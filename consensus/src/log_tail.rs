//! The end of one group's log, in memory: appended entries can be read before they are on disk, and recent ones without
//! going there. Pure; [`crate::log_store`] puts the disk behind it.

use std::collections::VecDeque;

use crate::encoding::entry_cost;
use crate::type_config::{Entry, LogId, Vote};

pub(crate) struct LogTail {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// Entries on disk are let go above this many bytes.
    limit_bytes: usize,
    /// Entries below this index are on disk.
    flushed_until: u64,
    /// Where the log begins.
    first: u64,
    last: Option<LogId>,
    purged: Option<LogId>,
    vote: Option<Vote>,
    committed: Option<LogId>,
    committed_is_stored: bool,
    /// Grows whenever entries are taken away, so that a reader of the disk notices.
    removals: u64,
    appended_bytes: u64,
}

/// What [`LogTail::read`] found in memory, and what is to be read from disk before it.
#[derive(Debug, PartialEq)]
pub(crate) struct TailRead {
    /// Indexes to read from disk; empty when all is in memory.
    pub(crate) on_disk: std::ops::Range<u64>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) removals: u64,
}

impl LogTail {
    pub(crate) fn new(
        limit_bytes: usize,
        last: Option<LogId>,
        purged: Option<LogId>,
        vote: Option<Vote>,
        committed: Option<LogId>,
    ) -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
            limit_bytes,
            flushed_until: next_index(last),
            first: next_index(purged),
            last: last.max(purged),
            purged,
            vote,
            committed: committed.min(last.max(purged)),
            committed_is_stored: true,
            removals: 0,
            appended_bytes: 0,
        }
    }

    pub(crate) fn last(&self) -> Option<LogId> {
        self.last
    }

    pub(crate) fn purged(&self) -> Option<LogId> {
        self.purged
    }

    pub(crate) fn vote(&self) -> Option<Vote> {
        self.vote
    }

    pub(crate) fn set_vote(&mut self, vote: Vote) {
        self.vote = Some(vote);
    }

    pub(crate) fn committed(&self) -> Option<LogId> {
        self.committed
    }

    pub(crate) fn set_committed(&mut self, committed: Option<LogId>) {
        self.committed = committed;
        self.committed_is_stored = false;
    }

    /// The committed log id, when it is to be written along with entries up to `last`: never without what it speaks of,
    /// which may still be queued behind them.
    pub(crate) fn take_unstored_committed(&mut self, last: LogId) -> Option<LogId> {
        let committed = self.committed.filter(|committed| committed.index <= last.index)?;
        if std::mem::replace(&mut self.committed_is_stored, true) {
            return None;
        }
        Some(committed)
    }

    pub(crate) fn removals(&self) -> u64 {
        self.removals
    }

    /// Bytes appended since the group was started.
    pub(crate) fn appended_bytes(&self) -> u64 {
        self.appended_bytes
    }

    /// Adds entries behind the last one.
    pub(crate) fn append(&mut self, entries: &[Entry]) {
        if let Some(entry) = entries.first()
            && self.last == self.purged
        {
            self.first = entry.log_id.index;
        }
        for entry in entries {
            let cost = entry_cost(entry);
            self.bytes += cost;
            self.appended_bytes += cost as u64;
            self.last = Some(entry.log_id);
            self.entries.push_back(entry.clone());
        }
    }

    /// Entries up to `last` are on disk; what is too much in memory goes.
    pub(crate) fn flushed(&mut self, last: LogId) {
        // A truncation may have overtaken the flush of entries that it took away.
        let until = (last.index + 1).min(next_index(self.last));
        self.flushed_until = self.flushed_until.max(until);
        while self.bytes > self.limit_bytes {
            match self.entries.front() {
                Some(front) if front.log_id.index < self.flushed_until => self.pop_front(),
                _ => break,
            }
        }
    }

    fn pop_front(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes -= entry_cost(&entry);
        }
    }

    /// Removes entries behind `last`; where there are none, nothing changes.
    pub(crate) fn truncate_after(&mut self, last: Option<LogId>) {
        let end = next_index(last);
        if end >= next_index(self.last) {
            return;
        }
        while let Some(entry) = self.entries.pop_back_if(|entry| entry.log_id.index >= end) {
            self.bytes -= entry_cost(&entry);
        }
        self.last = last.max(self.purged);
        self.flushed_until = self.flushed_until.min(end);
        self.removals += 1;
    }

    /// Removes entries up to and with `upto`, which may lie behind the last one.
    pub(crate) fn purge(&mut self, upto: LogId) {
        while self.entries.front().is_some_and(|front| front.log_id.index <= upto.index) {
            self.pop_front();
        }
        self.purged = self.purged.max(Some(upto));
        self.first = self.first.max(upto.index + 1);
        if next_index(self.last) <= upto.index {
            self.last = Some(upto);
            self.flushed_until = upto.index + 1;
        }
        self.removals += 1;
    }

    /// Entries with `from <= index < to`, cut to what the log has.
    pub(crate) fn read(&self, from: u64, to: u64) -> TailRead {
        let from = from.max(self.first);
        let to = to.min(next_index(self.last));
        if from >= to {
            return TailRead { on_disk: 0..0, entries: Vec::new(), removals: self.removals };
        }
        let first_in_memory = self.entries.front().map_or(next_index(self.last), |front| front.log_id.index);
        let on_disk = if from < first_in_memory { from..to.min(first_in_memory) } else { 0..0 };
        let skip = from.saturating_sub(first_in_memory) as usize;
        let take = to.saturating_sub(first_in_memory.max(from)) as usize;
        let entries = self.entries.iter().skip(skip).take(take).cloned().collect();
        TailRead { on_disk, entries, removals: self.removals }
    }
}

/// The index behind a log id; 0 for an empty log.
pub(crate) fn next_index(id: Option<LogId>) -> u64 {
    id.map_or(0, |id| id.index + 1)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use openraft::entry::RaftEntry;

    use super::*;
    use crate::command_batch::CommandBatch;
    use crate::type_config::log_id;

    fn entry(index: u64, bytes: usize) -> Entry {
        Entry::new_normal(log_id(1, 1, index), CommandBatch::from_bytes(Bytes::from(vec![7; bytes])))
    }

    fn tail(limit_bytes: usize, entries: std::ops::Range<u64>) -> LogTail {
        let mut tail = LogTail::new(limit_bytes, None, None, None, None);
        tail.append(&entries.map(|index| entry(index, 36)).collect::<Vec<_>>());
        tail
    }

    fn indexes(read: &TailRead) -> Vec<u64> {
        read.entries.iter().map(|entry| entry.log_id.index).collect()
    }

    #[test]
    fn entries_are_readable_before_they_are_flushed_and_never_let_go_until_then() {
        let mut tail = tail(150, 0..4);
        assert_eq!(indexes(&tail.read(1, 9)), [1, 2, 3]);
        tail.flushed(log_id(1, 1, 1));
        // 100 bytes each: two of four may go, and both are on disk.
        assert_eq!(tail.read(0, 9).on_disk, 0..2);
        assert_eq!(indexes(&tail.read(0, 9)), [2, 3]);
        tail.flushed(log_id(1, 1, 3));
        assert_eq!(tail.read(0, 9).on_disk, 0..3);
        assert_eq!(indexes(&tail.read(0, 9)), [3]);
        assert_eq!(tail.read(0, 2).on_disk, 0..2);
        assert_eq!(indexes(&tail.read(0, 2)), [0; 0]);
    }

    #[test]
    fn the_commit_mark_is_stored_once_and_never_before_what_it_speaks_of() {
        let mut tail = tail(1000, 0..5);
        tail.set_committed(Some(log_id(1, 1, 3)));
        assert_eq!(tail.take_unstored_committed(log_id(1, 1, 2)), None);
        assert_eq!(tail.take_unstored_committed(log_id(1, 1, 4)), Some(log_id(1, 1, 3)));
        assert_eq!(tail.take_unstored_committed(log_id(1, 1, 4)), None);
        let reopened = LogTail::new(0, Some(log_id(1, 1, 2)), None, None, Some(log_id(1, 1, 3)));
        assert_eq!(reopened.committed(), Some(log_id(1, 1, 2)));
    }

    #[test]
    fn truncation_removes_the_end() {
        let mut tail = tail(1000, 0..5);
        tail.truncate_after(Some(log_id(1, 1, 2)));
        assert_eq!(tail.last(), Some(log_id(1, 1, 2)));
        assert_eq!(indexes(&tail.read(0, 9)), [0, 1, 2]);
        // The flush of what was truncated comes late, and counts for what is left alone.
        tail.flushed(log_id(1, 1, 4));
        tail.append(&[entry(3, 36)]);
        tail.limit_bytes = 0;
        tail.flushed(log_id(1, 1, 2));
        assert_eq!(indexes(&tail.read(0, 9)), [3]);
        tail.truncate_after(None);
        assert_eq!(tail.last(), None);
        assert_eq!(tail.read(0, 9).entries, []);
    }

    #[test]
    fn purging_removes_the_beginning_and_may_pass_the_end() {
        let mut tail = tail(1000, 0..5);
        tail.purge(log_id(1, 1, 1));
        assert_eq!(indexes(&tail.read(0, 9)), [2, 3, 4]);
        assert_eq!(tail.read(0, 9).on_disk, 0..0);
        tail.purge(log_id(2, 1, 10));
        assert_eq!((tail.last(), tail.purged()), (Some(log_id(2, 1, 10)), Some(log_id(2, 1, 10))));
        tail.append(&[entry(11, 1)]);
        assert_eq!(indexes(&tail.read(0, 99)), [11]);
    }
}
