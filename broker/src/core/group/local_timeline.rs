//! A large group's timeline in a shard where members of it rest: places with what each needs to be given to a member
//! later, for as long as somebody may have yet to read them, within bounds. The bodies are those that all pointers
//! share.

use bytes::Bytes;
use tidings_proto::mailbox::v1::{GroupItem, LocalGroupRecord, LocalPlaceRecord};

use super::bodies::Body;
use crate::core::Applying;
use crate::core::envelope::peek;
use crate::core::keys::{self, GroupName};
use crate::core::limits::{LOCAL_TIMELINE_BYTES, PAGE, RETAINED_MS};
use crate::core::mailbox::subtract;
use crate::core::records::{self, CoreError};

impl Applying<'_> {
    /// Puts a place behind the others, once. The caller saves `local`.
    pub(super) fn keep_place(
        &mut self,
        group: &GroupName,
        local: &mut LocalGroupRecord,
        item: &GroupItem,
        body: &Body,
    ) -> Result<(), CoreError> {
        let seq = item.group_seq;
        if local.kept_to >= seq {
            return Ok(());
        }
        let expires_at_ms = peek(&records::open_bytes("group body", body.stored.clone())?)?.expires_at_ms();
        let retained_to_ms = self.context.now_ms.saturating_add(RETAINED_MS);
        let expires = expires_at_ms != 0 && expires_at_ms < retained_to_ms;
        let due_ms = if expires { expires_at_ms } else { retained_to_ms };
        let item = GroupItem { body: Bytes::new(), changed_body: Bytes::new(), ..item.clone() };
        let bytes = body.stored.len() as u64;
        self.use_body(group, seq, body, 1)?;
        let place = LocalPlaceRecord { item: Some(item), due_ms, bytes, expires };
        self.store.put(keys::local_place(group, seq), records::seal(&place));
        self.store.put(keys::local_due(due_ms, group, seq), Bytes::new());
        (local.kept_places, local.kept_bytes, local.kept_to) = (local.kept_places + 1, local.kept_bytes + bytes, seq);
        let bound = self.bounds.timeline;
        self.drop_places(group, local, seq - 1, |local| {
            local.kept_places > 1 && (local.kept_places > bound || local.kept_bytes > LOCAL_TIMELINE_BYTES)
        })
    }

    /// Lets places up to one go, the oldest first, as long as there are too many, and as far as one command goes. The
    /// caller saves `local`.
    fn drop_places(
        &mut self,
        group: &GroupName,
        local: &mut LocalGroupRecord,
        up_to: u64,
        too_many: impl Fn(&LocalGroupRecord) -> bool,
    ) -> Result<(), CoreError> {
        if !too_many(local) {
            return Ok(());
        }
        let (from, to) = keys::local_places(group, 0, up_to);
        for (_, stored) in self.store.scan(&from, &to, PAGE) {
            if !too_many(local) {
                break;
            }
            self.drop_place(group, local, &records::open("local place", stored)?)?;
        }
        Ok(())
    }

    /// Nobody rests any more: what was read goes. The caller saves `local`.
    pub(super) fn drop_read(&mut self, group: &GroupName, local: &mut LocalGroupRecord) -> Result<(), CoreError> {
        // What is being given now may yet be rested before.
        let up_to = local.expanded;
        self.drop_places(group, local, up_to, |local| local.resting == 0 && local.kept_places > 0)
    }

    /// A place whose time has come goes, unless it went before.
    pub(in crate::core) fn end_local_place(&mut self, group: &GroupName, seq: u64) -> Result<(), CoreError> {
        let mut local = self.local_group(group)?;
        if let Some(place) = self.load("local place", &keys::local_place(group, seq))? {
            self.drop_place(group, &mut local, &place)?;
            self.save_local_group(group, &local);
        }
        Ok(())
    }

    fn drop_place(
        &mut self,
        group: &GroupName,
        local: &mut LocalGroupRecord,
        place: &LocalPlaceRecord,
    ) -> Result<(), CoreError> {
        let seq = place_of(place)?.group_seq;
        self.store.delete(&keys::local_place(group, seq));
        self.store.delete(&keys::local_due(place.due_ms, group, seq));
        subtract(&mut local.kept_places, 1)?;
        subtract(&mut local.kept_bytes, place.bytes)?;
        // What had expired nobody misses.
        if !place.expires || place.due_ms >= self.context.now_ms {
            local.trimmed_to = local.trimmed_to.max(seq);
        }
        self.release_body(group, seq, 1)
    }
}

/// What stands at a kept place.
pub(super) fn place_of(place: &LocalPlaceRecord) -> Result<&GroupItem, CoreError> {
    place.item.as_ref().ok_or(CoreError::Contradiction("a place of a group that is kept is empty"))
}
