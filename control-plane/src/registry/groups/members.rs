//! Who is in a group, and as what.

use std::collections::BTreeSet;

use tidings_consensus::StateStore;
use tidings_proto::group::v1::{Joined, Left, Member, MemberChange, Permission, Removed, Role, event};
use tidings_proto::registry::v1::{GroupCountRecord, GroupOutcome, GroupPointer, GroupRecord};

use super::rules::Actor;
use super::{Apply, MAX_NAMED, events, group_of, is_live, member, removal, stored};
use crate::registry::read::Read;
use crate::registry::record::encode;
use crate::registry::refusal::Refusal;
use crate::registry::{keys, users};

/// Members of a group, at most (promise 6).
pub const MAX_MEMBERS: u32 = 100_000;
/// Groups that a user is in, at most: deleting the user takes it out of all of them in one command (promise 6).
pub const MAX_GROUPS_OF_USER: u32 = 1_000;

/// A member that owns the group.
pub fn owner(user: &str) -> Member {
    Member { user: user.to_owned(), role: Role::Owner.into(), ..Member::default() }
}

/// Adds members; who is one already stays as it is.
pub fn add(
    apply: &mut Apply<'_, '_>,
    mut record: GroupRecord,
    actor: &Actor,
    wanted: Vec<Member>,
) -> Result<GroupOutcome, Refusal> {
    actor.takes(&record, Permission::Add)?;
    for member in &wanted {
        actor.may_grant(&record, member)?;
    }
    let names: Vec<String> = wanted.iter().map(|member| member.user.clone()).collect();
    let added = take_in(apply, &mut record, wanted)?;
    if added.is_empty() {
        return outcome(&*apply.store, record, &names);
    }
    let outcome = events::put(apply, record.clone(), actor.user(), joined(added), Vec::new())?;
    self::outcome(&*apply.store, GroupRecord { group: outcome.group, ..record }, &names)
}

/// The event that these are members now.
pub fn joined(members: Vec<Member>) -> event::Event {
    event::Event::Joined(Joined { members })
}

fn outcome(store: &dyn StateStore, record: GroupRecord, names: &[String]) -> Result<GroupOutcome, Refusal> {
    let group = group_of(&record);
    let mut members = Vec::new();
    for name in names {
        members.extend(member(store, &group.app, &group.id, name)?);
    }
    Ok(GroupOutcome { group: Some(group), members })
}

/// Writes those down who are no members yet, and counts them; answers them. Refuses all of them, before anything is
/// written, when one cannot be taken in.
pub fn take_in(
    apply: &mut Apply<'_, '_>,
    record: &mut GroupRecord,
    wanted: Vec<Member>,
) -> Result<Vec<Member>, Refusal> {
    if wanted.len() > MAX_NAMED + 1 {
        return Err(Refusal::invalid("members", format!("are {}, more than {MAX_NAMED}", wanted.len())));
    }
    let mut group = group_of(record);
    let (mut added, mut counts) = (Vec::new(), Vec::new());
    let mut named = BTreeSet::new();
    for member in wanted {
        if !named.insert(member.user.clone()) {
            return Err(Refusal::invalid("members", format!("{:?} is named twice", member.user)));
        }
        if self::member(&*apply.store, &group.app, &group.id, &member.user)?.is_some() {
            continue;
        }
        users::get(&*apply.store, &group.app, &member.user)?;
        let groups = groups_of(&*apply.store, &group.app, &member.user)?;
        if groups >= MAX_GROUPS_OF_USER {
            let message = format!("{:?} is in {MAX_GROUPS_OF_USER} groups, the most there may be", member.user);
            return Err(Refusal::precondition(message));
        }
        counts.push(groups + 1);
        added.push(Member { joined_at_ms: apply.context.now_ms, ..member });
    }
    let members = usize::try_from(group.members).unwrap_or(usize::MAX).saturating_add(added.len());
    group.members = match u32::try_from(members) {
        Ok(members) if members <= MAX_MEMBERS => members,
        _ => return Err(Refusal::precondition(format!("a group has {MAX_MEMBERS} members at most"))),
    };
    for (member, groups) in added.iter().zip(counts) {
        put(apply.store, &group.app, &group.id, member);
        let pointer = encode(&GroupPointer { app: group.app.clone(), group: group.id.clone() });
        apply.store.put(keys::texts(keys::MEMBERSHIP, &[&group.app, &member.user, &group.id]), pointer);
        put_groups_of(apply.store, &group.app, &member.user, groups);
        record.owners += u32::from(member.role() == Role::Owner);
    }
    record.group = Some(group);
    Ok(added)
}

/// A user goes by itself. An owner who is the last member ends the group: what users make does not stay when nobody is
/// there.
pub fn leave(apply: &mut Apply<'_, '_>, mut record: GroupRecord, actor: &Actor) -> Result<GroupOutcome, Refusal> {
    let Actor::Member(member) = actor else {
        return Err(Refusal::invalid("operation", "a backend is no member that could leave"));
    };
    let is_last_owner = member.role() == Role::Owner && record.owners == 1;
    if is_last_owner && group_of(&record).members > 1 {
        return Err(Refusal::precondition("the last owner makes another member owner first"));
    }
    if is_last_owner {
        return removal::delete(apply, record, actor);
    }
    take_out(apply.store, &mut record, member)?;
    let left = Left { user: member.user.clone() };
    events::put(apply, record, &member.user, event::Event::Left(left), Vec::new())
}

/// Removes members; who is none is passed over.
pub fn remove(
    apply: &mut Apply<'_, '_>,
    mut record: GroupRecord,
    actor: &Actor,
    names: &[String],
) -> Result<GroupOutcome, Refusal> {
    actor.takes(&record, Permission::Remove)?;
    if names.len() > MAX_NAMED {
        return Err(Refusal::invalid("users", format!("are {}, more than {MAX_NAMED}", names.len())));
    }
    let group = group_of(&record);
    let mut gone = Vec::new();
    for name in names.iter().collect::<BTreeSet<_>>() {
        if name == actor.user() {
            return Err(Refusal::invalid("users", "whoever acts leaves, and is not removed"));
        }
        if let Some(member) = member(&*apply.store, &group.app, &group.id, name)? {
            actor.is_above(&member)?;
            gone.push(member);
        }
    }
    if gone.is_empty() {
        return Ok(GroupOutcome { group: Some(group), members: Vec::new() });
    }
    for member in &gone {
        take_out(apply.store, &mut record, member)?;
    }
    let removed = Removed { users: gone.into_iter().map(|member| member.user).collect() };
    events::put(apply, record, actor.user(), event::Event::Removed(removed), Vec::new())
}

/// Gives a member another role or other permissions.
pub fn change(
    apply: &mut Apply<'_, '_>,
    mut record: GroupRecord,
    actor: &Actor,
    change: MemberChange,
) -> Result<GroupOutcome, Refusal> {
    actor.takes(&record, Permission::Manage)?;
    let group = group_of(&record);
    let found = member(&*apply.store, &group.app, &group.id, &change.user)?;
    let before =
        found.ok_or_else(|| Refusal::not_found(format!("member {:?} of the group {:?}", change.user, group.id)))?;
    actor.is_above(&before)?;
    let after = Member {
        role: change.role.unwrap_or(before.role),
        allow: change.allow.unwrap_or(before.allow),
        deny: change.deny.unwrap_or(before.deny),
        ..before.clone()
    };
    actor.may_grant(&record, &after)?;
    if after == before {
        return Ok(GroupOutcome { group: Some(group), members: vec![after] });
    }
    let (was_owner, is_owner) = (before.role() == Role::Owner, after.role() == Role::Owner);
    if was_owner && !is_owner && record.owners == 1 && *actor != Actor::Backend {
        return Err(Refusal::precondition("the last owner makes another member owner first"));
    }
    record.owners = record.owners + u32::from(is_owner) - u32::from(was_owner);
    put(apply.store, &group.app, &group.id, &after);
    events::put(apply, record, actor.user(), event::Event::Changed(after.clone()), vec![after])
}

/// Takes a user that is being deleted out of all its groups.
pub fn forget_user(apply: &mut Apply<'_, '_>, app: &str, user: &str) -> Result<(), Refusal> {
    let prefix = keys::texts(keys::MEMBERSHIP, &[app, user]);
    let pointers = apply.store.records(&prefix, &keys::end_of(&prefix), MAX_GROUPS_OF_USER as usize)?;
    for (_, GroupPointer { group: id, .. }) in pointers {
        let Some(found) = member(&*apply.store, app, &id, user)? else { continue };
        // A group that is over is being swept, with this member.
        let record = stored(&*apply.store, app, &id)?.filter(|record| is_live(record, apply.context.now_ms));
        let Some(mut record) = record else { continue };
        take_out(apply.store, &mut record, &found)?;
        let removed = Removed { users: vec![user.to_owned()] };
        events::put(apply, record, "", event::Event::Removed(removed), Vec::new())?;
    }
    Ok(())
}

fn take_out(store: &mut dyn StateStore, record: &mut GroupRecord, member: &Member) -> Result<(), Refusal> {
    let mut group = group_of(record);
    group.members = group.members.saturating_sub(1);
    record.owners = record.owners.saturating_sub(u32::from(member.role() == Role::Owner));
    erase(store, &group.app, &group.id, &member.user)?;
    record.group = Some(group);
    Ok(())
}

/// Removes what is written of a membership.
pub fn erase(store: &mut dyn StateStore, app: &str, group: &str, user: &str) -> Result<(), Refusal> {
    store.delete(&keys::texts(keys::MEMBER, &[app, group, user]));
    store.delete(&keys::texts(keys::MEMBERSHIP, &[app, user, group]));
    let groups = groups_of(store, app, user)?;
    put_groups_of(store, app, user, groups.saturating_sub(1));
    Ok(())
}

fn put(store: &mut dyn StateStore, app: &str, group: &str, member: &Member) {
    store.put(keys::texts(keys::MEMBER, &[app, group, &member.user]), encode(member));
}

fn groups_of<R: Read + ?Sized>(state: &R, app: &str, user: &str) -> Result<u32, Refusal> {
    let count = state.record::<GroupCountRecord>(&keys::texts(keys::GROUPS_OF_USER, &[app, user]))?;
    Ok(count.unwrap_or_default().groups)
}

fn put_groups_of(store: &mut dyn StateStore, app: &str, user: &str, groups: u32) {
    let key = keys::texts(keys::GROUPS_OF_USER, &[app, user]);
    if groups == 0 {
        store.delete(&key);
    } else {
        store.put(key, encode(&GroupCountRecord { groups }));
    }
}
