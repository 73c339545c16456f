//! What a user was told of the own messages to another: how far they came and since when, and which never did. It
//! stands beside the history, for devices that were not there when it was told, and for backends that ask.

use tidings_consensus::StateView;
use tidings_proto::ErrorCode;
use tidings_proto::mailbox::v1::{ReceivedRecord, ReceivedStream, UndeliveredMessage};
use tidings_proto::message::v1::{Failure, MessageId, MessageState, Receipt, receipt};

use super::Applying;
use super::envelope::MessageHead;
use super::keys::{self, MailboxId};
use super::limits::{RECEIVED_STREAMS, UNDELIVERED};
use super::records::{self, CoreError};
use super::steps::{stepped, times_of};
use crate::error::Error;

/// From which level of brokers on it is noted.
const LEVEL: u32 = 5;

/// How far a message came, and when; 0: not so far, or it is not known when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub state: MessageState,
    pub delivered_at_ms: i64,
    pub read_at_ms: i64,
}

/// What the user of a mailbox was told of the own messages to another.
pub fn of(view: &StateView, mailbox: &MailboxId, to: &str) -> Result<ReceivedRecord, Error> {
    Ok(records::load(view, "received", &keys::received(mailbox, to))?.unwrap_or_default())
}

/// What its sender was told of a message; `None`: nothing.
pub fn progress(record: &ReceivedRecord, id: MessageId) -> Option<Progress> {
    let is_it = |other: &&UndeliveredMessage| (other.stream, other.seq) == (id.stream, id.seq);
    if record.undelivered.iter().any(|other| is_it(&other)) {
        return Some(Progress { state: MessageState::Expired, delivered_at_ms: 0, read_at_ms: 0 });
    }
    let stream = record.streams.iter().find(|stream| stream.stream == id.stream && stream.since <= id.seq)?;
    let delivered = (stream.delivered, stream.delivered_steps.as_ref());
    let (delivered_at_ms, read_at_ms) = times_of(delivered, (stream.read, stream.read_steps.as_ref()), id.seq);
    let state = match (id.seq <= stream.read, id.seq <= stream.delivered) {
        (true, _) => MessageState::Read,
        (false, true) => MessageState::Delivered,
        (false, false) => return None,
    };
    Some(Progress { state, delivered_at_ms, read_at_ms })
}

impl Applying<'_> {
    /// A message that the user sent is kept: what is told of it is noted from now on.
    pub(super) fn note_sent(&mut self, mailbox: &MailboxId, head: &MessageHead<'_>) -> Result<(), CoreError> {
        if self.level < LEVEL || head.to == mailbox.user() {
            return Ok(());
        }
        let mut record = self.received(mailbox, head.to)?;
        if record.streams.iter().any(|stream| stream.stream == head.stream) {
            return Ok(());
        }
        let stream = ReceivedStream { stream: head.stream, since: head.seq, ..ReceivedStream::default() };
        record.streams.insert(0, stream);
        record.streams.truncate(RECEIVED_STREAMS);
        self.save_received(mailbox, head.to, &record);
        Ok(())
    }

    /// The user is told that another has, or read, what the user sent.
    pub(super) fn note_receipt(&mut self, mailbox: &MailboxId, receipt: &Receipt) -> Result<(), CoreError> {
        if self.level < LEVEL {
            return Ok(());
        }
        let mut record = self.received(mailbox, &receipt.from)?;
        let Some(at) = record.streams.iter().position(|stream| stream.stream == receipt.stream) else { return Ok(()) };
        let mut stream = record.streams.remove(at);
        let (reached, steps) = match receipt.kind() {
            receipt::Kind::Read => (&mut stream.read, &mut stream.read_steps),
            receipt::Kind::Delivered => (&mut stream.delivered, &mut stream.delivered_steps),
            receipt::Kind::Unspecified => return Ok(()),
        };
        if receipt.up_to_seq > *reached {
            *steps = stepped(steps.take(), receipt.up_to_seq - *reached, receipt.at_ms);
            *reached = receipt.up_to_seq;
        }
        record.streams.insert(0, stream);
        self.save_received(mailbox, &receipt.from, &record);
        Ok(())
    }

    /// The user is told that a message will not be delivered.
    pub(super) fn note_failure(&mut self, mailbox: &MailboxId, failure: &Failure) -> Result<(), CoreError> {
        let MessageId { stream, seq } = failure.id.unwrap_or_default();
        if self.level < LEVEL || failure.reason() != ErrorCode::Expired {
            return Ok(());
        }
        let mut record = self.received(mailbox, &failure.to)?;
        if record.streams.iter().any(|known| known.stream == stream && known.since <= seq) {
            record.undelivered.insert(0, UndeliveredMessage { stream, seq });
            record.undelivered.truncate(UNDELIVERED);
            self.save_received(mailbox, &failure.to, &record);
        }
        Ok(())
    }

    fn received(&self, mailbox: &MailboxId, with: &str) -> Result<ReceivedRecord, CoreError> {
        Ok(self.load("received", &keys::received(mailbox, with))?.unwrap_or_default())
    }

    fn save_received(&mut self, mailbox: &MailboxId, with: &str, record: &ReceivedRecord) {
        self.store.put(keys::received(mailbox, with), records::seal(record));
    }
}

#[cfg(test)]
mod tests {
    use tidings_consensus::StateStore as _;
    use tidings_proto::mailbox::v1::{AppendMessage, MarkRead, MoveCursor, command::Command};

    use super::super::AttachedDevice;
    use super::super::history_tests::{accepted, kept};
    use super::super::locate::told;
    use super::super::scenarios::users_of_two_shards;
    use super::super::testing::{APP, Shard, mailbox_of};
    use super::*;

    fn progress_of(shard: &Shard, from: &AttachedDevice, seq: u64) -> Option<(MessageState, i64, i64)> {
        let id = MessageId { stream: from.stream, seq };
        let told = told(&shard.store.view(), &mailbox_of("alice"), "bob", id).unwrap();
        told.map(|told| (told.state, told.delivered_at_ms, told.read_at_ms))
    }

    #[test]
    fn each_message_has_the_time_of_its_own_receipt() {
        let mut shard = Shard::alone();
        let (alice, bob) = (shard.attach("alice", "phone", None), shard.attach("bob", "phone", None));
        let began = shard.now_ms;
        // The first ones went when nothing was noted: nothing is said of them afterwards.
        shard.level = 4;
        accepted(shard.append(kept("bob", &alice, "alice", 1, "early")));
        shard.level = LEVEL;
        for seq in 2..=4 {
            accepted(shard.append(kept("bob", &alice, "alice", seq, "hello")));
        }
        assert_eq!(progress_of(&shard, &alice, 2), None);
        for (cursor, at) in [(2, 10), (4, 20)] {
            shard.now_ms = began + at;
            shard.ack("bob", &bob, cursor);
        }
        shard.now_ms = began + 30;
        shard.read("bob", "alice", alice.stream, 3);
        let of = [1, 2, 3, 4, 5].map(|seq| progress_of(&shard, &alice, seq));
        let (delivered, read) = (MessageState::Delivered, MessageState::Read);
        let expected = [
            None,
            Some((read, began + 10, began + 30)),
            Some((read, began + 20, began + 30)),
            Some((delivered, began + 20, 0)),
            None,
        ];
        assert_eq!(of, expected);
        assert_eq!(shard.replay().dump(), shard.store.dump());
    }

    #[test]
    fn what_was_read_was_there_by_then() {
        let mut shard = Shard::alone();
        let (alice, bob) = (shard.attach("alice", "phone", None), shard.attach("bob", "phone", None));
        accepted(shard.append(kept("bob", &alice, "alice", 1, "hello")));
        let read_at_ms = shard.now_ms;
        shard.read("bob", "alice", alice.stream, 1);
        shard.now_ms += 10;
        shard.ack("bob", &bob, 1);
        assert_eq!(progress_of(&shard, &alice, 1), Some((MessageState::Read, read_at_ms, read_at_ms)));
    }

    #[test]
    fn it_is_noted_where_the_sender_lives() {
        let [alice_name, bob_name] = users_of_two_shards();
        let (mut home, mut away) = (Shard::new(0, 2), Shard::new(1, 2));
        let (alice, bob) = (home.attach(&alice_name, "phone", None), away.attach(&bob_name, "phone", None));
        accepted(away.append(kept(&bob_name, &alice, &alice_name, 1, "hello")));
        away.now_ms += 7;
        away.ack(&bob_name, &bob, 1);
        home.deliver(away.page(0, 0, 100).unwrap());
        let id = MessageId { stream: alice.stream, seq: 1 };
        let told = told(&home.store.view(), &mailbox_of(&alice_name), &bob_name, id).unwrap().unwrap();
        assert_eq!((told.state, told.delivered_at_ms), (MessageState::Delivered, away.now_ms));
    }

    #[test]
    fn what_was_never_delivered_says_so() {
        let mut shard = Shard::alone();
        let alice = shard.attach("alice", "phone", None);
        let short = AppendMessage { ttl_ms: Some(5), ..kept("bob", &alice, "alice", 1, "short") };
        accepted(shard.append(short));
        shard.now_ms += 10;
        shard.expire();
        assert_eq!(progress_of(&shard, &alice, 1), Some((MessageState::Expired, 0, 0)));
    }

    #[test]
    fn who_keeps_receipts_back_does_so_for_what_came_before_too() {
        let mut shard = Shard::alone();
        let (alice, bob) = (shard.attach("alice", "phone", None), shard.attach("bob", "phone", None));
        accepted(shard.append(kept("bob", &alice, "alice", 1, "hello")));
        let (app, user) = (APP.to_owned(), "bob".to_owned());
        shard.apply(Command::MoveCursor(MoveCursor {
            app: app.clone(),
            user: user.clone(),
            slot: bob.slot,
            stream: bob.stream,
            cursor: 1,
            withholds_delivered: true,
        }));
        let (from, stream) = ("alice".to_owned(), alice.stream);
        shard.apply(Command::MarkRead(MarkRead { app, user, from, stream, up_to_seq: 1, privately: true }));
        assert!(shard.receipts("alice").is_empty());
        assert_eq!(progress_of(&shard, &alice, 1), None);
        assert_eq!(shard.conversation("bob", "alice").read_incoming, 1, "for bob it is read");
    }

    #[test]
    fn what_is_noted_is_bounded() {
        let mut shard = Shard::alone();
        let mut first = None;
        for device in 0..=RECEIVED_STREAMS {
            let alice = shard.attach_of("alice", &format!("device {device}"), 64);
            accepted(shard.append(kept("bob", &alice, "alice", 1, "hello")));
            first = first.or(Some(alice));
        }
        let stored = shard.store.get(&keys::received(&mailbox_of("alice"), "bob")).unwrap();
        let record: ReceivedRecord = records::open("received", stored).unwrap();
        assert_eq!(record.streams.len(), RECEIVED_STREAMS);
        assert!(record.streams.iter().all(|stream| stream.stream != first.as_ref().unwrap().stream));
    }
}
