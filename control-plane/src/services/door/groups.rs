//! What may be asked for of a group, by a backend or by a user.

use tidings_proto::GroupId;
use tidings_proto::Permissions;
use tidings_proto::group::v1::operation::Operation as Op;
use tidings_proto::group::v1::{Group, Invite, Kind, Member, Operation, Role, SettingsChange};

use super::{attributes, display_name, label, user_id};
use crate::registry::groups::MAX_NAMED;
use crate::registry::refusal::Refusal;

/// The latest end of a group: the year 9999, which every format of a time can write.
const MAX_EXPIRES_AT_MS: i64 = 253_402_300_799_999;

/// A group's id.
pub fn group_id(field: &str, text: &str) -> Result<(), Refusal> {
    GroupId::new(text).map(|_| ()).map_err(|error| Refusal::invalid(field, error))
}

/// An invitation's code: 1 to 63 bytes.
pub fn code(field: &str, text: &str) -> Result<(), Refusal> {
    if text.is_empty() {
        return Err(Refusal::invalid(field, "is missing"));
    }
    label(field, text)
}

/// All that an operation holds.
pub fn operation(operation: Option<&Operation>) -> Result<(), Refusal> {
    let operation = operation.and_then(|operation| operation.operation.as_ref());
    match operation.ok_or_else(|| Refusal::invalid("operation", "is missing or not known"))? {
        Op::Create(create) => {
            group(&create.group.clone().unwrap_or_default())?;
            members(&create.members)
        }
        Op::Join(join) => code("code", &join.code),
        Op::Add(add) => members(&add.members),
        Op::Remove(remove) => {
            named("users", remove.users.len())?;
            remove.users.iter().try_for_each(|user| user_id("users", user))
        }
        Op::Member(change) => {
            user_id("member.user", &change.user)?;
            let (allow, deny) = (change.allow.unwrap_or_default(), change.deny.unwrap_or_default());
            member(&Member {
                user: change.user.clone(),
                role: change.role.unwrap_or_default(),
                allow,
                deny,
                joined_at_ms: 0,
            })
        }
        Op::Settings(change) => settings(change),
        Op::Leave(_) | Op::Delete(_) => Ok(()),
    }
}

/// The fields of a group that its maker chooses.
fn group(group: &Group) -> Result<(), Refusal> {
    display_name("group.display_name", &group.display_name)?;
    attributes("group.attributes", &group.attributes)?;
    kind(group.kind)?;
    time("group.expires_at", group.expires_at_ms)?;
    bits("group.member_permissions", group.member_permissions.unwrap_or_default())
}

fn settings(change: &SettingsChange) -> Result<(), Refusal> {
    display_name("group.display_name", change.display_name.as_deref().unwrap_or_default())?;
    attributes("group.attributes", &change.attributes.clone().unwrap_or_default().entries)?;
    kind(change.kind.unwrap_or_default())?;
    time("group.expires_at", change.expires_at_ms.unwrap_or_default())?;
    bits("group.member_permissions", change.member_permissions.and_then(|set| set.bits).unwrap_or_default())
}

fn kind(kind: i32) -> Result<(), Refusal> {
    Kind::try_from(kind)
        .map(|_| ())
        .map_err(|_| Refusal::invalid("group.kind", format!("{kind} is none that is known")))
}

/// Unix ms, or 0 for none.
pub fn time(field: &str, ms: i64) -> Result<(), Refusal> {
    if (0..=MAX_EXPIRES_AT_MS).contains(&ms) {
        return Ok(());
    }
    Err(Refusal::invalid(field, "must be a time from 1970 to 9999"))
}

fn members(members: &[Member]) -> Result<(), Refusal> {
    named("members", members.len())?;
    members.iter().try_for_each(member)
}

fn named(field: &str, count: usize) -> Result<(), Refusal> {
    if count > MAX_NAMED {
        return Err(Refusal::invalid(field, format!("are {count}, more than {MAX_NAMED}")));
    }
    Ok(())
}

fn member(member: &Member) -> Result<(), Refusal> {
    user_id("member.user", &member.user)?;
    if Role::try_from(member.role).is_err() {
        return Err(Refusal::invalid("member.role", format!("{} is none that is known", member.role)));
    }
    bits("member.allow", member.allow)?;
    bits("member.deny", member.deny)
}

/// An invitation, but for its code.
pub fn invite(invite: &Invite) -> Result<(), Refusal> {
    group_id("invite.group", &invite.group)?;
    bits("invite.allow", invite.allow)?;
    bits("invite.deny", invite.deny)?;
    time("invite.expires_at", invite.expires_at_ms)
}

fn bits(field: &str, bits: u32) -> Result<(), Refusal> {
    if Permissions::of_bits(bits).bits() == bits {
        return Ok(());
    }
    Err(Refusal::invalid(field, "holds a permission that is not known"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidings_proto::group::v1::{Add, Create, MemberChange, Remove};

    fn refused(op: Op) -> String {
        let refusal = operation(Some(&Operation { operation: Some(op) })).unwrap_err();
        refusal.message.split(':').next().unwrap().to_owned()
    }

    #[test]
    fn what_is_out_of_bounds_is_named() {
        let member = |user: &str| Member { user: user.to_owned(), ..Member::default() };
        let create = |group| Op::Create(Create { group: Some(group), members: Vec::new() });
        let plain = Group::default();
        assert_eq!(refused(create(Group { display_name: "x".repeat(257), ..plain.clone() })), "group.display_name");
        assert_eq!(refused(create(Group { kind: 4, ..plain.clone() })), "group.kind");
        assert_eq!(refused(create(Group { expires_at_ms: -1, ..plain.clone() })), "group.expires_at");
        assert_eq!(refused(create(Group { expires_at_ms: i64::MAX, ..plain.clone() })), "group.expires_at");
        assert_eq!(refused(create(Group { member_permissions: Some(1), ..plain })), "group.member_permissions");
        assert_eq!(refused(Op::Add(Add { members: vec![member("")] })), "member.user");
        assert_eq!(refused(Op::Add(Add { members: vec![Member { role: 3, ..member("bob") }] })), "member.role");
        assert_eq!(refused(Op::Add(Add { members: vec![Member { deny: 1 << 9, ..member("bob") }] })), "member.deny");
        assert_eq!(refused(Op::Remove(Remove { users: vec!["a\0".to_owned()] })), "users");
        let change = MemberChange { user: "bob".to_owned(), allow: Some(1 << 31), ..MemberChange::default() };
        assert_eq!(refused(Op::Member(change)), "member.allow");
        assert_eq!(operation(None).unwrap_err().message.split(':').next(), Some("operation"));
    }

    #[test]
    fn a_thousand_members_are_named_at_once_and_not_one_more() {
        let members = |count| (0..count).map(|n| Member { user: n.to_string(), ..Member::default() }).collect();
        let add = |count| Operation { operation: Some(Op::Add(Add { members: members(count) })) };
        assert!(operation(Some(&add(1_000))).is_ok());
        assert!(operation(Some(&add(1_001))).unwrap_err().message.starts_with("members: "));
    }
}
