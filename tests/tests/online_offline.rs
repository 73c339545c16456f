//! Messages reach an online recipient at once and wait for an offline one: in order, once, in both directions, across
//! connections that are cut at random (promises 1, 2 and 3).

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tidings_sdk::{Client, Events, FileStore};
use tidings_tests::proxy::Proxy;
use tidings_tests::recorder::Recorder;
use tidings_tests::{Node, next_message, seed, traffic};

const MESSAGES: u64 = 10_000;
const CUTS: u64 = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_each_way_through_connections_that_are_cut() {
    let mut rng = SmallRng::seed_from_u64(seed());
    let node = Node::start().await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let proxy = Proxy::to(node.gateway_address()).await;
    let connect = |token: &str| -> (Client, Events) {
        let quickly = std::time::Duration::from_millis(20);
        Client::builder(proxy.url(), token).device("phone").backoff(quickly, quickly).connect().unwrap()
    };
    let ((alice, alice_events), (bob, bob_events)) = (connect(&alice), connect(&bob));
    let (to_bob, to_alice) = (Recorder::default(), Recorder::default());
    traffic::record(bob_events, to_bob.clone());
    traffic::record(alice_events, to_alice.clone());

    let cuts = async {
        for cut in 1..=CUTS {
            let (recorder, share) = if rng.random() { (&to_bob, cut) } else { (&to_alice, cut) };
            recorder.delivered_at_least(share * MESSAGES / (CUTS + 1)).await;
            proxy.cut();
        }
    };
    tokio::join!(
        traffic::send_while(&alice, "bob", &to_bob, |sent| sent < MESSAGES),
        traffic::send_while(&bob, "alice", &to_alice, |sent| sent < MESSAGES),
        cuts,
    );
    for recorder in [to_bob, to_alice] {
        recorder.delivered_at_least(MESSAGES).await;
        let verdict = recorder.verdict();
        verdict.assert_clean();
        assert_eq!((verdict.accepted, verdict.delivered, verdict.not_accepted), (MESSAGES, MESSAGES, 0));
    }
}

#[tokio::test]
async fn what_came_while_away_comes_on_connecting_and_once_per_device() {
    let mut node = Node::start().await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let (alice, _events) = node.client(&alice, "laptop").connect().unwrap();
    for number in 0..100 {
        alice.send("bob", number.to_string()).await.unwrap().sent().await.unwrap();
    }
    node.restart_after_kill9().await;

    let state = node.scratch("bob");
    let mut seen = 0;
    for expected in [60, 100] {
        let store = FileStore::open(&state).unwrap();
        let (client, mut events) = node.client(&bob, "phone").store(store).connect().unwrap();
        while seen < expected {
            let text = next_text(&mut events).await;
            assert_eq!(text, seen.to_string());
            seen += 1;
        }
        // Asking for more is what acknowledges the last one.
        let _ = tokio::time::timeout(std::time::Duration::from_millis(1), events.next()).await;
        client.close().await;
    }
    alice.send("bob", "last").await.unwrap().sent().await.unwrap();
    let (_client, mut events) = node.client(&bob, "phone").store(FileStore::open(&state).unwrap()).connect().unwrap();
    assert_eq!(next_text(&mut events).await, "last");
}

#[tokio::test]
async fn an_online_recipient_is_pushed_to() {
    let node = Node::start().await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let (bob, mut bob_events) = node.client(&bob, "phone").connect().unwrap();
    bob.online().await.unwrap();
    let (alice, mut alice_events) = node.client(&alice, "phone").connect().unwrap();
    for round in 0..20 {
        alice.send("bob", format!("ping {round}")).await.unwrap();
        assert_eq!(next_text(&mut bob_events).await, format!("ping {round}"));
        bob.send("alice", format!("pong {round}")).await.unwrap();
        assert_eq!(next_text(&mut alice_events).await, format!("pong {round}"));
    }
}

async fn next_text(events: &mut Events) -> String {
    next_message(events).await.text().to_owned()
}
