//! Policies of an app. What is stored is what was set; the defaults are those of the one who goes by it, so that a
//! field that a later release adds has its default in every policy.

use tidings_consensus::{ApplyContext, StateStore};
use tidings_proto::ErrorCode;
use tidings_proto::effective_policy::DEFAULT_POLICY;
use tidings_proto::policy::v1::{Audience, Policy};
use tidings_proto::registry::v1::{CreatePolicy, DeletePolicy, Done, UpdatePolicy};

use super::changes::Changes;
use super::read::Read;
use super::record::encode;
use super::refusal::Refusal;
use super::{apps, keys};

/// Policies of one app, at most (promise 6).
pub const MAX_POLICIES: usize = 100;

macro_rules! fields {
    ($($name:ident),* $(,)?) => {
        /// The fields that an update can name.
        pub const FIELDS: &[&str] = &[$(stringify!($name)),*];

        fn take_over(field: &str, from: &Policy, to: &mut Policy) -> Result<(), Refusal> {
            match field {
                $(stringify!($name) => to.$name = from.$name.clone(),)*
                _ => return Err(Refusal::invalid("fields", format!("{field:?} is none"))),
            }
            Ok(())
        }
    };
}

fields!(
    messages,
    groups,
    calls,
    files,
    audience,
    max_message_bytes,
    message_rates,
    app_message_rates,
    history_seconds,
    inbox_entries,
    delivered_receipts,
    read_receipts,
    edit_window_seconds,
    recall_window_seconds,
    presence_audience,
    edit_contacts,
    last_seen_round_seconds,
    max_devices,
    large_group_members,
    max_file_bytes,
    file_types,
);

/// The level from which on policies say something of contacts.
pub const CONTACTS: u32 = 3;

/// From which level on members take over all that is set of a policy: those of a lower one would pass over what they do
/// not know, or refuse it. `sets` says which fields are.
fn level_of(policy: &Policy, sets: impl Fn(&str) -> bool) -> u32 {
    let is_narrow = |audience: i32| audience > Audience::Nobody as i32;
    let speaks_of_contacts = sets("edit_contacts")
        || (sets("audience") && is_narrow(policy.audience))
        || (sets("presence_audience") && is_narrow(policy.presence_audience));
    match () {
        () if speaks_of_contacts => CONTACTS,
        () if sets("max_file_bytes") || sets("file_types") => 2,
        () => 1,
    }
}

/// The level that making a policy needs.
pub fn level_to_create(create: &CreatePolicy) -> u32 {
    let policy = create.policy.clone().unwrap_or_default();
    let sets = |field: &str| match field {
        "edit_contacts" => policy.edit_contacts.is_some(),
        "max_file_bytes" => policy.max_file_bytes.is_some(),
        "file_types" => !policy.file_types.is_empty(),
        _ => true,
    };
    level_of(&policy, sets)
}

/// The level that changing one needs.
pub fn level_to_update(update: &UpdatePolicy) -> u32 {
    level_of(&update.policy.clone().unwrap_or_default(), |field| update.fields.iter().any(|named| named == field))
}

/// The policy of an id, where the app exists and has it; every app has `default`.
pub fn get<R: Read + ?Sized>(state: &R, app: &str, id: &str) -> Result<Policy, Refusal> {
    apps::get(state, app)?;
    let found = state.record(&keys::texts(keys::POLICY, &[app, id]))?;
    match found {
        Some(policy) => Ok(policy),
        None if id == DEFAULT_POLICY => Ok(as_made(app)),
        None => Err(Refusal::not_found(format!("policy {id:?} in app {app:?}"))),
    }
}

/// The policy of an id, or where there is none of it, `default`: what a user goes by whatever happens.
pub fn get_or_default<R: Read + ?Sized>(state: &R, app: &str, id: &str) -> Result<Policy, Refusal> {
    match get(state, app, id) {
        Err(refusal) if refusal.code == ErrorCode::NotFound => get(state, app, DEFAULT_POLICY),
        answer => answer,
    }
}

fn as_made(app: &str) -> Policy {
    Policy { app: app.to_owned(), id: DEFAULT_POLICY.to_owned(), ..Policy::default() }
}

/// Makes a policy, or answers the same one.
pub fn create(
    store: &mut dyn StateStore,
    context: &ApplyContext,
    command: CreatePolicy,
    changes: &mut Changes<'_>,
) -> Result<Policy, Refusal> {
    let policy = command.policy.ok_or_else(|| Refusal::invalid("policy", "is missing"))?;
    apps::get(store, &policy.app)?;
    if let Some(found) = store.record::<Policy>(&keys::texts(keys::POLICY, &[&policy.app, &policy.id]))? {
        let same = Policy { revision: found.revision, ..policy } == found;
        return if same { Ok(found) } else { Err(Refusal::already_exists(format!("policy {:?}", found.id))) };
    }
    put(store, context, policy, changes)
}

/// Takes the named fields over.
pub fn update(
    store: &mut dyn StateStore,
    context: &ApplyContext,
    command: UpdatePolicy,
    changes: &mut Changes<'_>,
) -> Result<Policy, Refusal> {
    let wanted = command.policy.ok_or_else(|| Refusal::invalid("policy", "is missing"))?;
    let mut policy = get(store, &wanted.app, &wanted.id)?;
    let before = policy.clone();
    for field in &command.fields {
        take_over(field, &wanted, &mut policy)?;
    }
    if policy == before {
        return Ok(policy);
    }
    put(store, context, policy, changes)
}

/// Deletes a policy that is nobody's. `default` goes back to how it was made.
pub fn delete(store: &mut dyn StateStore, command: DeletePolicy, changes: &mut Changes<'_>) -> Result<(), Refusal> {
    let policy = get(store, &command.app, &command.id)?;
    let users = keys::texts(keys::POLICY_USER, &[&policy.app, &policy.id]);
    if !store.range(&users, &keys::end_of(&users), 1)?.is_empty() {
        return Err(Refusal::precondition(format!("users go by the policy {:?}; give them another first", policy.id)));
    }
    store.delete(&keys::texts(keys::POLICY, &[&policy.app, &policy.id]));
    changes.policy(store, &policy.app, &policy.id)
}

fn put(
    store: &mut dyn StateStore,
    context: &ApplyContext,
    policy: Policy,
    changes: &mut Changes<'_>,
) -> Result<Policy, Refusal> {
    let key = keys::texts(keys::POLICY, &[&policy.app, &policy.id]);
    let all = keys::texts(keys::POLICY, &[&policy.app]);
    if store.value(&key)?.is_none() && store.range(&all, &keys::end_of(&all), MAX_POLICIES)?.len() == MAX_POLICIES {
        return Err(Refusal::precondition(format!("the app has {MAX_POLICIES} policies, the most there may be")));
    }
    let policy = Policy { revision: context.index, ..policy };
    store.put(key, encode(&policy));
    changes.policy(store, &policy.app, &policy.id)?;
    Ok(policy)
}

/// Notes that a user goes by another policy now; an empty id stands for `default`, which need not be noted.
pub fn assign(store: &mut dyn StateStore, app: &str, user: &str, from: &str, to: &str) {
    if !from.is_empty() {
        store.delete(&keys::texts(keys::POLICY_USER, &[app, from, user]));
    }
    if !to.is_empty() {
        store.put(keys::texts(keys::POLICY_USER, &[app, to, user]), encode(&Done {}));
    }
}
