//! Which nodes were heard of, and what the leaders of shards report: the memory of the control plane's leader alone. A
//! new leader begins with nothing, and gives everybody a lease to be heard of. Time is counted by a monotonic clock.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidings_proto::cluster::v1::ShardReport;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How often a node should be heard of.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);
/// A node that was not heard of for so long counts as away.
pub const LEASE: Duration = Duration::from_secs(3);

/// Who was heard of. Cheap to clone; bounded by the nodes that are registered and by the number of shards.
#[derive(Debug, Clone, Default)]
pub struct Leases(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    // A blocking mutex: held for look-ups, never across an await.
    memory: Mutex<Memory>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Memory {
    /// Set while this node leads: since when.
    since: Option<Instant>,
    heard: HashMap<(i32, u64), Instant>,
    reports: HashMap<u32, (Instant, u64, ShardReport)>,
}

impl Leases {
    /// A reign begins: what was heard before counts for nothing.
    pub fn begin(&self) {
        *self.0.memory.lock() = Memory { since: Some(Instant::now()), ..Memory::default() };
    }

    /// A reign ends.
    pub fn end(&self) {
        *self.0.memory.lock() = Memory::default();
    }

    /// A registered node was heard of, with what it says of the shards that it leads.
    pub fn heard(&self, role: i32, node: u64, reports: Vec<ShardReport>) {
        let now = Instant::now();
        let mut memory = self.0.memory.lock();
        let was_away = memory.heard.insert((role, node), now).is_none_or(|before| now - before > LEASE);
        let mut is_news = was_away;
        for report in reports {
            let known = memory.reports.get(&report.shard);
            // Of two that call themselves leader the later term is right (promise 5).
            if known.is_none_or(|(_, _, known)| report.term >= known.term) {
                is_news |= known.is_none_or(|(_, by, known)| {
                    *by != node || known.voters != report.voters || known.learners != report.learners
                });
                memory.reports.insert(report.shard, (now, node, report));
            }
        }
        drop(memory);
        if is_news {
            self.0.changed.notify_one();
        }
    }

    /// Something changed that is not told by a heartbeat, for example the map.
    pub fn nudge(&self) {
        self.0.changed.notify_one();
    }

    /// Resolves when a node came (back), or a shard's members changed.
    pub async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// How long ago a node was heard of; one that never was counts from the beginning of the reign.
    pub fn silence(&self, role: i32, node: u64) -> Duration {
        let memory = self.0.memory.lock();
        let last = memory.heard.get(&(role, node)).or(memory.since.as_ref());
        last.map_or(Duration::MAX, |last| last.elapsed())
    }

    /// Whether a node was heard of within its lease.
    pub fn is_alive(&self, role: i32, node: u64) -> bool {
        self.silence(role, node) <= LEASE
    }

    /// Whether a node was heard of within its lease, in this reign: there is a process that says that it is this node.
    pub fn is_heard(&self, role: i32, node: u64) -> bool {
        let memory = self.0.memory.lock();
        memory.heard.get(&(role, node)).is_some_and(|last| last.elapsed() <= LEASE)
    }

    /// What the leader of a shard said last, and who that is, unless that is too long ago.
    pub fn report(&self, shard: u32) -> Option<(u64, ShardReport)> {
        let memory = self.0.memory.lock();
        let (at, node, report) = memory.reports.get(&shard)?;
        (at.elapsed() <= LEASE).then(|| (*node, report.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(shard: u32, term: u64) -> ShardReport {
        ShardReport { shard, term, voters: vec![1, 2], ..ShardReport::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn everybody_has_a_lease_to_be_heard_of_and_reports_age() {
        let leases = Leases::default();
        assert!(!leases.is_alive(2, 1), "a node that does not lead knows nobody");
        leases.begin();
        assert!(leases.is_alive(2, 1) && !leases.is_heard(2, 1));
        tokio::time::advance(LEASE + Duration::from_millis(1)).await;
        assert!(!leases.is_alive(2, 1));
        leases.heard(2, 1, vec![report(7, 3)]);
        leases.changed().await;
        assert!(leases.is_heard(2, 1) && leases.is_alive(2, 1) && !leases.is_alive(2, 2) && !leases.is_alive(3, 1));
        assert_eq!(leases.report(7), Some((1, report(7, 3))));
        tokio::time::advance(LEASE + Duration::from_millis(1)).await;
        assert_eq!(leases.report(7), None);
        assert!(leases.silence(2, 1) > LEASE && !leases.is_heard(2, 1));
        leases.end();
        assert_eq!(leases.silence(2, 1), Duration::MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn a_former_leader_of_a_shard_is_not_believed() {
        let leases = Leases::default();
        leases.begin();
        leases.heard(2, 1, vec![report(7, 3)]);
        leases.heard(2, 2, vec![report(7, 4)]);
        leases.heard(2, 1, vec![report(7, 3)]);
        assert_eq!(leases.report(7), Some((2, report(7, 4))));
    }
}
