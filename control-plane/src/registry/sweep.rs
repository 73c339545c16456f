//! Removing what is due, in steps of bounded size: tombstones past their time, and the content of deleted apps.

use prost::Message;
use tidings_consensus::{ApplyContext, StateStore};
use tidings_proto::policy::v1::Policy;
use tidings_proto::registry::v1::{
    ApiKeyPointer, ApiKeyRecord, AppRecord, GroupPointer, TokenPointer, TokenRecord, UserRecord,
};

use super::changes::Changes;
use super::read::Read;
use super::refusal::Refusal;
use super::{api_keys, apps, groups, keys, tokens, users};

/// How many records one command removes at most.
const RECORDS_OF_ONE_COMMAND: usize = 500;

/// What a command may still remove.
#[derive(Debug)]
pub struct Budget(usize);

impl Budget {
    /// Of a whole command.
    pub fn of_one_command() -> Self {
        Self(RECORDS_OF_ONE_COMMAND)
    }

    /// The next records with a prefix, as many as the budget allows; they are taken off it.
    pub fn take<T: Message + Default>(&mut self, store: &dyn StateStore, prefix: &[u8]) -> Result<Vec<T>, Refusal> {
        let found = store.records::<T>(prefix, &keys::end_of(prefix), self.0)?;
        self.0 -= found.len();
        Ok(found.into_iter().map(|(_, record)| record).collect())
    }

    /// The next keys that hold one text behind a prefix: those texts.
    pub fn take_names(&mut self, store: &dyn StateStore, prefix: &[u8]) -> Result<Vec<String>, Refusal> {
        let found = store.range(prefix, &keys::end_of(prefix), self.0)?;
        self.0 -= found.len();
        Ok(found.into_iter().filter_map(|(key, _)| keys::last_text(&key, prefix)).collect())
    }

    /// Removes the next keys with a prefix, to which nothing else points.
    pub fn erase(&mut self, store: &mut dyn StateStore, prefix: &[u8]) {
        for (key, _) in store.scan(prefix, &keys::end_of(prefix), self.0) {
            self.0 -= 1;
            store.delete(&key);
        }
    }

    /// With some left, every list came to its end.
    pub fn is_left(&self) -> bool {
        self.0 > 0
    }
}

/// Removes what is due, as far as a command may; answers whether more is left.
pub fn due(store: &mut dyn StateStore, context: &ApplyContext, changes: &mut Changes<'_>) -> Result<bool, Refusal> {
    let mut budget = Budget::of_one_command();
    let now = context.now_ms;

    let (from, to) = (keys::single(keys::TOKEN_SWEEP), keys::due_after(keys::TOKEN_SWEEP, now));
    for (key, pointer) in store.records::<TokenPointer>(&from, &to, budget.0)? {
        budget.0 -= 1;
        store.delete(&key);
        let place = keys::numbered(keys::TOKEN, &[&pointer.app, &pointer.user], &pointer.id);
        if let Some(place) = place
            && let Some(token) = store.record::<TokenRecord>(&place)?
        {
            tokens::remove(store, &token);
        }
    }
    let (from, to) = (keys::single(keys::API_KEY_SWEEP), keys::due_after(keys::API_KEY_SWEEP, now));
    for (key, pointer) in store.records::<ApiKeyPointer>(&from, &to, budget.0)? {
        budget.0 -= 1;
        store.delete(&key);
        let place = keys::numbered(keys::API_KEY, &[&pointer.app], &pointer.id);
        if let Some(place) = place
            && let Some(api_key) = store.record::<ApiKeyRecord>(&place)?
        {
            api_keys::remove(store, &api_key);
        }
    }
    groups_due(store, context, changes, &mut budget)?;
    let deleting = keys::single(keys::APP_DELETING);
    while budget.0 > 0 {
        let Some((_, app)) = store.records::<AppRecord>(&deleting, &keys::end_of(&deleting), 1)?.pop() else { break };
        deleted_app(store, &app.id, &mut budget)?;
    }
    has_work(store, now)
}

/// Ends groups whose time is over, and removes what is stored of those that ended.
fn groups_due(
    store: &mut dyn StateStore,
    context: &ApplyContext,
    changes: &mut Changes<'_>,
    budget: &mut Budget,
) -> Result<(), Refusal> {
    let (from, to) = (keys::single(keys::GROUP_SWEEP), keys::due_after(keys::GROUP_SWEEP, context.now_ms));
    for (key, pointer) in store.records::<GroupPointer>(&from, &to, budget.0)? {
        budget.0 -= 1;
        store.delete(&key);
        groups::removal::expire(&mut groups::Apply { store, context, changes }, &pointer)?;
    }
    let deleting = keys::single(keys::GROUP_DELETING);
    while budget.is_left() {
        let next = store.records::<GroupPointer>(&deleting, &keys::end_of(&deleting), 1)?.pop();
        let Some((_, pointer)) = next else { break };
        groups::removal::step(store, &pointer, budget)?;
    }
    Ok(())
}

/// Whether anything is due.
pub fn has_work<R: Read + ?Sized>(state: &R, now_ms: i64) -> Result<bool, Refusal> {
    let all = |kind| (keys::single(kind), keys::end_of(&[kind]));
    for (from, to) in [
        (keys::single(keys::TOKEN_SWEEP), keys::due_after(keys::TOKEN_SWEEP, now_ms)),
        (keys::single(keys::API_KEY_SWEEP), keys::due_after(keys::API_KEY_SWEEP, now_ms)),
        (keys::single(keys::GROUP_SWEEP), keys::due_after(keys::GROUP_SWEEP, now_ms)),
        all(keys::GROUP_DELETING),
        all(keys::APP_DELETING),
    ] {
        if !state.range(&from, &to, 1)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Removes what belonged to a deleted app, and when nothing is left and its users are erased, the app.
pub fn deleted_app(store: &mut dyn StateStore, app: &str, budget: &mut Budget) -> Result<(), Refusal> {
    for token in budget.take::<TokenRecord>(store, &keys::texts(keys::TOKEN, &[app]))? {
        tokens::remove(store, &token);
    }
    for user in budget.take::<UserRecord>(store, &keys::texts(keys::USER, &[app]))? {
        users::remove(store, &user)?;
    }
    for policy in budget.take::<Policy>(store, &keys::texts(keys::POLICY, &[app]))? {
        store.delete(&keys::texts(keys::POLICY, &[app, &policy.id]));
    }
    for api_key in budget.take::<ApiKeyRecord>(store, &keys::texts(keys::API_KEY, &[app]))? {
        api_keys::remove(store, &api_key);
    }
    groups::removal::of_app(store, app, budget)?;
    if budget.is_left() {
        store.delete(&keys::texts(keys::APP_DELETING, &[app]));
        apps::end_deleted(store, app)?;
    }
    Ok(())
}
