//! `AppendToGroup`: a message of a member gets its place in the group's order, once, behind the ones that its sender
//! sent before.

use tidings_proto::group::v1::Permission;
use tidings_proto::mailbox::v1::{AppendMessage, GroupMemberRecord, GroupRecord, GroupSettings, GroupTargetsRecord};
use tidings_proto::message::v1::Change;
use tidings_proto::{ErrorCode, disappearance};

use super::disappear::begins_later;
use super::fan_out::Publication;
use super::large::measure;
use super::permissions;
use super::tallies::{self, wants_none};
use crate::core::append::{Numbered, expires_at_ms, valid_slot};
use crate::core::entry::Entry;
use crate::core::envelope::MessageHead;
use crate::core::keys::{self, GroupName};
use crate::core::limits::{GROUP_BACKLOG, HUNTED_PER_COMMAND};
use crate::core::records::{self, CoreError};
use crate::core::{Applying, Reply, refused};
use crate::core::{change, disappear};

/// Who speaks in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::core) enum Speaker {
    /// Who is one, may.
    Member,
    /// Always may, while there is a group.
    System,
}

/// The member who sends, or why this one may not send now. Whether a group exists is told to its members alone.
pub fn may_send(settings: &GroupSettings, member: Option<GroupMemberRecord>) -> Result<GroupMemberRecord, ErrorCode> {
    match member {
        None => Err(ErrorCode::NotAMember),
        Some(_) if settings.deleted => Err(ErrorCode::NotAMember),
        Some(member) if !permissions(&member, settings.member_permissions).has(Permission::Send) => {
            Err(ErrorCode::PermissionDenied)
        }
        Some(_) if settings.paused => Err(ErrorCode::GroupPaused),
        Some(member) => Ok(member),
    }
}

impl Applying<'_> {
    pub(in crate::core) fn append_to_group(
        &mut self,
        mut append: AppendMessage,
        speaker: Speaker,
    ) -> Result<Reply, CoreError> {
        let (Some(group), Some(slot)) = (GroupName::new(&append.app, &append.to), valid_slot(&append)) else {
            return refused(ErrorCode::InvalidArgument);
        };
        let change = append.change.take();
        let disappears_is_valid = append.disappears.as_ref().is_none_or(disappearance::is_valid);
        if !change.as_ref().is_none_or(change::is_valid) || !disappears_is_valid {
            return refused(ErrorCode::InvalidArgument);
        }
        // First: what was accepted once is answered so, whatever became of the group or the sender since.
        let sender_key = keys::group_sender(&group, &append.from, slot);
        let sender = match self.numbered(&sender_key, &append)? {
            Numbered::New(sender) => sender,
            Numbered::Answered(reply) => return Ok(reply),
        };
        let mut record = self.group(&group)?.unwrap_or_default();
        let member = match self.who_sends(&group, &record, speaker, &append.from)? {
            Ok(member) => member,
            Err(code) => return refused(code),
        };
        measure(&mut record, append.large_beyond);
        let targets = self.targets(&group)?;
        if self.is_overloaded(&group, &targets)? {
            return refused(ErrorCode::Overloaded);
        }
        let publishing = match change {
            None => self.message_in_group(&group, &mut record, speaker, &append)?,
            Some(change) => self.change_of_group(&group, &mut record, &member, &append, change)?,
        };
        let (entry, publication) = match publishing {
            Ok(publishing) => publishing,
            Err(code) => return refused(code),
        };
        record.last_seq += 1;
        self.publish(&group, record.last_seq, &entry, &targets, &publication)?;
        self.save_group(&group, &record);
        self.accept_number(sender_key, sender, &append);
        Ok(Reply::Appended { sent_at_ms: self.context.now_ms, duplicate: false })
    }

    /// A message that stands behind the last place, kept for its time.
    fn message_in_group(
        &mut self,
        group: &GroupName,
        record: &mut GroupRecord,
        speaker: Speaker,
        append: &AppendMessage,
    ) -> Result<Result<(Entry, Publication), ErrorCode>, CoreError> {
        let now_ms = self.context.now_ms;
        let disappears = append.disappears.unwrap_or_default();
        let disappears_at_ms = disappear::known_at_once(&disappears, now_ms);
        let head = MessageHead {
            stream: append.stream,
            seq: append.seq,
            from: &append.from,
            to: "",
            sent_at_ms: now_ms,
            expires_at_ms: disappear::expires_at_ms(expires_at_ms(append, now_ms), disappears_at_ms),
            receipts: append.receipts,
            from_slot: append.from_slot,
            group: group.group(),
            group_seq: record.last_seq + 1,
            disappears,
            disappears_at_ms,
        };
        let entry = Entry::of_message(&head, &append.content);
        let wants_receipts = !wants_none(append.receipts);
        let mut publication = Publication { wants_receipts, ..Publication::new(record) };
        if record.settings.unwrap_or_default().hunt {
            if begins_later(&disappears) {
                // What is not kept cannot be found when its time begins.
                return Ok(Err(ErrorCode::FailedPrecondition));
            }
            let Some(chosen) = self.hunt(group, record, &append.from)? else {
                return Ok(Err(ErrorCode::RecipientUnknown));
            };
            record.hunted.clone_from(&chosen);
            let echo = (speaker == Speaker::Member).then(|| append.from.clone());
            publication.some = Some([chosen].into_iter().chain(echo).collect());
        } else {
            // What is for one member alone is in no history of all.
            let kept_until_ms = self.keep_in_group(group, record, &head, &entry.stored, append.retention_ms)?;
            if kept_until_ms == 0 && begins_later(&disappears) {
                return Ok(Err(ErrorCode::FailedPrecondition));
            }
            if self.level >= super::conversations::LEVEL {
                publication.kept_until_ms = kept_until_ms;
            }
            if kept_until_ms != 0 && publication.is_tallied && self.level >= tallies::LEVEL {
                self.begin_tally(group, record, &head)?;
            }
        }
        Ok(Ok((entry, publication)))
    }

    fn change_of_group(
        &mut self,
        group: &GroupName,
        record: &mut GroupRecord,
        member: &GroupMemberRecord,
        append: &AppendMessage,
        change: Change,
    ) -> Result<Result<(Entry, Publication), ErrorCode>, CoreError> {
        let changing = self.change_in_group(group, record, member, append, change)?;
        Ok(changing.map(|(entry, change)| (entry, Publication { change, ..Publication::new(record) })))
    }

    /// The member who sends, or why this user may not send now.
    fn who_sends(
        &self,
        group: &GroupName,
        record: &GroupRecord,
        speaker: Speaker,
        from: &str,
    ) -> Result<Result<GroupMemberRecord, ErrorCode>, CoreError> {
        let settings = record.settings.unwrap_or_default();
        if speaker == Speaker::System {
            let is_there = record.settings.is_some() && !settings.deleted;
            return Ok(if is_there { Ok(GroupMemberRecord::default()) } else { Err(ErrorCode::NotAMember) });
        }
        Ok(may_send(&settings, self.load("group member", &keys::group_member(group, from))?))
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

    pub(in crate::core) fn group(&self, group: &GroupName) -> Result<Option<GroupRecord>, CoreError> {
        self.load("group", &keys::group(group))
    }

    pub(super) fn save_group(&mut self, group: &GroupName, record: &GroupRecord) {
        self.store.put(keys::group(group), records::seal(record));
    }
}
