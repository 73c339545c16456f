//! Messages at a fixed rate over pairs of users while things happen to the cluster, and what became of each: an open
//! loop, with times that count from when a message was due.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::{BufMut as _, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use hdrhistogram::Histogram;
use tidings_audit::people::Person;
use tidings_proto::shard::shard_of;
use tidings_sdk::{Client, ConnectionState, Content, Event, Events, Sending};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::operator::Operator;
use crate::load;

/// Bytes of payload, as in the other measurements.
const SIZE: usize = 128;
/// Clients that connect at a time before the measurement.
const CONNECT_AT_ONCE: usize = 200;
/// How long the last deliveries may take.
const DRAIN: Duration = Duration::from_secs(60);
/// Creating calls at a time.
const MAKE_AT_ONCE: usize = 32;

/// Who sends to whom.
#[derive(Debug, Clone)]
pub struct Pair {
    pub sender: Person,
    pub recipient: Person,
}

/// Makes the users.
pub async fn pairs(operator: &Operator, count: usize) -> Result<Vec<Pair>> {
    let mut people = [Vec::with_capacity(count), Vec::with_capacity(count)];
    for (prefix, people) in ["sender", "recipient"].into_iter().zip(&mut people) {
        operator.people(prefix, 0..count, MAKE_AT_ONCE, |person| people.push(person)).await?;
    }
    let [senders, recipients] = people;
    Ok(senders.into_iter().zip(recipients).map(|(sender, recipient)| Pair { sender, recipient }).collect())
}

/// What became of a message; times in microseconds since the traffic began.
#[derive(Debug, Clone, Copy)]
pub struct Fate {
    pub due_us: u64,
    pub pair: u32,
    pub accepted_us: Option<u64>,
    pub delivered_us: Option<u64>,
    deliveries: u32,
    is_refused: bool,
}

/// The account at the end.
#[derive(Debug, Default, Clone, Copy)]
pub struct Account {
    pub accepted: u64,
    pub refused: u64,
    pub lost: u64,
    pub doubled: u64,
    pub reordered: u64,
}

impl Account {
    /// As the last cell of a table.
    pub fn cell(&self) -> String {
        let Self { accepted, refused, lost, doubled, reordered } = self;
        format!("{accepted} / {lost} / {doubled} / {reordered} / {refused}")
    }

    /// What `cell` means.
    pub const HEADING: &str = "accepted / lost / doubled / reordered / refused";

    /// Fails where a promise was broken.
    pub fn check(&self) -> Result<()> {
        let is_clean = self.lost + self.doubled + self.reordered + self.refused == 0;
        ensure!(is_clean, "messages were lost, doubled, reordered or refused: {}", self.cell());
        Ok(())
    }
}

#[derive(Default)]
struct Records {
    fates: Vec<Fate>,
    reordered: u64,
}

/// What all tasks share.
struct Course {
    begin: Instant,
    records: Mutex<Records>,
}

impl Course {
    fn now_us(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The running clients.
pub struct Traffic {
    course: Arc<Course>,
    clients: Vec<Client>,
    recipients: Vec<String>,
    stop: watch::Sender<bool>,
    senders: JoinSet<Result<()>>,
    receivers: JoinSet<()>,
}

impl Traffic {
    /// Connects everybody, each to any of the gateways, and begins to send so many messages a second, all pairs
    /// together.
    pub async fn start(pairs: &[Pair], gateways: &[String], rate: u64) -> Result<Self> {
        let mut ends = Vec::with_capacity(pairs.len());
        for some in pairs.chunks(CONNECT_AT_ONCE) {
            let from = ends.len();
            for pair in some {
                ends.push((connect(&pair.sender, gateways)?, connect(&pair.recipient, gateways)?));
            }
            for ((sender, _), (recipient, _)) in &ends[from..] {
                sender.online().await?;
                recipient.online().await?;
            }
        }
        let course = Arc::new(Course { begin: Instant::now(), records: Mutex::default() });
        let (stop, clients) = (watch::Sender::new(false), Vec::new());
        let recipients = pairs.iter().map(|pair| pair.recipient.id.clone()).collect();
        let (senders, receivers) = (JoinSet::new(), JoinSet::new());
        let mut traffic = Self { course, clients, recipients, stop, senders, receivers };
        let interval_us = 1_000_000.0 * pairs.len() as f64 / rate as f64;
        for (at, ((sender, sender_events), (recipient, events))) in ends.into_iter().enumerate() {
            // Receipts are acknowledged by themselves when nobody wants the events.
            drop(sender_events);
            traffic.clients.extend([sender.clone(), recipient]);
            let line = Line { pair: u32::try_from(at)?, to: pairs[at].recipient.id.clone(), interval_us };
            let first_us = interval_us * at as f64 / pairs.len() as f64;
            traffic.senders.spawn(send(traffic.course.clone(), line, first_us, sender, traffic.stop.subscribe()));
            traffic.receivers.spawn(receive(traffic.course.clone(), events));
        }
        Ok(traffic)
    }

    /// The time of this run.
    pub fn now_us(&self) -> u64 {
        self.course.now_us()
    }

    /// How many sessions there are, and how many of them are attached.
    pub fn online(&self) -> (usize, usize) {
        let online = self.clients.iter().filter(|client| matches!(client.state(), ConnectionState::Online { .. }));
        (self.clients.len(), online.count())
    }

    /// The shard that a pair's messages go to.
    pub fn shard_of(&self, pair: u32, shards: u32) -> u32 {
        shard_of("default", &self.recipients[pair as usize], shards)
    }

    /// The messages that were due in a span.
    pub fn due_in(&self, span: Range<u64>) -> Vec<Fate> {
        let records = self.course.records();
        // They are recorded about as they become due: what is a minute older than the span ends it.
        let recent = records.fates.iter().rev().take_while(|fate| fate.due_us + 60_000_000 > span.start);
        recent.filter(|fate| span.contains(&fate.due_us)).copied().collect()
    }

    /// Stops sending, waits for what is on its way, and gives the account and all fates.
    pub async fn end(mut self) -> Result<(Account, Vec<Fate>)> {
        self.stop.send_replace(true);
        let answered = async {
            while let Some(sender) = self.senders.join_next().await {
                sender??;
            }
            Ok::<_, anyhow::Error>(())
        };
        tokio::time::timeout(DRAIN, answered).await.context("not every message was answered")??;
        let deadline = Instant::now() + DRAIN;
        // Nothing announces the last delivery.
        while self.account().lost > 0 && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let account = self.account();
        self.receivers.shutdown().await;
        let fates = std::mem::take(&mut self.course.records().fates);
        Ok((account, fates))
    }

    fn account(&self) -> Account {
        let records = self.course.records();
        let mut account = Account { reordered: records.reordered, ..Account::default() };
        for fate in &records.fates {
            account.accepted += u64::from(fate.accepted_us.is_some());
            account.refused += u64::from(fate.is_refused);
            account.lost += u64::from(fate.accepted_us.is_some() && fate.deliveries == 0);
            account.doubled += u64::from(fate.deliveries.saturating_sub(1));
        }
        account
    }
}

/// A client of one of the people, at any of the gateways.
pub fn connect(person: &Person, gateways: &[String]) -> Result<(Client, Events)> {
    let (first, others) = gateways.split_first().context("no gateway")?;
    let builder = Client::builder(first.clone(), person.token.clone()).device("bench");
    Ok(others.iter().fold(builder, |builder, url| builder.gateway(url.clone())).connect()?)
}

/// What a sender does.
struct Line {
    pair: u32,
    to: String,
    interval_us: f64,
}

async fn send(
    course: Arc<Course>,
    line: Line,
    first_us: f64,
    sender: Client,
    mut stop: watch::Receiver<bool>,
) -> Result<()> {
    let answered = async |at: usize, sending: Sending| (at, sending.sent().await.is_ok());
    let settle = |(at, is_accepted): (usize, bool)| {
        let now_us = course.now_us();
        let fate = &mut course.records().fates[at];
        fate.accepted_us = is_accepted.then_some(now_us);
        fate.is_refused = !is_accepted;
    };
    let mut in_flight = FuturesUnordered::new();
    let mut sent = 0_u64;
    'sending: loop {
        let due_us = (first_us + line.interval_us * sent as f64) as u64;
        let due = course.begin + Duration::from_micros(due_us);
        loop {
            tokio::select! {
                biased; // Answers first: they are what is timed.
                Some(answer) = in_flight.next() => settle(answer),
                _ = stop.changed() => break 'sending,
                () = tokio::time::sleep_until(due.into()) => break,
            }
        }
        let at = {
            let fates = &mut course.records().fates;
            let (pair, (accepted_us, delivered_us)) = (line.pair, (None, None));
            fates.push(Fate { due_us, pair, accepted_us, delivered_us, deliveries: 0, is_refused: false });
            fates.len() - 1
        };
        let mut data = BytesMut::with_capacity(SIZE);
        data.put_u64(at as u64);
        data.resize(SIZE, b'.');
        let content = Content { data: data.freeze(), ..Content::default() };
        in_flight.push(answered(at, sender.send(line.to.clone(), content).await?));
        sent += 1;
    }
    while let Some(answer) = in_flight.next().await {
        settle(answer);
    }
    Ok(())
}

async fn receive(course: Arc<Course>, mut events: Events) {
    let mut highest = None;
    while let Some(event) = events.next().await {
        let Event::Message(message) = event else { continue };
        let number =
            message.content().and_then(|content| content.data.get(..8)?.try_into().ok().map(u64::from_be_bytes));
        let Some(at) = number.and_then(|number| usize::try_from(number).ok()) else { continue };
        let now_us = course.now_us();
        let records = &mut *course.records();
        let Some(fate) = records.fates.get_mut(at) else { continue };
        fate.deliveries += 1;
        fate.delivered_us.get_or_insert(now_us);
        records.reordered += u64::from(highest > Some(at));
        highest = highest.max(Some(at));
    }
}

/// How long sends took from when they were due, in microseconds. What was not accepted counts as the longest.
pub fn send_latencies(fates: &[Fate]) -> Histogram<u64> {
    latencies(fates, |fate| fate.accepted_us)
}

/// The same for deliveries.
pub fn delivery_latencies(fates: &[Fate]) -> Histogram<u64> {
    latencies(fates, |fate| fate.delivered_us)
}

fn latencies(fates: &[Fate], end: impl Fn(&Fate) -> Option<u64>) -> Histogram<u64> {
    let mut histogram = load::histogram();
    for fate in fates {
        histogram.saturating_record(end(fate).map_or(u64::MAX, |end_us| end_us.saturating_sub(fate.due_us).max(1)));
    }
    histogram
}
