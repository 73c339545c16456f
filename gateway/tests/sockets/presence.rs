//! A shard is asked once for a user, however many clients watch; of what is watched the clients learn, across leaders
//! that move and links that break, and where nobody looks no frame is sent.

use std::sync::atomic::Ordering;

use tidings_gateway::GatewayConfig;
use tidings_proto::ErrorCode;
use tidings_proto::client::v1::user_presence::State;
use tidings_proto::client::v1::{Request, Response, UserPresence, WatchPresence, client_frame, request, server_frame};
use tidings_proto::policy::v1::{Audience, Policy};

use crate::support::{Client, World, config, until};

/// Asks, and answers what it was answered; what is told of users meanwhile is kept.
async fn watch(client: &mut Client, users: &[&str], told: &mut Vec<UserPresence>) -> Response {
    let users = users.iter().map(|user| (*user).to_owned()).collect();
    let request = Some(request::Request::WatchPresence(WatchPresence { users }));
    client.send(client_frame::Frame::Request(Request { id: 1, request })).await;
    loop {
        match client.receive().await {
            server_frame::Frame::Response(response) => return response,
            server_frame::Frame::Presence(update) => told.extend(update.users),
            other => panic!("{other:?}"),
        }
    }
}

async fn told(client: &mut Client, count: usize) -> Vec<UserPresence> {
    let mut users = Vec::new();
    while users.len() < count {
        match client.receive().await {
            server_frame::Frame::Presence(update) => users.extend(update.users),
            other => panic!("{other:?}"),
        }
    }
    users
}

#[tokio::test(flavor = "multi_thread")]
async fn many_watch_and_the_shard_is_asked_once() {
    let world = World::start().await;
    let _bob = world.session("bob", "phone").await;
    let mut clients = Vec::new();
    for number in 0..8 {
        let mut client = world.session("alice", &format!("device-{number}")).await;
        assert_eq!(watch(&mut client, &["bob"], &mut Vec::new()).await.code, 0);
        let users = told(&mut client, 1).await;
        assert_eq!((users[0].user.as_str(), users[0].state()), ("bob", State::Online));
        clients.push(client);
    }
    assert_eq!(world.cluster.presence_frames.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_looks_shards_are_asked_nothing_and_clients_told_nothing() {
    let world = World::start().await;
    let mut alice = world.session("alice", "phone").await;
    for _ in 0..5 {
        drop(world.session("bob", "phone").await);
    }
    alice.expect_alive().await;
    world.cluster.move_leaders(2);
    alice.send_text(1, 0, "bob", "hello").await;
    alice.expect_accepted(1).await;
    assert_eq!(world.cluster.presence_frames.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_leader_is_asked_for_what_is_watched_and_the_client_hears_only_news() {
    let world = World::start().await;
    let mut alice = world.session("alice", "phone").await;
    assert_eq!(watch(&mut alice, &["bob"], &mut Vec::new()).await.code, 0);
    assert_eq!(told(&mut alice, 1).await[0].state(), State::Offline);
    let before = world.cluster.presence_frames.load(Ordering::SeqCst);
    world.cluster.move_leaders(2);
    world.cluster.break_links();
    until("the new leader is asked", || world.cluster.presence_frames.load(Ordering::SeqCst) > before).await;
    // Its answer is what the client knows already.
    alice.expect_alive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_at_its_limit_of_watched_users_refuses_further_ones() {
    let world = World::with(GatewayConfig { presence_watched: 2, ..config() }).await;
    let mut alice = world.session("alice", "phone").await;
    let mut told = Vec::new();
    assert_eq!(watch(&mut alice, &["bob", "carol"], &mut told).await.code, 0);
    let refused = watch(&mut alice, &["bob", "dave"], &mut told).await;
    assert_eq!(refused.code(), ErrorCode::Overloaded);
    assert!(refused.retry_after_ms.is_some());
    assert_eq!(watch(&mut alice, &["carol"], &mut told).await.code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_hides_a_user_holds_for_those_who_watch_already() {
    let world = World::start().await;
    let _bob = world.session("bob", "phone").await;
    let mut alice = world.session("alice", "phone").await;
    assert_eq!(watch(&mut alice, &["bob"], &mut Vec::new()).await.code, 0);
    assert_eq!(told(&mut alice, 1).await[0].state(), State::Online);
    let hidden = Policy { presence_audience: Audience::Nobody as i32, ..Policy::default() };
    world.directory.set_policy("shy", hidden);
    world.directory.assign("bob", "shy");
    assert_eq!(told(&mut alice, 1).await[0].state(), State::Unknown);
    world.directory.set_policy("shy", Policy::default());
    assert_eq!(told(&mut alice, 1).await[0].state(), State::Online);
}
