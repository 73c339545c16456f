//! `tidings presence`: who is online, once or as it changes.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use prost_types::Timestamp;
use serde_json::{Value, json};
use tidings_proto::client::v1::user_presence::State;
use tidings_sdk::{ConnectionState, Event, Events, UserPresence};
use tokio::time::Instant;

use super::exit::{EXIT_CODES, Exit, Failure, Outcome};
use super::gateway::GatewayOptions;
use super::{duration, output};

/// `tidings presence`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct PresenceCommand {
    /// Of whom; at most 200
    #[arg(required = true, value_name = "USER")]
    users: Vec<String>,
    /// Go on, and print every change
    #[arg(long)]
    follow: bool,
    /// How long to wait; of whom nothing is known by then is printed as unknown
    #[arg(long, value_parser = duration::parse, default_value = "15s", conflicts_with = "follow")]
    timeout: Duration,
    /// Print one JSON value for each user
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    gateway: GatewayOptions,
}

impl PresenceCommand {
    pub async fn run(self) -> Outcome {
        let deadline = Instant::now() + self.timeout;
        let (client, mut events) = self.gateway.sender()?.connect()?;
        let watching = client.watch_presence(self.users.iter().map(String::as_str));
        if self.follow {
            watching.await?;
            while let Some(user) = next(&mut events).await? {
                self.print(&user)?;
            }
            return Ok(());
        }
        let unreachable = || Failure::new(Exit::Unreachable, format!("no answer within {:?}", self.timeout));
        tokio::time::timeout_at(deadline, watching).await.map_err(|_| unreachable())??;
        let mut missing: BTreeSet<&str> = self.users.iter().map(String::as_str).collect();
        while !missing.is_empty() {
            let Ok(user) = tokio::time::timeout_at(deadline, next(&mut events)).await else { break };
            let Some(user) = user? else { break };
            if missing.remove(user.user.as_str()) {
                self.print(&user)?;
            }
        }
        for user in missing {
            self.print(&UserPresence { user: user.to_owned(), ..UserPresence::default() })?;
        }
        client.close().await;
        Ok(())
    }

    fn print(&self, user: &UserPresence) -> Outcome {
        let last_seen = last_seen(user);
        if self.json {
            let (state, last_seen) = (state_name(user.state()), output::json_time(last_seen.as_ref()));
            let value: Value = json!({ "user": user.user, "state": state, "last_seen": last_seen });
            return Ok(output::json(&value)?);
        }
        Ok(output::line(&sentence(user))?)
    }
}

/// What is known of a user, in words.
pub fn sentence(user: &UserPresence) -> String {
    let (name, state) = (output::printable(&user.user), state_name(user.state()));
    match last_seen(user) {
        Some(time) => format!("{name} {state}, last seen {time}"),
        None => format!("{name} {state}"),
    }
}

fn state_name(state: State) -> &'static str {
    match state {
        State::Online => "online",
        State::Offline => "offline",
        State::Unknown => "unknown",
    }
}

fn last_seen(user: &UserPresence) -> Option<Timestamp> {
    let ms = Some(user.last_seen_ms).filter(|ms| *ms > 0)?;
    let nanos = i32::try_from(ms % 1000 * 1_000_000).unwrap_or(0);
    Some(Timestamp { seconds: ms / 1000, nanos })
}

/// The next change of a user; `None` at the end.
async fn next(events: &mut Events) -> Outcome<Option<UserPresence>> {
    loop {
        match events.next().await {
            Some(Event::Presence(user)) => return Ok(Some(user)),
            Some(Event::Connection(ConnectionState::Stopped(reason))) => return Err(reason.into()),
            Some(_) => {}
            None => return Ok(None),
        }
    }
}
