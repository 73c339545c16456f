//! Every metric of the broker, by name. Counters that move with every message are made once and kept.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use tidings_proto::ErrorCode;

/// What is counted per message or per session. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    /// Messages that joined a mailbox and whose sender was told.
    pub appended: Counter,
    /// Retries that were answered with the first result.
    pub duplicates: Counter,
    /// Messages handed to online sessions without being stored.
    pub transients: Counter,
    /// Messages to groups that did not reach a shard, or the members in it, and are stored nowhere.
    pub group_transients_dropped: Counter,
    /// Entries pushed to sessions.
    pub delivered: Counter,
    /// Cursors moved by acknowledgements.
    pub cursor_moves: Counter,
    /// Pages read for sessions that lag, and entries in them.
    pub pages_read: Counter,
    pub page_entries: Histogram,
    /// Attached sessions that are delivered to.
    pub sessions: Gauge,
    /// Streams of gateways.
    pub links: Gauge,
    /// Entries that expired undelivered, or on a device's way to them.
    pub expired: Counter,
    /// Items that reached another shard.
    pub relayed: Counter,
    /// Times that the channel to another shard could not be emptied.
    pub relay_failures: Counter,
    /// Commands that brought groups to a revision of the registry, and attempts that failed.
    pub group_updates: Counter,
    pub group_update_failures: Counter,
    /// Changes of users' presence that gateways were told.
    pub presence_told: Counter,
    /// Applying one command.
    pub apply_seconds: Histogram,
}

impl Metrics {
    /// Asks the process's recorder; make it after the recorder was installed.
    pub fn new() -> Self {
        Self {
            appended: counter!("tidings_broker_appended_total"),
            duplicates: counter!("tidings_broker_duplicates_total"),
            transients: counter!("tidings_broker_transients_total"),
            group_transients_dropped: counter!("tidings_broker_group_transients_dropped_total"),
            delivered: counter!("tidings_broker_delivered_total"),
            cursor_moves: counter!("tidings_broker_cursor_moves_total"),
            pages_read: counter!("tidings_broker_mailbox_pages_read_total"),
            page_entries: histogram!("tidings_broker_mailbox_page_entries"),
            sessions: gauge!("tidings_broker_sessions"),
            links: gauge!("tidings_broker_links"),
            expired: counter!("tidings_broker_expired_total"),
            relayed: counter!("tidings_broker_channel_items_relayed_total"),
            relay_failures: counter!("tidings_broker_channel_failures_total"),
            group_updates: counter!("tidings_broker_group_updates_total"),
            group_update_failures: counter!("tidings_broker_group_update_failures_total"),
            presence_told: counter!("tidings_broker_presence_told_total"),
            apply_seconds: histogram!("tidings_broker_apply_seconds"),
        }
    }

    /// A submission that was refused, for this reason.
    pub fn refused(&self, code: ErrorCode) {
        counter!("tidings_broker_refused_total", "code" => code.as_str_name()).increment(1);
    }

    /// Sessions ended by the broker, for this reason.
    pub fn detached(&self, code: ErrorCode, count: usize) {
        counter!("tidings_broker_detached_total", "code" => code.as_str_name()).increment(count as u64);
    }

    /// Sessions of a shard that wait to be read from the store.
    pub fn lagging(&self, shard: u32, sessions: usize) {
        gauge!("tidings_broker_lagging_sessions", "shard" => shard.to_string()).set(sessions as f64);
    }

    /// Users of a shard whose presence is watched.
    pub fn watched(&self, shard: u32, users: usize) {
        gauge!("tidings_broker_watched_users", "shard" => shard.to_string()).set(users as f64);
    }

    /// Items that wait in the channels of a shard.
    pub fn channel_backlog(&self, shard: u32, items: u64) {
        gauge!("tidings_broker_channel_backlog_items", "shard" => shard.to_string()).set(items as f64);
    }

    /// A batch of commands was applied.
    pub fn applied(&self, commands: u32, took: Duration) {
        if commands > 0 {
            self.apply_seconds.record(took.as_secs_f64() / f64::from(commands));
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
