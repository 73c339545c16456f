//! How fast a node takes messages in, and what each costs: appends through the shards' Raft groups (fsync included),
//! with a number of them outstanding.
//!
//! `cargo run --release -p tidings-broker --example append -- [messages] [outstanding] [shards] [content bytes]`

use std::error::Error;
use std::io::Write as _;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tidings_broker::core::{Reply, encode};
use tidings_broker::{Broker, BrokerConfig, BrokerOptions};
use tidings_consensus::{Engine, EngineOptions};
use tidings_node::process::ProcessFigures;
use tidings_node::secret::Secret;
use tidings_node::{Clock, Dialer, Health, Membership, Shutdown};
use tidings_proto::cluster::v1::{Node, ShardMap, ShardPlacement};
use tidings_proto::mailbox::v1::{AppendMessage, command::Command};
use tidings_proto::shard::shard_of;
use tokio::sync::watch;

const RECIPIENTS: u64 = 1000;

struct Load {
    messages: u64,
    outstanding: u64,
    shards: u32,
    content: Bytes,
}

fn argument(number: usize, default: u64) -> Result<u64, Box<dyn Error>> {
    match std::env::args().nth(number) {
        Some(text) => Ok(text.parse()?),
        None => Ok(default),
    }
}

fn append(load: &Load, number: u64) -> (u32, Bytes) {
    let to = format!("user-{}", number % RECIPIENTS);
    let shard = shard_of("bench", &to, load.shards);
    let seq = number / RECIPIENTS + 1;
    let command = Command::AppendMessage(AppendMessage {
        app: "bench".to_owned(),
        from: format!("sender-{}", number % RECIPIENTS),
        stream: 4096,
        seq,
        after: 0,
        content: load.content.clone(),
        to,
        ..AppendMessage::default()
    });
    (shard, encode(command))
}

async fn run(broker: &Broker, load: &Load) -> Result<(), Box<dyn Error>> {
    let mut in_flight = FuturesUnordered::new();
    let mut next = 0;
    let (mut done, mut latencies) = (0, Vec::new());
    let cpu_before = ProcessFigures::measure().cpu_seconds.unwrap_or(0.0);
    let begun = Instant::now();
    while done < load.messages {
        while next < load.messages && (in_flight.len() as u64) < load.outstanding {
            let (shard, command) = append(load, next);
            let shard = broker.shards().get(shard).ok_or("the shard is not open")?;
            let (outcome, sent) = (shard.propose(command), Instant::now());
            in_flight.push(async move { (outcome.await, sent) });
            next += 1;
        }
        let Some((outcome, sent)) = in_flight.next().await else { break };
        match outcome? {
            Reply::Appended { duplicate: false, .. } => done += 1,
            other => return Err(format!("answered {other:?}").into()),
        }
        if done % 16 == 0 {
            latencies.push(sent.elapsed());
        }
    }
    let took = begun.elapsed();
    let cpu = ProcessFigures::measure().cpu_seconds.unwrap_or(0.0) - cpu_before;
    latencies.sort();
    let at = |part: usize| latencies.get(latencies.len() * part / 100).copied().unwrap_or(Duration::ZERO);
    writeln!(
        std::io::stdout(),
        "{done} messages of {} B to {} shards, {} outstanding: {:.0}/s, {:.1} us CPU each, p50 {:?}, p99 {:?}",
        load.content.len(),
        load.shards,
        load.outstanding,
        done as f64 / took.as_secs_f64(),
        cpu * 1e6 / done as f64,
        at(50),
        at(99),
    )?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let load = Load {
        messages: argument(1, 100_000)?,
        outstanding: argument(2, 1024)?,
        shards: u32::try_from(argument(3, 4)?)?,
        content: vec![b'x'; usize::try_from(argument(4, 128)?)?].into(),
    };
    let dir = tempfile::tempdir_in(".")?;
    let options = EngineOptions::new(dir.path(), 1, "bench");
    let engine = tokio::task::spawn_blocking(move || Engine::open(options)).await??;
    let node = Node { id: 1, address: "127.0.0.1:1".to_owned(), ..Node::default() };
    let shards = (0..load.shards).map(|shard| ShardPlacement { shard, replicas: vec![1], founders: vec![1] }).collect();
    let (_map_sender, map) = watch::channel(ShardMap { epoch: 1, shards, nodes: vec![node] });
    let (health, shutdown) = (Health::new(), Shutdown::new());
    let broker = Broker::start(BrokerOptions {
        node: 1,
        engine: engine.clone(),
        config: BrokerConfig::default(),
        clock: Clock::system(),
        membership: Membership::new("bench", Secret::random(""))?,
        dialer: Dialer::default(),
        groups: None,
        map,
        health: health.clone(),
        shutdown: shutdown.clone(),
    });
    health.ready().await;
    let ran = run(&broker, &load).await;
    shutdown.request();
    broker.stopped().await;
    engine.shutdown().await;
    ran
}
