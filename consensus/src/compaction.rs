//! Keeps a group's log short: once it has grown enough, or its entries are old, the state is made durable and the
//! entries before it go. The old ones go because what they say may have been deleted since.

use std::sync::Arc;
use std::time::{Duration, Instant};

use openraft::Raft;
use openraft::async_runtime::WatchReceiver as _;
use openraft::metrics::RaftMetrics;
use tokio_util::sync::CancellationToken;

use crate::applier::Applier;
use crate::erasure;
use crate::log_store::GroupLog;
use crate::machine::StateMachine;
use crate::options::Tuning;
use crate::outgoing::Outgoing;
use crate::type_config::TypeConfig;

/// How often growth is looked at.
const INTERVAL: Duration = Duration::from_millis(500);
/// How long one try to make the state durable may take, and how many there are.
const TRY_FOR: Duration = Duration::from_secs(1);
const TRIES: usize = 60;

/// What was applied at a moment; once that is long ago, the entries up to there are old.
struct Mark {
    applied: u64,
    at: Instant,
}

/// Runs until the group stops.
pub(crate) async fn run<M: StateMachine>(
    raft: Raft<TypeConfig, Applier<M>>,
    log: Arc<GroupLog>,
    outgoing: Arc<Outgoing>,
    tuning: Tuning,
    stop: CancellationToken,
) {
    let mut compacted_at_bytes = 0;
    let mut mark: Option<Mark> = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
        let needed = outgoing.needs_log_from();
        let appended_bytes = log.appended_bytes();
        let (applied, purged) = {
            let metrics = raft.metrics();
            let metrics = metrics.borrow_watched();
            let index = |id: Option<crate::type_config::LogId>| id.map_or(0, |id| id.index);
            (index(metrics.last_applied), index(metrics.purged))
        };
        let by_bytes = appended_bytes - compacted_at_bytes >= tuning.compact_after_bytes;
        let by_entries = applied.saturating_sub(purged) >= tuning.compact_after_entries + tuning.keep_entries;
        let (mark_applied, is_old) = mark
            .as_ref()
            .map_or((0, true), |mark| (mark.applied, mark.at.elapsed() >= tuning.erase_within / erasure::STEPS));
        let by_age = is_old && mark_applied > purged;
        if is_old {
            mark = Some(Mark { applied, at: Instant::now() });
        }
        if !by_bytes && !by_entries && !by_age {
            continue;
        }
        // After a byte-heavy growth fewer entries are kept: they are the large ones.
        let keep = match () {
            () if by_age => tuning.keep_entries.min(applied.saturating_sub(mark_applied)),
            () if by_entries => tuning.keep_entries,
            () => tuning.keep_entries.min(applied.saturating_sub(purged) / 8),
        };
        // Whoever installs the snapshot that is on its way goes on by the log behind it.
        let keep = needed.map_or(keep, |index| keep.max((applied + 1).saturating_sub(index)));
        compacted_at_bytes = appended_bytes;
        let stopped = tokio::select! {
            () = stop.cancelled() => return,
            compacted = compact(&raft, applied, keep) => compacted.is_err(),
        };
        if stopped {
            return;
        }
    }
}

/// Makes the state durable up to `applied` and purges the log before it, but for `keep` entries.
pub(crate) async fn compact<M: StateMachine>(
    raft: &Raft<TypeConfig, Applier<M>>,
    applied: u64,
    keep: u64,
) -> Result<(), openraft::errors::Fatal<TypeConfig>> {
    let is_built = |metrics: &RaftMetrics<TypeConfig>| {
        metrics.running_state.is_err() || metrics.snapshot.is_some_and(|snapshot| snapshot.index >= applied)
    };
    let mut is_durable = false;
    for _ in 0..TRIES {
        // Raft forgets a wish that comes while the one before it is being fulfilled.
        raft.trigger().snapshot().await?;
        is_durable = raft.wait(Some(TRY_FOR)).metrics(is_built, "the state to be durable").await.is_ok();
        if is_durable {
            break;
        }
    }
    if is_durable {
        let upto = applied.saturating_sub(keep);
        tracing::debug!(upto, "purging the log");
        raft.trigger().purge_log(upto).await?;
    }
    Ok(())
}
