//! The same number through two connections is one message, and the second attempt gets the first one's answer
//! (promises 2 and 5).

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use tidings_proto::client::v1::{Resume, Welcome, server_frame};
use tidings_tests::raw::Came;
use tidings_tests::{Node, RawClient};

fn resume(welcome: &Welcome) -> Option<Resume> {
    let (mailbox_epoch, stream, cursor) = (welcome.mailbox_epoch, welcome.stream, welcome.cursor);
    Some(Resume { mailbox_epoch, stream, cursor })
}

async fn accepted_at(client: &mut RawClient, seq: u64) -> i64 {
    loop {
        match client.next().await {
            Came::Frame(server_frame::Frame::Accepted(accepted)) if accepted.seq == seq => return accepted.sent_at_ms,
            Came::Frame(_) => {}
            other => panic!("no answer but {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_retry_after_a_known_answer_and_after_a_lost_one() {
    let mut node = Node::start().await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let gateway = node.gateway_address();

    let (mut first, welcome) = RawClient::attached(gateway, &alice, "phone", None).await;
    first.send(1, 0, "bob", "one").await;
    let answered = accepted_at(&mut first, 1).await;
    first.send(2, 0, "bob", "two").await;
    drop(first);

    let (mut second, again) = RawClient::attached(gateway, &alice, "phone", resume(&welcome)).await;
    assert_eq!(again.stream, welcome.stream, "the stream goes on");
    second.send(1, 0, "bob", "one").await;
    second.send(2, 1, "bob", "two").await;
    // The mailbox remembers the numbers, and the time of the highest alone.
    assert!(accepted_at(&mut second, 1).await >= answered);
    let highest = accepted_at(&mut second, 2).await;

    // Also through a node that has lost its memory.
    node.restart_after_kill9().await;
    let (mut third, _) = RawClient::attached(gateway, &alice, "phone", resume(&welcome)).await;
    third.send(1, 0, "bob", "one").await;
    third.send(2, 1, "bob", "two").await;
    third.send(3, 2, "bob", "three").await;
    assert!((answered..=highest).contains(&accepted_at(&mut third, 1).await));
    assert_eq!(accepted_at(&mut third, 2).await, highest, "the answer is the first one's");
    accepted_at(&mut third, 3).await;

    let (mut bob, _) = RawClient::attached(gateway, &bob, "phone", None).await;
    for expected in ["one", "two", "three"] {
        assert_eq!(bob.message().await.1.content.unwrap().text, expected);
    }
}

#[tokio::test]
async fn of_two_live_connections_of_a_device_the_later_one_stays() {
    let node = Node::start().await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let gateway = node.gateway_address();
    let (mut bob, _) = RawClient::attached(gateway, &bob, "phone", None).await;

    let (mut earlier, welcome) = RawClient::attached(gateway, &alice, "phone", None).await;
    earlier.send(1, 0, "bob", "one").await;
    let (mut later, _) = RawClient::attached(gateway, &alice, "phone", resume(&welcome)).await;
    later.send(1, 0, "bob", "one").await;
    later.send(2, 1, "bob", "two").await;
    accepted_at(&mut later, 2).await;
    assert_eq!(bob.message().await.1.content.unwrap().text, "one");
    assert_eq!(bob.message().await.1.content.unwrap().text, "two");
    assert_eq!(earlier.closed().await.1, Some(4560), "SESSION_SUPERSEDED");
}
