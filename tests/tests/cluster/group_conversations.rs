//! Groups among the conversations, across shards and leaders: what members are shown is right after each broker's
//! death.

use tidings_sdk::{Client, Conversation, UpdateConversation};
use tidings_tests::{DEADLINE, within};

use super::support::{client, control, settled, start};

async fn in_team(client: &Client) -> Option<Conversation> {
    let page = within(DEADLINE, "a page", client.conversations(Vec::new(), 10)).await.unwrap();
    page.conversations.into_iter().find(|one| one.group == "team")
}

/// Waits until a member is shown so many unread messages, and this one as the last.
async fn comes_to(client: &Client, unread: u64, last: &str) {
    within(DEADLINE, &format!("{unread} unread, and {last}"), async {
        loop {
            let team = in_team(client).await;
            let text = |one: &Conversation| one.last_message.clone()?.content.map(|content| content.text);
            if team.is_some_and(|team| team.unread == unread && text(&team).as_deref() == Some(last)) {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_unread_survives_the_brokers_that_led() {
    let cluster = start().await;
    let control = control(&cluster, 0).await;
    let names = ["alice", "bob", "carol", "dan"];
    let mut clients = Vec::new();
    for name in names {
        let (client, events) = client(&cluster, &control.user(name).await, "phone").connect().unwrap();
        drop(events);
        clients.push(client);
    }
    control.group("team", &names).await;
    for round in 0..3usize {
        let text = format!("round {round}");
        let sending = async { clients[0].send_to_group("team", text.clone()).await.unwrap().sent().await };
        within(DEADLINE, "it is sent", sending).await.unwrap();
        cluster.broker(round).kill9().unwrap();
        // Bob reads each round; the others read nothing.
        for (client, unread) in clients.iter().zip([0, 1, round as u64 + 1, round as u64 + 1]) {
            comes_to(client, unread, &text).await;
        }
        let place = in_team(&clients[1]).await.unwrap().last_place;
        let read = UpdateConversation { group: "team".into(), read_place: Some(place), ..Default::default() };
        let read = within(DEADLINE, "it is read", clients[1].update_conversation(read)).await.unwrap();
        assert_eq!((read.unread, read.read_place), (0, place));
        let mark = UpdateConversation { group: "team".into(), marked_unread: Some(true), ..Default::default() };
        assert!(within(DEADLINE, "it is marked", clients[3].update_conversation(mark)).await.unwrap().marked_unread);
        cluster.broker(round).restart().await.unwrap();
        settled(&cluster).await;
    }
    assert!(in_team(&clients[3]).await.unwrap().marked_unread);
}
