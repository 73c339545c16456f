//! Prints how many commands of 200 bytes a group of one commits per second on this machine's disk, at several numbers
//! of callers that each have one outstanding. `cargo run --release -p tidings-consensus --example throughput [folder]`

#![allow(clippy::print_stdout)] // It is for a terminal.

use std::error::Error as StdError;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tidings_consensus::{
    ApplyContext, Engine, EngineOptions, Error, Group, GroupId, StateMachine, StateStore, StateView,
};

/// Keeps the last command of each caller.
struct Keep;

impl StateMachine for Keep {
    type Reply = u64;

    fn apply(&mut self, context: &ApplyContext, command: &[u8], store: &mut dyn StateStore) -> u64 {
        store.put(command[..8].to_vec(), Bytes::copy_from_slice(command));
        context.index
    }

    async fn committed(&mut self, _is_leader: bool) {}

    fn restored(&mut self, _view: &StateView) -> Result<(), Error> {
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    let temporary = std::env::temp_dir().join(format!("tidings-throughput-{}", std::process::id()));
    let folder = std::env::args().nth(1).map_or(temporary, std::path::PathBuf::from);
    let engine = Engine::open(EngineOptions::new(&folder, 1, "throughput"))?;
    let group = engine.start_group(GroupId(1), Keep).await?;
    group.bootstrap([(1, "127.0.0.1:1".to_owned())].into()).await?;
    group.leadership().wait_for(|leadership| leadership.is_leader).await?;
    println!("callers  commands/s  p50 ms  p99 ms  fsyncs/s  commands/fsync");
    for callers in [1, 64, 256, 4096] {
        measure(&engine, &group, callers).await?;
    }
    engine.shutdown().await;
    Ok(std::fs::remove_dir_all(folder)?)
}

async fn measure(engine: &Engine, group: &Group<Keep>, callers: u64) -> Result<(), Box<dyn StdError>> {
    const RUN: Duration = Duration::from_secs(4);
    let before = engine.log_stats();
    let begun = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for caller in 0..callers {
        let group = group.clone();
        let mut command = vec![0; 200];
        command[..8].copy_from_slice(&caller.to_be_bytes());
        let command = Bytes::from(command);
        running.spawn(async move {
            let mut latencies = Vec::new();
            while begun.elapsed() < RUN {
                let proposed = Instant::now();
                group.propose(command.clone()).await?;
                latencies.push(proposed.elapsed());
            }
            Ok::<_, tidings_consensus::ProposeError>(latencies)
        });
    }
    let mut latencies = Vec::new();
    while let Some(caller) = running.join_next().await {
        latencies.extend(caller??);
    }
    let seconds = begun.elapsed().as_secs_f64();
    let fsyncs = engine.log_stats().fsyncs - before.fsyncs;
    latencies.sort_unstable();
    let millis = |part: usize| latencies[(latencies.len() - 1) * part / 100].as_secs_f64() * 1000.0;
    println!(
        "{callers:7}  {:10.0}  {:6.2}  {:6.2}  {:8.0}  {:14.1}",
        latencies.len() as f64 / seconds,
        millis(50),
        millis(99),
        fsyncs as f64 / seconds,
        latencies.len() as f64 / fsyncs as f64,
    );
    Ok(())
}
