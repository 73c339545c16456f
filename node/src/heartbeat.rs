//! Tells the control plane that this node lives, and learns where the shards are.

use std::sync::Arc;
use std::time::Duration;

use tidings_proto::cluster::v1::nodes_client::NodesClient;
use tidings_proto::cluster::v1::{HeartbeatRequest, HeartbeatResponse, Node, ShardMap, ShardReport};
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use crate::membership::{MemberClient, Membership};
use crate::{Clock, Dialer, Shutdown, dial};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// Between attempts while the control plane does not answer.
const RETRY: Duration = Duration::from_millis(250);
/// How often it is said again that it does not answer.
const REMINDER: Duration = Duration::from_secs(10);
/// Whatever the control plane asks for, it is told within these bounds.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);
const LONGEST_INTERVAL: Duration = Duration::from_secs(30);
/// A shard map of 4,096 shards fits.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// What a node says of itself, and to whom.
#[derive(Clone)]
pub struct Heartbeat {
    /// `seen_at_ms` is filled in.
    pub node: Node,
    /// `host:port` of the control plane's nodes; asked in turn until one answers.
    pub control_plane: Vec<String>,
    pub membership: Membership,
    pub dialer: Dialer,
    pub clock: Clock,
}

/// What a broker says of the shards that it leads.
pub type Reports = Arc<dyn Fn() -> Vec<ShardReport> + Send + Sync>;

type Client = NodesClient<InterceptedService<Channel, MemberClient>>;

impl Heartbeat {
    /// Runs until shutdown. Puts every newer map into `map`; while the control plane is away the last one stays.
    pub async fn run(mut self, map: watch::Sender<ShardMap>, reports: Reports, shutdown: Shutdown) {
        let mut clients: Vec<Option<Client>> = self.control_plane.iter().map(|_| None).collect();
        let mut turn = 0;
        let mut told: Option<Instant> = None;
        loop {
            let wait = match self.beat(&mut clients, turn, reports()).await {
                Ok(answer) => {
                    if told.take().is_some() {
                        tracing::info!("the control plane answers again");
                    }
                    learn(&map, answer.shard_map);
                    Duration::from_millis(answer.interval_ms.into()).clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL)
                }
                Err(reason) => {
                    if told.is_none_or(|told| told.elapsed() >= REMINDER) {
                        tracing::warn!(%reason, "the control plane does not take a heartbeat; going on with the last shard map");
                        told = Some(Instant::now());
                    }
                    turn = (turn + 1) % clients.len().max(1);
                    RETRY
                }
            };
            tokio::select! {
                () = shutdown.requested() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// As [`Heartbeat::run`], for a node that has no use for the map.
    pub async fn run_alone(self, shutdown: Shutdown) {
        let (map, _unread) = watch::channel(ShardMap::default());
        self.run(map, Arc::new(Vec::new), shutdown).await;
    }

    async fn beat(
        &mut self,
        clients: &mut [Option<Client>],
        turn: usize,
        shards: Vec<ShardReport>,
    ) -> Result<HeartbeatResponse, String> {
        let (Some(address), Some(client)) = (self.control_plane.get(turn), clients.get_mut(turn)) else {
            return Err("no address of a control plane was configured".to_owned());
        };
        let client = match client {
            Some(client) => client,
            None => client.insert(self.connect(address)?),
        };
        self.node.seen_at_ms = self.clock.now_ms();
        let request = HeartbeatRequest { node: Some(self.node.clone()), shards };
        match tokio::time::timeout(ANSWER_TIMEOUT, client.heartbeat(request)).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(format!("{address}: {}", status.message())),
            Err(_) => Err(format!("{address}: no answer within {} s", ANSWER_TIMEOUT.as_secs())),
        }
    }

    fn connect(&self, address: &str) -> Result<Client, String> {
        let endpoint = dial::endpoint(address).map_err(|error| format!("{address}: {error}"))?;
        let channel = self.dialer.connect_lazy(&endpoint.connect_timeout(CONNECT_TIMEOUT));
        let client = NodesClient::with_interceptor(channel, MemberClient::new(&self.membership));
        Ok(client.max_decoding_message_size(MAX_ANSWER_BYTES))
    }
}

fn learn(map: &watch::Sender<ShardMap>, answered: Option<ShardMap>) {
    let Some(new) = answered else { return };
    map.send_if_modified(|current| {
        let is_newer = new.epoch > current.epoch;
        if is_newer {
            tracing::info!(epoch = new.epoch, shards = new.shards.len(), "shard map");
            *current = new;
        }
        is_newer
    });
}
