//! What members of a group are told while they are online, and nobody else.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use tidings_proto::client::v1::{Ping, Pong, client_frame, server_frame};
use tidings_sdk::{Activity, Event, Events, activity};
use tidings_tests::raw::Came;
use tidings_tests::{DEADLINE, Node, RawClient, told, within};

async fn heard(events: &mut Events) -> Activity {
    told(events, "an activity comes", |event| if let Event::Activity(activity) = event { Some(activity) } else { None })
        .await
}

#[tokio::test]
async fn members_who_are_online_hear_who_comes_types_and_goes_and_nobody_else_can_say_so() {
    let node = Node::start().await;
    let control = node.control().await;
    let mut tokens = Vec::new();
    for user in ["alice", "bob", "carol", "eve"] {
        tokens.push(control.user(user).await);
    }
    control.group("team", &["alice", "bob", "carol"]).await;
    let (alice, _alice_events) = node.online(&tokens[0], "phone").await;
    let (_bob, mut bob_events) = node.online(&tokens[1], "phone").await;
    let (eve, _eve_events) = node.online(&tokens[3], "phone").await;
    let (_carol, mut carol_events) = node.online(&tokens[2], "phone").await;
    // The home knows the group when a message has come.
    within(DEADLINE, "it is sent", async { alice.send_to_group("team", "hi").await.unwrap().sent().await })
        .await
        .unwrap();
    eve.activity_in_group("team", activity::Kind::Typing, "let me in").await.unwrap();
    // Behind it on the same link: what it caused, if anything, comes first.
    for kind in [activity::Kind::Joined, activity::Kind::Typing, activity::Kind::Idle, activity::Kind::Left] {
        alice.activity_in_group("team", kind, "").await.unwrap();
        let (from, group) = ("alice".to_owned(), "team".to_owned());
        let expected = Activity { from, group, kind: kind.into(), ..Activity::default() };
        for events in [&mut bob_events, &mut carol_events] {
            assert_eq!(heard(events).await, expected);
        }
    }
}

#[tokio::test]
async fn an_activity_for_nobody_ends_the_connection_and_one_for_a_stranger_s_group_does_not() {
    let node = Node::start().await;
    let alice = node.control().await.user("alice").await;
    let (mut raw, _) = RawClient::attached(node.gateway_address(), &alice, "raw", None).await;
    let activity = |to: &str, group: &str| {
        let (to, group) = (to.to_owned(), group.to_owned());
        client_frame::Frame::Activity(Activity { to, group, ..Activity::default() })
    };
    raw.write(activity("", "no-such-group")).await;
    raw.write(client_frame::Frame::Ping(Ping { nonce: 1 })).await;
    assert!(matches!(raw.next().await, Came::Frame(server_frame::Frame::Pong(Pong { nonce: 1 }))));
    raw.write(activity("bob", "team")).await;
    let (code, _) = raw.closed().await;
    assert_eq!(code, Some(tidings_proto::ErrorCode::FrameMalformed.into()));
}
