//! The change log: what caches outside have to hear of, by revision. It is bounded; a watcher that comes too late is
//! told so and begins anew.

use tidings_consensus::{ApplyContext, StateStore};
use tidings_proto::cluster::v1::{
    AppDeactivated, AppDeleted, Change, GroupChanged, PolicyChanged, ShardMapChanged, TokenRevoked, UserChanged, change,
};
use tidings_proto::registry::v1::{ChangeLogRecord, UserRecord};

use super::keys;
use super::read::Read;
use super::record::encode;
use super::refusal::Refusal;

/// How many changes are kept (promise 6).
pub const MAX_CHANGES: u64 = 10_000;
/// How many old changes a new one removes at most, so that a lowered limit is reached step by step.
const TRIM_STEP: usize = 4;

/// Collects the changes that one command makes.
pub struct Changes<'a> {
    context: &'a ApplyContext,
    place: u32,
}

impl<'a> Changes<'a> {
    /// Without changes yet.
    pub fn of(context: &'a ApplyContext) -> Self {
        Self { context, place: 0 }
    }

    /// Whether the command changed something that watchers hear of.
    pub fn any(&self) -> bool {
        self.place > 0
    }

    /// A user was created, or changed whether it is active or which policy it goes by.
    pub fn user(&mut self, store: &mut dyn StateStore, user: &UserRecord) -> Result<(), Refusal> {
        let UserRecord { app, id, active, policy, .. } = user.clone();
        self.put(store, change::Change::UserChanged(UserChanged { app, user: id, exists: true, active, policy }))
    }

    /// A user was deleted with its tokens.
    pub fn user_deleted(&mut self, store: &mut dyn StateStore, app: &str, user: &str) -> Result<(), Refusal> {
        let gone = UserChanged { app: app.to_owned(), user: user.to_owned(), ..UserChanged::default() };
        self.put(store, change::Change::UserChanged(gone))
    }

    /// A policy was made, changed or deleted.
    pub fn policy(&mut self, store: &mut dyn StateStore, app: &str, id: &str) -> Result<(), Refusal> {
        let changed = PolicyChanged { app: app.to_owned(), id: id.to_owned() };
        self.put(store, change::Change::PolicyChanged(changed))
    }

    /// A token's secret is no longer good.
    pub fn token(&mut self, store: &mut dyn StateStore, app: &str, user: &str, id: &str) -> Result<(), Refusal> {
        let revoked = TokenRevoked { app: app.to_owned(), user: user.to_owned(), token_id: id.to_owned() };
        self.put(store, change::Change::TokenRevoked(revoked))
    }

    /// A group or its members changed, which its own events tell.
    pub fn group(&mut self, store: &mut dyn StateStore, app: &str, group: &str, revision: u64) -> Result<(), Refusal> {
        let changed = GroupChanged { app: app.to_owned(), group: group.to_owned(), revision };
        self.put(store, change::Change::GroupChanged(changed))
    }

    /// An app was deleted with all that belonged to it.
    pub fn app(&mut self, store: &mut dyn StateStore, app: &str) -> Result<(), Refusal> {
        self.put(store, change::Change::AppDeleted(AppDeleted { app: app.to_owned() }))
    }

    /// An app's users are let in no more. That they are again need not be told.
    pub fn app_deactivated(&mut self, store: &mut dyn StateStore, app: &str) -> Result<(), Refusal> {
        self.put(store, change::Change::AppDeactivated(AppDeactivated { app: app.to_owned() }))
    }

    /// The shard map changed.
    pub fn shard_map(&mut self, store: &mut dyn StateStore) -> Result<(), Refusal> {
        self.put(store, change::Change::ShardMapChanged(ShardMapChanged {}))
    }

    fn put(&mut self, store: &mut dyn StateStore, change: change::Change) -> Result<(), Refusal> {
        let mut log = state(store)?;
        let revision = self.context.index;
        let record = Change { revision, change: Some(change) };
        store.put(keys::change(revision, self.context.ordinal, self.place), encode(&record));
        self.place += 1;
        log.revision = revision;
        log.length += 1;
        if let Some(surplus) = log.length.checked_sub(MAX_CHANGES).filter(|surplus| *surplus > 0) {
            // Not from the beginning: what was trimmed before leaves marks there, and a scan passes over each of them.
            let from = keys::changes_of(log.trimmed_to);
            let limit = TRIM_STEP.min(usize::try_from(surplus).unwrap_or(TRIM_STEP));
            for (key, _) in store.scan(&from, &keys::end_of(&keys::single(keys::CHANGE)), limit) {
                log.trimmed_to = keys::revision_of_change(&key).unwrap_or(log.trimmed_to);
                log.length -= 1;
                store.delete(&key);
            }
        }
        store.put(keys::single(keys::CHANGE_LOG), encode(&log));
        Ok(())
    }
}

/// The state of the log.
pub fn state<R: Read + ?Sized>(state: &R) -> Result<ChangeLogRecord, Refusal> {
    Ok(state.record(&keys::single(keys::CHANGE_LOG))?.unwrap_or_default())
}

/// What a watcher who has seen everything up to a revision is to be told.
#[derive(Debug, Clone, PartialEq)]
pub enum Page {
    /// These changes, with which it has seen everything up to `revision`.
    Changes {
        /// Where it stands then.
        revision: u64,
        /// In order; at most the limit, but never half of one revision.
        changes: Vec<Change>,
    },
    /// What came after is not all kept: forget what is cached, and go on from `revision`.
    Reset {
        /// Where it stands then.
        revision: u64,
    },
}

/// The changes after a revision, about `limit` of them. A revision's changes come whole, so a page may be longer by the
/// changes of one command batch.
pub fn after<R: Read + ?Sized>(store: &R, revision: u64, limit: usize) -> Result<Page, Refusal> {
    let log = state(store)?;
    if revision < log.trimmed_to || revision > log.revision {
        return Ok(Page::Reset { revision: log.revision });
    }
    let from = keys::changes_of(revision.saturating_add(1));
    let end = keys::end_of(&keys::single(keys::CHANGE));
    let mut found = store.records::<Change>(&from, &end, limit)?;
    if found.len() == limit
        && let Some((last, _)) = found.last()
    {
        let last_revision = keys::revision_of_change(last).unwrap_or(log.revision);
        let behind = [last.as_ref(), &[0]].concat();
        let rest = keys::changes_of(last_revision.saturating_add(1));
        found.extend(store.records::<Change>(&behind, &rest, usize::try_from(MAX_CHANGES).unwrap_or(usize::MAX))?);
    }
    // The log may have been trimmed between the two reads, when this is a view and not a command.
    if state(store)?.trimmed_to > revision {
        return Ok(Page::Reset { revision: state(store)?.revision });
    }
    let full = found.len() >= limit;
    let reached = found.last().and_then(|(key, _)| keys::revision_of_change(key));
    // A short page holds all there was when `log` was read, if not more.
    let revision = if full { reached.unwrap_or(revision) } else { log.revision.max(reached.unwrap_or(revision)) };
    Ok(Page::Changes { revision, changes: found.into_iter().map(|(_, change)| change).collect() })
}
