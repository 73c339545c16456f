//! Groups over gRPC: as backends keep them, as home shards follow them, and what users may do to them.

use std::time::{Duration, Instant};

use prost_types::{FieldMask, Timestamp};
use tidings_node::Clock;
use tidings_node::secret::Secret;
use tidings_proto::ErrorCode;
use tidings_proto::cluster::v1::groups_client::GroupsClient as Directory;
use tidings_proto::cluster::v1::{
    ActOnGroupRequest, GetGroupChangesRequest, GetGroupChangesResponse, ListGroupsOfShardRequest,
    ListMembersRequest as ListAsMember, WatchRequest, change,
};
use tidings_proto::control::v1::groups_client::GroupsClient;
use tidings_proto::control::v1::{
    AddMembersRequest, CreateApiKeyRequest, CreateAppRequest, CreateGroupRequest, CreateInviteRequest,
    DeleteGroupRequest, DeleteInviteRequest, GetGroupRequest, Group, Invite, ListGroupsRequest, ListInvitesRequest,
    ListMembersRequest, ListUserGroupsRequest, Member, PermissionSet, RemoveMembersRequest, UpdateGroupRequest,
    UpdateMemberRequest,
};
use tidings_proto::group::v1::operation::Operation as Op;
use tidings_proto::group::v1::{
    Add, Create, Join, Kind, Leave, Member as Raw, Operation, Permission, Role, SettingsChange, event,
};
use tidings_proto::shard::shard_of;

use super::harness::{Authorized, DEADLINE, Running, code};

fn groups(running: &Running, secret: &Secret) -> GroupsClient<Authorized> {
    GroupsClient::new(running.with(secret))
}

fn directory(running: &Running) -> Directory<Authorized> {
    Directory::new(running.with(&running.cluster_secret))
}

fn named(id: &str) -> Group {
    Group { id: id.to_owned(), ..Group::default() }
}

fn member(user: &str) -> Member {
    Member { user: user.to_owned(), ..Member::default() }
}

fn create(group: Group, users: &[&str]) -> CreateGroupRequest {
    CreateGroupRequest { group: Some(group), members: users.iter().map(|user| member(user)).collect() }
}

fn add(group: &str, members: Vec<Member>) -> AddMembersRequest {
    AddMembersRequest { app: String::new(), group: group.to_owned(), members }
}

fn mask(paths: &[&str]) -> Option<FieldMask> {
    Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() })
}

fn act(actor: &str, group: &str, op: Op) -> ActOnGroupRequest {
    let (app, actor, group) = ("default".to_owned(), actor.to_owned(), group.to_owned());
    ActOnGroupRequest { app, actor, group, operation: Some(Operation { operation: Some(op) }) }
}

async fn changes(running: &Running, group: &str, after_revision: u64, page_token: &str) -> GetGroupChangesResponse {
    let (app, group, page_token) = ("default".to_owned(), group.to_owned(), page_token.to_owned());
    let request = GetGroupChangesRequest { app, group, after_revision, page_token, at_least: 0 };
    directory(running).get_group_changes(request).await.unwrap().into_inner()
}

async fn start(folder: &tempfile::TempDir, clock: &Clock) -> Running {
    let running = Running::start(folder.path(), clock).await;
    for user in ["alice", "bob", "carol"] {
        running.create_user(user).await;
    }
    running
}

#[tokio::test]
async fn a_backend_keeps_a_group_and_its_members() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual(1_000));
    let running = start(&folder, &clock).await;
    let mut client = groups(&running, &running.operator);
    let team = Group { display_name: "Team".to_owned(), kind: Kind::Announcement.into(), ..named("team") };
    let made = client.create_group(create(team.clone(), &["alice", "bob"])).await.unwrap().into_inner();
    assert_eq!((made.app.as_str(), made.members, made.kind()), ("default", 2, Kind::Announcement));
    assert_eq!(client.create_group(create(team, &["alice"])).await.unwrap().into_inner(), made);
    assert_eq!(code(client.create_group(create(named("team"), &[])).await), ErrorCode::AlreadyExists);

    let wanted = Group {
        expires_at: Some(Timestamp { seconds: 60, nanos: 0 }),
        member_permissions: Some(PermissionSet { permissions: vec![Permission::Receive.into()] }),
        ..named("team")
    };
    let update = |paths: &[&str]| UpdateGroupRequest { group: Some(wanted.clone()), update_mask: mask(paths) };
    let updated = client.update_group(update(&["expires_at", "member_permissions"])).await.unwrap().into_inner();
    assert_eq!((updated.display_name.as_str(), updated.expires_at), ("Team", wanted.expires_at));
    assert_eq!(updated.member_permissions, wanted.member_permissions);
    assert!(updated.revision > made.revision);
    assert_eq!(code(client.update_group(update(&["revision"])).await), ErrorCode::InvalidArgument);

    let carol = Member { role: Role::Admin.into(), allow: vec![Permission::Publish.into()], ..member("carol") };
    let added = client.add_members(add("team", vec![carol.clone(), member("bob")])).await.unwrap().into_inner();
    assert_eq!(added.members, 3);
    let again = client.add_members(add("team", vec![carol])).await.unwrap().into_inner();
    assert_eq!(again, added, "who is in stays as it is");
    let change = Member { role: Role::Owner.into(), deny: vec![Permission::Send.into()], ..member("bob") };
    let request = UpdateMemberRequest {
        group: "team".to_owned(),
        member: Some(change),
        update_mask: mask(&["role"]),
        ..UpdateMemberRequest::default()
    };
    let bob = client.update_member(request).await.unwrap().into_inner();
    assert_eq!((bob.role(), bob.deny.len()), (Role::Owner, 0));
    let request =
        RemoveMembersRequest { app: String::new(), group: "team".to_owned(), users: vec!["alice".to_owned()] };
    assert_eq!(client.remove_members(request.clone()).await.unwrap().into_inner().members, 2);
    assert_eq!(client.remove_members(request).await.unwrap().into_inner().members, 2);
    let list = ListMembersRequest { group: "team".to_owned(), page_size: 1, ..ListMembersRequest::default() };
    let first = client.list_members(list.clone()).await.unwrap().into_inner();
    assert_eq!(first.members, [bob]);
    let second = ListMembersRequest { page_token: first.next_page_token, ..list };
    assert_eq!(client.list_members(second).await.unwrap().into_inner().members[0].user, "carol");

    client.create_group(create(named("other"), &["carol"])).await.unwrap();
    let list = ListUserGroupsRequest { user: "carol".to_owned(), ..ListUserGroupsRequest::default() };
    let of_carol = client.list_user_groups(list.clone()).await.unwrap().into_inner().groups;
    let seen: Vec<_> = of_carol
        .iter()
        .map(|entry| (entry.group.as_ref().unwrap().id.as_str(), entry.member.as_ref().unwrap().role()))
        .collect();
    assert_eq!(seen, [("other", Role::Member), ("team", Role::Admin)]);
    clock.advance_ms(60_000);
    assert_eq!(client.list_user_groups(list).await.unwrap().into_inner().groups.len(), 1, "its time is over");
    let get = |id: &str| GetGroupRequest { app: String::new(), id: id.to_owned() };
    assert_eq!(code(client.get_group(get("team")).await), ErrorCode::NotFound);
    let list = ListGroupsRequest { filter: "*t*".to_owned(), ..ListGroupsRequest::default() };
    let left = client.list_groups(list).await.unwrap().into_inner().groups;
    assert_eq!(left.iter().map(|group| group.id.as_str()).collect::<Vec<_>>(), ["other"]);
    let delete = DeleteGroupRequest { app: String::new(), id: "other".to_owned() };
    client.delete_group(delete.clone()).await.unwrap();
    assert_eq!(code(client.delete_group(delete).await), ErrorCode::NotFound);
    running.stop().await;
}

#[tokio::test]
async fn the_door_names_the_field_and_a_foreign_app_s_groups_are_out_of_reach() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual(1_000));
    let running = start(&folder, &clock).await;
    let mut client = groups(&running, &running.operator);
    for (request, field) in [
        (create(named(""), &[]), "group.id"),
        (create(named(&"x".repeat(64)), &[]), "group.id"),
        (create(Group { kind: 9, ..named("g") }, &[]), "group.kind"),
        (create(Group { display_name: "x".repeat(257), ..named("g") }, &[]), "group.display_name"),
        (
            create(Group { expires_at: Some(Timestamp { seconds: -5, nanos: 0 }), ..named("g") }, &[]),
            "group.expires_at",
        ),
        (create(named("g"), &[""]), "member.user"),
    ] {
        let status = client.create_group(request).await.unwrap_err();
        assert_eq!(ErrorCode::of_status(&status), ErrorCode::InvalidArgument);
        assert!(status.message().starts_with(&format!("{field}: ")), "{field}: {}", status.message());
    }
    assert_eq!(code(client.create_group(create(named("g"), &["nobody"])).await), ErrorCode::NotFound);
    client.create_group(create(named("g"), &[])).await.unwrap();
    let crowd = |count: usize| add("g", (0..count).map(|number| member(&number.to_string())).collect());
    assert_eq!(code(client.add_members(crowd(1_001)).await), ErrorCode::InvalidArgument);
    assert_eq!(code(client.add_members(crowd(1_000)).await), ErrorCode::NotFound, "they do not exist");

    let shop = CreateAppRequest { id: "shop".to_owned(), ..CreateAppRequest::default() };
    running.apps(&running.operator).create_app(shop).await.unwrap();
    let request = CreateApiKeyRequest { app: "shop".to_owned(), ..CreateApiKeyRequest::default() };
    let key = running.api_keys(&running.operator).create_api_key(request).await.unwrap().into_inner();
    let mut shop = groups(&running, &Secret::new(&key.secret).unwrap());
    assert_eq!(shop.create_group(create(named("g"), &[])).await.unwrap().into_inner().app, "shop");
    let (app, denied) = (|| "default".to_owned(), ErrorCode::PermissionDenied);
    let elsewhere = Group { app: app(), ..named("g") };
    assert_eq!(code(shop.create_group(create(elsewhere, &[])).await), denied);
    assert_eq!(code(shop.get_group(GetGroupRequest { app: app(), id: "g".to_owned() }).await), denied);
    assert_eq!(code(shop.delete_group(DeleteGroupRequest { app: app(), id: "g".to_owned() }).await), denied);
    assert_eq!(code(shop.add_members(AddMembersRequest { app: app(), ..crowd(1) }).await), denied);
    let list = ListGroupsRequest { app: app(), ..ListGroupsRequest::default() };
    assert_eq!(code(shop.list_groups(list).await), denied);
    running.stop().await;
}

#[tokio::test]
async fn a_home_shard_hears_of_changes_and_follows_them_in_order() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual(1_000));
    let running = start(&folder, &clock).await;
    let mut client = groups(&running, &running.operator);
    let watch = running.directory().watch(WatchRequest { after_revision: 0 }).await.unwrap();
    let mut stream = watch.into_inner();
    assert!(stream.message().await.unwrap().unwrap().reset);
    client.create_group(create(named("g"), &["alice"])).await.unwrap();
    let acknowledged = Instant::now();
    let told = async {
        loop {
            for change in stream.message().await.unwrap().unwrap().changes {
                if let Some(change::Change::GroupChanged(changed)) = change.change {
                    return changed;
                }
            }
        }
    };
    let told = tokio::time::timeout(DEADLINE, told).await.unwrap();
    assert!(acknowledged.elapsed() < Duration::from_secs(1), "{:?}", acknowledged.elapsed());
    assert_eq!((told.app.as_str(), told.group.as_str()), ("default", "g"));

    let shard = shard_of("default", "g", 4);
    for other in 0..4 {
        let list = ListGroupsOfShardRequest { shard: other, ..ListGroupsOfShardRequest::default() };
        let homed = directory(&running).list_groups_of_shard(list).await.unwrap().into_inner().groups;
        assert_eq!(homed.first() == Some(&told), other == shard, "{homed:?}");
    }

    client.add_members(add("g", vec![member("bob")])).await.unwrap();
    directory(&running).act_on_group(act("bob", "g", Op::Leave(Leave {}))).await.unwrap();
    let page = changes(&running, "g", 0, "").await;
    let group = page.group.unwrap();
    assert!(!page.reset && !page.gone && page.revision == group.revision && group.members == 1);
    let kinds: Vec<&event::Event> = page.events.iter().map(|event| event.event.as_ref().unwrap()).collect();
    assert!(
        matches!(kinds.as_slice(), [event::Event::Created(_), event::Event::Joined(_), event::Event::Left(_)]),
        "{kinds:?}"
    );
    assert_eq!(page.events[0].revision, told.revision);
    assert_eq!(page.events[2].actor, "bob");
    let later = changes(&running, "g", page.events[0].revision, "").await;
    assert_eq!(later.events, page.events[1..]);
    assert!(changes(&running, "g", page.revision, "").await.events.is_empty());
    assert!(changes(&running, "unheard-of", 0, "").await.gone);
    running.stop().await;
}

#[tokio::test]
async fn a_home_shard_that_comes_too_late_takes_the_members_page_by_page() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual(1_000));
    let running = start(&folder, &clock).await;
    let mut client = groups(&running, &running.operator);
    let name = |number: usize| format!("user{number:04}");
    futures_util::future::join_all((0..1_200).map(|number| {
        let running = &running;
        async move { running.create_user(&name(number)).await }
    }))
    .await;
    client.create_group(create(named("g"), &[])).await.unwrap();
    for from in [0, 1_000] {
        let members = (from..(from + 1_000).min(1_200)).map(|number| member(&name(number))).collect();
        client.add_members(add("g", members)).await.unwrap();
    }
    // A revision that the group never had is one of those that cannot be gone on from.
    let first = changes(&running, "g", u64::MAX, "").await;
    assert!(first.reset && first.events.is_empty());
    assert_eq!((first.members.len(), first.group.as_ref().unwrap().members), (1_000, 1_200));
    // Somebody goes and somebody comes between two pages: the events after the first page's revision tell.
    client.add_members(add("g", vec![member("alice")])).await.unwrap();
    let second = changes(&running, "g", 0, &first.next_page_token).await;
    assert_eq!((second.reset, second.members.len(), second.next_page_token.as_str()), (true, 200, ""));
    let rest = changes(&running, "g", first.revision, "").await;
    let Some(event::Event::Joined(joined)) = &rest.events[0].event else { panic!("{rest:?}") };
    assert_eq!((joined.members[0].user.as_str(), rest.events.len()), ("alice", 1));
    running.stop().await;
}

#[tokio::test]
async fn a_user_acts_by_role_and_is_refused_with_the_reason() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual(1_000));
    let running = start(&folder, &clock).await;
    let mut client = directory(&running);
    let made = client.act_on_group(act("alice", "g", Op::Create(Create::default()))).await.unwrap().into_inner();
    assert_eq!((made.members[0].user.as_str(), made.members[0].role()), ("alice", Role::Owner));
    let raw = |user: &str| Raw { user: user.to_owned(), ..Raw::default() };
    let add = |user: &str| Op::Add(Add { members: vec![raw(user)] });
    client.act_on_group(act("alice", "g", add("bob"))).await.unwrap();
    let pause = || Op::Settings(SettingsChange { paused: Some(true), ..SettingsChange::default() });
    for (actor, op, refusal) in [
        ("bob", pause(), ErrorCode::PermissionDenied),
        ("carol", pause(), ErrorCode::NotAMember),
        ("alice", add("nobody"), ErrorCode::NotFound),
        ("alice", Op::Leave(Leave {}), ErrorCode::FailedPrecondition),
        ("", pause(), ErrorCode::InvalidArgument),
    ] {
        assert_eq!(code(client.act_on_group(act(actor, "g", op.clone())).await), refusal, "{actor:?} {op:?}");
    }
    let without = ActOnGroupRequest { operation: None, ..act("alice", "g", pause()) };
    assert_eq!(code(client.act_on_group(without).await), ErrorCode::InvalidArgument);
    let outsider = tidings_proto::cluster::v1::groups_client::GroupsClient::new(running.with(&running.operator));
    let refused = outsider.clone().act_on_group(act("alice", "g", pause())).await;
    assert!(refused.is_err(), "an API key is no member of the cluster");

    let list = |actor: &str| ListAsMember {
        app: "default".to_owned(),
        group: "g".to_owned(),
        actor: actor.to_owned(),
        ..ListAsMember::default()
    };
    assert_eq!(client.list_members(list("bob")).await.unwrap().into_inner().members.len(), 2);
    assert_eq!(code(client.list_members(list("carol")).await), ErrorCode::NotAMember);

    // By a code that a backend gives out.
    let mut backend = groups(&running, &running.operator);
    let invite =
        Invite { group: "g".to_owned(), max_uses: 1, deny: vec![Permission::List.into()], ..Invite::default() };
    let invite = backend.create_invite(CreateInviteRequest { invite: Some(invite) }).await.unwrap().into_inner();
    assert_eq!(invite.code.len(), 22);
    let join = || Op::Join(Join { code: invite.code.clone() });
    let joined = client.act_on_group(act("carol", "", join())).await.unwrap().into_inner();
    assert_eq!(joined.group.unwrap().id, "g");
    client.act_on_group(act("carol", "", join())).await.unwrap();
    assert_eq!(code(client.list_members(list("carol")).await), ErrorCode::PermissionDenied);
    running.create_user("dave").await;
    assert_eq!(code(client.act_on_group(act("dave", "", join())).await), ErrorCode::NotFound, "used up");
    let list = ListInvitesRequest { app: String::new(), group: "g".to_owned() };
    let listed = backend.list_invites(list.clone()).await.unwrap().into_inner().invites;
    assert_eq!((listed.len(), listed[0].uses), (1, 1));
    let delete = DeleteInviteRequest { app: String::new(), group: "g".to_owned(), code: invite.code.clone() };
    backend.delete_invite(delete.clone()).await.unwrap();
    assert_eq!(code(backend.delete_invite(delete).await), ErrorCode::NotFound);
    assert!(backend.list_invites(list).await.unwrap().into_inner().invites.is_empty());
    running.stop().await;
}
