//! The disk says that it could not sync: what it holds of the last writes is not known, and the process may not try
//! again and believe the second answer. It is restarted after it has stopped to take anything.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rand::rngs::SmallRng;
use tokio::process::Command;
use tokio::time::sleep;

use super::{Shape, Victim, between, needs, needs_root};
use crate::cluster::{LocalCluster, Role};

/// Whose disk (a broker's, whose next write comes soon), and how long the process is left alone with it.
#[derive(Debug, Clone, PartialEq)]
pub struct FsyncError {
    victim: Victim,
    length: Duration,
}

pub(super) fn is_possible() -> Result<()> {
    // Others may not trace what they did not start.
    needs_root()?;
    needs(&[("strace", "strace")])
}

impl FsyncError {
    pub(super) fn draw(rng: &mut SmallRng, shape: &Shape) -> Self {
        Self { victim: shape.victim(rng, Role::Broker), length: between(rng, 1_000, 3_000) }
    }

    pub(super) fn length(&self) -> Duration {
        self.length + Duration::from_secs(2)
    }

    pub(super) async fn inflict(&self, cluster: &LocalCluster) -> Result<()> {
        let victim = self.victim.of(cluster)?;
        let mut strace = Command::new("strace")
            .args(["-f", "-qq", "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO"])
            .args(["-o", "/dev/null", "-p", &victim.process_id()?.to_string()])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("starting strace")?;
        victim.unhealthy().await?;
        sleep(self.length).await;
        victim.kill9()?;
        strace.kill().await?;
        victim.start().await
    }
}
