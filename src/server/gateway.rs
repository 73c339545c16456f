//! The gateway role.

use anyhow::Result;
use tidings_gateway::{Environment, Gateway, GatewayConfig};

use super::Process;

/// Runs the role until the process is told to stop.
pub async fn run(process: Process) -> Result<()> {
    let gateway = start(&process)?;
    process.started();
    process.shutdown.requested().await;
    gateway.stopped().await;
    process.end().await
}

/// Starts a gateway in this process; it drains when the process is told to stop.
pub fn start(process: &Process) -> Result<Gateway> {
    let config: GatewayConfig = process.config.section()?;
    let environment = Environment {
        name: format!("gateway-{}", process.cluster.node),
        clock: process.clock.clone(),
        shutdown: process.shutdown.clone(),
        health: process.health.clone(),
        membership: process.membership.clone(),
        dialer: process.dialer.clone(),
        control_plane: process.control_plane_addresses(),
        tls: process.tls(&[b"http/1.1"])?,
    };
    Ok(Gateway::start(config, environment)?)
}
