//! Keys of messages of groups that disappear, where members live.

use super::{GROUP_BEGUN, GROUP_DISAPPEARING, GroupName, MailboxId, key};

/// A message whose time has yet to begin.
pub fn group_disappearing(group: &GroupName, place: u64) -> Vec<u8> {
    key(GROUP_DISAPPEARING, &[group.bytes(), &place.to_be_bytes()])
}

/// Those from a place up to and with another one, as the ends of a scan.
pub fn group_disappearing_up_to(group: &GroupName, from: u64, up_to: u64) -> (Vec<u8>, Vec<u8>) {
    let from = group_disappearing(group, from);
    // Longer than the last one that counts, and thereby behind it.
    let end = [group_disappearing(group, up_to), vec![0]].concat();
    (from.clone().min(end.clone()), end)
}

/// The place in such a key.
pub fn disappearing_place(key: &[u8]) -> Option<u64> {
    let (_, place) = key.strip_prefix(&[GROUP_DISAPPEARING])?.split_last_chunk::<8>()?;
    Some(u64::from_be_bytes(*place))
}

/// A message whose time has begun here, until its home is told.
pub fn group_begun(group: &GroupName, place: u64) -> Vec<u8> {
    key(GROUP_BEGUN, &[group.bytes(), &place.to_be_bytes()])
}

/// All of them, as the ends of a scan.
pub fn all_group_begun() -> (Vec<u8>, Vec<u8>) {
    (key(GROUP_BEGUN, &[]), key(GROUP_BEGUN + 1, &[]))
}

/// Group and place in such a key.
pub fn begun_message(key: &[u8]) -> Option<(GroupName, u64)> {
    let (group, place) = key.strip_prefix(&[GROUP_BEGUN])?.split_last_chunk::<8>()?;
    Some((GroupName(MailboxId::from_key(group)?), u64::from_be_bytes(*place)))
}
