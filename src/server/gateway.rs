//! The gateway role.

use anyhow::Result;
use tidings_gateway::{Environment, Gateway, GatewayConfig};
use tidings_node::Shutdown;

use super::Process;

/// Runs the role until the process is told to stop.
pub async fn run(process: Process) -> Result<()> {
    let gateway = start(&process, process.shutdown.clone())?;
    process.shutdown.requested().await;
    gateway.stopped().await;
    process.end().await
}

/// Starts a gateway in this process; it drains when `shutdown` is requested.
pub fn start(process: &Process, shutdown: Shutdown) -> Result<Gateway> {
    let config: GatewayConfig = process.config.section()?;
    let environment = Environment {
        name: format!("gateway-{}", process.cluster.node),
        clock: process.clock.clone(),
        shutdown,
        health: process.health.clone(),
        secret: process.secret.clone(),
        control_plane: process.control_plane_addresses(),
        tls: process.tls(&[b"http/1.1"])?,
    };
    Ok(Gateway::start(config, environment)?)
}
