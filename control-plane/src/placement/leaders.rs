//! Which replica of each shard is preferred as its leader: spread evenly, and none on a broker that leaves. No data
//! moves.

use super::{Change, Plan, Shard};

/// Lets another replica be preferred while that evens out how many shards each broker leads: in shards that move
/// anyway, and in at most `exchanges` others. Ends, because each exchange makes the sum of the squares smaller.
pub fn spread(shards: &[Shard], plan: &mut Plan<'_>, changes: &mut Vec<Change>, mut exchanges: usize) {
    loop {
        let mut changed = false;
        for (at, shard) in shards.iter().enumerate() {
            let planned = changes.iter().position(|change| change.shard == at);
            if planned.is_none() && (exchanges == 0 || !shard.is_settled()) {
                continue;
            }
            let replicas = planned.map_or(&shard.replicas, |place| &changes[place].replicas);
            let Some(better) = better_leader(replicas, plan) else { continue };
            let mut next = replicas.clone();
            next.swap(0, better);
            plan.count(replicas, -1);
            plan.count(&next, 1);
            match planned {
                Some(place) => changes[place].replicas = next,
                None => {
                    changes.push(Change { shard: at, replicas: next });
                    exchanges -= 1;
                }
            }
            changed = true;
        }
        if !changed {
            return;
        }
    }
}

/// The place of a replica that should be preferred to the first one.
fn better_leader(replicas: &[u64], plan: &Plan<'_>) -> Option<usize> {
    let first = *replicas.first()?;
    let stays = |place: &usize| !plan.is_leaving(replicas[*place]);
    let least = (1..replicas.len()).filter(stays).min_by_key(|place| (plan.leads(replicas[*place]), *place))?;
    let evens_out = plan.leads(first) > plan.leads(replicas[least]) + 1;
    (plan.is_leaving(first) || evens_out).then_some(least)
}
