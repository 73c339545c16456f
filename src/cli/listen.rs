//! `tidings listen`: prints what comes, and acknowledges it once it is printed.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tidings_proto::message::v1;
use tidings_sdk::{AckMode, ConnectionState, Event, Message};

use super::exit::{EXIT_CODES, Exit, Failure, Outcome};
use super::gateway::GatewayOptions;
use super::{duration, output, wording};

/// `tidings listen`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct ListenCommand {
    /// End after so many messages
    #[arg(long)]
    count: Option<u64>,
    /// Fail (exit code 3) when the messages of --count have not come after this time
    #[arg(long, value_parser = duration::parse, requires = "count")]
    timeout: Option<Duration>,
    /// Print one JSON value for each message
    #[arg(long)]
    json: bool,
    /// The device that listens: each has its own place in the mailbox
    #[arg(long, default_value = "cli")]
    device: String,
    /// Do not acknowledge: the messages come again the next time
    #[arg(long)]
    no_ack: bool,
    /// Tell the senders that the messages were read
    #[arg(long, conflicts_with = "no_ack")]
    read: bool,
    #[command(flatten)]
    gateway: GatewayOptions,
}

impl ListenCommand {
    pub async fn run(self) -> Outcome {
        if self.count == Some(0) {
            return Ok(());
        }
        let deadline = self.timeout.map(|timeout| tokio::time::Instant::now() + timeout);
        let too_late = || Failure::new(Exit::Unreachable, "the messages have not come in time");
        tokio::select! {
            result = self.listen() => result,
            () = sleep_until(deadline) => Err(too_late()),
        }
    }

    async fn listen(&self) -> Outcome {
        let builder = self.gateway.device(&self.device).await?;
        let (client, mut events) = builder.ack_mode(AckMode::Explicit).connect()?;
        let mut left = self.count;
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                signal = tokio::signal::ctrl_c() => {
                    signal?;
                    break;
                }
            };
            match event {
                // What this device said itself.
                Some(Event::Message(message)) if message.is_echo() => {
                    message.ack();
                    continue;
                }
                Some(Event::Message(message)) => {
                    self.print(message.as_proto())?;
                    self.deal_with(&client, &message).await?;
                }
                Some(Event::Transient(message)) => self.print(&message)?,
                Some(Event::Connection(ConnectionState::Stopped(reason))) => return Err(reason.into()),
                Some(other) => {
                    tell(&other);
                    continue;
                }
                None => break,
            }
            left = left.map(|left| left - 1);
            if left == Some(0) {
                break;
            }
        }
        // Waits until the acknowledgements are written.
        client.close().await;
        Ok(())
    }

    async fn deal_with(&self, client: &tidings_sdk::Client, message: &Message) -> Outcome {
        if !self.no_ack {
            message.ack();
        }
        if self.read {
            client.mark_read(message).await?;
        }
        Ok(())
    }

    /// Prints and flushes: what cannot be printed is not acknowledged.
    fn print(&self, message: &v1::Message) -> Outcome {
        let content = message.content.clone().unwrap_or_default();
        let mut out = io::stdout().lock();
        if self.json {
            let id = message.id.unwrap_or_default().to_string();
            let value = json!({
                "id": id,
                "from": message.from,
                "group": message.group,
                "group_seq": message.group_seq,
                "sent_at_ms": message.sent_at_ms,
                "text": content.text,
                "content": content,
            });
            writeln!(out, "{value}")?;
        } else {
            let title = if content.title.is_empty() { String::new() } else { format!("[{}] ", content.title) };
            let line = format!("{}: {title}{}", wording::sender(message), wording::said(&content));
            let line = if out.is_terminal() { output::printable(&line) } else { line };
            writeln!(out, "{line}")?;
        }
        Ok(out.flush()?)
    }
}

fn tell(event: &Event) {
    match event {
        Event::Connection(ConnectionState::Online { user, .. }) => eprintln!("tidings: listening as {user}"),
        Event::Connection(ConnectionState::Offline { retry_in, reason }) => {
            eprintln!("tidings: offline, next attempt in {:.1} s: {reason}", retry_in.as_secs_f64());
        }
        Event::GroupEvent(event) => eprintln!("tidings: {}", wording::group_event(event)),
        Event::UnknownRange { from, to } => eprintln!("tidings: entries {from} to {to} of the mailbox are lost"),
        _ => {}
    }
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
