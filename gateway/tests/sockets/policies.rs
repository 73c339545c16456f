//! What policies say holds for live sessions, and for whoever comes.

use std::sync::atomic::Ordering;

use tidings_proto::ErrorCode;
use tidings_proto::policy::v1::{Audience, Policy, RateLimit};

use crate::support::{Client, World};

fn rates(limits: &[(u32, u32)]) -> Vec<RateLimit> {
    limits.iter().map(|(count, seconds)| RateLimit { count: *count, seconds: *seconds }).collect()
}

/// Sends until the answer is the one that is waited for: a change is on its way. Answers the last number.
async fn until_refused(client: &mut Client, mut seq: u64, code: Option<ErrorCode>) -> u64 {
    loop {
        seq += 1;
        client.send_text(seq, 0, "bob", "hi").await;
        if client.answer(seq).await.map(|refused| refused.code()) == code {
            return seq;
        }
    }
}

#[tokio::test]
async fn a_policy_that_changes_holds_for_the_live_sessions_of_its_users_and_for_no_other() {
    let world = World::start().await;
    world.directory.set_policy("silent", Policy { audience: Audience::Nobody as i32, ..Policy::default() });
    let mut alice = world.session("alice", "phone").await;
    let mut carol = world.session("carol", "phone").await;
    let seq = until_refused(&mut alice, 0, None).await;

    world.directory.assign("alice", "silent");
    let seq = until_refused(&mut alice, seq, Some(ErrorCode::RefusedByPolicy)).await;
    carol.send_text(1, 0, "bob", "hi").await;
    assert_eq!(carol.answer(1).await, None);
    // Also for a session that begins now.
    let mut tablet = world.session("alice", "tablet").await;
    tablet.send_text(1, 0, "bob", "hi").await;
    assert_eq!(tablet.answer(1).await.unwrap().code(), ErrorCode::RefusedByPolicy);

    world.directory.set_policy("silent", Policy { messages: Some(false), ..Policy::default() });
    let seq = until_refused(&mut alice, seq, Some(ErrorCode::FeatureOff)).await;
    world.directory.set_policy("silent", Policy::default());
    let seq = until_refused(&mut alice, seq, None).await;
    world.directory.set_policy("default", Policy { messages: Some(false), ..Policy::default() });
    until_refused(&mut carol, 1, Some(ErrorCode::FeatureOff)).await;
    alice.send_text(seq + 1, 0, "bob", "hi").await;
    assert_eq!(alice.answer(seq + 1).await, None, "goes by another");
}

#[tokio::test]
async fn a_size_holds_at_its_edge_and_one_beyond() {
    let world = World::start().await;
    world.directory.set_policy("default", Policy { max_message_bytes: Some(1_000), ..Policy::default() });
    let mut alice = world.session("alice", "phone").await;
    // A field of up to 127 bytes has a head of two, a longer one of three.
    alice.send_text(1, 0, "bob", &"x".repeat(997)).await;
    assert_eq!(alice.answer(1).await, None);
    alice.send_text(2, 0, "bob", &"x".repeat(998)).await;
    let refused = alice.answer(2).await.unwrap();
    assert_eq!((refused.code(), refused.retry_after_ms), (ErrorCode::TooLarge, None));
}

#[tokio::test]
async fn a_users_rate_is_one_over_all_devices_with_every_window() {
    let world = World::start().await;
    world
        .directory
        .set_policy("default", Policy { message_rates: rates(&[(100, 60), (5, 3_600)]), ..Policy::default() });
    let mut phone = world.session("alice", "phone").await;
    let mut laptop = world.session("alice", "laptop").await;
    for seq in 1..=3 {
        phone.send_text(seq, 0, "bob", "hi").await;
        assert_eq!(phone.answer(seq).await, None);
    }
    for seq in 1..=2 {
        laptop.send_text(seq, 0, "bob", "hi").await;
        assert_eq!(laptop.answer(seq).await, None);
    }
    for client in [&mut phone, &mut laptop] {
        client.send_text(4, 0, "bob", "hi").await;
        let refused = client.answer(4).await.unwrap();
        assert_eq!(refused.code(), ErrorCode::RateLimited);
        assert!((3_500_000..=3_780_000).contains(&refused.retry_after_ms.unwrap()), "{refused:?}");
    }
    // Nobody else's, and not for ever: the next policy allows one more.
    let mut carol = world.session("carol", "phone").await;
    carol.send_text(1, 0, "bob", "hi").await;
    assert_eq!(carol.answer(1).await, None);
    world.directory.set_policy("default", Policy { message_rates: rates(&[(6, 3_600)]), ..Policy::default() });
    let seq = until_refused(&mut phone, 4, None).await;
    phone.send_text(seq + 1, 0, "bob", "hi").await;
    assert_eq!(phone.answer(seq + 1).await.unwrap().code(), ErrorCode::RateLimited);
}

#[tokio::test]
async fn an_apps_rate_is_that_of_its_default_policy_for_whatever_its_users_go_by() {
    let world = World::start().await;
    world.directory.set_policy("default", Policy { app_message_rates: rates(&[(3, 3_600)]), ..Policy::default() });
    world.directory.set_policy("other", Policy { app_message_rates: rates(&[(1, 3_600)]), ..Policy::default() });
    world.directory.assign("carol", "other");
    let mut alice = world.session("alice", "phone").await;
    let mut carol = world.session("carol", "phone").await;
    for (client, seq) in [(&mut alice, 1), (&mut carol, 1)] {
        client.send_text(seq, 0, "bob", "hi").await;
        assert_eq!(client.answer(seq).await, None);
    }
    carol.send_text(2, 0, "bob", "hi").await;
    assert_eq!(carol.answer(2).await, None);
    for client in [&mut alice, &mut carol] {
        client.send_text(3, 0, "bob", "hi").await;
        assert_eq!(client.answer(3).await.unwrap().code(), ErrorCode::RateLimited);
    }
}

#[tokio::test]
async fn what_a_recipient_goes_by_bounds_its_inbox_and_its_receipts() {
    let world = World::start().await;
    world.directory.set_policy(
        "quiet",
        Policy {
            inbox_entries: Some(7),
            read_receipts: Some(false),
            delivered_receipts: Some(false),
            ..Policy::default()
        },
    );
    world.directory.assign("bob", "quiet");
    let mut alice = world.session("alice", "phone").await;
    alice.send_text(1, 0, "bob", "hi").await;
    assert_eq!(alice.answer(1).await, None);
    let submitted = world.cluster.last_submitted();
    assert_eq!(submitted.inbox_limit, 7);
    assert_eq!(submitted.receipts(), tidings_proto::message::v1::ReceiptRequest::ReceiptsNone);
}

#[tokio::test]
async fn while_the_control_plane_is_away_what_was_known_last_holds() {
    let world = World::start().await;
    world.directory.set_policy("default", Policy { max_message_bytes: Some(100), ..Policy::default() });
    let mut alice = world.session("alice", "phone").await;
    alice.send_text(1, 0, "bob", "hi").await;
    assert_eq!(alice.answer(1).await, None);
    world.directory.stop();
    let mut tablet = world.session("alice", "tablet").await;
    for client in [&mut alice, &mut tablet] {
        client.send_text(2, 0, "bob", &"x".repeat(200)).await;
        assert_eq!(client.answer(2).await.unwrap().code(), ErrorCode::TooLarge);
        client.send_text(3, 0, "bob", "hi").await;
        assert_eq!(client.answer(3).await, None);
    }
}

#[tokio::test]
async fn a_control_plane_of_the_last_release_has_no_policies_and_a_new_one_is_asked_when_it_is_there() {
    let world = World::start().await;
    world.directory.is_old.store(true, Ordering::SeqCst);
    let mut alice = world.session("alice", "phone").await;
    alice.send_text(1, 0, "bob", "hi").await;
    assert_eq!(alice.answer(1).await, None);
    // It is upgraded; no change tells that there are policies now.
    world.directory.stop();
    world.directory.is_old.store(false, Ordering::SeqCst);
    world.directory.set_policy("default", Policy { messages: Some(false), ..Policy::default() });
    world.directory.restart(true);
    until_refused(&mut alice, 1, Some(ErrorCode::FeatureOff)).await;
}
