//! One who does not keep up costs his own window and nothing else (promise 6).

use bytes::Bytes;
use prost::Message as _;
use tidings_proto::ErrorCode;
use tidings_proto::message::v1::{Content, MessageId};

use crate::gateway::Gateway;
use crate::node::Ground;

#[tokio::test(flavor = "multi_thread")]
async fn fifty_thousand_queued_messages_are_in_flight_only_as_far_as_the_window_goes() {
    const QUEUED: u64 = 50_000;
    const WINDOW: u32 = 100;
    let ground = Ground::new(1);
    let node = ground.start().await;
    let mut gateway = Gateway::connect(&ground, &node).await;
    let alice = gateway.attach("alice", "phone", None).await;
    gateway.send_all(&alice, "bob", 1..=QUEUED).await;
    let bob = gateway.try_attach("bob", "phone", None, WINDOW).await;
    // Answers of the shard's memory come behind what it has pushed meanwhile.
    for seq in 1..=200 {
        let id = MessageId { stream: 999, seq };
        assert_eq!(gateway.read(&bob, "alice", id).await.code(), ErrorCode::InvalidArgument);
    }
    assert_eq!(gateway.unclaimed_deliveries(&bob), WINDOW as usize);

    // Live messages come behind the queue, not before it.
    gateway.send_all(&alice, "bob", QUEUED + 1..=QUEUED + 10).await;
    for seq in 1..=QUEUED + 10 {
        let delivery = gateway.delivery(&bob).await;
        assert_eq!((delivery.seq, delivery.after), (seq, seq - 1));
        if seq % 40 == 0 {
            gateway.ack(&bob, seq).await;
        }
        assert!(gateway.unclaimed_deliveries(&bob) <= WINDOW as usize);
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_does_not_read_delays_nobody_else() {
    const MESSAGES: u64 = 400;
    let mut ground = Ground::new(1);
    ground.config.link_queue_bytes = 1 << 20;
    ground.config.max_window_entries = 10_000;
    ground.config.window_bytes = 64 << 20;
    ground.config.max_window_bytes = 64 << 20;
    let node = ground.start().await;
    let mut stuck = Gateway::connect(&ground, &node).await;
    let mut gateway = Gateway::connect(&ground, &node).await;
    let alice = gateway.attach("alice", "", None).await;
    let bob = stuck.try_attach("bob", "phone", None, 10_000).await;
    let carol = gateway.attach("carol", "phone", None).await;
    // More than the link's queue and HTTP/2's windows hold.
    let content = Content { data: Bytes::from(vec![7; 60_000]), ..Content::default() }.encode_to_vec();
    for seq in 1..=MESSAGES {
        let mut large = gateway.message(&alice, "bob", seq);
        large.content = Bytes::from(content.clone());
        assert_eq!(gateway.submit(large).await.code, 0);
    }
    assert_eq!(gateway.submit(gateway.message(&alice, "carol", MESSAGES + 1)).await.code, 0);
    assert_eq!(gateway.delivery(&carol).await.seq, 1);
    // Once it reads again, nothing is missing.
    for seq in 1..=MESSAGES {
        assert_eq!(stuck.delivery(&bob).await.seq, seq);
    }
    node.stop().await;
}
