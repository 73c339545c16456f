//! `tidings message`: messages that a backend sends, in a user's name or as the system, and what has become of them.

mod scheduled;
mod status;

use clap::{Args, Subcommand};
use serde_json::json;
use tidings_proto::control::v1::messages_client::MessagesClient;
use tidings_proto::control::v1::{SendMessageRequest, SentMessage};
use tidings_proto::message::v1::ReceiptRequest;

use super::content::ContentOptions;
use super::control::{ControlOptions, Service};
use super::exit::{EXIT_CODES, Outcome};
use super::lifetime::{self, LifetimeOptions};
use super::moment::Moment;
use super::output;

/// What to do with a backend's messages.
#[derive(Debug, Subcommand)]
#[command(after_help = EXIT_CODES)]
pub enum MessageCommand {
    /// Send one; prints its id
    Send(Box<Send>),
    /// Tell where a message to a user is, or how far one to a group has come
    Status(status::Status),
    /// List, look at and cancel messages that wait for their time (`message send --at`)
    #[command(subcommand)]
    Scheduled(scheduled::ScheduledCommand),
}

/// `tidings message send`.
#[derive(Debug, Args)]
pub struct Send {
    #[command(flatten)]
    recipient: Recipient,
    #[command(flatten)]
    sender: Sender,
    #[command(flatten)]
    content: ContentOptions,
    #[command(flatten)]
    lifetime: LifetimeOptions,
    /// Nobody is to be told, and nothing noted, of who has it
    #[arg(long)]
    no_receipts: bool,
    /// Names the request: given again, it is answered as the first time
    #[arg(long, value_name = "ID", default_value = "")]
    request_id: String,
    #[command(flatten)]
    control: ControlOptions,
}

/// Who gets it.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Recipient {
    /// The recipient's user id
    #[arg(long, value_name = "USER")]
    to: Option<String>,
    /// The group's id, to write to all its members
    #[arg(long)]
    group: Option<String>,
}

/// Who says it.
#[derive(Debug, Args)]
struct Sender {
    /// The user in whose name it is; without it, it is the system's
    #[arg(long = "as", value_name = "USER", default_value = "")]
    user: String,
}

impl MessageCommand {
    pub async fn run(self) -> Outcome {
        match self {
            Self::Send(command) => command.run().await,
            Self::Status(command) => command.run().await,
            Self::Scheduled(command) => command.run().await,
        }
    }
}

async fn client(control: &ControlOptions) -> Outcome<MessagesClient<Service>> {
    Ok(MessagesClient::new(control.connect().await?))
}

impl Send {
    async fn run(self) -> Outcome {
        let receipts = if self.no_receipts { ReceiptRequest::ReceiptsNone } else { ReceiptRequest::ReceiptsAll };
        let request = SendMessageRequest {
            app: self.control.app.clone(),
            from: self.sender.user,
            to: self.recipient.to.unwrap_or_default(),
            group: self.recipient.group.unwrap_or_default(),
            content: Some(self.content.content(Vec::new())?),
            ttl_ms: self.lifetime.ttl.map(lifetime::milliseconds),
            request_id: self.request_id,
            deliver_at: self.lifetime.at.map(Moment::timestamp),
            receipts: receipts.into(),
            disappears: self.lifetime.disappears(),
        };
        let sent = client(&self.control).await?.send_message(request).await?.into_inner();
        match self.control.json {
            true => Ok(output::json(&sent_json(&sent))?),
            false => Ok(output::line(&sent.id)?),
        }
    }
}

fn sent_json(sent: &SentMessage) -> serde_json::Value {
    json!({
        "id": sent.id,
        "sent_at": output::json_time(sent.sent_at.as_ref()),
        "repeated": sent.repeated,
        "scheduled": sent.scheduled,
    })
}
