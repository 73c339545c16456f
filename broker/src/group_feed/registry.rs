//! What a broker asks the control plane about groups and users.

use tidings_node::control_plane::ControlPlaneNodes;
use tidings_proto::ErrorCode;
use tidings_proto::cluster::v1::directory_client::DirectoryClient;
use tidings_proto::cluster::v1::groups_client::GroupsClient;
use tidings_proto::cluster::v1::{
    GetGroupChangesRequest, GetGroupChangesResponse, GetGroupRequest, GetGroupResponse, GetPolicyRequest,
    ListGroupsOfShardRequest, ListGroupsOfShardResponse, ResolveUserRequest, ResolveUserResponse, WatchRequest,
    WatchResponse,
};
use tidings_proto::policy::v1::Policy;
use tonic::{Status, Streaming};

use super::news::GroupNews;
use crate::core::GroupName;

/// A shard map of 4,096 shards fits.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// The control plane, as far as groups go. Cheap to clone.
#[derive(Debug, Clone)]
pub struct GroupRegistry(ControlPlaneNodes);

impl GroupRegistry {
    /// Asks these nodes.
    pub fn new(nodes: ControlPlaneNodes) -> Self {
        Self(nodes)
    }

    /// Every change after a revision.
    pub async fn watch(&self, request: WatchRequest) -> Result<Streaming<WatchResponse>, Status> {
        let call = |channel| async move {
            DirectoryClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES).watch(request).await
        };
        self.0.ask(call).await
    }

    /// What is new about a group.
    pub async fn changes(&self, request: GetGroupChangesRequest) -> Result<GetGroupChangesResponse, Status> {
        let call = |channel| async move {
            GroupsClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES).get_group_changes(request).await
        };
        self.0.ask(call).await
    }

    /// A page of the groups whose home a shard is.
    pub async fn groups_of(&self, request: ListGroupsOfShardRequest) -> Result<ListGroupsOfShardResponse, Status> {
        self.0.ask(|channel| async move { GroupsClient::new(channel).list_groups_of_shard(request).await }).await
    }

    /// Whether a user is there, and by which policy it goes.
    pub async fn user(&self, app: &str, user: &str) -> Result<ResolveUserResponse, Status> {
        let request = ResolveUserRequest { app: app.to_owned(), user: user.to_owned() };
        self.0.ask(|channel| async move { DirectoryClient::new(channel).resolve_user(request).await }).await
    }

    /// A policy of an app; empty: its default.
    pub async fn policy(&self, app: &str, id: &str) -> Result<Policy, Status> {
        let request = GetPolicyRequest { app: app.to_owned(), id: id.to_owned() };
        let answer = self.0.ask(|channel| async move { DirectoryClient::new(channel).get_policy(request).await });
        Ok(answer.await?.policy.unwrap_or_default())
    }

    /// What is told to a user of whom a group's home does not know that it is a member. It may have joined a moment
    /// ago: the registry knows, and the home will in a moment. Whoever was told of joining is not told otherwise by a
    /// home that lags, but asked to try again (UNAVAILABLE). Without the control plane the home's word stands.
    pub async fn code_for_stranger(&self, news: &GroupNews, group: GroupName, user: String) -> ErrorCode {
        let request = GetGroupRequest { app: group.app().to_owned(), group: group.group().to_owned(), user };
        let call = |channel| async move { GroupsClient::new(channel).get_group(request).await };
        match self.0.ask(call).await {
            Ok(GetGroupResponse { group: Some(known), member: Some(_) }) => {
                news.mark(group, known.revision);
                ErrorCode::Unavailable
            }
            Ok(_) | Err(_) => ErrorCode::NotAMember,
        }
    }
}
