//! What every server process begins and ends with.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tidings_node::admin::{AdminConfig, AdminServer};
use tidings_node::cluster::ClusterConfig;
use tidings_node::health::Component;
use tidings_node::heartbeat::Heartbeat;
use tidings_node::membership::Membership;
use tidings_node::metrics::Metrics;
use tidings_node::telemetry::{self, TelemetryConfig};
use tidings_node::tls::{NodeTls, NodeTlsConfig};
use tidings_node::{Clock, Config, Dialer, Health, Shutdown, Tasks, incarnation, signals};
use tidings_proto::cluster::v1::{Node, NodeRole};

use super::ServerArguments;

/// How long tasks may take to stop once they were asked to.
const STOP_DEADLINE: Duration = Duration::from_secs(20);

/// A booted process: configured, observable, and ready to be told to stop.
pub struct Process {
    pub config: Config,
    pub cluster: ClusterConfig,
    pub membership: Membership,
    /// TLS on the node-to-node port, if it is configured; the other side of it is in `dialer`.
    pub node_tls: Option<Arc<NodeTls>>,
    pub dialer: Dialer,
    pub clock: Clock,
    /// Which start of this node it is.
    pub incarnation: u64,
    /// Requested by a signal, or by a task that failed: client connections drain.
    pub shutdown: Shutdown,
    /// Requested when they have: what they needed may stop too.
    pub services: Shutdown,
    pub health: Health,
    pub tasks: Tasks,
    /// Not ready until every role of the process was started: only then do all of them count in `health`.
    startup: Component,
    pub admin: std::net::SocketAddr,
}

impl Process {
    /// Reads the configuration, starts telemetry and the admin port, and listens for signals.
    pub async fn boot(arguments: &ServerArguments) -> Result<Self> {
        let config = arguments.load()?;
        telemetry::install(&config.section::<TelemetryConfig>()?)?;
        let cluster = ClusterConfig::of(&config)?;
        std::fs::create_dir_all(&cluster.data)
            .with_context(|| format!("making the data folder {}", cluster.data.display()))?;
        let membership = cluster.membership()?;
        let node_tls = config.section::<NodeTlsConfig>()?.load()?;
        let dialer = Dialer::new(node_tls.clone());

        let (shutdown, services, health) = (Shutdown::new(), Shutdown::new(), Health::new());
        signals::listen(shutdown.clone())?;
        let startup = health.component("startup");
        let mut tasks = Tasks::new(shutdown.clone());
        let admin = AdminServer::bind(&config.section::<AdminConfig>()?, health.clone(), Metrics::install()?).await?;
        let address = admin.local_addr();
        tasks.spawn("admin", admin.run(services.clone()));
        let clock = Clock::system();
        let incarnation = incarnation::next(&cluster.data, &clock)?;
        Ok(Self {
            config,
            cluster,
            membership,
            node_tls,
            dialer,
            clock,
            incarnation,
            shutdown,
            services,
            health,
            tasks,
            startup,
            admin: address,
        })
    }

    /// What tells the control plane that this node lives, in one of its roles. `store` is 0 for a role that stores
    /// nothing.
    pub fn heartbeat(&self, role: NodeRole, address: String, store: u64) -> Heartbeat {
        let node = Node {
            id: self.cluster.node,
            role: role.into(),
            address,
            zone: self.cluster.zone.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            incarnation: self.incarnation,
            store,
            capacity: self.cluster.capacity,
            level: match role {
                NodeRole::ControlPlane => tidings_control_plane::LEVEL,
                NodeRole::Broker => tidings_broker::LEVEL,
                NodeRole::Gateway | NodeRole::Unspecified => 0,
            },
            ..Node::default()
        };
        Heartbeat {
            node,
            control_plane: self.control_plane_addresses(),
            membership: self.membership.clone(),
            dialer: self.dialer.clone(),
            clock: self.clock.clone(),
        }
    }

    /// Every role was started.
    pub fn started(&self) {
        self.startup.ready();
    }

    /// Asks the services to stop and waits for them, after clients were let go.
    pub async fn end(self) -> Result<()> {
        self.services.request();
        let ended = self.tasks.join_within(STOP_DEADLINE).await;
        if let Some((task, reason)) = ended.failed.first() {
            bail!("{task}: {reason}");
        }
        if !ended.stuck.is_empty() {
            bail!("these did not stop in time: {}", ended.stuck.join(", "));
        }
        tracing::info!("stopped");
        Ok(())
    }

    /// Where to find the control plane: the configured nodes, or this process.
    pub fn control_plane_addresses(&self) -> Vec<String> {
        match self.cluster.control_plane.as_slice() {
            // Under the name that stands in its certificate.
            [] => vec![self.advertised_address()],
            configured => configured.to_vec(),
        }
    }

    /// `host:port` under which other nodes reach this one.
    pub fn advertised_address(&self) -> String {
        format!("{}:{}", self.cluster.advertise, self.cluster.listen.port())
    }

    /// The certificate for client and backend connections, if one is configured.
    pub fn tls(&self, protocols: &[&[u8]]) -> Result<Option<Arc<tokio_rustls::rustls::ServerConfig>>> {
        Ok(self.config.section::<tidings_node::tls::TlsConfig>()?.server(protocols)?)
    }
}

impl ServerArguments {
    /// The file, the environment, then the flags.
    pub fn load(&self) -> Result<Config> {
        let mut overrides = Vec::new();
        if let Some(data) = &self.data {
            overrides.push(("cluster.data".to_owned(), data.display().to_string()));
        }
        for setting in &self.set {
            let Some((key, value)) = setting.split_once('=') else {
                bail!("--set {setting}: expected SECTION.KEY=VALUE");
            };
            overrides.push((key.to_owned(), value.to_owned()));
        }
        Ok(Config::load(self.config.as_deref(), std::env::vars(), &overrides)?)
    }
}
