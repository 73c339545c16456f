//! What was deleted leaves nothing behind on any replica, nor with those who passed it on.

use std::path::PathBuf;

use tidings_audit::{Plan, Role};
use tidings_tests::deletions::{files_with, say_and_delete};

use super::support::{client, control, start_as};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_deleted_is_in_no_file_of_any_replica() {
    let cluster = start_as(Plan::default().set(Role::Broker, "storage.erase_within_seconds=3")).await;
    let brokers: Vec<PathBuf> = (0..3).map(|index| cluster.broker(index).data()).collect();
    let holders = |text: &str| brokers.iter().filter(|data| !files_with(data, text).is_empty()).count();
    let said = say_and_delete(
        &control(&cluster, 0).await,
        |token| client(&cluster, token, "phone"),
        // Accepted is on the disks of a majority.
        |said| said.deleted.iter().for_each(|text| assert!(holders(text) >= 2, "what was said is stored")),
    )
    .await;
    let states: Vec<PathBuf> = brokers.iter().map(|data| data.join("db/state")).collect();
    said.comes_to_an_end(&brokers, &states).await;
}
