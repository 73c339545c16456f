//! `MoveCursor`: a device has everything up to a number. The first device to pass an entry makes it delivered, and its
//! sender is told; an entry goes when every device has passed it, or when it was kept for a lagging device long enough.

use std::collections::BTreeMap;

use tidings_proto::ErrorCode;
use tidings_proto::mailbox::v1::{DevicesRecord, GroupTally, MailboxRecord, MoveCursor};
use tidings_proto::message::v1::{Receipt, disappearance::Start, receipt};

use super::append::wants_delivered;
use super::attach::device_in;
use super::channel::Owed;
use super::envelope::Peeked;
use super::keys::{self, GroupName, MailboxId};
use super::limits::{PAGE, PASSED_PER_COMMAND, REMOVED_PER_COMMAND, RETAINED_BYTES, RETAINED_ENTRIES, RETAINED_MS};
use super::mailbox::subtract;
use super::records::CoreError;
use super::{Applying, Reply, refused};

/// From which level of brokers on a policy that withholds receipts holds for what came before it too, in conversations
/// of two.
const WITHHOLDING_LEVEL: u32 = 5;

/// How far a sender's stream got in what was passed.
struct Passed {
    from: String,
    stream: u64,
    up_to_seq: u64,
}

impl Applying<'_> {
    pub(super) fn move_cursor(&mut self, moved: MoveCursor) -> Result<Reply, CoreError> {
        let Some(mailbox) = MailboxId::new(&moved.app, &moved.user) else {
            return refused(ErrorCode::InvalidArgument);
        };
        let Some(mut record) = self.mailbox(&mailbox)? else {
            return refused(ErrorCode::StreamSuperseded);
        };
        let mut devices = self.devices(&mailbox)?;
        let device = devices.devices.iter().find(|device| device.slot == moved.slot && device.stream == moved.stream);
        match device {
            // The slot went to another device, or the device to another stream (promise 5).
            None => return refused(ErrorCode::StreamSuperseded),
            Some(device) if moved.cursor.min(record.last_seq) <= device.cursor => {
                return Ok(Reply::CursorMoved { cursor: device.cursor });
            }
            Some(_) => {}
        }
        let cursor =
            self.advance(&mailbox, &mut record, &mut devices, moved.slot, moved.cursor, moved.withholds_delivered)?;
        self.draw(&mailbox, &mut record)?;
        self.save_devices(&mailbox, &devices);
        self.save_mailbox(&mailbox, &record);
        Ok(Reply::CursorMoved { cursor })
    }

    /// Moves a device's cursor forward, up to `to` or as far as one command goes, and does what follows from it.
    /// Answers where it stands. Where the user `withholds` receipts, senders are not told. The caller saves both
    /// records.
    pub(super) fn advance(
        &mut self,
        mailbox: &MailboxId,
        record: &mut MailboxRecord,
        devices: &mut DevicesRecord,
        slot: u32,
        to: u64,
        withholds: bool,
    ) -> Result<u64, CoreError> {
        let reachable = record.delivered_to.saturating_add(PASSED_PER_COMMAND);
        let to = to.min(record.last_seq).min(reachable);
        let device = device_in(devices, slot)?;
        device.cursor = device.cursor.max(to);
        let cursor = device.cursor;
        if cursor > record.delivered_to {
            self.pass(mailbox, record, devices, cursor, withholds)?;
        }
        self.remove_passed(mailbox, record, devices)?;
        Ok(cursor)
    }

    /// The first device has everything up to `cursor`: entries are pending no more, and their senders are told.
    fn pass(
        &mut self,
        mailbox: &MailboxId,
        record: &mut MailboxRecord,
        devices: &DevicesRecord,
        cursor: u64,
        withholds: bool,
    ) -> Result<(), CoreError> {
        let everyone_has = lowest_cursor(devices);
        // Entries that some device still waits for stand before these: then these wait their turn to be removed.
        let nothing_retained = record.retained_entries == 0;
        let mut passed: Vec<Passed> = Vec::new();
        let mut disappearing = Vec::new();
        let mut in_groups: BTreeMap<String, u64> = BTreeMap::new();
        let mut tallied: Vec<(String, u64)> = Vec::new();
        let mut beginning_in_groups: BTreeMap<String, u64> = BTreeMap::new();
        let mut first = record.delivered_to + 1;
        loop {
            let page = self.entries(mailbox, first, cursor, PAGE)?;
            for (seq, bytes, entry) in &page {
                subtract(&mut record.pending_entries, 1)?;
                subtract(&mut record.pending_bytes, *bytes)?;
                let peeked = entry.peek()?;
                if let Peeked::Message(head) = peeked
                    && head.to == mailbox.user()
                    && head.disappears.from() == Start::Delivered
                {
                    disappearing.push((head.stream, head.seq));
                }
                // Not of the copy of what the user sent.
                if let Peeked::Message(head) = peeked
                    && head.to == mailbox.user()
                    && wants_delivered(head.receipts)
                    && !(withholds && self.level >= WITHHOLDING_LEVEL)
                {
                    match passed.iter_mut().find(|one| one.stream == head.stream && one.from == head.from) {
                        Some(one) => one.up_to_seq = one.up_to_seq.max(head.seq),
                        None => {
                            passed.push(Passed { from: head.from.to_owned(), stream: head.stream, up_to_seq: head.seq })
                        }
                    }
                }
                if let Peeked::Group(pointer) = peeked {
                    if pointer.wants_receipts && !withholds {
                        // Places of a group rise.
                        in_groups.insert(pointer.group.clone(), pointer.group_seq);
                    }
                    if pointer.is_tallied && !withholds {
                        tallied.push((pointer.group.clone(), pointer.group_seq));
                    }
                    if pointer.awaits_delivery {
                        beginning_in_groups.insert(pointer.group.clone(), pointer.group_seq);
                    }
                }
                if nothing_retained && *seq <= everyone_has {
                    self.remove_entry(mailbox, *seq, entry)?;
                } else {
                    record.retained_entries += 1;
                    record.retained_bytes += bytes;
                }
            }
            match page.last() {
                Some((seq, ..)) if page.len() == PAGE => first = seq + 1,
                _ => break,
            }
        }
        record.delivered_to = cursor;
        if nothing_retained {
            record.trimmed_to = record.trimmed_to.max(everyone_has.min(cursor));
        }
        for (stream, seq) in disappearing {
            self.begin_to_disappear(mailbox, record, stream, seq)?;
        }
        let name = |group: &str| {
            GroupName::new(mailbox.app(), group).ok_or(CoreError::Contradiction("an entry points to no group"))
        };
        for (group, group_seq) in in_groups {
            self.note_group_receipt(&name(&group)?, mailbox.user(), group_seq, 0)?;
        }
        for (group, group_seq) in tallied {
            self.tally(&name(&group)?, group_seq, GroupTally { delivered: 1, ..GroupTally::default() })?;
        }
        for (group, group_seq) in beginning_in_groups {
            self.begins_for(&name(&group)?, mailbox.user(), Start::Delivered, group_seq)?;
        }
        for one in passed {
            let receipt = Receipt {
                from: mailbox.user().to_owned(),
                kind: receipt::Kind::Delivered.into(),
                stream: one.stream,
                up_to_seq: one.up_to_seq,
                at_ms: self.context.now_ms,
            };
            self.owe_from(mailbox, record, &one.from, Owed::Receipt(receipt))?;
        }
        Ok(())
    }

    /// Removes delivered entries that every device has, and those kept too many or too long for devices that lag. What
    /// one command cannot do is left to the upkeep.
    pub(super) fn remove_passed(
        &mut self,
        mailbox: &MailboxId,
        record: &mut MailboxRecord,
        devices: &DevicesRecord,
    ) -> Result<(), CoreError> {
        let everyone_has = lowest_cursor(devices).min(record.delivered_to);
        if record.retained_entries == 0 {
            record.trimmed_to = record.trimmed_to.max(everyone_has);
            return Ok(());
        }
        let upkeep_comes = record.upkeep_due_ms > self.context.now_ms;
        if record.trimmed_to >= everyone_has && !retains_too_much(record) && upkeep_comes {
            return Ok(());
        }
        let mut removed = 0;
        let mut last_removed = 0;
        let mut due_ms = 0;
        let mut first = record.trimmed_to + 1;
        'pages: while record.retained_entries > 0 {
            let page = self.entries(mailbox, first, record.delivered_to, PAGE)?;
            let Some((last_of_page, ..)) = page.last() else {
                return Err(CoreError::Contradiction("retained entries are not there"));
            };
            first = last_of_page + 1;
            for (seq, bytes, entry) in &page {
                let kept_since = entry.peek()?.at_ms();
                let too_old = kept_since < self.context.now_ms.saturating_sub(RETAINED_MS);
                if *seq > everyone_has && !retains_too_much(record) && !too_old {
                    due_ms = kept_since.saturating_add(RETAINED_MS + 1);
                    break 'pages;
                }
                if removed == REMOVED_PER_COMMAND {
                    due_ms = self.context.now_ms;
                    break 'pages;
                }
                self.remove_entry(mailbox, *seq, entry)?;
                subtract(&mut record.retained_entries, 1)?;
                subtract(&mut record.retained_bytes, *bytes)?;
                removed += 1;
                last_removed = *seq;
            }
        }
        let finished = due_ms == 0 || due_ms > self.context.now_ms;
        let gone_to = if finished { everyone_has.max(last_removed) } else { last_removed };
        record.trimmed_to = record.trimmed_to.max(gone_to);
        self.schedule_upkeep(mailbox, record, due_ms);
        Ok(())
    }

    /// Sees to it that the mailbox is looked after at `due_ms`, or before.
    fn schedule_upkeep(&mut self, mailbox: &MailboxId, record: &mut MailboxRecord, due_ms: i64) {
        let stands_early_enough = record.upkeep_due_ms != 0 && record.upkeep_due_ms <= due_ms;
        if due_ms == 0 || stands_early_enough {
            return;
        }
        if record.upkeep_due_ms != 0 {
            self.store.delete(&keys::upkeep(record.upkeep_due_ms, mailbox));
        }
        record.upkeep_due_ms = due_ms;
        self.store.put(keys::upkeep(due_ms, mailbox), bytes::Bytes::new());
    }
}

/// Every device has the entries up to here; nothing, when there is no device.
fn lowest_cursor(devices: &DevicesRecord) -> u64 {
    devices.devices.iter().map(|device| device.cursor).min().unwrap_or(0)
}

fn retains_too_much(record: &MailboxRecord) -> bool {
    record.retained_entries > RETAINED_ENTRIES || record.retained_bytes > RETAINED_BYTES
}
