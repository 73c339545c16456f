//! Client connections: ends WebSockets, checks tokens, and carries frames between clients and the shards' brokers.
//! Keeps nothing that outlives a connection; any client may use any gateway.
//!
//! - [`gateway`]: puts the parts together; starting and draining
//! - [`config`]: the `[gateway]` section with every limit
//! - `listener`, `admission`, `paced`: the port, how many connections there may be, readers that take nothing
//! - `http`: the upgrade; the web app and what else a browser gets
//! - `websocket`, `socket`, `codec`: bytes to messages to frames
//! - `handshake`, `connection`, `session`, `registry`: from `Hello` to the end of a session
//! - `sends`, `requests`, `attachment`, `rate`: a session's windows, its place at the broker, its limits
//! - `directory`, `control_plane`, `watch`: tokens, users and policies, cached and followed
//! - `groups`: what clients do to groups, in the control plane
//! - `permission`: what else a policy says to a message; `claims`: the files that it names
//! - `router`, `leaders`, `link`: the way to a shard
//! - `presence`: who watches whom, and what is known of them
//! - `pulse`: heartbeats and expiry
//! - `metrics`: everything that is counted

pub mod config;
pub mod error;
pub mod gateway;

mod admission;
mod attachment;
mod claims;
mod codec;
mod connection;
mod control_plane;
mod core;
mod directory;
mod groups;
mod handshake;
mod http;
mod leaders;
mod link;
mod listener;
mod metrics;
mod paced;
mod permission;
mod presence;
mod pulse;
mod rate;
mod registry;
mod requests;
mod router;
mod sends;
mod session;
mod socket;
mod watch;
mod websocket;

use tidings_limits as limits;
use tidings_node::{backoff, cache};

pub use crate::http::app::{Asset, Assets};
pub use crate::http::demo::{Accounts, Demo, SignedIn};
pub use config::GatewayConfig;
pub use error::GatewayError;
pub use gateway::{Environment, Gateway};
