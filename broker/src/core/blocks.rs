//! Whom a user keeps from what. It stands with each conversation, and of the kinds that are asked for as a whole there
//! is a list too.

use bytes::Bytes;
use tidings_proto::mailbox::v1::{BlocksRecord, MailboxRecord};
use tidings_proto::message::v1::Block;

use super::conversation::conversation_with;
use super::keys::{self, MailboxId};
use super::limits::BLOCKED;
use super::records::{self, CoreError};
use super::{Applying, Effect};

/// The lists as they are to be, and which have changed.
pub(super) struct Listed {
    record: BlocksRecord,
    in_groups: bool,
    profile: bool,
}

impl Listed {
    /// There is no room for one more.
    pub(super) fn is_full(&self) -> bool {
        self.record.group_messages.len().max(self.record.profile.len()) > BLOCKED
    }
}

/// Whether the user of a mailbox has blocked something of another. `read` answers what is stored under a key.
pub fn blocks<E: From<CoreError>>(
    mailbox: &MailboxId,
    record: &MailboxRecord,
    other: &str,
    what: Block,
    read: impl Fn(&[u8]) -> Result<Option<Bytes>, E>,
) -> Result<bool, E> {
    // Most users block nobody: nothing is read for them.
    if record.blocks == 0 {
        return Ok(false);
    }
    Ok(conversation_with(mailbox, other, read)?.is_some_and(|conversation| conversation.blocks.contains(&what.into())))
}

impl Applying<'_> {
    /// Whether the user of a mailbox has blocked something of another.
    pub(super) fn blocks(
        &self,
        mailbox: &MailboxId,
        record: &MailboxRecord,
        other: &str,
        what: Block,
    ) -> Result<bool, CoreError> {
        blocks(mailbox, record, other, what, |key| Ok::<_, CoreError>(self.store.get(key)))
    }

    /// Another user in the lists of those who are blocked, and out of them.
    pub(super) fn list_blocks(&self, mailbox: &MailboxId, with: &str, blocks: &[i32]) -> Result<Listed, CoreError> {
        let mut record: BlocksRecord = self.load("blocks", &keys::blocks(mailbox))?.unwrap_or_default();
        let in_groups = list(&mut record.group_messages, with, blocks.contains(&Block::GroupMessages.into()));
        let profile = list(&mut record.profile, with, blocks.contains(&Block::Profile.into()));
        Ok(Listed { record, in_groups, profile })
    }

    pub(super) fn save_blocks(&mut self, mailbox: &MailboxId, listed: Listed) {
        if listed.in_groups || listed.profile {
            self.store.put(keys::blocks(mailbox), records::seal(&listed.record));
        }
        if listed.profile {
            self.effects.push(Effect::HidesFrom { mailbox: mailbox.clone(), users: listed.record.profile });
        }
    }
}

/// Puts a user into an ordered list, or out of it; answers whether that changes it.
fn list(users: &mut Vec<String>, user: &str, is_listed: bool) -> bool {
    match (users.binary_search_by(|other| other.as_str().cmp(user)), is_listed) {
        (Err(place), true) => users.insert(place, user.to_owned()),
        (Ok(place), false) => drop(users.remove(place)),
        _ => return false,
    }
    true
}
