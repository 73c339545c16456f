//! Processes die under load, one after the other, and come back.

use super::support::{Traffic, settled, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brokers_gateways_and_control_plane_nodes_die_one_by_one() {
    let cluster = start().await;
    let traffic = Traffic::start(&cluster, 4).await;
    traffic.goes_on(50).await;
    for round in 0..6 {
        let broker = cluster.broker(round % 3);
        broker.kill9().unwrap();
        traffic.goes_on(100).await;
        broker.restart().await.unwrap();
        settled(&cluster).await;
    }
    for gateway in [0, 1] {
        cluster.gateway(gateway).kill9().unwrap();
        traffic.goes_on(100).await;
        cluster.gateway(gateway).restart().await.unwrap();
    }
    for node in [0, 1, 2] {
        cluster.control_plane(node).kill9().unwrap();
        traffic.goes_on(100).await;
        cluster.control_plane(node).restart().await.unwrap();
    }
    traffic.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_flow_while_the_whole_control_plane_is_away() {
    let cluster = start().await;
    let traffic = Traffic::start(&cluster, 2).await;
    traffic.goes_on(50).await;
    (0..3).for_each(|node| cluster.control_plane(node).kill9().unwrap());
    traffic.goes_on(100).await;
    // Brokers and gateways go on with their last state also when a leader of shards dies meanwhile.
    cluster.broker(0).kill9().unwrap();
    traffic.goes_on(100).await;
    for node in 0..3 {
        cluster.control_plane(node).launch().unwrap();
    }
    cluster.broker(0).restart().await.unwrap();
    settled(&cluster).await;
    traffic.end().await;
}
