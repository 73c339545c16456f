//! This node's replica of the registry: commands go through the consensus group, questions to what it has applied.

use std::time::Duration;

use tidings_consensus::{Group, Leadership, ProposeError, StateView};
use tidings_node::Clock;
use tidings_proto::ErrorCode;
use tidings_proto::registry::v1::command;
use tokio::sync::watch;
use tonic::Status;
use tonic::metadata::MetadataValue;

use crate::registry::machine::{Outcome, RegistryMachine, encode_command};

/// How long a request waits for a leader, for room in the queue, and for its command to be applied.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long a request waits before it asks again whether there is a leader.
const RETRY_INTERVAL: Duration = Duration::from_millis(25);
/// Metadata of a refusal by a replica that does not lead: `<node>@<address>` of the one that does.
pub const LEADER_HINT: &str = "tidings-leader";

/// The registry as this node has it.
#[derive(Clone)]
pub struct Replica {
    group: Group<RegistryMachine>,
    revisions: watch::Receiver<u64>,
    clock: Clock,
}

impl Replica {
    pub(crate) fn new(group: Group<RegistryMachine>, revisions: watch::Receiver<u64>, clock: Clock) -> Self {
        Self { group, revisions, clock }
    }

    /// Has a command done. What comes back was fsynced on a quorum (promise 1). `OUTCOME_UNKNOWN` says that it may or
    /// may not come to pass.
    pub async fn propose(&self, command: command::Command) -> Result<Outcome, Status> {
        let command = encode_command(command);
        let attempt = async {
            loop {
                match self.group.propose_when_ready(command.clone()).await {
                    // An election is under way; nothing was applied.
                    Err(ProposeError::NotLeader { leader: None }) => tokio::time::sleep(RETRY_INTERVAL).await,
                    Err(error) => return Err(status_of(error)),
                    Ok(reply) => return reply.map_err(Status::from),
                }
            }
        };
        match tokio::time::timeout(DEADLINE, attempt).await {
            Ok(outcome) => outcome,
            Err(_) => Err(ErrorCode::OutcomeUnknown.status("the command was not answered in time")),
        }
    }

    /// What can be read after this is at least what was acknowledged anywhere before it (a linearizable read).
    pub async fn current(&self) -> Result<StateView, Status> {
        let attempt = async {
            loop {
                match self.group.read_barrier().await {
                    Err(ProposeError::NotLeader { leader: None }) => tokio::time::sleep(RETRY_INTERVAL).await,
                    Err(error) => return Err(status_of(error)),
                    Ok(()) => return Ok(self.group.view()),
                }
            }
        };
        match tokio::time::timeout(DEADLINE, attempt).await {
            Ok(outcome) => outcome,
            Err(_) => Err(ErrorCode::Unavailable.status("the control plane has no leader")),
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

    /// The clock by which tokens expire.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn group(&self) -> &Group<RegistryMachine> {
        &self.group
    }
}

fn status_of(error: ProposeError) -> Status {
    let message = error.to_string();
    match error {
        ProposeError::NotLeader { leader } => {
            let mut status = ErrorCode::NotLeader.status(message);
            let hint = leader.and_then(|(node, address)| MetadataValue::try_from(format!("{node}@{address}")).ok());
            if let Some(hint) = hint {
                status.metadata_mut().insert(LEADER_HINT, hint);
            }
            status
        }
        ProposeError::Overloaded => ErrorCode::Overloaded.status(message),
        ProposeError::TooLarge => ErrorCode::TooLarge.status(message),
        ProposeError::StorageFailed => ErrorCode::StorageFailed.status(message),
        ProposeError::ShuttingDown | ProposeError::Unknown => ErrorCode::OutcomeUnknown.status(message),
    }
}
