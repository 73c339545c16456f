//! The broker role of a node: puts the parts together, and serves gateways and other brokers.

use std::sync::Arc;

use tidings_consensus::{Engine, GroupId, NodeId};
use tidings_node::heartbeat::Reports;
use tidings_node::membership::{MemberClient, MemberServer, Membership};
use tidings_node::{Clock, Dialer, Health, Shutdown};
use tidings_proto::broker::v1::broker_server::BrokerServer;
use tidings_proto::broker::v1::messages_server::MessagesServer;
use tidings_proto::cluster::v1::{MemberProgress, ShardMap, ShardReport};
use tokio::sync::{Semaphore, watch};
use tokio_util::task::TaskTracker;
use tonic::service::Routes;
use tonic::service::interceptor::InterceptedService;

use crate::config::BrokerConfig;
use crate::group_feed::GroupFeed;
use crate::group_feed::registry::GroupRegistry;
use crate::group_live::Live;
use crate::link::links::Links;
use crate::link::{BrokerService, LinkContext};
use crate::metrics::Metrics;
use crate::placer::{Opened, Placer};
use crate::post::MessagesService;
use crate::relay::Relay;
use crate::shard::ShardHandle;
use crate::shards::Shards;

/// The largest message of a gateway.
const MAX_MESSAGE_BYTES: usize = 16 << 20;
/// What members of groups do, and others are being told at the same time; more is dropped.
const ACTIVITIES: usize = 256;
/// Answers that wait for another shard at a time; further ones do not wait.
const WAITS: usize = 32;
/// Searches in groups for users of other nodes' shards, at a time.
const SEARCHES: usize = 64;

/// What a broker is started with.
pub struct BrokerOptions {
    /// This node.
    pub node: NodeId,
    pub engine: Engine,
    pub config: BrokerConfig,
    pub clock: Clock,
    /// What nodes show each other.
    pub membership: Membership,
    pub dialer: Dialer,
    /// What tells of groups; unset, there are none.
    pub groups: Option<GroupRegistry>,
    /// Where the shards are; the first one with shards begins the work. Fed by the node's heartbeat.
    pub map: watch::Receiver<ShardMap>,
    pub health: Health,
    pub shutdown: Shutdown,
}

/// A running broker. Cheap to clone.
#[derive(Clone)]
pub struct Broker {
    context: Arc<LinkContext>,
    membership: Membership,
    tasks: TaskTracker,
}

impl Broker {
    /// Starts in the background; it is ready when health's component `broker` says so.
    pub fn start(options: BrokerOptions) -> Self {
        let (shards, metrics) = (Shards::default(), Metrics::new());
        let config = Arc::new(options.config);
        let (tasks, links) = (TaskTracker::new(), Links::default());
        let member = MemberClient::new(&options.membership);
        let relay = Relay::new(options.node, shards.clone(), options.map.clone(), member, options.dialer);
        let context = Arc::new(LinkContext {
            node: options.node,
            shards: shards.clone(),
            links: links.clone(),
            map: options.map.clone(),
            groups: options.groups.clone(),
            relay: relay.clone(),
            live: Live::new(relay.clone(), metrics.clone()),
            config: config.clone(),
            clock: options.clock.clone(),
            metrics: metrics.clone(),
            shutdown: options.shutdown.clone(),
            requests: Arc::new(Semaphore::new(config.requests_in_flight)),
            activities: Arc::new(Semaphore::new(ACTIVITIES)),
            waits: Arc::new(Semaphore::new(WAITS)),
            searches: Arc::new(Semaphore::new(SEARCHES)),
        });
        let placer = Placer {
            node: options.node,
            engine: options.engine,
            config,
            clock: options.clock,
            metrics,
            shards,
            links,
            relay,
            registry: options.groups.clone(),
            map: options.map,
            health: options.health.component("broker"),
            shutdown: options.shutdown,
            tasks: tasks.clone(),
            opened: Opened::default(),
        };
        tasks.spawn(placer.run());
        if let Some(registry) = options.groups {
            tasks.spawn(GroupFeed { registry, shards: context.shards.clone() }.run(context.shutdown.clone()));
        }
        Self { context, membership: options.membership, tasks }
    }

    /// Adds the gRPC services to the server that nodes and gateways reach; they are for members of the cluster
    /// alone. The engine's Raft service is mounted beside it.
    pub fn mount(&self, routes: Routes) -> Routes {
        let service = BrokerServer::new(BrokerService::new(self.context.clone()))
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let messages =
            MessagesServer::new(MessagesService(self.context.clone())).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let members_only = MemberServer::new(self.membership.clone());
        routes
            .add_service(InterceptedService::new(service, members_only.clone()))
            .add_service(InterceptedService::new(messages, members_only))
    }

    /// The gRPC services alone.
    pub fn routes(&self) -> Routes {
        self.mount(Routes::default())
    }

    /// The shards of this node, for operators and benchmarks.
    pub fn shards(&self) -> &Shards {
        &self.context.shards
    }

    /// What this node's heartbeat says: the shards that it leads, with their members.
    pub fn reports(&self) -> Reports {
        let shards = self.context.shards.clone();
        Arc::new(move || shards.all().iter().filter_map(report).collect())
    }

    /// Returns once everything has ended after the shutdown was requested. The engine is left to its owner.
    pub async fn stopped(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// A shard as its leader sees it; `None` where this node does not lead it.
fn report(shard: &ShardHandle) -> Option<ShardReport> {
    let term = shard.group.leads_now()?;
    let status = shard.group.status();
    let of_kind = |is_voter| status.members.iter().filter(move |(_, member)| member.is_voter == is_voter);
    let ids = |is_voter| of_kind(is_voter).map(|(id, _)| *id).collect();
    let progress = status.replication.iter();
    Some(ShardReport {
        shard: shard.core.shard,
        term,
        voters: ids(true),
        learners: ids(false),
        last_log: status.last_log.unwrap_or(0),
        progress: progress
            .map(|(node, matched)| MemberProgress { node: *node, matched: matched.unwrap_or(0) })
            .collect(),
        changing: status.is_changing,
    })
}

/// The Raft group of a shard; group 0 is the control plane's.
pub fn group_of(shard: u32) -> GroupId {
    GroupId(1 + shard)
}
