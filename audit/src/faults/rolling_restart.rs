//! The processes of a role are restarted in order, one after the other, as an upgrade does.

use std::time::Duration;

use anyhow::{Result, ensure};
use rand::Rng as _;
use rand::rngs::SmallRng;

use crate::cluster::{LocalCluster, Role};

/// Which role.
#[derive(Debug, Clone, PartialEq)]
pub struct RollingRestart {
    role: Role,
}

impl RollingRestart {
    pub(super) fn draw(rng: &mut SmallRng) -> Self {
        let roles = [Role::ControlPlane, Role::Broker, Role::Gateway];
        Self { role: roles[rng.random_range(0..roles.len())] }
    }

    pub(super) fn length(&self) -> Duration {
        Duration::from_secs(10)
    }

    pub(super) async fn inflict(&self, cluster: &LocalCluster) -> Result<()> {
        for member in cluster.of(self.role) {
            let status = member.terminate().await?;
            ensure!(status.success(), "{} did not end well: {status}", member.name());
            member.start().await?;
        }
        Ok(())
    }
}
