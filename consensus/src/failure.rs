//! What is wrong with the storage of this process, once something is.
//!
//! A failed write concerns the whole process: all groups share the log, and what a failed fsync has lost is unknown.
//! What cannot be read concerns the group that it belongs to alone: its replica stops, and the others go on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rocksdb::{DB, ErrorKind};
use tokio::sync::watch;

use crate::error::Error;
use crate::group_id::GroupId;
use crate::salvage;

/// Keeps the first reason. A failed write is final: a retry after a failed fsync could report as durable what the
/// kernel has already thrown away, so nothing is written any more until the process opens the store anew.
pub(crate) struct Failure {
    writes_failed: AtomicBool,
    reason: watch::Sender<Option<String>>,
    damaged: watch::Sender<BTreeMap<GroupId, String>>,
    /// How many groups are in `damaged`, so that the usual answer takes no lock.
    damaged_groups: AtomicUsize,
}

/// Whether what is stored cannot be had any more, as opposed to a machine that lacks something at the moment.
pub(crate) fn is_damage(error: &rocksdb::Error) -> bool {
    const LOST: [&str; 2] = ["Input/output error", "No such file or directory"];
    match error.kind() {
        ErrorKind::Corruption => true,
        // A sector that cannot be read, or a file that is gone.
        ErrorKind::IOError => LOST.iter().any(|lost| error.as_ref().contains(lost)),
        _ => false,
    }
}

impl Failure {
    pub(crate) fn new() -> Self {
        Self {
            writes_failed: AtomicBool::new(false),
            reason: watch::Sender::new(None),
            damaged: watch::Sender::default(),
            damaged_groups: AtomicUsize::new(0),
        }
    }

    /// A write failed: nothing is accepted from now on, by any group.
    pub(crate) fn write_failed(&self, reason: String) {
        self.writes_failed.store(true, Ordering::Release);
        self.report(reason);
    }

    /// A database refused a write. Where a damaged file is why, the next start writes the database anew without it.
    pub(crate) fn database_failed(&self, database: &DB, what: &str, error: &rocksdb::Error) {
        if error.kind() == ErrorKind::Corruption {
            salvage::request(database.path());
            let path = database.path().display();
            return self.write_failed(format!(
                "{what}: {error}. A file of the database in {path} is damaged; the next start of this process leaves it out"
            ));
        }
        self.write_failed(format!("{what}: {error}"));
    }

    /// The storage of the whole process failed.
    pub(crate) fn report(&self, reason: String) {
        tracing::error!(reason, "storage failed");
        crate::metrics::storage_failed();
        self.reason.send_if_modified(|current| {
            let first = current.is_none();
            if first {
                *current = Some(reason);
            }
            first
        });
    }

    /// Something that is stored of a group is damaged: the group stops, the others go on. The first reason stays.
    pub(crate) fn damaged(&self, group: GroupId, reason: String) {
        if self.have_writes_failed() {
            return;
        }
        let is_new = self.damaged.send_if_modified(|groups| {
            let is_new = !groups.contains_key(&group);
            if is_new {
                tracing::error!(%group, reason, "the replica is damaged; it stops");
                groups.insert(group, reason);
                self.damaged_groups.store(groups.len(), Ordering::Release);
            }
            is_new
        });
        if is_new {
            crate::metrics::damage_found(self.damaged_groups.load(Ordering::Acquire));
        }
    }

    /// Nothing is stored of the group any more.
    pub(crate) fn erased(&self, group: GroupId) {
        self.damaged.send_if_modified(|groups| {
            let was_damaged = groups.remove(&group).is_some();
            self.damaged_groups.store(groups.len(), Ordering::Release);
            was_damaged
        });
        crate::metrics::damaged_groups(self.damaged_groups.load(Ordering::Acquire));
    }

    /// Why the group is damaged, if it is.
    pub(crate) fn damage(&self, group: GroupId) -> Option<String> {
        if self.damaged_groups.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.damaged.borrow().get(&group).cloned()
    }

    pub(crate) fn have_writes_failed(&self) -> bool {
        self.writes_failed.load(Ordering::Acquire)
    }

    pub(crate) fn why(&self) -> Option<String> {
        self.reason.borrow().clone()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Option<String>> {
        self.reason.subscribe()
    }

    pub(crate) fn watch_damaged(&self) -> watch::Receiver<BTreeMap<GroupId, String>> {
        self.damaged.subscribe()
    }
}

/// What one group reports to, and asks.
#[derive(Clone)]
pub(crate) struct GroupFailure {
    group: GroupId,
    failure: Arc<Failure>,
}

impl GroupFailure {
    pub(crate) fn new(group: GroupId, failure: Arc<Failure>) -> Self {
        Self { group, failure }
    }

    /// The outcome of reading from a database: damage stops the group, any other error the process. Where RocksDB
    /// itself found the damage, its compactions stop too: one that reads the damaged block would stop all writes.
    pub(crate) fn read<T>(&self, database: &DB, what: &str, read: Result<T, rocksdb::Error>) -> Result<T, Error> {
        read.map_err(|error| {
            let reason = format!("reading {what} of group {}: {error}", self.group);
            if is_damage(&error) {
                salvage::hold_compactions(database);
                self.damaged(reason.clone());
                Error::Damaged { group: self.group, reason }
            } else {
                self.failure.report(reason);
                Error::from(error)
            }
        })
    }

    /// See [`Failure::damaged`].
    pub(crate) fn damaged(&self, reason: String) {
        self.failure.damaged(self.group, reason);
    }

    /// Reports an error by what it concerns. A shutdown is none, and what fails after damage was found is its
    /// consequence.
    pub(crate) fn report(&self, error: &Error) {
        match error {
            Error::ShuttingDown => {}
            error if error.is_damage() => self.damaged(error.to_string()),
            _ if self.check().is_err() => {}
            error => self.failure.report(format!("group {}: {error}", self.group)),
        }
    }

    /// Fails once the group is damaged.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let group = self.group;
        self.failure.damage(group).map_or(Ok(()), |reason| Err(Error::Damaged { group, reason }))
    }

    pub(crate) fn database_failed(&self, database: &DB, what: &str, error: &rocksdb::Error) {
        self.failure.database_failed(database, &format!("{what} of group {}", self.group), error);
    }

    pub(crate) fn have_writes_failed(&self) -> bool {
        self.failure.have_writes_failed()
    }

    /// Why this group cannot go on: the process's storage failed, or the group is damaged.
    pub(crate) fn why(&self) -> Option<String> {
        self.failure.why().or_else(|| self.failure.damage(self.group))
    }
}
