//! The control plane as backends use it: field masks, pages, idempotent creates, keys that see one app, reflection.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::{BTreeMap, BTreeSet};

use prost_types::FieldMask;
use tidings_proto::ErrorCode;
use tidings_proto::control::v1::{
    App, CreateApiKeyRequest, CreateAppRequest, CreateTokenRequest, CreateUserRequest, DeletePolicyRequest,
    GetUserRequest, ListAppsRequest, ListUsersRequest, RevokeApiKeyRequest, UpdateAppRequest, UpdateUserRequest, User,
};
use tidings_proto::policy::v1::Policy;
use tidings_tests::{Control, Node};
use tonic::Code;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

fn user(id: &str) -> CreateUserRequest {
    CreateUserRequest { id: id.into(), ..CreateUserRequest::default() }
}

#[tokio::test]
async fn an_update_changes_the_fields_of_its_mask_alone() {
    let node = Node::start().await;
    let mut control = node.control().await;
    let attributes = BTreeMap::from([("team".to_owned(), "red".to_owned())]);
    let request = CreateUserRequest { display_name: "Alice".into(), attributes: attributes.clone(), ..user("alice") };
    control.users.create_user(request).await.unwrap();

    let update = |paths: &[&str], user: User| {
        let update_mask = Some(FieldMask { paths: paths.iter().map(ToString::to_string).collect() });
        UpdateUserRequest { user: Some(User { id: "alice".into(), ..user }), update_mask }
    };
    let renamed = update(&["display_name"], User { display_name: "Alicia".into(), ..User::default() });
    let changed = control.users.update_user(renamed).await.unwrap().into_inner();
    assert_eq!((changed.display_name.as_str(), &changed.attributes, changed.active), ("Alicia", &attributes, true));

    let refused = control.users.update_user(update(&["created_at"], User::default())).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    let request = GetUserRequest { id: "alice".into(), ..GetUserRequest::default() };
    let stored = control.users.get_user(request).await.unwrap().into_inner();
    assert_eq!((stored.display_name.as_str(), stored.attributes), ("Alicia", attributes));
}

#[tokio::test]
async fn a_list_in_pages_has_everyone_once() {
    let node = Node::start().await;
    let mut control = node.control().await;
    for number in 0..25 {
        control.users.create_user(user(&format!("user-{number:02}"))).await.unwrap();
    }
    control.users.create_user(user("other")).await.unwrap();
    let (mut seen, mut pages, mut page_token) = (BTreeSet::new(), 0, String::new());
    loop {
        let request = ListUsersRequest { filter: "user-*".into(), page_size: 10, page_token, ..Default::default() };
        let page = control.users.list_users(request).await.unwrap().into_inner();
        pages += 1;
        assert!(page.users.len() <= 10);
        for user in page.users {
            assert!(seen.insert(user.id.clone()), "{} came twice", user.id);
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!((seen.len(), pages), (25, 3));
    let nonsense = ListUsersRequest { page_token: "nonsense".into(), ..ListUsersRequest::default() };
    assert_eq!(control.users.list_users(nonsense).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn apps_are_listed_by_pattern_in_pages() {
    let node = Node::start().await;
    let mut control = node.control().await;
    for number in 0..5 {
        let request = CreateAppRequest { id: format!("shop-{number}"), ..CreateAppRequest::default() };
        control.apps.create_app(request).await.unwrap();
    }
    let page = async |control: &mut Control, filter: &str, page_token: String| {
        let request = ListAppsRequest { filter: filter.into(), page_size: 2, page_token };
        let page = control.apps.list_apps(request).await.unwrap().into_inner();
        (page.apps.into_iter().map(|app| app.id).collect::<Vec<_>>(), page.next_page_token)
    };
    let (first, next) = page(&mut control, "shop-*", String::new()).await;
    let (second, next) = page(&mut control, "shop-*", next).await;
    let (third, end) = page(&mut control, "shop-*", next).await;
    let all = [first, second, third].concat();
    assert_eq!((all, end.as_str()), ((0..5).map(|number| format!("shop-{number}")).collect(), ""));
    assert_eq!(page(&mut control, "*-3", String::new()).await.0, ["shop-3"]);
    assert_eq!(page(&mut control, "de*", String::new()).await.0, ["default"]);

    // A key of one app sees that one, where it matches.
    let request = CreateApiKeyRequest { app: "shop-3".into(), ..CreateApiKeyRequest::default() };
    let key = control.keys.create_api_key(request).await.unwrap().into_inner().secret;
    let mut own = Control::connect(&node.control_url(), &key).await;
    assert_eq!(page(&mut own, "shop-*", String::new()).await.0, ["shop-3"]);
    assert!(page(&mut own, "shop-4", String::new()).await.0.is_empty());
    let long = ListAppsRequest { filter: "x".repeat(129), ..ListAppsRequest::default() };
    assert_eq!(control.apps.list_apps(long).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn whether_an_app_is_active_is_the_operators_to_say() {
    let node = Node::start().await;
    let mut operator = node.control().await;
    let create = CreateAppRequest { id: "shop".into(), display_name: "The shop".into() };
    assert!(operator.apps.create_app(create).await.unwrap().into_inner().active);
    let request = CreateApiKeyRequest { app: "shop".into(), ..CreateApiKeyRequest::default() };
    let key = operator.keys.create_api_key(request).await.unwrap().into_inner().secret;
    let mut shop = Control::connect(&node.control_url(), &key).await;
    let update = |app: App, path: &str| UpdateAppRequest {
        app: Some(App { id: "shop".into(), ..app }),
        update_mask: Some(FieldMask { paths: vec![path.into()] }),
    };
    let closed = operator.apps.update_app(update(App::default(), "active")).await.unwrap().into_inner();
    assert_eq!((closed.active, closed.display_name.as_str()), (false, "The shop"));
    let opened = shop.apps.update_app(update(App { active: true, ..App::default() }, "active")).await;
    assert_eq!(opened.unwrap_err().code(), Code::PermissionDenied);

    // Its backend goes on, and changes what is its own.
    shop.users.create_user(user("ann")).await.unwrap();
    let renamed = update(App { display_name: "The store".into(), ..App::default() }, "display_name");
    let renamed = shop.apps.update_app(renamed).await.unwrap().into_inner();
    assert_eq!((renamed.active, renamed.display_name.as_str()), (false, "The store"));
}

#[tokio::test]
async fn a_user_goes_by_its_policy_from_the_beginning() {
    let node = Node::start().await;
    let mut control = node.control().await;
    let guest = |policy: &str| CreateUserRequest { policy: policy.into(), ..user("gus") };
    let unknown = control.users.create_user(guest("guest")).await.unwrap_err();
    assert_eq!(ErrorCode::of_status(&unknown), ErrorCode::NotFound, "{unknown:?}");
    control.create_policy(Policy { id: "guest".into(), messages: Some(false), ..Policy::default() }).await;
    let made = control.users.create_user(guest("guest")).await.unwrap().into_inner();
    assert_eq!(made.policy, "guest");
    // Again, also without saying which; but not with another one.
    for again in ["guest", ""] {
        assert_eq!(control.users.create_user(guest(again)).await.unwrap().into_inner(), made);
    }
    let other = control.users.create_user(guest("default")).await.unwrap_err();
    assert_eq!(ErrorCode::of_status(&other), ErrorCode::AlreadyExists, "{other:?}");
    let delete = DeletePolicyRequest { id: "guest".into(), ..DeletePolicyRequest::default() };
    let refused = control.policies.delete_policy(delete).await.unwrap_err();
    assert_eq!(ErrorCode::of_status(&refused), ErrorCode::FailedPrecondition, "it is the user's: {refused:?}");

    let token = control.token("gus").await.1;
    let (gus, _events) = node.online(&token, "phone").await;
    let refused = gus.send("gus", "note to myself").await.unwrap().sent().await.unwrap_err();
    assert!(refused.to_string().starts_with("FEATURE_OFF"), "{refused:?}");
}

#[tokio::test]
async fn creating_again_changes_nothing() {
    let node = Node::start().await;
    let mut control = node.control().await;
    let first = control.users.create_user(user("alice")).await.unwrap().into_inner();
    let again = control.users.create_user(user("alice")).await.unwrap().into_inner();
    assert_eq!(first, again);
    let other = CreateUserRequest { display_name: "Other".into(), ..user("alice") };
    let refused = control.users.create_user(other).await.unwrap_err();
    assert_eq!(ErrorCode::of_status(&refused), ErrorCode::AlreadyExists);

    let request = CreateTokenRequest { user: "alice".into(), request_id: "r1".into(), ..CreateTokenRequest::default() };
    let (first, first_secret) = control.create_token(request.clone()).await;
    let (again, second_secret) = control.create_token(request).await;
    assert_eq!(first.id, again.id, "a lost answer leaves no second token behind");
    assert_ne!(first_secret, second_secret);
}

#[tokio::test]
async fn a_key_of_one_app_sees_that_app_alone() {
    let node = Node::start().await;
    let mut operator = node.control().await;
    for app in ["red", "blue"] {
        operator.apps.create_app(CreateAppRequest { id: app.into(), ..CreateAppRequest::default() }).await.unwrap();
    }
    operator.users.create_user(CreateUserRequest { app: "blue".into(), ..user("bea") }).await.unwrap();
    let request = CreateApiKeyRequest { app: "red".into(), ..CreateApiKeyRequest::default() };
    let created = operator.keys.create_api_key(request).await.unwrap().into_inner();
    let mut red = Control::connect(&node.control_url(), &created.secret).await;

    red.users.create_user(user("ron")).await.unwrap();
    let in_red = GetUserRequest { app: "red".into(), id: "ron".into() };
    assert_eq!(operator.users.get_user(in_red).await.unwrap().into_inner().app, "red");
    let in_blue = GetUserRequest { app: "blue".into(), id: "bea".into() };
    assert_eq!(red.users.get_user(in_blue).await.unwrap_err().code(), Code::PermissionDenied);
    let new_app = CreateAppRequest { id: "green".into(), ..CreateAppRequest::default() };
    assert_eq!(red.apps.create_app(new_app).await.unwrap_err().code(), Code::PermissionDenied);

    let revoke = RevokeApiKeyRequest { id: created.key.unwrap().id };
    operator.keys.revoke_api_key(revoke).await.unwrap();
    assert_eq!(red.users.list_users(ListUsersRequest::default()).await.unwrap_err().code(), Code::Unauthenticated);
    let mut stranger = Control::connect(&node.control_url(), "no-such-key").await;
    assert_eq!(stranger.users.list_users(ListUsersRequest::default()).await.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test]
async fn the_registry_survives_kill_9_and_a_stop_in_order() {
    let mut node = Node::start().await;
    let token = node.control().await.user("alice").await;
    node.restart_after_kill9().await;
    let mut control = node.control().await;
    control.users.create_user(user("bob")).await.unwrap();
    let status = node.terminate().await;
    assert!(status.success(), "SIGTERM ends with {status}");
    node.launch();
    node.ready().await;
    let mut control = node.control().await;
    let page = control.users.list_users(ListUsersRequest::default()).await.unwrap().into_inner();
    let ids: Vec<_> = page.users.iter().map(|user| user.id.as_str()).collect();
    assert_eq!(ids, ["alice", "bob"]);
    tidings_tests::RawClient::attached(node.gateway_address(), &token, "phone", None).await;
}

#[tokio::test]
async fn reflection_lists_the_services() {
    let node = Node::start().await;
    let channel = tonic::transport::Endpoint::from_shared(node.control_url()).unwrap().connect().await.unwrap();
    let message_request = Some(MessageRequest::ListServices(String::new()));
    let request = ServerReflectionRequest { message_request, ..ServerReflectionRequest::default() };
    let mut client = ServerReflectionClient::new(channel);
    let mut answers = client.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(listed)) = answer.message_response else { panic!("{answer:?}") };
    let names: Vec<_> = listed.service.iter().map(|service| service.name.as_str()).collect();
    for service in ["Apps", "Users", "Tokens", "ApiKeys"] {
        assert!(names.contains(&format!("tidings.control.v1.{service}").as_str()), "{service} is not in {names:?}");
    }
}
