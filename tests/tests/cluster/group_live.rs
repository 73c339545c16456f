//! What is sent to a group and stored nowhere reaches members whose shards are led by other brokers, also after one
//! died.

use std::time::Duration;

use tidings_sdk::{Event, Events, Outgoing};
use tidings_tests::{DEADLINE, within};

use super::support::{client, control, settled, start};

const MEMBERS: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_in_all_shards_hear_it_before_and_after_a_broker_died() {
    let cluster = start().await;
    let control = control(&cluster, 0).await;
    let names: Vec<String> = (0..MEMBERS).map(|number| format!("member-{number}")).collect();
    let mut tokens = Vec::new();
    for name in &names {
        tokens.push(control.user(name).await);
    }
    control.group("live", &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut clients = Vec::new();
    for token in &tokens {
        let (client, events) = client(&cluster, token, "phone").connect().unwrap();
        within(DEADLINE, "it is online", client.online()).await.unwrap();
        clients.push((client, events));
    }
    for round in 0..2 {
        if round == 1 {
            cluster.broker(1).kill9().unwrap();
            cluster.broker(1).restart().await.unwrap();
            settled(&cluster).await;
        }
        let (sender, others) = clients.split_first_mut().unwrap();
        let hears_all = within(DEADLINE * 3, "all hear it", async {
            // At most once: while leaders change, one may be lost.
            for number in 0.. {
                let update = Outgoing { ttl: Some(Duration::ZERO), ..Outgoing::to_group("live", format!("{round}")) };
                let _ = sender.0.send_message(update).await.unwrap().sent().await;
                let mut heard = 0;
                for (_, events) in &mut *others {
                    heard += usize::from(hears(events, &round.to_string()).await);
                }
                if heard == MEMBERS - 1 {
                    return number;
                }
            }
            unreachable!("it goes on until all hear it");
        });
        println!("round {round}: all heard update {}", hears_all.await);
    }
}

/// Whether this round's update comes within a moment.
async fn hears(events: &mut Events, text: &str) -> bool {
    let update = async {
        loop {
            match events.next().await.expect("the client goes on") {
                Event::Transient(it) if it.content.as_ref().is_some_and(|content| content.text == text) => return,
                _ => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(1), update).await.is_ok()
}
