//! What becomes of messages that this process scheduled: told by `ScheduleUpdate` and `Failure`, and once they are sent
//! by receipts in the stream that the recipient gave them. Bounded (promise 6): beyond it a message keeps its last
//! status.

use std::collections::VecDeque;
use std::sync::Arc;

use tidings_proto::message::v1::receipt;
use tidings_proto::message::v1::schedule_update::Kind;
use tidings_proto::message::v1::{Failure, MessageId, Receipt, ScheduleUpdate};

use crate::error::SendError;
use crate::sending::{Slot, Status};

/// Messages that are tracked before they are sent, and after.
const TRACKED: usize = 1024;

/// The messages whose status may still change, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct AwaitedSchedules {
    waiting: VecDeque<(MessageId, Arc<Slot>)>,
    sent: VecDeque<SentLater>,
}

#[derive(Debug)]
struct SentLater {
    id: MessageId,
    to: String,
    slot: Arc<Slot>,
}

impl AwaitedSchedules {
    /// A message was scheduled.
    pub(crate) fn accepted(&mut self, id: MessageId, slot: Arc<Slot>) {
        // The other owner is the application's handle: without it nobody looks.
        if Arc::strong_count(&slot) > 1 {
            self.waiting.keep_last(TRACKED - 1);
            self.waiting.push_back((id, slot));
        }
    }

    /// Something happened to a scheduled message.
    pub(crate) fn update(&mut self, update: &ScheduleUpdate) {
        match update.kind() {
            Kind::Sent => {
                let (Some(slot), Some(id)) = (self.take(update.id), update.message) else { return };
                // To a group it goes no further: receipts there are asked for.
                if update.group.is_empty() {
                    self.sent.keep_last(TRACKED - 1);
                    self.sent.push_back(SentLater { id, to: update.to.clone(), slot });
                }
            }
            Kind::Cancelled => {
                if let Some(slot) = self.take(update.id) {
                    slot.advance(Status::Failed(SendError::Cancelled));
                }
            }
            Kind::Scheduled | Kind::Unspecified => {}
        }
    }

    pub(crate) fn receipt(&mut self, receipt: &Receipt) {
        let status = match receipt.kind() {
            receipt::Kind::Delivered => Status::Delivered,
            receipt::Kind::Read => Status::Read,
            receipt::Kind::Unspecified => return,
        };
        let is_spoken_of = |sent: &SentLater| {
            sent.id.stream == receipt.stream && sent.id.seq <= receipt.up_to_seq && sent.to == receipt.from
        };
        self.sent.iter().filter(|sent| is_spoken_of(sent)).for_each(|sent| sent.slot.advance(status.clone()));
        if status == Status::Read {
            self.sent.retain(|sent| !is_spoken_of(sent));
        }
    }

    pub(crate) fn failure(&mut self, failure: &Failure) {
        let of_sent = self.sent.iter().position(|sent| Some(sent.id) == failure.id);
        let slot = match of_sent {
            Some(place) => self.sent.remove(place).map(|sent| sent.slot),
            None => self.take(failure.id),
        };
        if let Some(slot) = slot {
            slot.advance(Status::Failed(SendError::Undelivered { code: failure.reason() }));
        }
    }

    fn take(&mut self, id: Option<MessageId>) -> Option<Arc<Slot>> {
        let place = self.waiting.iter().position(|(waiting, _)| Some(*waiting) == id)?;
        self.waiting.remove(place).map(|(_, slot)| slot)
    }
}

trait KeepLast {
    /// Keeps the last `length`.
    fn keep_last(&mut self, length: usize);
}

impl<T> KeepLast for VecDeque<T> {
    fn keep_last(&mut self, length: usize) {
        self.drain(..self.len().saturating_sub(length));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sending::Sending;

    const fn id(stream: u64, seq: u64) -> MessageId {
        MessageId { stream, seq }
    }

    fn scheduled(awaited: &mut AwaitedSchedules, seq: u64) -> Sending {
        let slot = Slot::new();
        let sending = Sending::new(slot.clone());
        awaited.accepted(id(9, seq), slot);
        sending
    }

    fn update(seq: u64, kind: Kind, message: Option<MessageId>) -> ScheduleUpdate {
        let to = "bob".to_owned();
        ScheduleUpdate { id: Some(id(9, seq)), kind: kind.into(), to, message, ..ScheduleUpdate::default() }
    }

    #[test]
    fn a_message_goes_on_under_the_name_that_the_recipient_gave_it() {
        let mut awaited = AwaitedSchedules::default();
        let [one, two, three] = [1, 2, 3].map(|seq| scheduled(&mut awaited, seq));
        awaited.update(&update(2, Kind::Sent, Some(id(77, 1))));
        awaited.update(&update(3, Kind::Cancelled, None));
        let receipt = |stream, kind: receipt::Kind| Receipt {
            from: "bob".to_owned(),
            kind: kind.into(),
            stream,
            up_to_seq: 5,
            at_ms: 0,
        };
        awaited.receipt(&receipt(9, receipt::Kind::Read));
        assert_eq!((one.status(), two.status()), (Status::Pending, Status::Pending));
        awaited.receipt(&receipt(77, receipt::Kind::Delivered));
        assert_eq!(two.status(), Status::Delivered);
        awaited.receipt(&receipt(77, receipt::Kind::Read));
        assert_eq!(two.status(), Status::Read);
        assert_eq!(three.status(), Status::Failed(SendError::Cancelled));
        let reason = tidings_proto::ErrorCode::Blocked;
        awaited.failure(&Failure { id: Some(id(9, 1)), reason: reason.into(), ..Failure::default() });
        assert_eq!(one.status(), Status::Failed(SendError::Undelivered { code: reason }));
        assert!(awaited.waiting.is_empty() && awaited.sent.is_empty());
    }

    #[test]
    fn what_is_tracked_has_a_limit() {
        let mut awaited = AwaitedSchedules::default();
        let sendings: Vec<_> = (0..=TRACKED as u64).map(|seq| scheduled(&mut awaited, seq)).collect();
        assert_eq!(awaited.waiting.len(), TRACKED);
        assert!(awaited.take(Some(id(9, 0))).is_none() && awaited.take(Some(id(9, 1))).is_some());
        drop(sendings);
    }
}
