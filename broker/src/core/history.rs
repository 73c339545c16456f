//! What a mailbox keeps of its conversations: each message once, at its place, found by its id, until its retention
//! ends.

use bytes::Bytes;
use tidings_proto::mailbox::v1::{ConversationRecord, Copy, HistoryPlace, HistoryRecord, MailboxRecord};
use tidings_proto::message::v1::{Change, change, disappearance::Start, envelope};

use super::Applying;
use super::entry::{self, Entry};
use super::envelope::{MessageHead, Peeked, peek};
use super::keys::{self, MailboxId};
use super::limits::{BACKEND_SLOT, CONVERSATIONS, HISTORY_BYTES, RETENTION_PAUSE_MS, SCHEDULE_SLOT};
use super::mailbox::subtract;
use super::records::{self, CoreError};

/// A sole device knows what it sent itself.
const SEVERAL_DEVICES: u32 = 2;

/// How many devices a user has at least who is told of a message that the user sent: no device knows what a backend
/// sent, or when the time of a message had come.
fn told_of_sent(head: &MessageHead<'_>) -> u32 {
    if matches!(head.from_slot, BACKEND_SLOT | SCHEDULE_SLOT) { 1 } else { SEVERAL_DEVICES }
}

/// From which level of brokers on a message says where it stands in the index of retentions. What stood there for a
/// message of a mailbox that was erased is thereby told from what stands there for the one at its place now.
const DATED: u32 = 5;

/// A message in the history, and where it stands.
pub(super) struct Kept {
    pub place: HistoryPlace,
    pub record: HistoryRecord,
}

impl Applying<'_> {
    /// Keeps a message, if there is room for it, and answers its place. `entry` is the number that its entry will have
    /// (0: none). The caller saves `record`.
    pub(super) fn keep(
        &mut self,
        mailbox: &MailboxId,
        record: &mut MailboxRecord,
        head: &MessageHead<'_>,
        envelope: Bytes,
        retention_ms: u64,
        entry: u64,
    ) -> Result<Option<u64>, CoreError> {
        let bytes = envelope.len() as u64;
        if retention_ms == 0 || record.history_bytes + bytes > HISTORY_BYTES {
            return Ok(None);
        }
        let comes_in = head.from != mailbox.user();
        let with = if comes_in { head.from } else { head.to };
        let mut conversation = match self.conversation(mailbox, with)? {
            Some(conversation) => conversation,
            None if record.conversations >= CONVERSATIONS => return Ok(None),
            None => {
                record.conversations += 1;
                ConversationRecord::default()
            }
        };
        conversation.last_place += 1;
        let place = conversation.last_place;
        if comes_in {
            conversation.incoming += 1;
        }
        conversation.last_at_ms = head.sent_at_ms;
        self.order_conversation(mailbox, with, &mut conversation, head.sent_at_ms);
        self.save_conversation(mailbox, with, &conversation);

        let stands = HistoryPlace { conversation: with.to_owned(), place };
        self.reindex(mailbox, &stands, None, Some(&envelope))?;
        self.store.put(keys::place_of(mailbox, head.stream, head.seq), records::seal(&stands));
        let mut until_ms = self.context.now_ms.saturating_add(i64::try_from(retention_ms).unwrap_or(i64::MAX));
        if head.disappears_at_ms != 0 {
            until_ms = until_ms.min(head.disappears_at_ms);
        }
        self.store.put(keys::history_due(until_ms, mailbox, with, place), Bytes::new());
        let kept_until_ms = if self.level >= DATED { until_ms } else { 0 };
        let message = HistoryRecord { envelope, entry, incoming: conversation.incoming, kept_until_ms };
        self.store.put(keys::history(mailbox, with, place), records::seal(&message));
        record.history_bytes += bytes;
        Ok(Some(place))
    }

    /// The message with an id, if it is kept.
    pub(super) fn kept(&self, mailbox: &MailboxId, stream: u64, seq: u64) -> Result<Option<Kept>, CoreError> {
        let Some(place) = self.load::<HistoryPlace>("place", &keys::place_of(mailbox, stream, seq))? else {
            return Ok(None);
        };
        let record = self.load("message", &keys::history(mailbox, &place.conversation, place.place))?;
        let record = record.ok_or(CoreError::Contradiction("a message is not at its place"))?;
        Ok(Some(Kept { place, record }))
    }

    /// Puts another envelope at a message's place. The caller saves `record`.
    pub(super) fn replace_kept(
        &mut self,
        mailbox: &MailboxId,
        record: &mut MailboxRecord,
        kept: &mut Kept,
        envelope: Bytes,
    ) -> Result<(), CoreError> {
        subtract(&mut record.history_bytes, kept.record.envelope.len() as u64)?;
        record.history_bytes += envelope.len() as u64;
        self.reindex(mailbox, &kept.place, Some(&kept.record.envelope), Some(&envelope))?;
        kept.record.envelope = envelope;
        let key = keys::history(mailbox, &kept.place.conversation, kept.place.place);
        self.store.put(key, records::seal(&kept.record));
        Ok(())
    }

    /// What the user of a mailbox sent: into the history, and to the devices if there are several. The caller saves
    /// `record`.
    pub(super) fn receive_copy(
        &mut self,
        mailbox: &MailboxId,
        record: &mut MailboxRecord,
        copy: Copy,
    ) -> Result<(), CoreError> {
        let mut told_from = SEVERAL_DEVICES;
        let entry = match peek(&copy.envelope)? {
            Peeked::Message(head) => {
                told_from = told_of_sent(&head);
                self.receive_sent(mailbox, record, &head, &copy)?
            }
            _ => match entry::decode(&copy.envelope)? {
                envelope::Event::Change(change) => {
                    if change.kind() == change::Kind::Disappears {
                        told_from = 1;
                    }
                    self.receive_changed(mailbox, record, &change)?
                }
                _ => None,
            },
        };
        if let Some(entry) = entry.filter(|_| record.devices >= told_from) {
            self.push_bounded(mailbox, record, entry, 0);
        }
        Ok(())
    }

    fn receive_sent(
        &mut self,
        mailbox: &MailboxId,
        record: &mut MailboxRecord,
        head: &MessageHead<'_>,
        copy: &Copy,
    ) -> Result<Option<Entry>, CoreError> {
        let entry = if record.devices >= told_of_sent(head) { record.last_seq + 1 } else { 0 };
        let place = self.keep(mailbox, record, head, copy.envelope.clone(), copy.retention_ms, entry)?;
        if place.is_some() {
            self.note_sent(mailbox, head)?;
        }
        Ok(place.map(|place| Entry::pointing_at(copy.envelope.clone(), head, head.to, place)))
    }

    fn receive_changed(
        &mut self,
        mailbox: &MailboxId,
        record: &mut MailboxRecord,
        change: &Change,
    ) -> Result<Option<Entry>, CoreError> {
        let of = change.of.unwrap_or_default();
        let Some(mut kept) = self.kept(mailbox, of.stream, of.seq)? else { return Ok(None) };
        self.change_kept(mailbox, record, &mut kept, change)?;
        if change.kind() == change::Kind::Disappears {
            self.end_at(mailbox, &mut kept, change.disappears_at_ms);
        }
        Ok(Some(Entry::of_change(change, &kept.place.conversation, kept.place.place)))
    }

    /// An entry went that no device had: its message was not received, and is not kept either. The caller saves
    /// `record`.
    pub(super) fn forget(
        &mut self,
        mailbox: &MailboxId,
        record: &mut MailboxRecord,
        stream: u64,
        seq: u64,
    ) -> Result<(), CoreError> {
        match self.kept(mailbox, stream, seq)? {
            Some(kept) => self.remove_kept(mailbox, record, &kept),
            None => Ok(()),
        }
    }

    /// The retention of a message has ended at a time, unless some device has yet to be given it.
    pub(super) fn end_retention(
        &mut self,
        mailbox: &MailboxId,
        conversation: &str,
        place: u64,
        at_ms: i64,
    ) -> Result<(), CoreError> {
        let key = keys::history(mailbox, conversation, place);
        let Some(mut message) = self.load::<HistoryRecord>("message", &key)? else { return Ok(()) };
        if message.kept_until_ms != 0 && message.kept_until_ms != at_ms {
            return Ok(());
        }
        let has_disappeared = match peek(&message.envelope)? {
            Peeked::Message(head) => head.disappears_at_ms != 0 && head.disappears_at_ms <= self.context.now_ms,
            _ => false,
        };
        // An entry that points to what has disappeared is passed over.
        if !has_disappeared && message.entry != 0 && self.store.get(&keys::entry(mailbox, message.entry)).is_some() {
            let later = self.context.now_ms.saturating_add(RETENTION_PAUSE_MS);
            self.store.put(keys::history_due(later, mailbox, conversation, place), Bytes::new());
            if message.kept_until_ms != 0 {
                message.kept_until_ms = later;
                self.store.put(key, records::seal(&message));
            }
            return Ok(());
        }
        let mut record = self.mailbox(mailbox)?.ok_or(CoreError::Contradiction("a message has no mailbox"))?;
        let place = HistoryPlace { conversation: conversation.to_owned(), place };
        self.remove_kept(mailbox, &mut record, &Kept { place, record: message })?;
        self.save_mailbox(mailbox, &record);
        Ok(())
    }

    /// The retention of a message ends at a time, or before.
    pub(super) fn end_at(&mut self, mailbox: &MailboxId, kept: &mut Kept, at_ms: i64) {
        let HistoryPlace { conversation: with, place } = &kept.place;
        let until_ms = kept.record.kept_until_ms;
        if until_ms != 0 {
            if until_ms <= at_ms {
                return;
            }
            self.store.delete(&keys::history_due(until_ms, mailbox, with, *place));
            kept.record.kept_until_ms = at_ms;
            self.store.put(keys::history(mailbox, with, *place), records::seal(&kept.record));
        }
        self.store.put(keys::history_due(at_ms, mailbox, with, *place), Bytes::new());
    }

    /// A message goes from the history. The caller saves `record`.
    pub(super) fn remove_kept(
        &mut self,
        mailbox: &MailboxId,
        record: &mut MailboxRecord,
        kept: &Kept,
    ) -> Result<(), CoreError> {
        let HistoryPlace { conversation: with, place } = &kept.place;
        if kept.record.kept_until_ms != 0 {
            self.store.delete(&keys::history_due(kept.record.kept_until_ms, mailbox, with, *place));
        }
        if let Peeked::Message(head) = peek(&kept.record.envelope)? {
            self.store.delete(&keys::place_of(mailbox, head.stream, head.seq));
            if head.disappears.from() == Start::Read {
                self.store.delete(&keys::unread_disappearing(mailbox, head.stream, head.seq));
            }
        }
        self.reindex(mailbox, &kept.place, Some(&kept.record.envelope), None)?;
        self.store.delete(&keys::history(mailbox, with, *place));
        subtract(&mut record.history_bytes, kept.record.envelope.len() as u64)?;
        if let Some(mut conversation) = self.conversation(mailbox, with)?
            && kept.record.incoming > conversation.read_incoming
        {
            // What is gone is not unread.
            conversation.read_incoming = kept.record.incoming;
            self.save_conversation(mailbox, with, &conversation);
        }
        Ok(())
    }
}
