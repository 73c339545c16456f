//! A leader that was stopped and goes on (SIGSTOP, SIGCONT) is no leader any more: it accepts, delivers and expires
//! nothing, also of what was put into its sockets meanwhile (promise 5).

use std::time::Duration;

use tidings_sdk::Outgoing;

use super::support::{Traffic, client, control, settled, start, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_leader_that_wakes_does_nothing() {
    let cluster = start().await;
    let status = settled(&cluster).await;
    let traffic = Traffic::start(&cluster, 4).await;
    let operator = control(&cluster, 0).await;
    let tokens = [operator.user("typist").await, operator.user("reader").await];
    let (typist, _typist_events) = client(&cluster, &tokens[0], "phone").connect().unwrap();
    let (_reader, _reader_events) = client(&cluster, &tokens[1], "phone").connect().unwrap();
    traffic.goes_on(50).await;

    // All brokers lead some shards; the first is stopped.
    let paused = cluster.broker(0);
    assert!(status["shards"].as_array().unwrap().iter().any(|shard| shard["leader"] == paused.node()));
    let counters = [
        "tidings_broker_appended_total",
        "tidings_broker_duplicates_total",
        "tidings_broker_delivered_total",
        "tidings_broker_transients_total",
        "tidings_broker_expired_total",
        "tidings_broker_cursor_moves_total",
    ];
    let mut before = Vec::new();
    paused.pause().unwrap();
    // Gateways go on putting frames into its sockets until they hear of another leader; transients among them.
    for _ in 0..20 {
        let typing = Outgoing { ttl: Some(Duration::ZERO), ..Outgoing::new("reader", "typing") };
        drop(typist.send_message(typing).await);
    }
    traffic.goes_on(200).await;
    // It is not to lead again by being preferred: there is no room to move its replicas to, and so they stay.
    let id = paused.node().to_string();
    cluster.operate(&["cluster", "drain", &id]).await.unwrap();
    until(&cluster, "others lead, and are preferred", |status| {
        let is_elsewhere = |node: &serde_json::Value| *node != 0 && *node != paused.node();
        let shards = status["shards"].as_array().unwrap();
        shards.iter().all(|shard| is_elsewhere(&shard["leader"]) && is_elsewhere(&shard["wanted"][0]))
    })
    .await;

    // Read before it has noticed: the first thing that it does is to answer this.
    paused.resume().unwrap();
    for counter in counters {
        before.push(paused.metric(counter).await.unwrap());
    }
    paused.ready().await.unwrap();
    traffic.goes_on(200).await;
    for (counter, before) in counters.iter().zip(before) {
        assert_eq!(paused.metric(counter).await.unwrap(), before, "{counter}");
    }
    cluster.operate(&["cluster", "undrain", &id]).await.unwrap();
    settled(&cluster).await;
    traffic.end().await;
}
