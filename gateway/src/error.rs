//! Why a gateway cannot start.

use std::net::SocketAddr;

/// What can be wrong before a gateway serves.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The port for clients could not be opened.
    #[error("the gateway cannot listen on {address}: {source}")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// An address of the control plane that is none.
    #[error("the control-plane address {address:?} is not of the form host:port: {reason}")]
    ControlPlaneAddress {
        /// As configured.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no control plane to ask.
    #[error("no control-plane address is configured ([cluster] control_plane)")]
    NoControlPlane,
    /// The URL of Redis cannot be used; what is wrong with it does not name its password.
    #[error("[gateway] redis_url cannot be used: {0}")]
    Redis(#[from] tidings_limits::RedisError),
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] tidings_node::Error),
}
