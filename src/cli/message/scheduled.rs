//! `tidings message scheduled`: what waits for its time.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tidings_proto::ErrorCode;
use tidings_proto::control::v1::{
    CancelScheduledMessageRequest, GetScheduledMessageRequest, ListScheduledMessagesRequest, ScheduledMessageStatus,
};

use super::{Sender, client};
use crate::cli::control::ControlOptions;
use crate::cli::exit::{EXIT_CODES, Outcome};
use crate::cli::{output, wording};

/// Messages of a page: as many as there may be.
const PAGE_SIZE: u32 = 100;

/// What to do with them.
#[derive(Debug, Subcommand)]
#[command(after_help = EXIT_CODES)]
pub enum ScheduledCommand {
    /// List what waits: a user's, whoever scheduled it, or the system's
    List(List),
    /// Show one, also when it does not wait any more
    Get(One),
    /// Take one back before its time
    Cancel(One),
}

/// `tidings message scheduled list`.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    sender: Sender,
    #[command(flatten)]
    control: ControlOptions,
}

/// A command about one of them.
#[derive(Debug, Args)]
pub struct One {
    /// As `send` printed it, and `list` does
    id: String,
    #[command(flatten)]
    sender: Sender,
    #[command(flatten)]
    control: ControlOptions,
}

impl ScheduledCommand {
    pub async fn run(self) -> Outcome {
        match self {
            Self::List(command) => command.run().await,
            Self::Get(command) => command.get().await,
            Self::Cancel(command) => command.cancel().await,
        }
    }
}

impl List {
    async fn run(self) -> Outcome {
        let mut messages = client(&self.control).await?;
        let page = async |page_token| {
            let (app, from) = (self.control.app.clone(), self.sender.user.clone());
            let request = ListScheduledMessagesRequest { app, from, page_size: PAGE_SIZE, page_token };
            let page = messages.list_scheduled_messages(request).await?.into_inner();
            Ok((page.messages, page.next_page_token))
        };
        output::list(self.control.json, HEADINGS, as_json, row, page).await
    }
}

impl One {
    async fn get(self) -> Outcome {
        let request = GetScheduledMessageRequest { app: self.control.app.clone(), id: self.id, from: self.sender.user };
        let found = client(&self.control).await?.get_scheduled_message(request).await?.into_inner();
        match self.control.json {
            true => Ok(output::json(&as_json(&found))?),
            false => Ok(output::table(HEADINGS, &[row(&found)])?),
        }
    }

    async fn cancel(self) -> Outcome {
        let (app, from) = (self.control.app.clone(), self.sender.user);
        let request = CancelScheduledMessageRequest { app, id: self.id, from };
        client(&self.control).await?.cancel_scheduled_message(request).await?;
        Ok(())
    }
}

const HEADINGS: &[&str] = &["message", "state", "at", "to", "what"];

/// What it says while it waits, and what has become of it afterwards.
fn row(message: &ScheduledMessageStatus) -> Vec<String> {
    let to = if message.group.is_empty() { message.to.clone() } else { format!("#{}", message.group) };
    let what = match (&message.content, message.reason()) {
        (Some(content), _) => wording::said(content),
        (None, ErrorCode::Unspecified) => message.message_id.clone(),
        (None, reason) => reason.as_str_name().to_owned(),
    };
    let at = output::time(message.deliver_at.as_ref().or(message.ended_at.as_ref()));
    [message.id.clone(), state(message), at, to, what].map(|cell| output::printable(&cell)).to_vec()
}

fn state(message: &ScheduledMessageStatus) -> String {
    message.state().as_str_name().to_ascii_lowercase()
}

fn as_json(message: &ScheduledMessageStatus) -> Value {
    let reason = message.reason();
    json!({
        "id": message.id,
        "state": state(message),
        "to": message.to,
        "group": message.group,
        "content": message.content,
        "deliver_at": output::json_time(message.deliver_at.as_ref()),
        "scheduled_at": output::json_time(message.scheduled_at.as_ref()),
        "message_id": message.message_id,
        "reason": (reason != ErrorCode::Unspecified).then(|| reason.as_str_name()),
        "ended_at": output::json_time(message.ended_at.as_ref()),
    })
}
