//! What clients ask and do about groups: handed to the control plane in the name of their user, who may what the rules
//! of the group say. Beside the connection, which goes on meanwhile.

use std::sync::Arc;

use tidings_node::control_plane::ControlPlaneNodes;
use tidings_proto::ErrorCode;
use tidings_proto::client::v1::{GroupState, Members, MyGroups, Response, request, response};
use tidings_proto::cluster::v1::groups_client::GroupsClient;
use tidings_proto::cluster::v1::{
    ActOnGroupRequest, GetGroupRequest, ListMembersRequest, ListUserGroupsRequest, UserGroup,
};
use tidings_proto::error::Next;
use tokio::sync::Semaphore;
use tonic::Status;

use crate::directory::UserKey;

/// Questions of all clients that may be unanswered; a further one is refused with OVERLOADED.
const UNANSWERED: usize = 1024;
/// Wait before the same request is asked again.
const RETRY_AFTER_MS: u32 = 250;

/// The way to the control plane. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Groups {
    nodes: ControlPlaneNodes,
    places: Arc<Semaphore>,
}

impl Groups {
    pub fn new(nodes: ControlPlaneNodes) -> Self {
        Self { nodes, places: Arc::new(Semaphore::new(UNANSWERED)) }
    }

    /// Answers a request of a user; one that is not about groups is not for here.
    pub async fn answer(&self, user: &UserKey, id: u64, request: request::Request) -> Response {
        let answer = match self.places.try_acquire() {
            Ok(_place) => self.ask(user, request).await,
            Err(_) => Err(ErrorCode::Overloaded.status("too many requests about groups")),
        };
        match answer {
            Ok(answer) => Response { id, response: Some(answer), ..Response::default() },
            Err(status) => {
                let code = ErrorCode::of_status(&status);
                let retry_after_ms = (code.next() == Next::Retry).then_some(RETRY_AFTER_MS);
                let message = status.message().to_owned();
                Response { id, code: code.into(), message, retry_after_ms, response: None }
            }
        }
    }

    async fn ask(&self, user: &UserKey, request: request::Request) -> Result<response::Response, Status> {
        let (app, actor) = (user.app().to_owned(), user.user().to_owned());
        match request {
            request::Request::ActOnGroup(act) => {
                let request = ActOnGroupRequest { app, actor, group: act.group, operation: act.operation };
                let call = |channel| async move { GroupsClient::new(channel).act_on_group(request).await };
                let done = self.nodes.ask(call).await?;
                Ok(response::Response::Group(GroupState { group: done.group, members: done.members }))
            }
            request::Request::GetGroup(get) => {
                let request = GetGroupRequest { app, group: get.group, user: actor };
                let call = |channel| async move { GroupsClient::new(channel).get_group(request).await };
                let found = self.nodes.ask(call).await?;
                // Whether a group exists is told to its members alone.
                let member = found.member.ok_or_else(|| ErrorCode::NotFound.status("no such group of this user"))?;
                Ok(response::Response::Group(GroupState { group: found.group, members: vec![member] }))
            }
            request::Request::ListMembers(list) => {
                let (page_size, page_token) = (list.page_size, list.page_token);
                let request = ListMembersRequest { app, group: list.group, actor, page_size, page_token };
                let call = |channel| async move { GroupsClient::new(channel).list_members(request).await };
                let page = self.nodes.ask(call).await?;
                let (members, next_page_token) = (page.members, page.next_page_token);
                Ok(response::Response::Members(Members { members, next_page_token }))
            }
            request::Request::ListMyGroups(list) => {
                let (page_size, page_token) = (list.page_size, list.page_token);
                let request = ListUserGroupsRequest { app, user: actor, page_size, page_token };
                let call = |channel| async move { GroupsClient::new(channel).list_user_groups(request).await };
                let page = self.nodes.ask(call).await?;
                let state = |UserGroup { group, member }| GroupState { group, members: member.into_iter().collect() };
                let groups = page.groups.into_iter().map(state).collect();
                Ok(response::Response::MyGroups(MyGroups { groups, next_page_token: page.next_page_token }))
            }
            _ => Err(ErrorCode::Internal.status("a request that is not about groups")),
        }
    }
}
