//! The engine of one process: its store, its log-writer thread, its peers, and the groups that run on them.

mod containment;

use std::collections::HashMap;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use openraft::Raft;
use openraft::async_runtime::WatchReceiver as _;
use parking_lot::Mutex;
use rocksdb::{DB, IteratorMode, ReadOptions};
use tidings_proto::raft::v1::raft_transport_server::RaftTransportServer;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::applier::{Applier, Surroundings};
use crate::compaction;
use crate::encoding;
use crate::error::Error;
use crate::failure::{Failure, GroupFailure};
use crate::group::{Group, Replica};
use crate::group_id::{GroupId, NodeId};
use crate::in_flight::InFlight;
use crate::incoming::Incoming;
use crate::keys;
use crate::leadership::{self, Leadership};
use crate::log_store::{GroupLog, LogStore};
use crate::log_tail::next_index;
use crate::log_writer::{self, Job, LogStats, LogWriter};
use crate::machine::StateMachine;
use crate::options::EngineOptions;
use crate::outgoing::{MAX_FILES, Outgoing};
use crate::peers::{GroupNetwork, MAX_MESSAGE_BYTES, Peers};
use crate::proposer::Proposer;
use crate::raft_service::{Endpoint, Endpoints, RaftService};
use crate::scrub::Scrubber;
use crate::snapshot::{self, TableOptions};
use crate::state_db::{AppliedMarks, GroupState, StateDb};
use crate::store::{self, Store};

/// One per process: the databases, the log-writer thread, the connections to peers, and the groups. Cheap to clone.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    options: EngineOptions,
    raft_config: Arc<openraft::Config>,
    failure: Arc<Failure>,
    log_database: Arc<DB>,
    state_db: Arc<StateDb>,
    snapshot_folder: PathBuf,
    store_id: u64,
    incoming: Arc<Incoming>,
    /// Places for snapshots that go out.
    outgoing_files: Arc<Semaphore>,
    table_options: TableOptions,
    /// `None` once shut down.
    writer: Mutex<Option<LogWriter>>,
    peers: Arc<Peers>,
    endpoints: Endpoints,
    groups: Mutex<HashMap<GroupId, Slot>>,
    /// Held while a group is marked as damaged, or erased.
    marking: tokio::sync::Mutex<()>,
    scrubber: Arc<Scrubber>,
    is_scrubbing: AtomicBool,
    stop: CancellationToken,
    /// Tasks that outlive a handle end with the last one.
    _stop_when_dropped: DropGuard,
    /// What must end before the databases can be closed.
    tasks: TaskTracker,
    /// Last: no other process may look into the databases before they are closed.
    _lock: std::fs::File,
}

/// A group that is starting, or how to stop one that runs.
enum Slot {
    Starting,
    Running(Arc<dyn Stop>),
}

trait Stop: Send + Sync {
    fn stop(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

impl<M: StateMachine> Stop for Replica<M> {
    fn stop(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(Self::stop(self))
    }
}

impl Engine {
    /// Opens or creates the store and starts the log writer. Blocks while the databases recover, which after a crash
    /// reads what was written last.
    pub fn open(options: EngineOptions) -> Result<Self, Error> {
        Self::open_with(
            options,
            #[cfg(test)]
            log_writer::WriteFault::default(),
        )
    }

    pub(crate) fn open_with(options: EngineOptions, #[cfg(test)] fault: log_writer::WriteFault) -> Result<Self, Error> {
        options.tuning.validate()?;
        let raft_config = Arc::new(options.tuning.raft_config(&options.cluster_id)?);
        let peers = Arc::new(Peers::new(&options)?);
        let store = Store::open(&options)?;
        snapshot::remove_leftovers(&store.snapshot_folder)?;
        let failure = Arc::new(Failure::new());
        for (group, reason) in store.damaged_groups()? {
            failure.damaged(group, reason);
        }
        let writer = LogWriter::start(
            store.log.clone(),
            options.tuning.log_queue,
            failure.clone(),
            #[cfg(test)]
            fault,
        );
        let writer = writer.map_err(|error| Error::Storage(format!("starting the log writer: {error}")))?;
        let stop = CancellationToken::new();
        let scrubber = Scrubber::new(
            store.log.clone(),
            store.state.clone(),
            failure.clone(),
            options.tuning.scrub_bytes_per_second,
            stop.clone(),
        );
        Ok(Self(Arc::new(Inner {
            raft_config,
            log_database: store.log,
            state_db: Arc::new(StateDb::new(store.state, failure.clone())),
            incoming: Arc::new(Incoming::new(store.snapshot_folder.clone())),
            outgoing_files: Arc::new(Semaphore::new(MAX_FILES)),
            snapshot_folder: store.snapshot_folder,
            store_id: store.id,
            table_options: Arc::new(store::state_options(0)),
            writer: Mutex::new(Some(writer)),
            peers,
            endpoints: Endpoints::default(),
            groups: Mutex::default(),
            marking: tokio::sync::Mutex::default(),
            scrubber: Arc::new(scrubber),
            is_scrubbing: AtomicBool::new(false),
            _stop_when_dropped: stop.clone().drop_guard(),
            stop,
            tasks: TaskTracker::new(),
            _lock: store.lock,
            failure,
            options,
        })))
    }

    /// Starts this node's replica of a group, new or stored. It takes part from now on; a new one waits to be
    /// [bootstrapped](Group::bootstrap), or added by a leader. A damaged one is refused until it is
    /// [erased](Self::erase_group).
    pub async fn start_group<M: StateMachine>(&self, group: GroupId, machine: M) -> Result<Group<M>, Error> {
        {
            let mut groups = self.0.groups.lock();
            if group > GroupId::MAX || groups.contains_key(&group) {
                return Err(Error::GroupTaken(group));
            }
            groups.insert(group, Slot::Starting);
        }
        match self.start_replica(group, machine).await {
            Ok(started) => {
                let replica: Arc<dyn Stop> = started.replica().clone();
                self.0.groups.lock().insert(group, Slot::Running(replica.clone()));
                self.contain(group, started.replica().stop.clone());
                self.scrub_from_now_on();
                Ok(started)
            }
            Err(error) => {
                self.0.groups.lock().remove(&group);
                self.0.endpoints.write().remove(&group);
                self.0.state_db.unregister(group);
                self.mark_damaged(group).await;
                Err(error)
            }
        }
    }

    async fn start_replica<M: StateMachine>(&self, group: GroupId, machine: M) -> Result<Group<M>, Error> {
        let log_queue = self.log_queue()?;
        let stored = {
            let engine = self.clone();
            blocking(move || engine.read_stored(group)).await?
        };
        if let Some(mark) = stored.installing {
            let delete = |done| Job::Delete { key: mark.to_vec(), done };
            let deleted = log_writer::write(&log_queue, delete).await;
            deleted.map_err(|error| Error::Storage(error.to_string()))?;
        }
        let inner = &self.0;
        let failure = GroupFailure::new(group, inner.failure.clone());
        inner.state_db.register(group, stored.marks.clone());
        let state = GroupState::new(group, inner.state_db.database.clone(), inner.failure.clone());
        let (leadership_sender, leadership) = watch::channel(Leadership::default());
        let is_running = Arc::new(AtomicBool::new(false));
        let in_flight = Arc::new(InFlight::new());
        let outgoing = Arc::new(Outgoing::new(inner.snapshot_folder.clone(), inner.outgoing_files.clone()));
        let around = Surroundings {
            state: state.clone(),
            state_db: inner.state_db.clone(),
            marks: stored.marks,
            log: stored.log.clone(),
            log_queue: log_queue.clone(),
            outgoing: outgoing.clone(),
            snapshot_folder: inner.snapshot_folder.clone(),
            table_options: inner.table_options.clone(),
            leadership: leadership.clone(),
            failure: failure.clone(),
            is_running: is_running.clone(),
        };
        let applier = {
            let in_flight = in_flight.clone();
            blocking(move || Applier::open(machine, around, in_flight)).await?
        };
        let log = stored.log;
        let log_store = LogStore::new(log.clone(), log_queue, inner.state_db.clone());
        let network = GroupNetwork { group, peers: inner.peers.clone() };
        let me = inner.options.node_id;
        let raft = Raft::new(me, inner.raft_config.clone(), network, log_store, applier).await;
        let raft = raft.map_err(|fatal| {
            let error = Error::Inconsistent { group, reason: fatal.to_string() };
            failure.report(&error);
            failure.check().err().unwrap_or(error)
        })?;
        is_running.store(true, Ordering::Release);

        let tuning = inner.options.tuning.clone();
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let endpoint = Endpoint { raft: raft.clone(), stop: stop.clone() };
        inner.endpoints.write().insert(group, Arc::new(endpoint));
        let lease = tuning.election_timeout_max;
        tasks.spawn(leadership::follow(raft.clone(), leadership_sender, tuning.heartbeat, lease, stop.clone()));
        tasks.spawn(compaction::run(raft.clone(), log, outgoing, tuning.clone(), stop.clone()));
        let (queue, proposer) = Proposer::new(
            me,
            raft.clone(),
            in_flight,
            failure.clone(),
            inner.options.clock.clone(),
            leadership.clone(),
            tuning,
        );
        tasks.spawn(proposer.run());
        elect_if_alone(&raft, me).await?;
        Ok(Group::new(Replica { id: group, me, raft, queue, leadership, lease, state, failure, stop, tasks }))
    }

    /// Reads what is stored of a group and checks that it fits together. Blocks.
    fn read_stored(&self, group: GroupId) -> Result<Stored, Error> {
        let inner = &self.0;
        let of_group = GroupFailure::new(group, inner.failure.clone());
        let read = || {
            of_group.check()?;
            let failure = inner.failure.clone();
            let state = GroupState::new(group, inner.state_db.database.clone(), failure.clone());
            let mark = keys::installing(group);
            let what = "the mark of an installation";
            let installing = of_group.read(&inner.log_database, what, inner.log_database.get(mark))?;
            if let Some(stored) = &installing {
                let corrupt = |source| Error::Corrupt { group, what: what.to_owned(), source };
                let installing = encoding::open_log_id(&mark, stored).map_err(corrupt)?;
                snapshot::finish_installation(&state, &inner.snapshot_folder, installing)?;
            }
            let cache_bytes = inner.options.tuning.log_cache_bytes;
            let log = Arc::new(GroupLog::open(group, inner.log_database.clone(), cache_bytes, failure)?);
            let (applied, _) = state.applied()?;
            if next_index(applied.log_id) < next_index(log.purged()) {
                let reason = "its state is older than the beginning of its log".to_owned();
                return Err(Error::Inconsistent { group, reason });
            }
            if applied.log_id.is_some() && !log.has_vote() {
                let reason = "it has a state, and no log that led to it".to_owned();
                return Err(Error::Inconsistent { group, reason });
            }
            let marks = Arc::new(AppliedMarks::found(applied.log_id));
            Ok(Stored { log, marks, installing: installing.is_some().then_some(mark) })
        };
        read().inspect_err(|error| of_group.report(error))
    }

    fn log_queue(&self) -> Result<mpsc::Sender<Job>, Error> {
        self.0.writer.lock().as_ref().map(LogWriter::queue).ok_or(Error::ShuttingDown)
    }

    /// Whether anything is stored of a group: it has voted, logged or applied something.
    pub fn has_replica(&self, group: GroupId) -> Result<bool, Error> {
        let log = &self.0.log_database;
        let mut entries = ReadOptions::default();
        entries.set_iterate_lower_bound(keys::entry(group, 0));
        entries.set_iterate_upper_bound(keys::entries_end(group));
        let has_entries = log.iterator_opt(IteratorMode::Start, entries).next().transpose()?.is_some();
        let has_marks = log.get(keys::vote(group))?.is_some() || log.get(keys::purged(group))?.is_some();
        Ok(has_entries || has_marks || self.0.state_db.database.get(keys::applied(group))?.is_some())
    }

    /// Stops this node's replica of a group. What is stored stays.
    pub async fn stop_group(&self, group: GroupId) -> Result<(), Error> {
        let replica = match self.0.groups.lock().get(&group) {
            Some(Slot::Running(replica)) => replica.clone(),
            Some(Slot::Starting) | None => return Err(Error::NoSuchGroup(group)),
        };
        self.0.endpoints.write().remove(&group);
        replica.stop().await;
        let mut groups = self.0.groups.lock();
        // It may have been stopped by somebody else too, and started again.
        if matches!(groups.get(&group), Some(Slot::Running(stopped)) if Arc::ptr_eq(stopped, &replica)) {
            self.0.state_db.unregister(group);
            groups.remove(&group);
        }
        Ok(())
    }

    /// The gRPC service that the peers call; the role's server mounts it.
    pub fn raft_service(&self) -> RaftTransportServer<RaftService> {
        let inner = &self.0;
        let (endpoints, failure) = (inner.endpoints.clone(), inner.failure.clone());
        let service = RaftService::new(&inner.options, endpoints, failure, inner.incoming.clone());
        RaftTransportServer::new(service)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// A number drawn when this node's store was made: another one means another store, and that what the former held
    /// is lost.
    pub fn store_id(&self) -> u64 {
        self.0.store_id
    }

    /// Where a node is reached from now on, over what its groups' members say: a node may move, its groups need not
    /// change.
    pub fn set_address(&self, node: NodeId, address: &str) {
        self.0.peers.set_address(node, address);
    }

    /// Whether the storage works; damage of single replicas does not count.
    pub fn is_healthy(&self) -> bool {
        self.0.failure.why().is_none()
    }

    /// Says why, once the storage has failed. It stays until the process is restarted.
    pub fn failure(&self) -> watch::Receiver<Option<String>> {
        self.0.failure.watch()
    }

    /// What the log writer has done so far; zero once shut down.
    pub fn log_stats(&self) -> LogStats {
        self.0.writer.lock().as_ref().map(LogWriter::stats).unwrap_or_default()
    }

    /// Stops all groups, writes what is queued, makes the state durable. The databases are closed when the last handle
    /// to the engine, its groups and their views is dropped.
    pub async fn shutdown(&self) {
        self.0.stop.cancel();
        let groups: Vec<GroupId> = self.0.groups.lock().keys().copied().collect();
        let stops = groups.into_iter().map(|group| self.stop_group(group));
        for stopped in futures_util::future::join_all(stops).await {
            if let Err(error) = stopped {
                tracing::warn!(%error, "a group did not stop in order");
            }
        }
        self.0.tasks.close();
        self.0.tasks.wait().await;
        let engine = self.clone();
        let closed = blocking(move || {
            // The guard must not be held while the thread ends.
            let writer = engine.0.writer.lock().take();
            if let Some(writer) = writer {
                writer.join();
            }
            if engine.0.failure.have_writes_failed() {
                return Ok(());
            }
            engine.0.state_db.flush()?;
            // A last write that cannot be read is taken for one that a power cut tore. After an orderly end there is
            // none.
            engine.0.log_database.flush().map_err(Error::from)
        });
        if let Err(error) = closed.await {
            tracing::error!(%error, "not everything was flushed; the next start takes it from the logs");
        }
    }
}

/// What is stored of a group.
struct Stored {
    log: Arc<GroupLog>,
    marks: Arc<AppliedMarks>,
    /// Set when an installation had to be finished: its mark can go now.
    installing: Option<[u8; 5]>,
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::ShuttingDown)?
}

/// A sole voter needs not wait for anybody's silence.
async fn elect_if_alone<M: StateMachine>(
    raft: &Raft<crate::type_config::TypeConfig, Applier<M>>,
    me: crate::group_id::NodeId,
) -> Result<(), Error> {
    let metrics = raft.metrics();
    let is_alone = metrics.borrow_watched().membership_config.membership().voter_ids().eq([me]);
    if is_alone {
        raft.trigger().elect(false).await.map_err(|fatal| Error::Storage(fatal.to_string()))?;
    }
    Ok(())
}
