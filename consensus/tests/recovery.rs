//! A majority of a group is lost for good, and the group goes on from what one replica has.

// A test ends where something is not as expected.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use support::{Cluster, Node, copy_folder, dump, text, texts, until_count, until_leader, within};
use tidings_consensus::{EngineOptions, Error, GroupId, NodeId, Recovery, StoredReplica};

const GROUP: GroupId = GroupId(1);

fn plain(options: EngineOptions) -> EngineOptions {
    options
}

fn stored(recovery: &Recovery) -> StoredReplica {
    assert_eq!(recovery.groups().unwrap(), [GROUP]);
    recovery.replica(GROUP).unwrap()
}

/// Ten commands on three nodes, of which only the survivor is left; the others' folders are gone.
async fn one_of_three(compacted: bool) -> (Cluster, NodeId) {
    let mut cluster = Cluster::start(plain).await;
    for n in 0..10 {
        cluster.propose(&text(format!("acknowledged {n}"))).await;
    }
    let leader = cluster.leader().await;
    let survivor = *cluster.nodes.keys().find(|node| **node != leader).unwrap();
    let group = &cluster.nodes[&survivor].group;
    until_count(group, 10).await;
    if compacted {
        group.compact(0).await.unwrap();
        within("the purge", async {
            while group.status().purged != group.status().last_log {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }
    for id in 1..=3 {
        cluster.stop_node(id).await;
        if id != survivor {
            std::fs::remove_dir_all(cluster.folder.path().join(id.to_string())).unwrap();
        }
    }
    (cluster, survivor)
}

fn others(survivor: NodeId) -> BTreeSet<NodeId> {
    (1..=3).filter(|id| *id != survivor).collect()
}

/// Goes on alone, then with replicas that begin anew, all of which have everything.
async fn goes_on(mut cluster: Cluster, survivor: NodeId) {
    let anywhere = "127.0.0.1:0".parse().unwrap();
    cluster.start_node(survivor, anywhere).await;
    let group = cluster.nodes[&survivor].group.clone();
    until_leader(&group).await;
    assert_eq!(texts(&group.view()), (0..10).map(|n| format!("acknowledged {n}")).collect::<Vec<_>>());
    let status = group.status();
    assert_eq!(status.members.keys().copied().collect::<Vec<_>>(), [survivor]);
    assert_eq!(status.applied, status.last_log, "all that was logged is committed");
    assert_eq!(group.propose(text("after")).await, Ok(10));

    for id in others(survivor) {
        cluster.start_node(id, anywhere).await;
        group.add_learner(id, cluster.nodes[&id].address.to_string()).await.unwrap();
    }
    group.change_members((1..=3).collect()).await.unwrap();
    // The survivor may go now.
    for id in others(survivor) {
        until_count(&cluster.nodes[&id].group, 11).await;
    }
    let reference = dump(&group.view());
    drop(group);
    cluster.stop_node(survivor).await;
    let leader = cluster.leader().await;
    assert_eq!(dump(&cluster.nodes[&leader].group.view()), reference);
    assert_eq!(cluster.propose(&text("last")).await, 11);
    for node in cluster.nodes.values() {
        node.engine.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn goes_on_from_one_of_three() {
    let (cluster, survivor) = one_of_three(false).await;
    let lost = others(survivor);
    let options = cluster.options_of(survivor);
    let recovery = Recovery::open(&options).unwrap();
    let before = stored(&recovery);
    assert!(before.has_lost_quorum(&lost) && before.members.len() == 3, "{before:?}");
    recovery.make_only_member(GROUP, &lost).unwrap();
    let after = stored(&recovery);
    assert_eq!(after.voters, [BTreeSet::from([survivor])]);
    assert_eq!((after.term, after.last_log), (before.term + 1, (before.term + 1, before.last_log.1 + 1)));
    // A second time there is nothing to do.
    assert!(matches!(recovery.make_only_member(GROUP, &lost), Err(Error::Membership(_))));
    drop(recovery);
    goes_on(cluster, survivor).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn goes_on_from_a_replica_whose_log_was_purged_to_its_end() {
    let (cluster, survivor) = one_of_three(true).await;
    let recovery = Recovery::open(&cluster.options_of(survivor)).unwrap();
    recovery.make_only_member(GROUP, &others(survivor)).unwrap();
    drop(recovery);
    goes_on(cluster, survivor).await;
}

/// What was never known to be committed is kept too: it may have been acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_that_were_not_committed_are_kept() {
    let mut cluster = Cluster::start(plain).await;
    cluster.propose(&text("acknowledged")).await;
    let leader = cluster.leader().await;
    for id in others(leader) {
        cluster.stop_node(id).await;
    }
    // In the moment before it notices that it has no quorum any more.
    let group = cluster.nodes[&leader].group.clone();
    let before = group.status();
    let unknown = tokio::spawn(group.propose(text("unknown")));
    within("the entry", async {
        while group.status().last_log == before.last_log {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(group.status().committed, before.committed);
    drop(group);
    cluster.stop_node(leader).await;
    assert!(unknown.await.unwrap().is_err());

    let recovery = Recovery::open(&cluster.options_of(leader)).unwrap();
    recovery.make_only_member(GROUP, &others(leader)).unwrap();
    drop(recovery);
    cluster.start_node(leader, "127.0.0.1:0".parse().unwrap()).await;
    until_leader(&cluster.nodes[&leader].group).await;
    assert_eq!(texts(&cluster.nodes[&leader].group.view()), ["acknowledged", "unknown"]);
    cluster.stop_node(leader).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_must_not_be_recovered_is_refused_and_stays_as_it_is() {
    let mut cluster = Cluster::start(plain).await;
    cluster.propose(&text("one")).await;
    until_count(&cluster.nodes[&1].group, 1).await;
    let options = cluster.options_of(1);
    let in_use = Recovery::open(&options).err().unwrap().to_string();
    assert!(in_use.contains("another process has it open"), "{in_use}");
    let nowhere = EngineOptions::new(cluster.folder.path().join("nowhere"), 1, "test");
    assert!(matches!(Recovery::open(&nowhere), Err(Error::Open { .. })) && !nowhere.dir.exists());

    let address = cluster.stop_node(1).await;
    let stranger = EngineOptions { node_id: 2, ..options.clone() };
    assert!(matches!(Recovery::open(&stranger), Err(Error::WrongStore { .. })));
    let recovery = Recovery::open(&options).unwrap();
    let before = stored(&recovery);
    // Two of three are left; it is itself among the lost; there is no such group.
    for lost in [&[][..], &[2], &[1, 2]] {
        let refused = recovery.make_only_member(GROUP, &lost.iter().copied().collect());
        assert!(matches!(refused, Err(Error::Membership(_))), "{lost:?}: {refused:?}");
    }
    let refused = recovery.make_only_member(GroupId(9), &BTreeSet::from([2, 3]));
    assert!(matches!(refused, Err(Error::NoSuchGroup(GroupId(9)))), "{refused:?}");
    assert_eq!(stored(&recovery), before);
    drop(recovery);
    // It takes part again as if nothing had been.
    cluster.start_node(1, address).await;
    cluster.propose(&text("two")).await;
    until_count(&cluster.nodes[&1].group, 2).await;
    for node in cluster.nodes.values() {
        node.engine.shutdown().await;
    }
}

/// After a crash the state is behind the log, and its end may hold what is not applied.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn goes_on_from_what_a_crash_left() {
    let mut cluster = Cluster::start(plain).await;
    for n in 0..10 {
        cluster.propose(&text(n.to_string())).await;
    }
    until_count(&cluster.nodes[&1].group, 10).await;
    let crashed = cluster.folder.path().join("crashed");
    copy_folder(&cluster.folder.path().join("1"), &crashed);
    for id in 1..=3 {
        cluster.stop_node(id).await;
    }
    let options = EngineOptions::new(&crashed, 1, "test");
    let recovery = Recovery::open(&options).unwrap();
    let replica = stored(&recovery);
    assert!(replica.applied < Some(replica.last_log.1), "{replica:?}");
    recovery.make_only_member(GROUP, &BTreeSet::from([2, 3])).unwrap();
    drop(recovery);
    let node = Node::start(options, "127.0.0.1:0".parse().unwrap()).await;
    until_leader(&node.group).await;
    assert_eq!(texts(&node.group.view()), (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
    node.stop().await;
}
