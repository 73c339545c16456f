//! From a sender to a recipient and the receipts back: online, offline, over a restart, between shards (promises 1 to
//! 4).

use tidings_node::Clock;
use tidings_proto::ErrorCode;
use tidings_proto::broker::v1::broker_frame;
use tidings_proto::client::v1::Durability;
use tidings_proto::message::v1::envelope::Event;
use tidings_proto::message::v1::receipt::Kind;
use tidings_proto::message::v1::{MessageId, Receipt};

use crate::gateway::{Gateway, Session, text_of};
use crate::node::Ground;

async fn receipt(gateway: &mut Gateway, to: &Session) -> (Kind, u64) {
    match gateway.event(to).await {
        Event::Receipt(receipt @ Receipt { stream, .. }) if stream == to.attached.stream => {
            (receipt.kind(), receipt.up_to_seq)
        }
        other => panic!("{other:?} is no receipt"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_is_online_gets_it_at_once_and_the_sender_learns_of_it() {
    let ground = Ground::new(4);
    let node = ground.start().await;
    let mut gateway = Gateway::connect(&ground, &node).await;
    let alice = gateway.attach("alice", "phone", None).await;
    let bob = gateway.attach("bob", "phone", None).await;
    let accepted = gateway.submit(gateway.message(&alice, "bob", 1)).await;
    assert_eq!((accepted.code, accepted.durability()), (0, Durability::Fsync));
    assert!(accepted.sent_at_ms > 0);

    let delivery = gateway.delivery(&bob).await;
    assert_eq!((delivery.seq, delivery.after, text_of(&delivery.envelope).as_str()), (1, 0, "alice 1"));
    gateway.ack(&bob, 1).await;
    assert_eq!(receipt(&mut gateway, &alice).await, (Kind::Delivered, 1));

    let id = MessageId { stream: alice.attached.stream, seq: 1 };
    assert_eq!(gateway.read(&bob, "alice", id).await.code, 0);
    assert_eq!(receipt(&mut gateway, &alice).await, (Kind::Read, 1));
    let invented = MessageId { seq: 2, ..id };
    assert_eq!(gateway.read(&bob, "alice", invented).await.code(), ErrorCode::InvalidArgument);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_was_offline_gets_all_in_order_and_once() {
    let ground = Ground::new(4);
    let node = ground.start().await;
    let mut gateway = Gateway::connect(&ground, &node).await;
    let alice = gateway.attach("alice", "", None).await;
    gateway.send_all(&alice, "bob", 1..=700).await;
    let mut bob = gateway.attach("bob", "phone", None).await;
    assert_eq!((bob.attached.cursor, bob.attached.tail), (0, 700));
    let mut last = 0;
    for seq in 1..=700 {
        let delivery = gateway.delivery(&bob).await;
        assert_eq!((delivery.seq, delivery.after), (seq, last));
        assert_eq!(text_of(&delivery.envelope), format!("alice {seq}"));
        last = seq;
        if seq % 50 == 0 {
            gateway.ack(&bob, seq).await;
        }
        if seq == 333 {
            // Interrupted: what was not acknowledged to the broker is still known to the client.
            gateway.detach(&bob).await;
            let resume = bob.resume(333);
            bob = gateway.attach("bob", "phone", resume).await;
            assert_eq!((bob.attached.cursor, bob.attached.unknown), (333, None));
        }
    }
    gateway.ack(&bob, 700).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_through_another_gateway_is_the_same_message() {
    let ground = Ground::new(4);
    let node = ground.start().await;
    let mut one = Gateway::connect(&ground, &node).await;
    let mut other = Gateway::connect(&ground, &node).await;
    let alice = one.attach("alice", "phone", None).await;
    let bob = one.attach("bob", "phone", None).await;
    let message = one.message(&alice, "bob", 1);
    let (first, again) = tokio::join!(one.submit(message.clone()), other.submit(message));
    assert_eq!((first.code, again.code), (0, 0));
    assert_eq!(first.sent_at_ms, again.sent_at_ms);
    assert_eq!(one.submit(one.message(&alice, "bob", 2)).await.code, 0);
    assert_eq!(one.delivery(&bob).await.seq, 1);
    assert_eq!(text_of(&one.delivery(&bob).await.envelope), "alice 2");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_survives_a_restart_with_its_receipts() {
    let ground = Ground::new(2);
    let (alice_name, bob_name) = (ground.user_in(0), ground.user_in(1));
    let node = ground.start().await;
    let mut gateway = Gateway::connect(&ground, &node).await;
    let alice = gateway.attach(&alice_name, "phone", None).await;
    let bob = gateway.attach(&bob_name, "phone", None).await;
    gateway.send_all(&alice, &bob_name, 1..=20).await;
    for seq in 1..=20 {
        assert_eq!(gateway.delivery(&bob).await.seq, seq);
    }
    gateway.ack(&bob, 10).await;
    node.stop().await;

    let node = ground.start().await;
    let mut gateway = Gateway::connect(&ground, &node).await;
    // The acknowledgement may have been lost with the node; the client has the same cursor still.
    let bob = gateway.attach(&bob_name, "phone", bob.resume(10)).await;
    assert_eq!((bob.attached.cursor, bob.attached.tail, bob.attached.unknown), (10, 20, None));
    let alice = gateway.attach(&alice_name, "phone", alice.resume(0)).await;
    for seq in 11..=20 {
        assert_eq!(gateway.delivery(&bob).await.seq, seq);
    }
    gateway.ack(&bob, 20).await;
    let mut told = 0;
    while told < 20 {
        let (kind, up_to) = receipt(&mut gateway, &alice).await;
        assert!(kind == Kind::Delivered && up_to > told, "told {up_to} after {told}");
        told = up_to;
    }
    assert_eq!(gateway.submit(gateway.message(&alice, &bob_name, 20)).await.code, 0, "a retry after the restart");
    assert_eq!(gateway.submit(gateway.message(&alice, &bob_name, 21)).await.code, 0);
    assert_eq!(text_of(&gateway.delivery(&bob).await.envelope), format!("{alice_name} 21"));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_between_shards_come_once_and_rise() {
    let ground = Ground::new(2);
    let (alice_name, bob_name) = (ground.user_in(0), ground.user_in(1));
    let node = ground.start().await;
    let mut gateway = Gateway::connect(&ground, &node).await;
    let alice = gateway.attach(&alice_name, "phone", None).await;
    let bob = gateway.attach(&bob_name, "phone", None).await;
    gateway.send_all(&alice, &bob_name, 1..=200).await;
    let mut told = 0;
    for seq in 1..=200 {
        assert_eq!(gateway.delivery(&bob).await.seq, seq);
        gateway.ack(&bob, seq).await;
    }
    while told < 200 {
        let (kind, up_to) = receipt(&mut gateway, &alice).await;
        assert!(kind == Kind::Delivered && up_to > told, "told {up_to} after {told}");
        told = up_to;
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transient_messages_reach_who_is_online_and_are_kept_nowhere() {
    let ground = Ground::new(4);
    let node = ground.start().await;
    let mut gateway = Gateway::connect(&ground, &node).await;
    let alice = gateway.attach("alice", "phone", None).await;
    let mut typing = gateway.message(&alice, "bob", 1);
    typing.ttl_ms = Some(0);
    let accepted = gateway.submit(typing.clone()).await;
    assert_eq!((accepted.code, accepted.durability()), (0, Durability::Transient));
    let bob = gateway.attach("bob", "phone", None).await;
    assert_eq!(bob.attached.tail, 0);
    typing.seq = 2;
    assert_eq!(gateway.submit(typing).await.code, 0);
    let envelope = gateway
        .find(|frame| match frame {
            broker_frame::Frame::Transient(transient) => Some(transient.envelope.clone()),
            _ => None,
        })
        .await;
    assert_eq!(text_of(&envelope), "alice 1");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_fetched_in_time_fails_with_a_reason() {
    let mut ground = Ground::new(2);
    ground.clock = Clock::manual(1_700_000_000_000);
    let (alice_name, bob_name) = (ground.user_in(0), ground.user_in(1));
    let node = ground.start().await;
    let mut gateway = Gateway::connect(&ground, &node).await;
    let alice = gateway.attach(&alice_name, "phone", None).await;
    let mut short = gateway.message(&alice, &bob_name, 1);
    short.ttl_ms = Some(5000);
    assert_eq!(gateway.submit(short).await.code, 0);
    ground.clock.advance_ms(5001);
    // Not delivered any more, whether it was removed yet or not.
    let bob = gateway.attach(&bob_name, "phone", None).await;
    match gateway.event(&alice).await {
        Event::Failure(failure) => {
            assert_eq!(failure.id, Some(MessageId { stream: alice.attached.stream, seq: 1 }));
            assert_eq!((failure.reason(), failure.to), (ErrorCode::Expired, bob_name.clone()));
        }
        other => panic!("{other:?} is no failure"),
    }
    assert_eq!(gateway.submit(gateway.message(&alice, &bob_name, 2)).await.code, 0);
    let delivery = gateway.delivery(&bob).await;
    assert_eq!((delivery.seq, delivery.after), (2, 0));
    node.stop().await;
}
