//! Nodes that cannot reach each other: one from all, all but one from each other, one direction only.

use std::time::Duration;

use anyhow::Result;
use rand::Rng as _;
use rand::rngs::SmallRng;
use tokio::time::sleep;

use super::{Shape, Victim, between};
use crate::cluster::{LocalCluster, Placement, Plan};

/// What is cut, and for how long.
#[derive(Debug, Clone, PartialEq)]
pub struct Partition {
    kind: Kind,
    victim: Victim,
    length: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// Nobody reaches it, clients neither.
    Alone,
    /// Clients reach it, nodes do not.
    FromNodes,
    /// It reaches both halves of the other nodes of its role, which do not reach each other.
    Bridge,
    /// What it sends to nodes does not arrive; it hears them.
    Mute,
    /// It sends to nodes, and hears nothing.
    Deaf,
}

const KINDS: [Kind; 5] = [Kind::Alone, Kind::FromNodes, Kind::Bridge, Kind::Mute, Kind::Deaf];

pub(super) fn adapt(plan: Plan) -> Plan {
    Plan { placement: Placement::Namespaces, ..plan }
}

impl Partition {
    pub(super) fn draw(rng: &mut SmallRng, shape: &Shape) -> Self {
        let kind = KINDS[rng.random_range(0..KINDS.len())];
        // Gateways do not talk to each other: a bridge between them would cut nothing.
        let victim = if kind == Kind::Bridge { shape.storing_victim(rng) } else { shape.any_victim(rng) };
        Self { kind, victim, length: between(rng, 2_000, 7_000) }
    }

    pub(super) fn length(&self) -> Duration {
        self.length
    }

    pub(super) async fn inflict(&self, cluster: &LocalCluster) -> Result<()> {
        self.cut(cluster)?;
        sleep(self.length).await;
        cluster.heal_network()
    }

    fn cut(&self, cluster: &LocalCluster) -> Result<()> {
        let (network, victim) = (cluster.network()?, self.victim.of(cluster)?);
        let others = cluster.members().into_iter().filter(|member| member.node() != victim.node());
        match self.kind {
            Kind::Alone => network.isolate(&victim),
            Kind::FromNodes => others.into_iter().try_for_each(|other| network.cut(&victim, &other)),
            Kind::Mute => others.into_iter().try_for_each(|other| network.cut_one_way(&victim, &other)),
            Kind::Deaf => others.into_iter().try_for_each(|other| network.cut_one_way(&other, &victim)),
            Kind::Bridge => {
                let peers: Vec<_> = others.filter(|member| member.role() == victim.role()).collect();
                let (left, right) = peers.split_at(peers.len() / 2);
                left.iter().try_for_each(|one| right.iter().try_for_each(|other| network.cut(one, other)))
            }
        }
    }
}
