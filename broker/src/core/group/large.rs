//! Large groups. To give each message to 100,000 mailboxes would cost as many writes, of which most are for members who
//! are away. So a member *follows* while its mailbox keeps up, and is given a pointer as in any group; once too much
//! waits there, or no device has ever come, it *rests*: nothing is written for it any more but the one copy of the
//! timeline in its shard. When its devices acknowledge, or one comes, the mailbox is filled from there, some places at
//! a time, with the member as it was at each. So what clients see does not differ from other groups: the cursor is that
//! of the mailbox.

use bytes::Bytes;
use tidings_proto::group::v1::Permission;
use tidings_proto::mailbox::v1::{
    GroupItem, GroupMemberRecord, GroupRecord, LocalGroupRecord, LocalPlaceRecord, MailboxRecord, RestingRecord,
};

use super::bodies::Body;
use super::expansion::Gift;
use super::local_timeline::place_of;
use super::{permissions, record_of};
use crate::core::keys::{self, GroupName, MailboxId};
use crate::core::mailbox::subtract;
use crate::core::records::{self, CoreError};
use crate::core::{Applying, Effect};

/// Groups that one command fills a mailbox from.
const GROUPS: usize = 64;

/// Takes over what is known of the threshold, and says whether the group is a large one from the next place on. Small
/// again it is at nine tenths: who comes and goes at the edge does not turn it back and forth.
pub fn measure(group: &mut GroupRecord, large_beyond: u32) {
    if large_beyond != 0 {
        group.large_beyond = large_beyond;
    }
    let beyond = u64::from(group.large_beyond);
    let small_to = if group.is_large { beyond * 9 / 10 } else { beyond };
    group.is_large = beyond != 0 && group.members > small_to;
}

/// Whether an item is for a member: to those who came after a message it was never said, and what becomes of it is not
/// for them either.
pub(super) fn is_for(item: &GroupItem, user: &str, member: &GroupMemberRecord) -> bool {
    if item.for_some {
        return item.some.iter().any(|one| one == user);
    }
    let was_there = item.changes == 0 || member.joined_at <= item.changes;
    was_there && (item.is_event || permissions(member, item.member_permissions).has(Permission::Receive))
}

impl Applying<'_> {
    fn follows(&self, mailbox: &MailboxRecord) -> bool {
        mailbox.devices > 0 && mailbox.pending_entries < self.bounds.followed
    }

    pub(super) fn rests(&self, group: &GroupName, user: &str) -> Result<bool, CoreError> {
        let mailbox = member_mailbox(group, user)?;
        Ok(self.store.get(&keys::resting(&mailbox, group)).is_some())
    }

    /// One who joins a large group: follows it from this place on, or rests before it. The place is given to followers
    /// afterwards.
    pub(super) fn join_large(
        &mut self,
        group: &GroupName,
        local: &mut LocalGroupRecord,
        user: &str,
        member: GroupMemberRecord,
        item: &GroupItem,
        body: &Body,
    ) -> Result<(), CoreError> {
        // Who was a member before, and has not read all of that, goes on with it.
        if local.resting > 0 && self.rests(group, user)? {
            return Ok(());
        }
        let mailbox = member_mailbox(group, user)?;
        let mut record = self.mailbox_or_new(&mailbox)?;
        if self.follows(&record) {
            self.store.put(keys::follower(group, user), Bytes::new());
            return Ok(());
        }
        self.rest(group, local, &mailbox, &mut record, member, item, body)?;
        self.save_mailbox(&mailbox, &record);
        Ok(())
    }

    /// Gives a member of a large group what stands at a place, or has it rest before it; answers whether it was given.
    pub(super) fn give_or_rest(
        &mut self,
        local: &mut LocalGroupRecord,
        user: &str,
        member: GroupMemberRecord,
        item: &GroupItem,
        (gift, body): (&Gift<'_>, &Body),
    ) -> Result<bool, CoreError> {
        let mailbox = member_mailbox(gift.group, user)?;
        let mut record = self.mailbox_or_new(&mailbox)?;
        let follows = self.follows(&record);
        let ignores = self.ignores(&mailbox, &record, gift.from.as_deref())?;
        let given =
            follows && !ignores && self.push_bounded(&mailbox, &mut record, gift.entry_for(user), gift.expires_at_ms);
        if !follows {
            self.rest(gift.group, local, &mailbox, &mut record, member, item, body)?;
        }
        self.save_mailbox(&mailbox, &record);
        Ok(given)
    }

    /// A member rests before a place. The caller saves both records.
    #[allow(clippy::too_many_arguments)] // The member, its mailbox, and the place with its body.
    fn rest(
        &mut self,
        group: &GroupName,
        local: &mut LocalGroupRecord,
        mailbox: &MailboxId,
        record: &mut MailboxRecord,
        member: GroupMemberRecord,
        item: &GroupItem,
        body: &Body,
    ) -> Result<(), CoreError> {
        self.keep_place(group, local, item, body)?;
        let resting = RestingRecord { read_to: item.group_seq - 1, member: Some(member) };
        self.store.put(keys::resting(mailbox, group), records::seal(&resting));
        self.store.delete(&keys::follower(group, mailbox.user()));
        (local.resting, record.resting) = (local.resting + 1, record.resting + 1);
        Ok(())
    }

    /// Fills a mailbox that has room from the groups that its user rests in. The caller saves `record`.
    pub(in crate::core) fn draw(&mut self, mailbox: &MailboxId, record: &mut MailboxRecord) -> Result<(), CoreError> {
        if record.resting == 0 || record.pending_entries >= self.bounds.followed {
            return Ok(());
        }
        let (from, to) = keys::all_resting(mailbox);
        for (key, stored) in self.store.scan(&from, &to, GROUPS) {
            if record.pending_entries >= self.bounds.drawn || self.places == 0 {
                break;
            }
            let group = keys::resting_group(&key, mailbox);
            let group = group.ok_or(CoreError::Contradiction("a group that somebody rests in has no name"))?;
            self.draw_from(mailbox, record, &group, records::open("resting member", stored)?)?;
        }
        self.draw_later(mailbox, record);
        Ok(())
    }

    /// Where a mailbox has room, and too little waits that would be acknowledged and thereby fill it: the upkeep does.
    pub(in crate::core) fn draw_later(&mut self, mailbox: &MailboxId, record: &MailboxRecord) {
        if record.resting > 0 && record.pending_entries < self.bounds.followed {
            self.store.put(keys::drawing(mailbox), Bytes::new());
            self.effects.push(Effect::Expanding);
        }
    }

    /// Goes on with a mailbox that one command did not fill.
    pub(super) fn go_on_drawing(&mut self, mailbox: &MailboxId) -> Result<(), CoreError> {
        self.store.delete(&keys::drawing(mailbox));
        let mut record = self.mailbox_or_new(mailbox)?;
        self.draw(mailbox, &mut record)?;
        self.save_mailbox(mailbox, &record);
        Ok(())
    }

    fn draw_from(
        &mut self,
        mailbox: &MailboxId,
        record: &mut MailboxRecord,
        group: &GroupName,
        mut resting: RestingRecord,
    ) -> Result<(), CoreError> {
        let mut local = self.local_group(group)?;
        let user = mailbox.user();
        let (last, is_large) = self.reached(group, &local, user)?;
        if resting.read_to < local.trimmed_to {
            // It is told that something is unknown (promise 4), and goes on as what it is now.
            self.lose(mailbox, record);
            resting.read_to = local.trimmed_to;
            resting.member = self.load("group member", &keys::local_member(group, user))?;
        }
        let room = usize::try_from(self.bounds.drawn.saturating_sub(record.pending_entries)).unwrap_or(usize::MAX);
        let limit = self.places.min(room);
        let places = if resting.read_to < last {
            let (from, to) = keys::local_places(group, resting.read_to, last);
            self.store.scan(&from, &to, limit)
        } else {
            Vec::new()
        };
        let is_end = places.len() < limit;
        self.places -= places.len();
        for (_, stored) in places {
            let place: LocalPlaceRecord = records::open("local place", stored)?;
            let item = place_of(&place)?;
            self.draw_place(mailbox, record, group, item, &mut resting.member)?;
            resting.read_to = item.group_seq;
        }
        let key = keys::resting(mailbox, group);
        if !is_end && resting.read_to < last {
            self.store.put(key, records::seal(&resting));
            return Ok(());
        }
        self.store.delete(&key);
        record.resting =
            record.resting.checked_sub(1).ok_or(CoreError::Contradiction("a mailbox rests in too few groups"))?;
        subtract(&mut local.resting, 1)?;
        // Whoever left before, and joins with the place that is being given now, is to be given it too.
        if is_large && self.store.get(&keys::local_member(group, user)).is_some() {
            self.store.put(keys::follower(group, user), Bytes::new());
        }
        self.drop_read(group, &mut local)?;
        self.save_local_group(group, &local);
        Ok(())
    }

    /// Gives a mailbox what stands at a place, and follows what becomes of the member there.
    fn draw_place(
        &mut self,
        mailbox: &MailboxId,
        record: &mut MailboxRecord,
        group: &GroupName,
        item: &GroupItem,
        member: &mut Option<GroupMemberRecord>,
    ) -> Result<(), CoreError> {
        let (user, seq) = (mailbox.user(), item.group_seq);
        if let Some(put) = item.put.iter().find(|put| put.user == user) {
            *member = Some(record_of(put, member.take(), item.member_permissions, (seq, item.level)));
        }
        if member.as_ref().is_some_and(|member| seq >= member.joined_at && is_for(item, user, member)) {
            let body = self.stored_body(group, item)?;
            let gift = Gift::new(group, item, &body)?;
            let is_late = gift.expires_at_ms != 0 && gift.expires_at_ms < self.context.now_ms;
            let ignores = self.ignores(mailbox, record, gift.from.as_deref())?;
            if !is_late && !ignores && self.push_bounded(mailbox, record, gift.entry_for(user), gift.expires_at_ms) {
                self.use_body(group, seq, &body, 1)?;
            }
        }
        if item.removed.iter().any(|removed| removed == user) {
            *member = None;
        }
        Ok(())
    }

    /// Up to where a member was passed by, and whether the group was a large one there.
    fn reached(&self, group: &GroupName, local: &LocalGroupRecord, user: &str) -> Result<(u64, bool), CoreError> {
        if local.expanding_after.is_empty() || user > local.expanding_after.as_str() {
            return Ok((local.expanded, local.is_large));
        }
        let (from, to) = keys::local_items(group, local.expanded);
        let (_, stored) =
            self.store.scan(&from, &to, 1).pop().ok_or(CoreError::Contradiction("an item in work is not there"))?;
        let item: GroupItem = records::open("group item", stored)?;
        Ok((item.group_seq, item.is_large))
    }
}

fn member_mailbox(group: &GroupName, user: &str) -> Result<MailboxId, CoreError> {
    MailboxId::new(group.app(), user).ok_or(CoreError::Contradiction("a member has no id"))
}
