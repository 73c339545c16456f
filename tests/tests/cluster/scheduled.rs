//! Scheduled messages while the brokers that lead die: each is sent once, not before its time, and what is cancelled
//! never (promises 1 and 2).

use std::collections::BTreeSet;

use tidings_audit::LocalCluster;
use tidings_node::Clock;
use tidings_proto::control::v1::{GetScheduledMessageRequest, SendMessageRequest};
use tidings_proto::message::v1::{Content, ScheduleState};
use tidings_sdk::{Event, Events, Outgoing};
use tidings_tests::{Control, DEADLINE, within};
use tokio::sync::watch;

use super::support::{client, control, settled, start};

const MESSAGES: usize = 60;
/// Between the times of two messages.
const STEP_MS: i64 = 250;
const CANCELLED: usize = 20;
/// So many more have come when a broker that was killed is started again.
const RELEASED_MEANWHILE: usize = 8;

/// What came, text and time, until everything of `wanted` has; how many did so far is told as they come.
async fn come(events: &mut Events, wanted: &BTreeSet<String>, count: &watch::Sender<usize>) -> Vec<(String, i64)> {
    let (mut came, mut left) = (Vec::new(), wanted.clone());
    within(DEADLINE * 2, "all of them come", async {
        while !left.is_empty() {
            if let Event::Message(message) = events.next().await.expect("the client goes on") {
                left.remove(message.text());
                came.push((message.text().to_owned(), message.sent_at_ms()));
                count.send_replace(came.len());
            }
        }
    })
    .await;
    came
}

/// Kills one broker after the other, and starts it again when the others have released some more meanwhile.
async fn kill_each(cluster: &LocalCluster, mut count: watch::Receiver<usize>, all: usize) {
    for broker in 0..3 {
        cluster.broker(broker).kill9().unwrap();
        let enough = all.min(*count.borrow() + RELEASED_MEANWHILE);
        within(DEADLINE, "the others go on", count.wait_for(|came| *came >= enough)).await.unwrap();
        cluster.broker(broker).restart().await.unwrap();
        settled(cluster).await;
    }
}

async fn was_sent(control: &Control, id: &str) -> bool {
    let request = GetScheduledMessageRequest { id: id.to_owned(), ..GetScheduledMessageRequest::default() };
    let asked = control.messages.clone().get_scheduled_message(request).await;
    asked.is_ok_and(|answer| answer.get_ref().state() == ScheduleState::Sent)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_is_sent_once_while_the_brokers_that_lead_die_at_that_moment() {
    let cluster = start().await;
    let control = control(&cluster, 0).await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    control.group("team", &["bob", "alice"]).await;
    let (alice, alice_events) = client(&cluster, &alice, "phone").connect().unwrap();
    drop(alice_events);
    let (_bob, mut bobs) = client(&cluster, &bob, "phone").connect().unwrap();
    let from_ms = Clock::system().now_ms() + 6_000;
    let at = |number: usize| from_ms + STEP_MS * i64::try_from(number).unwrap();
    let mut sent = Vec::new();
    // Those that are cancelled first: a slow machine has the longest for it.
    for number in (0..MESSAGES).rev() {
        let outgoing = match number % 2 {
            0 => Outgoing::new("bob", format!("alice {number}")),
            _ => Outgoing::to_group("team", format!("alice {number}")),
        };
        sent.push((number, alice.send_message(outgoing.at(at(number))).await.unwrap()));
    }
    let mut cancelled = Vec::new();
    for (number, sending) in &sent {
        within(DEADLINE, "it is accepted", sending.sent()).await.unwrap();
        if *number >= MESSAGES - CANCELLED {
            within(DEADLINE, "it is cancelled", alice.cancel_scheduled(sending.id().unwrap())).await.unwrap();
            cancelled.push(format!("alice {number}"));
        }
    }
    let mut posted = Vec::new();
    for number in 0..MESSAGES {
        let post = SendMessageRequest {
            to: "bob".to_owned(),
            content: Some(Content { text: format!("system {number}"), ..Content::default() }),
            request_id: format!("request {number}"),
            deliver_at: Some(prost_types::Timestamp { seconds: at(number) / 1000, nanos: 0 }),
            ..SendMessageRequest::default()
        };
        let ids = [
            control.messages.clone().send_message(post.clone()).await.unwrap().into_inner(),
            control.messages.clone().send_message(post).await.unwrap().into_inner(),
        ];
        assert!(ids[0].scheduled && !ids[0].repeated && ids[1].repeated);
        assert_eq!(ids[0].id, ids[1].id);
        posted.push(ids[0].id.clone());
    }

    let system = (0..MESSAGES).map(|number| format!("system {number}"));
    let wanted: BTreeSet<_> = (0..MESSAGES - CANCELLED).map(|number| format!("alice {number}")).chain(system).collect();
    let count = watch::Sender::new(0);
    let killing = kill_each(&cluster, count.subscribe(), wanted.len());
    let (came, ()) = tokio::join!(come(&mut bobs, &wanted, &count), killing);
    let mut once = BTreeSet::new();
    for (text, sent_at_ms) in &came {
        assert!(once.insert(text.clone()), "{text} came twice");
        assert!(!cancelled.contains(text), "{text} was cancelled");
        let number: usize = text.split_once(' ').unwrap().1.parse().unwrap();
        // The seconds of a timestamp are rounded down.
        assert!(*sent_at_ms >= at(number) - 1000, "{text} came too early");
    }
    assert_eq!(once, wanted);
    assert!(alice.scheduled(Vec::new(), 0).await.unwrap().messages.is_empty());
    within(DEADLINE, "a backend is told that the last was sent", async {
        while !was_sent(&control, posted.last().unwrap()).await {}
    })
    .await;
}
