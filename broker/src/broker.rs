//! The broker role of a node: opens the shards that the shard map places here, follows the map as it changes, and serves
//! gateways and other brokers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::Duration;

use tidings_consensus::{Engine, GroupId, Leadership, NodeId};
use tidings_node::health::Component;
use tidings_node::membership::{MemberClient, MemberServer, Membership};
use tidings_node::{Clock, Dialer, Health, Shutdown};
use tidings_proto::broker::v1::broker_server::BrokerServer;
use tidings_proto::cluster::v1::ShardMap;
use tidings_proto::shard::MAX_SHARDS;
use tokio::sync::{mpsc, watch};
use tokio_util::task::TaskTracker;
use tonic::service::Routes;
use tonic::service::interceptor::InterceptedService;

use crate::config::BrokerConfig;
use crate::core::Core;
use crate::error::Error;
use crate::link::{BrokerService, LinkContext};
use crate::machine::{Observer, ShardMachine};
use crate::metrics::Metrics;
use crate::relay::Relay;
use crate::shard::ShardHandle;
use crate::shard::actor::{ShardActor, ShardParts};
use crate::shard::backlog::Backlog;
use crate::shard::courier::Courier;
use crate::shards::Shards;

/// Requests that wait for a shard's memory; a link that finds the queue full waits.
const REQUESTS: usize = 4096;
/// Applied batches that wait for a shard's memory; at the limit the shard's log waits.
const APPLIED_BATCHES: usize = 16;
/// The largest message of a gateway.
const MAX_MESSAGE_BYTES: usize = 16 << 20;
/// How long a shard that could not be opened waits for the next attempt.
const RETRY: Duration = Duration::from_secs(2);

/// What a broker is started with.
pub struct BrokerOptions {
    /// This node.
    pub node: NodeId,
    pub engine: Engine,
    pub config: BrokerConfig,
    pub clock: Clock,
    /// What nodes show each other.
    pub membership: Membership,
    pub dialer: Dialer,
    /// Where the shards are; the first one with shards begins the work. Fed by [`crate::heartbeat`].
    pub map: watch::Receiver<ShardMap>,
    pub health: Health,
    pub shutdown: Shutdown,
}

/// A running broker. Cheap to clone.
#[derive(Clone)]
pub struct Broker {
    context: Arc<LinkContext>,
    membership: Membership,
    tasks: TaskTracker,
}

impl Broker {
    /// Starts in the background; it is ready when health's component `broker` says so.
    pub fn start(options: BrokerOptions) -> Self {
        let (shards, metrics) = (Shards::default(), Metrics::new());
        let config = Arc::new(options.config);
        let tasks = TaskTracker::new();
        let context = Arc::new(LinkContext {
            node: options.node,
            shards: shards.clone(),
            map: options.map.clone(),
            config: config.clone(),
            clock: options.clock.clone(),
            metrics: metrics.clone(),
            shutdown: options.shutdown.clone(),
        });
        let member = MemberClient::new(&options.membership);
        let relay = Relay::new(options.node, shards.clone(), options.map.clone(), member, options.dialer);
        let placer = Placer {
            node: options.node,
            engine: options.engine,
            config,
            clock: options.clock,
            metrics,
            shards,
            relay,
            map: options.map,
            health: options.health.component("broker"),
            shutdown: options.shutdown,
            tasks: tasks.clone(),
            open: BTreeMap::new(),
        };
        tasks.spawn(placer.run());
        Self { context, membership: options.membership, tasks }
    }

    /// Adds the gRPC service to the server that nodes and gateways reach; it is for members of the cluster
    /// alone. The engine's Raft service is mounted beside it.
    pub fn mount(&self, routes: Routes) -> Routes {
        let service = BrokerServer::new(BrokerService::new(self.context.clone()))
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        routes.add_service(InterceptedService::new(service, MemberServer::new(self.membership.clone())))
    }

    /// The gRPC service alone.
    pub fn routes(&self) -> Routes {
        self.mount(Routes::default())
    }

    /// The shards of this node, for operators and benchmarks.
    pub fn shards(&self) -> &Shards {
        &self.context.shards
    }

    /// Returns once everything has ended after the shutdown was requested. The engine is left to its owner.
    pub async fn stopped(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// A shard that is open here.
struct Open {
    shutdown: Shutdown,
    tasks: TaskTracker,
}

/// Opens and closes shards as the map says.
struct Placer {
    node: NodeId,
    engine: Engine,
    config: Arc<BrokerConfig>,
    clock: Clock,
    metrics: Metrics,
    shards: Shards,
    relay: Relay,
    map: watch::Receiver<ShardMap>,
    health: Component,
    shutdown: Shutdown,
    tasks: TaskTracker,
    open: BTreeMap<u32, Open>,
}

impl Placer {
    async fn run(mut self) {
        let mut failure = self.engine.failure();
        self.health.not_ready("waits for the shard map");
        let (mut map_is_final, mut has_failed) = (false, false);
        loop {
            let map = self.map.borrow_and_update().clone();
            let placed = self.place(&map).await;
            let is_complete = placed.is_ok();
            let leaderless = self.leaderless();
            match placed {
                Err(error) => {
                    tracing::error!(%error, "a shard could not be opened or closed");
                    self.health.not_ready(error.to_string());
                }
                Ok(()) if map.shards.is_empty() => {}
                Ok(()) if leaderless.is_empty() => self.health.ready(),
                Ok(()) => self.health.not_ready(format!("shards without a leader: {leaderless:?}")),
            }
            tokio::select! {
                () = self.shutdown.requested() => break,
                changed = self.map.changed(), if !map_is_final => map_is_final = changed.is_err(),
                why = failed(&mut failure), if !has_failed => {
                    self.health.failed(why);
                    has_failed = true;
                }
                () = tokio::time::sleep(RETRY), if !is_complete => {}
                () = leaders_changed(self.shards.all(), self.node, &leaderless) => {}
            }
            if self.shutdown.is_requested() {
                break;
            }
        }
        for shard in self.open.keys().copied().collect::<Vec<_>>() {
            self.close(shard).await;
        }
    }

    async fn place(&mut self, map: &ShardMap) -> Result<(), Error> {
        let count = u32::try_from(map.shards.len()).unwrap_or(u32::MAX);
        if count > MAX_SHARDS || map.shards.iter().any(|placement| placement.shard >= count) {
            let reason = format!("{count} shards, numbered otherwise than from 0, or more than {MAX_SHARDS}");
            return Err(Error::ShardMap { epoch: map.epoch, reason });
        }
        let mut wanted = BTreeSet::new();
        for placement in &map.shards {
            if !placement.replicas.contains(&self.node) {
                continue;
            }
            wanted.insert(placement.shard);
            if !self.open.contains_key(&placement.shard) {
                self.open(Core { shard: placement.shard, shards: count }, &placement.replicas, map).await?;
            }
        }
        for shard in self.open.keys().filter(|shard| !wanted.contains(shard)).copied().collect::<Vec<_>>() {
            self.close(shard).await;
            self.engine.stop_group(group_of(shard)).await?;
        }
        Ok(())
    }

    async fn open(&mut self, core: Core, replicas: &[NodeId], map: &ShardMap) -> Result<(), Error> {
        let (wanted, backlog) = (Arc::new(AtomicBool::new(false)), Arc::new(Backlog::default()));
        let (applied, entries) = mpsc::channel(APPLIED_BATCHES);
        let observer = Observer { wanted: wanted.clone(), entries: applied, backlog: backlog.clone() };
        let machine = ShardMachine::new(core, observer, self.metrics.clone());
        let group = self.engine.start_group(group_of(core.shard), machine).await?;
        if replicas == [self.node] {
            let address = map.nodes.iter().find(|node| node.id == self.node).map(|node| node.address.clone());
            let founded = group.bootstrap(BTreeMap::from([(self.node, address.unwrap_or_default())])).await;
            if let Err(error) = founded {
                self.engine.stop_group(group_of(core.shard)).await?;
                return Err(error.into());
            }
        }
        let (requests, asked) = mpsc::channel(REQUESTS);
        let voters = Arc::new(AtomicUsize::new(0));
        let actor = ShardActor::new(ShardParts {
            core,
            node: self.node,
            group: group.clone(),
            requests: asked,
            entries,
            wanted,
            voters: voters.clone(),
            config: self.config.clone(),
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
        });
        let courier =
            Courier { core, group: group.clone(), backlog, relay: self.relay.clone(), metrics: self.metrics.clone() };
        let (shutdown, tasks) = (self.shutdown.child(), TaskTracker::new());
        tasks.spawn(self.tasks.track_future(actor.run(shutdown.clone())));
        tasks.spawn(self.tasks.track_future(courier.run(shutdown.clone())));
        self.open.insert(core.shard, Open { shutdown, tasks });
        self.shards.insert(core.shard, ShardHandle { core, group, requests, voters });
        tracing::info!(shard = core.shard, replicas = replicas.len(), "shard opened");
        Ok(())
    }

    async fn close(&mut self, shard: u32) {
        let Some(open) = self.open.remove(&shard) else { return };
        self.shards.remove(shard);
        open.shutdown.request();
        open.tasks.close();
        open.tasks.wait().await;
        tracing::info!(shard, "shard closed");
    }

    fn leaderless(&self) -> BTreeSet<u32> {
        let shards = self.shards.all().into_iter();
        shards.filter(|shard| !is_served(&shard.leadership(), self.node)).map(|shard| shard.core.shard).collect()
    }
}

/// Why the engine's storage failed, once it has.
async fn failed(failure: &mut watch::Receiver<Option<String>>) -> String {
    if let Ok(why) = failure.wait_for(Option::is_some).await {
        return why.clone().unwrap_or_default();
    }
    // The engine is gone without a failure.
    std::future::pending().await
}

/// Whether there is a leader, and it is ready where it is this node.
fn is_served(leadership: &Leadership, node: NodeId) -> bool {
    leadership.leader.is_some_and(|leader| leader != node || leadership.is_leader)
}

/// Resolves once other shards than these are without a leader.
async fn leaders_changed(shards: Vec<ShardHandle>, node: NodeId, leaderless: &BTreeSet<u32>) {
    let watches = shards.into_iter().map(|shard| {
        let mut leadership = shard.group.leadership();
        let was_leaderless = leaderless.contains(&shard.core.shard);
        Box::pin(async move {
            if leadership.wait_for(|now| is_served(now, node) == was_leaderless).await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    });
    let watches: Vec<_> = watches.collect();
    if watches.is_empty() {
        return std::future::pending().await;
    }
    futures_util::future::select_all(watches).await;
}

/// The Raft group of a shard; group 0 is the control plane's.
pub fn group_of(shard: u32) -> GroupId {
    GroupId(1 + shard)
}
