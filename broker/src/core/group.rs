//! Groups. A group's home shard gives every message and every event its place in the group's order (promise 3), decides
//! by the members at a known revision of the registry who may send and who gets it, and owes it to each shard with
//! members: one small item per shard, through the same channels as everything else, so that it comes there exactly once
//! (promise 2). A shard stores a body once, and gives each of its members a pointer in the mailbox, a bounded number
//! per command.
//!
//! - [`append`]: a message enters a group
//! - [`membership`]: what the registry says of a group, in its order
//! - [`fan_out`]: from the home to the shards of the members
//! - [`expansion`]: from a shard to the mailboxes of the members in it
//! - [`large`]: members who read a large group from the shard's copy of its timeline; [`local_timeline`]: that copy
//! - [`bodies`]: stored once, for as long as something refers to them
//! - [`conversations`]: groups among a user's conversations
//! - [`disappear`]: messages that go after a time
//! - [`erase`]: members who were deleted
//! - [`receipts`]: who has a message, and who read it
//! - [`timeline`]: what the home keeps of messages, and changes of them

pub mod append;
pub mod bodies;
pub mod conversations;
pub mod disappear;
pub mod erase;
pub mod expansion;
pub mod fan_out;
pub mod large;
pub mod local_timeline;
pub mod membership;
pub mod receipts;
pub mod tallies;
pub mod timeline;

#[cfg(test)]
mod conversations_tests;
#[cfg(test)]
mod disappear_tests;
#[cfg(test)]
mod ignored_tests;
#[cfg(test)]
mod large_tests;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod receipts_tests;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod tallies_tests;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod timeline_tests;

use bytes::Bytes;
use tidings_proto::Permissions;
use tidings_proto::group::v1::{Group, Member, Permission};
use tidings_proto::mailbox::v1::{GroupMember, GroupMemberRecord};

use super::keys;
use super::records::{self, CoreError};

/// What a member may do, where the group lets plain members do this.
pub fn permissions(member: &GroupMemberRecord, of_members: u32) -> Permissions {
    let group = Group { member_permissions: Some(of_members), ..Group::default() };
    let role = i32::try_from(member.role).unwrap_or(0);
    let member = Member { role, allow: member.allow, deny: member.deny, ..Member::default() };
    Permissions::of_member(&group, &member)
}

/// Those of these members who receive.
pub fn receivers(stored: Vec<(Bytes, Bytes)>, of_members: u32) -> Result<Vec<(String, GroupMemberRecord)>, CoreError> {
    let mut receivers = Vec::with_capacity(stored.len());
    for (key, stored) in stored {
        let member: GroupMemberRecord = records::open("group member", stored)?;
        if permissions(&member, of_members).has(Permission::Receive) {
            let user = keys::member_user(&key).ok_or(CoreError::Contradiction("a member has no name"))?;
            receivers.push((user.to_owned(), member));
        }
    }
    Ok(receivers)
}

/// A member as it is stored, by brokers of a level: of a known one it stays where it joined. Where it comes to receive
/// by what it is, while those of role `MEMBER` may do this, it does from here on.
fn record_of(
    member: &GroupMember,
    known: Option<GroupMemberRecord>,
    of_members: u32,
    (place, level): (u64, u32),
) -> GroupMemberRecord {
    let Some(known) = known else {
        let GroupMember { role, allow, deny, .. } = *member;
        return GroupMemberRecord { role, allow, deny, joined_at: place, ..GroupMemberRecord::default() };
    };
    let record = GroupMemberRecord { role: member.role, allow: member.allow, deny: member.deny, ..known.clone() };
    let receives = |member| permissions(member, of_members).has(Permission::Receive);
    let comes_to_receive = level >= tallies::LEVEL && receives(&record) && !receives(&known);
    GroupMemberRecord { receives_from: if comes_to_receive { place } else { known.receives_from }, ..record }
}

/// From which place on what is said is for a member.
fn hears_from(member: &GroupMemberRecord) -> u64 {
    member.joined_at.max(member.receives_from)
}
