//! Messages of groups that go after a time (decision 0033). Counted from sending, the time is known at once, and the
//! expiry and the end of the retention do the rest, as between two users. Counted from delivery or reading, it begins
//! for all members when the first of the others has the message, or has read it: their shard notes it, the home is told
//! within a second, and tells all members at a place of the group's order when the message goes.

use bytes::Bytes;
use tidings_proto::mailbox::v1::{DisappearingRecord, GroupBegins, GroupItem, GroupMemberRecord, channel_item};
use tidings_proto::message::v1::{
    Change, Disappearance, Envelope, Message, change::Kind, disappearance::Start, envelope,
};

use super::fan_out::{ChangeOf, Publication};
use super::timeline::{message_in, sealed};
use crate::core::Applying;
use crate::core::change::changed;
use crate::core::disappear::after;
use crate::core::entry::Entry;
use crate::core::envelope::{Peeked, peek};
use crate::core::keys::{self, GroupName};
use crate::core::limits::{DISAPPEARING_PER_READ, GROUP_RECEIPTS_PER_COMMAND};
use crate::core::mailbox::subtract;
use crate::core::records::{self, CoreError};

/// Whether a message's time begins later than its sending.
pub(super) fn begins_later(disappears: &Disappearance) -> bool {
    disappears.after_ms != 0 && disappears.from() != Start::Sent
}

impl Applying<'_> {
    /// A message has its turn where members live: its time may have yet to begin.
    pub(super) fn await_beginning(&mut self, group: &GroupName, place: u64, envelope: &Bytes) -> Result<(), CoreError> {
        if let Peeked::Message(head) = peek(envelope)?
            && begins_later(&head.disappears)
            && head.disappears_at_ms == 0
        {
            let record = DisappearingRecord { from: head.from.to_owned(), start: head.disappears.from };
            self.store.put(keys::group_disappearing(group, place), records::seal(&record));
        }
        Ok(())
    }

    /// A member has a message, or has read a group up to it. Who sent it, or came later, begins nothing.
    pub(in crate::core) fn begins_for(
        &mut self,
        group: &GroupName,
        user: &str,
        start: Start,
        up_to: u64,
    ) -> Result<(), CoreError> {
        let member: Option<GroupMemberRecord> = self.load("group member", &keys::local_member(group, user))?;
        let Some(member) = member else { return Ok(()) };
        let (from, to) = keys::group_disappearing_up_to(group, member.joined_at, up_to);
        for (key, stored) in self.store.scan(&from, &to, DISAPPEARING_PER_READ) {
            let record: DisappearingRecord = records::open("disappearing message", stored)?;
            // What was read was delivered.
            let is_begun = record.start() == start || start == Start::Read;
            if record.from == user || !is_begun {
                continue;
            }
            let place = keys::disappearing_place(&key);
            let place = place.ok_or(CoreError::Contradiction("a message that disappears has no place"))?;
            self.store.delete(&key);
            self.store.put(keys::group_begun(group, place), Bytes::new());
        }
        Ok(())
    }

    /// Tells the homes of groups which messages' time has begun here; answers whether there may be more to tell.
    pub(super) fn tell_begun(&mut self) -> Result<bool, CoreError> {
        let (from, to) = keys::all_group_begun();
        let begun = self.store.scan(&from, &to, GROUP_RECEIPTS_PER_COMMAND);
        for (key, _) in &begun {
            let (group, place) =
                keys::begun_message(key).ok_or(CoreError::Contradiction("a message that disappears has no name"))?;
            self.store.delete(key);
            if self.is_home(&group) {
                self.begin_in_group(&group, place)?;
            } else {
                let begins = GroupBegins { group: group.group().to_owned(), group_seq: place };
                self.tell_home(&group, channel_item::Item::GroupBegins(begins))?;
            }
        }
        Ok(begun.len() == GROUP_RECEIPTS_PER_COMMAND)
    }

    /// At home: from now on a message's time runs, if it has not begun.
    pub(in crate::core) fn begin_in_group(&mut self, group: &GroupName, place: u64) -> Result<(), CoreError> {
        let is_kept = self.store.get(&keys::group_timeline(group, place)).is_some();
        let Some(mut record) = self.group(group)?.filter(|_| is_kept) else { return Ok(()) };
        let stored = self.body(group, place)?;
        let message = message_in(stored.clone())?;
        let disappears = message.disappears.unwrap_or_default();
        if !begins_later(&disappears) || message.disappears_at_ms != 0 {
            return Ok(());
        }
        record.last_seq += 1;
        let change = Change {
            of: message.id,
            kind: Kind::Disappears.into(),
            at_ms: self.context.now_ms,
            disappears_at_ms: after(self.context.now_ms, disappears.after_ms),
            group: group.group().to_owned(),
            group_seq: record.last_seq,
            of_group_seq: place,
            // Who it was is nobody's to know.
            ..Change::default()
        };
        let changed = sealed(changed(message, &change));
        subtract(&mut record.history_bytes, stored.len() as u64)?;
        record.history_bytes += changed.len() as u64;
        self.store.put(keys::group_body(group, place), changed);
        self.store.put(keys::group_due(change.disappears_at_ms, group, place), Bytes::new());
        let entry = Entry::whole(&Envelope { event: Some(envelope::Event::Change(change)) });
        let change = ChangeOf { place, ..ChangeOf::default() };
        let publication = Publication { change, ..Publication::new(&record) };
        let targets = self.targets(group)?;
        self.publish(group, record.last_seq, &entry, &targets, &publication)?;
        self.save_group(group, &record);
        Ok(())
    }

    /// Where members live: it is known now when a message goes.
    pub(super) fn take_beginning(&mut self, group: &GroupName, item: &GroupItem, change: &Change) {
        self.store.delete(&keys::group_disappearing(group, item.changes));
        self.store.put(keys::counted_due(change.disappears_at_ms, group, item.changes), Bytes::new());
    }

    /// Takes away what a message says that has disappeared, for whoever still refers to it.
    pub(super) fn empty_body(&mut self, group: &GroupName, place: u64) -> Result<(), CoreError> {
        let key = keys::group_body(group, place);
        let Some(stored) = self.store.get(&key) else { return Ok(()) };
        let envelope = records::open_bytes("group body", stored.clone())?;
        if let Peeked::Message(head) = peek(&envelope)?
            && head.disappears_at_ms != 0
            && head.disappears_at_ms <= self.context.now_ms
        {
            let message = message_in(stored)?;
            self.store.put(key, sealed(Message { content: None, reactions: Vec::new(), ..message }));
        }
        Ok(())
    }
}
