//! A policy says for how long messages may be edited, and for how long recalled and wiped, in conversations and in
//! groups.

use tidings_tests::Node;
use tidings_tests::change_windows::Writers;

#[tokio::test]
async fn changes_go_within_their_windows_and_are_too_late_beyond_them() {
    let mut node = Node::start().await;
    let control = node.control().await;
    let mut writers = Writers::open(&control, async |token| node.online(token, "phone").await).await;
    writers.change_in_time().await;
    node.restart_after_kill9().await;
    writers.change_too_late().await;
    writers.reader_sees_what_was_changed_in_time().await;
    writers.change_by_a_longer_window().await;
}
