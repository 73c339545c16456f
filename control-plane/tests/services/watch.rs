//! Watch streams: from now on, resumed, too late, and in time.

use std::time::{Duration, Instant};

use tidings_node::Clock;
use tidings_proto::ErrorCode;
use tidings_proto::cluster::v1::{Change, WatchRequest, WatchResponse, change};
use tidings_proto::control::v1::{CreateAppRequest, DeleteAppRequest, RevokeTokenRequest};
use tonic::Streaming;

use super::harness::{DEADLINE, Running};
use super::nodes::broker;

async fn watch(running: &Running, after_revision: u64) -> Streaming<WatchResponse> {
    running.directory().watch(WatchRequest { after_revision }).await.unwrap().into_inner()
}

async fn next(stream: &mut Streaming<WatchResponse>) -> WatchResponse {
    tokio::time::timeout(DEADLINE, stream.message()).await.unwrap().unwrap().unwrap()
}

/// The next answer with changes; answers that only say how far all is seen are passed over.
async fn next_changes(stream: &mut Streaming<WatchResponse>) -> Vec<Change> {
    loop {
        let answer = next(stream).await;
        assert!(!answer.reset);
        if !answer.changes.is_empty() {
            return answer.changes;
        }
    }
}

#[tokio::test]
async fn a_revocation_is_seen_within_a_second_and_nothing_is_said_twice() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual(1_000));
    let running = Running::start(folder.path(), &clock).await;
    running.create_user("alice").await;
    let token = running.create_token("alice", "", 0).await.token.unwrap();
    let mut stream = watch(&running, 0).await;
    let first = next(&mut stream).await;
    assert!(first.reset && first.changes.is_empty() && first.shard_map.is_some());

    let request =
        RevokeTokenRequest { user: "alice".to_owned(), id: token.id.clone(), ..RevokeTokenRequest::default() };
    running.tokens(&running.operator).revoke_token(request).await.unwrap();
    let acknowledged = Instant::now();
    let changes = next_changes(&mut stream).await;
    assert!(acknowledged.elapsed() < Duration::from_secs(1), "{:?}", acknowledged.elapsed());
    let [Change { change: Some(change::Change::TokenRevoked(revoked)), revision }] = changes.as_slice() else {
        panic!("{changes:?}")
    };
    assert_eq!((&revoked.user, &revoked.token_id), (&"alice".to_owned(), &token.id));
    assert!(*revision > first.revision);
    let progress = next(&mut stream).await;
    assert_eq!((progress.revision, progress.changes.len()), (*revision, 0), "a sign of life, and nothing twice");
    running.stop().await;
}

#[tokio::test]
async fn a_watch_resumes_where_it_was_also_after_a_restart() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual(1_000));
    let running = Running::start(folder.path(), &clock).await;
    let place = next(&mut watch(&running, 0).await).await.revision;
    running.create_user("alice").await;
    running.create_user("bob").await;
    let users = |answer: WatchResponse| {
        assert!(!answer.reset && answer.shard_map.is_some());
        let names = answer.changes.into_iter().map(|change| match change.change {
            Some(change::Change::UserChanged(user)) => user.user,
            other => panic!("{other:?}"),
        });
        names.collect::<Vec<_>>()
    };
    assert_eq!(users(next(&mut watch(&running, place).await).await), ["alice", "bob"]);
    running.stop().await;

    let running = Running::start(folder.path(), &clock).await;
    let resumed = next(&mut watch(&running, place).await).await;
    let reached = resumed.revision;
    assert_eq!(users(resumed), ["alice", "bob"]);
    assert!(next(&mut watch(&running, reached).await).await.changes.is_empty());
    let ahead = next(&mut watch(&running, reached + 1_000).await).await;
    assert!(ahead.reset && ahead.revision == reached, "a revision that this registry never had");
    running.stop().await;
}

#[tokio::test]
async fn more_changes_than_the_log_keeps_begin_with_reset() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual(1_000));
    let running = Running::start(folder.path(), &clock).await;
    let place = next(&mut watch(&running, 0).await).await.revision;
    // Each makes and deletes a user: two changes.
    let rounds = 5_200;
    let workers = (0..64).map(|worker| {
        let mut users = running.users(&running.operator);
        async move {
            for round in (worker..rounds).step_by(64) {
                let id = format!("user{round}");
                let create = tidings_proto::control::v1::CreateUserRequest { id: id.clone(), ..Default::default() };
                users.create_user(create).await.unwrap();
                let delete = tidings_proto::control::v1::DeleteUserRequest { id, ..Default::default() };
                users.delete_user(delete).await.unwrap();
            }
        }
    });
    futures_util::future::join_all(workers).await;
    let late = next(&mut watch(&running, place).await).await;
    assert!(late.reset && late.changes.is_empty());
    assert!(next(&mut watch(&running, late.revision).await).await.changes.is_empty());
    running.stop().await;
}

#[tokio::test]
async fn the_shard_map_and_deleted_apps_come_too_and_the_end_is_told() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual(1_000));
    let running = Running::start(folder.path(), &clock).await;
    let create = CreateAppRequest { id: "shop".to_owned(), display_name: String::new() };
    running.apps(&running.operator).create_app(create).await.unwrap();
    let mut stream = watch(&running, 0).await;
    let first = next(&mut stream).await;
    let placed = running.placed(broker(1, 1)).await;
    let mut epoch = first.shard_map.unwrap().epoch;
    while epoch < placed.epoch {
        let answer = next(&mut stream).await;
        let is_of_the_map = |change: &Change| matches!(change.change, Some(change::Change::ShardMapChanged(_)));
        assert!(answer.changes.iter().all(is_of_the_map), "{answer:?}");
        epoch = answer.shard_map.map_or(epoch, |map| map.epoch);
    }
    let delete = DeleteAppRequest { id: "shop".to_owned() };
    running.apps(&running.operator).delete_app(delete).await.unwrap();
    let changes = next_changes(&mut stream).await;
    assert!(matches!(&changes[0].change, Some(change::Change::AppDeleted(app)) if app.app == "shop"), "{changes:?}");

    running.stop().await;
    let end = loop {
        match stream.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ended without a reason"),
            Err(status) => break status,
        }
    };
    assert_eq!(ErrorCode::of_status(&end), ErrorCode::Draining);
}
