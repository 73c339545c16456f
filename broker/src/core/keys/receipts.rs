//! Keys of what members have and read of groups, noted where they live.

use super::{GROUP_RECEIPT, GroupName, MailboxId, is_id, key};

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
