//! How many messages there were lately: sliding windows in constant space. Pure: no I/O, no clock.
//!
//! A window of a rate limit is cut into [`SLICES`] slices, each with a count. What is counted is the present slice and
//! the [`SLICES`] before it, hence never less than what a window of exactly that length holds: a limit is never
//! exceeded, wherever the window is laid. The price is that a message is remembered for up to one slice (5 %) longer
//! than it has to be.

use std::time::Duration;

use tidings_proto::policy::v1::RateLimit;

/// Slices of one window.
pub(crate) const SLICES: u64 = 20;
const COUNTED: usize = SLICES as usize + 1;

/// Milliseconds of a slice; the window has at least one second.
pub(crate) fn slice_ms(seconds: u32) -> u64 {
    u64::from(seconds.max(1)) * 1000 / SLICES
}

/// The counts of one window length.
#[derive(Debug, Clone)]
struct Window {
    seconds: u32,
    /// The number of the newest slice, since the moment from which times are counted.
    newest: u64,
    /// By slice number modulo [`COUNTED`].
    counts: [u32; COUNTED],
}

impl Window {
    fn new(seconds: u32) -> Self {
        Self { seconds, newest: 0, counts: [0; COUNTED] }
    }

    fn advance(&mut self, now_ms: u64) {
        let slice = now_ms / slice_ms(self.seconds);
        if slice.saturating_sub(self.newest) >= COUNTED as u64 {
            self.counts = [0; COUNTED];
            self.newest = slice;
        }
        while self.newest < slice {
            self.newest += 1;
            self.counts[place(self.newest)] = 0;
        }
    }

    fn used(&self) -> u32 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// How long until there is room for one below `limit`; nothing when there is. Advance it first.
    fn wait_ms(&self, limit: u32, now_ms: u64) -> Option<u64> {
        let used = self.used();
        if used < limit {
            return None;
        }
        // From the oldest slice on: the one that makes room when it is counted no longer.
        let (mut left, width) = (used, slice_ms(self.seconds));
        for slice in self.newest.saturating_sub(SLICES)..=self.newest {
            left -= self.counts[place(slice)].min(left);
            if left < limit {
                return Some((slice + COUNTED as u64) * width - now_ms);
            }
        }
        // A limit of nothing never has room.
        Some(u64::from(self.seconds) * 1000)
    }
}

fn place(slice: u64) -> usize {
    (slice % COUNTED as u64) as usize
}

/// What one user or app sent lately, in every window that it has a limit for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Windows(Vec<Window>);

impl Windows {
    /// How long until one message may be taken below all limits; nothing when it may be taken now. Times are
    /// milliseconds since any fixed moment, and do not fall. A window that the limits do not name any more is
    /// forgotten.
    pub fn wait(&mut self, limits: &[RateLimit], now_ms: u64) -> Option<Duration> {
        self.0.retain(|window| limits.iter().any(|limit| limit.seconds == window.seconds));
        let wait_ms = limits.iter().filter_map(|limit| {
            let at = self.0.iter().position(|window| window.seconds == limit.seconds).unwrap_or_else(|| {
                self.0.push(Window::new(limit.seconds));
                self.0.len() - 1
            });
            self.0[at].advance(now_ms);
            self.0[at].wait_ms(limit.count, now_ms)
        });
        wait_ms.max().map(Duration::from_millis)
    }

    /// Counts a message in the windows that [`wait`](Self::wait) was last asked about, whatever the limits say.
    pub fn count(&mut self, now_ms: u64) {
        for window in &mut self.0 {
            window.advance(now_ms);
            let count = &mut window.counts[place(window.newest)];
            *count = count.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limit(count: u32, seconds: u32) -> RateLimit {
        RateLimit { count, seconds }
    }

    impl Windows {
        fn take(&mut self, limits: &[RateLimit], now_ms: u64) -> Result<(), Duration> {
            let wait = self.wait(limits, now_ms);
            if wait.is_none() {
                self.count(now_ms);
            }
            wait.map_or(Ok(()), Err)
        }
    }

    #[test]
    fn the_count_within_the_window_and_not_one_more() {
        let (limits, mut windows) = ([limit(3, 60)], Windows::default());
        for _ in 0..3 {
            assert_eq!(windows.take(&limits, 10_000), Ok(()));
        }
        // Counted from the start of the slice of 3 s: 9 s, and 21 slices on.
        assert_eq!(windows.take(&limits, 10_000), Err(Duration::from_secs(9 + 63 - 10)));
        assert_eq!(windows.take(&limits, 71_999), Err(Duration::from_millis(1)));
        assert_eq!(windows.take(&limits, 72_000), Ok(()));
    }

    #[test]
    fn the_longest_wait_of_several_windows_counts_and_a_refusal_uses_nothing() {
        let (limits, mut windows) = ([limit(2, 1), limit(3, 600)], Windows::default());
        assert_eq!(windows.take(&limits, 0), Ok(()));
        assert_eq!(windows.take(&limits, 0), Ok(()));
        assert_eq!(windows.take(&limits, 0), Err(Duration::from_millis(1050)));
        assert_eq!(windows.take(&limits, 2_000), Ok(()));
        assert_eq!(windows.take(&limits, 2_000), Err(Duration::from_secs(628)));
    }

    #[test]
    fn a_limit_of_nothing_lets_nothing_through_and_no_limit_everything() {
        let mut windows = Windows::default();
        assert_eq!(windows.take(&[limit(0, 5)], 1_000_000), Err(Duration::from_secs(5)));
        assert!((0..1_000).all(|now| windows.take(&[], now).is_ok()));
    }

    #[test]
    fn a_changed_count_holds_for_what_was_sent_before_the_change() {
        let mut windows = Windows::default();
        for _ in 0..5 {
            assert_eq!(windows.take(&[limit(100, 10)], 0), Ok(()));
        }
        assert!(windows.take(&[limit(5, 10)], 0).is_err());
        assert_eq!(windows.take(&[limit(6, 10)], 0), Ok(()));
    }

    proptest! {
        /// Against a log of all times: no window ever holds more than its count; nothing is refused unless a window
        /// that is one slice longer is full; and the time that a refusal names is exactly the time.
        #[test]
        fn never_too_many_seldom_too_strict_and_the_wait_is_right(
            limits in prop::collection::vec((0u32..6, 1u32..5), 1..4),
            pauses in prop::collection::vec(0u64..900, 1..120),
        ) {
            let limits: Vec<_> = limits.into_iter().map(|(count, seconds)| limit(count, seconds)).collect();
            let (mut windows, mut taken, mut now) = (Windows::default(), Vec::<u64>::new(), 12_345);
            for pause in pauses {
                now += pause;
                let within = |taken: &[u64], ms: u64| taken.iter().filter(|at| **at + ms > now).count();
                match windows.take(&limits, now) {
                    Ok(()) => {
                        taken.push(now);
                        for limit in &limits {
                            prop_assert!(within(&taken, u64::from(limit.seconds) * 1000) <= limit.count as usize);
                        }
                    }
                    Err(wait) => {
                        let full = |limit: &RateLimit| {
                            let longer = u64::from(limit.seconds) * 1000 + slice_ms(limit.seconds);
                            within(&taken, longer) >= limit.count as usize
                        };
                        prop_assert!(limits.iter().any(full));
                        let wait = u64::try_from(wait.as_millis()).unwrap();
                        prop_assert!(wait > 0);
                        prop_assert!(windows.clone().take(&limits, now + wait - 1).is_err());
                        if limits.iter().all(|limit| limit.count > 0) {
                            prop_assert!(windows.clone().take(&limits, now + wait).is_ok());
                        }
                    }
                }
            }
        }
    }
}
