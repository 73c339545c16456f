//! `tidings cluster`: what the cluster is doing, and taking nodes out of it.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tidings_proto::control::v1::cluster_client::ClusterClient;
use tidings_proto::control::v1::{
    ClusterStatus, DrainNodeRequest, GetClusterRequest, MoveShardRequest, NodeStatus, RemoveNodeRequest, ShardStatus,
    UndrainNodeRequest,
};

use super::control::{ControlOptions, Service};
use super::exit::{EXIT_CODES, Exit, Failure, Outcome};
use super::output;

/// How often a command that waits looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// What to do with the cluster.
#[derive(Debug, Subcommand)]
#[command(after_help = EXIT_CODES)]
pub enum ClusterCommand {
    /// Nodes, shards, and what is on its way
    Status(StatusCommand),
    /// Move a broker's replicas to others
    Drain(Drain),
    /// Take a drain back
    Undrain(Undrain),
    /// Forget a node, once that is safe
    Remove(Remove),
    /// Put the replica of one shard on another broker
    Move(Move),
}

/// `tidings cluster status`.
#[derive(Debug, Args)]
pub struct StatusCommand {
    /// List the shards too
    #[arg(long)]
    shards: bool,
    #[command(flatten)]
    control: ControlOptions,
}

/// `tidings cluster drain`.
#[derive(Debug, Args)]
pub struct Drain {
    /// The broker's number
    node: u64,
    /// Return when it is safe to remove, and show the progress until then
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    control: ControlOptions,
}

/// `tidings cluster undrain`.
#[derive(Debug, Args)]
pub struct Undrain {
    /// The broker's number
    node: u64,
    #[command(flatten)]
    control: ControlOptions,
}

/// `tidings cluster remove`.
#[derive(Debug, Args)]
pub struct Remove {
    /// The node's number
    node: u64,
    /// It will not come back: make what it held anew from its peers first, and wait for that
    #[arg(long)]
    dead: bool,
    #[command(flatten)]
    control: ControlOptions,
}

/// `tidings cluster move`.
#[derive(Debug, Args)]
pub struct Move {
    /// The shard
    shard: u32,
    /// The broker that has a replica
    #[arg(long)]
    from: u64,
    /// The broker that is to have it
    #[arg(long)]
    to: u64,
    /// Return when it is there
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    control: ControlOptions,
}

impl ClusterCommand {
    pub async fn run(self) -> Outcome {
        match self {
            Self::Status(command) => command.run().await,
            Self::Drain(command) => command.run().await,
            Self::Undrain(command) => command.run().await,
            Self::Remove(command) => command.run().await,
            Self::Move(command) => command.run().await,
        }
    }
}

type Client = ClusterClient<Service>;

async fn connect(control: &ControlOptions) -> Outcome<Client> {
    Ok(ClusterClient::new(control.connect().await?))
}

async fn status(client: &mut Client) -> Outcome<ClusterStatus> {
    Ok(client.get_cluster(GetClusterRequest {}).await?.into_inner())
}

impl StatusCommand {
    async fn run(self) -> Outcome {
        let status = status(&mut connect(&self.control).await?).await?;
        if self.control.json {
            return Ok(output::json(&status_json(&status))?);
        }
        let unsettled: Vec<&ShardStatus> = status.shards.iter().filter(|shard| !shard.settled).collect();
        let leaderless = status.shards.iter().filter(|shard| shard.leader == 0).count();
        // Where there are too few brokers a shard settles with what it can have.
        let short = status.shards.iter().filter(|shard| shard.wanted.len() < status.replication as usize).count();
        let short = if short == 0 { String::new() } else { format!(", {short} short of replicas") };
        output::line(&format!(
            "{} shards with {} replicas each: {} settled, {} moving, {} without a leader{short}; map epoch {}; node {} leads the control plane",
            status.shards.len(),
            status.replication,
            status.shards.len() - unsettled.len(),
            unsettled.len() - leaderless,
            leaderless,
            status.map_epoch,
            status.leader,
        ))?;
        let rows: Vec<_> = status.nodes.iter().map(node_row).collect();
        output::table(
            &["node", "role", "address", "zone", "version", "state", "replicas", "leads", "removable"],
            &rows,
        )?;
        let shown: Vec<&ShardStatus> = if self.shards { status.shards.iter().collect() } else { unsettled };
        if !shown.is_empty() {
            output::line("")?;
            let rows: Vec<_> = shown.into_iter().map(shard_row).collect();
            output::table(&["shard", "leader", "term", "wanted", "voters", "learners", "behind", "state"], &rows)?;
        }
        Ok(())
    }
}

impl Drain {
    async fn run(self) -> Outcome {
        let mut client = connect(&self.control).await?;
        let mut node = client.drain_node(DrainNodeRequest { id: self.node }).await?.into_inner();
        let mut told = String::new();
        loop {
            let now = removable(&node);
            if now != told {
                output::line(&format!("node {}: {now}", node.id))?;
                told = now;
            }
            if !self.wait || node.safe_to_remove {
                return Ok(());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
            // The control plane may be choosing another leader; the drain goes on meanwhile.
            if let Ok(status) = status(&mut client).await {
                let found = status.nodes.into_iter().find(|other| other.id == self.node);
                node = found.ok_or_else(|| Failure::new(Exit::Other, format!("node {} is gone", self.node)))?;
            }
        }
    }
}

impl Undrain {
    async fn run(self) -> Outcome {
        let node = connect(&self.control).await?.undrain_node(UndrainNodeRequest { id: self.node }).await?.into_inner();
        Ok(output::line(&format!("node {}: {}", node.id, node.phase))?)
    }
}

impl Remove {
    async fn run(self) -> Outcome {
        let mut client = connect(&self.control).await?;
        let request = RemoveNodeRequest { id: self.node, dead: self.dead };
        while !client.remove_node(request).await?.into_inner().removed {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(output::line(&format!("node {} is removed", self.node))?)
    }
}

impl Move {
    async fn run(self) -> Outcome {
        let mut client = connect(&self.control).await?;
        let request = MoveShardRequest { shard: self.shard, from: self.from, to: self.to };
        client.move_shard(request).await?;
        let is_there =
            |status: &ClusterStatus| status.shards.iter().any(|shard| shard.shard == self.shard && shard.settled);
        while self.wait && !is_there(&status(&mut client).await?) {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        let what = if self.wait { "has moved" } else { "moves" };
        Ok(output::line(&format!("shard {} {what} from node {} to node {}", self.shard, self.from, self.to))?)
    }
}

fn removable(node: &NodeStatus) -> String {
    if node.safe_to_remove {
        "safe to remove".to_owned()
    } else {
        format!("not safe to remove: {}", node.unsafe_because)
    }
}

fn node_row(node: &NodeStatus) -> Vec<String> {
    let heard = if node.alive { "alive".to_owned() } else { format!("away for {} s", node.heard_ms_ago / 1000) };
    let state = match node.phase.as_str() {
        "active" if node.role == "control-plane" && !node.votes => format!("joining, {heard}"),
        "active" => heard,
        phase => format!("{phase}, {heard}"),
    };
    let count = |count: u32| if node.role == "broker" { count.to_string() } else { "-".to_owned() };
    vec![
        node.id.to_string(),
        node.role.clone(),
        node.address.clone(),
        node.zone.clone(),
        node.version.clone(),
        state,
        count(node.replicas),
        count(node.leads),
        if node.safe_to_remove { "yes".to_owned() } else { node.unsafe_because.clone() },
    ]
}

fn shard_row(shard: &ShardStatus) -> Vec<String> {
    let ids = |ids: &[u64]| ids.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
    let state = match (shard.leader, shard.settled) {
        (0, _) => "no leader",
        (_, true) => "settled",
        (_, false) => "moving",
    };
    let leader = if shard.leader == 0 { "-".to_owned() } else { shard.leader.to_string() };
    vec![
        shard.shard.to_string(),
        leader,
        shard.term.to_string(),
        ids(&shard.wanted),
        ids(&shard.voters),
        ids(&shard.learners),
        shard.behind.to_string(),
        state.to_owned(),
    ]
}

fn status_json(status: &ClusterStatus) -> Value {
    let node = |node: &NodeStatus| {
        json!({
            "id": node.id, "role": node.role, "address": node.address, "zone": node.zone, "version": node.version,
            "phase": node.phase, "alive": node.alive, "heard_ms_ago": node.heard_ms_ago, "replicas": node.replicas,
            "leads": node.leads, "votes": node.votes, "safe_to_remove": node.safe_to_remove, "unsafe_because": node.unsafe_because,
        })
    };
    let shard = |shard: &ShardStatus| {
        json!({
            "shard": shard.shard, "leader": shard.leader, "term": shard.term, "wanted": shard.wanted,
            "voters": shard.voters, "learners": shard.learners, "settled": shard.settled, "behind": shard.behind,
        })
    };
    json!({
        "leader": status.leader, "map_epoch": status.map_epoch, "replication": status.replication,
        "nodes": status.nodes.iter().map(node).collect::<Vec<_>>(),
        "shards": status.shards.iter().map(shard).collect::<Vec<_>>(),
    })
}
