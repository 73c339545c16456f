//! The control plane is a cluster of its own: any node serves backends, one of them may die, and one that lost its data
//! is replaced.

use std::time::{Duration, Instant};

use tidings_audit::LocalCluster;
use tidings_proto::ErrorCode;
use tidings_proto::client::v1::server_frame;
use tidings_proto::control::v1::{
    AddMembersRequest, CreateGroupRequest, CreateUserRequest, GetGroupRequest, GetUserRequest, Group, Member,
};
use tidings_tests::raw::Came;
use tidings_tests::{DEADLINE, RawClient, within};

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
            tokio::time::sleep(Duration::from_millis(50)).await;
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
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_leader_tokens_are_resolved_from_what_is_known_for_thirty_seconds() {
    const BOUND: Duration = Duration::from_secs(30);
    let cluster = start().await;
    let operator = control(&cluster, 0).await;
    // A token that a gateway has resolved before would be answered from its cache: each is used once.
    let mut tokens = Vec::new();
    for index in 0..80 {
        tokens.push(operator.user(&format!("user-{index}")).await);
    }
    let gateway = cluster.gateway(0).gateway_url().trim_start_matches("ws://").parse().unwrap();
    let mut next = || tokens.pop().expect("as many tokens as seconds");
    // One stays that does not lead: a leader knows by its lease a moment longer that it has everything.
    let leader = leader_of_three(&cluster).await;
    let [stays, goes] = [(leader + 1) % 3, (leader + 2) % 3];
    // It has all of it before the others go.
    let request = GetUserRequest { id: "user-79".to_owned(), ..GetUserRequest::default() };
    control(&cluster, stays).await.users.get_user(request).await.unwrap();
    cluster.control_plane(leader).kill9().unwrap();
    cluster.control_plane(goes).kill9().unwrap();
    // Whatever the one that is left heard, it heard before.
    let lost = Instant::now();

    let mut last_answer = None;
    within(BOUND + DEADLINE, "what is too old is not told any more", async {
        loop {
            let asked = Instant::now();
            let mut client = RawClient::open(gateway).await;
            client.hello(&next(), "", None).await;
            match client.next().await {
                Came::Frame(server_frame::Frame::Welcome(_)) => last_answer = Some(asked),
                Came::Frame(server_frame::Frame::Closing(closing)) => {
                    assert_eq!(closing.code(), ErrorCode::Unavailable, "{}", closing.message);
                    // While the gateway looks for the one that is left, it has no answer either.
                    if last_answer.is_some() && lost.elapsed() > BOUND {
                        break;
                    }
                }
                other => panic!("neither welcome nor refused: {other:?}"),
            }
            // A question a second: the bound is what is waited for.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    })
    .await;
    let answered_for = last_answer.expect("it answered").duration_since(lost);
    println!("answered for {answered_for:?}");
    assert!(answered_for > BOUND - Duration::from_secs(10), "{answered_for:?}");
    assert!(answered_for <= BOUND, "{answered_for:?}");

    // With a leader again, so is what it is asked.
    cluster.control_plane(goes).launch().unwrap();
    cluster.control_plane(goes).ready().await.unwrap();
    RawClient::attached(gateway, &next(), "", None).await;
}

/// Which of the three nodes leads.
async fn leader_of_three(cluster: &LocalCluster) -> usize {
    let status = until(cluster, "there is a leader", |status| status["leader"] != 0).await;
    (0..3).find(|index| status["leader"] == cluster.control_plane(*index).node()).unwrap()
}

/// The largest command that there is goes through a node that does not lead, and is there when the leader is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_of_a_thousand_is_made_through_any_node_and_outlives_the_leader() {
    let cluster = start().await;
    let leader = leader_of_three(&cluster).await;
    let (follower, another) = ((leader + 1) % 3, (leader + 2) % 3);
    let through = control(&cluster, follower).await;
    // Names as long as they may be.
    let name = |number: usize| format!("{number:063}");
    for chunk in (0..1_000).collect::<Vec<_>>().chunks(100) {
        let created = chunk.iter().map(|number| {
            let mut users = through.users.clone();
            let request = CreateUserRequest { id: name(*number), ..CreateUserRequest::default() };
            async move { users.create_user(request).await.unwrap() }
        });
        futures_util::future::join_all(created).await;
    }
    let group = Some(Group { id: "all".to_owned(), ..Group::default() });
    let members: Vec<_> = (0..1_000).map(|number| Member { user: name(number), ..Member::default() }).collect();
    let create = CreateGroupRequest { group, members: members.clone() };
    let made = through.groups.clone().create_group(create).await.unwrap().into_inner();
    assert_eq!(made.members, 1_000);

    cluster.control_plane(leader).kill9().unwrap();
    let other = control(&cluster, another).await;
    let found = within(DEADLINE, "the other two elect a leader", async {
        loop {
            let get = GetGroupRequest { app: String::new(), id: "all".to_owned() };
            if let Ok(found) = other.groups.clone().get_group(get).await {
                return found.into_inner();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    assert_eq!(found, made);
    let add = AddMembersRequest { app: String::new(), group: "all".to_owned(), members };
    assert_eq!(other.groups.clone().add_members(add).await.unwrap().into_inner(), made, "they are in already");
}
