//! `tidings group receipts`: how far what a user sent to a group has come, once or as it changes.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use tidings_sdk::{AckMode, ConnectionState, Event, GroupReceipts};

use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::gateway::GatewayOptions;
use crate::cli::{duration, output, wording};

/// `tidings group receipts`.
#[derive(Debug, Args)]
pub struct Receipts {
    /// The group
    id: String,
    /// The place of one message in the group's order, as `listen --json` and `history --json` tell it; without it, go on and
    /// print how far messages are as that changes
    place: Option<u64>,
    /// End after so many changes
    #[arg(long, conflicts_with = "place")]
    count: Option<u64>,
    /// How long to wait for the answer, or for the changes of --count
    #[arg(long, value_parser = duration::parse, default_value = "30s")]
    timeout: Duration,
    /// The device to be told on; what waits for it stays
    #[arg(long, default_value = "cli")]
    device: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    gateway: GatewayOptions,
}

impl Receipts {
    pub async fn run(self) -> Outcome {
        let too_late = |_| Failure::new(Exit::Unreachable, "no answer in time");
        match self.place {
            Some(place) => tokio::time::timeout(self.timeout, self.once(place)).await.map_err(too_late)?,
            None if self.count.is_some() => {
                tokio::time::timeout(self.timeout, self.follow()).await.map_err(too_late)?
            }
            None => self.follow().await,
        }
    }

    async fn once(&self, place: u64) -> Outcome {
        let (client, events) = self.gateway.sender()?.connect()?;
        drop(events);
        let receipts = client.group_receipts(&self.id, place).await?;
        client.close().await;
        if self.json {
            return Ok(output::json(&json!(receipts))?);
        }
        Ok(output::line(&sentence(&receipts))?)
    }

    async fn follow(&self) -> Outcome {
        let builder = self.gateway.device(&self.device).await?;
        let (client, mut events) = builder.ack_mode(AckMode::Explicit).connect()?;
        client.watch_group_receipts(&self.id).await?;
        let mut left = self.count;
        while left != Some(0) {
            match events.next().await {
                Some(Event::GroupReceipt(receipt)) if receipt.group == self.id => {
                    if self.json {
                        output::json(&json!(receipt))?;
                    } else {
                        output::line(&output::printable(&wording::group_receipt(&receipt)))?;
                    }
                    left = left.map(|left| left - 1);
                }
                Some(Event::Connection(ConnectionState::Stopped(reason))) => return Err(reason.into()),
                Some(_) => {}
                None => break,
            }
        }
        client.close().await;
        Ok(())
    }
}

fn sentence(receipts: &GroupReceipts) -> String {
    let named = |names: &[String]| if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
    let GroupReceipts { members, delivered, read, delivered_to, read_by } = receipts;
    let (delivered_to, read_by) = (named(delivered_to), named(read_by));
    output::printable(&format!("of {members} members {delivered} have it{delivered_to}, {read} read it{read_by}"))
}
