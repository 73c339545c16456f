//! The registry's events as changes of a group in its home. Pure.

use std::collections::BTreeMap;

use tidings_proto::Permissions;
use tidings_proto::group::v1::event::Event as What;
use tidings_proto::group::v1::{Event, Group, Kind as GroupKind, Member};
use tidings_proto::mailbox::v1::{GroupChange, GroupMember, GroupMemberRecord, GroupSettings};
use tidings_proto::message::v1::group_event::Kind;

use crate::core::limits::USERS_PER_UPDATE;

/// Changes that one command takes.
const CHANGES: usize = 64;

/// One command's worth of what the registry says.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// Changes, and the revision that they lead to.
    Changes(Vec<GroupChange>, u64),
    /// The group is over, at this revision.
    Deleted(u64),
}

/// What has to be proposed, in order.
pub fn steps(events: Vec<Event>) -> Vec<Step> {
    let mut steps = Vec::new();
    let (mut changes, mut users, mut revision) = (Vec::new(), 0, 0);
    for event in events {
        let is_over = matches!(event.event, Some(What::Deleted(_)));
        let change = change_of(&event);
        let more = change.as_ref().map_or(0, |change| change.put.len() + change.removed.len());
        let is_full = users + more > USERS_PER_UPDATE || changes.len() >= CHANGES;
        if (is_full || is_over) && !changes.is_empty() {
            steps.push(Step::Changes(std::mem::take(&mut changes), revision));
            users = 0;
        }
        revision = event.revision;
        if is_over {
            steps.push(Step::Deleted(revision));
        }
        changes.extend(change);
        users += more;
    }
    if !changes.is_empty() {
        steps.push(Step::Changes(changes, revision));
    }
    steps
}

fn change_of(event: &Event) -> Option<GroupChange> {
    let change = GroupChange { by: event.actor.clone(), ..GroupChange::default() };
    let put = |members: &[Member]| members.iter().map(member_of).collect();
    Some(match event.event.as_ref()? {
        What::Created(created) => GroupChange {
            kind: Kind::Created.into(),
            put: put(&created.members),
            settings: created.group.as_ref().map(|group| settings_of(group, event.revision)),
            ..change
        },
        What::Joined(joined) => GroupChange { kind: Kind::Joined.into(), put: put(&joined.members), ..change },
        What::Left(left) => GroupChange { kind: Kind::Left.into(), removed: vec![left.user.clone()], ..change },
        What::Removed(removed) => GroupChange { kind: Kind::Removed.into(), removed: removed.users.clone(), ..change },
        What::Changed(member) => {
            GroupChange { kind: Kind::MembersChanged.into(), put: vec![member_of(member)], ..change }
        }
        What::Settings(group) => {
            GroupChange { kind: Kind::Settings.into(), settings: Some(settings_of(group, event.revision)), ..change }
        }
        What::Deleted(_) => return None,
    })
}

/// A member as the home keeps it.
pub fn member_of(member: &Member) -> GroupMember {
    GroupMember { user: member.user.clone(), role: member.role.cast_unsigned(), allow: member.allow, deny: member.deny }
}

/// What the home has to know of a group.
pub fn settings_of(group: &Group, revision: u64) -> GroupSettings {
    let of_members = group.member_permissions.unwrap_or_else(|| Permissions::of_kind(group.kind()).bits());
    GroupSettings {
        paused: group.paused,
        hunt: group.kind() == GroupKind::Hunt,
        deleted: false,
        revision,
        member_permissions: of_members,
    }
}

/// What makes the members that a home has into those that the registry has, in changes of a bounded size.
pub fn difference(
    known: &BTreeMap<String, GroupMemberRecord>,
    now: &BTreeMap<String, GroupMember>,
) -> Vec<GroupChange> {
    let is_same = |member: &&GroupMember| {
        known
            .get(&member.user)
            .is_some_and(|known| (known.role, known.allow, known.deny) == (member.role, member.allow, member.deny))
    };
    let removed: Vec<_> = known.keys().filter(|user| !now.contains_key(*user)).cloned().collect();
    let put: Vec<_> = now.values().filter(|member| !is_same(member)).cloned().collect();
    let removals = removed.chunks(USERS_PER_UPDATE).map(|users| GroupChange {
        kind: Kind::Removed.into(),
        removed: users.to_vec(),
        ..GroupChange::default()
    });
    let arrivals = put.chunks(USERS_PER_UPDATE).map(|members| GroupChange {
        kind: Kind::Joined.into(),
        put: members.to_vec(),
        ..GroupChange::default()
    });
    removals.chain(arrivals).collect()
}

#[cfg(test)]
mod tests {
    use tidings_proto::group::v1::{Created, Deleted, Joined, Left};

    use super::*;

    fn event(revision: u64, event: What) -> Event {
        Event { revision, actor: "alice".to_owned(), event: Some(event), ..Event::default() }
    }

    fn members(users: std::ops::Range<usize>) -> Vec<Member> {
        users.map(|number| Member { user: format!("user-{number:04}"), ..Member::default() }).collect()
    }

    #[test]
    fn events_are_packed_up_to_the_limit_of_a_command_and_an_end_stands_alone() {
        let group = Group { kind: GroupKind::Hunt.into(), paused: true, ..Group::default() };
        let created = What::Created(Created { group: Some(group), members: members(0..2) });
        let joined = |users| What::Joined(Joined { members: members(users) });
        let left = What::Left(Left { user: "user-0001".to_owned() });
        let events = vec![
            event(3, created),
            event(4, joined(2..USERS_PER_UPDATE)),
            event(5, joined(5000..5001)),
            event(6, left),
            event(7, What::Deleted(Deleted {})),
            event(9, What::Created(Created::default())),
        ];
        let steps = steps(events);
        let revisions: Vec<_> = steps
            .iter()
            .map(|step| match step {
                Step::Changes(changes, revision) => (changes.len(), *revision),
                Step::Deleted(revision) => (0, *revision),
            })
            .collect();
        assert_eq!(revisions, [(2, 4), (2, 6), (0, 7), (1, 9)]);
        let Step::Changes(changes, _) = &steps[0] else { panic!() };
        let settings = changes[0].settings.unwrap();
        assert!(settings.hunt && settings.paused && settings.revision == 3);
        assert_eq!(settings.member_permissions, Permissions::of_kind(GroupKind::Hunt).bits());
        assert_eq!((changes[0].kind, changes[0].by.as_str()), (Kind::Created as i32, "alice"));
    }

    #[test]
    fn the_difference_is_what_is_missing_too_much_or_other() {
        let record = |allow| GroupMemberRecord { allow, ..GroupMemberRecord::default() };
        let member = |user: &str, allow| GroupMember { user: user.to_owned(), allow, ..GroupMember::default() };
        let known = [("gone", 0), ("same", 1), ("other", 1)].map(|(user, allow)| (user.to_owned(), record(allow)));
        let now = [("same", 1), ("other", 2), ("new", 0)].map(|(user, allow)| (user.to_owned(), member(user, allow)));
        let changes = difference(&known.into(), &now.into());
        assert_eq!(changes[0].removed, ["gone"]);
        assert_eq!(changes[1].put.iter().map(|member| member.user.as_str()).collect::<Vec<_>>(), ["new", "other"]);
        assert_eq!(changes.len(), 2);
    }
}
