//! Every kind of key in the two databases of a node, in one place: a byte each, sorted, big-endian, never reused.
//!
//! The log database sorts by kind, then group, so that one group's entries lie together. The state database sorts by
//! group first, so that a group's whole state is one range: a snapshot reads it, an installation replaces it.

use crate::group_id::GroupId;

/// Log and state database: which store this is ([`crate::store`]).
const STORE_MARKER: u8 = 0x01;
/// Log database: the vote of a group.
const VOTE: u8 = 0x02;
/// Log database: the last log id that this replica knew to be committed.
const COMMITTED: u8 = 0x03;
/// Log database: the last log id that was purged.
const PURGED: u8 = 0x04;
/// Log database: a snapshot whose installation has begun.
const INSTALLING: u8 = 0x05;
/// Log database: why this replica of a group is damaged.
const DAMAGED: u8 = 0x06;
/// Log database: a log entry, by group and index.
const ENTRY: u8 = 0x10;
/// State database: what was applied last.
const APPLIED: u8 = 0x20;
/// State database: the membership as of what was applied last.
const MEMBERSHIP: u8 = 0x21;
/// State database: a key of the state machine.
const DATA: u8 = 0x30;

/// Kind, group, index.
pub(crate) const ENTRY_KEY_BYTES: usize = 1 + 4 + 8;
/// Group, kind.
pub(crate) const DATA_PREFIX_BYTES: usize = 4 + 1;

/// Where a store says what it is, in the log database.
pub(crate) fn log_marker() -> [u8; 1] {
    [STORE_MARKER]
}

/// Where a store says what it is, in the state database: after every group ([`GroupId::MAX`] ends below it).
pub(crate) fn state_marker() -> [u8; 5] {
    [0xff, 0xff, 0xff, 0xff, STORE_MARKER]
}

fn of_group(kind: u8, group: GroupId) -> [u8; 5] {
    let [a, b, c, d] = group.0.to_be_bytes();
    [kind, a, b, c, d]
}

pub(crate) fn vote(group: GroupId) -> [u8; 5] {
    of_group(VOTE, group)
}

pub(crate) fn committed(group: GroupId) -> [u8; 5] {
    of_group(COMMITTED, group)
}

pub(crate) fn purged(group: GroupId) -> [u8; 5] {
    of_group(PURGED, group)
}

pub(crate) fn installing(group: GroupId) -> [u8; 5] {
    of_group(INSTALLING, group)
}

pub(crate) fn damaged(group: GroupId) -> [u8; 5] {
    of_group(DAMAGED, group)
}

/// Every key made by [`vote`].
pub(crate) fn votes() -> ([u8; 1], [u8; 1]) {
    ([VOTE], [VOTE + 1])
}

/// Every key made by [`damaged`].
pub(crate) fn all_damaged() -> ([u8; 1], [u8; 1]) {
    ([DAMAGED], [DAMAGED + 1])
}

/// Everything in the log database but the entries: small, and worth nothing in parts.
pub(crate) fn log_metadata() -> ([u8; 1], [u8; 1]) {
    ([STORE_MARKER], [ENTRY])
}

/// The group of a key of the log database that is a kind and a group; `None` for every other key.
pub(crate) fn group_of(key: &[u8]) -> Option<GroupId> {
    Some(GroupId(u32::from_be_bytes(key.get(1..)?.try_into().ok()?)))
}

pub(crate) fn entry(group: GroupId, index: u64) -> [u8; ENTRY_KEY_BYTES] {
    let mut key = [0; ENTRY_KEY_BYTES];
    key[..5].copy_from_slice(&of_group(ENTRY, group));
    key[5..].copy_from_slice(&index.to_be_bytes());
    key
}

/// The index of a key made by [`entry`] for this group; `None` for every other key.
pub(crate) fn entry_index(group: GroupId, key: &[u8]) -> Option<u64> {
    let index = key.strip_prefix(&of_group(ENTRY, group))?;
    Some(u64::from_be_bytes(index.try_into().ok()?))
}

/// First key after all entries of the group.
pub(crate) fn entries_end(group: GroupId) -> [u8; 5] {
    // A group id is at most `GroupId::MAX`, one below the largest u32.
    of_group(ENTRY, GroupId(group.0 + 1))
}

fn in_state(group: GroupId, kind: u8) -> [u8; DATA_PREFIX_BYTES] {
    let [a, b, c, d] = group.0.to_be_bytes();
    [a, b, c, d, kind]
}

pub(crate) fn applied(group: GroupId) -> [u8; DATA_PREFIX_BYTES] {
    in_state(group, APPLIED)
}

pub(crate) fn membership(group: GroupId) -> [u8; DATA_PREFIX_BYTES] {
    in_state(group, MEMBERSHIP)
}

/// What a state machine's own keys begin with.
pub(crate) fn data_prefix(group: GroupId) -> [u8; DATA_PREFIX_BYTES] {
    in_state(group, DATA)
}

/// The range of a group's whole state: its applied record, membership and data.
pub(crate) fn state_range(group: GroupId) -> ([u8; 4], [u8; 4]) {
    (group.0.to_be_bytes(), (group.0 + 1).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_sorted_and_distinct() {
        let kinds = [STORE_MARKER, VOTE, COMMITTED, PURGED, INSTALLING, DAMAGED, ENTRY, APPLIED, MEMBERSHIP, DATA];
        assert!(kinds.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn golden_keys() {
        let group = GroupId(0x0102_0304);
        assert_eq!(vote(group), [0x02, 1, 2, 3, 4]);
        assert_eq!(committed(group), [0x03, 1, 2, 3, 4]);
        assert_eq!(purged(group), [0x04, 1, 2, 3, 4]);
        assert_eq!(installing(group), [0x05, 1, 2, 3, 4]);
        assert_eq!(damaged(group), [0x06, 1, 2, 3, 4]);
        assert_eq!(group_of(&installing(group)), Some(group));
        assert_eq!(entry(group, 0x0506), [0x10, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 5, 6]);
        assert_eq!(applied(group), [1, 2, 3, 4, 0x20]);
        assert_eq!(membership(group), [1, 2, 3, 4, 0x21]);
        assert_eq!(data_prefix(group), [1, 2, 3, 4, 0x30]);
        assert_eq!(log_marker(), [0x01]);
        assert_eq!(state_marker(), [0xff, 0xff, 0xff, 0xff, 0x01]);
    }

    #[test]
    fn entries_sort_by_index_within_their_group() {
        let group = GroupId(7);
        assert!(entry(group, 255) < entry(group, 256));
        assert!(entry(group, u64::MAX).as_slice() < entries_end(group).as_slice());
        assert!(entries_end(group).as_slice() <= entry(GroupId(8), 0).as_slice());
        assert_eq!(entry_index(group, &entry(group, 99)), Some(99));
        assert_eq!(entry_index(group, &entry(GroupId(8), 99)), None);
        assert_eq!(entry_index(group, &vote(group)), None);
    }

    #[test]
    fn a_groups_state_is_one_range_below_the_marker() {
        let (from, to) = state_range(GroupId::MAX);
        for key in [applied(GroupId::MAX), membership(GroupId::MAX), data_prefix(GroupId::MAX)] {
            assert!(from.as_slice() <= key.as_slice() && key.as_slice() < to.as_slice());
        }
        assert!(to.as_slice() <= state_marker().as_slice());
    }
}
