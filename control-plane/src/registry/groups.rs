//! Groups: their settings, and one way in for all that is done to them. A backend may everything; what a user may is
//! decided here, with the group as it is at this place of the log. Every change is an event in the group's own order,
//! which its home shard and its members follow.
//!
//! - [`members`]: who comes, goes, and becomes what; [`invites`]: joining by a code
//! - [`rules`]: what a user may do to whom
//! - [`events`]: the bounded log of a group's changes
//! - [`removal`]: the end of a group, step by step

pub mod events;
pub mod invites;
pub mod members;
pub mod removal;
pub mod rules;

use tidings_consensus::{ApplyContext, StateStore};
use tidings_proto::ErrorCode;
use tidings_proto::group::v1::operation::Operation as Op;
use tidings_proto::group::v1::{Create, Created, Group, Member, Permission, SettingsChange, event};
use tidings_proto::registry::v1::{ActOnGroup, GroupOutcome, GroupPointer, GroupRecord};
use tidings_proto::shard::shard_of;

use super::changes::Changes;
use super::read::Read;
use super::record::encode;
use super::refusal::Refusal;
use super::{apps, cluster, keys};
use rules::Actor;

/// Members that one operation names, at most: what it writes and what its event holds is bounded by it (promise 6).
pub const MAX_NAMED: usize = 1_000;

/// What a change of a group is applied with.
pub struct Apply<'a, 'c> {
    pub store: &'a mut dyn StateStore,
    pub context: &'a ApplyContext,
    pub changes: &'a mut Changes<'c>,
}

/// A group that exists, is not being deleted, and whose time is not over.
pub fn get<R: Read + ?Sized>(state: &R, app: &str, id: &str, now_ms: i64) -> Result<GroupRecord, Refusal> {
    apps::get(state, app)?;
    let found = stored(state, app, id)?.filter(|record| is_live(record, now_ms));
    found.ok_or_else(|| Refusal::not_found(format!("group {id:?} in app {app:?}")))
}

/// Whether a group is neither deleted nor over.
pub fn is_live(record: &GroupRecord, now_ms: i64) -> bool {
    let expires = record.group.as_ref().map_or(0, |group| group.expires_at_ms);
    !record.deleting && (expires == 0 || expires > now_ms)
}

/// A group's record, in whatever state it is.
pub fn stored<R: Read + ?Sized>(state: &R, app: &str, id: &str) -> Result<Option<GroupRecord>, Refusal> {
    state.record(&keys::texts(keys::GROUP, &[app, id]))
}

/// A record always holds its group.
pub fn group_of(record: &GroupRecord) -> Group {
    record.group.clone().unwrap_or_default()
}

/// Does what a backend (no actor) or a user asks for.
pub fn act(apply: &mut Apply<'_, '_>, command: ActOnGroup) -> Result<GroupOutcome, Refusal> {
    let ActOnGroup { app, group, actor, operation } = command;
    let operation = operation.and_then(|operation| operation.operation);
    let operation = operation.ok_or_else(|| Refusal::invalid("operation", "is missing or not known"))?;
    match operation {
        Op::Create(create) => self::create(apply, app, group, &actor, create),
        Op::Join(join) => invites::join(apply, &app, &actor, &join.code),
        operation => {
            let record = get(&*apply.store, &app, &group, apply.context.now_ms);
            let found = record.and_then(|record| Ok((Actor::of(&*apply.store, &app, &group, &actor)?, record)));
            let (actor, record) = match found {
                // Whoever left, and perhaps ended the group by it, and says so again has left.
                Err(refusal) if is_leave(&operation) && is_gone(refusal.code) => return Ok(GroupOutcome::default()),
                found => found?,
            };
            match operation {
                Op::Leave(_) => members::leave(apply, record, &actor),
                Op::Add(add) => members::add(apply, record, &actor, add.members),
                Op::Remove(remove) => members::remove(apply, record, &actor, &remove.users),
                Op::Member(change) => members::change(apply, record, &actor, change),
                Op::Settings(change) => settings(apply, record, &actor, change),
                Op::Delete(_) => removal::delete(apply, record, &actor),
                Op::Create(_) | Op::Join(_) => Err(Refusal::invalid("operation", "is not done to a group")),
            }
        }
    }
}

fn is_leave(operation: &Op) -> bool {
    matches!(operation, Op::Leave(_))
}

fn is_gone(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::NotAMember | ErrorCode::NotFound)
}

/// Makes a group, or answers the same one. A user that makes one is its owner.
fn create(
    apply: &mut Apply<'_, '_>,
    app: String,
    id: String,
    actor: &str,
    create: Create,
) -> Result<GroupOutcome, Refusal> {
    apps::get(&*apply.store, &app)?;
    let wanted = create.group.unwrap_or_default();
    let now_ms = apply.context.now_ms;
    if let Some(found) = stored(&*apply.store, &app, &id)? {
        if !is_live(&found, now_ms) {
            return Err(Refusal::precondition(format!("group {id:?} is still being deleted")));
        }
        return same(&*apply.store, found, actor, &wanted);
    }
    rules::plain_members_alone(actor, &create.members)?;
    let home = home_key(&*apply.store, &app, &id)?;
    let group = Group {
        app,
        id,
        created_at_ms: now_ms,
        updated_at_ms: now_ms,
        revision: events::revision(apply.context),
        members: 0,
        ..wanted
    };
    let mut record = GroupRecord { group: Some(group), ..GroupRecord::default() };
    let founder = (!actor.is_empty()).then(|| members::owner(actor)).into_iter();
    let added = members::take_in(apply, &mut record, founder.chain(create.members).collect())?;
    // Last, because whoever cannot be taken in leaves nothing behind.
    apply.store.put(home, pointer_of(&group_of(&record)));
    put_expiry(apply.store, &group_of(&record));
    let created = Created { group: record.group.clone(), members: added.clone() };
    events::put(apply, record, actor, event::Event::Created(created), added)
}

/// What a repeated creation is answered with.
fn same(store: &dyn StateStore, found: GroupRecord, actor: &str, wanted: &Group) -> Result<GroupOutcome, Refusal> {
    let group = group_of(&found);
    let chosen = |group: &Group| Group {
        display_name: group.display_name.clone(),
        attributes: group.attributes.clone(),
        kind: group.kind,
        paused: group.paused,
        expires_at_ms: group.expires_at_ms,
        member_permissions: group.member_permissions,
        ..Group::default()
    };
    let is_ours =
        actor.is_empty() || Actor::of(store, &group.app, &group.id, actor).is_ok_and(|actor| actor.is_owner());
    if !is_ours || chosen(&group) != chosen(wanted) {
        return Err(Refusal::already_exists(format!("group {:?}", group.id)));
    }
    Ok(GroupOutcome { group: Some(group), members: Vec::new() })
}

fn pointer_of(group: &Group) -> bytes::Bytes {
    encode(&GroupPointer { app: group.app.clone(), group: group.id.clone() })
}

/// Notes when a group ends, if it does.
fn put_expiry(store: &mut dyn StateStore, group: &Group) {
    if group.expires_at_ms != 0 {
        store.put(expiry_key(group), pointer_of(group));
    }
}

/// Under which a group is found by its home shard.
pub fn home_key<R: Read + ?Sized>(state: &R, app: &str, id: &str) -> Result<Vec<u8>, Refusal> {
    let settings = cluster::settings(state)?;
    let settings = settings.ok_or_else(|| Refusal::precondition("the cluster is not made yet"))?;
    Ok(keys::of_shard(keys::GROUP_BY_SHARD, shard_of(app, id, settings.shards), &[app, id]))
}

fn expiry_key(group: &Group) -> Vec<u8> {
    keys::due(keys::GROUP_SWEEP, group.expires_at_ms, &keys::texts(keys::GROUP, &[&group.app, &group.id]))
}

/// Changes the fields that are given.
fn settings(
    apply: &mut Apply<'_, '_>,
    mut record: GroupRecord,
    actor: &Actor,
    change: SettingsChange,
) -> Result<GroupOutcome, Refusal> {
    actor.takes(&record, Permission::Manage)?;
    let before = group_of(&record);
    let mut group = before.clone();
    if let Some(display_name) = change.display_name {
        group.display_name = display_name;
    }
    if let Some(attributes) = change.attributes {
        group.attributes = attributes.entries;
    }
    if let Some(kind) = change.kind {
        group.kind = kind;
    }
    if let Some(paused) = change.paused {
        group.paused = paused;
    }
    if let Some(expires_at_ms) = change.expires_at_ms {
        group.expires_at_ms = expires_at_ms;
    }
    if let Some(permissions) = change.member_permissions {
        group.member_permissions = permissions.bits;
    }
    if group == before {
        return Ok(GroupOutcome { group: Some(group), members: Vec::new() });
    }
    if group.expires_at_ms != before.expires_at_ms {
        if before.expires_at_ms != 0 {
            apply.store.delete(&expiry_key(&before));
        }
        put_expiry(apply.store, &group);
    }
    group.updated_at_ms = apply.context.now_ms;
    // The event says under which revision it stands, as the record will.
    group.revision = events::revision(apply.context);
    record.group = Some(group.clone());
    events::put(apply, record, actor.user(), event::Event::Settings(group), Vec::new())
}

/// A member's record.
pub fn member<R: Read + ?Sized>(state: &R, app: &str, group: &str, user: &str) -> Result<Option<Member>, Refusal> {
    state.record(&keys::texts(keys::MEMBER, &[app, group, user]))
}
