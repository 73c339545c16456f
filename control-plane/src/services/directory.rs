//! `tidings.cluster.v1.Directory`: who a token speaks for, whether a user exists, and what changes.

use tidings_node::Shutdown;
use tidings_proto::ErrorCode;
use tidings_proto::cluster::v1::directory_server::Directory;
use tidings_proto::cluster::v1::{
    GetPolicyRequest, GetPolicyResponse, ResolveTokenRequest, ResolveTokenResponse, ResolveUserRequest,
    ResolveUserResponse, WatchRequest,
};
use tidings_proto::effective_policy::DEFAULT_POLICY;
use tonic::{Request, Response, Status};

use super::answer;
use super::auth::hash_of;
use super::watch::{WatchStream, Watchers};
use crate::metrics;
use crate::registry::read::Read;
use crate::registry::refusal::Refusal;
use crate::registry::{changes, policies, tokens, users};
use crate::replica::Replica;

/// The directory, for gateways and brokers.
#[derive(Clone)]
pub struct DirectoryService {
    replica: Replica,
    watchers: Watchers,
}

impl DirectoryService {
    /// A directory whose watches end with the shutdown.
    pub fn new(replica: Replica, shutdown: Shutdown) -> Self {
        let watchers = Watchers::new(replica.clone(), shutdown);
        Self { replica, watchers }
    }

    fn resolve(&self, state: &impl Read, request: &ResolveTokenRequest) -> Result<ResolveTokenResponse, Refusal> {
        // Read before the token, so that a change in between has a greater revision than the answer: who caches the
        // answer and has seen that change knows to ask again (promise 5).
        let revision = changes::state(state)?.revision;
        let hash = hash_of(&request.secret);
        match tokens::resolve(state, &hash, &request.app_id, self.replica.clock().now_ms()) {
            Ok((token, user)) => Ok(ResolveTokenResponse {
                refusal: ErrorCode::Unspecified as i32,
                app: token.app,
                user: token.user,
                token_id: token.id,
                expires_at_ms: token.expires_at_ms,
                revision,
                policy: user.policy,
            }),
            Err(refusal) if is_about_the_token(refusal.code) => {
                Ok(ResolveTokenResponse { refusal: refusal.code as i32, revision, ..ResolveTokenResponse::default() })
            }
            Err(refusal) => Err(refusal),
        }
    }
}

fn is_about_the_token(code: ErrorCode) -> bool {
    use ErrorCode as E;
    matches!(code, E::TokenUnknown | E::TokenExpired | E::TokenRevoked | E::TokenWrongAppId | E::UserInactive)
}

fn outcome_name(refusal: ErrorCode) -> &'static str {
    match refusal {
        ErrorCode::Unspecified => "good",
        ErrorCode::TokenUnknown => "unknown",
        ErrorCode::TokenExpired => "expired",
        ErrorCode::TokenRevoked => "revoked",
        ErrorCode::TokenWrongAppId => "wrong_app_id",
        ErrorCode::UserInactive => "user_inactive",
        _ => "other",
    }
}

#[tonic::async_trait]
impl Directory for DirectoryService {
    async fn resolve_token(
        &self,
        request: Request<ResolveTokenRequest>,
    ) -> Result<Response<ResolveTokenResponse>, Status> {
        answer("ResolveToken", async {
            let request = request.into_inner();
            let mut answer = self.resolve(&self.replica.recent()?, &request)?;
            if answer.refusal() == ErrorCode::TokenUnknown {
                // Perhaps it was made a moment ago and this replica lags: no refusal without having made sure.
                answer = self.resolve(&self.replica.current().await?, &request)?;
            }
            metrics::resolved(outcome_name(answer.refusal()));
            Ok(answer)
        })
        .await
    }

    async fn resolve_user(
        &self,
        request: Request<ResolveUserRequest>,
    ) -> Result<Response<ResolveUserResponse>, Status> {
        answer("ResolveUser", async {
            let ResolveUserRequest { app, user } = request.into_inner();
            let resolve = |state: &tidings_consensus::StateView| -> Result<ResolveUserResponse, Refusal> {
                let revision = changes::state(state)?.revision;
                let found = users::find(state, &app, &user)?;
                let exists = found.is_some();
                let active = found.as_ref().map_or(Ok(false), |user| users::is_let_in(state, user))?;
                Ok(ResolveUserResponse { exists, active, revision, policy: found.unwrap_or_default().policy })
            };
            let answer = resolve(&self.replica.recent()?)?;
            if answer.exists {
                return Ok(answer);
            }
            Ok(resolve(&self.replica.current().await?)?)
        })
        .await
    }

    async fn get_policy(&self, request: Request<GetPolicyRequest>) -> Result<Response<GetPolicyResponse>, Status> {
        answer("GetPolicy", async {
            let GetPolicyRequest { app, id } = request.into_inner();
            let id = if id.is_empty() { DEFAULT_POLICY } else { id.as_str() };
            let get = |state: &tidings_consensus::StateView| -> Result<GetPolicyResponse, Refusal> {
                let revision = changes::state(state)?.revision;
                let policy = policies::get_or_default(state, &app, id)?;
                Ok(GetPolicyResponse { policy: Some(policy), revision })
            };
            match get(&self.replica.recent()?) {
                Ok(answer) if answer.policy.as_ref().is_some_and(|policy| policy.id == id) => Ok(answer),
                // Perhaps the app or the policy was made a moment ago and this replica lags.
                _ => Ok(get(&self.replica.current().await?)?),
            }
        })
        .await
    }

    type WatchStream = WatchStream;

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<WatchStream>, Status> {
        answer("Watch", async { self.watchers.watch(request.into_inner().after_revision) }).await
    }
}
