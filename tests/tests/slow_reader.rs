//! A reader that does not read costs the node a bounded amount of memory, and others nothing (promise 6).

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use tidings_sdk::{Content, Outgoing};
use tidings_tests::recorder::Recorder;
use tidings_tests::{DEADLINE, Node, RawClient, traffic, within};

const QUEUED: u64 = 50_000;
const BYTES_EACH: usize = 512;
/// The device's windows, the sockets' buffers, and a store that warms up. The queue itself is 25 MiB.
const MAY_COST: u64 = 16 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_thousand_queued_messages_for_a_reader_that_does_not_read() {
    let node = Node::start_with(&["gateway.sends_per_second=0", "gateway.frames_per_second=0"]).await;
    let control = node.control().await;
    let (alice, bob, carol) = (control.user("alice").await, control.user("bob").await, control.user("carol").await);
    let (client, _events) = node.client(&alice, "phone").connect().unwrap();
    let padding = "x".repeat(BYTES_EACH);
    let mut last = None;
    for number in 0..QUEUED {
        let content = Content { text: number.to_string(), title: padding.clone(), ..Content::default() };
        last = Some(client.send_message(Outgoing::new("bob", content)).await.unwrap());
    }
    within(DEADLINE * 2, "the queue is filled", last.unwrap().sent()).await.unwrap();
    let before = node.resident_bytes();

    // Attached, and not reading.
    let (mut slow, welcome) = RawClient::attached(node.gateway_address(), &bob, "slow", None).await;
    assert_eq!(welcome.tail, QUEUED);

    // Others go on.
    let (carol, events) = node.client(&carol, "phone").connect().unwrap();
    let recorder = Recorder::default();
    traffic::record(events, recorder.clone());
    traffic::send_while(&client, "carol", &recorder, |sent| sent < 2000).await;
    recorder.delivered_at_least(2000).await;
    recorder.verdict().assert_clean();
    drop(carol);
    let while_stuck = node.resident_bytes();
    println!("resident: {} MiB with the queue on disk, {} MiB with the reader stuck", before >> 20, while_stuck >> 20);
    assert!(while_stuck < before + MAY_COST, "{before} bytes, then {while_stuck}");

    // It reads at last, and everything is there.
    let mut highest = before;
    for number in 0..QUEUED {
        let (seq, message) = slow.message().await;
        assert_eq!(message.content.unwrap().text, number.to_string());
        if number % 64 == 63 {
            slow.ack(seq).await;
        }
        if number % 1000 == 0 {
            highest = highest.max(node.resident_bytes());
        }
    }
    println!("resident: {} MiB at most while it reads", highest >> 20);
    assert!(highest < before + 2 * MAY_COST, "{before} bytes, then {highest}");
}
