//! Every role in one process, over one store: the code of the cluster with one replica.

use std::time::Duration;

use anyhow::Result;
use tidings_control_plane::ControlPlaneConfig;

use super::{Process, broker, control_plane, gateway, grpc, storage};

/// How long streams between the roles may take to end when the process stops.
const GRACE: Duration = Duration::from_secs(3);

/// Runs all roles until the process is told to stop.
pub async fn run(mut process: Process) -> Result<()> {
    let engine = storage::open(&mut process).await?;
    let (control_plane, standing) = control_plane::start(&mut process, &engine).await?;
    let (broker, heartbeat) = broker::start(&mut process, &engine)?;
    let routes = broker.mount(control_plane.node_routes()).add_service(engine.raft_service());
    grpc::serve_nodes(&mut process, routes, GRACE).await?;
    control_plane::open(&mut process, &engine, control_plane, standing).await?;
    process.tasks.spawn("heartbeat", heartbeat);
    let gateway = gateway::start(&mut process)?;
    process.started();

    tokio::select! {
        () = process.health.ready() => greet(&process, gateway.address())?,
        () = process.shutdown.requested() => {}
    }
    process.shutdown.requested().await;
    gateway.stopped().await;
    let ended = process.end().await;
    engine.shutdown().await;
    ended
}

/// Tells a person where everything is, and what to type next.
#[allow(clippy::print_stdout)] // Standalone is what a person starts by hand.
fn greet(process: &Process, gateway: std::net::SocketAddr) -> Result<()> {
    let control = process.config.section::<ControlPlaneConfig>()?.listen;
    let s = if process.tls(&[])?.is_some() { "s" } else { "" };
    let data = &process.cluster.data;
    println!(
        "
Tidings is ready.

  clients    ws{s}://{gateway}/v1/connect   (docs/protocol.md)
  backends   http{s}://{control}            gRPC and REST/JSON (docs/rest.md); the key is in {key}
  metrics    http://{admin}/metrics      health: /healthz, /readyz
  data       {data}

In another terminal (with target/release on your PATH):

  tidings user create alice && tidings user create bob
  ALICE=$(tidings token create alice) BOB=$(tidings token create bob)
  tidings send --token $ALICE --to bob \"hello\"
  tidings chat --token $BOB

Ctrl-C stops the node.
",
        key = data.join("operator.key").display(),
        admin = process.admin,
        data = data.display(),
    );
    Ok(())
}
