//! `tidings change`: what becomes of an earlier message.

use std::time::Duration;

use clap::{Args, Subcommand};
use tidings_sdk::{Change, MessageId};

use super::exit::{EXIT_CODES, Exit, Failure, Outcome};
use super::gateway::GatewayOptions;
use super::{duration, output};

/// `tidings change`.
#[derive(Debug, Subcommand)]
pub enum ChangeCommand {
    /// Give one of your messages another text
    #[command(after_help = EXIT_CODES)]
    Edit {
        #[command(flatten)]
        message: MessageOptions,
        /// What it says from now on
        text: String,
    },
    /// Take one of your messages back, as if it had not been sent
    #[command(after_help = EXIT_CODES)]
    Recall(MessageOptions),
    /// Remove what one of your messages says; the message stays
    #[command(after_help = EXIT_CODES)]
    Wipe(MessageOptions),
    /// React to a message
    #[command(after_help = EXIT_CODES)]
    React {
        #[command(flatten)]
        message: MessageOptions,
        /// 1 to 64 bytes, usually an emoji
        emoji: String,
        /// Take the reaction back
        #[arg(long)]
        off: bool,
    },
    /// Pin a message in its conversation
    #[command(after_help = EXIT_CODES)]
    Pin {
        #[command(flatten)]
        message: MessageOptions,
        /// Take the pin off
        #[arg(long)]
        off: bool,
    },
}

/// Which message, and through which gateway.
#[derive(Debug, Args)]
pub struct MessageOptions {
    /// The other user of the conversation
    #[arg(long, value_name = "USER", required_unless_present = "group")]
    to: Option<String>,
    /// A group in the place of a user
    #[arg(long, value_name = "GROUP", conflicts_with = "to")]
    group: Option<String>,
    /// The message, as `send` and `history` print it
    id: MessageId,
    /// How long to wait for the answer
    #[arg(long, value_parser = duration::parse, default_value = "30s")]
    timeout: Duration,
    #[command(flatten)]
    gateway: GatewayOptions,
}

impl ChangeCommand {
    pub async fn run(self) -> Outcome {
        let undone = |change: Change, off: bool| if off { change.off() } else { change };
        match self {
            Self::Edit { message, text } => message.change(Change::edit(text)).await,
            Self::Recall(message) => message.change(Change::recall()).await,
            Self::Wipe(message) => message.change(Change::wipe()).await,
            Self::React { message, emoji, off } => message.change(undone(Change::react(emoji), off)).await,
            Self::Pin { message, off } => message.change(undone(Change::pin(), off)).await,
        }
    }
}

impl MessageOptions {
    /// Makes the change, and prints its id.
    async fn change(self, change: Change) -> Outcome {
        let (client, events) = self.gateway.sender()?.connect()?;
        drop(events);
        let changing = async {
            let sending = match self.group {
                Some(group) => client.change_in_group(group, self.id, change).await?,
                None => client.change(self.to.unwrap_or_default(), self.id, change).await?,
            };
            sending.sent().await
        };
        let late = |_| Failure::new(Exit::Unknown, "no answer in time: the change may have been made");
        let changed = tokio::time::timeout(self.timeout, changing).await.map_err(late)??;
        output::line(&changed.id.to_string())?;
        client.close().await;
        Ok(())
    }
}
