//! A user's sessions at two gateways: what they share, how many devices there may be, how often they may send together,
//! and how they end. It holds when the broker that leads the user's shard is gone, and when the control plane has
//! another leader.

use std::time::{Duration, Instant};

use tidings_audit::{LocalCluster, Plan, Role};
use tidings_proto::control::v1::RevokeTokenRequest;
use tidings_proto::policy::v1::{Policy, RateLimit};
use tidings_sdk::{Block, Client, Conversation, ErrorCode, Event, SendError, UpdateConversation};
use tidings_tests::redis::Redis;
use tidings_tests::settings::block;
use tidings_tests::{Control, DEADLINE, told, within};

use super::support::{attached, control, control_leader, leader_of, online, refusal, start_as};

const SHARED: &str = "tidings_gateway_shared_limits_up";

async fn with_alice(client: &Client) -> Conversation {
    let page = within(DEADLINE, "a page", client.conversations(Vec::new(), 0)).await.unwrap();
    page.conversations.into_iter().find(|one| one.with == "alice").unwrap()
}

/// With alice, everything but what is named as it was.
fn update(change: UpdateConversation) -> UpdateConversation {
    UpdateConversation { with: "alice".to_owned(), ..change }
}

/// What one device reads and sets is told to the other one at the other gateway, and is there when its broker is not.
async fn devices_share_conversations(cluster: &LocalCluster, control: &Control) {
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let (alice, _alices) = online(cluster, 0, &alice, "phone").await;
    let (phone, mut phone_sees) = online(cluster, 0, &bob, "phone").await;
    let (laptop, mut laptop_sees) = online(cluster, 1, &bob, "laptop").await;
    let sending = async { alice.send("bob", "one").await.unwrap().sent().await };
    within(DEADLINE, "it is sent", sending).await.unwrap();
    let one = told(&mut phone_sees, "it comes", |event| if let Event::Message(it) = event { Some(it) } else { None });
    phone.mark_read(&one.await).await.unwrap();
    let read = told(&mut laptop_sees, "the laptop is told", |event| match event {
        Event::Conversation(conversation) => Some(conversation),
        _ => None,
    });
    let read = read.await;
    assert_eq!((read.with.as_str(), read.unread, read.read_place), ("alice", 0, 1));
    let settings = UpdateConversation {
        marked_unread: Some(true),
        archived: Some(true),
        mute_until_ms: Some(i64::MAX),
        favourite: Some(true),
        ..UpdateConversation::default()
    };
    let set = within(DEADLINE, "it is set", laptop.update_conversation(update(settings))).await.unwrap();
    let same = told(&mut phone_sees, "the phone is told", |event| match event {
        Event::Conversation(conversation) if conversation.archived => Some(conversation),
        _ => None,
    });
    assert_eq!(same.await, set);

    leader_of(cluster, "bob").await.kill9().unwrap();
    let after = with_alice(&phone).await;
    assert!(after.marked_unread && after.archived && after.favourite && after.mute_until_ms == i64::MAX, "{after:?}");
    block(&phone, "alice", &[Block::Messages]).await;
    let blocked = within(DEADLINE, "an answer", alice.send("bob", "hello?").await.unwrap().sent()).await;
    assert!(matches!(blocked, Err(SendError::Refused { code: ErrorCode::Blocked, .. })), "{blocked:?}");
    block(&laptop, "alice", &[]).await;
    within(DEADLINE, "an answer", alice.send("bob", "again").await.unwrap().sent()).await.unwrap();

    let devices = within(DEADLINE, "the answer", laptop.devices()).await.unwrap().devices;
    let mut names: Vec<_> = devices.iter().map(|device| device.device.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["laptop", "phone"]);
}

/// One device more than the policy says takes the place of the one that connected longest ago, wherever they are.
async fn devices_are_counted_over_gateways(cluster: &LocalCluster, token: &str) {
    let mut first = attached(cluster, 0, token, "first").await;
    let _second = attached(cluster, 1, token, "second").await;
    let _third = attached(cluster, 1, token, "third").await;
    assert_eq!(first.closed().await.1, Some(ErrorCode::SessionSuperseded.close_code()));
}

/// Sessions at both gateways end within a second of what ends them.
async fn sessions_end_within_a_second(cluster: &LocalCluster, control: &Control) {
    const A_SECOND: Duration = Duration::from_secs(1);
    control.user("frank").await;
    let (token, secret) = control.token("frank").await;
    let mut revoked = [attached(cluster, 0, &secret, "a").await, attached(cluster, 1, &secret, "b").await];
    let begun = Instant::now();
    control.revoke(&token).await;
    for client in &mut revoked {
        assert_eq!(client.closed().await.1, Some(ErrorCode::TokenRevoked.close_code()));
    }
    println!("revoked after {:?}", begun.elapsed());
    assert!(begun.elapsed() < A_SECOND, "{:?}", begun.elapsed());

    let (_, secret) = control.token("frank").await;
    let mut inactive = [attached(cluster, 0, &secret, "a").await, attached(cluster, 1, &secret, "b").await];
    let begun = Instant::now();
    control.set_active("frank", false).await;
    for client in &mut inactive {
        assert_eq!(client.closed().await.1, Some(ErrorCode::UserInactive.close_code()));
    }
    println!("inactive after {:?}", begun.elapsed());
    assert!(begun.elapsed() < A_SECOND, "{:?}", begun.elapsed());
}

/// A token that is revoked, and a user and an app that are let in no more, when the control plane's leader has just
/// died: the sessions at both gateways end with the reason.
async fn sessions_end_with_the_reason(cluster: &LocalCluster, control: &Control, others: &[Control]) {
    let good = control.user("dave").await;
    let ann = control.user_of("shop", "ann").await;
    let (token, secret) = control.token("dave").await;
    let mut revoked = [attached(cluster, 0, &secret, "a").await, attached(cluster, 1, &secret, "b").await];
    let mut kept = [attached(cluster, 0, &good, "c").await, attached(cluster, 1, &good, "d").await];
    let mut shops = [attached(cluster, 0, &ann, "e").await, attached(cluster, 1, &ann, "f").await];
    control_leader(cluster).await.kill9().unwrap();
    let request = RevokeTokenRequest { app: token.app, user: token.user, id: token.id };
    let answering = within(DEADLINE, "another one leads", async {
        loop {
            for other in others {
                if other.tokens.clone().revoke_token(request.clone()).await.is_ok() {
                    return other;
                }
            }
        }
    })
    .await;
    for (gateway, client) in revoked.iter_mut().enumerate() {
        assert_eq!(client.closed().await.1, Some(ErrorCode::TokenRevoked.close_code()), "at gateway {gateway}");
        assert_eq!(refusal(cluster, gateway, &secret, "").await, Some(ErrorCode::TokenRevoked), "at gateway {gateway}");
    }
    answering.set_active("dave", false).await;
    for (gateway, client) in kept.iter_mut().enumerate() {
        assert_eq!(client.closed().await.1, Some(ErrorCode::UserInactive.close_code()), "at gateway {gateway}");
    }
    answering.set_app_active("shop", false).await;
    for (gateway, client) in shops.iter_mut().enumerate() {
        assert_eq!(client.closed().await.1, Some(ErrorCode::UserInactive.close_code()), "at gateway {gateway}");
        assert_eq!(refusal(cluster, gateway, &ann, "").await, Some(ErrorCode::UserInactive), "at gateway {gateway}");
    }
}

/// What a policy says of rates is for all of a user's devices together, at whichever gateway.
async fn gateways_share_a_rate(cluster: &LocalCluster, token: &str) {
    for gateway in 0..2 {
        let gateway = cluster.gateway(gateway);
        within(DEADLINE, "the gateways find Redis", async {
            while gateway.metric(SHARED).await.unwrap() == 0.0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    let [mut phone, mut laptop] = [attached(cluster, 0, token, "a").await, attached(cluster, 1, token, "b").await];
    let (one, other) = tokio::join!(phone.burst(1, 30), laptop.burst(1, 30));
    assert_eq!(one + other, 30, "{one} and {other}");
    assert_eq!(phone.burst(31, 5).await + laptop.burst(31, 5).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_of_a_user_holds_at_both_gateways_whoever_leads() {
    let redis = Redis::start().await;
    let plan = Plan::default().set(Role::Gateway, format!("gateway.redis_url={}", redis.url()));
    let cluster = start_as(plan).await;
    let operator = control(&cluster, 0).await;
    let message_rates = vec![RateLimit { count: 30, seconds: 3_600 }];
    operator.create_policy(Policy { id: "thirty".into(), message_rates, ..Policy::default() }).await;
    operator.create_policy(Policy { id: "two".into(), max_devices: Some(2), ..Policy::default() }).await;
    let (carol, eve) = (operator.user("carol").await, operator.user("eve").await);
    operator.assign_policy("carol", "two").await;
    operator.assign_policy("eve", "thirty").await;

    sessions_end_within_a_second(&cluster, &operator).await;
    devices_share_conversations(&cluster, &operator).await;
    devices_are_counted_over_gateways(&cluster, &carol).await;
    gateways_share_a_rate(&cluster, &eve).await;
    let others = [control(&cluster, 0).await, control(&cluster, 1).await, control(&cluster, 2).await];
    sessions_end_with_the_reason(&cluster, &operator, &others).await;
}
