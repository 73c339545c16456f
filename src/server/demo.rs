//! Sign-in by a name alone, in `standalone` only: people who try it out on their own machine need no command line.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use tidings_control_plane::ControlPlane;
use tidings_gateway::{Accounts, Demo, GatewayConfig, SignedIn};
use tidings_node::Section;
use tidings_proto::ErrorCode;
use tidings_proto::control::v1::tokens_client::TokensClient;
use tidings_proto::control::v1::users_client::UsersClient;
use tidings_proto::control::v1::{
    CreateTokenRequest, CreateUserRequest, GetUserRequest, ListTokensRequest, ListUsersRequest, RevokeTokenRequest,
};
use tidings_proto::ids::MAX_ID_BYTES;
use tonic::metadata::MetadataValue;
use tonic::service::Routes;
use tonic::{Code, Request, Status};

use super::Process;

const APP: &str = "default";
/// Marks the users who were made here; only these can sign in without a password.
const MADE_HERE: &str = "demo";
/// Users of the app, from which on no further ones are made.
const MAX_USERS: usize = 1_000;
const TOKEN_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

/// The `[demo]` section.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct DemoConfig {
    /// Whether anybody who opens the page of a `standalone` node signs in with a name alone. Not set: where the node
    /// listens on this machine only. No other role ever does.
    pub sign_in: Option<bool>,
}

impl Section for DemoConfig {
    const NAME: &'static str = "demo";
}

/// What the gateway of this standalone node offers, if it does.
pub fn open(process: &Process, control_plane: &ControlPlane) -> Result<Option<Demo>> {
    let DemoConfig { sign_in } = process.config.section()?;
    let is_local = process.config.section::<GatewayConfig>()?.listen.ip().is_loopback();
    if !sign_in.unwrap_or(is_local) {
        return Ok(None);
    }
    let desk =
        People { services: control_plane.backend_routes()?, key_file: process.cluster.data.join("operator.key") };
    Ok(Some(Demo { accounts: Arc::new(desk), app: APP.to_owned(), any_host: sign_in == Some(true) && !is_local }))
}

/// Makes users and tokens as a backend does, within this process.
struct People {
    services: Routes,
    key_file: PathBuf,
}

impl Accounts for People {
    fn sign_in(&self, name: String) -> BoxFuture<'_, Result<SignedIn, Status>> {
        Box::pin(async move {
            let user = user_id(&name).ok_or_else(|| {
                ErrorCode::InvalidArgument.status("a name holds at least one letter or digit, and is not too long")
            })?;
            self.user(&user, &name).await?;
            let token = match self.token(&user).await {
                // As many live tokens as there may be: the oldest one goes.
                Err(status) if status.code() == Code::FailedPrecondition => {
                    self.revoke_oldest(&user).await?;
                    self.token(&user).await?
                }
                answer => answer?,
            };
            Ok(SignedIn { app: APP.to_owned(), user, token })
        })
    }
}

impl People {
    /// With the operator's key, which may have been changed since the last time.
    fn request<T>(&self, message: T) -> Result<Request<T>, Status> {
        let unreadable = |_| ErrorCode::Unavailable.status("the operator's key cannot be read");
        let key = std::fs::read_to_string(&self.key_file).map_err(unreadable)?;
        let bearer = MetadataValue::try_from(format!("Bearer {}", key.trim()));
        let mut request = Request::new(message);
        request
            .metadata_mut()
            .insert("authorization", bearer.map_err(|_| ErrorCode::Unavailable.status("the operator's key is none"))?);
        Ok(request)
    }

    async fn user(&self, id: &str, name: &str) -> Result<(), Status> {
        let mut users = UsersClient::new(self.services.clone());
        let get = GetUserRequest { app: APP.to_owned(), id: id.to_owned() };
        match users.get_user(self.request(get)?).await {
            Ok(found) if found.get_ref().attributes.contains_key(MADE_HERE) => return Ok(()),
            Ok(_) => {
                let message =
                    "this user has a token of its own, and cannot sign in with a name alone; take another name";
                return Err(ErrorCode::PermissionDenied.status(message));
            }
            Err(status) if status.code() == Code::NotFound => {}
            Err(status) => return Err(status),
        }
        let list = ListUsersRequest { app: APP.to_owned(), page_size: 1_000, ..ListUsersRequest::default() };
        if users.list_users(self.request(list)?).await?.get_ref().users.len() >= MAX_USERS {
            return Err(ErrorCode::Overloaded.status("the demo has as many users as it may have"));
        }
        let create = CreateUserRequest {
            app: APP.to_owned(),
            id: id.to_owned(),
            display_name: name.to_owned(),
            attributes: [(MADE_HERE.to_owned(), "true".to_owned())].into(),
            policy: String::new(),
        };
        match users.create_user(self.request(create)?).await {
            // Two of the same name at the same time, written differently.
            Err(status) if status.code() == Code::AlreadyExists => Ok(()),
            answer => answer.map(drop),
        }
    }

    async fn token(&self, user: &str) -> Result<String, Status> {
        let create = CreateTokenRequest {
            app: APP.to_owned(),
            user: user.to_owned(),
            ttl_seconds: TOKEN_LIFE.as_secs(),
            ..CreateTokenRequest::default()
        };
        let created = TokensClient::new(self.services.clone()).create_token(self.request(create)?).await?;
        Ok(created.into_inner().secret)
    }

    async fn revoke_oldest(&self, user: &str) -> Result<(), Status> {
        let mut tokens = TokensClient::new(self.services.clone());
        let (app, user) = (APP.to_owned(), user.to_owned());
        let list = ListTokensRequest { app: app.clone(), user: user.clone(), page_size: 1_000, ..Default::default() };
        let found = tokens.list_tokens(self.request(list)?).await?.into_inner().tokens;
        let live = found.into_iter().filter(|token| token.revoked_at.is_none());
        let oldest = live.min_by_key(|token| token.created_at.map_or((0, 0), |at| (at.seconds, at.nanos)));
        if let Some(oldest) = oldest {
            tokens.revoke_token(self.request(RevokeTokenRequest { app, user, id: oldest.id })?).await?;
        }
        Ok(())
    }
}

/// The id of a user with this name: its letters and digits in small, and a '-' for all else in between.
fn user_id(name: &str) -> Option<String> {
    let mut id = String::new();
    for word in name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        if !id.is_empty() {
            id.push('-');
        }
        id.extend(word.chars().flat_map(char::to_lowercase));
    }
    (1..=MAX_ID_BYTES).contains(&id.len()).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_ids() {
        for (name, id) in [
            ("Ada", Some("ada")),
            ("Ada Lovelace", Some("ada-lovelace")),
            ("  O'Neil, Ann ", Some("o-neil-ann")),
            ("Алиса", Some("алиса")),
            ("山田", Some("山田")),
            ("../../etc", Some("etc")),
            ("!?", None),
            ("", None),
        ] {
            assert_eq!(user_id(name).as_deref(), id, "{name}");
        }
        assert_eq!(user_id(&"ж".repeat(31)).map(|id| id.len()), Some(62));
        assert_eq!(user_id(&"ж".repeat(32)), None);
    }
}
