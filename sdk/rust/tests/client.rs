//! The client over real sockets against a gateway that the test plays.

#![allow(clippy::unwrap_used)] // A panic is how a test fails.

mod gateway;

use std::time::Duration;

use gateway::{Gateway, STREAM};
use tidings_proto::client::v1::{Refused, client_frame, server_frame};
use tidings_proto::message::v1::{Receipt, envelope, receipt};
use tidings_sdk::{
    AckMode, Client, ConnectionState, ErrorCode, Event, Events, FileStore, MessageId, Outgoing, SendError, Status,
    StopReason,
};

const SOON: Duration = Duration::from_millis(20);

fn builder(gateway: &Gateway) -> tidings_sdk::Builder {
    Client::builder(gateway.url(), "token").device("phone").backoff(SOON, SOON)
}

async fn next_message(events: &mut Events) -> tidings_sdk::Message {
    loop {
        if let Event::Message(message) = events.next().await.expect("the events ended") {
            return message;
        }
    }
}

fn receipt(kind: receipt::Kind, up_to_seq: u64) -> envelope::Event {
    envelope::Event::Receipt(Receipt { from: "bob".into(), kind: kind as i32, stream: STREAM, up_to_seq, at_ms: 1 })
}

#[tokio::test]
async fn a_message_goes_from_pending_to_read() {
    let gateway = Gateway::start().await;
    let (client, _events) = builder(&gateway).connect().unwrap();
    let (mut session, hello) = gateway.welcomed(0, 0).await;
    assert_eq!((hello.token.as_str(), hello.device.as_str(), hello.resume), ("token", "phone", None));

    let sending = client.send("bob", "hi").await.unwrap();
    let send = session.next_send().await;
    assert_eq!((send.seq, send.after, send.to.as_str()), (1, 0, "bob"));
    assert_eq!(sending.id(), Some(MessageId { stream: STREAM, seq: 1 }), "the id is known before the answer");
    assert_eq!(sending.status(), Status::Pending);

    session.accept(1).await;
    assert_eq!(sending.sent().await.unwrap().sent_at_ms, 7);
    session.deliver(1, receipt(receipt::Kind::Delivered, 1)).await;
    sending.delivered().await.unwrap();
    session.deliver(2, receipt(receipt::Kind::Read, 1)).await;
    sending.read().await.unwrap();
    assert_eq!(sending.sent().await.unwrap().id, sending.id().unwrap(), "the answer stays");
}

#[tokio::test]
async fn unanswered_sends_go_again_and_deliveries_are_shown_once_across_connections() {
    let gateway = Gateway::start().await;
    let (client, mut events) = builder(&gateway).ack_mode(AckMode::Explicit).connect().unwrap();
    let (mut session, _) = gateway.welcomed(0, 2).await;
    let first = client.send("bob", "1").await.unwrap();
    let second = client.send("bob", "2").await.unwrap();
    assert_eq!(session.next_send().await.seq, 1);
    assert_eq!(session.next_send().await.seq, 2);
    session.accept(2).await;
    second.sent().await.unwrap();
    session.deliver_text(1, "a").await;
    session.deliver_text(2, "b").await;
    let (a, b) = (next_message(&mut events).await, next_message(&mut events).await);
    a.ack();
    assert_eq!(session.next_ack().await, 1);
    drop(session);

    let (mut session, hello) = gateway.session().await;
    let resume = hello.resume.unwrap();
    assert_eq!((resume.stream, resume.cursor, resume.mailbox_epoch), (STREAM, 1, 1));
    session.welcome(STREAM, 1, 3).await;
    let again = session.next_send().await;
    assert_eq!((again.seq, again.after), (1, 0));
    session.accept(1).await;
    first.sent().await.unwrap();
    session.deliver_text(2, "b").await;
    session.deliver_text(3, "c").await;
    let c = next_message(&mut events).await;
    assert_eq!(c.text(), "c", "b was shown before");
    c.ack();
    b.ack();
    assert_eq!(session.next_ack().await, 3);
}

#[tokio::test]
async fn a_restarted_process_goes_on_where_its_disk_says() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start().await;
    let (client, events) = builder(&gateway).store(FileStore::open(folder.path()).unwrap()).connect().unwrap();
    let (mut session, _) = gateway.welcomed(0, 0).await;
    let mut sendings = Vec::new();
    for number in 1..=3 {
        sendings.push(client.send("bob", format!("{number}")).await.unwrap());
    }
    for _ in 1..=3 {
        session.next_send().await;
    }
    session.accept(1).await;
    sendings[0].sent().await.unwrap();
    drop(events);
    client.close().await;
    assert_eq!(sendings[2].sent().await, Err(SendError::Stopped(StopReason::Closed)));

    let (client, mut events) = builder(&gateway).store(FileStore::open(folder.path()).unwrap()).connect().unwrap();
    let (mut session, hello) = gateway.session().await;
    assert_eq!(hello.resume.unwrap().stream, STREAM);
    session.welcome(STREAM, 0, 0).await;
    let (second, third) = (session.next_send().await, session.next_send().await);
    assert_eq!((second.seq, third.seq, third.after), (2, 3, 2));
    let fourth = client.send("bob", "4").await.unwrap();
    assert_eq!(session.next_send().await.seq, 4);
    for seq in 2..=4 {
        session.accept(seq).await;
    }
    fourth.sent().await.unwrap();
    let mut outcomes = Vec::new();
    while outcomes.len() < 2 {
        if let Event::Outcome { id, result, .. } = events.next().await.unwrap() {
            assert!(result.is_ok());
            outcomes.push(id.seq);
        }
    }
    assert_eq!(outcomes, [2, 3], "messages of the earlier life end with an event");
}

#[tokio::test]
async fn a_lost_stream_makes_transmitted_messages_unknown() {
    let gateway = Gateway::start().await;
    let (client, mut events) = builder(&gateway).connect().unwrap();
    let (mut session, _) = gateway.welcomed(0, 0).await;
    let sending = client.send("bob", "1").await.unwrap();
    session.next_send().await;
    drop(session);
    let (mut session, _) = gateway.session().await;
    session.welcome(STREAM + 4096, 0, 0).await;
    assert_eq!(sending.sent().await, Err(SendError::Unknown));
    let next = client.send("bob", "2").await.unwrap();
    assert_eq!(session.next_send().await.seq, 1, "a new stream begins at 1");
    session.accept(1).await;
    next.sent().await.unwrap();
    loop {
        if let Event::Outcome { id, result, .. } = events.next().await.unwrap() {
            assert_eq!(result, Err(SendError::Unknown));
            assert_eq!(id.seq, 1);
            break;
        }
    }
}

#[tokio::test]
async fn a_terminal_close_code_ends_everything_with_its_reason() {
    let gateway = Gateway::start().await;
    let (client, mut events) = builder(&gateway).connect().unwrap();
    let (mut session, _) = gateway.welcomed(0, 0).await;
    let sending = client.send("bob", "1").await.unwrap();
    session.next_send().await;
    session.close(4503).await;
    let Err(SendError::Stopped(reason)) = sending.sent().await else { panic!("it ended otherwise") };
    assert_eq!(reason.code(), Some(ErrorCode::TokenRevoked));
    assert_eq!(client.online().await, Err(reason.clone()));
    let refused = client.send("bob", "2").await;
    assert!(matches!(refused, Err(SendError::Stopped(_))), "{refused:?}");
    let mut last = None;
    while let Some(event) = events.next().await {
        last = Some(event);
    }
    assert!(matches!(last, Some(Event::Connection(ConnectionState::Stopped(found))) if found == reason));
}

#[tokio::test]
async fn refusals_carry_their_code_and_temporary_ones_are_tried_again() {
    let gateway = Gateway::start().await;
    let (client, _events) = builder(&gateway).connect().unwrap();
    let (mut session, _) = gateway.welcomed(0, 0).await;
    let refuse = |seq, code: ErrorCode, retry_after_ms| {
        server_frame::Frame::Refused(Refused { seq, code: code as i32, message: "no".into(), retry_after_ms })
    };
    let busy = client.send("bob", "1").await.unwrap();
    let full = client.send("carol", "2").await.unwrap();
    session.next_send().await;
    session.next_send().await;
    session.write(refuse(1, ErrorCode::RateLimited, Some(5))).await;
    session.write(refuse(2, ErrorCode::InboxFull, None)).await;
    let refused = SendError::Refused { code: ErrorCode::InboxFull, message: "no".into() };
    assert_eq!(full.sent().await, Err(refused));
    assert_eq!(session.next_send().await.seq, 1);
    session.accept(1).await;
    busy.sent().await.unwrap();
}

#[tokio::test]
async fn a_full_outbox_refuses_or_waits() {
    let gateway = Gateway::start().await;
    let (client, _events) = builder(&gateway).outbox_limit(2, 1 << 20).connect().unwrap();
    let (mut session, _) = gateway.welcomed(0, 0).await;
    client.send("bob", "1").await.unwrap();
    client.send("bob", "2").await.unwrap();
    assert_eq!(client.try_send(Outgoing::new("bob", "3")).unwrap_err(), SendError::OutboxFull);
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.send("bob", "3").await }
    });
    session.next_send().await;
    session.next_send().await;
    session.accept(1).await;
    waiting.await.unwrap().unwrap();
    assert_eq!(session.next_send().await.seq, 3);
}

#[tokio::test]
async fn a_read_mark_goes_again_until_it_is_recorded() {
    let gateway = Gateway::start().await;
    let (client, mut events) = builder(&gateway).connect().unwrap();
    let (mut session, _) = gateway.welcomed(0, 1).await;
    session.deliver_text(1, "a").await;
    let message = next_message(&mut events).await;
    client.mark_read(&message).await.unwrap();
    let is_read =
        |frame: &client_frame::Frame| matches!(frame, client_frame::Frame::Read(read) if read.id == Some(message.id()));
    while !is_read(&session.next().await.unwrap()) {}
    drop(session);
    let (mut session, _) = gateway.welcomed(0, 1).await;
    while !is_read(&session.next().await.unwrap()) {}
}

#[tokio::test]
async fn dropping_the_last_handle_says_good_bye() {
    let gateway = Gateway::start().await;
    let (client, mut events) = builder(&gateway).connect().unwrap();
    let (mut session, _) = gateway.welcomed(0, 0).await;
    drop(client.clone());
    drop(client);
    assert!(session.next().await.is_none());
    drop(session);
    while events.next().await.is_some() {}
}

#[tokio::test]
async fn thousands_of_messages_through_a_small_outbox_arrive_in_order() {
    const COUNT: u64 = 20_000;
    let gateway = Gateway::start().await;
    let (client, _events) = builder(&gateway).outbox_limit(512, 1 << 20).connect().unwrap();
    let (mut session, _) = gateway.welcomed(0, 0).await;
    let serve = tokio::spawn(async move {
        for expected in 1..=COUNT {
            assert_eq!(session.next_send().await.seq, expected);
            session.accept(expected).await;
        }
        session
    });
    let mut last = None;
    for number in 0..COUNT {
        last = Some(client.send("bob", format!("{number}")).await.unwrap());
    }
    last.unwrap().sent().await.unwrap();
    serve.await.unwrap();
}

#[tokio::test]
async fn a_gateway_that_is_gone_is_left_for_another_one() {
    let (first, second) = (Gateway::start().await, Gateway::start().await);
    let (client, _events) = builder(&first).gateway(second.url()).connect().unwrap();
    // The first attempt goes to either of them.
    let (mut session, other) = tokio::select! {
        (session, _) = first.welcomed(0, 0) => { drop(first); (session, second) }
        (session, _) = second.welcomed(0, 0) => { drop(second); (session, first) }
    };
    let sending = client.send("bob", "hi").await.unwrap();
    assert_eq!(session.next_send().await.seq, 1);
    drop(session);

    let (mut session, hello) = other.session().await;
    assert_eq!(hello.resume.unwrap().stream, STREAM, "the same device goes on, elsewhere");
    session.welcome(STREAM, 0, 0).await;
    assert_eq!(session.next_send().await.seq, 1, "what had no answer goes again");
    session.accept(1).await;
    sending.sent().await.unwrap();
}
