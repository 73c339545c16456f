//! Policies over gRPC: for backends, and as gateways get them.

use std::time::{Duration, Instant};

use prost_types::FieldMask;
use tidings_node::Clock;
use tidings_node::secret::Secret;
use tidings_proto::ErrorCode;
use tidings_proto::cluster::v1::{GetPolicyRequest as Ask, ResolveUserRequest, WatchRequest, change};
use tidings_proto::control::v1::policies_client::PoliciesClient;
use tidings_proto::control::v1::{
    CreateApiKeyRequest, CreateAppRequest, CreatePolicyRequest, DeletePolicyRequest, GetPolicyRequest,
    ListPoliciesRequest, UpdatePolicyRequest, UpdateUserRequest, User,
};
use tidings_proto::policy::v1::{Policy, RateLimit};

use super::harness::{Authorized, DEADLINE, Running, code};

fn policies(running: &Running, secret: &Secret) -> PoliciesClient<Authorized> {
    PoliciesClient::new(running.with(secret))
}

fn create(policy: Policy) -> CreatePolicyRequest {
    CreatePolicyRequest { policy: Some(policy) }
}

fn strict() -> Policy {
    Policy { id: "strict".to_owned(), calls: Some(false), max_message_bytes: Some(100), ..Policy::default() }
}

fn mask(paths: &[&str]) -> Option<FieldMask> {
    Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() })
}

async fn assign(running: &Running, user: &str, policy: &str) -> Result<tonic::Response<User>, tonic::Status> {
    let user = User { id: user.to_owned(), policy: policy.to_owned(), ..User::default() };
    let request = UpdateUserRequest { user: Some(user), update_mask: mask(&["policy"]) };
    running.users(&running.operator).update_user(request).await
}

#[tokio::test]
async fn a_policy_is_made_changed_field_by_field_listed_and_deleted() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual(1_000));
    let running = Running::start(folder.path(), &clock).await;
    let mut client = policies(&running, &running.operator);
    let made = client.create_policy(create(strict())).await.unwrap().into_inner();
    assert_eq!((made.app.as_str(), made.calls, made.messages), ("default", Some(false), None));
    assert_eq!(client.create_policy(create(strict())).await.unwrap().into_inner(), made);

    // One that is named and not set goes back to its default.
    let wanted = Policy { id: "strict".to_owned(), read_receipts: Some(false), ..Policy::default() };
    let request = UpdatePolicyRequest { policy: Some(wanted), update_mask: mask(&["read_receipts", "calls"]) };
    let changed = client.update_policy(request).await.unwrap().into_inner();
    assert_eq!((changed.calls, changed.read_receipts, changed.max_message_bytes), (None, Some(false), Some(100)));

    let default = client.get_policy(GetPolicyRequest::default()).await.unwrap().into_inner();
    assert_eq!((default.id.as_str(), default.revision), ("default", 0));
    let listed = client.list_policies(ListPoliciesRequest::default()).await.unwrap().into_inner().policies;
    assert_eq!(listed, [changed]);
    let delete = DeletePolicyRequest { id: "strict".to_owned(), ..DeletePolicyRequest::default() };
    client.delete_policy(delete.clone()).await.unwrap();
    assert_eq!(code(client.delete_policy(delete).await), ErrorCode::NotFound);
    running.stop().await;
}

#[tokio::test]
async fn the_door_names_the_field_and_a_foreign_app_s_policies_are_out_of_reach() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual(1_000));
    let running = Running::start(folder.path(), &clock).await;
    let mut client = policies(&running, &running.operator);
    let rates = vec![RateLimit { count: 0, seconds: 60 }];
    for (policy, field) in [
        (Policy { id: "No".to_owned(), ..strict() }, "policy.id"),
        (Policy { id: "x".repeat(64), ..strict() }, "policy.id"),
        (Policy { max_message_bytes: Some(0), ..strict() }, "policy.max_message_bytes"),
        (Policy { max_devices: Some(65), ..strict() }, "policy.max_devices"),
        (Policy { message_rates: rates, ..strict() }, "policy.message_rates"),
        (Policy { audience: 9, ..strict() }, "policy.audience"),
    ] {
        let status = client.create_policy(create(policy)).await.unwrap_err();
        assert_eq!(ErrorCode::of_status(&status), ErrorCode::InvalidArgument);
        assert!(status.message().starts_with(&format!("{field}: ")), "{field}: {}", status.message());
    }
    let request = UpdatePolicyRequest { policy: Some(strict()), update_mask: mask(&["revision"]) };
    assert_eq!(code(client.update_policy(request).await), ErrorCode::InvalidArgument);

    let shop = CreateAppRequest { id: "shop".to_owned(), ..CreateAppRequest::default() };
    running.apps(&running.operator).create_app(shop).await.unwrap();
    let request = CreateApiKeyRequest { app: "shop".to_owned(), ..CreateApiKeyRequest::default() };
    let key = running.api_keys(&running.operator).create_api_key(request).await.unwrap().into_inner();
    let mut shop = policies(&running, &Secret::new(&key.secret).unwrap());
    assert_eq!(shop.create_policy(create(strict())).await.unwrap().into_inner().app, "shop");
    let elsewhere = Policy { app: "default".to_owned(), ..strict() };
    assert_eq!(code(shop.create_policy(create(elsewhere.clone())).await), ErrorCode::PermissionDenied);
    let request = UpdatePolicyRequest { policy: Some(elsewhere), update_mask: mask(&["calls"]) };
    assert_eq!(code(shop.update_policy(request).await), ErrorCode::PermissionDenied);
    let list = ListPoliciesRequest { app: "default".to_owned(), ..ListPoliciesRequest::default() };
    assert_eq!(code(shop.list_policies(list).await), ErrorCode::PermissionDenied);
    let delete = DeletePolicyRequest { app: "default".to_owned(), id: "default".to_owned() };
    assert_eq!(code(shop.delete_policy(delete).await), ErrorCode::PermissionDenied);
    running.stop().await;
}

#[tokio::test]
async fn gateways_get_a_user_s_policy_and_hear_of_changes_within_a_second() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual(1_000));
    let running = Running::start(folder.path(), &clock).await;
    running.create_user("alice").await;
    let token = running.create_token("alice", "", 0).await;
    let mut client = policies(&running, &running.operator);
    let made = client.create_policy(create(strict())).await.unwrap().into_inner();
    assert_eq!(code(assign(&running, "alice", "other").await), ErrorCode::NotFound);
    assert_eq!(code(assign(&running, "alice", "No").await), ErrorCode::InvalidArgument);

    let watch = WatchRequest { after_revision: made.revision };
    let mut stream = running.directory().watch(watch).await.unwrap().into_inner();
    let next = async |stream: &mut tonic::Streaming<tidings_proto::cluster::v1::WatchResponse>| {
        let change = async {
            loop {
                if let Some(change) = stream.message().await.unwrap().unwrap().changes.pop() {
                    return change;
                }
            }
        };
        tokio::time::timeout(DEADLINE, change).await.unwrap()
    };
    assert_eq!(running.resolve(&token.secret, "").await.policy, "");
    assert_eq!(assign(&running, "alice", "strict").await.unwrap().into_inner().policy, "strict");
    let Some(change::Change::UserChanged(user)) = next(&mut stream).await.change else { panic!() };
    assert!(user.exists && user.active && user.policy == "strict", "{user:?}");
    assert_eq!(running.resolve(&token.secret, "").await.policy, "strict");
    let ask = ResolveUserRequest { app: "default".to_owned(), user: "alice".to_owned() };
    assert_eq!(running.directory().resolve_user(ask).await.unwrap().into_inner().policy, "strict");

    let ask = |id: &str| Ask { app: "default".to_owned(), id: id.to_owned() };
    let answer = running.directory().get_policy(ask("strict")).await.unwrap().into_inner();
    assert_eq!(answer.policy, Some(made));
    let wanted = Policy { id: "strict".to_owned(), groups: Some(false), ..Policy::default() };
    let request = UpdatePolicyRequest { policy: Some(wanted), update_mask: mask(&["groups"]) };
    client.update_policy(request).await.unwrap();
    let acknowledged = Instant::now();
    let told = next(&mut stream).await;
    assert!(acknowledged.elapsed() < Duration::from_secs(1), "{:?}", acknowledged.elapsed());
    let Some(change::Change::PolicyChanged(changed)) = &told.change else { panic!("{told:?}") };
    assert_eq!((changed.app.as_str(), changed.id.as_str()), ("default", "strict"));
    let answer = running.directory().get_policy(ask("strict")).await.unwrap().into_inner();
    assert_eq!(
        answer.policy.as_ref().map(|policy| (policy.groups, policy.revision)),
        Some((Some(false), told.revision))
    );
    assert!(answer.revision >= told.revision);

    for id in ["", "default", "unheard-of"] {
        let answer = running.directory().get_policy(ask(id)).await.unwrap().into_inner();
        assert_eq!(answer.policy.unwrap().id, "default", "{id:?}");
    }
    let nowhere = Ask { app: "nowhere".to_owned(), id: String::new() };
    assert_eq!(code(running.directory().get_policy(nowhere).await), ErrorCode::NotFound);
    running.stop().await;
}
