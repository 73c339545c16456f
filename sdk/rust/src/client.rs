//! The handle that applications hold: cheap to clone, bounded, and the client's task ends with its last clone.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use tidings_proto::client::v1::request;
use tidings_proto::message::v1::{self, Activity, Content, Disappearance, MessageId, ReceiptRequest};
use tidings_proto::{GroupId, UserId};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use crate::connection::{Answer, Entry};
use crate::error::{RequestError, SendError, StopReason};
use crate::events::{AckQueue, ConnectionState, Message};
use crate::files::Files;
use crate::recipient::Recipient;
use crate::sending::{Sending, Slot};

/// A message to send.
#[derive(Debug, Clone, Default)]
pub struct Outgoing {
    /// The recipient's user id; empty for a group.
    pub to: String,
    /// The group, in the place of `to`.
    pub group: String,
    /// What it says.
    pub content: Content,
    /// From acceptance to the last moment of delivery. `None`: no end but the retention; zero: only to devices that are
    /// online now, never stored.
    pub ttl: Option<Duration>,
    /// Which receipts are wanted; both is the default.
    pub receipts: ReceiptRequest,
    /// After a time it is taken out of all histories, and of what devices have yet to be given; of a message that is
    /// stored. `None`: it stays.
    pub disappears: Option<Disappearance>,
    /// With a `ttl` of zero, up to 64 bytes: for a device that is slow this takes the place of an earlier one with the
    /// same key in the conversation that it was not given yet. Empty: of none.
    pub conflation_key: String,
    /// When it is to be sent, Unix time in milliseconds, at most 365 days ahead; 0: now. Until then it waits on the
    /// server, whether or not this device is online, and `ttl` and `disappears` count from then.
    pub deliver_at_ms: i64,
}

impl Outgoing {
    /// A message with the defaults.
    pub fn new(to: impl Into<String>, content: impl Into<Body>) -> Self {
        Self { to: to.into(), content: content.into().0, ..Self::default() }
    }

    /// The same, to be sent at a time, Unix time in milliseconds.
    pub fn at(self, deliver_at_ms: i64) -> Self {
        Self { deliver_at_ms, ..self }
    }

    /// A message to all members of a group, with the defaults.
    pub fn to_group(group: impl Into<String>, content: impl Into<Body>) -> Self {
        Self { group: group.into(), content: content.into().0, ..Self::default() }
    }
}

/// What can be sent: a [`Content`], or plain text.
#[derive(Debug)]
pub struct Body(Content);

impl From<Content> for Body {
    fn from(content: Content) -> Self {
        Self(content)
    }
}

impl From<&str> for Body {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self(Content { text, ..Content::default() })
    }
}

/// What becomes of an earlier message.
#[derive(Debug, Clone)]
pub struct Change(v1::Change);

impl Change {
    fn of_kind(kind: v1::change::Kind) -> Self {
        Self(v1::Change { kind: kind.into(), ..v1::Change::default() })
    }

    /// Another content; of one's own messages, within the policy's window.
    pub fn edit(content: impl Into<Body>) -> Self {
        Self(v1::Change { content: Some(content.into().0), ..Self::of_kind(v1::change::Kind::Edit).0 })
    }

    /// Taken back, as if it had not been sent; of one's own messages, within the policy's window.
    pub fn recall() -> Self {
        Self::of_kind(v1::change::Kind::Recall)
    }

    /// Its content goes, the message stays; of one's own messages, within the policy's window.
    pub fn wipe() -> Self {
        Self::of_kind(v1::change::Kind::Wipe)
    }

    /// A reaction of 1 to 64 bytes, usually an emoji.
    pub fn react(emoji: impl Into<String>) -> Self {
        Self(v1::Change { emoji: emoji.into(), ..Self::of_kind(v1::change::Kind::React).0 })
    }

    /// Pinned in the conversation.
    pub fn pin() -> Self {
        Self::of_kind(v1::change::Kind::Pin)
    }

    /// A reaction, or a pin, that is taken back.
    pub fn off(self) -> Self {
        Self(v1::Change { off: true, ..self.0 })
    }
}

pub(crate) enum Command {
    Send(Entry<Arc<Slot>>),
    Read { from: UserId, id: MessageId },
    Request { request: request::Request, answer: oneshot::Sender<Answer> },
    Activity(Activity),
    Stop,
}

/// What handles, events and the driver have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    outbox_entries: Semaphore,
    outbox_bytes: Semaphore,
    outbox_bytes_limit: usize,
    pub(crate) acks: Arc<AckQueue>,
}

impl Shared {
    pub(crate) fn new(entries_limit: usize, bytes_limit: usize) -> Arc<Self> {
        let outbox_bytes_limit = bytes_limit.min(u32::MAX as usize).min(Semaphore::MAX_PERMITS);
        Arc::new(Self {
            outbox_entries: Semaphore::new(entries_limit.min(Semaphore::MAX_PERMITS)),
            outbox_bytes: Semaphore::new(outbox_bytes_limit),
            outbox_bytes_limit,
            acks: Arc::default(),
        })
    }

    /// A message left the outbox.
    pub(crate) fn release(&self, content_bytes: usize) {
        self.outbox_entries.add_permits(1);
        self.outbox_bytes.add_permits(self.charge(content_bytes) as usize);
    }

    pub(crate) fn close(&self) {
        self.outbox_entries.close();
        self.outbox_bytes.close();
    }

    /// What a message costs of the outbox; one larger than the whole takes all of it.
    fn charge(&self, content_bytes: usize) -> u32 {
        u32::try_from(content_bytes.min(self.outbox_bytes_limit)).unwrap_or(u32::MAX)
    }
}

/// One device's client. It connects by itself, again and again, until it is closed or refused for good.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
    pub(crate) commands: mpsc::Sender<Command>,
    state: watch::Receiver<ConnectionState>,
    files: Files,
}

impl Client {
    /// A client of the gateway at `url` (`ws://host:port` or `wss://…`; the path is `/v1/connect` unless it names
    /// another), which introduces itself with the token.
    pub fn builder(url: impl Into<String>, token: impl Into<crate::TokenSource>) -> crate::Builder {
        crate::Builder::new(url.into(), token.into())
    }

    pub(crate) fn new(
        shared: Arc<Shared>,
        commands: mpsc::Sender<Command>,
        state: watch::Receiver<ConnectionState>,
        files: Files,
    ) -> Self {
        Self { shared, commands, state, files }
    }

    /// The way of this user's files.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Puts a message in the outbox; waits while the outbox is full (promise 6). With a durable store it is on the disk
    /// before it is transmitted. Messages of one caller go out in the order of the calls (promise 3).
    pub async fn send(&self, to: impl Into<String>, content: impl Into<Body>) -> Result<Sending, SendError> {
        self.send_message(Outgoing::new(to, content)).await
    }

    /// As [`Self::send`], to all members of a group. Each gets it at the same place of the group's order; so does this
    /// device, as a [`Message`] that [`is_echo`](Message::is_echo).
    pub async fn send_to_group(
        &self,
        group: impl Into<String>,
        content: impl Into<Body>,
    ) -> Result<Sending, SendError> {
        self.send_message(Outgoing::to_group(group, content)).await
    }

    /// As [`Self::send`], with everything that a message can say.
    pub async fn send_message(&self, outgoing: Outgoing) -> Result<Sending, SendError> {
        let (entry, slot) = entry(outgoing)?;
        self.enqueue(entry, slot).await
    }

    /// Changes an earlier message of the conversation with `to`: it takes its place in the order of this device's
    /// messages, and ends as they do.
    pub async fn change(&self, to: impl Into<String>, of: MessageId, change: Change) -> Result<Sending, SendError> {
        let to = UserId::new(&to.into())?;
        self.enqueue_change(to.into(), of, change).await
    }

    /// As [`Self::change`], of an earlier message of a group. Whoever may manage the group may recall and wipe those of
    /// others too.
    pub async fn change_in_group(
        &self,
        group: impl Into<String>,
        of: MessageId,
        change: Change,
    ) -> Result<Sending, SendError> {
        let group = GroupId::new(&group.into())?;
        self.enqueue_change(Recipient::Group(group), of, change).await
    }

    async fn enqueue_change(&self, to: Recipient, of: MessageId, change: Change) -> Result<Sending, SendError> {
        let change = v1::Change { of: Some(of), ..change.0 };
        let slot = Slot::new();
        let entry = Entry::of_change(to, change.encode_to_vec().into(), slot.clone());
        self.enqueue(entry, slot).await
    }

    async fn enqueue(&self, entry: Entry<Arc<Slot>>, slot: Arc<Slot>) -> Result<Sending, SendError> {
        let bytes = self.shared.charge(entry.body_bytes());
        let entry_permit = self.shared.outbox_entries.acquire().await.map_err(|_| self.stopped())?;
        let bytes_permit = self.shared.outbox_bytes.acquire_many(bytes).await.map_err(|_| self.stopped())?;
        let room = self.commands.reserve().await.map_err(|_| self.stopped())?;
        entry_permit.forget();
        bytes_permit.forget();
        room.send(Command::Send(entry));
        Ok(Sending::new(slot))
    }

    /// As [`Self::send_message`], but [`SendError::OutboxFull`] instead of waiting.
    pub fn try_send(&self, outgoing: Outgoing) -> Result<Sending, SendError> {
        let (entry, slot) = entry(outgoing)?;
        let full = |_| {
            if self.shared.outbox_entries.is_closed() { self.stopped() } else { SendError::OutboxFull }
        };
        let entry_permit = self.shared.outbox_entries.try_acquire().map_err(full)?;
        let bytes_permit =
            self.shared.outbox_bytes.try_acquire_many(self.shared.charge(entry.body_bytes())).map_err(full)?;
        let room = self.commands.try_reserve().map_err(|error| match error {
            mpsc::error::TrySendError::Full(()) => SendError::OutboxFull,
            mpsc::error::TrySendError::Closed(()) => self.stopped(),
        })?;
        entry_permit.forget();
        bytes_permit.forget();
        room.send(Command::Send(entry));
        Ok(Sending::new(slot))
    }

    /// Tells the sender that this message, and everything before it in its stream, was read. Kept in memory until the
    /// server has recorded it. Of a group's message: that this and everything before it in the group was read, and the
    /// call waits until that is recorded; of a group that the user has left nobody is told.
    pub async fn mark_read(&self, message: &Message) -> Result<(), StopReason> {
        if let Some(group) = message.group() {
            return match self.mark_group_read(group, message.group_seq()).await {
                Err(RequestError::Stopped(reason)) => Err(reason),
                Ok(()) | Err(_) => Ok(()),
            };
        }
        let Ok(from) = UserId::new(message.from()) else {
            return Ok(());
        };
        let command = Command::Read { from, id: message.id() };
        self.commands.send(command).await.map_err(|_| self.stop_reason())
    }

    /// Where the connection stands now.
    pub fn state(&self) -> ConnectionState {
        self.state.borrow().clone()
    }

    /// The connection's state, to be waited on.
    pub fn watch_state(&self) -> watch::Receiver<ConnectionState> {
        self.state.clone()
    }

    /// Waits until the client is attached to its mailbox, or will never be.
    pub async fn online(&self) -> Result<(), StopReason> {
        let mut state = self.state.clone();
        loop {
            match &*state.borrow_and_update() {
                ConnectionState::Online { .. } => return Ok(()),
                ConnectionState::Stopped(reason) => return Err(reason.clone()),
                ConnectionState::Connecting | ConnectionState::Offline { .. } => {}
            }
            if state.changed().await.is_err() {
                return Err(self.stop_reason());
            }
        }
    }

    /// Ends the client: acknowledges what was dealt with, says good-bye to the server, and waits until the task is done
    /// with the store. Messages without an answer end with [`SendError::Stopped`].
    pub async fn close(self) {
        // An error says that it has ended already.
        let _ = self.commands.send(Command::Stop).await;
        self.commands.closed().await;
        let mut state = self.state.clone();
        while state.changed().await.is_ok() {}
    }

    fn stopped(&self) -> SendError {
        SendError::Stopped(self.stop_reason())
    }

    pub(crate) fn stop_reason(&self) -> StopReason {
        match &*self.state.borrow() {
            ConnectionState::Stopped(reason) => reason.clone(),
            _ => StopReason::Closed,
        }
    }
}

fn entry(outgoing: Outgoing) -> Result<(Entry<Arc<Slot>>, Arc<Slot>), SendError> {
    let to = match outgoing.group.as_str() {
        "" => Recipient::User(UserId::new(&outgoing.to)?),
        group => Recipient::Group(GroupId::new(group)?),
    };
    let content = Bytes::from(outgoing.content.encode_to_vec());
    let ttl_ms = outgoing.ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
    let slot = Slot::new();
    let disappears = outgoing.disappears.map(|disappears| disappears.encode_to_vec().into());
    let mut entry = Entry::new(to, content, ttl_ms, outgoing.receipts as i32, slot.clone());
    (entry.disappears, entry.deliver_at_ms) = (disappears, outgoing.deliver_at_ms);
    entry.conflation_key = outgoing.conflation_key.into_boxed_str();
    Ok((entry, slot))
}
