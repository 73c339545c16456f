//! Machines lose their power: what was not synced is gone, on one of them or on all at once (promise 1).

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use rand::Rng as _;
use rand::rngs::SmallRng;
use tokio::time::sleep;

use super::{Shape, Victim, between, full_disk, needs};
use crate::cluster::{LocalCluster, Member, Plan, Role};

/// Whose power, and for how long.
#[derive(Debug, Clone, PartialEq)]
pub struct PowerCut {
    /// None: of every node that stores.
    victim: Option<Victim>,
    length: Duration,
}

pub(super) fn is_possible() -> Result<()> {
    full_disk::is_possible()?;
    needs(&[("perl", "perl-base")])
}

pub(super) fn adapt(plan: Plan) -> Plan {
    full_disk::adapt(plan)
}

impl PowerCut {
    pub(super) fn draw(rng: &mut SmallRng, shape: &Shape) -> Self {
        let victim = rng.random::<bool>().then(|| shape.storing_victim(rng));
        Self { victim, length: between(rng, 100, 2_000) }
    }

    pub(super) fn length(&self) -> Duration {
        self.length + Duration::from_secs(3)
    }

    pub(super) async fn inflict(&self, cluster: &LocalCluster) -> Result<()> {
        let victims: Vec<Arc<Member>> = match self.victim {
            Some(victim) => vec![victim.of(cluster)?],
            None => cluster.members().into_iter().filter(|member| member.role() != Role::Gateway).collect(),
        };
        // The disks first: whatever a process still says rests on what was synced before.
        for victim in &victims {
            victim.file_system()?.cut_power()?;
        }
        for victim in &victims {
            victim.kill9()?;
        }
        sleep(self.length).await;
        for victim in &victims {
            victim.file_system()?.remount()?;
            victim.launch()?;
        }
        Ok(())
    }
}
