//! What a shard owes to senders' mailboxes: receipts, failures, and copies of what they sent. A mailbox of this shard gets its own in the same
//! command. One of another shard gets it through a durable channel from shard to shard, whose items are numbered without
//! gaps: this shard's leader delivers them as often as it takes, the target takes each once (promises 2 and 4).

use bytes::Bytes;
use tidings_proto::ErrorCode;
use tidings_proto::mailbox::v1::{
    ChannelDeliver, ChannelInRecord, ChannelItem, ChannelOutRecord, ChannelTrim, Copy, MailboxRecord, channel_item,
};
use tidings_proto::message::v1::{Envelope, Failure, Receipt, envelope};
use tidings_proto::shard::shard_of;

use super::entry::Entry;
use super::keys::{self, MailboxId};
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

    /// Owes something to a user whose mailbox is not being changed.
    pub(super) fn owe(&mut self, app: &str, user: &str, owed: Owed) -> Result<(), CoreError> {
        let shard = shard_of(app, user, self.core.shards);
        if shard == self.core.shard {
            let target = MailboxId::new(app, user).ok_or(CoreError::Contradiction("a sender has no id"))?;
            return self.receive_here(&target, owed);
        }
        let key = keys::channel_out(shard);
        let mut end: ChannelOutRecord = self.load("channel", &key)?.unwrap_or_default();
        end.last_seq += 1;
        let item = ChannelItem { app: app.to_owned(), user: user.to_owned(), item: Some(owed.into()), seq: 0 };
        self.store.put(keys::channel_item(shard, end.last_seq), records::seal(&item));
        self.store.put(key, records::seal(&end));
        self.effects.push(Effect::Owed { target: shard });
        Ok(())
    }

    /// Puts what was owed into a mailbox of this shard.
    fn receive_here(&mut self, mailbox: &MailboxId, owed: Owed) -> Result<(), CoreError> {
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
            // A receipt is for the device that sent. Without a device it would only fill the mailbox of a user who never
            // looks into it.
            Owed::Receipt(_) if record.devices == 0 => return Ok(()),
            Owed::Receipt(receipt) => envelope::Event::Receipt(receipt),
            Owed::Failure(failure) => envelope::Event::Failure(failure),
            Owed::Copy(copy) => return self.receive_copy(mailbox, record, copy),
        };
        self.push_bounded(mailbox, record, Entry::whole(&Envelope { event: Some(event) }));
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
            let mailbox = MailboxId::new(&item.app, &item.user);
            let is_ours = shard_of(&item.app, &item.user, self.core.shards) == self.core.shard;
            let (Some(mailbox), true, Some(owed)) = (mailbox, is_ours, item.item) else {
                return refused(ErrorCode::InvalidArgument);
            };
            items.push((item.seq, mailbox, owed));
        }

        let key = keys::channel_in(deliver.source_shard);
        let mut came: ChannelInRecord = self.load("channel", &key)?.unwrap_or_default();
        let has_gap = deliver.first_seq > came.last_seq + 1;
        if has_gap || deliver.last_seq <= came.last_seq {
            return Ok(Reply::ChannelDelivered { up_to: came.last_seq });
        }
        for (_, mailbox, owed) in items.into_iter().filter(|(seq, ..)| *seq > came.last_seq) {
            self.receive_here(&mailbox, owed.into())?;
        }
        came.last_seq = deliver.last_seq;
        self.store.put(key, records::seal(&came));
        Ok(Reply::ChannelDelivered { up_to: came.last_seq })
    }

    pub(super) fn channel_trim(&mut self, trim: ChannelTrim) -> Result<Reply, CoreError> {
        let key = keys::channel_out(trim.target_shard);
        let mut end: ChannelOutRecord = self.load("channel", &key)?.unwrap_or_default();
        let up_to = trim.up_to.min(end.last_seq);
        if up_to <= end.trimmed_to {
            return Ok(Reply::ChannelTrimmed);
        }
        for seq in end.trimmed_to + 1..=up_to {
            self.store.delete(&keys::channel_item(trim.target_shard, seq));
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

impl From<channel_item::Item> for Owed {
    fn from(item: channel_item::Item) -> Self {
        match item {
            channel_item::Item::Receipt(receipt) => Self::Receipt(receipt),
            channel_item::Item::Failure(failure) => Self::Failure(failure),
            channel_item::Item::Copy(copy) => Self::Copy(copy),
        }
    }
}

/// A page of a channel, ready to be delivered: what a later receipt says too is left out, and it ends where it is large.
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
