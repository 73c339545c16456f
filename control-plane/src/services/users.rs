//! `tidings.control.v1.Users`.

use std::time::Duration;

use tidings_proto::ErrorCode;
use tidings_proto::control::v1::users_server::Users;
use tidings_proto::control::v1::{
    CreateUserRequest, DeleteUserRequest, DeleteUserResponse, GetUserRequest, ListUsersRequest, ListUsersResponse,
    UpdateUserRequest, User,
};
use tidings_proto::registry::v1::{Attributes, CreateUser, DeleteUser, UpdateUser, UserRecord, command::Command};
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use super::auth::Scope;
use super::page::{self, PageRequest};
use super::{answer, door, messages, unexpected};
use crate::registry::machine::Outcome;
use crate::registry::refusal::Refusal;
use crate::registry::{apps, erasures, keys, users};
use crate::replica::Replica;

/// How long a new user waits for one of the same id to be erased.
const ERASURE: Duration = Duration::from_secs(5);
/// How often it is looked whether that is done.
const LOOK: Duration = Duration::from_millis(50);
/// When whoever asked should ask again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Users, for backends and operators.
#[derive(Clone)]
pub struct UsersService(pub Replica);

impl UsersService {
    async fn propose(&self, command: Command) -> Result<User, Status> {
        match self.0.propose(command).await? {
            Outcome::User(user) => Ok(messages::user(user)),
            other => Err(unexpected(&other)),
        }
    }

    /// Makes a user, once a former one of the same id is erased.
    async fn create(&self, create: CreateUser) -> Result<User, Status> {
        let deadline = Instant::now() + ERASURE;
        loop {
            let refused = match self.propose(Command::CreateUser(create.clone())).await {
                Err(status) if ErrorCode::of_status(&status) == ErrorCode::Unavailable => status,
                answered => return answered,
            };
            let view = self.0.current().await?;
            if !erasures::is_waiting(&view, &create.app, &create.id)? {
                return Err(refused);
            }
            while erasures::is_waiting(&self.0.view(), &create.app, &create.id)? {
                if Instant::now() >= deadline {
                    return Err(ErrorCode::Unavailable.status_after(refused.message(), RETRY_AFTER));
                }
                tokio::time::sleep(LOOK).await;
            }
        }
    }
}

#[tonic::async_trait]
impl Users for UsersService {
    async fn create_user(&self, request: Request<CreateUserRequest>) -> Result<Response<User>, Status> {
        answer("CreateUser", async {
            let scope = Scope::of(&self.0, request.metadata())?;
            let CreateUserRequest { app, id, display_name, attributes, policy } = request.into_inner();
            let app = scope.app(&app)?;
            door::user_id("id", &id)?;
            door::display_name("display_name", &display_name)?;
            door::attributes("attributes", &attributes)?;
            door::policy_id_or_empty("policy", &policy)?;
            self.create(CreateUser { app, id, display_name, attributes, policy }).await
        })
        .await
    }

    async fn get_user(&self, request: Request<GetUserRequest>) -> Result<Response<User>, Status> {
        answer("GetUser", async {
            let scope = Scope::of(&self.0, request.metadata())?;
            let GetUserRequest { app, id } = request.into_inner();
            let app = scope.app(&app)?;
            door::user_id("id", &id)?;
            Ok(messages::user(users::get(&self.0.current().await?, &app, &id)?))
        })
        .await
    }

    async fn list_users(&self, request: Request<ListUsersRequest>) -> Result<Response<ListUsersResponse>, Status> {
        answer("ListUsers", async {
            let scope = Scope::of(&self.0, request.metadata())?;
            let ListUsersRequest { app, filter, page_size, page_token } = request.into_inner();
            let app = scope.app(&app)?;
            door::filter(&filter)?;
            let view = self.0.current().await?;
            apps::get(&view, &app)?;
            let prefix = keys::texts(keys::USER, &[&app]);
            let narrowed = [prefix.as_slice(), page::head(&filter).as_bytes()].concat();
            let wanted = |user: &UserRecord| filter.is_empty() || page::matches(&filter, &user.id);
            let page = PageRequest { size: page_size, token: &page_token };
            let (found, next_page_token) = page.list(&view, &prefix, &narrowed, wanted)?;
            Ok(ListUsersResponse { users: found.into_iter().map(messages::user).collect(), next_page_token })
        })
        .await
    }

    async fn update_user(&self, request: Request<UpdateUserRequest>) -> Result<Response<User>, Status> {
        answer("UpdateUser", async {
            let scope = Scope::of(&self.0, request.metadata())?;
            let UpdateUserRequest { user, update_mask } = request.into_inner();
            let user = user.ok_or_else(|| Refusal::invalid("user", "is missing"))?;
            let app = scope.app(&user.app)?;
            door::user_id("user.id", &user.id)?;
            let mask = door::update_mask(update_mask, &["display_name", "attributes", "active", "policy"])?;
            let mut update = UpdateUser { app, id: user.id, ..UpdateUser::default() };
            if mask.contains("display_name") {
                door::display_name("user.display_name", &user.display_name)?;
                update.display_name = Some(user.display_name);
            }
            if mask.contains("attributes") {
                door::attributes("user.attributes", &user.attributes)?;
                update.attributes = Some(Attributes { entries: user.attributes });
            }
            if mask.contains("active") {
                update.active = Some(user.active);
            }
            if mask.contains("policy") {
                door::policy_id_or_empty("user.policy", &user.policy)?;
                update.policy = Some(user.policy);
            }
            self.propose(Command::UpdateUser(update)).await
        })
        .await
    }

    async fn delete_user(&self, request: Request<DeleteUserRequest>) -> Result<Response<DeleteUserResponse>, Status> {
        answer("DeleteUser", async {
            let scope = Scope::of(&self.0, request.metadata())?;
            let DeleteUserRequest { app, id } = request.into_inner();
            let app = scope.app(&app)?;
            door::user_id("id", &id)?;
            match self.0.propose(Command::DeleteUser(DeleteUser { app, id })).await? {
                Outcome::Deleted(_) => Ok(DeleteUserResponse {}),
                other => Err(unexpected(&other)),
            }
        })
        .await
    }
}
