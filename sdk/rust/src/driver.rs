//! The task that owns the socket and the store: it feeds the state machine with what comes, in batches, and performs
//! its effects. One batch costs one write to the store and one flush of the socket, however many messages it holds.

use std::collections::{HashMap, VecDeque};
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt as _;
use tidings_proto::frame::decode_server;
use tidings_proto::message::v1::envelope;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::client::{Command, Shared};
use crate::connection::{Answer, Connection, Effect, Emit, Input, Settled};
use crate::error::{SendError, StopReason};
use crate::events::{ConnectionState, Event, Message, Queued, Ticket};
use crate::gateways::Gateways;
use crate::receipts::AwaitedReceipts;
use crate::recipient::Recipient;
use crate::scheduled::AwaitedSchedules;
use crate::sending::Slot;
use crate::socket::{Address, Heard, Socket};
use crate::store::{Change, Store, StoreError};
use crate::token::TokenSource;

/// Commands and frames taken in one batch.
const BATCH: usize = 256;
/// Events that wait for the application; beyond it the socket is not read, and transient ones are dropped at half of
/// it.
const WAITING_EVENTS: usize = 4096;
/// For the last words at the end.
const FAREWELL: Duration = Duration::from_secs(1);

type Opening = Pin<Box<dyn Future<Output = Result<(Socket, String), OpenError>> + Send>>;

enum OpenError {
    /// Worth another attempt.
    Failed(String),
    /// No attempt will do better.
    Never(StopReason),
}

/// Everything that one client's task owns.
pub(crate) struct Driver {
    core: Connection<Arc<Slot>>,
    effects: Vec<Effect<Arc<Slot>>>,
    gateways: Gateways,
    token: TokenSource,
    store: Option<Box<dyn Store>>,
    shared: Arc<Shared>,
    started: Instant,
    opening: Option<Opening>,
    socket: Option<Socket>,
    commands: mpsc::Receiver<Command>,
    command_batch: Vec<Command>,
    ticket_batch: Vec<Ticket>,
    events: mpsc::Sender<Queued>,
    waiting_events: VecDeque<Queued>,
    awaited_receipts: AwaitedReceipts,
    awaited_schedules: AwaitedSchedules,
    /// Whom the token speaks for, once it is known.
    user: String,
    asked: HashMap<u64, oneshot::Sender<Answer>>,
    next_request: u64,
    state: watch::Sender<ConnectionState>,
    stopped: Option<StopReason>,
}

/// What a driver is made of.
pub(crate) struct Parts {
    pub(crate) core: Connection<Arc<Slot>>,
    pub(crate) stream: u64,
    pub(crate) gateways: Gateways,
    pub(crate) token: TokenSource,
    pub(crate) store: Box<dyn Store>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) events: mpsc::Sender<Queued>,
    pub(crate) state: watch::Sender<ConnectionState>,
}

impl Driver {
    pub(crate) fn new(parts: Parts) -> Self {
        let mut awaited_receipts = AwaitedReceipts::default();
        awaited_receipts.new_stream(parts.stream);
        Self {
            core: parts.core,
            effects: Vec::with_capacity(2 * BATCH),
            gateways: parts.gateways,
            token: parts.token,
            store: Some(parts.store),
            shared: parts.shared,
            started: Instant::now(),
            opening: None,
            socket: None,
            commands: parts.commands,
            command_batch: Vec::with_capacity(BATCH),
            ticket_batch: Vec::new(),
            events: parts.events,
            waiting_events: VecDeque::new(),
            awaited_receipts,
            awaited_schedules: AwaitedSchedules::default(),
            user: String::new(),
            asked: HashMap::new(),
            next_request: 1,
            state: parts.state,
            stopped: None,
        }
    }

    /// Runs until the application or the server ends it, and settles what is left.
    pub(crate) async fn run(mut self) {
        self.input(Input::Start);
        self.perform().await;
        while self.stopped.is_none() {
            self.gather().await;
            let now = self.now();
            self.core.flush(now, &mut self.effects);
            self.perform().await;
        }
        self.refuse_late_commands().await;
        let Self { events, waiting_events, state, store, .. } = self;
        drop(store);
        // Ends `Client::close`.
        drop(state);
        for event in waiting_events {
            if events.send(event).await.is_err() {
                return;
            }
        }
    }

    /// Waits for anything to happen, and takes all that has happened.
    async fn gather(&mut self) {
        let reading = self.waiting_events.len() < WAITING_EVENTS;
        let wake_at = self.core.wake_at().map(|at| self.started + at);
        tokio::select! {
            taken = self.commands.recv_many(&mut self.command_batch, BATCH) => {
                if taken == 0 {
                    // The last handle is gone.
                    self.command_batch.push(Command::Stop);
                }
            }
            () = self.shared.acks.arrived() => {}
            heard = next_from(&mut self.socket, reading) => self.heard(heard),
            opened = next_opened(&mut self.opening) => self.opened(opened),
            () = room_in(&self.events), if !self.waiting_events.is_empty() => self.hand_on_waiting_events(),
            () = sleep_until(wake_at) => self.input(Input::Tick),
        }
        // First: what was acknowledged before the client was closed counts.
        self.take_acknowledgements();
        self.take_commands();
        self.read_what_is_there(reading);
    }

    fn take_commands(&mut self) {
        let mut batch = std::mem::take(&mut self.command_batch);
        for command in batch.drain(..) {
            let input = match command {
                Command::Send(entry) => Input::Send(entry),
                Command::Read { from, id } => Input::Read { from, id },
                Command::Request { request, answer } => {
                    let id = self.next_request;
                    self.next_request += 1;
                    self.asked.insert(id, answer);
                    Input::Request { id, request }
                }
                Command::Activity(activity) => Input::Activity(activity),
                Command::Stop => Input::Stop,
            };
            self.input(input);
        }
        self.command_batch = batch;
    }

    fn take_acknowledgements(&mut self) {
        let mut tickets = std::mem::take(&mut self.ticket_batch);
        self.shared.acks.take(&mut tickets);
        for Ticket { generation, seq } in tickets.drain(..) {
            self.input(Input::Acknowledge { generation, seq });
        }
        self.ticket_batch = tickets;
    }

    fn read_what_is_there(&mut self, reading: bool) {
        for _ in 0..BATCH {
            match next_from(&mut self.socket, reading).now_or_never() {
                Some(heard) => self.heard(heard),
                None => return,
            }
        }
    }

    fn heard(&mut self, heard: Heard) {
        let input = match heard {
            Heard::Sign => Input::Heard,
            Heard::Frame(bytes) => match decode_server(bytes) {
                Ok(frame) => Input::Frame(frame),
                Err(error) => self.drop_socket(None, error.to_string()),
            },
            Heard::Closed { code, reason } => self.drop_socket(code, reason),
        };
        self.input(input);
    }

    fn drop_socket(&mut self, code: Option<u16>, reason: String) -> Input<Arc<Slot>> {
        self.socket = None;
        Input::Closed { code, reason }
    }

    fn opened(&mut self, opened: Result<(Socket, String), OpenError>) {
        self.opening = None;
        let input = match opened {
            Ok((socket, token)) => {
                self.socket = Some(socket);
                Input::Opened { token }
            }
            Err(OpenError::Failed(reason)) => Input::Closed { code: None, reason },
            Err(OpenError::Never(reason)) => Input::CannotOpen(reason),
        };
        self.input(input);
    }

    fn input(&mut self, input: Input<Arc<Slot>>) {
        let now = self.now();
        self.core.handle(now, input, &mut self.effects);
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    async fn perform(&mut self) {
        let mut effects = std::mem::take(&mut self.effects);
        let durable = self.persist(&mut effects).await;
        for effect in effects.drain(..) {
            match effect {
                // Without durability nothing may be promised to the server.
                Effect::Transmit(_) if durable.is_err() => {}
                Effect::Transmit(frame) => {
                    if let Some(socket) = &mut self.socket {
                        socket.write(frame);
                    }
                }
                Effect::Numbered { tag, id } => tag.numbered(id),
                Effect::Settled(settled) => self.settled(settled),
                Effect::Answered { id, answer } => self.answered(id, answer),
                Effect::Emit(emit) => self.emit(emit),
                Effect::Connect => self.opening = Some(open(self.gateways.next(), self.token.clone())),
                Effect::Disconnect => self.disconnect().await,
                Effect::Stopped(reason) => self.stop(reason),
                Effect::Persist(_) => {}
            }
        }
        // Gives the allocation back for the next batch.
        effects.append(&mut self.effects);
        self.effects = effects;
        if let Err(error) = durable {
            tracing::error!(%error, "the store failed, the client stops");
            let now = self.now();
            self.core.handle(now, Input::CannotOpen(StopReason::Store(error.to_string())), &mut self.effects);
            let last: Vec<_> = self.effects.drain(..).collect();
            for effect in last {
                match effect {
                    Effect::Settled(settled) => self.settled(settled),
                    Effect::Answered { id, answer } => self.answered(id, answer),
                    Effect::Stopped(reason) => self.stop(reason),
                    _ => {}
                }
            }
            self.socket = None;
        }
    }

    /// Makes all changes of the batch durable before anything else of it happens.
    async fn persist(&mut self, effects: &mut [Effect<Arc<Slot>>]) -> Result<(), StoreError> {
        let mut changes = Vec::new();
        for effect in effects.iter_mut() {
            if let Effect::Persist(change) = effect {
                changes.push(std::mem::replace(change, Change::Cursor(0)));
            }
        }
        if changes.is_empty() {
            return Ok(());
        }
        let Some(mut store) = self.store.take() else {
            return Err(StoreError::Failed);
        };
        let write = tokio::task::spawn_blocking(move || {
            let written = store.write(changes);
            (store, written)
        });
        match write.await {
            Ok((store, written)) => {
                self.store = Some(store);
                written
            }
            Err(_) => Err(StoreError::Failed),
        }
    }

    async fn disconnect(&mut self) {
        self.opening = None;
        if let Some(socket) = self.socket.take() {
            // A socket that takes no more is dropped all the same.
            let _ = tokio::time::timeout(FAREWELL, socket.close()).await;
        }
    }

    fn settled(&mut self, settled: Settled<Arc<Slot>>) {
        let Settled { tag, id, to, receipts, is_scheduled, content_bytes, result } = settled;
        let unknown = matches!(result, Err(SendError::Unknown));
        let earlier_life = tag.is_none() && !matches!(result, Err(SendError::Stopped(_)));
        if unknown || earlier_life {
            self.tell(Event::Outcome { id, to: to.to_string(), result: result.clone() }, None);
        }
        let Some(slot) = tag else { return };
        self.shared.release(content_bytes);
        let accepted = result.is_ok();
        slot.settled(result);
        if accepted && is_scheduled {
            return self.awaited_schedules.accepted(id, slot);
        }
        if let (true, Recipient::User(to)) = (accepted, to) {
            self.awaited_receipts.accepted(&to, id, receipts, slot);
        }
    }

    fn answered(&mut self, id: u64, answer: Answer) {
        if let Some(asked) = self.asked.remove(&id) {
            // Fails when the one who asked has gone away.
            let _ = asked.send(answer);
        }
    }

    fn emit(&mut self, emit: Emit) {
        match emit {
            Emit::Online(welcome) => {
                self.user.clone_from(&welcome.user);
                self.change_state(ConnectionState::Online { app: welcome.app.clone(), user: welcome.user.clone() });
            }
            Emit::Offline { retry_in, reason } => self.change_state(ConnectionState::Offline { retry_in, reason }),
            Emit::Delivery { generation, seq, envelope } => self.delivery(Ticket { generation, seq }, envelope.event),
            Emit::Transient(envelope) if self.waiting_events.len() < WAITING_EVENTS / 2 => match envelope.event {
                Some(envelope::Event::Message(message)) => self.tell(Event::Transient(message), None),
                Some(envelope::Event::Activity(activity)) => self.tell(Event::Activity(activity), None),
                Some(envelope::Event::GroupReceipt(receipt)) => self.tell(Event::GroupReceipt(receipt), None),
                _ => {}
            },
            Emit::Transient(_) => {}
            Emit::Presence(users) => users.into_iter().for_each(|user| self.tell(Event::Presence(user), None)),
            Emit::UnknownRange(from, to) => self.tell(Event::UnknownRange { from, to }, None),
            Emit::CaughtUp => self.tell(Event::CaughtUp, None),
            Emit::NewStream(stream) => self.awaited_receipts.new_stream(stream),
        }
    }

    fn delivery(&mut self, ticket: Ticket, event: Option<envelope::Event>) {
        let event = match event {
            Some(envelope::Event::Message(message)) => {
                let is_mine = message.id.is_some_and(|id| self.awaited_receipts.is_of_stream(id));
                let is_copy = message.group.is_empty() && message.from == self.user && message.to != self.user;
                if is_copy && is_mine {
                    // This device sent it, and knows.
                    return self.shared.acks.push(ticket);
                }
                if is_copy {
                    Event::Sent(message)
                } else {
                    Event::Message(Message::new(message, ticket, self.shared.acks.clone(), is_mine))
                }
            }
            Some(envelope::Event::GroupEvent(event)) => Event::GroupEvent(event),
            Some(envelope::Event::Change(change)) => {
                let is_mine = change.id.is_some_and(|id| self.awaited_receipts.is_of_stream(id));
                // As a message to a group, a change in one comes back: it says at which place it stands.
                if is_mine && change.group.is_empty() && change.to != self.user {
                    return self.shared.acks.push(ticket);
                }
                Event::Changed(change)
            }
            Some(envelope::Event::ConversationUpdate(update)) => match update.conversation {
                Some(conversation) => Event::Conversation(conversation),
                None => return self.shared.acks.push(ticket),
            },
            Some(envelope::Event::Receipt(receipt)) => {
                self.awaited_receipts.receipt(&receipt);
                self.awaited_schedules.receipt(&receipt);
                Event::Receipt(receipt)
            }
            Some(envelope::Event::Failure(failure)) => {
                self.awaited_receipts.failure(&failure);
                self.awaited_schedules.failure(&failure);
                Event::Failure(failure)
            }
            Some(envelope::Event::ScheduleUpdate(update)) => {
                self.awaited_schedules.update(&update);
                Event::Schedule(update)
            }
            // Of a kind that a newer server knows, or that stands in no mailbox: passed over, as the protocol says.
            Some(envelope::Event::Activity(_) | envelope::Event::GroupReceipt(_)) | None => {
                return self.shared.acks.push(ticket);
            }
        };
        self.tell(event, Some(ticket));
    }

    fn change_state(&mut self, state: ConnectionState) {
        tracing::debug!(?state, "connection");
        self.state.send_replace(state.clone());
        self.tell(Event::Connection(state), None);
    }

    /// Hands an event to the application, or keeps it until there is room.
    fn tell(&mut self, event: Event, ticket: Option<Ticket>) {
        self.waiting_events.push_back(Queued { event, ticket });
        self.hand_on_waiting_events();
    }

    fn hand_on_waiting_events(&mut self) {
        while let Some(queued) = self.waiting_events.pop_front() {
            match self.events.try_send(queued) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(queued)) => return self.waiting_events.push_front(queued),
                // Nobody listens: receipts have done their work, messages stay in the mailbox.
                Err(mpsc::error::TrySendError::Closed(Queued { event: Event::Message(_), .. })) => {}
                Err(mpsc::error::TrySendError::Closed(Queued { ticket, .. })) => {
                    ticket.into_iter().for_each(|ticket| self.shared.acks.push(ticket));
                }
            }
        }
    }

    fn stop(&mut self, reason: StopReason) {
        self.change_state(ConnectionState::Stopped(reason.clone()));
        self.stopped = Some(reason);
    }

    /// What was on its way to us when we stopped ends with the same reason.
    async fn refuse_late_commands(&mut self) {
        self.commands.close();
        let reason = self.stopped.clone().unwrap_or(StopReason::Closed);
        while let Some(command) = self.commands.recv().await {
            if let Command::Send(entry) = command
                && let Some(slot) = entry.tag
            {
                slot.settled(Err(SendError::Stopped(reason.clone())));
            }
        }
        self.shared.close();
    }
}

fn open(address: Address, token: TokenSource) -> Opening {
    Box::pin(async move {
        let token = token.token().await.map_err(|error| OpenError::Never(StopReason::Token(error)))?;
        let socket = Socket::open(&address).await.map_err(OpenError::Failed)?;
        Ok((socket, token))
    })
}

async fn next_from(socket: &mut Option<Socket>, reading: bool) -> Heard {
    poll_fn(|cx| match socket {
        Some(socket) => socket.poll(cx, reading),
        None => Poll::Pending,
    })
    .await
}

async fn next_opened(opening: &mut Option<Opening>) -> Result<(Socket, String), OpenError> {
    match opening {
        Some(opening) => opening.await,
        None => pending().await,
    }
}

/// Waits until the application has taken an event, or takes none any more.
async fn room_in(events: &mpsc::Sender<Queued>) {
    // The room is taken by `try_send`; this task is the only sender.
    let _ = events.reserve().await;
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => pending().await,
    }
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("core", &self.core).finish_non_exhaustive()
    }
}
