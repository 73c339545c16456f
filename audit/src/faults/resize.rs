//! A broker is added; then one of the others is drained, and removed when that is safe.

use std::time::Duration;

use anyhow::Result;
use rand::rngs::SmallRng;

use super::{Shape, Victim};
use crate::cluster::{LocalCluster, Role};

/// Which broker goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Resize {
    leaving: Victim,
}

impl Resize {
    pub(super) fn draw(rng: &mut SmallRng, shape: &Shape) -> Self {
        Self { leaving: shape.victim(rng, Role::Broker) }
    }

    pub(super) fn length(&self) -> Duration {
        Duration::from_secs(15)
    }

    pub(super) async fn inflict(&self, cluster: &LocalCluster) -> Result<()> {
        let leaving = self.leaving.of(cluster)?;
        cluster.add_broker().await?;
        let node = leaving.node().to_string();
        cluster.operate(&["cluster", "drain", &node, "--wait"]).await?;
        leaving.terminate().await?;
        cluster.operate(&["cluster", "remove", &node]).await?;
        cluster.forget(&leaving)
    }
}
