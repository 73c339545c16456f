//! The snapshot of a group that is on its way to followers: written to a file once, so that a transfer can be cut and
//! go on from any place, and that several followers share it.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::error::Error;
use crate::group_id::GroupId;
use crate::log_tail::next_index;
use crate::snapshot::{ReceivedSnapshot, SnapshotStream};
use crate::type_config::{LogId, SnapshotMeta};

/// Files that a node has at once, all groups together; more transfers wait.
pub(crate) const MAX_FILES: usize = 4;
/// A snapshot that nobody fetches any more is kept this long, for a transfer that was cut.
const IDLE_FOR: Duration = Duration::from_secs(60);
/// A snapshot is not used for longer; until then the log behind it is kept.
const USED_FOR: Duration = Duration::from_secs(3600);

/// A group's snapshot that is on its way, if one is.
pub(crate) struct Outgoing {
    folder: PathBuf,
    files: Arc<Semaphore>,
    current: Mutex<Option<Current>>,
}

struct Current {
    snapshot: Arc<OutgoingSnapshot>,
    made: Instant,
    used: Instant,
}

/// A view of the state, and once it is first read the file of it; removed with the last user.
pub struct OutgoingSnapshot {
    group: GroupId,
    meta: SnapshotMeta,
    id: u64,
    folder: PathBuf,
    files: Arc<Semaphore>,
    stream: Mutex<Option<SnapshotStream>>,
    is_broken: AtomicBool,
    file: OnceCell<OutgoingFile>,
}

/// The bytes of a snapshot; they do not change.
pub(crate) struct OutgoingFile {
    written: ReceivedSnapshot,
    reader: Arc<File>,
    _place: OwnedSemaphorePermit,
}

impl Outgoing {
    pub(crate) fn new(folder: PathBuf, files: Arc<Semaphore>) -> Self {
        Self { folder, files, current: Mutex::new(None) }
    }

    /// The snapshot that is on its way, if it can still be used: the log goes on where it ends.
    pub(crate) fn current(&self, purged: Option<LogId>) -> Option<Arc<OutgoingSnapshot>> {
        let mut current = self.current.lock();
        current.take_if(|current| {
            !current.is_of_use() || next_index(purged) > next_index(current.snapshot.meta.last_log_id)
        });
        let current = current.as_mut()?;
        current.used = Instant::now();
        Some(current.snapshot.clone())
    }

    /// A new one takes the place of the last.
    pub(crate) fn replace(&self, group: GroupId, meta: SnapshotMeta, stream: SnapshotStream) -> Arc<OutgoingSnapshot> {
        let snapshot = Arc::new(OutgoingSnapshot {
            group,
            meta,
            id: rand::random(),
            folder: self.folder.clone(),
            files: self.files.clone(),
            stream: Mutex::new(Some(stream)),
            is_broken: AtomicBool::new(false),
            file: OnceCell::new(),
        });
        let now = Instant::now();
        *self.current.lock() = Some(Current { snapshot: snapshot.clone(), made: now, used: now });
        snapshot
    }

    /// The first log index that whoever installs the snapshot on its way will ask for. What is of no use any more goes.
    pub(crate) fn needs_log_from(&self) -> Option<u64> {
        let mut current = self.current.lock();
        current.take_if(|current| !current.is_of_use());
        current.as_ref().map(|current| next_index(current.snapshot.meta.last_log_id))
    }
}

impl Current {
    fn is_of_use(&self) -> bool {
        let is_used = Arc::strong_count(&self.snapshot) > 1 || self.used.elapsed() < IDLE_FOR;
        is_used && self.made.elapsed() < USED_FOR && !self.snapshot.is_broken.load(Ordering::Acquire)
    }
}

impl OutgoingSnapshot {
    pub(crate) fn meta(&self) -> &SnapshotMeta {
        &self.meta
    }

    /// Tells this file from every other of the group.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The file; the first caller writes it, once there is a place for it. Where that was given up on half-way the next
    /// caller fails, and the one after is given a new snapshot.
    pub(crate) async fn file(&self) -> Result<&OutgoingFile, Error> {
        self.file.get_or_try_init(|| self.write()).await.inspect_err(|_| self.is_broken.store(true, Ordering::Release))
    }

    async fn write(&self) -> Result<OutgoingFile, Error> {
        let place = self.files.clone().acquire_owned().await.map_err(|_| Error::ShuttingDown)?;
        let stream = self.stream.lock().take();
        let stream = stream.ok_or_else(|| Error::Storage("an earlier try to write the snapshot ended".to_owned()))?;
        let written = ReceivedSnapshot::of_stream(&self.folder, self.group, stream).await?;
        let reader = open(written.path())?;
        Ok(OutgoingFile { written, reader: Arc::new(reader), _place: place })
    }
}

impl OutgoingFile {
    pub(crate) fn bytes(&self) -> u64 {
        self.written.bytes()
    }

    pub(crate) fn path(&self) -> &Path {
        self.written.path()
    }

    /// At most so many bytes from this place on; fewer at the end alone.
    pub(crate) async fn read(&self, offset: u64, length: usize) -> Result<Bytes, Error> {
        let length = length.min(usize::try_from(self.bytes().saturating_sub(offset)).unwrap_or(usize::MAX));
        let reader = self.reader.clone();
        let read = move || {
            let mut data = vec![0; length];
            reader.read_exact_at(&mut data, offset).map(|()| Bytes::from(data))
        };
        let read = tokio::task::spawn_blocking(read).await.map_err(|_| Error::ShuttingDown)?;
        read.map_err(|error| Error::Storage(format!("{}: {error}", self.path().display())))
    }
}

fn open(path: &Path) -> Result<File, Error> {
    File::open(path).map_err(|error| Error::Storage(format!("{}: {error}", path.display())))
}

/// Lets bytes through at a rate, all callers together.
pub(crate) struct Pace {
    bytes_per_second: Option<u64>,
    begun: Instant,
    /// Nanoseconds after `begun` when the next bytes may go.
    next: AtomicU64,
}

impl Pace {
    pub(crate) fn new(bytes_per_second: Option<u64>) -> Self {
        Self { bytes_per_second, begun: Instant::now(), next: AtomicU64::new(0) }
    }

    /// Waits for these bytes' turn.
    pub(crate) async fn wait(&self, bytes: usize) {
        let turn = self.turn(self.begun.elapsed(), bytes);
        tokio::time::sleep_until(self.begun + turn).await;
    }

    /// When these bytes may go that are ready `now`; both count from the beginning.
    fn turn(&self, now: Duration, bytes: usize) -> Duration {
        let Some(rate) = self.bytes_per_second else { return now };
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let (now, takes) = (nanos(now), nanos(Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64)));
        let behind = |next: u64| Some(next.max(now).saturating_add(takes));
        let next = self.next.fetch_update(Ordering::AcqRel, Ordering::Acquire, behind).unwrap_or(now);
        Duration::from_nanos(next.max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise 6: the rate is the node's, however many transfers there are.
    #[test]
    fn the_pace_is_shared_and_what_was_not_used_is_not_saved() {
        let pace = Pace::new(Some(1000));
        let at = Duration::from_millis;
        let turns: Vec<_> = [100, 200, 300].map(|bytes| pace.turn(at(0), bytes)).into();
        assert_eq!(turns, [at(0), at(100), at(300)]);
        assert_eq!(pace.turn(at(5000), 100), at(5000));
        assert_eq!(pace.turn(at(5000), 100), at(5100));
        assert_eq!(Pace::new(None).turn(at(7), usize::MAX), at(7));
    }
}
