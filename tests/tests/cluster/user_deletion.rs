//! A user who was deleted is erased on all replicas, also where the leader of the user's shard and that of the control
//! plane die meanwhile.

use std::path::PathBuf;
use std::time::Duration;

use tidings_audit::{Plan, Role};
use tidings_proto::control::v1::CreateUserRequest;
use tidings_sdk::{Client, ErrorCode};
use tidings_tests::deletions::{are_in_no_file, needle};
use tidings_tests::{Control, DEADLINE, within};

use super::support::{client, control, control_leader, leader_of, online, settled, start_as, texts};

async fn say(client: &Client, to: &str, text: &str) {
    within(DEADLINE, "it is sent", async { client.send(to, text).await.unwrap().sent().await }).await.unwrap();
}

/// Makes a user once the former one is erased, and a token.
async fn again(control: &Control, id: &str) -> String {
    let create = || CreateUserRequest { id: id.to_owned(), ..CreateUserRequest::default() };
    within(DEADLINE * 3, "the former user is erased", async {
        while let Err(status) = control.users.clone().create_user(create()).await {
            let code = ErrorCode::of_status(&status);
            assert!(matches!(code, ErrorCode::Unavailable | ErrorCode::OutcomeUnknown), "{status}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    control.token(id).await.1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_user_is_erased_on_all_replicas_while_leaders_die() {
    let cluster = start_as(Plan::default().set(Role::Broker, "storage.erase_within_seconds=3")).await;
    let leader = control_leader(&cluster).await;
    let other = (0..3).find(|index| cluster.control_plane(*index).node() != leader.node()).unwrap();
    let operator = control(&cluster, other).await;
    let (alice, bob) = (operator.user("alice").await, operator.user("bob").await);
    operator.group("team", &["bob", "alice"]).await;
    let (alice, _alices) = online(&cluster, 0, &alice, "phone").await;
    let (bob, events) = client(&cluster, &bob, "phone").connect().unwrap();
    drop(events);
    let secrets = [needle(), needle()];
    say(&alice, "alice", &secrets[0]).await;
    say(&alice, "bob", "good morning").await;
    alice.close().await;
    operator.post("", "alice", &secrets[1]).await;
    say(&bob, "alice", "good night").await;

    let broker = leader_of(&cluster, "alice").await;
    broker.kill9().unwrap();
    operator.delete_user("alice").await;
    leader.kill9().unwrap();
    let token = again(&operator, "alice").await;
    let (alice, events) = client(&cluster, &token, "phone").connect().unwrap();
    drop(events);
    assert!(texts(&alice, "bob").await.is_empty());
    say(&bob, "alice", "welcome").await;
    leader.restart().await.unwrap();
    broker.restart().await.unwrap();
    settled(&cluster).await;

    for broker in cluster.of(Role::Broker) {
        broker.kill9().unwrap();
        assert_eq!(texts(&alice, "bob").await, ["welcome"]);
        broker.restart().await.unwrap();
        settled(&cluster).await;
    }
    let folders: Vec<PathBuf> = (0..3).map(|index| cluster.broker(index).data()).collect();
    are_in_no_file(&secrets, &folders).await;
}
