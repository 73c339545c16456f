//! Messages that backends send: in the mailbox once for each request, also when the node is killed in between, and with
//! a state that can be asked for.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::BTreeSet;

use prost_types::Timestamp;
use tidings_node::Clock;
use tidings_proto::ErrorCode;
use tidings_proto::control::v1::{
    CreateApiKeyRequest, CreateAppRequest, GetMessageStatusRequest, MessageStatus, SendMessageRequest, SentMessage,
};
use tidings_proto::message::v1::{Content, Disappearance, MessageId, MessageState, ReceiptRequest};
use tidings_proto::policy::v1::{Audience, Policy};
use tidings_sdk::{AckMode, Block, Client, Event, Events, HistoryMessage, HistoryQuery, receipt};
use tidings_tests::settings::block;
use tidings_tests::{Control, DEADLINE, Node, next_message, told, within};
use tonic::Status;

fn text(text: &str) -> Content {
    Content { text: text.to_owned(), ..Content::default() }
}

fn to_bob(request_id: &str) -> SendMessageRequest {
    SendMessageRequest {
        to: "bob".into(),
        content: Some(text("hello")),
        request_id: request_id.into(),
        ..Default::default()
    }
}

fn after_ms(after_ms: u64) -> Option<Disappearance> {
    Some(Disappearance { after_ms, ..Disappearance::default() })
}

async fn send(control: &Control, request: SendMessageRequest) -> Result<SentMessage, Status> {
    control.messages.clone().send_message(request).await.map(tonic::Response::into_inner)
}

async fn refusal(control: &Control, request: SendMessageRequest) -> ErrorCode {
    ErrorCode::of_status(&send(control, request).await.unwrap_err())
}

async fn state(control: &Control, from: &str, id: &str) -> Result<MessageState, ErrorCode> {
    let request = GetMessageStatusRequest { to: "bob".into(), id: id.into(), from: from.into(), ..Default::default() };
    let asked = control.messages.clone().get_message_status(request).await;
    asked.map(|answer| MessageStatus::state(answer.get_ref())).map_err(|refused| ErrorCode::of_status(&refused))
}

async fn becomes(control: &Control, from: &str, id: &str, wanted: MessageState) {
    let asking = async {
        while state(control, from, id).await != Ok(wanted) {
            tokio::task::yield_now().await;
        }
    };
    within(DEADLINE, wanted.as_str_name(), asking).await;
}

#[tokio::test]
async fn a_request_is_one_message_whatever_dies_in_between() {
    let mut node = Node::start().await;
    let control = node.control().await;
    let bob = control.user("bob").await;
    let first = send(&control, to_bob("order 1")).await.unwrap();
    assert!(!first.repeated);
    node.restart_after_kill9().await;
    let control = node.control().await;
    let again = send(&control, to_bob("order 1")).await.unwrap();
    assert_eq!(again, SentMessage { repeated: true, ..first.clone() });
    let second = send(&control, to_bob("order 2")).await.unwrap();

    let (client, mut events) = node.client(&bob, "phone").ack_mode(AckMode::Explicit).connect().unwrap();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let message = next_message(&mut events).await;
        assert_eq!((message.from(), message.text()), ("system", "hello"));
        ids.push(message.id().to_string());
        message.ack();
    }
    assert_eq!(ids, [first.id, second.id]);
    client.close().await;
}

#[tokio::test]
async fn where_a_message_is() {
    let node = Node::start().await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let as_alice = SendMessageRequest { from: "alice".into(), ..to_bob("") };
    let posted = send(&control, as_alice).await.unwrap().id;
    let short = send(&control, SendMessageRequest { ttl_ms: Some(1), ..to_bob("") }).await.unwrap().id;
    let (alice, _alice_events) = node.client(&alice, "phone").connect().unwrap();
    let own = alice.send("bob", "hello").await.unwrap().sent().await.unwrap().id.to_string();
    assert_eq!(state(&control, "alice", &posted).await, Ok(MessageState::Waiting));
    assert_eq!(state(&control, "alice", &own).await, Ok(MessageState::Waiting));
    becomes(&control, "", &short, MessageState::Expired).await;

    let (bob, mut events) = node.client(&bob, "phone").ack_mode(AckMode::Explicit).connect().unwrap();
    let (first, second) = (next_message(&mut events).await, next_message(&mut events).await);
    assert_eq!([first.id().to_string(), second.id().to_string()], [posted.clone(), own.clone()]);
    first.ack();
    second.ack();
    becomes(&control, "alice", &posted, MessageState::Delivered).await;
    becomes(&control, "alice", &own, MessageState::Delivered).await;
    bob.mark_read(&first).await.unwrap();
    bob.mark_read(&second).await.unwrap();
    becomes(&control, "alice", &posted, MessageState::Read).await;
    becomes(&control, "alice", &own, MessageState::Read).await;
    assert_eq!(state(&control, "", &short).await, Ok(MessageState::Expired));

    let never = MessageId { stream: own.parse::<MessageId>().unwrap().stream, seq: 1000 }.to_string();
    assert_eq!(state(&control, "alice", &never).await, Err(ErrorCode::NotFound));
    assert_eq!(state(&control, "bob", &own).await, Err(ErrorCode::NotFound));
    assert_eq!(state(&control, "alice", "one.two").await, Err(ErrorCode::InvalidArgument));
}

#[tokio::test]
async fn to_a_group_as_a_member_and_as_the_system_once_for_each_request() {
    let mut node = Node::start().await;
    let control = node.control().await;
    for user in ["alice", "eve"] {
        control.user(user).await;
    }
    let bob = control.user("bob").await;
    control.group("team", &["alice", "bob"]).await;
    let to_team = |from: &str, request_id: &str| SendMessageRequest {
        from: from.into(),
        to: String::new(),
        group: "team".into(),
        ..to_bob(request_id)
    };
    // At once: the home may have yet to hear of the group, and its members.
    let first = send(&control, to_team("", "1")).await.unwrap();
    let second = send(&control, to_team("alice", "1")).await.unwrap();
    node.restart_after_kill9().await;
    let control = node.control().await;
    assert_eq!(send(&control, to_team("", "1")).await.unwrap(), SentMessage { repeated: true, ..first.clone() });
    assert_eq!(refusal(&control, to_team("eve", "1")).await, ErrorCode::NotAMember);
    let nowhere = SendMessageRequest { group: "none".into(), ..to_team("", "1") };
    assert_eq!(refusal(&control, nowhere).await, ErrorCode::NotFound);
    let both = SendMessageRequest { to: "bob".into(), ..to_team("", "1") };
    assert_eq!(refusal(&control, both).await, ErrorCode::InvalidArgument);

    let (bob, mut events) = node.client(&bob, "phone").connect().unwrap();
    for (id, from, place) in [(first.id, "system", 2), (second.id, "alice", 3)] {
        let message = next_message(&mut events).await;
        assert_eq!((message.id().to_string(), message.from(), message.group()), (id, from, Some("team")));
        assert_eq!((message.text(), message.group_seq()), ("hello", place));
    }
    let kept = bob.group_history("team", HistoryQuery::default()).await.unwrap();
    assert!(kept.messages.iter().map(|one| one.place).eq([2, 3]), "{kept:?}");
}

#[tokio::test]
async fn what_a_user_may_not_send_a_backend_does_not_send_as_that_user() {
    let node = Node::start().await;
    let control = node.control().await;
    for user in ["alice", "bob", "carol"] {
        control.user(user).await;
    }
    control.group("team", &["alice", "bob"]).await;
    let alice = Policy { id: "alice".into(), max_message_bytes: Some(100), ..Policy::default() };
    control.create_policy(alice.clone()).await;
    control.assign_policy("alice", "alice").await;
    let as_alice = |content: Content| SendMessageRequest { from: "alice".into(), content: Some(content), ..to_bob("") };
    // 2 bytes say that it is a text of so many bytes.
    send(&control, as_alice(text(&"x".repeat(98)))).await.unwrap();
    assert_eq!(refusal(&control, as_alice(text(&"x".repeat(99)))).await, ErrorCode::TooLarge);
    let to_team = SendMessageRequest { to: String::new(), group: "team".into(), ..as_alice(text("x")) };
    control.set_policy(Policy { groups: Some(false), ..alice.clone() }, &["groups"]).await;
    assert_eq!(refusal(&control, to_team).await, ErrorCode::FeatureOff);
    control.set_policy(Policy { audience: Audience::Nobody.into(), ..alice }, &["audience"]).await;
    assert_eq!(refusal(&control, as_alice(text("x"))).await, ErrorCode::RefusedByPolicy);

    let small = Policy { id: "small".into(), inbox_entries: Some(2), ..Policy::default() };
    control.create_policy(small).await;
    control.assign_policy("carol", "small").await;
    let to_carol = SendMessageRequest { to: "carol".into(), ..to_bob("") };
    for _ in 0..2 {
        send(&control, to_carol.clone()).await.unwrap();
    }
    assert_eq!(refusal(&control, to_carol).await, ErrorCode::InboxFull, "two are waiting");
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_by_name() {
    let node = Node::start().await;
    let mut control = node.control().await;
    control.user("bob").await;
    // 4 bytes say that it is a text of so many bytes.
    let largest = text(&"x".repeat(64 * 1024 - 4));
    send(&control, SendMessageRequest { content: Some(largest), ..to_bob("") }).await.unwrap();
    let one_more = text(&"x".repeat(64 * 1024 - 3));
    let delivered_alone = ReceiptRequest::ReceiptsDelivered.into();
    for (request, code, named) in [
        (SendMessageRequest { content: Some(one_more), ..to_bob("") }, ErrorCode::TooLarge, "65537"),
        (SendMessageRequest { content: None, ..to_bob("") }, ErrorCode::InvalidArgument, "content"),
        (SendMessageRequest { to: "bbo".into(), ..to_bob("") }, ErrorCode::RecipientUnknown, "bbo"),
        (SendMessageRequest { to: String::new(), ..to_bob("") }, ErrorCode::InvalidArgument, "to"),
        (SendMessageRequest { from: "alcie".into(), ..to_bob("") }, ErrorCode::NotFound, "alcie"),
        (
            SendMessageRequest { ttl_ms: Some(0), disappears: after_ms(1), ..to_bob("") },
            ErrorCode::InvalidArgument,
            "ttl_ms",
        ),
        (SendMessageRequest { disappears: after_ms(0), ..to_bob("") }, ErrorCode::InvalidArgument, "disappears"),
        (SendMessageRequest { receipts: delivered_alone, ..to_bob("") }, ErrorCode::InvalidArgument, "receipts"),
        (to_bob(&"x".repeat(64)), ErrorCode::InvalidArgument, "request_id"),
        (SendMessageRequest { app: "none".into(), ..to_bob("") }, ErrorCode::RecipientUnknown, "none"),
    ] {
        let refused = send(&control, request).await.unwrap_err();
        assert_eq!(ErrorCode::of_status(&refused), code, "{refused:?}");
        assert!(refused.message().contains(named), "{refused:?}");
    }

    // A key of another app sends nothing here.
    control.apps.create_app(CreateAppRequest { id: "red".into(), ..CreateAppRequest::default() }).await.unwrap();
    let create = CreateApiKeyRequest { app: "red".into(), ..CreateApiKeyRequest::default() };
    let key = control.keys.create_api_key(create).await.unwrap().into_inner().secret;
    let red = Control::connect(&node.control_url(), &key).await;
    let refused = send(&red, SendMessageRequest { app: "default".into(), ..to_bob("") }).await.unwrap_err();
    assert_eq!(ErrorCode::of_status(&refused), ErrorCode::PermissionDenied);
    let refused = send(&red, to_bob("")).await.unwrap_err();
    assert_eq!(ErrorCode::of_status(&refused), ErrorCode::RecipientUnknown, "its own app has no such user");
}

/// What comes next that is stored nowhere: who says it, in which group, and what.
async fn next_live(events: &mut Events) -> (String, String, String) {
    within(DEADLINE, "something comes", async {
        loop {
            if let Event::Transient(message) = events.next().await.expect("the client goes on") {
                return (message.from, message.group, message.content.unwrap_or_default().text);
            }
        }
    })
    .await
}

#[tokio::test]
async fn what_is_for_who_is_online_comes_to_them_and_is_kept_nowhere() {
    let node = Node::start().await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    control.user("eve").await;
    control.group("team", &["alice", "bob"]).await;
    let (alice, _alice_events) = node.online(&alice, "phone").await;
    let (bob, mut events) = node.online(&bob, "phone").await;
    let live = |from: &str| SendMessageRequest { from: from.into(), ttl_ms: Some(0), ..to_bob("") };
    let to_team = |from: &str| SendMessageRequest { to: String::new(), group: "team".into(), ..live(from) };
    // Its home knows the group when a message has come.
    alice.send_to_group("team", "stored").await.unwrap().sent().await.unwrap();
    for request in [live(""), live("alice"), to_team(""), to_team("alice")] {
        let sent = send(&control, request).await.unwrap();
        assert!(sent.id.is_empty() && sent.sent_at.is_some(), "{sent:?}");
    }
    // To a group it goes its own way.
    let mut came = Vec::new();
    for _ in 0..4 {
        came.push(next_live(&mut events).await);
    }
    let expected = [("alice", ""), ("alice", "team"), ("system", ""), ("system", "team")];
    let expected = expected.map(|(from, group)| (from.to_owned(), group.to_owned(), "hello".to_owned()));
    came.sort();
    assert_eq!(came, expected);
    assert_eq!(refusal(&control, to_team("eve")).await, ErrorCode::NotAMember);
    assert!(bob.history("alice", HistoryQuery::default()).await.unwrap().messages.is_empty());
    let kept = bob.group_history("team", HistoryQuery::default()).await.unwrap().messages;
    assert_eq!(kept.len(), 1, "{kept:?}");

    // Who has blocked alice hears nothing of her.
    block(&bob, "alice", &[Block::Messages]).await;
    assert_eq!(refusal(&control, live("alice")).await, ErrorCode::Blocked);
}

/// Waits until both have nothing of each other, and nothing of the group.
async fn nothing_is_left(one: &Client, other: &Client) {
    let is_empty = async |client: &Client, with: &str| {
        let with = client.history(with, HistoryQuery::default()).await.unwrap();
        let in_team = client.group_history("team", HistoryQuery::default()).await.unwrap();
        with.messages.is_empty() && in_team.messages.is_empty()
    };
    within(DEADLINE, "it disappears", async {
        while !(is_empty(one, "bob").await && is_empty(other, "alice").await) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A user in whose name a backend sends is told as of what the user sent, also of what waited for its time; and devices
/// that come later find it in the history.
#[tokio::test]
async fn a_user_is_told_how_far_a_backends_message_in_the_users_name_has_come() {
    let node = Node::start().await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let (alice, mut alices) = node.online(&alice, "phone").await;
    let (bob, mut bobs) = node.online(&bob, "phone").await;
    let reading = tokio::spawn(async move {
        while let Some(event) = bobs.next().await {
            if let Event::Message(message) = event {
                bob.mark_read(&message).await.unwrap();
            }
        }
    });
    let as_alice = SendMessageRequest { from: "alice".into(), ..to_bob("") };
    let soon = Timestamp { seconds: Clock::system().now_ms() / 1000 + 1, nanos: 0 };
    let later = SendMessageRequest { deliver_at: Some(soon), ..as_alice.clone() };
    for request in [as_alice, later] {
        send(&control, request).await.unwrap();
        let mut kinds = BTreeSet::new();
        while kinds.len() < 2 {
            let of_bob =
                |event| if let Event::Receipt(told) = event { Some((told.from.clone(), told.kind())) } else { None };
            let (from, kind) = told(&mut alices, "alice is told", of_bob).await;
            assert!(from == "bob" && kind != receipt::Kind::Unspecified, "{kind:?} of {from}");
            kinds.insert(kind);
        }
    }
    reading.abort();
    let history = alice.history("bob", HistoryQuery::default()).await.unwrap();
    assert_eq!(history.messages.iter().map(HistoryMessage::state).collect::<Vec<_>>(), [MessageState::Read; 2]);
}

#[tokio::test]
async fn a_message_disappears_for_all_and_asks_for_receipts_or_not() {
    let node = Node::start().await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    control.group("team", &["alice", "bob"]).await;
    let (alice, _alice_events) = node.online(&alice, "phone").await;
    let (bob, mut events) = node.online(&bob, "phone").await;
    let as_alice = SendMessageRequest { from: "alice".into(), disappears: after_ms(5_000), ..to_bob("") };
    let to_team = SendMessageRequest { to: String::new(), group: "team".into(), ..as_alice.clone() };
    let receipts = ReceiptRequest::ReceiptsNone;
    let silently = SendMessageRequest { receipts: receipts.into(), ..to_team.clone() };
    let all = ReceiptRequest::ReceiptsAll;
    let quietly = SendMessageRequest { receipts: receipts.into(), ..as_alice.clone() };
    let requests = [(as_alice, all), (quietly, receipts), (to_team, all), (silently, receipts)];
    for (request, receipts) in requests {
        send(&control, request).await.unwrap();
        let message = next_message(&mut events).await;
        let message = message.as_proto();
        assert_eq!((message.receipts(), message.disappears), (receipts, after_ms(5_000)));
        assert!(message.disappears_at_ms > message.sent_at_ms, "{message:?}");
    }
    nothing_is_left(&alice, &bob).await;
}
