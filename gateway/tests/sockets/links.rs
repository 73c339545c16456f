//! What happens between the gateway and brokers is a pause to clients, never a loss (promises 1 to 4).

use std::sync::atomic::Ordering;

use tidings_gateway::GatewayConfig;
use tidings_proto::ErrorCode;
use tidings_proto::client::v1::{Read, Resume, Send, client_frame, server_frame};
use tidings_proto::message::v1::{Content, MessageId};

use crate::support::{World, config, hello, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_message_goes_through_and_is_acknowledged() {
    let world = World::start().await;
    let mut alice = world.session("alice", "phone").await;
    let mut bob = world.session("bob", "phone").await;
    alice.send_text(1, 0, "bob", "hi").await;
    alice.expect_accepted(1).await;
    let (deliver, text) = bob.expect_delivery().await;
    assert_eq!((text.as_str(), deliver.seq, deliver.after), ("hi", 1, 0));
    bob.ack(1).await;
    until("the cursor moved", || world.cluster.cursor("bob", "phone") == 1).await;
    bob.send(client_frame::Frame::Read(Read { from: "alice".to_owned(), id: Some(MessageId { stream: 1, seq: 1 }) }))
        .await;
    match bob.receive().await {
        server_frame::Frame::ReadRecorded(recorded) => {
            assert_eq!((recorded.from.as_str(), recorded.code), ("alice", 0))
        }
        other => panic!("{other:?}"),
    }
    // What came while he was away, from where he was.
    drop(bob);
    for seq in 2..=3 {
        alice.send_text(seq, seq - 1, "bob", &seq.to_string()).await;
        alice.expect_accepted(seq).await;
    }
    let mut bob = world.connect().await;
    let resume = Some(Resume { mailbox_epoch: 1, stream: 77, cursor: 2 });
    let welcome = bob.welcome_with(tidings_proto::client::v1::Hello { resume, ..hello("bob", "phone") }).await;
    assert_eq!((welcome.stream, welcome.cursor, welcome.tail), (77, 2, 3));
    let (deliver, text) = bob.expect_delivery().await;
    assert_eq!((text.as_str(), deliver.seq, deliver.after), ("3", 3, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn transients_reach_who_is_online() {
    let world = World::start().await;
    let mut alice = world.session("alice", "phone").await;
    let mut bob = world.session("bob", "phone").await;
    let content = Some(Content { text: "typing".to_owned(), ..Content::default() });
    let send = Send { seq: 1, to: "bob".to_owned(), content, ttl_ms: Some(0), ..Send::default() };
    alice.send(client_frame::Frame::Send(send)).await;
    alice.expect_accepted(1).await;
    assert!(matches!(bob.receive().await, server_frame::Frame::Transient(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn sends_are_not_reordered_behind_an_unknown_recipient() {
    let world = World::start().await;
    let mut alice = world.session("alice", "phone").await;
    alice.send_text(1, 0, "carol", "carol is known").await;
    alice.expect_accepted(1).await;
    let gate = world.directory.user_gate.clone().lock_owned().await;
    alice.send_text(2, 0, "bob", "bob is not").await;
    until("bob is asked for", || world.directory.user_calls.load(Ordering::SeqCst) == 2).await;
    alice.send_text(3, 1, "carol", "behind").await;
    // Others go on meanwhile, and so do deliveries to alice.
    let mut carol = world.session("carol", "phone").await;
    carol.send_text(1, 0, "carol", "to myself, known").await;
    assert_eq!(carol.expect_delivery().await.1, "carol is known");
    assert_eq!(world.cluster.submits.load(Ordering::SeqCst) - 1, u32::from(world.cluster.texts("carol").len() > 1));
    drop(gate);
    alice.expect_accepted(2).await;
    alice.expect_accepted(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_arrive_once_and_in_order_through_breaks_and_moves() {
    const MESSAGES: u64 = 1000;
    let world = World::start().await;
    let mut alice = world.session("alice", "phone").await;
    let mut bob = world.session("bob", "phone").await;
    let (cluster, mut unanswered) = (world.cluster.clone(), 0u64);
    let receiving = tokio::spawn(async move {
        let mut texts = Vec::new();
        let mut last = 0;
        while texts.len() < MESSAGES as usize {
            let (deliver, text) = bob.expect_delivery().await;
            assert_eq!(deliver.after, last, "the chain of numbers is whole");
            last = deliver.seq;
            texts.push(text);
            bob.ack(last).await;
        }
        texts
    });
    let mut accepted = Vec::new();
    for seq in 1..=MESSAGES {
        match seq % 200 {
            50 => cluster.move_leaders(2),
            90 => cluster.lose_then_break.store(10, Ordering::SeqCst),
            150 => cluster.move_leaders(1),
            190 => cluster.break_links(),
            _ => {}
        }
        while unanswered >= 64 {
            accepted.push(answer(&mut alice).await);
            unanswered -= 1;
        }
        alice.send_text(seq, seq - 1, "bob", &seq.to_string()).await;
        unanswered += 1;
    }
    for _ in 0..unanswered {
        accepted.push(answer(&mut alice).await);
    }
    accepted.sort_unstable();
    assert_eq!(accepted, (1..=MESSAGES).collect::<Vec<_>>());
    let expected: Vec<String> = (1..=MESSAGES).map(|seq| seq.to_string()).collect();
    assert_eq!(receiving.await.unwrap(), expected);
    assert_eq!(cluster.texts("bob"), expected);
}

async fn answer(client: &mut crate::support::Client) -> u64 {
    match client.receive().await {
        server_frame::Frame::Accepted(accepted) => accepted.seq,
        other => panic!("not accepted: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_made_during_a_pause_is_told_afterwards_and_nothing_comes_twice() {
    let world = World::start().await;
    let mut alice = world.session("alice", "phone").await;
    let mut bob = world.session("bob", "phone").await;
    for seq in 1..=3 {
        alice.send_text(seq, seq - 1, "bob", &seq.to_string()).await;
        alice.expect_accepted(seq).await;
        bob.expect_delivery().await;
    }
    world.cluster.break_links();
    bob.ack(2).await;
    until("the cursor moved", || world.cluster.cursor("bob", "phone") == 2).await;
    alice.send_text(4, 3, "bob", "4").await;
    alice.expect_accepted(4).await;
    let (deliver, text) = bob.expect_delivery().await;
    assert_eq!((text.as_str(), deliver.seq, deliver.after), ("4", 4, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_accepts_nothing_is_told_soon_and_a_lost_answer_later() {
    let world = World::with(GatewayConfig { retry_ms: 300, outcome_unknown_ms: 700, ..config() }).await;
    let mut alice = world.session("alice", "phone").await;
    world.cluster.refuse_with.store(ErrorCode::Unavailable as u32, Ordering::SeqCst);
    alice.send_text(1, 0, "bob", "x").await;
    assert!(alice.expect_refused(1, ErrorCode::Unavailable).await.is_some());
    assert!(world.cluster.submits.load(Ordering::SeqCst) > 1, "it was tried again meanwhile");
    world.cluster.refuse_with.store(ErrorCode::InboxFull as u32, Ordering::SeqCst);
    alice.send_text(1, 0, "bob", "x").await;
    assert_eq!(alice.expect_refused(1, ErrorCode::InboxFull).await, None);
    world.cluster.refuse_with.store(0, Ordering::SeqCst);
    world.cluster.lose_answers.store(true, Ordering::SeqCst);
    alice.send_text(2, 0, "bob", "x").await;
    assert!(alice.expect_refused(2, ErrorCode::OutcomeUnknown).await.is_some());
    world.cluster.lose_answers.store(false, Ordering::SeqCst);
    alice.send_text(2, 0, "bob", "x").await;
    alice.expect_accepted(2).await;
    assert_eq!(world.cluster.texts("bob").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_session_of_the_device_ends_the_older() {
    let world = World::start().await;
    let mut older = world.session("bob", "phone").await;
    let mut other = world.session("bob", "tablet").await;
    let mut newer = world.session("bob", "phone").await;
    older.expect_closed(ErrorCode::SessionSuperseded).await;
    newer.expect_alive().await;
    other.expect_alive().await;
}
