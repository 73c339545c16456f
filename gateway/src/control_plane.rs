//! Calls to the control plane: any node of it will do, and the next one is asked when one is away.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tidings_node::membership::{MemberClient, Membership};
use tidings_node::{Dialer, dial};
use tidings_proto::cluster::v1::directory_client::DirectoryClient;
use tidings_proto::cluster::v1::{
    GetPolicyRequest, GetPolicyResponse, ResolveTokenRequest, ResolveTokenResponse, ResolveUserRequest,
    ResolveUserResponse, WatchRequest, WatchResponse,
};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use crate::error::GatewayError;

type Client = DirectoryClient<InterceptedService<Channel, MemberClient>>;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const CALL_TIMEOUT: Duration = Duration::from_secs(3);
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// A shard map of 4,096 shards and a long list of changes fit.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// One lazily connected channel per node.
#[derive(Debug)]
pub(crate) struct ControlPlane {
    clients: Vec<Client>,
    current: AtomicUsize,
}

impl ControlPlane {
    /// `addresses` are `host:port`.
    pub fn new(addresses: &[String], membership: &Membership, dialer: &Dialer) -> Result<Self, GatewayError> {
        if addresses.is_empty() {
            return Err(GatewayError::NoControlPlane);
        }
        let clients = addresses.iter().map(|address| client(address, membership, dialer)).collect::<Result<_, _>>()?;
        Ok(Self { clients, current: AtomicUsize::new(0) })
    }

    pub async fn resolve_token(&self, request: ResolveTokenRequest) -> Result<ResolveTokenResponse, Status> {
        self.ask(|mut client| {
            let request = request.clone();
            async move { client.resolve_token(request).await }
        })
        .await
    }

    pub async fn resolve_user(&self, request: ResolveUserRequest) -> Result<ResolveUserResponse, Status> {
        self.ask(|mut client| {
            let request = request.clone();
            async move { client.resolve_user(request).await }
        })
        .await
    }

    pub async fn get_policy(&self, request: GetPolicyRequest) -> Result<GetPolicyResponse, Status> {
        self.ask(|mut client| {
            let request = request.clone();
            async move { client.get_policy(request).await }
        })
        .await
    }

    /// Opens a watch; an error makes the next call go to another node.
    pub async fn watch(&self, request: WatchRequest) -> Result<Streaming<WatchResponse>, Status> {
        let (at, mut client) = self.current();
        let opened = limited(client.watch(request)).await;
        opened.inspect_err(|_| self.leave(at)).map(tonic::Response::into_inner)
    }

    async fn ask<T, F>(&self, call: impl Fn(Client) -> F) -> Result<T, Status>
    where
        F: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        let mut failed = Status::unavailable("no control-plane node answers");
        for _ in 0..self.clients.len() {
            let (at, client) = self.current();
            match limited(call(client)).await {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status) => {
                    self.leave(at);
                    failed = status;
                }
            }
        }
        Err(failed)
    }

    fn current(&self) -> (usize, Client) {
        let at = self.current.load(Ordering::Relaxed);
        (at, self.clients[at % self.clients.len()].clone())
    }

    /// Goes on to the next node, unless somebody did already.
    fn leave(&self, at: usize) {
        let _ = self.current.compare_exchange(at, at.wrapping_add(1), Ordering::Relaxed, Ordering::Relaxed);
    }
}

async fn limited<T>(call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    let late = |_| Status::unavailable("the control plane did not answer in time");
    tokio::time::timeout(CALL_TIMEOUT, call).await.map_err(late)?
}

fn client(address: &str, membership: &Membership, dialer: &Dialer) -> Result<Client, GatewayError> {
    let refused = |error: tonic::transport::Error| GatewayError::ControlPlaneAddress {
        address: address.to_owned(),
        reason: error.to_string(),
    };
    let endpoint = dial::endpoint(address)
        .map_err(refused)?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true);
    Ok(DirectoryClient::with_interceptor(dialer.connect_lazy(&endpoint), MemberClient::new(membership))
        .max_decoding_message_size(MAX_ANSWER_BYTES))
}
