//! Keys of large groups, where members of them live.

use super::{DRAWING, FOLLOWER, GroupName, LOCAL_DUE, LOCAL_PLACE, MailboxId, RESTING, is_id, key, time};

/// A member of a large group who is given what stands in it as it comes.
pub fn follower(group: &GroupName, user: &str) -> Vec<u8> {
    key(FOLLOWER, &[group.bytes(), user.as_bytes(), &[0]])
}

/// The members who follow a large group, behind one of them, as the ends of a scan.
pub fn followers(group: &GroupName, after: &str) -> (Vec<u8>, Vec<u8>) {
    super::groups::users_after(FOLLOWER, group, after)
}

/// A group that a user rests in.
pub fn resting(mailbox: &MailboxId, group: &GroupName) -> Vec<u8> {
    key(RESTING, &[&mailbox.0, group.group().as_bytes(), &[0]])
}

/// All groups that a user rests in, as the ends of a scan.
pub fn all_resting(mailbox: &MailboxId) -> (Vec<u8>, Vec<u8>) {
    (key(RESTING, &[&mailbox.0]), key(RESTING, &[&mailbox.0, &[u8::MAX]]))
}

/// The group in such a key of a mailbox.
pub fn resting_group(key: &[u8], mailbox: &MailboxId) -> Option<GroupName> {
    let group = key.strip_prefix(&[RESTING])?.strip_prefix(&mailbox.0[..])?.strip_suffix(&[0])?;
    std::str::from_utf8(group).ok().filter(|group| is_id(group)).and_then(|group| GroupName::new(mailbox.app(), group))
}

/// A place of a group that users here rest in.
pub fn local_place(group: &GroupName, seq: u64) -> Vec<u8> {
    key(LOCAL_PLACE, &[group.bytes(), &seq.to_be_bytes()])
}

/// Places behind one, up to and with another, as the ends of a scan.
pub fn local_places(group: &GroupName, after: u64, last: u64) -> (Vec<u8>, Vec<u8>) {
    (local_place(group, after.saturating_add(1)), [local_place(group, last), vec![0]].concat())
}

/// When such a place goes.
pub fn local_due(at_ms: i64, group: &GroupName, seq: u64) -> Vec<u8> {
    key(LOCAL_DUE, &[&time(at_ms), group.bytes(), &seq.to_be_bytes()])
}

/// Every such place that goes before a time, as the ends of a scan.
pub fn local_due_before(at_ms: i64) -> (Vec<u8>, Vec<u8>) {
    (key(LOCAL_DUE, &[]), key(LOCAL_DUE, &[&time(at_ms)]))
}

/// Group and place in such a key.
pub fn due_local_place(key: &[u8]) -> Option<(GroupName, u64)> {
    let (_, rest) = key.strip_prefix(&[LOCAL_DUE])?.split_first_chunk::<8>()?;
    let (group, seq) = rest.split_last_chunk::<8>()?;
    Some((GroupName(MailboxId::from_key(group)?), u64::from_be_bytes(*seq)))
}

/// A mailbox that has room for more of the groups that its user rests in.
pub fn drawing(mailbox: &MailboxId) -> Vec<u8> {
    key(DRAWING, &[&mailbox.0])
}

/// All of them, as the ends of a scan.
pub fn all_drawing() -> (Vec<u8>, Vec<u8>) {
    (key(DRAWING, &[]), key(DRAWING + 1, &[]))
}

/// The mailbox in such a key.
pub fn drawing_mailbox(key: &[u8]) -> Option<MailboxId> {
    MailboxId::from_key(key.strip_prefix(&[DRAWING])?)
}
