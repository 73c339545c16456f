//! What the control plane's leader does without being asked: it plans where shards go, calls brokers gone that stay
//! away for too long, takes control-plane nodes into the group, and has deleted users erased ([`crate::eraser`]).
//! Everything that it decides goes through the log; what it goes by (who was heard of, what shards report) is memory,
//! and a new leader gathers it anew.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future;
use tidings_node::Shutdown;
use tidings_proto::cluster::v1::{Node, NodePhase, NodeRole, ShardMap, ShardPlacement, ShardReport};
use tidings_proto::registry::v1::{PlaceShards, RaiseLevel, SetNodePhase, command::Command};
use tonic::Status;

use crate::eraser::Eraser;
use crate::leases::Leases;
use crate::metrics;
use crate::placement::{self, Broker, Shard};
use crate::registry::cluster;
use crate::registry::machine::LEVEL;
use crate::replica::Replica;

/// How often it looks, when nothing happens that it is told of.
const INTERVAL: Duration = Duration::from_millis(500);
/// A learner that lacks no more entries than this can become a voter.
const NEARLY: u64 = 100;

/// Whether a broker can be given a replica of a shard that others hold. One of release 0.1, which names no store, would
/// found the shard anew beside its data. It keeps what it has until it is upgraded (promise 7).
pub fn knows_members(broker: &Node) -> bool {
    broker.store != 0
}

/// The controller of one node; it works while the node leads.
#[derive(Clone)]
pub struct Controller {
    pub replica: Replica,
    pub leases: Leases,
    /// A broker that is away for longer is gone.
    pub replace_after: Duration,
}

impl Controller {
    /// Runs until the shutdown.
    pub async fn run(self, shutdown: Shutdown) {
        let mut leadership = self.replica.leadership();
        loop {
            tokio::select! {
                () = shutdown.requested() => return,
                led = leadership.wait_for(|leadership| leadership.is_leader) => if led.is_err() { return },
            }
            self.leases.begin();
            tokio::select! {
                () = shutdown.requested() => return,
                _ = leadership.wait_for(|leadership| !leadership.is_leader) => {}
                _ = future::join(self.work(), Eraser::new(self.replica.clone()).work()) => {}
            }
            self.leases.end();
        }
    }

    async fn work(&self) {
        loop {
            if let Err(status) = self.round().await {
                tracing::warn!(%status, "the cluster could not be looked after");
            }
            let members = self.tend_members().await;
            if let Err(error) = members {
                tracing::warn!(%error, "the control plane's members could not be changed");
            }
            tokio::select! {
                () = self.leases.changed() => {}
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    }

    async fn round(&self) -> Result<(), Status> {
        let view = self.replica.view();
        let Some(settings) = cluster::settings(&view)? else { return Ok(()) };
        let nodes = cluster::nodes(&view)?;
        self.raise_level(settings.level, &nodes).await?;
        // Without room for its replicas a shard is better off counting on it to come back.
        let has_room = self.active_brokers(&nodes) >= settings.replication as usize;
        for node in nodes.iter().filter(|node| has_room && self.is_lost(node)) {
            tracing::warn!(node = node.id, "a broker has been away for too long; its replicas are made anew elsewhere");
            let phase = SetNodePhase { role: node.role, id: node.id, phase: NodePhase::Gone.into() };
            self.replica.propose(Command::SetNodePhase(phase)).await?;
        }
        let map = cluster::shard_map(&view)?;
        let shards = self.plan(&map, &nodes, settings.replication as usize);
        if !shards.is_empty() {
            metrics::placed(shards.len());
            tracing::info!(epoch = map.epoch, shards = shards.len(), "placing shards");
            self.replica.propose(Command::PlaceShards(PlaceShards { epoch: map.epoch, shards })).await?;
        }
        Ok(())
    }

    /// Lets the commands of this release into the log, once every member applies them (promise 7).
    async fn raise_level(&self, level: u32, nodes: &[Node]) -> Result<(), Status> {
        if level >= LEVEL {
            return Ok(());
        }
        // It leads: it is this node.
        let me = self.replica.leadership().borrow().leader;
        let others = self.replica.group().status().members.into_keys().filter(|id| Some(*id) != me);
        if all_apply(others, nodes) {
            tracing::info!(level = LEVEL, "every node of the control plane applies the commands of this release");
            self.replica.propose(Command::RaiseLevel(RaiseLevel { level: LEVEL })).await?;
        }
        Ok(())
    }

    fn active_brokers(&self, nodes: &[Node]) -> usize {
        let active = nodes.iter().filter(|node| node.role() == NodeRole::Broker && node.phase() == NodePhase::Active);
        active.filter(|node| self.leases.is_alive(node.role, node.id)).count()
    }

    fn is_lost(&self, node: &Node) -> bool {
        let is_broker = node.role() == NodeRole::Broker && node.phase() == NodePhase::Active;
        is_broker && self.leases.silence(node.role, node.id) > self.replace_after
    }

    /// The placements that change.
    fn plan(&self, map: &ShardMap, nodes: &[Node], replication: usize) -> Vec<ShardPlacement> {
        let brokers: Vec<Broker> = nodes
            .iter()
            .filter(|node| node.role() == NodeRole::Broker)
            .map(|node| Broker {
                id: node.id,
                zone: node.zone.clone(),
                capacity: if node.capacity == 0 { 100 } else { node.capacity },
                is_alive: self.leases.is_alive(node.role, node.id),
                knows_members: knows_members(node),
                is_leaving: node.phase() != NodePhase::Active,
                is_gone: node.phase() == NodePhase::Gone,
            })
            .collect();
        let shards: Vec<Shard> = map.shards.iter().map(|placement| self.shard(placement)).collect();
        let mut planned: Vec<ShardPlacement> = Vec::new();
        for change in placement::next(&brokers, &shards, replication) {
            let today = &map.shards[change.shard];
            let is_born = today.replicas.is_empty();
            let founders = if is_born { change.replicas.clone() } else { today.founders.clone() };
            planned.push(ShardPlacement { shard: today.shard, replicas: change.replicas, founders });
        }
        // A shard that was seen to work is not founded again, whoever comes to it without a memory.
        for (placement, shard) in map.shards.iter().zip(&shards) {
            if placement.founders.is_empty() || shard.voters.is_none() {
                continue;
            }
            match planned.iter_mut().find(|planned| planned.shard == placement.shard) {
                Some(planned) => planned.founders.clear(),
                None => planned.push(ShardPlacement { founders: Vec::new(), ..placement.clone() }),
            }
        }
        planned
    }

    fn shard(&self, placement: &ShardPlacement) -> Shard {
        let report = self.leases.report(placement.shard).map(|(_, report)| report);
        shard_of(placement, report.as_ref())
    }

    /// Takes a control-plane node that registered into the group: first as a learner, then as a voter.
    async fn tend_members(&self) -> Result<(), tidings_consensus::Error> {
        let group = self.replica.group();
        let status = group.status();
        if status.is_changing {
            return Ok(());
        }
        let view = self.replica.view();
        let (Ok(nodes), Ok(Some(settings))) = (cluster::nodes(&view), cluster::settings(&view)) else { return Ok(()) };
        // One of an earlier release would not apply all that stands in the log.
        let is_able = |node: &&Node| node.role() == NodeRole::ControlPlane && node.level >= settings.level;
        let ours = nodes.iter().filter(is_able);
        // Heard of, and not only given the benefit of the doubt: a voter that is not there costs a quorum.
        for node in ours.filter(|node| self.leases.is_heard(node.role, node.id)) {
            let Some(member) = status.members.get(&node.id) else {
                tracing::info!(node = node.id, address = %node.address, "a control-plane node joins");
                return group.begin_learner(node.id, node.address.clone()).await;
            };
            let matched = status.replication.get(&node.id).copied().flatten();
            let has_caught_up = matched.is_some_and(|matched| matched + NEARLY >= status.last_log.unwrap_or(0));
            if !member.is_voter && has_caught_up {
                let voters = status.members.iter().filter(|(_, member)| member.is_voter).map(|(id, _)| *id);
                let voters: BTreeSet<u64> = voters.chain([node.id]).collect();
                tracing::info!(node = node.id, voters = voters.len(), "a control-plane node votes from now on");
                return group.change_members(voters).await;
            }
        }
        Ok(())
    }

    /// Takes a control-plane node out of the group. Only the leader can; it does not take itself out.
    pub async fn remove_member(&self, id: u64) -> Result<(), tidings_consensus::Error> {
        let group = self.replica.group();
        let members = group.status().members;
        match members.get(&id) {
            None => Ok(()),
            Some(member) if member.is_voter => {
                let voters = members.iter().filter(|(other, member)| **other != id && member.is_voter);
                group.change_members(voters.map(|(id, _)| *id).collect()).await
            }
            Some(_) => group.drop_learners(BTreeSet::from([id])).await,
        }
    }
}

/// Whether all these members of the control plane have registered as of this release or a later one.
pub fn all_apply(mut members: impl Iterator<Item = u64>, nodes: &[Node]) -> bool {
    members.all(|id| {
        let registered = nodes.iter().find(|node| node.role() == NodeRole::ControlPlane && node.id == id);
        registered.is_some_and(|node| node.level >= LEVEL)
    })
}

/// A shard for the plan: what the map says of it, and what its leader reported last, if that still counts.
pub fn shard_of(placement: &ShardPlacement, report: Option<&ShardReport>) -> Shard {
    Shard {
        replicas: placement.replicas.clone(),
        is_changing: report.is_some_and(|report| report.changing || !report.learners.is_empty()),
        voters: report.map(|report| report.voters.iter().copied().collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_member_of_an_earlier_release_keeps_new_commands_out_of_the_log() {
        let node = |id, role: NodeRole, level| Node { id, role: role.into(), level, ..Node::default() };
        let nodes = [
            node(2, NodeRole::ControlPlane, LEVEL),
            node(3, NodeRole::ControlPlane, LEVEL - 1),
            node(3, NodeRole::Broker, LEVEL),
            node(4, NodeRole::ControlPlane, LEVEL + 1),
        ];
        assert!(all_apply([2, 4].into_iter(), &nodes) && all_apply([].into_iter(), &nodes));
        assert!(!all_apply([2, 3].into_iter(), &nodes));
        assert!(!all_apply([2, 5].into_iter(), &nodes), "one that was never heard of");
    }
}
