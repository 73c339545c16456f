//! Which groups of a shard have changed in the registry.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::core::GroupName;

/// Groups that are remembered by name; beyond it all are looked at (promise 6).
const NAMED: usize = 1024;

/// Groups that somebody has to look at.
#[derive(Default)]
pub struct GroupNews {
    waiting: Mutex<Waiting>,
    changed: Notify,
}

/// What has changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// With the newest revision that was heard of.
    pub groups: BTreeMap<GroupName, u64>,
    /// Any group may have changed.
    pub all: bool,
}

impl GroupNews {
    /// A group has changed; at this revision at the latest.
    pub fn mark(&self, group: GroupName, revision: u64) {
        let mut waiting = self.waiting.lock();
        if waiting.all {
            return;
        }
        if waiting.groups.len() >= NAMED {
            *waiting = Waiting { all: true, ..Waiting::default() };
        } else {
            let known = waiting.groups.entry(group).or_default();
            *known = revision.max(*known);
        }
        drop(waiting);
        self.changed.notify_one();
    }

    /// Any group may have changed.
    pub fn mark_all(&self) {
        *self.waiting.lock() = Waiting { all: true, ..Waiting::default() };
        self.changed.notify_one();
    }

    /// Takes what has changed; waits until there is something. Cancel-safe.
    pub async fn take(&self) -> Waiting {
        loop {
            let waiting = std::mem::take(&mut *self.waiting.lock());
            if waiting != Waiting::default() {
                return waiting;
            }
            self.changed.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_are_kept_up_to_a_limit_and_the_newest_revision_of_each() {
        let news = GroupNews::default();
        let group = |number: usize| GroupName::new("app", &format!("group-{number}")).unwrap();
        news.mark(group(1), 5);
        news.mark(group(1), 4);
        assert_eq!(news.take().await.groups, BTreeMap::from([(group(1), 5)]));
        (0..=NAMED).for_each(|number| news.mark(group(number), 1));
        assert_eq!(news.take().await, Waiting { all: true, groups: BTreeMap::new() });
    }
}
