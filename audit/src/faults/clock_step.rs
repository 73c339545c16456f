//! A node's wall clock jumps by up to an hour ahead, then as far behind, and back: nothing that was promised may rest
//! on it (promise 5).

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rand::Rng as _;
use rand::rngs::SmallRng;
use tokio::time::{Instant, sleep};

use super::{Shape, Victim, between};
use crate::cluster::{DEADLINE, LocalCluster, Member, Plan};

/// What libfaketime adds to the clock is read from here, in the node's folder.
const FILE: &str = "clock";
const HOUR_SECONDS: i64 = 3_600;
/// How long the library goes without looking at the file.
const CACHE: Duration = Duration::from_secs(1);
/// The metric that tells a node's wall clock.
const CLOCK: &str = "tidings_node_clock_seconds";

/// Whose clock, how far, and for how long.
#[derive(Debug, Clone, PartialEq)]
pub struct ClockStep {
    victim: Victim,
    step_seconds: i64,
    length: Duration,
}

pub(super) fn is_possible() -> Result<()> {
    library().map(drop)
}

/// Every process runs with the library from the beginning, and with the true time until its clock is moved.
pub(super) fn adapt(mut plan: Plan) -> Result<Plan> {
    let variables = [
        ("LD_PRELOAD", library()?.display().to_string()),
        ("FAKETIME_TIMESTAMP_FILE", format!("{{folder}}/{FILE}")),
        // Only the wall clock: a machine's monotonic clock does not jump.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("FAKETIME_CACHE_DURATION", CACHE.as_secs().to_string()),
    ];
    plan.environment.extend(variables.map(|(name, value)| (name.to_owned(), value)));
    // The library looks for changes of a file that was there when it began.
    plan.files.push((FILE.to_owned(), offset(0)));
    Ok(plan)
}

impl ClockStep {
    pub(super) fn draw(rng: &mut SmallRng, shape: &Shape) -> Self {
        let step_seconds = rng.random_range(60..=HOUR_SECONDS);
        Self { victim: shape.any_victim(rng), step_seconds, length: between(rng, 1_000, 4_000) }
    }

    pub(super) fn length(&self) -> Duration {
        2 * (self.length + CACHE)
    }

    pub(super) async fn inflict(&self, cluster: &LocalCluster) -> Result<()> {
        let victim = self.victim.of(cluster)?;
        let others = cluster.members().into_iter().filter(|member| member.node() != victim.node());
        let other = others.into_iter().next().context("there is no other clock to compare with")?;
        for seconds in [self.step_seconds, -self.step_seconds] {
            step(&victim, seconds)?;
            has_moved(&victim, &other, seconds).await?;
            sleep(self.length).await;
        }
        step(&victim, 0)
    }
}

fn step(member: &Member, seconds: i64) -> Result<()> {
    let file = member.folder().join(FILE);
    let written = file.with_extension("new");
    fs::write(&written, offset(seconds))?;
    // By a rename, so that nobody reads half of it.
    fs::rename(written, file).context("moving a clock")
}

/// As libfaketime reads it.
fn offset(seconds: i64) -> String {
    format!("{seconds:+}\n")
}

/// Waits until one clock is about so far ahead of the other.
async fn has_moved(member: &Member, other: &Member, seconds: i64) -> Result<()> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let ahead = member.metric(CLOCK).await? - other.metric(CLOCK).await?;
        if (ahead - seconds as f64).abs() < 10.0 {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "the clock of {} is {ahead} s ahead, not {seconds}", member.name());
        sleep(CACHE / 10).await;
    }
}

fn library() -> Result<PathBuf> {
    let places = ["x86_64-linux-gnu", "aarch64-linux-gnu"].map(|machine| format!("/usr/lib/{machine}"));
    let files = places.iter().map(|place| PathBuf::from(place).join("faketime/libfaketimeMT.so.1"));
    files.into_iter().find(|file| file.is_file()).context("libfaketime is missing (Debian package faketime)")
}
