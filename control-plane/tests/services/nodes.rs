//! The nodes of the cluster: registration, shard map, the cluster's secret.

use std::time::Duration;

use tidings_node::Clock;
use tidings_proto::ErrorCode;
use tidings_proto::cluster::v1::directory_client::DirectoryClient;
use tidings_proto::cluster::v1::nodes_client::NodesClient;
use tidings_proto::cluster::v1::{
    GetShardMapRequest, HeartbeatRequest, ListNodesRequest, Node, NodeRole, ResolveTokenRequest, ResolveUserRequest,
    ShardMap, ShardPlacement, ShardReport,
};

use super::harness::{DEADLINE, Running, code};

pub fn broker(id: u64, incarnation: u64) -> HeartbeatRequest {
    let node = Node {
        id,
        role: NodeRole::Broker as i32,
        address: format!("127.0.0.1:{}", 7000 + id),
        version: "0.1.0".to_owned(),
        incarnation,
        store: 1,
        ..Node::default()
    };
    HeartbeatRequest { node: Some(node), ..HeartbeatRequest::default() }
}

#[tokio::test]
async fn a_broker_registers_gets_the_shards_and_renews_without_writing() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual(1_000));
    let running = Running::start(folder.path(), &clock).await;
    let mut nodes = running.nodes();
    let empty = nodes.get_shard_map(GetShardMapRequest {}).await.unwrap().into_inner();
    assert_eq!((empty.shards.len(), empty.nodes.len()), (4, 0));

    assert!(nodes.heartbeat(broker(7, 1)).await.unwrap().into_inner().interval_ms > 0);
    let map = running.placed(broker(7, 1)).await;
    assert!(map.epoch > empty.epoch);
    assert!(map.shards.iter().all(|shard| shard.replicas == [7] && shard.founders == [7]));
    assert_eq!(map.nodes[0].address, "127.0.0.1:7007");
    let revision = running.resolve("nothing", "").await.revision;

    clock.advance_ms(2_000);
    assert_eq!(nodes.heartbeat(broker(7, 1)).await.unwrap().into_inner().shard_map.unwrap(), map);
    assert_eq!(running.resolve("nothing", "").await.revision, revision, "nothing was written");
    assert_eq!(nodes.list_nodes(ListNodesRequest {}).await.unwrap().into_inner().nodes.len(), 1);

    // Once the shards were seen to work, nobody founds them again.
    let report = |shard| ShardReport { shard, term: 1, voters: vec![7], ..ShardReport::default() };
    let working = HeartbeatRequest { shards: (0..4).map(report).collect(), ..broker(7, 1) };
    let founded = async {
        let is_founded = |map: &ShardMap| map.shards.iter().all(|shard| shard.founders.is_empty());
        while !is_founded(&nodes.heartbeat(working.clone()).await.unwrap().into_inner().shard_map.unwrap()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, founded).await.expect("the founders are forgotten");

    nodes.heartbeat(broker(7, 2)).await.unwrap();
    assert_eq!(
        code(nodes.heartbeat(broker(7, 1)).await),
        ErrorCode::FailedPrecondition,
        "an old process is fenced off"
    );
    let mut nameless = broker(8, 1);
    nameless.node.as_mut().unwrap().address = "nowhere".to_owned();
    assert_eq!(code(nodes.heartbeat(nameless).await), ErrorCode::InvalidArgument);
    running.stop().await;
}

/// It would found what it is given anew (promise 7).
#[tokio::test]
async fn a_broker_without_a_store_of_its_own_is_given_nothing() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual(1_000));
    let running = Running::start(folder.path(), &clock).await;
    let mut nodes = running.nodes();
    let mut map = running.placed(broker(7, 1)).await;
    let mut of_0_1 = broker(8, 1);
    of_0_1.node.as_mut().unwrap().store = 0;
    let report = |placement: &ShardPlacement| {
        let (shard, voters) = (placement.shard, placement.replicas.clone());
        ShardReport { shard, term: 1, voters, ..ShardReport::default() }
    };
    let moved = async {
        loop {
            nodes.heartbeat(of_0_1.clone()).await.unwrap();
            // Every move is done as soon as it is planned: only so many are under way at once.
            let reports = map.shards.iter().map(report).collect();
            nodes.heartbeat(HeartbeatRequest { shards: reports, ..broker(7, 1) }).await.unwrap();
            map = nodes.heartbeat(broker(9, 1)).await.unwrap().into_inner().shard_map.unwrap();
            let held = |id| map.shards.iter().filter(|shard| shard.replicas.contains(&id)).count();
            assert_eq!(held(8), 0, "{map:?}");
            if held(9) == 2 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, moved).await.expect("the other one gets its share");
    running.stop().await;
}

#[tokio::test]
async fn users_are_resolved_and_the_secret_is_demanded() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual(1_000));
    let running = Running::start(folder.path(), &clock).await;
    running.create_user("alice").await;
    let ask = |user: &str| ResolveUserRequest { app: "default".to_owned(), user: user.to_owned() };
    let alice = running.directory().resolve_user(ask("alice")).await.unwrap().into_inner();
    assert!(alice.exists && alice.active && alice.revision > 0);
    assert!(!running.directory().resolve_user(ask("bob")).await.unwrap().into_inner().exists);

    // An API key is no cluster secret, and no secret is none.
    let mut directory = DirectoryClient::new(running.with(&running.operator));
    assert_eq!(code(directory.resolve_token(ResolveTokenRequest::default()).await), ErrorCode::ApiKeyUnknown);
    let mut nodes = NodesClient::new(running.channel.clone());
    assert_eq!(code(nodes.list_nodes(ListNodesRequest {}).await), ErrorCode::ApiKeyUnknown);
    running.stop().await;
}
