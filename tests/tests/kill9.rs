//! The node is killed at random moments under load, and started again: what was `sent` is there, once, in order
//! (promises 1, 2 and 3). `TIDINGS_KILL_ROUNDS` sets the number of rounds.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tidings_tests::recorder::Recorder;
use tidings_tests::{Node, seed, traffic};

const SENDERS: usize = 3;
/// What each sender has unanswered at most: enough to keep the node busy.
const OUTBOX: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_sent_is_lost_doubled_or_out_of_order() {
    let rounds: u32 = std::env::var("TIDINGS_KILL_ROUNDS").map_or(30, |rounds| rounds.parse().unwrap());
    let mut rng = SmallRng::seed_from_u64(seed());
    let mut node = Node::start().await;
    let control = node.control().await;
    let stop = AtomicBool::new(false);

    let mut lines = Vec::new();
    for number in 0..SENDERS {
        let (from, to) = (format!("sender-{number}"), format!("recipient-{number}"));
        let (sender_token, recipient_token) = (control.user(&from).await, control.user(&to).await);
        let (sender, sender_events) =
            node.client(&sender_token, "phone").outbox_limit(OUTBOX, 1 << 20).connect().unwrap();
        drop(sender_events);
        let (recipient, events) = node.client(&recipient_token, "phone").connect().unwrap();
        let recorder = Recorder::default();
        traffic::record(events, recorder.clone());
        lines.push((sender, recipient, to, recorder));
    }
    let traffic = async {
        let senders = lines.iter().map(|(sender, _, to, recorder)| {
            traffic::send_while(sender, to, recorder, |_| !stop.load(Ordering::Relaxed))
        });
        futures_util::future::join_all(senders).await;
    };
    let kills = async {
        for round in 1..=rounds {
            let (_, _, _, recorder) = &lines[rng.random_range(0..SENDERS)];
            recorder.accepted_at_least(recorder.accepted() + rng.random_range(1..1000)).await;
            // Not tied to an answer: anywhere between two of them.
            tokio::time::sleep(Duration::from_micros(rng.random_range(0..5000))).await;
            node.kill9();
            node.launch();
            // Every third time it is killed again before it is ready.
            if round % 3 == 0 {
                tokio::time::sleep(Duration::from_millis(rng.random_range(0..300))).await;
                node.kill9();
                node.launch();
            }
            node.ready().await;
        }
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(traffic, kills);

    println!("{rounds} rounds");
    for (_, _, _, recorder) in &lines {
        recorder.delivered_at_least(recorder.accepted()).await;
        let verdict = recorder.verdict();
        verdict.assert_clean();
        assert_eq!(verdict.not_accepted, 0, "a device's stream survives: every outcome becomes known");
        assert_eq!(verdict.accepted, verdict.delivered);
    }
}
