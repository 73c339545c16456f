//! A shard without a quorum accepts nothing and says so; what its users send waits in their outbox.

use std::time::{Duration, Instant};

use tidings_proto::ErrorCode;
use tidings_tests::{DEADLINE, RawClient, within};

use super::support::{Traffic, control, settled, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_accepted_without_a_quorum_and_nothing_is_lost() {
    let cluster = start().await;
    let traffic = Traffic::start(&cluster, 2).await;
    let operator = control(&cluster, 0).await;
    let (token, _) = (operator.user("alice").await, operator.user("bob").await);
    let gateway = cluster.gateway(0).gateway_url().trim_start_matches("ws://").parse().unwrap();
    let (mut alice, _) = RawClient::attached(gateway, &token, "phone", None).await;
    alice.send(1, 0, "bob", "hello").await;
    assert_eq!(alice.answer().await, (1, None));
    traffic.goes_on(20).await;

    cluster.broker(1).kill9().unwrap();
    cluster.broker(2).kill9().unwrap();
    // What is sent in the moment of the loss may take until its outcome is known to be unknown; then each is refused
    // soon.
    let mut slowest = Duration::ZERO;
    within(DEADLINE, "the loss of the quorum is noticed", async {
        let (mut seq, mut refusals) = (2, 0);
        while refusals < 5 {
            let begun = Instant::now();
            alice.send(seq, 0, "bob", "hello").await;
            let (answered, code) = alice.answer().await;
            assert_eq!(answered, seq);
            match code.expect("nothing is accepted") {
                ErrorCode::Unavailable => {
                    refusals += 1;
                    slowest = slowest.max(begun.elapsed());
                }
                code => {
                    assert_eq!((code, refusals), (ErrorCode::OutcomeUnknown, 0), "once it is noticed it is certain")
                }
            }
            seq += 1;
        }
    })
    .await;
    println!("refused within {slowest:?}");
    assert!(slowest < Duration::from_secs(3), "a second by design, with room for a busy machine: {slowest:?}");

    cluster.broker(1).launch().unwrap();
    cluster.broker(2).launch().unwrap();
    cluster.ready().await.unwrap();
    settled(&cluster).await;
    traffic.goes_on(50).await;
    traffic.end().await;
}
