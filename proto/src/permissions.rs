//! What a member of a group may do: one rule for the control plane, the shards and the gateways.

use crate::group::v1::{Group, Kind, Member, Permission, Role};

/// A set of permissions, as bits `1 << Permission`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Permissions(u32);

impl Permissions {
    /// None at all.
    pub const NONE: Self = Self(0);
    /// Every one that there is.
    pub const ALL: Self = Self(0b1_1111_1110);

    /// Of bits; those that are not known stand for nothing.
    pub const fn of_bits(bits: u32) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// As they are stored.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// With one more.
    #[must_use]
    pub const fn with(self, permission: Permission) -> Self {
        Self::of_bits(self.0 | 1 << permission as u32)
    }

    /// Without this one.
    #[must_use]
    pub const fn without(self, permission: Permission) -> Self {
        Self(self.0 & !(1 << permission as u32))
    }

    /// Whether this one is among them.
    pub const fn has(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u32) != 0
    }

    /// Whether all of these are among them.
    pub const fn include(self, others: Self) -> bool {
        others.0 & !self.0 == 0
    }

    /// What role `MEMBER` may do in a group of a kind, where the group does not say.
    pub const fn of_kind(kind: Kind) -> Self {
        use Permission as P;
        let normal = Self::NONE.with(P::Send).with(P::Receive).with(P::List).with(P::Publish).with(P::Subscribe);
        match kind {
            Kind::Normal => normal,
            Kind::Announcement => normal.without(P::Send).without(P::Publish),
            Kind::Listeners | Kind::Hunt => normal.without(P::Receive).without(P::Subscribe),
        }
    }

    /// What a member may do: owners everything; others what their role may, with what they were given, without what was
    /// taken from them.
    pub fn of_member(group: &Group, member: &Member) -> Self {
        let of_role = match member.role() {
            Role::Owner => return Self::ALL,
            Role::Admin => Self::ALL,
            Role::Member => group.member_permissions.map_or_else(|| Self::of_kind(group.kind()), Self::of_bits),
        };
        Self::of_bits((of_role.0 | member.allow) & !member.deny)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(role: Role, allow: Permissions, deny: Permissions) -> Member {
        Member { role: role.into(), allow: allow.bits(), deny: deny.bits(), ..Member::default() }
    }

    #[test]
    fn the_kind_says_who_sends_and_who_receives() {
        for (kind, sends, receives) in [
            (Kind::Normal, true, true),
            (Kind::Announcement, false, true),
            (Kind::Listeners, true, false),
            (Kind::Hunt, true, false),
        ] {
            let group = Group { kind: kind.into(), ..Group::default() };
            let of = |role| Permissions::of_member(&group, &member(role, Permissions::NONE, Permissions::NONE));
            let plain = of(Role::Member);
            assert_eq!((plain.has(Permission::Send), plain.has(Permission::Receive)), (sends, receives), "{kind:?}");
            assert!(plain.has(Permission::List) && !plain.has(Permission::Add) && !plain.has(Permission::Manage));
            assert_eq!((of(Role::Admin), of(Role::Owner)), (Permissions::ALL, Permissions::ALL));
        }
    }

    #[test]
    fn what_is_taken_outweighs_what_is_given_and_the_owner_has_all() {
        let group = Group { kind: Kind::Announcement.into(), ..Group::default() };
        let (send, list) = (Permissions::NONE.with(Permission::Send), Permissions::NONE.with(Permission::List));
        let given = Permissions::of_member(&group, &member(Role::Member, send, list));
        assert!(given.has(Permission::Send) && !given.has(Permission::List) && given.has(Permission::Receive));
        assert!(!Permissions::of_member(&group, &member(Role::Admin, send, send)).has(Permission::Send));
        assert_eq!(Permissions::of_member(&group, &member(Role::Owner, send, send)), Permissions::ALL);
        let quiet = Group { member_permissions: Some(0), ..group };
        assert_eq!(Permissions::of_member(&quiet, &member(Role::Member, list, Permissions::NONE)), list);
    }

    #[test]
    fn every_permission_is_in_all_and_unknown_bits_stand_for_nothing() {
        for number in 1..=8 {
            assert!(Permissions::ALL.has(Permission::try_from(number).unwrap()));
        }
        assert!(Permission::try_from(9).is_err(), "a new one belongs into ALL");
        assert_eq!(Permissions::of_bits(u32::MAX), Permissions::ALL);
        assert!(Permissions::ALL.include(Permissions::NONE) && !Permissions::NONE.include(Permissions::ALL));
    }
}
