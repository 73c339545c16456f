//! Damage of one replica is found, contained, and repaired from its peers, while everything else goes on.

#![allow(clippy::unwrap_used)] // A test ends where something is not as expected.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use support::{
    Cluster, Journal, count, dump, flip_bit_in_table, needle, start_alone, text, until_count, until_leader, within,
};
use tidings_consensus::{Engine, EngineOptions, Error, Group, GroupId, NodeId, ProposeError};

const FIRST: GroupId = GroupId(1);
const SECOND: GroupId = GroupId(2);

/// Without a cache, so that reads go to the files.
fn uncached(dir: &Path) -> EngineOptions {
    let mut options = EngineOptions::new(dir, 1, "test");
    options.tuning.block_cache_bytes = 0;
    options.tuning.log_cache_bytes = 0;
    options
}

async fn found(engine: &Engine, group: GroupId) -> String {
    let mut damaged = engine.damaged();
    let damaged = within("the damage to be found", damaged.wait_for(|damaged| damaged.contains_key(&group))).await;
    damaged.unwrap()[&group].clone()
}

async fn start(engine: &Engine, group: GroupId) -> Group<Journal> {
    let group = engine.start_group(group, Journal::new()).await.unwrap();
    group.bootstrap([(1, "127.0.0.1:1".to_owned())].into()).await.unwrap();
    until_leader(&group).await;
    group
}

/// Two groups with some commands, the needle among those of the first; the state is in tables.
async fn two_groups(dir: &Path, needle: &str) -> (Engine, Group<Journal>, Group<Journal>) {
    let engine = Engine::open(uncached(dir)).unwrap();
    let (first, second) = (start(&engine, FIRST).await, start(&engine, SECOND).await);
    for n in 0..100 {
        for group in [&first, &second] {
            // Larger than a block, so that the groups share none.
            group.propose(text(format!("{n} {}", "x".repeat(5000)))).await.unwrap();
        }
        if n == 50 {
            first.propose(text(needle)).await.unwrap();
        }
    }
    // The log is kept whole.
    first.compact(1000).await.unwrap();
    second.compact(1000).await.unwrap();
    (engine, first, second)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_damaged_group_stops_alone_and_can_be_erased_and_started_anew() {
    let folder = tempfile::tempdir().unwrap();
    let needle = needle();
    let (engine, first, second) = two_groups(folder.path(), &needle).await;
    flip_bit_in_table(&folder.path().join("state"), &needle);

    let read = first.view().scan(b"", &[0xff; 8], usize::MAX);
    assert!(matches!(read, Err(Error::Damaged { group: FIRST, .. })), "{read:?}");
    let reason = found(&engine, FIRST).await;
    assert!(reason.contains("Corruption"), "{reason}");
    // It serves nothing, not even what could still be read.
    assert!(first.view().get(b"count").is_err());
    let mut leadership = first.leadership();
    within("the end of leadership", leadership.wait_for(|leadership| !leadership.is_leader)).await.unwrap();
    assert_eq!(first.propose(text("late")).await, Err(ProposeError::StorageFailed));
    assert_eq!(first.status().failure, Some(reason));
    // The other goes on, and so does the process.
    assert!(engine.is_healthy());
    assert_eq!(second.propose(text("on")).await, Ok(100));

    drop(first);
    let again = engine.start_group(FIRST, Journal::new()).await;
    assert!(matches!(again, Err(Error::Damaged { .. } | Error::GroupTaken(_))));
    engine.erase_group(FIRST).await.unwrap();
    assert!(engine.damaged().borrow().is_empty());
    let first = start(&engine, FIRST).await;
    // Many flushes: nothing trips over the damaged block that is still in a file.
    for n in 0..8 {
        assert_eq!(first.propose(text(format!("anew {n}"))).await, Ok(n));
        second.propose(text(format!("on {n}"))).await.unwrap();
        first.compact(0).await.unwrap();
    }
    assert_eq!(count(&first.view()).unwrap(), 8);
    dump(&first.view());
    let expected = dump(&second.view());
    assert!(engine.is_healthy());
    engine.shutdown().await;
    drop((engine, first, second));

    // The next start has left the damaged file behind.
    assert!(folder.path().join("state.salvage").exists());
    let engine = Engine::open(uncached(folder.path())).unwrap();
    assert!(!folder.path().join("state.salvage").exists());
    let (first, second) = (start(&engine, FIRST).await, start(&engine, SECOND).await);
    assert_eq!(count(&first.view()).unwrap(), 8);
    assert_eq!(dump(&second.view()), expected);
    engine.shutdown().await;
}

/// The damaged block lies in a file that is compacted, unless it is read before. A compaction stops the whole process;
/// the next start leaves the file behind: one group is damaged, the other has everything.
async fn a_compaction_over_damage(database: &str) {
    let folder = tempfile::tempdir().unwrap();
    let needle = needle();
    let (engine, first, second) = two_groups(folder.path(), &needle).await;
    let expected = dump(&second.view());
    engine.shutdown().await;
    drop((engine, first, second));
    flip_bit_in_table(&folder.path().join(database), &needle);

    // Each of these leaves a table; a few of them are compacted.
    let mut is_found = false;
    for round in 0..12 {
        let engine = Engine::open(uncached(folder.path())).unwrap();
        let _first = engine.start_group(FIRST, Journal::new()).await;
        let second = engine.start_group(SECOND, Journal::new()).await.unwrap();
        let (mut failure, mut leadership) = (engine.failure(), second.leadership());
        tokio::select! {
            biased;
            _ = failure.wait_for(Option::is_some) => {}
            _ = async {
                leadership.wait_for(|leadership| leadership.is_leader).await.ok();
                for _ in 0..4 {
                    second.propose(text(format!("{round}"))).await.ok();
                    second.compact(0).await.ok();
                }
            } => {}
        }
        engine.shutdown().await;
        let reason = engine.failure().borrow().clone();
        is_found = reason.is_some() || engine.damaged().borrow().contains_key(&FIRST);
        assert!(reason.is_none_or(|reason| reason.contains("the next start of this process leaves it out")));
        if is_found {
            break;
        }
    }
    assert!(is_found, "a compaction should have met the damage");

    let engine = Engine::open(uncached(folder.path())).unwrap();
    assert_eq!(engine.damaged().borrow().keys().copied().collect::<Vec<_>>(), [FIRST]);
    let refused = engine.start_group(FIRST, Journal::new()).await;
    assert!(matches!(refused, Err(Error::Damaged { .. })));
    let second = start(&engine, SECOND).await;
    let texts: BTreeMap<_, _> = dump(&second.view()).into_iter().collect();
    let lost = expected.iter().filter(|(key, value)| key.starts_with(b"entry/") && texts.get(key) != Some(value));
    assert_eq!(lost.count(), 0);
    assert!(folder.path().join(format!("{database}.damaged")).exists());
    engine.erase_group(FIRST).await.unwrap();
    let first = start(&engine, FIRST).await;
    for n in 0..8 {
        assert_eq!(first.propose(text(format!("anew {n}"))).await, Ok(n));
        first.compact(0).await.unwrap();
    }
    assert!(engine.is_healthy());
    engine.shutdown().await;
    drop((engine, first, second));
    let engine = Engine::open(uncached(folder.path())).unwrap();
    assert!(!folder.path().join(format!("{database}.damaged")).exists(), "nothing needs it any more");
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compaction_of_the_state_over_damage_costs_one_group() {
    a_compaction_over_damage("state").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compaction_of_the_log_over_damage_costs_one_group() {
    a_compaction_over_damage("log").await;
}

/// What the broker does about damage: the leader takes the node out, the node erases and starts anew, the leader takes
/// it in again.
async fn rebuild(cluster: &mut Cluster, node: support::Ungrouped) {
    let damaged = node.id;
    let others: BTreeSet<NodeId> = (1..=3).filter(|id| *id != damaged).collect();
    let leader = cluster.leader().await;
    let group = cluster.nodes[&leader].group.clone();
    group.change_members(others).await.unwrap();
    node.engine.erase_group(FIRST).await.unwrap();
    let node = node.start_group().await.unwrap_or_else(|(_, error)| panic!("{error}"));
    group.add_learner(damaged, node.address.to_string()).await.unwrap();
    group.change_members((1..=3).collect()).await.unwrap();
    cluster.nodes.insert(damaged, node);
    let command = text("after the repair");
    cluster.propose(&command).await;
    let leader = cluster.leader().await;
    let total = count(&cluster.nodes[&leader].group.view()).unwrap();
    until_count(&cluster.nodes[&damaged].group, total).await;
    assert_eq!(dump(&cluster.nodes[&damaged].group.view()), dump(&cluster.nodes[&leader].group.view()));
}

fn small_caches(mut options: EngineOptions) -> EngineOptions {
    options.tuning.block_cache_bytes = 0;
    options.tuning.log_cache_bytes = 0;
    options
}

/// Damage that a start finds, in a record of the log; the quorum goes on, and the replica is rebuilt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_does_not_start_is_rebuilt_from_its_peers() {
    let mut cluster = Cluster::start(small_caches).await;
    for n in 0..30 {
        cluster.propose(&text(format!("command {n}"))).await;
    }
    let leader = cluster.leader().await;
    let damaged = *cluster.nodes.keys().find(|node| **node != leader).unwrap();
    until_count(&cluster.nodes[&damaged].group, 30).await;
    let address = cluster.stop_node(damaged).await;
    {
        let log = rocksdb::DB::open_default(cluster.options_of(damaged).dir.join("log")).unwrap();
        let key = [0x02, 0, 0, 0, 1];
        let mut vote = log.get(key).unwrap().unwrap();
        vote[1] ^= 1;
        log.put(key, vote).unwrap();
    }
    let started = support::Node::try_start(cluster.options_of(damaged), address).await;
    let Err((node, error)) = started else { panic!("started") };
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    assert!(node.engine.is_healthy());
    // Its peers are told to come again, not that it is a stranger to the group.
    let refused = vote_of(&node).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unavailable, "{refused}");
    rebuild(&mut cluster, node).await;
    for node in cluster.nodes.values() {
        node.engine.shutdown().await;
    }
}

async fn vote_of(
    node: &support::Ungrouped,
) -> Result<tonic::Response<tidings_proto::raft::v1::VoteReply>, tonic::Status> {
    use tidings_proto::raft::v1::raft_transport_client::RaftTransportClient;
    let mut client = RaftTransportClient::connect(format!("http://{}", node.address)).await.unwrap();
    let vote = Some(tidings_proto::raft::v1::VoteId { term: 99, node: 2, committed: false });
    let mut request =
        tonic::Request::new(tidings_proto::raft::v1::VoteRequest { group: 1, vote, ..Default::default() });
    let to = node.id.to_string();
    for (key, value) in [("tidings-cluster", "test"), ("tidings-to", &to), ("tidings-from", "2")] {
        request.metadata_mut().insert(key, value.parse().unwrap());
    }
    client.vote(request).await
}

/// Damage that is met while running, in a table of the state, at the leader.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_stops_while_it_leads_is_rebuilt_by_snapshot() {
    let mut cluster = Cluster::start(small_caches).await;
    let needle = needle();
    for n in 0..50 {
        cluster.propose(&text(format!("{n} {}", "x".repeat(5000)))).await;
        if n == 25 {
            cluster.propose(&text(needle.as_str())).await;
        }
    }
    let leader = cluster.leader().await;
    for node in cluster.nodes.values() {
        until_count(&node.group, 51).await;
        node.group.compact(0).await.unwrap();
    }
    flip_bit_in_table(&cluster.options_of(leader).dir.join("state"), &needle);
    let node = cluster.nodes.remove(&leader).unwrap();
    assert!(node.group.view().scan(b"", &[0xff; 8], usize::MAX).is_err());
    found(&node.engine, FIRST).await;
    cluster.propose(&text("without it")).await;
    rebuild(&mut cluster, node.without_group()).await;
    for node in cluster.nodes.values() {
        assert!(node.engine.is_healthy());
        node.engine.shutdown().await;
    }
}

/// What nothing can be told apart in is refused by the folder's name, and left as it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_cannot_be_opened_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, group) = start_alone(folder.path()).await;
    group.propose(text("one")).await.unwrap();
    engine.shutdown().await;
    drop((engine, group));
    for database in ["log", "state"] {
        let copy = tempfile::tempdir().unwrap();
        support::copy_folder(folder.path(), copy.path());
        let files = std::fs::read_dir(copy.path().join(database)).unwrap().flatten().map(|entry| entry.path());
        let manifest = files.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("MANIFEST"));
        let manifest = manifest.max().unwrap();
        let mut contents = std::fs::read(&manifest).unwrap();
        contents[20] ^= 1;
        std::fs::write(&manifest, contents).unwrap();
        let Err(error) = Engine::open(EngineOptions::new(copy.path(), 1, "test")) else { panic!("opened") };
        assert!(matches!(error, Error::StoreDamaged { .. }), "{error}");
        let message = error.to_string();
        let path = copy.path().join(database);
        assert!(message.contains(&*path.to_string_lossy()) && message.contains("Remove this node"), "{message}");
    }
}
