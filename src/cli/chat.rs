//! `tidings chat`: a terminal client over plain lines. It works in a terminal, with a prompt, and in a pipe, without.

mod commands;
mod groups;
mod receipts;

use std::collections::VecDeque;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tidings_sdk::{Client, ConnectionState, Event, MessageId, Outgoing, Sending, Status, activity};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines, Stdin};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::duration;
use super::exit::{EXIT_CODES, Outcome};
use super::gateway::GatewayOptions;
use super::output::printable;
use super::{presence, wording};

/// Messages whose status is shown as it changes; of older ones it is not.
const WATCHED: usize = 256;
/// After the end of the input: for the answers to what was sent.
const LAST_ANSWERS: Duration = Duration::from_secs(30);

const HELP: &str = "\
@bob hi   sends `hi` to bob
#team hi  sends `hi` to all members of the group team
hi        sends to the last one, or to who wrote first
/groups   the groups that you are in      /members   who is in the group that you talk to
/edit TEXT, /recall   changes what you said last; takes it back
/react EMOJI          to what was said to you last
/at 10m TEXT          sends TEXT in ten minutes, also when you are offline then
/join CODE, /leave    joins by an invitation, leaves the group that you talk to
/create GROUP USERS   makes a group of yours; /add USERS, /remove USERS change who is in
/role USER ROLE       member, admin or owner; /permit USER add,-send gives and takes permissions
/name TEXT, /kind KIND, /pause, /resume, /delete   change the group that you talk to
/help     this
/quit     ends, as the end of the input does
✓ sent (safe on the server's disk)   ✓✓ delivered   ✓✓ read";

/// `tidings chat`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct ChatCommand {
    /// The device that chats: each has its own place in the mailbox
    #[arg(long, default_value = "chat")]
    device: String,
    /// Go on showing what comes for so long after the end of the input
    #[arg(long, value_parser = duration::parse, default_value = "0")]
    linger: Duration,
    #[command(flatten)]
    gateway: GatewayOptions,
}

/// A message whose status is shown.
struct Watched {
    sending: Sending,
    text: String,
    shown: Status,
    watcher: AbortHandle,
}

struct Chat {
    client: Client,
    screen: Screen,
    /// With `@` or `#` in front: a user or a group.
    peer: Option<String>,
    /// What was said last to the one who is talked to, and by them.
    last_sent: Option<Sending>,
    last_came: Option<MessageId>,
    watched: VecDeque<Watched>,
    said: receipts::Said,
    changed: Arc<Notify>,
}

impl ChatCommand {
    pub async fn run(self) -> Outcome {
        let screen = Screen { terminal: io::stdin().is_terminal() && io::stdout().is_terminal(), prompt: "> ".into() };
        screen.show("— connecting (/help tells what to type)")?;
        let builder = self.gateway.device(&self.device).await?;
        let (client, mut events) = builder.connect()?;
        let changed = Arc::new(Notify::new());
        let mut chat = Chat {
            client,
            screen,
            peer: None,
            last_sent: None,
            last_came: None,
            watched: VecDeque::new(),
            said: receipts::Said::default(),
            changed: changed.clone(),
        };

        let mut input = Some(BufReader::new(tokio::io::stdin()).lines());
        let mut end = None;
        loop {
            if end.is_some() && self.linger.is_zero() && chat.is_answered() {
                break;
            }
            tokio::select! {
                line = next_line(&mut input) => {
                    let goes_on = match line? {
                        Some(line) => chat.line(line.trim()).await?,
                        None => false,
                    };
                    if !goes_on {
                        input = None;
                        end = Some(Instant::now() + if self.linger.is_zero() { LAST_ANSWERS } else { self.linger });
                    }
                }
                event = events.next() => match event {
                    Some(Event::Connection(ConnectionState::Stopped(reason))) => return Err(reason.into()),
                    Some(event) => chat.event(event).await?,
                    None => break,
                },
                () = changed.notified() => chat.show_changes()?,
                () = sleep_until(end) => break,
            }
        }
        chat.leave().await;
        chat.client.close().await;
        Ok(())
    }
}

impl Chat {
    /// Takes a line of input; answers whether there is more to come.
    async fn line(&mut self, line: &str) -> Outcome<bool> {
        match line {
            "" => {}
            "/quit" => return Ok(false),
            "/help" => self.screen.show(HELP)?,
            command if command.starts_with('/') => self.command(command).await?,
            line => self.say(line).await?,
        }
        self.screen.prompt()?;
        Ok(true)
    }

    async fn say(&mut self, line: &str) -> Outcome {
        let text = if line.starts_with(['@', '#']) {
            let (peer, text) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            self.talk_to(peer).await?;
            text.trim()
        } else {
            line
        };
        let Some(peer) = &self.peer else { return Ok(self.screen.show("— to whom? @bob hi, or #team hi")?) };
        if text.is_empty() {
            return Ok(());
        }
        match self.client.send_message(outgoing(peer, text)).await {
            Ok(sending) => {
                self.last_sent = Some(sending.clone());
                self.watch(sending, text.to_owned());
            }
            Err(error) => self.screen.show(&format!("✗ not sent ({error}): {text}"))?,
        }
        Ok(())
    }

    /// From now on it is this one: whether they are online is shown, and they are told who has come.
    async fn talk_to(&mut self, peer: &str) -> Outcome {
        if self.peer.as_deref() == Some(peer) {
            return Ok(());
        }
        self.leave().await;
        self.peer = Some(peer.to_owned());
        (self.last_sent, self.last_came) = (None, None);
        self.screen.prompt = format!("{peer}> ");
        let client = self.client.clone();
        if let Some(group) = peer.strip_prefix('#').map(str::to_owned) {
            // How far what is said comes is shown.
            tokio::spawn(async move { client.watch_group_receipts(group).await });
            return Ok(());
        }
        let Some(user) = self.user().map(str::to_owned) else { return Ok(()) };
        // What is no user id is said when something is sent to it.
        let _ = self.client.activity(&user, activity::Kind::Joined, Vec::new()).await;
        // Not waited for: the answer may take as long as there is no connection.
        tokio::spawn(async move { client.watch_presence([user]).await });
        Ok(())
    }

    /// The user who is talked to, when it is not a group.
    fn user(&self) -> Option<&str> {
        self.peer.as_deref()?.strip_prefix('@')
    }

    /// Tells the one who was talked to last.
    async fn leave(&self) {
        if let Some(user) = self.user() {
            let _ = self.client.activity(user, activity::Kind::Left, Vec::new()).await;
        }
    }

    fn watch(&mut self, sending: Sending, text: String) {
        let (changed, watched) = (self.changed.clone(), sending.clone());
        let watcher = tokio::spawn(async move {
            let mut status = Status::Pending;
            while !status.is_final() {
                status = watched.status_after(&status).await;
                changed.notify_one();
            }
        });
        let (shown, watcher) = (Status::Pending, watcher.abort_handle());
        self.watched.push_back(Watched { sending, text, shown, watcher });
        if self.watched.len() > WATCHED
            && let Some(oldest) = self.watched.pop_front()
        {
            oldest.watcher.abort();
        }
    }

    fn is_answered(&self) -> bool {
        self.watched.iter().all(|watched| watched.shown != Status::Pending)
    }

    /// Shows what has changed, in the order of sending.
    fn show_changes(&mut self) -> Outcome {
        for watched in &mut self.watched {
            let (status, text) = (watched.sending.status(), &watched.text);
            if status == watched.shown {
                continue;
            }
            match &status {
                Status::Pending => {}
                Status::Sent => self.screen.show(&format!("✓ sent: {text}"))?,
                Status::Delivered => self.screen.show(&format!("✓✓ delivered: {text}"))?,
                Status::Read => self.screen.show(&format!("✓✓ read: {text}"))?,
                Status::Failed(error) => self.screen.show(&format!("✗ failed ({error}): {text}"))?,
            }
            watched.shown = status;
        }
        self.watched.retain(|watched| !watched.shown.is_final());
        Ok(self.screen.prompt()?)
    }

    async fn event(&mut self, event: Event) -> Outcome {
        match event {
            // What was said here stands there already.
            Event::Message(message) if message.is_echo() => {
                self.said.placed(&message);
                return Ok(());
            }
            Event::GroupReceipt(receipt) => {
                for line in self.said.told(&receipt) {
                    self.screen.show(&line)?;
                }
            }
            Event::Message(message) => {
                if self.peer.is_none() {
                    let peer = message.group().map_or(format!("@{}", message.from()), |group| format!("#{group}"));
                    self.talk_to(&peer).await?;
                }
                if message.group().is_none() && self.user() == Some(message.from()) {
                    self.last_came = Some(message.id());
                }
                self.screen.show(&format!(
                    "{}: {}",
                    wording::sender(message.as_proto()),
                    message.content().map_or(String::new(), wording::said)
                ))?;
                self.client.mark_read(&message).await?;
            }
            Event::Sent(message) => {
                let text = message.content.as_ref().map_or(String::new(), wording::said);
                self.screen.show(&format!("you, to {}: {text}", message.to))?;
            }
            Event::Changed(change) => self.screen.show(&format!("— {}", wording::change(&change)))?,
            Event::Transient(message) => {
                let text = message.content.map_or(String::new(), |content| content.text);
                self.screen.show(&format!("{}: {text}", message.from))?;
            }
            Event::Presence(user) if Some(user.user.as_str()) == self.user() => {
                self.screen.show(&format!("— {}", presence::sentence(&user)))?;
            }
            Event::Activity(activity) => {
                if let Some(doing) = doing(activity.kind()) {
                    self.screen.show(&format!("— {} {doing}", activity.from))?;
                }
            }
            Event::Connection(ConnectionState::Online { user, .. }) => {
                self.screen.show(&format!("— online as {user}"))?
            }
            Event::Connection(ConnectionState::Offline { retry_in, reason }) => {
                let seconds = retry_in.as_secs_f64();
                self.screen.show(&format!("— offline, next attempt in {seconds:.1} s: {reason}"))?;
            }
            Event::GroupEvent(event) => self.screen.show(&format!("— {}", wording::group_event(&event)))?,
            Event::UnknownRange { from, to } => {
                self.screen.show(&format!("— entries {from} to {to} of the mailbox are lost"))?;
            }
            Event::Outcome { to, result: Err(error), .. } => {
                self.screen.show(&format!("✗ an earlier message to {to} was not sent ({error})"))?;
            }
            _ => return Ok(()),
        }
        Ok(self.screen.prompt()?)
    }
}

/// A text to a user or a group, with `@` or `#` in front.
fn outgoing(peer: &str, text: &str) -> Outgoing {
    match peer.strip_prefix('#') {
        Some(group) => Outgoing::to_group(group, text),
        None => Outgoing::new(&peer[1..], text),
    }
}

/// In words; not of what only an application understands.
fn doing(kind: activity::Kind) -> Option<&'static str> {
    match kind {
        activity::Kind::Typing => Some("is typing"),
        activity::Kind::Joined => Some("is here"),
        activity::Kind::Left => Some("has left"),
        activity::Kind::Idle | activity::Kind::Custom => None,
    }
}

/// Where lines are shown: above the prompt in a terminal, one below the other in a pipe.
struct Screen {
    terminal: bool,
    prompt: String,
}

impl Screen {
    fn show(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.terminal {
            // Over the prompt, and what is typed behind it stays in the terminal's line.
            write!(out, "\r\x1b[K")?;
        }
        for line in text.lines() {
            writeln!(out, "{}", printable(line))?;
        }
        out.flush()
    }

    fn prompt(&self) -> io::Result<()> {
        if !self.terminal {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        write!(out, "\r\x1b[K{}", printable(&self.prompt))?;
        out.flush()
    }
}

async fn next_line(input: &mut Option<Lines<BufReader<Stdin>>>) -> io::Result<Option<String>> {
    match input {
        Some(lines) => lines.next_line().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}
