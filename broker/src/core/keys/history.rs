//! Keys of what a mailbox keeps of its conversations.

use super::{
    BLOCKS, CONTACT_OF, CONTACTS, CONVERSATION, CONVERSATION_ORDER, HISTORY, HISTORY_DUE, HISTORY_PLACE, MailboxId,
    RECEIVED, UNREAD_DISAPPEARING, is_id, key, time,
};

/// A message of a conversation.
pub fn history(mailbox: &MailboxId, conversation: &str, place: u64) -> Vec<u8> {
    key(HISTORY, &[&mailbox.0, conversation.as_bytes(), &[0], &place.to_be_bytes()])
}

/// The place in a message's key.
pub fn history_place(key: &[u8]) -> Option<u64> {
    let (kind, rest) = key.split_first()?;
    let (_, place) = rest.split_last_chunk::<8>()?;
    (*kind == HISTORY).then_some(u64::from_be_bytes(*place))
}

/// Where the message with this id stands.
pub fn place_of(mailbox: &MailboxId, stream: u64, seq: u64) -> Vec<u8> {
    key(HISTORY_PLACE, &[&mailbox.0, &stream.to_be_bytes(), &seq.to_be_bytes()])
}

/// A conversation of a mailbox.
pub fn conversation(mailbox: &MailboxId, conversation: &str) -> Vec<u8> {
    key(CONVERSATION, &[&mailbox.0, conversation.as_bytes(), &[0]])
}

/// What the user of a mailbox was told of the own messages to another.
pub fn received(mailbox: &MailboxId, with: &str) -> Vec<u8> {
    key(RECEIVED, &[&mailbox.0, with.as_bytes(), &[0]])
}

/// Whom the user of a mailbox has blocked.
pub fn blocks(mailbox: &MailboxId) -> Vec<u8> {
    key(BLOCKS, &[&mailbox.0])
}

/// Whom the user of a mailbox has among the contacts.
pub fn contacts(mailbox: &MailboxId) -> Vec<u8> {
    key(CONTACTS, &[&mailbox.0])
}

/// That another has the user of a mailbox among its contacts.
pub fn contact_of(mailbox: &MailboxId, other: &str) -> Vec<u8> {
    key(CONTACT_OF, &[&mailbox.0, other.as_bytes(), &[0]])
}

/// A conversation's place in the order of a mailbox's: the newest first.
pub fn conversation_order(mailbox: &MailboxId, at_ms: i64, conversation: &str) -> Vec<u8> {
    let newest_first = (!u64::try_from(at_ms).unwrap_or(0)).to_be_bytes();
    key(CONVERSATION_ORDER, &[&mailbox.0, &newest_first, conversation.as_bytes(), &[0]])
}

/// All conversations of a mailbox in their order, as the ends of a scan.
pub fn conversations(mailbox: &MailboxId) -> (Vec<u8>, Vec<u8>) {
    (key(CONVERSATION_ORDER, &[&mailbox.0]), key(CONVERSATION_ORDER, &[&mailbox.0, &[0xff; 9]]))
}

/// The conversation in the key of its place in the order.
pub fn ordered_conversation(key: &[u8], mailbox: &MailboxId) -> Option<String> {
    let (kind, rest) = key.split_first()?;
    let rest = rest.strip_prefix(&mailbox.0[..])?.get(8..)?;
    let conversation = std::str::from_utf8(rest.strip_suffix(&[0])?).ok()?;
    (*kind == CONVERSATION_ORDER).then(|| conversation.to_owned())
}

/// A message whose retention ends at a time.
pub fn history_due(at_ms: i64, mailbox: &MailboxId, conversation: &str, place: u64) -> Vec<u8> {
    key(HISTORY_DUE, &[&time(at_ms), &mailbox.0, conversation.as_bytes(), &[0], &place.to_be_bytes()])
}

/// Everything whose retention ends before a time, as the ends of a scan.
pub fn history_due_before(at_ms: i64) -> (Vec<u8>, Vec<u8>) {
    (key(HISTORY_DUE, &[]), key(HISTORY_DUE, &[&time(at_ms)]))
}

/// Mailbox, conversation and place in the key of a retention's end.
pub fn due_message(key: &[u8]) -> Option<(MailboxId, String, u64)> {
    let (kind, rest) = key.split_first()?;
    let (_, rest) = rest.split_first_chunk::<8>()?;
    let (names, place) = rest.split_last_chunk::<8>()?;
    let names = names.strip_suffix(&[0])?;
    let end_of_mailbox = names.iter().rposition(|byte| *byte == 0)? + 1;
    let (mailbox, conversation) = names.split_at(end_of_mailbox);
    let conversation = std::str::from_utf8(conversation).ok().filter(|text| is_id(text))?;
    (*kind == HISTORY_DUE).then_some((
        MailboxId::from_key(mailbox)?,
        conversation.to_owned(),
        u64::from_be_bytes(*place),
    ))
}

/// The time in such a key.
pub fn due_at_ms(key: &[u8]) -> Option<i64> {
    let (at_ms, _) = key.strip_prefix(&[HISTORY_DUE])?.split_first_chunk::<8>()?;
    i64::try_from(u64::from_be_bytes(*at_ms)).ok()
}

/// A message that disappears once it was read.
pub fn unread_disappearing(mailbox: &MailboxId, stream: u64, seq: u64) -> Vec<u8> {
    key(UNREAD_DISAPPEARING, &[&mailbox.0, &stream.to_be_bytes(), &seq.to_be_bytes()])
}

/// Those of a stream up to and with a number, as the ends of a scan.
pub fn unread_disappearing_up_to(mailbox: &MailboxId, stream: u64, seq: u64) -> (Vec<u8>, Vec<u8>) {
    // Longer than the last one that counts, and thereby behind it.
    let end = [unread_disappearing(mailbox, stream, seq), vec![0]].concat();
    (unread_disappearing(mailbox, stream, 0), end)
}

/// The number in such a key.
pub fn unread_disappearing_seq(key: &[u8]) -> Option<u64> {
    let (kind, rest) = key.split_first()?;
    let (_, seq) = rest.split_last_chunk::<8>()?;
    (*kind == UNREAD_DISAPPEARING).then_some(u64::from_be_bytes(*seq))
}
