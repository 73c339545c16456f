//! Every role in one process, over one store: the code of the cluster with one replica.

use std::time::Duration;

use anyhow::Result;
use tidings_control_plane::ControlPlaneConfig;

use super::{Process, broker, control_plane, demo, gateway, grpc, storage, web_app};

/// How long streams between the roles may take to end when the process stops.
const GRACE: Duration = Duration::from_secs(3);

/// Runs all roles until the process is told to stop.
pub async fn run(mut process: Process) -> Result<()> {
    let engine = storage::open(&mut process).await?;
    let (control_plane, standing) = control_plane::start(&mut process, &engine).await?;
    let (broker, heartbeat) = broker::start(&mut process, &engine)?;
    let routes = broker.mount(control_plane.node_routes()).add_service(engine.raft_service());
    grpc::serve_nodes(&mut process, routes, GRACE).await?;
    control_plane::open(&mut process, &engine, control_plane.clone(), standing).await?;
    process.tasks.spawn("heartbeat", heartbeat);
    let demo = demo::open(&process, &control_plane)?;
    let signs_in = demo.is_some();
    let offers = gateway::Offers { demo, files: Some(process.cluster.data.join("files")) };
    let gateway = gateway::start(&mut process, offers)?;
    process.started();

    tokio::select! {
        () = process.health.ready() => greet(&process, gateway.address(), signs_in)?,
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
fn greet(process: &Process, gateway: std::net::SocketAddr, signs_in: bool) -> Result<()> {
    let control = process.config.section::<ControlPlaneConfig>()?.listen;
    let s = if process.tls(&[])?.is_some() { "s" } else { "" };
    let data = &process.cluster.data;
    let page = match (web_app::ASSETS)("index.html") {
        Some(_) if signs_in => format!("http{s}://{gateway}   open it in two tabs, and be two people"),
        Some(_) => format!("http{s}://{gateway}   takes the token of a user"),
        None => "not built: `make build` includes it where npm is".to_owned(),
    };
    println!(
        "
Tidings is ready.

  messenger  {page}
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
