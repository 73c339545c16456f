//! The control plane is a cluster of its own: any node serves backends, one of them may die, and one that lost its data is
//! replaced.

use tidings_proto::control::v1::GetUserRequest;
use tidings_tests::{DEADLINE, within};

use super::support::{control, node, start, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_node_takes_a_backends_call_and_reads_what_another_wrote() {
    let cluster = start().await;
    for index in 0..3 {
        control(&cluster, index).await.user(&format!("user-{index}")).await;
        for other in 0..3 {
            // Linearizable: no waiting for replicas to catch up.
            let request = GetUserRequest { id: format!("user-{index}"), ..GetUserRequest::default() };
            control(&cluster, other).await.users.get_user(request).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_lost_its_data_is_refused_then_removed_then_joins_again() {
    let cluster = start().await;
    let status = until(&cluster, "there is a leader", |status| status["leader"] != 0).await;
    // Not the leader, so that the others need not elect one first.
    let index = (0..3).find(|index| status["leader"] != cluster.control_plane(*index).node()).unwrap();
    let lost = cluster.control_plane(index);
    control(&cluster, (index + 1) % 3).await.user("alice").await;
    lost.kill9().unwrap();
    std::fs::remove_dir_all(lost.data()).unwrap();
    lost.launch().unwrap();
    within(DEADLINE, "it says why, and ends", async {
        while !lost.tail().contains("but the cluster counts on what it had") {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await;
    let id = lost.node().to_string();
    cluster.operate(&["cluster", "remove", &id, "--dead"]).await.unwrap();
    lost.restart().await.unwrap();
    let request = || GetUserRequest { id: "alice".to_owned(), ..GetUserRequest::default() };
    control(&cluster, index).await.users.get_user(request()).await.unwrap();

    // It counts: another one may die now.
    until(&cluster, "it votes", |status| node(status, lost.node())["votes"] == true).await;
    cluster.control_plane((index + 1) % 3).kill9().unwrap();
    let operator = control(&cluster, index).await;
    within(DEADLINE, "the other two elect a leader", async {
        while operator.users.clone().get_user(request()).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    })
    .await;
}
