//! When a message disappears, and what of that can be asked for. Gateways, the control plane and brokers look at it.

use crate::message::v1::Disappearance;
use crate::message::v1::disappearance::Start;

/// After which time a message disappears at the latest: ten years.
pub const MAX_AFTER_MS: u64 = 10 * 365 * 24 * 3600 * 1000;

/// Whether a message can disappear so: after 1 ms at least, from a start that is known.
pub fn is_valid(disappears: &Disappearance) -> bool {
    Start::try_from(disappears.from).is_ok() && (1..=MAX_AFTER_MS).contains(&disappears.after_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_and_the_start_have_bounds() {
        let after = |after_ms, from| is_valid(&Disappearance { after_ms, from });
        assert!(after(1, 0) && after(MAX_AFTER_MS, 2));
        assert!(!after(0, 0) && !after(MAX_AFTER_MS + 1, 0) && !after(1, 3) && !after(1, -1));
    }
}
