//! What messages say, what is pinned, and for how long it may be changed, through both gateways and although the
//! brokers that lead die.

use tidings_tests::change_windows::Writers;
use tidings_tests::contents::Talk;

use super::support::{control, leader_of, online, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_said_and_pinned_is_the_same_live_from_the_queue_and_in_the_history() {
    let cluster = start().await;
    let mut gateway = 0;
    let mut online = async |token: &str, device: &str| {
        gateway += 1;
        online(&cluster, gateway % 2, token, device).await
    };
    let mut talk = Talk::open(&control(&cluster, 0).await, &mut online).await;
    talk.says_all().await;
    leader_of(&cluster, "team").await.kill9().unwrap();
    talk.pins().await;
    talk.who_was_away_has_it_all(online).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_go_within_their_windows_and_are_too_late_beyond_them() {
    let cluster = start().await;
    let mut gateway = 0;
    let online = async |token: &str| {
        gateway += 1;
        online(&cluster, gateway % 2, token, "phone").await
    };
    let mut writers = Writers::open(&control(&cluster, 0).await, online).await;
    writers.change_in_time().await;
    leader_of(&cluster, "bob").await.kill9().unwrap();
    writers.change_too_late().await;
    writers.reader_sees_what_was_changed_in_time().await;
    writers.change_by_a_longer_window().await;
}
