//! Which channels to other shards have something in them, and how far those shards have them.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

/// A set of target shards that somebody waits for. Bounded by the number of shards.
#[derive(Default)]
pub struct Backlog {
    targets: Mutex<BTreeSet<u32>>,
    changed: Notify,
    delivered: watch::Sender<BTreeMap<u32, u64>>,
}

impl Backlog {
    /// There is something for this shard.
    pub fn mark(&self, target: u32) {
        let is_new = self.targets.lock().insert(target);
        if is_new {
            self.changed.notify_one();
        }
    }

    /// A shard has everything up to here.
    pub fn delivered(&self, target: u32, up_to: u64) {
        self.delivered.send_modify(|delivered| {
            let known = delivered.entry(target).or_default();
            *known = up_to.max(*known);
        });
    }

    /// Waits until a shard has everything up to here, by this replica's doing.
    pub async fn until_delivered(&self, target: u32, up_to: u64) {
        let has_it = |delivered: &BTreeMap<u32, u64>| delivered.get(&target).is_some_and(|known| *known >= up_to);
        // The other end is here.
        let _ = self.delivered.subscribe().wait_for(has_it).await;
    }

    /// Takes all targets out; waits until there is one. Cancel-safe.
    pub async fn take(&self) -> BTreeSet<u32> {
        loop {
            let targets = std::mem::take(&mut *self.targets.lock());
            if !targets.is_empty() {
                return targets;
            }
            self.changed.notified().await;
        }
    }
}
