//! A control plane in memory: tokens, users, a log of changes that watches follow and resume.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tidings_proto::ErrorCode;
use tidings_proto::cluster::v1::directory_server::{Directory, DirectoryServer};
use tidings_proto::cluster::v1::{
    Change, GetPolicyRequest, GetPolicyResponse, PolicyChanged, ResolveTokenRequest, ResolveTokenResponse,
    ResolveUserRequest, ResolveUserResponse, ShardMap, TokenRevoked, UserChanged, WatchRequest, WatchResponse, change,
};
use tidings_proto::policy::v1::Policy;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status};

use super::{APP, PATIENCE};

#[derive(Clone)]
struct Token {
    user: String,
    id: String,
    app_id: String,
    expires_at_ms: i64,
    refusal: Option<ErrorCode>,
}

#[derive(Clone)]
struct User {
    active: bool,
    policy: String,
}

struct State {
    tokens: HashMap<String, Token>,
    users: HashMap<String, User>,
    policies: HashMap<String, Policy>,
    log: Vec<Change>,
    /// Watches that resume from below this revision get a reset.
    oldest: u64,
    map: ShardMap,
}

pub struct TestDirectory {
    state: Arc<Mutex<State>>,
    revision: watch::Sender<u64>,
    pub token_calls: Arc<AtomicUsize>,
    pub user_calls: Arc<AtomicUsize>,
    /// It is of a release that has no policies.
    pub is_old: Arc<AtomicBool>,
    /// While held, questions about users are not answered.
    pub user_gate: Arc<tokio::sync::Mutex<()>>,
    address: SocketAddr,
    /// A runtime of its own: with it, connections end too.
    server: Mutex<Option<Runtime>>,
}

#[derive(Clone)]
struct Service {
    state: Arc<Mutex<State>>,
    revision: watch::Receiver<u64>,
    token_calls: Arc<AtomicUsize>,
    user_calls: Arc<AtomicUsize>,
    is_old: Arc<AtomicBool>,
    user_gate: Arc<tokio::sync::Mutex<()>>,
}

impl TestDirectory {
    pub fn start(map: ShardMap) -> Self {
        let state = State {
            tokens: HashMap::new(),
            users: HashMap::new(),
            policies: HashMap::new(),
            log: Vec::new(),
            oldest: 1,
            map,
        };
        let mut directory = Self {
            state: Arc::new(Mutex::new(state)),
            revision: watch::Sender::new(1),
            token_calls: Arc::default(),
            user_calls: Arc::default(),
            is_old: Arc::default(),
            user_gate: Arc::default(),
            address: ([127, 0, 0, 1], 0).into(),
            server: Mutex::new(None),
        };
        let listener = std::net::TcpListener::bind(directory.address).unwrap();
        directory.address = listener.local_addr().unwrap();
        directory.serve(listener);
        directory
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn serve(&self, listener: std::net::TcpListener) {
        listener.set_nonblocking(true).unwrap();
        let service = Service {
            state: self.state.clone(),
            revision: self.revision.subscribe(),
            token_calls: self.token_calls.clone(),
            user_calls: self.user_calls.clone(),
            is_old: self.is_old.clone(),
            user_gate: self.user_gate.clone(),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.spawn(async move {
            let incoming = TcpListenerStream::new(tokio::net::TcpListener::from_std(listener).unwrap());
            let server = tonic::transport::Server::builder().add_service(DirectoryServer::new(service));
            server.serve_with_incoming(incoming).await.unwrap();
        });
        *self.server.lock() = Some(runtime);
    }

    /// Goes away, with all connections.
    pub fn stop(&self) {
        if let Some(server) = self.server.lock().take() {
            let ended = std::thread::spawn(move || server.shutdown_timeout(PATIENCE));
            ended.join().unwrap();
        }
    }

    /// Comes back at the same address; `forgetful`: without the changes that watches could resume from.
    pub fn restart(&self, forgetful: bool) {
        if forgetful {
            self.state.lock().oldest = u64::MAX;
        }
        // The standard library sets SO_REUSEADDR.
        self.serve(std::net::TcpListener::bind(self.address).unwrap());
    }

    pub fn add_user(&self, user: &str) {
        self.change_user(user, |_| {});
    }

    pub fn set_active(&self, user: &str, active: bool) {
        self.change_user(user, |state| state.active = active);
    }

    /// Gives a user a policy.
    pub fn assign(&self, user: &str, policy: &str) {
        self.change_user(user, |state| policy.clone_into(&mut state.policy));
    }

    fn change_user(&self, user: &str, change: impl FnOnce(&mut User)) {
        let changed = {
            let mut state = self.state.lock();
            let new = User { active: true, policy: String::new() };
            let state = state.users.entry(user.to_owned()).or_insert(new);
            change(state);
            state.clone()
        };
        self.change(change::Change::UserChanged(UserChanged {
            app: APP.to_owned(),
            user: user.to_owned(),
            exists: true,
            active: changed.active,
            policy: changed.policy,
        }));
    }

    /// Makes or changes a policy.
    pub fn set_policy(&self, id: &str, policy: Policy) {
        self.state.lock().policies.insert(id.to_owned(), policy);
        self.change(change::Change::PolicyChanged(PolicyChanged { app: APP.to_owned(), id: id.to_owned() }));
    }

    pub fn add_token(&self, secret: &str, user: &str) {
        self.put_token(secret, user, "", 0, None);
    }

    pub fn put_token(&self, secret: &str, user: &str, app_id: &str, expires_at_ms: i64, refusal: Option<ErrorCode>) {
        let (user, id, app_id) = (user.to_owned(), format!("id-of-{secret}"), app_id.to_owned());
        self.state.lock().tokens.insert(secret.to_owned(), Token { user, id, app_id, expires_at_ms, refusal });
    }

    /// Takes a token back and says so to the watches.
    pub fn revoke(&self, secret: &str) {
        let token = self.revoke_silently(secret);
        let revoked = TokenRevoked { app: APP.to_owned(), user: token.user, token_id: token.id };
        self.change(change::Change::TokenRevoked(revoked));
    }

    fn revoke_silently(&self, secret: &str) -> Token {
        let mut state = self.state.lock();
        let token = state.tokens.get_mut(secret).unwrap();
        token.refusal = Some(ErrorCode::TokenRevoked);
        token.clone()
    }

    fn change(&self, change: change::Change) {
        let mut state = self.state.lock();
        let revision = *self.revision.borrow() + 1;
        state.log.push(Change { revision, change: Some(change) });
        drop(state);
        self.revision.send_replace(revision);
    }
}

impl Service {
    fn changes_after(&self, after: u64) -> WatchResponse {
        let revision = *self.revision.borrow();
        let state = self.state.lock();
        let changes = state.log.iter().filter(|change| change.revision > after && change.revision <= revision);
        WatchResponse { revision, changes: changes.cloned().collect(), ..WatchResponse::default() }
    }
}

#[tonic::async_trait]
impl Directory for Service {
    async fn resolve_token(
        &self,
        request: Request<ResolveTokenRequest>,
    ) -> Result<Response<ResolveTokenResponse>, Status> {
        assert_eq!(request.metadata().get("authorization").unwrap(), "Bearer the-cluster-secret");
        self.token_calls.fetch_add(1, Ordering::SeqCst);
        let revision = *self.revision.borrow();
        let (request, state) = (request.into_inner(), self.state.lock());
        let refused = |code: ErrorCode| ResolveTokenResponse { refusal: code as i32, revision, ..Default::default() };
        let answer = match state.tokens.get(&request.secret) {
            None => refused(ErrorCode::TokenUnknown),
            Some(Token { refusal: Some(code), .. }) => refused(*code),
            Some(token) if !token.app_id.is_empty() && token.app_id != request.app_id => {
                refused(ErrorCode::TokenWrongAppId)
            }
            Some(token) if !state.users[&token.user].active => refused(ErrorCode::UserInactive),
            Some(token) => ResolveTokenResponse {
                refusal: 0,
                app: APP.to_owned(),
                user: token.user.clone(),
                token_id: token.id.clone(),
                expires_at_ms: token.expires_at_ms,
                revision,
                policy: state.users[&token.user].policy.clone(),
            },
        };
        Ok(Response::new(answer))
    }

    async fn resolve_user(
        &self,
        request: Request<ResolveUserRequest>,
    ) -> Result<Response<ResolveUserResponse>, Status> {
        self.user_calls.fetch_add(1, Ordering::SeqCst);
        drop(self.user_gate.lock().await);
        let revision = *self.revision.borrow();
        let found = self.state.lock().users.get(&request.into_inner().user).cloned();
        let exists = found.is_some();
        let User { active, policy } = found.unwrap_or(User { active: false, policy: String::new() });
        Ok(Response::new(ResolveUserResponse { exists, active, revision, policy }))
    }

    async fn get_policy(&self, request: Request<GetPolicyRequest>) -> Result<Response<GetPolicyResponse>, Status> {
        if self.is_old.load(Ordering::SeqCst) {
            return Err(Status::unimplemented("GetPolicy"));
        }
        let revision = *self.revision.borrow();
        let policy = self.state.lock().policies.get(&request.into_inner().id).cloned();
        Ok(Response::new(GetPolicyResponse { policy: Some(policy.unwrap_or_default()), revision }))
    }

    type WatchStream = Pin<Box<dyn tokio_stream::Stream<Item = Result<WatchResponse, Status>> + Send>>;

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let after = request.into_inner().after_revision;
        let (sender, receiver) = tokio::sync::mpsc::channel(16);
        let mut service = self.clone();
        tokio::spawn(async move {
            let reset = after == 0 || {
                let mut state = service.state.lock();
                let lost = after < state.oldest && state.oldest == u64::MAX;
                state.oldest = 1;
                lost
            };
            let mut first = if reset { service.changes_after(u64::MAX) } else { service.changes_after(after) };
            first.reset = reset;
            first.shard_map = Some(service.state.lock().map.clone());
            let mut seen = first.revision;
            let mut told: HashSet<u64> = HashSet::new();
            if sender.send(Ok(first)).await.is_err() {
                return;
            }
            while service.revision.wait_for(|revision| *revision > seen).await.is_ok() {
                let answer = service.changes_after(seen);
                seen = answer.revision;
                assert!(answer.changes.iter().all(|change| told.insert(change.revision)));
                if sender.send(Ok(answer)).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

impl Drop for TestDirectory {
    fn drop(&mut self) {
        if let Some(server) = self.server.lock().take() {
            server.shutdown_background();
        }
    }
}
