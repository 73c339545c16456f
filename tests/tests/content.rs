//! What a message can say beside text, as it comes to the other side.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used)]

use tidings_sdk::content::{live_location, mentioning, poll, vote, votes};
use tidings_sdk::{Change, Client, Content, Event, Events, HistoryQuery, MessageId, Priority, Sending, change};
use tidings_tests::{DEADLINE, Node, next_message, told, within};

async fn sent(sending: Sending) -> MessageId {
    within(DEADLINE, "it is sent", sending.sent()).await.unwrap().id
}

async fn change(client: &Client, to: &str, of: MessageId, change: Change) {
    sent(client.change(to, of, change).await.unwrap()).await;
}

/// The content that the next edit brings.
async fn edited(events: &mut Events) -> Content {
    told(events, "an edit comes", |event| match event {
        Event::Changed(edit) if edit.kind() == change::Kind::Edit => Some(edit.content.unwrap()),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn mentions_priorities_places_and_polls_arrive_as_they_were_sent() {
    let node = Node::start().await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let (alice, _alices) = node.client(&alice, "phone").connect().unwrap();
    let (bob, mut bobs) = node.client(&bob, "phone").connect().unwrap();

    let urgent = Content { priority: Priority::Urgent.into(), ..mentioning("@bob: fire!", &["bob"]) };
    sent(alice.send("bob", urgent.clone()).await.unwrap()).await;
    assert_eq!(next_message(&mut bobs).await.content(), Some(&urgent));

    let at = |latitude| Content { location: live_location(latitude, 8.54, i64::MAX), ..Content::default() };
    let walk = sent(alice.send("bob", at(47.37)).await.unwrap()).await;
    assert_eq!(next_message(&mut bobs).await.content(), Some(&at(47.37)));
    change(&alice, "bob", walk, Change::edit(at(47.38))).await;
    assert_eq!(edited(&mut bobs).await, at(47.38));

    let question = sent(alice.send("bob", poll("Lunch?", ["noon", "one"])).await.unwrap()).await;
    change(&alice, "bob", question, vote("2")).await;
    change(&bob, "alice", question, vote("1")).await;
    change(&bob, "alice", question, vote("1").off()).await;
    change(&bob, "alice", question, vote("2")).await;
    for (client, with) in [(&bob, "alice"), (&alice, "bob")] {
        within(DEADLINE, "both votes are counted", async {
            loop {
                let newest = HistoryQuery { limit: 1, ..HistoryQuery::default() };
                let page = client.history(with, newest).await.unwrap();
                let counted = page.messages.first().and_then(|one| one.message.as_ref()).map(votes).unwrap_or_default();
                let voters: Vec<_> = counted
                    .into_iter()
                    .map(|(_, mut voters)| {
                        voters.sort();
                        voters
                    })
                    .collect();
                if voters == [vec![], vec!["alice".to_owned(), "bob".to_owned()]] {
                    break;
                }
            }
        })
        .await;
    }
}
