//! Apps: namespaces of users. Deleting one takes effect at once; what belonged to it is removed in bounded steps, and
//! its users are erased.

use tidings_consensus::{ApplyContext, StateStore};
use tidings_proto::ErrorCode;
use tidings_proto::registry::v1::{AppRecord, CreateApp, DeleteApp, UpdateApp};

use super::changes::Changes;
use super::read::Read;
use super::record::encode;
use super::refusal::Refusal;
use super::{erasures, keys, sweep};

/// The app of requests that name none.
pub const DEFAULT_APP: &str = "default";

/// The app of an id, where it exists and is not being deleted.
pub fn get<R: Read + ?Sized>(state: &R, id: &str) -> Result<AppRecord, Refusal> {
    let found = state.record::<AppRecord>(&keys::texts(keys::APP, &[id]))?;
    found.filter(|app| !app.deleting).ok_or_else(|| Refusal::not_found(format!("app {id:?}")))
}

/// Whether there is an app of this id that is not being deleted.
pub fn exists<R: Read + ?Sized>(state: &R, id: &str) -> Result<bool, Refusal> {
    match get(state, id) {
        Ok(_) => Ok(true),
        Err(refusal) if refusal.code == ErrorCode::NotFound => Ok(false),
        Err(refusal) => Err(refusal),
    }
}

/// Makes an app, or answers the same one.
pub fn create(store: &mut dyn StateStore, context: &ApplyContext, command: CreateApp) -> Result<AppRecord, Refusal> {
    let key = keys::texts(keys::APP, &[&command.id]);
    match store.record::<AppRecord>(&key)? {
        Some(found) if found.deleting => {
            return Err(Refusal::precondition(format!("app {:?} is still being deleted", command.id)));
        }
        Some(found) if found.display_name == command.display_name => return Ok(found),
        Some(_) => return Err(Refusal::already_exists(format!("app {:?}", command.id))),
        None => {}
    }
    let CreateApp { id, display_name } = command;
    let app = AppRecord { id, display_name, created_at_ms: context.now_ms, ..AppRecord::default() };
    store.put(key, encode(&app));
    Ok(app)
}

/// Changes the fields that are given.
pub fn update(store: &mut dyn StateStore, command: UpdateApp, changes: &mut Changes<'_>) -> Result<AppRecord, Refusal> {
    let mut app = get(store, &command.id)?;
    let was_inactive = app.inactive;
    if let Some(display_name) = command.display_name {
        app.display_name = display_name;
    }
    if let Some(active) = command.active {
        app.inactive = !active;
    }
    store.put(keys::texts(keys::APP, &[&app.id]), encode(&app));
    if app.inactive && !was_inactive {
        changes.app_deactivated(store, &app.id)?;
    }
    Ok(app)
}

/// Deletes an app: from now on its users, tokens and keys are good for nothing.
pub fn delete(store: &mut dyn StateStore, command: DeleteApp, changes: &mut Changes<'_>) -> Result<(), Refusal> {
    let mut app = get(store, &command.id)?;
    app.deleting = true;
    store.put(keys::texts(keys::APP, &[&app.id]), encode(&app));
    store.put(keys::texts(keys::APP_DELETING, &[&app.id]), encode(&app));
    erasures::begin_system(store, &app.id)?;
    changes.app(store, &app.id)?;
    sweep::deleted_app(store, &app.id, &mut sweep::Budget::of_one_command())
}

/// The id of a deleted app can be used again once nothing of it is left, here and with the brokers.
pub fn end_deleted(store: &mut dyn StateStore, id: &str) -> Result<(), Refusal> {
    let key = keys::texts(keys::APP, &[id]);
    let is_deleted = store.record::<AppRecord>(&key)?.is_some_and(|app| app.deleting);
    let is_swept = store.get(&keys::texts(keys::APP_DELETING, &[id])).is_none();
    if is_deleted && is_swept && !erasures::is_any_waiting(&*store, id)? {
        store.delete(&key);
    }
    Ok(())
}
