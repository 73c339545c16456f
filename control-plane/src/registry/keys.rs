//! All keys of the registry's state: a byte for the kind, sorted here, never reused; numbers big-endian. Texts end in a
//! zero byte, which no id holds, so that one id is never taken for the beginning of another.

/// Settings of the cluster.
pub const SETTINGS: u8 = 0x01;
/// State of the change log.
pub const CHANGE_LOG: u8 = 0x02;
/// The shard map.
pub const SHARD_MAP: u8 = 0x03;
/// Apps by id.
pub const APP: u8 = 0x10;
/// Apps whose content is being swept, by id.
pub const APP_DELETING: u8 = 0x11;
/// Users by app and id.
pub const USER: u8 = 0x20;
/// Policies by app and id.
pub const POLICY: u8 = 0x21;
/// Users that go by another policy than `default`, by app, policy and user.
pub const POLICY_USER: u8 = 0x22;
/// Groups by app and id.
pub const GROUP: u8 = 0x23;
/// Groups' places by their home shard, app and id.
pub const GROUP_BY_SHARD: u8 = 0x24;
/// Events of groups by app, group and revision.
pub const GROUP_EVENT: u8 = 0x25;
/// Groups' places by the time when they end.
pub const GROUP_SWEEP: u8 = 0x26;
/// Groups that are being swept, by app and id.
pub const GROUP_DELETING: u8 = 0x27;
/// Members by app, group and user.
pub const MEMBER: u8 = 0x28;
/// The groups that a user is in, by app, user and group.
pub const MEMBERSHIP: u8 = 0x29;
/// How many groups a user is in, by app and user.
pub const GROUPS_OF_USER: u8 = 0x2a;
/// Invitations by app and code.
pub const INVITE: u8 = 0x2b;
/// Invitations' codes by app, group and code.
pub const INVITE_OF_GROUP: u8 = 0x2c;
/// Users who are deleted and not erased yet, by app and id; an app's system has no id.
pub const ERASING: u8 = 0x2d;
/// Tokens by app, user and id.
pub const TOKEN: u8 = 0x30;
/// Tokens' places by the hash of their secret.
pub const TOKEN_BY_HASH: u8 = 0x31;
/// Tokens' places by app, user and request id.
pub const TOKEN_BY_REQUEST: u8 = 0x32;
/// Tokens' places by the time from which they may be removed.
pub const TOKEN_SWEEP: u8 = 0x33;
/// API keys by app and id; the operator's have the empty app.
pub const API_KEY: u8 = 0x40;
/// API keys' places by the hash of their secret.
pub const API_KEY_BY_HASH: u8 = 0x41;
/// API keys' places by app and request id.
pub const API_KEY_BY_REQUEST: u8 = 0x42;
/// API keys' places by id.
pub const API_KEY_BY_ID: u8 = 0x43;
/// Revoked API keys' places by the time from which they may be removed.
pub const API_KEY_SWEEP: u8 = 0x44;
/// Nodes by role and number.
pub const NODE: u8 = 0x50;
/// Changes by revision and place in it.
pub const CHANGE: u8 = 0x60;

#[cfg(test)]
const ALL: &[u8] = &[
    SETTINGS,
    CHANGE_LOG,
    SHARD_MAP,
    APP,
    APP_DELETING,
    USER,
    POLICY,
    POLICY_USER,
    GROUP,
    GROUP_BY_SHARD,
    GROUP_EVENT,
    GROUP_SWEEP,
    GROUP_DELETING,
    MEMBER,
    MEMBERSHIP,
    GROUPS_OF_USER,
    INVITE,
    INVITE_OF_GROUP,
    ERASING,
    TOKEN,
    TOKEN_BY_HASH,
    TOKEN_BY_REQUEST,
    TOKEN_SWEEP,
    API_KEY,
    API_KEY_BY_HASH,
    API_KEY_BY_REQUEST,
    API_KEY_BY_ID,
    API_KEY_SWEEP,
    NODE,
    CHANGE,
];

/// Bytes of a SHA-256.
pub const HASH_BYTES: usize = 32;

/// A key of a kind that exists once.
pub fn single(kind: u8) -> Vec<u8> {
    vec![kind]
}

/// A key of texts, each ended by a zero byte; also the prefix of all keys that begin with these texts.
pub fn texts(kind: u8, texts: &[&str]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + texts.iter().map(|text| text.len() + 1).sum::<usize>());
    key.push(kind);
    for text in texts {
        key.extend_from_slice(text.as_bytes());
        key.push(0);
    }
    key
}

/// A key of texts with the place in the log (`<index>.<ordinal>`) behind them; `None` when `id` is no such place.
pub fn numbered(kind: u8, owner: &[&str], id: &str) -> Option<Vec<u8>> {
    let (index, ordinal) = id.split_once('.')?;
    let (index, ordinal): (u64, u32) = (index.parse().ok()?, ordinal.parse().ok()?);
    let mut key = texts(kind, owner);
    key.extend_from_slice(&index.to_be_bytes());
    key.extend_from_slice(&ordinal.to_be_bytes());
    // "007.0" and "+7.0" parse too, but are nobody's id.
    (format!("{index}.{ordinal}") == id).then_some(key)
}

/// A key of texts with a revision behind them.
pub fn revision(kind: u8, owner: &[&str], revision: u64) -> Vec<u8> {
    let mut key = texts(kind, owner);
    key.extend_from_slice(&revision.to_be_bytes());
    key
}

/// The revision in a key made by [`revision`].
pub fn last_revision(key: &[u8]) -> Option<u64> {
    key.last_chunk().map(|revision| u64::from_be_bytes(*revision))
}

/// The text that a key of [`texts`] holds behind a prefix of the others.
pub fn last_text(key: &[u8], prefix: &[u8]) -> Option<String> {
    let text = key.strip_prefix(prefix)?.strip_suffix(&[0])?;
    std::str::from_utf8(text).ok().map(str::to_owned)
}

/// A key by shard, then by texts; without texts the prefix of all of the shard.
pub fn of_shard(kind: u8, shard: u32, owner: &[&str]) -> Vec<u8> {
    [&[kind], shard.to_be_bytes().as_slice(), &texts(kind, owner)[1..]].concat()
}

/// A key by the hash of a secret.
pub fn hash(kind: u8, hash: &[u8]) -> Vec<u8> {
    [&[kind], hash].concat()
}

/// A key by time, then by what is due then.
pub fn due(kind: u8, at_ms: i64, what: &[u8]) -> Vec<u8> {
    // Times are stamped by leaders' clocks and are never negative; a clock before 1970 counts as 1970.
    [&[kind], at_ms.max(0).to_be_bytes().as_slice(), what].concat()
}

/// First key of a kind that is due after `now_ms`.
pub fn due_after(kind: u8, now_ms: i64) -> Vec<u8> {
    due(kind, now_ms.saturating_add(1), &[])
}

/// A node's key.
pub fn node(role: i32, id: u64) -> Vec<u8> {
    [&[NODE], role.to_be_bytes().as_slice(), &id.to_be_bytes()].concat()
}

/// A change's key: its revision, its command's place in the entry, its place in the command.
pub fn change(revision: u64, ordinal: u32, place: u32) -> Vec<u8> {
    [&[CHANGE], revision.to_be_bytes().as_slice(), &ordinal.to_be_bytes(), &place.to_be_bytes()].concat()
}

/// First key of changes of this revision.
pub fn changes_of(revision: u64) -> Vec<u8> {
    [&[CHANGE], revision.to_be_bytes().as_slice()].concat()
}

/// The revision in a key made by [`change`].
pub fn revision_of_change(key: &[u8]) -> Option<u64> {
    let revision = key.strip_prefix(&[CHANGE])?.get(..8)?;
    Some(u64::from_be_bytes(revision.try_into().ok()?))
}

/// First key behind all keys with a prefix. Prefixes begin with a kind, which is never 0xff.
pub fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_sorted_and_distinct() {
        assert!(ALL.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(ALL.iter().all(|kind| *kind < u8::MAX));
    }

    #[test]
    fn golden_keys() {
        assert_eq!(texts(USER, &["a", "bc"]), b"\x20a\0bc\0");
        assert_eq!(numbered(TOKEN, &["a"], "258.3").unwrap(), b"\x30a\0\0\0\0\0\0\0\x01\x02\0\0\0\x03");
        assert_eq!(due(TOKEN_SWEEP, 1, b"x"), b"\x33\0\0\0\0\0\0\0\x01x");
        assert_eq!(of_shard(GROUP_BY_SHARD, 258, &["a", "g"]), b"\x24\0\0\x01\x02a\0g\0");
        assert_eq!(revision(GROUP_EVENT, &["a", "g"], 258), b"\x25a\0g\0\0\0\0\0\0\0\x01\x02");
        assert_eq!(last_revision(&revision(GROUP_EVENT, &["a", "g"], 258)), Some(258));
        assert_eq!(last_text(&texts(MEMBER, &["a", "g", "é"]), &texts(MEMBER, &["a", "g"])).as_deref(), Some("é"));
        assert_eq!(node(2, 1), b"\x50\0\0\0\x02\0\0\0\0\0\0\0\x01");
        assert_eq!(change(1, 2, 3), b"\x60\0\0\0\0\0\0\0\x01\0\0\0\x02\0\0\0\x03");
        assert_eq!(revision_of_change(&change(77, 2, 3)), Some(77));
    }

    #[test]
    fn ids_that_are_not_written_as_ours_are_nobodys() {
        for id in ["", "1", "1.", ".1", "01.0", "+1.0", "1.0.0", "18446744073709551616.0", "a.b"] {
            assert_eq!(numbered(TOKEN, &["a"], id), None, "{id}");
        }
    }

    #[test]
    fn the_end_lies_behind_every_key_of_the_prefix_and_before_the_next() {
        assert_eq!(end_of(&[0x20, 0xff]), [0x21]);
        let end = end_of(&texts(USER, &["a"]));
        assert!(texts(USER, &["a", "\u{10ffff}"]) < end && end <= texts(USER, &["a\u{1}"]));
    }
}
