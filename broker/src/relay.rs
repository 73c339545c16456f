//! From the leader of one shard to the leader of another: in this process, or over gRPC to the node that leads it.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tidings_consensus::NodeId;
use tidings_node::membership::MemberClient;
use tidings_node::{Dialer, dial};
use tidings_proto::ErrorCode;
use tidings_proto::broker::v1::broker_client::BrokerClient;
use tidings_proto::broker::v1::{
    GetIgnoredRequest, GetIgnoredResponse, GetMembersRequest, GetMembersResponse, RelayRequest, RelayResponse,
    SearchGroupsRequest, UserTransient,
};
use tidings_proto::client::v1::Found;
use tidings_proto::cluster::v1::ShardMap;
use tidings_proto::mailbox::v1::{ChannelDeliver, command::Command};
use tokio::sync::watch;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use crate::core::{MailboxId, Reply};
use crate::error::{Error, code_of};
use crate::post::{led, seen};
use crate::shard::Request;
use crate::shards::Shards;
use crate::{group_activity, group_live, group_search, query};

/// Nodes asked for one answer, at most.
const MAX_ASKED: usize = 8;
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
        let answer = self
            .ask_leader(shard, |node| {
                let page = page.clone();
                Box::pin(async move {
                    let answer = if node == self.node {
                        take(&self.shards, self.node, shard, page).await
                    } else {
                        let request = RelayRequest { shard, deliver: Some(page), ..RelayRequest::default() };
                        answered(node, self.client(node)?.relay(request)).await?
                    };
                    Ok((answer.code, answer.leader_node, answer))
                })
            })
            .await?;
        Ok(answer.up_to)
    }

    /// Tells members of groups in a shard what is stored nowhere.
    pub async fn tell(&self, told: RelayRequest) -> Result<(), Error> {
        self.ask_leader(told.shard, |node| {
            let told = told.clone();
            Box::pin(async move {
                let answer = match (node == self.node, told.activity) {
                    (false, activity) => {
                        let request = RelayRequest { activity, ..told };
                        told_once(node, self.client(node)?.relay(request)).await?
                    }
                    (true, Some(activity)) => {
                        group_activity::hand_out(&self.shards, self.node, told.shard, activity).await
                    }
                    (true, None) => group_live::hand_out(&self.shards, self.node, told.shard, told.transients).await,
                };
                Ok((answer.code, answer.leader_node, ()))
            })
        })
        .await
    }

    /// Hands something to the devices of a user that are online.
    pub async fn hand(&self, shard: u32, transient: UserTransient) -> Result<(), Error> {
        self.ask_leader(shard, |node| {
            let transient = transient.clone();
            Box::pin(async move {
                let answer = if node == self.node {
                    hand_out(&self.shards, self.node, shard, transient)
                } else {
                    let request = RelayRequest { shard, transient: Some(transient), ..RelayRequest::default() };
                    told_once(node, self.client(node)?.relay(request)).await?
                };
                Ok((answer.code, answer.leader_node, ()))
            })
        })
        .await
    }

    /// What a user finds in groups whose home is a shard.
    pub async fn search_groups(&self, asked: SearchGroupsRequest) -> Result<Found, Error> {
        self.ask_leader(asked.shard, |node| {
            let asked = asked.clone();
            Box::pin(async move {
                let answer = if node == self.node {
                    group_search::answer(&self.shards, self.node, asked).await
                } else {
                    answered(node, self.client(node)?.search_groups(asked)).await?
                };
                Ok((answer.code, answer.leader_node, answer.found.unwrap_or_default()))
            })
        })
        .await
    }

    /// Whom a user of a shard ignores in groups.
    pub async fn ignored_by(&self, shard: u32, mailbox: &MailboxId) -> Result<Vec<String>, Error> {
        let (app, user) = (mailbox.app().to_owned(), mailbox.user().to_owned());
        let asked = GetIgnoredRequest { shard, app, user };
        let answer = self
            .ask_leader(shard, |node| {
                let asked = asked.clone();
                Box::pin(async move {
                    let answer = if node == self.node {
                        ignored(&self.shards, self.node, asked).await
                    } else {
                        answered(node, self.client(node)?.get_ignored(asked)).await?
                    };
                    Ok((answer.code, answer.leader_node, answer))
                })
            })
            .await?;
        Ok(answer.users)
    }

    /// The members of a shard, as its leader knows them for certain. A member that is to be excluded, because it has
    /// lost its data, is out of them when this returns.
    pub async fn members(&self, shard: u32, exclude: Option<NodeId>) -> Result<Vec<NodeId>, Error> {
        let answer = self
            .ask_leader(shard, |node| {
                Box::pin(async move {
                    let answer = if node == self.node {
                        members(&self.shards, self.node, shard, exclude).await
                    } else {
                        let request = GetMembersRequest { shard, exclude: exclude.unwrap_or(0) };
                        answered(node, self.client(node)?.get_members(request)).await?
                    };
                    Ok((answer.code, answer.leader_node, answer))
                })
            })
            .await?;
        Ok(answer.members)
    }

    /// Asks the nodes that may lead the shard, and those that they name, until one answers as its leader. `ask` answers
    /// code, leader and answer.
    async fn ask_leader<'a, T>(
        &self,
        shard: u32,
        ask: impl Fn(NodeId) -> BoxFuture<'a, Result<(i32, NodeId, T), String>>,
    ) -> Result<T, Error> {
        let mut reason = "no node holds it".to_owned();
        let mut asked = Vec::new();
        let mut candidates = self.candidates(shard);
        while let Some(node) = candidates.pop_front() {
            if asked.len() >= MAX_ASKED || asked.contains(&node) {
                continue;
            }
            asked.push(node);
            match ask(node).await {
                Ok((0, _, answer)) => return Ok(answer),
                Ok((code, leader, _)) => {
                    let code = ErrorCode::try_from(code).unwrap_or(ErrorCode::Internal);
                    reason = format!("node {node}: {}", code.as_str_name());
                    if leader != 0 {
                        candidates.push_front(leader);
                    }
                }
                Err(error) => reason = error,
            }
        }
        Err(Error::Relay { shard, reason })
    }

    /// This node when it holds a replica, which knows the leader; then those that the map names.
    fn candidates(&self, shard: u32) -> VecDeque<NodeId> {
        let here = self.shards.get(shard).map(|_| self.node);
        let map = self.map.borrow();
        let placement = map.shards.iter().find(|placement| placement.shard == shard);
        here.into_iter().chain(placement.into_iter().flat_map(|placement| placement.replicas.clone())).collect()
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

async fn answered<T>(
    node: NodeId,
    call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
) -> Result<T, String> {
    match tokio::time::timeout(ANSWER_TIMEOUT, call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(format!("node {node}: {status}")),
        Err(_) => Err(format!("node {node} did not answer within {} s", ANSWER_TIMEOUT.as_secs())),
    }
}

/// The answer to what may be told at most once: only where it cannot have arrived is another node asked.
async fn told_once(
    node: NodeId,
    call: impl Future<Output = Result<tonic::Response<RelayResponse>, tonic::Status>>,
) -> Result<RelayResponse, String> {
    match tokio::time::timeout(ANSWER_TIMEOUT, call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) if was_not_reached(&status) => Err(format!("node {node}: {status}")),
        Ok(Err(_)) | Err(_) => Ok(RelayResponse::default()),
    }
}

fn was_not_reached(status: &tonic::Status) -> bool {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return error.kind() == std::io::ErrorKind::ConnectionRefused;
        }
        source = error.source();
    }
    false
}

/// The members of a shard of this node, if it leads it.
pub async fn members(shards: &Shards, node: NodeId, shard: u32, exclude: Option<NodeId>) -> GetMembersResponse {
    let Some(handle) = shards.get(shard) else {
        return GetMembersResponse { code: ErrorCode::NotLeader.into(), ..GetMembersResponse::default() };
    };
    match handle.members(exclude.filter(|exclude| *exclude != node)).await {
        Ok(members) => GetMembersResponse { members, ..GetMembersResponse::default() },
        Err(error) => {
            let (code, leader_node) = code_of(&error);
            GetMembersResponse { code: code.into(), leader_node, ..GetMembersResponse::default() }
        }
    }
}

/// Whom a user of a shard of this node ignores in groups, if it leads it.
pub async fn ignored(shards: &Shards, node: NodeId, asked: GetIgnoredRequest) -> GetIgnoredResponse {
    let read = match led(shards, node, asked.shard, &asked.app, &asked.user) {
        Ok((handle, mailbox)) => seen(&handle, move |view| query::ignored(view, &mailbox)).await,
        Err(refusal) => Err(refusal),
    };
    match read {
        Ok(users) => GetIgnoredResponse { users, ..GetIgnoredResponse::default() },
        Err((code, leader_node)) => {
            GetIgnoredResponse { code: code.into(), leader_node, ..GetIgnoredResponse::default() }
        }
    }
}

/// Hands something to a user of a shard of this node, if it leads it: at most once, and stored nowhere.
pub fn hand_out(shards: &Shards, node: NodeId, shard: u32, transient: UserTransient) -> RelayResponse {
    let refused = |code: ErrorCode, leader_node| RelayResponse { code: code.into(), leader_node, up_to: 0 };
    let handle = match shards.led(shard, node) {
        Ok(handle) => handle,
        Err(leader_node) => return refused(ErrorCode::NotLeader, leader_node),
    };
    let Some(mailbox) = MailboxId::new(&transient.app, &transient.user) else {
        return refused(ErrorCode::InvalidArgument, 0);
    };
    match handle.requests.try_send(Request::Transient { mailbox, envelope: transient.envelope.into(), conflates: 0 }) {
        Ok(()) => RelayResponse::default(),
        Err(_) => refused(ErrorCode::Overloaded, 0),
    }
}

/// Takes a page into a shard of this node, if it leads it.
pub async fn take(shards: &Shards, node: NodeId, shard: u32, page: ChannelDeliver) -> RelayResponse {
    let refused = |code: ErrorCode, leader_node| RelayResponse { code: code.into(), leader_node, up_to: 0 };
    let handle = match shards.led(shard, node) {
        Ok(handle) => handle,
        Err(leader_node) => return refused(ErrorCode::NotLeader, leader_node),
    };
    let Some(command) = handle.level.encode(Command::ChannelDeliver(page)) else {
        return refused(ErrorCode::Unavailable, 0);
    };
    match handle.group.propose_when_ready(command).await {
        Ok(Reply::ChannelDelivered { up_to }) => RelayResponse { code: 0, leader_node: 0, up_to },
        Ok(Reply::Refused(code)) => refused(code, 0),
        Ok(_) => refused(ErrorCode::Internal, 0),
        Err(error) => {
            let (code, leader_node) = code_of(&error);
            refused(code, leader_node)
        }
    }
}
