//! One line of the audit: a cluster of its own, clients, the faults of a class, and the verdict.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::time::{Instant, sleep_until, timeout};

use crate::cluster::{DEADLINE, LocalCluster, Plan, Role};
use crate::faults::{Class, Shape};
use crate::history::History;
use crate::schedule::{self, Timed};
use crate::verdict::{self, Verdict};
use crate::workload::{ControlPlane, Workload};
use crate::{operator, people};

/// How long the cluster has, after the last fault, to settle every message.
pub const SETTLE: Duration = Duration::from_secs(120);
/// The same where the cluster did not come back whole.
const SETTLE_AFTER_TROUBLE: Duration = Duration::from_secs(20);
/// The gateways' heartbeat: clients find out within seconds that a gateway does not live.
const HEARTBEAT: &str = "gateway.heartbeat_ms=2000";

/// What is audited, and how.
#[derive(Debug, Clone)]
pub struct Audit {
    /// The cluster; each class has one of its own.
    pub plan: Plan,
    /// How long faults happen in each class.
    pub length: Duration,
    /// Of the schedules and of the traffic.
    pub seed: u64,
    /// Messages per second, of all users together.
    pub rate: f64,
    /// How many users write to each other.
    pub users: u32,
    /// How many users without a device are in one of the groups.
    pub crowd: u32,
    /// Where the histories and the logs of every class are kept; those of a class that is not clean are kept anyway.
    pub keep: Option<PathBuf>,
}

/// How a class went.
#[derive(Debug)]
pub enum Outcome {
    /// It cannot run here, for a reason.
    Skipped(String),
    /// It ran.
    Ran(Box<Report>),
}

/// What a run found.
#[derive(Debug, Default)]
pub struct Report {
    /// Faults that happened and were mended.
    pub faults: usize,
    /// What became of the messages.
    pub verdict: Verdict,
    /// What else went wrong: the cluster did not come back, or the audit could not go on.
    pub trouble: Option<String>,
    /// Where the history and the logs are.
    pub kept: Option<PathBuf>,
}

impl Report {
    /// Whether the class ran as it should, and kept every promise.
    pub fn is_clean(&self) -> bool {
        self.faults > 0 && self.trouble.is_none() && self.verdict.is_clean()
    }
}

impl Audit {
    /// Runs a class; `tell` hears what happens, a sentence at a time.
    pub async fn run(&self, class: Class, tell: &impl Fn(String)) -> Outcome {
        if let Err(reason) = class.is_possible() {
            return Outcome::Skipped(format!("{reason:#}"));
        }
        let mut report = Report::default();
        let cluster = match self.start(class).await {
            Ok(cluster) => cluster,
            Err(error) => {
                report.trouble = Some(format!("{error:#}"));
                return Outcome::Ran(Box::new(report));
            }
        };
        match self.traffic_and_faults(&cluster, class, &mut report, tell).await {
            Ok(history) => self.conclude(&cluster, class, &history, &mut report),
            Err(error) => report.trouble = Some(format!("{error:#}")),
        }
        Outcome::Ran(Box::new(report))
    }

    async fn start(&self, class: Class) -> Result<LocalCluster> {
        let plan = self.plan.clone().set(Role::Gateway, HEARTBEAT);
        let cluster = LocalCluster::start(class.adapt(plan)?).await.context("starting a cluster")?;
        cluster.settled().await?;
        Ok(cluster)
    }

    async fn traffic_and_faults(
        &self,
        cluster: &LocalCluster,
        class: Class,
        report: &mut Report,
        tell: &impl Fn(String),
    ) -> Result<History> {
        let nodes = operator::connect_to_all(cluster).await?;
        let first = nodes.first().context("there is no control plane")?.clone();
        let people = people::create(first.clone(), "", "audit", self.users).await?;
        let crowd = people::create_crowd(first, "", "audit-crowd", self.crowd).await?;
        let stores = tempfile::Builder::new().prefix("tidings-audit-devices-").tempdir()?;
        let (gateways, rate, seed) = (cluster.gateway_urls(), self.rate, self.seed);
        let (stores_at, one_clock) = (stores.path().to_owned(), class != Class::ClockStep);
        let (people, crowd) = (people.into(), crowd.into());
        let workload = Workload { gateways, people, crowd, rate, stores: stores_at, seed, one_clock, histories: true };
        let mut traffic = workload.start(ControlPlane { nodes, app: String::new() });
        let history = traffic.history().clone();
        let schedule = schedule::plan(self.seed, class, self.length, &Shape::of(&self.plan));
        let faults = async {
            // Everybody's: then the traffic flows.
            let flows = timeout(DEADLINE, history.accepted_at_least(u64::from(self.users))).await;
            flows.context("no traffic before the first fault")?;
            inflict(cluster, &schedule, self.length, &mut report.faults, tell).await
        };
        let ended = tokio::select! {
            ended = faults => ended,
            error = traffic.failed() => Err(error),
        };
        // Also after trouble, so that the verdict tells what was lost and not what was on its way.
        let limit = if ended.is_ok() { SETTLE } else { SETTLE_AFTER_TROUBLE };
        let settled = traffic.end(limit).await.map(drop);
        report.trouble = ended.and(settled).err().map(|error| format!("{error:#}"));
        Ok(history)
    }

    fn conclude(&self, cluster: &LocalCluster, class: Class, history: &History, report: &mut Report) {
        report.verdict = verdict::judge(&history.records());
        if report.is_clean() && self.keep.is_none() {
            return;
        }
        let folder = self.keep.clone().unwrap_or_else(|| default_folder(self.seed)).join(class.name());
        match keep(&folder, cluster, history) {
            Ok(()) => report.kept = Some(folder),
            Err(error) => {
                report.trouble.get_or_insert_with(|| format!("the history could not be kept: {error:#}"));
            }
        }
    }
}

/// Where histories are kept when no folder was named.
fn default_folder(seed: u64) -> PathBuf {
    std::env::temp_dir().join(format!("tidings-audit-{seed}"))
}

fn keep(folder: &Path, cluster: &LocalCluster, history: &History) -> Result<()> {
    fs::create_dir_all(folder)?;
    history.keep(&folder.join("history.jsonl"))?;
    cluster.keep_logs(folder)
}

async fn inflict(
    cluster: &LocalCluster,
    schedule: &[Timed],
    length: Duration,
    done: &mut usize,
    tell: &impl Fn(String),
) -> Result<()> {
    let began = Instant::now();
    for Timed { at, fault } in schedule {
        sleep_until(began + *at).await;
        tell(format!("{:.1} s: {fault:?}", began.elapsed().as_secs_f64()));
        fault.inflict(cluster).await?;
        *done += 1;
    }
    sleep_until(began + length).await;
    Ok(())
}
