//! Who leads a group, as this replica sees it.

use std::time::Duration;

use openraft::async_runtime::WatchReceiver as _;
use openraft::metrics::RaftMetrics;
use openraft::{Instant as _, Raft, ServerState};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::applier::Applier;
use crate::group_id::NodeId;
use crate::machine::StateMachine;
use crate::type_config::TypeConfig;

/// Who leads a group, as one replica sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The latest term that this replica knows of; grows with every election (promise 5).
    pub term: u64,
    /// The leader of that term, once known.
    pub leader: Option<NodeId>,
    /// The address of the leader's Raft service.
    pub leader_address: Option<String>,
    /// This replica leads, has applied everything of earlier terms, and was confirmed by a quorum within the lease.
    /// While a replica leads without being ready, `leader` is already its own id. Told with a delay of up to a
    /// heartbeat; [`Group::read_barrier`](crate::Group::read_barrier) is exact.
    pub is_leader: bool,
}

impl Leadership {
    /// Where to send what only a leader takes.
    pub(crate) fn hint(&self, me: NodeId) -> Option<(NodeId, String)> {
        let leader = self.leader.filter(|leader| *leader != me)?;
        Some((leader, self.leader_address.clone()?))
    }
}

/// What Raft's own account comes to at this moment.
pub(crate) fn judge(metrics: &RaftMetrics<TypeConfig>, lease: Duration) -> Leadership {
    let membership = metrics.membership_config.membership();
    let applied_term = metrics.last_applied.map(|applied| applied.leader_id.term);
    let is_alone = membership.voter_ids().eq([metrics.id]);
    let is_confirmed = is_alone || metrics.last_quorum_acked.is_some_and(|acked| acked.elapsed() < lease);
    Leadership {
        term: metrics.current_term,
        leader: metrics.current_leader,
        leader_address: metrics.current_leader.and_then(|leader| membership.get_node(&leader)).cloned(),
        is_leader: metrics.state == ServerState::Leader
            && metrics.running_state.is_ok()
            && applied_term == Some(metrics.current_term)
            && is_confirmed,
    }
}

/// Follows Raft's own account until the group stops; a stopped replica leads nothing.
pub(crate) async fn follow<M: StateMachine>(
    raft: Raft<TypeConfig, Applier<M>>,
    leadership: watch::Sender<Leadership>,
    heartbeat: Duration,
    lease: Duration,
    stop: CancellationToken,
) {
    let mut metrics = raft.metrics();
    // Changes with elections alone, while the metrics change with every entry.
    let mut elections = raft.server_metrics();
    loop {
        let (now, me) = {
            let metrics = metrics.borrow_and_update();
            (judge(&metrics, lease), metrics.id)
        };
        let is_getting_ready = now.leader == Some(me) && !now.is_leader;
        leadership.send_if_modified(|current| {
            if *current == now {
                return false;
            }
            if now.is_leader && !current.is_leader {
                crate::metrics::leadership_won();
            }
            tracing::debug!(term = now.term, leader = now.leader, is_leader = now.is_leader, "leadership");
            *current = now;
            true
        });
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            changed = elections.changed() => if changed.is_err() { break },
            changed = metrics.changed(), if is_getting_ready => if changed.is_err() { break },
            // The lease runs out without anything changing.
            () = tokio::time::sleep(heartbeat) => {}
        }
    }
    leadership.send_modify(|current| current.is_leader = false);
}
