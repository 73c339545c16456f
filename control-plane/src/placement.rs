//! Which brokers hold which shards: a pure function from the brokers that there are and today's map to the next map.
//!
//! It assigns what lacks replicas and leaves the rest where it is; it does not move a replica from one living broker to
//! another, because the data would have to move with it.

use std::collections::BTreeMap;

/// A broker that can hold replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Its number.
    pub id: u64,
    /// Where it stands; replicas of a shard are spread over zones as far as there are zones.
    pub zone: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Load {
    replicas: usize,
    leads: usize,
}

/// The replicas of each shard, the preferred leader first. A shard without any replica waits until there are as many
/// brokers as it should have replicas, so that it is born with all of them.
pub fn next(brokers: &[Broker], today: &[Vec<u64>], replication: usize) -> Vec<Vec<u64>> {
    let zones: BTreeMap<u64, &str> = brokers.iter().map(|broker| (broker.id, broker.zone.as_str())).collect();
    let mut loads: BTreeMap<u64, Load> = zones.keys().map(|id| (*id, Load::default())).collect();
    for replicas in today {
        for (place, id) in replicas.iter().enumerate() {
            if let Some(load) = loads.get_mut(id) {
                load.replicas += 1;
                load.leads += usize::from(place == 0);
            }
        }
    }
    let mut map: Vec<Vec<u64>> =
        today.iter().map(|replicas| place_shard(replicas, replication, &zones, &mut loads)).collect();
    let born = map.iter_mut().zip(today).filter(|(_, today)| today.is_empty()).map(|(replicas, _)| replicas);
    spread_leaders(&mut born.collect::<Vec<_>>(), &mut loads);
    map
}

/// Lets another replica of a new shard be the preferred leader while that evens out how many each broker has. Ends,
/// because each exchange makes the sum of the squares smaller.
fn spread_leaders(born: &mut [&mut Vec<u64>], loads: &mut BTreeMap<u64, Load>) {
    loop {
        let mut changed = false;
        for replicas in born.iter_mut() {
            let leads = |place: usize| loads.get(&replicas[place]).map_or(0, |load| load.leads);
            let Some(least) = (0..replicas.len()).min_by_key(|place| (leads(*place), *place)) else { continue };
            if leads(0) > leads(least) + 1 {
                loads.entry(replicas[0]).or_default().leads -= 1;
                replicas.swap(0, least);
                loads.entry(replicas[0]).or_default().leads += 1;
                changed = true;
            }
        }
        if !changed {
            return;
        }
    }
}

fn place_shard(
    today: &[u64],
    replication: usize,
    zones: &BTreeMap<u64, &str>,
    loads: &mut BTreeMap<u64, Load>,
) -> Vec<u64> {
    if today.is_empty() && zones.len() < replication {
        return Vec::new();
    }
    let mut replicas = today.to_vec();
    // A replica on a broker that is unknown now still counts: it is replaced when the broker is removed, not before.
    while replicas.len() < replication {
        let in_zone = |zone: &str| replicas.iter().filter(|id| zones.get(id) == Some(&zone)).count();
        let free = zones.iter().filter(|(id, _)| !replicas.contains(id));
        let best = free.min_by_key(|(id, zone)| (in_zone(zone), loads.get(id).copied().unwrap_or_default(), **id));
        let Some((&id, _)) = best else { break };
        loads.entry(id).or_default().replicas += 1;
        replicas.push(id);
    }
    if today.is_empty() {
        let leads = |id: &u64| loads.get(id).map_or(0, |load| load.leads);
        if let Some(first) = (0..replicas.len()).min_by_key(|place| (leads(&replicas[*place]), *place)) {
            replicas.swap(0, first);
            loads.entry(replicas[0]).or_default().leads += 1;
        }
    }
    replicas
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    fn brokers(zones: &BTreeMap<u64, u8>) -> Vec<Broker> {
        zones.iter().map(|(id, zone)| Broker { id: *id, zone: format!("z{zone}") }).collect()
    }

    fn spread(map: &[Vec<u64>], brokers: &[Broker], count: impl Fn(&[u64], u64) -> usize) -> usize {
        let counts = brokers.iter().map(|broker| map.iter().map(|replicas| count(replicas, broker.id)).sum::<usize>());
        let counts: Vec<usize> = counts.collect();
        counts.iter().max().unwrap_or(&0) - counts.iter().min().unwrap_or(&0)
    }

    proptest! {
        #[test]
        fn replicas_are_distinct_and_complete_and_none_moves(
            zones in btree_map(1_u64..12, 0_u8..4, 0..8),
            today in vec(vec(1_u64..12, 0..4), 0..40),
            replication in 1_usize..5,
        ) {
            let today: Vec<Vec<u64>> = today.into_iter().map(|replicas| {
                let mut distinct = Vec::new();
                replicas.into_iter().for_each(|id| if !distinct.contains(&id) { distinct.push(id) });
                distinct
            }).collect();
            let brokers = brokers(&zones);
            let next_map = next(&brokers, &today, replication);
            prop_assert_eq!(next_map.len(), today.len());
            for (old, new) in today.iter().zip(&next_map) {
                let mut sorted = new.clone();
                sorted.sort_unstable();
                sorted.dedup();
                prop_assert_eq!(sorted.len(), new.len(), "distinct");
                prop_assert!(new.starts_with(old), "what is there stays, in its order");
                prop_assert!(new[old.len()..].iter().all(|id| zones.contains_key(id)), "added ones are known");
                if old.is_empty() && brokers.len() < replication {
                    prop_assert!(new.is_empty(), "not born with too few");
                } else {
                    let room = old.len() + brokers.iter().filter(|broker| !old.contains(&broker.id)).count();
                    prop_assert_eq!(new.len(), replication.min(room).max(old.len()));
                }
            }
            prop_assert_eq!(next(&brokers, &next_map, replication), next_map, "a second run changes nothing");
        }

        #[test]
        fn a_new_cluster_is_balanced_in_replicas_and_leaders(
            count in 1_u64..9, shards in 1_usize..130, replication in 1_usize..4,
        ) {
            prop_assume!(count >= replication as u64);
            let brokers = brokers(&(1..=count).map(|id| (id, 0)).collect());
            let map = next(&brokers, &vec![Vec::new(); shards], replication);
            prop_assert!(spread(&map, &brokers, |replicas, id| usize::from(replicas.contains(&id))) <= 1);
            prop_assert!(spread(&map, &brokers, |replicas, id| usize::from(replicas.first() == Some(&id))) <= 2);
        }

        #[test]
        fn replicas_stand_in_as_many_zones_as_there_are(
            zones in btree_map(1_u64..12, 0_u8..4, 3..9), shards in 1_usize..40,
        ) {
            let brokers = brokers(&zones);
            let there: std::collections::BTreeSet<_> = zones.values().collect();
            for replicas in next(&brokers, &vec![Vec::new(); shards], 3) {
                let used: std::collections::BTreeSet<_> = replicas.iter().map(|id| zones[id]).collect();
                prop_assert_eq!(used.len(), there.len().min(3));
            }
        }
    }
}
