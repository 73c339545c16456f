//! A user who was deleted leaves nothing to one of the same id, and nothing in the files of a node; nor do the users of
//! an app.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use tidings_node::Clock;
use tidings_proto::client::v1::Resume;
use tidings_proto::control::v1::{
    CreateAppRequest, CreateTokenRequest, CreateUserRequest, DeleteAppRequest, ListScheduledMessagesRequest,
    SendMessageRequest,
};
use tidings_proto::message::v1::{Block, Content};
use tidings_sdk::{Client, ErrorCode, Event, HistoryQuery, Outgoing, Search, SendError};
use tidings_tests::deletions::{are_in_no_file, files_with, needle};
use tidings_tests::settings::{block, contact};
use tidings_tests::{Control, DEADLINE, Node, RawClient, next_message, told, within};

/// A second, and what a busy machine may add to it.
const AT_ONCE: Duration = Duration::from_secs(3);
const HOUR_MS: i64 = 3600 * 1000;

async fn say(client: &Client, outgoing: Outgoing) {
    within(DEADLINE, "it is sent", async { client.send_message(outgoing).await.unwrap().sent().await }).await.unwrap();
}

/// Nothing that was ever said or set.
async fn has_nothing(client: &Client, with: &str, word: &str) {
    let conversations = within(DEADLINE, "a page", client.conversations(Vec::new(), 0)).await.unwrap();
    assert!(conversations.conversations.is_empty(), "{conversations:?}");
    let page = within(DEADLINE, "a page", client.history(with, HistoryQuery::default())).await.unwrap();
    assert!(page.messages.is_empty(), "{page:?}");
    let search = Search { text: word.to_owned(), ..Search::default() };
    assert!(within(DEADLINE, "a page", client.search(search)).await.unwrap().messages.is_empty());
    assert!(within(DEADLINE, "a page", client.scheduled(Vec::new(), 0)).await.unwrap().messages.is_empty());
}

#[tokio::test]
async fn one_of_the_same_id_has_nothing_of_a_deleted_user() {
    let mut node = Node::start_with(&["storage.erase_within_seconds=3"]).await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    control.group("team", &["bob", "alice"]).await;
    let (bob, mut bobs) = node.online(&bob, "phone").await;
    let (phone, _alices) = node.online(&alice, "phone").await;
    let secrets = [needle(), needle(), needle()];
    let [posted, noted, later] = &secrets;

    say(&phone, Outgoing::new("bob", "good morning")).await;
    assert_eq!(next_message(&mut bobs).await.text(), "good morning");
    say(&phone, Outgoing::new("alice", noted.as_str())).await;
    let at_ms = Clock::system().now_ms() + HOUR_MS;
    say(&phone, Outgoing::new("bob", later.as_str()).at(at_ms)).await;
    contact(&phone, "bob", true).await;
    contact(&bob, "alice", true).await;
    block(&phone, "eve", &[Block::Messages, Block::Profile]).await;
    say(&bob, Outgoing::to_group("team", "to the team")).await;
    phone.close().await;
    say(&bob, Outgoing::new("alice", "good night")).await;
    control.post("", "alice", posted).await;
    // It takes nothing: all that comes waits for it.
    let (mut laptop, before) = RawClient::attached(node.gateway_address(), &alice, "laptop", None).await;
    for secret in &secrets {
        assert!(!files_with(&node.data(), secret).is_empty(), "it is stored");
    }

    control.delete_user("alice").await;
    let (_, code) = within(AT_ONCE, "the session is closed", laptop.closed()).await;
    assert_eq!(code, Some(ErrorCode::TokenRevoked.close_code()));
    let not_delivered = told(&mut bobs, "bob is told that nobody will have it", |event| match event {
        Event::Failure(failure) => Some(failure.reason()),
        _ => None,
    });
    assert_eq!(not_delivered.await, ErrorCode::RecipientUnknown);

    // It waits until nothing is left of the former one.
    let token = control.user("alice").await;
    let resume = Resume { mailbox_epoch: before.mailbox_epoch, stream: before.stream, cursor: before.cursor + 1 };
    let (mut laptop, now) = RawClient::attached(node.gateway_address(), &token, "laptop", Some(resume)).await;
    assert_ne!(now.mailbox_epoch, before.mailbox_epoch);
    assert!(now.stream != before.stream && now.cursor == 0 && now.tail == 0 && now.unknown.is_none(), "{now:?}");
    let (alice, mut alices) = node.online(&token, "phone").await;
    has_nothing(&alice, "bob", "good").await;
    let to_group = async { alice.send_message(Outgoing::to_group("team", "may I?")).await.unwrap().sent().await };
    let refused = within(DEADLINE, "it is answered", to_group).await;
    assert!(matches!(refused, Err(SendError::Refused { code: ErrorCode::NotAMember, .. })), "{refused:?}");

    say(&bob, Outgoing::new("alice", "welcome")).await;
    assert_eq!(next_message(&mut alices).await.text(), "welcome");
    assert_eq!(laptop.message().await.1.content.unwrap().text, "welcome");
    say(&alice, Outgoing::new("bob", "hello")).await;
    assert_eq!(next_message(&mut bobs).await.text(), "hello");
    are_in_no_file(&secrets, &[node.data()]).await;
    node.restart_after_kill9().await;
    // The sender's copy is on its way when `sent` is told.
    within(DEADLINE, "both messages are in the history", async {
        while alice.history("bob", HistoryQuery::default()).await.unwrap().messages.len() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A user of the app, and a token.
async fn user_of_shop(control: &Control, id: &str) -> String {
    let (app, user) = ("shop".to_owned(), id.to_owned());
    let create = CreateUserRequest { app: app.clone(), id: user.clone(), ..CreateUserRequest::default() };
    control.users.clone().create_user(create).await.unwrap();
    control.create_token(CreateTokenRequest { app, user, ..CreateTokenRequest::default() }).await.1
}

#[tokio::test]
async fn an_app_of_the_same_id_has_nothing_of_a_deleted_one() {
    let node = Node::start_with(&["storage.erase_within_seconds=3"]).await;
    let control = node.control().await;
    let create = || CreateAppRequest { id: "shop".to_owned(), ..CreateAppRequest::default() };
    control.apps.clone().create_app(create()).await.unwrap();
    let alice = user_of_shop(&control, "alice").await;
    let (alice, mut alices) = node.online(&alice, "phone").await;
    user_of_shop(&control, "bob").await;
    let secrets = [needle(), needle(), needle()];
    control.post("shop", "alice", &secrets[0]).await;
    assert_eq!(next_message(&mut alices).await.text(), secrets[0]);
    say(&alice, Outgoing::new("bob", secrets[1].as_str())).await;
    let seconds = (Clock::system().now_ms() + HOUR_MS) / 1000;
    let by_system = SendMessageRequest {
        app: "shop".to_owned(),
        to: "alice".to_owned(),
        content: Some(Content { text: secrets[2].clone(), ..Content::default() }),
        deliver_at: Some(prost_types::Timestamp { seconds, nanos: 0 }),
        ..SendMessageRequest::default()
    };
    control.messages.clone().send_message(by_system).await.unwrap();

    let delete = DeleteAppRequest { id: "shop".to_owned() };
    control.apps.clone().delete_app(delete).await.unwrap();
    within(DEADLINE, "the app is made again", async {
        while let Err(status) = control.apps.clone().create_app(create()).await {
            assert_eq!(ErrorCode::of_status(&status), ErrorCode::FailedPrecondition, "{status}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    let token = user_of_shop(&control, "alice").await;
    let (alice, _alices) = node.online(&token, "phone").await;
    has_nothing(&alice, "bob", &secrets[0]).await;
    let list = ListScheduledMessagesRequest { app: "shop".to_owned(), ..ListScheduledMessagesRequest::default() };
    let scheduled = control.messages.clone().list_scheduled_messages(list).await.unwrap().into_inner();
    assert!(scheduled.messages.is_empty(), "{scheduled:?}");
    are_in_no_file(&secrets, &[node.data()]).await;
}
