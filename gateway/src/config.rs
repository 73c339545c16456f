//! The `[gateway]` section: where clients connect, and every limit that holds for them (promise 6).

use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use tidings_node::Section;
use tidings_proto::frame::{DEFAULT_MAX_CONTENT_BYTES, FRAME_OVERHEAD_BYTES};

use crate::limits::check_url;
use crate::permission::Terms;
use crate::presence::WatchLimits;
use crate::rate::Rate;

/// The most sends that a device may have unanswered: the width of the recipient's duplicate window (decision 0002).
pub const MAX_SEND_WINDOW: u32 = 256;

/// What an operator can set about client connections. All times are in milliseconds, all sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct GatewayConfig {
    /// Where clients connect. With `[tls]` it speaks TLS, otherwise plain HTTP.
    pub listen: SocketAddr,
    /// Origins (`https://app.example`, or `*` for all) whose pages may upload and download files here, besides this
    /// gateway's own. WebSockets are open to pages of all origins: who connects shows a token.
    pub allowed_origins: Vec<String>,
    /// Connections of all clients together; further ones are closed as they come.
    pub max_connections: u32,
    /// Connections from one address; 0 is no limit. Leave it at 0 behind a proxy, where all come from one address.
    pub max_connections_per_address: u32,
    /// Connections of one user on this gateway; further ones get TOO_MANY_CONNECTIONS.
    pub max_connections_per_user: u32,
    /// Time for the HTTP request, and again for the first frame.
    pub handshake_timeout_ms: u32,
    /// A WebSocket ping goes out so often; a connection that is silent for twice that time is closed.
    pub heartbeat_ms: u32,
    /// A socket that takes no byte for so long is closed with SLOW_CONSUMER.
    pub write_timeout_ms: u32,
    /// The largest encoded content of a message.
    pub max_content_bytes: u32,
    /// Sends that a client may have unanswered, at most 256.
    pub send_window: u32,
    /// Bytes of unanswered sends, from which on the gateway reads no further from that connection.
    pub send_window_bytes: u32,
    /// Entries that may be on their way to a device, unacknowledged.
    pub delivery_window: u32,
    /// The same in bytes of encoded envelopes.
    pub delivery_window_bytes: u32,
    /// Frames per second that one connection may send before it is closed with FLOOD; 0 is no limit.
    pub frames_per_second: u32,
    /// How many of them at once.
    pub frames_burst: u32,
    /// Messages per second that one connection may send before they are refused with RATE_LIMITED; 0 is no limit.
    pub sends_per_second: u32,
    /// How many of them at once.
    pub sends_burst: u32,
    /// How long a message that certainly was not accepted (no leader, shard away) is tried again before it is refused.
    pub retry_ms: u32,
    /// How long a message whose fate is unknown (a broken link, no answer) is tried again before it is refused.
    pub outcome_unknown_ms: u32,
    /// Undelivered entries that a recipient's mailbox may hold, whatever its policy says; 0: what its policy says.
    pub inbox_limit: u32,
    /// Messages stay in no history for longer than so many seconds, whatever policies say; 0 is not at all.
    pub history_seconds: u32,
    /// No message is edited, recalled or wiped after so many seconds, whatever policies say.
    pub change_window_seconds: u32,
    /// Tokens, and as many users, whose state is remembered.
    pub cache_entries: u32,
    /// Users whom clients of this gateway watch, all together; a watch of more is answered with OVERLOADED.
    pub presence_watched: u32,
    /// How long a client's watch holds.
    pub presence_lease_ms: u32,
    /// What is told of presence comes to a client in frames so far apart at least.
    pub presence_interval_ms: u32,
    /// Activities (typing and the like) per second that one connection may send before they are dropped; 0 is no limit.
    pub activities_per_second: u32,
    /// How many of them at once.
    pub activities_burst: u32,
    /// A Redis server (`redis://`, `rediss://`) in which all gateways count what rate limits of policies allow; empty:
    /// each gateway counts for itself.
    pub redis_url: String,
    /// An answer of Redis that takes longer is none: the gateway goes by its own counts until it answers again.
    pub redis_timeout_ms: u32,
    /// A draining gateway asks its clients to come back within a random time up to this.
    pub drain_reconnect_within_ms: u32,
    /// How long a draining gateway waits for answers that clients wait for, and for clients to go.
    pub drain_timeout_ms: u32,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7700)),
            allowed_origins: Vec::new(),
            max_connections: 100_000,
            max_connections_per_address: 0,
            max_connections_per_user: 16,
            handshake_timeout_ms: 10_000,
            heartbeat_ms: 30_000,
            write_timeout_ms: 30_000,
            max_content_bytes: DEFAULT_MAX_CONTENT_BYTES as u32,
            send_window: MAX_SEND_WINDOW,
            send_window_bytes: 4 << 20,
            delivery_window: 256,
            delivery_window_bytes: 1 << 20,
            frames_per_second: 20_000,
            frames_burst: 40_000,
            sends_per_second: 5_000,
            sends_burst: 10_000,
            retry_ms: 800,
            outcome_unknown_ms: 10_000,
            inbox_limit: 0,
            history_seconds: u32::MAX,
            change_window_seconds: u32::MAX,
            cache_entries: 200_000,
            presence_watched: 200_000,
            presence_lease_ms: 120_000,
            presence_interval_ms: 500,
            activities_per_second: 5,
            activities_burst: 20,
            redis_url: String::new(),
            redis_timeout_ms: 200,
            drain_reconnect_within_ms: 5_000,
            drain_timeout_ms: 5_000,
        }
    }
}

impl Section for GatewayConfig {
    const NAME: &'static str = "gateway";

    fn validate(&self) -> Result<(), String> {
        let at_least_one = [
            ("max_connections", self.max_connections),
            ("max_connections_per_user", self.max_connections_per_user),
            ("delivery_window", self.delivery_window),
            ("frames_burst", self.frames_burst),
            ("sends_burst", self.sends_burst),
            ("cache_entries", self.cache_entries),
            ("presence_watched", self.presence_watched),
            ("activities_burst", self.activities_burst),
        ];
        if let Some((key, _)) = at_least_one.iter().find(|(_, value)| *value == 0) {
            return Err(format!("{key} must be 1 or more"));
        }
        let times = [
            ("handshake_timeout_ms", self.handshake_timeout_ms),
            ("heartbeat_ms", self.heartbeat_ms),
            ("write_timeout_ms", self.write_timeout_ms),
        ];
        if let Some((key, _)) = times.iter().find(|(_, value)| !(100..=3_600_000).contains(value)) {
            return Err(format!("{key} must be 100 (ms) to 3600000 (an hour)"));
        }
        if !(10_000..=3_600_000).contains(&self.presence_lease_ms) {
            return Err("presence_lease_ms must be 10000 (10 s) to 3600000 (an hour)".to_owned());
        }
        if !(1..=10_000).contains(&self.redis_timeout_ms) {
            return Err("redis_timeout_ms must be 1 to 10000".to_owned());
        }
        let is_origin = |origin: &&String| {
            let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            *origin == "*" || host.is_some_and(|host| !host.is_empty() && !host.contains('/'))
        };
        if let Some(origin) = self.allowed_origins.iter().find(|origin| !is_origin(origin)) {
            return Err(format!("allowed_origins: {origin:?} is not of the form https://host or https://host:port"));
        }
        if !self.redis_url.is_empty() {
            check_url(&self.redis_url)?;
        }
        if !(1..=MAX_SEND_WINDOW).contains(&self.send_window) {
            return Err(format!("send_window must be 1 to {MAX_SEND_WINDOW}, the width of the duplicate window"));
        }
        if !(1024..=1 << 20).contains(&self.max_content_bytes) {
            return Err("max_content_bytes must be 1024 to 1048576".to_owned());
        }
        let largest_entry = self.max_content_bytes + FRAME_OVERHEAD_BYTES as u32;
        if self.delivery_window_bytes < largest_entry || self.send_window_bytes < largest_entry {
            return Err(format!(
                "delivery_window_bytes and send_window_bytes must be {largest_entry} or more: one message"
            ));
        }
        Ok(())
    }
}

impl GatewayConfig {
    /// The largest binary frame: a content, and what stands around it.
    pub(crate) fn max_frame_bytes(&self) -> u32 {
        self.max_content_bytes + FRAME_OVERHEAD_BYTES as u32
    }

    /// The largest JSON frame: base64 and escapes make a content larger.
    pub(crate) fn max_json_frame_bytes(&self) -> u32 {
        self.max_content_bytes * 2 + FRAME_OVERHEAD_BYTES as u32
    }

    pub(crate) fn handshake_timeout(&self) -> Duration {
        millis(self.handshake_timeout_ms)
    }

    pub(crate) fn heartbeat(&self) -> Duration {
        millis(self.heartbeat_ms)
    }

    pub(crate) fn write_timeout(&self) -> Duration {
        millis(self.write_timeout_ms)
    }

    pub(crate) fn retry(&self) -> Duration {
        millis(self.retry_ms)
    }

    pub(crate) fn outcome_unknown(&self) -> Duration {
        millis(self.outcome_unknown_ms)
    }

    /// Undelivered entries that the mailbox of a recipient may hold whose policy allows so many.
    pub(crate) fn inbox_limit(&self, policy: u32) -> u32 {
        if self.inbox_limit == 0 { policy } else { policy.min(self.inbox_limit) }
    }

    pub(crate) fn redis_timeout(&self) -> Duration {
        millis(self.redis_timeout_ms)
    }

    pub(crate) fn drain_timeout(&self) -> Duration {
        millis(self.drain_timeout_ms)
    }

    /// What policies say, within what this gateway allows.
    pub(crate) fn capped(&self, terms: Terms) -> Terms {
        let history_ms = u64::from(self.history_seconds) * 1000;
        Terms {
            retention_ms: terms.retention_ms.min(history_ms),
            sender_retention_ms: terms.sender_retention_ms.min(history_ms),
            change_window_ms: terms.change_window_ms.min(u64::from(self.change_window_seconds) * 1000),
            ..terms
        }
    }

    pub(crate) fn frame_rate(&self) -> Rate {
        Rate::new(self.frames_per_second, self.frames_burst)
    }

    pub(crate) fn send_rate(&self) -> Rate {
        Rate::new(self.sends_per_second, self.sends_burst)
    }

    pub(crate) fn activity_rate(&self) -> Rate {
        Rate::new(self.activities_per_second, self.activities_burst)
    }

    /// A watch may cost as many questions to shards as it names users: one a second is enough for any client.
    pub(crate) fn watch_rate(&self) -> Rate {
        Rate::new(1, 8)
    }

    pub(crate) fn watch_limits(&self) -> WatchLimits {
        WatchLimits {
            users: self.presence_watched as usize,
            interval: millis(self.presence_interval_ms),
            lease: millis(self.presence_lease_ms),
        }
    }
}

fn millis(value: u32) -> Duration {
    Duration::from_millis(u64::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_mistakes_are_named() {
        assert_eq!(GatewayConfig::default().validate(), Ok(()));
        let refused = |change: fn(&mut GatewayConfig)| {
            let mut config = GatewayConfig::default();
            change(&mut config);
            config.validate().unwrap_err()
        };
        assert!(refused(|config| config.send_window = 257).contains("send_window"));
        assert!(refused(|config| config.heartbeat_ms = 0).contains("heartbeat_ms"));
        assert!(refused(|config| config.delivery_window_bytes = 10).contains("delivery_window_bytes"));
        assert!(refused(|config| config.cache_entries = 0).contains("cache_entries"));
        assert!(refused(|config| config.allowed_origins = vec!["app.example".to_owned()]).contains("app.example"));
        assert!(refused(|config| config.redis_timeout_ms = 0).contains("redis_timeout_ms"));
        assert!(refused(|config| config.redis_url = "localhost:6379".to_owned()).contains("redis://"));
    }
}
