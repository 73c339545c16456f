//! What the application is told, in order, each entry of the mailbox once (promise 2).

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::Stream;
use parking_lot::Mutex;
use tidings_proto::client::v1::UserPresence;
use tidings_proto::message::v1::{
    self, Activity, Change as ChangeEvent, Content, Conversation, Failure, GroupEvent, GroupReceipt, MessageId,
    Receipt, ScheduleUpdate,
};
use tokio::sync::{Notify, mpsc};

use crate::connection::Sent;
use crate::error::{SendError, StopReason};

/// Something that happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// The connection changed.
    Connection(ConnectionState),
    /// A message came.
    Message(Message),
    /// Another device of this user sent a message. It counts as dealt with when it is shown: the history has it.
    Sent(v1::Message),
    /// A message is different from now on: by the other side, or by another device of this user; in a group also by
    /// this device. The server's history has it so already.
    Changed(ChangeEvent),
    /// One of this user's devices changed how a conversation stands.
    Conversation(Conversation),
    /// Messages that this device sent were delivered or read, up to a number.
    Receipt(Receipt),
    /// A message that this user's device had sent will not be delivered.
    Failure(Failure),
    /// Something happened to a message of this user that waits for its time.
    Schedule(ScheduleUpdate),
    /// How far messages have come that this user sent to a group, where it is watched
    /// ([`crate::Client::watch_group_receipts`]).
    GroupReceipt(GroupReceipt),
    /// Something changed in a group of this user, at this place of the group's order.
    GroupEvent(GroupEvent),
    /// A message that nobody keeps: at most once, nothing to acknowledge.
    Transient(v1::Message),
    /// What became known of a user who is watched ([`crate::Client::watch_presence`]).
    Presence(UserPresence),
    /// What another user is doing just now. Whoever shows it lets it fade after some seconds.
    Activity(Activity),
    /// Entries of the mailbox from the first to the second number were lost to this device (promise 4).
    UnknownRange {
        /// First lost number.
        from: u64,
        /// Last lost number.
        to: u64,
    },
    /// Everything that waited when the connection came up has been delivered.
    CaughtUp,
    /// The end of a message that has no [`crate::Sending`] because an earlier life of the process sent it, or whose
    /// fate cannot be known any more ([`SendError::Unknown`]). It is told once: who closes the client reads its events
    /// to their end.
    Outcome {
        /// The message.
        id: MessageId,
        /// Its recipient.
        to: String,
        /// How it ended.
        result: Result<Sent, SendError>,
    },
}

/// Where the connection stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionState {
    /// The first attempt is under way.
    Connecting,
    /// Attached to the mailbox.
    Online {
        /// The app of the token.
        app: String,
        /// The user of the token.
        user: String,
    },
    /// Not attached; the client comes back by itself.
    Offline {
        /// Until the next attempt.
        retry_in: Duration,
        /// For people.
        reason: String,
    },
    /// The client will not come back.
    Stopped(StopReason),
}

/// A message that came.
#[derive(Debug)]
pub struct Message {
    message: Box<v1::Message>,
    ticket: Ticket,
    acks: Arc<AckQueue>,
    acknowledged: AtomicBool,
    is_echo: bool,
}

impl Message {
    pub(crate) fn new(message: v1::Message, ticket: Ticket, acks: Arc<AckQueue>, is_echo: bool) -> Self {
        Self { message: Box::new(message), ticket, acks, acknowledged: AtomicBool::new(false), is_echo }
    }

    /// The message's name.
    pub fn id(&self) -> MessageId {
        self.message.id.unwrap_or_default()
    }

    /// The user who sent it.
    pub fn from(&self) -> &str {
        &self.message.from
    }

    /// The group that it was sent to; none when it was sent to this user.
    pub fn group(&self) -> Option<&str> {
        Some(self.message.group.as_str()).filter(|group| !group.is_empty())
    }

    /// Its place in the group's order, the same for every member; 0 when it was sent to this user.
    pub fn group_seq(&self) -> u64 {
        self.message.group_seq
    }

    /// This device sent it to a group, and gets it back with its place in the group's order.
    pub fn is_echo(&self) -> bool {
        self.is_echo
    }

    /// What it says; empty when the content has no text.
    pub fn text(&self) -> &str {
        self.message.content.as_ref().map_or("", |content| &content.text)
    }

    /// What it says in full.
    pub fn content(&self) -> Option<&Content> {
        self.message.content.as_ref()
    }

    /// When the recipient's shard accepted it, Unix time in milliseconds.
    pub fn sent_at_ms(&self) -> i64 {
        self.message.sent_at_ms
    }

    /// All of it, as the mailbox holds it.
    pub fn as_proto(&self) -> &v1::Message {
        &self.message
    }

    /// Its place in this user's mailbox.
    pub fn mailbox_seq(&self) -> u64 {
        self.ticket.seq
    }

    /// The application has dealt with it: it will not be shown again. The server hears of it when everything before it
    /// was acknowledged too. A second call changes nothing.
    pub fn ack(&self) {
        if !self.acknowledged.swap(true, Ordering::Relaxed) {
            self.acks.push(self.ticket);
        }
    }
}

/// Names an entry of the mailbox for its acknowledgement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ticket {
    pub(crate) generation: u32,
    pub(crate) seq: u64,
}

/// Acknowledgements on their way to the driver. Bounded by what is delivered and not acknowledged: each entry comes
/// once.
#[derive(Debug, Default)]
pub(crate) struct AckQueue {
    tickets: Mutex<Vec<Ticket>>,
    arrived: Notify,
}

impl AckQueue {
    pub(crate) fn push(&self, ticket: Ticket) {
        self.tickets.lock().push(ticket);
        self.arrived.notify_one();
    }

    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    pub(crate) fn take(&self, into: &mut Vec<Ticket>) {
        std::mem::swap(&mut *self.tickets.lock(), into);
    }
}

/// When a message counts as dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AckMode {
    /// When the application asks for the event after it.
    #[default]
    OnNext,
    /// When the application calls [`Message::ack`].
    Explicit,
}

/// An event, and the mailbox entry that it stands for.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) event: Event,
    pub(crate) ticket: Option<Ticket>,
}

/// The stream of events; it ends when the client has stopped, after [`ConnectionState::Stopped`].
///
/// Whoever does not want events drops it: receipts are then acknowledged by themselves, and messages stay in the
/// mailbox. Whoever keeps it without reading holds up the mailbox: once the buffer is full, the socket is not read
/// either.
#[derive(Debug)]
pub struct Events {
    queue: mpsc::Receiver<Queued>,
    acks: Arc<AckQueue>,
    mode: AckMode,
    shown: Option<Ticket>,
}

impl Events {
    pub(crate) fn new(queue: mpsc::Receiver<Queued>, acks: Arc<AckQueue>, mode: AckMode) -> Self {
        Self { queue, acks, mode, shown: None }
    }

    /// The next event; `None` after the last one. Cancel-safe.
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        if let Some(shown) = self.shown.take() {
            self.acks.push(shown);
        }
        let Some(Queued { event, ticket }) = ready!(self.queue.poll_recv(cx)) else {
            return Poll::Ready(None);
        };
        match (&event, self.mode, ticket) {
            (Event::Message(_), AckMode::Explicit, _) | (_, _, None) => {}
            (Event::Message(_), AckMode::OnNext, Some(ticket)) => self.shown = Some(ticket),
            (_, _, Some(ticket)) => self.acks.push(ticket),
        }
        Poll::Ready(Some(event))
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.get_mut().poll(cx)
    }
}
