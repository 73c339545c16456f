//! The control plane: the registry of apps, users, tokens and keys, and of the cluster's nodes and shards; replicated,
//! asked by backends and by nodes over gRPC.
//!
//! - [`control_plane`]: the handle that a process starts, mounts and runs
//! - [`registry`]: the pure core, a state machine of the consensus engine
//! - [`placement`]: which brokers hold which shards
//! - [`replica`]: writing through the consensus group, and reading what it applied
//! - [`services`]: gRPC for backends (`tidings.control.v1`) and for nodes (`tidings.cluster.v1`)
//! - [`config`], [`error`], [`metrics`]: as in every service

pub mod config;
pub mod control_plane;
pub mod error;
pub mod metrics;
pub mod placement;
pub mod registry;
pub mod replica;
pub mod services;

pub use config::ControlPlaneConfig;
pub use control_plane::{ControlPlane, GROUP, OperatorKey};
pub use error::Error;
