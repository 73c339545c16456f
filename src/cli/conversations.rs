//! `tidings conversations`: with whom a user talks, and what is unread.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use tidings_sdk::Conversation;

use super::exit::{EXIT_CODES, Exit, Failure, Outcome};
use super::gateway::GatewayOptions;
use super::{duration, output};

/// `tidings conversations`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct ConversationsCommand {
    /// At most so many, up to 100
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100))]
    limit: u32,
    /// Print one JSON value for each conversation
    #[arg(long)]
    json: bool,
    /// How long to wait for the answer
    #[arg(long, value_parser = duration::parse, default_value = "30s")]
    timeout: Duration,
    #[command(flatten)]
    gateway: GatewayOptions,
}

impl ConversationsCommand {
    pub async fn run(self) -> Outcome {
        let (client, events) = self.gateway.sender()?.connect()?;
        drop(events);
        let asking = tokio::time::timeout(self.timeout, client.conversations(Vec::new(), self.limit));
        let page = asking.await.map_err(|_| Failure::new(Exit::Unreachable, "no answer in time"))??;
        client.close().await;
        if self.json {
            for conversation in &page.conversations {
                output::json(&json!(conversation))?;
            }
            return Ok(());
        }
        let rows: Vec<_> = page.conversations.iter().map(row).collect();
        Ok(output::table(HEADINGS, &rows)?)
    }
}

/// What [`row`] shows.
pub const HEADINGS: &[&str] = &["with", "unread", "settings", "last message"];

/// A conversation for people.
pub fn row(conversation: &Conversation) -> Vec<String> {
    let settings = [
        ("unread", conversation.marked_unread),
        ("muted", conversation.mute_until_ms != 0),
        ("archived", conversation.archived),
        ("favourite", conversation.favourite),
        ("contact", conversation.contact),
        ("blocked", !conversation.blocks.is_empty()),
    ];
    let settings: Vec<_> = settings.into_iter().filter_map(|(name, is_set)| is_set.then_some(name)).collect();
    let last = conversation.last_message.as_ref().and_then(|message| message.content.as_ref());
    let last = last.map_or(String::new(), |content| content.text.clone());
    let with = if conversation.group.is_empty() { &conversation.with } else { &format!("#{}", conversation.group) };
    let cells = [with.clone(), conversation.unread.to_string(), settings.join(","), last];
    cells.map(|cell| output::printable(&cell)).to_vec()
}
