//! One user's device: sends, records what it is told and shown, goes offline and comes back.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tidings_sdk::receipt::Kind;
use tidings_sdk::{
    AckMode, Client, ConnectionState, Event as Seen, Events, FileStore, Message, MessageId, Outgoing, Receipt,
    SendError, Sent,
};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{Phase, Workload};
use crate::history::{Event, History, User};
use crate::people::Person;

/// The SDK's waits before a reconnect: clients come back soon, so that they are there when the next fault comes.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// How long a device stays online and offline, in milliseconds.
const ONLINE_MS: std::ops::Range<u64> = 3_000..12_000;
const OFFLINE_MS: std::ops::Range<u64> = 200..3_000;
/// One message of so many is marked as read.
const READ_ONE_OF: u32 = 8;
/// How long a connection that came back is watched for what should not come, after it has caught up.
const LAST_LOOK: Duration = Duration::from_millis(500);

/// How a message ended for the client that it was given to.
type Answer = (u64, Option<MessageId>, Result<Sent, SendError>);

pub(super) struct Device {
    user: User,
    people: Arc<[Person]>,
    users: HashMap<String, User>,
    gateways: Vec<String>,
    /// None: the state is in memory, and the client stays open.
    store: Option<PathBuf>,
    interval: Duration,
    history: History,
    rng: SmallRng,
    /// Messages given so far.
    given: u64,
    /// What the ids of accepted messages stand for.
    accepted: HashMap<MessageId, u64>,
    /// The same of messages that a closed client left in its store: their answers come to the next one.
    left: HashMap<MessageId, u64>,
    /// Before the first connection messages have no ids: nothing is sent.
    has_stream: bool,
    next_send: Instant,
}

/// Why a device's client is closed.
enum Closing {
    Spell,
    Phase,
}

impl Device {
    pub(super) fn new(workload: &Workload, user: User, history: History) -> Self {
        let people: Arc<[Person]> = workload.people.clone().into();
        let users = (0..).zip(people.iter()).map(|(user, person)| (person.id.clone(), user)).collect();
        let per_user = workload.rate / people.len() as f64;
        let mut rng = SmallRng::seed_from_u64(workload.seed.wrapping_add(u64::from(user)));
        let interval = Duration::from_secs_f64(1.0 / per_user.max(0.001));
        let next_send = Instant::now() + interval.mul_f64(rng.random());
        let store = user.is_multiple_of(2).then(|| workload.stores.join(format!("user-{user}")));
        let gateways = workload.gateways.clone();
        Self {
            user,
            people,
            users,
            gateways,
            store,
            interval,
            history,
            rng,
            given: 0,
            accepted: HashMap::new(),
            left: HashMap::new(),
            has_stream: false,
            next_send,
        }
    }

    /// Lives until the phases are over.
    pub(super) async fn run(mut self, mut phase: watch::Receiver<Phase>) -> Result<()> {
        loop {
            let (client, events) = self.open()?;
            let closing = self.online(&client, events, &mut phase).await?;
            let now = *phase.borrow_and_update();
            match (closing, now) {
                (Closing::Spell, Phase::Busy) => {
                    let spell = Duration::from_millis(self.rng.random_range(OFFLINE_MS));
                    tokio::select! {
                        () = sleep(spell) => {}
                        changed = phase.changed() => changed?,
                    }
                    self.next_send = Instant::now();
                }
                (_, Phase::Busy | Phase::Settling) => {}
                (_, Phase::Returning) if self.store.is_none() => return Ok(()),
                (_, Phase::Returning) => return self.come_back().await,
            }
        }
    }

    fn open(&mut self) -> Result<(Client, Events)> {
        let person = &self.people[self.user as usize];
        let (first, others) = self.gateways.split_first().context("there is no gateway")?;
        let mut builder = Client::builder(first, person.token.as_str()).device("audit").ack_mode(AckMode::Explicit);
        builder = others.iter().fold(builder, |builder, url| builder.gateway(url)).backoff(BACKOFF.0, BACKOFF.1);
        if let Some(folder) = &self.store {
            builder = builder.store(FileStore::open(folder)?);
        }
        self.history.record(self.user, Event::Opened);
        Ok(builder.connect()?)
    }

    /// Sends and records until it is time to close the client, and closes it.
    async fn online(
        &mut self,
        client: &Client,
        mut events: Events,
        phase: &mut watch::Receiver<Phase>,
    ) -> Result<Closing> {
        let mut answers = JoinSet::new();
        let spell_at = Instant::now() + Duration::from_millis(self.rng.random_range(ONLINE_MS));
        let closing = loop {
            let now = *phase.borrow_and_update();
            if now == Phase::Returning {
                break Closing::Phase;
            }
            let is_busy = now == Phase::Busy && self.has_stream;
            tokio::select! {
                event = events.next() => self.saw(client, event.context("the client's events ended")?).await?,
                Some(answer) = answers.join_next() => self.answered(answer?),
                () = sleep_until(self.next_send), if is_busy => self.send(client, &mut answers, phase),
                () = sleep_until(spell_at), if is_busy && self.store.is_some() => break Closing::Spell,
                changed = phase.changed() => changed?,
            }
        };
        client.clone().close().await;
        // What has no answer stays in the store's outbox, under its id.
        while let Some(answer) = answers.join_next().await {
            self.answered(answer?);
        }
        self.history.record(self.user, Event::Closed);
        Ok(closing)
    }

    /// Opens the device once more, to see whether anything comes that it had acknowledged.
    async fn come_back(&mut self) -> Result<()> {
        let (client, mut events) = self.open()?;
        loop {
            let event = events.next().await.context("the client's events ended")?;
            let is_last = matches!(event, Seen::CaughtUp);
            self.saw(&client, event).await?;
            if is_last {
                break;
            }
        }
        let last_look = async {
            while let Some(event) = events.next().await {
                self.saw(&client, event).await?;
            }
            Ok::<_, anyhow::Error>(())
        };
        if let Ok(ended) = timeout(LAST_LOOK, last_look).await {
            ended?;
        }
        client.close().await;
        self.history.record(self.user, Event::Closed);
        Ok(())
    }

    /// Gives the client the message that is due. A full outbox skips it: then nothing was given.
    fn send(&mut self, client: &Client, answers: &mut JoinSet<Answer>, phase: &watch::Receiver<Phase>) {
        // The phase does not change while it is looked at: whoever waits from its end on waits for this message too.
        let now = phase.borrow();
        if *now != Phase::Busy {
            return;
        }
        self.next_send += self.interval.mul_f64(2.0 * self.rng.random::<f64>());
        let others = self.people.len() as u32 - 1;
        // Anybody but oneself.
        let to = (self.user + 1 + self.rng.random_range(0..others)) % (others + 1);
        let number = self.given;
        let outgoing = Outgoing::new(self.people[to as usize].id.as_str(), number.to_string());
        let Ok(sending) = client.try_send(outgoing) else { return };
        self.given += 1;
        self.history.record(self.user, Event::Given { number, to });
        answers.spawn(async move {
            let result = sending.sent().await;
            (number, sending.id(), result)
        });
    }

    fn answered(&mut self, (number, id, result): Answer) {
        match (id, &result) {
            (Some(id), Err(SendError::Stopped(_))) => _ = self.left.insert(id, number),
            _ => self.record_answer(number, result),
        }
    }

    fn record_answer(&mut self, number: u64, result: Result<Sent, SendError>) {
        let event = match result {
            Ok(sent) => {
                self.accepted.insert(sent.id, number);
                Event::Accepted { number, stream: sent.id.stream, seq: sent.id.seq }
            }
            Err(SendError::Refused { code, .. }) => Event::Refused { number, code: code.as_str_name().to_owned() },
            Err(SendError::Undelivered { code }) => Event::Failed { number, code: code.as_str_name().to_owned() },
            Err(SendError::Unknown | SendError::Stopped(_)) => Event::Unknown { number },
            // Said before anything is sent.
            Err(SendError::InvalidRecipient(_) | SendError::OutboxFull) => {
                Event::Refused { number, code: "NOT_GIVEN".to_owned() }
            }
        };
        self.history.record(self.user, event);
    }

    async fn saw(&mut self, client: &Client, event: Seen) -> Result<()> {
        match event {
            Seen::Message(message) => self.shown(client, &message).await,
            Seen::Receipt(receipt) => self.receipt(&receipt),
            Seen::Failure(failure) => {
                // An id of no message of ours is a contradiction, and is told as one.
                let number = failure.id.and_then(|id| self.accepted.get(&id).copied()).unwrap_or(u64::MAX);
                let code = failure.reason().as_str_name().to_owned();
                self.history.record(self.user, Event::Failed { number, code });
            }
            Seen::UnknownRange { from, to } => self.history.record(self.user, Event::Gap { from, to }),
            Seen::Outcome { id, result, .. } => {
                // One of this client's own is told through its `Sending`.
                if let Some(number) = self.left.remove(&id) {
                    self.record_answer(number, result);
                }
            }
            Seen::Connection(ConnectionState::Online { .. }) if !self.has_stream => {
                self.has_stream = true;
                self.next_send = Instant::now();
            }
            Seen::Connection(ConnectionState::Stopped(reason)) => {
                bail!("the client of user {} stopped for good: {reason}", self.user)
            }
            _ => {}
        }
        Ok(())
    }

    async fn shown(&mut self, client: &Client, message: &Message) {
        let (from, number) = (self.user_named(message.from()), message.text().parse().unwrap_or(u64::MAX));
        let place = message.mailbox_seq();
        self.history.record(self.user, Event::Shown { from, number, place });
        message.ack();
        self.history.record(self.user, Event::Acknowledged { place });
        if self.rng.random_ratio(1, READ_ONE_OF) {
            // A client that stopped says so in its events.
            let _ = client.mark_read(message).await;
        }
    }

    fn receipt(&self, receipt: &Receipt) {
        let from = self.user_named(&receipt.from);
        let read = receipt.kind() == Kind::Read;
        self.history.record(self.user, Event::Receipt { from, read, stream: receipt.stream, up_to: receipt.up_to_seq });
    }

    /// A name that is none of ours is a user that was never given anything: a contradiction.
    fn user_named(&self, id: &str) -> User {
        self.users.get(id).copied().unwrap_or(User::MAX)
    }
}
