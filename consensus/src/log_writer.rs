//! The one thread that writes to the log database, for all groups of the node.
//!
//! It takes what is queued, writes it in one batch with one fsync, and only then tells everybody (promise 1). While it
//! waits for the disk the next batch gathers: the fewer fsyncs the disk can do, the more each of them carries.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use openraft::storage::IOFlushed;
use rocksdb::{DB, WriteBatch, WriteOptions};
use tokio::sync::{mpsc, oneshot};

use crate::encoding;
use crate::failure::Failure;
use crate::group_id::GroupId;
use crate::keys;
use crate::log_store::GroupLog;
use crate::record::RecordError;
use crate::type_config::{Entry, LogId, TypeConfig};

/// Jobs and bytes that go into one fsync, at most.
const MAX_JOBS: usize = 4096;
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Told once the write is on disk, or has failed.
pub(crate) type Done = oneshot::Sender<io::Result<()>>;

/// A write to the log database. Jobs are carried out in the order in which they were queued.
pub(crate) enum Job {
    Append {
        log: Arc<GroupLog>,
        entries: Vec<Entry>,
        flushed: IOFlushed<TypeConfig>,
    },
    Put {
        key: Vec<u8>,
        record: Vec<u8>,
        done: Done,
    },
    Delete {
        key: Vec<u8>,
        done: Done,
    },
    /// Removes a group's entries from this index on.
    Truncate {
        group: GroupId,
        from: u64,
        done: Done,
    },
    /// Removes a group's entries up to this one. Nobody waits: a purge that is lost in a crash is made again.
    Purge {
        group: GroupId,
        from: u64,
        upto: LogId,
    },
    /// Removes all that is known of a group, its mark of damage too.
    Erase {
        group: GroupId,
        done: Done,
    },
}

/// What the thread has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogStats {
    /// Synced writes.
    pub fsyncs: u64,
    /// Log entries and metadata records written.
    pub records: u64,
    /// Bytes of them.
    pub bytes: u64,
}

#[derive(Default)]
struct Counters {
    fsyncs: AtomicU64,
    records: AtomicU64,
    bytes: AtomicU64,
}

/// The queue of the thread, and the thread.
pub(crate) struct LogWriter {
    queue: mpsc::Sender<Job>,
    counters: Arc<Counters>,
    thread: JoinHandle<()>,
}

impl LogWriter {
    pub(crate) fn start(
        database: Arc<DB>,
        queue_length: usize,
        failure: Arc<Failure>,
        #[cfg(test)] fault: WriteFault,
    ) -> io::Result<Self> {
        let (queue, jobs) = mpsc::channel(queue_length);
        let counters = Arc::new(Counters::default());
        let mut synced = WriteOptions::default();
        synced.set_sync(true);
        let worker = Worker {
            database,
            synced,
            failure,
            counters: counters.clone(),
            record: Vec::new(),
            #[cfg(test)]
            fault,
        };
        let thread = std::thread::Builder::new().name("log-writer".to_owned()).spawn(move || worker.run(jobs))?;
        Ok(Self { queue, counters, thread })
    }

    pub(crate) fn queue(&self) -> mpsc::Sender<Job> {
        self.queue.clone()
    }

    pub(crate) fn stats(&self) -> LogStats {
        LogStats {
            fsyncs: self.counters.fsyncs.load(Ordering::Relaxed),
            records: self.counters.records.load(Ordering::Relaxed),
            bytes: self.counters.bytes.load(Ordering::Relaxed),
        }
    }

    /// Waits until all queues are closed and what was in them is written. Blocks.
    pub(crate) fn join(self) {
        drop(self.queue);
        if self.thread.join().is_err() {
            tracing::error!("the log-writer thread panicked");
        }
    }
}

/// Queues a job and waits until it is on disk.
pub(crate) async fn write(queue: &mpsc::Sender<Job>, job: impl FnOnce(Done) -> Job) -> io::Result<()> {
    let (done, written) = oneshot::channel();
    queue.send(job(done)).await.map_err(|_| stopped())?;
    written.await.map_err(|_| stopped())?
}

pub(crate) fn stopped() -> io::Error {
    io::Error::other("the log writer has stopped")
}

struct Worker {
    database: Arc<DB>,
    synced: WriteOptions,
    failure: Arc<Failure>,
    counters: Arc<Counters>,
    /// Scratch space for one record.
    record: Vec<u8>,
    #[cfg(test)]
    fault: WriteFault,
}

/// What is to be told after the write.
enum Completion {
    Flushed { log: Arc<GroupLog>, last: Option<LogId>, flushed: IOFlushed<TypeConfig> },
    Done(Done),
    Nobody,
}

impl Worker {
    fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut taken = Vec::with_capacity(64);
        while let Some(first) = jobs.blocking_recv() {
            let mut bytes = first.bytes();
            taken.push(first);
            while taken.len() < MAX_JOBS
                && bytes < MAX_BYTES
                && let Ok(job) = jobs.try_recv()
            {
                bytes += job.bytes();
                taken.push(job);
            }
            self.carry_out(&mut taken);
        }
    }

    fn carry_out(&mut self, jobs: &mut Vec<Job>) {
        let mut completions = Vec::with_capacity(jobs.len());
        let mut batch = WriteBatch::default();
        let mut encoded = Ok(());
        for job in jobs.drain(..) {
            if encoded.is_ok() {
                encoded = self.add(&job, &mut batch);
            }
            completions.push(job.into_completion());
        }
        let written = match encoded {
            Ok(()) => self.write(batch),
            Err(error) => Err(error.to_string()),
        };
        if let Err(reason) = &written {
            self.failure.write_failed(format!("writing the log: {reason}"));
        }
        for completion in completions {
            let result = written.clone().map_err(io::Error::other);
            match completion {
                Completion::Flushed { log, last, flushed } => {
                    if let (Ok(()), Some(last)) = (&result, last) {
                        log.flushed(last);
                    }
                    flushed.io_completed(result);
                }
                // Whoever asked may be gone.
                Completion::Done(done) => drop(done.send(result)),
                Completion::Nobody => {}
            }
        }
    }

    fn write(&mut self, batch: WriteBatch) -> Result<(), String> {
        if self.failure.have_writes_failed() {
            return Err(self.failure.why().unwrap_or_default());
        }
        #[cfg(test)]
        self.fault.check()?;
        let (records, bytes) = (batch.len() as u64, batch.size_in_bytes() as u64);
        let begun = Instant::now();
        self.database.write_opt(batch, &self.synced).map_err(|error| {
            self.failure.database_failed(&self.database, "writing the log", &error);
            error.to_string()
        })?;
        crate::metrics::log_written(records, bytes, begun.elapsed());
        self.counters.fsyncs.fetch_add(1, Ordering::Relaxed);
        self.counters.records.fetch_add(records, Ordering::Relaxed);
        self.counters.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    fn add(&mut self, job: &Job, batch: &mut WriteBatch) -> Result<(), RecordError> {
        match job {
            Job::Append { log, entries, .. } => {
                for entry in entries {
                    let key = keys::entry(log.group(), entry.log_id.index);
                    encoding::seal_entry(&key, entry, &mut self.record)?;
                    batch.put(key, &self.record);
                }
                let last = entries.last().map(|entry| entry.log_id);
                if let Some(committed) = last.and_then(|last| log.take_unstored_committed(last)) {
                    let key = keys::committed(log.group());
                    batch.put(key, encoding::seal_log_id(&key, &committed)?);
                }
            }
            Job::Put { key, record, .. } => batch.put(key, record),
            Job::Delete { key, .. } => batch.delete(key),
            Job::Truncate { group, from, .. } => {
                batch.delete_range(keys::entry(*group, *from).as_slice(), keys::entries_end(*group).as_slice());
            }
            Job::Purge { group, from, upto } => {
                let key = keys::purged(*group);
                batch.put(key, encoding::seal_log_id(&key, upto)?);
                batch.delete_range(keys::entry(*group, *from), keys::entry(*group, upto.index + 1));
            }
            Job::Erase { group, .. } => {
                batch.delete_range(keys::entry(*group, 0).as_slice(), keys::entries_end(*group).as_slice());
                for key in [keys::vote, keys::committed, keys::purged, keys::installing, keys::damaged] {
                    batch.delete(key(*group));
                }
            }
        }
        Ok(())
    }
}

impl Job {
    fn bytes(&self) -> usize {
        match self {
            Self::Append { entries, .. } => entries.iter().map(encoding::entry_cost).sum(),
            _ => 128,
        }
    }

    fn into_completion(self) -> Completion {
        match self {
            Self::Append { log, entries, flushed } => {
                Completion::Flushed { log, last: entries.last().map(|entry| entry.log_id), flushed }
            }
            Self::Put { done, .. }
            | Self::Delete { done, .. }
            | Self::Truncate { done, .. }
            | Self::Erase { done, .. } => Completion::Done(done),
            Self::Purge { .. } => Completion::Nobody,
        }
    }
}

/// Lets a test make the next write fail as a disk would.
#[cfg(test)]
#[derive(Clone, Default)]
pub(crate) struct WriteFault(Arc<std::sync::atomic::AtomicBool>);

#[cfg(test)]
impl WriteFault {
    pub(crate) fn fail_next(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn check(&self) -> Result<(), String> {
        if self.0.swap(false, Ordering::SeqCst) { Err("Input/output error (injected)".to_owned()) } else { Ok(()) }
    }
}
