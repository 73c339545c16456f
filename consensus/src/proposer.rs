//! Turns the commands of one group into Raft entries: many commands in one entry, a few entries in flight.
//!
//! What arrives while entries are in flight becomes the next entry. When one entry is refused, those in flight behind
//! it are skipped ([`crate::command_batch`]) and what waits in the queue is refused along with it, so that the commands
//! that one caller proposed one after the other are applied in that order or not at all.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use openraft::errors::{ClientWriteError, Fatal, ForwardToLeader};
use openraft::impls::ProgressResponder;
use openraft::raft::ClientWriteResult;
use tidings_node::Clock;
use tokio::sync::{Semaphore, TryAcquireError, mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::applier::Applier;
use crate::command_batch::{COMMAND_OVERHEAD_BYTES, ChainPosition, CommandBatch};
use crate::error::ProposeError;
use crate::failure::GroupFailure;
use crate::group_id::NodeId;
use crate::in_flight::{InFlight, Waiter, refuse};
use crate::leadership::Leadership;
use crate::machine::StateMachine;
use crate::options::Tuning;
use crate::type_config::TypeConfig;

type Raft<M> = openraft::Raft<TypeConfig, Applier<M>>;

struct Proposal<R> {
    command: Bytes,
    waiter: Waiter<R>,
}

/// Where callers put commands in. Bounded by count and by bytes (promise 6).
pub(crate) struct ProposalQueue<R> {
    proposals: mpsc::Sender<Proposal<R>>,
    /// Bytes that still fit.
    room: Arc<Semaphore>,
    max_command_bytes: usize,
    failure: GroupFailure,
}

pub(crate) type Outcome<R> = oneshot::Receiver<Result<R, ProposeError>>;

fn cost(command: &Bytes) -> u32 {
    // Larger commands were refused.
    u32::try_from(command.len() + COMMAND_OVERHEAD_BYTES).unwrap_or(u32::MAX)
}

impl<R> ProposalQueue<R> {
    /// Queues a command, or says at once why not.
    pub(crate) fn push(&self, command: Bytes) -> Result<Outcome<R>, ProposeError> {
        if command.len() > self.max_command_bytes {
            return Err(ProposeError::TooLarge);
        }
        let room = self.room.try_acquire_many(cost(&command)).map_err(|error| match error {
            TryAcquireError::NoPermits => ProposeError::Overloaded,
            TryAcquireError::Closed => stop_error(&self.failure),
        })?;
        let (waiter, outcome) = oneshot::channel();
        match self.proposals.try_send(Proposal { command, waiter }) {
            Ok(()) => {
                room.forget();
                Ok(outcome)
            }
            Err(mpsc::error::TrySendError::Full(_)) => Err(ProposeError::Overloaded),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(stop_error(&self.failure)),
        }
    }

    /// Queues a command once there is room.
    pub(crate) async fn push_when_ready(&self, command: Bytes) -> Result<Outcome<R>, ProposeError> {
        if command.len() > self.max_command_bytes {
            return Err(ProposeError::TooLarge);
        }
        let room = self.room.acquire_many(cost(&command)).await.map_err(|_| stop_error(&self.failure))?;
        let place = self.proposals.reserve().await.map_err(|_| stop_error(&self.failure))?;
        let (waiter, outcome) = oneshot::channel();
        place.send(Proposal { command, waiter });
        room.forget();
        Ok(outcome)
    }
}

/// How a proposed entry ended, as far as Raft tells; `None` when Raft has stopped.
type Ended = (ChainPosition, Option<ClientWriteResult<TypeConfig>>);

pub(crate) struct Proposer<M: StateMachine> {
    me: NodeId,
    raft: Raft<M>,
    in_flight: Arc<InFlight<M::Reply>>,
    failure: GroupFailure,
    clock: Clock,
    leadership: watch::Receiver<Leadership>,
    tuning: Tuning,

    queue: mpsc::Receiver<Proposal<M::Reply>>,
    room: Arc<Semaphore>,
    /// Taken from the queue and not yet proposed.
    waiting: VecDeque<Proposal<M::Reply>>,
    proposed: FuturesUnordered<Pin<Box<dyn Future<Output = Ended> + Send>>>,
    /// Where the next entry goes, and the term that its chain began in.
    next: ChainPosition,
    chain_term: u64,
    /// Until when commands wait for this replica to become ready to lead.
    wait_until: Option<Instant>,
}

/// What to do with commands now.
enum Stance {
    Propose,
    Wait(Instant),
    Refuse(ProposeError),
}

impl<M: StateMachine> Proposer<M> {
    #[allow(clippy::too_many_arguments)] // Called once; each is a part of the group.
    pub(crate) fn new(
        me: NodeId,
        raft: Raft<M>,
        in_flight: Arc<InFlight<M::Reply>>,
        failure: GroupFailure,
        clock: Clock,
        leadership: watch::Receiver<Leadership>,
        tuning: Tuning,
    ) -> (ProposalQueue<M::Reply>, Self) {
        let (proposals, queue) = mpsc::channel(tuning.queue_commands);
        let room = Arc::new(Semaphore::new(tuning.queue_bytes));
        let queue_handle = ProposalQueue {
            proposals,
            room: room.clone(),
            max_command_bytes: tuning.max_command_bytes,
            failure: failure.clone(),
        };
        let proposer = Self {
            me,
            raft,
            in_flight,
            failure,
            clock,
            leadership,
            tuning,
            queue,
            room,
            waiting: VecDeque::new(),
            proposed: FuturesUnordered::new(),
            next: new_chain(),
            chain_term: 0,
            wait_until: None,
        };
        (queue_handle, proposer)
    }

    /// Runs until Raft stops, then refuses what is left.
    pub(crate) async fn run(mut self) {
        let mut taken = Vec::new();
        loop {
            match self.stance() {
                Stance::Refuse(error) => self.refuse_queued(&error),
                Stance::Propose => {
                    if !self.waiting.is_empty() && self.proposed.len() < self.tuning.pipeline_depth {
                        if self.propose_batch().await.is_err() {
                            break;
                        }
                        continue;
                    }
                }
                Stance::Wait(_) => {}
            }
            let has_room = self.waiting.is_empty() && self.proposed.len() < self.tuning.pipeline_depth;
            let wake = match self.stance() {
                Stance::Wait(until) => Some(until),
                _ => None,
            };
            let takes_more = has_room && wake.is_none();
            tokio::select! {
                biased;
                // A refusal must be known before more is proposed.
                Some((place, ended)) = self.proposed.next(), if !self.proposed.is_empty() => {
                    if self.settle(place, ended).is_err() {
                        break;
                    }
                }
                changed = self.leadership.changed() => if changed.is_err() { break },
                () = tokio::time::sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
                count = self.queue.recv_many(&mut taken, self.tuning.max_batch_commands), if takes_more => {
                    if count == 0 {
                        break;
                    }
                    self.waiting.extend(taken.drain(..));
                }
            }
        }
        self.stop().await;
    }

    fn stance(&mut self) -> Stance {
        if self.failure.have_writes_failed() {
            return Stance::Refuse(ProposeError::StorageFailed);
        }
        let (is_leader, leads, term, hint) = {
            let leadership = self.leadership.borrow_and_update();
            let leads = leadership.leader == Some(self.me);
            (leadership.is_leader, leads, leadership.term, leadership.hint(self.me))
        };
        if is_leader {
            self.wait_until = None;
            if term != self.chain_term {
                self.chain_term = term;
                self.next = new_chain();
            }
            return Stance::Propose;
        }
        if !leads {
            self.wait_until = None;
            return Stance::Refuse(ProposeError::NotLeader { leader: hint });
        }
        // Elected, but not ready yet, or out of touch with the quorum: give it a moment.
        let patience = self.tuning.election_timeout_max;
        let until = *self.wait_until.get_or_insert_with(|| Instant::now() + patience);
        if Instant::now() < until {
            return Stance::Wait(until);
        }
        Stance::Refuse(ProposeError::NotLeader { leader: None })
    }

    async fn propose_batch(&mut self) -> Result<(), ()> {
        let mut bytes = 0;
        let fitting = self.waiting.iter().take(self.tuning.max_batch_commands).take_while(|proposal| {
            let is_first = bytes == 0;
            bytes += proposal.command.len() + COMMAND_OVERHEAD_BYTES;
            is_first || bytes <= self.tuning.max_batch_bytes
        });
        let count = fitting.count();
        let (commands, waiters): (Vec<Bytes>, Vec<Waiter<M::Reply>>) =
            self.waiting.drain(..count).map(|proposal| (proposal.command, proposal.waiter)).unzip();
        let cost: usize = commands.iter().map(|command| cost(command) as usize).sum();
        self.room.add_permits(cost);

        let place = self.next;
        self.next = place.next();
        let batch = CommandBatch::pack(self.clock.now_ms(), place, commands.iter());
        crate::metrics::batch_proposed(count, cost);
        self.in_flight.add(place, waiters);
        let (responder, ended) = ProgressResponder::complete_only();
        if let Err(fatal) = self.raft.client_write_ff(batch, Some(responder)).await {
            let error = stopped(&fatal, &self.failure);
            refuse(self.in_flight.take(place).unwrap_or_default(), &error);
            return Err(());
        }
        self.proposed.push(Box::pin(async move { (place, ended.await.ok()) }));
        Ok(())
    }

    /// Tells the waiters of an entry that was not applied.
    fn settle(&mut self, place: ChainPosition, ended: Option<ClientWriteResult<TypeConfig>>) -> Result<(), ()> {
        let (error, rest) = match ended {
            Some(Ok(_)) => {
                // Applied: the waiters were told, and if they were told of a skip the chain has been left already.
                refuse(self.in_flight.take(place).unwrap_or_default(), &ProposeError::Unknown);
                return Ok(());
            }
            Some(Err(ClientWriteError::ForwardToLeader(forward))) => {
                let error = ProposeError::NotLeader { leader: leader_of(forward, self.me) };
                (error.clone(), error)
            }
            Some(Err(ClientWriteError::LogEntryDiscarded(forward))) => {
                (ProposeError::Unknown, ProposeError::NotLeader { leader: leader_of(forward, self.me) })
            }
            Some(Err(other)) => {
                tracing::error!(error = %other, "a proposal ended in a way that is not known for commands");
                (ProposeError::Unknown, ProposeError::NotLeader { leader: None })
            }
            None => {
                let error = stop_error(&self.failure);
                refuse(self.in_flight.take(place).unwrap_or_default(), &error);
                return Err(());
            }
        };
        refuse(self.in_flight.take(place).unwrap_or_default(), &error);
        if place.chain == self.next.chain {
            self.next = new_chain();
            self.refuse_queued(&rest);
        }
        Ok(())
    }

    /// Refuses everything that is queued at this moment.
    fn refuse_queued(&mut self, error: &ProposeError) {
        // What comes in while this runs may be refused too, but no more than fits into the queue.
        for _ in 0..self.tuning.queue_commands {
            let Ok(proposal) = self.queue.try_recv() else { break };
            self.waiting.push_back(proposal);
        }
        let cost: usize = self.waiting.iter().map(|proposal| cost(&proposal.command) as usize).sum();
        self.room.add_permits(cost);
        refuse(self.waiting.drain(..).map(|proposal| proposal.waiter), error);
    }

    async fn stop(mut self) {
        // Entries that are still on their way may be applied: their outcome is not known.
        let error = match stop_error(&self.failure) {
            ProposeError::StorageFailed => ProposeError::StorageFailed,
            _ => ProposeError::Unknown,
        };
        refuse(self.in_flight.take_all(), &error);
        self.queue.close();
        self.room.close();
        let error = stop_error(&self.failure);
        let mut left: Vec<_> = self.waiting.drain(..).collect();
        while let Some(proposal) = self.queue.recv().await {
            left.push(proposal);
        }
        refuse(left.into_iter().map(|proposal| proposal.waiter), &error);
    }
}

fn stop_error(failure: &GroupFailure) -> ProposeError {
    if failure.why().is_some() { ProposeError::StorageFailed } else { ProposeError::ShuttingDown }
}

fn new_chain() -> ChainPosition {
    ChainPosition { chain: rand::random(), position: 0 }
}

fn leader_of(forward: ForwardToLeader<TypeConfig>, me: NodeId) -> Option<(NodeId, String)> {
    Some((forward.leader_id.filter(|leader| *leader != me)?, forward.leader_node?))
}

/// What a caller is told when Raft itself has stopped.
pub(crate) fn stopped(fatal: &Fatal<TypeConfig>, failure: &GroupFailure) -> ProposeError {
    match fatal {
        Fatal::Stopped if failure.why().is_none() => ProposeError::ShuttingDown,
        Fatal::Stopped | Fatal::StorageError(_) | Fatal::Panicked => ProposeError::StorageFailed,
    }
}
