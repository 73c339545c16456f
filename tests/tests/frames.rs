//! Whoever breaks the protocol loses its own connection, with the code of its fault; the others go on (promise 6).

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use tidings_proto::ErrorCode;
use tidings_proto::client::v1::{Ack, Hello, Ping, Send, client_frame, server_frame};
use tidings_proto::frame::{SUBPROTOCOL_JSON, encode_client};
use tidings_proto::message::v1::Content;
use tidings_tests::raw::Came;
use tidings_tests::{Node, RawClient};

struct Scene {
    node: Node,
    token: String,
    bystander: RawClient,
    nonce: u64,
}

impl Scene {
    async fn new(settings: &[&str]) -> Self {
        let node = Node::start_with(settings).await;
        let control = node.control().await;
        let token = control.user("alice").await;
        let bystander = control.user("bystander").await;
        let (bystander, _) = RawClient::attached(node.gateway_address(), &bystander, "phone", None).await;
        Self { node, token, bystander, nonce: 0 }
    }

    async fn attached(&self, device: &str) -> RawClient {
        RawClient::attached(self.node.gateway_address(), &self.token, device, None).await.0
    }

    /// The client loses its connection for this reason, and nobody else.
    async fn assert_closed(&mut self, mut client: RawClient, code: ErrorCode) {
        let (closing, close_code) = client.closed().await;
        assert_eq!(close_code, Some(code.close_code()), "the close code of {}", code.as_str_name());
        assert_eq!(closing, Some(code as i32), "the Closing frame of {}", code.as_str_name());
        self.nonce += 1;
        self.bystander.write(client_frame::Frame::Ping(Ping { nonce: self.nonce })).await;
        match self.bystander.next().await {
            Came::Frame(server_frame::Frame::Pong(pong)) => assert_eq!(pong.nonce, self.nonce),
            other => panic!("the bystander got {other:?}"),
        }
    }
}

fn send(text: &str) -> client_frame::Frame {
    let content = Some(Content { text: text.into(), ..Content::default() });
    client_frame::Frame::Send(Send { seq: 1, to: "bystander".into(), content, ..Send::default() })
}

#[tokio::test]
async fn malformed_truncated_oversized_and_misplaced_frames() {
    let mut scene = Scene::new(&[]).await;

    let mut client = scene.attached("a").await;
    client.write_bytes(vec![0xff; 32].into()).await;
    scene.assert_closed(client, ErrorCode::FrameMalformed).await;

    let mut client = scene.attached("b").await;
    let whole = encode_client(send("a text that will be cut"));
    client.write_bytes(whole.slice(..whole.len() - 5)).await;
    scene.assert_closed(client, ErrorCode::FrameMalformed).await;

    let mut client = scene.attached("c").await;
    client.write_bytes(bytes::Bytes::new()).await;
    scene.assert_closed(client, ErrorCode::FrameMalformed).await;

    let mut client = scene.attached("d").await;
    client.write(send(&"x".repeat(200_000))).await;
    scene.assert_closed(client, ErrorCode::FrameTooLarge).await;

    let mut client = scene.attached("e").await;
    client.write_text("{\"ping\":{}}").await;
    scene.assert_closed(client, ErrorCode::FrameWrongEncoding).await;

    let mut client = RawClient::open_as(scene.node.gateway_address(), SUBPROTOCOL_JSON).await;
    client.write_bytes(encode_client(send("binary where text is due"))).await;
    scene.assert_closed(client, ErrorCode::FrameWrongEncoding).await;

    let mut client = scene.attached("f").await;
    client.hello(&scene.token, "f", None).await;
    scene.assert_closed(client, ErrorCode::FrameUnexpected).await;

    let mut client = scene.node.raw().await;
    client.write(send("before Hello")).await;
    scene.assert_closed(client, ErrorCode::FrameUnexpected).await;

    let mut client = scene.attached("g").await;
    client.write(client_frame::Frame::Ack(Ack { cursor: 1_000_000 })).await;
    scene.assert_closed(client, ErrorCode::FrameUnexpected).await;

    let mut client = scene.node.raw().await;
    let hello = Hello { token: scene.token.clone(), device: "h".into(), ..Hello::default() };
    client.write(client_frame::Frame::Hello(hello)).await;
    scene.assert_closed(client, ErrorCode::ProtocolVersionUnsupported).await;
}

#[tokio::test]
async fn a_flood_of_frames() {
    let mut scene = Scene::new(&["gateway.frames_per_second=100", "gateway.frames_burst=200"]).await;
    let mut client = scene.attached("a").await;
    for nonce in 0..1000 {
        client.write(client_frame::Frame::Ping(Ping { nonce })).await;
    }
    scene.assert_closed(client, ErrorCode::Flood).await;
}

#[tokio::test]
async fn a_silent_handshake_and_a_silent_session() {
    let settings = ["gateway.handshake_timeout_ms=300", "gateway.heartbeat_ms=400"];
    let node = Node::start_with(&settings).await;
    let token = node.control().await.user("alice").await;
    let mut silent = node.raw().await;
    let timeout = ErrorCode::HandshakeTimeout;
    assert_eq!(silent.closed().await, (Some(timeout as i32), Some(timeout.close_code())));

    // A client that answers pings lives on; this library does so while it reads.
    let (mut lively, _) = RawClient::attached(node.gateway_address(), &token, "lively", None).await;
    let quiet = tokio::time::timeout(std::time::Duration::from_millis(1500), lively.next()).await;
    assert!(quiet.is_err(), "{quiet:?}");
}

#[tokio::test]
async fn the_same_exchange_in_json() {
    let node = Node::start().await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let (mut bob, _) = RawClient::attached(node.gateway_address(), &bob, "phone", None).await;
    let mut client = RawClient::open_as(node.gateway_address(), SUBPROTOCOL_JSON).await;
    let next = async |client: &mut RawClient| -> serde_json::Value {
        match client.next().await {
            Came::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("no text but {other:?}"),
        }
    };
    client
        .write_text(&serde_json::json!({"hello": {"version": 1, "token": alice, "device": "terminal"}}).to_string())
        .await;
    let welcome = next(&mut client).await;
    assert_eq!(welcome["welcome"]["user"], "alice", "{welcome}");
    client.write_text("{\"send\":{\"seq\":\"1\",\"to\":\"bob\",\"content\":{\"text\":\"hello\"}}}").await;
    let accepted = next(&mut client).await;
    assert_eq!(accepted["accepted"]["seq"], "1", "{accepted}");
    assert_eq!(bob.message().await.1.content.unwrap().text, "hello");
    client.write_text("this is no JSON").await;
    assert_eq!(client.closed().await.1, Some(ErrorCode::FrameMalformed.close_code()));
}
