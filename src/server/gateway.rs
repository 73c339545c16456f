//! The gateway role.

use anyhow::Result;
use tidings_gateway::{Environment, Gateway, GatewayConfig};
use tidings_proto::cluster::v1::NodeRole;

use super::Process;

/// Runs the role until the process is told to stop.
pub async fn run(mut process: Process) -> Result<()> {
    let gateway = start(&mut process)?;
    process.started();
    process.shutdown.requested().await;
    gateway.stopped().await;
    process.end().await
}

/// Starts a gateway in this process; it drains when the process is told to stop.
pub fn start(process: &mut Process) -> Result<Gateway> {
    let config: GatewayConfig = process.config.section()?;
    let environment = Environment {
        name: format!("gateway-{}", process.cluster.node),
        clock: process.clock.clone(),
        shutdown: process.shutdown.clone(),
        health: process.health.clone(),
        cluster: process.cluster.id.clone(),
        membership: process.membership.clone(),
        dialer: process.dialer.clone(),
        control_plane: process.control_plane_addresses(),
        tls: process.tls(&[b"http/1.1"])?,
    };
    let gateway = Gateway::start(config, environment)?;
    let address = format!("{}:{}", process.cluster.advertise, gateway.address().port());
    let heartbeat = process.heartbeat(NodeRole::Gateway, address, 0);
    process.tasks.spawn("gateway heartbeat", heartbeat.run_alone(process.shutdown.clone()));
    Ok(gateway)
}
