//! Delivered and read come back to the sender, also when it was away, and only where they are wanted.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use tidings_sdk::{AckMode, Event, Outgoing, ReceiptRequest, Status, receipt};
use tidings_tests::{DEADLINE, Node, RawClient, next_message, within};

#[tokio::test]
async fn a_message_is_sent_then_delivered_then_read() {
    let node = Node::start().await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let (alice, _alice_events) = node.client(&alice, "phone").connect().unwrap();
    let sending = alice.send("bob", "hello").await.unwrap();
    sending.sent().await.unwrap();
    assert_eq!(sending.status(), Status::Sent, "bob is away");

    let (bob, mut events) = node.client(&bob, "phone").ack_mode(AckMode::Explicit).connect().unwrap();
    let message = next_message(&mut events).await;
    assert_eq!(message.id(), sending.id().unwrap());
    message.ack();
    within(DEADLINE, "it is delivered", sending.delivered()).await.unwrap();
    assert_eq!(sending.status(), Status::Delivered);
    bob.mark_read(&message).await.unwrap();
    within(DEADLINE, "it is read", sending.read()).await.unwrap();
}

#[tokio::test]
async fn receipts_wait_for_a_sender_that_is_away_and_speak_for_all_below() {
    let mut node = Node::start().await;
    let control = node.control().await;
    let (alice, bob_token) = (control.user("alice").await, control.user("bob").await);
    let state = node.scratch("alice");
    let store = || tidings_sdk::FileStore::open(&state).unwrap();
    let (client, events) = node.client(&alice, "phone").store(store()).connect().unwrap();
    drop(events);
    let mut last = None;
    for number in 0..10 {
        last = Some(client.send("bob", number.to_string()).await.unwrap().sent().await.unwrap().id);
    }
    client.close().await;

    let (bob, mut events) = node.client(&bob_token, "phone").connect().unwrap();
    let mut message = next_message(&mut events).await;
    for _ in 1..10 {
        message = next_message(&mut events).await;
    }
    message.ack();
    bob.mark_read(&message).await.unwrap();
    // Neither is answered to the application. The node must have recorded both before it may be killed: the mark is
    // answered to the client, and a device that connects anew is told where it stands.
    within(DEADLINE, "the read mark is recorded", async {
        while node.metric("tidings_gateway_frames_out_total{kind=\"read_recorded\"}") < 1.0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    bob.close().await;
    within(DEADLINE, "the cursor is recorded", async {
        loop {
            let (_, welcome) = RawClient::attached(node.gateway_address(), &bob_token, "phone", None).await;
            if welcome.cursor == welcome.tail {
                break;
            }
        }
    })
    .await;
    node.restart_after_kill9().await;

    let (_client, mut events) = node.client(&alice, "phone").store(store()).connect().unwrap();
    let last = last.unwrap();
    let (mut delivered, mut read) = (0, 0);
    within(DEADLINE, "both receipts for the last message", async {
        while delivered < last.seq || read < last.seq {
            if let Event::Receipt(receipt) = events.next().await.expect("the client goes on") {
                assert_eq!((receipt.from.as_str(), receipt.stream), ("bob", last.stream));
                match receipt.kind() {
                    receipt::Kind::Delivered => delivered = receipt.up_to_seq,
                    receipt::Kind::Read => read = receipt.up_to_seq,
                    receipt::Kind::Unspecified => panic!("a receipt of no kind"),
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn receipts_that_are_not_wanted_do_not_come() {
    let node = Node::start().await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let (alice, _alice_events) = node.client(&alice, "phone").connect().unwrap();
    let (bob, mut events) = node.client(&bob, "phone").ack_mode(AckMode::Explicit).connect().unwrap();
    let mut sendings = Vec::new();
    for receipts in [ReceiptRequest::ReceiptsNone, ReceiptRequest::ReceiptsAll] {
        let outgoing = Outgoing { receipts, ..Outgoing::new("bob", "hello") };
        sendings.push(alice.send_message(outgoing).await.unwrap());
    }
    for _ in 0..2 {
        let message = next_message(&mut events).await;
        message.ack();
        bob.mark_read(&message).await.unwrap();
    }
    within(DEADLINE, "the second is read", sendings[1].read()).await.unwrap();
    assert_eq!(sendings[0].status(), Status::Sent);
}
