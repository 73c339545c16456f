//! What a user may do in a group. A backend may everything.

use tidings_proto::ErrorCode;
use tidings_proto::Permissions;
use tidings_proto::group::v1::{Group, Member, Permission, Role};
use tidings_proto::registry::v1::GroupRecord;

use super::{group_of, member};
use crate::registry::read::Read;
use crate::registry::refusal::Refusal;

/// Who does something to a group.
#[derive(Debug, Clone, PartialEq)]
pub enum Actor {
    Backend,
    Member(Member),
}

impl Actor {
    /// An empty name is a backend; anybody else must be a member.
    pub fn of<R: Read + ?Sized>(state: &R, app: &str, group: &str, user: &str) -> Result<Self, Refusal> {
        if user.is_empty() {
            return Ok(Self::Backend);
        }
        let found = member(state, app, group, user)?;
        let no_member = || Refusal::new(ErrorCode::NotAMember, format!("{user:?} is no member of the group {group:?}"));
        found.map(Self::Member).ok_or_else(no_member)
    }

    /// The user, or nothing for a backend.
    pub fn user(&self) -> &str {
        match self {
            Self::Backend => "",
            Self::Member(member) => &member.user,
        }
    }

    /// Whether it is an owner; a backend is none, and may everything.
    pub fn is_owner(&self) -> bool {
        matches!(self, Self::Member(member) if member.role() == Role::Owner)
    }

    /// Refuses whoever lacks a permission.
    pub fn takes(&self, record: &GroupRecord, permission: Permission) -> Result<(), Refusal> {
        match self {
            Self::Member(member) if !permissions(record, member).has(permission) => {
                Err(denied(format!("this takes the permission {} in the group", permission.as_str_name())))
            }
            _ => Ok(()),
        }
    }

    /// Refuses whoever is no owner.
    pub fn takes_owner(&self) -> Result<(), Refusal> {
        match self {
            Self::Member(member) if member.role() != Role::Owner => {
                Err(denied("this takes the role OWNER in the group"))
            }
            _ => Ok(()),
        }
    }

    /// Refuses acting on a member whose role is not below the actor's; owners act on all.
    pub fn is_above(&self, other: &Member) -> Result<(), Refusal> {
        match self {
            Self::Member(member) if member.role() != Role::Owner && other.role >= member.role => {
                Err(denied(format!("{:?} has a role that is not below one's own", other.user)))
            }
            _ => Ok(()),
        }
    }

    /// Refuses giving out what is more than the actor has: a role that is not below its own, or permissions that it
    /// lacks.
    pub fn may_grant(&self, record: &GroupRecord, member: &Member) -> Result<(), Refusal> {
        let Self::Member(actor) = self else { return Ok(()) };
        if member.role == 0 && member.allow == 0 && member.deny == 0 {
            return Ok(());
        }
        self.takes(record, Permission::Manage)?;
        self.is_above(member)?;
        self.may_allow(record, actor, member.allow)
    }

    fn may_allow(&self, record: &GroupRecord, actor: &Member, allow: u32) -> Result<(), Refusal> {
        if permissions(record, actor).include(Permissions::of_bits(allow)) {
            return Ok(());
        }
        Err(denied("nobody gives permissions that they do not have"))
    }
}

/// A user that makes a group takes plain members in; what more they may is given by the owner that the user then is.
pub fn plain_members_alone(actor: &str, members: &[Member]) -> Result<(), Refusal> {
    let is_plain = |member: &Member| member.role == 0 && member.allow == 0 && member.deny == 0 && member.user != actor;
    if actor.is_empty() || members.iter().all(is_plain) {
        return Ok(());
    }
    Err(Refusal::invalid("members", "must be plain members, without whoever makes the group"))
}

fn permissions(record: &GroupRecord, member: &Member) -> Permissions {
    let group: Group = group_of(record);
    Permissions::of_member(&group, member)
}

fn denied(message: impl Into<String>) -> Refusal {
    Refusal::new(ErrorCode::PermissionDenied, message)
}
