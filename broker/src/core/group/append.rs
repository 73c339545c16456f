//! `AppendToGroup`: a message of a member gets its place in the group's order, once, behind the ones that its sender sent
//! before.

use tidings_proto::ErrorCode;
use tidings_proto::group::v1::Permission;
use tidings_proto::mailbox::v1::{AppendMessage, GroupMemberRecord, GroupRecord, GroupTargetsRecord};

use super::fan_out::Publication;
use super::permissions;
use crate::core::append::{Numbered, expires_at_ms, valid_slot};
use crate::core::entry::Entry;
use crate::core::envelope::MessageHead;
use crate::core::keys::{self, GroupName};
use crate::core::limits::{GROUP_BACKLOG, HUNTED_PER_COMMAND};
use crate::core::records::{self, CoreError};
use crate::core::{Applying, Reply, refused};

impl Applying<'_> {
    pub(in crate::core) fn append_to_group(&mut self, append: AppendMessage) -> Result<Reply, CoreError> {
        let (Some(group), Some(slot)) = (GroupName::new(&append.app, &append.to), valid_slot(&append)) else {
            return refused(ErrorCode::InvalidArgument);
        };
        // First: what was accepted once is answered so, whatever became of the group or the sender since.
        let sender_key = keys::group_sender(&group, &append.from, slot);
        let sender = match self.numbered(&sender_key, &append)? {
            Numbered::New(sender) => sender,
            Numbered::Answered(reply) => return Ok(reply),
        };
        let mut record = self.group(&group)?.unwrap_or_default();
        if let Some(code) = self.refusal(&group, &record, &append.from)? {
            return refused(code);
        }
        let targets = self.targets(&group)?;
        if self.is_overloaded(&group, &targets)? {
            return refused(ErrorCode::Overloaded);
        }
        let settings = record.settings.unwrap_or_default();
        let mut publication = Publication::new(&record);
        if settings.hunt {
            let Some(chosen) = self.hunt(&group, &record, &append.from)? else {
                return refused(ErrorCode::RecipientUnknown);
            };
            record.hunted.clone_from(&chosen);
            publication.some = Some(vec![chosen, append.from.clone()]);
        }

        record.last_seq += 1;
        let now_ms = self.context.now_ms;
        let head = MessageHead {
            stream: append.stream,
            seq: append.seq,
            from: &append.from,
            to: "",
            sent_at_ms: now_ms,
            expires_at_ms: expires_at_ms(&append, now_ms),
            receipts: append.receipts,
            from_slot: append.from_slot,
            group: group.group(),
            group_seq: record.last_seq,
            ..MessageHead::default()
        };
        let entry = Entry::of_message(&head, &append.content);
        self.publish(&group, record.last_seq, &entry, &targets, &publication)?;
        self.save_group(&group, &record);
        self.accept_number(sender_key, sender, &append);
        Ok(Reply::Appended { sent_at_ms: now_ms, duplicate: false })
    }

    /// Why this user may not send to the group now. Whether a group exists is told to its members alone.
    fn refusal(&self, group: &GroupName, record: &GroupRecord, from: &str) -> Result<Option<ErrorCode>, CoreError> {
        let settings = record.settings.unwrap_or_default();
        let member: Option<GroupMemberRecord> = self.load("group member", &keys::group_member(group, from))?;
        Ok(match member {
            None => Some(ErrorCode::NotAMember),
            Some(_) if settings.deleted => Some(ErrorCode::NotAMember),
            Some(member) if !permissions(&member, settings.member_permissions).has(Permission::Send) => {
                Some(ErrorCode::PermissionDenied)
            }
            Some(_) if settings.paused => Some(ErrorCode::GroupPaused),
            Some(_) => None,
        })
    }

    /// Whether the members in some shard are too far behind (promise 6).
    fn is_overloaded(&self, group: &GroupName, targets: &GroupTargetsRecord) -> Result<bool, CoreError> {
        for target in &targets.targets {
            let waiting = if target.shard == self.core.shard {
                let local = self.local_group(group)?;
                local.taken - local.expanded.min(local.taken)
            } else {
                let end = self.channel_end(target.shard)?;
                end.last_seq - end.trimmed_to.min(end.last_seq)
            };
            if waiting > GROUP_BACKLOG {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The next member behind the last one who receives and is not the sender.
    fn hunt(&self, group: &GroupName, record: &GroupRecord, from: &str) -> Result<Option<String>, CoreError> {
        let of_members = record.settings.unwrap_or_default().member_permissions;
        for after in [record.hunted.as_str(), ""] {
            let (first, end) = keys::group_members(group, after);
            for (key, stored) in self.store.scan(&first, &end, HUNTED_PER_COMMAND) {
                let member: GroupMemberRecord = records::open("group member", stored)?;
                let user = keys::member_user(&key).ok_or(CoreError::Contradiction("a member has no name"))?;
                if user != from && permissions(&member, of_members).has(Permission::Receive) {
                    return Ok(Some(user.to_owned()));
                }
            }
        }
        Ok(None)
    }

    pub(super) fn group(&self, group: &GroupName) -> Result<Option<GroupRecord>, CoreError> {
        self.load("group", &keys::group(group))
    }

    pub(super) fn save_group(&mut self, group: &GroupName, record: &GroupRecord) {
        self.store.put(keys::group(group), records::seal(record));
    }
}
