//! Who gets in, and what the others are told.

use std::sync::atomic::Ordering;

use tidings_gateway::GatewayConfig;
use tidings_proto::ErrorCode;
use tidings_proto::client::v1::{Hello, Ping, client_frame};

use crate::support::{Client, Format, World, config, hello, until};

async fn refused(world: &World, hello: Hello, code: ErrorCode) {
    let mut client = world.connect().await;
    client.send(client_frame::Frame::Hello(hello)).await;
    client.expect_closed(code).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_has_its_own_code() {
    let world = World::start().await;
    let directory = &world.directory;
    directory.put_token("expired", "bob", "", 0, Some(ErrorCode::TokenExpired));
    directory.put_token("revoked", "bob", "", 0, Some(ErrorCode::TokenRevoked));
    directory.put_token("bound", "bob", "com.example", 0, None);
    directory.add_user("idle");
    directory.add_token("idle", "idle");
    directory.set_active("idle", false);
    refused(&world, hello("nonsense", "d"), ErrorCode::TokenUnknown).await;
    refused(&world, hello(&"x".repeat(600), "d"), ErrorCode::TokenUnknown).await;
    refused(&world, hello("expired", "d"), ErrorCode::TokenExpired).await;
    refused(&world, hello("revoked", "d"), ErrorCode::TokenRevoked).await;
    refused(&world, hello("bound", "d"), ErrorCode::TokenWrongAppId).await;
    refused(&world, hello("idle", "d"), ErrorCode::UserInactive).await;
    refused(&world, Hello { version: 0, ..hello("bob", "d") }, ErrorCode::ProtocolVersionUnsupported).await;
    refused(&world, hello("bob", &"d".repeat(64)), ErrorCode::InvalidArgument).await;

    let mut client = world.connect().await;
    let app_id = "com.example".to_owned();
    let welcome = client.welcome_with(Hello { app_id, version: 9, ..hello("bound", "d") }).await;
    assert_eq!((welcome.version, welcome.user.as_str(), welcome.app.as_str()), (1, "bob", "app"));
    assert!(welcome.stream > 0 && welcome.send_window == 256 && welcome.heartbeat_ms == 30_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_first_frame_or_none_ends_the_connection() {
    let world = World::with(GatewayConfig { handshake_timeout_ms: 300, ..config() }).await;
    let mut client = world.connect().await;
    client.send(client_frame::Frame::Ping(Ping { nonce: 1 })).await;
    client.expect_closed(ErrorCode::FrameUnexpected).await;
    world.connect().await.expect_closed(ErrorCode::HandshakeTimeout).await;
    refused(&world, hello("bob", &"d".repeat(5000)), ErrorCode::FrameTooLarge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_has_so_many_connections_and_no_more() {
    let world = World::with(GatewayConfig { max_connections_per_user: 2, ..config() }).await;
    let first = world.session("alice", "a").await;
    let mut second = world.session("alice", "b").await;
    refused(&world, hello("alice", "c"), ErrorCode::TooManyConnections).await;
    second.expect_alive().await;
    drop(first);
    until("the first session is gone", || world.cluster.sessions() == 1).await;
    world.session("alice", "c").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_token_works_while_the_control_plane_is_away() {
    let world = World::start().await;
    drop(world.session("alice", "a").await);
    world.directory.stop();
    world.session("alice", "b").await.expect_alive().await;
    refused(&world, hello("bob", "b"), ErrorCode::Unavailable).await;
    world.directory.restart(false);
    world.session("bob", "b").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_question_is_asked_for_many_that_come_at_once() {
    let world = World::start().await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(world.connect().await);
    }
    for (at, client) in clients.iter_mut().enumerate() {
        client.send(client_frame::Frame::Hello(hello("alice", &format!("device {at}")))).await;
    }
    for client in &mut clients {
        client.receive().await;
    }
    let calls = world.directory.token_calls.load(Ordering::SeqCst);
    assert!(calls <= 3, "{calls} calls for ten sessions of one token");
    refused(&world, hello("nonsense", ""), ErrorCode::TokenUnknown).await;
    refused(&world, hello("nonsense", ""), ErrorCode::TokenUnknown).await;
    assert!(world.directory.token_calls.load(Ordering::SeqCst) <= calls + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_port_speaks_http_within_limits() {
    let world = World::with(GatewayConfig { handshake_timeout_ms: 300, ..config() }).await;
    let get = |path: &str, more: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}\r\n");
    let about = world.http(&get("/", "")).await;
    assert!(about.starts_with("HTTP/1.1 200") && about.contains("tidings.v1.json"), "{about}");
    assert!(world.http(&get("/other", "")).await.starts_with("HTTP/1.1 404"));
    assert!(world.http(&get("/v1/connect", "")).await.starts_with("HTTP/1.1 426"));
    let post = "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    assert!(world.http(post).await.starts_with("HTTP/1.1 405"));
    let huge = format!("X: {}\r\n", "x".repeat(64_000));
    assert!(!world.http(&get("/", &huge)).await.starts_with("HTTP/1.1 200"));
    // A request that is never finished ends too.
    world.http("GET / HTTP/1.1\r\nHost").await;

    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let request = |more: &str| format!("GET /v1/connect HTTP/1.1\r\nHost: x\r\n{upgrade}{more}\r\n");
    assert!(world.http(&request("Sec-WebSocket-Version: 8\r\n")).await.starts_with("HTTP/1.1 426"));
    let foreign = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n";
    assert!(world.http(&request(foreign)).await.starts_with("HTTP/1.1 400"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_json_session_speaks_json_both_ways() {
    let world = World::start().await;
    let mut json = Client::connect(&world.address, Format::Json).await;
    let welcome = json.welcome("alice", "web").await;
    assert!(welcome.max_frame_bytes > 64 * 1024);
    let mut binary = world.session("bob", "phone").await;
    json.send_text(1, 0, "bob", "from json").await;
    json.expect_accepted(1).await;
    assert_eq!(binary.expect_delivery().await.1, "from json");
    binary.send_text(1, 0, "alice", "from protobuf").await;
    binary.expect_accepted(1).await;
    assert_eq!(json.expect_delivery().await.1, "from protobuf");
    json.raw(tokio_tungstenite::tungstenite::Message::Binary(vec![1].into())).await;
    json.expect_closed(ErrorCode::FrameWrongEncoding).await;
}
