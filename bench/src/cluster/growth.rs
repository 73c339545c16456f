//! Brokers come and go under load: how long the moves take, and how much slower sends are meanwhile.

use std::ops::Range;
use std::time::Duration;

use anyhow::Result;
use rand::Rng as _;
use tidings_audit::{LocalCluster, Member};
use tidings_sdk::Content;
use tokio::time::sleep;

use super::operator::Operator;
use super::traffic::{self, Account, Fate, Traffic};
use super::{Binary, ms};
use crate::report::percentiles;

/// Three brokers become five and three again.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    binary: Binary,
    /// Messages a second, all pairs together.
    #[arg(long, default_value_t = 500)]
    rate: u64,
    /// Pairs of users.
    #[arg(long, default_value_t = 64)]
    pairs: usize,
    /// Seconds that are measured before, between and after the moves.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// MiB that wait for users who are away, so that there is something to move: each is on three brokers.
    #[arg(long, default_value_t = 64)]
    stored_mib: usize,
}

/// Users who are away, and the size of what each of many messages to them says.
const AWAY: usize = 64;
const STORED_BYTES: usize = 32 * 1024;

/// A span of the run, in microseconds.
struct Phase {
    name: String,
    span: Range<u64>,
}

/// The cluster and its load while it changes.
struct Course<'a> {
    cluster: &'a LocalCluster,
    operator: Operator,
    traffic: Traffic,
    phases: Vec<Phase>,
}

impl Arguments {
    pub async fn run(self) -> Result<()> {
        let cluster = LocalCluster::start(self.binary.plan()).await?;
        let operator = Operator::of(&cluster, 0).await?;
        let pairs = traffic::pairs(&operator, self.pairs).await?;
        store(&operator, &cluster.gateway_urls(), self.stored_mib << 20).await?;
        operator.settled().await?;
        let traffic = Traffic::start(&pairs, &cluster.gateway_urls(), self.rate).await?;
        sleep(Duration::from_secs(5)).await; // Warm-up.
        let mut course = Course { cluster: &cluster, operator, traffic, phases: Vec::new() };
        let quiet = Duration::from_secs(self.seconds);

        course.rest("3 brokers, before", quiet).await;
        let mut added = Vec::new();
        added.push(course.add("4th").await?);
        added.push(course.add("5th").await?);
        course.rest("5 brokers", quiet).await;
        for (broker, name) in added.iter().zip(["4th", "5th"]) {
            course.drain(broker, name).await?;
        }
        course.rest("3 brokers again", quiet).await;
        let (account, fates) = course.traffic.end().await?;

        println!(
            "3 control-plane nodes, 2 gateways; 8 shards of 3 replicas; {} MiB stored, three times; {} messages/s open loop \
             over {} pairs, 128 B",
            self.stored_mib, self.rate, self.pairs
        );
        print(&course.phases, &fates);
        println!("\n{}: {}", Account::HEADING, account.cell());
        account.check()
    }
}

/// Fills the mailboxes of users who are away.
async fn store(operator: &Operator, gateways: &[String], bytes: usize) -> Result<()> {
    let writer = operator.person("writer".to_owned()).await?;
    let (writer, _) = traffic::connect(&writer, gateways)?;
    let mut away = Vec::with_capacity(AWAY);
    operator.people("away", 0..AWAY, AWAY, |person| away.push(person.id)).await?;
    let mut sent = Vec::new();
    for to in away.iter().cycle().take(bytes / STORED_BYTES) {
        // What compresses is no load.
        let mut data = vec![0; STORED_BYTES];
        rand::rng().fill(&mut data[..]);
        sent.push(writer.send(to.clone(), Content { data: data.into(), ..Content::default() }).await?);
    }
    for sending in sent {
        sending.sent().await?;
    }
    Ok(())
}

impl Course<'_> {
    async fn rest(&mut self, name: &str, length: Duration) {
        let from = self.traffic.now_us();
        sleep(length).await;
        self.note(name.to_owned(), from);
    }

    fn note(&mut self, name: String, from_us: u64) {
        self.phases.push(Phase { name, span: from_us..self.traffic.now_us() });
    }

    /// Until the new broker has its share, at least 4 of 24 replicas, and all shards are settled.
    async fn add(&mut self, name: &str) -> Result<std::sync::Arc<Member>> {
        let from = self.traffic.now_us();
        let broker = self.cluster.add_broker().await?;
        let id = broker.node();
        let has_its_share = |node: &tidings_proto::control::v1::NodeStatus| node.id == id && node.replicas >= 4;
        self.operator.until("the new broker has its share", |status| status.nodes.iter().any(has_its_share)).await?;
        self.note(format!("a {name} broker comes"), from);
        Ok(broker)
    }

    /// Drained, ended, removed.
    async fn drain(&mut self, broker: &Member, name: &str) -> Result<()> {
        let (from, id) = (self.traffic.now_us(), broker.node().to_string());
        self.cluster.operate(&["cluster", "drain", &id, "--wait"]).await?;
        broker.terminate().await?;
        self.cluster.operate(&["cluster", "remove", &id]).await?;
        self.operator.settled().await?;
        self.note(format!("the {name} broker is drained and removed"), from);
        self.cluster.forget(broker)
    }
}

fn print(phases: &[Phase], fates: &[Fate]) {
    println!("\n| phase | seconds | send p50 / p99 ms | max ms | p99 : before |\n|---|---|---|---|---|");
    let mut before = None;
    for Phase { name, span } in phases {
        let due: Vec<Fate> = fates.iter().filter(|fate| span.contains(&fate.due_us)).copied().collect();
        let latencies = traffic::send_latencies(&due);
        let p99 = latencies.value_at_quantile(0.99);
        let ratio = p99 as f64 / *before.get_or_insert(p99) as f64;
        let seconds = (span.end - span.start) as f64 / 1e6;
        println!("| {name} | {seconds:.1} | {} | {} | {ratio:.2} |", percentiles(&latencies), ms(latencies.max()));
    }
}
