//! One run of one load. Latency is counted from the moment at which a message should have been sent, so that a node
//! that stalls cannot hide it by stalling the generator (open loop).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use hdrhistogram::Histogram;
use tidings_sdk::{Client, Content, Event, Events, Sending};
use tokio::task::JoinSet;

use crate::node::Usage;
use crate::people::{Pair, Pairs};
use crate::process;

/// Run number and intended time, in front of a message's payload.
pub const STAMP_BYTES: usize = 16;
/// How long the last deliveries may take after the last send.
const DRAIN: Duration = Duration::from_secs(30);

/// How messages are offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// Each sender sends the next when one of its sends in flight is answered.
    Closed { senders: usize, in_flight: usize },
    /// A fixed number a second, whatever the node does.
    Open { senders: usize, rate: u64 },
}

impl Shape {
    fn senders(&self) -> usize {
        match self {
            Self::Closed { senders, .. } | Self::Open { senders, .. } => *senders,
        }
    }
}

/// What is under load.
pub trait Target {
    /// Where a client connects.
    fn gateway_url(&self, client: usize) -> String;

    /// What all its processes have used until now.
    async fn usage(&self) -> Result<Usage>;
}

pub struct Plan {
    pub shape: Shape,
    pub warm_up: Duration,
    pub measured: Duration,
    pub size: usize,
}

/// What one run showed.
pub struct Run {
    pub accepted_per_second: f64,
    pub send: Histogram<u64>,
    pub delivery: Histogram<u64>,
    pub per_second: Usage,
    pub node_cpu_per_thousand: f64,
    pub own_cpu_per_thousand: f64,
    pub bytes_written_per_message: f64,
    pub refused: u64,
    pub lost: u64,
    pub doubled: u64,
}

/// What all tasks of a run share.
struct Course {
    number: u64,
    begin: Instant,
    size: usize,
    /// Messages with an intended time in this span are measured, in microseconds since `begin`.
    measured_us: std::ops::Range<u64>,
    accepted: AtomicU64,
    accepted_in_span: AtomicU64,
    refused: AtomicU64,
    delivered: AtomicU64,
    doubled: AtomicU64,
    all_sent: AtomicBool,
}

impl Course {
    fn now_us(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn content(&self, intended_us: u64) -> Content {
        let mut data = BytesMut::with_capacity(self.size);
        data.put_u64(self.number);
        data.put_u64(intended_us);
        data.resize(self.size, b'.');
        Content { data: data.freeze(), ..Content::default() }
    }
}

pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 120_000_000, 3).expect("the bounds are constant and valid")
}

pub async fn run(target: &impl Target, people: &Pairs, plan: &Plan) -> Result<Run> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let pairs = people.0.get(..plan.shape.senders()).context("more senders than people")?;
    let mut clients = Vec::with_capacity(pairs.len());
    for (index, pair) in pairs.iter().enumerate() {
        clients.push(connect(target, index, pair).await?);
    }

    let warm_up_us = u64::try_from(plan.warm_up.as_micros())?;
    let measured_us = u64::try_from(plan.measured.as_micros())?;
    let course = Arc::new(Course {
        number: NUMBER.fetch_add(1, Ordering::Relaxed),
        begin: Instant::now(),
        size: plan.size,
        measured_us: warm_up_us..warm_up_us + measured_us,
        accepted: AtomicU64::new(0),
        accepted_in_span: AtomicU64::new(0),
        refused: AtomicU64::new(0),
        delivered: AtomicU64::new(0),
        doubled: AtomicU64::new(0),
        all_sent: AtomicBool::new(false),
    });

    let mut senders = JoinSet::new();
    let mut recipients = JoinSet::new();
    for (index, (pair, ends)) in pairs.iter().zip(clients).enumerate() {
        senders.spawn(send(course.clone(), plan.shape.clone(), index, ends.sender, pair.recipient.clone()));
        recipients.spawn(receive(course.clone(), ends.recipient, ends.events));
    }

    tokio::time::sleep_until((course.begin + plan.warm_up).into()).await;
    let (before, own_before) = (target.usage().await?, process::own_cpu_seconds());
    tokio::time::sleep_until((course.begin + plan.warm_up + plan.measured).into()).await;
    let used = target.usage().await? - before;
    let own_used = process::own_cpu_seconds() - own_before;

    let mut send = histogram();
    while let Some(sender) = senders.join_next().await {
        send.add(sender??)?;
    }
    course.all_sent.store(true, Ordering::SeqCst);
    let mut delivery = histogram();
    while let Some(recipient) = recipients.join_next().await {
        delivery.add(recipient??)?;
    }

    let in_span = course.accepted_in_span.load(Ordering::SeqCst) as f64;
    let seconds = plan.measured.as_secs_f64();
    let accepted = course.accepted.load(Ordering::SeqCst);
    Ok(Run {
        accepted_per_second: in_span / seconds,
        send,
        delivery,
        per_second: Usage {
            cpu_seconds: used.cpu_seconds / seconds,
            bytes_written: used.bytes_written / seconds,
            fsyncs: used.fsyncs / seconds,
        },
        node_cpu_per_thousand: used.cpu_seconds / in_span * 1_000.0,
        own_cpu_per_thousand: own_used / in_span * 1_000.0,
        bytes_written_per_message: used.bytes_written / in_span,
        refused: course.refused.load(Ordering::SeqCst),
        lost: accepted.saturating_sub(course.delivered.load(Ordering::SeqCst)),
        doubled: course.doubled.load(Ordering::SeqCst),
    })
}

/// The clients of one pair.
struct Ends {
    sender: Client,
    recipient: Client,
    events: Events,
}

async fn connect(target: &impl Target, index: usize, pair: &Pair) -> Result<Ends> {
    let client =
        |at: usize, token: &String| Client::builder(target.gateway_url(at), token.clone()).device("bench").connect();
    let (recipient, events) = client(index + 1, &pair.recipient_token)?;
    let (sender, own_events) = client(index, &pair.sender_token)?;
    recipient.online().await?;
    sender.online().await?;
    // Receipts are acknowledged by themselves when nobody wants the events.
    drop(own_events);
    Ok(Ends { sender, recipient, events })
}

async fn send(course: Arc<Course>, shape: Shape, index: usize, sender: Client, to: String) -> Result<Histogram<u64>> {
    let mut latencies = histogram();
    let mut in_flight = FuturesUnordered::new();
    let answered = async |intended_us: u64, sending: Sending| (intended_us, sending.sent().await.is_ok());
    let mut settle = |(intended_us, accepted): (u64, bool)| {
        let now_us = course.now_us();
        if !accepted {
            course.refused.fetch_add(1, Ordering::Relaxed);
            return;
        }
        course.accepted.fetch_add(1, Ordering::Relaxed);
        if course.measured_us.contains(&now_us) {
            course.accepted_in_span.fetch_add(1, Ordering::Relaxed);
        }
        if course.measured_us.contains(&intended_us) {
            latencies.saturating_record(now_us.saturating_sub(intended_us).max(1));
        }
    };

    let mut sent = 0_u64;
    loop {
        let intended_us = match &shape {
            Shape::Closed { in_flight: limit, .. } => {
                while in_flight.len() >= *limit {
                    in_flight.next().await.into_iter().for_each(&mut settle);
                }
                course.now_us()
            }
            Shape::Open { senders, rate } => {
                // This sender's share, shifted so that the senders do not all send in the same moment.
                let interval_us = 1_000_000.0 * *senders as f64 / *rate as f64;
                let intended_us = (interval_us * (sent as f64 + index as f64 / *senders as f64)) as u64;
                let at = course.begin + Duration::from_micros(intended_us);
                loop {
                    tokio::select! {
                        biased; // Answers first: they are what is timed.
                        Some(answer) = in_flight.next() => settle(answer),
                        () = tokio::time::sleep_until(at.into()) => break,
                    }
                }
                intended_us
            }
        };
        if intended_us >= course.measured_us.end {
            break;
        }
        let sending = sender.send(to.clone(), course.content(intended_us)).await?;
        in_flight.push(answered(intended_us, sending));
        sent += 1;
    }
    while let Some(answer) = in_flight.next().await {
        settle(answer);
    }
    Ok(latencies)
}

/// Counts what arrives; `_recipient` keeps the connection until all has.
async fn receive(course: Arc<Course>, _recipient: Client, mut events: Events) -> Result<Histogram<u64>> {
    let mut latencies = histogram();
    let mut seen = std::collections::HashSet::new();
    loop {
        let next = tokio::time::timeout(Duration::from_millis(200), events.next());
        let event = match next.await {
            Ok(Some(event)) => event,
            Ok(None) => break,
            Err(_) if course.is_drained() => break,
            Err(_) => continue,
        };
        let Event::Message(message) = event else { continue };
        let Some((number, intended_us)) = message.content().and_then(|content| stamp(&content.data)) else { continue };
        if number != course.number {
            continue;
        }
        course.delivered.fetch_add(1, Ordering::SeqCst);
        if !seen.insert(message.id().seq) {
            course.doubled.fetch_add(1, Ordering::SeqCst);
        }
        if course.measured_us.contains(&intended_us) {
            latencies.saturating_record(course.now_us().saturating_sub(intended_us).max(1));
        }
    }
    Ok(latencies)
}

impl Course {
    /// Everything that was accepted has arrived, or had long enough to.
    fn is_drained(&self) -> bool {
        let limit_us = self.measured_us.end + u64::try_from(DRAIN.as_micros()).unwrap_or(u64::MAX);
        self.all_sent.load(Ordering::SeqCst)
            && (self.delivered.load(Ordering::SeqCst) >= self.accepted.load(Ordering::SeqCst)
                || self.now_us() > limit_us)
    }
}

fn stamp(data: &Bytes) -> Option<(u64, u64)> {
    let number = u64::from_be_bytes(data.get(..8)?.try_into().ok()?);
    let intended_us = u64::from_be_bytes(data.get(8..16)?.try_into().ok()?);
    Some((number, intended_us))
}
