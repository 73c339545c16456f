//! What backends and nodes call. A service checks who asks and what is asked, then hands on to the registry.
//!
//! - [`apps`], [`users`], [`tokens`], [`policies`], [`groups`], [`api_keys`], [`sending`], [`mailboxes`]:
//!   `tidings.control.v1`, for backends and operators
//! - [`cluster`]: the cluster itself, for operators
//! - [`directory`], [`group_directory`], [`watch`], [`nodes`], [`registry`]: `tidings.cluster.v1`, for the other nodes
//!   of the cluster
//! - [`auth`], [`door`], [`page`], [`messages`]: who asks, what may be asked, lists in pages, answers; [`group_lists`],
//!   [`group_messages`]: the same for groups

pub mod api_keys;
pub mod apps;
pub mod auth;
pub mod cluster;
pub mod directory;
pub mod door;
pub mod group_directory;
pub mod group_lists;
pub mod group_messages;
pub mod groups;
pub mod mailboxes;
pub mod messages;
pub mod nodes;
pub mod page;
pub mod policies;
pub mod registry;
pub mod scheduling;
pub mod sending;
pub mod tokens;
pub mod users;
pub mod watch;

use std::future::Future;
use std::time::Instant;

use tonic::{Response, Status};

use crate::metrics;

/// Requests are small: the largest holds 4 KiB of attributes.
pub const MAX_REQUEST_BYTES: usize = 64 * 1024;

/// A command that one node hands to another: the largest names 1,000 members of a group.
pub const MAX_COMMAND_BYTES: usize = 2 * groups::MAX_REQUEST_BYTES;

/// Answers a request, and counts it.
async fn answer<T>(rpc: &'static str, work: impl Future<Output = Result<T, Status>>) -> Result<Response<T>, Status> {
    let started = Instant::now();
    let outcome = work.await;
    metrics::answered(rpc, outcome.as_ref().map(|_| ()), started.elapsed());
    outcome.map(Response::new)
}

/// The registry answered a command with something that the command does not lead to.
fn unexpected(outcome: &crate::registry::machine::Outcome) -> Status {
    tracing::error!(?outcome, "a command led to an outcome of another kind");
    tidings_proto::ErrorCode::Internal.status("the registry gave an answer of another kind")
}
