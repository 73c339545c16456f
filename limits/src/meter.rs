//! What one user, or one app, has used of its limits. Pure: no I/O, no clock.

use std::time::Duration;

use tidings_proto::policy::v1::RateLimit;

use super::window::{Windows, slice_ms};

/// A grant is at most this part of the smallest count, so that what a gateway holds unused costs little elsewhere.
const GRANTED_PART: u32 = 32;
/// A grant that was not used is forgotten after so long, or after a slice of the shortest window.
const GRANT_MS: u64 = 1000;

/// What was sent here, and what the shared limits have granted or refused.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    windows: Windows,
    /// Those that the shared limits were asked about.
    limits: Vec<RateLimit>,
    /// Messages that were granted and not sent yet.
    granted: u32,
    granted_until_ms: u64,
    /// How much was asked for last.
    asked: u32,
    refused_until_ms: u64,
}

impl Meter {
    /// How long until a message may be taken, by what is known here; nothing when it may be taken now.
    pub fn wait(&mut self, limits: &[RateLimit], now_ms: u64) -> Option<Duration> {
        if self.limits != limits {
            self.limits = limits.to_vec();
            self.forget_shared();
        }
        let shared = self.refused_until_ms.saturating_sub(now_ms);
        let shared = (shared > 0).then(|| Duration::from_millis(shared));
        self.windows.wait(limits, now_ms).max(shared)
    }

    /// Counts a message that was taken.
    pub fn count(&mut self, now_ms: u64) {
        self.windows.count(now_ms);
    }

    /// Whether something that was granted is left.
    pub fn has_grant(&self, now_ms: u64) -> bool {
        self.granted > 0 && now_ms < self.granted_until_ms
    }

    /// Uses one of what was granted; answers whether there was one.
    pub fn use_grant(&mut self, now_ms: u64) -> bool {
        let has = self.has_grant(now_ms);
        self.granted -= u32::from(has);
        has
    }

    /// Gives one back that was not used after all.
    pub fn return_grant(&mut self) {
        self.granted += 1;
    }

    /// How many to ask the shared limits for: twice as many as last time while they are used up before they are
    /// forgotten.
    pub fn want(&mut self, limits: &[RateLimit], now_ms: u64) -> u32 {
        let most = limits.iter().map(|limit| limit.count / GRANTED_PART).min().unwrap_or(0).max(1);
        let used_up = self.granted == 0 && now_ms < self.granted_until_ms;
        self.asked = if used_up { (self.asked * 2).clamp(1, most) } else { 1 };
        self.asked
    }

    /// Takes a grant of one or more, the first of which is used at once.
    pub fn grant(&mut self, granted: u32, limits: &[RateLimit], now_ms: u64) {
        let slice = limits.iter().map(|limit| slice_ms(limit.seconds)).min().unwrap_or(GRANT_MS);
        self.granted = granted.saturating_sub(1);
        self.granted_until_ms = now_ms + slice.min(GRANT_MS);
    }

    /// Remembers a refusal, so that whoever tries again too early costs nobody a question.
    pub fn refuse(&mut self, wait: Duration, now_ms: u64) {
        self.refused_until_ms = now_ms + u64::try_from(wait.as_millis()).unwrap_or(u64::MAX / 2);
    }

    /// Forgets what the shared limits said: they cannot be asked now, or were asked about other limits.
    pub fn forget_shared(&mut self) {
        (self.granted, self.asked, self.refused_until_ms) = (0, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn limit(count: u32, seconds: u32) -> RateLimit {
        RateLimit { count, seconds }
    }

    #[test]
    fn grants_grow_while_they_are_used_up_and_stay_a_small_part_of_the_smallest_limit() {
        let limits = [limit(10_000, 3_600), limit(256, 60)];
        let mut meter = Meter::default();
        let mut asked = Vec::new();
        for _ in 0..6 {
            let want = meter.want(&limits, 5);
            asked.push(want);
            meter.grant(want, &limits, 5);
            while meter.use_grant(5) {}
        }
        assert_eq!(asked, [1, 2, 4, 8, 8, 8]);
        assert_eq!(meter.want(&limits, 2_000), 1, "after a pause it begins anew");
        assert_eq!(meter.want(&[limit(30, 60)], 2_000), 1, "a small limit is granted one by one");
    }

    #[test]
    fn a_grant_is_forgotten_after_a_slice_of_the_shortest_window() {
        let mut meter = Meter::default();
        meter.grant(3, &[limit(1_000, 2)], 1_000);
        assert!(meter.use_grant(1_099) && meter.has_grant(1_099));
        assert!(!meter.use_grant(1_100));
        meter.grant(3, &[limit(1_000, 86_400)], 1_000);
        assert!(meter.has_grant(1_999) && !meter.has_grant(2_000));
    }

    #[test]
    fn a_refusal_holds_for_its_time_and_the_longer_wait_counts() {
        let (limits, mut meter) = ([limit(1, 1)], Meter::default());
        assert_eq!(meter.wait(&limits, 1_000), None);
        meter.refuse(Duration::from_millis(300), 1_000);
        assert_eq!(meter.wait(&limits, 1_100), Some(Duration::from_millis(200)));
        assert_eq!(meter.wait(&limits, 1_300), None);
        meter.count(1_300);
        assert_eq!(meter.wait(&limits, 1_300), Some(Duration::from_millis(1_050)));
        meter.refuse(Duration::from_secs(9), 1_300);
        assert_eq!(meter.wait(&limits, 1_300), Some(Duration::from_secs(9)));
        assert_eq!(meter.wait(&[limit(2, 1)], 1_300), None, "other limits were not refused");
    }
}
