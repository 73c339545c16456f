//! `tidings.control.v1.Tokens`.

use tidings_node::secret::Secret;
use tidings_proto::control::v1::tokens_server::Tokens;
use tidings_proto::control::v1::{
    CreateTokenRequest, CreateTokenResponse, ListTokensRequest, ListTokensResponse, RevokeTokenRequest, Token,
};
use tidings_proto::registry::v1::{CreateToken, RevokeToken, TokenRecord, command::Command};
use tonic::{Request, Response, Status};

use super::auth::{Scope, TOKEN_PREFIX, hash_of};
use super::page::PageRequest;
use super::{answer, door, messages, unexpected};
use crate::registry::machine::Outcome;
use crate::registry::{apps, keys};
use crate::replica::Replica;

/// Users' tokens, for backends and operators.
#[derive(Clone)]
pub struct TokensService(pub Replica);

impl TokensService {
    async fn propose(&self, command: Command) -> Result<Token, Status> {
        match self.0.propose(command).await? {
            Outcome::Token(token) => Ok(messages::token(token)),
            other => Err(unexpected(&other)),
        }
    }
}

#[tonic::async_trait]
impl Tokens for TokensService {
    async fn create_token(
        &self,
        request: Request<CreateTokenRequest>,
    ) -> Result<Response<CreateTokenResponse>, Status> {
        answer("CreateToken", async {
            let scope = Scope::of(&self.0, request.metadata())?;
            let CreateTokenRequest { app, user, app_id, ttl_seconds, request_id } = request.into_inner();
            let app = scope.app(&app)?;
            door::user_id("user", &user)?;
            door::label("app_id", &app_id)?;
            door::ttl_seconds("ttl_seconds", ttl_seconds)?;
            door::label("request_id", &request_id)?;
            // Made here, because applying a command is deterministic; the registry sees the hash alone.
            let secret = Secret::random(TOKEN_PREFIX);
            let hash = hash_of(secret.expose());
            let create = CreateToken { app, user, app_id, ttl_seconds, request_id, hash };
            let token = self.propose(Command::CreateToken(create)).await?;
            Ok(CreateTokenResponse { token: Some(token), secret: secret.expose().to_owned() })
        })
        .await
    }

    async fn list_tokens(&self, request: Request<ListTokensRequest>) -> Result<Response<ListTokensResponse>, Status> {
        answer("ListTokens", async {
            let scope = Scope::of(&self.0, request.metadata())?;
            let ListTokensRequest { app, user, page_size, page_token } = request.into_inner();
            let app = scope.app(&app)?;
            let view = self.0.current().await?;
            apps::get(&view, &app)?;
            let prefix = match user.as_str() {
                "" => keys::texts(keys::TOKEN, &[&app]),
                user => {
                    door::user_id("user", user)?;
                    keys::texts(keys::TOKEN, &[&app, user])
                }
            };
            let page = PageRequest { size: page_size, token: &page_token };
            let (found, next_page_token) = page.list(&view, &prefix, &prefix, |_: &TokenRecord| true)?;
            Ok(ListTokensResponse { tokens: found.into_iter().map(messages::token).collect(), next_page_token })
        })
        .await
    }

    async fn revoke_token(&self, request: Request<RevokeTokenRequest>) -> Result<Response<Token>, Status> {
        answer("RevokeToken", async {
            let scope = Scope::of(&self.0, request.metadata())?;
            let RevokeTokenRequest { app, user, id } = request.into_inner();
            let app = scope.app(&app)?;
            door::user_id("user", &user)?;
            self.propose(Command::RevokeToken(RevokeToken { app, user, id })).await
        })
        .await
    }
}
