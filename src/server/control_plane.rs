//! The control-plane role.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use tidings_consensus::Engine;
use tidings_control_plane::{ControlPlane, ControlPlaneConfig, OperatorKey};
use tonic::service::Routes;

use super::{Process, grpc, storage};

/// How long a backend's request may take to end when the process stops.
const GRACE: Duration = Duration::from_secs(3);

/// Runs the role until the process is told to stop.
pub async fn run(mut process: Process) -> Result<()> {
    let engine = storage::open(&mut process).await?;
    let routes = start(&mut process, &engine).await?.add_service(engine.raft_service());
    grpc::serve_nodes(&mut process, routes, GRACE).await?;
    process.started();
    process.shutdown.requested().await;
    let ended = process.end().await;
    engine.shutdown().await;
    ended
}

/// Starts the control plane in this process: founds it where it is new, and serves backends. Answers what other nodes
/// call.
pub async fn start(process: &mut Process, engine: &Engine) -> Result<Routes> {
    let config: ControlPlaneConfig = process.config.section()?;
    let listen = config.listen;
    let control_plane =
        ControlPlane::start(engine, config, process.clock.clone(), process.services.clone(), &process.health).await?;
    let node = process.cluster.node;
    control_plane.bootstrap(BTreeMap::from([(node, process.advertised_address())])).await?;

    let key_file = process.cluster.data.join("operator.key");
    match control_plane.ensure_operator_key(&key_file, node).await? {
        OperatorKey::Present => {}
        OperatorKey::Made => tracing::info!(file = %key_file.display(), "made the operator's API key"),
        OperatorKey::Refused(reason) => {
            tracing::warn!(file = %key_file.display(), %reason, "the operator's API key in this file is not good");
        }
    }
    grpc::serve_backends(process, listen, control_plane.backend_routes()?, GRACE).await?;
    let routes = control_plane.node_routes(&process.membership);
    process.tasks.spawn("control plane", control_plane.run());
    Ok(routes)
}
