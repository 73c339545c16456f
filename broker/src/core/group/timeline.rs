//! What a group's home keeps of its messages: each at its place, found by its id, until its retention ends. A change of
//! one is judged here, changes it here, and takes a place of its own in the group's order, in which it reaches the
//! members; where they live, the body that some of them have yet to be given changes with it.

use bytes::Bytes;
use tidings_proto::ErrorCode;
use tidings_proto::group::v1::Permission;
use tidings_proto::mailbox::v1::{AppendMessage, GroupItem, GroupMemberRecord, GroupRecord, HistoryPlace};
use tidings_proto::message::v1::{Change, Envelope, Message, MessageId, change::Kind, envelope};

use super::bodies::Body;
use super::fan_out::ChangeOf;
use super::permissions;
use crate::core::Applying;
use crate::core::change::{changed, may_change};
use crate::core::entry::{self, Entry};
use crate::core::envelope::{MessageHead, Peeked, peek};
use crate::core::keys::{self, GroupName};
use crate::core::limits::GROUP_HISTORY_BYTES;
use crate::core::mailbox::subtract;
use crate::core::records::{self, CoreError};

/// From which level of brokers on messages of groups can be searched for.
const SEARCHED: u32 = 3;

impl Applying<'_> {
    /// Keeps a message for a time, if there is room for it, and answers until when; 0: it is not kept. The caller saves
    /// `record`.
    pub(super) fn keep_in_group(
        &mut self,
        group: &GroupName,
        record: &mut GroupRecord,
        head: &MessageHead<'_>,
        stored: &Bytes,
        retention_ms: u64,
    ) -> Result<i64, CoreError> {
        let bytes = stored.len() as u64;
        if retention_ms == 0 || record.history_bytes + bytes > GROUP_HISTORY_BYTES {
            return Ok(0);
        }
        let kept_until = self.context.now_ms.saturating_add(i64::try_from(retention_ms).unwrap_or(i64::MAX));
        // What may not be delivered any more is not to be read either.
        let until_ms = if head.expires_at_ms == 0 { kept_until } else { kept_until.min(head.expires_at_ms) };
        let place = head.group_seq;
        self.use_body(group, place, &Body::alone(stored.clone()), 1)?;
        self.store.put(keys::group_timeline(group, place), Bytes::new());
        let stands = HistoryPlace { conversation: String::new(), place };
        self.store.put(keys::group_place(group, head.stream, head.seq), records::seal(&stands));
        self.store.put(keys::group_due(until_ms, group, place), Bytes::new());
        if self.level >= SEARCHED {
            self.reindex_in_group(group, place, None, Some(&records::open_bytes("group body", stored.clone())?))?;
        }
        record.history_bytes += bytes;
        Ok(until_ms)
    }

    /// The retention of a message has ended.
    pub(in crate::core) fn end_group_retention(&mut self, group: &GroupName, place: u64) -> Result<(), CoreError> {
        // It may have ended before, because it has disappeared.
        if self.store.get(&keys::group_timeline(group, place)).is_none() {
            return Ok(());
        }
        let stored = self.body(group, place)?;
        let mut record = self.group(group)?.ok_or(CoreError::Contradiction("a message that is kept has no group"))?;
        subtract(&mut record.history_bytes, stored.len() as u64)?;
        let envelope = records::open_bytes("group body", stored)?;
        if let Peeked::Message(head) = peek(&envelope)? {
            self.store.delete(&keys::group_place(group, head.stream, head.seq));
        }
        self.reindex_in_group(group, place, Some(&envelope), None)?;
        self.end_tally(group, &record, place)?;
        self.store.delete(&keys::group_timeline(group, place));
        self.release_body(group, place, 1)?;
        self.empty_body(group, place)?;
        self.save_group(group, &record);
        Ok(())
    }

    /// Changes a message that is kept, as far as the member may; the reason when not. The caller publishes the change,
    /// at the place behind the last one, and saves `record`.
    pub(super) fn change_in_group(
        &mut self,
        group: &GroupName,
        record: &mut GroupRecord,
        member: &GroupMemberRecord,
        append: &AppendMessage,
        change: Change,
    ) -> Result<Result<(Entry, ChangeOf), ErrorCode>, CoreError> {
        let of = change.of.unwrap_or_default();
        let key = keys::group_place(group, of.stream, of.seq);
        let place = match self.load::<HistoryPlace>("place", &key)? {
            // To those who came later it was never said.
            Some(stands) if stands.place >= member.joined_at => stands.place,
            _ => return Ok(Err(ErrorCode::NotFound)),
        };
        let change = Change {
            id: Some(MessageId { stream: append.stream, seq: append.seq }),
            from: append.from.clone(),
            to: String::new(),
            at_ms: self.context.now_ms,
            group: group.group().to_owned(),
            group_seq: record.last_seq + 1,
            of_group_seq: place,
            ..change
        };
        let stored = self.body(group, place)?;
        let message = message_in(stored.clone())?;
        let of_members = record.settings.unwrap_or_default().member_permissions;
        let manages = permissions(member, of_members).has(Permission::Manage);
        if let Err(code) = may_change(&message, &change, self.rights(append, manages)) {
            return Ok(Err(code));
        }
        let after = sealed(changed(message, &change));
        subtract(&mut record.history_bytes, stored.len() as u64)?;
        record.history_bytes += after.len() as u64;
        self.store.put(keys::group_body(group, place), after.clone());
        if self.level >= SEARCHED {
            let envelope = |stored: &Bytes| records::open_bytes("group body", stored.clone());
            self.reindex_in_group(group, place, Some(&envelope(&stored)?), Some(&envelope(&after)?))?;
        }

        let is_edit = change.kind() == Kind::Edit;
        // What it says now stands in the message alone: a later recall leaves nothing behind.
        let content = change.content.clone().filter(|_| !is_edit);
        let event = envelope::Event::Change(Change { content, ..change });
        let entry = Entry::whole(&Envelope { event: Some(event) });
        Ok(Ok((entry, ChangeOf { place, is_edit, body: if is_edit { after } else { Bytes::new() } })))
    }

    /// Changes the body of a message that members in this shard have yet to be given.
    pub(super) fn take_change(&mut self, group: &GroupName, item: &GroupItem) -> Result<(), CoreError> {
        if item.changes == 0 {
            return Ok(());
        }
        let change = match entry::decode(&records::open_bytes("group body", item.body.clone())?)? {
            envelope::Event::Change(change) => change,
            _ => return Err(CoreError::Contradiction("a change of a group's message is none")),
        };
        if change.kind() == Kind::Disappears {
            self.take_beginning(group, item, &change);
        }
        let key = keys::group_body(group, item.changes);
        if let Some(stored) = self.store.get(&key) {
            let after =
                if item.is_edit { item.changed_body.clone() } else { sealed(changed(message_in(stored)?, &change)) };
            self.store.put(key, after);
        }
        Ok(())
    }
}

pub(super) fn message_in(stored: Bytes) -> Result<Message, CoreError> {
    match entry::decode(&records::open_bytes("group body", stored)?)? {
        envelope::Event::Message(message) => Ok(message),
        _ => Err(CoreError::Contradiction("a place of a group that is kept holds no message")),
    }
}

pub(super) fn sealed(message: Message) -> Bytes {
    records::seal(&Envelope { event: Some(envelope::Event::Message(message)) })
}
