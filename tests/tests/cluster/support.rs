//! A cluster, what it says of itself, and numbered messages through it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use tidings_audit::{LocalCluster, Member, Plan, Role};
use tidings_proto::ErrorCode;
use tidings_proto::client::v1::{Hello, client_frame, server_frame};
use tidings_proto::shard::shard_of;
use tidings_sdk::{Builder, Client, Events, HistoryMessage, HistoryQuery};
use tidings_tests::raw::Came;
use tidings_tests::recorder::Recorder;
use tidings_tests::{Control, DEADLINE, RawClient, traffic, within};
use tokio::task::JoinHandle;

/// The default cluster: 8 shards of 3 replicas.
pub async fn start() -> LocalCluster {
    start_as(Plan::default()).await
}

/// A cluster as planned, all of whose shards have settled.
pub async fn start_as(plan: Plan) -> LocalCluster {
    let cluster = LocalCluster::start(plan).await.unwrap();
    settled(&cluster).await;
    cluster
}

/// `tidings cluster status`, once the control plane answers.
pub async fn status(cluster: &LocalCluster) -> Value {
    serde_json::from_str(&cluster.operate(&["cluster", "status", "--json"]).await.unwrap()).unwrap()
}

/// Waits for the cluster to say what is wanted.
pub async fn until(cluster: &LocalCluster, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    within(DEADLINE * 3, what, async {
        loop {
            let now = status(cluster).await;
            if is_so(&now) {
                return now;
            }
            // The cluster says what it is doing only when it is asked.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
}

/// Every shard is where the map wants it, and led by the one that it prefers.
pub fn is_settled(status: &Value) -> bool {
    let shards = status["shards"].as_array().unwrap();
    shards.iter().all(|shard| shard["settled"] == true && shard["leader"] == shard["wanted"][0])
}

pub async fn settled(cluster: &LocalCluster) -> Value {
    until(cluster, "all shards settle", is_settled).await
}

pub fn node(status: &Value, id: u64) -> &Value {
    status["nodes"].as_array().unwrap().iter().find(|node| node["id"] == id).unwrap()
}

/// The broker that leads the shard of a user, or the home of a group.
pub async fn leader_of(cluster: &LocalCluster, name: &str) -> Arc<Member> {
    let status = status(cluster).await;
    let shards = status["shards"].as_array().unwrap();
    let of_name = u64::from(shard_of("default", name, u32::try_from(shards.len()).unwrap()));
    let shard = shards.iter().find(|shard| shard["shard"] == of_name).unwrap();
    let brokers = cluster.of(Role::Broker);
    brokers.into_iter().find(|broker| shard["leader"] == broker.node()).unwrap()
}

/// The control plane's leader.
pub async fn control_leader(cluster: &LocalCluster) -> Arc<Member> {
    let status = until(cluster, "there is a leader", |status| status["leader"] != 0).await;
    let nodes = cluster.of(Role::ControlPlane);
    nodes.into_iter().find(|node| status["leader"] == node.node()).unwrap()
}

/// The operator, at one of the control plane's nodes.
pub async fn control(cluster: &LocalCluster, index: usize) -> Control {
    Control::connect(&cluster.control_urls()[index], &cluster.operator_key().unwrap()).await
}

/// A client of the SDK that comes back quickly, to any gateway.
pub fn client(cluster: &LocalCluster, token: &str, device: &str) -> Builder {
    client_of(&cluster.gateway_urls(), token, device)
}

/// The same, at one of the gateways, online.
pub async fn online(cluster: &LocalCluster, gateway: usize, token: &str, device: &str) -> (Client, Events) {
    let urls = [cluster.gateway(gateway).gateway_url()];
    let (client, events) = client_of(&urls, token, device).connect().unwrap();
    within(DEADLINE, "it is online", client.online()).await.unwrap();
    (client, events)
}

/// The same, to one of these gateways.
fn client_of(urls: &[String], token: &str, device: &str) -> Builder {
    let quickly = Duration::from_millis(50);
    let builder = Client::builder(urls[0].clone(), token).device(device).backoff(quickly, quickly * 4);
    urls[1..].iter().fold(builder, |builder, url| builder.gateway(url.clone()))
}

/// Where clients connect to one of the gateways.
pub fn address(cluster: &LocalCluster, gateway: usize) -> SocketAddr {
    cluster.gateway(gateway).gateway_url()["ws://".len()..].parse().unwrap()
}

/// A device at one of the gateways, without the SDK.
pub async fn attached(cluster: &LocalCluster, gateway: usize, token: &str, device: &str) -> RawClient {
    RawClient::attached(address(cluster, gateway), token, device, None).await.0
}

/// How one of the gateways refuses a handshake; nothing when it does not.
pub async fn refusal(cluster: &LocalCluster, gateway: usize, token: &str, app_id: &str) -> Option<ErrorCode> {
    let mut client = RawClient::open(address(cluster, gateway)).await;
    let (token, app_id, device) = (token.to_owned(), app_id.to_owned(), "phone".to_owned());
    client.write(client_frame::Frame::Hello(Hello { version: 1, token, device, app_id, ..Hello::default() })).await;
    match client.next().await {
        Came::Frame(server_frame::Frame::Closing(closing)) => Some(closing.code()),
        Came::Frame(server_frame::Frame::Welcome(_)) => None,
        other => panic!("neither welcome nor closing but {other:?}"),
    }
}

/// What a user's newest page of the history with another says; `-` where there is no content any more.
pub async fn texts(client: &Client, with: &str) -> Vec<String> {
    let page = within(DEADLINE, "a page", client.history(with, HistoryQuery::default())).await.unwrap();
    let text = |one: HistoryMessage| one.message.unwrap().content.map_or("-".to_owned(), |c| c.text);
    page.messages.into_iter().map(text).collect()
}

/// Pairs of users of which one sends to the other without a pause, until it is told to stop.
pub struct Traffic {
    pairs: Vec<(Client, Recorder, JoinHandle<()>)>,
    stop: Arc<AtomicBool>,
}

impl Traffic {
    pub async fn start(cluster: &LocalCluster, pairs: usize) -> Self {
        let urls = cluster.gateway_urls();
        Self::start_through(cluster, pairs, |_| [urls.clone(), urls.clone()]).await
    }

    /// As [`start`](Self::start), with each client at a certain one of two gateways: four pairs are all combinations.
    pub async fn start_through_each(cluster: &LocalCluster, pairs: usize) -> Self {
        let urls = cluster.gateway_urls();
        let only = |gateway: usize| vec![urls[gateway % 2].clone()];
        Self::start_through(cluster, pairs, |pair| [only(pair), only(pair / 2)]).await
    }

    async fn start_through(cluster: &LocalCluster, pairs: usize, gateways: impl Fn(usize) -> [Vec<String>; 2]) -> Self {
        let control = control(cluster, 0).await;
        let stop = Arc::new(AtomicBool::new(false));
        let mut started = Vec::new();
        for pair in 0..pairs {
            let (from, to) = (format!("sender-{pair}"), format!("recipient-{pair}"));
            let (sender_token, recipient_token) = (control.user(&from).await, control.user(&to).await);
            let [senders, recipients] = gateways(pair);
            let (sender, sender_events) =
                client_of(&senders, &sender_token, "phone").outbox_limit(50, 1 << 20).connect().unwrap();
            drop(sender_events);
            let (recipient, events) = client_of(&recipients, &recipient_token, "phone").connect().unwrap();
            let recorder = Recorder::default();
            traffic::record(events, recorder.clone());
            let (stopping, recorded) = (stop.clone(), recorder.clone());
            let sending = tokio::spawn(async move {
                traffic::send_while(&sender, &to, &recorded, |_| !stopping.load(Ordering::Relaxed)).await;
            });
            started.push((recipient, recorder, sending));
        }
        Self { pairs: started, stop }
    }

    /// Waits until every pair has had so many more messages accepted.
    pub async fn goes_on(&self, more: u64) {
        for (_, recorder, _) in &self.pairs {
            recorder.accepted_at_least(recorder.accepted() + more).await;
        }
    }

    /// Stops, waits for what is on its way, and judges. Every message is accepted in the end.
    pub async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for (_, recorder, sending) in self.pairs {
            sending.await.unwrap();
            recorder.delivered_at_least(recorder.accepted()).await;
            let verdict = recorder.verdict();
            verdict.assert_clean();
            assert_eq!(verdict.not_accepted, 0, "every outcome becomes known: {verdict}");
        }
    }
}
