//! Calls to the other nodes: one connection to each, shared by all groups.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::storage::Snapshot;
use openraft::{OptionalSend, RPCTypes};
use parking_lot::Mutex;
use tidings_node::{Dialer, dial};
use tidings_proto::raft::v1::raft_transport_client::RaftTransportClient;
use tokio_util::sync::CancellationToken;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::error::Error;
use crate::group_id::{GroupId, NodeId};
use crate::options::EngineOptions;
use crate::outgoing::Pace;
use crate::record::RecordError;
use crate::snapshot::SnapshotData;
use crate::snapshot_sender;
use crate::type_config::{CommittedLeaderId, TypeConfig, Vote};
use crate::wire;

pub(crate) const CLUSTER_KEY: &str = tidings_node::membership::CLUSTER;
pub(crate) const FROM_KEY: &str = "tidings-from";
pub(crate) const TO_KEY: &str = "tidings-to";
pub(crate) const GROUP_KEY: &str = "tidings-group";
pub(crate) const SECRET_KEY: &str = tidings_node::bearer::AUTHORIZATION;

/// A batch of 2 MiB, or one entry with the largest command, with room to spare.
pub(crate) const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;

type RpcError = RPCError<TypeConfig>;

/// The connections of this node, made when they are first needed.
pub(crate) struct Peers {
    me: NodeId,
    cluster: MetadataValue<Ascii>,
    secret: Option<MetadataValue<Ascii>>,
    dialer: Dialer,
    pub(crate) timeout: Duration,
    pub(crate) snapshot_pace: Pace,
    channels: Mutex<HashMap<NodeId, (String, Channel)>>,
    /// Where nodes are now, over what the members' records say.
    addresses: Mutex<HashMap<NodeId, String>>,
}

impl Peers {
    pub(crate) fn new(options: &EngineOptions) -> Result<Self, Error> {
        let ascii = |option, text: &str| {
            let reason = "must be visible ASCII".to_owned();
            MetadataValue::try_from(text).map_err(|_| Error::Option { option, reason })
        };
        let secret = options.peer_secret.as_ref().map(|secret| ascii("peer_secret", &format!("Bearer {secret}")));
        let mut secret = secret.transpose()?;
        if let Some(secret) = &mut secret {
            secret.set_sensitive(true);
        }
        Ok(Self {
            me: options.node_id,
            cluster: ascii("cluster_id", &options.cluster_id)?,
            secret,
            dialer: options.dialer.clone(),
            timeout: options.tuning.peer_timeout,
            snapshot_pace: Pace::new(options.tuning.snapshot_bytes_per_second),
            channels: Mutex::default(),
            addresses: Mutex::default(),
        })
    }

    pub(crate) fn set_address(&self, node: NodeId, address: &str) {
        self.addresses.lock().insert(node, address.to_owned());
    }

    /// The connection to a node; another address than before makes a new one.
    fn channel(&self, node: NodeId, recorded: &str) -> Result<Channel, tonic::transport::Error> {
        let moved_to = self.addresses.lock().get(&node).cloned();
        let address = moved_to.as_deref().unwrap_or(recorded);
        let mut channels = self.channels.lock();
        if let Some((known, channel)) = channels.get(&node)
            && known == address
        {
            return Ok(channel.clone());
        }
        let endpoint = dial::endpoint(address)?
            .connect_timeout(self.timeout)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .http2_keep_alive_interval(self.timeout)
            .keep_alive_timeout(self.timeout)
            .keep_alive_while_idle(true);
        let channel = self.dialer.connect_lazy(&endpoint);
        channels.insert(node, (address.to_owned(), channel.clone()));
        Ok(channel)
    }

    pub(crate) fn stamp<T>(&self, to: NodeId, group: GroupId, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        metadata.insert(CLUSTER_KEY, self.cluster.clone());
        metadata.insert(FROM_KEY, self.me.into());
        metadata.insert(TO_KEY, to.into());
        metadata.insert(GROUP_KEY, group.0.into());
        if let Some(secret) = &self.secret {
            metadata.insert(SECRET_KEY, secret.clone());
        }
        request
    }
}

/// Makes the clients of one group.
pub(crate) struct GroupNetwork {
    pub(crate) group: GroupId,
    pub(crate) peers: Arc<Peers>,
}

impl RaftNetworkFactory<TypeConfig> for GroupNetwork {
    type Network = PeerClient;

    async fn new_client(&mut self, target: NodeId, node: &String) -> PeerClient {
        PeerClient {
            group: self.group,
            to: target,
            address: node.clone(),
            peers: self.peers.clone(),
            is_heartbeat: false,
        }
    }

    async fn new_heartbeat_client(&mut self, target: NodeId, node: &String) -> PeerClient {
        PeerClient { is_heartbeat: true, ..self.new_client(target, node).await }
    }
}

/// One group's way to one node.
pub(crate) struct PeerClient {
    pub(crate) group: GroupId,
    pub(crate) to: NodeId,
    address: String,
    pub(crate) peers: Arc<Peers>,
    is_heartbeat: bool,
}

fn failed(status: &Status) -> RpcError {
    match status.code() {
        // Not there, not ours, or not running: no use to try at once.
        Code::Unavailable | Code::NotFound | Code::FailedPrecondition | Code::Unauthenticated | Code::Unimplemented => {
            RPCError::Unreachable(Unreachable::new(status))
        }
        _ => RPCError::Network(NetworkError::new(status)),
    }
}

fn malformed(error: &RecordError) -> RpcError {
    RPCError::Unreachable(Unreachable::new(error))
}

impl PeerClient {
    pub(crate) fn client(&self) -> Result<RaftTransportClient<Channel>, RpcError> {
        let channel = self.peers.channel(self.to, &self.address);
        let channel = channel.map_err(|error| RPCError::Unreachable(Unreachable::new(&error)))?;
        Ok(RaftTransportClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES))
    }

    fn timed_out(&self, action: RPCTypes, timeout: Duration) -> Timeout<TypeConfig> {
        Timeout { action, id: self.peers.me, target: self.to, timeout }
    }

    async fn within<T>(
        &self,
        action: RPCTypes,
        timeout: Duration,
        call: impl Future<Output = Result<tonic::Response<T>, Status>>,
    ) -> Result<T, RpcError> {
        match tokio::time::timeout(timeout, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(failed(&status)),
            Err(_) => Err(self.timed_out(action, timeout).into()),
        }
    }

    async fn append_once(
        &self,
        request: &AppendEntriesRequest<TypeConfig>,
        option: &RPCOption,
    ) -> Result<StreamAppendResult<TypeConfig>, RpcError> {
        let request = wire::to_append(self.group, request).map_err(|error| malformed(&error))?;
        let mut client = self.client()?;
        let call = client.append_once(self.peers.stamp(self.to, self.group, request));
        let reply = self.within(RPCTypes::AppendEntries, option.soft_ttl(), call).await?;
        wire::from_append_reply(&reply).map_err(|error| malformed(&error))
    }

    /// Opens a stream: requests go out as they come, replies come back in their order.
    async fn append_stream<S>(
        &self,
        input: S,
    ) -> Result<BoxStream<'static, Result<StreamAppendResult<TypeConfig>, RpcError>>, RpcError>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        let unanswered = Arc::new(AtomicUsize::new(0));
        let (group, sent) = (self.group, unanswered.clone());
        let requests =
            tokio_stream::StreamExt::map_while(input, move |request| match wire::to_append(group, &request) {
                Ok(request) => {
                    sent.fetch_add(1, Ordering::Relaxed);
                    Some(request)
                }
                Err(error) => {
                    tracing::error!(%group, %error, "a log entry cannot be encoded");
                    None
                }
            });
        // The requests end with the replies: Raft hands what it has to send to one stream at a time, and one that
        // lingers in the connection would take it from its successor.
        let ended = CancellationToken::new();
        let requests = requests.take_until(ended.clone().cancelled_owned());
        let ends_with_replies = ended.drop_guard();
        let mut client = self.client()?;
        let timeout = self.peers.timeout;
        let call = client.append(self.peers.stamp(self.to, self.group, requests));
        let replies = self.within(RPCTypes::AppendEntries, timeout, call).await?;
        let late = self.timed_out(RPCTypes::AppendEntries, timeout);
        let replies = stream::unfold(Some((replies, unanswered, ends_with_replies)), move |open| {
            let late = late.clone();
            async move {
                let (mut replies, unanswered, ends_with_replies) = open?;
                let message = loop {
                    match tokio::time::timeout(timeout, replies.message()).await {
                        Ok(message) => break message,
                        Err(_) if unanswered.load(Ordering::Relaxed) > 0 => return Some((Err(late.into()), None)),
                        Err(_) => {}
                    }
                };
                match message {
                    Ok(Some(reply)) => {
                        unanswered.fetch_sub(1, Ordering::Relaxed);
                        let result = wire::from_append_reply(&reply).map_err(|error| malformed(&error));
                        let goes_on = matches!(result, Ok(Ok(_)));
                        Some((result, goes_on.then_some((replies, unanswered, ends_with_replies))))
                    }
                    Ok(None) => None,
                    Err(status) => Some((Err(failed(&status)), None)),
                }
            }
        });
        Ok(Box::pin(replies))
    }
}

impl RaftNetworkV2<TypeConfig> for PeerClient {
    type SnapshotData = SnapshotData;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RpcError> {
        Ok(self.append_once(&rpc, &option).await?.into())
    }

    fn stream_append<'s, S>(
        &'s mut self,
        mut input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, Result<StreamAppendResult<TypeConfig>, RpcError>>, RpcError>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        Box::pin(async move {
            if !self.is_heartbeat {
                return self.append_stream(input).await;
            }
            let Some(request) = input.next().await else {
                let nothing: BoxStream<'s, _> = Box::pin(stream::empty());
                return Ok(nothing);
            };
            let result = self.append_once(&request, &option).await;
            let replies: BoxStream<'s, _> = Box::pin(stream::once(std::future::ready(result)));
            Ok(replies)
        })
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        let mut client = self.client()?;
        let request = self.peers.stamp(self.to, self.group, wire::to_vote_request(self.group, &rpc));
        let reply = self.within(RPCTypes::Vote, option.soft_ttl(), client.vote(request)).await?;
        wire::from_vote_reply(&reply).map_err(|error| malformed(&error))
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        let mut client = self.client()?;
        let request = self.peers.stamp(self.to, self.group, wire::to_vote_request(self.group, &rpc));
        let reply = self.within(RPCTypes::Vote, option.soft_ttl(), client.pre_vote(request)).await?;
        wire::from_vote_reply(&reply).map_err(|error| malformed(&error))
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot<CommittedLeaderId, NodeId, String, SnapshotData>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        tokio::select! {
            closed = cancel => Err(closed.into()),
            sent = snapshot_sender::send(self, vote, snapshot) => sent,
        }
    }

    async fn transfer_leader(
        &mut self,
        req: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RpcError> {
        let mut client = self.client()?;
        let request = self.peers.stamp(self.to, self.group, wire::to_transfer(self.group, &req));
        let call = client.transfer_leader(request);
        let reply = self.within(RPCTypes::TransferLeader, option.soft_ttl(), call).await?;
        if reply.refusal.is_empty() {
            return Ok(Ok(()));
        }
        tracing::warn!(group = %self.group, to = self.to, refusal = reply.refusal, "leadership was not taken over");
        let actual = req.last_log_id().copied();
        Ok(Err(openraft::raft::TransferLeaderError::LogNotFlushed { expected: actual, actual: None }))
    }
}
