//! `AppendMessage`: a message, or a change of one, enters a mailbox once, behind what its sender sent before.

use bytes::Bytes;
use tidings_proto::mailbox::v1::{AppendMessage, Copy, MailboxRecord, SenderRecord};
use tidings_proto::message::v1::{Block, ReceiptRequest, disappearance::Start};
use tidings_proto::{ErrorCode, disappearance};

use super::channel::Owed;
use super::entry::Entry;
use super::envelope::MessageHead;
use super::keys::{self, MailboxId};
use super::limits::{DEFAULT_INBOX_ENTRIES, INBOX_BYTES, LAST_SLOT};
use super::records::{self, CoreError};
use super::window::Seen;
use super::{Applying, Reply, change, disappear, refused};

impl Applying<'_> {
    pub(super) fn append_message(&mut self, mut append: AppendMessage) -> Result<Reply, CoreError> {
        let (Some(mailbox), Some(slot)) = (MailboxId::new(&append.app, &append.to), valid_slot(&append)) else {
            return refused(ErrorCode::InvalidArgument);
        };
        let change = append.change.take();
        let disappears_is_valid = append.disappears.as_ref().is_none_or(disappearance::is_valid);
        if !change.as_ref().is_none_or(change::is_valid) || !disappears_is_valid {
            return refused(ErrorCode::InvalidArgument);
        }
        let sender_key = keys::sender(&mailbox, &append.from, slot);
        let sender = match self.numbered(&sender_key, &append)? {
            Numbered::New(sender) => sender,
            Numbered::Answered(reply) => return Ok(reply),
        };

        let mut record = self.mailbox_or_new(&mailbox)?;
        let limit = if append.inbox_limit == 0 { DEFAULT_INBOX_ENTRIES } else { u64::from(append.inbox_limit) };
        if record.pending_entries >= limit || record.pending_bytes + append.content.len() as u64 > INBOX_BYTES {
            return refused(ErrorCode::InboxFull);
        }

        if self.blocks(&mailbox, &record, &append.from, Block::Messages)? {
            return refused(ErrorCode::Blocked);
        }
        if !self.is_reached_by(&mailbox, &append.from, append.audience())? {
            return refused(ErrorCode::RefusedByPolicy);
        }

        let appended = match change {
            None => self.append_content(&mailbox, &mut record, &append)?,
            Some(change) => self.append_change(&mailbox, &mut record, &append, change)?,
        };
        if let Err(code) = appended {
            return refused(code);
        }
        self.save_mailbox(&mailbox, &record);

        self.accept_number(sender_key, sender, &append);
        Ok(Reply::Appended { sent_at_ms: self.context.now_ms, duplicate: false })
    }

    /// Puts a message into the mailbox, and into the history of both where it is to be kept; the reason when it cannot
    /// be. The caller saves `record`.
    fn append_content(
        &mut self,
        mailbox: &MailboxId,
        record: &mut MailboxRecord,
        append: &AppendMessage,
    ) -> Result<Result<(), ErrorCode>, CoreError> {
        let now_ms = self.context.now_ms;
        let disappears = append.disappears.unwrap_or_default();
        let disappears_at_ms = disappear::known_at_once(&disappears, now_ms);
        let expires_at_ms = disappear::expires_at_ms(expires_at_ms(append, now_ms), disappears_at_ms);
        let head = MessageHead {
            stream: append.stream,
            seq: append.seq,
            from: &append.from,
            to: &append.to,
            sent_at_ms: now_ms,
            expires_at_ms,
            receipts: append.receipts,
            from_slot: append.from_slot,
            disappears,
            disappears_at_ms,
            ..MessageHead::default()
        };
        let whole = Entry::of_message(&head, &append.content);
        let envelope = whole.envelope();
        let entry_seq = record.last_seq + 1;
        let place = self.keep(mailbox, record, &head, envelope.clone(), append.retention_ms, entry_seq)?;
        if place.is_none() && disappears.from() != Start::Sent {
            // What is not kept cannot be found when its time begins.
            return Ok(Err(ErrorCode::FailedPrecondition));
        }
        if disappears.from() == Start::Read {
            self.store.put(keys::unread_disappearing(mailbox, append.stream, append.seq), Bytes::new());
        }
        let entry = match place {
            Some(place) => Entry::pointing_at(envelope.clone(), &head, &append.from, place),
            None => whole,
        };
        self.push_entry(mailbox, record, entry, expires_at_ms);
        if append.sender_retention_ms != 0 && append.from != mailbox.user() {
            let copy = Copy { envelope, retention_ms: append.sender_retention_ms };
            self.owe(mailbox.app(), &append.from, Owed::Copy(copy))?;
        }
        Ok(Ok(()))
    }

    /// What the number of a message means to whoever keeps the window of its sender device.
    pub(super) fn numbered(&self, sender_key: &[u8], append: &AppendMessage) -> Result<Numbered, CoreError> {
        let sender = match self.sender(sender_key)? {
            Some(sender) if sender.stream > append.stream => {
                return Ok(Numbered::Answered(Reply::Refused(ErrorCode::StreamSuperseded)));
            }
            Some(sender) if sender.stream == append.stream => sender,
            Some(older) => records::succeed(older, append.stream),
            None => SenderRecord { stream: append.stream, ..SenderRecord::default() },
        };
        let window = records::window(&sender);
        let answer = match window.seen(append.seq) {
            Seen::No if append.after != 0 && window.seen(append.after) == Seen::No => {
                Reply::Refused(ErrorCode::OutOfOrder)
            }
            Seen::No => return Ok(Numbered::New(sender)),
            Seen::Yes => Reply::Appended { sent_at_ms: sender.highest_at_ms, duplicate: true },
            // Whether it was accepted is not known any more, so it is not said (promise 4).
            Seen::TooOld => Reply::Refused(ErrorCode::SendWindowExceeded),
        };
        Ok(Numbered::Answered(answer))
    }

    /// The message with this number was taken.
    pub(super) fn accept_number(&mut self, sender_key: Vec<u8>, mut sender: SenderRecord, append: &AppendMessage) {
        let mut window = records::window(&sender);
        if append.seq > window.highest {
            sender.highest_at_ms = self.context.now_ms;
        }
        window.accept(append.seq);
        records::set_window(&mut sender, &window);
        if wants_read(append.receipts) {
            sender.wants_read_to = sender.wants_read_to.max(append.seq);
        }
        self.store.put(sender_key, records::seal(&sender));
    }
}

/// What a message's number means.
pub(super) enum Numbered {
    /// It is the next, or one that was left out; the sender's record as it is to be gone on with.
    New(SenderRecord),
    Answered(Reply),
}

/// The sender's slot, when everything else that a message says of itself is in order too.
pub(super) fn valid_slot(append: &AppendMessage) -> Option<u8> {
    let numbers_are_valid = append.stream != 0 && append.seq != 0 && append.after < append.seq;
    let is_valid = numbers_are_valid && keys::is_id(&append.from) && append.ttl_ms != Some(0);
    if is_valid && append.from_slot <= LAST_SLOT { u8::try_from(append.from_slot).ok() } else { None }
}

/// Until when a message may be delivered; 0: for ever.
pub(super) fn expires_at_ms(append: &AppendMessage, now_ms: i64) -> i64 {
    append.ttl_ms.map_or(0, |ttl| now_ms.saturating_add(i64::try_from(ttl).unwrap_or(i64::MAX)))
}

fn wants_read(receipts: i32) -> bool {
    matches!(ReceiptRequest::try_from(receipts), Ok(ReceiptRequest::ReceiptsAll | ReceiptRequest::ReceiptsRead))
}

/// Whether a message's sender wants to be told that it was delivered.
pub(super) fn wants_delivered(receipts: i32) -> bool {
    matches!(ReceiptRequest::try_from(receipts), Ok(ReceiptRequest::ReceiptsAll | ReceiptRequest::ReceiptsDelivered))
}
