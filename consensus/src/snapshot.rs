//! A group's state on its way to a replica that is too far behind for the log.
//!
//! The sender reads one consistent view of the state into a file ([`crate::outgoing`]), which is sent in chunks. The
//! receiver gathers them in a file too ([`crate::incoming`]), checks it, and turns it into a table that RocksDB takes
//! in with one atomic step. A mark in the log database, set before that step and removed after it, makes a restart
//! finish what a crash interrupted.

use std::fs::File;
use std::io::BufReader;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use rocksdb::{IngestExternalFileOptions, IteratorMode, Options, ReadOptions, SstFileWriter};
use tokio::sync::{mpsc, oneshot};

use crate::encoding;
use crate::error::Error;
use crate::group_id::GroupId;
use crate::keys;
use crate::outgoing::OutgoingSnapshot;
use crate::snapshot_file::{SnapshotEncoder, SnapshotFileError, read_snapshot};
use crate::state_db::GroupState;
use crate::type_config::{LogId, SnapshotMeta};

/// Blocks read ahead of the network.
const PIECES_AHEAD: usize = 4;
const BYTES_OF_GROUP: usize = 4;

/// What Raft hands around as a snapshot.
pub enum SnapshotData {
    /// The state itself is the snapshot; made when only the fact of it is asked for.
    InPlace,
    /// A consistent view, to be read and sent.
    Outgoing(Arc<OutgoingSnapshot>),
    /// A file that came from a peer.
    File(ReceivedSnapshot),
}

/// Reads the state as of one moment. Dropping it ends the reading.
pub struct SnapshotStream {
    start: Option<oneshot::Sender<()>>,
    pieces: mpsc::Receiver<Result<Bytes, Error>>,
}

impl SnapshotStream {
    /// The next piece of the file.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        if let Some(start) = self.start.take() {
            // A reader that has stopped closes the channel of pieces too.
            let _ = start.send(());
        }
        self.pieces.recv().await
    }
}

/// Fixes a view of the state now and says what it holds; pieces are read from disk as they are asked for.
pub(crate) async fn open_stream(state: GroupState) -> Result<(SnapshotMeta, SnapshotStream), Error> {
    let (described, description) = oneshot::channel();
    let (start, started) = oneshot::channel::<()>();
    let (sender, pieces) = mpsc::channel(PIECES_AHEAD);
    tokio::task::spawn_blocking(move || {
        let database = state.database().clone();
        let view = database.snapshot();
        let meta = describe(&state, &view);
        let failed = meta.is_err();
        if described.send(meta).is_err() || failed || started.blocking_recv().is_err() {
            return;
        }
        if let Err(error) = send_pieces(&state, &view, &sender) {
            // The receiver may be gone, which is what ended the sending.
            drop(sender.blocking_send(Err(error)));
        }
    });
    let meta = description.await.map_err(|_| Error::ShuttingDown)??;
    Ok((meta, SnapshotStream { start: Some(start), pieces }))
}

type View<'a> = rocksdb::Snapshot<'a>;

fn describe(state: &GroupState, view: &View<'_>) -> Result<SnapshotMeta, Error> {
    let corrupt = |what: &str| {
        let what = what.to_owned();
        move |source| Error::Corrupt { group: state.group(), what, source }
    };
    let key = keys::applied(state.group());
    let applied = state.reported(view.get(key))?.map(|stored| encoding::open_applied(&key, &stored)).transpose();
    let key = keys::membership(state.group());
    let members = state.reported(view.get(key))?.map(|stored| encoding::open_membership(&key, &stored)).transpose();
    Ok(SnapshotMeta {
        last_log_id: applied.map_err(corrupt("the applied state"))?.unwrap_or_default().log_id,
        last_membership: members.map_err(corrupt("the members"))?.unwrap_or_default(),
    })
}

fn send_pieces(state: &GroupState, view: &View<'_>, pieces: &mpsc::Sender<Result<Bytes, Error>>) -> Result<(), Error> {
    let gone = |_| Error::ShuttingDown;
    let mut encoder = SnapshotEncoder::new();
    pieces.blocking_send(Ok(encoder.header(state.group()))).map_err(gone)?;
    let (from, to) = keys::state_range(state.group());
    let mut options = ReadOptions::default();
    options.set_iterate_lower_bound(from);
    options.set_iterate_upper_bound(to);
    options.set_readahead_size(1024 * 1024);
    options.fill_cache(false);
    for item in view.iterator_opt(IteratorMode::Start, options) {
        let (key, value) = state.reported(item)?;
        if let Some(piece) = encoder.add(&key[BYTES_OF_GROUP..], &value) {
            pieces.blocking_send(Ok(piece)).map_err(gone)?;
        }
    }
    for piece in encoder.finish() {
        pieces.blocking_send(Ok(piece)).map_err(gone)?;
    }
    Ok(())
}

/// A snapshot file in the snapshot folder; removed when dropped.
pub struct ReceivedSnapshot {
    path: PathBuf,
    file: Arc<File>,
    bytes: u64,
}

impl ReceivedSnapshot {
    /// Starts an empty file.
    pub(crate) async fn create(folder: &Path, group: GroupId) -> Result<Self, Error> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let path = folder.join(format!("moving-{group}-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        let create =
            move || File::create(&path).map(|file| (file, path.clone())).map_err(|error| io_error(&path, &error));
        let (file, path) = blocking(create).await?;
        Ok(Self { path, file: Arc::new(file), bytes: 0 })
    }

    /// Adds consecutive bytes. Given up on half-way, it has not added any.
    pub(crate) async fn write(&mut self, piece: Bytes) -> Result<(), Error> {
        let (file, offset, length) = (self.file.clone(), self.bytes, piece.len() as u64);
        let written = tokio::task::spawn_blocking(move || file.write_all_at(&piece, offset)).await;
        written.map_err(|_| Error::ShuttingDown)?.map_err(|error| io_error(&self.path, &error))?;
        self.bytes += length;
        Ok(())
    }

    /// Reads it all, and fails unless every block matches its checksum and none is missing.
    pub(crate) async fn check(&self, group: GroupId) -> Result<(), Error> {
        let path = self.path.clone();
        blocking(move || {
            let file = File::open(&path).map_err(|error| io_error(&path, &error))?;
            let checked = read_snapshot(&mut BufReader::with_capacity(1024 * 1024, file), group, |_, _| Ok(()));
            checked.map(drop).map_err(|error| Error::Storage(format!("snapshot of group {group}: {error}")))
        })
        .await
    }

    /// Writes a whole stream into a file.
    pub(crate) async fn of_stream(folder: &Path, group: GroupId, mut stream: SnapshotStream) -> Result<Self, Error> {
        let mut received = Self::create(folder, group).await?;
        while let Some(piece) = stream.next().await {
            received.write(piece?).await?;
        }
        Ok(received)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for ReceivedSnapshot {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "snapshot file not removed");
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::ShuttingDown)?
}

fn io_error(path: &Path, error: &std::io::Error) -> Error {
    Error::Storage(format!("{}: {error}", path.display()))
}

/// The table of a group that is about to be taken in.
pub(crate) fn table_path(folder: &Path, group: GroupId) -> PathBuf {
    folder.join(format!("install-{group}.sst"))
}

/// Checks a received file and turns it into a table that replaces all of the group's state. Blocks.
pub(crate) fn build_table(snapshot: &Path, folder: &Path, group: GroupId, options: &Options) -> Result<(), Error> {
    let table = table_path(folder, group);
    let build = || -> Result<(), SnapshotFileError> {
        let mut file = BufReader::with_capacity(1024 * 1024, File::open(snapshot)?);
        let writer = SstFileWriter::create(options);
        writer.open(&table)?;
        let mut writer = writer;
        let (from, to) = keys::state_range(group);
        // Hides what the group had before, not the pairs below: those come with the same step.
        writer.delete_range(from, to)?;
        let mut whole_key = from.to_vec();
        read_snapshot(&mut file, group, |key, value| {
            whole_key.truncate(BYTES_OF_GROUP);
            whole_key.extend_from_slice(key);
            Ok(writer.put(&whole_key, value)?)
        })?;
        Ok(writer.finish()?)
    };
    build().map_err(|error| Error::Storage(format!("snapshot of group {group}: {error}")))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| io_error(folder, &error))
}

/// Replaces the group's state by the table, durably; the table is gone afterwards. Blocks.
pub(crate) fn take_in_table(state: &GroupState, folder: &Path) -> Result<(), Error> {
    let mut options = IngestExternalFileOptions::default();
    options.set_move_files(true);
    let table = table_path(folder, state.group());
    let taken_in = state.database().ingest_external_file_opts(&options, vec![table]);
    Ok(taken_in.inspect_err(|error| state.write_failed("taking a snapshot into the state", error))?)
}

/// Finishes an installation that a crash interrupted: `mark` is what was to be installed. Blocks.
pub(crate) fn finish_installation(state: &GroupState, folder: &Path, mark: LogId) -> Result<(), Error> {
    if table_path(folder, state.group()).exists() {
        tracing::info!(group = %state.group(), "installing a snapshot again after a crash");
        take_in_table(state, folder)?;
    }
    let (applied, _) = state.applied()?;
    if applied.log_id < Some(mark) {
        let reason = "the installation of a snapshot was interrupted and its file is gone".to_owned();
        return Err(Error::Inconsistent { group: state.group(), reason });
    }
    Ok(())
}

/// Removes what a former process left half received. Blocks.
pub(crate) fn remove_leftovers(folder: &Path) -> Result<(), Error> {
    let entries = std::fs::read_dir(folder).map_err(|error| io_error(folder, &error))?;
    for entry in entries.flatten() {
        // Files that come in or go out; "incoming-" is what they were called before.
        let name = entry.file_name();
        let is_leftover = ["moving-", "incoming-"].iter().any(|prefix| name.to_string_lossy().starts_with(prefix));
        if is_leftover {
            std::fs::remove_file(entry.path()).map_err(|error| io_error(&entry.path(), &error))?;
        }
    }
    Ok(())
}

/// Options that tables are built with, shared by all groups.
pub(crate) type TableOptions = Arc<Options>;

#[cfg(test)]
mod tests {
    use rocksdb::{DB, WriteBatch};
    use tokio::sync::Semaphore;

    use super::*;
    use crate::encoding::Applied;
    use crate::failure::Failure;
    use crate::outgoing::Outgoing;
    use crate::store::state_options;
    use crate::type_config::{StoredMembership, log_id};

    const GROUP: GroupId = GroupId(5);

    struct Side {
        folder: tempfile::TempDir,
        state: GroupState,
    }

    /// A state with these keys, applied up to `index`.
    fn side(keys: &[&str], index: u64) -> Side {
        let folder = tempfile::tempdir().unwrap();
        let database = Arc::new(
            DB::open(
                &{
                    let mut options = state_options(0);
                    options.create_if_missing(true);
                    options
                },
                folder.path().join("state"),
            )
            .unwrap(),
        );
        let state = GroupState::new(GROUP, database, Arc::new(Failure::new()));
        let mut batch = WriteBatch::default();
        for key in keys {
            batch.put(state.data_key(key.as_bytes()), key);
        }
        let applied = Applied { log_id: Some(log_id(1, 1, index)), ..Applied::default() };
        state.put_applied(&mut batch, &applied, Some(&StoredMembership::default())).unwrap();
        state.write(batch).unwrap();
        Side { folder, state }
    }

    fn keys_of(state: &GroupState) -> Vec<String> {
        let pairs = state.scan(b"", b"\xff", 99).unwrap();
        pairs.into_iter().map(|(key, _)| String::from_utf8(key.to_vec()).unwrap()).collect()
    }

    async fn transfer(from: &Side, to: &Side) -> ReceivedSnapshot {
        let (meta, stream) = open_stream(from.state.clone()).await.unwrap();
        assert_eq!(meta.last_log_id, Some(log_id(1, 1, 90)));
        // What is written now is not part of the view.
        let mut later = WriteBatch::default();
        later.put(from.state.data_key(b"later"), b"");
        from.state.write(later).unwrap();
        ReceivedSnapshot::of_stream(to.folder.path(), GROUP, stream).await.unwrap()
    }

    #[tokio::test]
    async fn an_installation_replaces_all_and_can_be_repeated_at_any_point() {
        let (sender, receiver) = (side(&["b", "c"], 90), side(&["a", "b", "z"], 10));
        // A neighbour keeps what it has.
        let neighbour = GroupState::new(GroupId(6), receiver.state.database().clone(), Arc::new(Failure::new()));
        let mut batch = WriteBatch::default();
        batch.put(neighbour.data_key(b"n"), b"");
        neighbour.write(batch).unwrap();

        let received = transfer(&sender, &receiver).await;
        let folder = receiver.folder.path();
        build_table(received.path(), folder, GROUP, &state_options(0)).unwrap();
        drop(received);
        assert_eq!(keys_of(&receiver.state), ["a", "b", "z"], "nothing is changed yet");

        // The crash came after the mark and before the table was taken in: a restart takes it in.
        finish_installation(&receiver.state, folder, log_id(1, 1, 90)).unwrap();
        assert_eq!(keys_of(&receiver.state), ["b", "c"]);
        assert_eq!(receiver.state.applied().unwrap().0.log_id, Some(log_id(1, 1, 90)));
        assert_eq!(keys_of(&neighbour), ["n"]);
        // The crash came after that and before the mark was removed: nothing is left to do.
        finish_installation(&receiver.state, folder, log_id(1, 1, 90)).unwrap();
        assert_eq!(keys_of(&receiver.state), ["b", "c"]);
        // The table is gone and the state is older: that cannot be repaired here.
        let refused = finish_installation(&receiver.state, folder, log_id(1, 1, 91));
        assert!(matches!(refused, Err(Error::Inconsistent { .. })), "{refused:?}");
    }

    #[tokio::test]
    async fn followers_share_a_file_for_as_long_as_the_log_goes_on_from_it() {
        let sender = side(&["b", "c"], 90);
        let outgoing = Outgoing::new(sender.folder.path().to_owned(), Arc::new(Semaphore::new(1)));
        assert!(outgoing.current(None).is_none());
        let (meta, stream) = open_stream(sender.state.clone()).await.unwrap();
        let first = outgoing.replace(GROUP, meta, stream);
        let second = outgoing.current(Some(log_id(1, 1, 90))).unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!(outgoing.needs_log_from(), Some(91));
        let (first_file, second_file) = tokio::join!(first.file(), second.file());
        let path = first_file.unwrap().path().to_owned();
        assert_eq!(path, second_file.unwrap().path());
        // The log was purged behind the snapshot: who installs it could not go on.
        assert!(outgoing.current(Some(log_id(1, 1, 91))).is_none());
        assert_eq!(outgoing.needs_log_from(), None);
        drop((first, second));
        assert!(!path.exists());
    }

    #[test]
    fn leftovers_go_and_a_table_that_is_to_be_installed_stays() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["moving-7-0", "incoming-7-3", "install-7.sst"] {
            std::fs::write(folder.path().join(name), b"").unwrap();
        }
        remove_leftovers(folder.path()).unwrap();
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["install-7.sst"]);
    }

    #[tokio::test]
    async fn a_damaged_file_is_never_installed() {
        let (sender, receiver) = (side(&["b", "c"], 90), side(&["a"], 10));
        let received = transfer(&sender, &receiver).await;
        let mut bytes = std::fs::read(&received.path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&received.path, bytes).unwrap();
        assert!(build_table(received.path(), receiver.folder.path(), GROUP, &state_options(0)).is_err());
        assert_eq!(keys_of(&receiver.state), ["a"]);
        let path = received.path.clone();
        drop(received);
        assert!(!path.exists(), "the file goes with its handle");
    }
}
