//! Every kind of key in a shard's state: one byte each, ordered by it, numbers big-endian, never used again for something
//! else. Texts end with a zero byte, which no id contains, so that no key is the beginning of another of its kind.

use bytes::Bytes;
use tidings_proto::ids::MAX_ID_BYTES;

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
const POSTED: u8 = 0x40;

/// The longest key: that of the retention of a message of the longest ids.
pub const MAX_KEY_BYTES: usize = 1 + 8 + MAX_MAILBOX_BYTES + MAX_ID_BYTES + 1 + 8;
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

    /// The user that the mailbox belongs to.
    pub fn user(&self) -> &str {
        self.parts().map_or("", |parts| parts.1)
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

/// What backends sent to a mailbox last.
pub fn posted(mailbox: &MailboxId) -> Vec<u8> {
    key(POSTED, &[&mailbox.0])
}

/// Times before 1970 sort as 1970.
fn time(at_ms: i64) -> [u8; 8] {
    u64::try_from(at_ms).unwrap_or(0).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alice() -> MailboxId {
        MailboxId::new("a", "alice").unwrap()
    }

    #[test]
    fn golden_keys() {
        let alice = alice();
        let (name, seq) = (b"a\0alice\0", [0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(shard(), [1]);
        assert_eq!(mailbox(&alice), [&[2], &name[..]].concat());
        assert_eq!(devices(&alice), [&[3], &name[..]].concat());
        assert_eq!(ephemeral(&alice), [&[4], &name[..]].concat());
        assert_eq!(entry(&alice, 258), [&[5], &name[..], &seq].concat());
        assert_eq!(sender(&alice, "bob", 9), [&[6], &name[..], b"bob\0\x09"].concat());
        assert_eq!(expiry(258, &alice, 258), [&[7], &seq[..], &name[..], &seq].concat());
        assert_eq!(upkeep(258, &alice), [&[8], &seq[..], &name[..]].concat());
        assert_eq!(channel_out(3), [9, 0, 0, 0, 3]);
        assert_eq!(channel_item(3, 258), [&[10, 0, 0, 0, 3], &seq[..]].concat());
        assert_eq!(channel_in(3), [11, 0, 0, 0, 3]);
        assert_eq!(history(&alice, "bob", 258), [&[16], &name[..], b"bob\0", &seq].concat());
        assert_eq!(place_of(&alice, 258, 258), [&[17], &name[..], &seq, &seq].concat());
        assert_eq!(conversation(&alice, "bob"), [&[18], &name[..], b"bob\0"].concat());
        let inverted = [255, 255, 255, 255, 255, 255, 254, 253];
        assert_eq!(conversation_order(&alice, 258, "bob"), [&[19], &name[..], &inverted, b"bob\0"].concat());
        assert_eq!(history_due(258, &alice, "bob", 258), [&[20], &seq[..], &name[..], b"bob\0", &seq].concat());
        assert_eq!(posted(&alice), [&[0x40], &name[..]].concat());
    }

    #[test]
    fn keys_are_read_back() {
        let alice = alice();
        assert_eq!(entry_seq(&entry(&alice, 7)), Some(7));
        assert_eq!(expiring_entry(&expiry(5, &alice, 7)), Some((alice.clone(), 7)));
        assert_eq!(upkeep_mailbox(&upkeep(5, &alice)), Some(alice.clone()));
        assert_eq!(channel_target(&channel_out(3)), Some(3));
        assert_eq!(channel_item_seq(&channel_item(3, 7)), Some(7));
        assert_eq!(history_place(&history(&alice, "bob", 7)), Some(7));
        assert_eq!(ordered_conversation(&conversation_order(&alice, 5, "bob"), &alice).as_deref(), Some("bob"));
        assert_eq!(due_message(&history_due(5, &alice, "bob", 7)), Some((alice.clone(), "bob".to_owned(), 7)));
        assert_eq!((alice.app(), alice.user()), ("a", "alice"));
        assert_eq!(entry_seq(&mailbox(&alice)), None);
    }

    #[test]
    fn ranges_end_where_they_should() {
        let alice = alice();
        let (from, to) = entries(&alice, 1, u64::MAX);
        assert!(from <= entry(&alice, 1) && entry(&alice, u64::MAX) < to);
        assert!(to < entry(&MailboxId::new("a", "alicf").unwrap(), 0));
        let (from, to) = senders(&alice, "bob");
        for slot in [0, 255] {
            let key = sender(&alice, "bob", slot);
            assert!(from <= key && key < to);
        }
        assert!(!(from..to).contains(&sender(&alice, "bobo", 0)));
        let (from, to) = expiring_before(10);
        assert!((from.clone()..to.clone()).contains(&expiry(9, &alice, u64::MAX)));
        assert!(!(from..to).contains(&expiry(10, &alice, 0)));
        let (from, to) = conversations(&alice);
        for at_ms in [0, 258, i64::MAX] {
            assert!((from.clone()..to.clone()).contains(&conversation_order(&alice, at_ms, "zoe")));
        }
        let newer = conversation_order(&alice, 6, "zoe");
        assert!(newer < conversation_order(&alice, 5, "bob"), "the newest comes first");
    }

    #[test]
    fn ids_that_would_break_keys_are_refused() {
        assert_eq!(MailboxId::new("", "bob"), None);
        assert_eq!(MailboxId::new("a", &"b".repeat(64)), None);
        assert_eq!(MailboxId::new("a", "b\0c"), None);
        let longest = MailboxId::new(&"a".repeat(63), &"b".repeat(63)).unwrap();
        assert_eq!(history_due(1, &longest, &"c".repeat(63), 1).len(), MAX_KEY_BYTES);
    }
}
