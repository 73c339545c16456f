//! What outlives the process: everything that was answered.

use std::os::unix::fs::PermissionsExt;

use tidings_consensus::{Engine, EngineOptions};
use tidings_control_plane::{ControlPlane, ControlPlaneOptions, Error, OperatorKey, Standing};
use tidings_node::secret::Secret;
use tidings_node::{Clock, Dialer, Health, Shutdown};
use tidings_proto::ErrorCode;
use tidings_proto::cluster::v1::GetShardMapRequest;
use tidings_proto::control::v1::{GetUserRequest, ListAppsRequest};

use super::harness::{Running, code, config, founding, membership};
use super::nodes::broker;

#[tokio::test]
async fn a_restart_keeps_everything() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual(1_000));
    let running = Running::start(folder.path(), &clock).await;
    assert!(matches!(running.operator_key, OperatorKey::Made));
    let mode = std::fs::metadata(folder.path().join("operator.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let alice = running.create_user("alice").await;
    let token = running.create_token("alice", "", 0).await;
    let map = running.placed(broker(1, 1)).await;
    running.stop().await;

    let running = Running::start(folder.path(), &clock).await;
    assert!(matches!(running.operator_key, OperatorKey::Present));
    let get = GetUserRequest { id: "alice".to_owned(), ..GetUserRequest::default() };
    assert_eq!(running.users(&running.operator).get_user(get).await.unwrap().into_inner(), alice);
    assert_eq!(running.resolve(&token.secret, "").await.user, "alice");
    assert_eq!(running.nodes().get_shard_map(GetShardMapRequest {}).await.unwrap().into_inner(), map);
    running.stop().await;
}

#[tokio::test]
async fn a_lost_operator_key_is_replaced_and_the_lost_one_ends() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual(1_000));
    let running = Running::start(folder.path(), &clock).await;
    let lost = running.operator.clone();
    running.stop().await;
    let file = folder.path().join("operator.key");
    std::fs::remove_file(&file).unwrap();

    let running = Running::start(folder.path(), &clock).await;
    assert!(matches!(running.operator_key, OperatorKey::Made));
    assert!(running.apps(&running.operator).list_apps(ListAppsRequest::default()).await.is_ok());
    assert_eq!(code(running.apps(&lost).list_apps(ListAppsRequest::default()).await), ErrorCode::ApiKeyUnknown);

    // A file with a key that the registry does not know is left alone, and told of.
    Secret::random("tdk_").write(&file).unwrap();
    let before = std::fs::read(&file).unwrap();
    let outcome = running.control_plane.ensure_operator_key(&file, 1).await.unwrap();
    assert!(matches!(outcome, OperatorKey::Refused(_)), "{outcome:?}");
    assert_eq!(std::fs::read(&file).unwrap(), before);
    running.stop().await;
}

#[tokio::test]
async fn another_number_of_shards_refuses_to_start() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual(1_000));
    Running::start(folder.path(), &clock).await.stop().await;
    let engine = Engine::open(EngineOptions::new(folder.path().join("consensus"), 1, "test")).unwrap();
    let options = ControlPlaneOptions {
        engine: engine.clone(),
        config: config(8),
        clock,
        membership: membership(&Secret::random("")),
        dialer: Dialer::default(),
        shutdown: Shutdown::new(),
        health: Health::new(),
        founding: founding(folder.path()),
    };
    let control_plane = ControlPlane::start(options).await.unwrap();
    let error = control_plane.enter(Standing::Founder).await.unwrap_err();
    assert!(matches!(error, Error::Refused(_)));
    assert!(error.to_string().contains("made with 4 shards") && error.to_string().contains("shards = 4"), "{error}");
    engine.shutdown().await;
}
