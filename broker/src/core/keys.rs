//! Every kind of key in a shard's state: one byte each, ordered by it, numbers big-endian, never used again for something
//! else. Texts end with a zero byte, which no id contains, so that no key is the beginning of another of its kind.

mod receipts;
mod timeline;

use bytes::Bytes;
use tidings_proto::ids::MAX_ID_BYTES;
use xxhash_rust::xxh3::xxh3_64;

use super::limits::WORD_BYTES;

pub use receipts::{all_group_receipts, group_receipt, group_receipt_of};
pub use timeline::{due_group_message, group_due, group_due_before, group_place, group_timeline, timeline_place};

const SHARD: u8 = 0x01;
const MAILBOX: u8 = 0x02;
const DEVICES: u8 = 0x03;
const EPHEMERAL: u8 = 0x04;
const ENTRY: u8 = 0x05;
const SENDER: u8 = 0x06;
const EXPIRY: u8 = 0x07;
const UPKEEP: u8 = 0x08;
const CHANNEL_OUT: u8 = 0x09;
const CHANNEL_ITEM: u8 = 0x0a;
const CHANNEL_IN: u8 = 0x0b;
const HISTORY: u8 = 0x10;
const HISTORY_PLACE: u8 = 0x11;
const CONVERSATION: u8 = 0x12;
const CONVERSATION_ORDER: u8 = 0x13;
const HISTORY_DUE: u8 = 0x14;
const UNREAD_DISAPPEARING: u8 = 0x15;
const FOUND_WORD: u8 = 0x16;
const GROUP: u8 = 0x20;
const GROUP_MEMBER: u8 = 0x21;
const GROUP_TARGETS: u8 = 0x22;
const GROUP_SENDER: u8 = 0x23;
const GROUP_BODY: u8 = 0x24;
const GROUP_BODY_USES: u8 = 0x25;
const LOCAL_GROUP: u8 = 0x26;
const LOCAL_MEMBER: u8 = 0x27;
const LOCAL_ITEM: u8 = 0x28;
const EXPANDING: u8 = 0x29;
const GROUP_TIMELINE: u8 = 0x2a;
const GROUP_PLACE: u8 = 0x2b;
const GROUP_DUE: u8 = 0x2c;
const GROUP_RECEIPT: u8 = 0x2d;
const POSTED: u8 = 0x40;
const GROUP_POSTED: u8 = 0x41;

/// The longest key: that by which a message of the longest ids is found.
pub const MAX_KEY_BYTES: usize = 1 + MAX_MAILBOX_BYTES + WORD_BYTES + 1 + 8 + MAX_ID_BYTES + 1 + 8;
const MAX_MAILBOX_BYTES: usize = 2 * (MAX_ID_BYTES + 1);
const _: () = assert!(super::limits::LAST_SLOT == u8::MAX as u32, "a slot is one byte");

/// Names a mailbox in keys and in memory: app, zero, user, zero. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MailboxId(Bytes);

impl MailboxId {
    /// `None` when one of the ids is empty, too long or has a zero byte; other rules for ids are the door's.
    pub fn new(app: &str, user: &str) -> Option<Self> {
        if !is_id(app) || !is_id(user) {
            return None;
        }
        let mut bytes = Vec::with_capacity(app.len() + user.len() + 2);
        bytes.extend_from_slice(app.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(user.as_bytes());
        bytes.push(0);
        Some(Self(bytes.into()))
    }

    fn from_key(bytes: &[u8]) -> Option<Self> {
        let id = Self(Bytes::copy_from_slice(bytes));
        let (app, user) = id.parts()?;
        (is_id(app) && is_id(user)).then_some(())?;
        Some(id)
    }

    fn parts(&self) -> Option<(&str, &str)> {
        let text = std::str::from_utf8(self.0.strip_suffix(&[0])?).ok()?;
        text.split_once('\0')
    }

    /// The app that the mailbox belongs to.
    pub fn app(&self) -> &str {
        self.parts().map_or("", |parts| parts.0)
    }

    /// The same on every replica and in every release.
    pub fn fingerprint(&self) -> u64 {
        xxh3_64(&self.0)
    }

    /// The user that the mailbox belongs to.
    pub fn user(&self) -> &str {
        self.parts().map_or("", |parts| parts.1)
    }
}

/// Names a group in keys: app, zero, group, zero. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupName(MailboxId);

impl GroupName {
    /// `None` as for [`MailboxId::new`].
    pub fn new(app: &str, group: &str) -> Option<Self> {
        MailboxId::new(app, group).map(Self)
    }

    /// The app that the group belongs to.
    pub fn app(&self) -> &str {
        self.0.app()
    }

    /// The group's id.
    pub fn group(&self) -> &str {
        self.0.user()
    }

    fn bytes(&self) -> &[u8] {
        &self.0.0
    }
}

/// Whether a text can stand in a key.
pub fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_ID_BYTES && !text.as_bytes().contains(&0)
}

fn key(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length = parts.iter().map(|part| part.len()).sum::<usize>();
    let mut key = Vec::with_capacity(1 + length);
    key.push(kind);
    for part in parts {
        key.extend_from_slice(part);
    }
    debug_assert!(key.len() <= MAX_KEY_BYTES);
    key
}

/// The shard's own record.
pub fn shard() -> Vec<u8> {
    key(SHARD, &[])
}

/// The numbers of a mailbox.
pub fn mailbox(mailbox: &MailboxId) -> Vec<u8> {
    key(MAILBOX, &[&mailbox.0])
}

/// The devices of a mailbox.
pub fn devices(mailbox: &MailboxId) -> Vec<u8> {
    key(DEVICES, &[&mailbox.0])
}

/// The ring of ephemeral slots of a mailbox.
pub fn ephemeral(mailbox: &MailboxId) -> Vec<u8> {
    key(EPHEMERAL, &[&mailbox.0])
}

/// An entry of a mailbox.
pub fn entry(mailbox: &MailboxId, seq: u64) -> Vec<u8> {
    key(ENTRY, &[&mailbox.0, &seq.to_be_bytes()])
}

/// From the entry `first` up to and with `last`, as the ends of a scan.
pub fn entries(mailbox: &MailboxId, first: u64, last: u64) -> (Vec<u8>, Vec<u8>) {
    let end = match last.checked_add(1) {
        Some(end) => entry(mailbox, end),
        // Longer than the last possible entry key, and thereby behind it.
        None => [entry(mailbox, last), vec![0]].concat(),
    };
    (entry(mailbox, first), end)
}

/// The sequence number in an entry's key.
pub fn entry_seq(key: &[u8]) -> Option<u64> {
    let (kind, rest) = key.split_first()?;
    let (_, seq) = rest.split_last_chunk::<8>()?;
    (*kind == ENTRY).then_some(u64::from_be_bytes(*seq))
}

/// What a mailbox keeps of one sender device.
pub fn sender(mailbox: &MailboxId, from: &str, slot: u8) -> Vec<u8> {
    key(SENDER, &[&mailbox.0, from.as_bytes(), &[0, slot]])
}

/// All sender devices of one user, as the ends of a scan.
pub fn senders(mailbox: &MailboxId, from: &str) -> (Vec<u8>, Vec<u8>) {
    (key(SENDER, &[&mailbox.0, from.as_bytes(), &[0]]), key(SENDER, &[&mailbox.0, from.as_bytes(), &[1]]))
}

/// An entry that expires.
pub fn expiry(at_ms: i64, mailbox: &MailboxId, seq: u64) -> Vec<u8> {
    key(EXPIRY, &[&time(at_ms), &mailbox.0, &seq.to_be_bytes()])
}

/// Everything that expires before a time, as the ends of a scan.
pub fn expiring_before(at_ms: i64) -> (Vec<u8>, Vec<u8>) {
    (key(EXPIRY, &[]), key(EXPIRY, &[&time(at_ms)]))
}

/// Mailbox and sequence number in an expiry key.
pub fn expiring_entry(key: &[u8]) -> Option<(MailboxId, u64)> {
    let (kind, rest) = key.split_first()?;
    let (_, rest) = rest.split_first_chunk::<8>()?;
    let (mailbox, seq) = rest.split_last_chunk::<8>()?;
    (*kind == EXPIRY).then_some((MailboxId::from_key(mailbox)?, u64::from_be_bytes(*seq)))
}

/// A mailbox that wants to be looked after at a time.
pub fn upkeep(at_ms: i64, mailbox: &MailboxId) -> Vec<u8> {
    key(UPKEEP, &[&time(at_ms), &mailbox.0])
}

/// Every upkeep due before a time, as the ends of a scan.
pub fn upkeep_before(at_ms: i64) -> (Vec<u8>, Vec<u8>) {
    (key(UPKEEP, &[]), key(UPKEEP, &[&time(at_ms)]))
}

/// The mailbox in an upkeep key.
pub fn upkeep_mailbox(key: &[u8]) -> Option<MailboxId> {
    let (kind, rest) = key.split_first()?;
    let (_, mailbox) = rest.split_first_chunk::<8>()?;
    if *kind == UPKEEP { MailboxId::from_key(mailbox) } else { None }
}

/// The end of the channel to a shard.
pub fn channel_out(target: u32) -> Vec<u8> {
    key(CHANNEL_OUT, &[&target.to_be_bytes()])
}

/// The ends of all channels, as the ends of a scan.
pub fn channels_out() -> (Vec<u8>, Vec<u8>) {
    (key(CHANNEL_OUT, &[]), key(CHANNEL_OUT + 1, &[]))
}

/// The target in the key of a channel's end.
pub fn channel_target(key: &[u8]) -> Option<u32> {
    let (kind, rest) = key.split_first()?;
    (*kind == CHANNEL_OUT).then_some(u32::from_be_bytes(rest.try_into().ok()?))
}

/// An item of the channel to a shard.
pub fn channel_item(target: u32, seq: u64) -> Vec<u8> {
    key(CHANNEL_ITEM, &[&target.to_be_bytes(), &seq.to_be_bytes()])
}

/// The number in an item's key.
pub fn channel_item_seq(key: &[u8]) -> Option<u64> {
    let (kind, rest) = key.split_first()?;
    let (_, seq) = rest.split_last_chunk::<8>()?;
    (*kind == CHANNEL_ITEM).then_some(u64::from_be_bytes(*seq))
}

/// What came through the channel from a shard.
pub fn channel_in(source: u32) -> Vec<u8> {
    key(CHANNEL_IN, &[&source.to_be_bytes()])
}

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

/// A word of a message in the history, as a digest without the bytes 0 and 255; of each word the newest message first.
pub fn found_word(mailbox: &MailboxId, word: &[u8], sent_at_ms: i64, conversation: &str, place: u64) -> Vec<u8> {
    let newest_first = (!u64::try_from(sent_at_ms).unwrap_or(0)).to_be_bytes();
    let message: [&[u8]; 4] = [&newest_first, conversation.as_bytes(), &[0], &place.to_be_bytes()];
    key(FOUND_WORD, &[&mailbox.0, word, &[0], &message.concat()])
}

/// Every word that begins so, as the ends of a scan.
pub fn found_words(mailbox: &MailboxId, beginning: &[u8]) -> (Vec<u8>, Vec<u8>) {
    (key(FOUND_WORD, &[&mailbox.0, beginning]), key(FOUND_WORD, &[&mailbox.0, beginning, &[0xff]]))
}

/// The messages with a word behind one of them (what its key has after the word), or all of them, as the ends of a scan. The
/// end is where the next word's begin.
pub fn found_by(mailbox: &MailboxId, word: &[u8], after: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let behind: &[u8] = if after.is_empty() { &[] } else { &[0] };
    let from = [&[FOUND_WORD], &mailbox.0[..], word, &[0], after, behind].concat();
    (from, key(FOUND_WORD, &[&mailbox.0, word, &[1]]))
}

/// The word in such a key.
pub fn word_in<'a>(key: &'a [u8], mailbox: &MailboxId) -> Option<&'a [u8]> {
    let rest = key.strip_prefix(&[FOUND_WORD])?.strip_prefix(&mailbox.0[..])?;
    rest.split(|byte| *byte == 0).next()
}

/// Conversation and place in what such a key has after the word.
pub fn found_message(after_word: &[u8]) -> Option<(&str, u64)> {
    let (_, rest) = after_word.split_first_chunk::<8>()?;
    let (conversation, place) = rest.split_last_chunk::<8>()?;
    let conversation = std::str::from_utf8(conversation.strip_suffix(&[0])?).ok()?;
    Some((conversation, u64::from_be_bytes(*place)))
}

/// A group, in its home.
pub fn group(group: &GroupName) -> Vec<u8> {
    key(GROUP, &[group.bytes()])
}

/// All groups whose home this is, as the ends of a scan.
pub fn all_groups() -> (Vec<u8>, Vec<u8>) {
    (key(GROUP, &[]), key(GROUP + 1, &[]))
}

/// The group in a group's key.
pub fn group_in(key: &[u8]) -> Option<GroupName> {
    name_in(GROUP, key)
}

/// A member of a group, in its home.
pub fn group_member(group: &GroupName, user: &str) -> Vec<u8> {
    key(GROUP_MEMBER, &[group.bytes(), user.as_bytes(), &[0]])
}

/// The members of a group behind one of them (or all, behind the empty text), as the ends of a scan.
pub fn group_members(group: &GroupName, after: &str) -> (Vec<u8>, Vec<u8>) {
    users_after(GROUP_MEMBER, group, after)
}

/// The shards in which a group has members.
pub fn group_targets(group: &GroupName) -> Vec<u8> {
    key(GROUP_TARGETS, &[group.bytes()])
}

/// What a group's home keeps of one sender device.
pub fn group_sender(group: &GroupName, from: &str, slot: u8) -> Vec<u8> {
    key(GROUP_SENDER, &[group.bytes(), from.as_bytes(), &[0, slot]])
}

/// What stands at a place of a group's order.
pub fn group_body(group: &GroupName, seq: u64) -> Vec<u8> {
    key(GROUP_BODY, &[group.bytes(), &seq.to_be_bytes()])
}

/// How often a body is referred to.
pub fn group_body_uses(group: &GroupName, seq: u64) -> Vec<u8> {
    key(GROUP_BODY_USES, &[group.bytes(), &seq.to_be_bytes()])
}

/// A group, where members of it live.
pub fn local_group(group: &GroupName) -> Vec<u8> {
    key(LOCAL_GROUP, &[group.bytes()])
}

/// A member of a group who lives in this shard.
pub fn local_member(group: &GroupName, user: &str) -> Vec<u8> {
    key(LOCAL_MEMBER, &[group.bytes(), user.as_bytes(), &[0]])
}

/// The members of a group who live in this shard, behind one of them, as the ends of a scan.
pub fn local_members(group: &GroupName, after: &str) -> (Vec<u8>, Vec<u8>) {
    users_after(LOCAL_MEMBER, group, after)
}

/// A place of a group that its members in this shard do not have yet.
pub fn local_item(group: &GroupName, seq: u64) -> Vec<u8> {
    key(LOCAL_ITEM, &[group.bytes(), &seq.to_be_bytes()])
}

/// Places of a group that its members do not have, behind one, as the ends of a scan.
pub fn local_items(group: &GroupName, after: u64) -> (Vec<u8>, Vec<u8>) {
    let end = [local_item(group, u64::MAX), vec![0]].concat();
    (local_item(group, after.saturating_add(1)), end)
}

/// A group of which something waits to be expanded.
pub fn expanding(group: &GroupName) -> Vec<u8> {
    key(EXPANDING, &[group.bytes()])
}

/// Every group that waits to be expanded, as the ends of a scan.
pub fn all_expanding() -> (Vec<u8>, Vec<u8>) {
    (key(EXPANDING, &[]), key(EXPANDING + 1, &[]))
}

/// The group in such a key.
pub fn expanding_group(key: &[u8]) -> Option<GroupName> {
    name_in(EXPANDING, key)
}

fn name_in(kind: u8, key: &[u8]) -> Option<GroupName> {
    MailboxId::from_key(key.strip_prefix(&[kind])?).map(GroupName)
}

/// The user in the key of a member.
pub fn member_user(key: &[u8]) -> Option<&str> {
    let (kind, rest) = key.split_first()?;
    let user = rest.strip_suffix(&[0])?.rsplit(|byte| *byte == 0).next()?;
    let is_member = matches!(*kind, GROUP_MEMBER | LOCAL_MEMBER);
    std::str::from_utf8(user).ok().filter(|user| is_member && is_id(user))
}

fn users_after(kind: u8, group: &GroupName, after: &str) -> (Vec<u8>, Vec<u8>) {
    // Behind the zero byte that ends the user's id stands nothing: one more makes it the next key.
    let from = if after.is_empty() {
        key(kind, &[group.bytes(), &[1]])
    } else {
        key(kind, &[group.bytes(), after.as_bytes(), &[0, 0]])
    };
    (from, key(kind, &[group.bytes(), &[u8::MAX]]))
}

/// What backends sent to a mailbox last.
pub fn posted(mailbox: &MailboxId) -> Vec<u8> {
    key(POSTED, &[&mailbox.0])
}

/// What backends sent to a group last.
pub fn group_posted(group: &GroupName) -> Vec<u8> {
    key(GROUP_POSTED, &[group.bytes()])
}

/// Times before 1970 sort as 1970.
fn time(at_ms: i64) -> [u8; 8] {
    u64::try_from(at_ms).unwrap_or(0).to_be_bytes()
}

#[cfg(test)]
mod tests;
