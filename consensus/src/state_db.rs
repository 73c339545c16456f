//! The state database: every group's applied state, readable by view, durable from time to time.
//!
//! Writes go to memory alone. [`StateDb::ensure_durable`] flushes it, and only what a flush covered may leave the Raft
//! log.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;
use rocksdb::{DB, Direction, IteratorMode, ReadOptions, WriteBatch, WriteOptions};

use crate::encoding::{self, Applied};
use crate::error::Error;
use crate::failure::{Failure, GroupFailure};
use crate::group_id::GroupId;
use crate::keys;
use crate::log_tail::next_index;
use crate::record::RecordError;
use crate::type_config::{LogId, StoredMembership};

/// How far a group was applied, and how far that is on disk. Both count entries: the index behind the last one.
#[derive(Debug, Default)]
pub(crate) struct AppliedMarks {
    applied_until: AtomicU64,
    durable_until: AtomicU64,
}

impl AppliedMarks {
    /// What a start finds on disk is durable, because nothing else survives.
    pub(crate) fn found(applied: Option<LogId>) -> Self {
        let until = next_index(applied);
        Self { applied_until: AtomicU64::new(until), durable_until: AtomicU64::new(until) }
    }

    pub(crate) fn applied(&self, last: LogId) {
        self.applied_until.fetch_max(last.index + 1, Ordering::AcqRel);
    }

    pub(crate) fn durable(&self, last: LogId) {
        self.applied(last);
        self.durable_until.fetch_max(last.index + 1, Ordering::AcqRel);
    }

    fn is_durable(&self, index: u64) -> bool {
        self.durable_until.load(Ordering::Acquire) > index
    }
}

/// The database and what is known about its groups.
pub(crate) struct StateDb {
    pub(crate) database: Arc<DB>,
    groups: Mutex<HashMap<GroupId, Arc<AppliedMarks>>>,
    /// One flush at a time; it serves everybody who waited.
    flushing: Mutex<()>,
    failure: Arc<Failure>,
}

impl StateDb {
    pub(crate) fn new(database: Arc<DB>, failure: Arc<Failure>) -> Self {
        Self { database, groups: Mutex::default(), flushing: Mutex::new(()), failure }
    }

    pub(crate) fn register(&self, group: GroupId, marks: Arc<AppliedMarks>) {
        self.groups.lock().insert(group, marks);
    }

    pub(crate) fn unregister(&self, group: GroupId) {
        self.groups.lock().remove(&group);
    }

    /// Returns once what was applied up to `index` is on disk; fails if that was not even applied.
    pub(crate) async fn ensure_durable(self: &Arc<Self>, group: GroupId, index: u64) -> Result<(), Error> {
        let marks = self.groups.lock().get(&group).cloned().ok_or(Error::NoSuchGroup(group))?;
        if marks.is_durable(index) {
            return Ok(());
        }
        let this = self.clone();
        let flush = move || this.flush_unless(|| marks.is_durable(index)).map(|()| marks.is_durable(index));
        let is_durable = tokio::task::spawn_blocking(flush).await.map_err(|_| Error::ShuttingDown)??;
        if !is_durable {
            let reason = format!("log entry {index} was to be purged before it was applied");
            return Err(Error::Inconsistent { group, reason });
        }
        Ok(())
    }

    /// Puts everything that was applied on disk. Blocks.
    pub(crate) fn flush(&self) -> Result<(), Error> {
        self.flush_unless(|| false)
    }

    fn flush_unless(&self, is_done: impl FnOnce() -> bool) -> Result<(), Error> {
        let _one_at_a_time = self.flushing.lock();
        if is_done() {
            return Ok(());
        }
        let covered: Vec<_> = {
            let groups = self.groups.lock();
            groups.values().map(|marks| (marks.clone(), marks.applied_until.load(Ordering::Acquire))).collect()
        };
        let begun = Instant::now();
        self.database.flush().map_err(|error| {
            self.failure.database_failed(&self.database, "flushing the state", &error);
            Error::from(error)
        })?;
        crate::metrics::state_flushed(begun.elapsed());
        for (marks, until) in covered {
            marks.durable_until.fetch_max(until, Ordering::AcqRel);
        }
        Ok(())
    }
}

/// One group's part of the state database. Cheap to clone.
#[derive(Clone)]
pub(crate) struct GroupState {
    group: GroupId,
    database: Arc<DB>,
    failure: GroupFailure,
}

impl GroupState {
    pub(crate) fn new(group: GroupId, database: Arc<DB>, failure: Arc<Failure>) -> Self {
        Self { group, database, failure: GroupFailure::new(group, failure) }
    }

    pub(crate) fn group(&self) -> GroupId {
        self.group
    }

    pub(crate) fn database(&self) -> &Arc<DB> {
        &self.database
    }

    pub(crate) fn reported<T>(&self, result: Result<T, rocksdb::Error>) -> Result<T, Error> {
        self.failure.read(&self.database, "the state", result)
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.failure.check()?;
        let stored = self.reported(self.database.get_pinned(self.data_key(key)))?;
        Ok(stored.map(|value| Bytes::copy_from_slice(&value)))
    }

    pub(crate) fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>, Error> {
        self.read_range(from, to, limit, Direction::Forward)
    }

    pub(crate) fn scan_reverse(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>, Error> {
        self.read_range(from, to, limit, Direction::Reverse)
    }

    fn read_range(
        &self,
        from: &[u8],
        to: &[u8],
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<(Bytes, Bytes)>, Error> {
        if from >= to || limit == 0 {
            return Ok(Vec::new());
        }
        self.failure.check()?;
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(self.data_key(from));
        options.set_iterate_upper_bound(self.data_key(to));
        let mode = if matches!(direction, Direction::Forward) { IteratorMode::Start } else { IteratorMode::End };
        let mut found = Vec::with_capacity(limit.min(256));
        for item in self.database.iterator_opt(mode, options).take(limit) {
            let (key, value) = self.reported(item)?;
            found.push((Bytes::from(key).slice(keys::DATA_PREFIX_BYTES..), Bytes::from(value)));
        }
        Ok(found)
    }

    /// The key in the database of a key of the state machine.
    pub(crate) fn data_key(&self, key: &[u8]) -> Vec<u8> {
        let mut whole = Vec::with_capacity(keys::DATA_PREFIX_BYTES + key.len());
        whole.extend_from_slice(&keys::data_prefix(self.group));
        whole.extend_from_slice(key);
        whole
    }

    /// What was applied last, with the members as of then.
    pub(crate) fn applied(&self) -> Result<(Applied, StoredMembership), Error> {
        let applied = self.record(&keys::applied(self.group), "the applied state", encoding::open_applied)?;
        let membership = self.record(&keys::membership(self.group), "the members", encoding::open_membership)?;
        Ok((applied.unwrap_or_default(), membership.unwrap_or_default()))
    }

    fn record<T>(
        &self,
        key: &[u8],
        what: &str,
        open: impl FnOnce(&[u8], &[u8]) -> Result<T, RecordError>,
    ) -> Result<Option<T>, Error> {
        let Some(stored) = self.reported(self.database.get_pinned(key))? else {
            return Ok(None);
        };
        let opened = open(key, &stored);
        let corrupt = |source| Error::Corrupt { group: self.group, what: what.to_owned(), source };
        opened.map(Some).map_err(corrupt).inspect_err(|error| self.failure.report(error))
    }

    /// Makes a batch visible, all at once; [`StateDb::flush`] makes it durable.
    pub(crate) fn write(&self, batch: WriteBatch) -> Result<(), Error> {
        if self.failure.have_writes_failed() {
            return Err(Error::Storage(self.failure.why().unwrap_or_default()));
        }
        let mut without_log = WriteOptions::default();
        without_log.disable_wal(true);
        self.database.write_opt(batch, &without_log).map_err(|error| {
            self.failure.database_failed(&self.database, "writing the state", &error);
            Error::from(error)
        })
    }

    pub(crate) fn write_failed(&self, what: &str, error: &rocksdb::Error) {
        self.failure.database_failed(&self.database, what, error);
    }

    /// Removes the group's state, visible at once.
    pub(crate) fn erase(&self) -> Result<(), Error> {
        let (from, to) = keys::state_range(self.group);
        let mut batch = WriteBatch::default();
        batch.delete_range(from, to);
        self.write(batch)
    }

    /// Removes the files that hold nothing but what was erased, and damaged blocks with them. The erasure must be
    /// flushed: without it, what an older file has would show.
    pub(crate) fn drop_erased_files(&self) -> Result<(), Error> {
        let (from, to) = keys::state_range(self.group);
        let dropped = self.database.delete_file_in_range(from, to);
        Ok(dropped.inspect_err(|error| self.write_failed("dropping files of the state", error))?)
    }

    /// Adds the records of what was applied to a batch.
    pub(crate) fn put_applied(
        &self,
        batch: &mut WriteBatch,
        applied: &Applied,
        membership: Option<&StoredMembership>,
    ) -> Result<(), RecordError> {
        let key = keys::applied(self.group);
        batch.put(key, encoding::seal_applied(&key, applied)?);
        if let Some(membership) = membership {
            let key = keys::membership(self.group);
            batch.put(key, encoding::seal_membership(&key, membership)?);
        }
        Ok(())
    }
}
