//! The next replicas of one shard.

use super::{Plan, Shard};

/// What the shard's replicas should be instead of what they are; `None` when nothing is to change, or nothing can.
pub fn next(shard: &Shard, plan: &Plan<'_>, replication: usize) -> Option<Vec<u64>> {
    if shard.replicas.is_empty() {
        return born(plan, replication);
    }
    if shard.is_settled() {
        return repaired(&shard.replicas, plan, replication).or_else(|| evened_out(&shard.replicas, plan));
    }
    replanned(shard, plan)
}

/// A shard is born with all of its replicas, once there are as many brokers.
fn born(plan: &Plan<'_>, replication: usize) -> Option<Vec<u64>> {
    let mut replicas = Vec::with_capacity(replication);
    while replicas.len() < replication {
        replicas.push(best(plan, &replicas)?);
    }
    let first = (0..replicas.len()).min_by_key(|place| (plan.leads(replicas[*place]), *place))?;
    replicas.swap(0, first);
    Some(replicas)
}

/// One replica too few, too many, or on a broker that leaves.
fn repaired(replicas: &[u64], plan: &Plan<'_>, replication: usize) -> Option<Vec<u64>> {
    let gone = replicas.iter().position(|id| plan.is_gone(*id));
    let leaving = gone.or_else(|| replicas.iter().position(|id| plan.is_leaving(*id)));
    if replicas.len() > replication {
        let surplus = leaving.or_else(|| {
            let places = 0..replicas.len();
            // The last of equals: the preferred leader stays if it can.
            places.rev().max_by_key(|place| (same_zone(plan, replicas, *place), plan.held(replicas[*place])))
        })?;
        return Some(without(replicas, surplus));
    }
    if replicas.len() < replication
        && let Some(new) = best(plan, replicas)
    {
        return Some(replicas.iter().copied().chain([new]).collect());
    }
    let leaving = leaving?;
    let new = best(plan, &without(replicas, leaving)).filter(|new| !replicas.contains(new));
    in_place_of(leaving, new, replicas, plan)
}

/// The replicas with another one in this place; without it where there is no other and it is gone for good: a shard is
/// not worse off for no longer counting on who will not come.
fn in_place_of(place: usize, new: Option<u64>, replicas: &[u64], plan: &Plan<'_>) -> Option<Vec<u64>> {
    let Some(new) = new else {
        return (plan.is_gone(replicas[place]) && replicas.len() > 1).then(|| without(replicas, place));
    };
    let mut next = replicas.to_vec();
    next[place] = new;
    Some(next)
}

/// A move that spreads the shard over more zones, or that takes load from a broker that has clearly more than another.
fn evened_out(replicas: &[u64], plan: &Plan<'_>) -> Option<Vec<u64>> {
    let fullest_first = |place: &usize| (same_zone(plan, replicas, *place), plan.held(replicas[*place]));
    let mut places: Vec<usize> = (0..replicas.len()).collect();
    places.sort_by_key(|place| std::cmp::Reverse(fullest_first(place)));
    for place in places {
        let (old, others) = (replicas[place], without(replicas, place));
        let Some(new) = best(plan, &others).filter(|new| !replicas.contains(new)) else { continue };
        let shared = |id: u64| others.iter().filter(|other| plan.zone(**other) == plan.zone(id)).count();
        let (was, would_be) = (shared(old), shared(new));
        let evens_out = would_be == was && plan.is_fullest(old, new) && !plan.would_be_fuller(new, old);
        if would_be < was || evens_out {
            let mut next = replicas.to_vec();
            next[place] = new;
            return Some(next);
        }
    }
    None
}

/// The change under way leads nowhere, because a broker that was to take a replica is gone: another one takes it. After
/// a [recovery](tidings_consensus::Recovery) more than one may lack; they are replaced one by one.
fn replanned(shard: &Shard, plan: &Plan<'_>) -> Option<Vec<u64>> {
    let voters = shard.voters.as_ref()?;
    let replicas = &shard.replicas;
    let place = replicas.iter().position(|id| !voters.contains(id) && plan.is_leaving(*id))?;
    // Back to the one that it was to replace, if that stays; otherwise to a third.
    let replaced = voters.iter().copied().find(|id| !replicas.contains(id) && !plan.is_leaving(*id));
    let new = replaced.or_else(|| best(plan, &without(replicas, place)));
    in_place_of(place, new, replicas, plan)
}

/// The best broker for one more replica beside these.
fn best(plan: &Plan<'_>, beside: &[u64]) -> Option<u64> {
    let free = plan.brokers.values().filter(|broker| broker.takes_replicas() && !beside.contains(&broker.id));
    let in_zone = |zone: &str| beside.iter().filter(|id| plan.zone(**id) == Some(zone)).count();
    let load = |id: u64| (plan.held(id) * 1_000_000) / plan.capacity(id);
    free.min_by_key(|broker| (in_zone(&broker.zone), load(broker.id), plan.leads(broker.id), broker.id))
        .map(|broker| broker.id)
}

/// Replicas of the shard that share a zone with the one in this place.
fn same_zone(plan: &Plan<'_>, replicas: &[u64], place: usize) -> usize {
    let zone = plan.zone(replicas[place]);
    replicas.iter().filter(|id| plan.zone(**id) == zone).count()
}

fn without(replicas: &[u64], place: usize) -> Vec<u64> {
    replicas.iter().enumerate().filter(|(at, _)| *at != place).map(|(_, id)| *id).collect()
}
