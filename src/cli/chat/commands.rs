//! The commands of a chat that ask the server.

use std::time::Duration;

use tidings_sdk::group::{Member, Role};
use tidings_sdk::{Change, MessageId, RequestError};

use super::{Chat, outgoing};
use crate::cli::exit::Outcome;
use crate::cli::moment;

/// Members and groups that are shown.
const SHOWN: u32 = 100;
/// How long a change waits for the message that it is about to be sent.
const LAST_ANSWER: Duration = Duration::from_secs(10);

impl Chat {
    pub(super) async fn command(&mut self, line: &str) -> Outcome {
        let (command, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let said = match command {
            "/edit" | "/recall" | "/react" => return self.change(command, argument.trim()).await,
            "/at" => return self.say_later(argument.trim()).await,
            "/groups" => self.groups().await,
            "/members" => self.members().await,
            "/join" => self.join(argument.trim()).await,
            "/leave" => self.leave_group().await,
            _ => Ok(format!("{command} is no command: /help")),
        };
        let text = said.unwrap_or_else(|error| error.to_string());
        Ok(self.screen.show(&format!("— {text}"))?)
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

    async fn groups(&self) -> Result<String, RequestError> {
        let page = self.client.groups(SHOWN, "").await?;
        let groups = page.groups.into_iter().filter_map(|state| state.group);
        let names: Vec<_> = groups.map(|group| format!("#{} ({} members)", group.id, group.members)).collect();
        Ok(if names.is_empty() { "you are in no group".to_owned() } else { names.join(", ") })
    }

    async fn members(&self) -> Result<String, RequestError> {
        let Some(group) = self.group() else { return Ok("in which group? #team hi".to_owned()) };
        let page = self.client.group_members(group, SHOWN, "").await?;
        let more = if page.next_page_token.is_empty() { "" } else { " and more" };
        let names: Vec<_> = page.members.iter().map(name).collect();
        Ok(format!("#{group}: {}{more}", names.join(", ")))
    }

    async fn join(&mut self, code: &str) -> Result<String, RequestError> {
        let joined = self.client.join_group(code).await?.group.unwrap_or_default();
        self.leave().await;
        self.peer = Some(format!("#{}", joined.id));
        self.screen.prompt = format!("#{}> ", joined.id);
        Ok(format!("you are in #{} now", joined.id))
    }

    async fn leave_group(&self) -> Result<String, RequestError> {
        let Some(group) = self.group() else { return Ok("which group? #team hi".to_owned()) };
        self.client.leave_group(group).await?;
        Ok(format!("you are not in #{group} any more"))
    }

    /// The group that is talked to.
    fn group(&self) -> Option<&str> {
        self.peer.as_deref()?.strip_prefix('#')
    }
}

fn name(member: &Member) -> String {
    match member.role() {
        Role::Member => member.user.clone(),
        Role::Admin => format!("{} (admin)", member.user),
        Role::Owner => format!("{} (owner)", member.user),
    }
}
