//! `tidings scheduled`: a user's messages that wait for their time.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;
use tidings_sdk::{Client, MessageId, ScheduledMessage};

use super::exit::{EXIT_CODES, Exit, Failure, Outcome};
use super::gateway::GatewayOptions;
use super::{duration, moment, output};

/// `tidings scheduled`.
#[derive(Debug, Subcommand)]
pub enum ScheduledCommand {
    /// List them
    #[command(after_help = EXIT_CODES)]
    List(ListCommand),
    /// Take one back before its time
    #[command(after_help = EXIT_CODES)]
    Cancel(CancelCommand),
}

/// `tidings scheduled list`.
#[derive(Debug, Args)]
pub struct ListCommand {
    /// Print one JSON value for each message
    #[arg(long)]
    json: bool,
    /// How long to wait for the answers
    #[arg(long, value_parser = duration::parse, default_value = "30s")]
    timeout: Duration,
    #[command(flatten)]
    gateway: GatewayOptions,
}

/// `tidings scheduled cancel`.
#[derive(Debug, Args)]
pub struct CancelCommand {
    /// As `send` printed it, and `list` does
    id: MessageId,
    /// How long to wait for the answer
    #[arg(long, value_parser = duration::parse, default_value = "30s")]
    timeout: Duration,
    #[command(flatten)]
    gateway: GatewayOptions,
}

impl ScheduledCommand {
    pub async fn run(self) -> Outcome {
        let timeout = match &self {
            Self::List(list) => list.timeout,
            Self::Cancel(cancel) => cancel.timeout,
        };
        let running = async {
            match self {
                Self::List(list) => list.run().await,
                Self::Cancel(cancel) => cancel.run().await,
            }
        };
        let running = tokio::time::timeout(timeout, running);
        running.await.map_err(|_| Failure::new(Exit::Unreachable, "no answer in time"))?
    }
}

impl ListCommand {
    async fn run(self) -> Outcome {
        let client = connect(&self.gateway)?;
        let mut page = Vec::new();
        loop {
            let scheduled = client.scheduled(page, 0).await?;
            for message in &scheduled.messages {
                self.print(message)?;
            }
            page = scheduled.next_page;
            if page.is_empty() {
                break;
            }
        }
        client.close().await;
        Ok(())
    }

    fn print(&self, message: &ScheduledMessage) -> Outcome {
        if self.json {
            return Ok(output::json(&json!(message))?);
        }
        let text = message.content.as_ref().map_or("", |content| &content.text);
        let to = if message.group.is_empty() { message.to.clone() } else { format!("#{}", message.group) };
        let at = moment::text(message.deliver_at_ms);
        let line = format!("{}  {at}  {to}: {text}", message.id.unwrap_or_default());
        Ok(output::line(&output::printable(&line))?)
    }
}

impl CancelCommand {
    async fn run(self) -> Outcome {
        let client = connect(&self.gateway)?;
        client.cancel_scheduled(self.id).await?;
        client.close().await;
        Ok(())
    }
}

fn connect(gateway: &GatewayOptions) -> Outcome<Client> {
    let (client, events) = gateway.sender()?.connect()?;
    drop(events);
    Ok(client)
}
