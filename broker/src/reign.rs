//! What a replica does for as long as it leads.

use std::future::Future;

use tidings_consensus::{Group, StateMachine};
use tidings_node::Shutdown;

/// Works while this replica leads, from the beginning in each term, until the shard closes.
pub async fn while_leading<M: StateMachine, W: Future<Output = ()>>(
    group: &Group<M>,
    shutdown: &Shutdown,
    mut work: impl FnMut() -> W,
) {
    let mut leadership = group.leadership();
    loop {
        tokio::select! {
            () = shutdown.requested() => return,
            led = leadership.wait_for(|leadership| leadership.is_leader) => if led.is_err() { return },
        }
        let reign = leadership.borrow_and_update().term;
        tokio::select! {
            () = shutdown.requested() => return,
            _ = leadership.wait_for(|leadership| !leadership.is_leader || leadership.term != reign) => {}
            () = work() => {}
        }
    }
}
