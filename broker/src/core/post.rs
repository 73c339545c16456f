//! `PostMessage`: a backend's message enters a mailbox, or a group's order, once for each request (promise 2). Under
//! each name that backends send in, the recipient gives them a stream and counts in it: such a message is named,
//! ordered and read like any other.

use tidings_proto::ErrorCode;
use tidings_proto::ids::MAX_ID_BYTES;
use tidings_proto::mailbox::v1::{AppendMessage, PostMessage, Posted, PostedRecord, ShardRecord};
use tidings_proto::message::v1::{MessageId, ReceiptRequest};
use tidings_proto::shard::stream_id;

use super::group::append::Speaker;
use super::keys::{self, GroupName, MailboxId};
use super::limits::{BACKEND_SLOT, POSTED};
use super::records::{self, CoreError};
use super::{Applying, Reply, refused};

/// From which level of brokers on a user is told how far what a backend sends in the user's name to another has come.
const TELLING_LEVEL: u32 = 6;

const SLOT: u8 = u8::MAX;
const _: () = assert!(SLOT as u32 == BACKEND_SLOT, "the slot is one byte");

impl Applying<'_> {
    pub(super) fn post_message(&mut self, post: PostMessage) -> Result<Reply, CoreError> {
        let PostMessage { message, request_id, to_group, by_system, in_full } = post;
        let Some(message) = message else { return refused(ErrorCode::InvalidArgument) };
        let Some(to) = Recipient::new(&message, to_group) else { return refused(ErrorCode::InvalidArgument) };
        if !keys::is_id(&message.from) || request_id.len() > MAX_ID_BYTES {
            return refused(ErrorCode::InvalidArgument);
        }
        let mut record = self.posted(&to.posted())?;
        let same = |known: &&Posted| known.from == message.from && known.request_id == request_id;
        if !request_id.is_empty()
            && let Some(known) = record.posted.iter().find(same)
        {
            let id = MessageId { stream: known.stream, seq: known.seq };
            return Ok(Reply::Posted { id, sent_at_ms: known.sent_at_ms, duplicate: true });
        }

        let (from, mut shard): (_, ShardRecord) =
            (message.from.clone(), self.load("shard", &keys::shard())?.unwrap_or_default());
        let id = match self.sender(&to.sender(&from))? {
            Some(sender) => MessageId { stream: sender.stream, seq: sender.highest + 1 },
            None => {
                shard.count += 1;
                MessageId { stream: stream_id(shard.count, self.core.shard), seq: 1 }
            }
        };
        // A user who is given a copy is told as of the own messages; nobody else is there to be told, and asks. In a
        // group everybody asks, for what is noted of those that want it.
        let is_copied = message.sender_retention_ms != 0;
        let receipts = match to_group {
            true if in_full => ReceiptRequest::ReceiptsAll.into(),
            false if in_full && is_copied && self.level >= TELLING_LEVEL => message.receipts,
            _ => ReceiptRequest::ReceiptsNone.into(),
        };
        let append =
            AppendMessage { from_slot: BACKEND_SLOT, stream: id.stream, seq: id.seq, after: 0, receipts, ..message };
        let appended = match &to {
            Recipient::User(_) => self.append_message(append)?,
            Recipient::Group(_) if by_system => self.append_to_group(append, Speaker::System)?,
            Recipient::Group(_) => self.append_to_group(append, Speaker::Member)?,
        };
        let sent_at_ms = match appended {
            Reply::Appended { sent_at_ms, .. } => sent_at_ms,
            refused => return Ok(refused),
        };
        if id.seq == 1 {
            self.store.put(keys::shard(), records::seal(&shard));
        }
        let entry = match &to {
            Recipient::User(mailbox) => self.mailbox(mailbox)?.map_or(0, |mailbox| mailbox.last_seq),
            Recipient::Group(group) if in_full => self.group(group)?.map_or(0, |group| group.last_seq),
            Recipient::Group(_) => 0,
        };
        let MessageId { stream, seq } = id;
        record.posted.push(Posted { from, request_id, stream, seq, entry, sent_at_ms, expired: false });
        let too_many = record.posted.len().saturating_sub(POSTED);
        record.posted.drain(..too_many);
        self.store.put(to.posted(), records::seal(&record));
        Ok(Reply::Posted { id, sent_at_ms, duplicate: false })
    }

    /// An entry of a backend went undelivered.
    pub(super) fn note_expired(&mut self, mailbox: &MailboxId, entry: u64) -> Result<(), CoreError> {
        let key = keys::posted(mailbox);
        let mut record = self.posted(&key)?;
        if let Some(posted) = record.posted.iter_mut().find(|posted| posted.entry == entry) {
            posted.expired = true;
            self.store.put(key, records::seal(&record));
        }
        Ok(())
    }

    fn posted(&self, key: &[u8]) -> Result<PostedRecord, CoreError> {
        Ok(self.load("posted", key)?.unwrap_or_default())
    }
}

/// Who counts what backends send.
enum Recipient {
    User(MailboxId),
    Group(GroupName),
}

impl Recipient {
    fn new(message: &AppendMessage, is_group: bool) -> Option<Self> {
        match is_group {
            true => GroupName::new(&message.app, &message.to).map(Self::Group),
            false => MailboxId::new(&message.app, &message.to).map(Self::User),
        }
    }

    fn posted(&self) -> Vec<u8> {
        match self {
            Self::User(mailbox) => keys::posted(mailbox),
            Self::Group(group) => keys::group_posted(group),
        }
    }

    fn sender(&self, from: &str) -> Vec<u8> {
        match self {
            Self::User(mailbox) => keys::sender(mailbox, from, SLOT),
            Self::Group(group) => keys::group_sender(group, from, SLOT),
        }
    }
}

#[cfg(test)]
mod tests {
    use tidings_proto::mailbox::v1::command::Command;

    use super::super::testing::{Shard, post};
    use super::*;

    fn posted(shard: &mut Shard, from: &str, request_id: &str) -> (MessageId, bool) {
        match shard.apply(Command::PostMessage(post(from, request_id))) {
            Reply::Posted { id, duplicate, .. } => (id, duplicate),
            other => panic!("a post was answered {other:?}"),
        }
    }

    #[test]
    fn a_request_is_one_message_however_often_it_comes() {
        let mut shard = Shard::alone();
        let (first, duplicate) = posted(&mut shard, "shop", "order 1");
        assert!(!duplicate);
        assert_eq!(posted(&mut shard, "shop", "order 1"), (first, true));
        // Another sender's request is another one, and so is one without a name.
        let (other, _) = posted(&mut shard, "bank", "order 1");
        assert_ne!(other.stream, first.stream);
        let (second, _) = posted(&mut shard, "shop", "");
        let (third, _) = posted(&mut shard, "shop", "");
        assert_eq!([second.seq, third.seq], [2, 3]);
        assert_eq!(shard.messages("bob").len(), 4);
        shard.check(&["bob"]);
        assert_eq!(shard.replay().dump(), shard.store.dump());
    }

    #[test]
    fn it_remembers_the_last_64() {
        let mut shard = Shard::alone();
        let (first, _) = posted(&mut shard, "shop", "0");
        for request in 1..POSTED {
            posted(&mut shard, "shop", &request.to_string());
        }
        assert_eq!(posted(&mut shard, "shop", "0"), (first, true));
        posted(&mut shard, "shop", "64");
        let (again, duplicate) = posted(&mut shard, "shop", "0");
        assert!(!duplicate && again.seq == 66, "{again:?}");
    }

    #[test]
    fn what_asks_for_no_receipts_is_read_like_any_other_and_nobody_is_told() {
        let mut shard = Shard::alone();
        let bob = shard.attach("bob", "phone", None);
        let (id, _) = posted(&mut shard, "shop", "order 1");
        shard.ack("bob", &bob, 1);
        assert_eq!(shard.read("bob", "shop", id.stream, id.seq), Reply::ReadRecorded);
        assert!(shard.entries("shop", 0).is_empty(), "a backend has no mailbox");
    }

    /// Bob deals with what comes; ann is told nothing of what she is given no copy of, nor where there are to be no
    /// receipts.
    #[test]
    fn a_user_who_is_given_a_copy_is_told_also_that_it_expired() {
        let mut shard = Shard::alone();
        shard.attach("ann", "phone", None);
        let bob = shard.attach("bob", "phone", None);
        let mut entry = 0;
        let mut send = |shard: &mut Shard, in_full, sender_retention_ms, ttl_ms| {
            entry += 1;
            let mut post = PostMessage { in_full, ..post("ann", &entry.to_string()) };
            let message = post.message.as_mut().unwrap();
            (message.sender_retention_ms, message.ttl_ms) = (sender_retention_ms, ttl_ms);
            message.retention_ms = 60_000;
            assert!(matches!(shard.apply(Command::PostMessage(post)), Reply::Posted { .. }));
            shard.now_ms += 10;
            shard.expire();
            shard.ack("bob", &bob, entry);
            (shard.receipts("ann").len(), shard.failures("ann").len())
        };
        assert_eq!(send(&mut shard, true, 0, None), (0, 0), "no copy");
        assert_eq!(send(&mut shard, false, 60_000, None), (0, 0), "no receipts");
        assert_eq!(send(&mut shard, false, 60_000, Some(5)), (0, 0));
        assert_eq!(send(&mut shard, true, 60_000, Some(5)), (0, 1), "expired");
        assert_eq!(send(&mut shard, true, 60_000, None), (1, 1));
        shard.level = TELLING_LEVEL - 1;
        assert_eq!(send(&mut shard, true, 60_000, None), (1, 1), "beside brokers of before");
        assert_eq!(shard.replay().dump(), shard.store.dump());
    }

    #[test]
    fn what_is_refused_is_not_remembered() {
        let mut shard = Shard::alone();
        let full = |request: &str| {
            let mut full = post("shop", request);
            full.message.as_mut().unwrap().inbox_limit = 1;
            Command::PostMessage(full)
        };
        assert!(matches!(shard.apply(full("1")), Reply::Posted { .. }));
        assert_eq!(shard.apply(full("2")), Reply::Refused(ErrorCode::InboxFull));
        let bob = shard.attach("bob", "phone", None);
        shard.ack("bob", &bob, 1);
        assert!(matches!(shard.apply(full("2")), Reply::Posted { duplicate: false, .. }));
        for bad in [PostMessage::default(), post("", "1"), post("a\0b", "1"), post("shop", &"x".repeat(64))] {
            assert_eq!(shard.apply(Command::PostMessage(bad)), Reply::Refused(ErrorCode::InvalidArgument));
        }
    }
}
