//! The gRPC service that the peers call: checks who calls, finds the group, hands the message to its Raft.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::{Stream, StreamExt as _};
use openraft::async_runtime::WatchReceiver as _;
use openraft::base::BoxStream;
use openraft::errors::Fatal;
use openraft::raft::{AppendEntriesRequest, StreamAppendResult, TransferLeaderRequest, VoteRequest, VoteResponse};
use openraft::storage::Snapshot;
use parking_lot::RwLock;
use subtle::ConstantTimeEq as _;
use tidings_proto::raft::v1 as proto;
use tidings_proto::raft::v1::raft_transport_server::RaftTransport;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use crate::applier::Applier;
use crate::error::Error;
use crate::failure::Failure;
use crate::group_id::{GroupId, NodeId};
use crate::incoming::{Busy, Incoming, Taken};
use crate::machine::StateMachine;
use crate::options::EngineOptions;
use crate::peers::{CLUSTER_KEY, GROUP_KEY, SECRET_KEY, TO_KEY};
use crate::record::RecordError;
use crate::snapshot::{ReceivedSnapshot, SnapshotData};
use crate::type_config::{LogId, SnapshotMeta, TypeConfig, Vote};
use crate::wire;

type Raft<M> = openraft::Raft<TypeConfig, Applier<M>>;
type FatalError = Fatal<TypeConfig>;

/// A group's Raft, whatever its state machine.
#[tonic::async_trait]
pub(crate) trait GroupEndpoint: Send + Sync {
    fn append(
        &self,
        requests: BoxStream<'static, AppendEntriesRequest<TypeConfig>>,
    ) -> BoxStream<'static, Result<StreamAppendResult<TypeConfig>, FatalError>>;
    async fn vote(&self, request: VoteRequest<TypeConfig>) -> Result<VoteResponse<TypeConfig>, Status>;
    async fn pre_vote(&self, request: VoteRequest<TypeConfig>) -> Result<VoteResponse<TypeConfig>, Status>;
    async fn transfer_leader(&self, request: TransferLeaderRequest<TypeConfig>) -> Result<Result<(), String>, Status>;
    async fn install(&self, vote: Vote, meta: SnapshotMeta, received: ReceivedSnapshot) -> Result<Vote, Status>;
    /// What the replica votes for now, and what it has applied.
    fn progress(&self) -> (Vote, Option<LogId>);
}

pub(crate) struct Endpoint<M: StateMachine> {
    pub(crate) raft: Raft<M>,
    /// Ends the streams of a group that stops, so that they hold no connection open.
    pub(crate) stop: CancellationToken,
}

fn stopped(error: &impl std::fmt::Display) -> Status {
    Status::unavailable(format!("the replica has stopped: {error}"))
}

#[tonic::async_trait]
impl<M: StateMachine> GroupEndpoint for Endpoint<M> {
    fn append(
        &self,
        requests: BoxStream<'static, AppendEntriesRequest<TypeConfig>>,
    ) -> BoxStream<'static, Result<StreamAppendResult<TypeConfig>, FatalError>> {
        let stopped = || self.stop.clone().cancelled_owned();
        Box::pin(self.raft.stream_append(requests.take_until(stopped())).take_until(stopped()))
    }

    async fn vote(&self, request: VoteRequest<TypeConfig>) -> Result<VoteResponse<TypeConfig>, Status> {
        self.raft.vote(request).await.map_err(|error| stopped(&error))
    }

    async fn pre_vote(&self, request: VoteRequest<TypeConfig>) -> Result<VoteResponse<TypeConfig>, Status> {
        self.raft.pre_vote(request).await.map_err(|error| stopped(&error))
    }

    async fn transfer_leader(&self, request: TransferLeaderRequest<TypeConfig>) -> Result<Result<(), String>, Status> {
        let accepted = self.raft.handle_transfer_leader(request).await.map_err(|error| stopped(&error))?;
        Ok(accepted.map_err(|refusal| refusal.to_string()))
    }

    async fn install(&self, vote: Vote, meta: SnapshotMeta, received: ReceivedSnapshot) -> Result<Vote, Status> {
        let snapshot = Snapshot { meta, snapshot: SnapshotData::File(received) };
        let response = self.raft.install_full_snapshot(vote, snapshot).await.map_err(|error| stopped(&error))?;
        Ok(response.vote)
    }

    fn progress(&self) -> (Vote, Option<LogId>) {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        (metrics.vote, metrics.last_applied)
    }
}

/// The groups that run on this node.
pub(crate) type Endpoints = Arc<RwLock<HashMap<GroupId, Arc<dyn GroupEndpoint>>>>;

/// Answers the peers for all groups of this node; mount it with [`Engine::raft_service`](crate::Engine::raft_service).
#[derive(Clone)]
pub struct RaftService {
    me: NodeId,
    cluster_id: Arc<str>,
    /// What callers must send, when the cluster has a secret.
    secret: Option<Arc<[u8]>>,
    endpoints: Endpoints,
    failure: Arc<Failure>,
    incoming: Arc<Incoming>,
}

impl RaftService {
    pub(crate) fn new(
        options: &EngineOptions,
        endpoints: Endpoints,
        failure: Arc<Failure>,
        incoming: Arc<Incoming>,
    ) -> Self {
        let secret = options.peer_secret.as_ref().map(|secret| format!("Bearer {secret}").into_bytes().into());
        let cluster_id = options.cluster_id.as_str().into();
        Self { me: options.node_id, cluster_id, secret, endpoints, failure, incoming }
    }

    /// Refuses callers that do not belong here or that mean somebody else.
    fn admit(&self, metadata: &MetadataMap) -> Result<(), Status> {
        let sent = |key| metadata.get(key).map(|value| value.as_bytes());
        if let Some(secret) = &self.secret {
            let matches = sent(SECRET_KEY).is_some_and(|sent| bool::from(sent.ct_eq(secret)));
            if !matches {
                return Err(Status::unauthenticated("the peer secret is missing or wrong"));
            }
        }
        if sent(CLUSTER_KEY) != Some(self.cluster_id.as_bytes()) {
            return Err(Status::failed_precondition("this node belongs to another cluster"));
        }
        if sent(TO_KEY) != Some(self.me.to_string().as_bytes()) {
            return Err(Status::failed_precondition(format!("this is node {}", self.me)));
        }
        Ok(())
    }

    fn endpoint(&self, group: GroupId) -> Result<Arc<dyn GroupEndpoint>, Status> {
        if let Some(reason) = self.failure.damage(group) {
            return Err(Status::unavailable(format!("this replica is damaged: {reason}")));
        }
        let endpoint = self.endpoints.read().get(&group).cloned();
        endpoint.ok_or_else(|| Status::not_found(format!("no replica of group {group} runs here")))
    }

    /// The endpoint of a streaming call, which names its group in the metadata.
    fn endpoint_of_stream(&self, metadata: &MetadataMap) -> Result<(GroupId, Arc<dyn GroupEndpoint>), Status> {
        let group = metadata.get(GROUP_KEY).and_then(|group| group.to_str().ok()?.parse().ok()).map(GroupId);
        let group = group.ok_or_else(|| Status::invalid_argument("metadata tidings-group is missing"))?;
        Ok((group, self.endpoint(group)?))
    }

    async fn receive(
        &self,
        group: GroupId,
        mut pieces: Streaming<proto::SnapshotPiece>,
    ) -> Result<(Vote, SnapshotMeta, ReceivedSnapshot), Status> {
        use proto::snapshot_piece::Piece;
        let first = pieces.message().await?.and_then(|first| first.piece);
        let Some(Piece::Header(header)) = first else {
            return Err(Status::invalid_argument("a snapshot begins with its header"));
        };
        if header.group != group.0 {
            return Err(Status::invalid_argument("the header is of another group"));
        }
        let (vote, meta) = wire::from_snapshot_header(&header).map_err(|error| malformed(&error))?;
        let mut received = self.incoming.create(group).await.map_err(|error| storage(&error))?;
        while let Some(next) = pieces.message().await? {
            let Some(Piece::Data(data)) = next.piece else {
                return Err(Status::invalid_argument("a snapshot has one header"));
            };
            received.write(data).await.map_err(|error| storage(&error))?;
        }
        Ok((vote, meta, received))
    }
}

/// Checks and installs what was received. Goes on when the caller is gone, so that the work is not done twice.
async fn install(
    group: GroupId,
    endpoint: Arc<dyn GroupEndpoint>,
    vote: Vote,
    meta: SnapshotMeta,
    received: ReceivedSnapshot,
    busy: Busy,
) -> Result<Vote, Status> {
    let installing = tokio::spawn(async move {
        let _busy = busy;
        received.check(group).await.map_err(|error| Status::data_loss(error.to_string()))?;
        endpoint.install(vote, meta, received).await
    });
    installing.await.map_err(|_| Status::unavailable("the installation of a snapshot ended early"))?
}

fn malformed(error: &RecordError) -> Status {
    Status::invalid_argument(error.to_string())
}

fn storage(error: &Error) -> Status {
    Status::unavailable(error.to_string())
}

/// The requests of a stream, until it ends or one cannot be read.
fn readable(requests: Streaming<proto::AppendRequest>) -> impl Stream<Item = AppendEntriesRequest<TypeConfig>> + Send {
    futures_util::stream::unfold(requests, |mut requests| async move {
        let request = match requests.message().await {
            Ok(request) => request?,
            Err(status) => {
                tracing::debug!(error = %status, "append stream ended");
                return None;
            }
        };
        match wire::from_append(request) {
            Ok(request) => Some((request, requests)),
            Err(error) => {
                tracing::error!(%error, "append request from a peer cannot be read");
                None
            }
        }
    })
}

#[tonic::async_trait]
impl RaftTransport for RaftService {
    type AppendStream = BoxStream<'static, Result<proto::AppendReply, Status>>;

    async fn append(
        &self,
        request: Request<Streaming<proto::AppendRequest>>,
    ) -> Result<Response<Self::AppendStream>, Status> {
        self.admit(request.metadata())?;
        let (_, endpoint) = self.endpoint_of_stream(request.metadata())?;
        let results = endpoint.append(Box::pin(readable(request.into_inner())));
        let replies = results.map(|result| result.map(wire::to_append_reply).map_err(|error| stopped(&error)));
        Ok(Response::new(Box::pin(replies)))
    }

    async fn append_once(
        &self,
        request: Request<proto::AppendRequest>,
    ) -> Result<Response<proto::AppendReply>, Status> {
        self.admit(request.metadata())?;
        let request = request.into_inner();
        let endpoint = self.endpoint(GroupId(request.group))?;
        let request = wire::from_append(request).map_err(|error| malformed(&error))?;
        let mut results = endpoint.append(Box::pin(futures_util::stream::once(std::future::ready(request))));
        match results.next().await {
            Some(Ok(result)) => Ok(Response::new(wire::to_append_reply(result))),
            Some(Err(error)) => Err(stopped(&error)),
            None => Err(Status::unavailable("the replica has stopped")),
        }
    }

    async fn vote(&self, request: Request<proto::VoteRequest>) -> Result<Response<proto::VoteReply>, Status> {
        self.admit(request.metadata())?;
        let request = request.into_inner();
        let endpoint = self.endpoint(GroupId(request.group))?;
        let request = wire::from_vote_request(&request).map_err(|error| malformed(&error))?;
        Ok(Response::new(wire::to_vote_reply(&endpoint.vote(request).await?)))
    }

    async fn pre_vote(&self, request: Request<proto::VoteRequest>) -> Result<Response<proto::VoteReply>, Status> {
        self.admit(request.metadata())?;
        let request = request.into_inner();
        let endpoint = self.endpoint(GroupId(request.group))?;
        let request = wire::from_vote_request(&request).map_err(|error| malformed(&error))?;
        Ok(Response::new(wire::to_vote_reply(&endpoint.pre_vote(request).await?)))
    }

    async fn transfer_leader(
        &self,
        request: Request<proto::TransferLeaderRequest>,
    ) -> Result<Response<proto::TransferLeaderReply>, Status> {
        self.admit(request.metadata())?;
        let request = request.into_inner();
        let endpoint = self.endpoint(GroupId(request.group))?;
        let request = wire::from_transfer(&request).map_err(|error| malformed(&error))?;
        let refusal = endpoint.transfer_leader(request).await?.err().unwrap_or_default();
        Ok(Response::new(proto::TransferLeaderReply { refusal }))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<proto::SnapshotPiece>>,
    ) -> Result<Response<proto::SnapshotReply>, Status> {
        self.admit(request.metadata())?;
        let (group, endpoint) = self.endpoint_of_stream(request.metadata())?;
        let (vote, meta, received) = self.receive(group, request.into_inner()).await?;
        let busy = self.incoming.free(group).await;
        let vote = install(group, endpoint, vote, meta, received, busy).await?;
        Ok(Response::new(proto::SnapshotReply { vote: Some(wire::to_vote(&vote)) }))
    }

    async fn transfer_snapshot(
        &self,
        request: Request<proto::SnapshotChunk>,
    ) -> Result<Response<proto::SnapshotChunkReply>, Status> {
        self.admit(request.metadata())?;
        let (group, meta, name, chunk) =
            wire::from_snapshot_chunk(request.into_inner()).map_err(|error| malformed(&error))?;
        let endpoint = self.endpoint(group)?;
        let reply = |vote: &Vote, next_offset, installed| {
            Ok(Response::new(proto::SnapshotChunkReply { vote: Some(wire::to_vote(vote)), next_offset, installed }))
        };
        let busy = self.incoming.free(group).await;
        let (vote, applied) = endpoint.progress();
        if vote > name.vote {
            return reply(&vote, 0, false);
        }
        // The answer to the last chunk may have been lost.
        if meta.last_log_id.is_some() && applied >= meta.last_log_id {
            return reply(&name.vote, name.bytes, true);
        }
        match self.incoming.take(busy, group, name, chunk).await.map_err(|error| storage(&error))? {
            Taken::Part(has) => reply(&vote, has, false),
            Taken::Whole(received, busy) => {
                let vote = install(group, endpoint, name.vote, meta, received, busy).await?;
                reply(&vote, name.bytes, vote == name.vote)
            }
        }
    }
}
