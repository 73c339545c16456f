//! Two broker nodes: what a shard owes to a shard of the other goes over gRPC.

use std::collections::BTreeMap;

use tidings_proto::ErrorCode;
use tidings_proto::message::v1::envelope::Event;
use tokio::net::TcpListener;

use crate::gateway::Gateway;
use crate::node::{Ground, Node, map_of};

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_goes_from_node_to_node() {
    let ground = Ground::new(2);
    let (alice_name, bob_name) = (ground.user_in(0), ground.user_in(1));
    let mut listeners = Vec::new();
    let mut addresses = BTreeMap::new();
    for id in [1, 2] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        addresses.insert(id, listener.local_addr().unwrap().to_string());
        listeners.push((id, listener));
    }
    let mut nodes = Vec::new();
    for (id, listener) in listeners {
        let map = map_of(&addresses, 2, |shard| u64::from(shard) + 1);
        let dir = ground.dir.path().join(id.to_string());
        nodes.push(Node::start(id, listener, &dir, &ground, map).await);
    }

    let mut home = Gateway::connect(&ground, &nodes[0]).await;
    let mut away = Gateway::connect(&ground, &nodes[1]).await;
    let astray = away.try_attach(&alice_name, "phone", None, 0).await;
    assert_eq!((astray.attached.code(), astray.attached.leader_node), (ErrorCode::NotLeader, 1));
    let alice = home.attach(&alice_name, "phone", None).await;
    let bob = away.attach(&bob_name, "phone", None).await;
    assert_eq!(away.submit(away.message(&alice, &bob_name, 1)).await.code, 0);
    assert_eq!(away.delivery(&bob).await.seq, 1);
    away.ack(&bob, 1).await;
    match home.event(&alice).await {
        Event::Receipt(receipt) => assert_eq!((receipt.from, receipt.up_to_seq), (bob_name, 1)),
        other => panic!("{other:?} is no receipt"),
    }
    for node in nodes {
        node.stop().await;
    }
}
