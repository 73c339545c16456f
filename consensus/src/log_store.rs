//! One group's log: the tail in memory, the rest in the log database, writes through the log-writer thread.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use futures_util::{Stream, stream};
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use openraft::{OptionalSend, RaftTypeConfig};
use parking_lot::Mutex;
use rocksdb::{DB, Direction, IteratorMode, ReadOptions};
use tokio::sync::mpsc;

use crate::encoding;
use crate::error::Error;
use crate::failure::{Failure, GroupFailure};
use crate::group_id::GroupId;
use crate::keys;
use crate::log_tail::{LogTail, next_index};
use crate::log_writer::{self, Job};
use crate::record::RecordError;
use crate::state_db::StateDb;
use crate::type_config::{Entry, LogId, TypeConfig, Vote};

/// Entries handed to a follower or to apply at once, in bytes, unless a single one is larger.
const READ_BYTES: usize = 2 * 1024 * 1024;

/// The log of one group on this node.
pub(crate) struct GroupLog {
    group: GroupId,
    database: Arc<DB>,
    tail: Mutex<LogTail>,
    failure: GroupFailure,
}

impl GroupLog {
    /// Reads the ends of the log from disk. Blocks.
    pub(crate) fn open(
        group: GroupId,
        database: Arc<DB>,
        cache_bytes: usize,
        failure: Arc<Failure>,
    ) -> Result<Self, Error> {
        let failure = GroupFailure::new(group, failure);
        let get = |key: [u8; 5], what: &str| failure.read(&database, what, database.get(key));
        let read = |key: [u8; 5], what: &str| -> Result<Option<LogId>, Error> {
            let stored = get(key, what)?;
            stored.map(|stored| encoding::open_log_id(&key, &stored)).transpose().map_err(corrupt(group, what))
        };
        let purged = read(keys::purged(group), "the purge mark")?;
        let committed = read(keys::committed(group), "the commit mark")?;
        let vote_key = keys::vote(group);
        let vote = get(vote_key, "the vote")?.map(|stored| encoding::open_vote(&vote_key, &stored));
        let vote = vote.transpose().map_err(corrupt(group, "the vote"))?;
        let last = last_entry(&database, group, &failure)?.map(|entry| entry.log_id);
        let tail = LogTail::new(cache_bytes, last, purged, vote, committed);
        Ok(Self { group, database, tail: Mutex::new(tail), failure })
    }

    pub(crate) fn group(&self) -> GroupId {
        self.group
    }

    pub(crate) fn has_vote(&self) -> bool {
        self.tail.lock().vote().is_some()
    }

    pub(crate) fn purged(&self) -> Option<LogId> {
        self.tail.lock().purged()
    }

    /// Bytes appended since the group was started.
    pub(crate) fn appended_bytes(&self) -> u64 {
        self.tail.lock().appended_bytes()
    }

    pub(crate) fn flushed(&self, last: LogId) {
        self.tail.lock().flushed(last);
    }

    pub(crate) fn take_unstored_committed(&self, last: LogId) -> Option<LogId> {
        self.tail.lock().take_unstored_committed(last)
    }

    /// Entries with `from <= index < to`, as many as the log has; at least one if it has one, then no more than
    /// `limit_bytes`.
    fn read(&self, from: u64, to: u64, limit_bytes: usize) -> Result<Vec<Entry>, Error> {
        loop {
            let in_memory = self.tail.lock().read(from, to);
            if in_memory.on_disk.is_empty() {
                return Ok(within(in_memory.entries, limit_bytes));
            }
            let expected = in_memory.on_disk.end;
            let read = self.read_disk(in_memory.on_disk, limit_bytes);
            if self.tail.lock().removals() != in_memory.removals {
                // Entries were taken away meanwhile: what was read may have holes.
                continue;
            }
            let mut entries = read.inspect_err(|error| self.failure.report(error))?;
            if entries.last().is_some_and(|last| last.log_id.index + 1 == expected) {
                entries.extend(in_memory.entries);
            }
            return Ok(within(entries, limit_bytes));
        }
    }

    /// Reads consecutive entries from the database; stops when there are enough bytes.
    fn read_disk(&self, range: std::ops::Range<u64>, limit_bytes: usize) -> Result<Vec<Entry>, Error> {
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(keys::entry(self.group, range.end));
        let start = keys::entry(self.group, range.start);
        let stored = self.database.iterator_opt(IteratorMode::From(&start, Direction::Forward), options);
        let mut entries = Vec::new();
        let mut bytes = 0;
        let mut next = range.start;
        for item in stored {
            let (key, record) = self.failure.read(&self.database, "the log", item)?;
            if keys::entry_index(self.group, &key) != Some(next) {
                break;
            }
            let entry = encoding::open_entry(&key, next, &record).map_err(|source| self.corrupt_entry(next, source))?;
            bytes += encoding::entry_cost(&entry);
            entries.push(entry);
            next += 1;
            if bytes >= limit_bytes {
                return Ok(entries);
            }
        }
        if next < range.end {
            let reason = format!("its log has a hole at entry {next}");
            return Err(Error::Inconsistent { group: self.group, reason });
        }
        Ok(entries)
    }

    fn corrupt_entry(&self, index: u64, source: RecordError) -> Error {
        corrupt(self.group, &format!("log entry {index}"))(source)
    }
}

fn corrupt(group: GroupId, what: &str) -> impl FnOnce(RecordError) -> Error {
    let what = what.to_owned();
    move |source| Error::Corrupt { group, what, source }
}

fn last_entry(database: &DB, group: GroupId, failure: &GroupFailure) -> Result<Option<Entry>, Error> {
    let mut options = ReadOptions::default();
    options.set_iterate_lower_bound(keys::entry(group, 0));
    options.set_iterate_upper_bound(keys::entries_end(group));
    let Some(item) = database.iterator_opt(IteratorMode::End, options).next() else {
        return Ok(None);
    };
    let (key, record) = failure.read(database, "the log", item)?;
    let index = keys::entry_index(group, &key)
        .ok_or_else(|| Error::Inconsistent { group, reason: "a key between its log entries is not one".to_owned() })?;
    encoding::open_entry(&key, index, &record).map(Some).map_err(corrupt(group, &format!("log entry {index}")))
}

fn within(mut entries: Vec<Entry>, limit_bytes: usize) -> Vec<Entry> {
    let mut bytes = 0;
    let fitting = entries.iter().take_while(|entry| {
        let fits = bytes < limit_bytes;
        bytes += encoding::entry_cost(entry);
        fits
    });
    let fitting = fitting.count();
    entries.truncate(fitting);
    entries
}

/// What Raft reads and writes its log through. Clones share the log.
#[derive(Clone)]
pub(crate) struct LogStore {
    log: Arc<GroupLog>,
    queue: mpsc::Sender<Job>,
    state: Arc<StateDb>,
}

impl LogStore {
    pub(crate) fn new(log: Arc<GroupLog>, queue: mpsc::Sender<Job>, state: Arc<StateDb>) -> Self {
        Self { log, queue, state }
    }
}

fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let from = match range.start_bound() {
        Bound::Included(from) => *from,
        Bound::Excluded(before) => before + 1,
        Bound::Unbounded => 0,
    };
    let to = match range.end_bound() {
        Bound::Included(last) => last.saturating_add(1),
        Bound::Excluded(to) => *to,
        Bound::Unbounded => u64::MAX,
    };
    (from, to)
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        let (from, to) = bounds(&range);
        Ok(self.log.read(from, to, usize::MAX)?)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        Ok(self.log.read(start, end, READ_BYTES)?)
    }

    /// Reads as the consumer goes on, so that a long way to catch up does not have to fit into memory.
    async fn entries_stream<RB>(&mut self, range: RB) -> impl Stream<Item = io::Result<Entry>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (from, to) = bounds(&range);
        let pages = stream::unfold((self.log.clone(), from), move |(log, from)| async move {
            let page = log.read(from, to, READ_BYTES);
            let next = match &page {
                Ok(entries) => entries.last()?.log_id.index + 1,
                Err(_) => to,
            };
            let items: Vec<io::Result<Entry>> = match page {
                Ok(entries) => entries.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error.into())],
            };
            Some((stream::iter(items), (log, next)))
        });
        futures_util::StreamExt::flatten(pages)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.log.tail.lock().vote())
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let tail = self.log.tail.lock();
        Ok(LogState { last_purged_log_id: tail.purged(), last_log_id: tail.last() })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let key = keys::vote(self.log.group);
        let record = encoding::seal_vote(&key, vote).map_err(io::Error::other)?;
        log_writer::write(&self.queue, |done| Job::Put { key: key.to_vec(), record, done }).await?;
        self.log.tail.lock().set_vote(*vote);
        Ok(())
    }

    /// Kept in memory and written along with the next entries: after a crash it may be a little old, which is allowed.
    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        self.log.tail.lock().set_committed(committed);
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.log.tail.lock().committed())
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = <TypeConfig as RaftTypeConfig>::Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let place = self.queue.reserve().await.map_err(|_| log_writer::stopped())?;
        self.log.tail.lock().append(&entries);
        place.send(Job::Append { log: self.log.clone(), entries, flushed: callback });
        Ok(())
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> io::Result<()> {
        self.log.tail.lock().truncate_after(last_log_id);
        let (group, from) = (self.log.group, next_index(last_log_id));
        log_writer::write(&self.queue, |done| Job::Truncate { group, from, done }).await
    }

    /// The state database has no log of its own: entries may go only once what they did is on disk.
    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        self.state.ensure_durable(self.log.group, upto.index).await?;
        let from = next_index(self.log.purged());
        if upto.index < from {
            return Ok(());
        }
        let place = self.queue.reserve().await.map_err(|_| log_writer::stopped())?;
        self.log.tail.lock().purge(upto);
        place.send(Job::Purge { group: self.log.group, from, upto });
        Ok(())
    }
}
