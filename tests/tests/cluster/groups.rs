//! Groups on a cluster: joins, leaves and offline members while a broker dies in the middle; at the end every member's
//! view is the one order between joining and leaving (promises 1 to 3).

use std::time::Duration;

use tidings_audit::LocalCluster;
use tidings_proto::policy::v1::Policy;
use tidings_sdk::{Client, SendError};
use tidings_tests::group_view::GroupView;

use super::support::{client, control, settled, start};

/// Members from the beginning to the end, who send all the time.
const REGULARS: [&str; 4] = ["anna", "ben", "cleo", "dan"];
/// Members who are offline until the end.
const SLEEPERS: [&str; 3] = ["eva", "finn", "gil"];
/// Who come and go.
const GUESTS: [&str; 3] = ["hans", "ida", "jon"];

async fn online(cluster: &LocalCluster, token: &str) -> (Client, GroupView) {
    let (client, events) = client(cluster, token, "phone").connect().unwrap();
    (client, GroupView::of(events))
}

/// Says numbered things one after the other; answers what was accepted. A guest is refused while not a member.
async fn talk(client: Client, who: &'static str, count: usize) -> Vec<String> {
    let mut accepted = Vec::new();
    for number in 0..count {
        let text = format!("{who} {number}");
        match client.send_to_group("team", text.clone()).await.unwrap().sent().await {
            Ok(_) => accepted.push(text),
            Err(SendError::Refused { .. }) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(other) => panic!("{who}: {other}"),
        }
    }
    accepted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_order_for_all_through_joins_leaves_and_the_death_of_each_broker() {
    one_order_through_deaths(Policy::default()).await;
}

/// Seven members and up to two guests: it is a large group from the beginning to the end, and the sleepers read it from
/// the timelines of their shards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_group_has_one_order_through_joins_leaves_and_the_death_of_each_broker() {
    one_order_through_deaths(Policy { large_group_members: Some(5), ..Policy::default() }).await;
}

async fn one_order_through_deaths(policy: Policy) {
    let cluster = start().await;
    let control = control(&cluster, 0).await;
    control.set_policy(Policy { id: "default".to_owned(), ..policy }, &["large_group_members"]).await;
    let mut tokens = std::collections::BTreeMap::new();
    for user in REGULARS.iter().chain(&SLEEPERS).chain(&GUESTS) {
        tokens.insert(*user, control.user(user).await);
    }
    let founders: Vec<_> = REGULARS.iter().chain(&SLEEPERS).copied().collect();
    control.group("team", &founders).await;

    let mut views = Vec::new();
    let mut talks = Vec::new();
    let mut clients = Vec::new();
    for (users, count) in [(&REGULARS[..], 120), (&GUESTS[..], 60)] {
        for user in users {
            let (client, view) = online(&cluster, &tokens[user]).await;
            talks.push(tokio::spawn(talk(client.clone(), user, count)));
            clients.push(client);
            views.push((*user, view));
        }
    }
    for (round, guest) in GUESTS.iter().enumerate() {
        control.add("team", &[guest]).await;
        let at_home = views.iter().find(|(user, _)| user == guest).unwrap().1.clone();
        at_home.until("a guest hears that it joined", |_| true).await;
        cluster.broker(round).kill9().unwrap();
        control.remove("team", &[guest]).await;
        control.add("team", &[GUESTS[(round + 1) % GUESTS.len()]]).await;
        cluster.broker(round).restart().await.unwrap();
        settled(&cluster).await;
    }
    let mut accepted = Vec::new();
    for talk in talks {
        accepted.extend(talk.await.unwrap());
    }
    clients[0].send_to_group("team", "the end").await.unwrap().sent().await.unwrap();
    for user in SLEEPERS {
        let (client, view) = online(&cluster, &tokens[user]).await;
        clients.push(client);
        views.push((user, view));
    }

    let whole = views[0].1.clone();
    whole.until_said("the end").await;
    whole.assert_whole();
    whole.assert_said_once(&accepted);
    for (user, view) in &views {
        let expected = whole.seen_by(user);
        let last = expected.last().unwrap().seq;
        view.until(&format!("{user} has all of it"), |place| place.seq == last).await;
        assert_eq!(view.places(), expected, "{user}");
    }
}
