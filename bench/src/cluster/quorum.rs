//! 1:1 messages that a quorum of three brokers has synced, beside the same on a single node, in turn in one run.

use std::time::Duration;

use anyhow::Result;
use tidings_audit::{LocalCluster, Role};

use super::Binary;
use super::operator::Operator;
use crate::load::{self, Plan, Shape, Target};
use crate::node::{Node, Usage};
use crate::people::Pairs;
use crate::{process, report};

/// The same loads in turn on a single node and on a cluster.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    binary: Binary,
    /// Seconds that are measured in each run.
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// Seconds of the same load before the measurement.
    #[arg(long, default_value_t = 5)]
    warm_up: u64,
    /// How often each load is run, in turn with the others.
    #[arg(long, default_value_t = 3)]
    repeats: u32,
    /// Senders; each has a recipient of its own.
    #[arg(long, default_value_t = 64)]
    senders: usize,
    /// Messages a second that the open loop offers; several rates can be given.
    #[arg(long, default_values_t = [1_000, 5_000])]
    rate: Vec<u64>,
    /// Sends in flight for each sender in the saturating load.
    #[arg(long, default_value_t = 64)]
    in_flight: usize,
}

impl Arguments {
    pub async fn run(self) -> Result<()> {
        let node = Node::start(&self.binary.node, None, None).await?;
        let people = Pairs::create(node.control_url(), &node.operator_key()?, self.senders).await?;
        let cluster = LocalCluster::start(self.binary.plan()).await?;
        Operator::of(&cluster, 0).await?.settled().await?;
        let control = cluster.control_plane(0).control_url();
        let their_people = Pairs::create(control, &cluster.operator_key()?, self.senders).await?;

        let mut shapes: Vec<Shape> =
            self.rate.iter().map(|rate| Shape::Open { senders: self.senders, rate: *rate }).collect();
        shapes.push(Shape::Closed { senders: self.senders, in_flight: self.in_flight });
        println!(
            "One node: durability tier fsync, 4 shards. Cluster: tier quorum-fsync, 3 control-plane nodes, 3 brokers and 2 \
             gateways on one disk, 8 shards of 3 replicas; CPU, fsyncs and bytes are of all 8 processes. 128 B.\n"
        );
        report::print_header();
        let mut faulty = 0;
        for _ in 0..self.repeats {
            for shape in &shapes {
                let plan = self.plan(shape);
                let single = load::run(&node, &people, &plan).await?;
                report::print_run_of("one node", shape, &single);
                let quorum = load::run(&cluster, &their_people, &plan).await?;
                report::print_run_of("cluster", shape, &quorum);
                faulty += [single, quorum].iter().filter(|run| run.lost + run.doubled + run.refused > 0).count();
            }
        }
        node.stop().await?;
        anyhow::ensure!(faulty == 0, "{faulty} runs lost, doubled or refused messages");
        Ok(())
    }

    fn plan(&self, shape: &Shape) -> Plan {
        let (warm_up, measured) = (Duration::from_secs(self.warm_up), Duration::from_secs(self.seconds));
        Plan { shape: shape.clone(), warm_up, measured, size: 128 }
    }
}

impl Target for LocalCluster {
    fn gateway_url(&self, client: usize) -> String {
        let gateways = self.of(Role::Gateway);
        gateways[client % gateways.len()].gateway_url()
    }

    async fn usage(&self) -> Result<Usage> {
        let mut all = Usage::default();
        for member in self.members() {
            let (id, fsyncs) = (member.process_id()?, member.metric("tidings_consensus_log_fsyncs_total").await?);
            let (cpu_seconds, bytes_written) = (process::cpu_seconds(id)?, process::bytes_written(id)?);
            all = all + Usage { cpu_seconds, bytes_written, fsyncs };
        }
        Ok(all)
    }
}
