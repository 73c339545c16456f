//! How the commands of release 0.1 are applied, as long as there are logs that hold them: exactly as 0.1 applied them.
//!
//! In 0.1 the registry placed shards by itself whenever a broker registered; since format 2 the leader plans, and the
//! registry only writes down (decision 0006). A log of 0.1 is applied again after a crash and by every node that joins,
//! and it must lead to the map that it led to then: a shard's data is where that map says. All other commands of format
//! 1 are applied like those of today. Nothing here may change; it may go with the last release that opens a store of
//! 0.1.

mod placement;

use tidings_consensus::{ApplyContext, StateStore};
use tidings_proto::cluster::v1::{Node, NodeRole, ShardMap, ShardPlacement};
use tidings_proto::registry::v1::{Bootstrap, RegisterNode, SettingsRecord};

use super::changes::Changes;
use super::cluster::{self, MAX_NODES, check_incarnation, settings, shard_map};
use super::keys;
use super::read::Read;
use super::record::encode;
use super::refusal::Refusal;
use placement::Broker;

/// As [`cluster::bootstrap`], and places what lacks replicas.
pub fn bootstrap(
    store: &mut dyn StateStore,
    context: &ApplyContext,
    command: Bootstrap,
    changes: &mut Changes<'_>,
) -> Result<SettingsRecord, Refusal> {
    let found = settings(store)?;
    let made = cluster::bootstrap(store, context, command, changes)?;
    if found.as_ref() != Some(&made) {
        place(store, changes)?;
    }
    Ok(made)
}

/// As [`cluster::register`], before nodes had stores and phases; and places what lacks replicas.
pub fn register(
    store: &mut dyn StateStore,
    context: &ApplyContext,
    command: RegisterNode,
    changes: &mut Changes<'_>,
) -> Result<Node, Refusal> {
    let mut node = command.node.ok_or_else(|| Refusal::invalid("node", "is missing"))?;
    let known = cluster::node(store, node.role, node.id)?;
    if let Some(known) = &known {
        check_incarnation(known, node.incarnation)?;
    } else if of_role(store, node.role)?.len() >= MAX_NODES {
        return Err(Refusal::precondition(format!("there are {MAX_NODES} nodes of this role, the most there may be")));
    }
    node.seen_at_ms = context.now_ms;
    store.put(keys::node(node.role, node.id), encode(&node));
    if node.role() == NodeRole::Broker {
        place(store, changes)?;
    }
    Ok(node)
}

fn of_role(store: &dyn StateStore, role: i32) -> Result<Vec<Node>, Refusal> {
    let prefix = [&[keys::NODE], role.to_be_bytes().as_slice()].concat();
    let found = store.records(&prefix, &keys::end_of(&prefix), usize::MAX)?;
    Ok(found.into_iter().map(|(_, node)| node).collect())
}

/// Assigns shards to the brokers that there are, and takes up their addresses, if that changes the map.
fn place(store: &mut dyn StateStore, changes: &mut Changes<'_>) -> Result<(), Refusal> {
    let Some(settings) = settings(store)? else { return Ok(()) };
    let today = shard_map(store)?;
    let brokers = of_role(store, NodeRole::Broker.into())?;
    let candidates: Vec<Broker> = brokers.iter().map(|node| Broker { id: node.id, zone: node.zone.clone() }).collect();
    let replicas: Vec<Vec<u64>> = today.shards.iter().map(|placement| placement.replicas.clone()).collect();
    let next = placement::next(&candidates, &replicas, settings.replication as usize);

    let named = |id: u64| next.iter().any(|replicas| replicas.contains(&id));
    let nodes = brokers.into_iter().filter(|node| named(node.id)).map(|node| Node { seen_at_ms: 0, ..node }).collect();
    // 0.1 named no founders: its brokers founded what the map placed on them alone.
    let placed = |(old, replicas): (&ShardPlacement, _)| ShardPlacement { replicas, ..old.clone() };
    let map = ShardMap { epoch: today.epoch, shards: today.shards.iter().zip(next).map(placed).collect(), nodes };
    if map != today {
        store.put(keys::single(keys::SHARD_MAP), encode(&ShardMap { epoch: today.epoch + 1, ..map }));
        changes.shard_map(store)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
