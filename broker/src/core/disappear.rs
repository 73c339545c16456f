//! Messages that go after a time, from both histories and for devices that have yet to be given them. Where the time
//! begins when the message is sent, it is known at once, and the message's expiry and the end of its retention do the
//! rest. Where it begins when the message is delivered or read, the recipient's mailbox sees that, and tells all
//! devices of both, as of a change.

use prost::Message as _;
use tidings_proto::mailbox::v1::{Copy, MailboxRecord};
use tidings_proto::message::v1::{
    Change, Disappearance, Envelope, MessageId, change::Kind, disappearance::Start, envelope,
};

use super::Applying;
use super::channel::Owed;
use super::entry::Entry;
use super::envelope::{Peeked, peek};
use super::keys::{self, MailboxId};
use super::limits::DISAPPEARING_PER_READ;
use super::records::CoreError;

impl Applying<'_> {
    /// The user read a stream up to a number: what was to disappear once it was read begins to.
    pub(super) fn read_disappearing(
        &mut self,
        mailbox: &MailboxId,
        stream: u64,
        up_to_seq: u64,
    ) -> Result<(), CoreError> {
        let (from, to) = keys::unread_disappearing_up_to(mailbox, stream, up_to_seq);
        let read = self.store.scan(&from, &to, DISAPPEARING_PER_READ);
        if read.is_empty() {
            return Ok(());
        }
        let mut record = self.mailbox(mailbox)?.ok_or(CoreError::Contradiction("a message has no mailbox"))?;
        for (key, _) in read {
            let seq = keys::unread_disappearing_seq(&key);
            let seq = seq.ok_or(CoreError::Contradiction("an unread message's key has no number"))?;
            self.store.delete(&key);
            self.begin_to_disappear(mailbox, &mut record, stream, seq)?;
        }
        self.save_mailbox(mailbox, &record);
        Ok(())
    }

    /// From now on a message's time runs. The caller saves `record`.
    pub(super) fn begin_to_disappear(
        &mut self,
        mailbox: &MailboxId,
        record: &mut MailboxRecord,
        stream: u64,
        seq: u64,
    ) -> Result<(), CoreError> {
        let Some(mut kept) = self.kept(mailbox, stream, seq)? else { return Ok(()) };
        let Peeked::Message(head) = peek(&kept.record.envelope)? else { return Ok(()) };
        if head.disappears_at_ms != 0 {
            return Ok(());
        }
        let sender = head.from.to_owned();
        let change = Change {
            of: Some(MessageId { stream, seq }),
            kind: Kind::Disappears.into(),
            from: mailbox.user().to_owned(),
            to: sender.clone(),
            at_ms: self.context.now_ms,
            disappears_at_ms: after(self.context.now_ms, head.disappears.after_ms),
            ..Change::default()
        };
        self.change_kept(mailbox, record, &mut kept, &change)?;
        self.end_at(mailbox, &mut kept, change.disappears_at_ms);
        self.push_bounded(mailbox, record, Entry::of_change(&change, &sender, kept.place.place), 0);
        if sender != mailbox.user() {
            let envelope = Envelope { event: Some(envelope::Event::Change(change)) }.encode_to_vec().into();
            self.owe(mailbox.app(), &sender, Owed::Copy(Copy { envelope, retention_ms: 0 }))?;
        }
        Ok(())
    }
}

/// When a message that is accepted now expires: with its own time, or when it disappears. 0: never.
pub fn expires_at_ms(expires_at_ms: i64, disappears_at_ms: i64) -> i64 {
    match (expires_at_ms, disappears_at_ms) {
        (0, at_ms) | (at_ms, 0) => at_ms,
        (one, other) => one.min(other),
    }
}

/// When a message that is accepted now disappears, as far as that is known; 0: it is not, or it stays.
pub(super) fn known_at_once(disappears: &Disappearance, now_ms: i64) -> i64 {
    let is_known = disappears.after_ms != 0 && disappears.from() == Start::Sent;
    if is_known { after(now_ms, disappears.after_ms) } else { 0 }
}

pub(super) fn after(at_ms: i64, wait_ms: u64) -> i64 {
    at_ms.saturating_add(i64::try_from(wait_ms).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
