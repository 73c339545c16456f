//! The gateway role.

use std::path::PathBuf;

use anyhow::Result;
use tidings_files::{Files, FilesConfig};
use tidings_gateway::{Demo, Environment, Gateway, GatewayConfig};
use tidings_proto::cluster::v1::NodeRole;

use super::{Process, web_app};

/// Runs the role until the process is told to stop.
pub async fn run(mut process: Process) -> Result<()> {
    let gateway = start(&mut process, Offers::default())?;
    process.started();
    process.shutdown.requested().await;
    gateway.stopped().await;
    process.end().await
}

/// What only a standalone node offers.
#[derive(Default)]
pub struct Offers {
    /// Sign-in without a password.
    pub demo: Option<Demo>,
    /// Where files are kept if no place is configured.
    pub files: Option<PathBuf>,
}

/// Starts a gateway in this process; it drains when the process is told to stop.
pub fn start(process: &mut Process, offers: Offers) -> Result<Gateway> {
    let (secret, clock) = (process.membership.secret().clone(), process.clock.clone());
    let files: FilesConfig = process.config.section()?;
    let files = Files::open(files, offers.files.as_deref(), &secret, clock)?;
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
        app: Some(web_app::ASSETS),
        demo: offers.demo,
        files,
    };
    let gateway = Gateway::start(config, environment)?;
    let address = format!("{}:{}", process.cluster.advertise, gateway.address().port());
    let heartbeat = process.heartbeat(NodeRole::Gateway, address, 0);
    process.tasks.spawn("gateway heartbeat", heartbeat.run_alone(process.shutdown.clone()));
    Ok(gateway)
}
