//! The other nodes that this one asks, control-plane nodes and brokers: one connection to each, made when it is first
//! needed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidings_node::membership::{MemberClient, Membership};
use tidings_node::{Dialer, dial};
use tidings_proto::ErrorCode;
use tidings_proto::broker::v1::messages_client::MessagesClient;
use tidings_proto::cluster::v1::nodes_client::NodesClient;
use tidings_proto::cluster::v1::registry_client::RegistryClient;
use tidings_proto::control::v1::cluster_client::ClusterClient;
use tonic::Status;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const KEEP_ALIVE: Duration = Duration::from_secs(2);
/// How long another node may take to answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(3);

/// What the other node is called through.
pub type Member = InterceptedService<Channel, MemberClient>;

/// The connections. Cheap to clone.
#[derive(Clone)]
pub struct Peers {
    member: MemberClient,
    dialer: Dialer,
    channels: Arc<Mutex<HashMap<String, Channel>>>,
}

impl Peers {
    /// Shows this membership to the others.
    pub fn new(membership: &Membership, dialer: Dialer) -> Self {
        Self { member: MemberClient::new(membership), dialer, channels: Arc::default() }
    }

    fn channel(&self, address: &str) -> Result<Channel, Status> {
        let mut channels = self.channels.lock();
        if let Some(channel) = channels.get(address) {
            return Ok(channel.clone());
        }
        let endpoint = dial::endpoint(address)
            .map_err(|error| ErrorCode::Internal.status(format!("{address:?} is no address of a node: {error}")))?;
        let endpoint = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CALL_TIMEOUT)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE);
        let channel = self.dialer.connect_lazy(&endpoint);
        channels.insert(address.to_owned(), channel.clone());
        Ok(channel)
    }

    fn member(&self, address: &str) -> Result<Member, Status> {
        Ok(InterceptedService::new(self.channel(address)?, self.member.clone()))
    }

    /// What control-plane nodes ask each other.
    pub fn registry(&self, address: &str) -> Result<RegistryClient<Member>, Status> {
        Ok(RegistryClient::new(self.member(address)?))
    }

    /// What all nodes ask the leader.
    pub fn nodes(&self, address: &str) -> Result<NodesClient<Member>, Status> {
        Ok(NodesClient::new(self.member(address)?))
    }

    /// What brokers are asked for backends.
    pub fn messages(&self, address: &str) -> Result<MessagesClient<Member>, Status> {
        Ok(MessagesClient::new(self.member(address)?))
    }

    /// What an operator asks; the caller passes the operator's own key on.
    pub fn cluster(&self, address: &str) -> Result<ClusterClient<Channel>, Status> {
        Ok(ClusterClient::new(self.channel(address)?))
    }
}

/// Whether a call failed before anything was sent.
pub fn was_not_sent(status: &Status) -> bool {
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}
