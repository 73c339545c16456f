//! One search over all shards: what stands in a user's own and what stands at the homes of groups, also after a
//! broker's death.

use tidings_sdk::{Client, Search};
use tidings_tests::{DEADLINE, within};

use super::support::{client, control, settled, start};

const GROUPS: [&str; 4] = ["kitchen", "sales", "team", "tower"];

async fn find(client: &Client, limit: u32) -> Vec<String> {
    let (mut texts, mut page) = (Vec::new(), Vec::new());
    loop {
        let asked = Search { text: "lunch".to_owned(), page, limit, ..Search::default() };
        let found = within(DEADLINE, "a page", client.search(asked)).await.unwrap();
        texts.extend(found.messages.into_iter().map(|found| found.message.unwrap().content.unwrap().text));
        page = found.next_page;
        if page.is_empty() {
            return texts;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_search_finds_what_stands_in_all_shards() {
    let cluster = start().await;
    let control = control(&cluster, 0).await;
    let mut clients = Vec::new();
    for name in ["alice", "bob"] {
        let (client, events) = client(&cluster, &control.user(name).await, "phone").connect().unwrap();
        drop(events);
        clients.push(client);
    }
    let mut expected = Vec::new();
    for group in GROUPS {
        control.group(group, &["alice", "bob"]).await;
    }
    for round in 0..3usize {
        for group in GROUPS {
            let text = format!("lunch in {group} {round}");
            let sending = async { clients[0].send_to_group(group, text.clone()).await.unwrap().sent().await };
            let sent = within(DEADLINE, "it is sent", sending).await.unwrap();
            expected.push((sent.sent_at_ms, text));
        }
        let text = format!("lunch with bob {round}");
        let sending = async { clients[0].send("bob", text.clone()).await.unwrap().sent().await };
        let sent = within(DEADLINE, "it is sent", sending).await.unwrap();
        expected.push((sent.sent_at_ms, text));
        cluster.broker(round).kill9().unwrap();
        let mut wanted: Vec<_> = expected.iter().map(|(_, text)| text.clone()).collect();
        wanted.sort();
        within(DEADLINE, "all of it is found", async {
            loop {
                let mut found = find(&clients[1], 2).await;
                found.sort();
                if found == wanted {
                    return;
                }
                tokio::task::yield_now().await;
            }
        })
        .await;
        cluster.broker(round).restart().await.unwrap();
        settled(&cluster).await;
    }
}
