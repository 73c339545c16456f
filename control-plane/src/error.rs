//! Why the control plane cannot start or go on.

use std::net::SocketAddr;
use std::path::PathBuf;

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
    /// The cluster counts on this node, which has no state: it had some and lost it.
    #[error(
        "node {0} has no data, but the cluster counts on what it had; if that will not come back, run \
         `tidings cluster remove {0} --dead` on another node, and start this one again"
    )]
    LostData(u64),
    /// This node's replica is damaged, and no other node could be asked to let it out of the members.
    #[error(
        "the control plane's replica of node {node} is damaged and cannot be made anew: no leader lets it out ({damage})"
    )]
    Damaged { node: u64, damage: String },
    /// The port for the other nodes cannot be opened.
    #[error("listening on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    /// It cannot be written down that this node is there from the beginning.
    #[error("{file}: {source}")]
    Marker { file: PathBuf, source: std::io::Error },
    /// The process was asked to stop.
    #[error("asked to stop while waiting for the other control-plane nodes")]
    Interrupted,
    /// A command to the registry was not answered.
    #[error("the control plane did not take a command: {0}")]
    Command(tonic::Status),
    /// The server in which rate limits are shared cannot be used.
    #[error("[control_plane] redis_url cannot be used: {0}")]
    Redis(#[from] tidings_limits::RedisError),
    /// The contracts say something that REST/JSON cannot serve.
    #[error("REST/JSON: {0}")]
    Rest(String),
    /// The generated descriptors cannot be served.
    #[error("gRPC reflection: {0}")]
    Reflection(String),
}
