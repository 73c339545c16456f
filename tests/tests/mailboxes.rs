//! What backends see of users: conversations, history, search, and who is online; as the users see it themselves.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::time::UNIX_EPOCH;

use tidings_proto::ErrorCode;
use tidings_proto::control::v1::user_presence::State;
use tidings_proto::control::v1::{
    CreateApiKeyRequest, CreateAppRequest, GetMessageStatusRequest, GetPresenceRequest, ListConversationsRequest,
    ListConversationsResponse, ListHistoryRequest, ListHistoryResponse, SearchMessagesRequest, SearchMessagesResponse,
    StoredMessage, UserPresence,
};
use tidings_proto::policy::v1::{Audience, Policy};
use tidings_sdk::Client;
use tidings_tests::{Control, DEADLINE, Node, within};
use tonic::Status;

async fn conversations(control: &Control, page_size: u32, page_token: &str) -> ListConversationsResponse {
    let request =
        ListConversationsRequest { user: "bob".into(), page_size, page_token: page_token.into(), ..Default::default() };
    control.mailboxes.clone().list_conversations(request).await.unwrap().into_inner()
}

fn history_with(user: &str, with: &str) -> ListHistoryRequest {
    ListHistoryRequest { user: user.into(), with: with.into(), ..ListHistoryRequest::default() }
}

fn history_in(user: &str, group: &str) -> ListHistoryRequest {
    ListHistoryRequest { user: user.into(), group: group.into(), ..ListHistoryRequest::default() }
}

async fn history(control: &Control, request: ListHistoryRequest) -> Result<ListHistoryResponse, Status> {
    control.mailboxes.clone().list_history(request).await.map(tonic::Response::into_inner)
}

fn search_for(text: &str) -> SearchMessagesRequest {
    SearchMessagesRequest { user: "bob".into(), text: text.into(), ..SearchMessagesRequest::default() }
}

async fn search(control: &Control, request: SearchMessagesRequest) -> Result<SearchMessagesResponse, Status> {
    control.mailboxes.clone().search_messages(request).await.map(tonic::Response::into_inner)
}

async fn presence(control: &Control, users: &[&str]) -> Result<Vec<UserPresence>, Status> {
    let users = users.iter().map(ToString::to_string).collect();
    let request = GetPresenceRequest { users, ..GetPresenceRequest::default() };
    control.mailboxes.clone().get_presence(request).await.map(|answer| answer.into_inner().users)
}

fn texts(messages: &[StoredMessage]) -> Vec<&str> {
    messages.iter().map(|one| one.message.as_ref().unwrap().content.as_ref().unwrap().text.as_str()).collect()
}

fn code<T: std::fmt::Debug>(answer: Result<T, Status>) -> ErrorCode {
    ErrorCode::of_status(&answer.unwrap_err())
}

async fn say(client: &Client, to: &str, text: &str) {
    within(DEADLINE, "it is sent", async { client.send(to, text).await.unwrap().sent().await }).await.unwrap();
    next_millisecond().await;
}

async fn say_in(client: &Client, group: &str, text: &str) {
    let sending = async { client.send_to_group(group, text).await.unwrap().sent().await };
    within(DEADLINE, "it is sent", sending).await.unwrap();
    next_millisecond().await;
}

/// Results are in the order of their milliseconds.
async fn next_millisecond() {
    let now = || UNIX_EPOCH.elapsed().unwrap().as_millis();
    let last = now();
    while now() == last {
        tokio::task::yield_now().await;
    }
}

/// Alice and carol talk to bob and in the team, which he joined late; eve is alone.
async fn talk(node: &Node, control: &Control) -> Client {
    let tokens = [control.user("alice").await, control.user("bob").await, control.user("carol").await];
    control.user("eve").await;
    control.group("team", &["alice"]).await;
    let (alice, _alice_events) = node.online(&tokens[0], "phone").await;
    say_in(&alice, "team", "lunch before he came").await;
    control.add("team", &["bob"]).await;
    let (carol, _carol_events) = node.online(&tokens[2], "phone").await;
    for text in ["one", "two", "lunch three"] {
        say(&alice, "bob", text).await;
    }
    say(&carol, "bob", "lunch with carol").await;
    say_in(&alice, "team", "lunch in the team").await;
    // That he is a member, and what is said in a group, comes to a member's shard from the group's home.
    within(DEADLINE, "the group's message is in bob's list", async {
        let is_newest = |listed: ListConversationsResponse| listed.conversations[0].group == "team";
        while !is_newest(conversations(control, 1, "").await) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    alice
}

#[tokio::test]
async fn a_users_conversations_and_history_in_pages() {
    let node = Node::start().await;
    let control = node.control().await;
    let _alice = talk(&node, &control).await;
    let (mut listed, mut token) = (Vec::new(), String::new());
    loop {
        let page = conversations(&control, 1, &token).await;
        assert_eq!(page.conversations.len(), 1);
        listed.extend(page.conversations);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    let shown: Vec<_> = listed
        .iter()
        .map(|one| {
            let last = one.last_message.as_ref().unwrap().content.as_ref().unwrap();
            (one.with.as_str(), one.group.as_str(), one.unread, last.text.as_str())
        })
        .collect();
    let expected =
        [("", "team", 1, "lunch in the team"), ("carol", "", 1, "lunch with carol"), ("alice", "", 3, "lunch three")];
    assert_eq!(shown, expected);
    assert_eq!(conversations(&control, 0, "").await.conversations, listed, "all on one page");

    let newest = history(&control, ListHistoryRequest { page_size: 2, ..history_with("bob", "alice") }).await.unwrap();
    assert_eq!((texts(&newest.messages), newest.more), (vec!["two", "lunch three"], true));
    let before = newest.messages[0].place;
    let older = history(&control, ListHistoryRequest { before, ..history_with("bob", "alice") }).await.unwrap();
    assert_eq!((texts(&older.messages), older.more), (vec!["one"], false));
    let after = older.messages[0].place;
    let newer = ListHistoryRequest { after, page_size: 1, ..history_with("bob", "alice") };
    assert_eq!(texts(&history(&control, newer).await.unwrap().messages), ["two"]);
    // The other side, and the group from where he joined.
    assert_eq!(history(&control, history_with("alice", "bob")).await.unwrap().messages.len(), 3);
    let of_bob = history(&control, history_in("bob", "team")).await.unwrap();
    assert_eq!(texts(&of_bob.messages), ["lunch in the team"]);
    assert_eq!(history(&control, history_in("alice", "team")).await.unwrap().messages.len(), 2);

    // A message is named here as where it is asked for.
    let StoredMessage { id, message, .. } = older.messages[0].clone();
    let from = message.unwrap().from;
    let status = GetMessageStatusRequest { to: "bob".into(), id, from, ..GetMessageStatusRequest::default() };
    control.messages.clone().get_message_status(status).await.unwrap();
}

#[tokio::test]
async fn what_a_user_can_find() {
    let node = Node::start().await;
    let control = node.control().await;
    let _alice = talk(&node, &control).await;
    let everywhere = ["lunch in the team", "lunch with carol", "lunch three"];
    let (mut found, mut request) = (Vec::new(), SearchMessagesRequest { page_size: 1, ..search_for("LUNCH") });
    loop {
        let page = search(&control, request.clone()).await.unwrap();
        found.extend(page.messages);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(texts(&found), everywhere);
    let places: Vec<_> = found.iter().map(|one| (one.with.as_str(), one.group.as_str())).collect();
    assert_eq!(places, [("", "team"), ("carol", ""), ("alice", "")]);
    let with_alice = SearchMessagesRequest { with: "alice".into(), ..search_for("lunch") };
    assert_eq!(texts(&search(&control, with_alice).await.unwrap().messages), ["lunch three"]);
    let in_team = SearchMessagesRequest { group: "team".into(), ..search_for("lunch") };
    assert_eq!(texts(&search(&control, in_team).await.unwrap().messages), ["lunch in the team"]);
    assert!(search(&control, search_for("dinner")).await.unwrap().messages.is_empty());
}

#[tokio::test]
async fn what_cannot_be_seen_is_refused_by_name() {
    let node = Node::start().await;
    let control = node.control().await;
    let _alice = talk(&node, &control).await;
    let refused = async |request| code(history(&control, request).await);
    assert_eq!(refused(history_with("nobody", "alice")).await, ErrorCode::NotFound);
    assert_eq!(refused(history_in("eve", "team")).await, ErrorCode::NotAMember);
    assert_eq!(refused(history_in("eve", "no such group")).await, ErrorCode::NotAMember);
    assert_eq!(refused(history_with("bob", "")).await, ErrorCode::InvalidArgument, "neither");
    let both = ListHistoryRequest { group: "team".into(), ..history_with("bob", "alice") };
    assert_eq!(refused(both).await, ErrorCode::InvalidArgument);
    let at_most = ListHistoryRequest { page_size: 100, ..history_with("bob", "alice") };
    history(&control, at_most.clone()).await.unwrap();
    assert_eq!(refused(ListHistoryRequest { page_size: 101, ..at_most }).await, ErrorCode::InvalidArgument);

    let refused = async |request| search(&control, request).await.unwrap_err();
    for text in ["", "a b c d e f g h i", &"y".repeat(257)] {
        let status = refused(search_for(text)).await;
        assert_eq!(ErrorCode::of_status(&status), ErrorCode::InvalidArgument, "{text}");
        assert!(status.message().starts_with("text: "), "{}", status.message());
    }
    let nonsense = refused(SearchMessagesRequest { page_token: "xyz".into(), ..search_for("lunch") }).await;
    assert!(nonsense.message().starts_with("page_token: "), "{}", nonsense.message());

    // A key of another app sees nothing of this one.
    control.apps.clone().create_app(CreateAppRequest { id: "other".into(), ..Default::default() }).await.unwrap();
    let create = CreateApiKeyRequest { app: "other".into(), ..CreateApiKeyRequest::default() };
    let secret = control.keys.clone().create_api_key(create).await.unwrap().into_inner().secret;
    let other = Control::connect(&node.control_url(), &secret).await;
    assert_eq!(code(history(&other, history_with("bob", "alice")).await), ErrorCode::NotFound, "in its own app");
    let of_default = ListHistoryRequest { app: "default".into(), ..history_with("bob", "alice") };
    assert_eq!(code(history(&other, of_default).await), ErrorCode::PermissionDenied);
}

#[tokio::test]
async fn who_is_online_whatever_their_policies_let_others_see() {
    let node = Node::start_with(&["broker.presence_grace_ms=300"]).await;
    let control = node.control().await;
    let (bob, eve) = (control.user("bob").await, control.user("eve").await);
    let shy = Policy { id: "shy".into(), presence_audience: Audience::Nobody.into(), ..Policy::default() };
    control.create_policy(shy).await;
    control.assign_policy("bob", "shy").await;
    let states = async || {
        let users = presence(&control, &["bob", "eve", "bob"]).await.unwrap();
        let names: Vec<_> = users.iter().map(|one| one.user.as_str()).collect();
        assert_eq!(names, ["bob", "eve", "bob"], "in their order");
        assert_eq!(users[0], users[2]);
        users
    };
    let until = async |bob: State, eve: State| {
        within(DEADLINE, "the backend sees them so", async {
            loop {
                let users = states().await;
                if (users[0].state(), users[1].state()) == (bob, eve) {
                    return users;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    };
    let nobody = until(State::Offline, State::Offline).await;
    assert_eq!(nobody[0].last_seen, None, "since the shard has its leader");
    let (bob, _bob_events) = node.online(&bob, "phone").await;
    until(State::Online, State::Offline).await;
    let (_eve, _eve_events) = node.online(&eve, "phone").await;
    let before = UNIX_EPOCH.elapsed().unwrap().as_secs();
    bob.close().await;
    let users = until(State::Offline, State::Online).await;
    let last_seen = users[0].last_seen.unwrap();
    assert!(u64::try_from(last_seen.seconds).unwrap() >= before, "{last_seen:?}, after {before}");

    assert_eq!(code(presence(&control, &["bob", "nobody"]).await), ErrorCode::NotFound);
    assert_eq!(code(presence(&control, &[]).await), ErrorCode::InvalidArgument);
    assert_eq!(presence(&control, &["bob"; 200]).await.unwrap().len(), 200);
    assert_eq!(code(presence(&control, &["bob"; 201]).await), ErrorCode::InvalidArgument);
}
