//! A rate limiter in eight bytes: the generic cell rate algorithm (ITU-T I.371), which behaves as a token bucket.

use std::time::Duration;

/// How many events per second, and how many at once. `per_second` 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    nanos_per_event: u64,
    burst_nanos: u64,
}

impl Rate {
    /// `per_second` events in the long run, `burst` (1 or more) at once.
    pub fn new(per_second: u32, burst: u32) -> Self {
        let nanos_per_event = 1_000_000_000u64.checked_div(u64::from(per_second)).unwrap_or(0);
        Self { nanos_per_event, burst_nanos: nanos_per_event * u64::from(burst.max(1)) }
    }
}

/// What one connection used of a [`Rate`]. Times are since any fixed moment, the same one in all calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bucket {
    /// The moment at which the bucket will be full again.
    full_at_nanos: u64,
}

impl Bucket {
    /// Takes one event, or says after which time one may be taken.
    pub fn take(&mut self, rate: &Rate, now: Duration) -> Result<(), Duration> {
        if rate.nanos_per_event == 0 {
            return Ok(());
        }
        // 2^64 ns are 584 years.
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let next = self.full_at_nanos.max(now).saturating_add(rate.nanos_per_event);
        let allowed = now.saturating_add(rate.burst_nanos);
        if next > allowed {
            return Err(Duration::from_nanos(next - allowed));
        }
        self.full_at_nanos = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_burst_then_the_rate() {
        let (rate, mut bucket) = (Rate::new(10, 3), Bucket::default());
        for _ in 0..3 {
            assert_eq!(bucket.take(&rate, at(1000)), Ok(()));
        }
        assert_eq!(bucket.take(&rate, at(1000)), Err(at(100)));
        assert_eq!(bucket.take(&rate, at(1099)), Err(at(1)));
        assert_eq!(bucket.take(&rate, at(1100)), Ok(()));
        assert_eq!(bucket.take(&rate, at(1100)), Err(at(100)));
    }

    #[test]
    fn rest_fills_the_burst_and_no_more() {
        let (rate, mut bucket) = (Rate::new(10, 2), Bucket::default());
        assert_eq!(bucket.take(&rate, at(0)), Ok(()));
        let taken = (0..10).filter(|_| bucket.take(&rate, at(60_000)).is_ok()).count();
        assert_eq!(taken, 2);
    }

    #[test]
    fn zero_is_no_limit() {
        let (rate, mut bucket) = (Rate::new(0, 0), Bucket::default());
        assert!((0..1000).all(|_| bucket.take(&rate, at(0)).is_ok()));
    }
}
