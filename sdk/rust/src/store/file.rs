//! A device's state in a folder: an append-only file of checksummed frames, each synced before the client goes on, and
//! written anew when most of it is history. A lock file keeps a second process out.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::log::{self, Found};
use super::{Change, State, Store, StoreError, StoredSend};

const STATE_FILE: &str = "state";
const NEW_STATE_FILE: &str = "state.new";
const LOCK_FILE: &str = "lock";
/// Below this size the file is not written anew.
const COMPACT_FROM_BYTES: u64 = 1 << 20;
/// The file is written anew when it is so many times larger than what it says.
const COMPACT_FACTOR: u64 = 4;

/// Keeps the state across kills and power cuts (promises 1 and 2 on the client's side).
///
/// Each write is one `fdatasync`; the client collects what is ready, so that the cost is shared under load.
#[derive(Debug)]
pub struct FileStore {
    folder: PathBuf,
    file: File,
    bytes_in_file: u64,
    compact_from_bytes: u64,
    state: Mirror,
    failed: bool,
    /// Held for the lock.
    _lock: File,
}

/// The state as the file says it, with the outbox by number.
#[derive(Debug, Default)]
struct Mirror {
    state: State,
    outbox: BTreeMap<u64, StoredSend>,
    outbox_bytes: u64,
}

impl FileStore {
    /// Opens the state in `folder`, which is made when it is missing. An incomplete last write is cut off; a damaged
    /// file is an error, and so is a folder that another process has open.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, StoreError> {
        let folder = folder.as_ref().to_owned();
        std::fs::create_dir_all(&folder).map_err(io_error("create", &folder))?;
        let lock = take_lock(&folder)?;
        let path = folder.join(STATE_FILE);
        if !path.exists() {
            write_new_file(&folder, &State::default())?;
        }
        let mut file = OpenOptions::new().read(true).write(true).open(&path).map_err(io_error("open", &path))?;
        let (state, bytes_in_file) = read_state(&mut file, &path)?;
        file.set_len(bytes_in_file).map_err(io_error("truncate", &path))?;
        file.sync_data().map_err(io_error("sync", &path))?;
        file.seek(SeekFrom::End(0)).map_err(io_error("seek", &path))?;
        let (compact_from_bytes, failed) = (COMPACT_FROM_BYTES, false);
        Ok(Self { folder, file, bytes_in_file, compact_from_bytes, state, failed, _lock: lock })
    }

    /// Writes the file anew already from this size on; the default is 1 MiB.
    pub fn compact_from_bytes(mut self, bytes: u64) -> Self {
        self.compact_from_bytes = bytes;
        self
    }

    fn append(&mut self, changes: Vec<Change>) -> Result<(), StoreError> {
        let path = self.folder.join(STATE_FILE);
        for change in &changes {
            self.state.apply(change.clone());
        }
        let frame = log::encode(changes);
        self.file.write_all(&frame).map_err(io_error("write", &path))?;
        self.file.sync_data().map_err(io_error("sync", &path))?;
        self.bytes_in_file += frame.len() as u64;
        if self.bytes_in_file >= self.compact_from_bytes.max(COMPACT_FACTOR * self.state.outbox_bytes) {
            self.compact()?;
        }
        Ok(())
    }

    fn compact(&mut self) -> Result<(), StoreError> {
        let path = self.folder.join(STATE_FILE);
        self.bytes_in_file = write_new_file(&self.folder, &self.state.snapshot())?;
        self.file = OpenOptions::new().append(true).open(&path).map_err(io_error("open", &path))?;
        // A snapshot larger than the limit must not be written again at once.
        self.compact_from_bytes = self.compact_from_bytes.max(self.bytes_in_file.saturating_mul(2));
        Ok(())
    }
}

impl Store for FileStore {
    fn load(&mut self) -> Result<State, StoreError> {
        Ok(self.state.snapshot())
    }

    fn write(&mut self, changes: Vec<Change>) -> Result<(), StoreError> {
        if self.failed {
            return Err(StoreError::Failed);
        }
        let written = self.append(changes);
        self.failed = written.is_err();
        written
    }
}

impl Mirror {
    fn apply(&mut self, change: Change) {
        match change {
            Change::Reset(mut state) => {
                let outbox = std::mem::take(&mut state.outbox);
                *self = Self { state, ..Self::default() };
                outbox.into_iter().for_each(|send| self.insert(send));
            }
            Change::Enqueued(send) => self.insert(send),
            Change::Answered(seq) => {
                if let Some(send) = self.outbox.remove(&seq) {
                    self.outbox_bytes -= send.content.len() as u64;
                }
            }
            Change::Cursor(cursor) => self.state.cursor = cursor,
        }
    }

    fn insert(&mut self, send: StoredSend) {
        self.state.next_seq = self.state.next_seq.max(send.seq + 1);
        self.outbox_bytes += send.content.len() as u64;
        self.outbox.insert(send.seq, send);
    }

    fn snapshot(&self) -> State {
        State { outbox: self.outbox.values().cloned().collect(), ..self.state.clone() }
    }
}

fn take_lock(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join(LOCK_FILE);
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(io_error("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path: folder.display().to_string() }),
        Err(TryLockError::Error(source)) => Err(io_error("lock", &path)(source)),
    }
}

/// Writes the state as a file of its own and puts it in the place of the old one; answers its size. A crash leaves the
/// old file or the new one.
fn write_new_file(folder: &Path, state: &State) -> Result<u64, StoreError> {
    let (new, path) = (folder.join(NEW_STATE_FILE), folder.join(STATE_FILE));
    let mut contents = log::header().to_vec();
    contents.extend_from_slice(&log::encode(vec![Change::Reset(state.clone())]));
    let mut file = File::create(&new).map_err(io_error("create", &new))?;
    file.write_all(&contents).map_err(io_error("write", &new))?;
    file.sync_all().map_err(io_error("sync", &new))?;
    std::fs::rename(&new, &path).map_err(io_error("rename", &new))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_error("sync", folder))?;
    Ok(contents.len() as u64)
}

/// The state, and where the last whole frame ends.
fn read_state(file: &mut File, path: &Path) -> Result<(Mirror, u64), StoreError> {
    let mut contents = Vec::new();
    file.read_to_end(&mut contents).map_err(io_error("read", path))?;
    let contents = Bytes::from(contents);
    let damaged =
        |offset: usize, what| StoreError::Damaged { path: path.display().to_string(), offset: offset as u64, what };

    // The first frame is written with the header, under another name: it is never torn.
    if contents.len() < log::HEADER_BYTES || contents[..log::MAGIC.len()] != log::MAGIC {
        return Err(damaged(0, "the header is not that of a state file"));
    }
    let version_bytes = contents[log::MAGIC.len()..log::HEADER_BYTES].try_into().expect("the version has four bytes");
    let version = u32::from_le_bytes(version_bytes);
    if version != log::VERSION {
        return Err(StoreError::Version { path: path.display().to_string(), version, supported: log::VERSION });
    }
    let mut state = Mirror::default();
    let mut offset = log::HEADER_BYTES;
    while let Found::Frame(changes, length) = log::decode_front(&contents.slice(offset..)) {
        changes.into_iter().for_each(|change| state.apply(change));
        offset += length;
    }
    if offset == log::HEADER_BYTES {
        return Err(damaged(offset, "the first record is not whole"));
    }
    if log::holds_a_frame(&contents.slice(offset..)) {
        return Err(damaged(offset, "a record is not what was written, and whole ones follow it"));
    }
    Ok((state, offset as u64))
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> StoreError {
    let path = path.display().to_string();
    move |source| StoreError::Io { action, path, source }
}
