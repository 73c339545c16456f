//! Blocking what another says in groups, over real connections: it does not come, is not listed, read or found, on no
//! device, until the block is lifted. The others see everything.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use tidings_proto::message::v1::Block;
use tidings_sdk::{Client, HistoryQuery, Search};
use tidings_tests::group_view::GroupView;
use tidings_tests::settings::block;
use tidings_tests::{DEADLINE, Node, within};

async fn say(client: &Client, text: &str) {
    let sending = async { client.send_to_group("team", text).await.unwrap().sent().await };
    within(DEADLINE, "it is sent", sending).await.unwrap();
}

async fn history(client: &Client) -> Vec<String> {
    let page = within(DEADLINE, "a page", client.group_history("team", HistoryQuery::default())).await.unwrap();
    page.messages.into_iter().map(|one| one.message.unwrap().content.unwrap().text).collect()
}

async fn found(client: &Client, group: &str) -> Vec<String> {
    let search = Search { text: "lunch".to_owned(), group: group.to_owned(), ..Search::default() };
    let found = within(DEADLINE, "a page", client.search(search)).await.unwrap();
    let mut texts: Vec<_> = found.messages.into_iter().map(|one| one.message.unwrap().content.unwrap().text).collect();
    texts.sort();
    texts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_blocked_member_says_in_groups_is_kept_from_all_devices() {
    let mut node = Node::start().await;
    let control = node.control().await;
    let tokens = [control.user("alice").await, control.user("bob").await, control.user("carol").await];
    control.group("team", &["alice", "bob", "carol"]).await;
    let (alice, events) = node.online(&tokens[0], "phone").await;
    let alice_sees = GroupView::of(events);
    let (phone, events) = node.online(&tokens[1], "phone").await;
    let on_phone = GroupView::of(events);
    let (laptop, events) = node.online(&tokens[1], "laptop").await;
    let on_laptop = GroupView::of(events);
    let (carol, events) = node.online(&tokens[2], "phone").await;
    let carol_sees = GroupView::of(events);

    block(&phone, "alice", &[Block::GroupMessages]).await;
    say(&alice, "lunch? says alice").await;
    say(&carol, "lunch? says carol").await;
    for view in [&on_phone, &on_laptop] {
        view.until_said("lunch? says carol").await;
        assert_eq!(view.texts(), ["lunch? says carol"]);
    }
    for view in [&carol_sees, &alice_sees] {
        view.until_said("lunch? says carol").await;
        assert_eq!(view.texts(), ["lunch? says alice", "lunch? says carol"]);
    }
    for client in [&phone, &laptop] {
        assert_eq!(history(client).await, ["lunch? says carol"]);
        assert_eq!(found(client, "team").await, ["lunch? says carol"]);
        assert_eq!(found(client, "").await, ["lunch? says carol"]);
    }
    assert_eq!(history(&carol).await.len(), 2);
    let listed = within(DEADLINE, "a page", laptop.conversations(Vec::new(), 10)).await.unwrap().conversations;
    let team = listed.iter().find(|one| one.group == "team").unwrap();
    assert_eq!(team.unread, 1);

    // It holds after a crash; a message to bob himself was never blocked.
    node.restart_after_kill9().await;
    say(&alice, "once more").await;
    // Behind it in the group's order: bob's shard has passed it by when he is shown this.
    say(&carol, "not lunch").await;
    on_phone.until_said("not lunch").await;
    on_laptop.until_said("not lunch").await;
    within(DEADLINE, "it is sent", async { alice.send("bob", "you?").await.unwrap().sent().await }).await.unwrap();
    block(&laptop, "alice", &[]).await;
    say(&alice, "and now?").await;
    for view in [&on_phone, &on_laptop] {
        view.until_said("and now?").await;
        assert_eq!(view.texts(), ["lunch? says carol", "not lunch", "and now?"]);
    }
    let all = ["lunch? says alice", "lunch? says carol", "once more", "not lunch", "and now?"];
    assert_eq!(history(&phone).await, all, "the history shows it again");
}
