//! `tidings send`: one message, and an exit code that says what became of it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::json;
use tidings_sdk::{Client, ConnectionState, Durability, Outgoing, ReceiptRequest, Sending, Sent};

use super::content::{ContentOptions, SAID};
use super::exit::{EXIT_CODES, Exit, Failure, Outcome};
use super::gateway::GatewayOptions;
use super::lifetime::LifetimeOptions;
use super::moment::Moment;
use super::{duration, files, output};

/// `tidings send`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct SendCommand {
    /// The recipient's user id
    #[arg(long, value_name = "USER", required_unless_present = "group")]
    to: Option<String>,
    /// The group's id, to write to all its members
    #[arg(long, conflicts_with = "to")]
    group: Option<String>,
    #[command(flatten)]
    content: ContentOptions,
    /// A file to send with it; may be given up to ten times
    #[arg(long = "file", value_name = "PATH", group = SAID)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    lifetime: LifetimeOptions,
    /// Which receipts to ask for
    #[arg(long, value_enum, default_value_t = Receipts::All)]
    receipts: Receipts,
    /// With `--ttl 0`: for a device that is slow it takes the place of an earlier one with the same key
    #[arg(long, value_name = "KEY", default_value = "", requires = "ttl")]
    conflation_key: String,
    /// How long to wait for the answer
    #[arg(long, value_parser = duration::parse, default_value = "30s")]
    timeout: Duration,
    /// Send as this device of the user: a message without an answer is then kept, and goes out with the next command
    /// of the device. Without it, the session ends with the command
    #[arg(long, default_value = "")]
    device: String,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    gateway: GatewayOptions,
}

/// Which receipts a sender wants.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Receipts {
    All,
    Delivered,
    Read,
    None,
}

impl From<Receipts> for ReceiptRequest {
    fn from(receipts: Receipts) -> Self {
        match receipts {
            Receipts::All => Self::ReceiptsAll,
            Receipts::Delivered => Self::ReceiptsDelivered,
            Receipts::Read => Self::ReceiptsRead,
            Receipts::None => Self::ReceiptsNone,
        }
    }
}

impl SendCommand {
    pub async fn run(self) -> Outcome {
        let (to, group) = (self.to.clone().unwrap_or_default(), self.group.clone().unwrap_or_default());
        // A large file takes its time, which is not that of the answer.
        let attachments = match self.files.as_slice() {
            [] => Vec::new(),
            paths => files::upload(&self.gateway.sender()?.files()?, paths).await?,
        };
        let outgoing = Outgoing {
            ttl: self.lifetime.ttl,
            group,
            disappears: self.lifetime.disappears(),
            receipts: self.receipts.into(),
            conflation_key: self.conflation_key.clone(),
            deliver_at_ms: self.lifetime.at.map_or(0, Moment::at_ms),
            ..Outgoing::new(to, self.content.content(attachments)?)
        };
        let deadline = tokio::time::Instant::now() + self.timeout;

        let connecting = tokio::time::timeout_at(deadline, self.connect()).await;
        let client = connecting.map_err(|_| self.unreachable(None))??;
        let sending = client.send_message(outgoing).await?;
        let Ok(sent) = tokio::time::timeout_at(deadline, sending.sent()).await else {
            return Err(self.unreachable(Some((&client, &sending))));
        };
        let sent = sent?;
        self.print(&sent)?;
        // The message is safe: a slow good-bye is not worth waiting for.
        let _ = tokio::time::timeout(Duration::from_secs(2), client.close()).await;
        Ok(())
    }

    async fn connect(&self) -> Outcome<Client> {
        let builder =
            if self.device.is_empty() { self.gateway.sender()? } else { self.gateway.device(&self.device).await? };
        let (client, events) = builder.connect()?;
        drop(events);
        Ok(client)
    }

    /// Time is over. A message that has its id may have been transmitted.
    fn unreachable(&self, sending: Option<(&Client, &Sending)>) -> Failure {
        let waited = self.timeout;
        if let Some(id) = sending.and_then(|(_, sending)| sending.id()) {
            let sentence = format!("no answer within {waited:?}: message {id} may have been sent");
            return Failure::new(Exit::Unknown, sentence);
        }
        let why = match sending.map(|(client, _)| client.state()) {
            Some(ConnectionState::Offline { reason, .. }) => format!(": {reason}"),
            _ => String::new(),
        };
        Failure::new(Exit::Unreachable, format!("cannot reach the gateway at {}{why}", self.gateway.gateway()))
    }

    fn print(&self, sent: &Sent) -> Outcome {
        if !self.json {
            return Ok(output::line(&sent.id.to_string())?);
        }
        let durability = match sent.durability {
            Durability::Unspecified => "unspecified",
            Durability::Transient => "transient",
            Durability::Fsync => "fsync",
            Durability::QuorumFsync => "quorum_fsync",
        };
        let answer = json!({ "id": sent.id.to_string(), "sent_at_ms": sent.sent_at_ms, "durability": durability });
        Ok(output::json(&answer)?)
    }
}
