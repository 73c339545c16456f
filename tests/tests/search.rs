//! The servers find messages by their words, for as long as they are kept.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used)]

use std::time::UNIX_EPOCH;

use tidings_sdk::{Change, Client, ErrorCode, HistoryQuery, MessageId, RequestError, Search, Sent};
use tidings_tests::{DEADLINE, Node, within};

async fn send(client: &Client, to: &str, text: &str) -> MessageId {
    let sending = async { client.send(to, text).await.unwrap().sent().await };
    in_its_moment(within(DEADLINE, "it is sent", sending).await.unwrap()).await
}

/// What is sent next is newer: messages of the same millisecond have no order among conversations.
async fn in_its_moment(sent: Sent) -> MessageId {
    let now = || i64::try_from(UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    while now() <= sent.sent_at_ms {
        tokio::task::yield_now().await;
    }
    sent.id
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

#[tokio::test]
async fn groups_are_searched_from_where_one_joined_alone_or_with_everything_else() {
    let mut node = Node::start().await;
    let control = node.control().await;
    let mut clients = Vec::new();
    for user in ["alice", "bob", "eve"] {
        let (client, events) = node.client(&control.user(user).await, "phone").connect().unwrap();
        drop(events);
        clients.push(client);
    }
    let [alice, bob, eve] = clients.try_into().unwrap();
    let say = async |client: &Client, group: &str, text: &str| {
        let saying = async { client.send_to_group(group, text).await.unwrap().sent().await };
        in_its_moment(within(DEADLINE, "it is sent", saying).await.unwrap()).await
    };
    let in_group = |group: &str, text: &str| Search { group: group.to_owned(), ..asked(text) };
    control.group("team", &["alice"]).await;
    control.group("kitchen", &["alice", "bob"]).await;
    say(&alice, "team", "lunch before bob came").await;
    control.add("team", &["bob"]).await;
    // What alice says next stands behind bob's joining.
    let joined = async { while bob.group_history("team", HistoryQuery::default()).await.is_err() {} };
    within(DEADLINE, "bob has joined", joined).await;
    let edited = say(&alice, "team", "lunch at noon").await;
    let recalled = say(&bob, "kitchen", "no lunch today").await;
    send(&alice, "bob", "lunch, only for you").await;
    node.restart_after_kill9().await;
    finds(&bob, "lunch", &["lunch, only for you", "no lunch today", "lunch at noon"]).await;
    assert_eq!(find(&bob, Search { limit: 1, ..asked("lunch") }).await.len(), 3);
    assert_eq!(find(&bob, in_group("team", "lunch")).await, ["lunch at noon"]);
    assert_eq!(find(&bob, Search { with: "alice".to_owned(), ..asked("lunch") }).await, ["lunch, only for you"]);
    assert_eq!(find(&alice, in_group("team", "lunch")).await, ["lunch at noon", "lunch before bob came"]);
    assert!(find(&eve, asked("lunch")).await.is_empty());
    let refused = eve.search(in_group("team", "lunch")).await.unwrap_err();
    assert!(matches!(refused, RequestError::Refused { code: ErrorCode::NotAMember, .. }), "{refused}");
    let both = Search { with: "alice".to_owned(), ..in_group("team", "lunch") };
    let refused = bob.search(both).await.unwrap_err();
    assert!(matches!(refused, RequestError::Refused { code: ErrorCode::InvalidArgument, .. }), "{refused}");

    let change = async |client: &Client, group: &str, of, change| {
        let changing = async { client.change_in_group(group, of, change).await.unwrap().sent().await };
        within(DEADLINE, "it is changed", changing).await.unwrap();
    };
    change(&alice, "team", edited, Change::edit("dinner at eight")).await;
    change(&bob, "kitchen", recalled, Change::recall()).await;
    finds(&bob, "lunch", &["lunch, only for you"]).await;
    finds(&bob, "din eig", &["dinner at eight"]).await;
    control.remove("team", &["bob"]).await;
    finds(&bob, "dinner", &[]).await;
}
