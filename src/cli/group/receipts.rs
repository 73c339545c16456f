//! `tidings group receipts`: how far what a user sent to a group has come, once or as it changes.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use tidings_sdk::{AckMode, ConnectionState, Event, GroupReceipts, ReceiptTimes};

use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::gateway::GatewayOptions;
use crate::cli::{duration, moment, output, wording};

/// `tidings group receipts`.
#[derive(Debug, Args)]
pub struct Receipts {
    /// The group
    id: String,
    /// The place of one message in the group's order, as `listen --json` and `history --json` tell it; without it, go
    /// on and print how far messages are as that changes
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
    let GroupReceipts { members, delivered, read, delivered_to, read_by, times } = receipts;
    let named = |names: &[String], at_ms: fn(&ReceiptTimes) -> i64| {
        let one = |name: &String| match times.iter().find(|one| one.user == *name).map_or(0, at_ms) {
            0 => name.clone(),
            at_ms => format!("{name} {}", moment::text(at_ms)),
        };
        let names: Vec<_> = names.iter().map(one).collect();
        if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) }
    };
    let delivered_to = named(delivered_to, |one| one.delivered_at_ms);
    let read_by = named(read_by, |one| one.read_at_ms);
    output::printable(&format!("of {members} members {delivered} have it{delivered_to}, {read} read it{read_by}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_it_and_since_when_as_far_as_it_is_known() {
        let users = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let (delivered_to, read_by) = (users(&["bob", "carol"]), users(&["bob"]));
        let user = "bob".to_owned();
        let times = vec![ReceiptTimes { user, delivered_at_ms: 1_798_790_400_000, read_at_ms: 1_798_790_401_500 }];
        let receipts = GroupReceipts { members: 3, delivered: 2, read: 1, delivered_to, read_by, times };
        let said = "of 3 members 2 have it (bob 2027-01-01T08:00:00Z, carol), 1 read it (bob 2027-01-01T08:00:01.500Z)";
        assert_eq!(sentence(&receipts), said);
    }
}
