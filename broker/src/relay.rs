//! From the leader of one shard to the leader of another: in this process, or over gRPC to the node that leads it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidings_consensus::NodeId;
use tidings_node::membership::MemberClient;
use tidings_node::{Dialer, dial};
use tidings_proto::ErrorCode;
use tidings_proto::broker::v1::broker_client::BrokerClient;
use tidings_proto::broker::v1::{RelayRequest, RelayResponse};
use tidings_proto::cluster::v1::ShardMap;
use tidings_proto::mailbox::v1::{ChannelDeliver, command::Command};
use tokio::sync::watch;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use crate::core::{Reply, encode};
use crate::error::{Error, code_of};
use crate::shards::Shards;

/// Nodes asked for one page, at most.
const HOPS: usize = 4;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The way to other shards. Cheap to clone.
#[derive(Clone)]
pub struct Relay {
    node: NodeId,
    shards: Shards,
    map: watch::Receiver<ShardMap>,
    member: MemberClient,
    dialer: Dialer,
    peers: Arc<Mutex<HashMap<String, Channel>>>,
}

impl Relay {
    /// Dials other nodes, and shows them that it is a `member`.
    pub fn new(
        node: NodeId,
        shards: Shards,
        map: watch::Receiver<ShardMap>,
        member: MemberClient,
        dialer: Dialer,
    ) -> Self {
        Self { node, shards, map, member, dialer, peers: Arc::default() }
    }

    /// Delivers a page to a shard, and answers up to where the shard has the channel. The outcome of a failure is not
    /// known; the page may be delivered again.
    pub async fn deliver(&self, shard: u32, page: ChannelDeliver) -> Result<u64, Error> {
        let failed = |reason: String| Error::Relay { shard, reason };
        let mut next = self.first_node(shard).ok_or_else(|| failed("no node holds it".to_owned()))?;
        for _ in 0..HOPS {
            let answer = if next == self.node {
                take(&self.shards, self.node, shard, page.clone()).await
            } else {
                self.send(next, shard, page.clone()).await.map_err(failed)?
            };
            if answer.code == 0 {
                return Ok(answer.up_to);
            }
            if answer.code() != ErrorCode::NotLeader || answer.leader_node == 0 {
                return Err(failed(answer.code().as_str_name().to_owned()));
            }
            next = answer.leader_node;
        }
        Err(failed("its leader was not found".to_owned()))
    }

    /// This node when it holds a replica, which knows the leader; otherwise the preferred leader.
    fn first_node(&self, shard: u32) -> Option<NodeId> {
        if self.shards.get(shard).is_some() {
            return Some(self.node);
        }
        let map = self.map.borrow();
        let placement = map.shards.iter().find(|placement| placement.shard == shard)?;
        placement.replicas.first().copied()
    }

    async fn send(&self, node: NodeId, shard: u32, page: ChannelDeliver) -> Result<RelayResponse, String> {
        let mut client = self.client(node)?;
        let request = RelayRequest { shard, deliver: Some(page) };
        match tokio::time::timeout(ANSWER_TIMEOUT, client.relay(request)).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(format!("node {node}: {status}")),
            Err(_) => Err(format!("node {node} did not answer within {} s", ANSWER_TIMEOUT.as_secs())),
        }
    }

    fn client(&self, node: NodeId) -> Result<BrokerClient<InterceptedService<Channel, MemberClient>>, String> {
        let address = {
            let map = self.map.borrow();
            let known = map.nodes.iter().find(|known| known.id == node);
            known.map(|known| known.address.clone()).ok_or_else(|| format!("node {node} has no address"))?
        };
        let mut peers = self.peers.lock();
        let channel = match peers.get(&address) {
            Some(channel) => channel.clone(),
            None => {
                let endpoint = dial::endpoint(&address).map_err(|error| format!("{address}: {error}"))?;
                let channel = self.dialer.connect_lazy(&endpoint.connect_timeout(CONNECT_TIMEOUT));
                peers.insert(address, channel.clone());
                channel
            }
        };
        Ok(BrokerClient::with_interceptor(channel, self.member.clone()))
    }
}

/// Takes a page into a shard of this node, if it leads it.
pub async fn take(shards: &Shards, node: NodeId, shard: u32, page: ChannelDeliver) -> RelayResponse {
    let refused = |code: ErrorCode, leader_node| RelayResponse { code: code.into(), leader_node, up_to: 0 };
    let Some(handle) = shards.get(shard) else {
        return refused(ErrorCode::NotLeader, 0);
    };
    let leadership = handle.leadership();
    if !leadership.is_leader {
        return refused(ErrorCode::NotLeader, leadership.leader.filter(|leader| *leader != node).unwrap_or(0));
    }
    match handle.group.propose_when_ready(encode(Command::ChannelDeliver(page))).await {
        Ok(Reply::ChannelDelivered { up_to }) => RelayResponse { code: 0, leader_node: 0, up_to },
        Ok(Reply::Refused(code)) => refused(code, 0),
        Ok(_) => refused(ErrorCode::Internal, 0),
        Err(error) => {
            let (code, leader_node) = code_of(&error);
            refused(code, leader_node)
        }
    }
}
