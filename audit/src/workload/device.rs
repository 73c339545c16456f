//! One device of a user: the first one sends; all record what they are told and shown, go offline and come back.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tidings_proto::message::v1;
use tidings_sdk::activity::Kind as Doing;
use tidings_sdk::group_event::Kind as Happened;
use tidings_sdk::receipt::Kind;
use tidings_sdk::{
    AckMode, ChangeEvent, Client, ConnectionState, Event as Seen, Events, FileStore, GroupEvent, Message, MessageId,
    Outgoing, Receipt, SendError, Sending, Sent,
};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::changing::{Accepted, Changing};
use super::crowd;
use super::histories::group_reach;
use super::naming::{number_in, number_of};
use super::owner::{self, Owner};
use super::scheduling::{Moment, Scheduling};
use super::settings::{self, Setting};
use super::{Gathering, Phase, Workload, anybody_but, client_of};
use crate::history::{self, Event, Group, History, Of, User};
use crate::people::{Names, Person};

/// How long a device stays online and offline, in milliseconds.
const ONLINE_MS: std::ops::Range<u64> = 3_000..12_000;
const OFFLINE_MS: std::ops::Range<u64> = 200..3_000;
/// Where a user reads message by message, one of so many is marked as read.
const READ_ONE_OF: u32 = 8;
/// One message of so many goes to a group.
const TO_GROUP_ONE_OF: u32 = 4;
/// Of those to the group with the crowd in it one of so many is sent: each goes to more than a thousand.
const TO_CROWD_ONE_OF: u32 = 8;
/// Of one message of so many to groups its sender asks who has it, and waits so long for the answer.
const ASK_ONE_OF: u32 = 4;
const ASK_PATIENCE: Duration = Duration::from_secs(5);
/// How long a connection that came back is watched for what should not come, after it has caught up.
const LAST_LOOK: Duration = Duration::from_millis(500);

/// How a message ended for the client that it was given to.
struct Answer {
    number: u64,
    id: Option<MessageId>,
    /// Whom it was for, where it is one that may be changed.
    changeable: Option<To>,
    /// When it is cancelled, where it is one that waits.
    cancel_at: Option<Instant>,
    result: Result<Sent, SendError>,
}

/// For whom a message is.
#[derive(Debug, Clone, Copy)]
pub(super) enum To {
    User(User),
    Group(Group),
}

/// What is given to the client next.
enum Next {
    Message(To),
    Scheduled(To, Moment),
    Change(Changing),
}

pub(super) struct Device {
    this: history::Client,
    people: Arc<[Person]>,
    names: Names,
    gateways: Vec<String>,
    /// None: the state is in memory, and the client stays open.
    store: Option<PathBuf>,
    interval: Duration,
    history: History,
    rng: SmallRng,
    /// Messages given so far, and how often it was told that the user types.
    given: u64,
    typed: u64,
    /// What the ids of accepted messages stand for.
    accepted: HashMap<MessageId, u64>,
    /// The same of messages that a closed client left in its store: their answers come to the next one.
    left: HashMap<MessageId, u64>,
    last_accepted: Option<Accepted>,
    scheduling: Scheduling,
    setting: Setting,
    /// Groups that this user was ever in.
    groups: BTreeSet<Group>,
    /// Those of which it is a regular member.
    regular_in: BTreeSet<Group>,
    /// The group that has a crowd in it.
    crowded: Option<Group>,
    /// None: this user owns no group, or not with this device.
    owner: Option<Owner>,
    /// Until it is online for the first time.
    gathering: Option<Arc<Gathering>>,
    next_send: Instant,
}

/// Why a device's client is closed.
enum Closing {
    Spell,
    Phase,
}

impl Device {
    pub(super) fn new(
        workload: &Workload,
        this: history::Client,
        names: Names,
        history: History,
        gathering: Arc<Gathering>,
    ) -> Self {
        let people = workload.people.clone();
        let per_user = workload.rate / people.len() as f64;
        let history::Client { user, device } = this;
        let seed = workload.seed.wrapping_add(u64::from(user) | u64::from(device) << 32);
        let interval = Duration::from_secs_f64(1.0 / per_user.max(0.001));
        let keeps = (user + device).is_multiple_of(2);
        let crowded = crowd::group(&people, &workload.crowd);
        Self {
            this,
            owner: (device == 0).then(|| Owner::of(&people, user, seed)).flatten(),
            people,
            gateways: workload.gateways.clone(),
            store: keeps.then(|| workload.stores.join(format!("user-{user}-{device}"))),
            interval,
            setting: Setting::new(workload, this, names.clone(), history.clone()),
            scheduling: Scheduling::new(this, history.clone(), workload.one_clock),
            names,
            history,
            rng: SmallRng::seed_from_u64(seed),
            given: 0,
            typed: 0,
            accepted: HashMap::new(),
            left: HashMap::new(),
            last_accepted: None,
            groups: BTreeSet::new(),
            regular_in: BTreeSet::new(),
            crowded,
            gathering: Some(gathering),
            next_send: Instant::now(),
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
                (_, Phase::Gathering | Phase::Busy | Phase::Settling) => {}
                (_, Phase::Returning) if self.store.is_none() => return Ok(()),
                (_, Phase::Returning) => return self.come_back().await,
            }
        }
    }

    fn open(&mut self) -> Result<(Client, Events)> {
        let person = &self.people[self.this.user as usize];
        let device = format!("audit-{}", self.this.device);
        let mut builder = client_of(person, &self.gateways)?.device(device).ack_mode(AckMode::Explicit);
        if let Some(folder) = &self.store {
            builder = builder.store(FileStore::open(folder)?);
        }
        self.history.record(self.this, Event::Opened);
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
            let is_busy = now == Phase::Busy;
            let sends = is_busy && self.this.device == 0;
            tokio::select! {
                event = events.next() => self.saw(client, event.context("the client's events ended")?).await?,
                Some(answer) = answers.join_next() => {
                    let answer: Answer = answer?;
                    if let (Some(at), Ok(sent)) = (answer.cancel_at, &answer.result) {
                        self.scheduling.cancel_at(client, answer.number, sent.id, at);
                    }
                    self.answered(answer);
                }
                () = sleep_until(self.next_send), if sends => self.send(client, &mut answers, phase).await,
                () = owner::turn(&mut self.owner, client), if is_busy => {}
                () = self.setting.turn(), if sends || self.setting.is_open() => {
                    self.setting.ask(client, &self.regular_in, phase);
                }
                () = sleep_until(spell_at), if is_busy && self.store.is_some() => break Closing::Spell,
                changed = phase.changed() => changed?,
            }
        };
        client.clone().close().await;
        // What has no answer stays in the store's outbox, under its id.
        while let Some(answer) = answers.join_next().await {
            self.answered(answer?);
        }
        // The last answers to what an earlier client was given; whatever else was not shown by now comes again.
        while let Some(event) = events.next().await {
            if matches!(event, Seen::Outcome { .. }) {
                self.saw(client, event).await?;
            }
        }
        self.history.record(self.this, Event::Closed);
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
        self.history.record(self.this, Event::Closed);
        Ok(())
    }

    /// Gives the client what is due.
    async fn send(&mut self, client: &Client, answers: &mut JoinSet<Answer>, phase: &watch::Receiver<Phase>) {
        let Some((number, next)) = self.draw(phase) else { return };
        let given = match next {
            Next::Message(to) => {
                if let To::Group(group) = to {
                    self.type_in(client, group).await;
                }
                client.try_send(self.message(to, number))
            }
            Next::Scheduled(to, moment) => client.try_send(self.message(to, number).at(moment.deliver_at_ms)),
            Next::Change(changing) => changing.give(number, client, &self.people).await,
        };
        let changeable = if let Next::Message(to) = next { Some(to) } else { None };
        let cancel_at = if let Next::Scheduled(_, moment) = next { moment.cancel_at } else { None };
        match given {
            Ok(sending) => _ = answers.spawn(answer(sending, number, changeable, cancel_at)),
            Err(error) => self.record_answer(number, Err(error)),
        }
    }

    fn message(&self, to: To, number: u64) -> Outgoing {
        match to {
            To::User(to) => Outgoing::new(&self.people[to as usize].id, number.to_string()),
            To::Group(group) => Outgoing::to_group(owner::group_of(&self.people, group), number.to_string()),
        }
    }

    /// Tells a group that this user types. It may be lost.
    async fn type_in(&mut self, client: &Client, group: Group) {
        let number = self.typed;
        self.typed += 1;
        self.history.record(self.this, Event::GivenTyping { number, group });
        let name = owner::group_of(&self.people, group);
        // A client that stopped says so in its events.
        let _ = client.activity_in_group(name, Doing::Typing, number.to_string()).await;
    }

    /// What is given next, and its number.
    fn draw(&mut self, phase: &watch::Receiver<Phase>) -> Option<(u64, Next)> {
        // The phase does not change while it is looked at: whoever waits from its end on waits for this message too.
        let now = phase.borrow();
        if *now != Phase::Busy {
            return None;
        }
        self.next_send += self.interval.mul_f64(2.0 * self.rng.random::<f64>());
        let number = self.given;
        self.given += 1;
        let (next, event) = if let Some(changing) = Changing::draw(self.last_accepted, &mut self.rng) {
            (Next::Change(changing), changing.event(number))
        } else {
            let to = self.draw_recipient();
            let moment = if self.may_schedule(to) { self.scheduling.draw(&mut self.rng) } else { None };
            match (moment, to) {
                (Some(moment), _) => (Next::Scheduled(to, moment), self.scheduling.give(number, to, moment)),
                (None, To::User(user)) => (Next::Message(to), Event::Given { number, to: user }),
                (None, To::Group(group)) => (Next::Message(to), Event::GivenToGroup { number, group }),
            }
        };
        self.history.record(self.this, event);
        Some((number, next))
    }

    /// A group that this user was ever in, or anybody else.
    fn draw_recipient(&mut self) -> To {
        let groups = self.groups.len();
        if groups > 0 && self.rng.random_ratio(1, TO_GROUP_ONE_OF) {
            let any = self.rng.random_range(0..groups);
            let drawn = self.groups.iter().nth(any).copied();
            let passes = drawn != self.crowded || self.rng.random_ratio(1, TO_CROWD_ONE_OF);
            if let Some(group) = drawn.filter(|_| passes) {
                return To::Group(group);
            }
        }
        To::User(anybody_but(self.this.user, &self.people, &mut self.rng))
    }

    /// Where clocks jump, a group's home may wait for a sender who has left for as long as they did (decision 0041):
    /// there only those who stay schedule.
    fn may_schedule(&self, to: To) -> bool {
        match to {
            To::User(_) => true,
            To::Group(group) => self.scheduling.one_clock() || self.regular_in.contains(&group),
        }
    }

    fn answered(&mut self, Answer { number, id, changeable, result, .. }: Answer) {
        if let (Some(id), Err(SendError::Stopped(_))) = (id, &result) {
            self.left.insert(id, number);
            return;
        }
        if let (Ok(sent), Some(to)) = (&result, changeable) {
            self.last_accepted = Some(Accepted { number, id: sent.id, to });
        }
        self.record_answer(number, result);
    }

    fn record_answer(&mut self, number: u64, result: Result<Sent, SendError>) {
        let event = match result {
            Ok(sent) => {
                if !self.scheduling.is_one(number) {
                    self.accepted.insert(sent.id, number);
                }
                Event::Accepted { number, stream: sent.id.stream, seq: sent.id.seq }
            }
            Err(SendError::Refused { code, .. }) => Event::Refused { number, code: code.as_str_name().to_owned() },
            Err(SendError::Undelivered { code }) => Event::Failed { number, code: code.as_str_name().to_owned() },
            Err(SendError::Unknown | SendError::Stopped(_)) => Event::Unknown { number },
            // Said before anything is sent.
            Err(SendError::InvalidRecipient(_) | SendError::OutboxFull | SendError::Cancelled) => {
                Event::Refused { number, code: "NOT_GIVEN".to_owned() }
            }
        };
        self.history.record(self.this, event);
    }

    async fn saw(&mut self, client: &Client, event: Seen) -> Result<()> {
        match event {
            Seen::Message(message) => self.shown(client, &message).await,
            Seen::Sent(copy) => {
                let number = self.number_of(&copy);
                self.history.record(self.this, Event::Copied { number });
            }
            Seen::Changed(ChangeEvent { id, group, group_seq: at, of_group_seq: of, .. }) => {
                let MessageId { stream, seq } = id.unwrap_or_default();
                let event = if group.is_empty() {
                    Event::Changed { stream, seq }
                } else {
                    Event::ChangedInGroup { group: self.group_named(&group), at, of, stream, seq }
                };
                self.history.record(self.this, event);
            }
            Seen::Activity(activity) if !activity.group.is_empty() => {
                let (from, group) = (self.user_named(&activity.from), self.group_named(&activity.group));
                let number = number_in(std::str::from_utf8(&activity.data).unwrap_or_default());
                self.history.record(self.this, Event::Typing { from, group, number });
            }
            Seen::Conversation(conversation) => {
                let (of, settings) = settings::standing(&conversation, &self.names);
                self.history.record(self.this, Event::SettingsTold { of, settings });
            }
            Seen::GroupEvent(event) => self.happened(&event),
            Seen::Receipt(receipt) => self.receipt(&receipt),
            Seen::Failure(failure) => match failure.id.and_then(|id| self.accepted.get(&id)) {
                Some(number) => {
                    let code = failure.reason().as_str_name().to_owned();
                    self.history.record(self.this, Event::Failed { number: *number, code });
                }
                None => self.scheduling.failed(&failure),
            },
            Seen::Schedule(update) => self.scheduling.updated(&update),
            Seen::UnknownRange { from, to } => self.history.record(self.this, Event::Gap { from, to }),
            Seen::Outcome { id, result, .. } => {
                // One of this client's own is told through its `Sending`.
                if let Some(number) = self.left.remove(&id) {
                    self.record_answer(number, result);
                }
            }
            Seen::Connection(ConnectionState::Online { .. }) => {
                if let Some(gathering) = self.gathering.take() {
                    self.next_send = Instant::now() + self.interval.mul_f64(self.rng.random());
                    gathering.arrived();
                }
            }
            Seen::Connection(ConnectionState::Stopped(reason)) => {
                bail!("the client of {} stopped for good: {reason}", self.this)
            }
            _ => {}
        }
        Ok(())
    }

    async fn shown(&mut self, client: &Client, message: &Message) {
        let (from, number) = (self.user_named(message.from()), self.number_of(message.as_proto()));
        let place = message.mailbox_seq();
        let event = match message.group() {
            None => Event::Shown { from, number, place },
            Some(group) => {
                let (group, at) = (self.group_named(group), message.group_seq());
                Event::ShownInGroup { group, at, from, number, place }
            }
        };
        self.history.record(self.this, event);
        message.ack();
        self.history.record(self.this, Event::Acknowledged { place });
        if let Some(group) = message.group()
            && from == self.this.user
            && self.rng.random_ratio(1, ASK_ONE_OF)
        {
            self.ask_receipts(client, group, message.group_seq());
        }
        let of = message.group().map_or(Of::With(from), |group| Of::Group(self.group_named(group)));
        if settings::is_read_by_message(self.this.user, of) && self.rng.random_ratio(1, READ_ONE_OF) {
            let event = match of {
                Of::With(from) => Event::ReadWith { from, number },
                Of::Group(group) => Event::ReadInGroup { group, at: message.group_seq() },
            };
            self.history.record(self.this, event);
            // A client that stopped says so in its events.
            let _ = client.mark_read(message).await;
        }
    }

    /// Asks how far a message has come. An answer that does not come says nothing.
    fn ask_receipts(&self, client: &Client, group: &str, at: u64) {
        let (client, name, group) = (client.clone(), group.to_owned(), self.group_named(group));
        let (history, this, names) = (self.history.clone(), self.this, self.names.clone());
        tokio::spawn(async move {
            let asking = timeout(ASK_PATIENCE, client.group_receipts(name, at));
            let Ok(Ok(receipts)) = asking.await else { return };
            history.record(this, Event::GroupReceipts { group, at, reach: group_reach(&receipts, &names) });
        });
    }

    fn happened(&mut self, event: &GroupEvent) {
        let (group, at) = (self.group_named(&event.group), event.group_seq);
        let users: Vec<User> = event.users.iter().map(|user| self.user_named(user)).collect();
        let (came, went) = match event.kind() {
            Happened::Created | Happened::Joined => (users, Vec::new()),
            Happened::Left | Happened::Removed => (Vec::new(), users),
            _ => (Vec::new(), Vec::new()),
        };
        if came.contains(&self.this.user) {
            self.groups.insert(group);
            if event.kind() == Happened::Created {
                self.regular_in.insert(group);
            }
        }
        self.history.record(self.this, Event::Membership { group, at, came, went });
    }

    fn receipt(&self, receipt: &Receipt) {
        let from = self.user_named(&receipt.from);
        let read = receipt.kind() == Kind::Read;
        self.history.record(self.this, Event::Receipt { from, read, stream: receipt.stream, up_to: receipt.up_to_seq });
    }

    /// The number of what is shown.
    fn number_of(&self, message: &v1::Message) -> u64 {
        let number = number_of(message, &self.history);
        if message.content.is_none() {
            self.history.record(self.this, Event::TextGone { from: self.user_named(&message.from), number });
        }
        number
    }

    fn group_named(&self, id: &str) -> Group {
        self.user_named(owner::owner_of(id))
    }

    fn user_named(&self, id: &str) -> User {
        self.names.user(id)
    }
}

async fn answer(sending: Sending, number: u64, changeable: Option<To>, cancel_at: Option<Instant>) -> Answer {
    let result = sending.sent().await;
    Answer { number, id: sending.id(), changeable, cancel_at, result }
}
