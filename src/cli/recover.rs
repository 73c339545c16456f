//! `tidings recover`: goes on, knowingly, without a majority that is lost for good. Works on the data folder of a node
//! that does not run; docs/operations/restore-quorum.md says when and how.

use std::collections::BTreeSet;

use anyhow::Context as _;
use clap::{Args, value_parser};
use tidings_consensus::{Error, GroupId, NodeId, Recovery, StoredReplica};
use tidings_node::cluster::ClusterConfig;
use tidings_proto::shard::MAX_SHARDS;

use super::exit::{Exit, Failure, Outcome};
use super::output;
use crate::server::{ServerArguments, engine_options};

/// Go on from what this node has, where a majority is lost for good
///
/// The node must not run. Without --yes nothing is changed. See docs/operations/restore-quorum.md.
#[derive(Debug, Args)]
pub struct RecoverCommand {
    #[command(flatten)]
    node: ServerArguments,
    /// The nodes whose data is lost for good, by number; groups that have a majority without them stay as they are
    #[arg(long, value_name = "NODES", value_delimiter = ',')]
    lost: Vec<NodeId>,
    /// The control plane's group, and no shard but those of --shards
    #[arg(long)]
    control_plane: bool,
    /// These shards, and no other group but that of --control-plane
    #[arg(long, value_name = "SHARDS", value_delimiter = ',', value_parser = value_parser!(u32).range(..i64::from(MAX_SHARDS)))]
    shards: Vec<u32>,
    /// Do it: make this node the only member of the groups that have lost their majority
    #[arg(long, requires = "lost")]
    yes: bool,
}

/// What can be done for a group.
enum Prospect {
    /// This node can go on as its only member.
    GoesOn(StoredReplica),
    /// It stays as it is, for this reason.
    Stays(Option<StoredReplica>, String),
}

impl RecoverCommand {
    pub fn run(self) -> Outcome {
        let cluster: ClusterConfig = self.node.load()?.section().context("configuration")?;
        let lost: BTreeSet<NodeId> = self.lost.iter().copied().collect();
        let recovery =
            Recovery::open(&engine_options(&cluster)).context("the node must be stopped, and its data here")?;
        let groups = self.groups(&recovery).context("reading the store")?;
        let prospect = |group| (group, Prospect::of(recovery.replica(group), cluster.node, &lost));
        let prospects: Vec<_> = groups.into_iter().map(prospect).collect();
        let rows: Vec<_> = prospects.iter().map(|(group, prospect)| row(*group, prospect, &lost)).collect();
        output::table(
            &["group", "term", "last entry", "applied", "voters", "learners", "lost", "what becomes of it"],
            &rows,
        )?;
        let going_on: Vec<&StoredReplica> = prospects.iter().filter_map(|(_, prospect)| prospect.going_on()).collect();
        if lost.is_empty() {
            return Ok(output::line("\nNothing was changed. Say which nodes are lost for good: --lost NODES")?);
        }
        if going_on.is_empty() {
            return Err(Failure::new(Exit::Refused, "there is nothing that can go on from here; nothing was changed"));
        }
        output::line(&warning(&going_on, cluster.node, &lost))?;
        if !self.yes {
            return Ok(output::line("Nothing was changed. If this is what you want, say it again with --yes.")?);
        }
        for replica in &going_on {
            let group = name(replica.group);
            recovery.make_only_member(replica.group, &lost).with_context(|| format!("{group}: not recovered"))?;
            output::line(&format!("{group}: node {} is its only member", cluster.node))?;
        }
        let removals: Vec<_> = lost.iter().map(|node| format!("tidings cluster remove {node} --dead")).collect();
        Ok(output::line(&format!("\nStart this node. Once it serves:\n  {}", removals.join("\n  ")))?)
    }

    fn groups(&self, recovery: &Recovery) -> Result<BTreeSet<GroupId>, Error> {
        let mut chosen: BTreeSet<GroupId> = self.shards.iter().map(|shard| tidings_broker::group_of(*shard)).collect();
        if self.control_plane {
            chosen.insert(tidings_control_plane::GROUP);
        }
        if chosen.is_empty() {
            chosen.extend(recovery.groups()?);
        }
        Ok(chosen)
    }
}

impl Prospect {
    fn of(replica: Result<StoredReplica, Error>, me: NodeId, lost: &BTreeSet<NodeId>) -> Self {
        match replica {
            Err(Error::NoSuchGroup(_)) => Self::Stays(None, "this node has nothing of it".to_owned()),
            Err(error) => Self::Stays(None, error.to_string()),
            Ok(replica) if !replica.has_lost_quorum(lost) => {
                let reason = if lost.is_empty() { "" } else { "has a majority: it stays as it is" };
                Self::Stays(Some(replica), reason.to_owned())
            }
            Ok(replica) if !replica.members.contains_key(&me) || lost.contains(&me) => {
                Self::Stays(Some(replica), "this node is no member that is left: it stays as it is".to_owned())
            }
            Ok(replica) => Self::GoesOn(replica),
        }
    }

    fn going_on(&self) -> Option<&StoredReplica> {
        match self {
            Self::GoesOn(replica) => Some(replica),
            Self::Stays(..) => None,
        }
    }
}

fn name(group: GroupId) -> String {
    match group.0.checked_sub(tidings_broker::group_of(0).0) {
        _ if group == tidings_control_plane::GROUP => "control plane".to_owned(),
        Some(shard) if shard < MAX_SHARDS => format!("shard {shard}"),
        _ => format!("group {group}"),
    }
}

fn row(group: GroupId, prospect: &Prospect, lost: &BTreeSet<NodeId>) -> Vec<String> {
    let (replica, becomes) = match prospect {
        Prospect::GoesOn(replica) => (Some(replica), "goes on from here"),
        Prospect::Stays(replica, reason) => (replica.as_ref(), reason.as_str()),
    };
    let Some(replica) = replica else {
        return [name(group)].into_iter().chain(vec!["-".to_owned(); 6]).chain([becomes.to_owned()]).collect();
    };
    let voters: BTreeSet<NodeId> = replica.voters.iter().flatten().copied().collect();
    let learners = replica.members.iter().filter(|(_, member)| !member.is_voter).map(|(id, _)| *id).collect();
    vec![
        name(group),
        replica.term.to_string(),
        format!("{} of term {}", replica.last_log.1, replica.last_log.0),
        replica.applied.map_or_else(|| "-".to_owned(), |applied| applied.to_string()),
        list(&voters),
        list(&learners),
        format!("{} of {}", voters.intersection(lost).count(), voters.len()),
        becomes.to_owned(),
    ]
}

fn list(nodes: &BTreeSet<NodeId>) -> String {
    if nodes.is_empty() {
        return "-".to_owned();
    }
    nodes.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
}

/// What is lost, and what must not happen afterwards.
fn warning(going_on: &[&StoredReplica], me: NodeId, lost: &BTreeSet<NodeId>) -> String {
    let members: BTreeSet<NodeId> = going_on.iter().flat_map(|replica| replica.members.keys().copied()).collect();
    let left: BTreeSet<NodeId> = members.into_iter().filter(|id| *id != me && !lost.contains(id)).collect();
    let mut text = format!(
        "\nEverything that these logs hold is kept, also what was never acknowledged.\n\
         What only the lost nodes had is lost. It may have been acknowledged; how much it is cannot be known.\n\
         Nodes {} must never start again with the data that they had: they would go on as a second cluster.\n",
        list(lost)
    );
    if !left.is_empty() {
        text += &format!(
            "Nodes {} have replicas of these groups too: empty their data folders before they start again. Where one of \
             them has a later last entry, stop here and recover that one instead.\n",
            list(&left)
        );
    }
    text
}
