//! `tidings devices`: on which devices a user is, and how far each has come.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::exit::{EXIT_CODES, Exit, Failure, Outcome};
use super::gateway::GatewayOptions;
use super::{duration, output};

/// `tidings devices`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct DevicesCommand {
    /// Print one JSON value for each device
    #[arg(long)]
    json: bool,
    /// How long to wait for the answer
    #[arg(long, value_parser = duration::parse, default_value = "30s")]
    timeout: Duration,
    #[command(flatten)]
    gateway: GatewayOptions,
}

impl DevicesCommand {
    pub async fn run(self) -> Outcome {
        let (client, events) = self.gateway.sender()?.connect()?;
        drop(events);
        let asking = tokio::time::timeout(self.timeout, client.devices());
        let found = asking.await.map_err(|_| Failure::new(Exit::Unreachable, "no answer in time"))??;
        client.close().await;
        let behind = |cursor: u64| found.tail.saturating_sub(cursor);
        if self.json {
            for device in &found.devices {
                output::json(&json!({ "device": device.device, "behind": behind(device.cursor) }))?;
            }
            return Ok(());
        }
        let rows = found.devices.iter().map(|it| vec![output::printable(&it.device), behind(it.cursor).to_string()]);
        Ok(output::table(&["device", "behind"], &rows.collect::<Vec<_>>())?)
    }
}
