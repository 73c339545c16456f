//! Where a message is: read from a mailbox's records, never through the log.

use tidings_consensus::StateView;
use tidings_proto::mailbox::v1::{MailboxRecord, Posted, PostedRecord, SenderRecord};
use tidings_proto::message::v1::{MessageId, MessageState};

use super::entry::Stored;
use super::envelope::Peeked;
use super::keys::{self, MailboxId};
use super::limits::{LAST_SLOT, PAGE};
use super::received::{self, Progress, progress};
use super::records::{self, CoreError, load};
use super::window::Seen;
use crate::error::Error;

/// The state of a message from `from`, read from a view that is current, or `None` when the mailbox knows no such
/// message.
pub fn locate(
    state: &StateView,
    mailbox: &MailboxId,
    from: &str,
    id: MessageId,
) -> Result<Option<MessageState>, Error> {
    let Some(record) = load::<MailboxRecord>(state, "mailbox", &keys::mailbox(mailbox))? else { return Ok(None) };
    let (first, end) = keys::senders(mailbox, from);
    let mut is_read = None;
    for (_, sender) in state.scan(&first, &end, LAST_SLOT as usize + 1)? {
        is_read = is_read.or(accepted(&records::open("sender", sender)?, id));
    }
    match is_read {
        None => return Ok(None),
        Some(true) => return Ok(Some(MessageState::Read)),
        Some(false) => {}
    }
    let posted: PostedRecord = load(state, "posted", &keys::posted(mailbox))?.unwrap_or_default();
    let is_it = |posted: &&Posted| posted.stream == id.stream && posted.seq == id.seq;
    Ok(Some(match posted.posted.iter().find(is_it) {
        Some(posted) if posted.expired => MessageState::Expired,
        Some(posted) if posted.entry > record.delivered_to => MessageState::Waiting,
        Some(_) => MessageState::Delivered,
        None if is_waiting(state, mailbox, &record, from, id)? => MessageState::Waiting,
        None => MessageState::Ended,
    }))
}

/// What the user of a mailbox was told of the own message to another.
pub fn told(state: &StateView, mailbox: &MailboxId, to: &str, id: MessageId) -> Result<Option<Progress>, Error> {
    Ok(progress(&received::of(state, mailbox, to)?, id))
}

/// Whether a sender's device sent the message, and if so, whether it was read.
fn accepted(sender: &SenderRecord, id: MessageId) -> Option<bool> {
    if sender.stream == id.stream {
        // What is too old for the window was accepted, or never will be.
        let was = id.seq > 0 && records::window(sender).seen(id.seq) != Seen::No;
        return was.then_some(id.seq <= sender.read);
    }
    let past = sender.past.iter().find(|past| past.stream == id.stream)?;
    (1..=past.highest).contains(&id.seq).then_some(id.seq <= past.read)
}

fn is_waiting(
    state: &StateView,
    mailbox: &MailboxId,
    record: &MailboxRecord,
    from: &str,
    id: MessageId,
) -> Result<bool, Error> {
    let mut first = record.delivered_to + 1;
    loop {
        let (start, end) = keys::entries(mailbox, first, u64::MAX);
        let page = state.scan(&start, &end, PAGE)?;
        for (key, entry) in &page {
            if let Peeked::Message(head) = Stored::open(entry.clone())?.0.peek()?
                && (head.stream, head.seq, head.from) == (id.stream, id.seq, from)
            {
                return Ok(true);
            }
            first = keys::entry_seq(key).ok_or(CoreError::Contradiction("an entry's key has no number"))? + 1;
        }
        if page.len() < PAGE {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use tidings_proto::mailbox::v1::command::Command;

    use super::super::Reply;
    use super::super::testing::{Shard, mailbox_of, message, post};
    use super::*;

    fn state(shard: &Shard, from: &str, id: MessageId) -> Option<MessageState> {
        locate(&shard.store.view(), &mailbox_of("bob"), from, id).unwrap()
    }

    fn posted(shard: &mut Shard, ttl_ms: Option<u64>) -> MessageId {
        let mut post = post("shop", "");
        post.message.as_mut().unwrap().ttl_ms = ttl_ms;
        match shard.apply(Command::PostMessage(post)) {
            Reply::Posted { id, .. } => id,
            other => panic!("a post was answered {other:?}"),
        }
    }

    #[test]
    fn a_backend_s_message_on_its_way() {
        let mut shard = Shard::alone();
        let (id, short) = (posted(&mut shard, None), posted(&mut shard, Some(10)));
        assert_eq!(state(&shard, "shop", id), Some(MessageState::Waiting));
        shard.now_ms += 11;
        shard.expire();
        assert_eq!(state(&shard, "shop", short), Some(MessageState::Expired));
        let bob = shard.attach("bob", "phone", None);
        shard.ack("bob", &bob, 2);
        assert_eq!(state(&shard, "shop", id), Some(MessageState::Delivered));
        assert_eq!(state(&shard, "shop", short), Some(MessageState::Expired));
        shard.read("bob", "shop", id.stream, id.seq);
        assert_eq!(state(&shard, "shop", id), Some(MessageState::Read));
        assert!(shard.entries("shop", 0).is_empty(), "who sent it is told nothing, and asks");
    }

    #[test]
    fn a_user_s_message_on_its_way() {
        let mut shard = Shard::alone();
        let (alice, bob) = (shard.attach("alice", "phone", None), shard.attach("bob", "phone", None));
        for seq in 1..=600 {
            shard.append(message("bob", &alice, "alice", seq));
        }
        let id = |seq| MessageId { stream: alice.stream, seq };
        assert_eq!(state(&shard, "alice", id(600)), Some(MessageState::Waiting));
        shard.ack("bob", &bob, 300);
        assert_eq!(state(&shard, "alice", id(300)), Some(MessageState::Ended));
        assert_eq!(state(&shard, "alice", id(301)), Some(MessageState::Waiting));
        shard.read("bob", "alice", alice.stream, 200);
        assert_eq!(state(&shard, "alice", id(200)), Some(MessageState::Read));

        for unknown in [id(601), id(0), MessageId { stream: alice.stream + 4096, seq: 1 }] {
            assert_eq!(state(&shard, "alice", unknown), None, "{unknown}");
        }
        assert_eq!(state(&shard, "carol", id(1)), None);
        assert_eq!(locate(&shard.store.view(), &mailbox_of("nobody"), "alice", id(1)).unwrap(), None);
    }
}
