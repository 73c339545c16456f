//! `tidings search`: messages of a user's history by their words.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use tidings_sdk::{FoundMessage, Search};

use super::exit::{EXIT_CODES, Exit, Failure, Outcome};
use super::gateway::GatewayOptions;
use super::{duration, output, wording};

/// `tidings search`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct SearchCommand {
    /// Words, each of which begins a word of the message
    text: String,
    /// Only in the conversation with this user
    #[arg(long, value_name = "USER", default_value = "", conflicts_with = "group")]
    with: String,
    /// Only in this group
    #[arg(long, value_name = "GROUP", default_value = "")]
    group: String,
    /// At most so many messages
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Print one JSON value for each message
    #[arg(long)]
    json: bool,
    /// How long to wait for the answers
    #[arg(long, value_parser = duration::parse, default_value = "30s")]
    timeout: Duration,
    #[command(flatten)]
    gateway: GatewayOptions,
}

impl SearchCommand {
    pub async fn run(self) -> Outcome {
        let searching = tokio::time::timeout(self.timeout, self.search());
        searching.await.map_err(|_| Failure::new(Exit::Unreachable, "no answer in time"))?
    }

    async fn search(&self) -> Outcome {
        let (client, events) = self.gateway.sender()?.connect()?;
        drop(events);
        let (mut left, mut page) = (self.limit, Vec::new());
        while left > 0 {
            let (text, with, group) = (self.text.clone(), self.with.clone(), self.group.clone());
            let found = client.search(Search { text, with, group, page, limit: left.min(100) }).await?;
            for message in &found.messages {
                self.print(message)?;
            }
            left -= left.min(u32::try_from(found.messages.len()).unwrap_or(u32::MAX));
            if found.next_page.is_empty() {
                break;
            }
            page = found.next_page;
        }
        client.close().await;
        Ok(())
    }

    fn print(&self, found: &FoundMessage) -> Outcome {
        let message = found.message.clone().unwrap_or_default();
        if self.json {
            return Ok(output::json(
                &json!({ "with": found.with, "group": found.group, "place": found.place, "message": message }),
            )?);
        }
        Ok(output::line(&wording::found(&found.with, &found.group, found.place, &message))?)
    }
}
