//! Where members live: what comes from a group's home, into the mailboxes of the members in this shard. One command
//! gives a bounded number of places; the rest is done by `ExpandGroups`, from a cursor that is stored. Places of a
//! group are worked off one after the other, members as they are at each: whoever is removed later still gets the
//! earlier (promise 3). In a large group only those are given it who follow ([`large`](super::large)).

use bytes::Bytes;
use tidings_proto::mailbox::v1::{GroupItem, GroupMemberRecord, GroupPointer, LocalGroupRecord, MailboxRecord};
use tidings_proto::message::v1::{Block, disappearance::Start, envelope};

use super::bodies::Body;
use super::large::is_for;
use super::{conversations, record_of};
use crate::core::entry::{self, Entry};
use crate::core::envelope::{Peeked, peek};
use crate::core::keys::{self, GroupName, MailboxId};
use crate::core::records::{self, CoreError};
use crate::core::{Applying, Effect, Reply};

/// Groups that one command goes on with.
const GROUPS: usize = 64;

/// What members get: an entry that points to the body.
pub(super) struct Gift<'a> {
    pub group: &'a GroupName,
    /// Who said it, or changed what was said, where it is withheld from members who blocked that; else `None`.
    pub from: Option<String>,
    pub at_ms: i64,
    pub expires_at_ms: i64,
    entry: Entry,
    /// Of who said it, where that one is given another; else `None`.
    own: Option<Entry>,
}

impl<'a> Gift<'a> {
    pub(super) fn new(group: &'a GroupName, item: &GroupItem, body: &Body) -> Result<Self, CoreError> {
        let envelope = records::open_bytes("group body", body.stored.clone())?;
        let envelope = entry::resolve_in_group(envelope, |_| Ok::<_, CoreError>(Some(body.of_stored.clone())))?;
        let envelope = envelope.ok_or(CoreError::Contradiction("an edit has lost its message"))?;
        let peeked = peek(&envelope)?;
        let (at_ms, expires_at_ms) = (peeked.at_ms(), peeked.expires_at_ms());
        // What is for a few alone is for nobody else: it is not withheld from them. Brokers of an earlier release
        // withhold nothing.
        let may_be_withheld = !item.for_some && item.level >= conversations::LEVEL;
        let from = if may_be_withheld { sayer(&peeked, &envelope)? } else { None };
        let pointer = GroupPointer {
            group: group.group().to_owned(),
            group_seq: item.group_seq,
            at_ms,
            expires_at_ms,
            is_message: matches!(peeked, Peeked::Message(_)),
            wants_receipts: item.wants_receipts && !item.is_tallied,
            is_tallied: item.wants_receipts && item.is_tallied && item.kept_until_ms != 0,
            awaits_delivery: awaits_delivery(&peeked),
        };
        let own = pointer.is_tallied.then(|| GroupPointer { is_tallied: false, ..pointer.clone() });
        let own = own.map(|pointer| Entry::of_group(&pointer, envelope.clone()));
        Ok(Self { group, from, at_ms, expires_at_ms, entry: Entry::of_group(&pointer, envelope), own })
    }

    /// As it stands in the mailbox of a member.
    pub(super) fn entry_for(&self, user: &str) -> Entry {
        let own = self.own.as_ref().filter(|_| self.from.as_deref() == Some(user));
        own.unwrap_or(&self.entry).clone()
    }
}

fn sayer(peeked: &Peeked<'_>, envelope: &Bytes) -> Result<Option<String>, CoreError> {
    Ok(match peeked {
        Peeked::Message(head) => Some(head.from.to_owned()),
        Peeked::Change { .. } => match entry::decode(envelope)? {
            envelope::Event::Change(change) => Some(change.from),
            _ => None,
        },
        _ => None,
    })
}

fn awaits_delivery(peeked: &Peeked<'_>) -> bool {
    match peeked {
        Peeked::Message(head) => head.disappears.from() == Start::Delivered && head.disappears_at_ms == 0,
        _ => false,
    }
}

impl Applying<'_> {
    /// Takes what came for a group. What came before is passed over (promise 2).
    pub(in crate::core) fn take_group_item(&mut self, group: &GroupName, item: GroupItem) -> Result<(), CoreError> {
        let mut local = self.local_group(group)?;
        if item.group_seq <= local.taken {
            return Ok(());
        }
        local.taken = item.group_seq;
        self.take_change(group, &item)?;
        let body = Body::of_item(&item);
        let is_done = !local.is_expanding && self.expand(group, &mut local, &item, &body)?;
        if is_done {
            local.expanded = item.group_seq;
            self.drop_read(group, &mut local)?;
        } else {
            self.use_body(group, item.group_seq, &body, 1)?;
            let item = GroupItem { body: Bytes::new(), changed_body: Bytes::new(), ..item };
            self.store.put(keys::local_item(group, item.group_seq), records::seal(&item));
            if !local.is_expanding {
                local.is_expanding = true;
                self.store.put(keys::expanding(group), Bytes::new());
                self.effects.push(Effect::Expanding);
            }
        }
        self.save_local_group(group, &local);
        Ok(())
    }

    pub(in crate::core) fn expand_groups(&mut self) -> Result<Reply, CoreError> {
        let (from, to) = keys::all_expanding();
        for (key, _) in self.store.scan(&from, &to, GROUPS) {
            let group = keys::expanding_group(&key);
            self.expand_waiting(&group.ok_or(CoreError::Contradiction("a group that waits has no name"))?)?;
            if self.places == 0 {
                break;
            }
        }
        let (first, end) = keys::all_drawing();
        for (key, _) in self.store.scan(&first, &end, GROUPS) {
            if self.places == 0 {
                break;
            }
            let mailbox = keys::drawing_mailbox(&key);
            self.go_on_drawing(&mailbox.ok_or(CoreError::Contradiction("a mailbox that has room has no name"))?)?;
        }
        let is_left = |from: &[u8], to: &[u8]| !self.store.scan(from, to, 1).is_empty();
        Ok(Reply::GroupsExpanded { more: is_left(&from, &to) || is_left(&first, &end) })
    }

    fn expand_waiting(&mut self, group: &GroupName) -> Result<(), CoreError> {
        let mut local = self.local_group(group)?;
        while self.places > 0 {
            let (from, to) = keys::local_items(group, local.expanded);
            let Some((key, stored)) = self.store.scan(&from, &to, 1).pop() else {
                (local.is_expanding, local.expanded) = (false, local.taken);
                self.store.delete(&keys::expanding(group));
                break;
            };
            let item: GroupItem = records::open("group item", stored)?;
            let body = self.stored_body(group, &item)?;
            if !self.expand(group, &mut local, &item, &body)? {
                break;
            }
            local.expanded = item.group_seq;
            self.store.delete(&key);
            self.release_body(group, item.group_seq, 1)?;
            self.drop_read(group, &mut local)?;
        }
        self.save_local_group(group, &local);
        Ok(())
    }

    /// Gives an item to members, as far as this command goes; answers whether all have it.
    fn expand(
        &mut self,
        group: &GroupName,
        local: &mut LocalGroupRecord,
        item: &GroupItem,
        body: &Body,
    ) -> Result<bool, CoreError> {
        if self.places == 0 {
            return Ok(false);
        }
        let gift = Gift::new(group, item, body)?;
        if local.expanding_after.is_empty() {
            self.begin_item(group, local, item, body)?;
            self.begin_conversations(group, item, gift.at_ms)?;
            self.begin_place(group, local, item, body)?;
        }
        let (given, is_done) = if item.for_some {
            (self.give_to_some(local, item, &gift, body)?, true)
        } else {
            self.give_to_next(local, item, &gift, body)?
        };
        self.use_body(group, item.group_seq, body, given)?;
        if is_done {
            local.expanding_after.clear();
            local.is_large = if item.for_some { local.is_large } else { item.is_large };
            for user in &item.removed {
                self.store.delete(&keys::local_member(group, user));
                self.store.delete(&keys::follower(group, user));
            }
            self.end_conversations(group, local, &item.removed)?;
        }
        // Members that come and go are work too.
        self.places = self.places.saturating_sub(if is_done { item.put.len() + item.removed.len() } else { 0 });
        Ok(is_done)
    }

    /// What comes with a place before it is given to anybody: members as they are from it on, and where somebody rests,
    /// the place itself.
    fn begin_place(
        &mut self,
        group: &GroupName,
        local: &mut LocalGroupRecord,
        item: &GroupItem,
        body: &Body,
    ) -> Result<(), CoreError> {
        if local.resting > 0 {
            self.keep_place(group, local, item, body)?;
        }
        let mut places = 0;
        for member in &item.put {
            let key = keys::local_member(group, &member.user);
            let known: Option<GroupMemberRecord> = self.load("group member", &key)?;
            let is_new = known.is_none();
            let record = record_of(member, known, item.member_permissions, (item.group_seq, item.level));
            self.store.put(key, records::seal(&record));
            if is_new && gives_to_followers(local, item) {
                self.join_large(group, local, &member.user, record, item, body)?;
                places += 1;
            }
        }
        // At least one is left: the place has begun, and is to get on.
        self.places = self.places.saturating_sub(places).max(1);
        Ok(())
    }

    /// Gives an item to those whom it names.
    fn give_to_some(
        &mut self,
        local: &mut LocalGroupRecord,
        item: &GroupItem,
        gift: &Gift<'_>,
        body: &Body,
    ) -> Result<usize, CoreError> {
        let mut given = 0;
        for user in &item.some {
            if local.resting > 0 && self.rests(gift.group, user)? {
                continue;
            }
            let is_given = if local.is_large {
                let member = self.load("group member", &keys::local_member(gift.group, user))?.unwrap_or_default();
                self.give_or_rest(local, user, member, item, (gift, body))?
            } else {
                self.give(user, gift)?
            };
            given += usize::from(is_given);
        }
        self.places = self.places.saturating_sub(item.some.len());
        Ok(given)
    }

    /// Gives an item to the members behind the cursor; answers how many got it, and whether there are no more.
    fn give_to_next(
        &mut self,
        local: &mut LocalGroupRecord,
        item: &GroupItem,
        gift: &Gift<'_>,
        body: &Body,
    ) -> Result<(usize, bool), CoreError> {
        let to_followers = gives_to_followers(local, item);
        let range = if to_followers { keys::followers } else { keys::local_members };
        let (from, to) = range(gift.group, &local.expanding_after);
        let members = self.store.scan(&from, &to, self.places);
        let is_end = members.len() < self.places;
        let mut given = 0;
        for (key, stored) in &members {
            let user = keys::member_user(key).ok_or(CoreError::Contradiction("a member has no name"))?;
            let member: GroupMemberRecord = if to_followers {
                let member = self.load("group member", &keys::local_member(gift.group, user))?;
                member.ok_or(CoreError::Contradiction("one who follows a group is no member"))?
            } else {
                records::open("group member", stored.clone())?
            };
            let goes_by = to_followers || local.resting == 0 || !self.rests(gift.group, user)?;
            if goes_by {
                let follows = || keys::follower(gift.group, user);
                match (local.is_large, item.is_large) {
                    (false, true) => self.store.put(follows(), Bytes::new()),
                    (true, false) => self.store.delete(&follows()),
                    _ => {}
                }
                let is_given = is_for(item, user, &member)
                    && if item.is_large {
                        self.give_or_rest(local, user, member, item, (gift, body))?
                    } else {
                        self.give(user, gift)?
                    };
                given += usize::from(is_given);
            }
            if !is_end {
                user.clone_into(&mut local.expanding_after);
            }
        }
        self.places -= members.len();
        Ok((given, is_end))
    }

    /// Whether a member has blocked what this user says in groups.
    pub(super) fn ignores(
        &self,
        mailbox: &MailboxId,
        record: &MailboxRecord,
        from: Option<&str>,
    ) -> Result<bool, CoreError> {
        match from {
            Some(from) if from != mailbox.user() => self.blocks(mailbox, record, from, Block::GroupMessages),
            _ => Ok(false),
        }
    }

    /// Gives one member a pointer to a body; `false` when the member ignores its sender, or the mailbox has no room,
    /// which is recorded in it.
    fn give(&mut self, user: &str, gift: &Gift<'_>) -> Result<bool, CoreError> {
        let mailbox = MailboxId::new(gift.group.app(), user).ok_or(CoreError::Contradiction("a member has no id"))?;
        let mut record = self.mailbox_or_new(&mailbox)?;
        if self.ignores(&mailbox, &record, gift.from.as_deref())? {
            return Ok(false);
        }
        let has_room = self.push_bounded(&mailbox, &mut record, gift.entry_for(user), gift.expires_at_ms);
        self.save_mailbox(&mailbox, &record);
        Ok(has_room)
    }

    pub(super) fn local_group(&self, group: &GroupName) -> Result<LocalGroupRecord, CoreError> {
        Ok(self.load("local group", &keys::local_group(group))?.unwrap_or_default())
    }

    pub(super) fn save_local_group(&mut self, group: &GroupName, local: &LocalGroupRecord) {
        self.store.put(keys::local_group(group), records::seal(local));
    }
}

/// In a large group only those are looked at who follow; where it has just become one, or is none any more, all are,
/// once.
fn gives_to_followers(local: &LocalGroupRecord, item: &GroupItem) -> bool {
    local.is_large && item.is_large
}
