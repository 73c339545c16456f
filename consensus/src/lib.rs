//! Replicated state machines: openraft on RocksDB over gRPC. An [`Engine`] runs many [`Group`]s on one store, with one
//! fsync for what all of them write at a moment; a group applies committed commands to a [`StateMachine`].
//!
//! - [`Engine`] opens the store, starts groups, and serves the peers.
//! - [`Group`] takes commands and tells who leads.
//! - [`StateMachine`] is what a service writes; it keeps its state in a [`StateStore`] and others read it by
//!   [`StateView`].
//! - [`Recovery`] restores the quorum of groups that have lost it for good, from what one node has.
//! - [`MemoryStore`] lets property tests run a state machine without a disk.
//!
//! No other crate names openraft or RocksDB.

mod applier;
mod command_batch;
mod compaction;
mod config;
mod encoding;
mod engine;
mod erasure;
mod error;
mod failure;
mod group;
mod group_id;
mod in_flight;
mod incoming;
mod keys;
mod leadership;
mod log_store;
mod log_tail;
mod log_writer;
mod machine;
mod memory_store;
mod metrics;
mod options;
mod outgoing;
mod overlay;
mod peers;
mod proposer;
mod raft_service;
mod recent;
mod record;
mod recovery;
mod salvage;
mod scrub;
mod snapshot;
mod snapshot_file;
mod snapshot_sender;
mod state_db;
mod state_store;
mod store;
mod type_config;
mod wal_tail;
mod wire;

#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod raft_suite_tests;

pub use config::StorageConfig;
pub use engine::Engine;
pub use error::{Error, ProposeError};
pub use group::{Group, GroupStatus, Member};
pub use group_id::{GroupId, NodeId};
pub use leadership::Leadership;
pub use log_writer::LogStats;
pub use machine::{ApplyContext, StateMachine};
pub use memory_store::MemoryStore;
pub use options::{EngineOptions, Tuning};
pub use raft_service::RaftService;
pub use record::RecordError;
pub use recovery::{Recovery, StoredReplica};
pub use scrub::ScrubReport;
pub use state_store::{StateStore, StateView};
