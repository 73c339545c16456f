//! Users' tokens, stored by the hash of their secret. A revoked or expired token stays for a while, so that the one who
//! still shows it hears the right reason.

use tidings_consensus::{ApplyContext, StateStore};
use tidings_proto::ErrorCode;
use tidings_proto::registry::v1::{CreateToken, RevokeToken, TokenPointer, TokenRecord, UserRecord};

use super::changes::Changes;
use super::read::Read;
use super::record::encode;
use super::refusal::Refusal;
use super::{apps, keys, users};

/// Tokens of one user that are neither revoked nor expired, at most (promise 6).
pub const MAX_LIVE_TOKENS: usize = 64;
/// Tokens of one user of every state, at most; the oldest dead one makes room.
pub const MAX_TOKENS: usize = 256;
/// How long a dead token's refusal keeps its reason: 30 days.
pub const TOMBSTONE_MS: i64 = 30 * 24 * 3600 * 1000;

/// Whether a token is good at a time, as far as it goes by itself.
pub fn is_live(token: &TokenRecord, now_ms: i64) -> bool {
    token.revoked_at_ms == 0 && !is_expired(token, now_ms)
}

fn is_expired(token: &TokenRecord, now_ms: i64) -> bool {
    token.expires_at_ms != 0 && token.expires_at_ms <= now_ms
}

/// A secret's token and whom it speaks for, by its hash; or why it speaks for nobody.
pub fn resolve<R: Read + ?Sized>(
    state: &R,
    hash: &[u8],
    app_id: &str,
    now_ms: i64,
) -> Result<(TokenRecord, UserRecord), Refusal> {
    let Some(token) = by_hash(state, hash)? else {
        return Err(Refusal::new(ErrorCode::TokenUnknown, "no token has this secret"));
    };
    let revoked = |message: &str| Err(Refusal::new(ErrorCode::TokenRevoked, message));
    if token.revoked_at_ms != 0 {
        return revoked("the token was revoked");
    }
    if is_expired(&token, now_ms) {
        return Err(Refusal::new(ErrorCode::TokenExpired, "the token has expired"));
    }
    let Some(user) = users::find(state, &token.app, &token.user)? else {
        return revoked("the token's user was deleted");
    };
    if !token.app_id.is_empty() && token.app_id != app_id {
        return Err(Refusal::new(ErrorCode::TokenWrongAppId, "the token is bound to another app id"));
    }
    if !users::is_let_in(state, &user)? {
        return Err(Refusal::new(ErrorCode::UserInactive, "the user, or its app, is inactive"));
    }
    Ok((token, user))
}

fn by_hash<R: Read + ?Sized>(state: &R, hash: &[u8]) -> Result<Option<TokenRecord>, Refusal> {
    match state.record::<TokenPointer>(&keys::hash(keys::TOKEN_BY_HASH, hash))? {
        Some(pointer) => at(state, &pointer),
        None => Ok(None),
    }
}

fn at<R: Read + ?Sized>(state: &R, pointer: &TokenPointer) -> Result<Option<TokenRecord>, Refusal> {
    match keys::numbered(keys::TOKEN, &[&pointer.app, &pointer.user], &pointer.id) {
        Some(key) => state.record(&key),
        None => Ok(None),
    }
}

/// Makes a token; or gives the token of a repeated request the new secret, which ends the former one.
pub fn create(
    store: &mut dyn StateStore,
    context: &ApplyContext,
    command: CreateToken,
    changes: &mut Changes<'_>,
) -> Result<TokenRecord, Refusal> {
    users::get(store, &command.app, &command.user)?;
    if command.hash.len() != keys::HASH_BYTES {
        return Err(Refusal::invalid("hash", "is no SHA-256"));
    }
    if let Some(found) = by_hash(store, &command.hash)? {
        // The same command again, whose first answer was lost.
        let same = found.app == command.app && found.user == command.user && is_live(&found, context.now_ms);
        return if same { Ok(found) } else { Err(Refusal::precondition("the secret is in use")) };
    }
    if !command.request_id.is_empty()
        && let Some(pointer) =
            store.record::<TokenPointer>(&request_key(&command.app, &command.user, &command.request_id))?
        && let Some(found) = at(store, &pointer)?
    {
        return renew(store, context, found, command, changes);
    }
    make_room(store, context, &command.app, &command.user)?;
    let CreateToken { app, user, app_id, ttl_seconds, request_id, hash } = command;
    let lifetime_ms = i64::try_from(ttl_seconds).unwrap_or(i64::MAX).saturating_mul(1000);
    let token = TokenRecord {
        id: format!("{}.{}", context.index, context.ordinal),
        app,
        user,
        app_id,
        hash,
        created_at_ms: context.now_ms,
        expires_at_ms: if ttl_seconds == 0 { 0 } else { context.now_ms.saturating_add(lifetime_ms) },
        revoked_at_ms: 0,
        request_id,
        ttl_seconds,
    };
    put(store, &token);
    Ok(token)
}

fn renew(
    store: &mut dyn StateStore,
    context: &ApplyContext,
    mut token: TokenRecord,
    command: CreateToken,
    changes: &mut Changes<'_>,
) -> Result<TokenRecord, Refusal> {
    if token.app_id != command.app_id || token.ttl_seconds != command.ttl_seconds {
        return Err(Refusal::already_exists(format!("the token of request {:?}", command.request_id)));
    }
    if !is_live(&token, context.now_ms) {
        let message = format!("the token of request {:?} was revoked or has expired", command.request_id);
        return Err(Refusal::precondition(message));
    }
    remove(store, &token);
    token.hash = command.hash;
    put(store, &token);
    // Who cached what the former secret speaks for must forget it (promise 5).
    changes.token(store, &token.app, &token.user, &token.id)?;
    Ok(token)
}

/// Refuses one live token too many, and removes the oldest dead ones at the limit.
fn make_room(store: &mut dyn StateStore, context: &ApplyContext, app: &str, user: &str) -> Result<(), Refusal> {
    let tokens = of_user(store, app, user)?;
    let live = tokens.iter().filter(|token| is_live(token, context.now_ms)).count();
    if live >= MAX_LIVE_TOKENS {
        let message = format!("user {user:?} has {MAX_LIVE_TOKENS} live tokens, the most there may be; revoke one");
        return Err(Refusal::precondition(message));
    }
    let surplus = (tokens.len() + 1).saturating_sub(MAX_TOKENS);
    for token in tokens.iter().filter(|token| !is_live(token, context.now_ms)).take(surplus) {
        remove(store, token);
    }
    Ok(())
}

/// Revokes a token; one that is revoked already stays as it is.
pub fn revoke(
    store: &mut dyn StateStore,
    context: &ApplyContext,
    command: RevokeToken,
    changes: &mut Changes<'_>,
) -> Result<TokenRecord, Refusal> {
    apps::get(store, &command.app)?;
    let RevokeToken { app, user, id } = command;
    let not_found = || Refusal::not_found(format!("token {id:?} of user {user:?}"));
    let key = keys::numbered(keys::TOKEN, &[&app, &user], &id).ok_or_else(not_found)?;
    let mut token = store.record::<TokenRecord>(&key)?.ok_or_else(not_found)?;
    if token.revoked_at_ms == 0 {
        mark_revoked(store, context, &mut token);
        changes.token(store, &token.app, &token.user, &token.id)?;
    }
    Ok(token)
}

/// Revokes all tokens of a user that is going.
pub fn revoke_all(store: &mut dyn StateStore, context: &ApplyContext, app: &str, user: &str) -> Result<(), Refusal> {
    for mut token in of_user(store, app, user)? {
        if token.revoked_at_ms == 0 {
            mark_revoked(store, context, &mut token);
        }
    }
    Ok(())
}

fn mark_revoked(store: &mut dyn StateStore, context: &ApplyContext, token: &mut TokenRecord) {
    remove(store, token);
    // 0 says "not revoked", also where a test's clock stands at the epoch.
    token.revoked_at_ms = context.now_ms.max(1);
    put(store, token);
}

fn of_user(store: &dyn StateStore, app: &str, user: &str) -> Result<Vec<TokenRecord>, Refusal> {
    let from = keys::texts(keys::TOKEN, &[app, user]);
    let found = store.records::<TokenRecord>(&from, &keys::end_of(&from), MAX_TOKENS + 1)?;
    Ok(found.into_iter().map(|(_, token)| token).collect())
}

fn request_key(app: &str, user: &str, request_id: &str) -> Vec<u8> {
    keys::texts(keys::TOKEN_BY_REQUEST, &[app, user, request_id])
}

/// From when on a token may be removed; `None` while it is good without end.
fn sweep_key(token: &TokenRecord) -> Option<Vec<u8>> {
    let dead_from = if token.revoked_at_ms != 0 { token.revoked_at_ms } else { token.expires_at_ms };
    let what = keys::texts(keys::TOKEN, &[&token.app, &token.user, &token.id]);
    (dead_from != 0).then(|| keys::due(keys::TOKEN_SWEEP, dead_from.saturating_add(TOMBSTONE_MS), &what))
}

fn put(store: &mut dyn StateStore, token: &TokenRecord) {
    let pointer = TokenPointer { app: token.app.clone(), user: token.user.clone(), id: token.id.clone() };
    let key = keys::numbered(keys::TOKEN, &[&token.app, &token.user], &token.id);
    store.put(key.expect("a token's id is made from a place in the log"), encode(token));
    store.put(keys::hash(keys::TOKEN_BY_HASH, &token.hash), encode(&pointer));
    if !token.request_id.is_empty() {
        store.put(request_key(&token.app, &token.user, &token.request_id), encode(&pointer));
    }
    if let Some(key) = sweep_key(token) {
        store.put(key, encode(&pointer));
    }
}

/// Removes a token with all that points to it.
pub fn remove(store: &mut dyn StateStore, token: &TokenRecord) {
    if let Some(key) = keys::numbered(keys::TOKEN, &[&token.app, &token.user], &token.id) {
        store.delete(&key);
    }
    store.delete(&keys::hash(keys::TOKEN_BY_HASH, &token.hash));
    if !token.request_id.is_empty() {
        store.delete(&request_key(&token.app, &token.user, &token.request_id));
    }
    if let Some(key) = sweep_key(token) {
        store.delete(&key);
    }
}
