//! The control plane: the registry of apps, users, tokens and keys, and of the cluster's nodes and shards; replicated,
//! asked by backends and by nodes over gRPC.
//!
//! - [`control_plane`]: the handle that a process starts, mounts and runs
//! - [`registry`]: the pure core, a state machine of the consensus engine
//! - [`founding`]: how a node comes into the control plane's group
//! - [`replica`]: writing through the consensus group, and reading what it applied; [`peers`]: the way to the other
//!   nodes
//! - [`brokers`]: the way to the leader of a shard
//! - [`controller`]: what the leader does by itself; [`leases`]: whom it heard of; [`placement`]: which brokers hold
//!   which shards; [`eraser`]: has deleted users erased
//! - [`services`]: gRPC for backends (`tidings.control.v1`) and for nodes (`tidings.cluster.v1`)
//! - [`rest`]: the former as REST/JSON
//! - [`config`], [`error`], [`metrics`]: as in every service

pub mod brokers;
pub mod config;
pub mod control_plane;
pub mod controller;
pub mod eraser;
pub mod error;
pub mod founding;
pub mod leases;
pub mod metrics;
pub mod peers;
pub mod placement;
pub mod registry;
pub mod replica;
pub mod rest;
pub mod services;

pub use config::ControlPlaneConfig;
pub use control_plane::{ControlPlane, ControlPlaneOptions, GROUP, OperatorKey};
pub use error::Error;
pub use founding::{Door, Founding, Standing};
pub use registry::machine::LEVEL;
