//! `tidings.cluster.v1.Groups`: what home shards follow, and what clients do to groups through their gateways.

use tidings_consensus::StateView;
use tidings_proto::EffectivePolicy;
use tidings_proto::cluster::v1::groups_server::Groups;
use tidings_proto::cluster::v1::{
    ActOnGroupRequest, ActOnGroupResponse, GetGroupChangesRequest, GetGroupChangesResponse, GetGroupRequest,
    GetGroupResponse, ListGroupsOfShardRequest, ListGroupsOfShardResponse, ListMembersRequest, ListMembersResponse,
    ListUserGroupsRequest, ListUserGroupsResponse, UserGroup,
};
use tidings_proto::effective_policy::DEFAULT_POLICY;
use tidings_proto::group::v1::Permission;
use tidings_proto::group::v1::operation::Operation as Op;
use tidings_proto::registry::v1::ActOnGroup;
use tonic::{Request, Response, Status};

use super::page::PageRequest;
use super::{answer, door, group_lists, groups::act};
use crate::registry::groups::rules::Actor;
use crate::registry::groups::{self, events, group_of};
use crate::registry::refusal::Refusal;
use crate::registry::{apps, policies};
use crate::replica::Replica;

/// Members in one page of a reset.
const PAGE: u32 = 1_000;

/// Groups, for brokers and gateways.
#[derive(Clone)]
pub struct GroupDirectoryService(pub Replica);

impl GroupDirectoryService {
    fn now_ms(&self) -> i64 {
        self.0.clock().now_ms()
    }

    /// What this replica has, where it has the group at this revision or later; otherwise what is acknowledged
    /// anywhere.
    async fn at_least(&self, app: &str, group: &str, revision: u64) -> Result<StateView, Status> {
        let view = self.0.recent()?;
        let known = groups::stored(&view, app, group)?.map_or(0, |record| group_of(&record).revision);
        if revision != 0 && known >= revision { Ok(view) } else { self.0.current().await }
    }
}

/// Changes after a revision, or a page of what is there now.
fn changes(view: &StateView, request: &GetGroupChangesRequest) -> Result<GetGroupChangesResponse, Refusal> {
    let GetGroupChangesRequest { app, group, after_revision, page_token, .. } = request;
    let page = if !apps::exists(view, app)? {
        // Its groups are being swept.
        events::Page::Gone
    } else if page_token.is_empty() {
        events::after(view, app, group, *after_revision)?
    } else {
        groups::stored(view, app, group)?.map_or(events::Page::Gone, events::as_it_is)
    };
    Ok(match page {
        events::Page::Gone => GetGroupChangesResponse { gone: true, ..GetGroupChangesResponse::default() },
        events::Page::Events { group, events, revision } => {
            GetGroupChangesResponse { group: Some(group), events, revision, ..GetGroupChangesResponse::default() }
        }
        events::Page::Reset(current) => {
            let page = PageRequest { size: PAGE, token: page_token };
            let (members, next_page_token) = group_lists::members(view, app, group, &page)?;
            let revision = current.revision;
            let group = Some(current);
            GetGroupChangesResponse {
                gone: false,
                reset: true,
                group,
                events: Vec::new(),
                members,
                next_page_token,
                revision,
                ..GetGroupChangesResponse::default()
            }
        }
    })
}

/// Members beyond which a group of an app is a large one.
fn large_group_members(view: &StateView, app: &str) -> Result<u32, Refusal> {
    if !apps::exists(view, app)? {
        return Ok(0);
    }
    Ok(EffectivePolicy::from(&policies::get(view, app, DEFAULT_POLICY)?).large_group_members)
}

#[tonic::async_trait]
impl Groups for GroupDirectoryService {
    async fn get_group(&self, request: Request<GetGroupRequest>) -> Result<Response<GetGroupResponse>, Status> {
        answer("GetGroup", async {
            let GetGroupRequest { app, group, user } = request.into_inner();
            let view = self.0.current().await?;
            let record = groups::stored(&view, &app, &group)?.filter(|record| groups::is_live(record, self.now_ms()));
            let Some(record) = record else { return Ok(GetGroupResponse::default()) };
            let member = groups::member(&view, &app, &group, &user)?;
            Ok(GetGroupResponse { group: Some(group_of(&record)), member })
        })
        .await
    }

    async fn get_group_changes(
        &self,
        request: Request<GetGroupChangesRequest>,
    ) -> Result<Response<GetGroupChangesResponse>, Status> {
        answer("GetGroupChanges", async {
            let request = request.into_inner();
            let view = self.at_least(&request.app, &request.group, request.at_least).await?;
            let large_group_members = large_group_members(&view, &request.app)?;
            Ok(GetGroupChangesResponse { large_group_members, ..changes(&view, &request)? })
        })
        .await
    }

    async fn list_groups_of_shard(
        &self,
        request: Request<ListGroupsOfShardRequest>,
    ) -> Result<Response<ListGroupsOfShardResponse>, Status> {
        answer("ListGroupsOfShard", async {
            let ListGroupsOfShardRequest { shard, page_size, page_token } = request.into_inner();
            let page = PageRequest { size: page_size, token: &page_token };
            let (groups, next_page_token) = group_lists::of_shard(&self.0.current().await?, shard, &page)?;
            Ok(ListGroupsOfShardResponse { groups, next_page_token })
        })
        .await
    }

    async fn act_on_group(&self, request: Request<ActOnGroupRequest>) -> Result<Response<ActOnGroupResponse>, Status> {
        answer("ActOnGroup", async {
            let ActOnGroupRequest { app, actor, group, operation } = request.into_inner();
            door::app_id("app", &app)?;
            // An empty one would be a backend.
            door::user_id("actor", &actor)?;
            let joins = operation.as_ref().is_some_and(|wanted| matches!(wanted.operation, Some(Op::Join(_))));
            if !joins {
                door::groups::group_id("group", &group)?;
            }
            let outcome = act(&self.0, ActOnGroup { app, group, actor, operation }).await?;
            Ok(ActOnGroupResponse { group: outcome.group, members: outcome.members })
        })
        .await
    }

    async fn list_members(
        &self,
        request: Request<ListMembersRequest>,
    ) -> Result<Response<ListMembersResponse>, Status> {
        answer("ListMembers", async {
            let ListMembersRequest { app, group, actor, page_size, page_token } = request.into_inner();
            door::user_id("actor", &actor)?;
            let view = self.0.current().await?;
            let record = groups::get(&view, &app, &group, self.now_ms())?;
            Actor::of(&view, &app, &group, &actor)?.takes(&record, Permission::List)?;
            let page = PageRequest { size: page_size, token: &page_token };
            let (members, next_page_token) = group_lists::members(&view, &app, &group, &page)?;
            Ok(ListMembersResponse { members, next_page_token })
        })
        .await
    }

    async fn list_user_groups(
        &self,
        request: Request<ListUserGroupsRequest>,
    ) -> Result<Response<ListUserGroupsResponse>, Status> {
        answer("ListUserGroups", async {
            let ListUserGroupsRequest { app, user, page_size, page_token } = request.into_inner();
            let page = PageRequest { size: page_size, token: &page_token };
            let view = self.0.current().await?;
            let (found, next_page_token) = group_lists::of_user(&view, &app, &user, self.now_ms(), &page)?;
            let groups =
                found.into_iter().map(|(group, member)| UserGroup { group: Some(group), member: Some(member) });
            Ok(ListUserGroupsResponse { groups: groups.collect(), next_page_token })
        })
        .await
    }
}
