//! What a user does about groups: each method is one request, done in the name of the user, who may what its role and
//! permissions in the group say. [`RequestError::Refused`] says why not.

use tidings_proto::Permissions;
use tidings_proto::client::v1::{
    ActOnGroup, GetGroup, GroupState, ListMembers, ListMyGroups, Members, MyGroups, request, response,
};
use tidings_proto::group::v1::{
    Add, Create, Delete, Group, Join, Leave, Member, MemberChange, Operation, Permission, Remove, Role, SettingsChange,
    operation,
};

use crate::client::Client;
use crate::error::RequestError;

impl Client {
    /// Does something to a group (none with `join`), and answers it as it is afterwards.
    pub async fn act_on_group(
        &self,
        group: impl Into<String>,
        operation: operation::Operation,
    ) -> Result<GroupState, RequestError> {
        let operation = Some(Operation { operation: Some(operation) });
        self.group_state(request::Request::ActOnGroup(ActOnGroup { group: group.into(), operation })).await
    }

    /// Creates a group of which this user is the owner, with these plain members.
    pub async fn create_group(
        &self,
        group: impl Into<String>,
        display_name: impl Into<String>,
        members: impl IntoIterator<Item = String>,
    ) -> Result<GroupState, RequestError> {
        let made = Group { display_name: display_name.into(), ..Group::default() };
        let members = members.into_iter().map(plain_member).collect();
        self.act_on_group(group, operation::Operation::Create(Create { group: Some(made), members })).await
    }

    /// Joins the group of an invitation.
    pub async fn join_group(&self, code: impl Into<String>) -> Result<GroupState, RequestError> {
        self.act_on_group("", operation::Operation::Join(Join { code: code.into() })).await
    }

    /// Leaves a group. The event that says so is the last thing that comes from it.
    pub async fn leave_group(&self, group: impl Into<String>) -> Result<GroupState, RequestError> {
        self.act_on_group(group, operation::Operation::Leave(Leave {})).await
    }

    /// Makes users plain members of a group, at most 1,000 at a time.
    pub async fn add_to_group(
        &self,
        group: impl Into<String>,
        users: impl IntoIterator<Item = String>,
    ) -> Result<GroupState, RequestError> {
        let members = users.into_iter().map(plain_member).collect();
        self.act_on_group(group, operation::Operation::Add(Add { members })).await
    }

    /// Takes users out of a group, at most 1,000 at a time.
    pub async fn remove_from_group(
        &self,
        group: impl Into<String>,
        users: impl IntoIterator<Item = String>,
    ) -> Result<GroupState, RequestError> {
        let users = users.into_iter().collect();
        self.act_on_group(group, operation::Operation::Remove(Remove { users })).await
    }

    /// Gives a member another role. Takes MANAGE, over members of a lower role than this user's.
    pub async fn set_group_role(
        &self,
        group: impl Into<String>,
        user: impl Into<String>,
        role: Role,
    ) -> Result<GroupState, RequestError> {
        let change = MemberChange { user: user.into(), role: Some(role.into()), ..MemberChange::default() };
        self.act_on_group(group, operation::Operation::Member(change)).await
    }

    /// Gives a member permissions beyond its role's, and takes others from it, in the place of those that were given
    /// and taken before. As [`Self::set_group_role`].
    pub async fn set_group_permissions(
        &self,
        group: impl Into<String>,
        user: impl Into<String>,
        allow: &[Permission],
        deny: &[Permission],
    ) -> Result<GroupState, RequestError> {
        let (allow, deny) = (Some(bits(allow)), Some(bits(deny)));
        let change = MemberChange { user: user.into(), role: None, allow, deny };
        self.act_on_group(group, operation::Operation::Member(change)).await
    }

    /// Changes what is set of a group's own fields, such as its name and its kind. Takes MANAGE.
    pub async fn update_group(
        &self,
        group: impl Into<String>,
        change: SettingsChange,
    ) -> Result<GroupState, RequestError> {
        self.act_on_group(group, operation::Operation::Settings(change)).await
    }

    /// Has sending to a group refused for now, or lets it go on. As [`Self::update_group`].
    pub async fn pause_group(&self, group: impl Into<String>, paused: bool) -> Result<GroupState, RequestError> {
        self.update_group(group, SettingsChange { paused: Some(paused), ..SettingsChange::default() }).await
    }

    /// Ends a group for all its members. Takes the role OWNER.
    pub async fn delete_group(&self, group: impl Into<String>) -> Result<GroupState, RequestError> {
        self.act_on_group(group, operation::Operation::Delete(Delete {})).await
    }

    /// A group of this user, and what the user is in it.
    pub async fn group(&self, group: impl Into<String>) -> Result<GroupState, RequestError> {
        self.group_state(request::Request::GetGroup(GetGroup { group: group.into() })).await
    }

    /// A page of the members of a group: up to `page_size` (0: 100, at most 1,000), from the token of the page before.
    pub async fn group_members(
        &self,
        group: impl Into<String>,
        page_size: u32,
        page_token: impl Into<String>,
    ) -> Result<Members, RequestError> {
        let request = ListMembers { group: group.into(), page_size, page_token: page_token.into() };
        match self.ask(request::Request::ListMembers(request)).await? {
            response::Response::Members(members) => Ok(members),
            _ => Err(RequestError::UnknownAnswer),
        }
    }

    /// A page of the groups that this user is in, as [`Self::group_members`].
    pub async fn groups(&self, page_size: u32, page_token: impl Into<String>) -> Result<MyGroups, RequestError> {
        let request = ListMyGroups { page_size, page_token: page_token.into() };
        match self.ask(request::Request::ListMyGroups(request)).await? {
            response::Response::MyGroups(groups) => Ok(groups),
            _ => Err(RequestError::UnknownAnswer),
        }
    }

    async fn group_state(&self, request: request::Request) -> Result<GroupState, RequestError> {
        match self.ask(request).await? {
            response::Response::Group(state) => Ok(state),
            _ => Err(RequestError::UnknownAnswer),
        }
    }
}

fn plain_member(user: String) -> Member {
    Member { user, ..Member::default() }
}

fn bits(permissions: &[Permission]) -> u32 {
    permissions.iter().fold(Permissions::NONE, |all, permission| all.with(*permission)).bits()
}
