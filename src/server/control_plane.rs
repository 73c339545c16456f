//! The control-plane role.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail};
use tidings_consensus::Engine;
use tidings_control_plane::{
    ControlPlane, ControlPlaneConfig, ControlPlaneOptions, Door, Founding, GROUP, OperatorKey, Standing,
};
use tidings_node::Shutdown;
use tidings_proto::cluster::v1::NodeRole;

use super::{Process, grpc, storage};

/// How long a backend's request may take to end when the process stops.
const GRACE: Duration = Duration::from_secs(3);

/// Runs the role until the process is told to stop.
pub async fn run(mut process: Process) -> Result<()> {
    let engine = storage::open(&mut process).await?;
    let (control_plane, standing) = start(&mut process, &engine).await?;
    let routes = control_plane.node_routes().add_service(engine.raft_service());
    grpc::serve_nodes(&mut process, routes, GRACE).await?;
    open(&mut process, &engine, control_plane, standing).await?;
    process.started();
    process.shutdown.requested().await;
    let ended = process.end().await;
    engine.shutdown().await;
    ended
}

/// Starts this node's replica of the control plane. Others reach it once its routes are served; then [`open`] it.
pub async fn start(process: &mut Process, engine: &Engine) -> Result<(ControlPlane, Standing)> {
    let config: ControlPlaneConfig = process.config.section()?;
    let node = process.cluster.node;
    let mut founders = config.founders().map_err(anyhow::Error::msg)?;
    if founders.is_empty() {
        founders = BTreeMap::from([(node, process.advertised_address())]);
    }
    let founding = Founding {
        me: node,
        founders,
        others: process.cluster.control_plane.clone(),
        marker: process.cluster.data.join("founder"),
    };
    let door = Door {
        listen: process.cluster.listen,
        membership: process.membership.clone(),
        node_tls: process.node_tls.clone(),
        dialer: process.dialer.clone(),
    };
    let standing = founding.settle(engine, &door, &process.shutdown).await?;
    let control_plane = ControlPlane::start(ControlPlaneOptions {
        engine: engine.clone(),
        config,
        clock: process.clock.clone(),
        membership: process.membership.clone(),
        dialer: process.dialer.clone(),
        shutdown: process.services.clone(),
        health: process.health.clone(),
        founding,
    });
    Ok((control_plane.await?, standing))
}

/// Comes into the group, and serves backends.
pub async fn open(
    process: &mut Process,
    engine: &Engine,
    control_plane: ControlPlane,
    standing: Standing,
) -> Result<()> {
    process.tasks.spawn("control plane", control_plane.clone().run());
    process.tasks.spawn_fallible("registry watch", damaged(engine.clone(), process.services.clone()));
    // A node that joins is let in once it was heard of.
    let heartbeat = process.heartbeat(NodeRole::ControlPlane, process.advertised_address(), engine.store_id());
    process.tasks.spawn("control plane heartbeat", heartbeat.run_alone(process.services.clone()));
    tokio::select! {
        entered = control_plane.enter(standing) => entered?,
        // It waits for the others; whoever stops it does not want to.
        () = process.shutdown.requested() => return Ok(()),
    }
    let key_file = process.cluster.data.join("operator.key");
    match control_plane.ensure_operator_key(&key_file, process.cluster.node).await? {
        OperatorKey::Present => {}
        OperatorKey::Made => tracing::info!(file = %key_file.display(), "made the operator's API key"),
        OperatorKey::Refused(reason) => {
            tracing::warn!(file = %key_file.display(), %reason, "the operator's API key in this file is not good");
        }
    }
    let listen = process.config.section::<ControlPlaneConfig>()?.listen;
    grpc::serve_backends(process, listen, control_plane.backend_routes()?, GRACE).await
}

/// Ends the process when the registry's replica is found damaged: the next start makes it anew from its peers.
async fn damaged(engine: Engine, services: Shutdown) -> Result<()> {
    let mut damaged = engine.damaged();
    tokio::select! {
        () = services.requested() => Ok(()),
        found = damaged.wait_for(|damaged| damaged.contains_key(&GROUP)) => match found {
            Ok(_) => bail!("the control plane's replica is damaged; start this node again to have it made anew"),
            // The engine is gone with the process.
            Err(_) => Ok(()),
        },
    }
}
