//! Sessions that end: revoked, expired, silent, slow, drained.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tidings_gateway::GatewayConfig;
use tidings_proto::ErrorCode;

use crate::support::{PATIENCE, RawClient, World, config, hello, until};
use tidings_proto::client::v1::client_frame;

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_closes_the_tokens_sessions_within_a_second() {
    let world = World::start().await;
    world.directory.add_token("second", "alice");
    let mut first = world.session("alice", "a").await;
    let mut second = world.session("second", "b").await;
    let revoked = Instant::now();
    world.directory.revoke("alice");
    first.expect_closed(ErrorCode::TokenRevoked).await;
    assert!(revoked.elapsed() < Duration::from_secs(1));
    second.expect_alive().await;
    world.directory.set_active("alice", false);
    second.expect_closed(ErrorCode::UserInactive).await;
    let mut late = world.connect().await;
    late.send(client_frame::Frame::Hello(hello("alice", "a"))).await;
    late.expect_closed(ErrorCode::TokenRevoked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_revoked_while_the_watch_was_away_is_closed_when_it_is_back() {
    let world = World::start().await;
    let mut resumed = world.session("alice", "a").await;
    let mut anew = world.session("bob", "b").await;
    let mut good = world.session("carol", "c").await;
    world.directory.stop();
    world.directory.revoke("alice");
    resumed.expect_alive().await;
    world.directory.restart(false);
    resumed.expect_closed(ErrorCode::TokenRevoked).await;

    world.directory.stop();
    world.directory.revoke("bob");
    world.directory.restart(true);
    anew.expect_closed(ErrorCode::TokenRevoked).await;
    good.expect_alive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_closes_its_session_when_its_time_comes() {
    let world = World::start().await;
    world.directory.put_token("short", "alice", "", 1_000_500, None);
    let mut session = world.session("short", "a").await;
    world.clock.advance_ms(499);
    session.expect_alive().await;
    world.clock.advance_ms(1);
    session.expect_closed(ErrorCode::TokenExpired).await;
    let mut late = world.connect().await;
    late.send(client_frame::Frame::Hello(hello("short", "a"))).await;
    late.expect_closed(ErrorCode::TokenExpired).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_client_is_pinged_and_then_closed() {
    let world = World::with(GatewayConfig { heartbeat_ms: 200, ..config() }).await;
    let mut alive = world.session("bob", "b").await;
    let mut silent = RawClient::connect(&world.address).await;
    let greeting = tidings_proto::frame::encode_client(client_frame::Frame::Hello(hello("alice", "a")));
    silent.write(&RawClient::masked(2, &greeting)).await;
    assert_eq!(silent.frame().await.0, 2, "the welcome");
    assert_eq!(silent.frame().await.0, 9, "a ping");
    // The library of the other one answers pings as long as it reads.
    let (closed, ()) = tokio::join!(silent.close_code(), alive.expect_alive());
    assert_eq!(closed, ErrorCode::HeartbeatTimeout.close_code());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_for_its_shard_is_not_taken_for_silent() {
    let world = World::with(GatewayConfig { heartbeat_ms: 100, ..config() }).await;
    world.cluster.move_leaders(99);
    let mut waiting = RawClient::connect(&world.address).await;
    let greeting = tidings_proto::frame::encode_client(client_frame::Frame::Hello(hello("alice", "a")));
    waiting.write(&RawClient::masked(2, &greeting)).await;
    // It answers none of the pings; whether it does is not looked at before it is welcome.
    for _ in 0..4 {
        assert_eq!(waiting.frame().await.0, 9, "a ping");
    }
    world.cluster.move_leaders(1);
    let mut opcode = 9;
    while opcode == 9 {
        opcode = waiting.frame().await.0;
    }
    assert_eq!(opcode, 2, "the welcome");
    assert_eq!(waiting.close_code().await, ErrorCode::HeartbeatTimeout.close_code(), "from then on it is");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_costs_a_window_and_is_closed() {
    let window = 64 << 20;
    let config =
        GatewayConfig { write_timeout_ms: 400, delivery_window: 100_000, delivery_window_bytes: window, ..config() };
    let world = World::with(config).await;
    let mut bystander = world.session("carol", "c").await;
    let mut slow = world.session("bob", "b").await;
    let mut alice = world.session("alice", "a").await;
    let text = "x".repeat(60_000);
    for seq in 1..=600 {
        alice.send_text(seq, seq - 1, "bob", &text).await;
        alice.expect_accepted(seq).await;
    }
    // Its session is given up before it reads a byte.
    until("the slow session is gone", || world.cluster.sessions() == 2).await;
    bystander.expect_alive().await;
    // Nothing is lost: another session goes on at the cursor.
    // The reason is behind more than the socket took: who does not read within two seconds does not read it either.
    let code = slow.close_code_at_the_end().await;
    assert!(code.is_none_or(|code| code == ErrorCode::SlowConsumer.close_code()), "{code:?}");
    let mut again = world.session("bob", "b").await;
    assert_eq!(again.expect_delivery().await.0.seq, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_that_overflows_closes_its_session() {
    let config = GatewayConfig { delivery_window: 4, delivery_window_bytes: 1 << 17, send_window: 1, ..config() };
    let world = World::with(config).await;
    world.cluster.ignore_windows.store(true, Ordering::SeqCst);
    let mut slow = world.session("bob", "b").await;
    let mut alice = world.session("alice", "a").await;
    let text = "x".repeat(60_000);
    for seq in 1..=400 {
        alice.send_text(seq, seq - 1, "bob", &text).await;
        alice.expect_accepted(seq).await;
    }
    until("the slow session is gone", || world.cluster.sessions() == 1).await;
    let code = slow.close_code_at_the_end().await;
    assert!(code.is_none_or(|code| code == ErrorCode::SlowConsumer.close_code()), "{code:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_answers_what_is_unanswered_and_sends_clients_away() {
    let mut world = World::start().await;
    let mut idle = world.session("bob", "b").await;
    let mut alice = world.session("alice", "a").await;
    world.cluster.lose_answers.store(true, Ordering::SeqCst);
    alice.send_text(1, 0, "bob", "x").await;
    until("it was submitted", || world.cluster.submits.load(Ordering::SeqCst) == 1).await;
    world.shutdown.request();
    let closing = idle.expect_closed(ErrorCode::Draining).await;
    assert_eq!(closing.reconnect_within_ms, Some(5_000));
    assert!(!world.health.is_ready());
    // The answer was lost with its link; the gateway asks again, and tells it before it closes.
    world.cluster.lose_answers.store(false, Ordering::SeqCst);
    world.cluster.break_links();
    loop {
        match alice.receive().await {
            tidings_proto::client::v1::server_frame::Frame::Accepted(accepted) => break assert_eq!(accepted.seq, 1),
            tidings_proto::client::v1::server_frame::Frame::Deliver(_) => {}
            other => panic!("{other:?}"),
        }
    }
    alice.expect_closed(ErrorCode::Draining).await;
    tokio::time::timeout(PATIENCE, world.gateway.take().unwrap().stopped()).await.unwrap();
    assert_eq!(world.cluster.sessions(), 0);
    assert!(tokio::net::TcpStream::connect(&world.address).await.is_err());
}
