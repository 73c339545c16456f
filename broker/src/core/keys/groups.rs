//! Keys of groups: of their homes, and of the shards where members live.

use super::{
    EXPANDING, FOLLOWER, GROUP, GROUP_BODY, GROUP_BODY_USES, GROUP_MEMBER, GROUP_SENDER, GROUP_TARGETS, GroupName,
    LOCAL_GROUP, LOCAL_ITEM, LOCAL_MEMBER, MailboxId, is_id, key,
};

/// A group, in its home.
pub fn group(group: &GroupName) -> Vec<u8> {
    key(GROUP, &[group.bytes()])
}

/// All groups whose home this is, as the ends of a scan.
pub fn all_groups() -> (Vec<u8>, Vec<u8>) {
    (key(GROUP, &[]), key(GROUP + 1, &[]))
}

/// The group in a group's key.
pub fn group_in(key: &[u8]) -> Option<GroupName> {
    name_in(GROUP, key)
}

/// A member of a group, in its home.
pub fn group_member(group: &GroupName, user: &str) -> Vec<u8> {
    key(GROUP_MEMBER, &[group.bytes(), user.as_bytes(), &[0]])
}

/// The members of a group behind one of them (or all, behind the empty text), as the ends of a scan.
pub fn group_members(group: &GroupName, after: &str) -> (Vec<u8>, Vec<u8>) {
    users_after(GROUP_MEMBER, group, after)
}

/// The shards in which a group has members.
pub fn group_targets(group: &GroupName) -> Vec<u8> {
    key(GROUP_TARGETS, &[group.bytes()])
}

/// What a group's home keeps of one sender device.
pub fn group_sender(group: &GroupName, from: &str, slot: u8) -> Vec<u8> {
    key(GROUP_SENDER, &[group.bytes(), from.as_bytes(), &[0, slot]])
}

/// What stands at a place of a group's order.
pub fn group_body(group: &GroupName, seq: u64) -> Vec<u8> {
    key(GROUP_BODY, &[group.bytes(), &seq.to_be_bytes()])
}

/// How often a body is referred to.
pub fn group_body_uses(group: &GroupName, seq: u64) -> Vec<u8> {
    key(GROUP_BODY_USES, &[group.bytes(), &seq.to_be_bytes()])
}

/// A group, where members of it live.
pub fn local_group(group: &GroupName) -> Vec<u8> {
    key(LOCAL_GROUP, &[group.bytes()])
}

/// A member of a group who lives in this shard.
pub fn local_member(group: &GroupName, user: &str) -> Vec<u8> {
    key(LOCAL_MEMBER, &[group.bytes(), user.as_bytes(), &[0]])
}

/// The members of a group who live in this shard, behind one of them, as the ends of a scan.
pub fn local_members(group: &GroupName, after: &str) -> (Vec<u8>, Vec<u8>) {
    users_after(LOCAL_MEMBER, group, after)
}

/// A place of a group that its members in this shard do not have yet.
pub fn local_item(group: &GroupName, seq: u64) -> Vec<u8> {
    key(LOCAL_ITEM, &[group.bytes(), &seq.to_be_bytes()])
}

/// Places of a group that its members do not have, behind one, as the ends of a scan.
pub fn local_items(group: &GroupName, after: u64) -> (Vec<u8>, Vec<u8>) {
    let end = [local_item(group, u64::MAX), vec![0]].concat();
    (local_item(group, after.saturating_add(1)), end)
}

/// A group of which something waits to be expanded.
pub fn expanding(group: &GroupName) -> Vec<u8> {
    key(EXPANDING, &[group.bytes()])
}

/// Every group that waits to be expanded, as the ends of a scan.
pub fn all_expanding() -> (Vec<u8>, Vec<u8>) {
    (key(EXPANDING, &[]), key(EXPANDING + 1, &[]))
}

/// The group in such a key.
pub fn expanding_group(key: &[u8]) -> Option<GroupName> {
    name_in(EXPANDING, key)
}

fn name_in(kind: u8, key: &[u8]) -> Option<GroupName> {
    MailboxId::from_key(key.strip_prefix(&[kind])?).map(GroupName)
}

/// The user in the key of a member.
pub fn member_user(key: &[u8]) -> Option<&str> {
    let (kind, rest) = key.split_first()?;
    let user = rest.strip_suffix(&[0])?.rsplit(|byte| *byte == 0).next()?;
    let is_member = matches!(*kind, GROUP_MEMBER | LOCAL_MEMBER | FOLLOWER);
    std::str::from_utf8(user).ok().filter(|user| is_member && is_id(user))
}

pub(super) fn users_after(kind: u8, group: &GroupName, after: &str) -> (Vec<u8>, Vec<u8>) {
    // Behind the zero byte that ends the user's id stands nothing: one more makes it the next key.
    let from = if after.is_empty() {
        key(kind, &[group.bytes(), &[1]])
    } else {
        key(kind, &[group.bytes(), after.as_bytes(), &[0, 0]])
    };
    (from, key(kind, &[group.bytes(), &[u8::MAX]]))
}
