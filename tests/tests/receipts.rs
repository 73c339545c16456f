//! Delivered and read come back to the sender, also when it was away, and only where they are wanted.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::time::Duration;

use prost_types::Timestamp;
use tidings_proto::control::v1::{GetMessageStatusRequest, ListHistoryRequest};
use tidings_proto::message::v1::MessageState;
use tidings_proto::policy::v1::Policy;
use tidings_sdk::{AckMode, Client, Event, HistoryPage, HistoryQuery, Outgoing, ReceiptRequest, Status, receipt};
use tidings_tests::{DEADLINE, Node, RawClient, next_message, told, within};

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

/// What a device is told that was not there when the receipts came, and what a backend is told of the same messages.
#[tokio::test]
async fn the_history_says_how_far_each_message_came_and_since_when() {
    let mut node = Node::start().await;
    let control = node.control().await;
    let (alice_token, bob) = (control.user("alice").await, control.user("bob").await);
    let (alice, mut events) = node.client(&alice_token, "phone").connect().unwrap();
    let (bob, mut bobs) = node.client(&bob, "phone").ack_mode(AckMode::Explicit).connect().unwrap();
    let (mut sendings, mut times) = (Vec::new(), Vec::new());
    for text in ["read", "delivered"] {
        let sending = alice.send("bob", text).await.unwrap();
        let message = next_message(&mut bobs).await;
        message.ack();
        let is_delivered = |event| match event {
            Event::Receipt(receipt) if receipt.up_to_seq == message.id().seq => Some(receipt.at_ms),
            _ => None,
        };
        times.push((told(&mut events, "it is delivered", is_delivered).await, 0));
        if text == "read" {
            bob.mark_read(&message).await.unwrap();
            let is_read = |event| match event {
                Event::Receipt(receipt) if receipt.kind() == receipt::Kind::Read => Some(receipt.at_ms),
                _ => None,
            };
            times[0].1 = told(&mut events, "it is read", is_read).await;
        }
        sendings.push(sending);
    }
    bob.close().await;
    let short = Outgoing { ttl: Some(Duration::from_millis(1)), ..Outgoing::new("bob", "expires") };
    sendings.push(alice.send_message(short).await.unwrap());
    assert!(within(DEADLINE, "it expires", sendings[2].delivered()).await.is_err());
    sendings.push(alice.send("bob", "waits").await.unwrap());
    within(DEADLINE, "the last is sent", sendings[3].sent()).await.unwrap();

    node.restart_after_kill9().await;
    let control = node.control().await;
    let (laptop, _events) = node.client(&alice_token, "laptop").connect().unwrap();
    let page = within(DEADLINE, "the history has all", whole_history(&laptop, "bob", sendings.len())).await;
    let (read, delivered, none) = (MessageState::Read, MessageState::Delivered, MessageState::Unspecified);
    let states: Vec<_> = page.messages.iter().map(|one| one.state()).collect();
    assert_eq!(states, [read, delivered, MessageState::Expired, none]);
    let shown: Vec<_> = page.messages.iter().map(|one| (one.delivered_at_ms, one.read_at_ms)).collect();
    assert_eq!(shown, [times[0], times[1], (0, 0), (0, 0)]);
    let told_to_backends = [Some(read), Some(delivered), Some(MessageState::Expired), Some(MessageState::Waiting)];
    for (at, sending) in sendings.iter().enumerate() {
        let (to, from, id) = ("bob".into(), "alice".into(), sending.id().unwrap().to_string());
        let asked = GetMessageStatusRequest { to, from, id, ..GetMessageStatusRequest::default() };
        let status = control.messages.clone().get_message_status(asked).await.unwrap().into_inner();
        assert_eq!(Some(status.state()), told_to_backends[at]);
        assert_eq!((ms(status.delivered_at), ms(status.read_at)), shown[at]);
    }
    let asked = ListHistoryRequest { user: "alice".into(), with: "bob".into(), ..ListHistoryRequest::default() };
    let listed = control.mailboxes.clone().list_history(asked).await.unwrap().into_inner().messages;
    let listed: Vec<_> = listed.iter().map(|one| (one.state(), (ms(one.delivered_at), ms(one.read_at)))).collect();
    assert_eq!(listed, states.into_iter().zip(shown).collect::<Vec<_>>());
}

/// The history once it has so many messages: the sender's copy is on its way when `sent` is told.
async fn whole_history(client: &Client, with: &str, count: usize) -> HistoryPage {
    loop {
        let page = client.history(with, HistoryQuery::default()).await.unwrap();
        if page.messages.len() == count {
            return page;
        }
        tokio::task::yield_now().await;
    }
}

fn ms(at: Option<Timestamp>) -> i64 {
    at.map_or(0, |at| at.seconds * 1000 + i64::from(at.nanos) / 1_000_000)
}

/// A policy that keeps receipts back holds for what came before it, too.
#[tokio::test]
async fn receipts_that_a_policy_keeps_back_do_not_come_for_what_waits_already() {
    let node = Node::start().await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let (alice, _alice_events) = node.client(&alice, "phone").connect().unwrap();
    let before = alice.send("bob", "before").await.unwrap();
    before.sent().await.unwrap();
    let (off, no) = ("off".to_owned(), Some(false));
    let policy = Policy { id: off.clone(), delivered_receipts: no, read_receipts: no, ..Policy::default() };
    control.create_policy(policy).await;
    control.assign_policy("bob", &off).await;
    let (client, mut events) = node.client(&bob, "phone").ack_mode(AckMode::Explicit).connect().unwrap();
    let message = next_message(&mut events).await;
    message.ack();
    client.mark_read(&message).await.unwrap();
    // Whatever bob's device says after it has been answered by then.
    client.conversations(Vec::new(), 1).await.unwrap();
    client.close().await;

    control.assign_policy("bob", "default").await;
    let (client, mut events) = node.client(&bob, "phone").ack_mode(AckMode::Explicit).connect().unwrap();
    // Within a second the policy holds for what is sent.
    within(DEADLINE, "receipts come again", async {
        loop {
            let after = alice.send("bob", "after").await.unwrap();
            let message = next_message(&mut events).await;
            assert_eq!(message.text(), "after");
            message.ack();
            if tokio::time::timeout(Duration::from_secs(1), after.delivered()).await.is_ok() {
                return;
            }
        }
    })
    .await;
    drop(client);
    // Receipts speak for all below: it is known now that both came, and not that the first was read.
    assert_eq!(before.status(), Status::Delivered);
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
