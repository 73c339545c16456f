//! Bytes as release 0.1 wrote them: never change them.

use prost::Message;
use tidings_consensus::{ApplyContext, MemoryStore, StateStore};
use tidings_proto::cluster::v1::{Node, NodePhase, NodeRole, ShardMap, ShardPlacement};
use tidings_proto::registry::v1::command::Command as C;
use tidings_proto::registry::v1::{Bootstrap, RegisterNode};

use crate::registry::machine::{self, Outcome, encode_command};
use crate::registry::record::{decode, encode};
use crate::registry::{cluster, keys};

const OLD_BROKER: &[u8] = b"\x01\x08\x02\x10\x02\x1a\x06b:7702\x22\x02z1\x2a\x050.1.0\x30\xe8\x07\x38\xe9\x07";
/// Epoch 3: shard 0 on broker 2, shard 1 on broker 3, and where the first of them is.
const OLD_MAP: &[u8] = b"\x01\x08\x03\x12\x03\x12\x01\x02\x12\x05\x08\x01\x12\x01\x03\
                         \x1a\x0c\x08\x02\x10\x02\x1a\x06b:7702";

fn old_broker() -> Node {
    Node {
        id: 2,
        role: NodeRole::Broker.into(),
        address: "b:7702".to_owned(),
        zone: "z1".to_owned(),
        version: "0.1.0".to_owned(),
        seen_at_ms: 1000,
        incarnation: 1001,
        ..Node::default()
    }
}

#[test]
fn a_node_of_0_1_is_read_and_gets_a_store_a_capacity_and_a_phase() {
    assert_eq!(decode::<Node>(OLD_BROKER).unwrap(), old_broker());
    assert_eq!(encode(&old_broker()), OLD_BROKER);
    let new = Node { store: 7, capacity: 100, phase: NodePhase::Draining.into(), ..old_broker() };
    let stored = [OLD_BROKER, b"\x40\x07\x48\x64\x50\x01"].concat();
    assert_eq!(encode(&new), stored);
    assert_eq!(decode::<Node>(&stored).unwrap(), new);
}

#[test]
fn a_map_of_0_1_is_read_and_gets_founders() {
    let place = |shard, replica| ShardPlacement { shard, replicas: vec![replica], founders: Vec::new() };
    let node = Node { id: 2, role: NodeRole::Broker.into(), address: "b:7702".to_owned(), ..Node::default() };
    let mut map = ShardMap { epoch: 3, shards: vec![place(0, 2), place(1, 3)], nodes: vec![node] };
    assert_eq!(decode::<ShardMap>(OLD_MAP).unwrap(), map);
    assert_eq!(encode(&map), OLD_MAP);
    map.shards[0].founders = vec![2, 3];
    let stored = b"\x01\x08\x03\x12\x07\x12\x01\x02\x1a\x02\x02\x03\x12\x05\x08\x01\x12\x01\x03\
                   \x1a\x0c\x08\x02\x10\x02\x1a\x06b:7702";
    assert_eq!(encode(&map), stored.as_slice());
    assert_eq!(decode::<ShardMap>(stored).unwrap(), map);
}

/// A log as a node applies it.
#[derive(Default)]
struct Log {
    store: MemoryStore,
    index: u64,
}

impl Log {
    fn apply(&mut self, command: &[u8]) -> Outcome {
        self.index += 1;
        let context = ApplyContext { now_ms: 1000, index: self.index, ordinal: 0, term: 1 };
        machine::apply(&context, command, &mut self.store).0.unwrap()
    }

    fn placed(&self) -> (u64, Vec<Vec<u64>>) {
        let map = cluster::shard_map(&self.store as &dyn StateStore).unwrap();
        (map.epoch, map.shards.into_iter().map(|shard| shard.replicas).collect())
    }
}

/// `RegisterNode` as 0.1 wrote it.
fn register(id: u8) -> Vec<u8> {
    let node = [b"\x08", [id].as_slice(), b"\x10\x02\x1a\x06b:7702\x38\x05"].concat();
    let length = |bytes: &[u8]| u8::try_from(bytes.len()).unwrap();
    let command = [b"\x0a", [length(&node)].as_slice(), &node].concat();
    [b"\x01\x62", [length(&command)].as_slice(), &command].concat()
}

#[test]
fn a_log_of_0_1_places_the_shards_where_0_1_placed_them() {
    let mut log = Log::default();
    log.apply(b"\x01\x0a\x04\x08\x04\x10\x01");
    assert_eq!(log.placed(), (1, vec![vec![]; 4]));
    log.apply(&register(2));
    // The first broker got everything, and what comes later gets nothing: 0.1 moved no data.
    assert_eq!(log.placed(), (2, vec![vec![2]; 4]));
    log.apply(&register(3));
    assert_eq!(log.placed(), (2, vec![vec![2]; 4]));
    let Outcome::Node(registered) = log.apply(&register(2)) else { panic!("a node") };
    assert_eq!((registered.id, registered.incarnation), (2, 5));
    assert_eq!(log.placed().0, 2, "seen again");

    // More replicas were wanted: 0.1 wrote that into the map at once.
    log.apply(b"\x01\x0a\x04\x08\x04\x10\x02");
    assert_eq!(log.placed(), (3, vec![vec![2, 3]; 4]));
}

#[test]
fn commands_of_today_leave_the_placing_to_the_leader() {
    let mut log = Log::default();
    let bootstrap = encode_command(C::Bootstrap(Bootstrap { shards: 4, replication: 1 }));
    assert_eq!(bootstrap, b"\x02\x0a\x04\x08\x04\x10\x01".as_slice());
    log.apply(&bootstrap);
    log.apply(&encode_command(C::RegisterNode(RegisterNode { node: Some(old_broker()) })));
    assert_eq!(log.placed(), (2, vec![vec![]; 4]));
    let stored = log.store.get(&keys::node(NodeRole::Broker.into(), 2)).unwrap();
    assert_eq!(Node::decode(&stored[1..]).unwrap(), old_broker());
}

#[test]
fn a_node_of_0_1_is_taken_up_by_a_command_of_today() {
    let mut log = Log::default();
    log.apply(b"\x01\x0a\x04\x08\x04\x10\x01");
    log.apply(&register(2));
    let upgraded = Node { store: 9, incarnation: 6, ..old_broker() };
    log.apply(&encode_command(C::RegisterNode(RegisterNode { node: Some(upgraded.clone()) })));
    let map = cluster::shard_map(&log.store as &dyn StateStore).unwrap();
    assert_eq!(log.placed(), (3, vec![vec![2]; 4]), "where the data is");
    assert_eq!(map.nodes, [Node { seen_at_ms: 0, ..upgraded }]);
}
