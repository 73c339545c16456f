//! Users that write to each other and to groups at a rate, through the SDK: some with two devices, half of the devices
//! on a file store, with spells offline in which their client is closed and opened again on the same file. A backend
//! posts to the same users and groups. One of the groups has a crowd in it, that is never online.

mod backend;
mod changing;
mod crowd;
mod device;
mod following;
mod histories;
mod naming;
mod owner;
mod scheduling;
mod settings;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rand::Rng as _;
use rand::rngs::SmallRng;
use tidings_sdk::Builder;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::service::Interceptor;

use crate::history::{Client, History, User};
use crate::people::{Names, Person};
pub use backend::ControlPlane;
use backend::Line;
use crowd::Crowd;
use device::Device;
use histories::Readers;

/// The SDK's waits before a reconnect: clients come back soon, so that they are there when the next fault comes.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// One user of so many has a second device.
const TWO_DEVICES_ONE_OF: u32 = 3;

/// What the clients do.
#[derive(Debug, Clone)]
pub struct Workload {
    /// The gateways that any client may use.
    pub gateways: Vec<String>,
    /// The users; at least two.
    pub people: Arc<[Person]>,
    /// Users who have no device; there may be none. All of them come into one group.
    pub crowd: Arc<[String]>,
    /// Messages per second of all users together. An open loop: they are given when they are due, however slow the
    /// answers.
    pub rate: f64,
    /// Where devices keep their files.
    pub stores: PathBuf,
    /// Of the random pairs, times and spells.
    pub seed: u64,
    /// Whether the servers' clocks are this machine's: then what comes before its time can be told.
    pub one_clock: bool,
    /// Whether users read what the servers keep at the end: where policies let it be kept.
    pub histories: bool,
}

/// The groups that users make among themselves.
pub fn groups(people: &[Person]) -> impl Iterator<Item = String> {
    owner::owners(people).map(|user| owner::group_of(people, user))
}

/// Another user; there are at least two.
fn anybody_but(user: User, people: &[Person], rng: &mut SmallRng) -> User {
    let others = people.len() as u32 - 1;
    (user + 1 + rng.random_range(0..others)) % (others + 1)
}

/// A client of a person, at any of the gateways.
fn client_of(person: &Person, gateways: &[String]) -> Result<Builder> {
    let (first, others) = gateways.split_first().context("there is no gateway")?;
    let builder = tidings_sdk::Client::builder(first, person.token.as_str()).backoff(BACKOFF.0, BACKOFF.1);
    Ok(others.iter().fold(builder, |builder, url| builder.gateway(url)))
}

/// What all devices, and the backend, do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Come online for the first time: what is sent before a device is known is not for it.
    Gathering,
    /// Send, and be offline at times.
    Busy,
    /// Send nothing more; be online.
    Settling,
    /// Close, open again on the same file, and wait until nothing more comes.
    Returning,
}

/// The running clients, and the backend. They end when it is dropped.
#[derive(Debug)]
pub struct Traffic {
    history: History,
    phase: watch::Sender<Phase>,
    /// Devices, the backend's lines, and the crowd that comes.
    running: JoinSet<Result<()>>,
    readers: Option<Readers>,
}

/// The devices that were not online yet.
#[derive(Debug)]
struct Gathering {
    absent: AtomicUsize,
    phase: watch::Sender<Phase>,
}

impl Gathering {
    /// A device is online for the first time. With the last one it begins, unless it has ended already.
    fn arrived(&self) {
        if self.absent.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.phase.send_if_modified(|phase| {
                let begins = *phase == Phase::Gathering;
                if begins {
                    *phase = Phase::Busy;
                }
                begins
            });
        }
    }
}

impl Workload {
    /// Starts the clients, and a backend that calls there.
    pub fn start<K>(self, control_plane: ControlPlane<K>) -> Traffic
    where
        K: Interceptor + Clone + Send + Sync + 'static,
    {
        let (history, phase) = (History::default(), watch::Sender::new(Phase::Gathering));
        let users = u32::try_from(self.people.len()).unwrap_or(User::MAX);
        let of_user = |user: User| 0..1 + u32::from(user.is_multiple_of(TWO_DEVICES_ONE_OF));
        let clients = (0..users).flat_map(|user| of_user(user).map(move |device| Client { user, device }));
        let clients: Vec<Client> = clients.collect();
        let gathering = Arc::new(Gathering { absent: AtomicUsize::new(clients.len()), phase: phase.clone() });
        let (names, mut running) = (Names::of(&self.people, &self.crowd), JoinSet::new());
        for client in clients {
            let device = Device::new(&self, client, names.clone(), history.clone(), gathering.clone());
            running.spawn(device.run(phase.subscribe()));
        }
        let control_plane = Arc::new(control_plane);
        if let Some(crowd) = Crowd::of(&self, control_plane.clone()) {
            running.spawn(crowd.run(phase.subscribe()));
        }
        for line in Line::all(&self, &control_plane, &history) {
            running.spawn(line.run(phase.subscribe()));
        }
        let Self { people, gateways, .. } = self;
        let readers = self.histories.then_some(Readers { people, names, gateways });
        Traffic { history, phase, running, readers }
    }
}

impl Traffic {
    /// What was seen so far.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Lets nothing more be sent, waits until all is settled, at most so long, and then until every device came back
    /// once more and was shown whatever the cluster still has for it, and all have read what is kept. What is not
    /// settled is for the verdict.
    pub async fn end(mut self, limit: Duration) -> Result<History> {
        self.phase.send_replace(Phase::Settling);
        self.history.settled(limit).await;
        self.phase.send_replace(Phase::Returning);
        let returned = async {
            while let Some(ended) = self.running.join_next().await {
                ended??;
            }
            Ok::<_, anyhow::Error>(())
        };
        match tokio::time::timeout(limit, returned).await {
            Ok(ended) => ended?,
            Err(_) => bail!("after {limit:?} not every device had come back to the cluster"),
        }
        if let Some(readers) = self.readers {
            readers.read(&self.history).await?;
            readers.read_receipts(&self.history, limit).await?;
        }
        Ok(self.history)
    }

    /// Waits for a device to fail, which only its own store or a refusal for good can make it do.
    pub async fn failed(&mut self) -> anyhow::Error {
        loop {
            match self.running.join_next().await {
                Some(Ok(Err(error))) => return error,
                Some(Err(error)) => return error.into(),
                // Its work is done.
                Some(Ok(Ok(()))) => {}
                None => return std::future::pending().await,
            }
        }
    }
}
