//! The two databases of a node and the marker that says whose they are.
//!
//! The log database holds every group's entries, votes and metadata; each write is fsynced. The state database holds
//! every group's state machine and is written without a log of its own: it is made durable as a whole from time to
//! time, and what was applied since is applied again from the Raft log after a crash. They are two databases and not
//! two column families of one, because RocksDB lets a write wait for the fsync of the write before it: in one database
//! every apply would wait for the log.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, DB, DBCompressionType, DBRecoveryMode, ErrorKind, IteratorMode,
    Options, ReadOptions, WriteOptions,
};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::failure::is_damage;
use crate::group_id::GroupId;
use crate::keys;
use crate::options::EngineOptions;
use crate::record;
use crate::salvage;
use crate::wal_tail;

const LOG_FOLDER: &str = "log";
const STATE_FOLDER: &str = "state";
const SNAPSHOT_FOLDER: &str = "snapshots";
const LOCK_FILE: &str = "lock";

/// The opened databases.
pub(crate) struct Store {
    pub(crate) log: Arc<DB>,
    pub(crate) state: Arc<DB>,
    /// Snapshots that come in from peers.
    pub(crate) snapshot_folder: PathBuf,
    /// Drawn when the store was made.
    pub(crate) id: u64,
    /// Held for as long as the store is in use.
    pub(crate) lock: File,
}

/// Written once, into both databases, when a store is created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Marker {
    cluster_id: String,
    node_id: u64,
    /// Drawn at creation; the same in both databases, so that a log is never combined with a state of other origin.
    store_id: u64,
}

impl Store {
    /// Opens or creates the store. Reads and writes files: call it where blocking is allowed.
    pub(crate) fn open(options: &EngineOptions) -> Result<Self, Error> {
        let log_path = options.dir.join(LOG_FOLDER);
        let state_path = options.dir.join(STATE_FOLDER);
        let snapshot_folder = options.dir.join(SNAPSHOT_FOLDER);
        let lock = lock(&options.dir)?;
        salvage::recover(&log_path)?;
        salvage::recover(&state_path)?;
        for path in [&log_path, &state_path, &snapshot_folder] {
            std::fs::create_dir_all(path)
                .map_err(|error| Error::Open { path: path.clone(), reason: error.to_string() })?;
        }
        let log = open_log(&log_path)?;
        let state = open_state(&state_options(options.tuning.block_cache_bytes), &state_path, &log)?;
        let mut store = Self { log: Arc::new(log), state: Arc::new(state), snapshot_folder, id: 0, lock };
        store.id = store.check_markers(options)?;
        Ok(store)
    }

    /// Whether the store is this node's; answers its id.
    fn check_markers(&self, options: &EngineOptions) -> Result<u64, Error> {
        let wrong = |reason: String| Error::WrongStore { path: options.dir.clone(), reason };
        // The first records of a database are the first to go when its log cannot be read from its beginning.
        let damaged = |reason: &str| Error::StoreDamaged { path: options.dir.clone(), reason: reason.to_owned() };
        let log = read_marker(&self.log, &keys::log_marker()).map_err(|reason| wrong(format!("log: {reason}")))?;
        let state =
            read_marker(&self.state, &keys::state_marker()).map_err(|reason| wrong(format!("state: {reason}")))?;
        let marker = match (log, state) {
            (Some(log), Some(state)) if log == state => log,
            (Some(_), Some(_)) => return Err(wrong("its log and its state are of different stores".to_owned())),
            (None, Some(_)) => return Err(damaged("its log is missing while its state is not")),
            (Some(log), None) if self.is_log_empty()? => {
                // The process ended between the two writes that create a store.
                write_marker(&self.state, &keys::state_marker(), &log)?;
                log
            }
            (Some(_), None) => return Err(damaged("its state is missing while its log is not")),
            (None, None) => {
                let (cluster_id, node_id) = (options.cluster_id.clone(), options.node_id);
                let marker = Marker { cluster_id, node_id, store_id: rand::random() };
                write_marker(&self.log, &keys::log_marker(), &marker)?;
                write_marker(&self.state, &keys::state_marker(), &marker)?;
                marker
            }
        };
        if marker.cluster_id != options.cluster_id {
            return Err(wrong(format!("it is of cluster {:?}, not {:?}", marker.cluster_id, options.cluster_id)));
        }
        if marker.node_id != options.node_id {
            return Err(wrong(format!("it is of node {}, not {}", marker.node_id, options.node_id)));
        }
        Ok(marker.store_id)
    }

    /// The groups whose replicas were found damaged, and why. Without any, former damaged databases are removed.
    pub(crate) fn damaged_groups(&self) -> Result<Vec<(GroupId, String)>, Error> {
        let (from, to) = keys::all_damaged();
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(from);
        options.set_iterate_upper_bound(to);
        let mut damaged = Vec::new();
        for item in self.log.iterator_opt(IteratorMode::Start, options) {
            let (key, stored) = item?;
            // A mark that is damaged itself marks its group nevertheless.
            let reason = record::open(&key, &stored)
                .map_or_else(|error| error.to_string(), |(_, reason)| String::from_utf8_lossy(reason).into_owned());
            damaged.extend(keys::group_of(&key).map(|group| (group, reason)));
        }
        if damaged.is_empty() {
            salvage::forget_former(self.log.path())?;
            salvage::forget_former(self.state.path())?;
        }
        Ok(damaged)
    }

    /// Whether the log database has nothing but its marker.
    fn is_log_empty(&self) -> Result<bool, Error> {
        let mut after_marker = self.log.iterator(IteratorMode::Start).skip(1);
        after_marker.next().transpose().map(|key| key.is_none()).map_err(Error::from)
    }
}

/// One process at a time, from before the first look at the files: RocksDB locks its database only after `wal_tail` and
/// `salvage` may have changed it.
fn lock(folder: &Path) -> Result<File, Error> {
    let path = folder.join(LOCK_FILE);
    let refused = |reason: String| Error::Open { path: folder.to_owned(), reason };
    std::fs::create_dir_all(folder).map_err(|error| refused(error.to_string()))?;
    let file = File::create(&path).map_err(|error| refused(error.to_string()))?;
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => refused("another process has it open".to_owned()),
        TryLockError::Error(error) => refused(error.to_string()),
    })?;
    Ok(file)
}

fn write_marker(database: &DB, key: &[u8], marker: &Marker) -> Result<(), Error> {
    let body = postcard::to_stdvec(marker).map_err(|error| Error::Storage(error.to_string()))?;
    let mut synced = WriteOptions::default();
    synced.set_sync(true);
    Ok(database.put_opt(key, record::seal(key, &body), &synced)?)
}

/// The marker of a database; `None` when the database is empty.
fn read_marker(database: &DB, key: &[u8]) -> Result<Option<Marker>, String> {
    let Some(stored) = database.get(key).map_err(|error| error.to_string())? else {
        let mut contents = database.iterator(IteratorMode::Start);
        return match contents.next() {
            None => Ok(None),
            Some(Ok(_)) => Err("it has contents but does not say whose they are".to_owned()),
            Some(Err(error)) => Err(error.to_string()),
        };
    };
    let (_format_1, body) = record::open(key, &stored).map_err(|error| error.to_string())?;
    postcard::from_bytes(body).map(Some).map_err(|error| error.to_string())
}

fn open_database(options: &Options, path: &Path) -> Result<DB, Error> {
    DB::open(options, path).map_err(|error| unopened(path, &error))
}

fn unopened(path: &Path, error: &rocksdb::Error) -> Error {
    let (path, reason) = (path.to_owned(), error.to_string());
    if error.kind() == ErrorKind::Corruption || is_damage(error) {
        return Error::StoreDamaged { path, reason };
    }
    Error::Open { path, reason }
}

fn open_log(path: &Path) -> Result<DB, Error> {
    let damaged = |reason| Error::StoreDamaged { path: path.to_owned(), reason };
    wal_tail::cut_torn_tail(path).map_err(damaged)?;
    if salvage::is_requested(path) {
        tracing::warn!(path = %path.display(), "writing the log anew without what is damaged");
        let mut source_options = log_options();
        source_options.set_disable_auto_compactions(true);
        let source = open_database(&source_options, path)?;
        let target = open_database(&log_options(), &salvage::fresh_folder(path)?)?;
        salvage::copy_log(&source, &target)?;
        target.flush()?;
        drop((source, target));
        salvage::put_in_place(path)?;
    }
    open_database(&log_options(), path)
}

/// The state of a group can be had again, so what can be read of a damaged database is enough.
fn open_state(options: &Options, path: &Path, log: &DB) -> Result<DB, Error> {
    if !salvage::is_requested(path) {
        match DB::open(options, path) {
            Ok(state) if can_read_marker(&state) => return Ok(state),
            Err(error) if !is_damage(&error) => return Err(unopened(path, &error)),
            Ok(_) | Err(_) => salvage::request(path),
        }
    }
    let Ok(Some(marker)) = read_marker(log, &keys::log_marker()) else {
        return Err(Error::StoreDamaged {
            path: path.to_owned(),
            reason: "and its log does not say whose it is".to_owned(),
        });
    };
    tracing::warn!(path = %path.display(), "writing the state anew without what is damaged");
    let mut lenient = options.clone();
    lenient.set_paranoid_checks(false);
    let source = DB::open_for_read_only(&lenient, path, false).map_err(|error| unopened(path, &error))?;
    let target = open_database(options, &salvage::fresh_folder(path)?)?;
    salvage::copy_state(&source, &target, log)?;
    write_marker(&target, &keys::state_marker(), &marker)?;
    target.flush()?;
    drop((source, target));
    salvage::put_in_place(path)?;
    open_database(options, path)
}

/// Whether the block that the marker is in can be read; whether it is there, and right, is another question.
fn can_read_marker(state: &DB) -> bool {
    state.get(keys::state_marker()).is_ok()
}

fn common_options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_paranoid_checks(true);
    options.set_keep_log_file_num(4);
    options.set_max_background_jobs(4);
    options.set_bytes_per_sync(1024 * 1024);
    options.set_max_open_files(1024);
    options
}

fn log_options() -> Options {
    let mut options = common_options();
    // What a power cut left of the last write is gone by now (`crate::wal_tail`); anything else is damage.
    options.set_wal_recovery_mode(DBRecoveryMode::AbsoluteConsistency);
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_max_total_wal_size(512 * 1024 * 1024);
    options.set_write_buffer_size(64 * 1024 * 1024);
    options.set_max_write_buffer_number(4);
    // Entries are read back rarely and purged soon.
    options.set_compression_type(DBCompressionType::None);
    options
}

/// Options of the state database; files that are ingested into it are written with them too.
pub(crate) fn state_options(block_cache_bytes: usize) -> Options {
    let mut tables = BlockBasedOptions::default();
    tables.set_bloom_filter(10.0, false);
    // In parts of a block's size: a whole filter of a large file is larger than what one shard of the cache holds, and
    // would be read from the file for each key.
    tables.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    tables.set_partition_filters(true);
    tables.set_pin_top_level_index_and_filter(true);
    tables.set_block_cache(&Cache::new_lru_cache(block_cache_bytes));
    tables.set_cache_index_and_filter_blocks(true);
    tables.set_pin_l0_filter_and_index_blocks_in_cache(true);
    let mut options = common_options();
    options.set_block_based_table_factory(&tables);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_write_buffer_size(64 * 1024 * 1024);
    options.set_max_write_buffer_number(4);
    options.set_level_compaction_dynamic_level_bytes(true);
    options
}
