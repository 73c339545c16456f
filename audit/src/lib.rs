//! The loss audit: clients run against a cluster while faults happen, and the histories that they saw are checked against
//! the promises (docs/invariants.md 1 to 5).
//!
//! - [`cluster`]: the real binary as separate processes on this machine, each of which can be killed, paused, cut off
//! - [`isolation`]: namespaces of the audit's own, so that nothing of it is left on the machine

pub mod cluster;
pub mod isolation;

pub use cluster::{LocalCluster, Member, Placement, Plan, Role};
