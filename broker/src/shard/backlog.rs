//! Which channels to other shards have something in them.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// A set of target shards that somebody waits for. Bounded by the number of shards.
#[derive(Default)]
pub struct Backlog {
    targets: Mutex<BTreeSet<u32>>,
    changed: Notify,
}

impl Backlog {
    /// There is something for this shard.
    pub fn mark(&self, target: u32) {
        let is_new = self.targets.lock().insert(target);
        if is_new {
            self.changed.notify_one();
        }
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
