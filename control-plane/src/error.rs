//! Why the control plane cannot start or go on.

use std::time::Duration;

use crate::registry::refusal::Refusal;

/// What ends the start of a control plane.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The consensus engine could not start the group.
    #[error("the control plane's group: {0}")]
    Consensus(#[from] tidings_consensus::Error),
    /// A file of the node could not be used.
    #[error(transparent)]
    Node(#[from] tidings_node::Error),
    /// The registry does not agree with the configuration.
    #[error("{}", .0.message)]
    Refused(Refusal),
    /// No leader was found in time.
    #[error("the control plane has had no leader for {0:?}")]
    NoLeader(Duration),
    /// A command to the registry was not answered.
    #[error("the control plane did not take a command: {0}")]
    Command(tonic::Status),
    /// The generated descriptors cannot be served.
    #[error("gRPC reflection: {0}")]
    Reflection(String),
}
