//! Brokers come and go under load: shards move to the new ones, drained ones are emptied, and a dead one is replaced.

use super::support::{Traffic, is_settled, node, settled, start, start_as, until};
use tidings_audit::{Plan, Role};

fn replicas(status: &serde_json::Value, id: u64) -> u64 {
    node(status, id)["replicas"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_brokers_become_five_and_three_again() {
    let cluster = start().await;
    let traffic = Traffic::start(&cluster, 3).await;
    traffic.goes_on(50).await;
    let added = [cluster.add_broker().await.unwrap(), cluster.add_broker().await.unwrap()];
    // 24 replicas on five brokers.
    let is_even = |status: &serde_json::Value| added.iter().all(|broker| replicas(status, broker.node()) >= 4);
    until(&cluster, "the new brokers have their share", |status| is_settled(status) && is_even(status)).await;
    traffic.goes_on(100).await;

    for broker in &added {
        let id = broker.node().to_string();
        let refused = cluster.operate_once(&["cluster", "remove", &id]).await.unwrap_err().to_string();
        assert!(refused.contains("not safe to remove"), "{refused}");
        let told = cluster.operate(&["cluster", "drain", &id, "--wait"]).await.unwrap();
        assert!(told.contains("shards still have a replica on it") && told.ends_with("safe to remove\n"), "{told}");
        broker.terminate().await.unwrap();
        cluster.operate(&["cluster", "remove", &id]).await.unwrap();
        cluster.forget(broker).unwrap();
        traffic.goes_on(50).await;
    }
    let status = settled(&cluster).await;
    assert_eq!(status["nodes"].as_array().unwrap().len(), 8);
    traffic.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_stays_away_is_replaced_and_one_that_lost_its_data_begins_anew() {
    let plan = Plan { brokers: 4, ..Plan::default() }.set(Role::ControlPlane, "control_plane.replace_after_seconds=10");
    let cluster = start_as(plan).await;
    let traffic = Traffic::start(&cluster, 2).await;
    traffic.goes_on(50).await;

    let lost = cluster.broker(3);
    lost.kill9().unwrap();
    std::fs::remove_dir_all(lost.data()).unwrap();
    // With an empty folder it is refused: what it vouched for is gone.
    lost.launch().unwrap();
    until(&cluster, "its replicas are made anew elsewhere", |status| {
        is_settled(status) && replicas(status, lost.node()) == 0
    })
    .await;
    traffic.goes_on(50).await;
    assert!(!lost.is_ready().await && lost.tail().contains("comes with another data folder"), "{}", lost.tail());

    let id = lost.node().to_string();
    cluster.operate(&["cluster", "remove", &id, "--dead"]).await.unwrap();
    let came_back = |status: &serde_json::Value| {
        let nodes = status["nodes"].as_array().unwrap();
        nodes.iter().any(|node| node["id"] == lost.node()) && is_settled(status) && replicas(status, lost.node()) >= 5
    };
    until(&cluster, "it begins anew", came_back).await;
    traffic.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_broker_is_removed_without_a_spare_one_and_begins_anew() {
    let cluster = start().await;
    let traffic = Traffic::start(&cluster, 2).await;
    traffic.goes_on(50).await;
    let lost = cluster.broker(2);
    lost.kill9().unwrap();
    std::fs::remove_dir_all(lost.data()).unwrap();
    cluster.operate(&["cluster", "remove", &lost.node().to_string(), "--dead"]).await.unwrap();
    until(&cluster, "the shards go on with two replicas", |status| {
        is_settled(status)
            && status["shards"].as_array().unwrap().iter().all(|shard| shard["voters"] == serde_json::json!([4, 5]))
    })
    .await;
    traffic.goes_on(50).await;
    lost.start().await.unwrap();
    until(&cluster, "it has its replicas again", |status| {
        is_settled(status) && replicas(status, lost.node()) == status["shards"].as_array().unwrap().len() as u64
    })
    .await;
    traffic.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_moves_a_shard() {
    let cluster = start_as(Plan { brokers: 4, ..Plan::default() }).await;
    let traffic = Traffic::start(&cluster, 2).await;
    let status = settled(&cluster).await;
    let shard = &status["shards"][0];
    let wanted: Vec<u64> = serde_json::from_value(shard["wanted"].clone()).unwrap();
    let others = (0..4).map(|index| cluster.broker(index).node());
    let to = others.into_iter().find(|id| !wanted.contains(id)).unwrap().to_string();
    // The leader itself is moved away.
    let from = wanted[0].to_string();
    let moved = cluster.operate(&["cluster", "move", "0", "--from", &from, "--to", &to, "--wait"]).await.unwrap();
    assert!(moved.contains("has moved"), "{moved}");
    traffic.goes_on(50).await;
    traffic.end().await;
}
