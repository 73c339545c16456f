//! Groups that users make and run themselves, through both gateways and any node of the control plane, while a broker
//! and the control plane's leader die: every member sees one order, and who may not is refused with the reason. Who
//! types is told across gateways.

use std::time::Duration;

use serde_json::{Value, json};
use tidings_audit::LocalCluster;
use tidings_sdk::group::Permission;
use tidings_sdk::group_event::Kind;
use tidings_sdk::{Activity, Client, ErrorCode, Event, Events, Outgoing, activity};
use tidings_tests::answers::{done, sent};
use tidings_tests::group_kinds::DeskAndRadio;
use tidings_tests::group_life::Club;
use tidings_tests::group_view::{GroupView, What};
use tidings_tests::http::request;
use tidings_tests::{DEADLINE, within};

use super::support::{control, control_leader, leader_of, online, settled, start};

async fn say(client: &Client, text: &str) -> Result<(), ErrorCode> {
    sent(client, Outgoing::to_group("club", text)).await.map(drop)
}

/// The invitations of the group over REST, at any of the control plane's nodes: asked for, or one more made.
async fn invitations(cluster: &LocalCluster, node: usize, made: Option<Value>) -> Value {
    let address = cluster.control_plane(node).control_url()["http://".len()..].parse().unwrap();
    let key = format!("Bearer {}", cluster.operator_key().unwrap());
    let (method, body) = made.map_or(("GET", String::new()), |invite| ("POST", invite.to_string()));
    let headers = [("Authorization", key.as_str()), ("Content-Type", "application/json")];
    let path = "/v1/apps/default/groups/club/invites";
    let answer = request(address, method, path, &headers, body.as_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn happened(kind: Kind, user: &str) -> What {
    What::Happened(kind, vec![user.to_owned()])
}

/// Says what alice does, to bob or in a group, until bob hears it: it is told at most once.
async fn heard(bobs: &mut Events, group: &str, kind: activity::Kind, data: &str, alice: &Client) {
    let wanted = Activity {
        from: "alice".to_owned(),
        to: if group.is_empty() { "bob".to_owned() } else { String::new() },
        group: group.to_owned(),
        kind: kind.into(),
        data: data.as_bytes().to_vec().into(),
    };
    let hears = async |events: &mut Events| loop {
        if matches!(events.next().await, Some(Event::Activity(activity)) if activity == wanted) {
            return;
        }
    };
    within(DEADLINE, "bob hears it", async {
        loop {
            let told = match group {
                "" => alice.activity("bob", kind, data.to_owned()).await,
                group => alice.activity_in_group(group, kind, data.to_owned()).await,
            };
            told.unwrap();
            if tokio::time::timeout(Duration::from_secs(1), hears(&mut *bobs)).await.is_ok() {
                return;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_run_a_group_themselves_while_nodes_of_both_kinds_die() {
    let cluster = start().await;
    let operators = [control(&cluster, 0).await, control(&cluster, 1).await, control(&cluster, 2).await];
    let mut people = Vec::new();
    for (number, name) in ["alice", "bob", "carol", "dave"].into_iter().enumerate() {
        let token = operators[number % 3].user(name).await;
        let (client, events) = online(&cluster, number % 2, &token, "phone").await;
        people.push((client, GroupView::of(events)));
    }
    let [(alice, alice_sees), (bob, bob_sees), (carol, carol_sees), (dave, dave_sees)] = &people[..] else { panic!() };
    let made = within(DEADLINE, "it is made", alice.create_group("club", "The club", [])).await.unwrap();
    assert_eq!(made.group.unwrap().display_name, "The club");
    invitations(&cluster, 1, Some(json!({ "code": "for-two", "maxUses": 2 }))).await;
    within(DEADLINE, "bob joins", bob.join_group("for-two")).await.unwrap();
    assert_eq!(say(bob, "hello").await, Ok(()));
    let added = done(bob.add_to_group("club", ["carol".to_owned()])).await;
    assert_eq!(added.map(drop), Err(ErrorCode::PermissionDenied));

    // The home's broker and the control plane's leader die; their successors know who is in, and how often one came by
    // the code.
    let home = leader_of(&cluster, "club").await;
    let registry = control_leader(&cluster).await;
    home.kill9().unwrap();
    registry.kill9().unwrap();
    within(DEADLINE, "carol joins", carol.join_group("for-two")).await.unwrap();
    assert_eq!(say(carol, "me too").await, Ok(()));
    assert_eq!(done(dave.join_group("for-two")).await.map(drop), Err(ErrorCode::NotFound), "two came by it");
    assert_eq!(say(dave, "let me in").await, Err(ErrorCode::NotAMember));
    within(DEADLINE, "dave is added", alice.add_to_group("club", ["dave".to_owned()])).await.unwrap();
    assert_eq!(say(dave, "thanks").await, Ok(()));
    within(DEADLINE, "bob leaves", bob.leave_group("club")).await.unwrap();
    bob_sees.until("bob is told that he left", |place| place.what == happened(Kind::Left, "bob")).await;
    assert_eq!(say(bob, "and another thing").await, Err(ErrorCode::NotAMember));
    home.restart().await.unwrap();
    registry.restart().await.unwrap();
    settled(&cluster).await;

    for node in 0..3 {
        let known = invitations(&cluster, node, None).await;
        assert_eq!(
            (&known["invites"][0]["code"], &known["invites"][0]["uses"]),
            (&json!("for-two"), &json!(2)),
            "{known}"
        );
    }
    assert_eq!(done(dave.pause_group("club", true)).await.err(), Some(ErrorCode::PermissionDenied));
    let managing = alice.set_group_permissions("club", "dave", &[Permission::Manage], &[]);
    within(DEADLINE, "dave may manage", managing).await.unwrap();
    within(DEADLINE, "dave pauses it", dave.pause_group("club", true)).await.unwrap();
    let is_settings = |what: &What| matches!(what, What::Happened(Kind::Settings, _));
    alice_sees.until("it is paused", |place| is_settings(&place.what)).await;
    assert_eq!(say(carol, "hello?").await, Err(ErrorCode::GroupPaused));

    alice_sees.assert_whole();
    assert_eq!(alice_sees.texts(), ["hello", "me too", "thanks"]);
    for (name, view) in [("bob", bob_sees), ("carol", carol_sees), ("dave", dave_sees)] {
        let expected = alice_sees.seen_by(name);
        let last = expected.last().unwrap().seq;
        view.until(&format!("{name} has all of it"), |place| place.seq == last).await;
        assert_eq!(view.places(), expected, "{name}");
    }
    assert_eq!(done(dave.delete_group("club")).await.err(), Some(ErrorCode::PermissionDenied));
    within(DEADLINE, "its owner ends it", alice.delete_group("club")).await.unwrap();
    let is_over = |what: &What| matches!(what, What::Happened(Kind::Deleted, _));
    carol_sees.until("it is over", |place| is_over(&place.what)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_desk_takes_turns_a_radio_has_listeners_and_who_types_is_heard_before_and_after_a_death() {
    let cluster = start().await;
    let control = control(&cluster, 0).await;
    let mut gateway = 0;
    let client = async |token: &str| {
        gateway += 1;
        online(&cluster, gateway % 2, token, "phone").await
    };
    let mut desk = DeskAndRadio::open(&control, client).await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    control.group("pair", &["alice", "bob"]).await;
    let (alice, _alices) = online(&cluster, 0, &alice, "phone").await;
    let (_bob, mut bobs) = online(&cluster, 1, &bob, "phone").await;
    let kinds = [activity::Kind::Joined, activity::Kind::Typing, activity::Kind::Idle, activity::Kind::Left];
    for round in ["before", "after"] {
        if round == "after" {
            leader_of(&cluster, "desk").await.kill9().unwrap();
        }
        desk.calls_and_speaks().await;
        for kind in kinds {
            heard(&mut bobs, "", kind, round, &alice).await;
        }
        // The home knows the group when a message has come.
        let sending = alice.send_to_group("pair", round).await.unwrap();
        within(DEADLINE, "it is sent", sending.sent()).await.unwrap();
        for kind in kinds {
            heard(&mut bobs, "pair", kind, round, &alice).await;
        }
    }
    desk.who_may_not_send_is_refused().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn permissions_invitations_removals_and_the_end_of_a_group_hold_although_its_home_dies() {
    let cluster = start().await;
    let mut gateway = 0;
    let mut online = async |token: &str| {
        gateway += 1;
        online(&cluster, gateway % 2, token, "phone").await
    };
    let mut club = Club::open(&control(&cluster, 0).await, &mut online).await;
    club.members_are_changed().await;
    let home = leader_of(&cluster, "club").await;
    home.kill9().unwrap();
    club.members_may_what_the_group_says().await;
    club.settings_reach_who_was_away(&mut online).await;
    club.guests_come_by_invitation(&mut online).await;
    home.restart().await.unwrap();
    settled(&cluster).await;
    leader_of(&cluster, "club").await.kill9().unwrap();
    club.members_are_removed().await;
    club.comes_to_its_time().await;
    club.is_deleted(&mut online).await;
}
