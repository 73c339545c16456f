//! Contacts while leaders die: who is one of whose is known in the shards of both, and what policies say of them holds
//! at each gateway.

use tidings_proto::client::v1::user_presence::State;
use tidings_proto::policy::v1::{Audience, Policy};
use tidings_sdk::{Client, ErrorCode, Event, SendError, UpdateConversation};
use tidings_tests::settings::contact;
use tidings_tests::{DEADLINE, told, within};

use super::support::{control, leader_of, online, settled, start};

async fn refusal(client: &Client, to: &str) -> Option<ErrorCode> {
    let sending = async { client.send(to, "hello").await.unwrap().sent().await };
    match within(DEADLINE, "it is answered", sending).await {
        Ok(_) => None,
        Err(SendError::Refused { code, .. }) => Some(code),
        Err(other) => panic!("{other}"),
    }
}

/// Takes the other among the contacts, however often that is refused because nobody leads.
async fn insist(client: &Client, other: &str) {
    let update = UpdateConversation { with: other.to_owned(), contact: Some(true), ..UpdateConversation::default() };
    let asking = async { while client.update_conversation(update.clone()).await.is_err() {} };
    within(DEADLINE, "it is set", asking).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contacts_are_known_to_both_shards_whichever_leader_dies() {
    let cluster = start().await;
    let control = control(&cluster, 0).await;
    let tokens = [control.user("alice").await, control.user("bob").await];
    let pairs = Policy {
        id: "pairs".into(),
        audience: Audience::Paired.into(),
        presence_audience: Audience::Paired.into(),
        ..Policy::default()
    };
    control.create_policy(pairs).await;
    for user in ["alice", "bob"] {
        control.assign_policy(user, "pairs").await;
    }
    let (alice, mut alices) = online(&cluster, 0, &tokens[0], "phone").await;
    let (bob, _bobs) = online(&cluster, 1, &tokens[1], "phone").await;
    alice.watch_presence(["bob"]).await.unwrap();
    let state = |event| match event {
        Event::Presence(user) => Some(user.state()),
        _ => None,
    };
    assert_eq!(told(&mut alices, "alice is told", state).await, State::Unknown);

    for dies in ["alice", "bob"] {
        let broker = leader_of(&cluster, dies).await;
        // What is owed to the other's shard survives its leader, and the leader that it is owed to.
        let taking = async { tokio::join!(insist(&alice, "bob"), insist(&bob, "alice")) };
        let killing = async { broker.kill9().unwrap() };
        tokio::join!(taking, killing);
        let both = async {
            while refusal(&alice, "bob").await.is_some() || refusal(&bob, "alice").await.is_some() {
                tokio::task::yield_now().await;
            }
        };
        within(DEADLINE, "both are reached", both).await;
        within(DEADLINE, "bob is seen", async {
            while told(&mut alices, "alice is told", state).await != State::Online {}
        })
        .await;
        broker.restart().await.unwrap();
        settled(&cluster).await;
        assert_eq!((refusal(&alice, "bob").await, refusal(&bob, "alice").await), (None, None));
        contact(&bob, "alice", false).await;
        let neither = async {
            for (client, to) in [(&alice, "bob"), (&bob, "alice")] {
                while refusal(client, to).await != Some(ErrorCode::RefusedByPolicy) {}
            }
        };
        within(DEADLINE, "neither is reached", neither).await;
        let hidden = async { while told(&mut alices, "alice is told", state).await != State::Unknown {} };
        within(DEADLINE, "bob is hidden", hidden).await;
    }
}
