//! What is done to a cluster. A file for each class: what it needs of the machine and of the cluster, how one fault of
//! it is drawn, and how it is inflicted and mended again.

mod bit_flip;
mod clock_step;
mod fsync_error;
mod full_disk;
mod kill;
mod partition;
mod pause;
mod power_cut;
mod resize;
mod rolling_restart;
mod slow_network;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rand::Rng as _;
use rand::rngs::SmallRng;

use crate::cluster::{LocalCluster, Member, Plan, Role};
use crate::isolation;

/// A kind of faults; the audit has a line for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// `kill -9` of one process, or of one of each role.
    Kill,
    /// SIGSTOP and SIGCONT.
    Pause,
    /// Nodes that cannot reach each other.
    Partition,
    /// Packets that get lost, and cables that are slow.
    SlowNetwork,
    /// No room on a broker's disk.
    FullDisk,
    /// The disk says that it could not sync.
    FsyncError,
    /// Un-synced writes are gone, on one machine or on all.
    PowerCut,
    /// Wall clocks that jump.
    ClockStep,
    /// Orderly restarts, one process after the other.
    RollingRestart,
    /// A broker is added, another one drained and removed.
    Resize,
    /// A stopped broker's files have changed.
    BitFlip,
}

impl Class {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 11] = [
        Self::Kill,
        Self::Pause,
        Self::Partition,
        Self::SlowNetwork,
        Self::FullDisk,
        Self::FsyncError,
        Self::PowerCut,
        Self::ClockStep,
        Self::RollingRestart,
        Self::Resize,
        Self::BitFlip,
    ];

    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::Partition => "partition",
            Self::SlowNetwork => "slow-network",
            Self::FullDisk => "full-disk",
            Self::FsyncError => "fsync-error",
            Self::PowerCut => "power-cut",
            Self::ClockStep => "clock-step",
            Self::RollingRestart => "rolling-restart",
            Self::Resize => "resize",
            Self::BitFlip => "bit-flip",
        }
    }

    /// Whether this machine and user can make such faults; the error is the reason why not.
    pub fn is_possible(self) -> Result<()> {
        match self {
            Self::Kill | Self::Pause | Self::RollingRestart | Self::Resize | Self::BitFlip => Ok(()),
            Self::Partition | Self::SlowNetwork => isolation::is_possible(),
            Self::FullDisk => full_disk::is_possible(),
            Self::FsyncError => fsync_error::is_possible(),
            Self::PowerCut => power_cut::is_possible(),
            Self::ClockStep => clock_step::is_possible(),
        }
    }

    /// The cluster that it needs.
    pub fn adapt(self, plan: Plan) -> Result<Plan> {
        match self {
            Self::Partition => Ok(partition::adapt(plan)),
            Self::SlowNetwork => Ok(slow_network::adapt(plan)),
            Self::FullDisk => Ok(full_disk::adapt(plan)),
            Self::PowerCut => Ok(power_cut::adapt(plan)),
            Self::ClockStep => clock_step::adapt(plan),
            _ => Ok(plan),
        }
    }

    /// The next fault.
    pub fn draw(self, rng: &mut SmallRng, shape: &Shape) -> Fault {
        match self {
            Self::Kill => Fault::Kill(kill::Kill::draw(rng, shape)),
            Self::Pause => Fault::Pause(pause::Pause::draw(rng, shape)),
            Self::Partition => Fault::Partition(partition::Partition::draw(rng, shape)),
            Self::SlowNetwork => Fault::SlowNetwork(slow_network::SlowNetwork::draw(rng, shape)),
            Self::FullDisk => Fault::FullDisk(full_disk::FullDisk::draw(rng, shape)),
            Self::FsyncError => Fault::FsyncError(fsync_error::FsyncError::draw(rng, shape)),
            Self::PowerCut => Fault::PowerCut(power_cut::PowerCut::draw(rng, shape)),
            Self::ClockStep => Fault::ClockStep(clock_step::ClockStep::draw(rng, shape)),
            Self::RollingRestart => Fault::RollingRestart(rolling_restart::RollingRestart::draw(rng)),
            Self::Resize => Fault::Resize(resize::Resize::draw(rng, shape)),
            Self::BitFlip => Fault::BitFlip(bit_flip::BitFlip::draw(rng)),
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Class {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|class| class.name() == name).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|class| class.name()).collect();
            format!("no such class; there are: {}", names.join(", "))
        })
    }
}

/// How many processes there are of each role: what a fault may be drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Control-plane nodes.
    pub control_planes: usize,
    /// Brokers.
    pub brokers: usize,
    /// Gateways.
    pub gateways: usize,
}

impl Shape {
    /// Of a plan.
    pub fn of(plan: &Plan) -> Self {
        Self { control_planes: plan.control_planes, brokers: plan.brokers, gateways: plan.gateways }
    }

    fn victim(&self, rng: &mut SmallRng, role: Role) -> Victim {
        let count = match role {
            Role::ControlPlane => self.control_planes,
            Role::Broker => self.brokers,
            Role::Gateway => self.gateways,
        };
        Victim { role, index: rng.random_range(0..count) }
    }

    /// Half of the time a broker: they have the most to lose.
    fn any_victim(&self, rng: &mut SmallRng) -> Victim {
        let role = match rng.random_range(0..4) {
            0 => Role::ControlPlane,
            1 => Role::Gateway,
            _ => Role::Broker,
        };
        self.victim(rng, role)
    }

    /// One that stores.
    fn storing_victim(&self, rng: &mut SmallRng) -> Victim {
        let role = if rng.random_ratio(1, 3) { Role::ControlPlane } else { Role::Broker };
        self.victim(rng, role)
    }
}

/// Who a fault happens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Victim {
    role: Role,
    index: usize,
}

impl Victim {
    fn of(self, cluster: &LocalCluster) -> Result<Arc<Member>> {
        let member = cluster.of(self.role).get(self.index).cloned();
        member.with_context(|| format!("the cluster has no {} {}", self.role, self.index))
    }
}

/// One fault, with everything about it that was drawn.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // As the classes.
pub enum Fault {
    Kill(kill::Kill),
    Pause(pause::Pause),
    Partition(partition::Partition),
    SlowNetwork(slow_network::SlowNetwork),
    FullDisk(full_disk::FullDisk),
    FsyncError(fsync_error::FsyncError),
    PowerCut(power_cut::PowerCut),
    ClockStep(clock_step::ClockStep),
    RollingRestart(rolling_restart::RollingRestart),
    Resize(resize::Resize),
    BitFlip(bit_flip::BitFlip),
}

impl Fault {
    /// About how long it takes from the first harm until it is mended.
    pub fn length(&self) -> Duration {
        match self {
            Self::Kill(fault) => fault.length(),
            Self::Pause(fault) => fault.length(),
            Self::Partition(fault) => fault.length(),
            Self::SlowNetwork(fault) => fault.length(),
            Self::FullDisk(fault) => fault.length(),
            Self::FsyncError(fault) => fault.length(),
            Self::PowerCut(fault) => fault.length(),
            Self::ClockStep(fault) => fault.length(),
            Self::RollingRestart(fault) => fault.length(),
            Self::Resize(fault) => fault.length(),
            Self::BitFlip(fault) => fault.length(),
        }
    }

    /// Does it, mends what it did, and waits until every process serves again and every shard is whole: the next fault
    /// may take another replica.
    pub async fn inflict(&self, cluster: &LocalCluster) -> Result<()> {
        match self {
            Self::Kill(fault) => fault.inflict(cluster).await,
            Self::Pause(fault) => fault.inflict(cluster).await,
            Self::Partition(fault) => fault.inflict(cluster).await,
            Self::SlowNetwork(fault) => fault.inflict(cluster).await,
            Self::FullDisk(fault) => fault.inflict(cluster).await,
            Self::FsyncError(fault) => fault.inflict(cluster).await,
            Self::PowerCut(fault) => fault.inflict(cluster).await,
            Self::ClockStep(fault) => fault.inflict(cluster).await,
            Self::RollingRestart(fault) => fault.inflict(cluster).await,
            Self::Resize(fault) => fault.inflict(cluster).await,
            Self::BitFlip(fault) => fault.inflict(cluster).await,
        }
        .with_context(|| format!("{self:?}"))?;
        let whole = async {
            cluster.ready().await?;
            cluster.settled().await
        };
        whole.await.with_context(|| format!("after {self:?}"))
    }
}

/// A random time in milliseconds.
fn between(rng: &mut SmallRng, from_ms: u64, to_ms: u64) -> Duration {
    Duration::from_millis(rng.random_range(from_ms..to_ms))
}

/// Programs that a class needs, with the Debian packages that hold them.
fn needs(programs: &[(&str, &str)]) -> Result<()> {
    for (program, package) in programs {
        ensure!(isolation::has_program(program), "{program} is missing (Debian package {package})");
    }
    Ok(())
}

fn needs_root() -> Result<()> {
    ensure!(isolation::is_root(), "it needs root");
    Ok(())
}
