//! What a policy says holds at every gateway within a second of its change, whichever control-plane node took it.

use std::time::{Duration, Instant};

use tidings_proto::ErrorCode;
use tidings_proto::policy::v1::{Audience, Policy};
use tidings_tests::DEADLINE;

use super::support::{attached, control, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_holds_at_every_gateway_and_for_its_users_alone() {
    let cluster = start().await;
    let operator = control(&cluster, 0).await;
    let (alice, carol, _) = (operator.user("alice").await, operator.user("carol").await, operator.user("bob").await);
    let mut devices = [attached(&cluster, 0, &alice, "a").await, attached(&cluster, 1, &alice, "b").await];
    let mut other = attached(&cluster, 1, &carol, "phone").await;
    let mut seq = 0;
    for (node, id, audience, code) in [
        (0, "silent", Audience::Nobody, Some(ErrorCode::RefusedByPolicy)),
        (1, "talking", Audience::All, None),
        (2, "silent-again", Audience::Nobody, Some(ErrorCode::RefusedByPolicy)),
    ] {
        let operator = control(&cluster, node).await;
        operator.create_policy(Policy { id: id.into(), audience: audience as i32, ..Policy::default() }).await;
        operator.assign_policy("alice", id).await;
        let assigned = Instant::now();
        for device in &mut devices {
            loop {
                seq += 1;
                device.send(seq, 0, "bob", "hi").await;
                if device.answer().await == (seq, code) {
                    break;
                }
                assert!(assigned.elapsed() < DEADLINE, "{id} never holds");
            }
        }
        println!("{id} holds at both gateways after {:?}", assigned.elapsed());
        assert!(assigned.elapsed() < Duration::from_secs(1), "{id}: {:?}", assigned.elapsed());
        other.send(seq, 0, "bob", "hi").await;
        assert_eq!(other.answer().await, (seq, None), "carol goes by default");
    }
}
