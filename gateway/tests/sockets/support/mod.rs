//! Peers for the gateway's tests, over real sockets: a control plane and brokers that keep their state in memory, and a
//! client. Small, but they do what the protocol says.

mod broker;
mod client;
mod directory;

use std::sync::Arc;
use std::time::Duration;

use tidings_gateway::{Environment, Gateway, GatewayConfig};
use tidings_node::secret::Secret;
use tidings_node::{Clock, Dialer, Health, Membership, Shutdown};
use tidings_proto::cluster::v1::{Node, NodeRole, ShardMap, ShardPlacement};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::rustls::ServerConfig;

pub use broker::{Cluster, TestBroker};
pub use client::{Client, Format, RawClient, hello};
pub use directory::TestDirectory;

pub const APP: &str = "app";
pub const SHARDS: u32 = 4;
/// Longer than anything that is expected takes, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Two brokers, a control plane and a gateway.
pub struct World {
    pub directory: TestDirectory,
    pub cluster: Arc<Cluster>,
    pub gateway: Option<Gateway>,
    pub address: String,
    pub clock: Clock,
    pub shutdown: Shutdown,
    pub health: Health,
}

/// Short times, so that what is waited for comes soon.
pub fn config() -> GatewayConfig {
    GatewayConfig { listen: ([127, 0, 0, 1], 0).into(), drain_timeout_ms: 3_000, ..GatewayConfig::default() }
}

impl World {
    pub async fn start() -> Self {
        Self::with(config()).await
    }

    pub async fn with(config: GatewayConfig) -> Self {
        Self::with_tls(config, None).await
    }

    pub async fn with_tls(config: GatewayConfig, tls: Option<Arc<ServerConfig>>) -> Self {
        Self::within(config, |environment| environment.tls = tls).await
    }

    /// In an environment that is not the usual one.
    pub async fn within(config: GatewayConfig, change: impl FnOnce(&mut Environment)) -> Self {
        let cluster = Cluster::new(SHARDS);
        let brokers = vec![TestBroker::start(1, cluster.clone()).await, TestBroker::start(2, cluster.clone()).await];
        let directory = TestDirectory::start(shard_map(&brokers));
        for user in ["alice", "bob", "carol"] {
            directory.add_user(user);
            directory.add_token(user, user);
        }
        let (clock, shutdown, health) = (Clock::manual(1_000_000), Shutdown::new(), Health::new());
        let mut environment = Environment {
            name: "test".to_owned(),
            clock: clock.clone(),
            shutdown: shutdown.clone(),
            health: health.clone(),
            cluster: "test".to_owned(),
            membership: Membership::new("test", Secret::new("the-cluster-secret").unwrap()).unwrap(),
            dialer: Dialer::default(),
            control_plane: vec![directory.address().to_string()],
            tls: None,
            app: None,
            demo: None,
            files: None,
        };
        change(&mut environment);
        let gateway = Gateway::start(config, environment).unwrap();
        tokio::time::timeout(PATIENCE, health.ready()).await.unwrap();
        let address = gateway.address().to_string();
        Self { directory, cluster, gateway: Some(gateway), address, clock, shutdown, health }
    }

    /// The answer to one request, whose connection ends with it.
    pub async fn http(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        answer
    }

    pub async fn connect(&self) -> Client {
        Client::connect(&self.address, Format::Protobuf).await
    }

    /// A welcomed client of this user.
    pub async fn session(&self, user: &str, device: &str) -> Client {
        let mut client = self.connect().await;
        client.welcome(user, device).await;
        client
    }
}

fn shard_map(brokers: &[TestBroker]) -> ShardMap {
    let node = |broker: &TestBroker| Node {
        id: broker.node,
        role: NodeRole::Broker as i32,
        address: broker.address.to_string(),
        ..Node::default()
    };
    ShardMap {
        epoch: 1,
        shards: (0..SHARDS)
            .map(|shard| ShardPlacement { shard, replicas: vec![1, 2], ..ShardPlacement::default() })
            .collect(),
        nodes: brokers.iter().map(node).collect(),
    }
}

/// Waits for something that no event tells.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(tokio::time::Instant::now() < deadline, "not in time: {what}");
        tokio::task::yield_now().await;
    }
}
