//! Which accepted messages still wait for a receipt. Receipts are watermarks for a recipient and a stream: each speaks
//! for every message up to its number. Bounded by the distance from the newest message (promise 6): what is older keeps
//! its last status.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tidings_proto::UserId;
use tidings_proto::message::v1::receipt::Kind;
use tidings_proto::message::v1::{Failure, MessageId, Receipt, ReceiptRequest};

use crate::error::SendError;
use crate::sending::{Slot, Status};

/// A message is tracked until so many later ones were accepted.
const TRACKED_MESSAGES: u64 = 65_536;
const SWEEP_EVERY: u64 = TRACKED_MESSAGES / 8;

#[derive(Debug, Default)]
struct Recipient {
    delivered_to: u64,
    read_to: u64,
    /// Accepted, not read; rising by number except for answers that came out of order.
    open: VecDeque<(u64, Arc<Slot>)>,
}

/// The messages of the current stream that were accepted and may still change their status.
#[derive(Debug, Default)]
pub(crate) struct AwaitedReceipts {
    stream: u64,
    recipients: HashMap<UserId, Recipient>,
    newest: u64,
    swept_at: u64,
}

impl AwaitedReceipts {
    pub(crate) fn new_stream(&mut self, stream: u64) {
        *self = Self { stream, ..Self::default() };
    }

    /// Whether this device sent the message, in the stream in which it sends now.
    pub(crate) fn is_of_stream(&self, id: MessageId) -> bool {
        id.stream == self.stream
    }

    /// A message was accepted.
    pub(crate) fn accepted(&mut self, to: &UserId, id: MessageId, receipts: i32, slot: Arc<Slot>) {
        // The other owner is the application's handle: without it nobody looks.
        let watched = Arc::strong_count(&slot) > 1;
        if !watched || receipts == ReceiptRequest::ReceiptsNone as i32 || id.stream != self.stream {
            return;
        }
        let recipient = match self.recipients.get_mut(to.as_str()) {
            Some(recipient) => recipient,
            None => self.recipients.entry(to.clone()).or_default(),
        };
        // A receipt can overtake the answer.
        if id.seq <= recipient.read_to {
            return slot.advance(Status::Read);
        }
        if id.seq <= recipient.delivered_to {
            slot.advance(Status::Delivered);
        }
        let place = recipient.open.partition_point(|(seq, _)| *seq < id.seq);
        recipient.open.insert(place, (id.seq, slot));
        self.newest = self.newest.max(id.seq);
        if self.newest >= self.swept_at + SWEEP_EVERY {
            self.sweep();
        }
    }

    pub(crate) fn receipt(&mut self, receipt: &Receipt) {
        if receipt.stream != self.stream {
            return;
        }
        let Ok(from) = UserId::new(&receipt.from) else { return };
        let recipient = self.recipients.entry(from).or_default();
        match receipt.kind() {
            Kind::Delivered if receipt.up_to_seq > recipient.delivered_to => {
                let first = recipient.open.partition_point(|(seq, _)| *seq <= recipient.delivered_to);
                let reached = recipient.open.iter().skip(first).take_while(|(seq, _)| *seq <= receipt.up_to_seq);
                reached.for_each(|(_, slot)| slot.advance(Status::Delivered));
                recipient.delivered_to = receipt.up_to_seq;
            }
            Kind::Read if receipt.up_to_seq > recipient.read_to => {
                while recipient.open.front().is_some_and(|(seq, _)| *seq <= receipt.up_to_seq) {
                    if let Some((_, slot)) = recipient.open.pop_front() {
                        slot.advance(Status::Read);
                    }
                }
                recipient.read_to = receipt.up_to_seq;
            }
            _ => {}
        }
    }

    pub(crate) fn failure(&mut self, failure: &Failure) {
        let Some(id) = failure.id.filter(|id| id.stream == self.stream) else {
            return;
        };
        let Some(recipient) = self.recipients.get_mut(failure.to.as_str()) else {
            return;
        };
        if let Ok(place) = recipient.open.binary_search_by_key(&id.seq, |(seq, _)| *seq)
            && let Some((_, slot)) = recipient.open.remove(place)
        {
            slot.advance(Status::Failed(SendError::Undelivered { code: failure.reason() }));
        }
    }

    fn sweep(&mut self) {
        self.swept_at = self.newest;
        let keep_above = self.newest.saturating_sub(TRACKED_MESSAGES);
        self.recipients.retain(|_, recipient| {
            while recipient.open.front().is_some_and(|(seq, slot)| *seq <= keep_above || Arc::strong_count(slot) == 1) {
                recipient.open.pop_front();
            }
            !recipient.open.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(kind: Kind, up_to_seq: u64) -> Receipt {
        Receipt { from: "bob".into(), kind: kind as i32, stream: 9, up_to_seq, at_ms: 0 }
    }

    fn accept(awaited: &mut AwaitedReceipts, seq: u64) -> Arc<Slot> {
        let slot = Slot::new();
        let bob = UserId::new("bob").unwrap();
        awaited.accepted(&bob, MessageId { stream: 9, seq }, 0, slot.clone());
        slot
    }

    fn status(slot: &Arc<Slot>) -> Status {
        crate::sending::Sending::new(slot.clone()).status()
    }

    #[test]
    fn watermarks_speak_for_all_below_also_when_they_overtake_the_answer() {
        let mut awaited = AwaitedReceipts::default();
        awaited.new_stream(9);
        let slots: Vec<_> = (1..=4).map(|seq| accept(&mut awaited, seq)).collect();
        awaited.receipt(&receipt(Kind::Delivered, 3));
        awaited.receipt(&receipt(Kind::Read, 2));
        let seen: Vec<_> = slots.iter().map(status).collect();
        assert_eq!(seen, [Status::Read, Status::Read, Status::Delivered, Status::Pending]);
        awaited.receipt(&receipt(Kind::Delivered, 6));
        assert_eq!(status(&accept(&mut awaited, 5)), Status::Delivered);
        assert_eq!(status(&accept(&mut awaited, 7)), Status::Pending);
    }

    #[test]
    fn what_is_tracked_has_a_limit() {
        let mut awaited = AwaitedReceipts::default();
        awaited.new_stream(9);
        let slots: Vec<_> = (1..=2 * TRACKED_MESSAGES).map(|seq| accept(&mut awaited, seq)).collect();
        let tracked: usize = awaited.recipients.values().map(|recipient| recipient.open.len()).sum();
        assert!(tracked as u64 <= TRACKED_MESSAGES + SWEEP_EVERY, "{tracked}");
        drop(slots);
    }
}
