//! One control plane in a folder, served on loopback, and clients of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use tidings_consensus::{Engine, EngineOptions};
use tidings_control_plane::{ControlPlane, ControlPlaneConfig, ControlPlaneOptions, Founding, OperatorKey, Standing};
use tidings_node::membership::{MemberClient, Membership};
use tidings_node::secret::Secret;
use tidings_node::{Clock, Dialer, Health, Shutdown, Tasks};
use tidings_proto::ErrorCode;
use tidings_proto::cluster::v1::directory_client::DirectoryClient;
use tidings_proto::cluster::v1::nodes_client::NodesClient;
use tidings_proto::cluster::v1::{HeartbeatRequest, ResolveTokenRequest, ResolveTokenResponse, ShardMap};
use tidings_proto::control::v1::api_keys_client::ApiKeysClient;
use tidings_proto::control::v1::apps_client::AppsClient;
use tidings_proto::control::v1::tokens_client::TokensClient;
use tidings_proto::control::v1::users_client::UsersClient;
use tidings_proto::control::v1::{CreateTokenRequest, CreateTokenResponse, CreateUserRequest, User};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint, Server};

pub type Authorized = InterceptedService<Channel, MemberClient>;

/// How long anything may take here.
pub const DEADLINE: Duration = Duration::from_secs(10);

pub struct Running {
    pub control_plane: ControlPlane,
    pub health: Health,
    pub cluster_secret: Secret,
    pub operator: Secret,
    pub operator_key: OperatorKey,
    pub channel: Channel,
    shutdown: Shutdown,
    tasks: Tasks,
    engine: Engine,
}

pub fn config(shards: u32) -> ControlPlaneConfig {
    ControlPlaneConfig { shards, ..ControlPlaneConfig::default() }
}

/// Of the test's cluster.
pub fn membership(secret: &Secret) -> Membership {
    Membership::new("test", secret.clone()).unwrap()
}

/// Node 1 alone.
pub fn founding(folder: &Path) -> Founding {
    let founders = BTreeMap::from([(1, "127.0.0.1:1".to_owned())]);
    Founding { me: 1, founders, others: Vec::new(), marker: folder.join("founder") }
}

impl Running {
    /// Starts on a folder, by a clock that stands still.
    pub async fn start(folder: &Path, clock: &Clock) -> Self {
        let (shutdown, health) = (Shutdown::new(), Health::new());
        let mut options = EngineOptions::new(folder.join("consensus"), 1, "test");
        options.clock = clock.clone();
        let engine = Engine::open(options).unwrap();
        let cluster_secret = Secret::load_or_create(&folder.join("cluster.secret")).unwrap();
        let options = ControlPlaneOptions {
            engine: engine.clone(),
            config: config(4),
            clock: clock.clone(),
            membership: membership(&cluster_secret),
            dialer: Dialer::default(),
            shutdown: shutdown.clone(),
            health: health.clone(),
            founding: founding(folder),
        };
        let control_plane = ControlPlane::start(options).await.unwrap();
        control_plane.enter(Standing::Founder).await.unwrap();
        let key_file = folder.join("operator.key");
        let operator_key = control_plane.ensure_operator_key(&key_file, 1).await.unwrap();
        let operator = Secret::load(&key_file).unwrap().unwrap();

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = control_plane.add_node_services(control_plane.backend_routes().unwrap());
        let mut tasks = Tasks::new(shutdown.clone());
        let stop = shutdown.clone();
        let server = Server::builder().add_routes(routes);
        tasks.spawn_fallible("grpc", async move {
            server.serve_with_incoming_shutdown(TcpListenerStream::new(listener), stop.requested()).await
        });
        tasks.spawn("control plane", control_plane.clone().run());
        let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
        Self { control_plane, health, cluster_secret, operator, operator_key, channel, shutdown, tasks, engine }
    }

    /// Stops as a process would.
    pub async fn stop(self) {
        drop(self.channel);
        self.shutdown.request();
        let ended = self.tasks.join_within(DEADLINE).await;
        assert!(ended.is_clean(), "{ended:?}");
        self.engine.shutdown().await;
    }

    /// Shows a secret: the cluster's, or an API key.
    pub fn with(&self, secret: &Secret) -> Authorized {
        InterceptedService::new(self.channel.clone(), MemberClient::new(&membership(secret)))
    }

    pub fn apps(&self, secret: &Secret) -> AppsClient<Authorized> {
        AppsClient::new(self.with(secret))
    }

    pub fn users(&self, secret: &Secret) -> UsersClient<Authorized> {
        UsersClient::new(self.with(secret))
    }

    pub fn tokens(&self, secret: &Secret) -> TokensClient<Authorized> {
        TokensClient::new(self.with(secret))
    }

    pub fn api_keys(&self, secret: &Secret) -> ApiKeysClient<Authorized> {
        ApiKeysClient::new(self.with(secret))
    }

    pub fn directory(&self) -> DirectoryClient<Authorized> {
        DirectoryClient::new(self.with(&self.cluster_secret))
    }

    pub fn nodes(&self) -> NodesClient<Authorized> {
        NodesClient::new(self.with(&self.cluster_secret))
    }

    /// Registers a broker, and waits for the map in which every shard has replicas.
    pub async fn placed(&self, broker: HeartbeatRequest) -> ShardMap {
        let placed = async {
            loop {
                let map = self.nodes().heartbeat(broker.clone()).await.unwrap().into_inner().shard_map.unwrap();
                if map.shards.iter().all(|shard| !shard.replicas.is_empty()) {
                    return map;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(DEADLINE, placed).await.expect("the shards are placed")
    }

    pub async fn create_user(&self, id: &str) -> User {
        let request = CreateUserRequest { id: id.to_owned(), ..CreateUserRequest::default() };
        self.users(&self.operator).create_user(request).await.unwrap().into_inner()
    }

    pub async fn create_token(&self, user: &str, app_id: &str, ttl_seconds: u64) -> CreateTokenResponse {
        let (user, app_id) = (user.to_owned(), app_id.to_owned());
        let request = CreateTokenRequest { user, app_id, ttl_seconds, ..CreateTokenRequest::default() };
        self.tokens(&self.operator).create_token(request).await.unwrap().into_inner()
    }

    pub async fn resolve(&self, secret: &str, app_id: &str) -> ResolveTokenResponse {
        let request = ResolveTokenRequest { secret: secret.to_owned(), app_id: app_id.to_owned() };
        self.directory().resolve_token(request).await.unwrap().into_inner()
    }

    pub async fn refusal(&self, secret: &str, app_id: &str) -> ErrorCode {
        self.resolve(secret, app_id).await.refusal()
    }
}

/// The code of a refused call.
pub fn code<T: std::fmt::Debug>(outcome: Result<tonic::Response<T>, tonic::Status>) -> ErrorCode {
    ErrorCode::of_status(&outcome.unwrap_err())
}
