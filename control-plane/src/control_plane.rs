//! The control plane of one node: a handle that a process starts, mounts on its gRPC servers, and runs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tidings_consensus::{Engine, GroupId, NodeId, ProposeError};
use tidings_limits::{Limits, Shared};
use tidings_node::health::Component;
use tidings_node::membership::{MemberServer, Membership};
use tidings_node::secret::Secret;
use tidings_node::{Clock, Dialer, Health, Shutdown};
use tidings_proto::cluster::v1::directory_server::DirectoryServer;
use tidings_proto::cluster::v1::groups_server::GroupsServer as GroupDirectoryServer;
use tidings_proto::cluster::v1::nodes_server::NodesServer;
use tidings_proto::cluster::v1::registry_server::RegistryServer;
use tidings_proto::control::v1::api_keys_server::ApiKeysServer;
use tidings_proto::control::v1::apps_server::AppsServer;
use tidings_proto::control::v1::cluster_server::ClusterServer;
use tidings_proto::control::v1::groups_server::GroupsServer;
use tidings_proto::control::v1::mailboxes_server::MailboxesServer;
use tidings_proto::control::v1::messages_server::MessagesServer;
use tidings_proto::control::v1::policies_server::PoliciesServer;
use tidings_proto::control::v1::tokens_server::TokensServer;
use tidings_proto::control::v1::users_server::UsersServer;
use tidings_proto::registry::v1::{Bootstrap, CreateApiKey, Sweep, Swept, command::Command};
use tokio::time::{Instant, MissedTickBehavior};
use tonic::service::Routes;
use tonic::service::interceptor::InterceptedService;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::controller::Controller;
use crate::founding::{Founding, Standing};
use crate::leases::Leases;
use crate::peers::Peers;
use crate::registry::machine::{Outcome, RegistryMachine, encode_command};
use crate::registry::{api_keys, cluster, sweep};
use crate::replica::Replica;
use crate::rest::Rest;
use crate::services::auth::{API_KEY_PREFIX, hash_of};
use crate::services::group_directory::GroupDirectoryService;
use crate::services::groups::{self, GroupsService};
use crate::services::mailboxes::MailboxesService;
use crate::services::nodes::{MAX_HEARTBEAT_BYTES, NodesService};
use crate::services::policies::PoliciesService;
use crate::services::sending::{MAX_POST_BYTES, MessagesService};
use crate::services::{
    MAX_COMMAND_BYTES, MAX_REQUEST_BYTES, api_keys::ApiKeysService, apps::AppsService, directory::DirectoryService,
};
use crate::services::{cluster::ClusterService, registry::RegistryService, tokens::TokensService, users::UsersService};
use crate::{ControlPlaneConfig, Error, metrics};

/// The consensus group of the control plane. Shards have the groups from 0 on, at most 4,096 of them.
pub const GROUP: GroupId = GroupId(1_000_000);

/// Users in whose name backends send, and whose rates are remembered.
const LIMITED_USERS: usize = 100_000;
/// How often the start says that it waits for a leader.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the leader looks for what is due to be swept.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);
/// Sweep commands in a row, at most; writes of others come in between.
const SWEEPS_IN_A_ROW: usize = 20;
/// The services whose state gRPC's health service tells; the empty name is the whole.
const HEALTH_NAMES: &[&str] = &["", "tidings.control.v1.Users", "tidings.cluster.v1.Directory"];

/// What became of the operator's key file.
#[derive(Debug)]
pub enum OperatorKey {
    /// The file is there and its key is good.
    Present,
    /// The file was missing: a key was made and written. The key that an earlier file of this node held is revoked.
    Made,
    /// The file is there, but the registry does not take its key, for this reason. It was left alone.
    Refused(String),
}

/// What a control plane is started with.
pub struct ControlPlaneOptions {
    pub engine: Engine,
    pub config: ControlPlaneConfig,
    pub clock: Clock,
    /// What nodes show each other, and how they reach each other.
    pub membership: Membership,
    pub dialer: Dialer,
    pub shutdown: Shutdown,
    pub health: Health,
    pub founding: Founding,
}

/// This node's control plane. Cheap to clone.
#[derive(Clone)]
pub struct ControlPlane {
    replica: Replica,
    config: ControlPlaneConfig,
    membership: Membership,
    shutdown: Shutdown,
    health: Component,
    grpc_health: HealthReporter,
    founding: Founding,
    controller: Controller,
    limits: Arc<Limits>,
}

impl ControlPlane {
    /// Starts this node's replica of the registry. It serves once [`ControlPlane::enter`] was done here or on another
    /// node, and [`ControlPlane::run`] runs.
    pub async fn start(options: ControlPlaneOptions) -> Result<Self, Error> {
        let ControlPlaneOptions { engine, config, clock, membership, dialer, shutdown, health, founding } = options;
        let health = health.component("control-plane");
        let (machine, revisions) = RegistryMachine::new();
        let group = engine.start_group(GROUP, machine).await?;
        let replica = Replica::new(group, revisions, clock, Peers::new(&membership, dialer));
        let controller = Controller {
            replica: replica.clone(),
            leases: Leases::default(),
            replace_after: Duration::from_secs(config.replace_after_seconds.into()),
        };
        let limits = limits(&config, membership.cluster())?;
        let grpc_health = HealthReporter::new();
        let this = Self { replica, config, membership, shutdown, health, grpc_health, founding, controller, limits };
        this.tell_health("starting").await;
        Ok(this)
    }

    /// Comes into the group as what this node is to it, and makes the registry's settings, or checks that they agree
    /// with the configuration. Waits for a leader until the shutdown. Fails when the cluster was made with another
    /// number of shards.
    pub async fn enter(&self, standing: Standing) -> Result<(), Error> {
        if standing == Standing::Founder {
            self.replica.group().bootstrap(self.founding.founders.clone()).await?;
        }
        tokio::select! {
            () = self.shutdown.requested() => Err(Error::Interrupted),
            entered = self.settings() => entered,
        }
    }

    async fn settings(&self) -> Result<(), Error> {
        let ControlPlaneConfig { shards, replication, .. } = self.config;
        let command = encode_command(Command::Bootstrap(Bootstrap { shards, replication }));
        let mut retry = tokio::time::interval(Duration::from_millis(50));
        retry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = Instant::now();
        loop {
            retry.tick().await;
            match self.replica.group().propose_when_ready(command.clone()).await {
                Ok(outcome) => return outcome.map(|_| ()).map_err(Error::Refused),
                // Another node leads and will do it, or has done it.
                Err(ProposeError::NotLeader { leader: Some(_) }) => {
                    if let Some(settings) = cluster::settings(&self.replica.view()).map_err(Error::Refused)? {
                        return self.agree(settings.shards);
                    }
                }
                Err(ProposeError::NotLeader { leader: None } | ProposeError::Overloaded | ProposeError::Unknown) => {}
                Err(error) => return Err(Error::Command(tonic::Status::unavailable(error.to_string()))),
            }
            if told.elapsed() >= PATIENCE {
                told = Instant::now();
                tracing::info!("waiting for a leader of the control plane");
            }
        }
    }

    fn agree(&self, shards: u32) -> Result<(), Error> {
        if shards == self.config.shards {
            Ok(())
        } else {
            Err(Error::Refused(cluster::other_shards(shards, self.config.shards)))
        }
    }

    /// Sees to it that the file holds an operator's key, of this node's own: a missing file is made, mode 0600, and its
    /// former key is revoked. Call it after [`ControlPlane::enter`].
    pub async fn ensure_operator_key(&self, file: &Path, node: NodeId) -> Result<OperatorKey, Error> {
        if let Some(secret) = Secret::load(file)? {
            let view = self.replica.current().await.map_err(Error::Command)?;
            return Ok(match api_keys::authenticate(&view, &hash_of(secret.expose())) {
                Ok(_) => OperatorKey::Present,
                Err(refusal) => OperatorKey::Refused(refusal.message),
            });
        }
        let secret = Secret::random(API_KEY_PREFIX);
        let create = CreateApiKey {
            app: api_keys::OPERATOR.to_owned(),
            display_name: format!("operator key file of node {node}"),
            request_id: format!("operator-key-file-{node}"),
            hash: hash_of(secret.expose()),
            replace: true,
        };
        self.replica.propose(Command::CreateApiKey(create)).await.map_err(Error::Command)?;
        secret.write(file)?;
        Ok(OperatorKey::Made)
    }

    /// What backends and operators call: `tidings.control.v1` in gRPC and in REST/JSON, gRPC health and reflection.
    pub fn backend_routes(&self) -> Result<Routes, Error> {
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(tidings_proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .with_service_name("tidings.control.v1.Apps")
            .with_service_name("tidings.control.v1.Users")
            .with_service_name("tidings.control.v1.Tokens")
            .with_service_name("tidings.control.v1.Policies")
            .with_service_name("tidings.control.v1.Groups")
            .with_service_name("tidings.control.v1.ApiKeys")
            .with_service_name("tidings.control.v1.Messages")
            .with_service_name("tidings.control.v1.Mailboxes")
            .with_service_name("tidings.control.v1.Cluster")
            .with_service_name("grpc.health.v1.Health")
            .build_v1()
            .map_err(|error| Error::Reflection(error.to_string()))?;
        let replica = &self.replica;
        let messages = MessagesService::new(replica.clone(), self.limits.clone(), self.config.history_seconds);
        let limit = MAX_REQUEST_BYTES;
        let services = Routes::new(AppsServer::new(AppsService(replica.clone())).max_decoding_message_size(limit))
            .add_service(UsersServer::new(UsersService(replica.clone())).max_decoding_message_size(limit))
            .add_service(TokensServer::new(TokensService(replica.clone())).max_decoding_message_size(limit))
            .add_service(PoliciesServer::new(PoliciesService(replica.clone())).max_decoding_message_size(limit))
            .add_service(
                GroupsServer::new(GroupsService(replica.clone())).max_decoding_message_size(groups::MAX_REQUEST_BYTES),
            )
            .add_service(ApiKeysServer::new(ApiKeysService(replica.clone())).max_decoding_message_size(limit))
            .add_service(ClusterServer::new(ClusterService(self.controller.clone())).max_decoding_message_size(limit))
            .add_service(MessagesServer::new(messages).max_decoding_message_size(MAX_POST_BYTES))
            .add_service(MailboxesServer::new(MailboxesService(replica.clone())).max_decoding_message_size(limit))
            .add_service(self.health_service())
            .add_service(reflection);
        Rest::beside(services).map_err(Error::Rest)
    }

    /// What the other nodes of the cluster call: `tidings.cluster.v1`, for members of the cluster alone.
    pub fn node_routes(&self) -> Routes {
        self.add_node_services(Routes::default())
            .add_service(ClusterServer::new(ClusterService(self.controller.clone())))
    }

    /// As [`ControlPlane::node_routes`], beside those of [`ControlPlane::backend_routes`] on one server.
    pub fn add_node_services(&self, routes: Routes) -> Routes {
        let members_only = MemberServer::new(self.membership.clone());
        let directory = DirectoryService::new(self.replica.clone(), self.shutdown.clone());
        let directory = DirectoryServer::new(directory).max_decoding_message_size(MAX_REQUEST_BYTES);
        let directory_of_groups = GroupDirectoryServer::new(GroupDirectoryService(self.replica.clone()));
        let directory_of_groups = directory_of_groups.max_decoding_message_size(groups::MAX_REQUEST_BYTES);
        let nodes = NodesServer::new(NodesService::new(self.replica.clone(), self.controller.leases.clone()));
        let nodes = nodes.max_decoding_message_size(MAX_HEARTBEAT_BYTES);
        let registry = RegistryService { controller: self.controller.clone(), founding: self.founding.clone() };
        let registry = RegistryServer::new(registry).max_decoding_message_size(MAX_COMMAND_BYTES);
        routes
            .add_service(InterceptedService::new(directory, members_only.clone()))
            .add_service(InterceptedService::new(directory_of_groups, members_only.clone()))
            .add_service(InterceptedService::new(nodes, members_only.clone()))
            .add_service(InterceptedService::new(registry, members_only))
    }

    fn health_service(
        &self,
    ) -> tonic_health::pb::health_server::HealthServer<impl tonic_health::pb::health_server::Health + use<>> {
        let service = tonic_health::server::HealthService::from_health_reporter(self.grpc_health.clone());
        tonic_health::pb::health_server::HealthServer::new(service)
    }

    /// Follows who leads, for the health of the process, and sweeps while this node leads. Ends with the shutdown.
    pub async fn run(mut self) {
        let mut leadership = self.replica.leadership();
        let mut revisions = self.replica.revisions();
        let mut sweep = tokio::time::interval(SWEEP_INTERVAL);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        leadership.mark_changed();
        let controller = tokio::spawn(self.controller.clone().run(self.shutdown.clone()));
        let replica = self.replica.clone();
        let freshness = tokio::spawn(async move { replica.keep_fresh().await });
        loop {
            tokio::select! {
                () = self.shutdown.requested() => break,
                changed = leadership.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    let leader = leadership.borrow_and_update().leader;
                    self.tell_health(if leader.is_some() { "" } else { "the control plane has no leader" }).await;
                }
                changed = revisions.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    metrics::revision(*revisions.borrow_and_update());
                }
                _ = sweep.tick() => {
                    let leads = leadership.borrow().is_leader;
                    if leads && let Err(status) = self.sweep().await {
                        tracing::warn!(%status, "could not sweep");
                    }
                }
            }
        }
        controller.abort();
        freshness.abort();
        self.tell_health("shutting down").await;
        // Ends the streams of those who watch the health, which would otherwise hold up the server's graceful end.
        for name in HEALTH_NAMES {
            self.grpc_health.clear_service_status(name).await;
        }
    }

    async fn sweep(&self) -> Result<(), tonic::Status> {
        for _ in 0..SWEEPS_IN_A_ROW {
            if !sweep::has_work(&self.replica.view(), self.replica.clock().now_ms())? {
                break;
            }
            let outcome = self.replica.propose(Command::Sweep(Sweep {})).await?;
            metrics::swept();
            if outcome == Outcome::Swept(Swept { more: false }) {
                break;
            }
        }
        Ok(())
    }

    async fn tell_health(&self, reason: &str) {
        let status = if reason.is_empty() { ServingStatus::Serving } else { ServingStatus::NotServing };
        if reason.is_empty() {
            self.health.ready();
        } else {
            self.health.not_ready(reason);
        }
        for name in HEALTH_NAMES {
            self.grpc_health.set_service_status(name, status).await;
        }
    }
}

/// The rate limits of what backends send as users, shared with other nodes where that is configured.
fn limits(config: &ControlPlaneConfig, cluster: &str) -> Result<Arc<Limits>, Error> {
    let timeout = Duration::from_millis(config.redis_timeout_ms.into());
    let shared = match config.redis_url.as_str() {
        "" => None,
        url => Some(Shared::start(url, timeout, cluster, metrics::limits())?),
    };
    Ok(Limits::new(LIMITED_USERS, shared, metrics::limits()))
}
