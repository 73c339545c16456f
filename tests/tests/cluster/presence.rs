//! Presence across brokers and gateways that die: whoever is connected is never said to be offline, and when one who is
//! away was last seen is not forgotten.

use std::collections::BTreeMap;
use std::time::Duration;

use tidings_node::Clock;
use tidings_proto::client::v1::user_presence::State;
use tidings_proto::policy::v1::Policy;
use tidings_sdk::{Event, Events, UserPresence};
use tidings_tests::{DEADLINE, within};

use super::support::{client, control, leader_of, online, settled, start};

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

/// When users were last seen is told as finely as their own policies say, at both gateways, also to who asks when the
/// leader is new.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn last_seen_is_rounded_by_policy_at_both_gateways() {
    const STEPS: [(&str, &str, i64); 3] = [("bob", "", 60), ("carol", "seconds", 1), ("dave", "hours", 3_600)];
    let cluster = start().await;
    let control = control(&cluster, 0).await;
    let mut watchers = Vec::new();
    for gateway in 0..2 {
        let token = control.user(&format!("watcher-{gateway}")).await;
        let (watcher, events) = online(&cluster, gateway, &token, "phone").await;
        watcher.watch_presence(STEPS.map(|(user, ..)| user)).await.unwrap();
        watchers.push((watcher, events, BTreeMap::new()));
    }
    for (_, policy, seconds) in &STEPS[1..] {
        let last_seen_round_seconds = Some(u32::try_from(*seconds).unwrap());
        let policy = Policy { id: (*policy).to_owned(), last_seen_round_seconds, ..Policy::default() };
        control.create_policy(policy).await;
    }
    let mut clients = Vec::new();
    for (number, (user, policy, _)) in STEPS.into_iter().enumerate() {
        let token = control.user(user).await;
        control.assign_policy(user, policy).await;
        clients.push(online(&cluster, number % 2, &token, "phone").await);
    }
    let are = |state: State| {
        move |known: &BTreeMap<String, UserPresence>| {
            known.len() == STEPS.len() && known.values().all(|user| user.state() == state)
        }
    };
    for (_, events, known) in &mut watchers {
        until(events, known, are(State::Online)).await;
    }
    let left_ms = Clock::system().now_ms();
    for (client, _events) in clients {
        client.close().await;
    }
    for (_, events, known) in &mut watchers {
        until(events, known, are(State::Offline)).await;
        for (user, _, seconds) in STEPS {
            let (seen_ms, step_ms) = (known[user].last_seen_ms, seconds * 1_000);
            assert_eq!(seen_ms % step_ms, 0, "{user}: {seen_ms}");
            let there = left_ms - step_ms..=Clock::system().now_ms();
            assert!(there.contains(&seen_ms), "{user}: {seen_ms} is not in {there:?}");
        }
    }
    leader_of(&cluster, "dave").await.kill9().unwrap();
    let token = control.user("late").await;
    let (late, mut events) = online(&cluster, 1, &token, "phone").await;
    late.watch_presence(["dave"]).await.unwrap();
    // A new leader says so as long as it does not know.
    let seen = within(DEADLINE, "it is known when dave was seen", async {
        loop {
            let seen = presence(&mut events).await;
            if seen.state() == State::Offline && seen.last_seen_ms > 0 {
                return seen;
            }
        }
    });
    assert_eq!(seen.await, watchers[0].2["dave"]);
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
