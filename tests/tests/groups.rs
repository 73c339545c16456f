//! Groups on one node: one order for all members, from joining to leaving; who may do what; refusals with their
//! reasons.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use tidings_proto::control::v1::{CreateGroupRequest, Group, Invite, Member};
use tidings_proto::group::v1::{Kind as GroupKind, Role};
use tidings_sdk::group_event::Kind;
use tidings_sdk::{Client, ErrorCode, RequestError, SendError};
use tidings_tests::group_kinds::DeskAndRadio;
use tidings_tests::group_view::{GroupView, What};
use tidings_tests::{Node, RawClient};

async fn online(node: &Node, token: &str) -> (Client, GroupView) {
    let (client, events) = node.client(token, "phone").connect().unwrap();
    client.online().await.unwrap();
    (client, GroupView::of(events))
}

async fn say(client: &Client, group: &str, text: &str) -> Result<(), ErrorCode> {
    match client.send_to_group(group, text).await.unwrap().sent().await {
        Ok(_) => Ok(()),
        Err(SendError::Refused { code, .. }) => Err(code),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_online_and_offline_see_one_order_from_joining_to_leaving() {
    let node = Node::start().await;
    let control = node.control().await;
    let mut tokens = Vec::new();
    for user in ["alice", "bob", "carol", "dave"] {
        tokens.push(control.user(user).await);
    }
    let (alice, alice_sees) = online(&node, &tokens[0]).await;
    let (bob, bob_sees) = online(&node, &tokens[1]).await;
    let (dave, dave_sees) = online(&node, &tokens[3]).await;
    // A second device of bob's sees the same.
    let (tablet, events) = node.client(&tokens[1], "tablet").connect().unwrap();
    tablet.online().await.unwrap();
    let tablet_sees = GroupView::of(events);
    control.group("team", &["alice", "bob", "carol"]).await;

    let mut accepted = Vec::new();
    let (from_alice, from_bob) = tokio::join!(talk(&alice, "alice"), talk(&bob, "bob"));
    accepted.extend(from_alice.into_iter().chain(from_bob));
    assert_eq!(say(&dave, "team", "let me in").await, Err(ErrorCode::NotAMember));
    control.add("team", &["dave"]).await;
    // At once: the home may not have heard of it, but the sender has.
    assert_eq!(say(&dave, "team", "thanks").await, Ok(()));
    control.remove("team", &["bob"]).await;
    bob_sees.until("bob is told", |place| place.what == What::Happened(Kind::Removed, vec!["bob".to_owned()])).await;
    assert_eq!(say(&bob, "team", "one more thing").await, Err(ErrorCode::NotAMember));
    assert_eq!(say(&alice, "team", "the end").await, Ok(()));

    let (_carol, carol_sees) = online(&node, &tokens[2]).await;
    for view in [&alice_sees, &carol_sees, &dave_sees] {
        view.until_said("the end").await;
    }
    alice_sees.assert_whole();
    alice_sees.assert_said_once(&accepted);
    for (user, view) in [("carol", &carol_sees), ("bob", &bob_sees), ("bob", &tablet_sees), ("dave", &dave_sees)] {
        let expected = alice_sees.seen_by(user);
        let last = expected.last().unwrap().seq;
        view.until("the last that is for this member", |place| place.seq == last).await;
        assert_eq!(view.places(), expected, "{user}");
    }
}

/// Says twenty things, several at a time; answers those that were accepted.
async fn talk(client: &Client, who: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let mut sendings = Vec::new();
    for number in 0..20 {
        let text = format!("{who} {number}");
        sendings.push(client.send_to_group("team", text.clone()).await.unwrap());
        texts.push(text);
    }
    for sending in sendings {
        sending.sent().await.unwrap();
    }
    texts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_create_join_add_and_leave_by_themselves() {
    let node = Node::start().await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    control.user("carol").await;
    let (alice, alice_sees) = online(&node, &alice).await;
    let (bob, bob_sees) = online(&node, &bob).await;
    let made = alice.create_group("club", "The club", []).await.unwrap();
    assert_eq!(made.group.unwrap().display_name, "The club");
    assert_eq!(say(&alice, "club", "nobody here").await, Ok(()));

    let refused = bob.group("club").await;
    assert!(matches!(refused, Err(RequestError::Refused { code: ErrorCode::NotFound, .. })), "{refused:?}");
    let invite = Invite { group: "club".to_owned(), code: "welcome".to_owned(), ..Invite::default() };
    control.invite(invite).await;
    let joined = bob.join_group("welcome").await.unwrap();
    assert_eq!(joined.group.unwrap().id, "club");
    assert_eq!(say(&bob, "club", "hello").await, Ok(()));
    assert_eq!(bob.groups(0, "").await.unwrap().groups.len(), 1);
    let refused = bob.add_to_group("club", ["carol".to_owned()]).await;
    assert!(matches!(refused, Err(RequestError::Refused { code: ErrorCode::PermissionDenied, .. })), "{refused:?}");
    alice.add_to_group("club", ["carol".to_owned()]).await.unwrap();
    let members = bob.group_members("club", 2, "").await.unwrap();
    assert_eq!(members.members.len(), 2);
    let rest = bob.group_members("club", 2, members.next_page_token).await.unwrap();
    assert_eq!((rest.members.len(), rest.next_page_token.as_str()), (1, ""));
    bob.leave_group("club").await.unwrap();
    alice_sees.until("bob left", |place| place.what == What::Happened(Kind::Left, vec!["bob".to_owned()])).await;
    assert_eq!(say(&bob, "club", "and another thing").await, Err(ErrorCode::NotAMember));
    bob_sees.until("bob left", |place| place.what == What::Happened(Kind::Left, vec!["bob".to_owned()])).await;
    assert_eq!(bob_sees.texts(), ["hello"], "what was said before is not for who joins");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kind_of_a_group_and_a_pause_say_who_may_send() {
    let node = Node::start().await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let group = Group { id: "news".to_owned(), kind: GroupKind::Announcement.into(), ..Group::default() };
    let member = |user: &str, role: Role| Member { user: user.to_owned(), role: role.into(), ..Member::default() };
    let members = vec![member("alice", Role::Owner), member("bob", Role::Member)];
    let request = CreateGroupRequest { group: Some(group.clone()), members };
    control.groups.clone().create_group(request).await.unwrap();
    let (alice, _) = online(&node, &alice).await;
    let (bob, bob_sees) = online(&node, &bob).await;
    bob_sees.until("the group is there", |place| matches!(place.what, What::Happened(Kind::Created, _))).await;
    assert_eq!(say(&bob, "news", "me too").await, Err(ErrorCode::PermissionDenied));
    assert_eq!(say(&alice, "news", "it rains").await, Ok(()));
    bob_sees.until_said("it rains").await;

    control.set_group(Group { kind: GroupKind::Normal.into(), ..group.clone() }, &["kind"]).await;
    bob_sees.until("the kind changed", |place| matches!(place.what, What::Happened(Kind::Settings, _))).await;
    assert_eq!(say(&bob, "news", "so it does").await, Ok(()));
    let before = bob_sees.places().len();
    control.set_group(Group { paused: true, ..group.clone() }, &["paused"]).await;
    bob_sees
        .until("it was paused", |place| place.seq as usize > before && matches!(place.what, What::Happened(..)))
        .await;
    assert_eq!(say(&bob, "news", "hello?").await, Err(ErrorCode::GroupPaused));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_desk_takes_turns_and_a_radio_has_listeners_before_and_after_a_crash() {
    let mut node = Node::start().await;
    let client = async |token: &str| {
        let (client, events) = node.client(token, "phone").connect().unwrap();
        client.online().await.unwrap();
        (client, events)
    };
    let mut desk = DeskAndRadio::open(&node.control().await, client).await;
    desk.calls_and_speaks().await;
    node.restart_after_kill9().await;
    desk.calls_and_speaks().await;
    desk.who_may_not_send_is_refused().await;
}

#[tokio::test]
async fn nonsense_is_refused_and_the_connection_goes_on() {
    let node = Node::start().await;
    let control = node.control().await;
    let alice = control.user("alice").await;
    let (mut raw, _) = RawClient::attached(node.gateway_address(), &alice, "raw", None).await;
    let send = |seq, to: &str, group: String, ttl_ms| tidings_proto::client::v1::Send {
        seq,
        to: to.to_owned(),
        group,
        content: Some(tidings_sdk::Content::default()),
        ttl_ms,
        ..Default::default()
    };
    let cases = [
        (send(1, "bob", "team".to_owned(), None), ErrorCode::InvalidArgument),
        (send(2, "", "x".repeat(64), None), ErrorCode::InvalidArgument),
        (send(3, "", "team".to_owned(), Some(0)), ErrorCode::NotAMember),
        (send(4, "", "team".to_owned(), None), ErrorCode::NotAMember),
    ];
    for (send, code) in cases {
        let seq = send.seq;
        raw.write(tidings_proto::client::v1::client_frame::Frame::Send(send)).await;
        assert_eq!(raw.answer().await, (seq, Some(code)));
    }
}
