//! Nodes of the last release and of this one in one cluster (promise 7): what was accepted is neither lost, doubled nor
//! reordered, whichever of them a message passes, and replicas of both releases hold the same.

use tidings_audit::{LocalCluster, Member, Plan, Role};
use tidings_proto::control::v1::{CreateUserRequest, SendMessageRequest};
use tidings_proto::message::v1::Content;
use tidings_sdk::{Change, Client, HistoryMessage, HistoryQuery, MessageId};
use tidings_tests::binary::{last_release, tidings};
use tidings_tests::{DEADLINE, within};

use super::support::{Traffic, client, control, settled, start, start_as, texts};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_of_the_last_release_beside_a_new_one() {
    let Some(last_release) = last_release() else { return };
    let cluster = start().await;
    let old = cluster.gateway(0);
    assert!(old.terminate().await.unwrap().success());
    old.run(last_release);
    old.start().await.unwrap();

    let traffic = Traffic::start_through_each(&cluster, 4).await;
    traffic.goes_on(50).await;
    assert!(old.metric("tidings_gateway_connections").await.unwrap() >= 2.0, "half of the senders are at the old one");
    for broker in 0..3 {
        cluster.broker(broker).kill9().unwrap();
        traffic.goes_on(100).await;
        cluster.broker(broker).restart().await.unwrap();
        settled(&cluster).await;
    }
    // Upgraded under its clients, which wait for it.
    assert!(old.terminate().await.unwrap().success());
    old.run(tidings());
    old.start().await.unwrap();
    traffic.goes_on(100).await;
    traffic.end().await;
}

async fn say(client: &Client, to: &str, text: &str) -> MessageId {
    within(DEADLINE, "it is sent", client.send(to, text).await.unwrap().sent()).await.unwrap().id
}

/// All of what a replica has of a conversation.
async fn kept(client: &Client, with: &str) -> Vec<HistoryMessage> {
    within(DEADLINE, "a page", client.history(with, HistoryQuery::default())).await.unwrap().messages
}

async fn upgrade(member: &Member) {
    assert!(member.terminate().await.unwrap().success());
    member.run(tidings());
    member.start().await.unwrap();
}

/// A cluster of the last release is upgraded while traffic flows, one process after the other. What only this release
/// knows stays out of the shards' logs as long as one broker is of the last: afterwards each replica, leading in its
/// turn, tells the same history.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_the_last_release_is_upgraded_process_by_process() {
    let Some(last_release) = last_release() else { return };
    let roles = [Role::ControlPlane, Role::Broker, Role::Gateway];
    let plan = roles.into_iter().fold(Plan::default(), |plan, role| plan.run(role, last_release));
    let cluster: LocalCluster = start_as(plan).await;
    let traffic = Traffic::start_through_each(&cluster, 4).await;
    traffic.goes_on(50).await;
    for member in cluster.of(Role::ControlPlane).into_iter().chain(cluster.of(Role::Gateway)) {
        upgrade(&member).await;
        traffic.goes_on(50).await;
    }
    settled(&cluster).await;

    let operator = control(&cluster, 0).await;
    let (alice, events) = client(&cluster, &operator.user("alice").await, "phone").connect().unwrap();
    drop(events);
    let (bob, events) = client(&cluster, &operator.user("bob").await, "phone").connect().unwrap();
    drop(events);
    // A user is erased by brokers of both releases, and then made again.
    operator.user("carol").await;
    say(&alice, "carol", "to the former").await;

    let brokers = cluster.of(Role::Broker);
    let (last, first) = brokers.split_last().unwrap();
    let early = say(&alice, "bob", "beside brokers of the last release").await;
    for broker in first {
        upgrade(broker).await;
        settled(&cluster).await;
        traffic.goes_on(50).await;
        say(&alice, "bob", "beside one of them").await;
        let content = Some(Content { text: "posted".into(), ..Content::default() });
        let (from, to) = ("alice".into(), "bob".into());
        operator.send_once(SendMessageRequest { from, to, content, ..SendMessageRequest::default() }).await;
    }
    operator.delete_user("carol").await;
    within(DEADLINE, "carol is made again", async {
        let request = CreateUserRequest { id: "carol".into(), ..CreateUserRequest::default() };
        while operator.users.clone().create_user(request.clone()).await.is_err() {}
    })
    .await;
    // It dies and comes back, beside the new ones.
    last.kill9().unwrap();
    last.restart().await.unwrap();
    traffic.goes_on(50).await;
    upgrade(last).await;
    settled(&cluster).await;
    traffic.goes_on(50).await;

    say(&alice, "bob", "afterwards").await;
    let changing = alice.change("bob", early, Change::edit("said early, and edited")).await.unwrap();
    within(DEADLINE, "it is answered", changing.sent()).await.unwrap();
    let (carol, events) = client(&cluster, &operator.token("carol").await.1, "phone").connect().unwrap();
    drop(events);
    say(&alice, "carol", "to the new one").await;
    let beside = ["beside one of them", "posted"];
    let expected = [&["said early, and edited"], &beside[..], &beside, &["afterwards"]].concat();
    // Of what she sent she has a copy, to which the change comes a moment later.
    within(DEADLINE, "alice has it so too", async { while texts(&alice, "bob").await != expected {} }).await;
    let first = [kept(&alice, "bob").await, kept(&bob, "alice").await];
    for broker in &brokers {
        broker.kill9().unwrap();
        assert_eq!(texts(&bob, "alice").await, expected);
        assert_eq!([kept(&alice, "bob").await, kept(&bob, "alice").await], first, "as the leaders of before had it");
        assert_eq!(texts(&carol, "alice").await, ["to the new one"]);
        broker.restart().await.unwrap();
        settled(&cluster).await;
    }
    traffic.end().await;
}
