//! Large groups on one node: who is away reads later from the timeline, in the one order of all, also when the node
//! dies, when members come and go meanwhile, and when the group becomes small and large again (promises 2 and 3).

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use tidings_proto::policy::v1::Policy;
use tidings_sdk::{Client, ErrorCode, SendError};
use tidings_tests::group_view::GroupView;
use tidings_tests::{Control, DEADLINE, Node, RawClient, within};

/// Groups are large ones beyond so many members.
const BEYOND: u32 = 5;

async fn beyond(control: &Control, members: u32) {
    let policy = Policy { id: "default".to_owned(), large_group_members: Some(members), ..Policy::default() };
    control.set_policy(policy, &["large_group_members"]).await;
}

/// The same, and waits until somebody's gateway goes by it: by then it refuses what is larger than this too.
async fn beyond_at_gateway(control: &Control, members: u32, client: &Client, bytes: u32) {
    let (large_group_members, max_message_bytes) = (Some(members), Some(bytes));
    let policy = Policy { id: "default".to_owned(), large_group_members, max_message_bytes, ..Policy::default() };
    control.set_policy(policy, &["large_group_members", "max_message_bytes"]).await;
    within(DEADLINE, "the gateway goes by it", async {
        loop {
            let sending = client.send("carol", "y".repeat(bytes as usize)).await.unwrap();
            if let Err(SendError::Refused { code: ErrorCode::TooLarge, .. }) = sending.sent().await {
                return;
            }
        }
    })
    .await;
}

async fn online(node: &Node, token: &str) -> (Client, GroupView) {
    let (client, events) = node.client(token, "phone").connect().unwrap();
    within(DEADLINE, "it is online", client.online()).await.unwrap();
    (client, GroupView::of(events))
}

/// Says numbered things, many at a time.
async fn talk(client: &Client, who: &str, numbers: std::ops::Range<u32>) -> Vec<String> {
    let texts: Vec<_> = numbers.map(|number| format!("{who} {number}")).collect();
    let mut sendings = Vec::new();
    for text in &texts {
        sendings.push(client.send_to_group("team", text.clone()).await.unwrap());
    }
    for sending in sendings {
        within(DEADLINE, "it is sent", sending.sent()).await.unwrap();
    }
    texts
}

/// A user who was online once, in the group, and is away now; answers how many places it has already.
async fn naps(node: &Node, token: &str, seen: &str) -> usize {
    let (client, view) = online(node, token).await;
    view.until_said(seen).await;
    client.close().await;
    view.places().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_who_are_away_catch_up_through_joins_leaves_deaths_and_the_threshold() {
    let mut node = Node::start().await;
    let control = node.control().await;
    beyond(&control, BEYOND).await;
    let mut tokens = std::collections::BTreeMap::new();
    for user in ["alice", "bob", "nap", "away", "gone", "late", "extra", "never"] {
        tokens.insert(user, control.user(user).await);
    }
    control.group("team", &["alice", "bob", "nap", "away", "gone", "extra", "never"]).await;
    let (alice, whole) = online(&node, &tokens["alice"]).await;
    let (bob, bob_sees) = online(&node, &tokens["bob"]).await;
    let mut accepted = talk(&alice, "first", 0..1).await;
    let had = naps(&node, &tokens["nap"], "first 0").await;
    let seen_by = |user: &str| whole.seen_by(user).split_off(if user == "nap" { had } else { 0 });

    let (one, two) = tokio::join!(talk(&alice, "alice", 0..150), talk(&bob, "bob", 0..150));
    accepted.extend(one.into_iter().chain(two));
    whole.until_said("bob 149").await;
    whole.until_said("alice 149").await;
    // A copy for each would be 300 and more. What is left comes as it is acknowledged.
    let (_, welcome) = RawClient::attached(node.gateway_address(), &tokens["extra"], "raw", None).await;
    assert!((1..=256).contains(&welcome.tail), "{}", welcome.tail);
    control.remove("team", &["gone"]).await;
    control.add("team", &["late"]).await;
    let talking = tokio::spawn({
        let alice = alice.clone();
        async move { talk(&alice, "again", 0..150).await }
    });
    node.restart_after_kill9().await;
    accepted.extend(within(DEADLINE * 2, "all of it is sent", talking).await.unwrap());

    // Small at four: a copy for each from here on, also for those who have not read the rest.
    control.remove("team", &["extra", "never", "late"]).await;
    accepted.extend(talk(&bob, "few", 0..50).await);
    // Large again.
    control.add("team", &["late", "extra", "gone"]).await;
    accepted.extend(talk(&bob, "many", 0..50).await);
    node.restart_after_kill9().await;
    accepted.extend(talk(&alice, "the end", 0..1).await);

    whole.until_said("the end 0").await;
    whole.assert_whole();
    whole.assert_said_once(&accepted);
    let mut views = vec![("bob", bob_sees)];
    let mut clients = Vec::new();
    for user in ["nap", "away", "gone", "late", "extra", "never"] {
        let (client, view) = online(&node, &tokens[user]).await;
        clients.push(client);
        views.push((user, view));
    }
    for (user, view) in &views {
        let expected = seen_by(user);
        let last = expected.last().unwrap().seq;
        view.until(&format!("{user} has the last of it"), |place| place.seq == last).await;
        assert_eq!(view.places(), expected, "{user}");
    }
    // Whoever has caught up hears the next at once, in a mailbox that has no more of the others.
    talk(&alice, "afterwards", 0..1).await;
    whole.until_said("afterwards 0").await;
    for user in ["bob", "nap", "away", "gone", "late", "extra"] {
        let view = &views.iter().find(|(name, _)| *name == user).unwrap().1;
        view.until_said("afterwards 0").await;
        assert_eq!(view.places(), seen_by(user), "{user}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_the_policy_holds_for_groups_that_are_there() {
    let node = Node::start().await;
    let control = node.control().await;
    let tokens = [control.user("alice").await, control.user("bob").await, control.user("carol").await];
    control.group("team", &["alice", "bob", "carol"]).await;
    let (alice, whole) = online(&node, &tokens[0]).await;
    let mut accepted = talk(&alice, "a copy each", 0..100).await;
    beyond_at_gateway(&control, 2, &alice, 4_000).await;
    accepted.extend(talk(&alice, "from the timeline", 0..400).await);
    let (_, welcome) = RawClient::attached(node.gateway_address(), &tokens[1], "raw", None).await;
    // Bob's copies from before, and none behind: too much waits.
    assert!((101..=300).contains(&welcome.tail), "{}", welcome.tail);
    beyond_at_gateway(&control, 100, &alice, 2_000).await;
    accepted.extend(talk(&alice, "a copy each again", 0..100).await);
    whole.until_said("a copy each again 99").await;
    whole.assert_said_once(&accepted);
    for (user, token) in [("bob", &tokens[1]), ("carol", &tokens[2])] {
        let (_client, view) = online(&node, token).await;
        view.until_said("a copy each again 99").await;
        assert_eq!(view.places(), whole.seen_by(user), "{user}");
    }
}
