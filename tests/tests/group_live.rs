//! What is sent to a group and stored nowhere: who gets it, and what a slow reader gets of it.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::time::Duration;

use tidings_proto::client::v1::server_frame;
use tidings_proto::message::v1::{Message, envelope};
use tidings_sdk::{Content, Event, Events, HistoryQuery, Outgoing, Status};
use tidings_tests::raw::Came;
use tidings_tests::{DEADLINE, Node, RawClient, within};

const UPDATES: usize = 2_500;
/// Together more than all buffers on the way to a device hold.
const BYTES_EACH: usize = 8 << 10;

fn live(group: &str, text: &str) -> Outgoing {
    Outgoing { ttl: Some(Duration::ZERO), ..Outgoing::to_group(group, text) }
}

/// The text of what comes next, and whether it is stored nowhere.
async fn next(events: &mut Events) -> (String, bool) {
    within(DEADLINE, "something comes", async {
        loop {
            match events.next().await.expect("the client goes on") {
                Event::Transient(message) => {
                    assert_eq!((message.group.as_str(), message.group_seq), ("team", 0));
                    return (message.content.unwrap().text, true);
                }
                Event::Message(message) => return (message.text().to_owned(), false),
                _ => {}
            }
        }
    })
    .await
}

#[tokio::test]
async fn members_who_are_online_and_receive_get_it_in_order_and_nobody_keeps_it() {
    let node = Node::start().await;
    let control = node.control().await;
    let mut tokens = Vec::new();
    for user in ["alice", "bob", "carol", "eve"] {
        tokens.push(control.user(user).await);
    }
    control.group("team", &["alice", "bob", "carol"]).await;
    let (alice, _alice_events) = node.online(&tokens[0], "phone").await;
    let (bob, mut bob_events) = node.online(&tokens[1], "phone").await;
    let (eve, mut eve_events) = node.online(&tokens[3], "phone").await;
    for number in 0..20 {
        alice.send_message(live("team", &number.to_string())).await.unwrap().sent().await.unwrap();
    }
    let refused = eve.send_message(live("team", "let me in")).await.unwrap().sent().await.unwrap_err();
    assert!(refused.to_string().starts_with("NOT_A_MEMBER"), "{refused:?}");
    alice.send_to_group("team", "stored").await.unwrap().sent().await.unwrap();
    for number in 0..20 {
        assert_eq!(next(&mut bob_events).await, (number.to_string(), true));
    }
    assert_eq!(next(&mut bob_events).await, ("stored".to_owned(), false));
    // Who was away has what is stored alone, and so has the history.
    let (_carol, mut carol_events) = node.online(&tokens[2], "phone").await;
    assert_eq!(next(&mut carol_events).await, ("stored".to_owned(), false));
    let page = bob.group_history("team", HistoryQuery::default()).await.unwrap();
    assert_eq!(page.messages.len(), 1, "{page:?}");
    // What comes to a stranger is a later message, and nothing before it.
    alice.send("eve", "hello").await.unwrap().sent().await.unwrap();
    assert_eq!(next(&mut eve_events).await, ("hello".to_owned(), false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_gets_the_last_of_each_key_and_costs_the_others_nothing() {
    let node = Node::start_with(&["gateway.sends_per_second=0"]).await;
    let control = node.control().await;
    let (feed, slow, fast) = (control.user("feed").await, control.user("slow").await, control.user("fast").await);
    control.group("prices", &["feed", "slow", "fast"]).await;
    let (mut slow, _) = RawClient::attached(node.gateway_address(), &slow, "slow", None).await;
    let (_fast, mut fast) = node.online(&fast, "phone").await;
    let (feed, _events) = node.online(&feed, "phone").await;
    let reading = tokio::spawn(async move {
        while !matches!(fast.next().await, Some(Event::Transient(it)) if it.content.as_ref().unwrap().text == last("USD"))
        {
        }
    });

    let padding = "x".repeat(BYTES_EACH);
    let update = |key: &str, number: usize| {
        let content = Content { text: format!("{key} {number}"), title: padding.clone(), ..Content::default() };
        let (ttl, conflation_key) = (Some(Duration::ZERO), key.to_owned());
        Outgoing { ttl, conflation_key, ..Outgoing::to_group("prices", content) }
    };
    for number in 0..UPDATES {
        for key in ["EUR", "USD"] {
            let sending = feed.send_message(update(key, number)).await.unwrap();
            // One at a time: what a reader does not get is the reader's doing.
            let sent = within(DEADLINE, "it is handed on", sending.sent()).await;
            assert!(sent.is_ok() || sending.status() == Status::Sent, "{sent:?}");
        }
    }
    // The one who reads has the last.
    within(DEADLINE, "the last comes to who reads", reading).await.unwrap();

    let mut got = 0;
    let mut newest = [None, None];
    within(DEADLINE, "the last comes to who is slow", async {
        while newest != [Some(UPDATES - 1), Some(UPDATES - 1)] {
            let text = transient(&mut slow).await.content.unwrap().text;
            let (key, number) = text.split_once(' ').unwrap();
            let newest = &mut newest[usize::from(key == "USD")];
            let number = number.parse().unwrap();
            assert!(newest.is_none_or(|newest| newest < number), "{key}: {newest:?}, then {number}");
            *newest = Some(number);
            got += 1;
        }
    })
    .await;
    println!("of {} updates the slow reader got {got}", 2 * UPDATES);
    assert!(got < 2 * UPDATES);
    assert!(node.metric("tidings_gateway_transients_conflated_total") > 0.0);
    assert!(node.metric("tidings_gateway_transients_dropped_total") == 0.0);
}

fn last(key: &str) -> String {
    format!("{key} {}", UPDATES - 1)
}

async fn transient(client: &mut RawClient) -> Message {
    loop {
        if let Came::Frame(server_frame::Frame::Transient(transient)) = client.next().await
            && let Some(envelope::Event::Message(message)) = transient.envelope.unwrap().event
        {
            return message;
        }
    }
}
