//! SIGSTOP for longer than an election, at times for longer than a lease: the process wakes up and believes that it
//! still is what it was (promise 5).

use std::time::Duration;

use anyhow::Result;
use rand::Rng as _;
use rand::rngs::SmallRng;
use tokio::time::sleep;

use super::{Shape, Victim, between};
use crate::cluster::LocalCluster;

/// Who is stopped, and for how long.
#[derive(Debug, Clone, PartialEq)]
pub struct Pause {
    victim: Victim,
    pause: Duration,
}

impl Pause {
    pub(super) fn draw(rng: &mut SmallRng, shape: &Shape) -> Self {
        let victim = shape.any_victim(rng);
        let pause = if rng.random_ratio(1, 4) { between(rng, 11_000, 13_000) } else { between(rng, 1_500, 4_000) };
        Self { victim, pause }
    }

    pub(super) fn length(&self) -> Duration {
        self.pause
    }

    pub(super) async fn inflict(&self, cluster: &LocalCluster) -> Result<()> {
        let victim = self.victim.of(cluster)?;
        victim.pause()?;
        sleep(self.pause).await;
        victim.resume()
    }
}
