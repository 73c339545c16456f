//! Tells the control plane that this node lives, and learns where the shards are.

use std::time::Duration;

use tidings_node::membership::{MemberClient, Membership};
use tidings_node::{Clock, Dialer, Shutdown, dial};
use tidings_proto::cluster::v1::nodes_client::NodesClient;
use tidings_proto::cluster::v1::{HeartbeatRequest, HeartbeatResponse, Node, ShardMap};
use tokio::sync::watch;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Between attempts while the control plane does not answer.
const RETRY: Duration = Duration::from_millis(250);
/// Whatever the control plane asks for, it is told within these bounds.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);
const LONGEST_INTERVAL: Duration = Duration::from_secs(30);

/// What a node says of itself, and to whom.
pub struct Heartbeat {
    /// `seen_at_ms` and an `incarnation` of 0 are filled in.
    pub node: Node,
    /// `host:port` of the control plane's nodes; asked in turn until one answers.
    pub control_plane: Vec<String>,
    pub membership: Membership,
    pub dialer: Dialer,
    pub clock: Clock,
}

type Client = NodesClient<InterceptedService<Channel, MemberClient>>;

impl Heartbeat {
    /// Runs until shutdown. Puts every newer map into `map`; while the control plane is away the last one stays.
    pub async fn run(mut self, map: watch::Sender<ShardMap>, shutdown: Shutdown) {
        if self.node.incarnation == 0 {
            // Grows from one start to the next, unless the machine's clock was set back.
            self.node.incarnation = self.clock.now_ms().cast_unsigned();
        }
        let mut clients: Vec<Option<Client>> = self.control_plane.iter().map(|_| None).collect();
        let mut turn = 0;
        let mut was_heard = true;
        loop {
            let wait = match self.beat(&mut clients, turn).await {
                Ok(answer) => {
                    if !was_heard {
                        tracing::info!("the control plane answers again");
                    }
                    was_heard = true;
                    self.learn(&map, answer.shard_map);
                    Duration::from_millis(answer.interval_ms.into()).clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL)
                }
                Err(reason) => {
                    if was_heard {
                        tracing::warn!(%reason, "the control plane does not answer; going on with the last shard map");
                    }
                    was_heard = false;
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

    async fn beat(&mut self, clients: &mut [Option<Client>], turn: usize) -> Result<HeartbeatResponse, String> {
        let (Some(address), Some(client)) = (self.control_plane.get(turn), clients.get_mut(turn)) else {
            return Err("no address of a control plane was configured".to_owned());
        };
        let client = match client {
            Some(client) => client,
            None => client.insert(self.connect(address)?),
        };
        self.node.seen_at_ms = self.clock.now_ms();
        let request = HeartbeatRequest { node: Some(self.node.clone()) };
        match tokio::time::timeout(ANSWER_TIMEOUT, client.heartbeat(request)).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(format!("{address}: {status}")),
            Err(_) => Err(format!("{address}: no answer within {} s", ANSWER_TIMEOUT.as_secs())),
        }
    }

    fn connect(&self, address: &str) -> Result<Client, String> {
        let endpoint = dial::endpoint(address).map_err(|error| format!("{address}: {error}"))?;
        let channel = self.dialer.connect_lazy(&endpoint.connect_timeout(CONNECT_TIMEOUT));
        Ok(NodesClient::with_interceptor(channel, MemberClient::new(&self.membership)))
    }

    fn learn(&self, map: &watch::Sender<ShardMap>, answered: Option<ShardMap>) {
        let Some(new) = answered else { return };
        map.send_if_modified(|current| {
            let is_newer = new.epoch > current.epoch;
            // Addresses may change without a move: the node that has moved says so by itself.
            let is_other = new.epoch == current.epoch && new != *current;
            if is_newer || is_other {
                tracing::info!(epoch = new.epoch, shards = new.shards.len(), "shard map");
                *current = new;
            }
            is_newer || is_other
        });
    }
}
