//! The gRPC service: one stream for each gateway, and what other shards' leaders bring.
//!
//! - [`links`]: all of them
//! - [`outbox`]: frames on their way to a gateway
//! - [`reader`]: what a gateway asks
//! - [`answers`]: what becomes of its submissions
//! - [`activities`]: what is handed out and stored nowhere
//! - [`requests`]: what its users want to know or to have set

pub mod activities;
pub mod answers;
pub mod links;
pub mod outbox;
pub mod reader;
pub mod requests;

use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;
use tidings_consensus::NodeId;
use tidings_node::{Clock, Shutdown};
use tidings_proto::ErrorCode;
use tidings_proto::broker::v1::broker_server::Broker;
use tidings_proto::broker::v1::{
    BrokerBatch, GatewayBatch, GetIgnoredRequest, GetIgnoredResponse, GetMembersRequest, GetMembersResponse,
    RelayRequest, RelayResponse, SearchGroupsRequest, SearchGroupsResponse,
};
use tidings_proto::cluster::v1::ShardMap;
use tokio::sync::{Semaphore, watch};
use tonic::{Request, Response, Status, Streaming};

use crate::config::BrokerConfig;
use crate::group_feed::registry::GroupRegistry;
use crate::group_live::Live;
use crate::metrics::Metrics;
use crate::relay::{self, Relay};
use crate::shards::Shards;
use crate::{group_activity, group_live, group_search};
use links::Links;
use outbox::Outbox;
use reader::Reader;

/// What every link of a node shares.
pub struct LinkContext {
    pub node: NodeId,
    pub shards: Shards,
    pub links: Links,
    pub map: watch::Receiver<ShardMap>,
    pub groups: Option<GroupRegistry>,
    pub relay: Relay,
    /// The way of what is sent to groups and stored nowhere.
    pub live: Live,
    pub config: Arc<BrokerConfig>,
    pub clock: Clock,
    pub metrics: Metrics,
    pub shutdown: Shutdown,
    /// Places of requests that are being answered, of all links together.
    pub requests: Arc<Semaphore>,
    /// Places of what members of groups do and others are being told.
    pub activities: Arc<Semaphore>,
    /// Places of answers that wait for another shard to hear of what was set.
    pub waits: Arc<Semaphore>,
    /// Places of other nodes' searches in groups.
    pub searches: Arc<Semaphore>,
}

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct BrokerService(Arc<LinkContext>);

impl BrokerService {
    /// A service for these shards.
    pub fn new(context: Arc<LinkContext>) -> Self {
        Self(context)
    }
}

/// Made when a link is admitted: however its stream ends, the reader learns of it and detaches the sessions.
struct Admitted {
    outbox: Arc<Outbox>,
    links: Links,
    metrics: Metrics,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.links.remove(self.outbox.id);
        self.outbox.abandon();
        self.metrics.links.decrement(1.0);
    }
}

#[tonic::async_trait]
impl Broker for BrokerService {
    type LinkStream = Pin<Box<dyn Stream<Item = Result<BrokerBatch, Status>> + Send>>;

    async fn link(&self, request: Request<Streaming<GatewayBatch>>) -> Result<Response<Self::LinkStream>, Status> {
        if self.0.shutdown.is_requested() {
            return Err(ErrorCode::Draining.status("this broker is stopping"));
        }
        let outbox = Arc::new(Outbox::new(self.0.config.link_queue_frames, self.0.config.link_queue_bytes));
        self.0.metrics.links.increment(1.0);
        let (links, metrics) = (self.0.links.clone(), self.0.metrics.clone());
        let admitted = Admitted { outbox: outbox.clone(), links, metrics };
        tokio::spawn(Reader::new(self.0.clone(), outbox).run(request.into_inner()));
        let batches = futures_util::stream::unfold(admitted, |admitted| async move {
            let batch = admitted.outbox.next_batch().await?;
            Some((batch, admitted))
        });
        Ok(Response::new(Box::pin(batches)))
    }

    async fn get_members(&self, request: Request<GetMembersRequest>) -> Result<Response<GetMembersResponse>, Status> {
        let GetMembersRequest { shard, exclude } = request.into_inner();
        let exclude = Some(exclude).filter(|node| *node != 0);
        Ok(Response::new(relay::members(&self.0.shards, self.0.node, shard, exclude).await))
    }

    async fn relay(&self, request: Request<RelayRequest>) -> Result<Response<RelayResponse>, Status> {
        let request = request.into_inner();
        if let Some(told) = request.activity {
            return Ok(Response::new(group_activity::hand_out(&self.0.shards, self.0.node, request.shard, told).await));
        }
        if !request.transients.is_empty() {
            let (shards, node) = (&self.0.shards, self.0.node);
            return Ok(Response::new(group_live::hand_out(shards, node, request.shard, request.transients).await));
        }
        if let Some(transient) = request.transient {
            return Ok(Response::new(relay::hand_out(&self.0.shards, self.0.node, request.shard, transient)));
        }
        let page = request.deliver.ok_or_else(|| ErrorCode::InvalidArgument.status("nothing to deliver"))?;
        Ok(Response::new(relay::take(&self.0.shards, self.0.node, request.shard, page).await))
    }

    async fn get_ignored(&self, request: Request<GetIgnoredRequest>) -> Result<Response<GetIgnoredResponse>, Status> {
        // A short read: whoever asks waits for its turn.
        let _place = self.0.searches.acquire().await;
        Ok(Response::new(relay::ignored(&self.0.shards, self.0.node, request.into_inner()).await))
    }

    async fn search_groups(
        &self,
        request: Request<SearchGroupsRequest>,
    ) -> Result<Response<SearchGroupsResponse>, Status> {
        let Ok(_place) = self.0.searches.try_acquire() else {
            return Err(ErrorCode::Overloaded.status("too many searches in groups"));
        };
        Ok(Response::new(group_search::answer(&self.0.shards, self.0.node, request.into_inner()).await))
    }
}
