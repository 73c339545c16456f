//! A message on its way, as the application sees it: its id as soon as it has one, its answer, and what became of it.

use std::sync::Arc;

use parking_lot::Mutex;
use tidings_proto::message::v1::MessageId;
use tokio::sync::Notify;

use crate::connection::Sent;
use crate::error::SendError;

/// How far a message has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// In the outbox, or on its way to the server.
    Pending,
    /// Accepted and durable (promise 1).
    Sent,
    /// A device of the recipient has it.
    Delivered,
    /// The recipient read it.
    Read,
    /// It will not be delivered, or its fate is not known: the error says which.
    Failed(SendError),
}

impl Status {
    /// Whether it can still change.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Read | Self::Failed(_))
    }
}

#[derive(Debug)]
struct SlotState {
    id: Option<MessageId>,
    status: Status,
    sent: Option<Sent>,
}

/// What the driver and the application's [`Sending`] share.
#[derive(Debug)]
pub(crate) struct Slot {
    state: Mutex<SlotState>,
    changed: Notify,
}

impl Slot {
    pub(crate) fn new() -> Arc<Self> {
        let state = Mutex::new(SlotState { id: None, status: Status::Pending, sent: None });
        Arc::new(Self { state, changed: Notify::new() })
    }

    pub(crate) fn numbered(&self, id: MessageId) {
        self.state.lock().id = Some(id);
        self.changed.notify_waiters();
    }

    pub(crate) fn settled(&self, result: Result<Sent, SendError>) {
        let mut state = self.state.lock();
        match result {
            Ok(sent) => {
                state.id = Some(sent.id);
                state.sent = Some(sent);
                state.status = Status::Sent;
            }
            Err(error) => state.status = Status::Failed(error),
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Moves to a later status; a final one stays.
    pub(crate) fn advance(&self, status: Status) {
        let mut state = self.state.lock();
        if state.status.is_final() || (state.status == Status::Delivered && status == Status::Sent) {
            return;
        }
        state.status = status;
        drop(state);
        self.changed.notify_waiters();
    }
}

/// A message that was given to the client. Dropping it changes nothing for the message.
#[derive(Debug, Clone)]
pub struct Sending {
    slot: Arc<Slot>,
}

impl Sending {
    pub(crate) fn new(slot: Arc<Slot>) -> Self {
        Self { slot }
    }

    /// The message's id: known at once when the device has been online before, otherwise with the first connection.
    /// A message that was never transmitted gets another id when the server gives the device another stream.
    pub fn id(&self) -> Option<MessageId> {
        self.slot.state.lock().id
    }

    /// How far it has come.
    pub fn status(&self) -> Status {
        self.slot.state.lock().status.clone()
    }

    /// Waits for the server's answer. The wait has no limit while the client is alive: a message whose outcome is not
    /// known is asked for again with the same number until it is.
    pub async fn sent(&self) -> Result<Sent, SendError> {
        self.wait(|state| match (&state.sent, &state.status) {
            (Some(sent), _) => Some(Ok(*sent)),
            (None, Status::Failed(error)) => Some(Err(error.clone())),
            _ => None,
        })
        .await
    }

    /// Waits until the status is another one than `seen`.
    pub async fn status_after(&self, seen: &Status) -> Status {
        self.wait(|state| (state.status != *seen).then(|| state.status.clone())).await
    }

    /// Waits until a device of the recipient has it. It needs receipts to be on, and has no limit.
    pub async fn delivered(&self) -> Result<(), SendError> {
        self.reached(|status| matches!(status, Status::Delivered | Status::Read)).await
    }

    /// Waits until the recipient read it. It needs receipts to be on, and has no limit.
    pub async fn read(&self) -> Result<(), SendError> {
        self.reached(|status| *status == Status::Read).await
    }

    async fn reached(&self, far_enough: impl Fn(&Status) -> bool) -> Result<(), SendError> {
        self.wait(|state| match &state.status {
            Status::Failed(error) => Some(Err(error.clone())),
            status => far_enough(status).then_some(Ok(())),
        })
        .await
    }

    async fn wait<R>(&self, ready: impl Fn(&SlotState) -> Option<R>) -> R {
        loop {
            let changed = self.slot.changed.notified();
            tokio::pin!(changed);
            // Registers before the look, so that a change between the two is not missed.
            changed.as_mut().enable();
            if let Some(result) = ready(&self.slot.state.lock()) {
                return result;
            }
            changed.await;
        }
    }
}
