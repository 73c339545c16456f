//! How a message ends that is not delivered: expired, transient, inbox full, recipient unknown, too large (promise 4).

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::time::Duration;

use tidings_sdk::{Durability, ErrorCode, Event, Events, Outgoing, SendError};
use tidings_tests::{DEADLINE, Node, told, within};

async fn next_text(events: &mut Events) -> String {
    within(DEADLINE, "a message comes", async {
        loop {
            match events.next().await.expect("the client goes on") {
                Event::Message(message) => return message.text().to_owned(),
                Event::Transient(message) => return format!("transient {}", message.content.unwrap().text),
                _ => {}
            }
        }
    })
    .await
}

fn with_ttl(text: &str, ttl: Duration) -> Outgoing {
    Outgoing { ttl: Some(ttl), ..Outgoing::new("bob", text) }
}

#[tokio::test]
async fn an_expired_message_is_not_delivered_and_its_sender_is_told() {
    let node = Node::start().await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let (alice, mut events) = node.client(&alice, "phone").connect().unwrap();
    let short = alice.send_message(with_ttl("short-lived", Duration::from_millis(300))).await.unwrap();
    let sent = short.sent().await.unwrap();
    alice.send_message(with_ttl("long-lived", Duration::from_secs(600))).await.unwrap().sent().await.unwrap();
    let failure = told(&mut events, "a failure comes", |event| match event {
        Event::Failure(failure) => Some(failure),
        _ => None,
    })
    .await;
    assert_eq!((failure.id, failure.reason()), (Some(sent.id), ErrorCode::Expired));
    assert_eq!(short.delivered().await, Err(SendError::Undelivered { code: ErrorCode::Expired }));

    let (_bob, mut events) = node.client(&bob, "phone").connect().unwrap();
    assert_eq!(next_text(&mut events).await, "long-lived");
}

#[tokio::test]
async fn a_transient_message_reaches_who_is_online_and_nobody_else() {
    let node = Node::start().await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let (alice, _events) = node.client(&alice, "phone").connect().unwrap();
    alice.send_message(with_ttl("to nobody", Duration::ZERO)).await.unwrap().sent().await.unwrap();

    let (bob, mut events) = node.client(&bob, "phone").connect().unwrap();
    bob.online().await.unwrap();
    let sent = alice.send_message(with_ttl("typing", Duration::ZERO)).await.unwrap().sent().await.unwrap();
    assert_eq!(sent.durability, Durability::Transient);
    assert_eq!(next_text(&mut events).await, "transient typing");
    let sent = alice.send("bob", "hello").await.unwrap().sent().await.unwrap();
    assert_eq!(sent.durability, Durability::Fsync);
    assert_eq!(next_text(&mut events).await, "hello");
}

#[tokio::test]
async fn an_inbox_has_a_limit_and_room_again_when_it_was_read() {
    let node = Node::start_with(&["gateway.inbox_limit=5"]).await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let (alice, _events) = node.client(&alice, "phone").connect().unwrap();
    for number in 0..5 {
        alice.send("bob", number.to_string()).await.unwrap().sent().await.unwrap();
    }
    let full = alice.send("bob", "one too many").await.unwrap().sent().await;
    assert!(matches!(full, Err(SendError::Refused { code: ErrorCode::InboxFull, .. })), "{full:?}");

    let (_bob, mut events) = node.client(&bob, "phone").connect().unwrap();
    for number in 0..5 {
        assert_eq!(next_text(&mut events).await, number.to_string());
    }
    // The next call acknowledges the fifth; from then on there is room.
    let reader = tokio::spawn(async move { next_text(&mut events).await });
    within(DEADLINE, "there is room", async {
        while alice.send("bob", "again").await.unwrap().sent().await.is_err() {}
    })
    .await;
    assert_eq!(reader.await.unwrap(), "again");
}

#[tokio::test]
async fn other_ends_have_their_reasons() {
    let node = Node::start().await;
    let control = node.control().await;
    let alice = control.user("alice").await;
    let (alice, _events) = node.client(&alice, "phone").connect().unwrap();
    let unknown = alice.send("nobody", "hello").await.unwrap().sent().await;
    assert!(matches!(unknown, Err(SendError::Refused { code: ErrorCode::RecipientUnknown, .. })), "{unknown:?}");
    let large = alice.send("alice", "x".repeat(66_000)).await.unwrap().sent().await;
    assert!(matches!(large, Err(SendError::Refused { code: ErrorCode::TooLarge, .. })), "{large:?}");
    alice.send("alice", "x".repeat(65_000)).await.unwrap().sent().await.unwrap();
}
