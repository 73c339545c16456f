//! What is recalled, wiped, edited, cancelled or past its time, in conversations and in groups, leaves nothing behind
//! in the files of a node.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used)]

use tidings_tests::Node;
use tidings_tests::deletions::{Said, files_with, say_and_delete};

#[tokio::test]
async fn what_was_deleted_is_in_no_file_of_a_node() {
    let mut node = Node::start_with(&["storage.erase_within_seconds=3"]).await;
    let data = node.data();
    let control = node.control().await;
    let all_is_there = async |said: &Said| {
        said.deleted.iter().for_each(|(how, text)| assert!(!files_with(&data, text).is_empty(), "{how} is stored"));
    };
    let said = say_and_delete(&control, |token| node.client(token, "phone"), all_is_there).await;
    said.comes_to_an_end(std::slice::from_ref(&data), &[data.join("db/state")]).await;
    // A start writes what it found anew, and brings nothing back.
    node.restart_after_kill9().await;
    said.comes_to_an_end(std::slice::from_ref(&data), &[data.join("db/state")]).await;
}
