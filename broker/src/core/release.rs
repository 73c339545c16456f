//! When the time of a message has come: it leaves the schedule and goes to its recipient in one command, through the
//! channel where that lives in another shard: exactly once, whoever leads at that moment (promise 2). There it is
//! judged and taken like any message that is sent in that moment, in a stream that the recipient counts, so that
//! receipts, which speak for all lower numbers, say nothing of what was scheduled before and is still to come. The
//! sender's shard is told what became of it (promise 4).

use tidings_proto::ErrorCode;
use tidings_proto::mailbox::v1::{
    AppendMessage, ChannelItem, ReleaseScheduled, ReleasedMessage, ScheduleEnd, ScheduleOutcome, ScheduleRelease,
    ScheduledRecord, channel_item,
};
use tidings_proto::message::v1::{Failure, MessageId, ScheduleState, ScheduleUpdate, schedule_update::Kind};
use tidings_proto::shard::shard_of;

use super::channel::Owed;
use super::group::append::Speaker;
use super::keys::{self, GroupName, MailboxId, Scheduler};
use super::limits::{RELEASED_PER_COMMAND, SCHEDULE_SLOT};
use super::records::CoreError;
use super::schedule::{ended, recipient};
use super::{Applying, Reply, refused};

const SLOT: u8 = 254;
const _: () = assert!(SLOT as u32 == SCHEDULE_SLOT, "the slot is one byte");
/// What could not be taken yet is tried again after so long.
const AGAIN_MS: i64 = 1000;
/// How long a group's home may have yet to hear of a member who has just joined.
const HOME_LAGS_MS: i64 = 5_000;
/// How long a group whose members are too far behind is waited for.
const OVERLOAD_MS: i64 = 3600 * 1000;

impl Applying<'_> {
    pub(super) fn release_scheduled(&mut self, release: ReleaseScheduled) -> Result<Reply, CoreError> {
        if release.releases.len() > RELEASED_PER_COMMAND {
            return refused(ErrorCode::InvalidArgument);
        }
        for one in release.releases {
            self.release(one)?;
        }
        Ok(Reply::Released)
    }

    fn release(&mut self, release: ScheduleRelease) -> Result<(), CoreError> {
        let of = Scheduler::new(&release.app, &release.user, release.by_system);
        let (Some(of), Some(id)) = (of, release.id) else { return Ok(()) };
        // Cancelled meanwhile, or released by the leader before; or that one's clock was ahead.
        let waits = self.waiting(&of, id)?.filter(|waits| waits.due_at_ms <= self.context.now_ms);
        let Some(mut waits) = waits else { return Ok(()) };
        let mut record = self.schedule(&of)?;
        self.wait_no_more(&of, &mut record, id, &waits)?;
        self.end(&mut record, ScheduleEnd { state: ScheduleState::Released.into(), ..ended(id) });
        self.save_schedule(&of, &record);

        if release.refusal() != ErrorCode::Unspecified {
            let outcome = ScheduleOutcome { reason: release.refusal, ..self.outcome(id, &of, &waits) };
            return self.take_outcome(&of, outcome);
        }
        let message = waits.message.get_or_insert_default();
        if let Some(terms) = release.terms {
            message.receipts = terms.receipts;
            message.inbox_limit = terms.inbox_limit;
            (message.retention_ms, message.sender_retention_ms) = (terms.retention_ms, terms.sender_retention_ms);
            message.audience = terms.audience;
        }
        let (app, target) = (message.app.clone(), shard_of(&message.app, &message.to, self.core.shards));
        let released = ReleasedMessage { scheduled: Some(id), record: Some(waits), by_system: of.is_system };
        if target == self.core.shard {
            return self.take_released(released);
        }
        let item = Some(channel_item::Item::Released(released));
        self.push_item(target, &ChannelItem { app, item, ..ChannelItem::default() })
    }

    /// Where the recipient lives: it is taken in, or not.
    pub(super) fn take_released(&mut self, released: ReleasedMessage) -> Result<(), CoreError> {
        let ReleasedMessage { scheduled, record, by_system } = released;
        let (id, waits) = (scheduled.unwrap_or_default(), record.unwrap_or_default());
        let message = waits.message.clone().unwrap_or_default();
        let sender = message.from.clone();
        let Some(of) = Scheduler::new(&message.app, &sender, by_system) else { return Ok(()) };
        let mut outcome = self.outcome(id, &of, &waits);
        match self.take_in(message, waits.to_group, by_system)? {
            Ok(taken) => outcome.message = Some(taken),
            Err(code) if self.comes_back(code, &waits) => {
                outcome.returned =
                    Some(ScheduledRecord { due_at_ms: self.context.now_ms.saturating_add(AGAIN_MS), ..waits });
            }
            Err(code) => outcome.reason = code.into(),
        }
        let app = of.mailbox.app().to_owned();
        let home = shard_of(&app, &sender, self.core.shards);
        if home == self.core.shard {
            return self.take_outcome(&of, outcome);
        }
        let item = Some(channel_item::Item::ScheduleOutcome(outcome));
        self.push_item(home, &ChannelItem { app, user: sender, item, seq: 0 })
    }

    /// The id under which it was taken, or why it was not.
    fn take_in(
        &mut self,
        message: AppendMessage,
        to_group: bool,
        by_system: bool,
    ) -> Result<Result<MessageId, ErrorCode>, CoreError> {
        let key = if to_group {
            GroupName::new(&message.app, &message.to).map(|group| keys::group_sender(&group, &message.from, SLOT))
        } else {
            MailboxId::new(&message.app, &message.to).map(|mailbox| keys::sender(&mailbox, &message.from, SLOT))
        };
        let Some(key) = key else { return Ok(Err(ErrorCode::InvalidArgument)) };
        let id = match self.sender(&key)? {
            Some(sender) => MessageId { stream: sender.stream, seq: sender.highest + 1 },
            None => MessageId { stream: self.next_stream()?, seq: 1 },
        };
        let (stream, seq) = (id.stream, id.seq);
        let append = AppendMessage { from_slot: SCHEDULE_SLOT, stream, seq, after: 0, ..message };
        let reply = match (to_group, by_system) {
            (false, _) => self.append_message(append)?,
            (true, true) => self.append_to_group(append, Speaker::System)?,
            (true, false) => self.append_to_group(append, Speaker::Member)?,
        };
        match reply {
            Reply::Refused(code) => return Ok(Err(code)),
            Reply::Appended { .. } => {}
            _ => return Err(CoreError::Contradiction("a message was answered with what is for others")),
        }
        if id.seq == 1 {
            self.count_stream()?;
        }
        Ok(Ok(id))
    }

    /// Whether a group's home may take a message a little later.
    fn comes_back(&self, code: ErrorCode, waits: &ScheduledRecord) -> bool {
        let waited_ms = self.context.now_ms.saturating_sub(waits.deliver_at_ms.max(waits.scheduled_at_ms));
        match code {
            ErrorCode::NotAMember => waited_ms < HOME_LAGS_MS,
            ErrorCode::Overloaded => waited_ms < OVERLOAD_MS,
            _ => false,
        }
    }

    /// Where the sender lives: what became of a message.
    pub(super) fn take_outcome(&mut self, of: &Scheduler, outcome: ScheduleOutcome) -> Result<(), CoreError> {
        let (id, reason) = (outcome.scheduled.unwrap_or_default(), outcome.reason());
        let mut record = self.schedule(of)?;
        if let Some(waits) = outcome.returned {
            record.ended.retain(|end| end.id != Some(id));
            self.let_wait(of, &mut record, id, &waits);
            self.save_schedule(of, &record);
            return Ok(());
        }
        let state = if reason == ErrorCode::Unspecified { ScheduleState::Sent } else { ScheduleState::Failed };
        if let Some(end) = record.ended.iter_mut().find(|end| end.id == Some(id)) {
            end.set_state(state);
            (end.reason, end.message, end.at_ms) = (outcome.reason, outcome.message, outcome.at_ms);
            self.save_schedule(of, &record);
        }
        if of.is_system {
            return Ok(());
        }
        if state == ScheduleState::Failed {
            let failure = Failure { id: Some(id), to: outcome.to, reason: outcome.reason, at_ms: self.context.now_ms };
            return self.receive_here(&of.mailbox, Owed::Failure(failure));
        }
        let (to, group) = recipient(&outcome.to, outcome.to_group);
        let update = ScheduleUpdate {
            id: Some(id),
            kind: Kind::Sent.into(),
            to,
            group,
            deliver_at_ms: outcome.deliver_at_ms,
            message: outcome.message,
            at_ms: 0,
        };
        self.tell_of_schedule(of, update, 1)
    }

    fn outcome(&self, id: MessageId, of: &Scheduler, waits: &ScheduledRecord) -> ScheduleOutcome {
        ScheduleOutcome {
            scheduled: Some(id),
            by_system: of.is_system,
            to: waits.message.as_ref().map(|message| message.to.clone()).unwrap_or_default(),
            to_group: waits.to_group,
            deliver_at_ms: waits.deliver_at_ms,
            at_ms: self.context.now_ms,
            ..ScheduleOutcome::default()
        }
    }
}
