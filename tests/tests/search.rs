//! The servers find messages by their words, for as long as they are kept.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used)]

use tidings_sdk::{Change, Client, ErrorCode, MessageId, RequestError, Search};
use tidings_tests::{DEADLINE, Node, within};

async fn send(client: &Client, to: &str, text: &str) -> MessageId {
    within(DEADLINE, "it is sent", async { client.send(to, text).await.unwrap().sent().await }).await.unwrap().id
}

fn asked(text: &str) -> Search {
    Search { text: text.to_owned(), ..Search::default() }
}

/// The texts of all pages.
async fn find(client: &Client, mut asked: Search) -> Vec<String> {
    let mut texts = Vec::new();
    loop {
        let found = within(DEADLINE, "a page", client.search(asked.clone())).await.unwrap();
        texts.extend(found.messages.into_iter().map(|found| found.message.unwrap().content.unwrap().text));
        if found.next_page.is_empty() {
            return texts;
        }
        asked.page = found.next_page;
    }
}

/// Waits until this is found: the sender's copy is on its way when `sent` is told.
async fn finds(client: &Client, text: &str, wanted: &[&str]) {
    within(DEADLINE, "it is found", async { while find(client, asked(text)).await != wanted {} }).await;
}

#[tokio::test]
async fn messages_are_found_on_both_sides_until_they_are_edited_or_taken_back() {
    let mut node = Node::start().await;
    let control = node.control().await;
    let mut clients = Vec::new();
    for user in ["alice", "bob", "carol"] {
        let (client, events) = node.client(&control.user(user).await, "phone").connect().unwrap();
        drop(events);
        clients.push(client);
    }
    let [alice, bob, carol] = clients.try_into().unwrap();
    let first = send(&alice, "bob", "Lunch at NOON?").await;
    let second = send(&bob, "alice", "noon is fine, the usual place").await;
    send(&carol, "bob", "no lunch for me").await;
    node.restart_after_kill9().await;
    finds(&bob, "noon", &["noon is fine, the usual place", "Lunch at NOON?"]).await;
    finds(&alice, "noon", &["noon is fine, the usual place", "Lunch at NOON?"]).await;
    finds(&bob, "lun", &["no lunch for me", "Lunch at NOON?"]).await;
    assert_eq!(find(&bob, Search { with: "alice".to_owned(), ..asked("lunch") }).await, ["Lunch at NOON?"]);
    assert_eq!(find(&bob, Search { limit: 1, ..asked("lunch") }).await.len(), 2);
    assert!(find(&carol, asked("noon")).await.is_empty(), "others' messages are not hers to find");

    let change = async |client: &Client, to: &str, of, change| {
        within(DEADLINE, "it is changed", async { client.change(to, of, change).await.unwrap().sent().await })
            .await
            .unwrap();
    };
    change(&alice, "bob", first, Change::edit("Dinner at eight?")).await;
    change(&bob, "alice", second, Change::recall()).await;
    for client in [&alice, &bob] {
        finds(client, "noon", &[]).await;
        finds(client, "dinner eight", &["Dinner at eight?"]).await;
    }

    for (nonsense, page) in [("", vec![]), ("?!", vec![]), ("a b c d e f g h i", vec![])] {
        let refused = alice.search(Search { page, ..asked(nonsense) }).await.unwrap_err();
        assert!(matches!(refused, RequestError::Refused { code: ErrorCode::InvalidArgument, .. }), "{refused}");
    }
    let foreign = Search { page: vec![0xff; 200], ..asked("dinner") };
    assert!(find(&alice, foreign).await.is_empty());
}
