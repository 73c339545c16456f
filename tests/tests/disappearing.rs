//! Messages that go after a time: from both histories, and for devices that were away.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use tidings_sdk::disappearance::Start;
use tidings_sdk::{Client, Disappearance, ErrorCode, Event, Events, HistoryQuery, Outgoing, SendError, change};
use tidings_tests::{DEADLINE, Node, next_message, within};

fn disappearing(text: &str, after: Duration, from: Start) -> Outgoing {
    let after_ms = after.as_millis().try_into().unwrap();
    Outgoing { disappears: Some(Disappearance { after_ms, from: from.into() }), ..Outgoing::new("bob", text) }
}

fn in_team(outgoing: Outgoing) -> Outgoing {
    Outgoing { to: String::new(), group: "team".to_owned(), ..outgoing }
}

async fn send(client: &Client, outgoing: Outgoing) -> Result<(), SendError> {
    let sending = client.send_message(outgoing).await.unwrap();
    within(DEADLINE, "it is answered", sending.sent()).await.map(drop)
}

async fn is_empty(client: &Client, with: &str) {
    within(DEADLINE, "the history is empty", async {
        while !client.history(with, HistoryQuery::default()).await.unwrap().messages.is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Waits for an event, and sees to it that no message comes before.
async fn without_a_message<T>(events: &mut Events, what: &str, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
    within(DEADLINE, what, async {
        loop {
            match events.next().await.unwrap() {
                Event::Message(message) => panic!("{} came", message.text()),
                other => {
                    if let Some(found) = wanted(other) {
                        return found;
                    }
                }
            }
        }
    })
    .await
}

fn begins(event: Event) -> Option<i64> {
    match event {
        Event::Changed(change) if change.kind() == change::Kind::Disappears => Some(change.disappears_at_ms),
        _ => None,
    }
}

fn caught_up(event: Event) -> Option<()> {
    matches!(event, Event::CaughtUp).then_some(())
}

#[tokio::test]
async fn once_it_was_read_it_goes_on_both_sides_and_for_a_device_that_is_away() {
    let node = Node::start().await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    node.online(&bob, "tablet").await.0.close().await;
    let (alice, mut alices) = node.online(&alice, "phone").await;
    let (bobs_phone, mut bobs) = node.online(&bob, "phone").await;
    send(&alice, disappearing("read and burn", Duration::from_secs(1), Start::Read)).await.unwrap();
    let message = next_message(&mut bobs).await;
    assert_eq!((message.text(), message.as_proto().disappears_at_ms), ("read and burn", 0));
    message.ack();
    bobs_phone.mark_read(&message).await.unwrap();
    let hers = without_a_message(&mut alices, "alice is told when", begins).await;
    let his = without_a_message(&mut bobs, "bob is told when", begins).await;
    assert!(hers == his && hers > message.sent_at_ms());
    is_empty(&bobs_phone, "alice").await;
    is_empty(&alice, "bob").await;
    let (_tablet, mut events) = node.online(&bob, "tablet").await;
    without_a_message(&mut events, "the tablet has all that is left", caught_up).await;
}

#[tokio::test]
async fn what_disappears_before_anybody_had_it_is_told_to_its_sender() {
    let mut node = Node::start_with(&["gateway.history_seconds=0"]).await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let (alice, mut alices) = node.online(&alice, "phone").await;
    send(&alice, disappearing("too late", Duration::from_millis(300), Start::Sent)).await.unwrap();
    let failure = |event| if let Event::Failure(failure) = event { Some(failure.reason()) } else { None };
    let reason = without_a_message(&mut alices, "alice is told", failure).await;
    assert_eq!(reason, ErrorCode::Expired);
    node.restart_after_kill9().await;
    send(&alice, Outgoing::new("bob", "still there")).await.unwrap();
    let (_bob, mut bobs) = node.online(&bob, "phone").await;
    assert_eq!(next_message(&mut bobs).await.text(), "still there");

    // Without a history a later beginning could not find it again.
    let refused = send(&alice, disappearing("kept by nobody", Duration::from_secs(1), Start::Read)).await;
    assert!(matches!(refused, Err(SendError::Refused { code: ErrorCode::FailedPrecondition, .. })), "{refused:?}");
    let endless = send(&alice, disappearing("at once", Duration::ZERO, Start::Sent)).await;
    assert!(matches!(endless, Err(SendError::Refused { code: ErrorCode::InvalidArgument, .. })), "{endless:?}");
}

#[tokio::test]
async fn in_a_group_it_goes_for_all_members_once_the_first_of_them_has_read_it() {
    let mut node = Node::start().await;
    let control = node.control().await;
    let mut tokens = Vec::new();
    for user in ["alice", "bob", "carol"] {
        tokens.push(control.user(user).await);
    }
    control.group("team", &["alice", "bob", "carol"]).await;
    let (alice, mut alices) = node.online(&tokens[0], "phone").await;
    let (bob, mut bobs) = node.online(&tokens[1], "phone").await;
    node.online(&tokens[2], "phone").await.0.close().await;
    send(&alice, in_team(disappearing("read and burn", Duration::from_secs(1), Start::Read))).await.unwrap();
    let hers = next_message(&mut alices).await;
    assert!(hers.is_echo());
    // That its sender has read it begins nothing.
    alice.mark_read(&hers).await.unwrap();
    let message = next_message(&mut bobs).await;
    assert_eq!((message.text(), message.as_proto().disappears_at_ms), ("read and burn", 0));
    message.ack();
    assert_eq!(alice.group_history("team", HistoryQuery::default()).await.unwrap().messages.len(), 1);
    bob.mark_read(&message).await.unwrap();
    let hers = without_a_message(&mut alices, "alice is told when", begins).await;
    let his = without_a_message(&mut bobs, "bob is told when", begins).await;
    assert!(hers == his && hers > message.sent_at_ms());
    for client in [&alice, &bob] {
        within(DEADLINE, "the history is empty", async {
            while !client.group_history("team", HistoryQuery::default()).await.unwrap().messages.is_empty() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    node.restart_after_kill9().await;
    let (_carol, mut carols) = node.online(&tokens[2], "phone").await;
    without_a_message(&mut carols, "carol has all that is left", caught_up).await;
    let sent = in_team(disappearing("for a moment", Duration::from_millis(300), Start::Sent));
    send(&alice, sent).await.unwrap();
    within(DEADLINE, "the history is empty", async {
        while !alice.group_history("team", HistoryQuery::default()).await.unwrap().messages.is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
