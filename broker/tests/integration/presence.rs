//! Who is online, told to the gateways that asked, and to no other.

use std::collections::BTreeMap;
use std::time::Duration;

use tidings_broker::BrokerConfig;
use tidings_proto::ErrorCode;
use tidings_proto::broker::v1::{
    Presence, PresenceChanged, TellActivity, WatchUsers, WatchedUser, broker_frame, gateway_frame, presence,
};
use tidings_proto::client::v1::user_presence::State;
use tidings_proto::message::v1::envelope::Event;
use tidings_proto::message::v1::{Activity, activity};

use crate::gateway::{Gateway, event_of};
use crate::node::{APP, Ground};

/// Short enough for a test, long enough for a busy machine to come back in.
const GRACE: Duration = Duration::from_millis(1_500);

fn ground() -> Ground {
    let config = BrokerConfig {
        presence_grace_ms: u32::try_from(GRACE.as_millis()).unwrap(),
        presence_interval_ms: 100,
        presence_watched: 3,
        ..BrokerConfig::default()
    };
    Ground { config, ..Ground::new(1) }
}

fn watch(shard: u32, users: &[&str]) -> gateway_frame::Frame {
    let users = users.iter().map(|user| WatchedUser { user: (*user).to_owned(), ..WatchedUser::default() }).collect();
    let watch = WatchUsers { shard, app: APP.to_owned(), users, lease_ms: 60_000 };
    gateway_frame::Frame::Presence(Presence { presence: Some(presence::Presence::Watch(watch)) })
}

async fn changed(gateway: &mut Gateway) -> PresenceChanged {
    gateway
        .find(|frame| match frame {
            broker_frame::Frame::Presence(changed) => Some(changed.clone()),
            _ => None,
        })
        .await
}

/// What is told until each of these users was heard of.
async fn told(gateway: &mut Gateway, count: usize) -> BTreeMap<String, (State, bool)> {
    let mut told = BTreeMap::new();
    while told.len() < count {
        let changed = changed(gateway).await;
        assert_eq!((changed.code, changed.app.as_str()), (0, APP));
        told.extend(changed.users.into_iter().map(|user| (user.user.clone(), (user.state(), user.last_seen_ms > 0))));
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asked_is_told_of_coming_and_going_and_not_of_further_devices() {
    let ground = ground();
    let node = ground.start().await;
    let mut watching = Gateway::connect(&ground, &node).await;
    let mut clients = Gateway::connect(&ground, &node).await;
    let bob = clients.attach("bob", "phone", None).await;
    watching.send([watch(0, &["bob", "carol"])]).await;
    let first = told(&mut watching, 2).await;
    assert_eq!(first["bob"], (State::Online, false));
    assert_eq!(first["carol"], (State::Offline, false), "never seen by this leader");

    // Another device, and one that comes back within the grace, are no news; going for good is.
    let laptop = clients.attach("bob", "laptop", None).await;
    clients.detach(&bob).await;
    clients.detach(&laptop).await;
    let laptop = clients.attach("bob", "laptop", laptop.resume(0)).await;
    clients.detach(&laptop).await;
    assert_eq!(told(&mut watching, 1).await, BTreeMap::from([("bob".to_owned(), (State::Offline, true))]));
    clients.attach("bob", "phone", bob.resume(0)).await;
    assert_eq!(told(&mut watching, 1).await, BTreeMap::from([("bob".to_owned(), (State::Online, false))]));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_looks_coming_and_going_costs_no_frame() {
    let ground = ground();
    let node = ground.start().await;
    let mut gateway = Gateway::connect(&ground, &node).await;
    for number in 0..100 {
        let session = gateway.attach(&format!("user-{number}"), "phone", None).await;
        gateway.detach(&session).await;
    }
    // What follows comes behind all that there was to say.
    gateway.send([watch(0, &["user-0"])]).await;
    assert_eq!(told(&mut gateway, 1).await.len(), 1);
    assert_eq!(gateway.unclaimed_frames(), 0, "one answer to each attach, and nothing else");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_limit_all_are_told_and_one_above_it_is_refused() {
    let ground = ground();
    let node = ground.start().await;
    let mut gateway = Gateway::connect(&ground, &node).await;
    gateway.send([watch(0, &["a", "b", "c"])]).await;
    assert_eq!(told(&mut gateway, 3).await.len(), 3);
    gateway.send([watch(0, &["d"])]).await;
    assert_eq!(changed(&mut gateway).await.code(), ErrorCode::Overloaded);
    // Not a shard of this node, and names that are none.
    gateway.send([watch(7, &["a"]), watch(0, &["", "a\0b"])]).await;
    assert_eq!(changed(&mut gateway).await.code(), ErrorCode::NotLeader);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn activity_reaches_each_device_that_is_online_and_oversized_is_dropped() {
    let ground = ground();
    let node = ground.start().await;
    let mut gateway = Gateway::connect(&ground, &node).await;
    let devices = [gateway.attach("bob", "phone", None).await, gateway.attach("bob", "laptop", None).await];
    let tell = |kind: activity::Kind, bytes: usize| {
        let (from, to) = ("alice".to_owned(), "bob".to_owned());
        let activity = Activity { from, to, kind: kind.into(), data: vec![7; bytes].into(), ..Activity::default() };
        let app = APP.to_owned();
        let told = TellActivity { shard: 0, app, activity: Some(activity), ..TellActivity::default() };
        gateway_frame::Frame::Presence(Presence { presence: Some(presence::Presence::Activity(told)) })
    };
    gateway.send([tell(activity::Kind::Custom, 257), tell(activity::Kind::Typing, 256)]).await;
    for device in devices {
        let envelope = gateway
            .find(|frame| match frame {
                broker_frame::Frame::Transient(transient) if transient.session == device.number => {
                    Some(transient.envelope.clone())
                }
                _ => None,
            })
            .await;
        match event_of(&envelope) {
            Event::Activity(activity) => {
                assert_eq!((activity.kind(), activity.data.len()), (activity::Kind::Typing, 256));
            }
            other => panic!("{other:?} is no activity"),
        }
    }
    node.stop().await;
}
