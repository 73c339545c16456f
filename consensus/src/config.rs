//! The `[storage]` section: what an operator can set about the engine's store.

use std::time::Duration;

use serde::Deserialize;
use tidings_node::Section;

use crate::options::Tuning;

/// Rates and sizes, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct StorageConfig {
    /// Cache for reading what is stored.
    pub block_cache_bytes: usize,
    /// Everything stored is read again and again, to find damage while the peers still have what was lost; at most so
    /// fast.
    pub scrub_bytes_per_second: u64,
    /// The pause between two such rounds.
    pub scrub_pause_seconds: u32,
    /// What was deleted (recalled, wiped, edited away, past its retention) is in no file of the node any more after so
    /// long: three times in it, everything stored is read and written anew.
    pub erase_within_seconds: u32,
    /// Replicas are sent to other nodes at most so fast, all together.
    pub snapshot_bytes_per_second: u64,
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            block_cache_bytes: 128 << 20,
            scrub_bytes_per_second: 8 << 20,
            scrub_pause_seconds: 24 * 3600,
            erase_within_seconds: 3 * 24 * 3600,
            snapshot_bytes_per_second: 8 << 20,
        }
    }
}

impl Section for StorageConfig {
    const NAME: &'static str = "storage";

    fn validate(&self) -> Result<(), String> {
        let rates = [
            ("scrub_bytes_per_second", self.scrub_bytes_per_second),
            ("snapshot_bytes_per_second", self.snapshot_bytes_per_second),
        ];
        match rates.iter().find(|(_, rate)| *rate < 64 * 1024) {
            Some((key, _)) => Err(format!("{key} must be 65536 or more")),
            None if self.scrub_pause_seconds == 0 => Err("scrub_pause_seconds must be 1 or more".to_owned()),
            None if self.erase_within_seconds < 3 => Err("erase_within_seconds must be 3 or more".to_owned()),
            None => Ok(()),
        }
    }
}

impl StorageConfig {
    /// The engine's tuning with these values.
    pub fn tuning(&self) -> Tuning {
        Tuning {
            block_cache_bytes: self.block_cache_bytes,
            scrub_bytes_per_second: self.scrub_bytes_per_second,
            scrub_pause: Duration::from_secs(self.scrub_pause_seconds.into()),
            erase_within: Duration::from_secs(self.erase_within_seconds.into()),
            snapshot_bytes_per_second: Some(self.snapshot_bytes_per_second),
            ..Tuning::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_engines_and_a_rate_of_nothing_is_refused() {
        let (default, tuning) = (StorageConfig::default(), Tuning::default());
        assert_eq!(default.validate(), Ok(()));
        assert_eq!(default.block_cache_bytes, tuning.block_cache_bytes);
        assert_eq!(default.scrub_bytes_per_second, tuning.scrub_bytes_per_second);
        assert_eq!(Duration::from_secs(default.scrub_pause_seconds.into()), tuning.scrub_pause);
        assert_eq!(Some(default.snapshot_bytes_per_second), tuning.snapshot_bytes_per_second);
        assert_eq!(Duration::from_secs(default.erase_within_seconds.into()), tuning.erase_within);
        assert!(StorageConfig { erase_within_seconds: 2, ..default.clone() }.validate().is_err());
        assert_eq!(StorageConfig { erase_within_seconds: 3, ..default.clone() }.validate(), Ok(()));
        assert!(StorageConfig { scrub_bytes_per_second: 0, ..default.clone() }.validate().is_err());
        assert!(StorageConfig { scrub_pause_seconds: 0, ..default }.validate().is_err());
    }
}
