//! `tidings audit`: the loss audit (docs/reliability.md). On a cluster of its own it makes the faults itself; on
//! another one the operator does, and the audit is the traffic and the verdict.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use tidings_audit::faults::Class;
use tidings_audit::people::Person;
use tidings_audit::run::{Audit, Outcome as ClassOutcome, Report, SETTLE};
use tidings_audit::verdict::{self, Findings};
use tidings_audit::workload::{self, ControlPlane, Workload};
use tidings_audit::{Plan, Verdict, isolation, people, schedule};
use tokio::signal::unix::{SignalKind, signal};

use super::control::{ApiKey, ControlOptions};
use super::exit::{Exit, Failure, Outcome};
use super::output;

/// Columns of the table.
const HEADINGS: [&str; 14] = [
    "class",
    "faults",
    "given",
    "accepted",
    "delivered",
    "lost",
    "doubled",
    "returned",
    "out of order",
    "early",
    "contradictions",
    "refused",
    "cancelled",
    "unknown",
];

/// Check that a cluster loses, doubles and reorders nothing while faults happen
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("where").required(true).args(["local", "gateway"]))]
pub struct AuditCommand {
    /// Start a cluster of this binary on this machine, and make the faults
    #[arg(long)]
    local: bool,
    /// Gateways of a running cluster; the audit makes its users and deletes them again, and the faults are yours
    #[arg(long, value_name = "URL", num_args = 1..)]
    gateway: Vec<String>,
    /// Which classes of faults; without it, all
    #[arg(long, value_name = "CLASS,…", value_delimiter = ',', requires = "local")]
    classes: Vec<Class>,
    /// How long each class runs, and the whole of it on a running cluster
    #[arg(long, default_value_t = 30, value_name = "NUMBER")]
    seconds: u64,
    /// Repeat the schedule and the traffic of a run
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Messages per second, of all users together
    #[arg(long, default_value_t = 200.0, value_name = "NUMBER")]
    rate: f64,
    /// How many users write to each other
    #[arg(long, default_value_t = 12, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(2..=10_000))]
    users: u32,
    /// How many users without a device are in one of the groups; of one with more than 1,000 members receipts are counted
    #[arg(long, default_value_t = 1_001, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(..=100_000))]
    crowd: u32,
    /// Keep every history and log here; without it, those of a class that failed are kept in a temporary folder
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
    /// Start this binary; without it, its own
    #[arg(long, value_name = "FILE", requires = "local")]
    binary: Option<PathBuf>,
    /// Control-plane nodes of the local cluster
    #[arg(long, default_value_t = 3, value_name = "NUMBER", requires = "local")]
    control_planes: usize,
    /// Its brokers
    #[arg(long, default_value_t = 3, value_name = "NUMBER", requires = "local")]
    brokers: usize,
    /// Its gateways
    #[arg(long, default_value_t = 2, value_name = "NUMBER", requires = "local")]
    gateways: usize,
    /// Do not read what the servers keep: for a running cluster whose policies keep no history
    #[arg(long, requires = "gateway")]
    without_histories: bool,
    /// Count a class that cannot run on this machine as a success
    #[arg(long, requires = "local")]
    allow_skip: bool,
    #[command(flatten)]
    control: ControlOptions,
}

/// A class that is not clean ends the command with this.
const FOUND: Exit = Exit::Other;

impl AuditCommand {
    /// Runs it.
    pub async fn run(self) -> Outcome {
        if !self.local {
            return self.run_against().await;
        }
        if !isolation::is_inside() && isolation::is_possible().is_ok() {
            return self.run_isolated().await;
        }
        tokio::select! {
            ended = self.run_local() => ended,
            // The cluster goes with the future that owns it.
            ended = interrupted() => ended.and(Err(Failure::new(Exit::Other, "interrupted"))),
        }
    }

    /// The same command line again, in namespaces of its own: that one has said what there is to say.
    async fn run_isolated(&self) -> Outcome {
        let status = isolation::run_again().await?;
        std::process::exit(status.code().unwrap_or(Exit::Other as i32));
    }

    async fn run_local(&self) -> Outcome {
        let seed = self.seed.unwrap_or_else(schedule::random_seed);
        let classes = if self.classes.is_empty() { Class::ALL.to_vec() } else { self.classes.clone() };
        let audit = Audit {
            plan: self.plan()?,
            length: Duration::from_secs(self.seconds),
            seed,
            rate: self.rate,
            users: self.users,
            crowd: self.crowd,
            keep: self.keep.clone(),
        };
        eprintln!("seed {seed}");
        let (mut rows, mut wrong) = (Vec::new(), Vec::new());
        for class in classes {
            eprintln!("{class}");
            let outcome = Box::pin(audit.run(class, &|sentence| eprintln!("  {sentence}"))).await;
            if !self.is_good(class, &outcome) {
                wrong.push(class);
            }
            self.answer(class, outcome, &mut rows)?;
        }
        if !self.control.json {
            output::table(&HEADINGS, &rows)?;
        }
        if wrong.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = wrong.iter().map(|class| class.name()).collect();
        let repeat = self.repeat(&names.join(","), seed);
        Err(Failure::new(FOUND, format!("not clean: {}; repeat with: {repeat}", names.join(", "))))
    }

    /// The command line that repeats some classes of a run.
    fn repeat(&self, classes: &str, seed: u64) -> String {
        let Self { seconds, rate, users, crowd, control_planes, brokers, gateways, .. } = self;
        let run = format!("--classes {classes} --seconds {seconds} --seed {seed} --rate {rate}");
        let run = format!("{run} --users {users} --crowd {crowd}");
        let cluster = format!("--control-planes {control_planes} --brokers {brokers} --gateways {gateways}");
        format!("tidings audit --local {run} {cluster}")
    }

    fn plan(&self) -> Outcome<Plan> {
        let binary = match &self.binary {
            Some(named) => named.clone(),
            None => std::env::current_exe().context("finding the path of this program")?,
        };
        let (control_planes, brokers, gateways) = (self.control_planes, self.brokers, self.gateways);
        let default = Plan::of(binary);
        let replication = default.replication.min(u32::try_from(brokers).unwrap_or(u32::MAX));
        Ok(Plan { control_planes, brokers, gateways, replication, ..default })
    }

    fn is_good(&self, class: Class, outcome: &ClassOutcome) -> bool {
        match outcome {
            ClassOutcome::Skipped(reason) => {
                eprintln!("  {class} is skipped: {reason}");
                self.allow_skip
            }
            ClassOutcome::Ran(report) => {
                report.trouble.iter().chain(report.verdict.examples()).for_each(|line| eprintln!("  {line}"));
                report.kept.iter().for_each(|folder| eprintln!("  kept in {}", folder.display()));
                report.is_clean()
            }
        }
    }

    fn answer(&self, class: Class, outcome: ClassOutcome, rows: &mut Vec<Vec<String>>) -> Outcome {
        match (outcome, self.control.json) {
            (ClassOutcome::Skipped(reason), true) => {
                output::json(&json!({ "class": class.name(), "skipped": reason }))?
            }
            (ClassOutcome::Skipped(_), false) => rows.push(vec![class.name().to_owned(), "skipped".to_owned()]),
            (ClassOutcome::Ran(report), true) => {
                let Report { faults, verdict, trouble, .. } = *report;
                output::json(
                    &json!({ "class": class.name(), "faults": faults, "verdict": verdict, "trouble": trouble }),
                )?;
            }
            (ClassOutcome::Ran(report), false) => {
                rows.extend(rows_of(class.name(), report.faults, &report.verdict));
            }
        }
        Ok(())
    }

    async fn run_against(&self) -> Outcome {
        let seed = self.seed.unwrap_or_else(schedule::random_seed);
        let (service, app) = (self.control.connect().await?, &self.control.app);
        let prefix = format!("audit-{seed:016x}");
        let people: Arc<[_]> = people::create(service.clone(), app, &prefix, self.users).await?.into();
        let crowd = people::create_crowd(service.clone(), app, &format!("{prefix}-crowd"), self.crowd).await?;
        let crowd: Arc<[_]> = crowd.into();
        let control_plane = ControlPlane { nodes: vec![service.clone()], app: app.clone() };
        let ended = self.traffic((people.clone(), crowd.clone()), control_plane, seed).await;
        let users = people.iter().map(|person| &person.id).chain(&*crowd).cloned();
        people::delete(service, app, users, workload::groups(&people)).await?;
        ended
    }

    /// Traffic until the time is over or the operator ends it, and the verdict.
    async fn traffic(
        &self,
        (people, crowd): (Arc<[Person]>, Arc<[String]>),
        control_plane: ControlPlane<ApiKey>,
        seed: u64,
    ) -> Outcome {
        let stores = tempfile::Builder::new().prefix("tidings-audit-devices-").tempdir()?;
        let (gateways, rate) = (self.gateway.clone(), self.rate);
        let stores_at = stores.path().to_owned();
        // Those servers have clocks of their own.
        let histories = !self.without_histories;
        let workload = Workload { gateways, people, crowd, rate, stores: stores_at, seed, one_clock: false, histories };
        let mut traffic = workload.start(control_plane);
        let history = traffic.history().clone();
        let ended = tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(self.seconds)) => Ok(()),
            ended = interrupted() => ended,
            error = traffic.failed() => Err(error.into()),
        };
        let ended = match ended {
            Ok(()) => traffic.end(SETTLE).await.map(drop).map_err(Failure::from),
            Err(error) => Err(error),
        };
        if let Some(folder) = &self.keep {
            std::fs::create_dir_all(folder)?;
            history.keep(&folder.join("history.jsonl"))?;
        }
        let verdict = verdict::judge(&history.records());
        if self.control.json {
            output::json(&json!({ "verdict": verdict }))?;
        } else {
            output::table(&HEADINGS, &rows_of("-", 0, &verdict))?;
        }
        verdict.examples().for_each(|line| eprintln!("  {line}"));
        ended?;
        if verdict.is_clean() { Ok(()) } else { Err(Failure::new(FOUND, "not clean")) }
    }
}

/// Ctrl-C, or a request to end.
async fn interrupted() -> Outcome {
    let mut request = signal(SignalKind::terminate())?;
    tokio::select! {
        signal = tokio::signal::ctrl_c() => signal?,
        _ = request.recv() => {}
    }
    Ok(())
}

/// Messages between two users, messages to groups, those to both that waited for their time, what a backend posted to
/// both, what users set of their conversations, and what all of them read at the end, and how far that is said to have
/// come.
fn rows_of(class: &str, faults: usize, verdict: &Verdict) -> Vec<Vec<String>> {
    let Verdict { direct, groups, scheduled, backend, settings, histories, receipts, .. } = verdict;
    let kinds = [
        ("", direct),
        (", groups", groups),
        (", scheduled", scheduled),
        (", backend", backend),
        (", settings", settings),
    ];
    let read = histories.iter().map(|findings| (", histories", findings));
    let kinds = kinds.into_iter().chain(read).chain(receipts.iter().map(|findings| (", receipts", findings)));
    kinds.map(|(kind, findings)| row(&format!("{class}{kind}"), faults, findings)).collect()
}

fn row(class: &str, faults: usize, findings: &Findings) -> Vec<String> {
    let counts = [
        findings.given,
        findings.accepted,
        findings.delivered,
        findings.lost,
        findings.doubled,
        findings.returned,
        findings.out_of_order,
        findings.early,
        findings.contradictions,
        findings.refused,
        findings.cancelled,
        findings.unknown,
    ];
    [class.to_owned(), faults.to_string()].into_iter().chain(counts.map(|count| count.to_string())).collect()
}
