//! Waiting times between attempts: doubled up to a limit, and random, so that what broke together does not come back
//! together.

use std::time::Duration;

use rand::Rng;

/// A random time between half of and the whole of `first` doubled `attempt` times, at most `limit`.
pub fn jittered(first: Duration, limit: Duration, attempt: u32) -> Duration {
    let full = first.saturating_mul(1 << attempt.min(16)).min(limit);
    full.mul_f64(rand::rng().random_range(0.5..=1.0))
}

/// A random time up to `limit`.
pub fn spread(limit: Duration) -> Duration {
    limit.mul_f64(rand::rng().random_range(0.0..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_its_limit_and_stays_random_below_it() {
        let (first, limit) = (Duration::from_millis(100), Duration::from_secs(2));
        for attempt in [0, 1, 5, 40, u32::MAX] {
            let full = first.saturating_mul(1 << attempt.min(16)).min(limit);
            let waited = jittered(first, limit, attempt);
            assert!(waited >= full / 2 && waited <= full, "{attempt}: {waited:?}");
        }
    }
}
