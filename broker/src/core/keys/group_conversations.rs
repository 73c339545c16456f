//! Keys of members' conversations with their groups, and of what counts as unread in them; both where members live.

use super::{COUNTED, COUNTED_DUE, GROUP_CONVERSATION, GroupName, LOCAL_MEMBER, MailboxId, is_id, key, time};

/// How a member stands in a group.
pub fn group_conversation(mailbox: &MailboxId, group: &str) -> Vec<u8> {
    key(GROUP_CONVERSATION, &[&mailbox.0, group.as_bytes(), &[0]])
}

/// All groups of a mailbox, as the ends of a scan.
pub fn group_conversations(mailbox: &MailboxId) -> (Vec<u8>, Vec<u8>) {
    (key(GROUP_CONVERSATION, &[&mailbox.0]), key(GROUP_CONVERSATION, &[&mailbox.0, &[u8::MAX]]))
}

/// The group in such a key.
pub fn conversation_group(key: &[u8], mailbox: &MailboxId) -> Option<GroupName> {
    let group = key.strip_prefix(&[GROUP_CONVERSATION])?.strip_prefix(&mailbox.0[..])?.strip_suffix(&[0])?;
    GroupName::new(mailbox.app(), std::str::from_utf8(group).ok()?)
}

/// A group's place among all conversations of a mailbox: what its key would have behind the mailbox, if it stood among
/// those with users ([`super::conversation_order`]). No user's name begins with a zero byte.
pub fn group_order(at_ms: i64, group: &str) -> Vec<u8> {
    let newest_first = (!u64::try_from(at_ms).unwrap_or(0)).to_be_bytes();
    [&newest_first[..], &[0], group.as_bytes(), &[0]].concat()
}

/// A message of a group that can count as unread.
pub fn counted(group: &GroupName, place: u64) -> Vec<u8> {
    key(COUNTED, &[group.bytes(), &place.to_be_bytes()])
}

/// Those from a place on, as the ends of a scan.
pub fn all_counted(group: &GroupName, from: u64) -> (Vec<u8>, Vec<u8>) {
    // Longer than the last possible key, and thereby behind it.
    (counted(group, from), [counted(group, u64::MAX), vec![0]].concat())
}

/// The place in such a key.
pub fn counted_place(key: &[u8]) -> Option<u64> {
    let (kind, rest) = key.split_first()?;
    let (_, place) = rest.split_last_chunk::<8>()?;
    (*kind == COUNTED).then_some(u64::from_be_bytes(*place))
}

/// A message of a group that its home keeps until a time.
pub fn counted_due(at_ms: i64, group: &GroupName, place: u64) -> Vec<u8> {
    key(COUNTED_DUE, &[&time(at_ms), group.bytes(), &place.to_be_bytes()])
}

/// All that are kept until before a time, as the ends of a scan.
pub fn counted_due_before(at_ms: i64) -> (Vec<u8>, Vec<u8>) {
    (key(COUNTED_DUE, &[]), key(COUNTED_DUE, &[&time(at_ms)]))
}

/// Group and place in such a key.
pub fn due_counted(key: &[u8]) -> Option<(GroupName, u64)> {
    let (_, rest) = key.strip_prefix(&[COUNTED_DUE])?.split_first_chunk::<8>()?;
    let (group, place) = rest.split_last_chunk::<8>()?;
    Some((GroupName(MailboxId::from_key(group)?), u64::from_be_bytes(*place)))
}

/// All members of groups who live here, behind the key of one of them (or all, behind none), as the ends of a scan.
pub fn all_local_members(after: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let from = if after.is_empty() { key(LOCAL_MEMBER, &[]) } else { [after, &[0]].concat() };
    (from, key(LOCAL_MEMBER + 1, &[]))
}

/// Group and user in such a key.
pub fn local_member_of(key: &[u8]) -> Option<(GroupName, &str)> {
    let names = key.strip_prefix(&[LOCAL_MEMBER])?.strip_suffix(&[0])?;
    let (group, user) = names.split_at(names.iter().rposition(|byte| *byte == 0)? + 1);
    let user = std::str::from_utf8(user).ok().filter(|user| is_id(user))?;
    Some((GroupName(MailboxId::from_key(group)?), user))
}
