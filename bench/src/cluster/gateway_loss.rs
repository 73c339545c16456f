//! A gateway with many sessions is killed: how long until they are all back on the other one, and how long deliveries
//! take meanwhile.

use std::time::Duration;

use anyhow::{Result, ensure};
use tidings_audit::{LocalCluster, Member};
use tokio::time::{Instant, sleep, sleep_until};

use super::operator::Operator;
use super::traffic::{self, Account, Traffic};
use super::{Binary, ms};
use crate::process;
use crate::report::percentiles;

/// Deliveries are judged in windows of this length.
const WINDOW: Duration = Duration::from_secs(10);
/// How long the sessions may take.
const LIMIT: Duration = Duration::from_secs(120);
/// A window's p99 is at the baseline again when it is at most so many times the highest one before the kill.
const BACK: f64 = 1.2;

/// All sessions are on one gateway, which is killed (SIGKILL) under load.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    binary: Binary,
    /// Sessions, half of which send to the other half.
    #[arg(long, default_value_t = 5_000)]
    sessions: usize,
    /// Messages a second, all together.
    #[arg(long, default_value_t = 200)]
    rate: u64,
    /// Windows of 10 s before the kill.
    #[arg(long, default_value_t = 3)]
    before: u32,
    /// Windows of 10 s after it.
    #[arg(long, default_value_t = 6)]
    after: u32,
}

impl Arguments {
    pub async fn run(self) -> Result<()> {
        let cluster = LocalCluster::start(self.binary.plan()).await?;
        let operator = Operator::of(&cluster, 0).await?;
        let pairs = traffic::pairs(&operator, self.sessions / 2).await?;
        operator.settled().await?;
        let (lost, other) = (cluster.gateway(0), cluster.gateway(1));
        // Clients choose a gateway at random: there is one only while they connect.
        other.terminate().await?;
        let empty = resident(&lost)?;
        let traffic = Traffic::start(&pairs, &cluster.gateway_urls(), self.rate).await?;
        other.start().await?;
        sleep(WINDOW).await; // Warm-up.

        let begin = Instant::now();
        let begin_us = traffic.now_us();
        sleep_until(begin + WINDOW * self.before).await;
        let memory = [("gateway 1, without sessions", empty), ("gateway 1, with all sessions", resident(&lost)?)];
        let waiting = resident(&other)?;
        lost.kill9()?;
        let killed_us = traffic.now_us();
        let back_us = all_back(&traffic, &other).await? - killed_us;
        sleep_until(begin + WINDOW * (self.before + self.after)).await;
        let after = [("gateway 2, without sessions", waiting), ("gateway 2, with all sessions", resident(&other)?)];
        let (account, fates) = traffic.end().await?;

        println!(
            "3 control-plane nodes, 3 brokers, 2 gateways; 8 shards of 3 replicas; {} sessions on gateway 1; {} messages/s \
             open loop among them, 128 B; kill -9 of gateway 1 after {} windows of {WINDOW:?}",
            self.sessions, self.rate, self.before
        );
        println!("\n| window | messages due | delivery p50 / p99 ms | max ms |\n|---|---|---|---|");
        let (mut baseline, mut at_baseline) = (0, None);
        for window in 0..self.before + self.after {
            let length_us = u64::try_from(WINDOW.as_micros())?;
            let from_us = begin_us + u64::from(window) * length_us;
            let due: Vec<_> =
                fates.iter().filter(|fate| (from_us..from_us + length_us).contains(&fate.due_us)).collect();
            let latencies = traffic::delivery_latencies(&due.iter().map(|fate| **fate).collect::<Vec<_>>());
            let p99 = latencies.value_at_quantile(0.99);
            let seconds = (i64::from(window) - i64::from(self.before)) * 10;
            println!("| {seconds:+} s | {} | {} | {} |", due.len(), percentiles(&latencies), ms(latencies.max()));
            if window < self.before {
                baseline = baseline.max(p99);
            } else if at_baseline.is_none() && p99 as f64 <= baseline as f64 * BACK {
                at_baseline = Some(seconds);
            }
        }
        println!("\nAll sessions attached on gateway 2 after {} ms", ms(back_us));
        match at_baseline {
            Some(seconds) => {
                println!("p99 at the baseline again (at most {BACK} times) in the window at {seconds:+} s")
            }
            None => println!("p99 not at the baseline again (at most {BACK} times) within the windows"),
        }
        for (name, mib) in memory.into_iter().chain(after) {
            println!("{name}: {mib:.0} MiB resident");
        }
        println!("{}: {}", Account::HEADING, account.cell());
        account.check()
    }
}

fn resident(member: &Member) -> Result<f64> {
    process::resident_mib(member.process_id()?)
}

/// When the other gateway has all sessions, and the clients know it.
async fn all_back(traffic: &Traffic, gateway: &Member) -> Result<u64> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let (all, online) = traffic.online();
        if online == all && gateway.metric("tidings_gateway_sessions").await? >= all as f64 {
            return Ok(traffic.now_us());
        }
        ensure!(Instant::now() < deadline, "after {LIMIT:?} {online} of {all} sessions are back");
        sleep(Duration::from_millis(20)).await;
    }
}
