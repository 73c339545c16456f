//! A majority of everything is lost for good: the operator goes on from one control-plane node and one broker.

use tidings_audit::{LocalCluster, Member};
use tidings_proto::control::v1::GetUserRequest;
use tidings_tests::{DEADLINE, within};

use super::support::{client, control, is_settled, node, settled, start, until};

/// So many that every shard has some.
const RECIPIENTS: usize = 24;
const MESSAGES: usize = 3;

/// Sends to everybody while they are away; answers their tokens once all replicas have it all.
async fn queue_messages(cluster: &LocalCluster) -> Vec<String> {
    let operator = control(cluster, 1).await;
    let sender_token = operator.user("sender").await;
    let (sender, _events) = client(cluster, &sender_token, "phone").connect().unwrap();
    let mut tokens = Vec::new();
    for recipient in 0..RECIPIENTS {
        let to = format!("recipient-{recipient}");
        tokens.push(operator.user(&to).await);
        for message in 0..MESSAGES {
            let sending = sender.send(&to, format!("{message} for {to}")).await.unwrap();
            within(DEADLINE, "the message is sent", sending.sent()).await.unwrap();
        }
    }
    // What one replica lacks is lost with the others, and says nothing about the recovery.
    let is_everywhere =
        |status: &serde_json::Value| status["shards"].as_array().unwrap().iter().all(|shard| shard["behind"] == 0);
    until(cluster, "every replica has everything", is_everywhere).await;
    control(cluster, 0).await.users.get_user(user(RECIPIENTS - 1)).await.unwrap();
    tokens
}

fn user(recipient: usize) -> GetUserRequest {
    GetUserRequest { id: format!("recipient-{recipient}"), ..GetUserRequest::default() }
}

async fn fetch_messages(cluster: &LocalCluster, recipient: usize, token: &str) {
    let (_client, mut events) = client(cluster, token, "phone").connect().unwrap();
    let mut texts = Vec::new();
    within(DEADLINE, "the queued messages come", async {
        while texts.len() < MESSAGES {
            if let tidings_sdk::Event::Message(message) = events.next().await.unwrap() {
                texts.push(message.text().to_owned());
            }
        }
    })
    .await;
    let expected: Vec<_> = (0..MESSAGES).map(|message| format!("{message} for recipient-{recipient}")).collect();
    assert_eq!(texts, expected);
}

/// Looks first, which changes nothing; then does it.
fn recover(survivor: &Member, lost: &str, groups: usize) {
    let looked = survivor.run_offline("recover", &[]).unwrap();
    assert!(looked.contains("--lost NODES"), "{looked}");
    let refused = survivor.run_offline("recover", &["--yes"]).unwrap_err().to_string();
    assert!(refused.contains("--lost"), "{refused}");
    // With one of them there is a majority.
    let one = lost.split_once(',').unwrap().0;
    let refused = survivor.run_offline("recover", &["--lost", one, "--yes"]).unwrap_err().to_string();
    assert!(refused.contains("nothing was changed"), "{refused}");
    let warned = survivor.run_offline("recover", &["--lost", lost]).unwrap();
    assert_eq!(warned.matches("goes on from here").count(), groups, "{warned}");
    assert!(warned.contains(&format!("Nodes {lost} must never start again")), "{warned}");
    assert!(warned.ends_with("Nothing was changed. If this is what you want, say it again with --yes.\n"), "{warned}");
    let done = survivor.run_offline("recover", &["--lost", lost, "--yes"]).unwrap();
    assert_eq!(done.matches("is its only member").count(), groups, "{done}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_goes_on_from_one_control_plane_node_and_one_broker() {
    let cluster = start().await;
    let tokens = queue_messages(&cluster).await;
    let (registry, shards) = (cluster.control_plane(0), cluster.broker(0));
    let refused = shards.run_offline("recover", &[]).unwrap_err().to_string();
    assert!(refused.contains("the node must be stopped"), "{refused}");

    cluster.members().iter().for_each(|member| member.kill9().unwrap());
    let lost: Vec<_> =
        [1, 2].into_iter().flat_map(|index| [cluster.control_plane(index), cluster.broker(index)]).collect();
    lost.iter().for_each(|member| std::fs::remove_dir_all(member.data()).unwrap());
    recover(&registry, "2,3", 1);
    recover(&shards, "5,6", 8);

    let left = cluster.members().into_iter().filter(|member| !lost.iter().any(|lost| lost.node() == member.node()));
    left.for_each(|member| member.launch().unwrap());
    cluster.ready().await.unwrap();
    for member in &lost {
        cluster.operate(&["cluster", "remove", &member.node().to_string(), "--dead"]).await.unwrap();
    }
    lost.iter().for_each(|member| member.launch().unwrap());
    cluster.ready().await.unwrap();
    until(&cluster, "there are three of everything", |status| {
        let shards = status["shards"].as_array().unwrap();
        let votes = (0..3).all(|index| node(status, cluster.control_plane(index).node())["votes"] == true);
        votes && is_settled(status) && shards.iter().all(|shard| shard["voters"].as_array().unwrap().len() == 3)
    })
    .await;

    // Those that it went on from are not needed any more.
    registry.kill9().unwrap();
    shards.kill9().unwrap();
    let operator = control(&cluster, 1).await;
    for (recipient, token) in tokens.iter().enumerate() {
        within(DEADLINE, "the registry answers", async {
            while operator.users.clone().get_user(user(recipient)).await.is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        })
        .await;
        fetch_messages(&cluster, recipient, token).await;
    }
    registry.restart().await.unwrap();
    shards.restart().await.unwrap();
    settled(&cluster).await;
}
