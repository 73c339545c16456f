//! Users who are deleted, and of whom the brokers may have something stored yet: an outbox that the leader works off.
//! As long as a user stands here there is no other one of the same id, and no other app of the same id.

use bytes::Bytes;
use tidings_consensus::StateStore;
use tidings_proto::registry::v1::{EndErasures, UserPointer};

use super::read::Read;
use super::record::encode;
use super::refusal::Refusal;
use super::{apps, cluster, keys};

/// From which level of the control plane on deleted users are erased.
pub const LEVEL: u32 = 4;
/// Users whom one command takes out, at most.
pub const MAX_ENDED: usize = 512;
/// Stands for the system of an app, which is no user and has scheduled messages.
const SYSTEM: &str = "";

/// A user was deleted.
pub fn begin(store: &mut dyn StateStore, app: &str, user: &str) -> Result<(), Refusal> {
    // A log of before leads to what it led to then.
    if cluster::settings(store)?.is_some_and(|settings| settings.level >= LEVEL) {
        let pointer = UserPointer { app: app.to_owned(), user: user.to_owned() };
        store.put(keys::texts(keys::ERASING, &[app, user]), encode(&pointer));
    }
    Ok(())
}

/// An app was deleted: so is its system.
pub fn begin_system(store: &mut dyn StateStore, app: &str) -> Result<(), Refusal> {
    begin(store, app, SYSTEM)
}

/// Whether this is the system of its app.
pub fn is_system(erasing: &UserPointer) -> bool {
    erasing.user == SYSTEM
}

/// Whether something may be stored of a user of this id who was deleted.
pub fn is_waiting<R: Read + ?Sized>(state: &R, app: &str, user: &str) -> Result<bool, Refusal> {
    Ok(state.value(&keys::texts(keys::ERASING, &[app, user]))?.is_some())
}

/// The same of any user of an app.
pub fn is_any_waiting<R: Read + ?Sized>(state: &R, app: &str) -> Result<bool, Refusal> {
    let of_app = keys::texts(keys::ERASING, &[app]);
    Ok(!state.range(&of_app, &keys::end_of(&of_app), 1)?.is_empty())
}

/// Some who wait behind a key, with their own.
pub fn page<R: Read + ?Sized>(state: &R, after: &[u8], limit: usize) -> Result<Vec<(Bytes, UserPointer)>, Refusal> {
    let from = if after.is_empty() { keys::single(keys::ERASING) } else { [after, &[0]].concat() };
    state.records(&from, &keys::end_of(&[keys::ERASING]), limit)
}

/// Nothing is stored of these users any more.
pub fn end(store: &mut dyn StateStore, command: EndErasures) -> Result<(), Refusal> {
    if command.users.len() > MAX_ENDED {
        return Err(Refusal::invalid("users", format!("are {}, more than {MAX_ENDED}", command.users.len())));
    }
    for UserPointer { app, user } in &command.users {
        store.delete(&keys::texts(keys::ERASING, &[app, user]));
    }
    for UserPointer { app, .. } in &command.users {
        apps::end_deleted(store, app)?;
    }
    Ok(())
}
