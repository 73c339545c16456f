//! `EraseMailbox`: what is stored of a user who was deleted goes, so much with each command, until nothing is left.
//! Whatever happens to the mailbox in between finds it as consistent as any other. A mailbox that is made anew
//! afterwards has another epoch, and nothing of the former.
//!
//! What stays is others': what the user said in their histories and in groups, and that they have the user among their
//! contacts. They keep it as long as they would otherwise, and it goes with them.

use tidings_proto::ErrorCode;
use tidings_proto::mailbox::v1::{EraseMailbox, HistoryPlace, HistoryRecord, MailboxRecord, ScheduledRecord};

use super::envelope::{MessageHead, Peeked};
use super::history::Kept;
use super::keys::{self, MailboxId, Scheduler};
use super::limits::{BACKEND_SLOT, ERASED_PER_COMMAND};
use super::mailbox::uncount;
use super::records::{self, CoreError};
use super::{Applying, Effect, Reply, refused};

/// What one command may still remove.
pub(super) struct Room(usize);

impl Room {
    /// One thing is removed.
    pub(super) fn take(&mut self) {
        self.0 = self.0.saturating_sub(1);
    }

    /// So many more may be.
    pub(super) fn left(&self) -> usize {
        self.0
    }
}

impl Applying<'_> {
    pub(super) fn erase_mailbox(&mut self, erase: EraseMailbox) -> Result<Reply, CoreError> {
        let Some(mailbox) = MailboxId::new(&erase.app, &erase.user) else {
            return refused(ErrorCode::InvalidArgument);
        };
        let mut room = Room(ERASED_PER_COMMAND);
        let is_member = if erase.of_system {
            self.erase_schedule(&Scheduler { mailbox, is_system: true }, &mut room)?;
            false
        } else {
            self.erase_all(&mailbox, erase.tells_senders, &mut room)?
        };
        let erased = u32::try_from(ERASED_PER_COMMAND - room.left()).unwrap_or(u32::MAX);
        Ok(Reply::MailboxErased { erased, more: is_member || room.left() == 0 })
    }

    /// Answers whether the user is a member of groups yet, so that more may come.
    fn erase_all(&mut self, mailbox: &MailboxId, tells_senders: bool, room: &mut Room) -> Result<bool, CoreError> {
        let found = self.mailbox(mailbox)?;
        let is_there = found.is_some();
        let mut record = found.unwrap_or_default();
        self.erase_entries(mailbox, &mut record, tells_senders, room)?;
        self.erase_history(mailbox, &mut record, room)?;
        self.erase_contacts(mailbox, room)?;
        self.erase_schedule(&Scheduler { mailbox: mailbox.clone(), is_system: false }, room)?;
        let is_member = self.leave_groups(mailbox, &mut record, room)?;
        // What the mailbox counts has to be gone before what its counts stand in.
        for (from, to) in keys::all_alone(mailbox) {
            for (key, _) in self.store.scan(&from, &to, room.left()) {
                self.store.delete(&key);
                room.take();
            }
        }
        if is_there && room.left() > 0 && record.resting == 0 {
            if record.upkeep_due_ms != 0 {
                self.store.delete(&keys::upkeep(record.upkeep_due_ms, mailbox));
            }
            self.store.delete(&keys::mailbox(mailbox));
            room.take();
        } else if is_there {
            // Its devices went, if there was room.
            record.devices = if room.left() > 0 { 0 } else { record.devices };
            self.save_mailbox(mailbox, &record);
        }
        if room.left() < ERASED_PER_COMMAND {
            self.effects.push(Effect::Erased { mailbox: mailbox.clone() });
        }
        Ok(is_member)
    }

    /// The caller saves `record`.
    fn erase_entries(
        &mut self,
        mailbox: &MailboxId,
        record: &mut MailboxRecord,
        tells_senders: bool,
        room: &mut Room,
    ) -> Result<(), CoreError> {
        for (seq, bytes, entry) in self.entries(mailbox, record.trimmed_to + 1, record.last_seq, room.left())? {
            self.remove_entry(mailbox, seq, &entry)?;
            if uncount(record, seq, bytes)? {
                record.delivered_to = seq;
                if let Peeked::Message(head) = entry.peek()?
                    && tells_senders
                {
                    self.tell_erased(mailbox, &head)?;
                }
            }
            record.trimmed_to = seq;
            room.take();
        }
        Ok(())
    }

    /// Who sent a message that no device got is told that none will (promise 4). Backends ask.
    fn tell_erased(&mut self, mailbox: &MailboxId, head: &MessageHead<'_>) -> Result<(), CoreError> {
        if head.from == mailbox.user() || head.from_slot == BACKEND_SLOT {
            return Ok(());
        }
        self.owe(mailbox.app(), head.from, self.failure(head, ErrorCode::RecipientUnknown))
    }

    /// The caller saves `record`.
    fn erase_history(
        &mut self,
        mailbox: &MailboxId,
        record: &mut MailboxRecord,
        room: &mut Room,
    ) -> Result<(), CoreError> {
        let (from, to) = keys::whole_history(mailbox);
        for (key, stored) in self.store.scan(&from, &to, room.left()) {
            let place = keys::history_message(&key, mailbox);
            let (conversation, place) = place.ok_or(CoreError::Contradiction("a message's key cannot be read"))?;
            let message: HistoryRecord = records::open("message", stored)?;
            let place = HistoryPlace { conversation, place };
            self.remove_kept(mailbox, record, &Kept { place, record: message })?;
            room.take();
        }
        Ok(())
    }

    fn erase_schedule(&mut self, of: &Scheduler, room: &mut Room) -> Result<(), CoreError> {
        let key = keys::schedule(of);
        if room.left() == 0 || self.store.get(&key).is_none() {
            return Ok(());
        }
        let mut record = self.schedule(of)?;
        let (from, to) = keys::all_scheduled(of);
        for (key, stored) in self.store.scan(&from, &to, room.left()) {
            let id = keys::scheduled_id(&key);
            let id = id.ok_or(CoreError::Contradiction("the key of a scheduled message cannot be read"))?;
            let waits: ScheduledRecord = records::open("scheduled message", stored)?;
            self.wait_no_more(of, &mut record, id, &waits)?;
            room.take();
        }
        if room.left() > 0 {
            self.store.delete(&key);
            room.take();
        } else {
            self.save_schedule(of, &record);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
