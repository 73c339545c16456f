//! Nodes and the shard map: what the registry writes down, and what it refuses.

use tidings_proto::ErrorCode;
use tidings_proto::cluster::v1::{Node, NodePhase, NodeRole, ShardPlacement};
use tidings_proto::registry::v1::command::Command as C;
use tidings_proto::registry::v1::{Bootstrap, PlaceShards, RaiseLevel, RegisterNode, RemoveNode, SetNodePhase};

use super::cluster;
use super::machine::Outcome;
use super::property_tests::Log;
use super::refusal::Refusal;

fn broker(id: u64, incarnation: u64, store: u64) -> C {
    let (role, address) = (NodeRole::Broker as i32, format!("host{id}:7080"));
    C::RegisterNode(RegisterNode { node: Some(Node { id, role, address, incarnation, store, ..Node::default() }) })
}

#[test]
fn the_map_names_the_brokers_and_takes_plans_for_its_own_epoch_alone() {
    let mut log = Log::at(1);
    log.apply(C::Bootstrap(Bootstrap { shards: 6, replication: 2 })).unwrap();
    log.apply(broker(1, 5, 0)).unwrap();
    log.apply(broker(2, 1, 0)).unwrap();
    let map = cluster::shard_map(log.state()).unwrap();
    assert_eq!((map.shards.len(), map.nodes.len()), (6, 2));
    assert!(map.shards.iter().all(|shard| shard.replicas.is_empty()), "placement is the leader's business");
    log.apply(broker(2, 1, 0)).unwrap();
    assert_eq!(cluster::shard_map(log.state()).unwrap().epoch, map.epoch, "nothing changed");
    log.apply(broker(1, 6, 0)).unwrap();
    assert_eq!(cluster::shard_map(log.state()).unwrap().epoch, map.epoch + 1, "a broker started anew");

    let place = |epoch, shard| {
        let placement = ShardPlacement { shard, replicas: vec![2, 1], founders: vec![2, 1] };
        C::PlaceShards(PlaceShards { epoch, shards: vec![placement] })
    };
    assert_eq!(log.apply(place(map.epoch, 3)).unwrap_err().code, ErrorCode::FailedPrecondition, "an old plan");
    assert_eq!(log.apply(place(map.epoch + 1, 6)).unwrap_err().code, ErrorCode::NotFound);
    assert_eq!(log.apply(place(map.epoch + 1, 3)).unwrap(), Outcome::Placed(map.epoch + 2));
    assert_eq!(cluster::shard_map(log.state()).unwrap().shards[3].replicas, [2, 1]);

    let refusal = log.apply(C::Bootstrap(Bootstrap { shards: 8, replication: 2 })).unwrap_err();
    assert!(refusal.message.contains("made with 6 shards"), "{refusal}");
}

#[test]
fn the_level_rises_and_never_falls() {
    let mut log = Log::at(1);
    let raise = |level| C::RaiseLevel(RaiseLevel { level });
    assert_eq!(log.apply(raise(1)).unwrap_err().code, ErrorCode::FailedPrecondition, "there is no cluster yet");
    log.apply(C::Bootstrap(Bootstrap { shards: 2, replication: 1 })).unwrap();
    for (to, level) in [(1, 1), (3, 3), (2, 3)] {
        log.apply(raise(to)).unwrap();
        assert_eq!(cluster::settings(log.state()).unwrap().unwrap().level, level);
    }
    log.apply(C::Bootstrap(Bootstrap { shards: 2, replication: 3 })).unwrap();
    assert_eq!(cluster::settings(log.state()).unwrap().unwrap().level, 3, "a restart leaves it");
}

#[test]
fn a_node_that_lost_its_store_or_was_replaced_is_refused_until_it_was_removed() {
    let mut log = Log::at(1);
    log.apply(C::Bootstrap(Bootstrap { shards: 2, replication: 1 })).unwrap();
    log.apply(broker(1, 5, 0)).unwrap();
    log.apply(broker(1, 5, 70)).unwrap();
    let precondition = |refused: Result<Outcome, Refusal>| {
        let refusal = refused.unwrap_err();
        assert_eq!(refusal.code, ErrorCode::FailedPrecondition);
        refusal.message
    };
    assert!(precondition(log.apply(broker(1, 4, 70))).contains("started anew"));
    assert!(precondition(log.apply(broker(1, 6, 71))).contains("cluster remove 1 --dead"));
    let phase = |phase: NodePhase| SetNodePhase { role: NodeRole::Broker.into(), id: 1, phase: phase.into() };
    let phase_now = |log: &Log| cluster::node(log.state(), NodeRole::Broker.into(), 1).unwrap().unwrap().phase();
    log.apply(C::SetNodePhase(phase(NodePhase::Draining))).unwrap();
    log.apply(broker(1, 7, 70)).unwrap();
    assert_eq!(phase_now(&log), NodePhase::Draining, "a restart does not end a drain");
    log.apply(C::SetNodePhase(phase(NodePhase::Gone))).unwrap();
    log.apply(broker(1, 8, 70)).unwrap();
    assert_eq!(phase_now(&log), NodePhase::Active, "whoever comes back is no longer gone");

    let placement = |replicas: Vec<u64>| ShardPlacement { shard: 0, replicas, ..ShardPlacement::default() };
    let place = |log: &mut Log, replicas| {
        let epoch = cluster::shard_map(log.state()).unwrap().epoch;
        log.apply(C::PlaceShards(PlaceShards { epoch, shards: vec![placement(replicas)] })).unwrap();
    };
    let remove = C::RemoveNode(RemoveNode { role: NodeRole::Broker.into(), id: 1 });
    place(&mut log, vec![1]);
    assert!(precondition(log.apply(remove.clone())).contains("still names"));
    place(&mut log, vec![]);
    log.apply(remove.clone()).unwrap();
    assert!(cluster::nodes(log.state()).unwrap().is_empty());
    assert_eq!(log.apply(remove).unwrap_err().code, ErrorCode::NotFound);
    assert!(precondition(log.apply(broker(1, 9, 70))).contains("was removed"));
    log.apply(broker(1, 1, 71)).unwrap();
    assert_eq!(phase_now(&log), NodePhase::Active, "with a new store it begins anew");
}
