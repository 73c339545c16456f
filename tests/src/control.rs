//! Users, tokens, keys and policies over the control plane's gRPC.

use futures_util::{StreamExt as _, stream};
use prost_types::FieldMask;
use tidings_audit::operator::{self, Service};
use tidings_proto::control::v1::api_keys_client::ApiKeysClient;
use tidings_proto::control::v1::apps_client::AppsClient;
use tidings_proto::control::v1::groups_client::GroupsClient;
use tidings_proto::control::v1::mailboxes_client::MailboxesClient;
use tidings_proto::control::v1::messages_client::MessagesClient;
use tidings_proto::control::v1::policies_client::PoliciesClient;
use tidings_proto::control::v1::tokens_client::TokensClient;
use tidings_proto::control::v1::users_client::UsersClient;
use tidings_proto::control::v1::{
    AddMembersRequest, App, CreateAppRequest, CreateGroupRequest, CreateInviteRequest, CreatePolicyRequest,
    CreateTokenRequest, CreateUserRequest, DeleteGroupRequest, DeleteUserRequest, Group, Invite, Member,
    RemoveMembersRequest, RevokeTokenRequest, SendMessageRequest, SentMessage, Token, UpdateAppRequest,
    UpdateGroupRequest, UpdateMemberRequest, UpdatePolicyRequest, UpdateUserRequest, User,
};
use tidings_proto::group::v1::Role;
use tidings_proto::message::v1::Content;
use tidings_proto::policy::v1::Policy;

use crate::{DEADLINE, within};

/// Requests at a time.
const REQUESTS: usize = 64;

/// The control plane, called with one key.
#[derive(Debug, Clone)]
pub struct Control {
    /// Calls about apps.
    pub apps: AppsClient<Service>,
    /// Calls about users.
    pub users: UsersClient<Service>,
    /// Calls about groups.
    pub groups: GroupsClient<Service>,
    /// Calls about tokens.
    pub tokens: TokensClient<Service>,
    /// Calls about keys.
    pub keys: ApiKeysClient<Service>,
    /// Messages of backends.
    pub messages: MessagesClient<Service>,
    /// What users see.
    pub mailboxes: MailboxesClient<Service>,
    /// Calls about policies.
    pub policies: PoliciesClient<Service>,
}

impl Control {
    /// Connects.
    pub async fn connect(url: &str, key: &str) -> Self {
        let service = operator::connect(url, key).await.expect("the control plane");
        Self {
            apps: AppsClient::new(service.clone()),
            users: UsersClient::new(service.clone()),
            groups: GroupsClient::new(service.clone()),
            tokens: TokensClient::new(service.clone()),
            keys: ApiKeysClient::new(service.clone()),
            messages: MessagesClient::new(service.clone()),
            mailboxes: MailboxesClient::new(service.clone()),
            policies: PoliciesClient::new(service),
        }
    }

    /// A new app with a user; a token for it.
    pub async fn user_of(&self, app: &str, id: &str) -> String {
        let create = CreateAppRequest { id: app.to_owned(), ..CreateAppRequest::default() };
        self.apps.clone().create_app(create).await.expect("an app is created");
        let create = CreateUserRequest { app: app.to_owned(), id: id.to_owned(), ..CreateUserRequest::default() };
        self.users.clone().create_user(create).await.expect("a user is created");
        let create = CreateTokenRequest { app: app.to_owned(), user: id.to_owned(), ..CreateTokenRequest::default() };
        self.create_token(create).await.1
    }

    /// Lets the users of an app in, or not.
    pub async fn set_app_active(&self, id: &str, active: bool) {
        let app = Some(App { id: id.to_owned(), active, ..App::default() });
        let update_mask = Some(prost_types::FieldMask { paths: vec!["active".to_owned()] });
        self.apps.clone().update_app(UpdateAppRequest { app, update_mask }).await.expect("an app is changed");
    }

    /// A new user of the default app, and a token for it.
    pub async fn user(&self, id: &str) -> String {
        let request = CreateUserRequest { id: id.to_owned(), ..CreateUserRequest::default() };
        self.users.clone().create_user(request).await.expect("a user is created");
        self.token(id).await.1
    }

    /// A new token: what the registry says of it, and the secret.
    pub async fn token(&self, user: &str) -> (Token, String) {
        self.create_token(CreateTokenRequest { user: user.to_owned(), ..CreateTokenRequest::default() }).await
    }

    /// A new token as asked for.
    pub async fn create_token(&self, request: CreateTokenRequest) -> (Token, String) {
        let created = self.tokens.clone().create_token(request).await.expect("a token is created").into_inner();
        (created.token.expect("the answer holds the token"), created.secret)
    }

    /// Revokes a token.
    pub async fn revoke(&self, token: &Token) {
        let request = RevokeTokenRequest { app: token.app.clone(), user: token.user.clone(), id: token.id.clone() };
        self.tokens.clone().revoke_token(request).await.expect("a token is revoked");
    }

    /// Users of the default app, many at a time.
    pub async fn create_users(&self, ids: Vec<String>) {
        let creating = ids.into_iter().map(|id| {
            let mut users = self.users.clone();
            async move { users.create_user(CreateUserRequest { id, ..CreateUserRequest::default() }).await.map(drop) }
        });
        let mut created = stream::iter(creating).buffer_unordered(REQUESTS);
        while let Some(user) = created.next().await {
            user.expect("a user is created");
        }
    }

    /// A group of the default app. Its first member is its owner.
    pub async fn group(&self, id: &str, users: &[&str]) {
        let group = Some(Group { id: id.to_owned(), ..Group::default() });
        let mut members: Vec<_> = users.iter().map(|user| member(user)).collect();
        members[0].role = Role::Owner.into();
        self.groups.clone().create_group(CreateGroupRequest { group, members }).await.expect("a group is created");
    }

    /// Puts users into a group.
    pub async fn add(&self, group: &str, users: &[&str]) {
        let members = users.iter().map(|user| member(user)).collect();
        let request = AddMembersRequest { group: group.to_owned(), members, ..AddMembersRequest::default() };
        self.groups.clone().add_members(request).await.expect("members are added");
    }

    /// Takes users out of a group.
    pub async fn remove(&self, group: &str, users: &[&str]) {
        let users = users.iter().map(|user| (*user).to_owned()).collect();
        let request = RemoveMembersRequest { group: group.to_owned(), users, ..RemoveMembersRequest::default() };
        self.groups.clone().remove_members(request).await.expect("members are removed");
    }

    /// Changes these fields of a group.
    pub async fn set_group(&self, group: Group, fields: &[&str]) {
        let request = UpdateGroupRequest { group: Some(group), update_mask: mask(fields) };
        self.groups.clone().update_group(request).await.expect("a group is changed");
    }

    /// Changes these fields of a member of a group.
    pub async fn set_member(&self, group: &str, member: Member, fields: &[&str]) {
        let (group, update_mask) = (group.to_owned(), mask(fields));
        let request = UpdateMemberRequest { group, member: Some(member), update_mask, ..Default::default() };
        self.groups.clone().update_member(request).await.expect("a member is changed");
    }

    /// Makes an invitation.
    pub async fn invite(&self, invite: Invite) {
        let request = CreateInviteRequest { invite: Some(invite) };
        self.groups.clone().create_invite(request).await.expect("an invitation is made");
    }

    /// Deletes a group.
    pub async fn delete_group(&self, id: &str) {
        let request = DeleteGroupRequest { id: id.to_owned(), ..DeleteGroupRequest::default() };
        self.groups.clone().delete_group(request).await.expect("a group is deleted");
    }

    /// Deletes a user.
    pub async fn delete_user(&self, id: &str) {
        let request = DeleteUserRequest { id: id.to_owned(), ..DeleteUserRequest::default() };
        self.users.clone().delete_user(request).await.expect("a user is deleted");
    }

    /// Sends something to a user of an app as the system.
    pub async fn post(&self, app: &str, to: &str, text: &str) {
        let content = Some(Content { text: text.to_owned(), ..Content::default() });
        let (app, to) = (app.to_owned(), to.to_owned());
        let request = SendMessageRequest { app, to, content, ..SendMessageRequest::default() };
        self.messages.clone().send_message(request).await.expect("it is sent");
    }

    /// Sends a message with a request id, until it is accepted: while leaders change it may not be.
    pub async fn send_once(&self, request: SendMessageRequest) -> SentMessage {
        within(DEADLINE, "a backend's message is accepted", async {
            loop {
                if let Ok(sent) = self.messages.clone().send_message(request.clone()).await {
                    return sent.into_inner();
                }
            }
        })
        .await
    }

    /// Lets a user in, or out.
    pub async fn set_active(&self, id: &str, active: bool) {
        self.update_user(User { id: id.to_owned(), active, ..User::default() }, "active").await;
    }

    /// Makes a policy.
    pub async fn create_policy(&self, policy: Policy) {
        let request = CreatePolicyRequest { policy: Some(policy) };
        self.policies.clone().create_policy(request).await.expect("a policy is created");
    }

    /// Changes these fields of a policy.
    pub async fn set_policy(&self, policy: Policy, fields: &[&str]) {
        let request = UpdatePolicyRequest { policy: Some(policy), update_mask: mask(fields) };
        self.policies.clone().update_policy(request).await.expect("a policy is changed");
    }

    /// Gives a user another policy; an empty one is `default`.
    pub async fn assign_policy(&self, id: &str, policy: &str) {
        self.update_user(User { id: id.to_owned(), policy: policy.to_owned(), ..User::default() }, "policy").await;
    }

    async fn update_user(&self, user: User, field: &str) {
        let request = UpdateUserRequest { user: Some(user), update_mask: mask(&[field]) };
        self.users.clone().update_user(request).await.expect("a user is changed");
    }
}

fn mask(fields: &[&str]) -> Option<FieldMask> {
    Some(FieldMask { paths: fields.iter().map(ToString::to_string).collect() })
}

fn member(user: &str) -> Member {
    Member { user: user.to_owned(), ..Member::default() }
}
