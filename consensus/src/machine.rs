//! What a service writes to be replicated.

use std::future::Future;

use crate::error::Error;
use crate::state_store::{StateStore, StateView};

/// The deterministic part of a service: commands in, state and replies out, the same on every replica.
///
/// All state lives in the [`StateStore`]; whatever a machine keeps in memory is rebuilt from it in
/// [`restored`](Self::restored).
pub trait StateMachine: Send + Sync + 'static {
    /// What [`Group::propose`](crate::Group::propose) answers.
    type Reply: Send + 'static;

    /// Applies one committed command. Must depend on nothing but the command, the context and the store, and do no I/O
    /// but the store's. A command that cannot be understood must be answered, not panicked about: it would come again
    /// on every replica and every restart.
    fn apply(&mut self, context: &ApplyContext, command: &[u8], store: &mut dyn StateStore) -> Self::Reply;

    /// Commands were applied, perhaps of many entries, and their state is visible to [`StateView`]s: hand on what they
    /// led to. Called on every replica; `is_leader` as in [`Leadership`](crate::Leadership). Waiting here holds the
    /// group back: that is back-pressure (promise 6).
    fn committed(&mut self, is_leader: bool) -> impl Future<Output = ()> + Send;

    /// The state was just opened, or replaced by a snapshot: forget what was kept in memory and rebuild it.
    fn restored(&mut self, view: &StateView) -> Result<(), Error>;
}

/// What a command is applied with, the same on every replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApplyContext {
    /// Milliseconds since the Unix epoch, stamped by the leader; never goes back within a group.
    pub now_ms: i64,
    /// Place of the command's entry in the log.
    pub index: u64,
    /// Place of the command in its entry: (`index`, `ordinal`) is unique and grows.
    pub ordinal: u32,
    /// Term of the leader that proposed the command.
    pub term: u64,
}
