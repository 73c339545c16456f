//! Presence across brokers and gateways that die: whoever is connected is never said to be offline, and when one who is
//! away was last seen is not forgotten.

use std::collections::BTreeMap;
use std::time::Duration;

use tidings_proto::client::v1::user_presence::State;
use tidings_sdk::{Event, Events, UserPresence};
use tidings_tests::{DEADLINE, within};

use super::support::{client, control, settled, start};

const USERS: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaders_die_and_nobody_who_is_connected_goes_offline() {
    let cluster = start().await;
    let control = control(&cluster, 0).await;
    let watcher = control.user("watcher").await;
    let (watcher, mut events) = client(&cluster, &watcher, "phone").connect().unwrap();
    let names: Vec<String> = (0..USERS).map(|number| format!("user-{number}")).collect();
    watcher.watch_presence(names.clone()).await.unwrap();
    let mut clients = Vec::new();
    for name in &names {
        let token = control.user(name).await;
        clients.push(client(&cluster, &token, "phone").connect().unwrap());
    }
    let mut known = BTreeMap::new();
    until(&mut events, &mut known, |known| known.len() == USERS && known.values().all(is_online)).await;
    // The first leaves, and was seen.
    clients.remove(0).0.close().await;
    let gone = |known: &BTreeMap<String, UserPresence>| known["user-0"].state() == State::Offline;
    until(&mut events, &mut known, gone).await;
    let last_seen_ms = known["user-0"].last_seen_ms;
    assert!(last_seen_ms > 0);

    for broker in 0..3 {
        cluster.broker(broker).kill9().unwrap();
        cluster.broker(broker).restart().await.unwrap();
        settled(&cluster).await;
    }
    // Longer than the time of grace of the last new leader: by then it has said whatever it has to say.
    let news = tokio::time::timeout(Duration::from_secs(15), presence(&mut events)).await;
    assert!(news.is_err(), "news of one who neither came nor went: {news:?}");
    // A watcher who knew nothing before learns the same.
    let token = control.user("other").await;
    let (other, mut events) = client(&cluster, &token, "phone").connect().unwrap();
    other.watch_presence(names).await.unwrap();
    let mut known = BTreeMap::new();
    until(&mut events, &mut known, |known| known.len() == USERS).await;
    assert_eq!((known["user-0"].state(), known["user-0"].last_seen_ms), (State::Offline, last_seen_ms));
    assert_eq!(known.values().filter(|user| is_online(user)).count(), USERS - 1);
}

fn is_online(user: &UserPresence) -> bool {
    user.state() == State::Online
}

async fn until(
    events: &mut Events,
    known: &mut BTreeMap<String, UserPresence>,
    is_so: impl Fn(&BTreeMap<String, UserPresence>) -> bool,
) {
    within(DEADLINE, "the watcher knows how it is", async {
        while !is_so(known) {
            let user = presence(events).await;
            known.insert(user.user.clone(), user);
        }
    })
    .await;
}

async fn presence(events: &mut Events) -> UserPresence {
    loop {
        if let Event::Presence(user) = events.next().await.expect("the client goes on") {
            return user;
        }
    }
}
