//! Applies committed entries of one group to its state machine: the bridge from Raft to [`StateMachine`].

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use futures_util::{Stream, StreamExt as _};
use openraft::storage::{ApplyResponder, EntryResponder, RaftSnapshotBuilder, RaftStateMachine, Snapshot};
use openraft::{EntryPayload, OptionalSend};
use tokio::sync::{mpsc, watch};

use crate::command_batch::CommandBatch;
use crate::encoding::{self, Applied};
use crate::error::{Error, ProposeError};
use crate::failure::GroupFailure;
use crate::in_flight::{self, InFlight, Waiter};
use crate::keys;
use crate::leadership::Leadership;
use crate::log_store::GroupLog;
use crate::log_writer::{self, Job};
use crate::machine::{ApplyContext, StateMachine};
use crate::outgoing::Outgoing;
use crate::overlay::Overlay;
use crate::recent::Recent;
use crate::snapshot::{self, SnapshotData, TableOptions};
use crate::state_db::{AppliedMarks, GroupState, StateDb};
use crate::state_store::StateView;
use crate::type_config::{Entry, LogId, SnapshotMeta, StoredMembership, TypeConfig};

/// Entries and bytes of state that are made visible with one write, at most.
const MAX_ENTRIES: usize = 256;
const MAX_BYTES: usize = 4 * 1024 * 1024;

type RaftSnapshot = Snapshot<crate::type_config::CommittedLeaderId, crate::group_id::NodeId, String, SnapshotData>;

/// What an applier shares with the rest of its group and engine.
pub(crate) struct Surroundings {
    pub(crate) state: GroupState,
    pub(crate) state_db: Arc<StateDb>,
    pub(crate) marks: Arc<AppliedMarks>,
    pub(crate) log: Arc<GroupLog>,
    pub(crate) log_queue: mpsc::Sender<Job>,
    pub(crate) outgoing: Arc<Outgoing>,
    pub(crate) snapshot_folder: PathBuf,
    pub(crate) table_options: TableOptions,
    pub(crate) leadership: watch::Receiver<Leadership>,
    pub(crate) failure: GroupFailure,
    /// Until the group runs, snapshots are asked for their description alone.
    pub(crate) is_running: Arc<AtomicBool>,
}

/// A state machine with its place in the log.
pub struct Applier<M: StateMachine> {
    machine: M,
    around: Surroundings,
    in_flight: Arc<InFlight<M::Reply>>,
    applied: Applied,
    membership: StoredMembership,
    /// Nobody else writes to the state.
    recent: Recent,
}

/// Replies that are told once the state is visible.
struct Outcome<R> {
    waiters: Option<Vec<Waiter<R>>>,
    /// `None`: the batch was skipped because its predecessor never came. Empty where nobody waits.
    replies: Option<Vec<R>>,
    commands: usize,
}

impl<M: StateMachine> Applier<M> {
    /// Continues from what is stored. Blocks.
    pub(crate) fn open(
        mut machine: M,
        around: Surroundings,
        in_flight: Arc<InFlight<M::Reply>>,
    ) -> Result<Self, Error> {
        let (applied, membership) = around.state.applied()?;
        machine.restored(&StateView::of_disk(around.state.clone()))?;
        Ok(Self { machine, around, in_flight, applied, membership, recent: Recent::default() })
    }

    /// Applies the commands of one entry to the overlay.
    fn apply_batch(
        &mut self,
        id: LogId,
        batch: &CommandBatch,
        overlay: &mut Overlay,
    ) -> Result<Outcome<M::Reply>, Error> {
        let group = self.around.state.group();
        let unpacked = batch.unpack().map_err(|source| {
            let error = Error::Corrupt { group, what: format!("the commands of entry {}", id.index), source };
            self.around.failure.report(&error);
            error
        })?;
        let waiters = self.in_flight.take(unpacked.place);
        if !unpacked.place.follows(self.applied.chain) {
            return Ok(Outcome { waiters, replies: None, commands: 0 });
        }
        self.applied.chain = Some(unpacked.place);
        self.applied.now_ms = self.applied.now_ms.max(unpacked.now_ms);
        let mut replies = waiters.as_ref().map(|waiters| Vec::with_capacity(waiters.len()));
        let commands = unpacked.commands.len();
        for (ordinal, command) in (0..).zip(unpacked.commands) {
            let now_ms = self.applied.now_ms;
            let context = ApplyContext { now_ms, index: id.index, ordinal, term: id.leader_id.term };
            let reply = self.machine.apply(&context, command, overlay);
            if let Some(replies) = &mut replies {
                replies.push(reply);
            }
        }
        Ok(Outcome { waiters, replies: Some(replies.unwrap_or_default()), commands })
    }

    /// Makes a run of entries visible, then tells the waiters, then lets the machine hand on its effects.
    async fn conclude(&mut self, run: &mut Run<M>) -> Result<(), Error> {
        if run.entries == 0 {
            return Ok(());
        }
        let mut batch = run.overlay.take()?;
        let membership = run.membership_changed.then_some(&self.membership);
        self.around
            .state
            .put_applied(&mut batch, &self.applied, membership)
            .map_err(|error| Error::Storage(error.to_string()))?;
        self.around.state.write(batch)?;
        if let Some(last) = self.applied.log_id {
            self.around.marks.applied(last);
        }
        for outcome in run.outcomes.drain(..) {
            tell(outcome);
        }
        for responder in run.responders.drain(..) {
            responder.send(());
        }
        crate::metrics::commands_applied(run.commands, run.begun.elapsed());
        let is_leader = self.around.leadership.borrow().is_leader;
        self.machine.committed(is_leader).await;
        run.reset();
        Ok(())
    }

    fn apply_entry(&mut self, entry: Entry, run: &mut Run<M>) -> Result<(), Error> {
        self.applied.log_id = Some(entry.log_id);
        run.entries += 1;
        match &entry.payload {
            EntryPayload::Blank => {}
            EntryPayload::Normal(batch) => {
                let outcome = self.apply_batch(entry.log_id, batch, &mut run.overlay)?;
                run.commands += outcome.commands;
                run.outcomes.push(outcome);
            }
            EntryPayload::Membership(membership) => {
                self.membership = StoredMembership::new(Some(entry.log_id), membership.clone());
                run.membership_changed = true;
            }
        }
        Ok(())
    }

    async fn apply_all(
        &mut self,
        mut entries: impl Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    ) -> Result<(), Error> {
        let overlay = Overlay::new(self.around.state.clone(), std::mem::take(&mut self.recent));
        let mut run = Run::new(overlay);
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            self.apply_entry(entry, &mut run)?;
            run.responders.extend(responder);
            if run.entries >= MAX_ENTRIES || run.overlay.bytes() >= MAX_BYTES {
                self.conclude(&mut run).await?;
            }
        }
        self.conclude(&mut run).await?;
        self.recent = run.overlay.into_recent();
        Ok(())
    }

    async fn install(&mut self, meta: &SnapshotMeta, snapshot: SnapshotData) -> Result<(), Error> {
        let group = self.around.state.group();
        let folder = &self.around.snapshot_folder;
        let (path, bytes) = match &snapshot {
            SnapshotData::File(received) => (received.path().to_owned(), received.bytes()),
            SnapshotData::Outgoing(outgoing) => {
                let file = outgoing.file().await?;
                (file.path().to_owned(), file.bytes())
            }
            SnapshotData::InPlace => return Err(Error::Storage("a snapshot without contents".to_owned())),
        };
        let Some(last) = meta.last_log_id else {
            return Err(Error::Storage("a snapshot of nothing".to_owned()));
        };
        crate::metrics::snapshot_moved("installed", bytes);
        let (build_folder, options) = (folder.clone(), self.around.table_options.clone());
        blocking(move || snapshot::build_table(&path, &build_folder, group, &options)).await?;
        drop(snapshot);
        let mark = keys::installing(group);
        let record = encoding::seal_log_id(&mark, &last).map_err(|error| Error::Storage(error.to_string()))?;
        let put = |done| Job::Put { key: mark.to_vec(), record, done };
        let written = log_writer::write(&self.around.log_queue, put).await;
        written.map_err(|error| Error::Storage(error.to_string()))?;
        let (state, install_folder) = (self.around.state.clone(), folder.clone());
        blocking(move || snapshot::take_in_table(&state, &install_folder)).await?;
        self.around.marks.durable(last);
        let delete = |done| Job::Delete { key: mark.to_vec(), done };
        let deleted = log_writer::write(&self.around.log_queue, delete).await;
        deleted.map_err(|error| Error::Storage(error.to_string()))?;
        (self.applied, self.membership) = self.around.state.applied()?;
        self.recent = Recent::default();
        if self.applied.log_id != meta.last_log_id {
            let reason = "a snapshot holds something else than was announced".to_owned();
            return Err(Error::Inconsistent { group, reason });
        }
        self.machine.restored(&StateView::of_disk(self.around.state.clone()))?;
        tracing::info!(%group, last = %last, "snapshot installed");
        Ok(())
    }

    fn meta(&self) -> SnapshotMeta {
        SnapshotMeta { last_log_id: self.applied.log_id, last_membership: self.membership.clone() }
    }

    fn failed(&self, error: Error) -> io::Error {
        self.around.failure.report(&error);
        error.into()
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::ShuttingDown)?
}

fn tell<R>(outcome: Outcome<R>) {
    let Some(waiters) = outcome.waiters else { return };
    match outcome.replies {
        None => in_flight::refuse(waiters, &ProposeError::NotLeader { leader: None }),
        Some(replies) => {
            for (waiter, reply) in waiters.into_iter().zip(replies) {
                // Who no longer waits needs no reply.
                drop(waiter.send(Ok(reply)));
            }
        }
    }
}

/// Entries that become visible together.
struct Run<M: StateMachine> {
    overlay: Overlay,
    outcomes: Vec<Outcome<M::Reply>>,
    responders: Vec<ApplyResponder<TypeConfig>>,
    membership_changed: bool,
    entries: usize,
    commands: usize,
    begun: Instant,
}

impl<M: StateMachine> Run<M> {
    fn new(overlay: Overlay) -> Self {
        Self {
            overlay,
            outcomes: Vec::new(),
            responders: Vec::new(),
            membership_changed: false,
            entries: 0,
            commands: 0,
            begun: Instant::now(),
        }
    }

    fn reset(&mut self) {
        self.membership_changed = false;
        self.entries = 0;
        self.commands = 0;
        self.begun = Instant::now();
    }
}

impl<M: StateMachine> RaftStateMachine<TypeConfig> for Applier<M> {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.applied.log_id, self.membership.clone()))
    }

    async fn apply<S>(&mut self, entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        self.apply_all(entries).await.map_err(|error| self.failed(error))
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        SnapshotBuilder { meta: self.meta(), group: self.around.state.group(), state_db: self.around.state_db.clone() }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: SnapshotData) -> io::Result<()> {
        let installed = self.install(meta, snapshot).await;
        installed.map_err(|error| self.failed(error))
    }

    /// The current snapshot is the current state, unless another is on its way already that the log goes on from.
    async fn get_current_snapshot(&mut self) -> io::Result<Option<RaftSnapshot>> {
        if self.applied.log_id.is_none() {
            return Ok(None);
        }
        if !self.around.is_running.load(Ordering::Acquire) {
            return Ok(Some(Snapshot { meta: self.meta(), snapshot: SnapshotData::InPlace }));
        }
        if let Some(current) = self.around.outgoing.current(self.around.log.purged()) {
            return Ok(Some(Snapshot { meta: current.meta().clone(), snapshot: SnapshotData::Outgoing(current) }));
        }
        let opened = snapshot::open_stream(self.around.state.clone()).await;
        let (meta, stream) = opened.map_err(|error| self.failed(error))?;
        let outgoing = self.around.outgoing.replace(self.around.state.group(), meta.clone(), stream);
        Ok(Some(Snapshot { meta, snapshot: SnapshotData::Outgoing(outgoing) }))
    }
}

/// Makes the state durable, so that the log before it can go. The state itself is the snapshot.
pub struct SnapshotBuilder {
    meta: SnapshotMeta,
    group: crate::group_id::GroupId,
    state_db: Arc<StateDb>,
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> io::Result<RaftSnapshot> {
        if let Some(last) = self.meta.last_log_id {
            self.state_db.ensure_durable(self.group, last.index).await?;
        }
        Ok(Snapshot { meta: self.meta.clone(), snapshot: SnapshotData::InPlace })
    }
}
