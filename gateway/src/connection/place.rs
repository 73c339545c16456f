//! How far a device is in its mailbox, as this connection knows it.

use tidings_proto::broker::v1::Attached;
use tidings_proto::client::v1::Resume;

/// Numbers of the device's mailbox and of its stream.
#[derive(Debug, Default)]
pub(super) struct Place {
    pub mailbox_epoch: u64,
    pub stream: u64,
    pub slot: u32,
    /// Which attachment of the device this session had last.
    pub attached: u64,
    /// The last entry that was handed to the client.
    pub delivered: u64,
    /// Up to here nothing is missing: handed on, or known to be gone with notice. Not below `delivered`.
    pub reached: u64,
    /// Acknowledged by the client.
    pub acked: u64,
    /// Of that, told to the broker under the present attachment.
    pub ack_told: u64,
}

/// What to do with a mailbox entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// Hand it on, after this number.
    New { after: u64 },
    /// The client has it already: it came again after a re-attachment.
    Known,
    /// Something before it is missing.
    Gap,
}

impl Place {
    /// What a re-attachment tells the broker: the acknowledged cursor, not the delivered one, since an entry goes when
    /// it is acknowledged and the client may yet die without having kept it (promise 1).
    pub fn resume(&self) -> Resume {
        Resume { mailbox_epoch: self.mailbox_epoch, stream: self.stream, cursor: self.acked }
    }

    /// Takes up what a re-attachment says: delivery goes on after `cursor`, and of some numbers up to `unknown_to` the
    /// fate is unknown. Answers whether the client can go on without being told.
    pub fn reattached(&mut self, attached: &Attached) -> bool {
        let unknown_to = attached.unknown.map_or(0, |unknown| unknown.to);
        if attached.mailbox_epoch != self.mailbox_epoch || attached.stream != self.stream || unknown_to > self.delivered
        {
            return false;
        }
        (self.slot, self.attached) = (attached.slot, attached.attached);
        self.ack_told = attached.cursor;
        self.reached = self.reached.max(attached.cursor);
        true
    }

    /// Notes an entry.
    pub fn deliver(&mut self, seq: u64, after: u64) -> Delivery {
        if seq <= self.reached {
            return Delivery::Known;
        }
        if after > self.reached {
            return Delivery::Gap;
        }
        self.reached = seq;
        // Nothing lies between `after` and `seq`, hence nothing between what was delivered and `seq` either.
        let after = std::mem::replace(&mut self.delivered, seq);
        Delivery::New { after }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidings_proto::client::v1::UnknownRange;

    #[test]
    fn entries_that_come_again_are_known_and_the_chain_of_numbers_stays_whole() {
        let mut place = Place { delivered: 10, reached: 10, acked: 5, ..Place::default() };
        assert_eq!(place.deliver(7, 5), Delivery::Known);
        assert_eq!(place.deliver(10, 7), Delivery::Known);
        assert_eq!(place.deliver(15, 12), Delivery::Gap);
        assert_eq!(place.deliver(12, 7), Delivery::New { after: 10 });
        assert_eq!(place.deliver(15, 12), Delivery::New { after: 12 });
        assert_eq!(place.resume().cursor, 5);
    }

    #[test]
    fn a_reattachment_goes_on_unless_something_undelivered_is_unknown() {
        let place = || Place { mailbox_epoch: 1, stream: 2, delivered: 10, reached: 10, acked: 5, ..Place::default() };
        let attached = Attached { mailbox_epoch: 1, stream: 2, cursor: 5, ..Attached::default() };
        let unknown = |to| Some(UnknownRange { from: 6, to });
        assert!(place().reattached(&attached));
        assert!(place().reattached(&Attached { unknown: unknown(10), ..attached }));
        assert!(!place().reattached(&Attached { unknown: unknown(11), ..attached }));
        assert!(!place().reattached(&Attached { stream: 3, ..attached }));
        assert!(!place().reattached(&Attached { mailbox_epoch: 2, ..attached }));
        // What is gone with notice leaves no gap.
        let mut ahead = place();
        assert!(ahead.reattached(&Attached { cursor: 15, ..attached }));
        assert_eq!(ahead.deliver(16, 15), Delivery::New { after: 10 });
    }
}
