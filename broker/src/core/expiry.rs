//! `ExpireDue`: removes entries whose time has passed, telling the sender of one that no device got, and messages whose
//! retention has ended; and looks after mailboxes that asked for it.

use tidings_proto::ErrorCode;
use tidings_proto::mailbox::v1::MailboxRecord;
use tidings_proto::message::v1::ReceiptRequest;

use super::envelope::{MessageHead, Peeked};
use super::keys::{self, MailboxId};
use super::limits::{BACKEND_SLOT, PAGE};
use super::mailbox::uncount;
use super::records::CoreError;
use super::{Applying, Reply};

/// The most that one command removes.
const LARGEST_LIMIT: usize = 4096;

/// An index by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Index {
    /// Entries that may not be delivered any more.
    Expiry,
    /// Messages whose retention ends.
    History,
    /// The same in groups, at home.
    Group,
    /// The same where members live.
    Counted,
    /// Places of timelines that members of large groups read.
    Local,
    /// Mailboxes that asked to be looked after; each may remove thousands of entries.
    Upkeep,
}

/// What stands in an index up to a time.
struct Due {
    index: Index,
    range: (Vec<u8>, Vec<u8>),
}

fn due_at(now_ms: i64) -> [Due; 6] {
    // An entry may be delivered up to and with its last millisecond.
    [
        Due { index: Index::Expiry, range: keys::expiring_before(now_ms) },
        Due { index: Index::History, range: keys::history_due_before(now_ms) },
        Due { index: Index::Group, range: keys::group_due_before(now_ms) },
        Due { index: Index::Counted, range: keys::counted_due_before(now_ms) },
        Due { index: Index::Local, range: keys::local_due_before(now_ms) },
        Due { index: Index::Upkeep, range: keys::upkeep_before(now_ms.saturating_add(1)) },
    ]
}

/// Where something is due at a time, as the ends of scans.
pub fn ranges_due_at(now_ms: i64) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    due_at(now_ms).into_iter().map(|due| due.range)
}

impl Applying<'_> {
    pub(super) fn expire_due(&mut self, limit: u32) -> Result<Reply, CoreError> {
        let limit = if limit == 0 { PAGE } else { limit as usize }.min(LARGEST_LIMIT);
        let mut more = false;
        let mut entries = 0;
        for Due { range: (from, to), index } in due_at(self.context.now_ms) {
            let limit = if index == Index::Upkeep { 1 } else { limit };
            let due = self.store.scan(&from, &to, limit);
            more |= due.len() == limit;
            if index == Index::Expiry {
                entries = u32::try_from(due.len()).unwrap_or(u32::MAX);
            }
            for (key, _) in due {
                self.store.delete(&key);
                let unreadable = || CoreError::Contradiction("a key of what is due cannot be read");
                match index {
                    Index::Expiry => {
                        let (mailbox, seq) = keys::expiring_entry(&key).ok_or_else(unreadable)?;
                        self.expire(&mailbox, seq)?;
                    }
                    Index::History => {
                        let (mailbox, conversation, place) = keys::due_message(&key).ok_or_else(unreadable)?;
                        let at_ms = keys::due_at_ms(&key).ok_or_else(unreadable)?;
                        self.end_retention(&mailbox, &conversation, place, at_ms)?;
                    }
                    Index::Group => {
                        let (group, place) = keys::due_group_message(&key).ok_or_else(unreadable)?;
                        self.end_group_retention(&group, place)?;
                    }
                    Index::Counted => {
                        let (group, place) = keys::due_counted(&key).ok_or_else(unreadable)?;
                        self.end_counted(&group, place)?;
                    }
                    Index::Local => {
                        let (group, place) = keys::due_local_place(&key).ok_or_else(unreadable)?;
                        self.end_local_place(&group, place)?;
                    }
                    Index::Upkeep => self.look_after(&keys::upkeep_mailbox(&key).ok_or_else(unreadable)?)?,
                }
            }
        }
        Ok(Reply::Expired { entries, more })
    }

    fn expire(&mut self, mailbox: &MailboxId, seq: u64) -> Result<(), CoreError> {
        let Some((_, bytes, entry)) = self.entries(mailbox, seq, seq, 1)?.pop() else {
            return Err(CoreError::Contradiction("an entry that expires is not there"));
        };
        let mut record =
            self.mailbox(mailbox)?.ok_or(CoreError::Contradiction("an entry that expires has no mailbox"))?;
        self.remove_entry(mailbox, seq, &entry)?;
        // Of a group's message the sender is told how many have it, not who has not.
        if uncount(&mut record, seq, bytes)?
            && let Peeked::Message(head) = entry.peek()?
        {
            self.forget(mailbox, &mut record, head.stream, head.seq)?;
            self.tell_expired(mailbox, &mut record, seq, &head)?;
        }
        self.save_mailbox(mailbox, &record);
        Ok(())
    }

    /// Who sent the message of an entry is told that no device got it in time. The caller saves `record`.
    fn tell_expired(
        &mut self,
        mailbox: &MailboxId,
        record: &mut MailboxRecord,
        seq: u64,
        head: &MessageHead<'_>,
    ) -> Result<(), CoreError> {
        if head.from_slot == BACKEND_SLOT {
            // Backends have no mailbox: they ask. A user in whose name it was is told where receipts are.
            self.note_expired(mailbox, seq)?;
            if head.receipts == ReceiptRequest::ReceiptsNone as i32 {
                return Ok(());
            }
        }
        let failure = self.failure(head, ErrorCode::Expired);
        self.owe_from(mailbox, record, head.from, failure)
    }

    fn look_after(&mut self, mailbox: &MailboxId) -> Result<(), CoreError> {
        let mut record =
            self.mailbox(mailbox)?.ok_or(CoreError::Contradiction("a mailbox that wants upkeep is not there"))?;
        record.upkeep_due_ms = 0;
        let devices = self.devices(mailbox)?;
        self.remove_passed(mailbox, &mut record, &devices)?;
        self.save_mailbox(mailbox, &record);
        Ok(())
    }
}
