//! Reading and writing a mailbox's records, and adding an entry to it.

use bytes::Bytes;
use prost::Message;
use tidings_proto::mailbox::v1::{DevicesRecord, MailboxRecord, SenderRecord};

use super::entry::{Entry, Stored};
use super::envelope::Peeked;
use super::keys::{self, GroupName, MailboxId};
use super::limits::{HARD_INBOX_ENTRIES, INBOX_BYTES};
use super::records::{self, CoreError};
use super::{Applying, Effect};

impl Applying<'_> {
    pub(super) fn load<R: Message + Default>(&self, what: &'static str, key: &[u8]) -> Result<Option<R>, CoreError> {
        self.store.get(key).map(|stored| records::open(what, stored)).transpose()
    }

    pub(super) fn mailbox(&self, mailbox: &MailboxId) -> Result<Option<MailboxRecord>, CoreError> {
        self.load("mailbox", &keys::mailbox(mailbox))
    }

    /// The mailbox, or a new one with an epoch that no mailbox of this user had before.
    pub(super) fn mailbox_or_new(&self, mailbox: &MailboxId) -> Result<MailboxRecord, CoreError> {
        if let Some(record) = self.mailbox(mailbox)? {
            return Ok(record);
        }
        // The log's index rises; the time tells apart what came before a shard that began anew.
        let epoch = (self.context.now_ms.cast_unsigned() << 16) | (self.context.index & 0xffff);
        Ok(MailboxRecord { epoch: epoch.max(1), ..MailboxRecord::default() })
    }

    pub(super) fn save_mailbox(&mut self, mailbox: &MailboxId, record: &MailboxRecord) {
        self.store.put(keys::mailbox(mailbox), records::seal(record));
    }

    pub(super) fn devices(&self, mailbox: &MailboxId) -> Result<DevicesRecord, CoreError> {
        Ok(self.load("devices", &keys::devices(mailbox))?.unwrap_or_default())
    }

    pub(super) fn save_devices(&mut self, mailbox: &MailboxId, record: &DevicesRecord) {
        self.store.put(keys::devices(mailbox), records::seal(record));
    }

    pub(super) fn sender(&self, key: &[u8]) -> Result<Option<SenderRecord>, CoreError> {
        self.load("sender", key)
    }

    /// Puts an entry behind the last one. The caller saves `record`.
    pub(super) fn push_entry(
        &mut self,
        mailbox: &MailboxId,
        record: &mut MailboxRecord,
        entry: Entry,
        expires_at_ms: i64,
    ) {
        let envelope = entry.envelope();
        record.last_seq += 1;
        record.pending_entries += 1;
        record.pending_bytes += entry.cost;
        let seq = record.last_seq;
        if expires_at_ms != 0 {
            self.store.put(keys::expiry(expires_at_ms, mailbox, seq), Bytes::new());
        }
        self.store.put(keys::entry(mailbox, seq), entry.stored);
        self.effects.push(Effect::Appended { mailbox: mailbox.clone(), seq, envelope, expires_at_ms });
    }

    /// Pushes an entry that nobody can be refused, and answers whether there was room for it. Beyond the hard limit it
    /// is lost, and that is recorded (promise 4). The caller saves `record`.
    pub(super) fn push_bounded(
        &mut self,
        mailbox: &MailboxId,
        record: &mut MailboxRecord,
        entry: Entry,
        expires_at_ms: i64,
    ) -> bool {
        let has_room = record.pending_entries < HARD_INBOX_ENTRIES && record.pending_bytes <= 2 * INBOX_BYTES;
        if has_room {
            self.push_entry(mailbox, record, entry, expires_at_ms);
        } else {
            self.lose(mailbox, record);
        }
        has_room
    }

    /// Something that the mailbox should have had is gone: a number is given for it, and recorded as unknown (promise
    /// 4). The caller saves `record`.
    pub(super) fn lose(&mut self, mailbox: &MailboxId, record: &mut MailboxRecord) {
        record.last_seq += 1;
        if record.lost_to <= record.delivered_to {
            record.lost_from = record.last_seq;
        }
        record.lost_to = record.last_seq;
        self.effects.push(Effect::Lost { mailbox: mailbox.clone() });
    }

    /// Takes an entry out of the store, with its place in the expiry index and its part in a shared body. The caller
    /// keeps the counts.
    pub(super) fn remove_entry(&mut self, mailbox: &MailboxId, seq: u64, entry: &Stored) -> Result<(), CoreError> {
        let peeked = entry.peek()?;
        if peeked.expires_at_ms() != 0 {
            self.store.delete(&keys::expiry(peeked.expires_at_ms(), mailbox, seq));
        }
        if let Peeked::Group(pointer) = peeked {
            let group = GroupName::new(mailbox.app(), &pointer.group);
            let group = group.ok_or(CoreError::Contradiction("an entry points to no group"))?;
            self.release_body(&group, pointer.group_seq, 1)?;
        }
        self.store.delete(&keys::entry(mailbox, seq));
        Ok(())
    }

    /// Some entries from `first` up to and with `last`, in order: number, what it counts as, and what is stored.
    pub(super) fn entries(
        &self,
        mailbox: &MailboxId,
        first: u64,
        last: u64,
        limit: usize,
    ) -> Result<Vec<(u64, u64, Stored)>, CoreError> {
        if first > last {
            return Ok(Vec::new());
        }
        let (from, to) = keys::entries(mailbox, first, last);
        let stored = self.store.scan(&from, &to, limit).into_iter();
        stored.map(|(key, stored)| read_entry(&key, stored)).collect()
    }
}

fn read_entry(key: &[u8], stored: Bytes) -> Result<(u64, u64, Stored), CoreError> {
    let seq = keys::entry_seq(key).ok_or(CoreError::Contradiction("an entry's key has no number"))?;
    let (stored, cost) = Stored::open(stored)?;
    Ok((seq, cost, stored))
}

/// An entry that was removed counts no more; answers whether it is one that no device had.
pub(super) fn uncount(record: &mut MailboxRecord, seq: u64, bytes: u64) -> Result<bool, CoreError> {
    let was_pending = seq > record.delivered_to;
    let (entries, all_bytes) = match was_pending {
        true => (&mut record.pending_entries, &mut record.pending_bytes),
        false => (&mut record.retained_entries, &mut record.retained_bytes),
    };
    subtract(entries, 1)?;
    subtract(all_bytes, bytes)?;
    Ok(was_pending)
}

/// A count that would fall below zero is a damaged one.
pub(super) fn subtract(count: &mut u64, by: u64) -> Result<(), CoreError> {
    *count = count.checked_sub(by).ok_or(CoreError::Contradiction("a mailbox counts fewer entries than it has"))?;
    Ok(())
}
