//! A broker node in this process: engine in a temporary folder, gRPC server on a free port.

use std::collections::BTreeMap;
use std::path::Path;

use tempfile::TempDir;
use tidings_broker::{Broker, BrokerConfig, BrokerOptions, LEVEL};
use tidings_consensus::{Engine, EngineOptions};
use tidings_node::secret::Secret;
use tidings_node::{Clock, Dialer, Health, Membership, Shutdown};
use tidings_proto::cluster::v1::{Node as NodeEntry, NodeRole, ShardMap, ShardPlacement};
use tidings_proto::shard::shard_of;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;

pub const APP: &str = "app";
pub const CLUSTER: &str = "test";

/// What stays when the node stops.
pub struct Ground {
    pub dir: TempDir,
    pub membership: Membership,
    pub clock: Clock,
    pub shards: u32,
    pub config: BrokerConfig,
}

impl Ground {
    pub fn new(shards: u32) -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            membership: Membership::new(CLUSTER, Secret::random("")).unwrap(),
            clock: Clock::system(),
            shards,
            config: BrokerConfig::default(),
        }
    }

    pub async fn start(&self) -> Node {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let map = map_of(&BTreeMap::from([(1, address)]), self.shards, |_| 1);
        Node::start(1, listener, self.dir.path(), self, map).await
    }

    pub fn shard(&self, user: &str) -> u32 {
        shard_of(APP, user, self.shards)
    }

    /// A user whose mailbox lives in a shard.
    pub fn user_in(&self, shard: u32) -> String {
        (0..).map(|n| format!("user-{n}")).find(|user| self.shard(user) == shard).unwrap()
    }
}

/// Every shard on one node, as told.
pub fn map_of(addresses: &BTreeMap<u64, String>, shards: u32, node_of: impl Fn(u32) -> u64) -> ShardMap {
    let node = |(id, address): (&u64, &String)| NodeEntry {
        id: *id,
        role: NodeRole::Broker.into(),
        address: address.clone(),
        level: LEVEL,
        ..NodeEntry::default()
    };
    let placement = |shard| {
        let replicas = vec![node_of(shard)];
        ShardPlacement { shard, founders: replicas.clone(), replicas }
    };
    ShardMap { epoch: 1, shards: (0..shards).map(placement).collect(), nodes: addresses.iter().map(node).collect() }
}

/// A running node.
pub struct Node {
    pub address: String,
    pub broker: Broker,
    engine: Engine,
    shutdown: Shutdown,
    server: tokio::task::JoinHandle<()>,
    _map: watch::Sender<ShardMap>,
}

impl Node {
    pub async fn start(id: u64, listener: TcpListener, dir: &Path, ground: &Ground, map: ShardMap) -> Self {
        let options = EngineOptions { clock: ground.clock.clone(), ..EngineOptions::new(dir, id, CLUSTER) };
        let engine = tokio::task::spawn_blocking(move || Engine::open(options)).await.unwrap().unwrap();
        let (map_sender, map) = watch::channel(map);
        let (health, shutdown) = (Health::new(), Shutdown::new());
        let broker = Broker::start(BrokerOptions {
            node: id,
            engine: engine.clone(),
            config: ground.config.clone(),
            clock: ground.clock.clone(),
            membership: ground.membership.clone(),
            dialer: Dialer::default(),
            groups: None,
            map,
            health: health.clone(),
            shutdown: shutdown.clone(),
        });
        let address = listener.local_addr().unwrap().to_string();
        let stop = shutdown.clone();
        let router = Server::builder().add_routes(broker.routes()).add_service(engine.raft_service());
        let serve = router.serve_with_incoming_shutdown(TcpListenerStream::new(listener), async move {
            stop.requested().await;
        });
        let server = tokio::spawn(async move { serve.await.unwrap() });
        health.ready().await;
        Self { address, broker, engine, shutdown, server, _map: map_sender }
    }

    /// Stops in order: the next node may open the same folder.
    pub async fn stop(self) {
        self.shutdown.request();
        self.broker.stopped().await;
        self.server.await.unwrap();
        self.engine.shutdown().await;
    }
}
