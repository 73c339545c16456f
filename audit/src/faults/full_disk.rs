//! A broker's disk is full to the last block. The broker takes nothing more; with room again it is restarted.

use std::time::Duration;

use anyhow::Result;
use rand::rngs::SmallRng;
use tokio::time::sleep;

use super::{Shape, Victim, between, needs, needs_root};
use crate::cluster::{LocalCluster, Plan, Role, Storage};

/// Room for a node's files, and quick to fill.
pub(super) const STORAGE: Storage = Storage::FileSystem { mebibytes: 512 };

/// Whose disk, and for how long.
#[derive(Debug, Clone, PartialEq)]
pub struct FullDisk {
    victim: Victim,
    length: Duration,
}

pub(super) fn is_possible() -> Result<()> {
    needs_root()?;
    needs(&[("mkfs.ext4", "e2fsprogs"), ("mount", "mount")])
}

pub(super) fn adapt(plan: Plan) -> Plan {
    Plan { storage: STORAGE, ..plan }
}

impl FullDisk {
    pub(super) fn draw(rng: &mut SmallRng, shape: &Shape) -> Self {
        Self { victim: shape.victim(rng, Role::Broker), length: between(rng, 1_000, 4_000) }
    }

    pub(super) fn length(&self) -> Duration {
        self.length + Duration::from_secs(2)
    }

    pub(super) async fn inflict(&self, cluster: &LocalCluster) -> Result<()> {
        let victim = self.victim.of(cluster)?;
        victim.file_system()?.fill()?;
        victim.unhealthy().await?;
        sleep(self.length).await;
        victim.file_system()?.free()?;
        victim.restart().await
    }
}
