//! The two databases of a node and the marker that says whose they are.
//!
//! The log database holds every group's entries, votes and metadata; each write is fsynced. The state database holds
//! every group's state machine and is written without a log of its own: it is made durable as a whole from time to time,
//! and what was applied since is applied again from the Raft log after a crash. They are two databases and not two column
//! families of one, because RocksDB lets a write wait for the fsync of the write before it: in one database every apply
//! would wait for the log.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rocksdb::{BlockBasedOptions, Cache, DB, DBCompressionType, DBRecoveryMode, IteratorMode, Options, WriteOptions};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::keys;
use crate::options::EngineOptions;
use crate::record;

const LOG_FOLDER: &str = "log";
const STATE_FOLDER: &str = "state";
const SNAPSHOT_FOLDER: &str = "snapshots";

/// The opened databases.
pub(crate) struct Store {
    pub(crate) log: Arc<DB>,
    pub(crate) state: Arc<DB>,
    /// Snapshots that come in from peers.
    pub(crate) snapshot_folder: PathBuf,
    /// Drawn when the store was made.
    pub(crate) id: u64,
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
        for path in [&log_path, &state_path, &snapshot_folder] {
            std::fs::create_dir_all(path)
                .map_err(|error| Error::Open { path: path.clone(), reason: error.to_string() })?;
        }
        let log = open_database(&log_options(), &log_path)?;
        let state = open_database(&state_options(options.tuning.block_cache_bytes), &state_path)?;
        let mut store = Self { log: Arc::new(log), state: Arc::new(state), snapshot_folder, id: 0 };
        store.id = store.check_markers(options)?;
        Ok(store)
    }

    /// Whether the store is this node's; answers its id.
    fn check_markers(&self, options: &EngineOptions) -> Result<u64, Error> {
        let wrong = |reason: String| Error::WrongStore { path: options.dir.clone(), reason };
        let log = read_marker(&self.log, &keys::log_marker()).map_err(|reason| wrong(format!("log: {reason}")))?;
        let state =
            read_marker(&self.state, &keys::state_marker()).map_err(|reason| wrong(format!("state: {reason}")))?;
        let marker = match (log, state) {
            (Some(log), Some(state)) if log == state => log,
            (Some(_), Some(_)) => return Err(wrong("its log and its state are of different stores".to_owned())),
            (None, Some(_)) => return Err(wrong("its log is missing while its state is not".to_owned())),
            (Some(log), None) if self.is_log_empty()? => {
                // The process ended between the two writes that create a store.
                write_marker(&self.state, &keys::state_marker(), &log)?;
                log
            }
            (Some(_), None) => return Err(wrong("its state is missing while its log is not".to_owned())),
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

    /// Whether the log database has nothing but its marker.
    fn is_log_empty(&self) -> Result<bool, Error> {
        let mut after_marker = self.log.iterator(IteratorMode::Start).skip(1);
        after_marker.next().transpose().map(|key| key.is_none()).map_err(Error::from)
    }
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
    DB::open(options, path).map_err(|error| Error::Open { path: path.to_owned(), reason: error.to_string() })
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
    // A torn record at the end is a write that was never acknowledged; damage anywhere else refuses to open.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
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
