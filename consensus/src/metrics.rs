//! The only place where a metric of this crate has a name.

use std::time::Duration;

/// One synced write of the log-writer thread.
pub(crate) fn log_written(records: u64, bytes: u64, took: Duration) {
    metrics::counter!("tidings_consensus_log_fsyncs_total").increment(1);
    metrics::counter!("tidings_consensus_log_records_total").increment(records);
    metrics::counter!("tidings_consensus_log_bytes_total").increment(bytes);
    metrics::histogram!("tidings_consensus_log_records_per_fsync").record(records as f64);
    metrics::histogram!("tidings_consensus_log_fsync_seconds").record(took.as_secs_f64());
}

/// One Raft entry was made of this many commands.
pub(crate) fn batch_proposed(commands: usize, bytes: usize) {
    metrics::counter!("tidings_consensus_proposed_batches_total").increment(1);
    metrics::counter!("tidings_consensus_proposed_commands_total").increment(commands as u64);
    metrics::histogram!("tidings_consensus_proposed_batch_bytes").record(bytes as f64);
}

/// Proposals that were answered without being applied, by why.
pub(crate) fn proposals_refused(reason: &'static str, commands: usize) {
    metrics::counter!("tidings_consensus_refused_commands_total", "reason" => reason).increment(commands as u64);
}

/// Commands applied to a state machine of this replica.
pub(crate) fn commands_applied(commands: usize, took: Duration) {
    metrics::counter!("tidings_consensus_applied_commands_total").increment(commands as u64);
    metrics::histogram!("tidings_consensus_apply_seconds").record(took.as_secs_f64());
}

/// The state database was flushed, so that logs can be purged.
pub(crate) fn state_flushed(took: Duration) {
    metrics::histogram!("tidings_consensus_state_flush_seconds").record(took.as_secs_f64());
}

/// A snapshot of a group was sent to, or installed from, a peer.
pub(crate) fn snapshot_moved(direction: &'static str, bytes: u64) {
    metrics::counter!("tidings_consensus_snapshots_total", "direction" => direction).increment(1);
    metrics::counter!("tidings_consensus_snapshot_bytes_total", "direction" => direction).increment(bytes);
}

/// Leadership of a group began at this replica.
pub(crate) fn leadership_won() {
    metrics::counter!("tidings_consensus_leaderships_total").increment(1);
}

/// A replica was found damaged; so many are now.
pub(crate) fn damage_found(damaged: usize) {
    metrics::counter!("tidings_consensus_damages_found_total").increment(1);
    damaged_groups(damaged);
}

/// So many replicas of this node are damaged and not yet erased.
pub(crate) fn damaged_groups(damaged: usize) {
    metrics::gauge!("tidings_consensus_damaged_groups").set(damaged as f64);
}

/// The scrub has read this many bytes more.
pub(crate) fn scrubbed(bytes: u64) {
    metrics::counter!("tidings_consensus_scrubbed_bytes_total").increment(bytes);
}

/// A round of the scrub ended, and found so many replicas damaged.
pub(crate) fn scrub_round(damaged: u64) {
    metrics::counter!("tidings_consensus_scrub_rounds_total").increment(1);
    metrics::counter!("tidings_consensus_scrub_damages_found_total").increment(damaged);
}

/// Both databases were written anew, without what was deleted.
pub(crate) fn erased() {
    metrics::counter!("tidings_consensus_erase_rounds_total").increment(1);
}

/// The storage of the process failed; 0 until then.
pub(crate) fn storage_failed() {
    metrics::gauge!("tidings_consensus_storage_failed").set(1.0);
}
