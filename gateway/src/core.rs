//! What every connection of a gateway shares.

use std::sync::Arc;
use std::time::Duration;

use tidings_files::Files;
use tidings_node::Clock;
use tokio::time::Instant;

use crate::config::GatewayConfig;
use crate::directory::Directory;
use crate::groups::Groups;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::presence::Presence;
use crate::rate::Rate;
use crate::registry::Registry;
use crate::requests;
use crate::router::Router;
use crate::sends::Patience;
use crate::session::InboxLimits;

/// Shared by reference; never changes after the start.
pub(crate) struct Core {
    pub config: GatewayConfig,
    pub clock: Clock,
    pub registry: Arc<Registry>,
    pub directory: Arc<Directory>,
    pub router: Arc<Router>,
    pub groups: Groups,
    pub presence: Arc<Presence>,
    pub limits: Arc<Limits>,
    pub files: Option<Files>,
    pub metrics: Arc<Metrics>,
    pub frame_rate: Rate,
    pub send_rate: Rate,
    pub watch_rate: Rate,
    pub activity_rate: Rate,
    pub patience: Patience,
    /// The moment from which rate limiters count.
    pub started: Instant,
}

impl Core {
    #[allow(clippy::too_many_arguments)] // Called once; each is a part of the gateway.
    pub fn new(
        config: GatewayConfig,
        clock: Clock,
        registry: Arc<Registry>,
        directory: Arc<Directory>,
        router: Arc<Router>,
        groups: Groups,
        limits: Arc<Limits>,
        files: Option<Files>,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        let patience = Patience { not_accepted: config.retry(), unknown: config.outcome_unknown() };
        let (frame_rate, send_rate, started) = (config.frame_rate(), config.send_rate(), Instant::now());
        let (watch_rate, activity_rate) = (config.watch_rate(), config.activity_rate());
        Arc::new(Self {
            config,
            clock,
            registry,
            directory,
            presence: router.presence().clone(),
            router,
            groups,
            limits,
            files,
            metrics,
            frame_rate,
            send_rate,
            watch_rate,
            activity_rate,
            patience,
            started,
        })
    }

    /// Time since the start, for rate limiters.
    pub fn uptime(&self, now: Instant) -> Duration {
        now.duration_since(self.started)
    }
}

/// What an inbox holds at most: a full delivery window, the answers to full windows of sends and requests, and as many
/// transients; twice
/// a window of bytes, for deliveries that come again after a re-attachment.
pub(crate) fn inbox_limits(config: &GatewayConfig) -> InboxLimits {
    InboxLimits {
        events: 2 * config.delivery_window as usize + config.send_window as usize + requests::MAX_UNANSWERED + 64,
        bytes: 2 * config.delivery_window_bytes as usize,
    }
}
