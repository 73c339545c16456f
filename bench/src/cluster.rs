//! Measurements of a cluster of processes on this machine while something happens to it. Each prints one table with the
//! command and the settings, and fails where a message was lost, doubled, reordered or refused.

mod failover;
mod gateway_loss;
mod growth;
pub mod operator;
mod quorum;
mod registry;
mod traffic;

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;
use tidings_audit::{Plan, Role};

/// What is measured.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The broker that leads most shards is killed, again and again: time to the first message accepted afterwards.
    Failover(failover::Arguments),
    /// A gateway with many sessions is killed: time until they are back on the other one.
    GatewayLoss(gateway_loss::Arguments),
    /// Brokers come and go: how much slower sends are meanwhile.
    Growth(growth::Arguments),
    /// A registry with very many users and tokens: memory, starts, snapshots, and how long a token takes.
    Registry(registry::Arguments),
    /// Messages that are accepted by a quorum of three brokers, beside the same on one node.
    Quorum(quorum::Arguments),
}

impl Command {
    /// Measures.
    pub async fn run(self) -> Result<()> {
        match self {
            Self::Failover(arguments) => arguments.run().await,
            Self::GatewayLoss(arguments) => arguments.run().await,
            Self::Growth(arguments) => arguments.run().await,
            Self::Registry(arguments) => arguments.run().await,
            Self::Quorum(arguments) => arguments.run().await,
        }
    }
}

/// Which binary the cluster is of.
#[derive(Debug, clap::Args)]
struct Binary {
    /// The `tidings` binary to start.
    #[arg(long, default_value = "target/release/tidings")]
    node: PathBuf,
}

impl Binary {
    /// 3 control-plane nodes, 3 brokers, 2 gateways; 8 shards of 3 replicas. The limits against floods are not what is
    /// measured.
    fn plan(&self) -> Plan {
        let floods = ["gateway.frames_per_second=1000000", "gateway.sends_per_second=1000000"];
        let plan = Plan::of(&self.node).set_all("telemetry.filter=warn");
        floods.into_iter().fold(plan, |plan, setting| plan.set(Role::Gateway, setting))
    }
}

/// Milliseconds with one digit.
pub fn ms(microseconds: u64) -> String {
    format!("{:.1}", microseconds as f64 / 1_000.0)
}
