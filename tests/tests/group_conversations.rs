//! Groups among a user's conversations: what is unread, the last message, and settings that all devices share.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used)]

use tidings_proto::policy::v1::Policy;
use tidings_sdk::{
    Change, Client, Conversation, ErrorCode, Event, Events, Message, MessageId, RequestError, UpdateConversation,
};
use tidings_tests::{DEADLINE, Node, next_message, told, within};

async fn say(client: &Client, group: &str, text: &str) -> MessageId {
    let saying = async { client.send_to_group(group, text).await.unwrap().sent().await };
    within(DEADLINE, "it is sent", saying).await.unwrap().id
}

/// All conversations of a user, one in a page.
async fn listed(client: &Client) -> Vec<Conversation> {
    let (mut listed, mut page) = (Vec::new(), Vec::new());
    loop {
        let next = within(DEADLINE, "a page", client.conversations(page, 1)).await.unwrap();
        listed.extend(next.conversations);
        page = next.next_page;
        if page.is_empty() {
            return listed;
        }
    }
}

fn names(listed: &[Conversation]) -> Vec<String> {
    listed.iter().map(|one| format!("{}#{}", one.with, one.group)).collect()
}

/// Waits until the conversation with a group is as wanted: what is sent is on its way to the shards of the members.
async fn comes_to(client: &Client, group: &str, unread: u64, last: Option<&str>) -> Conversation {
    within(DEADLINE, &format!("{group} has {unread} unread, and {last:?}"), async {
        loop {
            let found = listed(client).await.into_iter().find(|one| one.group == group);
            let text = |one: &Conversation| one.last_message.clone().map(|one| one.content.unwrap_or_default().text);
            if let Some(found) = found
                && (found.unread, text(&found).as_deref()) == (unread, last)
            {
                return found;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

async fn updated(events: &mut Events, wanted: impl Fn(&Conversation) -> bool) -> Conversation {
    told(events, "a device is told", |event| match event {
        Event::Conversation(conversation) if wanted(&conversation) => Some(conversation),
        _ => None,
    })
    .await
}

async fn message(events: &mut Events, text: &str) -> Message {
    loop {
        let message = next_message(events).await;
        if message.text() == text {
            return message;
        }
    }
}

#[tokio::test]
async fn groups_stand_among_the_conversations_with_what_is_unread_also_after_a_crash() {
    let mut node = Node::start().await;
    let control = node.control().await;
    let tokens = [control.user("alice").await, control.user("bob").await, control.user("carol").await];
    let (alice, _alices) = node.online(&tokens[0], "phone").await;
    let (phone, mut phones) = node.online(&tokens[1], "phone").await;
    let (laptop, mut laptops) = node.online(&tokens[1], "laptop").await;
    control.group("team", &["alice", "bob"]).await;
    control.group("quiet", &["alice", "bob"]).await;
    comes_to(&phone, "quiet", 0, None).await;
    say(&alice, "team", "one").await;
    let two = say(&alice, "team", "two").await;
    comes_to(&phone, "team", 2, Some("two")).await;
    control.add("team", &["carol"]).await;
    let (carol, _carols) = node.online(&tokens[2], "phone").await;
    comes_to(&carol, "team", 0, None).await;
    assert_eq!(comes_to(&alice, "team", 0, Some("two")).await.unread, 0, "one's own are not unread");

    // Read on the phone: the laptop is told, and what comes then is unread again.
    let first = message(&mut phones, "one").await;
    phone.mark_read(&first).await.unwrap();
    let read = updated(&mut laptops, |one| one.group == "team").await;
    assert_eq!((read.unread, read.read_place), (1, first.group_seq()));
    let second = message(&mut phones, "two").await;
    phone.mark_read(&second).await.unwrap();
    assert_eq!(updated(&mut laptops, |one| one.read_place == second.group_seq()).await.unread, 0);
    let changed = alice.change_in_group("team", two, Change::edit("two, edited")).await.unwrap();
    within(DEADLINE, "it is changed", changed.sent()).await.unwrap();
    comes_to(&laptop, "team", 0, Some("two, edited")).await;
    say(&alice, "team", "three").await;
    comes_to(&laptop, "team", 1, Some("three")).await;

    // Settings follow to the other device; the newest message decides the order, with users and groups as one.
    let settings = UpdateConversation {
        group: "team".to_owned(),
        mute_until_ms: Some(i64::MAX),
        archived: Some(true),
        favourite: Some(true),
        marked_unread: Some(true),
        ..UpdateConversation::default()
    };
    let set = laptop.update_conversation(settings).await.unwrap();
    assert!(set.archived && set.favourite && set.marked_unread && set.mute_until_ms == i64::MAX);
    assert_eq!(updated(&mut phones, |one| one.archived).await, set);
    alice.send("bob", "hello").await.unwrap().sent().await.unwrap();
    assert_eq!(names(&listed(&phone).await), ["alice#", "#team", "#quiet"]);
    node.restart_after_kill9().await;
    assert_eq!(names(&listed(&laptop).await), ["alice#", "#team", "#quiet"]);
    let team = comes_to(&laptop, "team", 1, Some("three")).await;
    assert!(team.archived && team.marked_unread && team.read_place == second.group_seq());

    // Who left has no conversation with the group.
    control.remove("team", &["bob"]).await;
    within(DEADLINE, "the group is gone", async { while names(&listed(&phone).await).len() > 2 {} }).await;
    let stranger = UpdateConversation { group: "team".to_owned(), ..UpdateConversation::default() };
    let refused = phone.update_conversation(stranger).await.unwrap_err();
    assert!(matches!(refused, RequestError::Refused { code: ErrorCode::NotAMember, .. }), "{refused}");
    let both = UpdateConversation { with: "alice".to_owned(), group: "quiet".to_owned(), ..Default::default() };
    let refused = phone.update_conversation(both).await.unwrap_err();
    assert!(matches!(refused, RequestError::Refused { code: ErrorCode::InvalidArgument, .. }), "{refused}");
}

#[tokio::test]
async fn what_a_policy_keeps_back_is_read_on_all_devices_and_not_told_to_others() {
    let node = Node::start().await;
    let control = node.control().await;
    let tokens = [control.user("alice").await, control.user("bob").await];
    control.create_policy(Policy { id: "quiet".to_owned(), read_receipts: Some(false), ..Policy::default() }).await;
    control.assign_policy("bob", "quiet").await;
    control.group("team", &["alice", "bob"]).await;
    let (alice, _alices) = node.online(&tokens[0], "phone").await;
    let (phone, mut phones) = node.online(&tokens[1], "phone").await;
    let (_laptop, mut laptops) = node.online(&tokens[1], "laptop").await;
    say(&alice, "team", "a secret").await;
    let secret = message(&mut phones, "a secret").await;
    phone.mark_read(&secret).await.unwrap();
    assert_eq!(updated(&mut laptops, |one| one.group == "team").await.unread, 0);
    secret.ack();
    within(DEADLINE, "alice is told that it came", async {
        while alice.group_receipts("team", secret.group_seq()).await.unwrap().delivered == 0 {}
    })
    .await;
    assert_eq!(alice.group_receipts("team", secret.group_seq()).await.unwrap().read, 0);
}
