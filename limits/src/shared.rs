//! Limits that all processes share, in a Redis server.
//!
//! One atomic script per question; the questions of all connections are pipelined over one connection. Without the
//! server, or as soon as it fails once, nobody waits for it: each goes by its own counts, and one task tries until the
//! server answers again.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, Script};
use tidings_node::backoff;
use tidings_proto::policy::v1::RateLimit;

use crate::LimitMetrics;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(2);
/// Questions on their way; more wait for their turn.
const CONCURRENT_QUESTIONS: usize = 1024;

/// What the shared limits say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// So many messages may be sent; one or more.
    Granted(u32),
    /// None before this time.
    Refused(Duration),
}

/// The server is away: go by what was counted here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Away;

/// The shared limits; cheap to ask whether they are there.
pub struct Shared {
    client: Client,
    timeout: Duration,
    script: Script,
    /// In front of every key: other clusters, and others, may use the same server.
    prefix: String,
    /// `None` while the server is away. The number tells connections apart.
    connection: Mutex<Option<(u64, MultiplexedConnection)>>,
    metrics: LimitMetrics,
}

impl Shared {
    /// Begins to connect. `url` is one that [`check_url`] takes; an answer that takes longer than `timeout` is none.
    pub fn start(url: &str, timeout: Duration, cluster: &str, metrics: LimitMetrics) -> Result<Arc<Self>, RedisError> {
        let shared = Arc::new(Self {
            client: Client::open(url)?,
            timeout,
            script: Script::new(include_str!("take.lua")),
            prefix: format!("tidings:{cluster}:rate:"),
            connection: Mutex::new(None),
            metrics,
        });
        shared.metrics.shared_up.set(0.0);
        tokio::spawn(connect(Arc::downgrade(&shared), 1));
        Ok(shared)
    }

    /// Whether the server answered last time.
    pub(crate) fn is_there(&self) -> bool {
        self.connection.lock().is_some()
    }

    /// Takes up to `want` messages of what `limits` leave for `key`.
    pub(crate) async fn take(self: &Arc<Self>, key: &str, limits: &[RateLimit], want: u32) -> Result<Answer, Away> {
        let (number, mut connection) = self.connection.lock().clone().ok_or(Away)?;
        match self.ask(&mut connection, key, limits, want).await {
            Ok(answer) => {
                match answer {
                    Answer::Granted(_) => self.metrics.shared_granted.increment(1),
                    Answer::Refused(_) => self.metrics.shared_refused.increment(1),
                }
                Ok(answer)
            }
            Err(error) => {
                self.metrics.shared_failed.increment(1);
                self.lost(number, &error);
                Err(Away)
            }
        }
    }

    async fn ask(
        &self,
        connection: &mut MultiplexedConnection,
        key: &str,
        limits: &[RateLimit],
        want: u32,
    ) -> Result<Answer, RedisError> {
        let mut call = self.script.key(format!("{}{key}", self.prefix));
        call.arg(want);
        limits.iter().for_each(|limit| {
            call.arg(limit.count).arg(limit.seconds);
        });
        let (granted, wait_ms): (u32, u64) = call.invoke_async(connection).await?;
        Ok(if granted > 0 { Answer::Granted(granted) } else { Answer::Refused(Duration::from_millis(wait_ms)) })
    }

    /// The first who notices says so, and has it tried again.
    fn lost(self: &Arc<Self>, number: u64, error: &RedisError) {
        let mut connection = self.connection.lock();
        if connection.as_ref().is_none_or(|(present, _)| *present != number) {
            return;
        }
        *connection = None;
        drop(connection);
        self.metrics.shared_up.set(0.0);
        let server = self.client.get_connection_info().addr();
        tracing::warn!(%server, %error, "Redis does not answer: rate limits are each process's own until it does");
        tokio::spawn(connect(Arc::downgrade(self), number + 1));
    }

    /// A connection over which the script works.
    async fn reach(&self) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(self.timeout))
            .set_concurrency_limit(CONCURRENT_QUESTIONS);
        let mut connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        self.ask(&mut connection, "", &[RateLimit { count: u32::MAX, seconds: 1 }], 1).await?;
        Ok(connection)
    }
}

/// Tries until the server answers, or nobody wants to know any more.
async fn connect(shared: Weak<Shared>, number: u64) {
    for attempt in 0.. {
        let Some(shared) = shared.upgrade() else { return };
        let server = shared.client.get_connection_info().addr().to_string();
        match shared.reach().await {
            Ok(connection) => {
                *shared.connection.lock() = Some((number, connection));
                shared.metrics.shared_up.set(1.0);
                tracing::info!(server, "rate limits are shared through Redis");
                return;
            }
            Err(error) if attempt == 0 => tracing::warn!(server, %error, "Redis cannot be reached"),
            Err(error) => tracing::debug!(server, %error, "Redis cannot be reached"),
        }
        drop(shared);
        tokio::time::sleep(backoff::jittered(FIRST_RETRY, LAST_RETRY, attempt)).await;
    }
}

/// Whether a URL is one of a Redis server; the error is the rest of a sentence, without what the URL may hold in
/// secret.
pub fn check_url(url: &str) -> Result<(), String> {
    match Client::open(url) {
        Ok(_) => Ok(()),
        Err(_) => Err("redis_url must be redis://[USER:PASSWORD@]HOST[:PORT][/DB], or rediss:// for TLS".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistaken_url_is_refused_without_its_password() {
        assert_eq!(check_url("redis://user:password@host:6379/1"), Ok(()));
        assert_eq!(check_url("rediss://host"), Ok(()));
        for mistaken in ["", "host:6379", "http://user:hunter2@host"] {
            assert!(!check_url(mistaken).unwrap_err().contains("hunter2"));
        }
    }
}
