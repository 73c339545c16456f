//! What a shard owes to mailboxes: receipts, failures, and copies of what their users sent, and who has made them a
//! contact. A mailbox of this shard gets its own in the same command. One of another shard gets it through a durable
//! channel from shard to shard, whose items are numbered without gaps: this shard's leader delivers them as often as it
//! takes, the target takes each once (promises 2 and 4).

use bytes::Bytes;
use tidings_proto::ErrorCode;
use tidings_proto::mailbox::v1::{
    ChannelDeliver, ChannelInRecord, ChannelItem, ChannelOutRecord, ChannelTrim, ContactOf, Copy, GroupItem,
    GroupReceipt, GroupTally, MailboxRecord, ReleasedMessage, ScheduleOutcome, channel_item,
};
use tidings_proto::message::v1::{Envelope, Failure, MessageId, Receipt, envelope};
use tidings_proto::shard::shard_of;

use super::entry::Entry;
use super::envelope::{MessageHead, peek};
use super::keys::{self, GroupName, MailboxId, Scheduler};
use super::limits::{CHANNEL_PAGE_BYTES as PAGE_BYTES, PAGE};
use super::records::{self, CoreError};
use super::{Applying, Effect, Reply, refused};

/// What a sender is owed.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Owed {
    Receipt(Receipt),
    Failure(Failure),
    Copy(Copy),
}

/// An item that came, checked.
enum Arrived {
    Owed(MailboxId, Owed),
    Group(GroupName, GroupItem),
    GroupReceipts(GroupName, Vec<GroupReceipt>),
    GroupTallies(GroupName, Vec<GroupTally>),
    Released(ReleasedMessage),
    ScheduleOutcome(Scheduler, ScheduleOutcome),
    GroupBegins(GroupName, u64),
    ContactOf(MailboxId, ContactOf),
}

impl Applying<'_> {
    /// Owes something to a user of the same app, while `mailbox` is being changed: `record` is its record, which the
    /// caller saves.
    pub(super) fn owe_from(
        &mut self,
        mailbox: &MailboxId,
        record: &mut MailboxRecord,
        user: &str,
        owed: Owed,
    ) -> Result<(), CoreError> {
        if user == mailbox.user() {
            return self.receive(mailbox, record, owed);
        }
        self.owe(mailbox.app(), user, owed)
    }

    /// What the sender of a message is owed that will not be delivered.
    pub(super) fn failure(&self, head: &MessageHead<'_>, reason: ErrorCode) -> Owed {
        Owed::Failure(Failure {
            id: Some(MessageId { stream: head.stream, seq: head.seq }),
            to: head.to.to_owned(),
            reason: reason.into(),
            at_ms: self.context.now_ms,
        })
    }

    /// Owes something to a user whose mailbox is not being changed.
    pub(super) fn owe(&mut self, app: &str, user: &str, owed: Owed) -> Result<(), CoreError> {
        let shard = shard_of(app, user, self.core.shards);
        if shard == self.core.shard {
            let target = MailboxId::new(app, user).ok_or(CoreError::Contradiction("a sender has no id"))?;
            return self.receive_here(&target, owed);
        }
        let item = ChannelItem { app: app.to_owned(), user: user.to_owned(), item: Some(owed.into()), seq: 0 };
        self.push_item(shard, &item)
    }

    /// Puts an item into the channel to another shard.
    pub(super) fn push_item(&mut self, target: u32, item: &ChannelItem) -> Result<(), CoreError> {
        let key = keys::channel_out(target);
        let mut end = self.channel_end(target)?;
        end.last_seq += 1;
        self.store.put(keys::channel_item(target, end.last_seq), records::seal(item));
        self.store.put(key, records::seal(&end));
        self.effects.push(Effect::Owed { target });
        Ok(())
    }

    pub(super) fn channel_end(&self, target: u32) -> Result<ChannelOutRecord, CoreError> {
        Ok(self.load("channel", &keys::channel_out(target))?.unwrap_or_default())
    }

    /// Puts what was owed into a mailbox of this shard.
    pub(super) fn receive_here(&mut self, mailbox: &MailboxId, owed: Owed) -> Result<(), CoreError> {
        let mut record = match (self.mailbox(mailbox)?, &owed) {
            (Some(record), _) => record,
            // Nobody waits for it: see `receive`.
            (None, Owed::Receipt(_)) => return Ok(()),
            (None, Owed::Failure(_) | Owed::Copy(_)) => self.mailbox_or_new(mailbox)?,
        };
        self.receive(mailbox, &mut record, owed)?;
        self.save_mailbox(mailbox, &record);
        Ok(())
    }

    fn receive(&mut self, mailbox: &MailboxId, record: &mut MailboxRecord, owed: Owed) -> Result<(), CoreError> {
        let event = match owed {
            // An entry is for the device that sent. Without a device it would only fill the mailbox of a user who never
            // looks into it.
            Owed::Receipt(receipt) => {
                self.note_receipt(mailbox, &receipt)?;
                if record.devices == 0 {
                    return Ok(());
                }
                envelope::Event::Receipt(receipt)
            }
            Owed::Failure(failure) => {
                self.note_failure(mailbox, &failure)?;
                envelope::Event::Failure(failure)
            }
            Owed::Copy(copy) => return self.receive_copy(mailbox, record, copy),
        };
        self.push_bounded(mailbox, record, Entry::whole(&Envelope { event: Some(event) }), 0);
        Ok(())
    }

    pub(super) fn channel_deliver(&mut self, deliver: ChannelDeliver) -> Result<Reply, CoreError> {
        let is_ordered = deliver.items.is_sorted_by(|one, next| one.seq < next.seq);
        let in_range = |item: &ChannelItem| (deliver.first_seq..=deliver.last_seq).contains(&item.seq);
        if deliver.first_seq == 0 || !is_ordered || !deliver.items.iter().all(in_range) {
            return refused(ErrorCode::InvalidArgument);
        }
        let mut items = Vec::with_capacity(deliver.items.len());
        for item in deliver.items {
            let seq = item.seq;
            match self.arrived(deliver.source_shard, item) {
                Some(item) => items.push((seq, item)),
                None => return refused(ErrorCode::InvalidArgument),
            }
        }

        let key = keys::channel_in(deliver.source_shard);
        let mut came: ChannelInRecord = self.load("channel", &key)?.unwrap_or_default();
        let has_gap = deliver.first_seq > came.last_seq + 1;
        if has_gap || deliver.last_seq <= came.last_seq {
            return Ok(Reply::ChannelDelivered { up_to: came.last_seq });
        }
        for (_, item) in items.into_iter().filter(|(seq, _)| *seq > came.last_seq) {
            match item {
                Arrived::Owed(mailbox, owed) => self.receive_here(&mailbox, owed)?,
                Arrived::Group(group, item) => self.take_group_item(&group, item)?,
                Arrived::GroupReceipts(group, receipts) => self.take_group_receipts(&group, receipts)?,
                Arrived::GroupTallies(group, tallies) => self.take_group_tallies(&group, tallies)?,
                Arrived::Released(released) => self.take_released(released)?,
                Arrived::ScheduleOutcome(of, outcome) => self.take_outcome(&of, outcome)?,
                Arrived::GroupBegins(group, place) => self.begin_in_group(&group, place)?,
                Arrived::ContactOf(mailbox, told) => self.take_contact_of(&mailbox, &told)?,
            }
        }
        came.last_seq = deliver.last_seq;
        self.store.put(key, records::seal(&came));
        Ok(Reply::ChannelDelivered { up_to: came.last_seq })
    }

    /// An item, when it belongs into this shard and comes from where it should.
    fn arrived(&self, source: u32, item: ChannelItem) -> Option<Arrived> {
        let shard = |name: &str| shard_of(&item.app, name, self.core.shards);
        let owed = match item.item? {
            channel_item::Item::Group(group) => {
                let name = GroupName::new(&item.app, &group.group)?;
                let put = group.put.iter().map(|member| member.user.as_str());
                let mut named = put.chain(group.removed.iter().chain(&group.some).map(String::as_str));
                let peeks = |body: &Bytes| body.get(1..).is_some_and(|body| peek(body).is_ok());
                let is_whole = peeks(&group.body) && (!group.is_edit || peeks(&group.changed_body));
                let is_valid = group.group_seq != 0 && named.all(keys::is_id) && is_whole;
                return (is_valid && shard(&group.group) == source).then_some(Arrived::Group(name, group));
            }
            channel_item::Item::GroupReceipts(told) => {
                let name = GroupName::new(&item.app, &told.group)?;
                let lives_there = |receipt: &GroupReceipt| keys::is_id(&receipt.user) && shard(&receipt.user) == source;
                let is_valid = shard(&told.group) == self.core.shard && told.receipts.iter().all(lives_there);
                return is_valid.then_some(Arrived::GroupReceipts(name, told.receipts));
            }
            channel_item::Item::GroupTallies(told) => {
                let name = GroupName::new(&item.app, &told.group)?;
                let is_home = shard(&told.group) == self.core.shard;
                return is_home.then_some(Arrived::GroupTallies(name, told.tallies));
            }
            channel_item::Item::Released(released) => {
                let message = released.record.as_ref()?.message.as_ref()?;
                let is_here = shard(&message.to) == self.core.shard && keys::is_id(&message.to);
                let is_from_there = shard(&message.from) == source && keys::is_id(&message.from);
                let is_named = message.app == item.app && released.scheduled.is_some();
                return (is_here && is_from_there && is_named).then_some(Arrived::Released(released));
            }
            channel_item::Item::ScheduleOutcome(outcome) => {
                let of = Scheduler::new(&item.app, &item.user, outcome.by_system)?;
                let is_here = shard(&item.user) == self.core.shard && outcome.scheduled.is_some();
                return is_here.then_some(Arrived::ScheduleOutcome(of, outcome));
            }
            channel_item::Item::GroupBegins(begins) => {
                let name = GroupName::new(&item.app, &begins.group)?;
                let is_home = shard(&begins.group) == self.core.shard;
                return is_home.then_some(Arrived::GroupBegins(name, begins.group_seq));
            }
            channel_item::Item::ContactOf(told) => {
                let mailbox = MailboxId::new(&item.app, &item.user)?;
                let is_here = shard(&item.user) == self.core.shard;
                let is_from_there = keys::is_id(&told.of) && shard(&told.of) == source;
                return (is_here && is_from_there).then_some(Arrived::ContactOf(mailbox, told));
            }
            channel_item::Item::Receipt(receipt) => Owed::Receipt(receipt),
            channel_item::Item::Failure(failure) => Owed::Failure(failure),
            channel_item::Item::Copy(copy) => peek(&copy.envelope).is_ok().then_some(Owed::Copy(copy))?,
        };
        let mailbox = MailboxId::new(&item.app, &item.user)?;
        (shard(&item.user) == self.core.shard).then_some(Arrived::Owed(mailbox, owed))
    }

    pub(super) fn channel_trim(&mut self, trim: ChannelTrim) -> Result<Reply, CoreError> {
        let key = keys::channel_out(trim.target_shard);
        let mut end: ChannelOutRecord = self.load("channel", &key)?.unwrap_or_default();
        let up_to = trim.up_to.min(end.last_seq);
        if up_to <= end.trimmed_to {
            return Ok(Reply::ChannelTrimmed);
        }
        let mut first = end.trimmed_to + 1;
        while first <= up_to {
            let (from, to) =
                (keys::channel_item(trim.target_shard, first), keys::channel_item(trim.target_shard, up_to + 1));
            let page = self.store.scan(&from, &to, PAGE);
            if page.is_empty() {
                return Err(CoreError::Contradiction("a channel has lost items that it owes"));
            }
            first += page.len() as u64;
            for (key, stored) in page {
                let item: ChannelItem = records::open("channel item", stored)?;
                if let Some(channel_item::Item::Group(group)) = item.item {
                    let name = GroupName::new(&item.app, &group.group);
                    let name = name.ok_or(CoreError::Contradiction("an item is of no group"))?;
                    self.release_body(&name, group.group_seq, 1)?;
                }
                self.store.delete(&key);
            }
        }
        end.trimmed_to = up_to;
        self.store.put(key, records::seal(&end));
        Ok(Reply::ChannelTrimmed)
    }
}

impl From<Owed> for channel_item::Item {
    fn from(owed: Owed) -> Self {
        match owed {
            Owed::Receipt(receipt) => Self::Receipt(receipt),
            Owed::Failure(failure) => Self::Failure(failure),
            Owed::Copy(copy) => Self::Copy(copy),
        }
    }
}

/// A page of a channel, ready to be delivered: what a later receipt says too is left out, and it ends where it is
/// large.
pub fn page_of_channel(
    source_shard: u32,
    after: u64,
    page: Vec<(Bytes, Bytes)>,
) -> Result<Option<ChannelDeliver>, CoreError> {
    let mut items: Vec<ChannelItem> = Vec::with_capacity(page.len().min(PAGE));
    let mut bytes = 0;
    for (key, stored) in page {
        bytes += stored.len();
        if bytes > PAGE_BYTES && !items.is_empty() {
            break;
        }
        let seq = keys::channel_item_seq(&key).ok_or(CoreError::Contradiction("an item's key has no number"))?;
        let mut item: ChannelItem = records::open("channel item", stored)?;
        item.seq = seq;
        match items.iter_mut().rev().take_while(|earlier| is_receipt(earlier)).find(|earlier| says_more(&item, earlier))
        {
            Some(earlier) => *earlier = item,
            None => items.push(item),
        }
    }
    let Some(last_seq) = items.iter().map(|item| item.seq).max() else { return Ok(None) };
    items.sort_by_key(|item| item.seq);
    Ok(Some(ChannelDeliver { source_shard, first_seq: after + 1, items, last_seq }))
}

fn is_receipt(item: &ChannelItem) -> bool {
    matches!(item.item, Some(channel_item::Item::Receipt(_)))
}

/// Whether `item` is a receipt that makes `earlier` needless.
fn says_more(item: &ChannelItem, earlier: &ChannelItem) -> bool {
    let (Some(channel_item::Item::Receipt(new)), Some(channel_item::Item::Receipt(old))) = (&item.item, &earlier.item)
    else {
        return false;
    };
    item.user == earlier.user
        && item.app == earlier.app
        && (new.kind, &new.from, new.stream) == (old.kind, &old.from, old.stream)
        && new.up_to_seq >= old.up_to_seq
}
