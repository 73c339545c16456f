//! What a client may do at most: at the limit it goes, and one above it does not, for the reason that the pages name
//! (promise 6; docs/reference/limits.md).

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use prost::Message as _;
use tidings_proto::ErrorCode;
use tidings_proto::client::v1::{Hello, Ping, Send, client_frame, server_frame};
use tidings_proto::control::v1::CreateUserRequest;
use tidings_proto::message::v1::Content;
use tidings_proto::policy::v1::Policy;
use tidings_tests::raw::Came;
use tidings_tests::{Node, RawClient, within};

/// A node with Alice and Bob.
async fn scene(settings: &[&str]) -> (Node, String, String) {
    let node = Node::start_with(settings).await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    (node, alice, bob)
}

async fn attached(node: &Node, token: &str, device: &str) -> RawClient {
    RawClient::attached(node.gateway_address(), token, device, None).await.0
}

/// How a connection that says this is refused; nothing when it is welcomed.
async fn refused(node: &Node, hello: Hello) -> Option<ErrorCode> {
    let mut client = node.raw().await;
    client.write(client_frame::Frame::Hello(Hello { version: 1, ..hello })).await;
    match client.next().await {
        Came::Frame(server_frame::Frame::Welcome(_)) => None,
        Came::Frame(server_frame::Frame::Closing(closing)) => Some(closing.code()),
        other => panic!("neither welcome nor closing but {other:?}"),
    }
}

/// A message whose encoded content has exactly so many bytes.
fn sized(seq: u64, bytes: usize) -> client_frame::Frame {
    let mut content = Content { text: "x".repeat(bytes), ..Content::default() };
    content.text.truncate(2 * bytes - content.encoded_len());
    assert_eq!(content.encoded_len(), bytes);
    client_frame::Frame::Send(Send { seq, to: "bob".into(), content: Some(content), ..Send::default() })
}

#[tokio::test]
async fn names_and_agents() {
    let (node, token, _) = scene(&[]).await;
    let device = |bytes| Hello { token: token.clone(), device: "d".repeat(bytes), ..Hello::default() };
    assert_eq!(refused(&node, device(63)).await, None);
    assert_eq!(refused(&node, device(64)).await, Some(ErrorCode::InvalidArgument));
    let agent = |bytes| Hello { agent: "a".repeat(bytes), ..device(1) };
    assert_eq!(refused(&node, agent(127)).await, None);
    assert_eq!(refused(&node, agent(128)).await, Some(ErrorCode::InvalidArgument));

    node.control().await.user(&"u".repeat(63)).await;
    let mut alice = attached(&node, &token, "phone").await;
    alice.send(1, 0, &"u".repeat(63), "hi").await;
    assert_eq!(alice.answer().await, (1, None));
    alice.send(2, 0, &"u".repeat(64), "hi").await;
    assert_eq!(alice.answer().await, (2, Some(ErrorCode::InvalidArgument)));
}

#[tokio::test]
async fn sizes_of_contents() {
    let (node, token, _) = scene(&[]).await;
    let mut alice = attached(&node, &token, "phone").await;
    alice.write(sized(1, 65_536)).await;
    assert_eq!(alice.answer().await, (1, None));
    alice.write(sized(2, 65_537)).await;
    assert_eq!(alice.answer().await, (2, Some(ErrorCode::TooLarge)));

    // A policy may say less, and more only where the gateway takes it.
    let control = node.control().await;
    for (seq, allowed, most) in [(3, 1_000, 1_000), (5, 100_000, 65_536)] {
        let id = format!("up to {allowed}").replace(' ', "-");
        control.create_policy(Policy { id: id.clone(), max_message_bytes: Some(allowed), ..Policy::default() }).await;
        control.assign_policy("alice", &id).await;
        // Numbers may jump; each is the first of a session that begins with the policy in force.
        let mut alice = attached(&node, &token, &id).await;
        alice.write(sized(seq, most)).await;
        assert_eq!(alice.answer().await, (seq, None));
        alice.write(sized(seq + 1, most + 1)).await;
        assert_eq!(alice.answer().await, (seq + 1, Some(ErrorCode::TooLarge)));
    }
}

#[tokio::test]
async fn connections_of_a_user_and_of_all() {
    let (node, alice, bob) = scene(&["gateway.max_connections_per_user=2", "gateway.max_connections=3"]).await;
    let hello = |device: &str| Hello { token: alice.clone(), device: device.into(), ..Hello::default() };
    let first = attached(&node, &alice, "a").await;
    let second = attached(&node, &alice, "b").await;
    assert_eq!(refused(&node, hello("c")).await, Some(ErrorCode::TooManyConnections));
    let third = within(tidings_tests::DEADLINE, "the refused one has gone", async {
        loop {
            // Its place is free when its socket is.
            if let Some(client) = try_attached(&node, &bob).await {
                return client;
            }
        }
    })
    .await;
    assert!(try_attached(&node, &bob).await.is_none(), "one too many for the gateway");
    drop((first, second, third));
}

/// A session of the user, unless the gateway does not even take the connection.
async fn try_attached(node: &Node, token: &str) -> Option<RawClient> {
    let tcp = tokio::net::TcpStream::connect(node.gateway_address()).await.unwrap();
    let request = format!("ws://{}/v1/connect", node.gateway_address());
    let (socket, _) = tokio_tungstenite::client_async(request, tcp).await.ok()?;
    let mut client = RawClient { socket };
    client.hello(token, "phone", None).await;
    matches!(client.next().await, Came::Frame(server_frame::Frame::Welcome(_))).then_some(client)
}

#[tokio::test]
async fn bursts_of_sends_and_of_frames() {
    let settings = ["gateway.sends_per_second=1", "gateway.sends_burst=10"];
    let (node, token, _) = scene(&settings).await;
    let mut alice = attached(&node, &token, "phone").await;
    for seq in 1..=11 {
        alice.send(seq, 0, "bob", "hi").await;
    }
    let mut codes = Vec::new();
    for _ in 1..=11 {
        codes.push(alice.answer().await);
    }
    codes.sort_unstable_by_key(|(seq, _)| *seq);
    assert!(codes[..10].iter().all(|(_, code)| code.is_none()), "{codes:?}");
    assert_eq!(codes[10], (11, Some(ErrorCode::RateLimited)));

    // A heartbeat's answer is a frame too.
    let (node, token, _) =
        scene(&["gateway.frames_per_second=1", "gateway.frames_burst=20", "gateway.heartbeat_ms=3600000"]).await;
    let mut alice = attached(&node, &token, "phone").await;
    for nonce in 1..=20 {
        alice.write(client_frame::Frame::Ping(Ping { nonce })).await;
        assert!(matches!(alice.next().await, Came::Frame(server_frame::Frame::Pong(pong)) if pong.nonce == nonce));
    }
    for nonce in 21..=200 {
        alice.write(client_frame::Frame::Ping(Ping { nonce })).await;
    }
    assert_eq!(alice.closed().await.1, Some(ErrorCode::Flood.close_code()));
}

#[tokio::test]
async fn entries_of_an_inbox_by_the_recipients_policy() {
    let (node, alice, bob) = scene(&[]).await;
    let control = node.control().await;
    control.create_policy(Policy { id: "small".into(), inbox_entries: Some(3), ..Policy::default() }).await;
    control.assign_policy("bob", "small").await;
    // A device must have been there: without one there is nobody to wait for.
    drop(attached(&node, &bob, "phone").await);
    let mut alice = attached(&node, &alice, "phone").await;
    let mut answers = Vec::new();
    for seq in 1..=4 {
        alice.send(seq, 0, "bob", "hi").await;
        answers.push(alice.answer().await.1);
    }
    assert_eq!(answers, [None, None, None, Some(ErrorCode::InboxFull)]);
}

#[tokio::test]
async fn devices_of_a_user() {
    let (node, token, _) = scene(&[]).await;
    let mut first = attached(&node, &token, "device 1").await;
    let mut others = Vec::new();
    for number in 2..=8 {
        others.push(attached(&node, &token, &format!("device {number}")).await);
    }
    first.write(client_frame::Frame::Ping(Ping { nonce: 1 })).await;
    assert!(matches!(first.next().await, Came::Frame(server_frame::Frame::Pong(_))), "eight are");
    others.push(attached(&node, &token, "device 9").await);
    assert_eq!(first.closed().await.1, Some(ErrorCode::SessionSuperseded.close_code()), "the ninth takes its place");
}

#[tokio::test]
async fn devices_of_a_user_whose_policy_says_how_many() {
    let (node, token, _) = scene(&[]).await;
    let control = node.control().await;
    control.create_policy(Policy { id: "two".into(), max_devices: Some(2), ..Policy::default() }).await;
    control.assign_policy("alice", "two").await;
    let mut first = attached(&node, &token, "device 1").await;
    let _second = attached(&node, &token, "device 2").await;
    first.write(client_frame::Frame::Ping(Ping { nonce: 1 })).await;
    assert!(matches!(first.next().await, Came::Frame(server_frame::Frame::Pong(_))), "two are");
    let _third = attached(&node, &token, "device 3").await;
    assert_eq!(first.closed().await.1, Some(ErrorCode::SessionSuperseded.close_code()), "the third takes its place");
}

#[tokio::test]
async fn requests_of_backends() {
    let (node, _, _) = scene(&[]).await;
    let create = |bytes: usize| {
        let mut request = CreateUserRequest { id: "carol".into(), display_name: String::new(), ..Default::default() };
        request.display_name = "x".repeat(bytes - request.encoded_len() - 4);
        assert_eq!(request.encoded_len(), bytes);
        request
    };
    let mut users = node.control().await.users;
    // Taken and looked at, and then found to be too long a name.
    let refused = users.create_user(create(64 * 1024)).await.unwrap_err();
    assert!(refused.message().starts_with("display_name: "), "{refused}");
    let refused = users.create_user(create(64 * 1024 + 1)).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::OutOfRange, "{refused}");
}
