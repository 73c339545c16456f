//! Keys with which backends and operators call, stored by the hash of their secret, scoped to an app or to all.

use tidings_consensus::{ApplyContext, StateStore};
use tidings_proto::ErrorCode;
use tidings_proto::registry::v1::{ApiKeyPointer, ApiKeyRecord, CreateApiKey, RevokeApiKey};

use super::read::Read;
use super::record::encode;
use super::refusal::Refusal;
use super::tokens::TOMBSTONE_MS;
use super::{apps, keys};

/// Keys of one scope that are not revoked, at most (promise 6).
pub const MAX_LIVE_KEYS: usize = 100;
/// Keys of one scope of every state, at most; the oldest revoked one makes room.
pub const MAX_KEYS: usize = 300;
/// The app of an operator's key.
pub const OPERATOR: &str = "";

/// The key of a secret, by its hash, where it is good.
pub fn authenticate<R: Read + ?Sized>(state: &R, hash: &[u8]) -> Result<ApiKeyRecord, Refusal> {
    let unknown = |message: &str| Refusal::new(ErrorCode::ApiKeyUnknown, message);
    let found = by_pointer(state, &keys::hash(keys::API_KEY_BY_HASH, hash))?;
    let key = found.ok_or_else(|| unknown("no API key has this secret"))?;
    if key.revoked_at_ms != 0 {
        return Err(unknown("the API key was revoked"));
    }
    if key.app != OPERATOR {
        match apps::get(state, &key.app) {
            Err(refusal) if refusal.code == ErrorCode::NotFound => {
                return Err(unknown("the API key's app was deleted"));
            }
            other => other?,
        };
    }
    Ok(key)
}

/// A key by its id.
pub fn get<R: Read + ?Sized>(state: &R, id: &str) -> Result<ApiKeyRecord, Refusal> {
    let found = match keys::numbered(keys::API_KEY_BY_ID, &[], id) {
        Some(key) => by_pointer(state, &key)?,
        None => None,
    };
    found.ok_or_else(|| Refusal::not_found(format!("API key {id:?}")))
}

fn by_pointer<R: Read + ?Sized>(state: &R, pointer: &[u8]) -> Result<Option<ApiKeyRecord>, Refusal> {
    let Some(pointer) = state.record::<ApiKeyPointer>(pointer)? else { return Ok(None) };
    match keys::numbered(keys::API_KEY, &[&pointer.app], &pointer.id) {
        Some(key) => state.record(&key),
        None => Ok(None),
    }
}

/// Makes a key; or gives the key of a repeated request the new secret, or makes another in its place.
pub fn create(
    store: &mut dyn StateStore,
    context: &ApplyContext,
    command: CreateApiKey,
) -> Result<ApiKeyRecord, Refusal> {
    if command.app != OPERATOR {
        apps::get(store, &command.app)?;
    }
    if command.hash.len() != keys::HASH_BYTES {
        return Err(Refusal::invalid("hash", "is no SHA-256"));
    }
    if let Some(found) = by_pointer(store, &keys::hash(keys::API_KEY_BY_HASH, &command.hash))? {
        let same = found.app == command.app && found.revoked_at_ms == 0;
        return if same { Ok(found) } else { Err(Refusal::precondition("the secret is in use")) };
    }
    let named = match command.request_id.as_str() {
        "" => None,
        request_id => by_pointer(store, &request_key(&command.app, request_id))?,
    };
    match named {
        Some(found) if !command.replace => return renew(store, found, command),
        Some(found) => {
            make_room(store, &command.app, usize::from(found.revoked_at_ms == 0))?;
            give_way(store, context, &command)?;
        }
        None => make_room(store, &command.app, 0)?,
    }
    let CreateApiKey { app, display_name, request_id, hash, .. } = command;
    let id = format!("{}.{}", context.index, context.ordinal);
    let key = ApiKeyRecord { id, app, display_name, hash, created_at_ms: context.now_ms, revoked_at_ms: 0, request_id };
    put(store, &key);
    Ok(key)
}

fn renew(store: &mut dyn StateStore, mut key: ApiKeyRecord, command: CreateApiKey) -> Result<ApiKeyRecord, Refusal> {
    if key.display_name != command.display_name {
        return Err(Refusal::already_exists(format!("the API key of request {:?}", command.request_id)));
    }
    if key.revoked_at_ms != 0 {
        return Err(Refusal::precondition(format!("the API key of request {:?} was revoked", command.request_id)));
    }
    remove(store, &key);
    key.hash = command.hash;
    put(store, &key);
    Ok(key)
}

/// Revokes the key of a request, whose id goes over to the key that comes in its place.
fn give_way(store: &mut dyn StateStore, context: &ApplyContext, command: &CreateApiKey) -> Result<(), Refusal> {
    // Looked up again: a dead one may just have made room.
    if let Some(mut found) = by_pointer(store, &request_key(&command.app, &command.request_id))? {
        remove(store, &found);
        found.request_id.clear();
        if found.revoked_at_ms == 0 {
            found.revoked_at_ms = revocation_time(context);
        }
        put(store, &found);
    }
    Ok(())
}

/// Refuses one live key too many, and removes the oldest dead ones at the limit. `leaving` live ones are about to go.
fn make_room(store: &mut dyn StateStore, app: &str, leaving: usize) -> Result<(), Refusal> {
    let found = of_app(store, app)?;
    if found.iter().filter(|key| key.revoked_at_ms == 0).count() >= MAX_LIVE_KEYS + leaving {
        let message =
            format!("there are {MAX_LIVE_KEYS} live API keys of this scope, the most there may be; revoke one");
        return Err(Refusal::precondition(message));
    }
    let surplus = (found.len() + 1).saturating_sub(MAX_KEYS);
    for key in found.iter().filter(|key| key.revoked_at_ms != 0).take(surplus) {
        remove(store, key);
    }
    Ok(())
}

/// Revokes a key. The last operator's key stays: without it nobody could make another.
pub fn revoke(
    store: &mut dyn StateStore,
    context: &ApplyContext,
    command: RevokeApiKey,
) -> Result<ApiKeyRecord, Refusal> {
    let mut key = get(store, &command.id)?;
    if key.revoked_at_ms != 0 {
        return Ok(key);
    }
    if key.app == OPERATOR && live_operator_keys(store)? == 1 {
        return Err(Refusal::precondition("this is the last operator key; make another first"));
    }
    mark_revoked(store, context, &mut key);
    Ok(key)
}

/// How many operator's keys are good.
pub fn live_operator_keys<R: Read + ?Sized>(state: &R) -> Result<usize, Refusal> {
    Ok(of_app(state, OPERATOR)?.iter().filter(|key| key.revoked_at_ms == 0).count())
}

fn of_app<R: Read + ?Sized>(state: &R, app: &str) -> Result<Vec<ApiKeyRecord>, Refusal> {
    let from = keys::texts(keys::API_KEY, &[app]);
    let found = state.records::<ApiKeyRecord>(&from, &keys::end_of(&from), MAX_KEYS + 1)?;
    Ok(found.into_iter().map(|(_, key)| key).collect())
}

fn mark_revoked(store: &mut dyn StateStore, context: &ApplyContext, key: &mut ApiKeyRecord) {
    remove(store, key);
    key.revoked_at_ms = revocation_time(context);
    put(store, key);
}

/// Now; but 0 says "not revoked", also where a test's clock stands at the epoch.
fn revocation_time(context: &ApplyContext) -> i64 {
    context.now_ms.max(1)
}

fn request_key(app: &str, request_id: &str) -> Vec<u8> {
    keys::texts(keys::API_KEY_BY_REQUEST, &[app, request_id])
}

fn sweep_key(key: &ApiKeyRecord) -> Option<Vec<u8>> {
    let due_ms = key.revoked_at_ms.saturating_add(TOMBSTONE_MS);
    let what = keys::texts(keys::API_KEY, &[&key.app, &key.id]);
    (key.revoked_at_ms != 0).then(|| keys::due(keys::API_KEY_SWEEP, due_ms, &what))
}

fn put(store: &mut dyn StateStore, key: &ApiKeyRecord) {
    const OURS: &str = "an API key's id is made from a place in the log";
    let pointer = ApiKeyPointer { app: key.app.clone(), id: key.id.clone() };
    store.put(keys::numbered(keys::API_KEY, &[&key.app], &key.id).expect(OURS), encode(key));
    store.put(keys::numbered(keys::API_KEY_BY_ID, &[], &key.id).expect(OURS), encode(&pointer));
    store.put(keys::hash(keys::API_KEY_BY_HASH, &key.hash), encode(&pointer));
    if !key.request_id.is_empty() {
        store.put(request_key(&key.app, &key.request_id), encode(&pointer));
    }
    if let Some(due) = sweep_key(key) {
        store.put(due, encode(&pointer));
    }
}

/// Removes a key with all that points to it.
pub fn remove(store: &mut dyn StateStore, key: &ApiKeyRecord) {
    for place in [
        keys::numbered(keys::API_KEY, &[&key.app], &key.id),
        keys::numbered(keys::API_KEY_BY_ID, &[], &key.id),
        Some(keys::hash(keys::API_KEY_BY_HASH, &key.hash)),
        sweep_key(key),
    ] {
        place.iter().for_each(|place| store.delete(place));
    }
    if !key.request_id.is_empty() {
        store.delete(&request_key(&key.app, &key.request_id));
    }
}
