//! The cluster itself: its settings, its nodes, and the map of its shards.

use tidings_consensus::{ApplyContext, StateStore};
use tidings_proto::cluster::v1::{Node, NodeRole, ShardMap, ShardPlacement};
use tidings_proto::registry::v1::{Bootstrap, CreateApp, RegisterNode, SettingsRecord};

use super::changes::Changes;
use super::read::Read;
use super::record::encode;
use super::refusal::Refusal;
use super::{apps, keys};
use crate::placement::{self, Broker};

/// Nodes of one role, at most (promise 6).
pub const MAX_NODES: usize = 4096;

/// The settings, once the cluster was made.
pub fn settings<R: Read + ?Sized>(state: &R) -> Result<Option<SettingsRecord>, Refusal> {
    state.record(&keys::single(keys::SETTINGS))
}

/// The shard map; empty before the cluster was made.
pub fn shard_map<R: Read + ?Sized>(state: &R) -> Result<ShardMap, Refusal> {
    Ok(state.record(&keys::single(keys::SHARD_MAP))?.unwrap_or_default())
}

/// All nodes, by role and number.
pub fn nodes<R: Read + ?Sized>(state: &R) -> Result<Vec<Node>, Refusal> {
    of_prefix(state, &keys::single(keys::NODE))
}

fn of_role<R: Read + ?Sized>(state: &R, role: NodeRole) -> Result<Vec<Node>, Refusal> {
    of_prefix(state, &[&[keys::NODE], (role as i32).to_be_bytes().as_slice()].concat())
}

fn of_prefix<R: Read + ?Sized>(state: &R, prefix: &[u8]) -> Result<Vec<Node>, Refusal> {
    let found = state.records::<Node>(prefix, &keys::end_of(prefix), 4 * MAX_NODES)?;
    Ok(found.into_iter().map(|(_, node)| node).collect())
}

/// A node as it was registered.
pub fn node<R: Read + ?Sized>(state: &R, role: i32, id: u64) -> Result<Option<Node>, Refusal> {
    state.record(&keys::node(role, id))
}

/// Makes the settings, the app `default` and the map of unassigned shards. On a cluster that has them it changes
/// nothing but the replication, and refuses another number of shards: users would be looked for in the wrong ones.
pub fn bootstrap(
    store: &mut dyn StateStore,
    context: &ApplyContext,
    command: Bootstrap,
    changes: &mut Changes<'_>,
) -> Result<SettingsRecord, Refusal> {
    if let Some(mut found) = settings(store)? {
        if found.shards != command.shards {
            return Err(other_shards(found.shards, command.shards));
        }
        if found.replication != command.replication {
            found.replication = command.replication;
            store.put(keys::single(keys::SETTINGS), encode(&found));
            place(store, changes)?;
        }
        return Ok(found);
    }
    let Bootstrap { shards, replication } = command;
    let made = SettingsRecord { shards, replication, created_at_ms: context.now_ms };
    store.put(keys::single(keys::SETTINGS), encode(&made));
    let unassigned = (0..shards).map(|shard| ShardPlacement { shard, replicas: Vec::new() }).collect();
    let map = ShardMap { epoch: 1, shards: unassigned, nodes: Vec::new() };
    store.put(keys::single(keys::SHARD_MAP), encode(&map));
    if store.value(&keys::texts(keys::APP, &[apps::DEFAULT_APP]))?.is_none() {
        apps::create(store, context, CreateApp { id: apps::DEFAULT_APP.to_owned(), display_name: String::new() })?;
    }
    changes.shard_map(store)?;
    place(store, changes)?;
    Ok(made)
}

/// Why a cluster does not start with another number of shards than it was made with.
pub fn other_shards(made_with: u32, configured: u32) -> Refusal {
    Refusal::precondition(format!(
        "this cluster was made with {made_with} shards, which cannot be changed, and is configured with {configured}; \
         set [control_plane] shards = {made_with}"
    ))
}

/// Registers a node, or takes up what changed about it. An older incarnation than the registered one is refused: its
/// process was replaced (promise 5).
pub fn register(
    store: &mut dyn StateStore,
    context: &ApplyContext,
    command: RegisterNode,
    changes: &mut Changes<'_>,
) -> Result<Node, Refusal> {
    let mut node = command.node.ok_or_else(|| Refusal::invalid("node", "is missing"))?;
    let known = self::node(store, node.role, node.id)?;
    if let Some(known) = &known {
        check_incarnation(known, node.incarnation)?;
    } else if of_prefix(store, &[&[keys::NODE], node.role.to_be_bytes().as_slice()].concat())?.len() >= MAX_NODES {
        return Err(Refusal::precondition(format!("there are {MAX_NODES} nodes of this role, the most there may be")));
    }
    node.seen_at_ms = context.now_ms;
    store.put(keys::node(node.role, node.id), encode(&node));
    if node.role == NodeRole::Broker as i32 {
        place(store, changes)?;
    }
    Ok(node)
}

/// Refuses what comes from a process that was replaced by a newer one of the same node.
pub fn check_incarnation(known: &Node, incarnation: u64) -> Result<(), Refusal> {
    if incarnation < known.incarnation {
        let newer = known.incarnation;
        let message = format!("node {} was started anew: incarnation {newer} is after {incarnation}", known.id);
        return Err(Refusal::precondition(message));
    }
    Ok(())
}

/// Assigns shards to the brokers that there are, and takes up their addresses, if that changes the map.
fn place(store: &mut dyn StateStore, changes: &mut Changes<'_>) -> Result<(), Refusal> {
    let Some(settings) = settings(store)? else { return Ok(()) };
    let today = shard_map(store)?;
    let brokers = of_role(store, NodeRole::Broker)?;
    let candidates: Vec<Broker> = brokers.iter().map(|node| Broker { id: node.id, zone: node.zone.clone() }).collect();
    let replicas: Vec<Vec<u64>> = today.shards.iter().map(|placement| placement.replicas.clone()).collect();
    let next = placement::next(&candidates, &replicas, settings.replication as usize);

    let named = |id: u64| next.iter().any(|replicas| replicas.contains(&id));
    // The map changes when a broker moves or starts anew, not when it is merely seen again.
    let nodes = brokers.into_iter().filter(|node| named(node.id)).map(|node| Node { seen_at_ms: 0, ..node }).collect();
    let shards = today.shards.iter().zip(next).map(|(old, replicas)| ShardPlacement { shard: old.shard, replicas });
    let map = ShardMap { epoch: today.epoch, shards: shards.collect(), nodes };
    if map != today {
        store.put(keys::single(keys::SHARD_MAP), encode(&ShardMap { epoch: today.epoch + 1, ..map }));
        changes.shard_map(store)?;
    }
    Ok(())
}
