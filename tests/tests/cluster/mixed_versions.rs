//! Nodes of the last release and of this one in one cluster (promise 7): what was accepted is neither lost, doubled nor
//! reordered, whichever of them a message passes.
//!
//! The last release's shards had one replica, so that its brokers can hold no shard of several: they know no learners,
//! report nothing of their members, and found a group only alone.

use tidings_audit::{LocalCluster, Plan, Role};
use tidings_tests::Nodes;
use tidings_tests::binary::{last_release, tidings};

use super::support::{Traffic, is_settled, settled, start, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_of_the_last_release_beside_a_new_one() {
    let Some(last_release) = last_release() else { return };
    let cluster = start().await;
    let old = cluster.gateway(0);
    assert!(old.terminate().await.unwrap().success());
    old.run(last_release);
    old.start().await.unwrap();

    let traffic = Traffic::start_through_each(&cluster, 4).await;
    traffic.goes_on(50).await;
    assert!(old.metric("tidings_gateway_connections").await.unwrap() >= 2.0, "half of the senders are at the old one");
    for broker in 0..3 {
        cluster.broker(broker).kill9().unwrap();
        traffic.goes_on(100).await;
        cluster.broker(broker).restart().await.unwrap();
        settled(&cluster).await;
    }
    // Upgraded under its clients, which wait for it.
    assert!(old.terminate().await.unwrap().success());
    old.run(tidings());
    old.start().await.unwrap();
    traffic.goes_on(100).await;
    traffic.end().await;
}

/// The replicas of each shard, as the control plane's node tells the other nodes.
async fn placed(cluster: &LocalCluster) -> Vec<Vec<u64>> {
    let node = cluster.control_plane(0);
    let secret = node.folder().parent().unwrap().join("cluster.secret");
    let map = Nodes::connect(node.node_address(), &secret).await.shard_map().await;
    map.shards.into_iter().map(|placement| placement.replicas).collect()
}

/// A cluster of the last release is upgraded while traffic flows: control plane, brokers, gateways, one process after the
/// other. The registry is rebuilt from a log that the last release wrote, and places every shard where its data is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_the_last_release_is_upgraded_process_by_process() {
    let Some(last_release) = last_release() else { return };
    let one_replica = Plan { control_planes: 1, brokers: 3, replication: 1, ..Plan::default() };
    let roles = [Role::ControlPlane, Role::Broker, Role::Gateway];
    let plan = roles.into_iter().fold(one_replica, |plan, role| plan.run(role, last_release));
    let cluster = LocalCluster::start(plan).await.unwrap();
    let traffic = Traffic::start_through_each(&cluster, 4).await;
    traffic.goes_on(50).await;
    let before = placed(&cluster).await;
    assert!(before.iter().all(|replicas| replicas.len() == 1));

    let control_plane = cluster.control_plane(0);
    control_plane.kill9().unwrap();
    control_plane.run(tidings());
    control_plane.start().await.unwrap();
    until(&cluster, "the old brokers are heard of", |status| {
        let brokers = status["nodes"].as_array().unwrap().iter().filter(|node| node["role"] == "broker");
        brokers.filter(|node| node["alive"] == true).count() == 3
    })
    .await;
    assert_eq!(placed(&cluster).await, before, "nothing has moved");
    traffic.goes_on(100).await;

    // An old broker dies and comes back, beside a new one.
    let brokers = [cluster.broker(0), cluster.broker(1), cluster.broker(2)];
    assert!(brokers[0].terminate().await.unwrap().success());
    brokers[0].run(tidings());
    brokers[0].start().await.unwrap();
    traffic.goes_on(100).await;
    // What only the new one could take stays where it is: the others would found it anew.
    assert_eq!(placed(&cluster).await, before, "nothing has moved");
    brokers[1].kill9().unwrap();
    brokers[1].restart().await.unwrap();
    traffic.goes_on(100).await;
    for broker in &brokers[1..] {
        assert!(broker.terminate().await.unwrap().success());
        broker.run(tidings());
        broker.start().await.unwrap();
    }
    traffic.goes_on(100).await;
    for gateway in [cluster.gateway(0), cluster.gateway(1)] {
        assert!(gateway.terminate().await.unwrap().success());
        gateway.run(tidings());
        gateway.start().await.unwrap();
    }
    traffic.goes_on(100).await;
    // From now on shards move: 0.1 gave nearly all of them to the broker that registered first.
    until(&cluster, "every broker has its share", |status| {
        let brokers = status["nodes"].as_array().unwrap().iter().filter(|node| node["role"] == "broker");
        is_settled(status) && brokers.filter(|node| node["replicas"].as_u64() >= Some(2)).count() == 3
    })
    .await;
    traffic.goes_on(100).await;
    traffic.end().await;
}
