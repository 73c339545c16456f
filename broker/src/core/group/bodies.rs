//! What stands at a place of a group's order, stored once in a shard: with a count of what refers to it, and gone with
//! the last of that. An edit has no content of its own: it refers to the body of its message, and thereby keeps it.

use bytes::Bytes;
use tidings_proto::mailbox::v1::{GroupBodyRecord, GroupItem};

use crate::core::Applying;
use crate::core::keys::{self, GroupName};
use crate::core::records::{self, CoreError};

/// A body as it is stored (format byte and envelope).
#[derive(Debug, Clone, Default)]
pub(super) struct Body {
    pub stored: Bytes,
    /// The place of the body that it refers to, and that one; 0: none.
    pub of: u64,
    pub of_stored: Bytes,
}

impl Body {
    pub fn alone(stored: Bytes) -> Self {
        Self { stored, ..Self::default() }
    }

    /// What came with an item.
    pub fn of_item(item: &GroupItem) -> Self {
        let of = if item.is_edit { item.changes } else { 0 };
        Self { stored: item.body.clone(), of, of_stored: item.changed_body.clone() }
    }
}

impl Applying<'_> {
    /// Refers to a body so many times more; stores it when it is not there.
    pub(super) fn use_body(&mut self, group: &GroupName, seq: u64, body: &Body, uses: usize) -> Result<(), CoreError> {
        if uses == 0 {
            return Ok(());
        }
        let key = keys::group_body_uses(group, seq);
        let record = match self.load::<GroupBodyRecord>("group body", &key)? {
            Some(known) => GroupBodyRecord { uses: known.uses + uses as u64, ..known },
            None => {
                self.store.put(keys::group_body(group, seq), body.stored.clone());
                if body.of != 0 {
                    self.use_body(group, body.of, &Body::alone(body.of_stored.clone()), 1)?;
                }
                GroupBodyRecord { uses: uses as u64, of: body.of }
            }
        };
        self.store.put(key, records::seal(&record));
        Ok(())
    }

    /// Something does not refer to a body any more.
    pub(in crate::core) fn release_body(&mut self, group: &GroupName, seq: u64, uses: u64) -> Result<(), CoreError> {
        let key = keys::group_body_uses(group, seq);
        let known = self.load::<GroupBodyRecord>("group body", &key)?.unwrap_or_default();
        let left = known.uses.checked_sub(uses);
        match left.ok_or(CoreError::Contradiction("a group's body is used more often than it counts"))? {
            0 => {
                self.store.delete(&keys::group_body(group, seq));
                self.store.delete(&key);
                if known.of != 0 {
                    self.release_body(group, known.of, 1)?;
                }
            }
            uses => self.store.put(key, records::seal(&GroupBodyRecord { uses, ..known })),
        }
        Ok(())
    }

    /// The body of an item that is stored here, and the one that it refers to.
    pub(super) fn stored_body(&self, group: &GroupName, item: &GroupItem) -> Result<Body, CoreError> {
        let (stored, of) = (self.body(group, item.group_seq)?, if item.is_edit { item.changes } else { 0 });
        let of_stored = if of == 0 { Bytes::new() } else { self.body(group, of)? };
        Ok(Body { stored, of, of_stored })
    }

    /// A body that something refers to, as it is stored.
    pub(super) fn body(&self, group: &GroupName, seq: u64) -> Result<Bytes, CoreError> {
        let stored = self.store.get(&keys::group_body(group, seq));
        stored.ok_or(CoreError::Contradiction("a group's body is gone while it is referred to"))
    }
}
