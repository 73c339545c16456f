//! Snapshots that come in from leaders, in chunks: what has arrived is kept, so that a transfer goes on where it was
//! cut.
//!
//! One file per group, named by the snapshot that it is a part of: another snapshot replaces it. A chunk is taken at
//! the end of what is there and if its checksum is right; otherwise the sender is told where to go on. Files are
//! removed when nobody has sent anything for a while, and when the process starts.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::group_id::GroupId;
use crate::snapshot::ReceivedSnapshot;
use crate::type_config::Vote;

/// A part that nobody adds to is removed after this time.
const KEPT_FOR: Duration = Duration::from_secs(600);
const SWEPT_EVERY: Duration = Duration::from_secs(60);

/// Which snapshot, whose, and how long it is as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SnapshotName {
    pub(crate) vote: Vote,
    /// Drawn by the leader when it wrote the file.
    pub(crate) id: u64,
    pub(crate) bytes: u64,
}

/// Consecutive bytes of a snapshot; none only asks.
pub(crate) struct Chunk {
    pub(crate) offset: u64,
    pub(crate) data: Bytes,
    /// CRC-32 of `data`.
    pub(crate) checksum: u32,
}

struct Partial {
    name: SnapshotName,
    received: ReceivedSnapshot,
    touched: Instant,
}

type Slot = Arc<tokio::sync::Mutex<Option<Partial>>>;

/// Keeps the next transfer of the group out.
pub(crate) struct Busy(#[allow(dead_code)] OwnedMutexGuard<Option<Partial>>);

/// What became of a chunk.
pub(crate) enum Taken {
    /// So many bytes are here: the next chunk is to begin there.
    Part(u64),
    /// That was the last one. The next transfer waits until the guard is dropped.
    Whole(ReceivedSnapshot, Busy),
}

pub(crate) struct Incoming {
    folder: PathBuf,
    partials: Mutex<HashMap<GroupId, Slot>>,
}

impl Incoming {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, partials: Mutex::default() }
    }

    /// A file for a snapshot that comes in one piece.
    pub(crate) async fn create(&self, group: GroupId) -> Result<ReceivedSnapshot, Error> {
        ReceivedSnapshot::create(&self.folder, group).await
    }

    /// Waits until nothing of the group is being written or installed.
    pub(crate) async fn free(&self, group: GroupId) -> Busy {
        let slot = self.partials.lock().entry(group).or_default().clone();
        Busy(slot.lock_owned().await)
    }

    /// Adds a chunk where it fits.
    pub(crate) async fn take(
        &self,
        mut busy: Busy,
        group: GroupId,
        name: SnapshotName,
        chunk: Chunk,
    ) -> Result<Taken, Error> {
        let slot = &mut *busy.0;
        if slot.as_ref().is_none_or(|partial| partial.name != name) {
            if let Some(former) = slot.take() {
                tracing::info!(%group, has = former.received.bytes(), "another snapshot replaces a part of one");
            }
            let received = self.create(group).await?;
            *slot = Some(Partial { name, received, touched: Instant::now() });
        }
        let Some(partial) = slot else { return Ok(Taken::Part(0)) };
        partial.touched = Instant::now();
        let has = partial.received.bytes();
        let fits = chunk.offset == has && chunk.data.len() as u64 <= name.bytes - has;
        if !fits || crc32fast::hash(&chunk.data) != chunk.checksum {
            tracing::debug!(%group, offset = chunk.offset, has, "a chunk of a snapshot was not taken");
            return Ok(Taken::Part(has));
        }
        partial.received.write(chunk.data).await?;
        let has = partial.received.bytes();
        match slot.take_if(|partial| partial.received.bytes() == name.bytes) {
            Some(whole) => Ok(Taken::Whole(whole.received, busy)),
            None => Ok(Taken::Part(has)),
        }
    }

    /// Removes parts that nobody adds to, until the engine ends.
    pub(crate) async fn sweep(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(SWEPT_EVERY) => self.remove_idle(KEPT_FOR),
            }
        }
    }

    fn remove_idle(&self, idle_for: Duration) {
        self.partials.lock().retain(|group, slot| {
            // One that is in use is not old.
            let Ok(mut partial) = slot.try_lock() else { return true };
            if let Some(old) = partial.take_if(|partial| partial.touched.elapsed() >= idle_for) {
                tracing::info!(%group, has = old.received.bytes(), "a part of a snapshot is removed: nobody sends the rest");
            }
            partial.is_some() || Arc::strong_count(slot) > 1
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::type_config::LeaderId;

    const GROUP: GroupId = GroupId(4);

    fn name(term: u64, id: u64) -> SnapshotName {
        SnapshotName { vote: Vote { leader_id: LeaderId { term, node_id: 1 }, committed: true }, id, bytes: 10 }
    }

    fn chunk(offset: u64, data: &'static [u8]) -> Chunk {
        Chunk { offset, data: Bytes::from_static(data), checksum: crc32fast::hash(data) }
    }

    async fn part(incoming: &Incoming, name: SnapshotName, chunk: Chunk) -> u64 {
        match incoming.take(incoming.free(GROUP).await, GROUP, name, chunk).await.unwrap() {
            Taken::Part(has) => has,
            Taken::Whole(received, _) => panic!("whole with {} bytes", received.bytes()),
        }
    }

    fn files(folder: &std::path::Path) -> usize {
        std::fs::read_dir(folder).unwrap().count()
    }

    #[tokio::test]
    async fn a_chunk_that_does_not_fit_is_answered_with_what_is_expected() {
        let folder = tempfile::tempdir().unwrap();
        let incoming = Incoming::new(folder.path().to_owned());
        let snapshot = name(1, 7);
        assert_eq!(part(&incoming, snapshot, chunk(0, b"")).await, 0);
        assert_eq!(part(&incoming, snapshot, chunk(0, b"abcd")).await, 4);
        // Once more, too far, too long, damaged on the way: nothing changes.
        assert_eq!(part(&incoming, snapshot, chunk(0, b"abcd")).await, 4);
        assert_eq!(part(&incoming, snapshot, chunk(6, b"gh")).await, 4);
        assert_eq!(part(&incoming, snapshot, chunk(4, b"efghijk")).await, 4);
        assert_eq!(part(&incoming, snapshot, Chunk { checksum: 0, ..chunk(4, b"efgh") }).await, 4);
        assert_eq!(part(&incoming, snapshot, chunk(4, b"efgh")).await, 8);
        let taken = incoming.take(incoming.free(GROUP).await, GROUP, snapshot, chunk(8, b"ij")).await.unwrap();
        let Taken::Whole(received, _busy) = taken else { panic!("not whole") };
        assert_eq!(std::fs::read(received.path()).unwrap(), b"abcdefghij");
        drop(received);
        assert_eq!(files(folder.path()), 0);
    }

    #[tokio::test]
    async fn another_snapshot_replaces_a_part_and_time_removes_it() {
        let folder = tempfile::tempdir().unwrap();
        let incoming = Incoming::new(folder.path().to_owned());
        assert_eq!(part(&incoming, name(1, 7), chunk(0, b"abcd")).await, 4);
        assert_eq!(part(&incoming, name(1, 8), chunk(4, b"efgh")).await, 0);
        assert_eq!(part(&incoming, name(1, 8), chunk(0, b"ABCD")).await, 4);
        assert_eq!(part(&incoming, name(2, 8), chunk(4, b"EFGH")).await, 0);
        assert_eq!(files(folder.path()), 1);
        incoming.remove_idle(KEPT_FOR);
        assert_eq!(files(folder.path()), 1);
        let busy = incoming.free(GROUP).await;
        incoming.remove_idle(Duration::ZERO);
        assert_eq!(files(folder.path()), 1, "what is in use stays");
        drop(busy);
        incoming.remove_idle(Duration::ZERO);
        assert_eq!((files(folder.path()), incoming.partials.lock().len()), (0, 0));
    }
}
