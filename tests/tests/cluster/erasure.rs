//! What was deleted leaves nothing behind on any replica, nor with those who passed it on.

use std::path::PathBuf;

use tidings_audit::{Plan, Role};
use tidings_tests::deletions::{Said, files_with, say_and_delete};

use super::support::{client, control, settled, start_as};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_deleted_is_in_no_file_of_any_replica_also_of_one_that_was_away() {
    let cluster = start_as(Plan::default().set(Role::Broker, "storage.erase_within_seconds=3")).await;
    let brokers: Vec<PathBuf> = (0..3).map(|index| cluster.broker(index).data()).collect();
    let holders = |text: &str| brokers.iter().filter(|data| !files_with(data, text).is_empty()).count();
    let all_is_there = async |said: &Said| {
        // Accepted is on the disks of a majority.
        said.deleted.iter().for_each(|(how, text)| assert!(holders(text) >= 2, "{how} is stored"));
        cluster.broker(1).kill9().unwrap();
    };
    let control = control(&cluster, 0).await;
    let said = say_and_delete(&control, |token| client(&cluster, token, "phone"), all_is_there).await;
    let there: Vec<_> = said.deleted.iter().filter(|(_, text)| !files_with(&brokers[1], text).is_empty()).collect();
    assert!(!there.is_empty(), "who was away all the while has what was said");
    cluster.broker(1).restart().await.unwrap();
    settled(&cluster).await;
    let states: Vec<PathBuf> = brokers.iter().map(|data| data.join("db/state")).collect();
    said.comes_to_an_end(&brokers, &states).await;
    // A start writes what it found anew, and brings nothing back.
    for broker in cluster.of(Role::Broker) {
        broker.kill9().unwrap();
        broker.restart().await.unwrap();
    }
    settled(&cluster).await;
    said.comes_to_an_end(&brokers, &states).await;
}
