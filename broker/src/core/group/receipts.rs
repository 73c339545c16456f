//! Who of a group has a message, and who read it: for each member a watermark of places in the group's order, at home.
//! Where a member lives it is noted first, so that what is acknowledged within a second travels together, once per
//! shard and group.

use tidings_proto::ErrorCode;
use tidings_proto::group::v1::Permission;
use tidings_proto::mailbox::v1::{
    ChannelItem, GroupMemberRecord, GroupReceipt, GroupReceipts, MarkGroupRead, channel_item,
};
use tidings_proto::message::v1::disappearance::Start;
use tidings_proto::shard::shard_of;

use super::tallies::Moved;
use super::{hears_from, permissions};
use crate::core::keys::{self, GroupName};
use crate::core::limits::{GROUP_RECEIPT_MEMBERS, GROUP_RECEIPTS_PER_COMMAND};
use crate::core::records::{self, CoreError};
use crate::core::steps::stepped;
use crate::core::{Applying, Effect, Reply, refused};

/// From which level of brokers on it is kept when.
const TIMED: u32 = 3;

impl Applying<'_> {
    /// A member who lives here read what stands in a group up to a place.
    pub(in crate::core) fn mark_group_read(&mut self, mark: MarkGroupRead) -> Result<Reply, CoreError> {
        let Some(group) = GroupName::new(&mark.app, &mark.group).filter(|_| keys::is_id(&mark.user)) else {
            return refused(ErrorCode::InvalidArgument);
        };
        if self.store.get(&keys::local_member(&group, &mark.user)).is_none() {
            return refused(ErrorCode::NotAMember);
        }
        // Such a place never came: nobody is told that it was read.
        if mark.group_seq == 0 || mark.group_seq > self.local_group(&group)?.taken {
            return refused(ErrorCode::InvalidArgument);
        }
        if !mark.privately {
            let noted = if self.level >= super::tallies::LEVEL {
                self.tally_read(&group, &mark.user, mark.group_seq)?
            } else {
                Some(mark.group_seq)
            };
            if let Some(place) = noted {
                // Who read it has it.
                self.note_group_receipt(&group, &mark.user, place, place)?;
            }
        }
        self.begins_for(&group, &mark.user, Start::Read, mark.group_seq)?;
        if self.level >= super::conversations::LEVEL {
            self.read_in_group(group, &mark.user, mark.group_seq)?;
        }
        Ok(Reply::ReadRecorded)
    }

    /// A member who lives here has a group up to one place, and read it up to another. Of who left nobody is told.
    pub(in crate::core) fn note_group_receipt(
        &mut self,
        group: &GroupName,
        user: &str,
        delivered: u64,
        read: u64,
    ) -> Result<(), CoreError> {
        if self.store.get(&keys::local_member(group, user)).is_none() {
            return Ok(());
        }
        let key = keys::group_receipt(group, user);
        let mut noted: GroupReceipt = self.load("group receipt", &key)?.unwrap_or_default();
        let at_ms = if self.level >= TIMED { self.context.now_ms } else { 0 };
        if delivered > noted.delivered {
            (noted.delivered, noted.delivered_at_ms) = (delivered, at_ms);
        }
        if read > noted.read {
            (noted.read, noted.read_at_ms) = (read, at_ms);
        }
        self.store.put(key, records::seal(&noted));
        Ok(())
    }

    /// Tells the homes what was noted, so many at a time.
    pub(in crate::core) fn tell_group_receipts(&mut self) -> Result<Reply, CoreError> {
        let more_begun = self.tell_begun()?;
        let (from, to) = keys::all_group_receipts();
        let noted = self.store.scan(&from, &to, GROUP_RECEIPTS_PER_COMMAND);
        let more = self.tell_tallies()? || noted.len() == GROUP_RECEIPTS_PER_COMMAND;
        let mut receipts = Vec::with_capacity(noted.len());
        for (key, stored) in noted {
            let (group, user) =
                keys::group_receipt_of(&key).ok_or(CoreError::Contradiction("a receipt of a group has no name"))?;
            receipts.push((group, GroupReceipt { user, ..records::open("group receipt", stored)? }));
            self.store.delete(&key);
        }
        for (group, receipts) in by_group(receipts) {
            if self.is_home(&group) {
                self.take_group_receipts(&group, receipts)?;
            } else {
                let told = GroupReceipts { group: group.group().to_owned(), receipts };
                self.tell_home(&group, channel_item::Item::GroupReceipts(told))?;
            }
        }
        let more_to_pass = self.go_on_passing()?;
        Ok(Reply::GroupReceiptsTold { more: more || more_begun || more_to_pass })
    }

    pub(super) fn is_home(&self, group: &GroupName) -> bool {
        shard_of(group.app(), group.group(), self.core.shards) == self.core.shard
    }

    /// Owes something to the home of a group, in another shard.
    pub(super) fn tell_home(&mut self, group: &GroupName, item: channel_item::Item) -> Result<(), CoreError> {
        let home = shard_of(group.app(), group.group(), self.core.shards);
        let (app, item) = (group.app().to_owned(), Some(item));
        self.push_item(home, &ChannelItem { app, item, ..ChannelItem::default() })
    }

    /// At home: members have and read more than before.
    pub(in crate::core) fn take_group_receipts(
        &mut self,
        group: &GroupName,
        receipts: Vec<GroupReceipt>,
    ) -> Result<(), CoreError> {
        let Some(mut record) = self.group(group)? else { return Ok(()) };
        let last_seq = record.last_seq;
        // That it has a time says that all brokers keep it.
        let is_timed = record.members <= GROUP_RECEIPT_MEMBERS;
        let timed = |at_ms: i64| if is_timed { at_ms } else { 0 };
        let (mut have_moved, mut moved) = (false, Vec::new());
        for receipt in receipts {
            let key = keys::group_member(group, &receipt.user);
            let Some(mut known) = self.load::<GroupMemberRecord>("group member", &key)? else { continue };
            let (delivered, read) = (receipt.delivered.min(last_seq), receipt.read.min(last_seq));
            if delivered <= known.delivered && read <= known.read {
                continue;
            }
            let on = |from: u64, to: u64| (from.max(hears_from(&known).saturating_sub(1)), to);
            have_moved = true;
            if permissions(&known, record.noted_permissions).has(Permission::Receive) {
                let user = receipt.user;
                moved.push(Moved { user, delivered: on(known.delivered, delivered), read: on(known.read, read) });
            }
            if delivered > known.delivered {
                let places = delivered - known.delivered;
                known.delivered_steps = stepped(known.delivered_steps, places, timed(receipt.delivered_at_ms));
                known.delivered = delivered;
            }
            if read > known.read {
                known.read_steps = stepped(known.read_steps, read - known.read, timed(receipt.read_at_ms));
                known.read = read;
            }
            self.store.put(key, records::seal(&known));
        }
        if record.noted_to != 0 && self.count_noted(group, &record, &moved)? {
            self.pass_what_all_have(group, &mut record)?;
            self.save_group(group, &record);
        }
        if have_moved {
            self.effects.push(Effect::ReceiptsMoved { group: group.clone() });
        }
        Ok(())
    }
}

/// What stands one behind the other of the same group, together.
pub(super) fn by_group<T>(noted: Vec<(GroupName, T)>) -> Vec<(GroupName, Vec<T>)> {
    let mut by_group: Vec<(GroupName, Vec<T>)> = Vec::new();
    for (group, one) in noted {
        match by_group.last_mut() {
            Some((last, all)) if *last == group => all.push(one),
            _ => by_group.push((group, vec![one])),
        }
    }
    by_group
}
