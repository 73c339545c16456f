//! A leader of shards is killed under load: how long until its shards accept again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hdrhistogram::Histogram;
use tidings_audit::{LocalCluster, Role};
use tokio::time::{Instant, sleep};

use super::operator::{Operator, led_by};
use super::traffic::{self, Account, Traffic};
use super::{Binary, ms};
use crate::load;
use crate::report::percentiles;

/// How long shards may take to accept again.
const LIMIT: Duration = Duration::from_secs(60);
/// Undisturbed load between kills.
const REST: Duration = Duration::from_secs(2);

/// The broker that leads most shards is killed (SIGKILL) and started again, so many times.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    binary: Binary,
    /// How often a broker is killed.
    #[arg(long, default_value_t = 20)]
    kills: u32,
    /// Messages a second, all pairs together.
    #[arg(long, default_value_t = 1_000)]
    rate: u64,
    /// Pairs of users.
    #[arg(long, default_value_t = 64)]
    pairs: usize,
}

/// What was measured of the kills, in microseconds.
struct Kills {
    /// To the first message accepted, of those that were due after the kill for a shard that was led by the killed one.
    first: Histogram<u64>,
    /// To the first one of the shard that took longest.
    slowest_shard: Histogram<u64>,
    shards: usize,
}

impl Arguments {
    pub async fn run(self) -> Result<()> {
        let cluster = LocalCluster::start(self.binary.plan()).await?;
        let operator = Operator::of(&cluster, 0).await?;
        let pairs = traffic::pairs(&operator, self.pairs).await?;
        operator.settled().await?;
        let traffic = Traffic::start(&pairs, &cluster.gateway_urls(), self.rate).await?;
        sleep(REST).await;
        let mut kills = Kills { first: load::histogram(), slowest_shard: load::histogram(), shards: 0 };
        for _ in 0..self.kills {
            kill(&cluster, &operator, &traffic, &mut kills).await?;
            sleep(REST).await;
        }
        let (account, fates) = traffic.end().await?;

        println!(
            "3 control-plane nodes, 3 brokers, 2 gateways; 8 shards of 3 replicas; {} messages/s open loop over {} pairs, \
             128 B; kill -9 of the broker that leads most shards, {} times; on average it led {:.1}",
            self.rate,
            self.pairs,
            self.kills,
            kills.shards as f64 / f64::from(self.kills)
        );
        println!("\n| | p50 ms | max ms |\n|---|---|---|");
        for (name, histogram) in [
            ("kill to the first accepted message for one of its shards", &kills.first),
            ("kill to the first accepted message for each of its shards", &kills.slowest_shard),
        ] {
            println!("| {name} | {} | {} |", ms(histogram.value_at_quantile(0.5)), ms(histogram.max()));
        }
        let send = traffic::send_latencies(&fates);
        println!("\nSends over the whole run, p50 / p99 ms: {}; max {}", percentiles(&send), ms(send.max()));
        println!("{}: {}", Account::HEADING, account.cell());
        account.check()
    }
}

async fn kill(cluster: &LocalCluster, operator: &Operator, traffic: &Traffic, kills: &mut Kills) -> Result<()> {
    let status = operator.settled().await?;
    let brokers = cluster.of(Role::Broker);
    let broker = brokers.iter().max_by_key(|broker| led_by(&status, broker.node()).len()).context("no brokers")?;
    let led = led_by(&status, broker.node());
    let count = u32::try_from(status.shards.len())?;
    broker.kill9()?;
    let killed_us = traffic.now_us();
    let first = first_accepted(traffic, killed_us, count, &led).await?;
    kills.shards += led.len();
    kills.first.saturating_record(first.values().min().context("it led nothing")? - killed_us);
    kills.slowest_shard.saturating_record(first.values().max().context("it led nothing")? - killed_us);
    broker.restart().await?;
    operator.settled().await?;
    Ok(())
}

/// When each of these shards accepted the first of the messages that were due since a time.
async fn first_accepted(
    traffic: &Traffic,
    since_us: u64,
    count: u32,
    shards: &BTreeSet<u32>,
) -> Result<BTreeMap<u32, u64>> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let mut first = BTreeMap::new();
        for fate in traffic.due_in(since_us..u64::MAX) {
            let shard = traffic.shard_of(fate.pair, count);
            if let Some(accepted_us) = fate.accepted_us.filter(|_| shards.contains(&shard)) {
                let earliest = first.entry(shard).or_insert(accepted_us);
                *earliest = accepted_us.min(*earliest);
            }
        }
        if first.len() == shards.len() {
            return Ok(first);
        }
        ensure!(Instant::now() < deadline, "after {LIMIT:?} only {} of {shards:?} accept", first.len());
        // What is read are records with times: how often does not matter to the figures.
        sleep(Duration::from_millis(50)).await;
    }
}
