//! What stands at a place of a group's order, stored once in a shard: with a count of what refers to it, and gone with the
//! last of that.

use bytes::Bytes;
use tidings_proto::mailbox::v1::GroupBodyRecord;

use crate::core::Applying;
use crate::core::keys::{self, GroupName};
use crate::core::records::{self, CoreError};

impl Applying<'_> {
    /// Refers to a body so many times more; stores it (format byte and envelope) when it is not there.
    pub(super) fn use_body(
        &mut self,
        group: &GroupName,
        seq: u64,
        stored: &Bytes,
        uses: usize,
    ) -> Result<(), CoreError> {
        if uses == 0 {
            return Ok(());
        }
        let key = keys::group_body_uses(group, seq);
        let known: Option<GroupBodyRecord> = self.load("group body", &key)?;
        if known.is_none() {
            self.store.put(keys::group_body(group, seq), stored.clone());
        }
        let uses = known.unwrap_or_default().uses + uses as u64;
        self.store.put(key, records::seal(&GroupBodyRecord { uses }));
        Ok(())
    }

    /// Something does not refer to a body any more.
    pub(in crate::core) fn release_body(&mut self, group: &GroupName, seq: u64, uses: u64) -> Result<(), CoreError> {
        let key = keys::group_body_uses(group, seq);
        let known: Option<GroupBodyRecord> = self.load("group body", &key)?;
        let left = known.and_then(|known| known.uses.checked_sub(uses));
        match left.ok_or(CoreError::Contradiction("a group's body is used more often than it counts"))? {
            0 => {
                self.store.delete(&keys::group_body(group, seq));
                self.store.delete(&key);
            }
            uses => self.store.put(key, records::seal(&GroupBodyRecord { uses })),
        }
        Ok(())
    }

    /// A body that something refers to, as it is stored.
    pub(super) fn body(&self, group: &GroupName, seq: u64) -> Result<Bytes, CoreError> {
        let stored = self.store.get(&keys::group_body(group, seq));
        stored.ok_or(CoreError::Contradiction("a group's body is gone while it is referred to"))
    }
}
