//! Messages that wait for their time: taken once (promise 2), listed and cancelled by their sender, bounded. They wait
//! in the shard of their sender, so that a sender has one list of them and one limit, and so that cancelling and
//! releasing one are in one order. [`release`](super::release) is what happens when the time has come.

use bytes::Bytes;
use tidings_proto::ids::MAX_ID_BYTES;
use tidings_proto::mailbox::v1::{
    AppendMessage, CancelScheduled, ScheduleEnd, ScheduleMessage, ScheduleRecord, ScheduleRequest, ScheduledRecord,
    SenderRecord, ShardRecord,
};
use tidings_proto::message::v1::{Envelope, MessageId, ScheduleState, ScheduleUpdate, envelope, schedule_update::Kind};
use tidings_proto::shard::stream_id;
use tidings_proto::{ErrorCode, disappearance};

use super::append::{Numbered, valid_slot};
use super::entry::Entry;
use super::keys::{self, Scheduler};
use super::limits::{SCHEDULE_REMEMBERED, SCHEDULED, SCHEDULED_AHEAD_MS, SCHEDULED_BY_SYSTEM};
use super::records::{self, CoreError};
use super::{Applying, Reply, refused};

/// How a message that is to wait was named.
enum Named {
    /// By the device that sends it.
    ByDevice { id: MessageId, key: Vec<u8>, sender: SenderRecord },
    /// By the schedule, for a backend.
    ByBackend { id: MessageId, request_id: String },
}

impl Applying<'_> {
    pub(super) fn schedule_message(&mut self, mut schedule: ScheduleMessage) -> Result<Reply, CoreError> {
        let Some(message) = schedule.message.take() else { return refused(ErrorCode::InvalidArgument) };
        let Some(of) = Scheduler::new(&message.app, &message.from, schedule.by_system) else {
            return refused(ErrorCode::InvalidArgument);
        };
        if !is_valid(&schedule, &message, self.context.now_ms) {
            return refused(ErrorCode::InvalidArgument);
        }
        let mut record = self.schedule(&of)?;
        let named = if schedule.by_backend {
            self.named_by_backend(&record, std::mem::take(&mut schedule.request_id))?
        } else {
            self.named_by_device(&of, &message)?
        };
        let named = match named {
            Ok(named) => named,
            Err(reply) => return Ok(reply),
        };
        let limit = if of.is_system { SCHEDULED_BY_SYSTEM } else { SCHEDULED };
        if record.pending >= limit {
            return refused(ErrorCode::ScheduleFull);
        }

        let now_ms = self.context.now_ms;
        let (Named::ByDevice { id, .. } | Named::ByBackend { id, .. }) = named;
        let update = update_of(id, Kind::Scheduled, &message, schedule.to_group, schedule.deliver_at_ms);
        let reply = match named {
            Named::ByDevice { key, sender, .. } => {
                self.accept_number(key, sender, &message);
                Reply::Appended { sent_at_ms: now_ms, duplicate: false }
            }
            Named::ByBackend { request_id, .. } => {
                if id.seq == 1 {
                    self.count_stream()?;
                }
                (record.stream, record.last_seq) = (id.stream, id.seq);
                record.requests.push(ScheduleRequest { request_id, seq: id.seq, scheduled_at_ms: now_ms });
                let too_many = record.requests.len().saturating_sub(SCHEDULE_REMEMBERED);
                record.requests.drain(..too_many);
                Reply::Scheduled { id, at_ms: now_ms, duplicate: false }
            }
        };
        let waits = ScheduledRecord {
            message: Some(message),
            to_group: schedule.to_group,
            deliver_at_ms: schedule.deliver_at_ms,
            by_backend: schedule.by_backend,
            scheduled_at_ms: now_ms,
            due_at_ms: schedule.deliver_at_ms,
        };
        self.let_wait(&of, &mut record, id, &waits);
        self.save_schedule(&of, &record);
        // A sole device knows what it has scheduled itself.
        self.tell_of_schedule(&of, update, if schedule.by_backend { 1 } else { 2 })?;
        Ok(reply)
    }

    pub(super) fn cancel_scheduled(&mut self, cancel: &CancelScheduled) -> Result<Reply, CoreError> {
        let (Some(of), Some(id)) = (Scheduler::new(&cancel.app, &cancel.user, cancel.by_system), cancel.id) else {
            return refused(ErrorCode::InvalidArgument);
        };
        let mut record = self.schedule(&of)?;
        let Some(waits) = self.waiting(&of, id)? else {
            let ended = record.ended.iter().find(|end| end.id == Some(id));
            let was_cancelled = ended.is_some_and(|end| end.state() == ScheduleState::Cancelled);
            return if was_cancelled { Ok(Reply::ScheduledCancelled) } else { refused(ErrorCode::NotFound) };
        };
        self.wait_no_more(&of, &mut record, id, &waits)?;
        self.end(&mut record, ScheduleEnd { state: ScheduleState::Cancelled.into(), ..ended(id) });
        self.save_schedule(&of, &record);
        let message = waits.message.unwrap_or_default();
        let update = update_of(id, Kind::Cancelled, &message, waits.to_group, waits.deliver_at_ms);
        self.tell_of_schedule(&of, update, 1)?;
        Ok(Reply::ScheduledCancelled)
    }

    /// The number of a device's send; the answer, when it came before or may not come.
    fn named_by_device(&self, of: &Scheduler, message: &AppendMessage) -> Result<Result<Named, Reply>, CoreError> {
        let Some(slot) = valid_slot(message) else { return Ok(Err(Reply::Refused(ErrorCode::InvalidArgument))) };
        let key = keys::schedule_sender(&of.mailbox, slot);
        Ok(match self.numbered(&key, message)? {
            Numbered::New(sender) => {
                Ok(Named::ByDevice { id: MessageId { stream: message.stream, seq: message.seq }, key, sender })
            }
            Numbered::Answered(reply) => Err(reply),
        })
    }

    /// The next number of what backends schedule; the answer, when the request came before.
    fn named_by_backend(&self, record: &ScheduleRecord, request_id: String) -> Result<Result<Named, Reply>, CoreError> {
        if !request_id.is_empty()
            && let Some(known) = record.requests.iter().find(|known| known.request_id == request_id)
        {
            let id = MessageId { stream: record.stream, seq: known.seq };
            return Ok(Err(Reply::Scheduled { id, at_ms: known.scheduled_at_ms, duplicate: true }));
        }
        let stream = if record.stream == 0 { self.next_stream()? } else { record.stream };
        Ok(Ok(Named::ByBackend { id: MessageId { stream, seq: record.last_seq + 1 }, request_id }))
    }

    /// The stream that this shard gives next; [`count_stream`](Self::count_stream) gives it.
    pub(super) fn next_stream(&self) -> Result<u64, CoreError> {
        let shard: ShardRecord = self.load("shard", &keys::shard())?.unwrap_or_default();
        Ok(stream_id(shard.count + 1, self.core.shard))
    }

    pub(super) fn count_stream(&mut self) -> Result<(), CoreError> {
        let mut shard: ShardRecord = self.load("shard", &keys::shard())?.unwrap_or_default();
        shard.count += 1;
        self.store.put(keys::shard(), records::seal(&shard));
        Ok(())
    }

    /// Puts a message among those that wait. The caller saves `record`.
    pub(super) fn let_wait(
        &mut self,
        of: &Scheduler,
        record: &mut ScheduleRecord,
        id: MessageId,
        waits: &ScheduledRecord,
    ) {
        self.store.put(keys::scheduled(of, id), records::seal(waits));
        self.store.put(keys::schedule_due(waits.due_at_ms, of, id), Bytes::new());
        record.pending += 1;
    }

    /// Takes a message out of those that wait. The caller saves `record`.
    pub(super) fn wait_no_more(
        &mut self,
        of: &Scheduler,
        record: &mut ScheduleRecord,
        id: MessageId,
        waits: &ScheduledRecord,
    ) -> Result<(), CoreError> {
        self.store.delete(&keys::scheduled(of, id));
        self.store.delete(&keys::schedule_due(waits.due_at_ms, of, id));
        let left = record.pending.checked_sub(1);
        record.pending = left.ok_or(CoreError::Contradiction("a schedule counts fewer messages than it has"))?;
        Ok(())
    }

    /// Remembers what became of a message that waits no more. The caller saves `record`.
    pub(super) fn end(&self, record: &mut ScheduleRecord, end: ScheduleEnd) {
        record.ended.push(ScheduleEnd { at_ms: self.context.now_ms, ..end });
        let too_many = record.ended.len().saturating_sub(SCHEDULE_REMEMBERED);
        record.ended.drain(..too_many);
    }

    pub(super) fn waiting(&self, of: &Scheduler, id: MessageId) -> Result<Option<ScheduledRecord>, CoreError> {
        self.load("scheduled message", &keys::scheduled(of, id))
    }

    pub(super) fn schedule(&self, of: &Scheduler) -> Result<ScheduleRecord, CoreError> {
        Ok(self.load("schedule", &keys::schedule(of))?.unwrap_or_default())
    }

    pub(super) fn save_schedule(&mut self, of: &Scheduler, record: &ScheduleRecord) {
        self.store.put(keys::schedule(of), records::seal(record));
    }

    /// Tells a user's devices of something, where there are so many.
    pub(super) fn tell_of_schedule(
        &mut self,
        of: &Scheduler,
        update: ScheduleUpdate,
        told_from: u32,
    ) -> Result<(), CoreError> {
        if of.is_system {
            return Ok(());
        }
        let Some(mut record) = self.mailbox(&of.mailbox)?.filter(|record| record.devices >= told_from) else {
            return Ok(());
        };
        let update = ScheduleUpdate { at_ms: self.context.now_ms, ..update };
        let entry = Entry::whole(&Envelope { event: Some(envelope::Event::ScheduleUpdate(update)) });
        self.push_bounded(&of.mailbox, &mut record, entry, 0);
        self.save_mailbox(&of.mailbox, &record);
        Ok(())
    }
}

/// Whether a message can wait so; its number apart.
fn is_valid(schedule: &ScheduleMessage, message: &AppendMessage, now_ms: i64) -> bool {
    let is_by_one = schedule.by_backend || !schedule.by_system;
    let is_ahead = schedule.deliver_at_ms > 0 && schedule.deliver_at_ms.saturating_sub(now_ms) <= SCHEDULED_AHEAD_MS;
    let disappears = message.disappears.as_ref();
    let is_one = message.change.is_none() && message.ttl_ms != Some(0) && keys::is_id(&message.to);
    let can_disappear = disappears.is_none_or(|disappears| !schedule.to_group && disappearance::is_valid(disappears));
    is_by_one && is_ahead && is_one && can_disappear && schedule.request_id.len() <= MAX_ID_BYTES
}

fn update_of(id: MessageId, kind: Kind, message: &AppendMessage, to_group: bool, at_ms: i64) -> ScheduleUpdate {
    let (to, group) = recipient(&message.to, to_group);
    ScheduleUpdate { id: Some(id), kind: kind.into(), to, group, deliver_at_ms: at_ms, ..ScheduleUpdate::default() }
}

/// User and group, one of them empty.
pub fn recipient(to: &str, to_group: bool) -> (String, String) {
    let (user, group) = if to_group { ("", to) } else { (to, "") };
    (user.to_owned(), group.to_owned())
}

pub(super) fn ended(id: MessageId) -> ScheduleEnd {
    ScheduleEnd { id: Some(id), ..ScheduleEnd::default() }
}

#[cfg(test)]
mod tests;
