//! Load from the Rust SDK against real processes: how many messages a second are accepted, how long a send and a
//! delivery take, what that costs in fsyncs, CPU and bytes, and how long faults and moves are felt. Every message is
//! accounted for at the end of each run.
//!
//! Without a subcommand messages between two users through one node are measured; `group` and `history` measure one
//! node too, the other subcommands a cluster.
#![allow(clippy::print_stdout, clippy::print_stderr)] // Printing figures is what it is for.

mod cluster;
mod group;
mod history;
mod live;
mod load;
mod node;
mod people;
mod process;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;

use crate::load::{Plan, Shape};
use crate::node::Node;

#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    one_node: OneNode,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Groups of which half the members are online: how fast a message reaches the last of them, and at what cost.
    Group(group::Arguments),
    /// A live feed to a group, with members who are slow: what it costs, and what they are given.
    Live(live::Arguments),
    /// A mailbox with very many messages: how long a page of its history takes.
    History(history::Arguments),
    #[command(flatten)]
    Cluster(cluster::Command),
}

/// Runs each load in turn, several times over, against a node of its own, and prints a row per run.
#[derive(Debug, clap::Args)]
struct OneNode {
    /// The `tidings` binary to start.
    #[arg(long, default_value = "target/release/tidings")]
    node: PathBuf,
    /// Where the node keeps its data; a temporary folder otherwise. Name one on the disk that you want to measure.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Seconds that are measured in each run.
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// Seconds of the same load before the measurement.
    #[arg(long, default_value_t = 5)]
    warm_up: u64,
    /// How often each load is run, in turn with the others.
    #[arg(long, default_value_t = 3)]
    repeats: u32,
    /// Bytes of payload in a message, at least 16.
    #[arg(long, default_value_t = 128)]
    size: usize,
    /// Senders of the open loop; each has a recipient of its own.
    #[arg(long, default_value_t = 64)]
    senders: usize,
    /// Messages a second that the open loop offers, all senders together; several rates can be given.
    #[arg(long, default_values_t = [1_000, 10_000])]
    rate: Vec<u64>,
    /// Sends in flight for each sender in the saturating load.
    #[arg(long, default_value_t = 64)]
    in_flight: usize,
    /// Processors for the node (as `taskset -c` takes them).
    #[arg(long)]
    node_cpus: Option<String>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let Some(command) = arguments.command else { return arguments.one_node.run().await };
    let words: Vec<String> = std::env::args().skip(1).collect();
    println!("`tidings-bench {}`\n", words.join(" "));
    match command {
        Command::Group(arguments) => arguments.run().await,
        Command::History(arguments) => arguments.run().await,
        Command::Live(arguments) => arguments.run().await,
        Command::Cluster(command) => command.run().await,
    }
}

impl OneNode {
    async fn run(self) -> Result<()> {
        let node = Node::start(&self.node, self.data.as_deref(), self.node_cpus.as_deref()).await?;
        let people = people::Pairs::create(node.control_url(), &node.operator_key()?, self.senders.max(64)).await?;

        let mut shapes = vec![Shape::Closed { senders: 1, in_flight: 1 }, Shape::Closed { senders: 64, in_flight: 1 }];
        shapes.extend(self.rate.iter().map(|rate| Shape::Open { senders: self.senders, rate: *rate }));
        shapes.push(Shape::Closed { senders: self.senders, in_flight: self.in_flight });

        println!("1:1 messages of {} B, each acknowledged; durability tier: fsync (one replica)", self.size);
        report::print_header();
        let mut runs = Vec::new();
        for _ in 0..self.repeats {
            for shape in &shapes {
                let plan = Plan {
                    shape: shape.clone(),
                    warm_up: Duration::from_secs(self.warm_up),
                    measured: Duration::from_secs(self.seconds),
                    size: self.size.max(load::STAMP_BYTES),
                };
                let run = load::run(&node, &people, &plan).await?;
                report::print_run(shape, &run);
                runs.push((shape.clone(), run));
            }
        }
        report::print_medians(&shapes, &runs);
        node.stop().await?;
        let faulty = runs.iter().filter(|(_, run)| run.lost > 0 || run.doubled > 0 || run.refused > 0).count();
        anyhow::ensure!(faulty == 0, "{faulty} runs lost, doubled or refused messages");
        Ok(())
    }
}
