//! This node's replica of the registry: commands go through the consensus group, questions to what it has applied.
//! Where another node leads, commands are handed to it, and linearizable reads ask it how far they have to wait:
//! callers need not know who leads.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prost::Message as _;
use tidings_consensus::{Group, Leadership, ProposeError, StateView};
use tidings_node::Clock;
use tidings_proto::ErrorCode;
use tidings_proto::cluster::v1::{ProposeRequest, ProposeResponse, ReadIndexRequest};
use tidings_proto::registry::v1::{self, command};
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::Status;

use crate::peers::{Peers, was_not_sent};
use crate::registry::cluster;
use crate::registry::machine::{Outcome, RegistryMachine, encode_command, level_of};
use crate::registry::refusal::Refusal;

/// How long a request waits for a leader, for room in the queue, and for its command to be applied.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long a node waits to know that it is up to date, where it can do without.
const CONFIRMATION: Duration = Duration::from_millis(500);
/// How long a request waits before it asks again whether there is a leader.
const RETRY_INTERVAL: Duration = Duration::from_millis(25);

/// How long a command waits for the other nodes of the control plane to be of a release that applies it: they say so
/// when they register, which a cluster that was just started has yet to do.
const ADMISSION: Duration = Duration::from_secs(5);

/// How old what is answered without asking the leader may be: a node that has been cut off for longer sends its callers
/// to another one.
const MAX_STALENESS: Duration = Duration::from_secs(30);
/// How often a node that does not lead makes sure of how old it is.
const FRESHNESS_INTERVAL: Duration = Duration::from_secs(1);

/// The registry as this node has it.
#[derive(Clone)]
pub struct Replica {
    group: Group<RegistryMachine>,
    /// When this node last had all that was committed anywhere.
    // A blocking mutex: held for one look, never across an await.
    fresh: Arc<Mutex<Instant>>,
    revisions: watch::Receiver<u64>,
    clock: Clock,
    peers: Peers,
}

impl Replica {
    pub(crate) fn new(
        group: Group<RegistryMachine>,
        revisions: watch::Receiver<u64>,
        clock: Clock,
        peers: Peers,
    ) -> Self {
        Self { group, fresh: Arc::new(Mutex::new(Instant::now())), revisions, clock, peers }
    }

    /// Makes sure again and again that this node is not cut off; never returns.
    pub(crate) async fn keep_fresh(&self) {
        loop {
            let begun = Instant::now();
            let is_fresh = match self.leader_elsewhere() {
                Some(leader) => self.has_caught_up_with(&leader).await,
                None => self.group.leads_now().is_some(),
            };
            if is_fresh {
                *self.fresh.lock() = begun;
            }
            tokio::time::sleep(FRESHNESS_INTERVAL).await;
        }
    }

    /// What this replica has applied, not older than 30 seconds; `UNAVAILABLE` where it may be.
    pub fn recent(&self) -> Result<StateView, Status> {
        let age = self.fresh.lock().elapsed();
        if age > MAX_STALENESS {
            let message = format!("this node has not heard of the control plane's leader for {} s", age.as_secs());
            return Err(ErrorCode::Unavailable.status(message));
        }
        Ok(self.group.view())
    }

    /// Has a command done, here or by the leader. What comes back was fsynced on a quorum (promise 1).
    /// `OUTCOME_UNKNOWN` says that it may or may not come to pass.
    pub async fn propose(&self, command: command::Command) -> Result<Outcome, Status> {
        self.admit(level_of(&command)).await?;
        let command = encode_command(command);
        let attempt = async {
            loop {
                match self.group.propose_when_ready(command.clone()).await {
                    Err(ProposeError::NotLeader { leader: Some((_, address)) }) => {
                        if let Some(outcome) = self.hand_over(&address, &command).await? {
                            return Ok(outcome);
                        }
                    }
                    // An election is under way; nothing was applied.
                    Err(ProposeError::NotLeader { leader: None }) => {}
                    Err(error) => return Err(status_of(&error)),
                    Ok(reply) => return reply.map_err(Status::from),
                }
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
        };
        match tokio::time::timeout(DEADLINE, attempt).await {
            Ok(outcome) => outcome,
            Err(_) => Err(ErrorCode::OutcomeUnknown.status("the command was not answered in time")),
        }
    }

    /// Waits until commands of a level may stand in the log; nothing was proposed when that takes too long.
    async fn admit(&self, level: u32) -> Result<(), Status> {
        let known = |view: &StateView| Ok(cluster::settings(view)?.map_or(0, |settings| settings.level));
        self.wait_for(level, "node of the control plane", known).await
    }

    /// Waits until every broker is of a level, which what is asked for needs.
    pub async fn admit_brokers(&self, level: u32) -> Result<(), Status> {
        self.wait_for(level, "broker", cluster::brokers_level).await
    }

    /// Waits until all nodes of a kind are of a level, as it is known here.
    async fn wait_for(
        &self,
        level: u32,
        node: &str,
        known: impl Fn(&StateView) -> Result<u32, Refusal>,
    ) -> Result<(), Status> {
        let deadline = Instant::now() + ADMISSION;
        while level > known(&self.group.view())? {
            if Instant::now() >= deadline {
                let message = format!("not every {node} runs this release yet: upgrade the others first");
                return Err(ErrorCode::Unavailable.status(message));
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
        Ok(())
    }

    /// Has the leader do a command; `None` when it certainly did not.
    async fn hand_over(&self, leader: &str, command: &[u8]) -> Result<Option<Outcome>, Status> {
        let request = ProposeRequest { command: command.to_vec() };
        let answer = match self.peers.registry(leader)?.propose(request).await {
            Ok(answer) => answer.into_inner(),
            Err(status) if was_not_sent(&status) => return Ok(None),
            Err(status) => {
                let message = format!("the leader did not answer: {}", status.message());
                return Err(ErrorCode::OutcomeUnknown.status(message));
            }
        };
        match answer.refusal() {
            ErrorCode::Unspecified => decode_outcome(&answer).map(Some),
            ErrorCode::NotLeader => Ok(None),
            refusal => Err(refusal.status(answer.message)),
        }
    }

    /// As the leader: has a command done for another node.
    pub async fn propose_for_another(&self, command: Vec<u8>) -> ProposeResponse {
        match self.group.propose_when_ready(command.into()).await {
            Ok(Ok(outcome)) => {
                let outcome = v1::Outcome { outcome: Some(outcome) }.encode_to_vec();
                ProposeResponse { outcome, ..ProposeResponse::default() }
            }
            Ok(Err(refusal)) => {
                ProposeResponse { refusal: refusal.code.into(), message: refusal.message, ..ProposeResponse::default() }
            }
            Err(error) => {
                let refusal = code_of(&error).into();
                ProposeResponse { refusal, message: error.to_string(), ..ProposeResponse::default() }
            }
        }
    }

    /// What can be read after this is at least what was acknowledged anywhere before it (a linearizable read).
    pub async fn current(&self) -> Result<StateView, Status> {
        let attempt = async {
            loop {
                match self.group.read_barrier().await {
                    Err(ProposeError::NotLeader { leader: Some((_, address)) }) => {
                        if self.has_caught_up_with(&address).await {
                            return Ok(self.group.view());
                        }
                    }
                    Err(ProposeError::NotLeader { leader: None }) => {}
                    Err(error) => return Err(status_of(&error)),
                    Ok(()) => return Ok(self.group.view()),
                }
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
        };
        match tokio::time::timeout(DEADLINE, attempt).await {
            Ok(outcome) => outcome,
            Err(_) => Err(ErrorCode::Unavailable.status("the control plane has no leader")),
        }
    }

    /// Whether what this replica has applied is all that was acknowledged; `false` where nobody is there to confirm it
    /// soon.
    pub async fn is_current(&self) -> bool {
        let has_leader = self.group.leadership().borrow().leader.is_some();
        has_leader && matches!(tokio::time::timeout(CONFIRMATION, self.current()).await, Ok(Ok(_)))
    }

    async fn has_caught_up_with(&self, leader: &str) -> bool {
        let Ok(mut client) = self.peers.registry(leader) else { return false };
        match client.read_index(ReadIndexRequest {}).await {
            Ok(answer) => self.group.applied(answer.into_inner().index, DEADLINE).await,
            Err(status) => {
                tracing::debug!(%status, leader, "no read index");
                false
            }
        }
    }

    /// What this replica has applied; a little old where it does not lead.
    pub fn view(&self) -> StateView {
        self.group.view()
    }

    /// The newest revision that can be read here.
    pub fn revisions(&self) -> watch::Receiver<u64> {
        self.revisions.clone()
    }

    /// Who leads.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.group.leadership()
    }

    /// The address of the leader, when that is another node.
    pub fn leader_elsewhere(&self) -> Option<String> {
        let leadership = self.leadership();
        let leadership = leadership.borrow();
        if leadership.is_leader { None } else { leadership.leader_address.clone() }
    }

    /// The clock by which tokens expire.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn group(&self) -> &Group<RegistryMachine> {
        &self.group
    }

    pub(crate) fn peers(&self) -> &Peers {
        &self.peers
    }
}

fn decode_outcome(answer: &ProposeResponse) -> Result<Outcome, Status> {
    let decoded = v1::Outcome::decode(answer.outcome.as_slice());
    let outcome = decoded.ok().and_then(|decoded| decoded.outcome);
    // A leader of a newer version did something that this one has no word for.
    outcome.ok_or_else(|| ErrorCode::Internal.status("the leader's answer is not understood"))
}

fn code_of(error: &ProposeError) -> ErrorCode {
    match error {
        ProposeError::NotLeader { .. } => ErrorCode::NotLeader,
        ProposeError::Overloaded => ErrorCode::Overloaded,
        ProposeError::TooLarge => ErrorCode::TooLarge,
        ProposeError::StorageFailed => ErrorCode::StorageFailed,
        ProposeError::ShuttingDown | ProposeError::Unknown => ErrorCode::OutcomeUnknown,
    }
}

pub(crate) fn status_of(error: &ProposeError) -> Status {
    code_of(error).status(error.to_string())
}
