//! The events of a group: bounded like the change log, and read in pages by its home shard. Whoever comes too late
//! takes the members as they are now instead.

use tidings_consensus::{ApplyContext, StateStore};
use tidings_proto::group::v1::{Event, Group, Member, event};
use tidings_proto::registry::v1::{GroupOutcome, GroupRecord};

use super::{Apply, group_of, stored};
use crate::registry::keys;
use crate::registry::read::Read;
use crate::registry::record::encode;
use crate::registry::refusal::Refusal;

/// Events of one group that are kept (promise 6).
pub const MAX_EVENTS: u32 = 256;
/// Members that the events of one page name, about: an event comes whole, and names up to 1,000.
const NAMED_IN_A_PAGE: usize = 1_000;
/// How many events a page is read from.
const EVENTS_IN_A_PAGE: usize = 100;

/// The revision of what a command does to a group: its place in the log, so that it is greater than any before, also of
/// a group of this id that was deleted.
pub fn revision(context: &ApplyContext) -> u64 {
    // An entry holds far fewer than 65,536 commands, and there are 2^48 entries.
    (context.index << 16) | u64::from(context.ordinal & 0xffff)
}

/// Ends a change: the group's record, its event, and the word to the watchers.
pub fn put(
    apply: &mut Apply<'_, '_>,
    mut record: GroupRecord,
    actor: &str,
    event: event::Event,
    members: Vec<Member>,
) -> Result<GroupOutcome, Refusal> {
    let revision = revision(apply.context);
    let group = Group { revision, ..group_of(&record) };
    let event = Event { revision, at_ms: apply.context.now_ms, actor: actor.to_owned(), event: Some(event) };
    apply.store.put(keys::revision(keys::GROUP_EVENT, &[&group.app, &group.id], revision), encode(&event));
    record.events += 1;
    if record.events > MAX_EVENTS {
        trim(apply.store, &mut record, &group);
    }
    record.group = Some(group.clone());
    apply.store.put(keys::texts(keys::GROUP, &[&group.app, &group.id]), encode(&record));
    apply.changes.group(apply.store, &group.app, &group.id, revision)?;
    Ok(GroupOutcome { group: Some(group), members })
}

fn trim(store: &mut dyn StateStore, record: &mut GroupRecord, group: &Group) {
    // Not from the beginning: what was trimmed before leaves marks there, and a scan passes over each of them.
    let from = keys::revision(keys::GROUP_EVENT, &[&group.app, &group.id], record.trimmed_to.saturating_add(1));
    let end = keys::end_of(&keys::texts(keys::GROUP_EVENT, &[&group.app, &group.id]));
    if let Some((oldest, _)) = store.scan(&from, &end, 1).pop() {
        record.trimmed_to = keys::last_revision(&oldest).unwrap_or(record.trimmed_to);
        record.events -= 1;
        store.delete(&oldest);
    }
}

/// What somebody who knows a group up to a revision is to be told.
#[derive(Debug, Clone, PartialEq)]
pub enum Page {
    /// There is no such group.
    Gone,
    /// Not all events after that are kept: take the group and its members as they are now.
    Reset(Group),
    /// These events, up to `revision`; more where that is not the group's.
    Events { group: Group, events: Vec<Event>, revision: u64 },
}

/// The events of a group after a revision; as many as name about 1,000 members.
pub fn after<R: Read + ?Sized>(state: &R, app: &str, id: &str, after: u64) -> Result<Page, Refusal> {
    let Some(record) = stored(state, app, id)? else { return Ok(Page::Gone) };
    let group = group_of(&record);
    let from = keys::revision(keys::GROUP_EVENT, &[app, id], after.saturating_add(1));
    let end = keys::end_of(&keys::texts(keys::GROUP_EVENT, &[app, id]));
    let found = state.records::<Event>(&from, &end, EVENTS_IN_A_PAGE)?;
    let is_full = found.len() == EVENTS_IN_A_PAGE;
    // Read after the events: when this is a view, some may have been trimmed, or the group made anew, in between.
    let Some(now) = stored(state, app, id)? else { return Ok(Page::Gone) };
    if after < now.trimmed_to || after > group.revision {
        return Ok(as_it_is(now));
    }
    let (mut events, mut named) = (Vec::new(), 0);
    let mut is_cut = is_full;
    for (_, event) in found {
        if named >= NAMED_IN_A_PAGE {
            is_cut = true;
            break;
        }
        named += names(&event);
        events.push(event);
    }
    let last = events.last().map_or(after, |event| event.revision);
    // Events that came after the record was read are in the page too.
    let revision = if is_cut { last } else { group.revision.max(last) };
    Ok(Page::Events { group, events, revision })
}

/// For somebody who cannot go on by events: the group; nothing where it is over, and its members are being swept.
pub fn as_it_is(record: GroupRecord) -> Page {
    if record.deleting { Page::Gone } else { Page::Reset(group_of(&record)) }
}

fn names(event: &Event) -> usize {
    match &event.event {
        Some(event::Event::Created(created)) => created.members.len(),
        Some(event::Event::Joined(joined)) => joined.members.len(),
        Some(event::Event::Removed(removed)) => removed.users.len(),
        _ => 1,
    }
}
