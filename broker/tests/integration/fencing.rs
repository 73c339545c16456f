//! Who was replaced does no harm, and who is not entitled gets nowhere (promise 5).

use tidings_node::Membership;
use tidings_node::secret::Secret;
use tidings_proto::ErrorCode;
use tidings_proto::broker::v1::{Detached, broker_frame};
use tidings_proto::client::v1::{ListConversations, MarkGroupRead, UpdateConversation, request, response};

use crate::gateway::{Gateway, text_of};
use crate::node::{CLUSTER, Ground};

async fn detached(gateway: &mut Gateway) -> Detached {
    gateway
        .find(|frame| match frame {
            broker_frame::Frame::Detached(detached) => Some(*detached),
            _ => None,
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_session_replaces_the_older_and_its_late_end_does_not_touch_it() {
    let ground = Ground::new(4);
    let node = ground.start().await;
    let mut old_gateway = Gateway::connect(&ground, &node).await;
    let mut gateway = Gateway::connect(&ground, &node).await;
    let old = old_gateway.attach("bob", "phone", None).await;
    let alice = gateway.attach("alice", "phone", None).await;
    let new = gateway.attach("bob", "phone", old.resume(0)).await;
    assert_eq!(new.attached.stream, old.attached.stream);
    let ended = detached(&mut old_gateway).await;
    assert_eq!((ended.session, ended.code()), (old.number, ErrorCode::SessionSuperseded));

    // The news was lost with a link, say: the older session that comes back does not push out the newer.
    let (resume, attached) = (old.resume(0), old.attached.attached);
    let again = old_gateway.attach_again("bob", "phone", resume, 0, attached, 7).await;
    assert_eq!(again.attached.code(), ErrorCode::SessionSuperseded);
    old_gateway.detach(&old).await;
    old_gateway.ack(&old, 1).await;
    // The same link answers behind the two.
    let _carol = old_gateway.attach("bob", "tablet", None).await;
    assert_eq!(gateway.submit(gateway.message(&alice, "bob", 1)).await.code, 0);
    assert_eq!(text_of(&gateway.delivery(&new).await.envelope), "alice 1");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_session_sets_late_is_not_set() {
    let ground = Ground::new(4);
    let node = ground.start().await;
    let mut old_gateway = Gateway::connect(&ground, &node).await;
    let mut gateway = Gateway::connect(&ground, &node).await;
    let mute = |ms| UpdateConversation { with: "alice".into(), mute_until_ms: Some(ms), ..Default::default() };
    let old = old_gateway.attach("bob", "phone", None).await;
    assert_eq!(old_gateway.ask(&old, 1, request::Request::UpdateConversation(mute(1))).await, 0);
    let new = gateway.attach("bob", "phone", old.resume(0)).await;
    assert_eq!(gateway.ask(&new, 2, request::Request::UpdateConversation(mute(2))).await, 0);
    for late in [
        request::Request::UpdateConversation(mute(1)),
        request::Request::MarkGroupRead(MarkGroupRead { group: "team".into(), group_seq: 1, privately: false }),
    ] {
        assert_eq!(old_gateway.ask(&old, 3, late).await, ErrorCode::Unavailable as i32);
    }
    let answered = |frame: &broker_frame::Frame| match frame {
        broker_frame::Frame::Response(answer) => answer.response.clone().and_then(|answer| answer.response),
        _ => None,
    };
    let list = request::Request::ListConversations(ListConversations::default());
    gateway.ask_only(&new, 4, list).await;
    let response::Response::Conversations(listed) = gateway.find(answered).await else { panic!("not the list") };
    assert_eq!(listed.conversations[0].mute_until_ms, 2);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_asks_again_after_a_lost_answer_is_not_its_own_successor() {
    let ground = Ground::new(1);
    let node = ground.start().await;
    let mut gateway = Gateway::connect(&ground, &node).await;
    let first = gateway.attach_again("bob", "phone", None, 0, 0, 7).await;
    let (resume, attached) = (first.resume(0), first.attached.attached);
    // The answer to this one is lost, say: what it told is not known to the session when it asks again.
    let mut other = Gateway::connect(&ground, &node).await;
    let lost = other.attach_again("bob", "phone", resume, 0, attached, 7).await;
    assert!(lost.attached.code == 0 && lost.attached.attached > attached);
    let again = gateway.attach_again("bob", "phone", resume, 0, attached, 7).await;
    assert_eq!(again.attached.code, 0);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_link_ends_its_sessions_and_no_others() {
    let ground = Ground::new(4);
    let node = ground.start().await;
    let mut lost = Gateway::connect(&ground, &node).await;
    let mut gateway = Gateway::connect(&ground, &node).await;
    let alice = gateway.attach("alice", "phone", None).await;
    let bob = lost.attach("bob", "phone", None).await;
    let tablet = gateway.attach("bob", "tablet", None).await;
    drop(lost);
    assert_eq!(gateway.submit(gateway.message(&alice, "bob", 1)).await.code, 0);
    assert_eq!(gateway.delivery(&tablet).await.seq, 1);
    let back = gateway.attach("bob", "phone", bob.resume(0)).await;
    assert_eq!(gateway.delivery(&back).await.seq, 1);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_needs_the_cluster_the_secret_and_the_version() {
    let ground = Ground::new(4);
    let node = ground.start().await;
    let stranger = Membership::new(CLUSTER, Secret::random("")).unwrap();
    let stranger = Gateway::try_connect(&node.address, &stranger, 1, 4).await;
    assert_eq!(stranger.err().map(|status| status.code()), Some(tonic::Code::Unauthenticated));
    let elsewhere = Membership::new("elsewhere", ground.membership.secret().clone()).unwrap();
    let elsewhere = Gateway::try_connect(&node.address, &elsewhere, 1, 4).await;
    assert_eq!(elsewhere.err().map(|status| status.code()), Some(tonic::Code::FailedPrecondition));
    let newer = Gateway::try_connect(&node.address, &ground.membership, 99, 4).await;
    let status = newer.err().unwrap();
    assert_eq!(ErrorCode::of_status(&status), ErrorCode::ProtocolVersionUnsupported);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_of_the_wrong_shard_is_refused() {
    let ground = Ground::new(4);
    let node = ground.start().await;
    let mut gateway = Gateway::connect(&ground, &node).await;
    let alice = gateway.attach("alice", "phone", None).await;
    let mut stray = gateway.message(&alice, "bob", 1);
    stray.shard = (stray.shard + 1) % 4;
    assert_eq!(gateway.submit(stray).await.code(), ErrorCode::InvalidArgument);
    let mut nameless = gateway.message(&alice, "bob", 1);
    nameless.from = String::new();
    assert_eq!(gateway.submit(nameless).await.code(), ErrorCode::InvalidArgument);
    let bad_device = gateway.try_attach("bob", &"x".repeat(64), None, 0).await;
    assert_eq!(bad_device.attached.code(), ErrorCode::InvalidArgument);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_broker_says_so() {
    let ground = Ground::new(1);
    let node = ground.start().await;
    let mut gateway = Gateway::connect(&ground, &node).await;
    gateway.attach("alice", "phone", None).await;
    node.stop().await;
    let end = loop {
        match gateway.try_next().await {
            Ok(broker_frame::Frame::Detached(detached)) => assert_eq!(detached.code(), ErrorCode::Draining),
            // Told when the link came up.
            Ok(broker_frame::Frame::Leads(leads)) => assert_eq!(leads.shards[0].shard, 0),
            Ok(other) => panic!("{other:?}"),
            Err(status) => break status,
        }
    };
    assert_eq!(ErrorCode::of_status(&end), ErrorCode::Draining);
}
