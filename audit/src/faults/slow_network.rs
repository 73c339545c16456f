//! Packets that get lost, and a cable that takes little and queues the rest.

use std::time::Duration;

use anyhow::Result;
use rand::Rng as _;
use rand::rngs::SmallRng;
use tokio::time::sleep;

use super::{Shape, Victim, between};
use crate::cluster::{LocalCluster, Placement, Plan};

/// Whose cable is bad, how bad, and for how long.
#[derive(Debug, Clone, PartialEq)]
pub struct SlowNetwork {
    victim: Victim,
    lost_percent: u8,
    kbit_per_second: u32,
    length: Duration,
}

pub(super) fn adapt(plan: Plan) -> Plan {
    Plan { placement: Placement::Namespaces, ..plan }
}

impl SlowNetwork {
    pub(super) fn draw(rng: &mut SmallRng, shape: &Shape) -> Self {
        let (victim, lost_percent) = (shape.any_victim(rng), rng.random_range(1..=20));
        Self { victim, lost_percent, kbit_per_second: rng.random_range(256..4_096), length: between(rng, 3_000, 8_000) }
    }

    pub(super) fn length(&self) -> Duration {
        self.length
    }

    pub(super) async fn inflict(&self, cluster: &LocalCluster) -> Result<()> {
        let (network, victim) = (cluster.network()?, self.victim.of(cluster)?);
        network.lose(&victim, self.lost_percent)?;
        network.slow_down(&victim, self.kbit_per_second)?;
        sleep(self.length).await;
        cluster.heal_network()
    }
}
