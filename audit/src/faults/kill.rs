//! `kill -9` of any process, or of one of each role at once.

use std::time::Duration;

use anyhow::Result;
use rand::Rng as _;
use rand::rngs::SmallRng;
use tokio::time::sleep;

use super::{Shape, Victim, between};
use crate::cluster::{LocalCluster, Role};

/// Who is killed, and for how long it stays away.
#[derive(Debug, Clone, PartialEq)]
pub struct Kill {
    victims: Vec<Victim>,
    away: Duration,
}

impl Kill {
    pub(super) fn draw(rng: &mut SmallRng, shape: &Shape) -> Self {
        let victims = if rng.random_ratio(1, 4) {
            let roles = [Role::ControlPlane, Role::Broker, Role::Gateway];
            roles.into_iter().map(|role| shape.victim(rng, role)).collect()
        } else {
            vec![shape.any_victim(rng)]
        };
        Self { victims, away: between(rng, 0, 3_000) }
    }

    pub(super) fn length(&self) -> Duration {
        self.away + Duration::from_secs(1)
    }

    pub(super) async fn inflict(&self, cluster: &LocalCluster) -> Result<()> {
        for victim in &self.victims {
            victim.of(cluster)?.kill9()?;
        }
        sleep(self.away).await;
        for victim in &self.victims {
            victim.of(cluster)?.launch()?;
        }
        cluster.ready().await
    }
}
