//! A live feed to the members of one group on one node: updates at a fixed rate, stored nowhere, each with the key of
//! what it is the newest of. Some members do not read until the end: they are given the newest of each key.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::{BufMut as _, BytesMut};
use futures_util::{SinkExt as _, StreamExt as _};
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use tidings_audit::people::Person;
use tidings_proto::client::v1::{Hello, client_frame, server_frame};
use tidings_proto::frame::{SUBPROTOCOL_PROTOBUF, decode_server, encode_client};
use tidings_proto::message::v1::envelope;
use tidings_sdk::{Client, Content, Event, Events, Outgoing};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;

use crate::cluster::ms;
use crate::cluster::operator::Operator;
use crate::load::{Target as _, histogram};
use crate::node::{Node, Usage};

/// Connections that are made at a time.
const AT_ONCE: usize = 64;
/// The longest that anything may take.
const LIMIT: Duration = Duration::from_secs(60);
/// Of who does not read, so that the kernel holds little for them.
const SLOW_BUFFER: u32 = 4096;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The `tidings` binary to start.
    #[arg(long, default_value = "target/release/tidings")]
    node: PathBuf,
    /// Members who read.
    #[arg(long, default_value_t = 200)]
    subscribers: usize,
    /// Members who do not read until the end, beside them.
    #[arg(long, default_value_t = 20)]
    slow: usize,
    /// Updates a second.
    #[arg(long, default_value_t = 50)]
    rate: u32,
    /// What they are updates of.
    #[arg(long, default_value_t = 10)]
    keys: usize,
    /// Seconds that are measured; a member who does not read is closed after 30.
    #[arg(long, default_value_t = 25)]
    seconds: u32,
    /// Bytes of payload, at least 8. Small ones find room in the buffers of the sockets, and nothing is conflated.
    #[arg(long, default_value_t = 4096)]
    size: usize,
}

/// What those who read were given.
struct Readings {
    /// From when an update was due to when a member had it.
    took: Histogram<u64>,
    received: u64,
}

impl Arguments {
    pub async fn run(self) -> Result<()> {
        let node = Node::start(&self.node, None, None).await?;
        let operator = Operator::at(&node.control_url(), &node.operator_key()?).await?;
        let (mut people, members) = (Vec::new(), 1 + self.subscribers + self.slow);
        operator.people("member", 0..members, AT_ONCE, |person| people.push(person)).await?;
        let users: Vec<_> = people.iter().map(|person| person.id.clone()).collect();
        operator.group("prices", &users).await?;
        let began = Instant::now();
        let readings = Arc::new(Mutex::new(Readings { took: histogram(), received: 0 }));
        let mut connecting = futures_util::stream::iter(&people[self.slow..])
            .map(|person| connect(&node, person))
            .buffer_unordered(AT_ONCE);
        let (mut clients, mut readers) = (Vec::new(), JoinSet::new());
        while let Some(connected) = connecting.next().await {
            let (client, events) = connected?;
            readers.spawn(read(events, began, readings.clone()));
            clients.push(client);
        }
        drop(connecting);
        // After those who try again until the node serves them.
        let mut slow = Vec::new();
        for person in &people[..self.slow] {
            slow.push(silent(&node, person).await?);
        }

        let feed = clients.last().context("somebody sends")?;
        self.feed(feed, began, self.rate).await?;
        *readings.lock() = Readings { took: histogram(), received: 0 };
        let before = node.usage().await?;
        self.feed(feed, began, self.rate * self.seconds).await?;
        let updates = u64::from(self.rate * self.seconds);
        let used: Usage = node.usage().await? - before;
        let expected = updates * self.subscribers as u64;
        let wait_until = Instant::now() + LIMIT;
        while readings.lock().received < expected && Instant::now() < wait_until {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let conflated = node.metric("tidings_gateway_transients_conflated_total").await?;
        // One more of each key: who reads at last must come to it.
        let newest = u64::try_from(began.elapsed().as_micros())?;
        for key in 0..self.keys {
            feed.send_message(self.update(key, newest)).await?.sent().await?;
        }
        let mut given = 0;
        for socket in &mut slow {
            given += tokio::time::timeout(LIMIT, self.catch_up(socket, newest))
                .await
                .context("a slow one has the newest")??;
        }
        self.print(&readings.lock(), expected, used, conflated, given);
        node.stop().await
    }

    /// Sends so many updates, each when it is due.
    async fn feed(&self, feed: &Client, began: Instant, updates: u32) -> Result<()> {
        let first = Instant::now();
        for number in 0..updates {
            let due = first + Duration::from_secs(1) * number / self.rate;
            tokio::time::sleep_until(due.into()).await;
            let stamp = u64::try_from((due - began).as_micros())?;
            feed.send_message(self.update(number as usize % self.keys, stamp)).await?;
        }
        Ok(())
    }

    fn update(&self, key: usize, stamp: u64) -> Outgoing {
        let mut data = BytesMut::with_capacity(self.size);
        data.put_u64(stamp);
        data.resize(self.size.max(8), b'.');
        let content = Content { data: data.freeze(), ..Content::default() };
        let (ttl, conflation_key) = (Some(Duration::ZERO), key.to_string());
        Outgoing { ttl, conflation_key, ..Outgoing::to_group("prices", content) }
    }

    /// How many updates one who did not read is given until it has the newest of each key.
    async fn catch_up(&self, socket: &mut WebSocketStream<TcpStream>, newest: u64) -> Result<u64> {
        let (mut given, mut have) = (0, 0);
        while have < self.keys {
            let Message::Binary(frame) = socket.next().await.context("it is connected")?? else { continue };
            let server_frame::Frame::Transient(transient) = decode_server(frame)? else { continue };
            let Some(envelope::Event::Message(message)) = transient.envelope.and_then(|it| it.event) else { continue };
            let stamp = message.content.and_then(|content| stamp_in(&content.data)).context("a stamp")?;
            given += 1;
            have += usize::from(stamp == newest);
        }
        Ok(given)
    }

    fn print(&self, readings: &Readings, expected: u64, used: Usage, conflated: f64, given: u64) {
        let [p50, p99] = [0.5, 0.99].map(|quantile| ms(readings.took.value_at_quantile(quantile)));
        let lost = expected.saturating_sub(readings.received);
        println!(
            "{} updates/s of {} B and {} keys to {} who read and {} who do not, {} s; stored nowhere",
            self.rate, self.size, self.keys, self.subscribers, self.slow, self.seconds
        );
        println!(
            "\n| deliveries/s | p50 / p99 ms | max ms | lost | node's CPU of one core | conflated | given to a slow one |"
        );
        println!("|---|---|---|---|---|---|---|");
        println!(
            "| {:.0} | {p50} / {p99} | {} | {lost} | {:.1}% | {conflated} | {:.0} |",
            readings.received as f64 / f64::from(self.seconds),
            ms(readings.took.max()),
            used.cpu_seconds / f64::from(self.seconds) * 100.0,
            given as f64 / self.slow.max(1) as f64,
        );
    }
}

async fn connect(node: &Node, person: &Person) -> Result<(Client, Events)> {
    let (client, events) = Client::builder(node.gateway_url(0), person.token.clone()).device("bench").connect()?;
    client.online().await?;
    Ok((client, events))
}

async fn read(mut events: Events, began: Instant, readings: Arc<Mutex<Readings>>) {
    while let Some(event) = events.next().await {
        let Event::Transient(message) = event else { continue };
        let Some(stamp) = message.content.and_then(|content| stamp_in(&content.data)) else { continue };
        let took = began.elapsed().as_micros().saturating_sub(u128::from(stamp));
        let mut readings = readings.lock();
        readings.received += 1;
        readings.took.saturating_record(u64::try_from(took).unwrap_or(u64::MAX).max(1));
    }
}

/// A member who is online, and reads nothing more.
async fn silent(node: &Node, person: &Person) -> Result<WebSocketStream<TcpStream>> {
    let url = node.gateway_url(0);
    let address = url.trim_start_matches("ws://").trim_end_matches('/').parse()?;
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(SLOW_BUFFER)?;
    let mut request = format!("{url}/v1/connect").into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL_PROTOBUF));
    let (mut socket, _) = tokio_tungstenite::client_async(request, socket.connect(address).await?).await?;
    let hello = Hello { version: 1, token: person.token.clone(), device: "slow".to_owned(), ..Hello::default() };
    socket.send(Message::Binary(encode_client(client_frame::Frame::Hello(hello)))).await?;
    let answer = socket.next().await.context("an answer")??;
    let Message::Binary(frame) = &answer else { bail!("{answer:?} instead of a welcome") };
    ensure!(matches!(decode_server(frame.clone())?, server_frame::Frame::Welcome(_)), "a welcome");
    Ok(socket)
}

fn stamp_in(data: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(data.get(..8)?.try_into().ok()?))
}
