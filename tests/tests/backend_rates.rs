//! What backends send as a user counts in the rates of that user and of the app: at each node, and with Redis together
//! with what the user's own devices send.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used)]

use tidings_proto::ErrorCode;
use tidings_proto::control::v1::SendMessageRequest;
use tidings_proto::error::RETRY_AFTER_MS;
use tidings_proto::message::v1::Content;
use tidings_proto::policy::v1::{Policy, RateLimit};
use tidings_tests::redis::Redis;
use tidings_tests::{Control, DEADLINE, Node, RawClient, within};

fn rates(user: u32, app: u32) -> Policy {
    let rate = |count| vec![RateLimit { count, seconds: 3_600 }];
    Policy { id: "default".into(), message_rates: rate(user), app_message_rates: rate(app), ..Policy::default() }
}

const FIELDS: [&str; 2] = ["message_rates", "app_message_rates"];

/// Sends as a user, or the system; answers the refusal, and when to come back in ms.
async fn send(control: &Control, from: &str) -> Result<(), (ErrorCode, u64)> {
    let content = Some(Content { text: "hi".into(), ..Content::default() });
    let request = SendMessageRequest { from: from.into(), to: "bob".into(), content, ..SendMessageRequest::default() };
    control.messages.clone().send_message(request).await.map(drop).map_err(|status| {
        let after = status.metadata().get(RETRY_AFTER_MS).map_or("0", |after| after.to_str().unwrap());
        (ErrorCode::of_status(&status), after.parse().unwrap())
    })
}

#[tokio::test]
async fn as_a_user_by_the_user_s_rate_and_the_app_s_and_the_system_by_none() {
    let node = Node::start().await;
    let control = node.control().await;
    for user in ["alice", "bob", "carol"] {
        control.user(user).await;
    }
    control.set_policy(rates(3, 5), &FIELDS).await;
    for _ in 0..3 {
        send(&control, "alice").await.unwrap();
    }
    let (code, after_ms) = send(&control, "alice").await.unwrap_err();
    assert_eq!(code, ErrorCode::RateLimited);
    assert!((3_000_000..=3_780_000).contains(&after_ms), "{after_ms}");
    for _ in 0..2 {
        send(&control, "carol").await.unwrap();
    }
    assert_eq!(send(&control, "carol").await.unwrap_err().0, ErrorCode::RateLimited, "the app's five are over");
    for _ in 0..10 {
        send(&control, "").await.unwrap();
    }
}

#[tokio::test]
async fn with_redis_devices_and_backends_share_one_limit() {
    let redis = Redis::start().await;
    let url = redis.url();
    let settings = [format!("gateway.redis_url={url}"), format!("control_plane.redis_url={url}")];
    let node = Node::start_with(&settings.each_ref().map(String::as_str)).await;
    let control = node.control().await;
    let (alice, _) = (control.user("alice").await, control.user("bob").await);
    within(DEADLINE, "both notice that Redis is there", async {
        for up in ["tidings_gateway_shared_limits_up", "tidings_control_shared_limits_up"] {
            while node.metric(up) != 1.0 {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }
    })
    .await;
    control.set_policy(rates(6, 100), &FIELDS).await;
    let (mut phone, _) = RawClient::attached(node.gateway_address(), &alice, "phone", None).await;
    for seq in 1..=4 {
        phone.send(seq, 0, "bob", "hi").await;
        assert_eq!(phone.answer().await, (seq, None));
    }
    for _ in 0..2 {
        send(&control, "alice").await.unwrap();
    }
    assert_eq!(send(&control, "alice").await.unwrap_err().0, ErrorCode::RateLimited);
    phone.send(5, 0, "bob", "hi").await;
    assert_eq!(phone.answer().await, (5, Some(ErrorCode::RateLimited)));
}
