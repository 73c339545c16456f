//! What the servers keep of groups: read by members from where they joined, changed by those who may, for every device.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use tidings_proto::control::v1::Member;
use tidings_proto::group::v1::Role;
use tidings_sdk::{
    Change, ChangeEvent, Client, ErrorCode, Event, Events, HistoryQuery, MessageId, RequestError, SendError, change,
};
use tidings_tests::{Control, DEADLINE, Node, RawClient, within};

/// A device, and what it is told.
struct Device {
    client: Client,
    events: Events,
}

impl Device {
    async fn online(node: &Node, token: &str, device: &str) -> Self {
        let (client, events) = node.client(token, device).connect().unwrap();
        within(DEADLINE, "it is online", client.online()).await.unwrap();
        Self { client, events }
    }

    async fn say(&self, text: &str) -> MessageId {
        let saying = async { self.client.send_to_group("team", text).await.unwrap().sent().await };
        within(DEADLINE, "it is sent", saying).await.unwrap().id
    }

    async fn change(&self, of: MessageId, change: Change) -> Result<MessageId, ErrorCode> {
        let changing = async { self.client.change_in_group("team", of, change).await.unwrap().sent().await };
        match within(DEADLINE, "it is answered", changing).await {
            Ok(sent) => Ok(sent.id),
            Err(SendError::Refused { code, .. }) => Err(code),
            Err(other) => panic!("{other}"),
        }
    }

    /// The texts of the group; a dash where there is none any more.
    async fn texts(&self) -> Vec<String> {
        let asking = self.client.group_history("team", HistoryQuery::default());
        let page = within(DEADLINE, "a page", asking).await.unwrap();
        let text = |one: tidings_sdk::HistoryMessage| one.message.unwrap().content.map_or("-".into(), |c| c.text);
        page.messages.into_iter().map(text).collect()
    }

    /// The next message or change.
    async fn next(&mut self) -> Result<String, ChangeEvent> {
        within(DEADLINE, "something comes", async {
            loop {
                match self.events.next().await.expect("the client goes on") {
                    Event::Message(message) => return Ok(message.text().to_owned()),
                    Event::Changed(change) => return Err(change),
                    _ => {}
                }
            }
        })
        .await
    }
}

async fn tokens<const N: usize>(control: &Control, users: [&str; N]) -> [String; N] {
    let mut tokens = Vec::new();
    for user in users {
        tokens.push(control.user(user).await);
    }
    tokens.try_into().unwrap()
}

fn refused<T: std::fmt::Debug>(answer: Result<T, RequestError>) -> ErrorCode {
    match answer {
        Err(RequestError::Refused { code, .. }) => code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn members_page_through_a_group_from_where_they_joined_also_after_a_crash() {
    let mut node = Node::start().await;
    let control = node.control().await;
    let [alice, bob, eve] = tokens(&control, ["alice", "bob", "eve"]).await;
    let alice = Device::online(&node, &alice, "phone").await;
    let (bob, eve) = (Device::online(&node, &bob, "phone").await, Device::online(&node, &eve, "phone").await);
    control.group("team", &["alice"]).await;
    alice.say("before").await;
    control.add("team", &["bob"]).await;
    // At once: the home may not have heard of it, but who joined has.
    within(DEADLINE, "a page", bob.client.group_history("team", HistoryQuery::default())).await.unwrap();
    for number in 0..120 {
        alice.say(&number.to_string()).await;
    }
    node.restart_after_kill9().await;

    let mut backward = Vec::new();
    let mut before = 0;
    loop {
        let page = bob.client.group_history("team", HistoryQuery { before, ..HistoryQuery::default() }).await.unwrap();
        before = page.messages[0].place;
        backward.splice(0..0, page.messages);
        if !page.more {
            break;
        }
    }
    let mut forward = Vec::new();
    let mut after = backward[0].place - 1;
    loop {
        let query = HistoryQuery { after, limit: 100, ..HistoryQuery::default() };
        let page = bob.client.group_history("team", query).await.unwrap();
        after = page.messages.last().unwrap().place;
        forward.extend(page.messages);
        if !page.more {
            break;
        }
    }
    assert_eq!(forward, backward);
    let said: Vec<_> = forward.iter().map(|one| one.message.clone().unwrap().content.unwrap().text).collect();
    assert_eq!(said, (0..120).map(|number| number.to_string()).collect::<Vec<_>>(), "nothing from before");
    assert!(forward.iter().all(|one| one.message.as_ref().unwrap().group_seq == one.place));

    let most = HistoryQuery { limit: 1_000, ..HistoryQuery::default() };
    let page = alice.client.group_history("team", most).await.unwrap();
    assert_eq!((page.messages.len(), page.more), (100, true));
    let asked = HistoryQuery::default();
    assert_eq!(refused(eve.client.group_history("team", asked).await), ErrorCode::NotAMember);
    assert_eq!(refused(eve.client.group_history("other", asked).await), ErrorCode::NotAMember, "none is as another's");
    control.remove("team", &["bob"]).await;
    within(DEADLINE, "who left sees nothing any more", async {
        while bob.client.group_history("team", asked).await.is_ok() {}
    })
    .await;
    assert_eq!(refused(bob.client.group_history("team", asked).await), ErrorCode::NotAMember);
}

#[tokio::test]
async fn changes_reach_every_member_in_order_and_offline_devices_find_no_old_text() {
    let node = Node::start().await;
    let control = node.control().await;
    let [alice_token, bob, carol] = tokens(&control, ["alice", "bob", "carol"]).await;
    let alice = Device::online(&node, &alice_token, "phone").await;
    let mut tablet = Device::online(&node, &alice_token, "tablet").await;
    let mut bob = Device::online(&node, &bob, "phone").await;
    control.group("team", &["alice", "bob", "carol"]).await;
    let admin = Member { user: "bob".to_owned(), role: Role::Admin.into(), ..Member::default() };
    control.set_member("team", admin, &["role"]).await;

    let (first, second) = (alice.say("helo").await, alice.say("a secret").await);
    // Given before they are changed: a device that lags is given them as they are by then.
    for device in [&mut tablet, &mut bob] {
        assert_eq!(device.next().await.unwrap(), "helo");
        assert_eq!(device.next().await.unwrap(), "a secret");
    }
    alice.change(first, Change::edit("hello")).await.unwrap();
    bob.change(first, Change::react("+")).await.unwrap();
    assert_eq!(bob.change(first, Change::edit("mine now")).await, Err(ErrorCode::PermissionDenied));
    // Who may manage the group takes back what others said.
    within(DEADLINE, "the home has heard of the new role", async {
        while let Err(code) = bob.change(second, Change::recall()).await {
            assert_eq!(code, ErrorCode::PermissionDenied);
        }
    })
    .await;
    assert_eq!(alice.change(second, Change::edit("again")).await, Err(ErrorCode::NotFound));
    for device in [&alice, &bob] {
        assert_eq!(device.texts().await, ["hello", "-"]);
    }
    for device in [&mut tablet, &mut bob] {
        let edit = device.next().await.unwrap_err();
        assert_eq!(
            (edit.kind(), edit.of, edit.content.unwrap().text),
            (change::Kind::Edit, Some(first), "hello".into())
        );
        assert_eq!((edit.group.as_str(), edit.from.as_str()), ("team", "alice"));
    }
    let react = tablet.next().await.unwrap_err();
    assert_eq!((react.kind(), react.emoji.as_str(), react.from.as_str()), (change::Kind::React, "+", "bob"));
    assert_eq!(tablet.next().await.unwrap_err().kind(), change::Kind::Recall);

    // Offline all the while: the messages come as they are now, and what was done to them.
    let mut carol = Device::online(&node, &carol, "phone").await;
    assert_eq!((carol.next().await.unwrap(), carol.next().await.unwrap()), ("hello".to_owned(), String::new()));
    let kinds = [change::Kind::Edit, change::Kind::React, change::Kind::Recall];
    for kind in kinds {
        assert_eq!(carol.next().await.unwrap_err().kind(), kind);
    }
    assert_eq!(carol.texts().await, ["hello", "-"]);
}

#[tokio::test]
async fn nonsense_about_a_group_s_history_is_refused_and_the_connection_goes_on() {
    use tidings_proto::client::v1::{GetHistory, Request, Send, client_frame, request};
    let node = Node::start().await;
    let control = node.control().await;
    let [alice] = tokens(&control, ["alice"]).await;
    control.group("team", &["alice"]).await;
    let (mut raw, _) = RawClient::attached(node.gateway_address(), &alice, "raw", None).await;
    let history = |with: &str, group: String| GetHistory { with: with.to_owned(), group, ..GetHistory::default() };
    for (id, asked) in
        [(1, history("bob", "team".to_owned())), (2, history("", "x".repeat(64))), (3, history("", String::new()))]
    {
        let request = Some(request::Request::GetHistory(asked));
        raw.write(client_frame::Frame::Request(Request { id, request })).await;
        let response = raw.response(id).await;
        assert_eq!(response.code(), ErrorCode::InvalidArgument, "{id}");
    }
    // What only servers say is not believed.
    let of = Some(MessageId { stream: 1, seq: 1 });
    let forged = ChangeEvent { of, kind: change::Kind::Pin.into(), from: "bob".to_owned(), ..ChangeEvent::default() };
    let send = Send { seq: 1, group: "team".to_owned(), change: Some(forged), ..Send::default() };
    raw.write(client_frame::Frame::Send(send)).await;
    assert_eq!(raw.answer().await, (1, Some(ErrorCode::NotFound)));
}
