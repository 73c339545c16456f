//! The cluster itself: its settings, its nodes, and the map of its shards.

use tidings_consensus::{ApplyContext, StateStore};
use tidings_proto::ErrorCode;
use tidings_proto::cluster::v1::{Node, NodePhase, NodeRole, ShardMap, ShardPlacement};
use tidings_proto::registry::v1::{
    Bootstrap, CreateApp, PlaceShards, RegisterNode, RemoveNode, SetNodePhase, SettingsRecord,
};

use super::changes::Changes;
use super::read::Read;
use super::record::encode;
use super::refusal::Refusal;
use super::{apps, keys};

/// Nodes of one role, at most, removed ones included (promise 6).
pub const MAX_NODES: usize = 4096;

/// The settings, once the cluster was made.
pub fn settings<R: Read + ?Sized>(state: &R) -> Result<Option<SettingsRecord>, Refusal> {
    state.record(&keys::single(keys::SETTINGS))
}

/// Where a user or a group of an app is at home.
pub fn shard_of<R: Read + ?Sized>(state: &R, app: &str, id: &str) -> Result<u32, Refusal> {
    let founded = settings(state)?;
    let founded = founded.ok_or_else(|| Refusal::new(ErrorCode::Unavailable, "the cluster is being founded"))?;
    Ok(tidings_proto::shard::shard_of(app, id, founded.shards))
}

/// The shard map; empty before the cluster was made.
pub fn shard_map<R: Read + ?Sized>(state: &R) -> Result<ShardMap, Refusal> {
    Ok(state.record(&keys::single(keys::SHARD_MAP))?.unwrap_or_default())
}

/// All nodes, by role and number, but for removed ones.
pub fn nodes<R: Read + ?Sized>(state: &R) -> Result<Vec<Node>, Refusal> {
    let mut found = of_prefix(state, &keys::single(keys::NODE))?;
    found.retain(|node| node.phase() != NodePhase::Removed);
    Ok(found)
}

fn of_prefix<R: Read + ?Sized>(state: &R, prefix: &[u8]) -> Result<Vec<Node>, Refusal> {
    let found = state.records::<Node>(prefix, &keys::end_of(prefix), 4 * MAX_NODES)?;
    Ok(found.into_iter().map(|(_, node)| node).collect())
}

/// A node as it was registered, removed or not.
pub fn node<R: Read + ?Sized>(state: &R, role: i32, id: u64) -> Result<Option<Node>, Refusal> {
    state.record(&keys::node(role, id))
}

/// The level of brokers from which on they know contacts.
pub const BROKERS_WITH_CONTACTS: u32 = 4;

/// From which level on brokers erase users who were deleted.
pub const BROKERS_THAT_ERASE: u32 = 5;

/// From which level on brokers hand out what backends have stored nowhere.
pub const BROKERS_THAT_HAND_OUT: u32 = 5;

/// Up to which level every broker applies commands, as the shard map tells all of them.
pub fn brokers_level<R: Read + ?Sized>(state: &R) -> Result<u32, Refusal> {
    Ok(shard_map(state)?.nodes.iter().map(|node| node.level).min().unwrap_or(0))
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
        }
        return Ok(found);
    }
    let Bootstrap { shards, replication } = command;
    let made = SettingsRecord { shards, replication, created_at_ms: context.now_ms, level: 0 };
    store.put(keys::single(keys::SETTINGS), encode(&made));
    let unassigned = (0..shards).map(|shard| ShardPlacement { shard, ..ShardPlacement::default() }).collect();
    let map = ShardMap { epoch: 1, shards: unassigned, nodes: Vec::new() };
    store.put(keys::single(keys::SHARD_MAP), encode(&map));
    if store.value(&keys::texts(keys::APP, &[apps::DEFAULT_APP]))?.is_none() {
        apps::create(store, context, CreateApp { id: apps::DEFAULT_APP.to_owned(), display_name: String::new() })?;
    }
    changes.shard_map(store)?;
    put_map(store, map, changes)?;
    Ok(made)
}

/// Lets commands up to a level into the log. It never falls.
pub fn raise_level(store: &mut dyn StateStore, level: u32) -> Result<SettingsRecord, Refusal> {
    let mut settings = settings(store)?.ok_or_else(|| Refusal::precondition("the cluster is not made yet"))?;
    if level > settings.level {
        settings.level = level;
        store.put(keys::single(keys::SETTINGS), encode(&settings));
    }
    Ok(settings)
}

/// Why a cluster does not start with another number of shards than it was made with.
pub fn other_shards(made_with: u32, configured: u32) -> Refusal {
    Refusal::precondition(format!(
        "this cluster was made with {made_with} shards, which cannot be changed, and is configured with {configured}; \
         set [control_plane] shards = {made_with}"
    ))
}

/// Registers a node, or takes up what changed about it. Refused for an older process of the same node, and for one that
/// [lost its store](check_store).
pub fn register(
    store: &mut dyn StateStore,
    context: &ApplyContext,
    command: RegisterNode,
    changes: &mut Changes<'_>,
) -> Result<Node, Refusal> {
    let mut node = command.node.ok_or_else(|| Refusal::invalid("node", "is missing"))?;
    let known = self::node(store, node.role, node.id)?;
    node.set_phase(NodePhase::Active);
    if let Some(known) = &known {
        check_store(known, &node)?;
        check_incarnation(known, node.incarnation)?;
        if known.phase() == NodePhase::Draining {
            node.set_phase(NodePhase::Draining);
        }
    } else if of_prefix(store, &[&[keys::NODE], node.role.to_be_bytes().as_slice()].concat())?.len() >= MAX_NODES {
        return Err(Refusal::precondition(format!("there are {MAX_NODES} nodes of this role, the most there may be")));
    }
    node.seen_at_ms = context.now_ms;
    put_node(store, &node, changes)?;
    Ok(node)
}

/// Refuses what comes from a process that was replaced by a newer one of the same node (promise 5). A node that was
/// removed and comes with another store begins anew.
pub fn check_incarnation(known: &Node, incarnation: u64) -> Result<(), Refusal> {
    if incarnation < known.incarnation && known.phase() != NodePhase::Removed {
        let newer = known.incarnation;
        let message = format!("node {} was started anew: incarnation {newer} is after {incarnation}", known.id);
        return Err(Refusal::precondition(message));
    }
    Ok(())
}

/// Refuses a node that comes back without what it has promised to keep (promise 1), and one that was removed and comes
/// back with what it had then.
pub fn check_store(known: &Node, node: &Node) -> Result<(), Refusal> {
    let is_removed = known.phase() == NodePhase::Removed;
    if node.store != 0 && known.store == node.store && is_removed {
        let id = node.id;
        return Err(Refusal::precondition(format!(
            "node {id} was removed; it can come back with an empty data folder"
        )));
    }
    if known.store != 0 && known.store != node.store && !is_removed {
        let id = node.id;
        return Err(Refusal::precondition(format!(
            "node {id} comes with another data folder than it had: what the former held is lost to it. Where the former \
             will not come back, run `tidings cluster remove {id} --dead`; it then begins anew"
        )));
    }
    Ok(())
}

/// Takes up what the leader planned for the map as it is; refused when the map has changed since.
pub fn place(store: &mut dyn StateStore, command: PlaceShards, changes: &mut Changes<'_>) -> Result<u64, Refusal> {
    let today = shard_map(store)?;
    if command.epoch != today.epoch {
        let message = format!("the map has epoch {}, this was planned for {}", today.epoch, command.epoch);
        return Err(Refusal::precondition(message));
    }
    let mut next = today.clone();
    for planned in command.shards {
        let place = next.shards.iter_mut().find(|placement| placement.shard == planned.shard);
        let Some(place) = place else { return Err(Refusal::not_found(format!("shard {}", planned.shard))) };
        *place = planned;
    }
    put_map(store, next, changes)
}

/// Drains a node, calls it gone, or takes either back.
pub fn set_phase(
    store: &mut dyn StateStore,
    command: SetNodePhase,
    changes: &mut Changes<'_>,
) -> Result<Node, Refusal> {
    let mut node = registered(store, command.role, command.id)?;
    if command.phase() == NodePhase::Removed {
        return Err(Refusal::invalid("phase", "a node is removed by a command of its own"));
    }
    node.phase = command.phase;
    put_node(store, &node, changes)?;
    Ok(node)
}

/// Forgets a node. What stays is that it was removed, and with which store.
pub fn remove(store: &mut dyn StateStore, command: RemoveNode, changes: &mut Changes<'_>) -> Result<Node, Refusal> {
    let mut node = registered(store, command.role, command.id)?;
    let map = shard_map(store)?;
    let is_placed = map.shards.iter().any(|placement| placement.replicas.contains(&node.id));
    if node.role() == NodeRole::Broker && is_placed {
        return Err(Refusal::precondition(format!("the shard map still names broker {}", node.id)));
    }
    node.set_phase(NodePhase::Removed);
    put_node(store, &node, changes)?;
    Ok(node)
}

fn registered(store: &dyn StateStore, role: i32, id: u64) -> Result<Node, Refusal> {
    let found = node(store, role, id)?.filter(|node| node.phase() != NodePhase::Removed);
    found.ok_or_else(|| Refusal::not_found(format!("node {id}")))
}

fn put_node(store: &mut dyn StateStore, node: &Node, changes: &mut Changes<'_>) -> Result<(), Refusal> {
    store.put(keys::node(node.role, node.id), encode(node));
    if node.role() == NodeRole::Broker {
        let map = shard_map(store)?;
        put_map(store, map, changes)?;
    }
    Ok(())
}

/// Writes the map with the brokers that there are, as a new epoch where that differs from what is there.
fn put_map(store: &mut dyn StateStore, map: ShardMap, changes: &mut Changes<'_>) -> Result<u64, Refusal> {
    if settings(store)?.is_none() {
        return Ok(0);
    }
    let today = shard_map(store)?;
    // The map changes when a broker moves or starts anew, not when it is merely seen again.
    let brokers = nodes(store)?.into_iter().filter(|node| node.role() == NodeRole::Broker);
    let map = ShardMap { nodes: brokers.map(|node| Node { seen_at_ms: 0, ..node }).collect(), ..map };
    if map == today {
        return Ok(today.epoch);
    }
    let epoch = today.epoch + 1;
    store.put(keys::single(keys::SHARD_MAP), encode(&ShardMap { epoch, ..map }));
    changes.shard_map(store)?;
    Ok(epoch)
}
