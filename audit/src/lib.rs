//! The loss audit: clients run against a cluster while faults happen, and the histories that they saw are checked
//! against the promises (docs/invariants.md 1 to 5).
//!
//! - [`cluster`]: the real binary as separate processes on this machine, each of which can be killed, paused, cut off
//! - [`history`]: what each client saw; [`verdict`]: whether it keeps the promises
//! - [`faults`]: what is done to the cluster; [`schedule`]: and when
//! - [`run`]: a class of faults from the cluster's start to the verdict
//! - [`people`], [`workload`]: users, and the clients that they write with; [`operator`]: who makes them
//! - [`isolation`]: namespaces of the audit's own, so that nothing of it is left on the machine

pub mod cluster;
pub mod faults;
pub mod history;
pub mod isolation;
pub mod operator;
pub mod people;
pub mod run;
pub mod schedule;
pub mod verdict;
pub mod workload;

pub use cluster::{LocalCluster, Member, Placement, Plan, Role, loopback};
pub use history::History;
pub use verdict::Verdict;
