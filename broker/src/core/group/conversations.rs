//! Groups among a user's conversations (decision 0032). What is the member's own stands in the member's shard: read up
//! to where, muted, archived. What is the group's stands there once for all its members who live in the shard: the
//! newest message, and which messages can count as unread. So a message costs each shard the same, however many members
//! it has.

use bytes::Bytes;
use tidings_proto::ErrorCode;
use tidings_proto::group::v1::Permission;
use tidings_proto::mailbox::v1::{
    ConversationRecord, CountedRecord, GroupItem, GroupMemberRecord, LocalGroupRecord, ShardRecord, UpdateConversation,
};
use tidings_proto::message::v1::Conversation;

use super::bodies::Body;
use super::permissions;
use crate::core::conversation;
use crate::core::envelope::{Peeked, peek};
use crate::core::keys::{self, GroupName, MailboxId};
use crate::core::limits::{ADOPTED_PER_COMMAND, UNREAD_COUNTED};
use crate::core::records::{self, CoreError};
use crate::core::{Applying, Reply, refused};

/// From which level of brokers on there are conversations with groups.
pub(super) const LEVEL: u32 = 3;

/// How a member stands in a group.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    pub group: GroupName,
    pub conversation: ConversationRecord,
    pub member: GroupMemberRecord,
    pub local: LocalGroupRecord,
}

impl Standing {
    /// Reads it; `None` for one who is no member. `read` answers what is stored under a key.
    pub fn load<E: From<CoreError>>(
        group: GroupName,
        user: &str,
        read: impl Fn(&[u8]) -> Result<Option<Bytes>, E>,
    ) -> Result<Option<Self>, E> {
        let Some(member) = read(&keys::local_member(&group, user))? else { return Ok(None) };
        let member = records::open("group member", member)?;
        let mailbox = MailboxId::new(group.app(), user).ok_or(CoreError::Contradiction("a member has no id"))?;
        let conversation = read(&keys::group_conversation(&mailbox, group.group()))?;
        let conversation = conversation.map(|stored| records::open("conversation", stored)).transpose()?;
        let local = read(&keys::local_group(&group))?;
        let local = local.map(|stored| records::open("local group", stored)).transpose()?;
        let (conversation, local) = (conversation.unwrap_or_default(), local.unwrap_or_default());
        Ok(Some(Self { group, conversation, member, local }))
    }

    /// The newest message that this member may see; 0: there is none.
    fn last_place(&self) -> u64 {
        let receives = permissions(&self.member, self.local.member_permissions).has(Permission::Receive);
        if receives && self.local.last_place >= self.member.joined_at { self.local.last_place } else { 0 }
    }

    /// Where the body of that message stands, when it is kept.
    pub fn last_body(&self) -> Option<Vec<u8>> {
        let is_kept = self.last_place() != 0 && self.local.has_last;
        is_kept.then(|| keys::group_body(&self.group, self.local.last_place))
    }

    /// By which time it is ordered among a user's conversations.
    pub fn ordered_at_ms(&self) -> i64 {
        if self.last_place() == 0 {
            return self.conversation.ordered_at_ms;
        }
        self.local.last_at_ms.max(self.conversation.ordered_at_ms)
    }

    /// The keys of the messages that may be unread, as the ends of a scan; `None`: all are read.
    pub fn unread(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        let from = self.conversation.read_place.max(self.member.joined_at).saturating_add(1);
        (from <= self.last_place()).then(|| keys::all_counted(&self.group, from.max(self.local.counted_from)))
    }

    /// As the user is told of it, without its last message.
    pub fn summary(&self, unread: u64) -> Conversation {
        let last_place = self.last_place();
        Conversation {
            with: String::new(),
            group: self.group.group().to_owned(),
            last_place,
            last_at_ms: if last_place == 0 { 0 } else { self.local.last_at_ms },
            unread,
            ..conversation::summary("", &self.conversation)
        }
    }
}

/// How many of these messages count as unread for a user: not the user's own, nor those of others whom the user ignores
/// in groups.
pub fn count_unread<E: From<CoreError>>(
    counted: &[(Bytes, Bytes)],
    user: &str,
    ignores: impl Fn(&str) -> Result<bool, E>,
) -> Result<u64, E> {
    let mut unread = 0;
    for (_, stored) in counted {
        let CountedRecord { from, .. } = records::open("counted message", stored.clone())?;
        unread += u64::from(from != user && !ignores(&from)?);
    }
    Ok(unread)
}

impl Applying<'_> {
    /// It is an item's turn, where members live: before any of them is given it.
    pub(super) fn begin_item(
        &mut self,
        group: &GroupName,
        local: &mut LocalGroupRecord,
        item: &GroupItem,
        body: &Body,
    ) -> Result<(), CoreError> {
        if item.level < LEVEL {
            return Ok(());
        }
        (local.member_permissions, local.is_tallied) = (item.member_permissions, item.is_tallied);
        let envelope = records::open_bytes("group body", body.stored.clone())?;
        self.await_beginning(group, item.group_seq, &envelope)?;
        match peek(&envelope)? {
            Peeked::Message(head) if item.kept_until_ms != 0 => {
                let (from, kept_until_ms) = (head.from.to_owned(), item.kept_until_ms);
                let is_tallied = item.is_tallied;
                let member_permissions = if is_tallied { item.member_permissions } else { 0 };
                let counted = CountedRecord { from, kept_until_ms, is_tallied, member_permissions };
                self.use_body(group, item.group_seq, body, 1)?;
                self.release_last(group, local)?;
                (local.last_place, local.last_at_ms, local.has_last) = (item.group_seq, head.sent_at_ms, true);
                self.count(group, local, &counted)
            }
            _ => Ok(()),
        }
    }

    /// Members who live here have a conversation with a group from now on.
    pub(super) fn begin_conversations(
        &mut self,
        group: &GroupName,
        item: &GroupItem,
        at_ms: i64,
    ) -> Result<(), CoreError> {
        if item.put.is_empty() || (item.level < LEVEL && !self.shard_record()?.has_adopted) {
            return Ok(());
        }
        for member in &item.put {
            self.begin_conversation(group, &member.user, at_ms)?;
        }
        Ok(())
    }

    fn begin_conversation(&mut self, group: &GroupName, user: &str, at_ms: i64) -> Result<(), CoreError> {
        let mailbox = MailboxId::new(group.app(), user).ok_or(CoreError::Contradiction("a member has no id"))?;
        let key = keys::group_conversation(&mailbox, group.group());
        if self.store.get(&key).is_none() {
            let conversation = ConversationRecord { ordered_at_ms: at_ms, ..ConversationRecord::default() };
            self.store.put(key, records::seal(&conversation));
        }
        Ok(())
    }

    /// Members who live here have left; with the last of them goes what is kept for all.
    pub(super) fn end_conversations(
        &mut self,
        group: &GroupName,
        local: &mut LocalGroupRecord,
        removed: &[String],
    ) -> Result<(), CoreError> {
        for user in removed {
            let mailbox = MailboxId::new(group.app(), user).ok_or(CoreError::Contradiction("a member has no id"))?;
            self.store.delete(&keys::group_conversation(&mailbox, group.group()));
        }
        let (from, to) = keys::local_members(group, "");
        if removed.is_empty() || !self.store.scan(&from, &to, 1).is_empty() {
            return Ok(());
        }
        self.release_last(group, local)?;
        while local.counted > 0 {
            self.discount_oldest(group, local)?;
        }
        Ok(())
    }

    pub(in crate::core) fn adopt_groups(&mut self) -> Result<Reply, CoreError> {
        let mut shard = self.shard_record()?;
        if shard.has_adopted {
            return Ok(Reply::GroupsAdopted { more: false });
        }
        let (from, to) = keys::all_local_members(&shard.adopted_to);
        let members = self.store.scan(&from, &to, ADOPTED_PER_COMMAND);
        for (key, _) in &members {
            let (group, user) =
                keys::local_member_of(key).ok_or(CoreError::Contradiction("a member's key cannot be read"))?;
            self.begin_conversation(&group, user, self.context.now_ms)?;
        }
        shard.has_adopted = members.len() < ADOPTED_PER_COMMAND;
        shard.adopted_to =
            members.last().filter(|_| !shard.has_adopted).map(|(key, _)| key.clone()).unwrap_or_default();
        self.store.put(keys::shard(), records::seal(&shard));
        Ok(Reply::GroupsAdopted { more: !shard.has_adopted })
    }

    /// A member read a group up to a place.
    pub(super) fn read_in_group(&mut self, group: GroupName, user: &str, place: u64) -> Result<(), CoreError> {
        let Some(mut standing) = self.standing(group, user)? else { return Ok(()) };
        let conversation = &mut standing.conversation;
        if place <= conversation.read_place && !conversation.marked_unread {
            return Ok(());
        }
        (conversation.read_place, conversation.marked_unread) = (conversation.read_place.max(place), false);
        self.set_standing(user, &standing).map(drop)
    }

    pub(in crate::core) fn update_group_conversation(&mut self, asked: UpdateConversation) -> Result<Reply, CoreError> {
        let update = asked.update.unwrap_or_default();
        let (Some(group), true) = (GroupName::new(&asked.app, &update.group), keys::is_id(&asked.user)) else {
            return refused(ErrorCode::InvalidArgument);
        };
        if !asked.with.is_empty() || update.blocks.is_some() || update.contact.is_some() {
            return refused(ErrorCode::InvalidArgument);
        }
        let Some(mut standing) = self.standing(group, &asked.user)? else { return refused(ErrorCode::NotAMember) };
        if let Some(place) = update.read_place {
            let read = standing.conversation.read_place.max(place.min(standing.local.taken));
            (standing.conversation.read_place, standing.conversation.marked_unread) = (read, false);
        }
        conversation::set(&mut standing.conversation, &update);
        let conversation = self.set_standing(&asked.user, &standing)?;
        Ok(Reply::Conversation(Box::new(conversation)))
    }

    pub(super) fn standing(&self, group: GroupName, user: &str) -> Result<Option<Standing>, CoreError> {
        let standing = Standing::load(group, user, |key| Ok::<_, CoreError>(self.store.get(key)))?;
        Ok(standing.map(|mut standing| {
            // Nothing was put down yet: see `adopt_groups`.
            if standing.conversation.ordered_at_ms == 0 {
                standing.conversation.ordered_at_ms = self.context.now_ms;
            }
            standing
        }))
    }

    /// Stores how a member stands in a group, and tells the user's devices.
    fn set_standing(&mut self, user: &str, standing: &Standing) -> Result<Conversation, CoreError> {
        let mailbox = MailboxId::new(standing.group.app(), user);
        let mailbox = mailbox.ok_or(CoreError::Contradiction("a member has no id"))?;
        let key = keys::group_conversation(&mailbox, standing.group.group());
        self.store.put(key, records::seal(&standing.conversation));
        let unread =
            standing.unread().map_or(Vec::new(), |(from, to)| self.store.scan(&from, &to, UNREAD_COUNTED as usize));
        let mut record = self.mailbox_or_new(&mailbox)?;
        let unread = count_unread(&unread, user, |from| self.ignores(&mailbox, &record, Some(from)))?;
        let conversation = standing.summary(unread);
        self.tell_devices(&mailbox, &mut record, &conversation);
        self.save_mailbox(&mailbox, &record);
        Ok(conversation)
    }

    /// The newest message can be unread; the oldest of too many can be no longer.
    fn count(
        &mut self,
        group: &GroupName,
        local: &mut LocalGroupRecord,
        counted: &CountedRecord,
    ) -> Result<(), CoreError> {
        if local.counted == 0 {
            local.counted_from = local.last_place;
        }
        self.store.put(keys::counted(group, local.last_place), records::seal(counted));
        self.store.put(keys::counted_due(counted.kept_until_ms, group, local.last_place), Bytes::new());
        local.counted += 1;
        if local.counted > UNREAD_COUNTED { self.discount_oldest(group, local) } else { Ok(()) }
    }

    fn discount_oldest(&mut self, group: &GroupName, local: &mut LocalGroupRecord) -> Result<(), CoreError> {
        let (from, to) = keys::all_counted(group, local.counted_from);
        let oldest = self.store.scan(&from, &to, 1).pop();
        let (key, stored) = oldest.ok_or(CoreError::Contradiction("a group counts messages that are not there"))?;
        let counted: CountedRecord = records::open("counted message", stored)?;
        let place = keys::counted_place(&key).ok_or(CoreError::Contradiction("a counted message has no place"))?;
        self.store.delete(&keys::counted_due(counted.kept_until_ms, group, place));
        self.store.delete(&key);
        (local.counted, local.counted_from) = (local.counted - 1, place + 1);
        Ok(())
    }

    /// The home keeps a message no longer: it is not unread, nor the newest to be shown.
    pub(in crate::core) fn end_counted(&mut self, group: &GroupName, place: u64) -> Result<(), CoreError> {
        let mut local = self.local_group(group)?;
        let key = keys::counted(group, place);
        if self.store.get(&key).is_some() {
            self.store.delete(&key);
            local.counted = local.counted.saturating_sub(1);
        }
        if local.last_place == place {
            self.release_last(group, &mut local)?;
        }
        self.save_local_group(group, &local);
        self.empty_body(group, place)
    }

    /// The body of the newest message is kept no longer for lists of conversations. The caller saves `local`.
    fn release_last(&mut self, group: &GroupName, local: &mut LocalGroupRecord) -> Result<(), CoreError> {
        if std::mem::take(&mut local.has_last) { self.release_body(group, local.last_place, 1) } else { Ok(()) }
    }

    fn shard_record(&self) -> Result<ShardRecord, CoreError> {
        Ok(self.load("shard", &keys::shard())?.unwrap_or_default())
    }
}
