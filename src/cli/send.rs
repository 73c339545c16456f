//! `tidings send`: one message, and an exit code that says what became of it.

use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::json;
use tidings_sdk::{
    Client, ConnectionState, Content, Disappearance, Durability, FieldValue, Outgoing, Sending, Sent, disappearance,
};

use super::exit::{EXIT_CODES, Exit, Failure, Outcome};
use super::gateway::GatewayOptions;
use super::moment::{self, Moment};
use super::{duration, field, files, output};

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
    /// What to say; `-` reads it from stdin
    #[arg(default_value = "", required_unless_present_any = ["files", "fields", "values"])]
    text: String,
    /// A file to send with it; may be given up to ten times
    #[arg(long = "file", value_name = "PATH")]
    files: Vec<PathBuf>,
    /// A field of the application's own, text; may be given again
    #[arg(long = "field", value_name = "NAME=TEXT", value_parser = field::parse_text)]
    fields: Vec<(String, String)>,
    /// A typed one: integer, number, boolean, data (base64) or time (as in --at); may be given again
    #[arg(long = "value", value_name = "NAME=TYPE:VALUE", value_parser = field::parse_value)]
    values: Vec<(String, FieldValue)>,
    /// A title above the text
    #[arg(long, default_value = "")]
    title: String,
    /// How long the message may wait to be delivered; 0: only to devices that are online now
    #[arg(long, value_parser = duration::parse)]
    ttl: Option<Duration>,
    /// After so long it is taken out of all histories, and of what devices have yet to be given
    #[arg(long, value_parser = duration::parse)]
    disappear: Option<Duration>,
    /// When that time begins
    #[arg(long, value_enum, default_value_t = Start::Sent, requires = "disappear")]
    from: Start,
    /// When to send it: `10m` from now, or 2027-01-01T08:00:00Z; until then it waits on the server, and can be cancelled
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    at: Option<Moment>,
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

/// When the time of a message that disappears begins.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Start {
    /// When it is sent
    Sent,
    /// When the first device has it
    Delivered,
    /// When it was read
    Read,
}

impl From<Start> for disappearance::Start {
    fn from(start: Start) -> Self {
        match start {
            Start::Sent => Self::Sent,
            Start::Delivered => Self::Delivered,
            Start::Read => Self::Read,
        }
    }
}

impl SendCommand {
    pub async fn run(self) -> Outcome {
        let mut text = self.text.clone();
        if text == "-" {
            text.clear();
            std::io::stdin().read_to_string(&mut text)?;
        }
        let (to, group) = (self.to.clone().unwrap_or_default(), self.group.clone().unwrap_or_default());
        let disappears = self.disappear.map(|after| {
            let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
            Disappearance { after_ms, from: disappearance::Start::from(self.from).into() }
        });
        // A large file takes its time, which is not that of the answer.
        let attachments = match self.files.as_slice() {
            [] => Vec::new(),
            paths => files::upload(&self.gateway.sender()?.files()?, paths).await?,
        };
        let content = Content {
            text,
            title: self.title.clone(),
            fields: self.fields.iter().cloned().collect(),
            values: self.values.iter().cloned().collect(),
            attachments,
            ..Content::default()
        };
        let deliver_at_ms = self.at.map_or(0, Moment::at_ms);
        let outgoing = Outgoing { ttl: self.ttl, group, disappears, deliver_at_ms, ..Outgoing::new(to, content) };
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
