//! What a message can say beside text, as it comes to the other side.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used)]

use tidings_proto::client::v1::{ClientFrame, Hello, ServerFrame, client_frame, server_frame};
use tidings_proto::control::v1::SendMessageRequest;
use tidings_proto::frame::SUBPROTOCOL_JSON;
use tidings_proto::message::v1::envelope;
use tidings_sdk::content::{live_location, mentioning, poll, value, vote, votes, with_values};
use tidings_sdk::field_value::Value;
use tidings_sdk::{
    Change, Client, Content, ErrorCode, Event, Events, FieldValue, HistoryQuery, MessageId, Outgoing, Priority,
    SendError, Sending, change,
};
use tidings_tests::answers::{self, changed};
use tidings_tests::contents::Talk;
use tidings_tests::raw::Came;
use tidings_tests::{DEADLINE, Node, RawClient, next_message, told, within};

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

#[tokio::test]
async fn titles_data_answers_threads_and_pins_are_the_same_live_from_the_queue_and_in_the_history() {
    let mut node = Node::start().await;
    let control = node.control().await;
    let mut talk = Talk::open(&control, async |token, device| node.online(token, device).await).await;
    talk.says_all().await;
    talk.pins().await;
    node.restart_after_kill9().await;
    talk.who_was_away_has_it_all(async |token, device| node.online(token, device).await).await;
}

/// A field of each type, with what is at the edges of it.
fn order() -> Content {
    let seats: FieldValue = (-9_007_199_254_740_993).into();
    let values = [
        ("seats", seats),
        ("price", 0.1.into()),
        ("paid", false.into()),
        ("key", vec![0, 255].into()),
        ("from", FieldValue::time_ms(1_798_790_400_250)),
    ];
    let fields = [("lang".to_owned(), "en".to_owned())].into();
    with_values(Content { text: "an order".to_owned(), fields, ..Content::default() }, values)
}

async fn newest(client: &Client, with: &str) -> Content {
    let newest = HistoryQuery { limit: 1, ..HistoryQuery::default() };
    let page = client.history(with, newest).await.unwrap();
    page.messages.into_iter().next().unwrap().message.unwrap().content.unwrap()
}

#[tokio::test]
async fn typed_fields_come_as_they_were_sent_and_after_an_edit_and_from_backends() {
    let node = Node::start().await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let (alice, _alices) = node.client(&alice, "phone").connect().unwrap();
    let (bob, mut bobs) = node.client(&bob, "phone").connect().unwrap();

    let id = sent(alice.send("bob", order()).await.unwrap()).await;
    assert_eq!(next_message(&mut bobs).await.content(), Some(&order()));
    assert_eq!(newest(&bob, "alice").await, order());
    let paid = with_values(order(), [("paid", true.into())]);
    change(&alice, "bob", id, Change::edit(paid.clone())).await;
    assert_eq!(edited(&mut bobs).await, paid);
    assert_eq!(value(&newest(&bob, "alice").await, "paid"), Some(&Value::Boolean(true)));

    let request = SendMessageRequest {
        app: "default".to_owned(),
        to: "bob".to_owned(),
        content: Some(order()),
        ..SendMessageRequest::default()
    };
    control.messages.clone().send_message(request.clone()).await.unwrap();
    assert_eq!(next_message(&mut bobs).await.content(), Some(&order()));
    let content = Some(with_values(order(), [("lang", 1.into())]));
    let refused = control.messages.clone().send_message(SendMessageRequest { content, ..request }).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    assert!(refused.message().contains("content.values: the field \"lang\" is in fields and in values"), "{refused}");
}

#[tokio::test]
async fn typed_fields_of_no_form_are_refused_with_the_reason() {
    let node = Node::start().await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let (alice, _alices) = node.client(&alice, "phone").connect().unwrap();
    let (_bob, mut bobs) = node.client(&bob, "phone").connect().unwrap();
    let good = sent(alice.send("bob", order()).await.unwrap()).await;
    let many = (0..101).map(|number| (format!("n{number}"), FieldValue::from(true))).collect();
    let wrong = [
        (with_values(order(), [("price", f64::NAN.into())]), "\"price\" is NaN"),
        (with_values(order(), [("lang", 1.into())]), "\"lang\" is in fields and in values"),
        (with_values(order(), [("what", FieldValue::default())]), "\"what\" has no value"),
        (with_values(order(), [(&*"n".repeat(64), 1.into())]), "1 to 63 bytes"),
        (Content { values: many, ..Content::default() }, "101 typed fields, more than 100"),
    ];
    for (content, reason) in wrong {
        for sending in [
            alice.send("bob", content.clone()).await.unwrap(),
            alice.change("bob", good, Change::edit(content.clone())).await.unwrap(),
        ] {
            match within(DEADLINE, "it is refused", sending.sent()).await {
                Err(SendError::Refused { code: ErrorCode::InvalidArgument, message, .. }) => {
                    assert!(message.contains(reason), "{message}");
                }
                other => panic!("{other:?} in the place of a refusal for {reason}"),
            }
        }
    }
    sent(alice.send("bob", "the last").await.unwrap()).await;
    assert_eq!(next_message(&mut bobs).await.content(), Some(&order()));
    assert_eq!(next_message(&mut bobs).await.text(), "the last", "nothing of what was refused came");
}

#[tokio::test]
async fn typed_fields_go_through_json() {
    let node = Node::start().await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let mut alice = json(&node, &alice).await;
    let mut bob = json(&node, &bob).await;
    let said = r#"{"send":{"seq":"1","to":"bob","content":{"text":"an order","fields":{"lang":"en"},"values":{
        "seats":{"integer":"-9007199254740993"},"price":{"number":0.1},"paid":{"boolean":false},"key":{"data":"AP8="},
        "from":{"timeMs":"1798790400250"}}}}}"#;
    alice.write_text(said).await;
    let (text, message) = loop {
        let (text, frame) = came(&mut bob).await;
        if let server_frame::Frame::Deliver(deliver) = frame
            && let Some(envelope::Event::Message(message)) = deliver.envelope.and_then(|envelope| envelope.event)
        {
            break (text, message);
        }
    };
    assert_eq!(message.content, Some(order()));
    for part in [r#""integer":"-9007199254740993""#, r#""number":0.1"#, r#""boolean":false"#, r#""data":"AP8=""#] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    alice.write_text(r#"{"send":{"seq":"2","to":"bob","content":{"values":{"n":{"number":"NaN"}}}}}"#).await;
    let refused = loop {
        if let (_, server_frame::Frame::Refused(refused)) = came(&mut alice).await {
            break refused;
        }
    };
    assert_eq!((refused.seq, refused.code()), (2, ErrorCode::InvalidArgument));
}

/// Attached with JSON in both directions.
async fn json(node: &Node, token: &str) -> RawClient {
    let mut client = RawClient::open_as(node.gateway_address(), SUBPROTOCOL_JSON).await;
    let hello = Hello { version: 1, token: token.to_owned(), device: "phone".to_owned(), ..Hello::default() };
    let hello = ClientFrame { frame: Some(client_frame::Frame::Hello(hello)) };
    client.write_text(&serde_json::to_string(&hello).unwrap()).await;
    assert!(matches!(came(&mut client).await.1, server_frame::Frame::Welcome(_)));
    client
}

async fn came(client: &mut RawClient) -> (String, server_frame::Frame) {
    match client.next().await {
        Came::Text(text) => {
            let frame: ServerFrame = serde_json::from_str(&text).unwrap();
            (text, frame.frame.unwrap())
        }
        other => panic!("no text but {other:?}"),
    }
}

/// Alice pins what bob takes the pin off at the same time: the later one holds, in both histories.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_agree_on_what_is_pinned() {
    let node = Node::start().await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let (alice, _alices) = node.online(&alice, "phone").await;
    let (bob, _bobs) = node.online(&bob, "phone").await;
    for number in 0..30 {
        let id = answers::sent(&alice, Outgoing::new("bob", number.to_string())).await.unwrap();
        let (on, off) = (changed(&alice, "bob", id, Change::pin()), changed(&bob, "alice", id, Change::pin().off()));
        let (on, off) = tokio::join!(on, off);
        assert!(on.is_ok() && off.is_ok(), "{on:?} {off:?}");
    }
    let pinned = async |client: &Client, with| {
        let page = client.history(with, HistoryQuery::default()).await.unwrap();
        page.messages.into_iter().map(|one| one.message.unwrap().pinned).collect::<Vec<_>>()
    };
    within(DEADLINE, "both agree", async {
        while pinned(&alice, "bob").await != pinned(&bob, "alice").await {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
