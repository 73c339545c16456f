use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;

fn broker(id: u64, zone: u8) -> Broker {
    let zone = format!("z{zone}");
    Broker { id, zone, capacity: 100, is_alive: true, knows_members: true, is_leaving: false, is_gone: false }
}

fn brokers(zones: &BTreeMap<u64, u8>) -> Vec<Broker> {
    zones.iter().map(|(id, zone)| broker(*id, *zone)).collect()
}

fn unborn(count: usize) -> Vec<Shard> {
    vec![Shard::default(); count]
}

/// What becomes of a map when every change is carried out; checks on the way that each is allowed.
fn carried_out(brokers: &[Broker], mut shards: Vec<Shard>, replication: usize) -> (Vec<Shard>, usize) {
    let mut moved = 0;
    for _ in 0..10_000 {
        let changes = next(brokers, &shards, replication);
        if changes.is_empty() {
            return (shards, moved);
        }
        let mut moving = 0;
        for change in changes {
            let shard = &mut shards[change.shard];
            let new: BTreeSet<u64> = change.replicas.iter().copied().collect();
            assert_eq!(new.len(), change.replicas.len(), "replicas are distinct");
            if let Some(voters) = shard.voters.clone() {
                assert!(new.difference(&voters).count() <= 1, "one replica comes at a time");
                assert!(voters.difference(&new).count() <= 1, "one replica goes at a time");
                moving += usize::from(new != voters);
                moved += new.difference(&voters).count();
            }
            shard.replicas = change.replicas;
            shard.voters = Some(new);
        }
        assert!(moving <= at_once(brokers.len()), "few move at once");
    }
    panic!("the placement never comes to rest");
}

fn counts(shards: &[Shard], brokers: &[Broker], count: impl Fn(&[u64], u64) -> bool) -> Vec<usize> {
    let of = |broker: &Broker| shards.iter().filter(|shard| count(&shard.replicas, broker.id)).count();
    brokers.iter().map(of).collect()
}

fn spread(counts: &[usize]) -> usize {
    counts.iter().max().unwrap_or(&0) - counts.iter().min().unwrap_or(&0)
}

proptest! {
    #[test]
    fn a_new_cluster_is_balanced_and_spread_over_zones(
        zones in btree_map(1_u64..12, 0_u8..4, 1..9), shards in 1_usize..100, replication in 1_usize..4,
    ) {
        prop_assume!(zones.len() >= replication);
        let brokers = brokers(&zones);
        let (map, _) = carried_out(&brokers, unborn(shards), replication);
        let there: BTreeSet<_> = zones.values().collect();
        for shard in &map {
            prop_assert_eq!(shard.replicas.len(), replication);
            let used: BTreeSet<_> = shard.replicas.iter().map(|id| zones[id]).collect();
            prop_assert_eq!(used.len(), there.len().min(replication));
        }
        if there.len() == 1 {
            prop_assert!(spread(&counts(&map, &brokers, |replicas, id| replicas.contains(&id))) <= 1);
        }
        if replication > 1 && there.len() == 1 {
            prop_assert!(spread(&counts(&map, &brokers, |replicas, id| replicas.first() == Some(&id))) <= 2);
        }
    }

    #[test]
    fn growing_moves_hardly_more_than_the_new_brokers_take_and_evens_out(
        before in 3_u64..6, added in 1_u64..4, shards in 1_usize..64,
    ) {
        let old = brokers(&(1..=before).map(|id| (id, 0)).collect());
        let (map, _) = carried_out(&old, unborn(shards), 3);
        let new = brokers(&(1..=before + added).map(|id| (id, 0)).collect());
        let (grown, moved) = carried_out(&new, map, 3);
        let held = counts(&grown, &new, |replicas, id| replicas.contains(&id));
        prop_assert!(spread(&held) <= 1, "{held:?}");
        let taken: usize = held[before as usize..].iter().sum();
        // Where the last shards fit on one of the new ones alone, one or two move on from there.
        prop_assert!(moved <= taken + 2, "{moved} moves to fill {taken} places");
    }

    #[test]
    fn whoever_leaves_is_emptied_where_there_is_room_and_never_leads(
        zones in btree_map(1_u64..10, 0_u8..3, 4..9), shards in 1_usize..40, leaving in vec(1_u64..10, 1..3),
    ) {
        let mut there = brokers(&zones);
        let (map, _) = carried_out(&there, unborn(shards), 3);
        there.iter_mut().for_each(|broker| broker.is_leaving = leaving.contains(&broker.id));
        let staying = there.iter().filter(|broker| !broker.is_leaving).count();
        let (map, _) = carried_out(&there, map, 3);
        for shard in &map {
            let on_leaving = shard.replicas.iter().filter(|id| leaving.contains(id)).count();
            prop_assert_eq!(on_leaving, 3_usize.saturating_sub(staying));
            prop_assert!(staying == 0 || !leaving.contains(&shard.replicas[0]));
        }
    }

    #[test]
    fn nothing_is_planned_for_a_shard_that_is_changing_or_without_a_leader(
        shards in 1_usize..20, changing in any::<bool>(),
    ) {
        let three = brokers(&(1..=3).map(|id| (id, 0)).collect());
        let (mut map, _) = carried_out(&three, unborn(shards), 3);
        for shard in &mut map {
            if changing { shard.is_changing = true } else { shard.voters = None }
        }
        let more = brokers(&(1..=6).map(|id| (id, 0)).collect());
        prop_assert!(next(&more, &map, 3).is_empty());
    }
}

#[test]
fn a_shard_is_not_born_with_too_few() {
    assert!(next(&[broker(1, 0), broker(2, 0)], &unborn(2), 3).is_empty());
    let asleep = Broker { is_alive: false, ..broker(3, 0) };
    assert!(next(&[broker(1, 0), broker(2, 0), asleep], &unborn(2), 3).is_empty());
}

#[test]
fn a_broker_of_a_release_without_members_keeps_what_it_has_and_is_given_nothing() {
    let old = Broker { knows_members: false, ..broker(2, 0) };
    let (map, _) = carried_out(&[broker(1, 0)], unborn(6), 1);
    assert!(next(&[broker(1, 0), old.clone()], &map, 1).is_empty(), "nothing moves to it");
    assert!(next(std::slice::from_ref(&old), &unborn(2), 1).is_empty(), "nothing is born on it");
    // It reports nothing of what it holds.
    let held = vec![Shard { replicas: vec![2], ..Shard::default() }; 6];
    assert!(next(&[broker(1, 0), old], &held, 1).is_empty());
    let upgraded = held.into_iter().map(|shard| Shard { voters: Some(BTreeSet::from([2])), ..shard }).collect();
    let both = [broker(1, 0), broker(2, 0)];
    let (map, moved) = carried_out(&both, upgraded, 1);
    assert_eq!((counts(&map, &both, |replicas, id| replicas.contains(&id)), moved), (vec![3, 3], 3));
}

#[test]
fn a_target_that_is_lost_before_it_took_its_replica_is_given_up() {
    let voters = Some(BTreeSet::from([1, 2, 3]));
    let shard = Shard { replicas: vec![1, 2, 4], voters, is_changing: true };
    let gone = Broker { is_leaving: true, is_alive: false, ..broker(4, 0) };
    let three = [broker(1, 0), broker(2, 0), broker(3, 0), gone.clone()];
    assert_eq!(next(&three, std::slice::from_ref(&shard), 3)[0].replicas, [1, 2, 3], "back to where it was");
    let drained = Broker { is_leaving: true, ..broker(3, 0) };
    let others = [broker(1, 0), broker(2, 0), drained, gone, broker(5, 0)];
    assert_eq!(next(&others, &[shard], 3)[0].replicas, [1, 2, 5], "or on to a third");
}

#[test]
fn a_shard_without_a_leader_does_not_keep_others_from_being_made_whole() {
    let leaderless = Shard { replicas: vec![1, 2, 3], voters: None, is_changing: false };
    let led = Shard { voters: Some(BTreeSet::from([1, 2, 3])), ..leaderless.clone() };
    let four = [broker(1, 0), broker(2, 0), gone(3), broker(4, 0)];
    let planned = next(&four, &[leaderless, led], 3);
    // On its way it is given another leader: broker 1 has the other shard.
    assert_eq!(planned, [Change { shard: 1, replicas: vec![2, 1, 4] }]);
}

fn gone(id: u64) -> Broker {
    Broker { is_alive: false, is_leaving: true, is_gone: true, ..broker(id, 0) }
}

#[test]
fn a_shard_goes_on_without_a_replica_that_is_gone_where_nobody_takes_it() {
    let three = brokers(&(1..=3).map(|id| (id, 0)).collect());
    let (map, _) = carried_out(&three, unborn(6), 3);
    let (map, _) = carried_out(&[broker(1, 0), gone(2), broker(3, 0)], map, 3);
    assert!(map.iter().all(|shard| shard.replicas.len() == 2 && !shard.replicas.contains(&2)));
    let away = Broker { is_alive: false, ..broker(1, 0) };
    assert!(next(&[away, gone(2), broker(3, 0)], &map, 3).is_empty(), "one that is only away is counted on");
    let (map, _) = carried_out(&three, map, 3);
    assert!(map.iter().all(|shard| shard.replicas.len() == 3), "and it takes the one that comes back, or comes anew");
}

#[test]
fn after_a_recovery_those_that_are_gone_are_given_up_one_by_one() {
    let recovered = |replicas: &[u64]| {
        let voters = Some(BTreeSet::from([1]));
        vec![Shard { replicas: replicas.to_vec(), voters, is_changing: false }]
    };
    let replicas = |brokers: &[Broker], shards: &[Shard]| next(brokers, shards, 3)[0].replicas.clone();
    let left = [broker(1, 0), gone(2), gone(3)];
    assert_eq!(replicas(&left, &recovered(&[2, 1, 3])), [1, 3]);
    assert_eq!(replicas(&left, &recovered(&[1, 3])), [1]);
    assert!(next(&left, &recovered(&[1]), 3).is_empty());
    let with_room = [broker(1, 0), gone(2), gone(3), broker(4, 0)];
    assert_eq!(replicas(&with_room, &recovered(&[2, 1, 3])), [4, 1, 3]);
}

#[test]
fn zones_of_different_sizes_are_each_evened_out() {
    let three = [broker(1, 0), broker(2, 1), broker(3, 2)];
    let (map, _) = carried_out(&three, unborn(12), 3);
    let five = [broker(1, 0), broker(2, 1), broker(3, 2), broker(4, 0), broker(5, 1)];
    let (map, moved) = carried_out(&five, map, 3);
    assert_eq!(counts(&map, &five, |replicas, id| replicas.contains(&id)), [6, 6, 12, 6, 6]);
    assert_eq!(moved, 12);
}

#[test]
fn capacity_counts() {
    let large = Broker { capacity: 300, ..broker(1, 0) };
    let (map, _) = carried_out(&[large.clone(), broker(2, 0)], unborn(8), 1);
    assert_eq!(counts(&map, &[large, broker(2, 0)], |replicas, id| replicas.contains(&id)), [6, 2]);
}

#[test]
fn more_or_fewer_replicas_come_and_go_one_by_one() {
    let three = brokers(&(1..=3).map(|id| (id, 0)).collect());
    let (map, _) = carried_out(&three, unborn(6), 1);
    let (map, _) = carried_out(&three, map, 3);
    assert!(map.iter().all(|shard| shard.replicas.len() == 3));
    let (map, _) = carried_out(&three, map, 2);
    assert!(map.iter().all(|shard| shard.replicas.len() == 2));
}
