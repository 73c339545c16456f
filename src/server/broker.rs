//! The broker role.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tidings_broker::{Broker, BrokerOptions, GroupRegistry};
use tidings_consensus::Engine;
use tidings_node::control_plane::ControlPlaneNodes;
use tidings_proto::cluster::v1::{NodeRole, ShardMap};
use tokio::sync::watch;
use tonic::service::Routes;

use super::{Process, grpc, storage};

/// How long links of gateways may take to end when the process stops.
const GRACE: Duration = Duration::from_secs(3);

/// Runs the role until the process is told to stop.
pub async fn run(mut process: Process) -> Result<()> {
    let engine = storage::open(&mut process).await?;
    let (broker, heartbeat) = start(&mut process, &engine)?;
    let routes = broker.mount(Routes::new(engine.raft_service()));
    grpc::serve_nodes(&mut process, routes, GRACE).await?;
    process.tasks.spawn("heartbeat", heartbeat);
    process.started();
    process.shutdown.requested().await;
    let ended = process.end().await;
    engine.shutdown().await;
    ended
}

/// Starts a broker in this process. It does nothing before the heartbeat runs, which is to follow once others can reach
/// it.
pub fn start(process: &mut Process, engine: &Engine) -> Result<(Broker, impl Future<Output = ()> + Send + use<>)> {
    let (map_sender, map) = watch::channel(ShardMap::default());
    let heartbeat = process.heartbeat(NodeRole::Broker, process.advertised_address(), engine.store_id());
    let control_plane =
        ControlPlaneNodes::new(&process.control_plane_addresses(), &process.membership, &process.dialer)
            .context("an address of the control plane")?;
    let groups = GroupRegistry::new(control_plane);
    let broker = Broker::start(BrokerOptions {
        node: process.cluster.node,
        engine: engine.clone(),
        config: process.config.section()?,
        clock: process.clock.clone(),
        membership: process.membership.clone(),
        dialer: process.dialer.clone(),
        groups: Some(groups),
        map,
        health: process.health.clone(),
        shutdown: process.services.clone(),
    });
    let running = broker.clone();
    let services = process.services.clone();
    process.tasks.spawn("broker", async move {
        services.requested().await;
        running.stopped().await;
    });
    let reports = broker.reports();
    Ok((broker, heartbeat.run(map_sender, reports, process.services.clone())))
}
