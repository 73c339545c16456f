//! History across shards and leaders: what was kept is there after the broker that led is gone.

use tidings_sdk::Change;
use tidings_tests::{DEADLINE, within};

use super::support::{client, control, settled, start, texts};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_and_changes_survive_the_brokers_that_led() {
    let cluster = start().await;
    let control = control(&cluster, 0).await;
    let names = ["alice", "bob", "carol"];
    let mut clients = Vec::new();
    for name in names {
        let (client, events) = client(&cluster, &control.user(name).await, "phone").connect().unwrap();
        drop(events);
        clients.push(client);
    }
    let sent = |from: usize, to: usize, text: String| {
        let client = clients[from].clone();
        async move { client.send(names[to], text).await.unwrap().sent().await.unwrap().id }
    };
    let pairs = [(0, 1), (1, 2), (2, 0)];
    let mut expected = vec![Vec::<String>::new(); pairs.len()];
    for round in 0..3 {
        for (at, (from, to)) in pairs.into_iter().enumerate() {
            let id = within(DEADLINE, "it is sent", sent(from, to, format!("{round}"))).await;
            let change = clients[from].change(names[to], id, Change::edit(format!("{round} edited"))).await.unwrap();
            within(DEADLINE, "it is changed", change.sent()).await.unwrap();
            expected[at].push(format!("{round} edited"));
        }
        cluster.broker(round).kill9().unwrap();
        for (at, (from, to)) in pairs.into_iter().enumerate() {
            assert_eq!(texts(&clients[to], names[from]).await, expected[at], "the recipient's, at once");
            within(DEADLINE, "the sender's, once its copy has come", async {
                while texts(&clients[from], names[to]).await != expected[at] {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        }
        cluster.broker(round).restart().await.unwrap();
        settled(&cluster).await;
    }
}
