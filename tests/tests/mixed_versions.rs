//! The new binary goes on where the last release ended (promise 7): on the same folder, with everything that was stored
//! in order and once, and with the same clients. What needs several processes is in `cluster/mixed_versions.rs`.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidings_proto::ErrorCode;
use tidings_proto::client::v1::{Resume, Welcome};
use tidings_proto::cluster::v1::{NodePhase, NodeRole, ShardMap};
use tidings_proto::control::v1::{GetUserRequest, Token};
use tidings_proto::message::v1::envelope;
use tidings_sdk::{Client, Event, Events, FileStore, receipt};
use tidings_tests::binary::{last_release, tidings};
use tidings_tests::recorder::Recorder;
use tidings_tests::{DEADLINE, Node, Nodes, RawClient, next_message, told, traffic, within};

/// How many messages each recipient has waiting.
const QUEUED: u64 = 100;
/// How many of them one device of bob's has taken.
const TAKEN: u64 = 40;

async fn last_release_started() -> Option<Node> {
    let mut node = Node::prepare(&[], &[]);
    node.run(last_release()?);
    node.launch();
    node.ready().await;
    Some(node)
}

/// What was left in the folder, as far as clients and backends know.
struct Left {
    alice: String,
    bob: String,
    carol: String,
    revoked: (Token, String),
    /// Of alice's device without an SDK, whose only message was accepted.
    welcome: Welcome,
    map: ShardMap,
}

/// Users, tokens, queued messages, device cursors, and a receipt for a sender who is away.
async fn leave(node: &Node) -> Left {
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let (carol, revoked) = (control.user("carol").await, control.token("alice").await);
    control.revoke(&revoked.0).await;
    control.user("dora").await;
    control.set_active("dora", false).await;

    // A device that was there before anything was sent, and takes nothing.
    let (tablet, _) = RawClient::attached(node.gateway_address(), &bob, "tablet", None).await;
    drop(tablet);
    let (sender, events) = stored(node, &alice, "alice");
    drop(events);
    for number in 0..QUEUED {
        for to in ["bob", "carol"] {
            sender.send(to, number.to_string()).await.unwrap().sent().await.unwrap();
        }
    }
    sender.close().await;
    let (mut raw, welcome) = RawClient::attached(node.gateway_address(), &alice, "raw", None).await;
    raw.send(1, 0, "carol", QUEUED.to_string().as_str()).await;
    assert_eq!(raw.answer().await, (1, None));

    let (phone, mut events) = stored(node, &bob, "bob");
    // Asking for more is what acknowledges the last one; the one that comes then is not taken.
    expect(&mut events, 0..TAKEN + 1).await;
    phone.close().await;
    // Another device of alice's is told of it; for the first one it waits.
    within(DEADLINE, "the receipt is there", async {
        while !matches!(raw.delivery().await.envelope.and_then(|it| it.event), Some(envelope::Event::Receipt(_))) {}
    })
    .await;
    let map = nodes(node).await.shard_map().await;
    Left { alice, bob, carol, revoked, welcome, map }
}

/// A client whose device keeps its state in a file.
fn stored(node: &Node, token: &str, name: &str) -> (Client, Events) {
    let store = FileStore::open(node.scratch(name)).unwrap();
    node.client(token, "phone").store(store).connect().unwrap()
}

async fn nodes(node: &Node) -> Nodes {
    Nodes::connect(node.cluster_address(), &node.data().join("cluster.secret")).await
}

/// These messages come next, and no others.
async fn expect(events: &mut Events, numbers: std::ops::Range<u64>) {
    for number in numbers {
        assert_eq!(next_message(events).await.text(), number.to_string());
    }
}

async fn find(node: &Node, left: &Left) {
    let control = node.control().await;
    for (id, active) in [("alice", true), ("bob", true), ("carol", true), ("dora", false)] {
        let request = GetUserRequest { id: id.to_owned(), ..GetUserRequest::default() };
        assert_eq!(control.users.clone().get_user(request).await.unwrap().into_inner().active, active, "{id}");
    }
    let mut refused = node.raw().await;
    refused.hello(&left.revoked.1, "phone", None).await;
    assert_eq!(refused.closed().await.1, Some(ErrorCode::TokenRevoked.close_code()));

    // The phone goes on at its cursor, the tablet has everything before it, and carol, who was never there, too. All
    // once: the message that comes after them is the last one.
    let (_phone, mut phone) = stored(node, &left.bob, "bob");
    expect(&mut phone, TAKEN..QUEUED).await;
    let (_tablet, mut tablet) = node.client(&left.bob, "tablet").connect().unwrap();
    expect(&mut tablet, 0..QUEUED).await;
    let (_carol, mut carol) = node.client(&left.carol, "phone").connect().unwrap();
    expect(&mut carol, 0..QUEUED + 1).await;

    // A retry of what the last release had accepted is answered, and is no new message.
    let Welcome { mailbox_epoch, stream, cursor, .. } = left.welcome;
    let resume = Some(Resume { mailbox_epoch, stream, cursor });
    let (mut raw, welcome) = RawClient::attached(node.gateway_address(), &left.alice, "raw", resume).await;
    assert_eq!((welcome.mailbox_epoch, welcome.stream), (mailbox_epoch, stream), "the device is known");
    raw.send(1, 0, "carol", "a retry").await;
    assert_eq!(raw.answer().await, (1, None));

    let (alice, mut events) = stored(node, &left.alice, "alice");
    told(&mut events, "the receipt that waited", |event| match event {
        Event::Receipt(one) if one.from == "bob" && one.kind() == receipt::Kind::Delivered => Some(()),
        _ => None,
    })
    .await;
    for number in QUEUED + 1..2 * QUEUED {
        for to in ["bob", "carol"] {
            alice.send(to, number.to_string()).await.unwrap().sent().await.unwrap();
        }
    }
    for (events, who) in [(&mut phone, "the phone"), (&mut tablet, "the tablet"), (&mut carol, "carol")] {
        println!("{who}");
        expect(events, QUEUED + 1..2 * QUEUED).await;
    }
}

/// The records that this release writes otherwise are rewritten where it changes them, and what they said is still so.
async fn records_are_new(node: &Node, left: &Left) {
    let nodes = nodes(node).await;
    // Founders are taken out of the map when the shard is first reported to work, which a kill may have come before.
    let map = within(DEADLINE, "nothing would be founded again", async {
        loop {
            let map = nodes.shard_map().await;
            if map.shards.iter().all(|shard| shard.founders.is_empty()) {
                return map;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let registered = nodes.list().await;
    let replicas = |map: &ShardMap| map.shards.iter().map(|shard| shard.replicas.clone()).collect::<Vec<_>>();
    assert_eq!(replicas(&map), replicas(&left.map), "shards are where their data is");
    assert!(map.epoch > left.map.epoch, "clients of the map hear of the broker's new start");
    let (before, now) = (&left.map.nodes[0], &map.nodes[0]);
    assert!(before.incarnation < now.incarnation && before.level < now.level, "{before:?} {now:?}");
    for role in [NodeRole::ControlPlane, NodeRole::Broker] {
        let found = registered.iter().find(|node| node.role() == role).unwrap();
        assert!(found.store != 0 && found.incarnation != 0 && found.phase() == NodePhase::Active, "{found:?}");
    }
}

#[tokio::test]
async fn a_folder_of_the_last_release_is_opened_after_its_end() {
    let Some(mut node) = last_release_started().await else { return };
    let left = leave(&node).await;
    assert!(node.terminate().await.success());
    node.run(tidings());
    node.launch();
    node.ready().await;
    find(&node, &left).await;
    records_are_new(&node, &left).await;
}

/// The applied state is behind the log then: the new binary applies what the last release wrote into it.
#[tokio::test]
async fn a_folder_of_the_last_release_is_opened_after_kill_9() {
    let Some(mut node) = last_release_started().await else { return };
    let left = leave(&node).await;
    node.kill9();
    node.run(tidings());
    node.launch();
    node.ready().await;
    find(&node, &left).await;
    records_are_new(&node, &left).await;
    node.restart_after_kill9().await;
    records_are_new(&node, &left).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connected_clients_go_on_sending_through_an_upgrade() {
    let Some(mut node) = last_release_started().await else { return };
    let control = node.control().await;
    let stop = AtomicBool::new(false);
    let mut lines = Vec::new();
    for number in 0..3 {
        let (from, to) = (format!("sender-{number}"), format!("recipient-{number}"));
        let (sender_token, recipient_token) = (control.user(&from).await, control.user(&to).await);
        let (sender, events) = node.client(&sender_token, "phone").outbox_limit(100, 1 << 20).connect().unwrap();
        drop(events);
        let (recipient, events) = node.client(&recipient_token, "phone").connect().unwrap();
        let recorder = Recorder::default();
        traffic::record(events, recorder.clone());
        lines.push((sender, recipient, to, recorder));
    }
    let senders = lines
        .iter()
        .map(|(sender, _, to, recorder)| traffic::send_while(sender, to, recorder, |_| !stop.load(Ordering::Relaxed)));
    let more = async |count| {
        for (_, _, _, recorder) in &lines {
            recorder.accepted_at_least(recorder.accepted() + count).await;
        }
    };
    let upgrade = async {
        more(200).await;
        assert!(node.terminate().await.success());
        node.run(tidings());
        node.launch();
        node.ready().await;
        more(200).await;
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(futures_util::future::join_all(senders), upgrade);
    for (_, _, _, recorder) in &lines {
        recorder.delivered_at_least(recorder.accepted()).await;
        let verdict = recorder.verdict();
        verdict.assert_clean();
        assert_eq!(verdict.not_accepted, 0, "every outcome becomes known: {verdict}");
    }
}
