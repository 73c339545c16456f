//! Each reason for which a token is refused is told, at the handshake and in a live session (promise 5).

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::time::{Duration, Instant};

use tidings_proto::ErrorCode;
use tidings_proto::client::v1::{Hello, client_frame, server_frame};
use tidings_proto::control::v1::CreateTokenRequest;
use tidings_tests::raw::Came;
use tidings_tests::{DEADLINE, Node, RawClient, within};

/// How a handshake with the token is refused; nothing when it is not.
async fn refusal(node: &Node, token: &str, app_id: &str) -> (Option<ErrorCode>, Option<u16>) {
    let mut client = node.raw().await;
    let hello =
        Hello { version: 1, token: token.into(), device: "phone".into(), app_id: app_id.into(), ..Hello::default() };
    client.write(client_frame::Frame::Hello(hello)).await;
    let (closing, code) = match client.next().await {
        Came::Frame(server_frame::Frame::Welcome(_)) => return (None, None),
        Came::Frame(server_frame::Frame::Closing(closing)) => (Some(closing.code), client.closed().await.1),
        other => panic!("neither welcome nor closing but {other:?}"),
    };
    (closing.and_then(|code| ErrorCode::try_from(code).ok()), code)
}

async fn assert_refused(node: &Node, token: &str, app_id: &str, code: ErrorCode) {
    assert_eq!(refusal(node, token, app_id).await, (Some(code), Some(code.close_code())));
}

#[tokio::test]
async fn at_the_handshake_each_has_its_own_code() {
    let node = Node::start().await;
    let control = node.control().await;
    let good = control.user("alice").await;
    assert_refused(&node, "no such token", "", ErrorCode::TokenUnknown).await;
    assert_refused(&node, "", "", ErrorCode::TokenUnknown).await;

    let bound =
        CreateTokenRequest { user: "alice".into(), app_id: "org.example".into(), ..CreateTokenRequest::default() };
    let (_, bound) = control.create_token(bound).await;
    assert_refused(&node, &bound, "org.other", ErrorCode::TokenWrongAppId).await;
    assert_refused(&node, &bound, "", ErrorCode::TokenWrongAppId).await;

    let (token, revoked) = control.token("alice").await;
    control.revoke(&token).await;
    assert_refused(&node, &revoked, "", ErrorCode::TokenRevoked).await;

    control.user("carol").await;
    let (_, carol) = control.token("carol").await;
    control.set_active("carol", false).await;
    assert_refused(&node, &carol, "", ErrorCode::UserInactive).await;
    control.set_active("carol", true).await;
    // A gateway remembers a refusal for up to a second; that is no promise to be timed.
    within(DEADLINE, "carol is let in again", async {
        while refusal(&node, &carol, "").await.0.is_some() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    RawClient::attached(node.gateway_address(), &good, "phone", None).await;
}

#[tokio::test]
async fn a_live_session_ends_with_the_reason_within_a_second() {
    let node = Node::start().await;
    let control = node.control().await;
    let bystander = control.user("bystander").await;
    let (mut bystander, _) = RawClient::attached(node.gateway_address(), &bystander, "phone", None).await;
    control.user("alice").await;

    let (token, secret) = control.token("alice").await;
    let (mut client, _) = RawClient::attached(node.gateway_address(), &secret, "phone", None).await;
    let revoked_at = Instant::now();
    control.revoke(&token).await;
    assert_eq!(client.closed().await.1, Some(ErrorCode::TokenRevoked.close_code()));
    assert!(revoked_at.elapsed() < Duration::from_secs(1), "{:?}", revoked_at.elapsed());
    assert_refused(&node, &secret, "", ErrorCode::TokenRevoked).await;

    let (_, secret) = control.token("alice").await;
    let (mut client, _) = RawClient::attached(node.gateway_address(), &secret, "phone", None).await;
    let deactivated_at = Instant::now();
    control.set_active("alice", false).await;
    assert_eq!(client.closed().await.1, Some(ErrorCode::UserInactive.close_code()));
    assert!(deactivated_at.elapsed() < Duration::from_secs(1), "{:?}", deactivated_at.elapsed());
    control.set_active("alice", true).await;

    let short = CreateTokenRequest { user: "alice".into(), ttl_seconds: 2, ..CreateTokenRequest::default() };
    let (_, secret) = control.create_token(short).await;
    let (mut client, _) = RawClient::attached(node.gateway_address(), &secret, "phone", None).await;
    assert_eq!(client.closed().await.1, Some(ErrorCode::TokenExpired.close_code()));
    assert_refused(&node, &secret, "", ErrorCode::TokenExpired).await;

    // Nobody else noticed.
    bystander.write(client_frame::Frame::Ping(tidings_proto::client::v1::Ping { nonce: 7 })).await;
    assert!(matches!(bystander.next().await, Came::Frame(server_frame::Frame::Pong(pong)) if pong.nonce == 7));
}

#[tokio::test]
async fn an_inactive_app_lets_nobody_in_until_it_is_active_again() {
    let mut node = Node::start().await;
    let control = node.control().await;
    let good = control.user("alice").await;
    let (mut bystander, _) = RawClient::attached(node.gateway_address(), &good, "phone", None).await;
    let ann = control.user_of("shop", "ann").await;
    let (mut client, _) = RawClient::attached(node.gateway_address(), &ann, "phone", None).await;
    let deactivated_at = Instant::now();
    control.set_app_active("shop", false).await;
    assert_eq!(client.closed().await.1, Some(ErrorCode::UserInactive.close_code()));
    assert!(deactivated_at.elapsed() < Duration::from_secs(1), "{:?}", deactivated_at.elapsed());
    assert_refused(&node, &ann, "", ErrorCode::UserInactive).await;
    bystander.write(client_frame::Frame::Ping(tidings_proto::client::v1::Ping { nonce: 7 })).await;
    assert!(matches!(bystander.next().await, Came::Frame(server_frame::Frame::Pong(pong)) if pong.nonce == 7));

    node.restart_after_kill9().await;
    assert_refused(&node, &ann, "", ErrorCode::UserInactive).await;
    node.control().await.set_app_active("shop", true).await;
    within(DEADLINE, "ann is let in again", async {
        while refusal(&node, &ann, "").await.0.is_some() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_was_refused_is_refused_after_a_restart() {
    let mut node = Node::start().await;
    let control = node.control().await;
    let good = control.user("alice").await;
    let (token, revoked) = control.token("alice").await;
    control.revoke(&token).await;
    node.restart_after_kill9().await;
    assert_refused(&node, &revoked, "", ErrorCode::TokenRevoked).await;
    RawClient::attached(node.gateway_address(), &good, "phone", None).await;
}
