//! Proposals of this replica that are on their way through the log, and the way back for their replies.
//!
//! A reply is typed by the state machine while Raft's own is not, so replies do not go through Raft: applying an entry
//! finds who waits for it by the entry's place in its chain. Other replicas find nobody.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::command_batch::ChainPosition;
use crate::error::ProposeError;

/// Where the outcome of one command goes.
pub(crate) type Waiter<R> = oneshot::Sender<Result<R, ProposeError>>;

pub(crate) struct InFlight<R>(Mutex<HashMap<ChainPosition, Vec<Waiter<R>>>>);

impl<R> InFlight<R> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    pub(crate) fn add(&self, place: ChainPosition, waiters: Vec<Waiter<R>>) {
        self.0.lock().insert(place, waiters);
    }

    /// Who waits for the batch at this place. They are told once: by apply, or by the proposer when it will not be
    /// applied.
    pub(crate) fn take(&self, place: ChainPosition) -> Option<Vec<Waiter<R>>> {
        self.0.lock().remove(&place)
    }

    /// Everybody.
    pub(crate) fn take_all(&self) -> Vec<Waiter<R>> {
        self.0.lock().drain().flat_map(|(_, waiters)| waiters).collect()
    }
}

/// Tells everybody the same, without having been applied.
pub(crate) fn refuse<R>(waiters: impl IntoIterator<Item = Waiter<R>>, error: &ProposeError) {
    let mut refused = 0;
    for waiter in waiters {
        refused += 1;
        // Who no longer waits needs no answer.
        drop(waiter.send(Err(error.clone())));
    }
    let reason = match error {
        ProposeError::NotLeader { .. } => "not_leader",
        ProposeError::Overloaded => "overloaded",
        ProposeError::TooLarge => "too_large",
        ProposeError::StorageFailed => "storage_failed",
        ProposeError::ShuttingDown => "shutting_down",
        ProposeError::Unknown => "unknown",
    };
    if refused > 0 {
        crate::metrics::proposals_refused(reason, refused);
    }
}
