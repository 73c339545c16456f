//! Every kind of key in a shard's state: one byte each, ordered by it, numbers big-endian, never used again for
//! something else. Texts end with a zero byte, which no id contains, so that no key is the beginning of another of its
//! kind.

mod erasure;
mod group_conversations;
mod group_disappearing;
mod groups;
mod history;
mod large_groups;
mod receipts;
mod schedule;
mod timeline;
mod words;

use bytes::Bytes;
use tidings_proto::ids::MAX_ID_BYTES;
use xxhash_rust::xxh3::xxh3_64;

use super::limits::WORD_BYTES;

pub use erasure::*;
pub use group_conversations::*;
pub use group_disappearing::*;
pub use groups::*;
pub use history::*;
pub use large_groups::*;
pub use receipts::*;
pub use schedule::*;
pub use timeline::*;
pub use words::*;

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
const BLOCKS: u8 = 0x17;
const CONTACTS: u8 = 0x18;
const CONTACT_OF: u8 = 0x19;
const RECEIVED: u8 = 0x1b;
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
const GROUP_TALLY: u8 = 0x2e;
const GROUP_PASSING: u8 = 0x2f;
const FOLLOWER: u8 = 0x30;
const RESTING: u8 = 0x31;
const LOCAL_PLACE: u8 = 0x32;
const LOCAL_DUE: u8 = 0x33;
const DRAWING: u8 = 0x34;
const GROUP_NOTED: u8 = 0x35;
const POSTED: u8 = 0x40;
const GROUP_POSTED: u8 = 0x41;
const SCHEDULED: u8 = 0x50;
const SCHEDULE: u8 = 0x51;
const SCHEDULE_DUE: u8 = 0x52;
const SCHEDULE_SENDER: u8 = 0x53;
const GROUP_CONVERSATION: u8 = 0x60;
const COUNTED: u8 = 0x61;
const COUNTED_DUE: u8 = 0x62;
const GROUP_WORD: u8 = 0x63;
const GROUP_DISAPPEARING: u8 = 0x64;
const GROUP_BEGUN: u8 = 0x65;

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

    /// The same on every replica and in every release.
    pub fn fingerprint(&self) -> u64 {
        self.0.fingerprint()
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
