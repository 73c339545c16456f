//! Full-jitter exponential back-off: a random time between nothing and a ceiling that doubles with each attempt, so
//! that the clients of a lost gateway do not come back in step.

use std::time::Duration;

use rand::Rng;

/// How long to wait before the next attempt to connect.
#[derive(Debug, Clone)]
pub struct Backoff {
    first_ceiling: Duration,
    last_ceiling: Duration,
    attempts: u32,
}

impl Backoff {
    /// The ceiling begins at `first_ceiling` and doubles up to `last_ceiling`.
    pub fn new(first_ceiling: Duration, last_ceiling: Duration) -> Self {
        Self { first_ceiling, last_ceiling, attempts: 0 }
    }

    /// The next wait: uniform in `0..=ceiling`.
    pub fn next(&mut self, rng: &mut impl Rng) -> Duration {
        let ceiling = self.ceiling();
        self.attempts = self.attempts.saturating_add(1);
        random_up_to(ceiling, rng)
    }

    /// The connection was stable: the next wait is short again.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }

    /// The longest that the next wait can be.
    pub fn ceiling(&self) -> Duration {
        let factor = 1u32.checked_shl(self.attempts).unwrap_or(u32::MAX);
        self.first_ceiling.checked_mul(factor).unwrap_or(self.last_ceiling).min(self.last_ceiling)
    }
}

/// Uniform in `0..=limit`, in whole milliseconds.
pub fn random_up_to(limit: Duration, rng: &mut impl Rng) -> Duration {
    let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(rng.random_range(0..=limit_ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    #[test]
    fn the_ceiling_doubles_to_its_limit_and_falls_back_after_a_reset() {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(20));
        let mut rng = SmallRng::seed_from_u64(1);
        let mut ceilings = Vec::new();
        for _ in 0..40 {
            let ceiling = backoff.ceiling();
            assert!(backoff.next(&mut rng) <= ceiling);
            ceilings.push(ceiling.as_millis());
        }
        assert_eq!(ceilings[..7], [500, 1000, 2000, 4000, 8000, 16_000, 20_000]);
        assert_eq!(ceilings[39], 20_000);
        backoff.reset();
        assert_eq!(backoff.ceiling().as_millis(), 500);
    }
}
