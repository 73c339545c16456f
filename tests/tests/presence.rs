//! Presence and activity over real connections: who watches is told of coming, going and typing, within the limits, and
//! where nobody looks nothing is said.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::time::Duration;

use bytes::Bytes;
use tidings_node::Clock;
use tidings_proto::client::v1::user_presence::State;
use tidings_proto::client::v1::{
    PresenceUpdate, Request, Response, WatchPresence, client_frame, request, server_frame,
};
use tidings_proto::message::v1::{Activity, Block, Envelope, activity, envelope};
use tidings_proto::policy::v1::{Audience, Policy};
use tidings_sdk::{ErrorCode, Event, Events, UserPresence};
use tidings_tests::raw::Came;
use tidings_tests::settings::block;
use tidings_tests::{DEADLINE, Node, RawClient, within};

/// Users go offline soon.
const QUICKLY: [&str; 2] = ["broker.presence_grace_ms=300", "broker.presence_interval_ms=100"];
const MOST_WATCHED: usize = 200;
/// In which a policy is in effect.
const A_SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_watcher_sees_users_come_go_and_type() {
    let node = Node::start_with(&QUICKLY).await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let (alice, mut events) = node.client(&alice, "phone").connect().unwrap();
    alice.watch_presence(["bob", "nobody"]).await.unwrap();
    let mut first = [presence(&mut events).await, presence(&mut events).await];
    first.sort_by(|one, other| one.user.cmp(&other.user));
    for (user, expected) in first.iter().zip(["bob", "nobody"]) {
        assert_eq!((user.user.as_str(), user.state(), user.last_seen_ms), (expected, State::Offline, 0));
    }

    let (phone, _phone_events) = node.client(&bob, "phone").connect().unwrap();
    let online = presence(&mut events).await;
    assert_eq!((online.user.as_str(), online.state()), ("bob", State::Online));
    let (laptop, _laptop_events) = node.client(&bob, "laptop").connect().unwrap();
    laptop.online().await.unwrap();
    phone.close().await;
    laptop.activity("alice", activity::Kind::Typing, Bytes::new()).await.unwrap();
    // The second device was no news, nor that the first one went.
    let typing = next_told(&mut events).await;
    let expected =
        Activity { from: "bob".into(), to: "alice".into(), kind: activity::Kind::Typing.into(), ..Activity::default() };
    assert!(matches!(typing, Event::Activity(typing) if typing == expected));
    laptop.close().await;
    let offline = presence(&mut events).await;
    assert_eq!((offline.user.as_str(), offline.state()), ("bob", State::Offline));
    assert!(offline.last_seen_ms > 0);
}

#[tokio::test]
async fn one_who_is_blocked_from_a_profile_knows_nothing_of_it_and_others_do() {
    let mut node = Node::start_with(&QUICKLY).await;
    let control = node.control().await;
    let tokens = [control.user("bob").await, control.user("eve").await, control.user("carol").await];
    let (bob, _bob_events) = node.online(&tokens[0], "phone").await;
    let mut watchers = Vec::new();
    for token in &tokens[1..] {
        let (watcher, mut events) = node.online(token, "phone").await;
        watcher.watch_presence(["bob"]).await.unwrap();
        assert_eq!(presence(&mut events).await.state(), State::Online);
        watchers.push((watcher, events));
    }
    block(&bob, "eve", &[Block::Profile, Block::Messages]).await;
    let (eve, carol) = {
        let [(_, eve), (_, carol)] = &mut watchers[..] else { unreachable!() };
        (eve, carol)
    };
    let hidden = presence(eve).await;
    assert_eq!((hidden.user.as_str(), hidden.state(), hidden.last_seen_ms), ("bob", State::Unknown, 0));

    // It is remembered through a crash; that he comes back is told to carol at most.
    node.restart_after_kill9().await;
    within(DEADLINE, "bob is back", bob.online()).await.unwrap();
    let (later, mut events) = node.online(&tokens[1], "laptop").await;
    later.watch_presence(["bob"]).await.unwrap();
    assert_eq!(presence(&mut events).await.state(), State::Unknown, "another device of hers");
    block(&bob, "eve", &[Block::Messages]).await;
    for events in [eve, &mut events] {
        // Told once more that he hides, on the connection after the crash.
        while presence(events).await.state() != State::Online {}
    }
    bob.close().await;
    loop {
        let told = presence(carol).await;
        assert_ne!(told.state(), State::Unknown, "he never hid from carol");
        if told.state() == State::Offline {
            return;
        }
    }
}

#[tokio::test]
async fn a_policy_hides_its_users_within_a_second_and_says_how_finely_others_are_seen() {
    let node = Node::start_with(&QUICKLY).await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let (alice, mut events) = node.client(&alice, "phone").connect().unwrap();
    let (bob, _bob_events) = node.client(&bob, "phone").connect().unwrap();
    bob.online().await.unwrap();
    alice.watch_presence(["bob"]).await.unwrap();
    assert_eq!(presence(&mut events).await.state(), State::Online);

    let shy = Policy { id: "shy".into(), presence_audience: Audience::Nobody.into(), ..Policy::default() };
    control.create_policy(shy.clone()).await;
    control.assign_policy("bob", "shy").await;
    let hidden = within(A_SECOND, "bob is hidden", presence(&mut events)).await;
    assert_eq!((hidden.user.as_str(), hidden.state(), hidden.last_seen_ms), ("bob", State::Unknown, 0));
    bob.close().await;
    let by_hours = Policy { presence_audience: Audience::All.into(), last_seen_round_seconds: Some(3_600), ..shy };
    // Long enough to count as offline; that he went is told to nobody.
    let quiet = tokio::time::timeout(Duration::from_secs(1), next_told(&mut events)).await;
    assert!(quiet.is_err(), "{quiet:?}");
    control.set_policy(by_hours, &["presence_audience", "last_seen_round_seconds"]).await;
    let seen = within(A_SECOND, "bob is seen again", presence(&mut events)).await;
    assert_eq!((seen.state(), seen.last_seen_ms % 3_600_000), (State::Offline, 0));
    assert!(seen.last_seen_ms > 0);
}

#[tokio::test]
async fn when_one_was_last_seen_is_told_by_the_minute_or_as_the_policy_says() {
    let node = Node::start_with(&QUICKLY).await;
    let control = node.control().await;
    let by_seconds = Policy { id: "seconds".into(), last_seen_round_seconds: Some(1), ..Policy::default() };
    control.create_policy(by_seconds).await;
    let (watcher, mut events) = node.online(&control.user("watcher").await, "phone").await;
    for (user, policy, step_ms) in [("bob", "", 60_000), ("carol", "seconds", 1_000)] {
        let token = control.user(user).await;
        control.assign_policy(user, policy).await;
        watcher.watch_presence([user]).await.unwrap();
        let (client, _events) = node.online(&token, "phone").await;
        while presence(&mut events).await.state() != State::Online {}
        let left_ms = Clock::system().now_ms();
        client.close().await;
        let seen = presence(&mut events).await;
        assert_eq!((seen.user.as_str(), seen.state(), seen.last_seen_ms % step_ms), (user, State::Offline, 0));
        let there = left_ms - step_ms..=Clock::system().now_ms();
        assert!(there.contains(&seen.last_seen_ms), "{user}: {} is not in {there:?}", seen.last_seen_ms);
    }
}

#[tokio::test]
async fn activities_of_every_kind_come_as_they_were_told() {
    let node = Node::start().await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let (alice, _alices) = node.online(&alice, "phone").await;
    let (_bob, mut bobs) = node.online(&bob, "phone").await;
    let kinds = [
        (activity::Kind::Joined, ""),
        (activity::Kind::Typing, "a photo"),
        (activity::Kind::Idle, ""),
        (activity::Kind::Custom, "dances"),
        (activity::Kind::Left, ""),
    ];
    for (kind, data) in kinds {
        alice.activity("bob", kind, data).await.unwrap();
        let (from, to, data) = ("alice".into(), "bob".into(), Bytes::from(data));
        let expected = Activity { from, to, kind: kind.into(), data, ..Activity::default() };
        let told = next_told(&mut bobs).await;
        assert!(matches!(&told, Event::Activity(activity) if *activity == expected), "{told:?}");
    }
}

#[tokio::test]
async fn watched_users_are_limited_and_hostile_requests_are_refused() {
    let node = Node::start().await;
    let token = node.control().await.user("alice").await;
    let (mut client, _) = RawClient::attached(node.gateway_address(), &token, "phone", None).await;
    let users = |count: usize| (0..count).map(|number| format!("user-{number}")).collect::<Vec<_>>();
    assert_eq!(watch(&mut client, users(MOST_WATCHED)).await.code, 0);
    assert_eq!(watch(&mut client, users(MOST_WATCHED + 1)).await.code(), ErrorCode::InvalidArgument);
    for name in ["", "a\0b", &"x".repeat(64)] {
        assert_eq!(watch(&mut client, vec![name.to_owned()]).await.code(), ErrorCode::InvalidArgument);
    }
    // The same user many times is one user.
    assert_eq!(watch(&mut client, vec!["bob".to_owned(); MOST_WATCHED]).await.code, 0);
    let limited = within(DEADLINE, "too many changes of the watch", async {
        loop {
            let answer = watch(&mut client, users(1)).await;
            if answer.code != 0 {
                return answer;
            }
        }
    });
    let limited = limited.await;
    assert_eq!(limited.code(), ErrorCode::RateLimited);
    assert!(limited.retry_after_ms.is_some());

    for (to, bytes) in [("", 0), ("bob", 257)] {
        let (mut client, _) = RawClient::attached(node.gateway_address(), &token, "phone", None).await;
        let activity = Activity { to: to.into(), data: vec![0; bytes].into(), ..Activity::default() };
        client.write(client_frame::Frame::Activity(activity)).await;
        assert_eq!(client.closed().await.0, Some(ErrorCode::FrameMalformed as i32), "to {to:?}, {bytes} bytes");
    }
}

#[tokio::test]
async fn activity_cannot_be_sent_in_the_name_of_another_and_a_flood_of_it_is_dropped() {
    let node = Node::start().await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let (mut bob, _) = RawClient::attached(node.gateway_address(), &bob, "phone", None).await;
    let (mut alice, _) = RawClient::attached(node.gateway_address(), &alice, "phone", None).await;
    for number in 0..500u32 {
        let data = Bytes::from(vec![7; 256]);
        let activity =
            Activity { from: "carol".into(), to: "bob".into(), kind: number as i32, data, ..Activity::default() };
        alice.write(client_frame::Frame::Activity(activity)).await;
    }
    alice.send(1, 0, "bob", "done").await;
    let mut came = 0;
    loop {
        match bob.next().await {
            Came::Frame(server_frame::Frame::Transient(transient)) => {
                assert!(
                    matches!(transient.envelope, Some(Envelope { event: Some(envelope::Event::Activity(activity)) })
                    if activity.from == "alice" && activity.data.len() == 256)
                );
                came += 1;
            }
            Came::Frame(server_frame::Frame::Deliver(_)) => break,
            other => panic!("{other:?}"),
        }
    }
    assert!((1..=60).contains(&came), "{came} of a burst of 20 and 5 a second came");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_coming_and_going_costs_a_watcher_two_frames_a_second_and_a_bystander_none() {
    const USERS: usize = 40;
    let node = Node::start_with(&QUICKLY).await;
    let control = node.control().await;
    let address = node.gateway_address();
    let (watcher, bystander) = (control.user("watcher").await, control.user("bystander").await);
    let mut tokens = Vec::new();
    for number in 0..USERS {
        tokens.push(control.user(&format!("user-{number}")).await);
    }
    let (mut bystander, _) = RawClient::attached(address, &bystander, "phone", None).await;
    let (mut watcher, _) = RawClient::attached(address, &watcher, "phone", None).await;
    let names: Vec<String> = (0..USERS).map(|number| format!("user-{number}")).collect();
    assert_eq!(watch(&mut watcher, names).await.code, 0);

    let started = std::time::Instant::now();
    let (storm, mut frames, mut online) = (tokio::spawn(storm(address, tokens)), 0, std::collections::BTreeSet::new());
    let staying = within(DEADLINE, "the watcher knows that all are online", async {
        while online.len() < USERS || !storm.is_finished() {
            let Ok(came) = tokio::time::timeout(Duration::from_millis(100), watcher.next()).await else { continue };
            let Came::Frame(server_frame::Frame::Presence(update)) = came else { panic!("{came:?}") };
            frames += 1;
            for user in update.users {
                if user.state() == State::Online {
                    online.insert(user.user)
                } else {
                    online.remove(&user.user)
                };
            }
        }
        storm.await.unwrap()
    })
    .await;
    let seconds = started.elapsed().as_secs_f64();
    println!("{frames} frames in {seconds:.1} s");
    assert!(f64::from(frames) <= seconds * 2.0 + 2.0, "{frames} frames in {seconds} s");
    drop(staying);

    bystander.write(client_frame::Frame::Ping(tidings_proto::client::v1::Ping { nonce: 7 })).await;
    assert!(matches!(bystander.next().await, Came::Frame(server_frame::Frame::Pong(_))), "nothing came before");
}

/// Each user comes and goes ten times, and stays.
async fn storm(address: std::net::SocketAddr, tokens: Vec<String>) -> Vec<RawClient> {
    let mut clients = Vec::new();
    for token in tokens {
        clients.push(tokio::spawn(async move {
            for _ in 0..10 {
                drop(RawClient::attached(address, &token, "phone", None).await);
            }
            RawClient::attached(address, &token, "phone", None).await.0
        }));
    }
    let mut staying = Vec::new();
    for client in clients {
        staying.push(client.await.unwrap());
    }
    staying
}

async fn watch(client: &mut RawClient, users: Vec<String>) -> Response {
    let request = Some(request::Request::WatchPresence(WatchPresence { users }));
    client.write(client_frame::Frame::Request(Request { id: 1, request })).await;
    loop {
        match client.next().await {
            Came::Frame(server_frame::Frame::Response(response)) => return response,
            Came::Frame(server_frame::Frame::Presence(PresenceUpdate { .. })) => {}
            other => panic!("no answer but {other:?}"),
        }
    }
}

async fn next_told(events: &mut Events) -> Event {
    within(DEADLINE, "something is told of a user", async {
        loop {
            let event = events.next().await.expect("the client goes on");
            if matches!(event, Event::Presence(_) | Event::Activity(_)) {
                return event;
            }
        }
    })
    .await
}

async fn presence(events: &mut Events) -> UserPresence {
    match next_told(events).await {
        Event::Presence(user) => user,
        other => panic!("{other:?}"),
    }
}
