//! Pages of the history of one user with very many messages, on one node.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use hdrhistogram::Histogram;
use tidings_audit::people::Person;
use tidings_sdk::{Client, Event, Events, HistoryQuery};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::cluster::ms;
use crate::cluster::operator::Operator;
use crate::load::{Target as _, histogram};
use crate::node::Node;
use crate::report::percentiles;

/// Messages of one sender that are not answered yet while the mailbox is filled.
const IN_FLIGHT: usize = 128;
/// Messages of all senders together that the owner was not shown yet; an inbox holds 100,000.
const UNSEEN: usize = 20_000;
/// How long nothing may come before the rest counts as lost.
const LIMIT: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The `tidings` binary to start.
    #[arg(long, default_value = "target/release/tidings")]
    node: PathBuf,
    /// Where the node keeps its data; a temporary folder otherwise.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Messages in the mailbox.
    #[arg(long, default_value_t = 1_000_000)]
    messages: u64,
    /// Users who sent them, as many each; the first one sent half of all.
    #[arg(long, default_value_t = 100)]
    senders: u64,
    /// How often each page is asked for.
    #[arg(long, default_value_t = 500)]
    repeats: u32,
    /// Messages of a page.
    #[arg(long, default_value_t = 50)]
    page: u32,
}

impl Arguments {
    pub async fn run(self) -> Result<()> {
        ensure!(self.senders >= 2 && self.messages >= 4 * self.senders, "too few to be measured");
        let node = Node::start(&self.node, self.data.as_deref(), None).await?;
        let operator = Operator::at(&node.control_url(), &node.operator_key()?).await?;
        let owner = operator.person("owner".to_owned()).await?;
        let (client, events) = connect(&node, &owner).await?;
        let began = Instant::now();
        let sent = self.fill(&node, &operator, events).await?;
        println!(
            "{sent} messages in {:.0} s, from {} users; node: {:.0} MiB resident, {:.0} MiB on the disk",
            began.elapsed().as_secs_f64(),
            self.senders,
            node.resident_mib()?,
            mebibytes(&node.data())?
        );
        println!("\n| page of {} | p50 / p99 ms | max ms |\n|---|---|---|", self.page);
        let half = self.messages / 2;
        let pages = [("newest", 0), ("in the middle", half / 2), ("oldest", u64::from(self.page) + 1)];
        for (name, before) in pages {
            let query = HistoryQuery { before, limit: self.page, ..HistoryQuery::default() };
            let latencies = self.timed(async || {
                let page = client.history("sender-0", query).await?;
                ensure!(page.messages.len() == self.page as usize, "a page has {}", page.messages.len());
                Ok(())
            });
            row(&format!("{name}, of {half} in the conversation"), &latencies.await?);
        }
        let summary = self.timed(async || {
            let listed = client.conversations(Vec::new(), self.page).await?.conversations.len() as u64;
            ensure!(listed == self.senders.min(self.page.into()), "{listed} conversations are listed");
            Ok(())
        });
        row("summary: conversations with the last message and what is unread", &summary.await?);
        node.stop().await
    }

    async fn timed(&self, ask: impl AsyncFn() -> Result<()>) -> Result<Histogram<u64>> {
        let mut latencies = histogram();
        for _ in 0..self.repeats {
            let began = Instant::now();
            ask().await?;
            latencies.saturating_record(u64::try_from(began.elapsed().as_micros())?.max(1));
        }
        Ok(latencies)
    }

    /// Fills the mailbox; answers how many messages it has.
    async fn fill(&self, node: &Node, operator: &Operator, mut events: Events) -> Result<u64> {
        let others = self.messages / 2 / (self.senders - 1);
        let mut senders = JoinSet::new();
        let mut expected = 0;
        let room = Arc::new(Semaphore::new(UNSEEN));
        for number in 0..self.senders {
            let count = if number == 0 { self.messages / 2 } else { others };
            expected += count;
            let person = operator.person(format!("sender-{number}")).await?;
            let (client, _) = connect(node, &person).await?;
            senders.spawn(send(client, count, room.clone()));
        }
        for arrived in 0..expected {
            let next = tokio::time::timeout(LIMIT, message(&mut events));
            next.await.with_context(|| format!("{arrived} of {expected} came"))??;
            room.add_permits(1);
        }
        while let Some(sender) = senders.join_next().await {
            sender??;
        }
        // What comes from now on is read and let go.
        tokio::spawn(async move { while events.next().await.is_some() {} });
        Ok(expected)
    }
}

async fn connect(node: &Node, person: &Person) -> Result<(Client, Events)> {
    let (client, events) = Client::builder(node.gateway_url(0), person.token.clone()).device("bench").connect()?;
    client.online().await?;
    Ok((client, events))
}

async fn message(events: &mut Events) -> Result<()> {
    loop {
        if let Event::Message(_) = events.next().await.context("the client ended")? {
            return Ok(());
        }
    }
}

async fn send(client: Client, count: u64, room: Arc<Semaphore>) -> Result<()> {
    let mut in_flight = FuturesOrdered::new();
    for number in 0..count {
        room.acquire().await?.forget();
        let sending = client.send("owner", format!("message {number} of a long conversation")).await?;
        in_flight.push_back(async move { sending.sent().await });
        if in_flight.len() >= IN_FLIGHT {
            in_flight.next().await.transpose()?;
        }
    }
    while in_flight.next().await.transpose()?.is_some() {}
    Ok(())
}

fn row(name: &str, latencies: &Histogram<u64>) {
    println!("| {name} | {} | {} |", percentiles(latencies), ms(latencies.max()));
}

/// What a folder holds.
fn mebibytes(folder: &Path) -> Result<f64> {
    let mut sum = 0.0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        // A file can go while it is looked at.
        let Ok(metadata) = entry.metadata() else { continue };
        sum += if metadata.is_dir() { mebibytes(&entry.path())? } else { metadata.len() as f64 / f64::from(1 << 20) };
    }
    Ok(sum)
}
