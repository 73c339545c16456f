//! Bits of a replica's files change while nobody looks: the scrub finds it, nothing of it is served, and the replica is
//! made anew from its peers.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use tidings_audit::{Plan, Role};
use tidings_tests::{DEADLINE, within};

use super::support::{Traffic, settled, start_as};

/// Tables of a database, the largest first.
fn tables(folder: &Path) -> Vec<(u64, PathBuf)> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let tables = entries.filter(|entry| entry.path().extension().is_some_and(|kind| kind == "sst"));
    let mut sized: Vec<_> = tables.map(|entry| (entry.metadata().unwrap().len(), entry.path())).collect();
    sized.sort_unstable_by(|a, b| b.cmp(a));
    sized
}

/// Changes a bit in the middle of the file: in a block of data, since those come first and are most of it.
fn flip(file: &Path, length: u64) {
    let file = File::options().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, length / 3).unwrap();
    file.write_all_at(&[byte[0] ^ 4], length / 3).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_replica_is_found_by_the_scrub_and_made_anew_from_its_peers() {
    let plan = Plan::default().set(Role::Broker, "storage.scrub_pause_seconds=2");
    let cluster = start_as(plan).await;
    let traffic = Traffic::start(&cluster, 3).await;
    traffic.goes_on(300).await;
    let broker = cluster.broker(0);
    // An orderly end puts everything into tables.
    broker.terminate().await.unwrap();
    let state = tables(&broker.data().join("db/state"));
    let (length, largest) = state.first().expect("the state has tables");
    flip(largest, *length);
    broker.start().await.unwrap();
    within(DEADLINE, "the damage is found", async {
        while broker.metric("tidings_consensus_damages_found_total").await.unwrap() == 0.0 {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    })
    .await;
    within(DEADLINE, "the replica is made anew", async {
        while broker.metric("tidings_consensus_damaged_groups").await.unwrap() > 0.0 {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    })
    .await;
    // What the shards' leaders reported before that counts for a lease of 3 s more: only then "settled" speaks of now.
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    settled(&cluster).await;
    broker.ready().await.unwrap();
    // Whole again: another one may go.
    cluster.broker(1).kill9().unwrap();
    traffic.goes_on(100).await;
    cluster.broker(1).restart().await.unwrap();
    traffic.end().await;
}
