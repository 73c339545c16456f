//! Messages to groups on one node, half of whose members are online: first one at a time, which says how long the last
//! recipient waits, then several in flight, which says how many deliveries a second there are.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::{BufMut as _, BytesMut};
use futures_util::StreamExt as _;
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use tidings_audit::people::Person;
use tidings_sdk::{Client, Content, Event, Events, Outgoing, ReceiptRequest};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::cluster::ms;
use crate::cluster::operator::Operator;
use crate::load::{Target as _, histogram};
use crate::node::{Node, Usage};

/// Calls and connections that are made at a time.
const AT_ONCE: usize = 64;
/// The longest that a message may take to the last one online.
const LIMIT: Duration = Duration::from_secs(120);

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The `tidings` binary to start.
    #[arg(long, default_value = "target/release/tidings")]
    node: PathBuf,
    /// Where the node keeps its data; a temporary folder otherwise.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Members of each group that is measured; every second one is online.
    #[arg(long, default_values_t = [1_000, 10_000])]
    members: Vec<usize>,
    /// Messages that are sent one at a time, each when all who are online have the one before.
    #[arg(long, default_value_t = 100)]
    alone: usize,
    /// Messages that are sent with some in flight.
    #[arg(long, default_value_t = 400)]
    crowded: usize,
    /// How many are in flight then: accepted, and not with all who are online.
    #[arg(long, default_value_t = 16)]
    in_flight: usize,
    /// Bytes of payload in a message, at least 8.
    #[arg(long, default_value_t = 128)]
    size: usize,
    /// The sender wants no receipts.
    #[arg(long)]
    no_receipts: bool,
}

/// What all members' clients have been shown.
#[derive(Debug)]
struct Arrivals {
    online: usize,
    /// By message, how many have it.
    counts: Vec<AtomicUsize>,
    /// By message, when the last one got it.
    complete: Mutex<Vec<Option<Instant>>>,
    doubled: AtomicU64,
    changed: Notify,
}

/// What one group showed.
struct Figures {
    members: usize,
    online: usize,
    last_recipient: Histogram<u64>,
    /// Of the messages that were sent one at a time, and of the others.
    alone: Cost,
    crowded: Cost,
}

struct Cost {
    messages: usize,
    took: Duration,
    used: Usage,
}

impl Arguments {
    pub async fn run(self) -> Result<()> {
        let mut all = Vec::new();
        for members in &self.members {
            all.push(self.measure(*members).await.with_context(|| format!("a group of {members}"))?);
        }
        println!(
            "One node, 4 shards, tier fsync; every second member online; {} B; {} messages one at a time, then {} with {} in \
             flight",
            self.size, self.alone, self.crowded, self.in_flight
        );
        print(&all);
        Ok(())
    }

    async fn measure(&self, members: usize) -> Result<Figures> {
        let node = Node::start(&self.node, self.data.as_deref(), None).await?;
        let operator = Operator::at(&node.control_url(), &node.operator_key()?).await?;
        let mut people = Vec::with_capacity(members);
        operator.people("member", 0..members, AT_ONCE, |person| people.push(person)).await?;
        let online = members.div_ceil(2);
        let arrivals = Arc::new(Arrivals::of(self.alone + self.crowded, online));
        let mut clients = Vec::with_capacity(online);
        let mut connecting = futures_util::stream::iter(&people[..online])
            .map(|person| connect(&node, person))
            .buffer_unordered(AT_ONCE);
        let mut readers = JoinSet::new();
        while let Some(connected) = connecting.next().await {
            let (client, events) = connected?;
            readers.spawn(read(events, arrivals.clone()));
            clients.push(client);
        }
        drop(connecting);
        let users: Vec<_> = people.iter().map(|person| person.id.clone()).collect();
        operator.group("group", &users).await?;

        // Each is a member: all may send.
        let sender = clients.first().context("a group has members")?;
        let mut last_recipient = histogram();
        let alone = self.send(&node, sender, &arrivals, 0..self.alone, 1, &mut last_recipient).await?;
        let all = self.alone..self.alone + self.crowded;
        let crowded = self.send(&node, sender, &arrivals, all, self.in_flight, &mut histogram()).await?;
        let doubled = arrivals.doubled.load(Ordering::SeqCst);
        ensure!(doubled == 0, "{doubled} were shown again");
        node.stop().await?;
        Ok(Figures { members, online, last_recipient, alone, crowded })
    }

    /// Sends messages, each when fewer than `in_flight` are not with all yet.
    async fn send(
        &self,
        node: &Node,
        sender: &Client,
        arrivals: &Arrivals,
        numbers: std::ops::Range<usize>,
        in_flight: usize,
        took: &mut Histogram<u64>,
    ) -> Result<Cost> {
        let (before, began) = (node.usage().await?, Instant::now());
        let mut sent = Vec::new();
        for number in numbers.clone() {
            if let Some(earlier) = number.checked_sub(in_flight).filter(|earlier| numbers.contains(earlier)) {
                arrivals.complete(earlier).await?;
            }
            sent.push(Instant::now());
            let receipts = if self.no_receipts { ReceiptRequest::ReceiptsNone } else { ReceiptRequest::ReceiptsAll };
            let outgoing = Outgoing { receipts, ..Outgoing::to_group("group", content(number, self.size)) };
            sender.send_message(outgoing).await?.sent().await?;
        }
        for (number, at) in numbers.clone().zip(&sent) {
            let complete = arrivals.complete(number).await?;
            took.saturating_record(u64::try_from(complete.duration_since(*at).as_micros())?.max(1));
        }
        Ok(Cost { messages: numbers.len(), took: began.elapsed(), used: node.usage().await? - before })
    }
}

impl Arrivals {
    fn of(messages: usize, online: usize) -> Self {
        Self {
            online,
            counts: (0..messages).map(|_| AtomicUsize::new(0)).collect(),
            complete: Mutex::new(vec![None; messages]),
            doubled: AtomicU64::new(0),
            changed: Notify::new(),
        }
    }

    fn arrived(&self, number: usize) {
        let Some(count) = self.counts.get(number) else { return };
        if count.fetch_add(1, Ordering::SeqCst) + 1 == self.online {
            self.complete.lock()[number] = Some(Instant::now());
            self.changed.notify_waiters();
        }
    }

    /// Waits until all who are online have a message; answers when the last one got it.
    async fn complete(&self, number: usize) -> Result<Instant> {
        let complete = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if let Some(at) = self.complete.lock()[number] {
                    return at;
                }
                changed.await;
            }
        };
        let lost = || {
            let arrived = self.counts[number].load(Ordering::SeqCst);
            format!("after {LIMIT:?} {arrived} of {} have message {number}", self.online)
        };
        tokio::time::timeout(LIMIT, complete).await.with_context(lost)
    }
}

async fn connect(node: &Node, person: &Person) -> Result<(Client, Events)> {
    let (client, events) = Client::builder(node.gateway_url(0), person.token.clone()).device("bench").connect()?;
    client.online().await?;
    Ok((client, events))
}

/// Messages come in the order of their numbers.
async fn read(mut events: Events, arrivals: Arc<Arrivals>) {
    let mut next = 0;
    while let Some(event) = events.next().await {
        let Event::Message(message) = event else { continue };
        let Some(number) = message.content().and_then(|content| number_in(&content.data)) else { continue };
        if number < next {
            arrivals.doubled.fetch_add(1, Ordering::SeqCst);
            continue;
        }
        next = number + 1;
        arrivals.arrived(number);
    }
}

fn content(number: usize, size: usize) -> Content {
    let mut data = BytesMut::with_capacity(size);
    data.put_u64(number as u64);
    data.resize(size.max(8), b'.');
    Content { data: data.freeze(), ..Content::default() }
}

fn number_in(data: &[u8]) -> Option<usize> {
    usize::try_from(u64::from_be_bytes(data.get(..8)?.try_into().ok()?)).ok()
}

fn print(all: &[Figures]) {
    println!("\n| members (online) | last recipient p50 / p99 ms | max ms |\n|---|---|---|");
    for Figures { members, online, last_recipient, .. } in all {
        let [p50, p99] = [0.5, 0.99].map(|quantile| ms(last_recipient.value_at_quantile(quantile)));
        println!("| {members} ({online}) | {p50} / {p99} | {} |", ms(last_recipient.max()));
    }
    println!(
        "\n| members (online) | in flight | deliveries/s | node CPU-s per 1,000 | bytes written per delivery | per member |"
    );
    println!("|---|---|---|---|---|---|");
    for Figures { members, online, alone, crowded, .. } in all {
        for (in_flight, Cost { messages, took, used }) in [("1", alone), ("several", crowded)] {
            let deliveries = (messages * online) as f64;
            let per_second = deliveries / took.as_secs_f64();
            let cpu = used.cpu_seconds / deliveries * 1_000.0;
            let bytes = used.bytes_written / deliveries;
            let per_member = used.bytes_written / (messages * members) as f64;
            println!(
                "| {members} ({online}) | {in_flight} | {per_second:.0} | {cpu:.4} | {bytes:.0} | {per_member:.0} |"
            );
        }
    }
}
