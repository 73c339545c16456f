//! Which brokers held which shards in 0.1: it assigned what lacked replicas, and left the rest where it was.

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
