//! The commands of a chat that ask the server.

use std::time::Duration;

use tidings_sdk::{Change, MessageId};

use super::{Chat, outgoing};
use crate::cli::exit::Outcome;
use crate::cli::moment;

/// How long a change waits for the message that it is about to be sent.
const LAST_ANSWER: Duration = Duration::from_secs(10);

impl Chat {
    pub(super) async fn command(&mut self, line: &str) -> Outcome {
        let (command, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match command {
            "/edit" | "/recall" | "/react" => self.change(command, argument.trim()).await,
            "/at" => self.say_later(argument.trim()).await,
            _ => {
                let said = self.about_groups(command, argument.trim()).await;
                let text = said.unwrap_or_else(|error| error.to_string());
                Ok(self.screen.show(&format!("— {text}"))?)
            }
        }
    }

    /// Changes the last message; how far that has come is shown as it is of messages.
    async fn change(&mut self, command: &str, argument: &str) -> Outcome {
        let (of, change) = match command {
            "/edit" => (self.last_sent().await, Change::edit(argument)),
            "/recall" => (self.last_sent().await, Change::recall()),
            _ => (self.last_came, Change::react(argument)),
        };
        let changed = match (self.group(), self.user(), of) {
            (Some(group), _, Some(of)) => self.client.change_in_group(group, of, change).await,
            (None, Some(user), Some(of)) => self.client.change(user, of, change).await,
            _ => return Ok(self.screen.show("— there is no message here that this could change")?),
        };
        match changed {
            Ok(sending) => self.watch(sending, format!("{command} {argument}").trim_end().to_owned()),
            Err(error) => self.screen.show(&format!("✗ not changed ({error})"))?,
        }
        Ok(())
    }

    /// Lets the server say something at a time.
    async fn say_later(&mut self, argument: &str) -> Outcome {
        let (at, text) = argument.split_once(char::is_whitespace).unwrap_or((argument, ""));
        let (Ok(at), Some(peer)) = (moment::parse(at), &self.peer) else {
            return Ok(self.screen.show("— when, what, and to whom? @bob, then /at 10m hi")?);
        };
        match self.client.send_message(outgoing(peer, text.trim()).at(at.at_ms())).await {
            Ok(sending) => self.watch(sending, format!("at {}: {}", moment::text(at.at_ms()), text.trim())),
            Err(error) => self.screen.show(&format!("✗ not sent ({error}): {text}"))?,
        }
        Ok(())
    }

    /// What was sent last; it has to be there before it can be changed.
    async fn last_sent(&self) -> Option<MessageId> {
        let sending = self.last_sent.clone()?;
        let sent = tokio::time::timeout(LAST_ANSWER, sending.sent()).await.ok()?.ok()?;
        Some(sent.id)
    }

    /// The group that is talked to.
    pub(super) fn group(&self) -> Option<&str> {
        self.peer.as_deref()?.strip_prefix('#')
    }
}
