//! What happens to groups and their members, from the making of a group to its end: who is told, and who is refused for
//! what reason.

use tidings_tests::Node;
use tidings_tests::group_life::Club;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_are_told_what_they_may_and_what_the_group_is_called_also_who_was_away() {
    let mut node = Node::start().await;
    let control = node.control().await;
    let mut club = Club::open(&control, async |token| node.online(token, "phone").await).await;
    club.members_are_changed().await;
    node.restart_after_kill9().await;
    club.members_may_what_the_group_says().await;
    club.settings_reach_who_was_away(&mut async |token| node.online(token, "phone").await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invitations_have_an_end_and_permissions_and_who_is_removed_is_out() {
    let node = Node::start().await;
    let mut online = async |token: &str| node.online(token, "phone").await;
    let mut club = Club::open(&node.control().await, &mut online).await;
    club.members_are_changed().await;
    club.guests_come_by_invitation(&mut online).await;
    club.members_are_removed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_ends_in_its_time_or_when_a_backend_says_so() {
    let node = Node::start().await;
    let mut online = async |token: &str| node.online(token, "phone").await;
    let mut club = Club::open(&node.control().await, &mut online).await;
    club.comes_to_its_time().await;
    club.is_deleted(&mut online).await;
}
