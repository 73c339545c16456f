//! The `[broker]` section: limits of what a node keeps in memory for its sessions and links (promise 6).

use std::time::Duration;

use serde::Deserialize;
use tidings_node::Section;

use crate::shard::presence::PresenceLimits;

/// Limits of a broker node. What is stored has limits of its own, see [`crate::core::limits`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct BrokerConfig {
    /// Sessions attached to one shard; more are refused with OVERLOADED.
    pub sessions_per_shard: usize,
    /// Entries in flight to a session, when it asks for no number, and at most.
    pub window_entries: u32,
    pub max_window_entries: u32,
    /// Bytes in flight to a session, when it asks for no number, and at most. One larger entry goes alone.
    pub window_bytes: u32,
    pub max_window_bytes: u32,
    /// Entries read from the store at once.
    pub page_entries: usize,
    /// Pages read from the store at the same time, per shard.
    pub concurrent_reads: usize,
    /// Frames and bytes that wait for a gateway before its sessions are left to lag.
    pub link_queue_frames: usize,
    pub link_queue_bytes: usize,
    /// Submissions of one gateway to one shard that wait for their answers; more are refused with OVERLOADED.
    pub submissions_in_flight: usize,
    /// Requests of users that are being answered at the same time; more are refused with OVERLOADED.
    pub requests_in_flight: usize,
    /// How long a sender waits after OVERLOADED, in ms.
    pub retry_after_ms: u32,
    /// From the end of a user's last session until they count as offline, in ms: those who come back were never away.
    pub presence_grace_ms: u32,
    /// Changes of a user's presence are told so far apart at least, in ms.
    pub presence_interval_ms: u32,
    /// Users of one shard whose presence is watched; for more a gateway gets OVERLOADED, and asks again.
    pub presence_watched: usize,
    /// Users of one shard of whom it is remembered when they were last seen; the longest gone are forgotten first.
    pub presence_last_seen: usize,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            sessions_per_shard: 250_000,
            window_entries: 256,
            max_window_entries: 4096,
            window_bytes: 1 << 20,
            max_window_bytes: 16 << 20,
            page_entries: 128,
            concurrent_reads: 8,
            link_queue_frames: 8192,
            link_queue_bytes: 16 << 20,
            submissions_in_flight: 8192,
            requests_in_flight: 256,
            retry_after_ms: 100,
            presence_grace_ms: 10_000,
            presence_interval_ms: 1_000,
            presence_watched: 100_000,
            presence_last_seen: 100_000,
        }
    }
}

impl Section for BrokerConfig {
    const NAME: &'static str = "broker";

    fn validate(&self) -> Result<(), String> {
        let at_least_one = [
            ("sessions_per_shard", self.sessions_per_shard),
            ("window_entries", self.window_entries as usize),
            ("window_bytes", self.window_bytes as usize),
            ("page_entries", self.page_entries),
            ("concurrent_reads", self.concurrent_reads),
            ("link_queue_frames", self.link_queue_frames),
            ("link_queue_bytes", self.link_queue_bytes),
            ("submissions_in_flight", self.submissions_in_flight),
            ("requests_in_flight", self.requests_in_flight),
            ("presence_watched", self.presence_watched),
            ("presence_last_seen", self.presence_last_seen),
        ];
        if let Some((key, _)) = at_least_one.iter().find(|(_, value)| *value == 0) {
            return Err(format!("{key} must be 1 or more"));
        }
        if self.max_window_entries < self.window_entries || self.max_window_bytes < self.window_bytes {
            return Err("max_window_entries and max_window_bytes must not be below the windows".to_owned());
        }
        if self.page_entries > 4096 {
            return Err("page_entries must be at most 4096".to_owned());
        }
        Ok(())
    }
}

impl BrokerConfig {
    /// What holds for the presence of one shard's users.
    pub fn presence_limits(&self) -> PresenceLimits {
        let millis = |value: u32| Duration::from_millis(value.into());
        PresenceLimits {
            grace: millis(self.presence_grace_ms),
            interval: millis(self.presence_interval_ms),
            watched: self.presence_watched,
            last_seen: self.presence_last_seen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_nonsense_is_named() {
        assert_eq!(BrokerConfig::default().validate(), Ok(()));
        let no_page = BrokerConfig { page_entries: 0, ..BrokerConfig::default() };
        assert!(no_page.validate().unwrap_err().starts_with("page_entries"));
        let narrow = BrokerConfig { max_window_bytes: 1, ..BrokerConfig::default() };
        assert!(narrow.validate().is_err());
    }
}
