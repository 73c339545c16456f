//! Keys of what members have and read of groups, noted where they live.

use super::{GROUP_NOTED, GROUP_PASSING, GROUP_RECEIPT, GROUP_TALLY, GroupName, MailboxId, is_id, key};

/// What a member has and read, until the group's home is told.
pub fn group_receipt(group: &GroupName, user: &str) -> Vec<u8> {
    key(GROUP_RECEIPT, &[group.bytes(), user.as_bytes(), &[0]])
}

/// All of them, as the ends of a scan.
pub fn all_group_receipts() -> (Vec<u8>, Vec<u8>) {
    (key(GROUP_RECEIPT, &[]), key(GROUP_RECEIPT + 1, &[]))
}

/// Group and member in such a key.
pub fn group_receipt_of(key: &[u8]) -> Option<(GroupName, String)> {
    let names = key.strip_prefix(&[GROUP_RECEIPT])?.strip_suffix(&[0])?;
    let end_of_group = names.iter().rposition(|byte| *byte == 0)? + 1;
    let (group, user) = names.split_at(end_of_group);
    let user = std::str::from_utf8(user).ok().filter(|user| is_id(user))?;
    Some((GroupName(MailboxId::from_key(group)?), user.to_owned()))
}

/// How many members here have and read what stands at a place, until the group's home is told.
pub fn group_tally(group: &GroupName, place: u64) -> Vec<u8> {
    key(GROUP_TALLY, &[group.bytes(), &place.to_be_bytes()])
}

/// All of them, as the ends of a scan.
pub fn all_group_tallies() -> (Vec<u8>, Vec<u8>) {
    (key(GROUP_TALLY, &[]), key(GROUP_TALLY + 1, &[]))
}

/// Group and place in such a key.
pub fn group_tally_of(key: &[u8]) -> Option<(GroupName, u64)> {
    let (group, place) = key.strip_prefix(&[GROUP_TALLY])?.split_last_chunk::<8>()?;
    Some((GroupName(MailboxId::from_key(group)?), u64::from_be_bytes(*place)))
}

/// A group whose watermarks are to be moved on, at home.
pub fn group_passing(group: &GroupName) -> Vec<u8> {
    key(GROUP_PASSING, &[group.bytes()])
}

/// All of them, as the ends of a scan.
pub fn all_group_passing() -> (Vec<u8>, Vec<u8>) {
    (key(GROUP_PASSING, &[]), key(GROUP_PASSING + 1, &[]))
}

/// The group in such a key.
pub fn passing_group(key: &[u8]) -> Option<GroupName> {
    MailboxId::from_key(key.strip_prefix(&[GROUP_PASSING])?).map(GroupName)
}

/// A message that is tallied, and of which members tell one by one, at its place.
pub fn group_noted(group: &GroupName, place: u64) -> Vec<u8> {
    key(GROUP_NOTED, &[group.bytes(), &place.to_be_bytes()])
}

/// The place in such a key.
pub fn noted_place(key: &[u8]) -> Option<u64> {
    let (_, place) = key.strip_prefix(&[GROUP_NOTED])?.split_last_chunk::<8>()?;
    Some(u64::from_be_bytes(*place))
}
