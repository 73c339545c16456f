//! The end of a group: at once for everybody who asks, in bounded steps for what is stored.

use tidings_consensus::StateStore;
use tidings_proto::group::v1::{Deleted, event};
use tidings_proto::registry::v1::{GroupOutcome, GroupPointer, GroupRecord};

use super::rules::Actor;
use super::{Apply, events, expiry_key, group_of, home_key, invites, members, stored};
use crate::registry::keys;
use crate::registry::record::encode;
use crate::registry::refusal::Refusal;
use crate::registry::sweep::Budget;

/// Deletes a group: from now on it is nobody's, and what is stored of it is swept.
pub fn delete(apply: &mut Apply<'_, '_>, record: GroupRecord, actor: &Actor) -> Result<GroupOutcome, Refusal> {
    actor.takes_owner()?;
    end(apply, record, actor.user())
}

/// Deletes a group whose time is over.
pub fn expire(apply: &mut Apply<'_, '_>, pointer: &GroupPointer) -> Result<(), Refusal> {
    match stored(&*apply.store, &pointer.app, &pointer.group)? {
        Some(record) if !record.deleting => end(apply, record, "").map(|_| ()),
        _ => Ok(()),
    }
}

fn end(apply: &mut Apply<'_, '_>, mut record: GroupRecord, actor: &str) -> Result<GroupOutcome, Refusal> {
    let group = group_of(&record);
    record.deleting = true;
    if group.expires_at_ms != 0 {
        apply.store.delete(&expiry_key(&group));
    }
    let pointer = GroupPointer { app: group.app.clone(), group: group.id.clone() };
    apply.store.put(keys::texts(keys::GROUP_DELETING, &[&group.app, &group.id]), encode(&pointer));
    events::put(apply, record, actor, event::Event::Deleted(Deleted {}), Vec::new())
}

/// Removes a part of what is stored of a group that is over, and when nothing is left, the group.
pub fn step(store: &mut dyn StateStore, pointer: &GroupPointer, budget: &mut Budget) -> Result<(), Refusal> {
    let place = [pointer.app.as_str(), pointer.group.as_str()];
    for user in budget.take_names(store, &keys::texts(keys::MEMBER, &place))? {
        members::erase(store, &pointer.app, &pointer.group, &user)?;
    }
    for code in budget.take_names(store, &keys::texts(keys::INVITE_OF_GROUP, &place))? {
        invites::erase(store, &pointer.app, &pointer.group, &code);
    }
    budget.erase(store, &keys::texts(keys::GROUP_EVENT, &place));
    if budget.is_left() {
        store.delete(&home_key(store, &pointer.app, &pointer.group)?);
        store.delete(&keys::texts(keys::GROUP, &place));
        store.delete(&keys::texts(keys::GROUP_DELETING, &place));
    }
    Ok(())
}

/// Removes a part of all groups of a deleted app; nobody is told of each, since the app's end says it.
pub fn of_app(store: &mut dyn StateStore, app: &str, budget: &mut Budget) -> Result<(), Refusal> {
    for record in budget.take::<GroupRecord>(store, &keys::texts(keys::GROUP, &[app]))? {
        let group = group_of(&record);
        store.delete(&home_key(store, app, &group.id)?);
        store.delete(&expiry_key(&group));
        store.delete(&keys::texts(keys::GROUP, &[app, &group.id]));
    }
    for kind in [
        keys::GROUP_EVENT,
        keys::GROUP_DELETING,
        keys::MEMBER,
        keys::MEMBERSHIP,
        keys::GROUPS_OF_USER,
        keys::INVITE,
        keys::INVITE_OF_GROUP,
    ] {
        budget.erase(store, &keys::texts(kind, &[app]));
    }
    Ok(())
}
