//! `AppendMessage`: a message, or a change of one, enters a mailbox once, behind what its sender sent before.

use tidings_proto::ErrorCode;
use tidings_proto::mailbox::v1::{AppendMessage, Copy, MailboxRecord, SenderRecord};
use tidings_proto::message::v1::{Block, ReceiptRequest};

use super::change;
use super::channel::Owed;
use super::entry::Entry;
use super::envelope::MessageHead;
use super::keys::{self, MailboxId};
use super::limits::{DEFAULT_INBOX_ENTRIES, INBOX_BYTES, LAST_SLOT};
use super::records::{self, CoreError};
use super::window::Seen;
use super::{Applying, Reply, refused};

impl Applying<'_> {
    pub(super) fn append_message(&mut self, mut append: AppendMessage) -> Result<Reply, CoreError> {
        let Some(mailbox) = MailboxId::new(&append.app, &append.to) else {
            return refused(ErrorCode::InvalidArgument);
        };
        let numbers_are_valid = append.stream != 0 && append.seq != 0 && append.after < append.seq;
        let slot = u8::try_from(append.from_slot.min(LAST_SLOT)).unwrap_or(u8::MAX);
        let slot_is_valid = append.from_slot <= LAST_SLOT;
        let change = append.change.take();
        let change_is_valid = change.as_ref().is_none_or(change::is_valid);
        if !numbers_are_valid
            || !slot_is_valid
            || !keys::is_id(&append.from)
            || append.ttl_ms == Some(0)
            || !change_is_valid
        {
            return refused(ErrorCode::InvalidArgument);
        }

        let sender_key = keys::sender(&mailbox, &append.from, slot);
        let mut sender = match self.sender(&sender_key)? {
            Some(sender) if sender.stream > append.stream => return refused(ErrorCode::StreamSuperseded),
            Some(sender) if sender.stream == append.stream => sender,
            Some(older) => records::succeed(older, append.stream),
            None => SenderRecord { stream: append.stream, ..SenderRecord::default() },
        };
        let mut window = records::window(&sender);
        match window.seen(append.seq) {
            Seen::No => {}
            Seen::Yes => return Ok(Reply::Appended { sent_at_ms: sender.highest_at_ms, duplicate: true }),
            // Whether it was accepted is not known any more, so it is not said (promise 4).
            Seen::TooOld => return refused(ErrorCode::SendWindowExceeded),
        }
        if append.after != 0 && window.seen(append.after) == Seen::No {
            return refused(ErrorCode::OutOfOrder);
        }

        let mut record = self.mailbox_or_new(&mailbox)?;
        let limit = if append.inbox_limit == 0 { DEFAULT_INBOX_ENTRIES } else { u64::from(append.inbox_limit) };
        if record.pending_entries >= limit || record.pending_bytes + append.content.len() as u64 > INBOX_BYTES {
            return refused(ErrorCode::InboxFull);
        }

        if self.blocks(&mailbox, &record, &append.from, Block::Messages)? {
            return refused(ErrorCode::Blocked);
        }

        match change {
            None => self.append_content(&mailbox, &mut record, &append)?,
            Some(change) => {
                if let Err(code) = self.append_change(&mailbox, &mut record, &append, change)? {
                    return refused(code);
                }
            }
        }
        self.save_mailbox(&mailbox, &record);

        let now_ms = self.context.now_ms;
        if append.seq > window.highest {
            sender.highest_at_ms = now_ms;
        }
        window.accept(append.seq);
        records::set_window(&mut sender, &window);
        if wants_read(append.receipts) {
            sender.wants_read_to = sender.wants_read_to.max(append.seq);
        }
        self.store.put(sender_key, records::seal(&sender));
        Ok(Reply::Appended { sent_at_ms: now_ms, duplicate: false })
    }

    /// Puts a message into the mailbox, and into the history of both where it is to be kept. The caller saves `record`.
    fn append_content(
        &mut self,
        mailbox: &MailboxId,
        record: &mut MailboxRecord,
        append: &AppendMessage,
    ) -> Result<(), CoreError> {
        let now_ms = self.context.now_ms;
        let expires_at_ms =
            append.ttl_ms.map_or(0, |ttl| now_ms.saturating_add(i64::try_from(ttl).unwrap_or(i64::MAX)));
        let head = MessageHead {
            stream: append.stream,
            seq: append.seq,
            from: &append.from,
            to: &append.to,
            sent_at_ms: now_ms,
            expires_at_ms,
            receipts: append.receipts,
            from_slot: append.from_slot,
        };
        let whole = Entry::of_message(&head, &append.content);
        let envelope = whole.envelope();
        let entry_seq = record.last_seq + 1;
        let place = self.keep(mailbox, record, &head, envelope.clone(), append.retention_ms, entry_seq)?;
        let entry = match place {
            Some(place) => Entry::pointing_at(envelope.clone(), &head, &append.from, place),
            None => whole,
        };
        self.push_entry(mailbox, record, entry, expires_at_ms);
        if append.sender_retention_ms != 0 && append.from != mailbox.user() {
            let copy = Copy { envelope, retention_ms: append.sender_retention_ms };
            self.owe(mailbox.app(), &append.from, Owed::Copy(copy))?;
        }
        Ok(())
    }
}

fn wants_read(receipts: i32) -> bool {
    matches!(ReceiptRequest::try_from(receipts), Ok(ReceiptRequest::ReceiptsAll | ReceiptRequest::ReceiptsRead))
}

/// Whether a message's sender wants to be told that it was delivered.
pub(super) fn wants_delivered(receipts: i32) -> bool {
    matches!(ReceiptRequest::try_from(receipts), Ok(ReceiptRequest::ReceiptsAll | ReceiptRequest::ReceiptsDelivered))
}
