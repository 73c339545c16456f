//! What backends and operators can do, and what they are refused.

use std::collections::BTreeMap;

use prost_types::FieldMask;
use tidings_node::Clock;
use tidings_node::secret::Secret;
use tidings_proto::ErrorCode;
use tidings_proto::control::v1::{
    CreateApiKeyRequest, CreateAppRequest, CreateTokenRequest, CreateUserRequest, DeleteAppRequest, DeleteUserRequest,
    GetAppRequest, GetUserRequest, ListApiKeysRequest, ListAppsRequest, ListTokensRequest, ListUsersRequest,
    RevokeApiKeyRequest, RevokeTokenRequest, UpdateUserRequest, User,
};

use super::harness::{Running, code};

#[tokio::test]
async fn every_refusal_of_a_token_has_its_own_reason() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual(1_700_000_000_000));
    let running = Running::start(folder.path(), &clock).await;
    running.create_user("alice").await;
    let good = running.create_token("alice", "", 0).await;
    let short = running.create_token("alice", "", 60).await;
    let bound = running.create_token("alice", "web", 0).await;
    assert!(good.secret.starts_with("tdt_") && good.secret.len() == 4 + 43);

    let resolved = running.resolve(&good.secret, "").await;
    assert_eq!(
        (resolved.refusal(), resolved.app.as_str(), resolved.user.as_str()),
        (ErrorCode::Unspecified, "default", "alice")
    );
    assert_eq!(resolved.token_id, good.token.clone().unwrap().id);
    assert_eq!(running.resolve(&short.secret, "").await.expires_at_ms, 1_700_000_060_000);
    assert_eq!(running.refusal(&bound.secret, "web").await, ErrorCode::Unspecified);
    assert_eq!(running.refusal(&bound.secret, "ios").await, ErrorCode::TokenWrongAppId);
    assert_eq!(running.refusal("tdt_nobody", "").await, ErrorCode::TokenUnknown);

    clock.advance_ms(60_000);
    assert_eq!(running.refusal(&short.secret, "").await, ErrorCode::TokenExpired);

    let revoke =
        RevokeTokenRequest { user: "alice".to_owned(), id: good.token.unwrap().id, ..RevokeTokenRequest::default() };
    let revoked = running.tokens(&running.operator).revoke_token(revoke.clone()).await.unwrap().into_inner();
    assert_eq!(revoked.revoked_at.unwrap().seconds, 1_700_000_060);
    assert_eq!(running.refusal(&good.secret, "").await, ErrorCode::TokenRevoked);
    clock.advance_ms(5_000);
    let again = running.tokens(&running.operator).revoke_token(revoke).await.unwrap().into_inner();
    assert_eq!(again, revoked, "revoking again changes nothing");

    let update = |active| UpdateUserRequest {
        user: Some(User { id: "alice".to_owned(), active, ..User::default() }),
        update_mask: Some(FieldMask { paths: vec!["active".to_owned()] }),
    };
    running.users(&running.operator).update_user(update(false)).await.unwrap();
    assert_eq!(running.refusal(&bound.secret, "web").await, ErrorCode::UserInactive);
    running.users(&running.operator).update_user(update(true)).await.unwrap();
    assert_eq!(running.refusal(&bound.secret, "web").await, ErrorCode::Unspecified);

    let delete = DeleteUserRequest { id: "alice".to_owned(), ..DeleteUserRequest::default() };
    running.users(&running.operator).delete_user(delete).await.unwrap();
    assert_eq!(running.refusal(&bound.secret, "web").await, ErrorCode::TokenRevoked);
    running.stop().await;
}

#[tokio::test]
async fn a_key_of_one_app_sees_that_app_alone() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual(1_000));
    let running = Running::start(folder.path(), &clock).await;
    let create = CreateAppRequest { id: "shop".to_owned(), display_name: "Shop".to_owned() };
    running.apps(&running.operator).create_app(create.clone()).await.unwrap();
    let request = CreateApiKeyRequest { app: "shop".to_owned(), ..CreateApiKeyRequest::default() };
    let made = running.api_keys(&running.operator).create_api_key(request).await.unwrap().into_inner();
    let shop = Secret::new(&made.secret).unwrap();
    running.create_user("alice").await;

    // Its own app is the one it means when it names none.
    let bob = CreateUserRequest { id: "bob".to_owned(), ..CreateUserRequest::default() };
    assert_eq!(running.users(&shop).create_user(bob).await.unwrap().into_inner().app, "shop");
    let token = CreateTokenRequest { user: "bob".to_owned(), ..CreateTokenRequest::default() };
    let token = running.tokens(&shop).create_token(token).await.unwrap().into_inner();
    assert_eq!(running.resolve(&token.secret, "").await.app, "shop");

    let elsewhere = || "default".to_owned();
    let denied = ErrorCode::PermissionDenied;
    let get = GetUserRequest { app: elsewhere(), id: "alice".to_owned() };
    assert_eq!(code(running.users(&shop).get_user(get).await), denied);
    let list = ListUsersRequest { app: elsewhere(), ..ListUsersRequest::default() };
    assert_eq!(code(running.users(&shop).list_users(list).await), denied);
    let list = ListTokensRequest { app: elsewhere(), ..ListTokensRequest::default() };
    assert_eq!(code(running.tokens(&shop).list_tokens(list).await), denied);
    let user = CreateUserRequest { app: elsewhere(), id: "eve".to_owned(), ..CreateUserRequest::default() };
    assert_eq!(code(running.users(&shop).create_user(user).await), denied);
    let delete = DeleteUserRequest { app: elsewhere(), id: "alice".to_owned() };
    assert_eq!(code(running.users(&shop).delete_user(delete).await), denied);
    assert_eq!(code(running.apps(&shop).get_app(GetAppRequest { id: elsewhere() }).await), denied);
    assert_eq!(code(running.apps(&shop).delete_app(DeleteAppRequest { id: "shop".to_owned() }).await), denied);
    assert_eq!(code(running.apps(&shop).create_app(create).await), denied);
    assert_eq!(code(running.api_keys(&shop).create_api_key(CreateApiKeyRequest::default()).await), denied);

    let operators = running.api_keys(&running.operator).list_api_keys(ListApiKeysRequest::default()).await.unwrap();
    let keys = operators.into_inner().keys;
    let operator_key = keys.iter().find(|key| key.app.is_empty()).unwrap().id.clone();
    assert_eq!(code(running.api_keys(&shop).revoke_api_key(RevokeApiKeyRequest { id: operator_key }).await), denied);
    let own = running.api_keys(&shop).list_api_keys(ListApiKeysRequest::default()).await.unwrap().into_inner().keys;
    assert_eq!(own.iter().map(|key| key.app.as_str()).collect::<Vec<_>>(), ["shop"]);
    let apps = running.apps(&shop).list_apps(ListAppsRequest::default()).await.unwrap().into_inner().apps;
    assert_eq!(apps.iter().map(|app| app.id.as_str()).collect::<Vec<_>>(), ["shop"]);

    // Revoked, and the app deleted: the key is good for nothing.
    let revoke = RevokeApiKeyRequest { id: made.key.unwrap().id };
    running.api_keys(&running.operator).revoke_api_key(revoke).await.unwrap();
    let outcome = running.apps(&shop).get_app(GetAppRequest { id: "shop".to_owned() }).await;
    assert_eq!(code(outcome), ErrorCode::ApiKeyUnknown);
    running.stop().await;
}

#[tokio::test]
async fn without_a_good_key_nothing_is_answered() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual(1_000));
    let running = Running::start(folder.path(), &clock).await;
    let wrong = Secret::random("tdk_");
    assert_eq!(code(running.apps(&wrong).list_apps(ListAppsRequest::default()).await), ErrorCode::ApiKeyUnknown);
    let mut bare = tidings_proto::control::v1::users_client::UsersClient::new(running.channel.clone());
    assert_eq!(code(bare.list_users(ListUsersRequest::default()).await), ErrorCode::ApiKeyUnknown);
    running.stop().await;
}

#[tokio::test]
async fn creating_twice_is_creating_once_and_masks_leave_the_rest() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual(1_000));
    let running = Running::start(folder.path(), &clock).await;
    let attributes = BTreeMap::from([("team".to_owned(), "red".to_owned())]);
    let create = CreateUserRequest {
        id: "alice".to_owned(),
        display_name: "Alice".to_owned(),
        attributes: attributes.clone(),
        ..CreateUserRequest::default()
    };
    let mut users = running.users(&running.operator);
    let first = users.create_user(create.clone()).await.unwrap().into_inner();
    clock.advance_ms(1_000);
    assert_eq!(users.create_user(create.clone()).await.unwrap().into_inner(), first);
    let other = CreateUserRequest { display_name: "Other".to_owned(), ..create };
    assert_eq!(code(users.create_user(other).await), ErrorCode::AlreadyExists);

    let update = |user: User, paths: &[&str]| UpdateUserRequest {
        user: Some(user),
        update_mask: Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() }),
    };
    let named = User { id: "alice".to_owned(), display_name: "Al".to_owned(), ..User::default() };
    let updated = users.update_user(update(named.clone(), &["display_name"])).await.unwrap().into_inner();
    assert_eq!((updated.display_name.as_str(), &updated.attributes, updated.active), ("Al", &attributes, true));
    assert_eq!(code(users.update_user(update(named.clone(), &["created_at"])).await), ErrorCode::InvalidArgument);
    assert_eq!(code(users.update_user(update(named, &[])).await), ErrorCode::InvalidArgument);

    let request = CreateTokenRequest {
        user: "alice".to_owned(),
        request_id: "first".to_owned(),
        ..CreateTokenRequest::default()
    };
    let mut tokens = running.tokens(&running.operator);
    let first = tokens.create_token(request.clone()).await.unwrap().into_inner();
    let second = tokens.create_token(request).await.unwrap().into_inner();
    assert_eq!(first.token, second.token);
    assert_eq!(running.refusal(&first.secret, "").await, ErrorCode::TokenUnknown);
    assert_eq!(running.refusal(&second.secret, "").await, ErrorCode::Unspecified);
    let listed = tokens.list_tokens(ListTokensRequest { user: "alice".to_owned(), ..ListTokensRequest::default() });
    assert_eq!(listed.await.unwrap().into_inner().tokens.len(), 1);
    running.stop().await;
}

#[tokio::test]
async fn limits_are_checked_at_the_door_and_the_field_is_named() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual(1_000));
    let running = Running::start(folder.path(), &clock).await;
    running.create_user("alice").await;
    let mut users = running.users(&running.operator);
    let base = || CreateUserRequest { id: "bob".to_owned(), ..CreateUserRequest::default() };
    let big = BTreeMap::from([("k".to_owned(), "v".repeat(4096))]);
    for (request, field) in [
        (CreateUserRequest { id: String::new(), ..base() }, "id"),
        (CreateUserRequest { id: "x".repeat(64), ..base() }, "id"),
        (CreateUserRequest { id: "a\0b".to_owned(), ..base() }, "id"),
        (CreateUserRequest { app: "No".to_owned(), ..base() }, "app"),
        (CreateUserRequest { display_name: "x".repeat(257), ..base() }, "display_name"),
        (CreateUserRequest { attributes: big, ..base() }, "attributes"),
    ] {
        let status = users.create_user(request).await.unwrap_err();
        assert_eq!(ErrorCode::of_status(&status), ErrorCode::InvalidArgument);
        assert!(status.message().starts_with(&format!("{field}: ")), "{field}: {}", status.message());
    }
    let missing = CreateUserRequest { app: "nowhere".to_owned(), ..base() };
    assert_eq!(code(users.create_user(missing).await), ErrorCode::NotFound);
    let token = CreateTokenRequest { user: "alice".to_owned(), ttl_seconds: u64::MAX, ..CreateTokenRequest::default() };
    let status = running.tokens(&running.operator).create_token(token).await.unwrap_err();
    assert!(status.message().starts_with("ttl_seconds: "), "{}", status.message());
    let token = CreateTokenRequest { user: "nobody".to_owned(), ..CreateTokenRequest::default() };
    assert_eq!(code(running.tokens(&running.operator).create_token(token).await), ErrorCode::NotFound);
    running.stop().await;
}

#[tokio::test]
async fn lists_come_in_pages_and_filters_pick_by_pattern() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual(1_000));
    let running = Running::start(folder.path(), &clock).await;
    for number in 0..25 {
        running.create_user(&format!("bot-{number:02}")).await;
    }
    running.create_user("Zoë").await;
    let mut users = running.users(&running.operator);
    let (mut page_token, mut seen) = (String::new(), Vec::new());
    loop {
        let request = ListUsersRequest {
            filter: "bot-*".to_owned(),
            page_size: 10,
            page_token: page_token.clone(),
            ..ListUsersRequest::default()
        };
        let page = users.list_users(request).await.unwrap().into_inner();
        seen.extend(page.users.into_iter().map(|user| user.id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, (0..25).map(|number| format!("bot-{number:02}")).collect::<Vec<_>>());
    let request = ListUsersRequest { filter: "*o*5".to_owned(), ..ListUsersRequest::default() };
    let found = users.list_users(request).await.unwrap().into_inner().users;
    assert_eq!(found.iter().map(|user| user.id.as_str()).collect::<Vec<_>>(), ["bot-05", "bot-15"]);
    let page =
        |page_size, filter: usize| ListUsersRequest { page_size, filter: "*".repeat(filter), ..Default::default() };
    for (request, good) in
        [(page(1_000, 0), true), (page(1_001, 0), false), (page(1, 128), true), (page(1, 129), false)]
    {
        assert_eq!(users.list_users(request.clone()).await.is_ok(), good, "{request:?}");
    }
    let request = ListUsersRequest { page_token: "00".to_owned(), ..ListUsersRequest::default() };
    assert_eq!(code(users.list_users(request).await), ErrorCode::InvalidArgument);
    running.stop().await;
}

#[tokio::test]
async fn health_and_reflection_answer_without_a_key() {
    use tonic_health::pb::health_client::HealthClient;
    use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    use tonic_reflection::pb::v1::{ServerReflectionRequest, server_reflection_response};

    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual(1_000));
    let running = Running::start(folder.path(), &clock).await;
    tokio::time::timeout(super::harness::DEADLINE, running.health.ready()).await.unwrap();
    let mut health = HealthClient::new(running.channel.clone());
    let mut states = health.watch(HealthCheckRequest { service: String::new() }).await.unwrap().into_inner();
    while states.message().await.unwrap().unwrap().status() != ServingStatus::Serving {}

    let mut reflection = ServerReflectionClient::new(running.channel.clone());
    let ask =
        |request| tokio_stream::once(ServerReflectionRequest { host: String::new(), message_request: Some(request) });
    let list = reflection.server_reflection_info(ask(MessageRequest::ListServices(String::new()))).await.unwrap();
    let answer: server_reflection_response::MessageResponse =
        list.into_inner().message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
    assert!(list.service.iter().any(|service| service.name == "tidings.control.v1.Tokens"), "{list:?}");
    let symbol = MessageRequest::FileContainingSymbol("tidings.control.v1.CreateTokenRequest".to_owned());
    let file = reflection.server_reflection_info(ask(symbol)).await.unwrap();
    let answer = file.into_inner().message().await.unwrap().unwrap().message_response.unwrap();
    assert!(matches!(answer, MessageResponse::FileDescriptorResponse(_)), "{answer:?}");
    running.stop().await;
}
