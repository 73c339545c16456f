//! Joining a group by a code that its members or a backend give out.

use tidings_consensus::{ApplyContext, StateStore};
use tidings_proto::group::v1::{Invite, Member, Permission};
use tidings_proto::registry::v1::{CreateInvite, DeleteInvite, Done, GroupOutcome, GroupRecord};

use super::rules::Actor;
use super::{Apply, events, get, group_of, member, members};
use crate::registry::keys;
use crate::registry::read::Read;
use crate::registry::record::encode;
use crate::registry::refusal::Refusal;

/// Invitations of one group, at most; the used up and expired ones count until they are deleted (promise 6).
pub const MAX_INVITES: u32 = 100;

/// Makes an invitation, or answers the same one.
pub fn create(store: &mut dyn StateStore, context: &ApplyContext, command: CreateInvite) -> Result<Invite, Refusal> {
    let wanted = command.invite.ok_or_else(|| Refusal::invalid("invite", "is missing"))?;
    let mut record = get(store, &wanted.app, &wanted.group, context.now_ms)?;
    let actor = Actor::of(store, &wanted.app, &wanted.group, &wanted.created_by)?;
    actor.takes(&record, Permission::Add)?;
    actor.may_grant(&record, &guest("", &wanted, 0))?;
    if let Some(found) = by_code(store, &wanted.app, &wanted.code)? {
        let same = Invite { uses: found.uses, created_at_ms: found.created_at_ms, ..wanted } == found;
        return if same { Ok(found) } else { Err(Refusal::already_exists("an invitation of this code")) };
    }
    if record.invites >= MAX_INVITES {
        return Err(Refusal::precondition(format!("the group has {MAX_INVITES} invitations, the most there may be")));
    }
    record.invites += 1;
    let invite = Invite { uses: 0, created_at_ms: context.now_ms, ..wanted };
    put(store, &invite);
    store.put(keys::texts(keys::INVITE_OF_GROUP, &[&invite.app, &invite.group, &invite.code]), encode(&Done {}));
    put_record(store, &record);
    Ok(invite)
}

/// Deletes an invitation; nobody joins by it any more.
pub fn delete(store: &mut dyn StateStore, context: &ApplyContext, command: DeleteInvite) -> Result<(), Refusal> {
    let mut record = get(store, &command.app, &command.group, context.now_ms)?;
    let found = by_code(store, &command.app, &command.code)?.filter(|invite| invite.group == command.group);
    let invite = found.ok_or_else(no_such_code)?;
    record.invites = record.invites.saturating_sub(1);
    erase(store, &invite.app, &invite.group, &invite.code);
    put_record(store, &record);
    Ok(())
}

/// A user joins the group of a code. A code that is not good (any more) is not told from one that never was.
pub fn join(apply: &mut Apply<'_, '_>, app: &str, user: &str, code: &str) -> Result<GroupOutcome, Refusal> {
    if user.is_empty() {
        return Err(Refusal::invalid("actor", "a backend adds members, and does not join"));
    }
    let now_ms = apply.context.now_ms;
    let mut invite = by_code(&*apply.store, app, code)?.ok_or_else(no_such_code)?;
    let mut record = get(&*apply.store, app, &invite.group, now_ms).map_err(|_| no_such_code())?;
    if let Some(known) = member(&*apply.store, app, &invite.group, user)? {
        return Ok(GroupOutcome { group: record.group, members: vec![known] });
    }
    let is_over = invite.expires_at_ms != 0 && invite.expires_at_ms <= now_ms;
    let is_used_up = invite.max_uses != 0 && invite.uses >= invite.max_uses;
    if is_over || is_used_up {
        return Err(no_such_code());
    }
    let joined = members::take_in(apply, &mut record, vec![guest(user, &invite, now_ms)])?;
    invite.uses = invite.uses.saturating_add(1);
    put(apply.store, &invite);
    events::put(apply, record, user, members::joined(joined.clone()), joined)
}

fn guest(user: &str, invite: &Invite, joined_at_ms: i64) -> Member {
    Member { user: user.to_owned(), allow: invite.allow, deny: invite.deny, joined_at_ms, ..Member::default() }
}

/// The invitation of a code.
pub fn by_code<R: Read + ?Sized>(state: &R, app: &str, code: &str) -> Result<Option<Invite>, Refusal> {
    state.record(&keys::texts(keys::INVITE, &[app, code]))
}

/// All invitations of a group.
pub fn of_group<R: Read + ?Sized>(state: &R, app: &str, group: &str) -> Result<Vec<Invite>, Refusal> {
    let prefix = keys::texts(keys::INVITE_OF_GROUP, &[app, group]);
    let found = state.range(&prefix, &keys::end_of(&prefix), MAX_INVITES as usize)?;
    let codes = found.into_iter().filter_map(|(key, _)| keys::last_text(&key, &prefix));
    // One that goes in between is no longer there.
    codes.filter_map(|code| by_code(state, app, &code).transpose()).collect()
}

/// Removes what is written of an invitation.
pub fn erase(store: &mut dyn StateStore, app: &str, group: &str, code: &str) {
    store.delete(&keys::texts(keys::INVITE, &[app, code]));
    store.delete(&keys::texts(keys::INVITE_OF_GROUP, &[app, group, code]));
}

fn no_such_code() -> Refusal {
    Refusal::not_found("invitation of this code, or it is over")
}

fn put(store: &mut dyn StateStore, invite: &Invite) {
    store.put(keys::texts(keys::INVITE, &[&invite.app, &invite.code]), encode(invite));
}

fn put_record(store: &mut dyn StateStore, record: &GroupRecord) {
    let group = group_of(record);
    store.put(keys::texts(keys::GROUP, &[&group.app, &group.id]), encode(record));
}
