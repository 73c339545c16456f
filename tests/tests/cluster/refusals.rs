//! Why sends, changes and handshakes are refused: the same reason at both gateways, and whoever leads.

use std::collections::BTreeMap;

use tidings_audit::LocalCluster;
use tidings_node::Clock;
use tidings_proto::control::v1::CreateTokenRequest;
use tidings_proto::policy::v1::Policy;
use tidings_sdk::{Change, Client, ErrorCode, Events, Outgoing};
use tidings_tests::answers::{changed, sent};
use tidings_tests::{Control, DEADLINE, within};

use super::support::{control, leader_of, online, refusal, settled, start};

const HOUR_MS: i64 = 3600 * 1000;
/// Messages of a user that may wait for their time.
const SCHEDULED: usize = 100;

/// Users by the policy that each goes by and is called after, with a device at each gateway.
type Users = BTreeMap<&'static str, [(Client, Events); 2]>;

async fn users(cluster: &LocalCluster, control: &Control) -> Users {
    let plain = |id: &str| Policy { id: id.to_owned(), ..Policy::default() };
    let policies = [
        ("plain", plain("plain")),
        ("planner", plain("planner")),
        ("terse", Policy { max_message_bytes: Some(100), ..plain("terse") }),
        ("silent", Policy { messages: Some(false), ..plain("silent") }),
        ("alone", Policy { groups: Some(false), ..plain("alone") }),
        ("firm", Policy { edit_window_seconds: Some(0), recall_window_seconds: Some(0), ..plain("firm") }),
    ];
    let mut users = Users::new();
    for (name, policy) in policies {
        control.create_policy(policy).await;
        let token = control.user(name).await;
        control.assign_policy(name, name).await;
        users.insert(name, [online(cluster, 0, &token, "a").await, online(cluster, 1, &token, "b").await]);
    }
    users
}

fn later(text: &str) -> Outgoing {
    Outgoing::new("bob", text).at(Clock::system().now_ms() + HOUR_MS)
}

async fn sends_are_refused(users: &Users) {
    // A text and the two bytes before it.
    let sized = |bytes: usize| Outgoing::new("bob", "x".repeat(bytes - 2));
    let cases = [
        ("plain", Outgoing::new("bob", "hello"), None),
        ("plain", Outgoing::new("nobody", "hello"), Some(ErrorCode::RecipientUnknown)),
        ("plain", Outgoing::to_group("nobody", "hello"), Some(ErrorCode::NotAMember)),
        ("terse", sized(100), None),
        ("terse", sized(101), Some(ErrorCode::TooLarge)),
        ("silent", Outgoing::new("bob", "hello"), Some(ErrorCode::FeatureOff)),
        ("alone", Outgoing::new("bob", "hello"), None),
        ("alone", Outgoing::to_group("team", "hello"), Some(ErrorCode::FeatureOff)),
        ("planner", later("one more"), Some(ErrorCode::ScheduleFull)),
        ("planner", Outgoing::new("bob", "now"), None),
    ];
    for (user, outgoing, code) in &cases {
        for (gateway, (client, _)) in users[user].iter().enumerate() {
            assert_eq!(sent(client, outgoing.clone()).await.err(), *code, "{user} at gateway {gateway}: {outgoing:?}");
        }
    }
    for (gateway, (client, _)) in users["firm"].iter().enumerate() {
        let said = sent(client, Outgoing::new("bob", "set in stone")).await.unwrap();
        // Within the millisecond of the message a change would still be in time.
        within(DEADLINE, "it is too late", async {
            while changed(client, "bob", said, Change::edit("too late")).await.is_ok() {}
        })
        .await;
        for change in [Change::edit("too late"), Change::recall(), Change::wipe()] {
            let late = changed(client, "bob", said, change.clone()).await;
            assert_eq!(late, Err(ErrorCode::TooLate), "{change:?} at gateway {gateway}");
        }
        assert!(changed(client, "bob", said, Change::react("+")).await.is_ok());
    }
}

async fn handshakes_are_refused(cluster: &LocalCluster, control: &Control) {
    let token = async |request: CreateTokenRequest| {
        control.create_token(CreateTokenRequest { user: "plain".to_owned(), ..request }).await.1
    };
    let bound = token(CreateTokenRequest { app_id: "org.example".to_owned(), ..CreateTokenRequest::default() }).await;
    let brief = token(CreateTokenRequest { ttl_seconds: 1, ..CreateTokenRequest::default() }).await;
    for gateway in 0..2 {
        let refusal = async |token: &str, app_id: &str| refusal(cluster, gateway, token, app_id).await;
        assert_eq!(refusal("no such token", "").await, Some(ErrorCode::TokenUnknown), "at gateway {gateway}");
        assert_eq!(refusal(&bound, "org.other").await, Some(ErrorCode::TokenWrongAppId), "at gateway {gateway}");
        assert_eq!(refusal(&bound, "org.example").await, None, "at gateway {gateway}");
        let expired = within(DEADLINE, "the token expires", async {
            loop {
                if let Some(code) = refusal(&brief, "").await {
                    return code;
                }
            }
        });
        assert_eq!(expired.await, ErrorCode::TokenExpired, "at gateway {gateway}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_reason_is_told_at_both_gateways_also_when_leaders_died() {
    let cluster = start().await;
    let control = control(&cluster, 1).await;
    control.user("bob").await;
    let users = users(&cluster, &control).await;
    for number in 0..SCHEDULED {
        let client = &users["planner"][number % 2].0;
        assert!(sent(client, later(&number.to_string())).await.is_ok(), "{number} may wait");
    }
    sends_are_refused(&users).await;
    handshakes_are_refused(&cluster, &control).await;
    for dies in ["bob", "planner"] {
        let broker = leader_of(&cluster, dies).await;
        broker.kill9().unwrap();
        sends_are_refused(&users).await;
        broker.restart().await.unwrap();
        settled(&cluster).await;
    }
}
