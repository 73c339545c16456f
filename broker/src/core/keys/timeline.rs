//! Keys of what a group's home keeps of its order.

use super::{GROUP_DUE, GROUP_PLACE, GROUP_TIMELINE, GroupName, MailboxId, key, time};

/// A message that is kept, at its place.
pub fn group_timeline(group: &GroupName, place: u64) -> Vec<u8> {
    key(GROUP_TIMELINE, &[group.bytes(), &place.to_be_bytes()])
}

/// The place in such a key.
pub fn timeline_place(key: &[u8]) -> Option<u64> {
    let (kind, rest) = key.split_first()?;
    let (_, place) = rest.split_last_chunk::<8>()?;
    (*kind == GROUP_TIMELINE).then_some(u64::from_be_bytes(*place))
}

/// The place of a message that is kept, by its id.
pub fn group_place(group: &GroupName, stream: u64, seq: u64) -> Vec<u8> {
    key(GROUP_PLACE, &[group.bytes(), &stream.to_be_bytes(), &seq.to_be_bytes()])
}

/// A message of a group whose retention ends at a time.
pub fn group_due(at_ms: i64, group: &GroupName, place: u64) -> Vec<u8> {
    key(GROUP_DUE, &[&time(at_ms), group.bytes(), &place.to_be_bytes()])
}

/// Every message of groups whose retention ends before a time, as the ends of a scan.
pub fn group_due_before(at_ms: i64) -> (Vec<u8>, Vec<u8>) {
    (key(GROUP_DUE, &[]), key(GROUP_DUE, &[&time(at_ms)]))
}

/// Group and place in the key of a retention's end.
pub fn due_group_message(key: &[u8]) -> Option<(GroupName, u64)> {
    let (kind, rest) = key.split_first()?;
    let (_, rest) = rest.split_first_chunk::<8>()?;
    let (group, place) = rest.split_last_chunk::<8>()?;
    (*kind == GROUP_DUE).then_some((GroupName(MailboxId::from_key(group)?), u64::from_be_bytes(*place)))
}
