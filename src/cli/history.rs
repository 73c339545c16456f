//! `tidings history`: messages of a conversation, as the server keeps them.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use tidings_sdk::{HistoryMessage, HistoryQuery};

use super::exit::{EXIT_CODES, Exit, Failure, Outcome};
use super::gateway::GatewayOptions;
use super::{duration, output, wording};

/// Which messages of a conversation.
#[derive(Debug, Args)]
pub struct PageOptions {
    /// The other user
    #[arg(long, value_name = "USER", required_unless_present = "group")]
    pub with: Option<String>,
    /// A group in the place of a user: its messages, from where the user joined
    #[arg(long, value_name = "GROUP", conflicts_with = "with")]
    pub group: Option<String>,
    /// Only messages before this place in the conversation, the newest of them
    #[arg(long, default_value_t = 0, conflicts_with = "after")]
    pub before: u64,
    /// Only messages after this place in the conversation, the oldest of them
    #[arg(long, default_value_t = 0)]
    pub after: u64,
    /// At most so many, up to 100
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub limit: u32,
}

/// `tidings history`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct HistoryCommand {
    #[command(flatten)]
    page: PageOptions,
    /// Print one JSON value for each message
    #[arg(long)]
    json: bool,
    /// How long to wait for the answer
    #[arg(long, value_parser = duration::parse, default_value = "30s")]
    timeout: Duration,
    #[command(flatten)]
    gateway: GatewayOptions,
}

impl HistoryCommand {
    pub async fn run(self) -> Outcome {
        let (client, events) = self.gateway.sender()?.connect()?;
        drop(events);
        let PageOptions { with, group, before, after, limit } = &self.page;
        let query = HistoryQuery { before: *before, after: *after, limit: *limit };
        let asking = async {
            match (group, with) {
                (Some(group), _) => client.group_history(group, query).await,
                (None, with) => client.history(with.as_deref().unwrap_or_default(), query).await,
            }
        };
        let asking = tokio::time::timeout(self.timeout, asking);
        let page = asking.await.map_err(|_| Failure::new(Exit::Unreachable, "no answer in time"))??;
        for message in page.messages {
            self.print(message)?;
        }
        client.close().await;
        Ok(())
    }

    fn print(&self, kept: HistoryMessage) -> Outcome {
        let message = kept.message.unwrap_or_default();
        if self.json {
            return Ok(output::json(&json!({ "place": kept.place, "message": message }))?);
        }
        Ok(output::line(&wording::kept(kept.place, &message))?)
    }
}
