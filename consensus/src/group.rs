//! A replica of one group on this node, as its service uses it.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::async_runtime::WatchReceiver as _;
use openraft::errors::{ChangeMembershipError, ClientWriteError, InitializeError, LinearizableReadError, RaftError};
use openraft::{ChangeMembers, Instant as _, Raft, ReadPolicy, ServerState};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::applier::Applier;
use crate::compaction;
use crate::error::{Error, ProposeError};
use crate::failure::GroupFailure;
use crate::group_id::{GroupId, NodeId};
use crate::leadership::{self, Leadership};
use crate::machine::StateMachine;
use crate::proposer::{self, ProposalQueue};
use crate::state_db::GroupState;
use crate::state_store::StateView;
use crate::type_config::TypeConfig;

/// A replica of one group. Cheap to clone; it runs until the engine stops it, whoever holds handles.
pub struct Group<M: StateMachine>(Arc<Replica<M>>);

pub(crate) struct Replica<M: StateMachine> {
    pub(crate) id: GroupId,
    pub(crate) me: NodeId,
    pub(crate) raft: Raft<TypeConfig, Applier<M>>,
    pub(crate) queue: ProposalQueue<M::Reply>,
    pub(crate) leadership: watch::Receiver<Leadership>,
    /// For how long a quorum's confirmation counts.
    pub(crate) lease: Duration,
    pub(crate) state: GroupState,
    pub(crate) failure: GroupFailure,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

/// What an operator wants to know about a replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupStatus {
    pub group: GroupId,
    /// "leader", "follower", "learner", "candidate" or "stopped".
    pub role: &'static str,
    pub term: u64,
    pub leader: Option<NodeId>,
    /// Index of the last entry in the log.
    pub last_log: Option<u64>,
    /// Index of the last entry that this replica knows to be committed.
    pub committed: Option<u64>,
    /// Index of the last entry applied here.
    pub applied: Option<u64>,
    /// Index up to which the state was made durable by the last compaction.
    pub snapshot: Option<u64>,
    /// Index up to which entries were removed from the log.
    pub purged: Option<u64>,
    /// Voters and learners with their addresses.
    pub members: BTreeMap<NodeId, Member>,
    /// Whether a change of the members is under way: not committed yet, or in its joint step.
    pub is_changing: bool,
    /// Log index that each follower has confirmed; on the leader alone.
    pub replication: BTreeMap<NodeId, Option<u64>>,
    /// How long ago each follower was heard of; on the leader alone. Absent: never, in this term.
    pub heard: BTreeMap<NodeId, Duration>,
    /// Why this replica stopped: the storage of this process failed, or the replica is damaged.
    pub failure: Option<String>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Address of its Raft service.
    pub address: String,
    /// Counts for the quorum; learners only receive the log.
    pub is_voter: bool,
}

impl<M: StateMachine> Clone for Group<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M: StateMachine> Group<M> {
    pub(crate) fn new(replica: Replica<M>) -> Self {
        Self(Arc::new(replica))
    }

    pub(crate) fn replica(&self) -> &Arc<Replica<M>> {
        &self.0
    }

    /// The group.
    pub fn id(&self) -> GroupId {
        self.0.id
    }

    /// Founds the group with these voters and the addresses of their Raft services. Does nothing if this replica has
    /// ever been part of a group, so that every founding member may call it on every start, all with the same members.
    pub async fn bootstrap(&self, members: BTreeMap<NodeId, String>) -> Result<(), Error> {
        match self.0.raft.initialize(members).await {
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
            Err(RaftError::APIError(InitializeError::NotInMembers(error))) => Err(Error::Membership(error.to_string())),
            Err(RaftError::Fatal(fatal)) => Err(self.stopped(&fatal)),
        }
    }

    /// Queues one command; it is queued when this returns, whether the answer is awaited or not. The answer comes after
    /// the command was fsynced on a quorum (promise 1) and applied here. Fails at once where the queue is full.
    ///
    /// Commands that one caller proposes one after the other are applied in that order (promise 3); when one fails,
    /// those queued or in flight behind it fail too.
    pub fn propose(
        &self,
        command: Bytes,
    ) -> impl Future<Output = Result<M::Reply, ProposeError>> + Send + 'static + use<M> {
        let queued = self.0.queue.push(command);
        if let Err(error) = &queued {
            crate::in_flight::refuse::<M::Reply>([], error);
        }
        // Dropped without an answer: the process is going down.
        async move { queued?.await.unwrap_or(Err(ProposeError::Unknown)) }
    }

    /// As [`propose`](Self::propose), but waits for room in the queue.
    pub async fn propose_when_ready(&self, command: Bytes) -> Result<M::Reply, ProposeError> {
        let outcome = self.0.queue.push_when_ready(command).await?;
        outcome.await.unwrap_or(Err(ProposeError::Unknown))
    }

    /// Whether this replica has never been part of a group: nothing was voted, logged or installed.
    pub async fn is_new(&self) -> Result<bool, Error> {
        self.0.raft.is_initialized().await.map(|initialized| !initialized).map_err(|fatal| self.stopped(&fatal))
    }

    /// The log index up to which a replica must have applied for a linearizable read; the leader alone answers, after a
    /// round to a quorum. Another replica then waits with [`applied`](Self::applied).
    pub async fn read_index(&self) -> Result<u64, ProposeError> {
        match self.0.raft.get_read_log_id(ReadPolicy::ReadIndex).await {
            Ok((read, _)) => Ok(read.log_id().index),
            Err(error) => Err(self.not_linearizable(error)),
        }
    }

    /// Returns once this replica has applied the log up to `index`; `false` when that does not happen in time.
    pub async fn applied(&self, index: u64, within: Duration) -> bool {
        self.0.raft.wait(Some(within)).applied_index_at_least(Some(index), "a read").await.is_ok()
    }

    /// Returns once this replica, as the leader, has applied all that was committed anywhere when this was called: what
    /// [`view`](Self::view) reads afterwards is linearizable. Costs a round to a quorum (read index).
    pub async fn read_barrier(&self) -> Result<(), ProposeError> {
        let ensured = self.0.raft.ensure_linearizable(ReadPolicy::ReadIndex).await;
        ensured.map(drop).map_err(|error| self.not_linearizable(error))
    }

    fn not_linearizable(&self, error: RaftError<TypeConfig, LinearizableReadError<TypeConfig>>) -> ProposeError {
        match error {
            RaftError::APIError(LinearizableReadError::ForwardToLeader(forward)) => {
                let leader = forward.leader_id.filter(|leader| *leader != self.0.me).zip(forward.leader_node);
                ProposeError::NotLeader { leader }
            }
            RaftError::APIError(LinearizableReadError::QuorumNotEnough(_)) => ProposeError::NotLeader { leader: None },
            RaftError::Fatal(fatal) => proposer::stopped(&fatal, &self.0.failure),
        }
    }

    /// The term in which this replica leads, if it does at this very moment: judged anew, and not by what
    /// [`leadership`](Self::leadership) told last. A process that was stopped and goes on leads nothing until a quorum
    /// has confirmed it again (promise 5).
    pub fn leads_now(&self) -> Option<u64> {
        let now = leadership::judge(&self.0.raft.metrics().borrow_watched(), self.0.lease);
        now.is_leader.then_some(now.term)
    }

    /// Who leads, followed as it changes.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.0.leadership.clone()
    }

    /// Reads what this replica has applied, which may be a little old where it does not lead.
    pub fn view(&self) -> StateView {
        StateView::of_disk(self.0.state.clone())
    }

    /// What an operator wants to know.
    pub fn status(&self) -> GroupStatus {
        let metrics = self.0.raft.metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        let voters: BTreeSet<NodeId> = membership.voter_ids().collect();
        let index = |id: Option<crate::type_config::LogId>| id.map(|id| id.index);
        let member = |(node, address): (&NodeId, &String)| {
            (*node, Member { address: address.clone(), is_voter: voters.contains(node) })
        };
        let replication = metrics.replication.iter().flatten();
        let heard = metrics.heartbeat.iter().flatten();
        GroupStatus {
            group: self.0.id,
            role: match metrics.state {
                _ if metrics.running_state.is_err() => "stopped",
                ServerState::Leader => "leader",
                ServerState::Follower => "follower",
                ServerState::Learner => "learner",
                ServerState::Candidate => "candidate",
                ServerState::Shutdown => "stopped",
            },
            term: metrics.current_term,
            leader: metrics.current_leader,
            last_log: metrics.last_log_index,
            committed: index(metrics.local_committed),
            applied: index(metrics.last_applied),
            snapshot: index(metrics.snapshot),
            purged: index(metrics.purged),
            members: membership.nodes().map(member).collect(),
            is_changing: membership.get_joint_config().len() > 1
                || metrics.membership_config.log_id() != metrics.committed_membership_config.log_id(),
            replication: replication.map(|(node, matched)| (*node, matched.map(|id| id.index))).collect(),
            heard: heard.filter_map(|(node, at)| Some((*node, at.as_ref()?.elapsed()))).collect(),
            failure: self.0.failure.why(),
        }
    }

    /// Adds a node that receives the log without counting for the quorum, and waits until it has nearly caught up. Only
    /// the leader can; doing it again changes nothing.
    pub async fn add_learner(&self, node: NodeId, address: String) -> Result<(), Error> {
        let added = self.0.raft.add_learner(node, address, true).await;
        added.map(drop).map_err(|error| self.not_changed(error))
    }

    /// As [`add_learner`](Self::add_learner), without waiting for it to catch up.
    pub async fn begin_learner(&self, node: NodeId, address: String) -> Result<(), Error> {
        let added = self.0.raft.add_learner(node, address, false).await;
        added.map(drop).map_err(|error| self.not_changed(error))
    }

    /// Takes nodes that do not vote out of the group. Only the leader can.
    pub async fn drop_learners(&self, nodes: BTreeSet<NodeId>) -> Result<(), Error> {
        let changed = self.0.raft.change_membership(ChangeMembers::RemoveNodes(nodes), false).await;
        changed.map(drop).map_err(|error| self.not_changed(error))
    }

    /// Makes these the voters, each of which must be a learner or voter; others that were voters leave. Goes through a
    /// joint quorum, so that no moment lacks one. Only the leader can.
    pub async fn change_members(&self, voters: BTreeSet<NodeId>) -> Result<(), Error> {
        let changed = self.0.raft.change_membership(voters, false).await;
        changed.map(drop).map_err(|error| self.not_changed(error))
    }

    /// Asks another voter to take over, and returns once this replica has taken note; follow
    /// [`leadership`](Self::leadership) for the outcome. Does nothing where this replica does not lead.
    pub async fn transfer_leader(&self, to: NodeId) -> Result<(), Error> {
        self.0.raft.trigger().transfer_leader(to).await.map_err(|fatal| self.stopped(&fatal))
    }

    /// Makes the state durable and removes the log before it now, but for `keep` entries. Happens by itself as the log
    /// grows ([`Tuning`](crate::Tuning)).
    pub async fn compact(&self, keep: u64) -> Result<(), Error> {
        let applied = self.status().applied.unwrap_or(0);
        compaction::compact(&self.0.raft, applied, keep).await.map_err(|fatal| self.stopped(&fatal))
    }

    fn stopped(&self, fatal: &openraft::errors::Fatal<TypeConfig>) -> Error {
        match proposer::stopped(fatal, &self.0.failure) {
            ProposeError::ShuttingDown => Error::ShuttingDown,
            _ => Error::Storage(self.0.failure.why().unwrap_or_else(|| fatal.to_string())),
        }
    }

    fn not_changed(&self, error: RaftError<TypeConfig, ClientWriteError<TypeConfig>>) -> Error {
        match error {
            RaftError::Fatal(fatal) => self.stopped(&fatal),
            RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => {
                let leader = forward.leader_id.filter(|leader| *leader != self.0.me).zip(forward.leader_node);
                Error::NotLeader { leader }
            }
            RaftError::APIError(ClientWriteError::ChangeMembershipError(ChangeMembershipError::InProgress(_))) => {
                Error::Membership("another change is in progress".to_owned())
            }
            RaftError::APIError(other) => Error::Membership(other.to_string()),
        }
    }
}

impl<M: StateMachine> Replica<M> {
    /// Stops taking part; what is queued is refused.
    pub(crate) async fn stop(&self) {
        if let Err(error) = self.raft.shutdown().await {
            tracing::error!(group = %self.id, %error, "the replica did not stop in order");
        }
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
