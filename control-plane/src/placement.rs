//! Which brokers hold which shards: a pure function from the brokers that there are, today's map and what the shards'
//! leaders report, to the next changes. Planned by the control plane's leader; the registry only writes down what was
//! planned, so that control planes of two versions never plan differently from the same log (promise 7).
//!
//! A plan changes at most one replica of a shard, and none of a shard that has not finished its last change: its
//! members always overlap in a majority. It moves as little as evens things out.

mod leaders;
mod replicas;

use std::collections::{BTreeMap, BTreeSet};

/// How many shards may be on the move at once: each move reads and sends a whole shard, and its users pause when
/// another broker leads it. One for every three brokers, so that most of them have nothing to do with it.
fn at_once(brokers: usize) -> usize {
    (brokers / 3).max(1)
}

/// A broker that can hold replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Its number.
    pub id: u64,
    /// Where it stands; replicas of a shard are spread over zones as far as there are zones.
    pub zone: String,
    /// How many replicas it should hold, in proportion to the others; at least 1.
    pub capacity: u32,
    /// Heard of within its lease.
    pub is_alive: bool,
    /// Of a release whose shards have members; one of an earlier release is given nothing.
    pub knows_members: bool,
    /// Draining, gone or removed: it gets nothing, and what it has goes to others.
    pub is_leaving: bool,
    /// Of those that leave, one that will not come back: where nobody takes its replicas, its shards go on without
    /// them.
    pub is_gone: bool,
}

impl Broker {
    fn takes_replicas(&self) -> bool {
        self.is_alive && self.knows_members && !self.is_leaving
    }
}

/// A shard, as the map wants it and as its leader reports it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shard {
    /// Where its replicas shall be, the preferred leader first; empty before it was born.
    pub replicas: Vec<u64>,
    /// Where they are; `None` when no leader was heard of within the lease.
    pub voters: Option<BTreeSet<u64>>,
    /// A change of members is under way, or learners are left over.
    pub is_changing: bool,
}

impl Shard {
    /// Whether the shard is where the map wants it.
    pub fn is_settled(&self) -> bool {
        let wanted: BTreeSet<u64> = self.replicas.iter().copied().collect();
        !self.is_changing && self.voters.as_ref() == Some(&wanted)
    }
}

/// New replicas of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its number: the place in the list.
    pub shard: usize,
    /// In place of what the map says.
    pub replicas: Vec<u64>,
}

/// What the brokers hold according to a map in the making.
struct Plan<'a> {
    brokers: BTreeMap<u64, &'a Broker>,
    replicas: BTreeMap<u64, usize>,
    leads: BTreeMap<u64, usize>,
}

impl<'a> Plan<'a> {
    fn new(brokers: &'a [Broker], shards: &[Shard]) -> Self {
        let mut plan = Self {
            brokers: brokers.iter().map(|broker| (broker.id, broker)).collect(),
            replicas: BTreeMap::new(),
            leads: BTreeMap::new(),
        };
        shards.iter().for_each(|shard| plan.count(&shard.replicas, 1));
        plan
    }

    /// Adds or takes away what a shard weighs on its brokers.
    fn count(&mut self, replicas: &[u64], sign: isize) {
        let add = |counts: &mut BTreeMap<u64, usize>, id: u64| {
            let count = counts.entry(id).or_default();
            *count = count.saturating_add_signed(sign);
        };
        replicas.iter().for_each(|id| add(&mut self.replicas, *id));
        replicas.first().into_iter().for_each(|id| add(&mut self.leads, *id));
    }

    fn held(&self, id: u64) -> usize {
        self.replicas.get(&id).copied().unwrap_or(0)
    }

    fn leads(&self, id: u64) -> usize {
        self.leads.get(&id).copied().unwrap_or(0)
    }

    fn capacity(&self, id: u64) -> usize {
        self.brokers.get(&id).map_or(1, |broker| broker.capacity.max(1) as usize)
    }

    fn zone(&self, id: u64) -> Option<&str> {
        self.brokers.get(&id).map(|broker| broker.zone.as_str())
    }

    /// An unknown broker is like one that leaves.
    fn is_leaving(&self, id: u64) -> bool {
        self.brokers.get(&id).is_none_or(|broker| broker.is_leaving)
    }

    /// An unknown broker was removed from the registry.
    fn is_gone(&self, id: u64) -> bool {
        self.brokers.get(&id).is_none_or(|broker| broker.is_gone)
    }

    /// Whether no other broker is fuller, in proportion to its capacity, among those that a replica could as well be
    /// taken from for `to`. Only from the fullest a move evens things out for good; but one that is full because it is
    /// alone in its zone is not evened out by anybody of another.
    fn is_fullest(&self, id: u64, to: u64) -> bool {
        let stays_in_zone = self.zone(id) == self.zone(to);
        let fuller = |other: u64| self.held(other) * self.capacity(id) > self.held(id) * self.capacity(other);
        let mut others = self.brokers.keys().filter(|other| !stays_in_zone || self.zone(**other) == self.zone(id));
        !others.any(|other| fuller(*other))
    }

    /// Whether `a` would be fuller with one more replica than `b` is now, in proportion to their capacities.
    fn would_be_fuller(&self, a: u64, b: u64) -> bool {
        (self.held(a) + 1) * self.capacity(b) >= self.held(b) * self.capacity(a)
    }
}

/// The changes to make now. Applied to the map and carried out by the shards, they lead to other changes, until there
/// are none.
pub fn next(brokers: &[Broker], shards: &[Shard], replication: usize) -> Vec<Change> {
    let mut plan = Plan::new(brokers, shards);
    let mut changes = Vec::new();
    let at_once = at_once(brokers.len());
    // One without a leader moves nowhere, and must not keep the others from being made whole.
    let is_moving = |shard: &&Shard| !shard.replicas.is_empty() && shard.voters.is_some() && !shard.is_settled();
    let mut moving = shards.iter().filter(is_moving).count();
    for (at, shard) in shards.iter().enumerate() {
        let is_born = !shard.replicas.is_empty();
        if is_born && shard.is_settled() && moving >= at_once {
            continue;
        }
        let Some(next) = replicas::next(shard, &plan, replication) else { continue };
        moving += usize::from(is_born && shard.is_settled());
        plan.count(&shard.replicas, -1);
        plan.count(&next, 1);
        changes.push(Change { shard: at, replicas: next });
    }
    leaders::spread(shards, &mut plan, &mut changes, at_once.saturating_sub(moving));
    changes
}

#[cfg(test)]
mod tests;
