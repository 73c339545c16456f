//! Users of an app.

use tidings_consensus::{ApplyContext, StateStore};
use tidings_proto::ErrorCode;
use tidings_proto::effective_policy::DEFAULT_POLICY;
use tidings_proto::registry::v1::{CreateUser, DeleteUser, UpdateUser, UserRecord};

use super::changes::Changes;
use super::groups::{self, members};
use super::read::Read;
use super::record::encode;
use super::refusal::Refusal;
use super::{apps, erasures, keys, policies, tokens};

/// A user of an app, if both exist.
pub fn find<R: Read + ?Sized>(state: &R, app: &str, id: &str) -> Result<Option<UserRecord>, Refusal> {
    if apps::exists(state, app)? { state.record(&keys::texts(keys::USER, &[app, id])) } else { Ok(None) }
}

/// A user that must exist.
pub fn get<R: Read + ?Sized>(state: &R, app: &str, id: &str) -> Result<UserRecord, Refusal> {
    apps::get(state, app)?;
    let found = state.record(&keys::texts(keys::USER, &[app, id]))?;
    found.ok_or_else(|| Refusal::not_found(format!("user {id:?} in app {app:?}")))
}

/// Whether a user is let in: it is active, and so is its app.
pub fn is_let_in<R: Read + ?Sized>(state: &R, user: &UserRecord) -> Result<bool, Refusal> {
    Ok(user.active && !apps::get(state, &user.app)?.inactive)
}

/// Makes a user, or answers the same one.
pub fn create(
    store: &mut dyn StateStore,
    context: &ApplyContext,
    command: CreateUser,
    changes: &mut Changes<'_>,
) -> Result<UserRecord, Refusal> {
    if let Some(found) = find(store, &command.app, &command.id)? {
        let goes_by_it = command.policy.is_empty() || as_stored(&command.policy) == found.policy;
        if found.display_name == command.display_name && found.attributes == command.attributes && goes_by_it {
            return Ok(found);
        }
        return Err(Refusal::already_exists(format!("user {:?}", command.id)));
    }
    apps::get(store, &command.app)?;
    if erasures::is_waiting(store, &command.app, &command.id)? {
        let message = format!("user {:?} was deleted, and is not erased everywhere yet", command.id);
        return Err(Refusal::new(ErrorCode::Unavailable, message));
    }
    let CreateUser { app, id, display_name, attributes, policy } = command;
    let policy = known_policy(store, &app, &policy)?;
    let (created_at_ms, updated_at_ms, active) = (context.now_ms, context.now_ms, true);
    let user = UserRecord { app, id, display_name, attributes, active, created_at_ms, updated_at_ms, policy };
    put(store, &user);
    policies::assign(store, &user.app, &user.id, "", &user.policy);
    changes.user(store, &user)?;
    Ok(user)
}

/// Changes the fields that are given.
pub fn update(
    store: &mut dyn StateStore,
    context: &ApplyContext,
    command: UpdateUser,
    changes: &mut Changes<'_>,
) -> Result<UserRecord, Refusal> {
    let mut user = get(store, &command.app, &command.id)?;
    let before = user.clone();
    if let Some(policy) = command.policy {
        user.policy = known_policy(store, &user.app, &policy)?;
    }
    if let Some(display_name) = command.display_name {
        user.display_name = display_name;
    }
    if let Some(attributes) = command.attributes {
        user.attributes = attributes.entries;
    }
    if let Some(active) = command.active {
        user.active = active;
    }
    user.updated_at_ms = context.now_ms;
    put(store, &user);
    if user.policy != before.policy {
        policies::assign(store, &user.app, &user.id, &before.policy, &user.policy);
    }
    if (user.active, &user.policy) != (before.active, &before.policy) {
        changes.user(store, &user)?;
    }
    Ok(user)
}

/// Deletes a user and revokes its tokens, which stay revoked should the id be used again: once the user is erased.
pub fn delete(
    store: &mut dyn StateStore,
    context: &ApplyContext,
    command: DeleteUser,
    changes: &mut Changes<'_>,
) -> Result<(), Refusal> {
    let user = get(store, &command.app, &command.id)?;
    tokens::revoke_all(store, context, &user.app, &user.id)?;
    members::forget_user(&mut groups::Apply { store, context, changes }, &user.app, &user.id)?;
    remove(store, &user)?;
    changes.user_deleted(store, &user.app, &user.id)
}

/// Removes the record and what was noted about it, and has the user erased.
pub fn remove(store: &mut dyn StateStore, user: &UserRecord) -> Result<(), Refusal> {
    policies::assign(store, &user.app, &user.id, &user.policy, "");
    store.delete(&keys::texts(keys::USER, &[&user.app, &user.id]));
    erasures::begin(store, &user.app, &user.id)
}

/// A policy that there is, as it is stored.
fn known_policy(store: &dyn StateStore, app: &str, policy: &str) -> Result<String, Refusal> {
    match as_stored(policy) {
        "" => Ok(String::new()),
        id => policies::get(store, app, id).map(|found| found.id),
    }
}

/// The policy `default` is the empty text.
fn as_stored(policy: &str) -> &str {
    if policy == DEFAULT_POLICY { "" } else { policy }
}

fn put(store: &mut dyn StateStore, user: &UserRecord) {
    store.put(keys::texts(keys::USER, &[&user.app, &user.id]), encode(user));
}
