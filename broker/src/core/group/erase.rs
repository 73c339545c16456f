//! What a shard keeps of a user in groups, when the user is deleted. Who is a member the homes of the groups say: they
//! hear of the end from the registry, and until then the user's mailbox may be given what stands in them.

use tidings_proto::mailbox::v1::MailboxRecord;

use crate::core::Applying;
use crate::core::erase::Room;
use crate::core::keys::{self, MailboxId};
use crate::core::mailbox::subtract;
use crate::core::records::CoreError;

impl Applying<'_> {
    /// Answers whether the user is a member of groups yet. The caller saves `record`.
    pub(in crate::core) fn leave_groups(
        &mut self,
        mailbox: &MailboxId,
        record: &mut MailboxRecord,
        room: &mut Room,
    ) -> Result<bool, CoreError> {
        let mut is_member = false;
        let (from, to) = keys::group_conversations(mailbox);
        for (key, _) in self.store.scan(&from, &to, room.left()) {
            let group = keys::conversation_group(&key, mailbox);
            let group = group.ok_or(CoreError::Contradiction("a conversation is with no group"))?;
            if self.store.get(&keys::local_member(&group, mailbox.user())).is_some() {
                is_member = true;
            } else {
                self.store.delete(&key);
                room.take();
            }
        }
        if is_member {
            return Ok(true);
        }
        let (from, to) = keys::all_resting(mailbox);
        for (key, _) in self.store.scan(&from, &to, room.left()) {
            let group = keys::resting_group(&key, mailbox);
            let group = group.ok_or(CoreError::Contradiction("a group that somebody rests in has no name"))?;
            self.store.delete(&key);
            record.resting = record.resting.saturating_sub(1);
            let mut local = self.local_group(&group)?;
            subtract(&mut local.resting, 1)?;
            self.drop_read(&group, &mut local)?;
            self.save_local_group(&group, &local);
            room.take();
        }
        Ok(false)
    }
}
