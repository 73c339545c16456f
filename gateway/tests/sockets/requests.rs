//! Requests are answered once, by the shard that can, and none is silently forgotten (promises 4 and 6).

use std::sync::atomic::Ordering;

use tidings_proto::ErrorCode;
use tidings_proto::client::v1::{ListDevices, Request, Response, client_frame, request, response, server_frame};

use crate::support::{Client, World, until};

async fn ask(client: &mut Client, id: u64) {
    let request = Some(request::Request::ListDevices(ListDevices {}));
    client.send(client_frame::Frame::Request(Request { id, request })).await;
}

async fn answer(client: &mut Client) -> Response {
    match client.receive().await {
        server_frame::Frame::Response(response) => response,
        other => panic!("{other:?}"),
    }
}

async fn answer_at_last(client: &mut Client, id: u64) -> Response {
    loop {
        ask(client, id).await;
        let response = answer(client).await;
        if response.retry_after_ms.is_none() {
            return response;
        }
        assert_eq!(response.code(), ErrorCode::Unavailable);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_answered_also_after_the_leader_moved() {
    let world = World::start().await;
    let mut alice = world.session("alice", "phone").await;
    let response = answer_at_last(&mut alice, 7).await;
    assert_eq!((response.id, response.code), (7, 0));
    let Some(response::Response::Devices(devices)) = response.response else { panic!("no devices") };
    assert_eq!(devices.devices[0].device, "alice", "the shard is told who asks");
    world.cluster.move_leaders(2);
    assert_eq!(answer_at_last(&mut alice, 7).await.code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_33rd_unanswered_request_is_refused_and_a_broken_link_answers_all() {
    let world = World::start().await;
    world.cluster.hold_requests.store(true, Ordering::SeqCst);
    let mut alice = world.session("alice", "phone").await;
    for id in 0..33 {
        ask(&mut alice, id).await;
    }
    // The same number again is no other request.
    ask(&mut alice, 5).await;
    let refused = answer(&mut alice).await;
    assert_eq!((refused.id, refused.code()), (32, ErrorCode::RateLimited));
    assert!(refused.retry_after_ms.is_some());
    until("32 were asked", || world.cluster.requests.load(Ordering::SeqCst) == 32).await;
    world.cluster.break_links();
    let mut unanswered = Vec::new();
    for _ in 0..32 {
        let response = answer(&mut alice).await;
        assert_eq!(response.code(), ErrorCode::Unavailable);
        assert!(response.retry_after_ms.is_some());
        unanswered.push(response.id);
    }
    unanswered.sort_unstable();
    assert!(unanswered.into_iter().eq(0..32));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_or_meets_an_old_broker_is_refused() {
    let world = World::start().await;
    let mut alice = world.session("alice", "phone").await;
    alice.send(client_frame::Frame::Request(Request { id: 1, request: None })).await;
    let refused = answer(&mut alice).await;
    assert_eq!((refused.code(), refused.retry_after_ms), (ErrorCode::InvalidArgument, None));
    // A broker of the first release would not answer.
    world.cluster.level.store(1, Ordering::SeqCst);
    world.cluster.break_links();
    let mut bob = world.session("bob", "phone").await;
    ask(&mut bob, 1).await;
    let refused = answer(&mut bob).await;
    assert_eq!(refused.code(), ErrorCode::Unavailable);
    assert!(refused.retry_after_ms.is_some());
    assert_eq!(world.cluster.requests.load(Ordering::SeqCst), 0);
}
