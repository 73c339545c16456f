//! Which link leads to a shard: the watched shard map, and what brokers say about who leads.
//!
//! The guess of a shard's leader is only a guess. A node that is asked and does not lead says so, and names the leader
//! where it knows it; an epoch in the broker keeps a wrong guess harmless (promise 5).

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use tidings_proto::cluster::v1::ShardMap;
use tidings_proto::shard::shard_of;
use tokio::sync::Notify;

use crate::leaders::Leaders;
use crate::link::{Link, LinkContext, LinkHandle};
use crate::presence::Presence;

/// The routes of the moment.
#[derive(Debug, Default)]
struct Topology {
    epoch: u64,
    /// The replicas of each shard.
    shards: Vec<Vec<u64>>,
    links: HashMap<u64, Link>,
}

/// Routes to shards. All methods may be called from anywhere.
pub(crate) struct Router {
    topology: RwLock<Topology>,
    context: Arc<LinkContext>,
    changed: Notify,
}

impl Router {
    /// Without routes until the first map comes.
    pub fn new(context: Arc<LinkContext>) -> Arc<Self> {
        Arc::new(Self { topology: RwLock::default(), context, changed: Notify::new() })
    }

    /// Takes a map up, unless it is older than the one in use. Links to nodes that are gone end.
    pub fn set_map(&self, map: &ShardMap) {
        let mut topology = self.topology.write();
        if map.epoch < topology.epoch || map.shards.is_empty() {
            return;
        }
        let mut placements: Vec<_> = map.shards.iter().collect();
        placements.sort_by_key(|placement| placement.shard);
        topology.shards = placements.iter().map(|placement| placement.replicas.clone()).collect();
        self.leaders().set_shards(topology.shards.iter().map(|replicas| replicas.first().copied().unwrap_or(0)));
        topology.links.retain(|id, link| map.nodes.iter().any(|node| node.id == *id && node.address == link.address()));
        for node in &map.nodes {
            let start = || Link::start(node.id, &node.address, self.context.clone());
            topology.links.entry(node.id).or_insert_with(start);
        }
        topology.epoch = map.epoch;
        drop(topology);
        self.changed.notify_waiters();
    }

    /// Waits until a shard map is known.
    pub async fn known(&self) {
        loop {
            let changed = self.changed.notified();
            if !self.topology.read().shards.is_empty() {
                return;
            }
            changed.await;
        }
    }

    /// The shard of a user; `None` as long as no map is known.
    pub fn shard(&self, app: &str, user: &str) -> Option<u32> {
        let shards = u32::try_from(self.topology.read().shards.len()).unwrap_or(0);
        (shards > 0).then(|| shard_of(app, user, shards))
    }

    /// The link to whoever probably leads the shard; another replica's where that link is down, since then another
    /// probably leads.
    pub fn route(&self, shard: u32) -> Option<Arc<LinkHandle>> {
        let topology = self.topology.read();
        let up = |node: &u64| topology.links.get(node).and_then(Link::handle);
        let leader = self.leaders().get(shard);
        if let Some(handle) = up(&leader) {
            return Some(handle);
        }
        let next = topology.shards.get(shard as usize)?.iter().find_map(up)?;
        self.leaders().redirected(shard, leader, next.node);
        Some(next)
    }

    /// `node` does not lead the shard; `leader` does, or nobody knows who (0).
    pub fn not_leader(&self, shard: u32, node: u64, leader: u64) {
        let topology = self.topology.read();
        let Some(replicas) = topology.shards.get(shard as usize) else { return };
        let next = if leader != 0 && topology.links.contains_key(&leader) {
            leader
        } else {
            let at = replicas.iter().position(|replica| *replica == node).map_or(0, |at| at + 1);
            replicas.get(at % replicas.len().max(1)).copied().unwrap_or(0)
        };
        self.leaders().redirected(shard, node, next);
    }

    /// Ends all links.
    pub fn close(&self) {
        *self.topology.write() = Topology::default();
    }

    /// What the links tell of presence.
    pub fn presence(&self) -> &Arc<Presence> {
        &self.context.presence
    }

    fn leaders(&self) -> &Leaders {
        &self.context.leaders
    }
}
