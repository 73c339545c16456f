//! Three engines over real gRPC on loopback.

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use support::{Cluster, Node, dump, text, texts, until_count, within};
use tidings_consensus::{EngineOptions, GroupId, ProposeError};

fn plain(options: EngineOptions) -> EngineOptions {
    options
}

fn with_secret(mut options: EngineOptions) -> EngineOptions {
    options.peer_secret = Some("between us".to_owned());
    options
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicates_and_goes_on_after_the_leader_stops() {
    let mut cluster = Cluster::start(with_secret).await;
    let mut acknowledged = BTreeSet::new();
    for n in 0..50 {
        let command = text(format!("before {n}"));
        cluster.propose(&command).await;
        acknowledged.insert(format!("before {n}"));
    }
    let first_leader = cluster.leader().await;
    for node in cluster.nodes.values().filter(|node| node.id != first_leader) {
        until_count(&node.group, 50).await;
        let refused = node.group.propose(text("to a follower")).await;
        let Err(ProposeError::NotLeader { leader: Some((leader, address)) }) = refused else { panic!("{refused:?}") };
        assert_eq!((leader, address), (first_leader, cluster.nodes[&first_leader].address.to_string()));
    }
    let first_term = cluster.nodes[&first_leader].group.leadership().borrow().term;

    let address = cluster.stop_node(first_leader).await;
    for n in 0..50 {
        let command = text(format!("after {n}"));
        cluster.propose(&command).await;
        acknowledged.insert(format!("after {n}"));
    }
    let second_leader = cluster.leader().await;
    assert!(cluster.nodes[&second_leader].group.leadership().borrow().term > first_term);
    let expected = texts(&cluster.nodes[&second_leader].group.view());
    assert!(acknowledged.is_subset(&expected.iter().cloned().collect()), "nothing acknowledged is lost");

    // The first one comes back, catches up from the log, and has the same.
    cluster.start_node(first_leader, address).await;
    for node in cluster.nodes.values() {
        until_count(&node.group, expected.len() as u64).await;
    }
    let reference = dump(&cluster.nodes[&second_leader].group.view());
    for node in cluster.nodes.values() {
        assert_eq!(dump(&node.group.view()), reference, "node {}", node.id);
        node.engine.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_behind_the_purged_log_is_sent_a_snapshot() {
    let mut cluster = Cluster::start(plain).await;
    cluster.propose(&text("before")).await;
    let leader = cluster.leader().await;
    let lagging = *cluster.nodes.keys().find(|node| **node != leader).unwrap();
    until_count(&cluster.nodes[&lagging].group, 1).await;
    let address = cluster.stop_node(lagging).await;

    // Enough for several blocks of the snapshot file.
    let large = "x".repeat(10_000);
    for n in 0..100 {
        cluster.propose(&text(format!("{n} {large}"))).await;
    }
    let leader = cluster.leader().await;
    let group = &cluster.nodes[&leader].group;
    group.compact(0).await.unwrap();
    within("the purge", async {
        while group.status().purged.is_none_or(|purged| purged < 90) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;

    cluster.start_node(lagging, address).await;
    let lagged = &cluster.nodes[&lagging];
    until_count(&lagged.group, 101).await;
    // It goes on from there by the log, through a restart too.
    cluster.propose(&text("after")).await;
    until_count(&lagged.group, 102).await;
    let address = cluster.stop_node(lagging).await;
    cluster.start_node(lagging, address).await;
    cluster.propose(&text("last")).await;
    let lagged = &cluster.nodes[&lagging];
    until_count(&lagged.group, 103).await;
    assert!(lagged.group.status().purged.is_some_and(|purged| purged >= 90), "{:?}", lagged.group.status());
    let leader = cluster.leader().await;
    assert_eq!(dump(&lagged.group.view()), dump(&cluster.nodes[&leader].group.view()));
    for node in cluster.nodes.values() {
        assert!(node.engine.is_healthy());
        node.engine.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_is_handed_over() {
    let cluster = Cluster::start(plain).await;
    cluster.propose(&text("one")).await;
    let leader = cluster.leader().await;
    let heir = *cluster.nodes.keys().find(|node| **node != leader).unwrap();
    until_count(&cluster.nodes[&heir].group, 1).await;
    cluster.nodes[&leader].group.transfer_leader(heir).await.unwrap();
    let mut leadership = cluster.nodes[&heir].group.leadership();
    within("the heir", leadership.wait_for(|leadership| leadership.is_leader)).await.unwrap();
    cluster.nodes[&heir].group.read_barrier().await.unwrap();
    assert_eq!(cluster.nodes[&heir].group.propose(text("two")).await, Ok(1));
    for node in cluster.nodes.values() {
        node.engine.shutdown().await;
    }
}

/// Under load from one caller that stops at the first failure: whatever was applied is a prefix of what it proposed,
/// though many entries were in flight when the leader went (promise 3).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_callers_commands_keep_their_order_through_a_change_of_leader() {
    let mut cluster = Cluster::start(plain).await;
    for round in 0..3 {
        let leader = cluster.leader().await;
        let group = cluster.nodes[&leader].group.clone();
        let proposals = tokio::spawn(async move {
            let mut outcomes = Vec::new();
            for n in 0..2000 {
                outcomes.push(group.propose(text(format!("{round}/{n:05}"))));
                if n % 50 == 49 {
                    tokio::task::yield_now().await;
                }
            }
            let mut applied = 0;
            for outcome in outcomes {
                applied += u64::from(outcome.await.is_ok());
            }
            applied
        });
        let heir = *cluster.nodes.keys().find(|node| **node != leader).unwrap();
        cluster.nodes[&leader].group.transfer_leader(heir).await.unwrap();
        let acknowledged = within("the proposals", proposals).await.unwrap();
        cluster.propose(&text("end of round")).await;
        let leader = cluster.leader().await;
        let prefix = format!("{round}/");
        let found: Vec<_> =
            texts(&cluster.nodes[&leader].group.view()).into_iter().filter(|text| text.starts_with(&prefix)).collect();
        let expected: Vec<_> = (0..found.len()).map(|n| format!("{round}/{n:05}")).collect();
        assert_eq!(found, expected, "a prefix, in order, once");
        assert!(found.len() as u64 >= acknowledged);
        println!("round {round}: {acknowledged} acknowledged, {} applied", found.len());
    }
    let address = cluster.stop_node(1).await;
    cluster.start_node(1, address).await;
    let leader = cluster.leader().await;
    let total = support::count(&cluster.nodes[&leader].group.view()).unwrap();
    for node in cluster.nodes.values() {
        until_count(&node.group, total).await;
        node.engine.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_come_and_go() {
    let mut cluster = Cluster::start(plain).await;
    cluster.propose(&text("one")).await;
    cluster.start_node(4, "127.0.0.1:0".parse().unwrap()).await;
    let leader = cluster.leader().await;
    let newcomer = cluster.nodes[&4].address.to_string();
    let group = &cluster.nodes[&leader].group;
    group.add_learner(4, newcomer.clone()).await.unwrap();
    group.add_learner(4, newcomer).await.unwrap();
    until_count(&cluster.nodes[&4].group, 1).await;
    let leaving = *cluster.nodes.keys().find(|node| **node != leader && **node != 4).unwrap();
    let voters: BTreeSet<_> = cluster.nodes.keys().copied().filter(|node| *node != leaving).collect();
    group.change_members(voters.clone()).await.unwrap();
    let status = group.status();
    assert_eq!(status.members.keys().copied().collect::<BTreeSet<_>>(), voters);
    assert!(status.members.values().all(|member| member.is_voter));
    cluster.nodes[&leaving].engine.erase_group(GroupId(1)).await.unwrap();
    cluster.propose(&text("two")).await;
    until_count(&cluster.nodes[&4].group, 2).await;
    for node in cluster.nodes.values() {
        node.engine.shutdown().await;
    }
}

/// A node with a wrong secret or of another cluster is told apart and left out; it disturbs nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_are_refused() {
    use tidings_proto::raft::v1::VoteRequest;
    use tidings_proto::raft::v1::raft_transport_client::RaftTransportClient;

    let folder = tempfile::tempdir().unwrap();
    let options = with_secret(EngineOptions::new(folder.path(), 7, "test"));
    let node = Node::start(options, "127.0.0.1:0".parse().unwrap()).await;
    let mut client = RaftTransportClient::connect(format!("http://{}", node.address)).await.unwrap();
    let good = [("authorization", "Bearer between us"), ("tidings-cluster", "test"), ("tidings-to", "7")];
    let cases = [
        (good[0].0, None, tonic::Code::Unauthenticated),
        (good[0].0, Some("Bearer between us!"), tonic::Code::Unauthenticated),
        (good[1].0, Some("other"), tonic::Code::FailedPrecondition),
        (good[2].0, Some("8"), tonic::Code::FailedPrecondition),
        // Let in, and then found to ask for a group that is not here.
        (good[2].0, Some("7"), tonic::Code::NotFound),
    ];
    for (key, value, expected) in cases {
        let mut request = tonic::Request::new(VoteRequest { group: 99, ..VoteRequest::default() });
        for (good_key, good_value) in good {
            request.metadata_mut().insert(good_key, good_value.parse().unwrap());
        }
        match value {
            Some(value) => drop(request.metadata_mut().insert(key, value.parse().unwrap())),
            None => drop(request.metadata_mut().remove(key)),
        }
        let refused = client.vote(request).await.unwrap_err();
        assert_eq!(refused.code(), expected, "{key} {value:?}");
    }
    node.stop().await;
}
