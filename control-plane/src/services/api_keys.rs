//! `tidings.control.v1.ApiKeys`. A key of one app may make, list and revoke keys of that app.

use tidings_node::secret::Secret;
use tidings_proto::ErrorCode;
use tidings_proto::control::v1::api_keys_server::ApiKeys;
use tidings_proto::control::v1::{
    ApiKey, CreateApiKeyRequest, CreateApiKeyResponse, ListApiKeysRequest, ListApiKeysResponse, RevokeApiKeyRequest,
};
use tidings_proto::registry::v1::{ApiKeyRecord, CreateApiKey, RevokeApiKey, command::Command};
use tonic::{Request, Response, Status};

use super::auth::{API_KEY_PREFIX, Scope, hash_of};
use super::page::PageRequest;
use super::{answer, door, messages, unexpected};
use crate::registry::machine::Outcome;
use crate::registry::{api_keys, keys};
use crate::replica::Replica;

/// API keys, for backends and operators.
#[derive(Clone)]
pub struct ApiKeysService(pub Replica);

impl ApiKeysService {
    async fn propose(&self, command: Command) -> Result<ApiKey, Status> {
        match self.0.propose(command).await? {
            Outcome::ApiKey(key) => Ok(messages::api_key(key)),
            other => Err(unexpected(&other)),
        }
    }
}

/// Which keys a request is about. Unlike elsewhere an empty name is not the default app: it stands for all.
fn app_of(scope: &Scope, named: &str) -> Result<String, Status> {
    match scope {
        Scope::Operator if named.is_empty() => Ok(api_keys::OPERATOR.to_owned()),
        _ => scope.app(named),
    }
}

#[tonic::async_trait]
impl ApiKeys for ApiKeysService {
    async fn create_api_key(
        &self,
        request: Request<CreateApiKeyRequest>,
    ) -> Result<Response<CreateApiKeyResponse>, Status> {
        answer("CreateApiKey", async {
            let scope = Scope::of(&self.0, request.metadata())?;
            let CreateApiKeyRequest { app, display_name, request_id } = request.into_inner();
            if app.is_empty() {
                // An app's key that asks for an operator's is refused, not given one of its own app.
                scope.operator()?;
            }
            let app = app_of(&scope, &app)?;
            door::display_name("display_name", &display_name)?;
            door::label("request_id", &request_id)?;
            let secret = Secret::random(API_KEY_PREFIX);
            let hash = hash_of(secret.expose());
            let create = CreateApiKey { app, display_name, request_id, hash, replace: false };
            let key = self.propose(Command::CreateApiKey(create)).await?;
            Ok(CreateApiKeyResponse { key: Some(key), secret: secret.expose().to_owned() })
        })
        .await
    }

    async fn list_api_keys(
        &self,
        request: Request<ListApiKeysRequest>,
    ) -> Result<Response<ListApiKeysResponse>, Status> {
        answer("ListApiKeys", async {
            let scope = Scope::of(&self.0, request.metadata())?;
            let ListApiKeysRequest { app, page_size, page_token } = request.into_inner();
            let prefix = match app_of(&scope, &app)?.as_str() {
                "" => keys::single(keys::API_KEY),
                app => keys::texts(keys::API_KEY, &[app]),
            };
            let page = PageRequest { size: page_size, token: &page_token };
            let view = self.0.current().await?;
            let (found, next_page_token) = page.list(&view, &prefix, &prefix, |_: &ApiKeyRecord| true)?;
            Ok(ListApiKeysResponse { keys: found.into_iter().map(messages::api_key).collect(), next_page_token })
        })
        .await
    }

    async fn revoke_api_key(&self, request: Request<RevokeApiKeyRequest>) -> Result<Response<ApiKey>, Status> {
        answer("RevokeApiKey", async {
            let scope = Scope::of(&self.0, request.metadata())?;
            let id = request.into_inner().id;
            let key = api_keys::get(&self.0.current().await?, &id)?;
            // A key's app never changes: what is checked here still holds when the command is applied.
            if scope != Scope::Operator && scope != Scope::App(key.app) {
                return Err(ErrorCode::PermissionDenied.status("this API key is of another app"));
            }
            self.propose(Command::RevokeApiKey(RevokeApiKey { id })).await
        })
        .await
    }
}
