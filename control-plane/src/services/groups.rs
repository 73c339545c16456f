//! `tidings.control.v1.Groups`. Each call becomes one operation without an actor: a backend may everything.

use tidings_node::secret::random_text;
use tidings_proto::control::v1::groups_server::Groups;
use tidings_proto::control::v1::{
    AddMembersRequest, CreateGroupRequest, CreateInviteRequest, DeleteGroupRequest, DeleteGroupResponse,
    DeleteInviteRequest, DeleteInviteResponse, GetGroupRequest, Group, Invite, ListGroupsRequest, ListGroupsResponse,
    ListInvitesRequest, ListInvitesResponse, ListMembersRequest, ListMembersResponse, ListUserGroupsRequest,
    ListUserGroupsResponse, Member, RemoveMembersRequest, UpdateGroupRequest, UpdateMemberRequest, UserGroup,
};
use tidings_proto::group::v1::operation::Operation as Op;
use tidings_proto::group::v1::{
    self, Add, Attributes, Create, Delete, MemberChange, MemberPermissions, Operation, Remove, SettingsChange,
};
use tidings_proto::registry::v1::{
    ActOnGroup, CreateInvite, DeleteInvite, GroupOutcome, GroupRecord, command::Command,
};
use tonic::{Request, Response, Status};

use super::auth::Scope;
use super::page::{self, PageRequest};
use super::{answer, door, group_lists, group_messages, unexpected};
use crate::registry::groups::{self, invites};
use crate::registry::machine::Outcome;
use crate::registry::refusal::Refusal;
use crate::registry::{apps, keys};
use crate::replica::Replica;

/// A request that names 1,000 members fits.
pub const MAX_REQUEST_BYTES: usize = 256 * 1024;
/// Characters of a code that is drawn: 132 bits.
const CODE_CHARACTERS: usize = 22;

/// Groups, for backends and operators.
#[derive(Clone)]
pub struct GroupsService(pub Replica);

/// Checks an operation and has it done.
pub(super) async fn act(replica: &Replica, command: ActOnGroup) -> Result<GroupOutcome, Status> {
    door::groups::operation(command.operation.as_ref())?;
    match replica.propose(Command::ActOnGroup(command)).await? {
        Outcome::Group(outcome) => Ok(outcome),
        other => Err(unexpected(&other)),
    }
}

impl GroupsService {
    async fn act(&self, app: String, group: String, op: Op) -> Result<GroupOutcome, Status> {
        door::groups::group_id("group", &group)?;
        let operation = Some(Operation { operation: Some(op) });
        act(&self.0, ActOnGroup { app, group, actor: String::new(), operation }).await
    }
}

fn told(outcome: GroupOutcome) -> Group {
    group_messages::group(outcome.group.unwrap_or_default())
}

fn wanted(members: Vec<Member>) -> Result<Vec<v1::Member>, Refusal> {
    members.into_iter().map(group_messages::wanted).collect()
}

/// The fields that a mask names.
fn settings(group: Group, mask: Option<prost_types::FieldMask>) -> Result<SettingsChange, Refusal> {
    let known = ["display_name", "attributes", "kind", "paused", "expires_at", "member_permissions"];
    let mask = door::update_mask(mask, &known)?;
    let wanted = group_messages::chosen(group)?;
    Ok(SettingsChange {
        display_name: mask.contains("display_name").then_some(wanted.display_name),
        attributes: mask.contains("attributes").then_some(Attributes { entries: wanted.attributes }),
        kind: mask.contains("kind").then_some(wanted.kind),
        paused: mask.contains("paused").then_some(wanted.paused),
        expires_at_ms: mask.contains("expires_at").then_some(wanted.expires_at_ms),
        member_permissions: mask
            .contains("member_permissions")
            .then_some(MemberPermissions { bits: wanted.member_permissions }),
    })
}

#[tonic::async_trait]
impl Groups for GroupsService {
    async fn create_group(&self, request: Request<CreateGroupRequest>) -> Result<Response<Group>, Status> {
        answer("CreateGroup", async {
            let scope = Scope::of(&self.0, request.metadata())?;
            let CreateGroupRequest { group, members } = request.into_inner();
            let group = group.ok_or_else(|| Refusal::invalid("group", "is missing"))?;
            let (app, id) = (scope.app(&group.app)?, group.id.clone());
            door::groups::group_id("group.id", &id)?;
            let create = Create { group: Some(group_messages::chosen(group)?), members: wanted(members)? };
            Ok(told(self.act(app, id, Op::Create(create)).await?))
        })
        .await
    }

    async fn get_group(&self, request: Request<GetGroupRequest>) -> Result<Response<Group>, Status> {
        answer("GetGroup", async {
            let scope = Scope::of(&self.0, request.metadata())?;
            let GetGroupRequest { app, id } = request.into_inner();
            let app = scope.app(&app)?;
            door::groups::group_id("id", &id)?;
            let record = groups::get(&self.0.current().await?, &app, &id, self.0.clock().now_ms())?;
            Ok(group_messages::group(groups::group_of(&record)))
        })
        .await
    }

    async fn list_groups(&self, request: Request<ListGroupsRequest>) -> Result<Response<ListGroupsResponse>, Status> {
        answer("ListGroups", async {
            let scope = Scope::of(&self.0, request.metadata())?;
            let ListGroupsRequest { app, filter, page_size, page_token } = request.into_inner();
            let app = scope.app(&app)?;
            door::filter(&filter)?;
            let view = self.0.current().await?;
            apps::get(&view, &app)?;
            let prefix = keys::texts(keys::GROUP, &[&app]);
            let narrowed = [prefix.as_slice(), page::head(&filter).as_bytes()].concat();
            let now_ms = self.0.clock().now_ms();
            let wanted = |record: &GroupRecord| {
                let id = record.group.as_ref().map_or("", |group| &group.id);
                groups::is_live(record, now_ms) && (filter.is_empty() || page::matches(&filter, id))
            };
            let page = PageRequest { size: page_size, token: &page_token };
            let (found, next_page_token) = page.list(&view, &prefix, &narrowed, wanted)?;
            let groups = found.iter().map(|record| group_messages::group(groups::group_of(record))).collect();
            Ok(ListGroupsResponse { groups, next_page_token })
        })
        .await
    }

    async fn update_group(&self, request: Request<UpdateGroupRequest>) -> Result<Response<Group>, Status> {
        answer("UpdateGroup", async {
            let scope = Scope::of(&self.0, request.metadata())?;
            let UpdateGroupRequest { group, update_mask } = request.into_inner();
            let group = group.ok_or_else(|| Refusal::invalid("group", "is missing"))?;
            let (app, id) = (scope.app(&group.app)?, group.id.clone());
            Ok(told(self.act(app, id, Op::Settings(settings(group, update_mask)?)).await?))
        })
        .await
    }

    async fn delete_group(
        &self,
        request: Request<DeleteGroupRequest>,
    ) -> Result<Response<DeleteGroupResponse>, Status> {
        answer("DeleteGroup", async {
            let scope = Scope::of(&self.0, request.metadata())?;
            let DeleteGroupRequest { app, id } = request.into_inner();
            self.act(scope.app(&app)?, id, Op::Delete(Delete {})).await?;
            Ok(DeleteGroupResponse {})
        })
        .await
    }

    async fn add_members(&self, request: Request<AddMembersRequest>) -> Result<Response<Group>, Status> {
        answer("AddMembers", async {
            let scope = Scope::of(&self.0, request.metadata())?;
            let AddMembersRequest { app, group, members } = request.into_inner();
            let add = Op::Add(Add { members: wanted(members)? });
            Ok(told(self.act(scope.app(&app)?, group, add).await?))
        })
        .await
    }

    async fn remove_members(&self, request: Request<RemoveMembersRequest>) -> Result<Response<Group>, Status> {
        answer("RemoveMembers", async {
            let scope = Scope::of(&self.0, request.metadata())?;
            let RemoveMembersRequest { app, group, users } = request.into_inner();
            Ok(told(self.act(scope.app(&app)?, group, Op::Remove(Remove { users })).await?))
        })
        .await
    }

    async fn update_member(&self, request: Request<UpdateMemberRequest>) -> Result<Response<Member>, Status> {
        answer("UpdateMember", async {
            let scope = Scope::of(&self.0, request.metadata())?;
            let UpdateMemberRequest { app, group, member, update_mask } = request.into_inner();
            let member = member.ok_or_else(|| Refusal::invalid("member", "is missing"))?;
            let mask = door::update_mask(update_mask, &["role", "allow", "deny"])?;
            let v1::Member { user, role, allow, deny, .. } = group_messages::wanted(member)?;
            let change = MemberChange {
                user,
                role: mask.contains("role").then_some(role),
                allow: mask.contains("allow").then_some(allow),
                deny: mask.contains("deny").then_some(deny),
            };
            let outcome = self.act(scope.app(&app)?, group, Op::Member(change)).await?;
            Ok(group_messages::member(outcome.members.into_iter().next().unwrap_or_default()))
        })
        .await
    }

    async fn list_members(
        &self,
        request: Request<ListMembersRequest>,
    ) -> Result<Response<ListMembersResponse>, Status> {
        answer("ListMembers", async {
            let scope = Scope::of(&self.0, request.metadata())?;
            let ListMembersRequest { app, group, page_size, page_token } = request.into_inner();
            let (app, view) = (scope.app(&app)?, self.0.current().await?);
            door::groups::group_id("group", &group)?;
            groups::get(&view, &app, &group, self.0.clock().now_ms())?;
            let page = PageRequest { size: page_size, token: &page_token };
            let (members, next_page_token) = group_lists::members(&view, &app, &group, &page)?;
            let members = members.into_iter().map(group_messages::member).collect();
            Ok(ListMembersResponse { members, next_page_token })
        })
        .await
    }

    async fn list_user_groups(
        &self,
        request: Request<ListUserGroupsRequest>,
    ) -> Result<Response<ListUserGroupsResponse>, Status> {
        answer("ListUserGroups", async {
            let scope = Scope::of(&self.0, request.metadata())?;
            let ListUserGroupsRequest { app, user, page_size, page_token } = request.into_inner();
            let (app, view) = (scope.app(&app)?, self.0.current().await?);
            door::user_id("user", &user)?;
            let page = PageRequest { size: page_size, token: &page_token };
            let now_ms = self.0.clock().now_ms();
            let (found, next_page_token) = group_lists::of_user(&view, &app, &user, now_ms, &page)?;
            let groups = found.into_iter().map(|(group, member)| UserGroup {
                group: Some(group_messages::group(group)),
                member: Some(group_messages::member(member)),
            });
            Ok(ListUserGroupsResponse { groups: groups.collect(), next_page_token })
        })
        .await
    }

    async fn create_invite(&self, request: Request<CreateInviteRequest>) -> Result<Response<Invite>, Status> {
        answer("CreateInvite", async {
            let scope = Scope::of(&self.0, request.metadata())?;
            let invite = request.into_inner().invite.ok_or_else(|| Refusal::invalid("invite", "is missing"))?;
            let app = scope.app(&invite.app)?;
            let mut invite = group_messages::wanted_invite(app, invite)?;
            if invite.code.is_empty() {
                // Made here, because applying a command is deterministic.
                invite.code = random_text().chars().take(CODE_CHARACTERS).collect();
            }
            door::groups::code("invite.code", &invite.code)?;
            door::groups::invite(&invite)?;
            match self.0.propose(Command::CreateInvite(CreateInvite { invite: Some(invite) })).await? {
                Outcome::Invite(invite) => Ok(group_messages::invite(invite)),
                other => Err(unexpected(&other)),
            }
        })
        .await
    }

    async fn list_invites(
        &self,
        request: Request<ListInvitesRequest>,
    ) -> Result<Response<ListInvitesResponse>, Status> {
        answer("ListInvites", async {
            let scope = Scope::of(&self.0, request.metadata())?;
            let ListInvitesRequest { app, group } = request.into_inner();
            let (app, view) = (scope.app(&app)?, self.0.current().await?);
            door::groups::group_id("group", &group)?;
            groups::get(&view, &app, &group, self.0.clock().now_ms())?;
            let found = invites::of_group(&view, &app, &group)?;
            Ok(ListInvitesResponse { invites: found.into_iter().map(group_messages::invite).collect() })
        })
        .await
    }

    async fn delete_invite(
        &self,
        request: Request<DeleteInviteRequest>,
    ) -> Result<Response<DeleteInviteResponse>, Status> {
        answer("DeleteInvite", async {
            let scope = Scope::of(&self.0, request.metadata())?;
            let DeleteInviteRequest { app, group, code } = request.into_inner();
            let app = scope.app(&app)?;
            door::groups::group_id("group", &group)?;
            door::groups::code("code", &code)?;
            match self.0.propose(Command::DeleteInvite(DeleteInvite { app, group, code })).await? {
                Outcome::Deleted(_) => Ok(DeleteInviteResponse {}),
                other => Err(unexpected(&other)),
            }
        })
        .await
    }
}
