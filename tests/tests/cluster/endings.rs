//! What becomes of messages on a cluster when their time is over, and what they carry: expiry, disappearing, a full
//! inbox, polls and places, with the brokers that lead dying in between. Each ends in a status with a reason (promise
//! 4).

use std::time::Duration;

use tidings_proto::policy::v1::Policy;
use tidings_sdk::content::{live_location, poll, vote, votes, with_values};
use tidings_sdk::disappearance::Start;
use tidings_sdk::{
    Change, Client, Content, Disappearance, ErrorCode, Event, HistoryQuery, MessageId, Outgoing, SendError, change,
};
use tidings_tests::{DEADLINE, next_message, told, within};

use super::support::{control, leader_of, online, settled, start};

async fn sent(client: &Client, outgoing: Outgoing) -> Result<MessageId, SendError> {
    let sending = client.send_message(outgoing).await.unwrap();
    within(DEADLINE, "it is answered", sending.sent()).await.map(|sent| sent.id)
}

async fn changed(client: &Client, with: &str, of: MessageId, change: Change) {
    let sending = client.change(with, of, change).await.unwrap();
    within(DEADLINE, "it is changed", sending.sent()).await.unwrap();
}

fn disappearing(outgoing: Outgoing, from: Start) -> Outgoing {
    Outgoing { disappears: Some(Disappearance { after_ms: 1_000, from: from.into() }), ..outgoing }
}

/// Waits until the newest message of the history with another is as wanted.
async fn newest(client: &Client, with: &str, what: &str, is_so: impl Fn(Option<&tidings_sdk::HistoryMessage>) -> bool) {
    within(DEADLINE, what, async {
        loop {
            let newest = HistoryQuery { limit: 1, ..HistoryQuery::default() };
            let page = client.history(with, newest).await.unwrap();
            if is_so(page.messages.first()) {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Waits until a member's history of the group is empty.
async fn is_empty(client: &Client, group: &str) {
    within(DEADLINE, "the group's history is empty", async {
        while !client.group_history(group, HistoryQuery::default()).await.unwrap().messages.is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_expires_disappears_or_finds_no_room_does_so_although_leaders_die() {
    let cluster = start().await;
    let control = control(&cluster, 0).await;
    let tokens = [control.user("alice").await, control.user("bob").await, control.user("carol").await];
    let full = control.user("full").await;
    control.create_policy(Policy { id: "small".into(), inbox_entries: Some(2), ..Policy::default() }).await;
    control.assign_policy("full", "small").await;
    online(&cluster, 0, &full, "phone").await.0.close().await;
    control.group("team", &["alice", "bob", "carol"]).await;
    let (alice, mut alices) = online(&cluster, 0, &tokens[0], "phone").await;
    let (bob, mut bobs) = online(&cluster, 1, &tokens[1], "phone").await;

    // Carol is away: one message for her expires meanwhile. It is accepted before the broker that has it in its care
    // dies.
    let short = Outgoing { ttl: Some(Duration::from_millis(500)), ..Outgoing::new("carol", "short-lived") };
    let short = sent(&alice, short).await.unwrap();
    sent(&alice, Outgoing::new("carol", "long-lived")).await.unwrap();
    for text in ["one", "two"] {
        sent(&alice, Outgoing::new("full", text)).await.unwrap();
    }
    let burns = disappearing(Outgoing::new("bob", "read and burn"), Start::Read);
    sent(&alice, burns).await.unwrap();
    sent(&alice, disappearing(Outgoing::to_group("team", "for a moment"), Start::Sent)).await.unwrap();
    let first = leader_of(&cluster, "carol").await;
    first.kill9().unwrap();
    let failure = told(&mut alices, "alice is told that it expired", |event| match event {
        Event::Failure(failure) => Some((failure.id, failure.reason())),
        _ => None,
    });
    assert_eq!(failure.await, (Some(short), ErrorCode::Expired));
    let message = told(&mut bobs, "it comes to bob", |event| match event {
        Event::Message(message) if message.text() == "read and burn" => Some(message),
        _ => None,
    })
    .await;
    bob.mark_read(&message).await.unwrap();
    newest(&bob, "alice", "it is gone for bob", |last| last.is_none()).await;
    newest(&alice, "bob", "it is gone for alice", |last| last.is_none()).await;
    is_empty(&alice, "team").await;
    is_empty(&bob, "team").await;
    let full = sent(&alice, Outgoing::new("full", "three")).await;
    assert!(matches!(full, Err(SendError::Refused { code: ErrorCode::InboxFull, .. })), "{full:?}");
    first.restart().await.unwrap();
    settled(&cluster).await;

    // In the group the time of another one begins with the first who reads it, and runs out although its home has a new
    // leader.
    sent(&alice, disappearing(Outgoing::to_group("team", "read and burn here"), Start::Read)).await.unwrap();
    let message = told(&mut bobs, "it comes to bob", |event| match event {
        Event::Message(message) if message.text() == "read and burn here" => Some(message),
        _ => None,
    })
    .await;
    assert_eq!(message.as_proto().disappears_at_ms, 0, "nobody read it");
    bob.mark_read(&message).await.unwrap();
    let begins = |event| match event {
        Event::Changed(change) if change.kind() == change::Kind::Disappears => Some(change.disappears_at_ms),
        _ => None,
    };
    told(&mut bobs, "bob is told when", begins).await;
    leader_of(&cluster, "team").await.kill9().unwrap();
    is_empty(&alice, "team").await;
    is_empty(&bob, "team").await;
    let (_carol, mut carols) = online(&cluster, 0, &tokens[2], "phone").await;
    let mut came = Vec::new();
    told(&mut carols, "carol has caught up", |event| {
        match event {
            Event::Message(message) => came.push(message.text().to_owned()),
            Event::CaughtUp => return Some(()),
            _ => {}
        }
        None
    })
    .await;
    assert!(came.contains(&"long-lived".to_owned()), "{came:?}");
    assert!(!came.iter().any(|text| text == "short-lived" || text == "for a moment"), "{came:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_and_a_place_that_moves_are_the_same_for_both_although_their_brokers_die() {
    let cluster = start().await;
    let control = control(&cluster, 0).await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let (alice, _alices) = online(&cluster, 0, &alice, "phone").await;
    let (bob, mut bobs) = online(&cluster, 1, &bob, "phone").await;
    let at = |latitude: f64| {
        let place = Content { location: live_location(latitude, 8.54, i64::MAX), ..Content::default() };
        with_values(place, [("altitude", (latitude * 10.0).into()), ("moves", true.into())])
    };
    let walk = sent(&alice, Outgoing::new("bob", at(47.37))).await.unwrap();
    assert_eq!(next_message(&mut bobs).await.content(), Some(&at(47.37)));
    let question = sent(&alice, Outgoing::new("bob", poll("Lunch?", ["noon", "one"]))).await.unwrap();
    let asked = next_message(&mut bobs).await;
    assert_eq!(asked.id(), question);

    for (dies, voter, choice) in [("bob", &bob, "1"), ("alice", &alice, "2")] {
        let broker = leader_of(&cluster, dies).await;
        broker.kill9().unwrap();
        changed(voter, if dies == "bob" { "alice" } else { "bob" }, question, vote(choice)).await;
        changed(&alice, "bob", walk, Change::edit(at(if dies == "bob" { 47.38 } else { 47.39 }))).await;
        broker.restart().await.unwrap();
        settled(&cluster).await;
    }
    changed(&bob, "alice", question, vote("1").off()).await;
    changed(&bob, "alice", question, vote("2")).await;
    let both = [vec![], vec!["alice".to_owned(), "bob".to_owned()]];
    for (client, with) in [(&bob, "alice"), (&alice, "bob")] {
        newest(client, with, "both votes are counted", |last| {
            let counted = last.and_then(|one| one.message.as_ref()).map(votes).unwrap_or_default();
            let voters = counted.into_iter().map(|(_, mut voters)| {
                voters.sort();
                voters
            });
            voters.eq(both.iter().cloned())
        })
        .await;
        let page = within(DEADLINE, "a page", client.history(with, HistoryQuery::default())).await.unwrap();
        let place = page.messages[0].message.as_ref().unwrap();
        assert_eq!((place.id, place.content.as_ref()), (Some(walk), Some(&at(47.39))));
    }
}
