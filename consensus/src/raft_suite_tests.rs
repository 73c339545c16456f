//! openraft's own suite for storage, run against the log store and the applier.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use tempfile::TempDir;
use tokio::sync::{Semaphore, watch};

use crate::applier::{Applier, Surroundings};
use crate::error::Error;
use crate::failure::{Failure, GroupFailure};
use crate::group_id::GroupId;
use crate::in_flight::InFlight;
use crate::leadership::Leadership;
use crate::log_store::{GroupLog, LogStore};
use crate::log_writer::{LogWriter, WriteFault};
use crate::machine::{ApplyContext, StateMachine};
use crate::options::EngineOptions;
use crate::outgoing::Outgoing;
use crate::state_db::{AppliedMarks, GroupState, StateDb};
use crate::state_store::{StateStore, StateView};
use crate::store::{self, Store};
use crate::type_config::{TypeConfig, log_id};

struct Idle;

impl StateMachine for Idle {
    type Reply = ();

    fn apply(&mut self, _: &ApplyContext, _: &[u8], _: &mut dyn StateStore) {}

    async fn committed(&mut self, _: bool) {}

    fn restored(&mut self, _: &StateView) -> Result<(), Error> {
        Ok(())
    }
}

struct Builder;

fn build(cache_bytes: usize) -> (TempDir, LogStore, Applier<Idle>) {
    const GROUP: GroupId = GroupId(1);
    let folder = tempfile::tempdir().unwrap();
    let options = EngineOptions::new(folder.path(), 0, "suite");
    let store = Store::open(&options).unwrap();
    let failure = Arc::new(Failure::new());
    let writer = LogWriter::start(store.log.clone(), 64, failure.clone(), WriteFault::default()).unwrap();
    let state_db = Arc::new(StateDb::new(store.state.clone(), failure.clone()));
    // The suite purges what it never applied.
    let marks = Arc::new(AppliedMarks::default());
    marks.durable(log_id(0, 0, u64::MAX - 1));
    state_db.register(GROUP, marks.clone());
    let log = Arc::new(GroupLog::open(GROUP, store.log, cache_bytes, failure.clone()).unwrap());
    let around = Surroundings {
        state: GroupState::new(GROUP, store.state, failure.clone()),
        state_db: state_db.clone(),
        marks,
        log: log.clone(),
        log_queue: writer.queue(),
        outgoing: Arc::new(Outgoing::new(store.snapshot_folder.clone(), Arc::new(Semaphore::new(1)))),
        snapshot_folder: store.snapshot_folder,
        table_options: Arc::new(store::state_options(0)),
        leadership: watch::channel(Leadership::default()).1,
        failure: GroupFailure::new(GROUP, failure),
        is_running: Arc::new(AtomicBool::new(true)),
    };
    let applier = Applier::open(Idle, around, Arc::new(InFlight::new())).unwrap();
    (folder, LogStore::new(log, writer.queue(), state_db), applier)
}

impl StoreBuilder<TypeConfig, LogStore, Applier<Idle>, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStore, Applier<Idle>), StorageError<TypeConfig>> {
        Ok(build(8 * 1024 * 1024))
    }
}

/// The same without a cache, so that what is on disk is read from there.
struct UncachedBuilder;

impl StoreBuilder<TypeConfig, LogStore, Applier<Idle>, TempDir> for UncachedBuilder {
    async fn build(&self) -> Result<(TempDir, LogStore, Applier<Idle>), StorageError<TypeConfig>> {
        Ok(build(0))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storage_suite() {
    Suite::test_all(Builder).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storage_suite_from_disk() {
    Suite::test_all(UncachedBuilder).await.unwrap();
}
