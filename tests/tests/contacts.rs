//! Contacts over real connections: to whom policies let users write, by whom they are seen, and who may set them.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::time::Duration;

use bytes::Bytes;
use tidings_proto::client::v1::UpdateConversation;
use tidings_proto::client::v1::user_presence::State;
use tidings_proto::control::v1::{SendMessageRequest, UpdateConversationRequest};
use tidings_proto::message::v1::{Activity, Block, Content, Conversation, activity};
use tidings_proto::policy::v1::{Audience, Policy};
use tidings_sdk::{Change, Client, ErrorCode, Event, Events, MessageId, Outgoing, RequestError, SendError};
use tidings_tests::settings::{block, contact};
use tidings_tests::{Control, DEADLINE, Node, next_message, told, within};
use tonic::Status;

/// A second, and what a busy machine may add to it.
const AT_ONCE: Duration = Duration::from_secs(3);

fn by(audience: Audience) -> Policy {
    Policy { id: "guest".into(), audience: audience.into(), ..Policy::default() }
}

fn seen_by(audience: Audience) -> Policy {
    Policy { id: "shy".into(), presence_audience: audience.into(), ..Policy::default() }
}

/// The id of a message to bob, or why it was refused.
async fn say(client: &Client, text: &str) -> Result<MessageId, ErrorCode> {
    sent(client, Outgoing::new("bob", text)).await
}

async fn sent(client: &Client, outgoing: Outgoing) -> Result<MessageId, ErrorCode> {
    let sending = async { client.send_message(outgoing).await.unwrap().sent().await };
    match within(DEADLINE, "it is answered", sending).await {
        Ok(sent) => Ok(sent.id),
        Err(SendError::Refused { code, message }) => {
            assert!(!message.is_empty(), "{code:?} says nothing to people");
            Err(code)
        }
        Err(other) => panic!("{other}"),
    }
}

/// Says it until the policy holds on the live session.
async fn until(client: &Client, outcome: Option<ErrorCode>) {
    let saying = async { while say(client, "does it hold?").await.err() != outcome {} };
    within(AT_ONCE, "the policy holds", saying).await;
}

async fn typing(client: &Client, data: &'static str) {
    client.activity("bob", activity::Kind::Custom, Bytes::from_static(data.as_bytes())).await.unwrap();
}

fn activity(event: Event) -> Option<Activity> {
    if let Event::Activity(activity) = event { Some(activity) } else { None }
}

/// A message, but for those that came as long as a policy did not hold.
fn said(event: Event) -> Option<String> {
    match event {
        Event::Message(message) if message.text() != "does it hold?" => Some(message.text().to_owned()),
        _ => None,
    }
}

fn transient(event: Event) -> Option<String> {
    if let Event::Transient(message) = event { Some(message.content.unwrap_or_default().text) } else { None }
}

const REFUSED: Option<ErrorCode> = Some(ErrorCode::RefusedByPolicy);

#[tokio::test]
async fn a_policy_lets_users_write_to_their_contacts_alone_or_to_pairs() {
    let mut node = Node::start().await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    control.group("team", &["alice", "bob"]).await;
    let (alice, _alices) = node.online(&alice, "phone").await;
    let (bob, mut bobs) = node.online(&bob, "phone").await;
    control.create_policy(by(Audience::Contacts)).await;
    control.assign_policy("alice", "guest").await;
    until(&alice, REFUSED).await;
    let online_only = |text: &str| Outgoing { ttl: Some(Duration::ZERO), ..Outgoing::new("bob", text) };
    assert_eq!(sent(&alice, online_only("now")).await.err(), REFUSED);
    typing(&alice, "unheard").await;

    // From the answer on it holds, although bob lives in another shard.
    assert!(contact(&alice, "bob", true).await.contact);
    let first = say(&alice, "hello").await.unwrap();
    assert_eq!(told(&mut bobs, "a message comes", said).await, "hello");
    sent(&alice, online_only("now")).await.unwrap();
    assert_eq!(told(&mut bobs, "it comes", transient).await, "now");
    typing(&alice, "heard").await;
    assert_eq!(told(&mut bobs, "alice does something", activity).await.data, "heard");

    control.set_policy(by(Audience::Paired), &["audience"]).await;
    until(&alice, REFUSED).await;
    let edit = async { alice.change("bob", first, Change::edit("hullo")).await.unwrap().sent().await };
    let edited = within(DEADLINE, "it is answered", edit).await;
    assert!(matches!(edited, Err(SendError::Refused { code: ErrorCode::RefusedByPolicy, .. })), "{edited:?}");
    contact(&bob, "alice", true).await;
    say(&alice, "we know each other").await.unwrap();
    node.restart_after_kill9().await;
    say(&alice, "still").await.unwrap();
    contact(&bob, "alice", false).await;
    assert_eq!(say(&alice, "no longer").await.err(), REFUSED);

    // Of groups their members decide; and to oneself one may write.
    sent(&alice, Outgoing::to_group("team", "to all")).await.unwrap();
    sent(&alice, Outgoing::new("alice", "note")).await.unwrap();
    let expected = ["we know each other", "still", "to all"];
    for expected in expected {
        assert_eq!(told(&mut bobs, "a message comes", said).await, expected);
    }
}

#[tokio::test]
async fn a_scheduled_message_goes_by_the_contacts_of_its_moment_and_backends_by_those_of_the_user() {
    let node = Node::start().await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    control.create_policy(by(Audience::Paired)).await;
    control.assign_policy("alice", "guest").await;
    let (alice, mut alices) = node.online(&alice, "phone").await;
    let (bob, mut bobs) = node.online(&bob, "phone").await;
    let post = async |from: &str| {
        let content = Some(Content { text: "posted".into(), ..Content::default() });
        let (from, to) = (from.into(), "bob".into());
        let request = SendMessageRequest { from, to, content, ..SendMessageRequest::default() };
        control.messages.clone().send_message(request).await.err().map(|status| ErrorCode::of_status(&status))
    };
    assert_eq!(post("alice").await, REFUSED);
    contact(&alice, "bob", true).await;
    contact(&bob, "alice", true).await;
    let at_ms = tidings_node::Clock::system().now_ms() + 2_000;
    let waits = sent(&alice, Outgoing::new("bob", "later").at(at_ms)).await.unwrap();
    assert_eq!([post("alice").await, post("").await], [None, None], "the system goes by no policy");
    for _ in 0..2 {
        assert_eq!(next_message(&mut bobs).await.text(), "posted");
    }
    contact(&bob, "alice", false).await;
    let failed = told(&mut alices, "the message fails", |event| match event {
        Event::Failure(failure) => Some((failure.id.unwrap(), failure.reason())),
        _ => None,
    });
    assert_eq!(failed.await, (waits, ErrorCode::RefusedByPolicy));
}

async fn presence(events: &mut Events) -> State {
    told(events, "the watcher is told", |event| match event {
        Event::Presence(user) => Some(user.state()),
        _ => None,
    })
    .await
}

/// Other states may be told on the way, and a state again.
async fn becomes(events: &mut Events, state: State) {
    within(AT_ONCE, state.as_str_name(), async { while presence(events).await != state {} }).await;
}

#[tokio::test]
async fn who_is_seen_by_contacts_alone_is_unknown_to_others_as_it_changes() {
    let node = Node::start_with(&["broker.presence_grace_ms=300", "broker.presence_interval_ms=100"]).await;
    let control = node.control().await;
    let tokens = [control.user("bob").await, control.user("carol").await, control.user("eve").await];
    control.create_policy(seen_by(Audience::Contacts)).await;
    control.assign_policy("bob", "shy").await;
    let (bob, _bobs) = node.online(&tokens[0], "phone").await;
    contact(&bob, "carol", true).await;
    let (carol, mut carols) = node.online(&tokens[1], "phone").await;
    let (eve, mut eves) = node.online(&tokens[2], "phone").await;
    carol.watch_presence(["bob"]).await.unwrap();
    assert_eq!(presence(&mut carols).await, State::Online);
    eve.watch_presence(["bob"]).await.unwrap();
    assert_eq!(presence(&mut eves).await, State::Unknown);

    contact(&bob, "eve", true).await;
    becomes(&mut eves, State::Online).await;
    contact(&bob, "eve", false).await;
    becomes(&mut eves, State::Unknown).await;
    // Carol has not taken bob among hers.
    control.set_policy(seen_by(Audience::Paired), &["presence_audience"]).await;
    becomes(&mut carols, State::Unknown).await;
    contact(&carol, "bob", true).await;
    becomes(&mut carols, State::Online).await;
    bob.close().await;
    becomes(&mut carols, State::Offline).await;
    // Eve hears nothing of it.
    let quiet = tokio::time::timeout(Duration::from_secs(1), presence(&mut eves)).await;
    assert!(quiet.is_err(), "{quiet:?}");
}

async fn set_for(control: &Control, user: &str, update: UpdateConversation) -> Result<Conversation, Status> {
    let update = Some(update);
    let request = UpdateConversationRequest { user: user.into(), update, ..UpdateConversationRequest::default() };
    control.mailboxes.clone().update_conversation(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn backends_set_how_conversations_stand_and_may_keep_contacts_to_themselves() {
    let node = Node::start().await;
    let control = node.control().await;
    let (alice, _bob) = (control.user("alice").await, control.user("bob").await);
    let guest = Policy { edit_contacts: Some(false), ..by(Audience::Contacts) };
    control.create_policy(guest.clone()).await;
    control.assign_policy("alice", "guest").await;
    let (phone, mut phone_events) = node.online(&alice, "phone").await;
    let (laptop, _laptop_events) = node.online(&alice, "laptop").await;
    let with = |with: &str| UpdateConversation { with: with.into(), ..UpdateConversation::default() };
    let contact_of = |is_contact| UpdateConversation { contact: Some(is_contact), ..with("bob") };
    let refused = laptop.update_conversation(contact_of(true)).await;
    assert!(matches!(refused, Err(RequestError::Refused { code: ErrorCode::FeatureOff, .. })), "{refused:?}");
    laptop.update_conversation(UpdateConversation { favourite: Some(true), ..with("bob") }).await.unwrap();
    assert_eq!(say(&laptop, "hi").await.err(), REFUSED);

    let set = set_for(&control, "alice", contact_of(true)).await.unwrap();
    assert!(set.contact && set.favourite && set.with == "bob");
    let contact_is_set = |event| match event {
        Event::Conversation(conversation) => conversation.contact.then_some(conversation.with),
        _ => None,
    };
    assert_eq!(told(&mut phone_events, "alice's devices are told", contact_is_set).await, "bob");
    say(&phone, "hi").await.unwrap();
    let listed = within(DEADLINE, "a page", phone.conversations(Vec::new(), 10)).await.unwrap().conversations;
    assert!(listed[0].contact);

    let code = async |user: &str, update| ErrorCode::of_status(&set_for(&control, user, update).await.unwrap_err());
    let both = UpdateConversation { group: "team".into(), ..contact_of(true) };
    let in_group = UpdateConversation { with: String::new(), ..both.clone() };
    for nonsense in [UpdateConversation::default(), both, in_group, with("a\0b")] {
        assert_eq!(code("alice", nonsense).await, ErrorCode::InvalidArgument);
    }
    let nobody = UpdateConversation { contact: Some(true), ..with("nobody") };
    assert_eq!(code("alice", nobody).await, ErrorCode::NotFound);
    let of_system = UpdateConversation { mute_until_ms: Some(i64::MAX), ..with("system") };
    assert_eq!(set_for(&control, "alice", of_system).await.unwrap().mute_until_ms, i64::MAX);
    assert_eq!(code("nobody", contact_of(true)).await, ErrorCode::NotFound);
    let in_team = UpdateConversation { group: "team".into(), archived: Some(true), ..UpdateConversation::default() };
    assert_eq!(code("alice", in_team.clone()).await, ErrorCode::NotAMember);
    control.group("team", &["alice"]).await;
    let joined = async { while set_for(&control, "alice", in_team.clone()).await.is_err() {} };
    within(DEADLINE, "a conversation in the group", joined).await;
}

#[tokio::test]
async fn what_a_blocked_one_does_just_now_does_not_come_either() {
    let node = Node::start().await;
    let control = node.control().await;
    let tokens = [control.user("alice").await, control.user("bob").await, control.user("carol").await];
    control.group("team", &["alice", "bob", "carol"]).await;
    let (alice, _alices) = node.online(&tokens[0], "phone").await;
    let (bob, mut bobs) = node.online(&tokens[1], "phone").await;
    let (carol, mut carols) = node.online(&tokens[2], "phone").await;
    let does = async |client: &Client, data: &'static str| {
        let data = Bytes::from_static(data.as_bytes());
        client.activity_in_group("team", activity::Kind::Custom, data).await.unwrap();
    };
    let live = async |client: &Client, text: &str| {
        let live = Outgoing { ttl: Some(Duration::ZERO), ..Outgoing::to_group("team", text) };
        sent(client, live).await.unwrap();
    };
    block(&bob, "alice", &[Block::GroupMessages]).await;
    does(&alice, "alice").await;
    assert_eq!(told(&mut carols, "alice does something", activity).await.data, "alice");
    does(&carol, "carol").await;
    assert_eq!(told(&mut bobs, "carol does something", activity).await.data, "carol");
    live(&alice, "from alice").await;
    assert_eq!(told(&mut carols, "it comes", transient).await, "from alice");
    live(&carol, "from carol").await;
    assert_eq!(told(&mut bobs, "it comes", transient).await, "from carol");

    block(&bob, "alice", &[Block::Messages]).await;
    typing(&alice, "unheard").await;
    let online_only = Outgoing { ttl: Some(Duration::ZERO), ..Outgoing::new("bob", "now") };
    assert_eq!(sent(&alice, online_only).await.err(), Some(ErrorCode::Blocked));
    // Alice is heard in the group again, and nothing came before that.
    live(&alice, "to all").await;
    let next = |event| match event {
        Event::Activity(activity) => panic!("{activity:?} comes to bob"),
        other => transient(other),
    };
    assert_eq!(told(&mut bobs, "it comes", next).await, "to all");
}

/// `audience` is about other users, and `messages` about sending to users: in groups their members say who may speak.
#[tokio::test]
async fn who_may_write_to_nobody_still_writes_to_oneself_and_to_groups() {
    let node = Node::start().await;
    let control = node.control().await;
    let alice = control.user("alice").await;
    control.user("bob").await;
    control.group("team", &["alice", "bob"]).await;
    let (alice, _events) = node.online(&alice, "phone").await;
    control.create_policy(by(Audience::Nobody)).await;
    control.assign_policy("alice", "guest").await;
    until(&alice, REFUSED).await;
    let (note, to_group) = (Outgoing::new("alice", "a note"), Outgoing::to_group("team", "hello"));
    assert_eq!([sent(&alice, note.clone()).await.err(), sent(&alice, to_group.clone()).await.err()], [None, None]);
    let as_alice = |to: &str, group: &str| SendMessageRequest {
        from: "alice".into(),
        to: to.into(),
        group: group.into(),
        content: Some(Content { text: "hello".into(), ..Content::default() }),
        ..SendMessageRequest::default()
    };
    let post = async |request| {
        let answer = control.messages.clone().send_message(request).await;
        answer.err().map(|status: Status| ErrorCode::of_status(&status))
    };
    let posts = [post(as_alice("bob", "")).await, post(as_alice("alice", "")).await, post(as_alice("", "team")).await];
    assert_eq!(posts, [REFUSED, None, None]);

    control.create_policy(Policy { id: "groups".into(), messages: Some(false), ..Policy::default() }).await;
    control.assign_policy("alice", "groups").await;
    until(&alice, Some(ErrorCode::FeatureOff)).await;
    assert_eq!(
        (sent(&alice, note).await.err(), sent(&alice, to_group).await.err()),
        (Some(ErrorCode::FeatureOff), None)
    );
    assert_eq!(
        (post(as_alice("bob", "")).await, post(as_alice("", "team")).await),
        (Some(ErrorCode::FeatureOff), None)
    );
}
