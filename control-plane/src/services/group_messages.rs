//! Groups as backends see them, and back: times for milliseconds, lists of permissions for bits.

use prost_types::Timestamp;
use tidings_proto::control::v1::{Group, Invite, Member, PermissionSet};
use tidings_proto::group::v1::{self, Permission};

use super::messages::{at, unless_zero};
use crate::registry::refusal::Refusal;

/// A group as it is told.
pub fn group(stored: v1::Group) -> Group {
    Group {
        app: stored.app,
        id: stored.id,
        display_name: stored.display_name,
        attributes: stored.attributes,
        kind: stored.kind,
        paused: stored.paused,
        expires_at: unless_zero(stored.expires_at_ms),
        member_permissions: stored.member_permissions.map(|bits| PermissionSet { permissions: listed(bits) }),
        created_at: at(stored.created_at_ms),
        updated_at: at(stored.updated_at_ms),
        revision: stored.revision,
        members: stored.members,
    }
}

/// What of a group its maker chooses.
pub fn chosen(group: Group) -> Result<v1::Group, Refusal> {
    let set = group.member_permissions.map(|set| bits("group.member_permissions", &set.permissions));
    Ok(v1::Group {
        display_name: group.display_name,
        attributes: group.attributes,
        kind: group.kind,
        paused: group.paused,
        expires_at_ms: ms("group.expires_at", group.expires_at)?,
        member_permissions: set.transpose()?,
        ..v1::Group::default()
    })
}

/// A member as it is told.
pub fn member(stored: v1::Member) -> Member {
    Member {
        user: stored.user,
        role: stored.role,
        allow: listed(stored.allow),
        deny: listed(stored.deny),
        joined_at: at(stored.joined_at_ms),
    }
}

/// A member as it is asked for.
pub fn wanted(member: Member) -> Result<v1::Member, Refusal> {
    Ok(v1::Member {
        user: member.user,
        role: member.role,
        allow: bits("member.allow", &member.allow)?,
        deny: bits("member.deny", &member.deny)?,
        joined_at_ms: 0,
    })
}

/// An invitation as it is told.
pub fn invite(stored: v1::Invite) -> Invite {
    Invite {
        app: stored.app,
        group: stored.group,
        code: stored.code,
        allow: listed(stored.allow),
        deny: listed(stored.deny),
        expires_at: unless_zero(stored.expires_at_ms),
        max_uses: stored.max_uses,
        uses: stored.uses,
        created_at: at(stored.created_at_ms),
    }
}

/// An invitation as it is asked for, in an app.
pub fn wanted_invite(app: String, invite: Invite) -> Result<v1::Invite, Refusal> {
    Ok(v1::Invite {
        app,
        group: invite.group,
        code: invite.code,
        allow: bits("invite.allow", &invite.allow)?,
        deny: bits("invite.deny", &invite.deny)?,
        expires_at_ms: ms("invite.expires_at", invite.expires_at)?,
        max_uses: invite.max_uses,
        ..v1::Invite::default()
    })
}

pub(super) fn ms(field: &str, time: Option<Timestamp>) -> Result<i64, Refusal> {
    let Some(time) = time else { return Ok(0) };
    let ms = time.seconds.checked_mul(1000).and_then(|ms| ms.checked_add(i64::from(time.nanos / 1_000_000)));
    ms.filter(|ms| *ms > 0).ok_or_else(|| Refusal::invalid(field, "must be a time from 1970 to 9999"))
}

/// The bits of permissions that are listed.
pub fn bits(field: &str, permissions: &[i32]) -> Result<u32, Refusal> {
    permissions.iter().try_fold(0, |bits, number| match Permission::try_from(*number) {
        Ok(permission) if permission != Permission::Unspecified => Ok(bits | 1 << permission as u32),
        _ => Err(Refusal::invalid(field, format!("{number} is no permission that is known"))),
    })
}

fn listed(bits: u32) -> Vec<i32> {
    (1..32).filter(|permission| bits & (1 << permission) != 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_listed_as_they_were_given() {
        let given = [Permission::Send as i32, Permission::Subscribe as i32];
        assert_eq!(listed(bits("allow", &given).unwrap()), given);
        for unknown in [0, 9, -1, i32::MAX] {
            assert!(bits("allow", &[unknown]).unwrap_err().message.starts_with("allow: "), "{unknown}");
        }
    }

    #[test]
    fn times_are_milliseconds_and_nonsense_is_refused() {
        let time = |seconds, nanos| Some(Timestamp { seconds, nanos });
        assert_eq!(ms("expires_at", time(2, 5_999_999)).unwrap(), 2_005);
        assert_eq!(ms("expires_at", None).unwrap(), 0);
        for bad in [time(-1, 0), time(0, 0), time(i64::MAX, 0)] {
            assert!(ms("expires_at", bad).is_err());
        }
    }
}
