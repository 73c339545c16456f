//! A disk that takes no more: nothing is acknowledged that is not on it, everybody is told, and after a restart with
//! room everything that was acknowledged is there, once (promises 1 and 4). The limit on a file's size stands in for
//! the disk: the write to the log fails in the middle, as it does there.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::process::Command;

use tidings_sdk::ErrorCode;
use tidings_tests::{DEADLINE, Node, RawClient, within};

const FILE_LIMIT: u64 = 4 << 20;
const BYTES_EACH: usize = 32 * 1024;
/// More than the limit holds.
const MESSAGES: u64 = 4 * FILE_LIMIT / BYTES_EACH as u64;

#[tokio::test]
async fn a_full_disk_refuses_says_so_and_loses_nothing() {
    // The signal that comes with the error would end the process; a full disk sends none.
    let mut node = Node::start_under(&["env", "--ignore-signal=XFSZ"], &[]).await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let (mut sender, _) = RawClient::attached(node.gateway_address(), &alice, "phone", None).await;

    let limited = Command::new("prlimit")
        .args(["--pid", &node.process_id().to_string(), &format!("--fsize={FILE_LIMIT}")])
        .status()
        .unwrap();
    assert!(limited.success());
    let (mut accepted, mut refusal) = (0, None);
    for seq in 1..=MESSAGES {
        sender.send(seq, 0, "bob", &format!("{seq} {}", "x".repeat(BYTES_EACH))).await;
        match sender.answer().await {
            (_, None) => accepted += 1,
            (_, Some(code)) => {
                refusal = Some(code);
                break;
            }
        }
    }
    println!("{accepted} accepted, then {refusal:?}");
    assert!(accepted > 0, "the disk was full from the beginning");
    // What was on its way when the disk failed may be unknown; what comes after is refused for the reason.
    assert!(matches!(refusal, Some(ErrorCode::StorageFailed | ErrorCode::OutcomeUnknown)), "{refusal:?}");
    sender.send(accepted + 2, 0, "bob", "one more").await;
    assert_eq!(sender.answer().await, (accepted + 2, Some(ErrorCode::StorageFailed)));
    within(DEADLINE, "the node says that its storage failed", async {
        while !node.get("/healthz").is_some_and(|answer| answer.starts_with("HTTP/1.1 503")) {
            tokio::task::yield_now().await;
        }
    })
    .await;

    node.kill9();
    node.launch();
    node.ready().await;
    let (mut reader, _) = RawClient::attached(node.gateway_address(), &bob, "phone", None).await;
    for expected in 1..=accepted {
        let (cursor, message) = reader.message().await;
        let text = message.content.unwrap().text;
        assert_eq!(text.split(' ').next().unwrap(), expected.to_string(), "in order, once");
        reader.ack(cursor).await;
    }
}
