//! Puts the parts together, and takes them apart in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tidings_files::Files;
use tidings_node::control_plane::ControlPlaneNodes;
use tidings_node::health::Component;
use tidings_node::membership::{MemberClient, Membership};
use tidings_node::{Clock, Dialer, Health, Shutdown};
use tidings_proto::ErrorCode;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::admission::Admissions;
use crate::config::GatewayConfig;
use crate::control_plane::ControlPlane;
use crate::core::{Core, inbox_limits};
use crate::directory::Directory;
use crate::error::GatewayError;
use crate::groups::Groups;
use crate::http::Web;
use crate::http::app::Assets;
use crate::http::demo::{Demo, Desk};
use crate::http::files::Counter;
use crate::limits::{Limits, Shared};
use crate::link::LinkContext;
use crate::listener::{self, Door};
use crate::metrics::Metrics;
use crate::presence::{self, Presence};
use crate::registry::Registry;
use crate::router::Router;
use crate::session::Close;
use crate::socket::FAREWELL;
use crate::{pulse, watch};

/// What a gateway needs from the process around it.
pub struct Environment {
    /// Names this gateway to brokers, for their logs.
    pub name: String,
    /// Wall time: token expiry.
    pub clock: Clock,
    /// Requested: the gateway drains and ends.
    pub shutdown: Shutdown,
    /// Gets the component `gateway`.
    pub health: Health,
    /// The cluster's id, in front of what gateways share in Redis.
    pub cluster: String,
    /// What nodes of the cluster show each other.
    pub membership: Membership,
    /// Connects to other nodes.
    pub dialer: Dialer,
    /// `host:port` of control-plane nodes; one or more.
    pub control_plane: Vec<String>,
    /// TLS for clients; without it they connect in the clear.
    pub tls: Option<Arc<ServerConfig>>,
    /// The web app, if there is one to serve.
    pub app: Option<Assets>,
    /// Sign-in without a password, where people try it out.
    pub demo: Option<Demo>,
    /// Where files are kept, if they are.
    pub files: Option<Files>,
}

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
    running: JoinHandle<()>,
}

impl Gateway {
    /// Opens the port and begins to serve. Ready (in `health`) as soon as the control plane has told the shard map.
    ///
    /// Needs a tokio runtime. Ends by `environment.shutdown`: clients are asked to reconnect elsewhere, answers that
    /// they wait for are awaited for up to half of `drain_timeout_ms`, and all is over within that time and two
    /// seconds.
    pub fn start(config: GatewayConfig, environment: Environment) -> Result<Self, GatewayError> {
        let Environment {
            name,
            clock,
            shutdown,
            health,
            cluster,
            membership,
            dialer,
            control_plane,
            tls,
            app,
            demo,
            files,
        } = environment;
        let groups = groups_of(&control_plane, &membership, &dialer)?;
        let control_plane = Arc::new(ControlPlane::new(&control_plane, &membership, &dialer)?);
        let listener = listener::bind(config.listen)?;
        let address =
            listener.local_addr().map_err(|source| GatewayError::Listen { address: config.listen, source })?;
        let component = health.component("gateway");
        let store = files.clone().map(|files| (files, health.component("files")));

        let metrics = Arc::new(Metrics::new());
        let registry = Registry::new(config.max_connections_per_user as usize, metrics.clone());
        // Links outlive the request to stop: they carry the last answers.
        let links = Shutdown::new();
        let context = Arc::new(LinkContext {
            gateway: name,
            member: MemberClient::new(&membership),
            dialer,
            registry: registry.clone(),
            presence: Presence::new(&config),
            leaders: Arc::default(),
            limits: inbox_limits(&config),
            metrics: metrics.clone(),
            shutdown: links.clone(),
            next_link: AtomicU64::new(1),
        });
        let router = Router::new(context);
        let directory =
            Directory::new(control_plane.clone(), clock.clone(), metrics.clone(), config.cache_entries as usize);
        let admissions = Admissions::new(
            config.max_connections as usize,
            config.max_connections_per_address as usize,
            metrics.clone(),
        );
        let limits = limits(&config, &cluster, &metrics)?;
        let core = Core::new(config, clock, registry, directory, router, groups, limits, files.clone(), metrics);
        let door = Arc::new(Door {
            core: core.clone(),
            admissions: admissions.clone(),
            tls: tls.map(TlsAcceptor::from),
            web: Web {
                assets: app,
                desk: demo.map(Desk::new),
                counter: files.clone().map(|files| Counter::new(core.clone(), files)),
            },
            shutdown: shutdown.clone(),
        });
        tracing::info!(%address, tls = door.tls.is_some(), "the gateway listens");

        let running = tokio::spawn(async move {
            let parts = [
                tokio::spawn(watch::follow(core.clone(), control_plane, links.clone())),
                tokio::spawn(pulse::heartbeats(core.clone())),
                tokio::spawn(pulse::expiries(core.clone())),
                tokio::spawn(presence::run(core.clone())),
            ];
            let sweeping = files.map(|files| tokio::spawn(files.keep_swept(shutdown.clone())));
            let checking =
                store.map(|(files, component)| tokio::spawn(files.keep_checked(component, shutdown.clone())));
            let accepting = tokio::spawn(listener::accept(listener, door));
            tokio::select! {
                () = core.router.known() => component.ready(),
                () = shutdown.requested() => {}
            }
            shutdown.requested().await;
            component.not_ready("draining");
            if let Err(error) = accepting.await {
                tracing::error!(%error, "the listener failed");
            }
            drain(&core).await;
            // Closing frames are on their way; sockets are given up after this time in any case.
            let _ = tokio::time::timeout(FAREWELL, admissions.empty()).await;
            links.request();
            core.router.close();
            parts.iter().chain(&sweeping).chain(&checking).for_each(JoinHandle::abort);
            end(component);
        });
        Ok(Self { address, running })
    }

    /// Where it listens, with the port that the system chose where 0 was configured.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it has ended after a request to stop. Dropping the `Gateway` instead lets it end by itself.
    pub async fn stopped(self) {
        if let Err(error) = self.running.await {
            tracing::error!(%error, "the gateway failed");
        }
    }
}

fn groups_of(addresses: &[String], membership: &Membership, dialer: &Dialer) -> Result<Groups, GatewayError> {
    let nodes = ControlPlaneNodes::new(addresses, membership, dialer);
    let refused = |error: tonic::transport::Error| GatewayError::ControlPlaneAddress {
        address: addresses.join(", "),
        reason: error.to_string(),
    };
    nodes.map(Groups::new).map_err(refused)
}

/// The rate limits of policies, shared with other gateways where that is configured.
fn limits(config: &GatewayConfig, cluster: &str, metrics: &Arc<Metrics>) -> Result<Arc<Limits>, GatewayError> {
    let shared = match config.redis_url.as_str() {
        "" => None,
        url => Some(Shared::start(url, config.redis_timeout(), cluster, metrics.limits.clone())?),
    };
    Ok(Limits::new(config.cache_entries as usize, shared, metrics.limits.clone()))
}

fn end(component: Component) {
    tracing::info!("the gateway has stopped");
    component.remove();
}

/// Asks every client to come back, somewhere else, at a random time; waits until they went.
async fn drain(core: &Core) {
    let close = Close {
        code: ErrorCode::Draining,
        message: "this gateway is being stopped; connect again".to_owned(),
        reconnect_within_ms: Some(core.config.drain_reconnect_within_ms),
    };
    let deadline = Instant::now() + core.config.drain_timeout();
    tracing::info!(sessions = core.registry.len(), "draining");
    // Sessions whose handshake was under way appear late.
    while Instant::now() < deadline {
        core.registry.visit(|session| session.close(close.clone()));
        let pause = Instant::now() + Duration::from_millis(100);
        if tokio::time::timeout_at(pause.min(deadline), core.registry.empty()).await.is_ok() {
            return;
        }
    }
    tracing::warn!(sessions = core.registry.len(), "sessions were cut off at the end of the drain");
}
