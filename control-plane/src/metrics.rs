//! All metrics of the control plane, `tidings_control_*`.

use std::time::Duration;

use metrics::{counter, gauge, histogram};
use tidings_limits::LimitMetrics;
use tonic::{Code, Status};

/// A request was answered. `rpc` is a name out of the contracts, `code` one of gRPC's: both sets are closed.
pub fn answered(rpc: &'static str, outcome: Result<(), &Status>, took: Duration) {
    let code = outcome.err().map_or(Code::Ok, Status::code);
    counter!("tidings_control_requests_total", "rpc" => rpc, "code" => code_name(code)).increment(1);
    histogram!("tidings_control_request_seconds", "rpc" => rpc).record(took.as_secs_f64());
}

/// A token was resolved, to a user or to a refusal.
pub fn resolved(outcome: &'static str) {
    counter!("tidings_control_token_resolutions_total", "outcome" => outcome).increment(1);
}

/// What rate limits say to messages of backends.
pub fn limits() -> LimitMetrics {
    let limited = |of| counter!("tidings_control_rate_limited_total", "of" => of);
    let shared = |outcome| counter!("tidings_control_shared_limits_total", "outcome" => outcome);
    LimitMetrics {
        limited_by_user: limited("user"),
        limited_by_app: limited("app"),
        shared_up: gauge!("tidings_control_shared_limits_up"),
        shared_granted: shared("granted"),
        shared_refused: shared("refused"),
        shared_failed: shared("failed"),
    }
}

/// A watcher came or went.
pub fn watchers(now: usize) {
    gauge!("tidings_control_watchers").set(now as f64);
}

/// A watcher had to begin anew, because the change log no longer held where it was.
pub fn watch_reset() {
    counter!("tidings_control_watch_resets_total").increment(1);
}

/// The newest revision in the change log.
pub fn revision(revision: u64) {
    gauge!("tidings_control_revision").set(revision as f64);
}

/// A sweep command was applied.
pub fn swept() {
    counter!("tidings_control_sweeps_total").increment(1);
}

/// Of deleted users nothing is stored any more.
pub fn erased(users: usize) {
    counter!("tidings_control_users_erased_total").increment(users as u64);
}

/// Shards were given other replicas, or another preferred leader.
pub fn placed(shards: usize) {
    counter!("tidings_control_shards_placed_total").increment(shards as u64);
}

fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "ok",
        Code::InvalidArgument => "invalid_argument",
        Code::NotFound => "not_found",
        Code::AlreadyExists => "already_exists",
        Code::PermissionDenied => "permission_denied",
        Code::Unauthenticated => "unauthenticated",
        Code::ResourceExhausted => "resource_exhausted",
        Code::FailedPrecondition => "failed_precondition",
        Code::Unavailable => "unavailable",
        Code::Internal => "internal",
        _ => "other",
    }
}
