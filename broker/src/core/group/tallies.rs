//! How many have a message, and how many read it, in groups of so many members that nobody is told who
//! ([`receipts`](super::receipts) is of the others). A message is tallied where it is kept, at home. Where members live
//! each who has or reads it counts, and what was counted within a second travels together: what it costs goes by
//! messages, not by members (decision 0052).

use bytes::Bytes;
use tidings_proto::Permissions;
use tidings_proto::group::v1::Permission;
use tidings_proto::mailbox::v1::{
    CountedRecord, GroupMemberRecord, GroupRecord, GroupTallies, GroupTally, TallyRecord, channel_item,
};
use tidings_proto::message::v1::ReceiptRequest;

use super::receipts::by_group;
use super::{hears_from, permissions, receivers};
use crate::core::envelope::{MessageHead, Peeked, peek};
use crate::core::keys::{self, GroupName, MailboxId};
use crate::core::limits::{
    GROUP_RECEIPT_MEMBERS, GROUP_RECEIPTS_PASSED, GROUP_RECEIPTS_PER_COMMAND, GROUP_RECEIPTS_TAKEN_ALONG,
    UNREAD_COUNTED,
};
use crate::core::records::{self, CoreError};
use crate::core::{Applying, Effect};

/// From which level of brokers on there are tallies.
pub const LEVEL: u32 = 5;

/// Groups whose watermarks one command moves on.
const GROUPS: usize = 16;

/// The tally in what stands at a place of the timeline; `None`: there is none, since members told of themselves one by
/// one.
pub fn tally_in(stored: Bytes) -> Result<Option<TallyRecord>, CoreError> {
    if stored.is_empty() { Ok(None) } else { records::open("tally", stored).map(Some) }
}

/// How many have it. Who reads a message before it is acknowledged has it as well: there are at least as many.
pub fn have(tally: &TallyRecord) -> u32 {
    tally.delivered.max(tally.read).min(tally.members)
}

/// How many read it.
pub fn have_read(tally: &TallyRecord) -> u32 {
    tally.read.min(tally.members)
}

/// How far a member got, each from one place to another.
pub(super) struct Moved {
    pub user: String,
    pub delivered: (u64, u64),
    pub read: (u64, u64),
}

/// A member came, or went (or is another now), and with it one who receives.
pub(super) fn count_receiver(record: &mut GroupRecord, member: &GroupMemberRecord, comes: bool) {
    if !record.counts_receivers {
        return;
    }
    let receives = |of_members| permissions(member, of_members).has(Permission::Receive);
    let count = |so_far: u64, one: bool| match (one, comes) {
        (false, _) => so_far,
        (true, true) => so_far + 1,
        (true, false) => so_far.saturating_sub(1),
    };
    record.receivers = count(record.receivers, receives(Permissions::ALL.bits()));
    record.receivers_by_right = count(record.receivers_by_right, receives(Permissions::NONE.bits()));
}

/// How many receive; where that was never counted, as of groups of before, how many members there are.
fn count_receivers(record: &GroupRecord) -> u64 {
    let of_members = record.settings.unwrap_or_default().member_permissions;
    match (record.counts_receivers, Permissions::of_bits(of_members).has(Permission::Receive)) {
        (false, _) => record.members,
        (true, true) => record.receivers,
        (true, false) => record.receivers_by_right,
    }
}

impl Applying<'_> {
    /// A message that was just kept is tallied from now on. One that wants no receipts was for nobody, in what is told.
    /// The caller saves `record`.
    pub(super) fn begin_tally(
        &mut self,
        group: &GroupName,
        record: &mut GroupRecord,
        head: &MessageHead<'_>,
    ) -> Result<(), CoreError> {
        if record.tallied_from == 0 {
            record.tallied_from = head.group_seq;
        }
        let of_members = record.settings.unwrap_or_default().member_permissions;
        let sender: Option<GroupMemberRecord> = self.load("group member", &keys::group_member(group, head.from))?;
        let is_receiver = match sender {
            Some(sender) if record.counts_receivers => permissions(&sender, of_members).has(Permission::Receive),
            known => known.is_some(),
        };
        let others = count_receivers(record).saturating_sub(u64::from(is_receiver));
        let members = if wants_none(head.receipts) { 0 } else { u32::try_from(others).unwrap_or(u32::MAX) };
        let tally = TallyRecord { members, ..TallyRecord::default() };
        self.store.put(keys::group_timeline(group, head.group_seq), records::seal(&tally));
        Ok(())
    }

    /// So many more members who live here have what stands at a place, and read it.
    pub(in crate::core) fn tally(&mut self, group: &GroupName, place: u64, more: GroupTally) -> Result<(), CoreError> {
        let key = keys::group_tally(group, place);
        let mut noted: GroupTally = self.load("group tally", &key)?.unwrap_or_default();
        noted.delivered = noted.delivered.saturating_add(more.delivered);
        noted.read = noted.read.saturating_add(more.read);
        self.store.put(key, records::seal(&noted));
        Ok(())
    }

    /// A member who lives here read up to a place: counts for each message on the way that is tallied. Answers up to
    /// where the home is to be told of this member by name.
    pub(super) fn tally_read(&mut self, group: &GroupName, user: &str, place: u64) -> Result<Option<u64>, CoreError> {
        let Some(mut standing) = self.standing(group.clone(), user)? else { return Ok(Some(place)) };
        let told = standing.conversation.told_place;
        if place <= told {
            return Ok(None);
        }
        // What has not come to its turn here is counted with what is read next.
        let up_to = place.min(standing.local.expanded.max(standing.local.last_place));
        let mailbox = MailboxId::new(group.app(), user).ok_or(CoreError::Contradiction("a member has no id"))?;
        let record = self.mailbox_or_new(&mailbox)?;
        let behind = told.max(hears_from(&standing.member)).saturating_add(1).max(standing.local.counted_from);
        let (from, to) = (keys::counted(group, behind), keys::counted(group, up_to.saturating_add(1)));
        let mut one_by_one = None;
        let messages = if from < to { self.store.scan(&from, &to, UNREAD_COUNTED as usize) } else { Vec::new() };
        for (key, stored) in messages {
            let counted: CountedRecord = records::open("counted message", stored)?;
            let at = keys::counted_place(&key).ok_or(CoreError::Contradiction("a counted message has no place"))?;
            if counted.is_tallied {
                let is_for = permissions(&standing.member, counted.member_permissions).has(Permission::Receive);
                if is_for && counted.from != user && !self.ignores(&mailbox, &record, Some(&counted.from))? {
                    self.tally(group, at, GroupTally { read: 1, ..GroupTally::default() })?;
                }
            } else {
                one_by_one = Some(at);
            }
        }
        standing.conversation.told_place = told.max(up_to);
        self.store.put(keys::group_conversation(&mailbox, group.group()), records::seal(&standing.conversation));
        Ok(if standing.local.is_tallied { one_by_one } else { Some(place) })
    }

    /// Tells the homes what was counted, so much at a time; answers whether there may be more.
    pub(super) fn tell_tallies(&mut self) -> Result<bool, CoreError> {
        let (from, to) = keys::all_group_tallies();
        let noted = self.store.scan(&from, &to, GROUP_RECEIPTS_PER_COMMAND);
        let more = noted.len() == GROUP_RECEIPTS_PER_COMMAND;
        let mut tallies = Vec::with_capacity(noted.len());
        for (key, stored) in noted {
            let (group, group_seq) =
                keys::group_tally_of(&key).ok_or(CoreError::Contradiction("a tally of a group has no name"))?;
            tallies.push((group, GroupTally { group_seq, ..records::open("group tally", stored)? }));
            self.store.delete(&key);
        }
        for (group, tallies) in by_group(tallies) {
            if self.is_home(&group) {
                self.take_group_tallies(&group, tallies)?;
            } else {
                let told = GroupTallies { group: group.group().to_owned(), tallies };
                self.tell_home(&group, channel_item::Item::GroupTallies(told))?;
            }
        }
        Ok(more)
    }

    /// At home: more members have messages, and read them. What is kept no longer counts no more.
    pub(in crate::core) fn take_group_tallies(
        &mut self,
        group: &GroupName,
        tallies: Vec<GroupTally>,
    ) -> Result<(), CoreError> {
        let Some(mut record) = self.group(group)? else { return Ok(()) };
        for more in tallies {
            let key = keys::group_timeline(group, more.group_seq);
            let Some(mut tally) = self.store.get(&key).map(tally_in).transpose()?.flatten() else { continue };
            tally.delivered = tally.delivered.saturating_add(more.delivered);
            tally.read = tally.read.saturating_add(more.read);
            self.store.put(key, records::seal(&tally));
        }
        self.pass_what_all_have(group, &mut record)?;
        self.save_group(group, &record);
        self.effects.push(Effect::ReceiptsMoved { group: group.clone() });
        Ok(())
    }

    /// At home: members who told of themselves one by one count for the messages that are tallied since. Answers
    /// whether that counted any.
    pub(super) fn count_noted(
        &mut self,
        group: &GroupName,
        record: &GroupRecord,
        moved: &[Moved],
    ) -> Result<bool, CoreError> {
        let ways = moved.iter().flat_map(|one| [one.delivered, one.read]).filter(|(from, to)| from < to);
        let (from, to) = ways.fold((u64::MAX, 0), |(first, last), (from, to)| (first.min(from), last.max(to)));
        let (first, last) = (from.saturating_add(1), to.min(record.noted_to));
        if first > last {
            return Ok(false);
        }
        let (mut from, to) = (keys::group_noted(group, first), keys::group_noted(group, last + 1));
        let mut has_counted = false;
        loop {
            let noted = self.store.scan(&from, &to, GROUP_RECEIPTS_TAKEN_ALONG);
            for (key, _) in &noted {
                let place = keys::noted_place(key).ok_or(CoreError::Contradiction("a message's key has no place"))?;
                has_counted |= self.count_noted_at(group, place, moved)?;
                from = keys::group_noted(group, place + 1);
            }
            if noted.len() < GROUP_RECEIPTS_TAKEN_ALONG {
                return Ok(has_counted);
            }
        }
    }

    fn count_noted_at(&mut self, group: &GroupName, place: u64, moved: &[Moved]) -> Result<bool, CoreError> {
        let key = keys::group_timeline(group, place);
        let Some(mut tally) = self.store.get(&key).map(tally_in).transpose()?.flatten() else { return Ok(false) };
        let count = |way: fn(&Moved) -> (u64, u64)| {
            let goes_by = |one: &&Moved| way(one).0 < place && place <= way(one).1 && one.user != tally.from;
            u32::try_from(moved.iter().filter(goes_by).count()).unwrap_or(u32::MAX)
        };
        let (delivered, read) = (count(|one| one.delivered), count(|one| one.read));
        if delivered == 0 && read == 0 {
            return Ok(false);
        }
        tally.delivered = tally.delivered.saturating_add(delivered);
        tally.read = tally.read.saturating_add(read);
        self.store.put(key, records::seal(&tally));
        Ok(true)
    }

    /// At home: a group has come to have so many members that messages are tallied. The newest of those that it keeps
    /// are from now on, by what its members have told. The caller saves `record`.
    pub(super) fn take_receipts_along(&mut self, group: &GroupName, record: &mut GroupRecord) -> Result<(), CoreError> {
        // At most so many before one update, and so many who came with it.
        let (from, to) = keys::group_members(group, "");
        let members = self.store.scan(&from, &to, 2 * GROUP_RECEIPT_MEMBERS as usize);
        let of_members = record.settings.unwrap_or_default().member_permissions;
        let members = receivers(members, of_members)?;
        let (from, to) = (keys::group_timeline(group, 0), keys::group_timeline(group, u64::MAX));
        let kept = self.store.scan_reverse(&from, &to, GROUP_RECEIPTS_TAKEN_ALONG);
        if kept.is_empty() {
            return Ok(());
        }
        (record.noted_to, record.noted_permissions) = (record.last_seq, of_members);
        for (key, stored) in kept {
            if tally_in(stored)?.is_some() {
                continue;
            }
            let place = place_in(&key)?;
            let body = records::open_bytes("group body", self.body(group, place)?)?;
            let Peeked::Message(head) = peek(&body)? else { continue };
            let for_whom = || members.iter().filter(|(user, member)| user != head.from && hears_from(member) <= place);
            let count = |so: &dyn Fn(&GroupMemberRecord) -> bool| {
                u32::try_from(for_whom().filter(|(_, member)| so(member)).count()).unwrap_or(u32::MAX)
            };
            let tally = TallyRecord {
                members: if wants_none(head.receipts) { 0 } else { count(&|_| true) },
                delivered: count(&|member| member.delivered >= place),
                read: count(&|member| member.read >= place),
                from: head.from.to_owned(),
            };
            self.store.put(key.to_vec(), records::seal(&tally));
            self.store.put(keys::group_noted(group, place), Bytes::new());
        }
        // All have all up to where the slowest is.
        let lowest = |reached: fn(&GroupMemberRecord) -> u64| {
            let places = members.iter().map(|(_, member)| reached(member).max(hears_from(member).saturating_sub(1)));
            places.min().unwrap_or(0).min(record.last_seq)
        };
        let (delivered, read) = (lowest(|member| member.delivered), lowest(|member| member.read));
        record.delivered_to_all = record.delivered_to_all.max(delivered);
        record.read_by_all = record.read_by_all.max(read);
        self.pass_what_all_have(group, record)
    }

    /// Moves the watermarks of a group on, over messages that all have, and read, as far as one command goes; the rest
    /// is left to the upkeep. The caller saves `record`.
    pub(super) fn pass_what_all_have(&mut self, group: &GroupName, record: &mut GroupRecord) -> Result<(), CoreError> {
        // Of what stands before nothing was ever known; where members told of themselves it was.
        let known_from = if record.noted_to == 0 { record.tallied_from } else { 0 };
        let (delivered, may_go_on) = self.passed(group, record.delivered_to_all, known_from, have)?;
        let (read, may_read_on) = self.passed(group, record.read_by_all, known_from, have_read)?;
        (record.delivered_to_all, record.read_by_all) = (delivered, read);
        if may_go_on || may_read_on {
            self.store.put(keys::group_passing(group), Bytes::new());
        }
        Ok(())
    }

    /// Up to where a watermark goes, and whether it may go further. Before `known_from` of what has no tally nothing is
    /// known.
    fn passed(
        &self,
        group: &GroupName,
        mut reached: u64,
        known_from: u64,
        count: fn(&TallyRecord) -> u32,
    ) -> Result<(u64, bool), CoreError> {
        let (from, to) =
            (keys::group_timeline(group, reached.saturating_add(1)), keys::group_timeline(group, u64::MAX));
        let messages = self.store.scan(&from, &to, GROUP_RECEIPTS_PASSED);
        let is_end = messages.len() < GROUP_RECEIPTS_PASSED;
        for (key, stored) in messages {
            let place = place_in(&key)?;
            if !tally_in(stored)?.map_or(place < known_from, |tally| count(&tally) == tally.members) {
                return Ok((reached, false));
            }
            reached = place;
        }
        Ok((reached, !is_end))
    }

    /// A message is kept no longer, nor its tally: what all the others have may be more than before.
    pub(super) fn end_tally(&mut self, group: &GroupName, record: &GroupRecord, place: u64) -> Result<(), CoreError> {
        let stands = self.store.get(&keys::group_timeline(group, place));
        if stands.map(tally_in).transpose()?.flatten().is_some_and(|tally| !tally.from.is_empty()) {
            self.store.delete(&keys::group_noted(group, place));
        }
        let has_tallies = record.tallied_from != 0 || record.noted_to != 0;
        if has_tallies && record.delivered_to_all.min(record.read_by_all) < place {
            self.store.put(keys::group_passing(group), Bytes::new());
        }
        Ok(())
    }

    /// Moves watermarks on that one command did not bring to their end; answers whether there may be more.
    pub(super) fn go_on_passing(&mut self) -> Result<bool, CoreError> {
        let (from, to) = keys::all_group_passing();
        for (key, _) in self.store.scan(&from, &to, GROUPS) {
            let group =
                keys::passing_group(&key).ok_or(CoreError::Contradiction("a group that goes on has no name"))?;
            self.store.delete(&key);
            let Some(mut record) = self.group(&group)? else { continue };
            self.pass_what_all_have(&group, &mut record)?;
            self.save_group(&group, &record);
            self.effects.push(Effect::ReceiptsMoved { group });
        }
        Ok(!self.store.scan(&from, &to, 1).is_empty())
    }
}

pub(super) fn wants_none(receipts: i32) -> bool {
    receipts == ReceiptRequest::ReceiptsNone as i32
}

fn place_in(key: &[u8]) -> Result<u64, CoreError> {
    keys::timeline_place(key).ok_or(CoreError::Contradiction("a message's key has no place"))
}
