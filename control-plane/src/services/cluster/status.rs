//! The cluster as the leader sees it at one moment.

use tidings_proto::cluster::v1::{Node, NodePhase, NodeRole, ShardMap, ShardPlacement};
use tidings_proto::control::v1::{ClusterStatus, NodeStatus, ShardStatus};

use crate::controller::{Controller, shard_of};
use crate::leases::Leases;
use crate::registry::cluster;
use crate::registry::refusal::Refusal;

/// What the registry holds, with what the leader remembers beside it.
pub struct Overview {
    me: u64,
    replication: u32,
    nodes: Vec<Node>,
    map: ShardMap,
    /// The control plane's voters.
    voters: Vec<u64>,
    leases: Leases,
}

impl Overview {
    /// As of now.
    pub fn of(controller: &Controller) -> Result<Self, Refusal> {
        let view = controller.replica.view();
        let status = controller.replica.group().status();
        Ok(Self {
            me: status.leader.unwrap_or(0),
            replication: cluster::settings(&view)?.unwrap_or_default().replication,
            nodes: cluster::nodes(&view)?,
            map: cluster::shard_map(&view)?,
            voters: status.members.iter().filter(|(_, member)| member.is_voter).map(|(id, _)| *id).collect(),
            leases: controller.leases.clone(),
        })
    }

    /// All of it.
    pub fn status(&self) -> ClusterStatus {
        let shards = self.shards();
        ClusterStatus {
            leader: self.me,
            map_epoch: self.map.epoch,
            replication: self.replication,
            nodes: self.nodes.iter().map(|node| self.of_node(node, &shards)).collect(),
            shards,
        }
    }

    /// One node.
    pub fn node_status(&self, id: u64) -> Option<NodeStatus> {
        let shards = self.shards();
        self.nodes.iter().find(|node| node.id == id).map(|node| self.of_node(node, &shards))
    }

    fn shards(&self) -> Vec<ShardStatus> {
        self.map.shards.iter().map(|placement| self.shard_status(placement)).collect()
    }

    /// One shard, of which the map says this.
    pub fn shard_status(&self, placement: &ShardPlacement) -> ShardStatus {
        let Some((leader, report)) = self.leases.report(placement.shard) else {
            let wanted = placement.replicas.clone();
            return ShardStatus { shard: placement.shard, wanted, ..ShardStatus::default() };
        };
        let lacks = report.progress.iter().map(|member| report.last_log.saturating_sub(member.matched));
        ShardStatus {
            shard: placement.shard,
            leader,
            term: report.term,
            wanted: placement.replicas.clone(),
            settled: shard_of(placement, Some(&report)).is_settled(),
            behind: lacks.max().unwrap_or(0),
            voters: report.voters,
            learners: report.learners,
        }
    }

    fn of_node(&self, node: &Node, shards: &[ShardStatus]) -> NodeStatus {
        let is_broker = node.role() == NodeRole::Broker;
        let holds = |shard: &&ShardStatus| {
            [&shard.wanted, &shard.voters, &shard.learners].iter().any(|members| members.contains(&node.id))
        };
        let replicas = if is_broker { shards.iter().filter(holds).count() } else { 0 };
        let leads = shards.iter().filter(|shard| is_broker && shard.leader == node.id).count();
        let unsafe_because = self.unsafe_because(node, shards, replicas).unwrap_or_default();
        NodeStatus {
            id: node.id,
            role: role_name(node.role()).to_owned(),
            address: node.address.clone(),
            zone: node.zone.clone(),
            version: node.version.clone(),
            phase: phase_name(node.phase()).to_owned(),
            alive: self.leases.is_alive(node.role, node.id),
            heard_ms_ago: u64::try_from(self.leases.silence(node.role, node.id).as_millis()).unwrap_or(u64::MAX),
            replicas: u32::try_from(replicas).unwrap_or(u32::MAX),
            leads: u32::try_from(leads).unwrap_or(u32::MAX),
            safe_to_remove: unsafe_because.is_empty(),
            unsafe_because,
            votes: node.role() == NodeRole::ControlPlane && self.voters.contains(&node.id),
        }
    }

    /// Why a node must not be removed now.
    fn unsafe_because(&self, node: &Node, shards: &[ShardStatus], replicas: usize) -> Option<String> {
        match node.role() {
            NodeRole::Broker => {
                let silent = shards.iter().filter(|shard| shard.leader == 0 && !shard.wanted.is_empty()).count();
                if node.phase() == NodePhase::Active {
                    Some("it is not drained".to_owned())
                } else if replicas > 0 {
                    Some(format!("{replicas} shards still have a replica on it"))
                } else {
                    // Their members are not known now: this node may still be one.
                    (silent > 0).then(|| format!("{silent} shards have no leader"))
                }
            }
            NodeRole::ControlPlane => {
                let others = self.voters.iter().filter(|id| **id != node.id);
                let alive =
                    others.clone().filter(|id| self.leases.is_alive(NodeRole::ControlPlane.into(), **id)).count();
                if node.id == self.me {
                    Some("it leads the control plane; stop it first".to_owned())
                } else if self.leases.is_alive(node.role, node.id) {
                    Some("it is alive, and would join again; stop it first".to_owned())
                } else {
                    let needed = others.count() / 2 + 1;
                    (alive < needed).then(|| "too few of the other control-plane nodes are alive".to_owned())
                }
            }
            _ => self.leases.is_alive(node.role, node.id).then(|| "it is alive; stop it first".to_owned()),
        }
    }
}

fn role_name(role: NodeRole) -> &'static str {
    match role {
        NodeRole::ControlPlane => "control-plane",
        NodeRole::Broker => "broker",
        NodeRole::Gateway => "gateway",
        NodeRole::Unspecified => "unknown",
    }
}

fn phase_name(phase: NodePhase) -> &'static str {
    match phase {
        NodePhase::Active => "active",
        NodePhase::Draining => "draining",
        NodePhase::Gone => "gone",
        NodePhase::Removed => "removed",
    }
}
