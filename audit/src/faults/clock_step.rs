//! A node's wall clock jumps by up to an hour, and back: nothing that was promised may rest on it (promise 5).

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rand::Rng as _;
use rand::rngs::SmallRng;
use tokio::time::sleep;

use super::{Shape, Victim, between};
use crate::cluster::{LocalCluster, Member, Plan};

/// What libfaketime adds to the clock is read from here, in the node's folder.
const FILE: &str = "clock";
const HOUR_SECONDS: i64 = 3_600;

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
        ("FAKETIME_CACHE_DURATION", "1".to_owned()),
    ];
    plan.environment.extend(variables.map(|(name, value)| (name.to_owned(), value)));
    Ok(plan)
}

impl ClockStep {
    pub(super) fn draw(rng: &mut SmallRng, shape: &Shape) -> Self {
        let step_seconds = rng.random_range(60..=HOUR_SECONDS) * if rng.random() { 1 } else { -1 };
        Self { victim: shape.any_victim(rng), step_seconds, length: between(rng, 2_000, 6_000) }
    }

    pub(super) fn length(&self) -> Duration {
        self.length
    }

    pub(super) async fn inflict(&self, cluster: &LocalCluster) -> Result<()> {
        let victim = self.victim.of(cluster)?;
        step(&victim, self.step_seconds)?;
        sleep(self.length).await;
        step(&victim, 0)
    }
}

fn step(member: &Member, seconds: i64) -> Result<()> {
    let file = member.folder().join(FILE);
    let written = file.with_extension("new");
    fs::write(&written, format!("{seconds:+}\n"))?;
    // By a rename, so that nobody reads half of it.
    fs::rename(written, file).context("moving a clock")
}

fn library() -> Result<PathBuf> {
    let places = ["x86_64-linux-gnu", "aarch64-linux-gnu"].map(|machine| format!("/usr/lib/{machine}"));
    let files = places.iter().map(|place| PathBuf::from(place).join("faketime/libfaketimeMT.so.1"));
    files.into_iter().find(|file| file.is_file()).context("libfaketime is missing (Debian package faketime)")
}
