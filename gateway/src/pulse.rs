//! What happens to sessions by the clock: heartbeats, spread evenly over the interval, and the expiry of tokens.

use std::sync::Arc;
use std::time::Duration;

use tidings_proto::ErrorCode;
use tokio::time::MissedTickBehavior;

use crate::core::Core;
use crate::registry::PARTS;
use crate::session::Close;

const EXPIRY_INTERVAL: Duration = Duration::from_millis(200);

/// Ticks each session once per heartbeat interval, a part of them at a time.
pub(crate) async fn heartbeats(core: Arc<Core>) {
    let mut interval = tokio::time::interval(core.config.heartbeat() / PARTS as u32);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for part in (0..PARTS).cycle() {
        interval.tick().await;
        core.registry.visit_part(part, |session| session.tick());
    }
}

/// Closes sessions whose token's time is over, within a fifth of a second.
pub(crate) async fn expiries(core: Arc<Core>) {
    let mut interval = tokio::time::interval(EXPIRY_INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        for session in core.registry.expired(core.clock.now_ms()) {
            session.close(Close::new(ErrorCode::TokenExpired, "the token has expired"));
        }
    }
}
