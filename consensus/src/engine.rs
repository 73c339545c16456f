//! The engine of one process: its store, its log-writer thread, its peers, and the groups that run on them.

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
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::applier::{Applier, Surroundings};
use crate::compaction;
use crate::encoding;
use crate::error::Error;
use crate::failure::Failure;
use crate::group::{Group, Replica};
use crate::group_id::{GroupId, NodeId};
use crate::in_flight::InFlight;
use crate::keys;
use crate::leadership::{self, Leadership};
use crate::log_store::{GroupLog, LogStore};
use crate::log_tail::next_index;
use crate::log_writer::{self, Job, LogStats, LogWriter};
use crate::machine::StateMachine;
use crate::options::EngineOptions;
use crate::peers::{GroupNetwork, MAX_MESSAGE_BYTES, Peers};
use crate::proposer::Proposer;
use crate::raft_service::{Endpoint, Endpoints, RaftService};
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
    table_options: TableOptions,
    /// `None` once shut down.
    writer: Mutex<Option<LogWriter>>,
    peers: Arc<Peers>,
    endpoints: Endpoints,
    groups: Mutex<HashMap<GroupId, Slot>>,
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
        let writer = LogWriter::start(
            store.log.clone(),
            options.tuning.log_queue,
            failure.clone(),
            #[cfg(test)]
            fault,
        );
        let writer = writer.map_err(|error| Error::Storage(format!("starting the log writer: {error}")))?;
        Ok(Self(Arc::new(Inner {
            raft_config,
            log_database: store.log,
            state_db: Arc::new(StateDb::new(store.state, failure.clone())),
            snapshot_folder: store.snapshot_folder,
            store_id: store.id,
            table_options: Arc::new(store::state_options(0)),
            writer: Mutex::new(Some(writer)),
            peers,
            endpoints: Endpoints::default(),
            groups: Mutex::default(),
            failure,
            options,
        })))
    }

    /// Starts this node's replica of a group, new or stored. It takes part from now on; a new one waits to be
    /// [bootstrapped](Group::bootstrap), or added by a leader.
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
                self.0.groups.lock().insert(group, Slot::Running(started.replica().clone()));
                Ok(started)
            }
            Err(error) => {
                self.0.groups.lock().remove(&group);
                self.0.endpoints.write().remove(&group);
                self.0.state_db.unregister(group);
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
        inner.state_db.register(group, stored.marks.clone());
        let state = GroupState::new(group, inner.state_db.database.clone(), inner.failure.clone());
        let (leadership_sender, leadership) = watch::channel(Leadership::default());
        let is_running = Arc::new(AtomicBool::new(false));
        let in_flight = Arc::new(InFlight::new());
        let around = Surroundings {
            state: state.clone(),
            state_db: inner.state_db.clone(),
            marks: stored.marks,
            log_queue: log_queue.clone(),
            snapshot_folder: inner.snapshot_folder.clone(),
            table_options: inner.table_options.clone(),
            leadership: leadership.clone(),
            failure: inner.failure.clone(),
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
            inner.failure.report(format!("group {group}: {fatal}"));
            Error::Inconsistent { group, reason: fatal.to_string() }
        })?;
        is_running.store(true, Ordering::Release);

        let tuning = inner.options.tuning.clone();
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let endpoint = Endpoint { raft: raft.clone(), stop: stop.clone() };
        inner.endpoints.write().insert(group, Arc::new(endpoint));
        let lease = tuning.election_timeout_max;
        tasks.spawn(leadership::follow(raft.clone(), leadership_sender, tuning.heartbeat, lease, stop.clone()));
        tasks.spawn(compaction::run(raft.clone(), log, tuning.clone(), stop.clone()));
        let (queue, proposer) = Proposer::new(
            me,
            raft.clone(),
            in_flight,
            inner.failure.clone(),
            inner.options.clock.clone(),
            leadership.clone(),
            tuning,
        );
        tasks.spawn(proposer.run());
        elect_if_alone(&raft, me).await?;
        let failure = inner.failure.clone();
        Ok(Group::new(Replica { id: group, me, raft, queue, leadership, lease, state, failure, stop, tasks }))
    }

    /// Reads what is stored of a group and checks that it fits together. Blocks.
    fn read_stored(&self, group: GroupId) -> Result<Stored, Error> {
        let read = || {
            let inner = &self.0;
            let failure = inner.failure.clone();
            let state = GroupState::new(group, inner.state_db.database.clone(), failure.clone());
            let mark = keys::installing(group);
            let installing = inner.log_database.get(mark)?;
            if let Some(stored) = &installing {
                let what = "the mark of an installation".to_owned();
                let corrupt = |source| Error::Corrupt { group, what, source };
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
            let marks = Arc::new(AppliedMarks::found(applied.log_id));
            Ok(Stored { log, marks, installing: installing.is_some().then_some(mark) })
        };
        read().inspect_err(|error| self.0.failure.report(error.to_string()))
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
        self.0.state_db.unregister(group);
        self.0.groups.lock().remove(&group);
        Ok(())
    }

    /// Removes all that this node stores of a group, stopping its replica first if it runs. The group must have removed this
    /// node from its members before: a member that forgets what it voted for can elect two leaders.
    pub async fn erase_group(&self, group: GroupId) -> Result<(), Error> {
        match self.stop_group(group).await {
            Ok(()) | Err(Error::NoSuchGroup(_)) => {}
            Err(error) => return Err(error),
        }
        // The state first: a state without its log would be taken for a replica that has not voted yet.
        let engine = self.clone();
        let erase_state = move || {
            let state = GroupState::new(group, engine.0.state_db.database.clone(), engine.0.failure.clone());
            state.erase()?;
            engine.0.state_db.flush()
        };
        blocking(erase_state).await?;
        let erased = log_writer::write(&self.log_queue()?, |done| Job::Erase { group, done }).await;
        erased.map_err(|error| Error::Storage(error.to_string()))
    }

    /// The gRPC service that the peers call; the role's server mounts it.
    pub fn raft_service(&self) -> RaftTransportServer<RaftService> {
        let inner = &self.0;
        let service = RaftService::new(&inner.options, inner.endpoints.clone(), inner.snapshot_folder.clone());
        RaftTransportServer::new(service)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// A number drawn when this node's store was made: another one means another store, and that what the former held is lost.
    pub fn store_id(&self) -> u64 {
        self.0.store_id
    }

    /// Where a node is reached from now on, over what its groups' members say: a node may move, its groups need not change.
    pub fn set_address(&self, node: NodeId, address: &str) {
        self.0.peers.set_address(node, address);
    }

    /// Whether the storage works.
    pub fn is_healthy(&self) -> bool {
        self.0.failure.why().is_none()
    }

    /// Says why, once the storage has failed or damage was found. It stays until the process is restarted.
    pub fn failure(&self) -> watch::Receiver<Option<String>> {
        self.0.failure.watch()
    }

    /// What the log writer has done so far; zero once shut down.
    pub fn log_stats(&self) -> LogStats {
        self.0.writer.lock().as_ref().map(LogWriter::stats).unwrap_or_default()
    }

    /// Stops all groups, writes what is queued, makes the state durable. The databases are closed when the last handle to
    /// the engine, its groups and their views is dropped.
    pub async fn shutdown(&self) {
        let groups: Vec<GroupId> = self.0.groups.lock().keys().copied().collect();
        let stops = groups.into_iter().map(|group| self.stop_group(group));
        for stopped in futures_util::future::join_all(stops).await {
            if let Err(error) = stopped {
                tracing::warn!(%error, "a group did not stop in order");
            }
        }
        let engine = self.clone();
        let closed = blocking(move || {
            // The guard must not be held while the thread ends.
            let writer = engine.0.writer.lock().take();
            if let Some(writer) = writer {
                writer.join();
            }
            if engine.0.failure.have_writes_failed() { Ok(()) } else { engine.0.state_db.flush() }
        });
        if let Err(error) = closed.await {
            tracing::error!(%error, "the state was not made durable; it will be applied again from the log");
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
