//! Policies set by a backend hold at the gateways: on live sessions at once, over all gateways with Redis, and at each
//! of them without it.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tidings_audit::{LocalCluster, Plan, Role};
use tidings_proto::ErrorCode;
use tidings_proto::policy::v1::{Audience, Policy, RateLimit};
use tidings_tests::redis::Redis;
use tidings_tests::{Control, DEADLINE, Node, RawClient, binary, within};

const UP: &str = "tidings_gateway_shared_limits_up";

fn rate(count: u32, seconds: u32) -> Policy {
    Policy { id: "default".into(), message_rates: vec![RateLimit { count, seconds }], ..Policy::default() }
}

/// One control plane, one broker, two gateways that share a Redis server.
struct TwoGateways {
    cluster: LocalCluster,
    control: Control,
}

impl TwoGateways {
    async fn start(redis: &Redis) -> Self {
        let plan = Plan { control_planes: 1, brokers: 1, shards: 2, replication: 1, ..Plan::of(binary::tidings()) };
        let plan = plan.set(Role::Gateway, format!("gateway.redis_url={}", redis.url()));
        let cluster = LocalCluster::start(plan).await.unwrap();
        let control = Control::connect(&cluster.control_urls()[0], &cluster.operator_key().unwrap()).await;
        control.user("bob").await;
        let both = Self { cluster, control };
        both.until_shared(true).await;
        both
    }

    /// A device of the user at this gateway.
    async fn device(&self, gateway: usize, token: &str) -> RawClient {
        let address: SocketAddr = self.cluster.gateway(gateway).gateway_url()["ws://".len()..].parse().unwrap();
        RawClient::attached(address, token, &format!("device {gateway}"), None).await.0
    }

    /// A new user with a device at each gateway.
    async fn user(&self, user: &str) -> [RawClient; 2] {
        let token = self.control.user(user).await;
        [self.device(0, &token).await, self.device(1, &token).await]
    }

    async fn until_shared(&self, shared: bool) {
        for gateway in 0..2 {
            let gateway = self.cluster.gateway(gateway);
            within(DEADLINE, "the gateways notice how Redis is", async {
                while (gateway.metric(UP).await.unwrap() > 0.0) != shared {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_share_one_limit_and_the_loss_of_redis_leaves_each_its_own() {
    let mut redis = Redis::start().await;
    let gateways = TwoGateways::start(&redis).await;
    gateways.control.set_policy(rate(30, 3_600), &["message_rates"]).await;

    // A small limit is exact, however the messages meet.
    let [mut phone, mut laptop] = gateways.user("alice").await;
    let (one, other) = tokio::join!(phone.burst(1, 30), laptop.burst(1, 30));
    assert_eq!(one + other, 30, "{one} and {other}");
    assert_eq!(phone.burst(31, 5).await + laptop.burst(31, 5).await, 0);

    let [mut phone, mut laptop] = gateways.user("carol").await;
    assert_eq!((phone.burst(1, 10).await, laptop.burst(1, 10).await), (10, 10));
    redis.kill9();
    // No outage: each gateway goes on by what it has counted itself.
    assert_eq!(phone.burst(11, 30).await, 20);
    assert_eq!(laptop.burst(11, 30).await, 20);
    gateways.until_shared(false).await;
    assert!(gateways.cluster.gateway(0).get("/readyz").await.unwrap().starts_with("HTTP/1.1 200"));

    redis.launch().await;
    gateways.until_shared(true).await;
    let [mut phone, mut laptop] = gateways.user("dave").await;
    let (one, other) = tokio::join!(phone.burst(1, 30), laptop.burst(1, 30));
    assert_eq!(one + other, 30, "{one} and {other}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_limit_is_granted_in_parts_and_never_exceeded() {
    let redis = Redis::start().await;
    let gateways = TwoGateways::start(&redis).await;
    gateways.control.set_policy(rate(640, 3_600), &["message_rates"]).await;
    let [mut phone, mut laptop] = gateways.user("alice").await;
    let mut accepted = 0;
    for round in 0..3 {
        let first = 1 + round * 200;
        let (one, other) = tokio::join!(phone.burst(first, 200), laptop.burst(first, 200));
        accepted += one + other;
    }
    println!("{accepted} of 640 were accepted through two gateways");
    assert!(accepted <= 640, "{accepted}");
    // What a gateway may have been granted and not used, a few times at most.
    assert!(accepted >= 640 - 4 * 640 / 32, "{accepted}");
    let asked = gateways.cluster.gateway(0).metric("tidings_gateway_shared_limits_total").await.unwrap();
    assert!(asked < 300.0, "most of 600 messages waited for nothing: {asked} questions");
}

/// At most five in 2 s, and at most eight in 20 s.
fn two_windows() -> Vec<RateLimit> {
    vec![RateLimit { count: 5, seconds: 2 }, RateLimit { count: 8, seconds: 20 }]
}

/// Sends so many to bob, each as soon as it may be, as the refusals say. Answers when each that was accepted was asked
/// for and answered.
async fn insist(device: &mut RawClient, count: u64) -> Vec<(Instant, Instant)> {
    let mut accepted = Vec::new();
    for seq in 1..=count {
        loop {
            let asked = Instant::now();
            device.send(seq, 0, "bob", "hi").await;
            let Err(refused) = device.outcome().await else { break accepted.push((asked, Instant::now())) };
            assert_eq!((refused.seq, refused.code()), (seq, ErrorCode::RateLimited));
            let wait_ms = refused.retry_after_ms.expect("it says when to come back");
            assert!((1..=21_000).contains(&wait_ms), "{wait_ms} ms");
            tokio::time::sleep(Duration::from_millis(wait_ms.into())).await;
        }
    }
    accepted
}

/// What two devices got through together is never more than the windows allow, and all of what they allow.
async fn as_two_windows_allow([one, other]: [&mut RawClient; 2]) {
    let (mut accepted, more) = tokio::join!(insist(one, 5), insist(other, 5));
    accepted.extend(more);
    accepted.sort();
    for limit in two_windows() {
        // Between being asked for and being answered each was counted.
        for window in accepted.windows(limit.count as usize + 1) {
            let apart = window[limit.count as usize].1 - window[0].0;
            assert!(apart >= Duration::from_secs(limit.seconds.into()), "{} in {apart:?}", limit.count + 1);
        }
    }
    let after = |number: usize| accepted[number].1 - accepted[0].0;
    println!("five after {:?}, eight after {:?}, ten after {:?}", after(4), after(7), after(9));
    // The shorter window ends long before the longer one, and the longer one when it is over.
    assert!(after(7) < Duration::from_secs(15), "eight after {:?}", after(7));
    assert!(after(9) < Duration::from_secs(35), "ten after {:?}", after(9));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_windows_of_a_user_and_of_an_app_are_shared_and_end_when_the_refusals_say() {
    const FIELDS: [&str; 2] = ["message_rates", "app_message_rates"];
    let redis = Redis::start().await;
    let gateways = TwoGateways::start(&redis).await;
    let of_users = Policy { id: "default".into(), message_rates: two_windows(), ..Policy::default() };
    gateways.control.set_policy(of_users, &FIELDS).await;
    let [mut phone, mut laptop] = gateways.user("alice").await;
    as_two_windows_allow([&mut phone, &mut laptop]).await;

    let of_app = Policy { id: "default".into(), app_message_rates: two_windows(), ..Policy::default() };
    gateways.control.set_policy(of_app, &FIELDS).await;
    let ([mut carol, _], [_, mut dave]) = (gateways.user("carol").await, gateways.user("dave").await);
    as_two_windows_allow([&mut carol, &mut dave]).await;
}

#[tokio::test]
async fn a_redis_that_hangs_holds_nobody_up() {
    let redis = Redis::start().await;
    let node = Node::start_with(&[&format!("gateway.redis_url={}", redis.url())]).await;
    let control = node.control().await;
    control.set_policy(rate(50, 3_600), &["message_rates"]).await;
    let (alice, _) = (control.user("alice").await, control.user("bob").await);
    let (mut alice, _) = RawClient::attached(node.gateway_address(), &alice, "phone", None).await;
    let until = async |up: f64| {
        within(DEADLINE, "the gateway notices how Redis is", async {
            while node.metric(UP) != up {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    };
    until(1.0).await;
    assert_eq!(alice.burst(1, 5).await, 5);
    redis.pause();
    let begun = Instant::now();
    assert_eq!(alice.burst(6, 40).await, 40);
    // One of them waited for 200 ms; the rest is room for a busy machine.
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    until(0.0).await;
    redis.resume();
    until(1.0).await;
    assert_eq!(alice.burst(46, 10).await, 5);
}

#[tokio::test]
async fn a_policy_is_in_effect_on_live_sessions_within_a_second() {
    let node = Node::start().await;
    let control = node.control().await;
    let (alice, _) = (control.user("alice").await, control.user("bob").await);
    let (mut alice, _) = RawClient::attached(node.gateway_address(), &alice, "phone", None).await;
    alice.send(1, 0, "bob", "hi").await;
    assert_eq!(alice.answer().await, (1, None));

    let silent = Policy { id: "silent".into(), audience: Audience::Nobody as i32, ..Policy::default() };
    control.create_policy(silent).await;
    let mut seq = 1;
    let mut until = async |code: Option<ErrorCode>| {
        let begun = Instant::now();
        loop {
            seq += 1;
            alice.send(seq, 0, "bob", "hi").await;
            if alice.answer().await == (seq, code) {
                break;
            }
            assert!(begun.elapsed() < DEADLINE, "never {code:?}");
        }
        println!("{code:?} after {:?}", begun.elapsed());
        assert!(begun.elapsed() < Duration::from_secs(1), "{code:?} after {:?}", begun.elapsed());
    };
    control.assign_policy("alice", "silent").await;
    until(Some(ErrorCode::RefusedByPolicy)).await;
    control.assign_policy("alice", "").await;
    until(None).await;
    let off = Policy { id: "default".into(), messages: Some(false), ..Policy::default() };
    control.set_policy(off, &["messages"]).await;
    until(Some(ErrorCode::FeatureOff)).await;
    control.set_policy(Policy { id: "default".into(), ..Policy::default() }, &["messages"]).await;
    until(None).await;
    let rare = Policy { app_message_rates: vec![RateLimit { count: 1, seconds: 3_600 }], ..rate(100, 60) };
    control.set_policy(rare, &["message_rates", "app_message_rates"]).await;
    until(Some(ErrorCode::RateLimited)).await;
}
