//! Opens the shards that the shard map places on this node, and closes those that it does not. A replica goes only when
//! its shard's leader says that it is no member any more: until then it votes, whatever the map says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::Duration;

use tidings_consensus::{Engine, Group, GroupId, Leadership, NodeId};
use tidings_node::health::Component;
use tidings_node::{Clock, Shutdown};
use tidings_proto::cluster::v1::{ShardMap, ShardPlacement};
use tidings_proto::shard::MAX_SHARDS;
use tokio::sync::{mpsc, watch};
use tokio_util::task::TaskTracker;

use crate::broker::group_of;
use crate::config::BrokerConfig;
use crate::core::Core;
use crate::error::Error;
use crate::group_feed::news::GroupNews;
use crate::group_feed::registrar::Registrar;
use crate::group_feed::registry::GroupRegistry;
use crate::group_receipts::{ReceiptTeller, ReceiptWatches};
use crate::level::ClusterLevel;
use crate::link::links::Links;
use crate::machine::{Observer, ShardMachine};
use crate::metrics::Metrics;
use crate::relay::Relay;
use crate::shard::ShardHandle;
use crate::shard::actor::{ShardActor, ShardParts};
use crate::shard::backlog::Backlog;
use crate::shard::courier::Courier;
use crate::shard::reconcile::Reconciler;
use crate::shard::releaser::Releaser;
use crate::shards::Shards;

/// Requests that wait for a shard's memory; a link that finds the queue full waits.
const REQUESTS: usize = 4096;
/// Applied batches that wait for a shard's memory; at the limit the shard's log waits.
const APPLIED_BATCHES: usize = 16;
/// How long a shard that could not be opened, or is still a member elsewhere, waits for the next attempt.
const RETRY: Duration = Duration::from_secs(1);

/// The placer of a node.
pub struct Placer {
    pub node: NodeId,
    pub engine: Engine,
    pub config: Arc<BrokerConfig>,
    pub clock: Clock,
    pub metrics: Metrics,
    pub shards: Shards,
    pub links: Links,
    pub relay: Relay,
    /// Unset where there is no control plane, and with it no groups.
    pub registry: Option<GroupRegistry>,
    pub map: watch::Receiver<ShardMap>,
    pub health: Component,
    pub shutdown: Shutdown,
    pub tasks: TaskTracker,
    pub opened: Opened,
}

/// What is open here.
#[derive(Default)]
pub struct Opened {
    shards: BTreeMap<u32, Open>,
    /// Open, but placed elsewhere: they go once they are no members any more.
    retiring: BTreeSet<u32>,
    /// Whether replicas were looked for that the map places elsewhere.
    has_looked: bool,
}

struct Open {
    shutdown: Shutdown,
    tasks: TaskTracker,
}

impl Placer {
    /// Runs until the shutdown.
    pub async fn run(mut self) {
        let (mut failure, mut damaged) = (self.engine.failure(), self.engine.damaged());
        self.health.not_ready("waits for the shard map");
        let (mut map_is_final, mut has_failed) = (false, false);
        loop {
            let map = self.map.borrow_and_update().clone();
            let to_repair = damaged.borrow_and_update().keys().copied().collect();
            let broken = self.repair(&map, to_repair).await;
            let placed = self.place(&map, &broken).await;
            self.retire().await;
            let is_complete = placed.is_ok() && broken.is_empty() && self.opened.retiring.is_empty();
            let leaderless = self.leaderless();
            match placed {
                Err(error) => {
                    tracing::error!(%error, "a shard could not be opened or closed");
                    self.health.not_ready(error.to_string());
                }
                Ok(()) if map.epoch == 0 => {}
                Ok(()) if !broken.is_empty() => self.health.not_ready(format!("damaged shards: {broken:?}")),
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
                changed = damaged.changed() => if changed.is_err() { break },
                () = tokio::time::sleep(RETRY), if !is_complete => {}
                () = leaders_changed(self.shards.all(), self.node, &leaderless) => {}
            }
            if self.shutdown.is_requested() {
                break;
            }
        }
        for shard in self.opened.shards.keys().copied().collect::<Vec<_>>() {
            self.close(shard).await;
        }
    }

    /// Rebuilds damaged replicas from their peers: the leader lets this node out of the members, what is left is
    /// erased, and [`place`](Self::place) opens an empty replica, which the leader lets in again. Answers the shards
    /// for which that has not been possible yet.
    async fn repair(&mut self, map: &ShardMap, damaged: BTreeSet<GroupId>) -> BTreeSet<u32> {
        let mut broken = BTreeSet::new();
        for shard in map.shards.iter().map(|placement| placement.shard) {
            if !damaged.contains(&group_of(shard)) {
                continue;
            }
            self.close(shard).await;
            if let Err(error) = self.rebuild(shard).await {
                tracing::error!(shard, %error, "a damaged replica could not be rebuilt yet");
                broken.insert(shard);
            }
        }
        broken
    }

    async fn rebuild(&self, shard: u32) -> Result<(), Error> {
        if self.relay.members(shard, Some(self.node)).await?.contains(&self.node) {
            return Err(Error::Relay { shard, reason: "the leader has not let this node out".to_owned() });
        }
        tracing::warn!(shard, "erasing a damaged replica; it is made anew from its peers");
        Ok(self.engine.erase_group(group_of(shard)).await?)
    }

    async fn place(&mut self, map: &ShardMap, broken: &BTreeSet<u32>) -> Result<(), Error> {
        let count = u32::try_from(map.shards.len()).unwrap_or(u32::MAX);
        if count > MAX_SHARDS || map.shards.iter().any(|placement| placement.shard >= count) {
            let reason = format!("{count} shards, numbered otherwise than from 0, or more than {MAX_SHARDS}");
            return Err(Error::ShardMap { epoch: map.epoch, reason });
        }
        for node in map.nodes.iter().filter(|node| node.id != self.node) {
            self.engine.set_address(node.id, &node.address);
        }
        self.opened.retiring.clear();
        for placement in map.shards.iter().filter(|placement| !broken.contains(&placement.shard)) {
            let (shard, is_wanted) = (placement.shard, placement.replicas.contains(&self.node));
            let is_open = self.opened.shards.contains_key(&shard);
            // A replica that was to go while this node was away is still a member until its leader says otherwise.
            let is_left_over = || !self.opened.has_looked && self.engine.has_replica(group_of(shard)).unwrap_or(true);
            if !is_open && (is_wanted || is_left_over()) {
                self.open(Core { shard, shards: count }, placement, map).await?;
            }
            if !is_wanted && self.opened.shards.contains_key(&shard) {
                self.opened.retiring.insert(shard);
            }
        }
        self.opened.has_looked |= map.epoch > 0;
        Ok(())
    }

    /// Removes the replicas that are no members any more.
    async fn retire(&mut self) {
        for shard in self.opened.retiring.clone() {
            match self.relay.members(shard, None).await {
                Ok(members) if !members.contains(&self.node) => {
                    tracing::info!(shard, "the replica has moved away");
                    self.close(shard).await;
                    if let Err(error) = self.engine.erase_group(group_of(shard)).await {
                        tracing::error!(shard, %error, "a replica that moved away could not be erased");
                    }
                    self.opened.retiring.remove(&shard);
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(shard, %error, "whether the replica may go is not known yet"),
            }
        }
    }

    async fn open(&mut self, core: Core, placement: &ShardPlacement, map: &ShardMap) -> Result<(), Error> {
        let (wanted, backlog) = (Arc::new(AtomicBool::new(false)), Arc::new(Backlog::default()));
        let (applied, entries) = mpsc::channel(APPLIED_BATCHES);
        let receipts = Arc::new(ReceiptWatches::default());
        let observer =
            Observer { wanted: wanted.clone(), entries: applied, backlog: backlog.clone(), receipts: receipts.clone() };
        let machine = ShardMachine::new(core, observer, self.metrics.clone());
        let group = self.engine.start_group(group_of(core.shard), machine).await?;
        if let Err(error) = self.found(&group, placement, map).await {
            self.engine.stop_group(group_of(core.shard)).await?;
            return Err(error);
        }
        let (requests, asked) = mpsc::channel(REQUESTS);
        let voters = Arc::new(AtomicUsize::new(0));
        let (exclude, excluded) = watch::channel(BTreeSet::new());
        let level = ClusterLevel::new(self.map.clone());
        let actor = ShardActor::new(ShardParts {
            core,
            node: self.node,
            group: group.clone(),
            level: level.clone(),
            requests: asked,
            entries,
            wanted,
            voters: voters.clone(),
            links: self.links.clone(),
            config: self.config.clone(),
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
        });
        let (relay, metrics) = (self.relay.clone(), self.metrics.clone());
        let courier = Courier { core, group: group.clone(), backlog: backlog.clone(), relay, metrics };
        let (registry, clock) = (self.registry.clone(), self.clock.clone());
        let releaser = Releaser { core, group: group.clone(), level: level.clone(), registry, clock };
        let (shard, node, map) = (core.shard, self.node, self.map.clone());
        let reconciler = Reconciler { shard, node, group: group.clone(), map, excluded };
        let (shutdown, tasks) = (self.shutdown.child(), TaskTracker::new());
        tasks.spawn(self.tasks.track_future(actor.run(shutdown.clone())));
        tasks.spawn(self.tasks.track_future(courier.run(shutdown.clone())));
        tasks.spawn(self.tasks.track_future(releaser.run(shutdown.clone())));
        tasks.spawn(self.tasks.track_future(reconciler.run(shutdown.clone())));
        let teller = ReceiptTeller { core, group: group.clone(), watches: receipts.clone(), relay: self.relay.clone() };
        tasks.spawn(self.tasks.track_future(teller.run(shutdown.clone())));
        let news = Arc::new(GroupNews::default());
        if let Some(registry) = self.registry.clone() {
            let (group, level, news, metrics) = (group.clone(), level.clone(), news.clone(), self.metrics.clone());
            let registrar = Registrar { core, group, level, news, registry, metrics };
            tasks.spawn(self.tasks.track_future(registrar.run(shutdown.clone())));
        }
        self.opened.shards.insert(core.shard, Open { shutdown, tasks });
        let talk = Arc::default();
        let handle = ShardHandle { core, group, level, requests, voters, news, talk, receipts, backlog, exclude };
        self.shards.insert(core.shard, handle);
        tracing::info!(shard = core.shard, replicas = placement.replicas.len(), "shard opened");
        Ok(())
    }

    /// Founds the shard's group with its other first replicas, if this is one of them and has no memory of it. The map
    /// names founders only until the shard was seen to work.
    async fn found(
        &self,
        group: &Group<ShardMachine>,
        placement: &ShardPlacement,
        map: &ShardMap,
    ) -> Result<(), Error> {
        if !placement.founders.contains(&self.node) || !group.is_new().await? {
            return Ok(());
        }
        let address = |id: &NodeId| {
            let known = map.nodes.iter().find(|node| node.id == *id);
            (*id, known.map(|node| node.address.clone()).unwrap_or_default())
        };
        Ok(group.bootstrap(placement.founders.iter().map(address).collect()).await?)
    }

    async fn close(&mut self, shard: u32) {
        let Some(open) = self.opened.shards.remove(&shard) else { return };
        self.shards.remove(shard);
        open.shutdown.request();
        open.tasks.close();
        open.tasks.wait().await;
        tracing::info!(shard, "shard closed");
    }

    fn leaderless(&self) -> BTreeSet<u32> {
        let shards = self.shards.all().into_iter().filter(|shard| !self.opened.retiring.contains(&shard.core.shard));
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
