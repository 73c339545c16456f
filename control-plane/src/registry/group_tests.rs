//! Groups under random operations: the events tell all there is, counts and indexes agree, a refusal changes nothing;
//! and what each role may do.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use tidings_proto::group::v1::operation::Operation as Op;
use tidings_proto::group::v1::{
    Add, Create, Delete, Event, Group, Invite, Join, Kind, Leave, Member, MemberChange, Operation, Permission, Remove,
    Role, SettingsChange, event,
};
use tidings_proto::registry::v1::command::Command as C;
use tidings_proto::registry::v1::{
    ActOnGroup, CreateInvite, DeleteApp, DeleteInvite, DeleteUser, GroupCountRecord, GroupOutcome, GroupPointer, Sweep,
};
use tidings_proto::{ErrorCode, Permissions};

use super::groups::{self, events, group_of, invites, members};
use super::keys;
use super::machine::Outcome;
use super::property_tests::{Log, create_user};
use super::read::Read;
use super::refusal::Refusal;

const USERS: [&str; 4] = ["alice", "bob", "carol", "dave"];

fn by(actor: &str, group: &str, op: Op) -> C {
    let (app, group, actor) = ("default".to_owned(), group.to_owned(), actor.to_owned());
    C::ActOnGroup(ActOnGroup { app, group, actor, operation: Some(Operation { operation: Some(op) }) })
}

fn plain(user: &str) -> Member {
    Member { user: user.to_owned(), ..Member::default() }
}

fn as_role(user: &str, role: Role) -> Member {
    Member { role: role.into(), ..plain(user) }
}

fn add(members: Vec<Member>) -> Op {
    Op::Add(Add { members })
}

fn remove(user: &str) -> Op {
    Op::Remove(Remove { users: vec![user.to_owned()] })
}

fn role(user: &str, role: Role) -> Op {
    Op::Member(MemberChange { user: user.to_owned(), role: Some(role.into()), ..MemberChange::default() })
}

fn invite(code: &str, max_uses: u32, expires_at_ms: i64) -> C {
    let (app, group, code) = ("default".to_owned(), "g".to_owned(), code.to_owned());
    C::CreateInvite(CreateInvite {
        invite: Some(Invite { app, group, code, max_uses, expires_at_ms, ..Invite::default() }),
    })
}

fn join(code: &str) -> Op {
    Op::Join(Join { code: code.to_owned() })
}

fn done(outcome: Result<Outcome, Refusal>) -> GroupOutcome {
    match outcome {
        Ok(Outcome::Group(outcome)) => outcome,
        other => panic!("no group: {other:?}"),
    }
}

fn code(outcome: Result<Outcome, Refusal>) -> ErrorCode {
    outcome.unwrap_err().code
}

/// Four users, and the group `g` of alice, who is its owner.
fn group() -> Log {
    let mut log = Log::with_user();
    for user in &USERS[1..] {
        log.apply(create_user(user, "")).unwrap();
    }
    log.apply(by("alice", "g", Op::Create(Create::default()))).unwrap();
    log
}

fn members_of(log: &Log, group: &str) -> BTreeMap<String, Member> {
    let prefix = keys::texts(keys::MEMBER, &["default", group]);
    let found = log.state().records::<Member>(&prefix, &keys::end_of(&prefix), usize::MAX).unwrap();
    found.into_iter().map(|(_, member)| (member.user.clone(), member)).collect()
}

/// What somebody has who took up all events, each twice.
fn replay(log: &Log, group: &str) -> Option<(Group, BTreeMap<String, Member>)> {
    let (mut settings, mut members, mut after) = (None, BTreeMap::new(), 0);
    loop {
        let page = match events::after(log.state(), "default", group, after).unwrap() {
            events::Page::Events { events, revision, .. } if revision > after => (events, revision),
            events::Page::Gone => return None,
            _ => break,
        };
        assert!(page.0.windows(2).all(|pair| pair[0].revision < pair[1].revision));
        for event in page.0.iter().flat_map(|event| [event, event]) {
            take_up(event, &mut settings, &mut members);
        }
        after = page.1;
    }
    settings.map(|group| (group, members))
}

fn take_up(event: &Event, group: &mut Option<Group>, members: &mut BTreeMap<String, Member>) {
    use event::Event as E;
    let mut put = |member: &Member| members.insert(member.user.clone(), member.clone());
    match event.event.as_ref().unwrap() {
        E::Created(created) => {
            *group = created.group.clone();
            *members = created.members.iter().map(|member| (member.user.clone(), member.clone())).collect();
        }
        E::Joined(joined) => joined.members.iter().for_each(|member| drop(put(member))),
        E::Changed(member) => drop(put(member)),
        E::Left(left) => drop(members.remove(&left.user)),
        E::Removed(removed) => removed.users.iter().for_each(|user| drop(members.remove(user))),
        E::Settings(settings) => *group = Some(settings.clone()),
        E::Deleted(_) => *group = None,
    }
}

fn agrees(log: &Log, group: &str) {
    let members = members_of(log, group);
    let Some(record) = groups::stored(log.state(), "default", group).unwrap() else {
        assert!(members.is_empty() && invites::of_group(log.state(), "default", group).unwrap().is_empty());
        return;
    };
    if record.deleting {
        return;
    }
    let settings = group_of(&record);
    assert_eq!(settings.members as usize, members.len());
    assert_eq!(record.owners as usize, members.values().filter(|member| member.role() == Role::Owner).count());
    assert_eq!(record.invites as usize, invites::of_group(log.state(), "default", group).unwrap().len());
    let (told, listed) = replay(log, group).unwrap();
    assert_eq!(listed, members, "the events tell who is in it");
    // Counts and the revision are the record's own.
    let counts = |group: Group| Group { revision: 0, members: 0, ..group };
    assert_eq!(counts(told), counts(settings));
}

fn memberships_agree(log: &Log) {
    let all = |kind| (keys::single(kind), keys::end_of(&[kind]));
    let (from, to) = all(keys::MEMBERSHIP);
    let pointers = log.state().records::<GroupPointer>(&from, &to, usize::MAX).unwrap();
    let (from, to) = all(keys::MEMBER);
    assert_eq!(log.state().scan(&from, &to, usize::MAX).len(), pointers.len());
    let (from, to) = all(keys::GROUPS_OF_USER);
    let counts = log.state().records::<GroupCountRecord>(&from, &to, usize::MAX).unwrap();
    assert_eq!(counts.iter().map(|(_, count)| count.groups as usize).sum::<usize>(), pointers.len());
    let (from, to) = all(keys::GROUP);
    let (home_from, home_to) = all(keys::GROUP_BY_SHARD);
    assert_eq!(
        log.state().scan(&from, &to, usize::MAX).len(),
        log.state().scan(&home_from, &home_to, usize::MAX).len()
    );
}

fn commands() -> impl Strategy<Value = C> {
    let user = || proptest::sample::select(USERS.to_vec());
    let actor = || prop_oneof![3 => user(), 1 => Just("")];
    let group = || prop_oneof![4 => Just("g"), 1 => Just("h")];
    let member = || {
        (user(), 0_i32..3, 0_u32..4, 0_u32..4).prop_map(|(user, role, allow, deny)| Member {
            role,
            allow: allow << 1,
            deny: deny << 1,
            ..plain(user)
        })
    };
    let expires = || prop_oneof![3 => Just(0_i64), 1 => 1_000_i64..40_000];
    let operation = prop_oneof![
        2 => (0_i32..4, expires(), vec(member(), 0..3)).prop_map(|(kind, expires_at_ms, members)| {
            let group = Group { kind, expires_at_ms, ..Group::default() };
            Op::Create(Create { group: Some(group), members })
        }),
        5 => vec(member(), 0..4).prop_map(add),
        5 => vec(user().prop_map(plain), 1..3).prop_map(add),
        3 => vec(user().prop_map(str::to_owned), 0..3).prop_map(|users| Op::Remove(Remove { users })),
        2 => Just(Op::Leave(Leave {})),
        3 => member().prop_map(|member| {
            let Member { user, role, allow, deny, .. } = member;
            Op::Member(MemberChange { user, role: Some(role), allow: Some(allow), deny: Some(deny) })
        }),
        2 => (any::<Option<bool>>(), proptest::option::of(0_i32..4), proptest::option::of(expires())).prop_map(
            |(paused, kind, expires_at_ms)| {
                Op::Settings(SettingsChange { paused, kind, expires_at_ms, ..SettingsChange::default() })
            }
        ),
        1 => Just(Op::Delete(Delete {})),
        2 => prop_oneof![Just("c1"), Just("c2")].prop_map(join),
    ];
    prop_oneof![
        16 => (actor(), group(), operation).prop_map(|(actor, group, op)| by(actor, group, op)),
        2 => (prop_oneof![Just("c1"), Just("c2")], 0_u32..3, expires()).prop_map(|(code, uses, at)| invite(code, uses, at)),
        1 => prop_oneof![Just("c1"), Just("c2")].prop_map(|code: &str| {
            let (app, group, code) = ("default".to_owned(), "g".to_owned(), code.to_owned());
            C::DeleteInvite(DeleteInvite { app, group, code })
        }),
        1 => user().prop_map(|id| C::DeleteUser(DeleteUser { app: "default".to_owned(), id: id.to_owned() })),
        1 => user().prop_map(|id| create_user(id, "")),
        2 => Just(C::Sweep(Sweep {})),
    ]
}

proptest! {
    #[test]
    fn events_tell_all_and_counts_agree(history in vec((commands(), 0_i64..2_000), 1..60)) {
        let mut log = group();
        for (command, pause_ms) in history {
            log.now_ms += pause_ms;
            let before = log.dump();
            let wanted = command.clone();
            let outcome = log.apply(command);
            if outcome.is_err() {
                prop_assert_eq!(before, log.dump(), "a refusal changes nothing: {:?}", wanted);
            }
            agrees(&log, "g");
            agrees(&log, "h");
            memberships_agree(&log);
        }
        log.apply(C::DeleteApp(DeleteApp { id: "default".to_owned() })).unwrap();
        while super::sweep::has_work(log.state(), log.now_ms).unwrap() {
            log.apply(C::Sweep(Sweep {})).unwrap();
        }
        let left = log.state().scan(&[keys::GROUP], &[keys::INVITE_OF_GROUP + 1], usize::MAX);
        prop_assert!(left.is_empty(), "{:?}", left);
    }

    /// Doing again what was just done leads to the same, and is no second event.
    #[test]
    fn repeating_changes_nothing(history in vec(commands(), 1..30)) {
        let mut log = group();
        for command in history {
            let repeated = log.apply(command.clone()).is_ok() && matches!(&command, C::ActOnGroup(act)
                if !matches!(act.operation.as_ref().and_then(|op| op.operation.as_ref()), Some(Op::Delete(_))));
            if repeated {
                let before = log.dump();
                // A creation of a group whose time was over at once, and a change by whoever lost the right to it, may
                // be refused; they change nothing either.
                let _ = log.apply(command);
                prop_assert_eq!(before, log.dump());
            }
        }
    }
}

#[test]
fn roles_and_permissions_say_who_may_what() {
    let mut log = group();
    log.apply(by("alice", "g", add(vec![as_role("bob", Role::Admin), plain("carol")]))).unwrap();
    let denied = ErrorCode::PermissionDenied;
    // A plain member.
    assert_eq!(code(log.apply(by("carol", "g", add(vec![plain("dave")])))), denied);
    assert_eq!(code(log.apply(by("carol", "g", remove("bob")))), denied);
    assert_eq!(code(log.apply(by("carol", "g", role("carol", Role::Owner)))), denied);
    let paused = || Op::Settings(SettingsChange { paused: Some(true), ..SettingsChange::default() });
    assert_eq!(code(log.apply(by("carol", "g", paused()))), denied);
    assert_eq!(code(log.apply(by("carol", "g", Op::Delete(Delete {})))), denied);
    // An admin, who reaches those below, and makes nobody more than that.
    log.apply(by("bob", "g", add(vec![plain("dave")]))).unwrap();
    log.apply(by("bob", "g", paused())).unwrap();
    assert_eq!(code(log.apply(by("bob", "g", role("dave", Role::Owner)))), denied);
    assert_eq!(code(log.apply(by("bob", "g", role("dave", Role::Admin)))), denied);
    assert_eq!(code(log.apply(by("bob", "g", role("alice", Role::Member)))), denied);
    assert_eq!(code(log.apply(by("bob", "g", remove("alice")))), denied);
    assert_eq!(code(log.apply(by("bob", "g", Op::Delete(Delete {})))), denied);
    log.apply(by("bob", "g", remove("dave"))).unwrap();
    // Who is no member.
    assert_eq!(code(log.apply(by("dave", "g", add(vec![plain("dave")])))), ErrorCode::NotAMember);
    assert_eq!(code(log.apply(by("dave", "nowhere", remove("alice")))), ErrorCode::NotFound);
    let outcome = done(log.apply(by("dave", "g", Op::Leave(Leave {}))));
    assert_eq!(outcome, GroupOutcome::default(), "who is not in it has left, and learns nothing");
    // A permission that was given, or taken.
    let give = |user: &str, permission| {
        let allow = Some(Permissions::NONE.with(permission).bits());
        Op::Member(MemberChange { user: user.to_owned(), allow, ..MemberChange::default() })
    };
    log.apply(by("alice", "g", give("carol", Permission::Add))).unwrap();
    log.apply(by("carol", "g", add(vec![plain("dave")]))).unwrap();
    let deny = Some(Permissions::NONE.with(Permission::Add).bits());
    let take = Op::Member(MemberChange { user: "bob".to_owned(), deny, ..MemberChange::default() });
    log.apply(by("alice", "g", take)).unwrap();
    assert_eq!(code(log.apply(by("bob", "g", give("dave", Permission::Add)))), denied, "nobody gives what they lack");
}

#[test]
fn a_group_keeps_an_owner_unless_a_backend_takes_it() {
    let mut log = group();
    log.apply(by("", "g", add(vec![plain("bob")]))).unwrap();
    let refused = ErrorCode::FailedPrecondition;
    assert_eq!(code(log.apply(by("alice", "g", Op::Leave(Leave {})))), refused);
    assert_eq!(code(log.apply(by("alice", "g", role("alice", Role::Member)))), refused);
    log.apply(by("alice", "g", role("bob", Role::Owner))).unwrap();
    log.apply(by("alice", "g", Op::Leave(Leave {}))).unwrap();
    log.apply(by("alice", "g", Op::Leave(Leave {}))).unwrap();
    log.apply(by("", "g", role("bob", Role::Member))).unwrap();
    assert_eq!(members_of(&log, "g").keys().collect::<Vec<_>>(), ["bob"]);
    log.apply(by("bob", "g", Op::Leave(Leave {}))).unwrap();
    assert!(groups::get(log.state(), "default", "g", log.now_ms).is_ok(), "it was a backend's");

    log.apply(by("carol", "hers", Op::Create(Create::default()))).unwrap();
    log.apply(by("carol", "hers", Op::Leave(Leave {}))).unwrap();
    assert!(groups::get(log.state(), "default", "hers", log.now_ms).is_err(), "it ended with its last member");
    log.apply(by("carol", "hers", Op::Leave(Leave {}))).unwrap();
}

#[test]
fn an_invitation_is_good_until_its_time_or_its_uses_are_over() {
    let mut log = group();
    log.apply(invite("once", 1, 0)).unwrap();
    log.apply(invite("once", 1, 0)).unwrap();
    assert_eq!(code(log.apply(invite("once", 2, 0))), ErrorCode::AlreadyExists);
    log.apply(invite("soon", 0, 5_000)).unwrap();
    let joined = done(log.apply(by("bob", "", join("once"))));
    assert_eq!(joined.members[0].user, "bob");
    let again = done(log.apply(by("bob", "", join("once"))));
    assert_eq!(again.members, joined.members, "whoever repeats it is in, and uses nothing up");
    assert_eq!(code(log.apply(by("carol", "", join("once")))), ErrorCode::NotFound);
    log.now_ms = 4_999;
    log.apply(by("carol", "", join("soon"))).unwrap();
    log.now_ms = 5_000;
    assert_eq!(code(log.apply(by("dave", "", join("soon")))), ErrorCode::NotFound);
    assert_eq!(code(log.apply(by("dave", "", join("never")))), ErrorCode::NotFound);
    for number in 2..invites::MAX_INVITES {
        log.apply(invite(&number.to_string(), 0, 0)).unwrap();
    }
    assert_eq!(code(log.apply(invite("one more", 0, 0))), ErrorCode::FailedPrecondition);
}

#[test]
fn a_group_ends_at_its_time_and_its_id_can_be_used_again_after() {
    let mut log = group();
    let ends = Op::Settings(SettingsChange { expires_at_ms: Some(9_000), ..SettingsChange::default() });
    let before = done(log.apply(by("", "g", ends))).group.unwrap().revision;
    log.now_ms = 9_000;
    assert_eq!(code(log.apply(by("", "g", add(vec![plain("bob")])))), ErrorCode::NotFound);
    assert_eq!(code(log.apply(by("", "g", Op::Create(Create::default())))), ErrorCode::FailedPrecondition);
    assert!(super::sweep::has_work(log.state(), log.now_ms).unwrap());
    log.apply(C::Sweep(Sweep {})).unwrap();
    assert_eq!(events::after(log.state(), "default", "g", before).unwrap(), events::Page::Gone);
    let anew = done(log.apply(by("bob", "g", Op::Create(Create::default())))).group.unwrap();
    assert!(anew.revision > before);
    let events::Page::Events { events, .. } = events::after(log.state(), "default", "g", before).unwrap() else {
        panic!()
    };
    assert!(matches!(events[0].event, Some(event::Event::Created(_))), "whoever knew the former begins anew");
}

#[test]
fn whoever_comes_too_late_takes_the_members_as_they_are() {
    let mut log = group();
    let pause = |paused| Op::Settings(SettingsChange { paused: Some(paused), ..SettingsChange::default() });
    let start = done(log.apply(by("", "g", pause(true)))).group.unwrap().revision;
    for round in 0..events::MAX_EVENTS {
        log.apply(by("", "g", pause(round % 2 == 1))).unwrap();
    }
    let events::Page::Events { events, revision, group } = events::after(log.state(), "default", "g", start).unwrap()
    else {
        panic!()
    };
    assert!(events.len() == 100 && revision < group.revision, "the rest comes with the next page");
    log.apply(by("", "g", pause(true))).unwrap();
    log.apply(by("", "g", pause(false))).unwrap();
    assert!(matches!(events::after(log.state(), "default", "g", start).unwrap(), events::Page::Reset(_)));
    let ahead = events::after(log.state(), "default", "g", u64::MAX).unwrap();
    assert!(matches!(ahead, events::Page::Reset(_)), "a revision that this group never had");
    let state = log.state();
    let over = tidings_proto::registry::v1::GroupRecord {
        deleting: true,
        ..groups::stored(state, "default", "g").unwrap().unwrap()
    };
    assert_eq!(events::as_it_is(over), events::Page::Gone, "nobody takes members that are being swept");
    let prefix = keys::texts(keys::GROUP_EVENT, &["default", "g"]);
    let kept = log.state().scan(&prefix, &keys::end_of(&prefix), usize::MAX).len();
    assert_eq!(kept, events::MAX_EVENTS as usize);
}

#[test]
fn a_large_group_is_filled_and_swept_in_steps_and_a_page_of_events_is_bounded() {
    let mut log = group();
    let name = |number: usize| format!("user{number:05}");
    for number in 0..2_500 {
        log.apply(create_user(&name(number), "")).unwrap();
    }
    let chunk = |from: usize, to: usize| add((from..to).map(|number| plain(&name(number))).collect());
    assert_eq!(code(log.apply(by("", "g", chunk(0, 1_002)))), ErrorCode::InvalidArgument);
    for from in [0, 1_000, 2_000] {
        log.apply(by("", "g", chunk(from, (from + 1_000).min(2_500)))).unwrap();
    }
    assert_eq!(members_of(&log, "g").len(), 2_501);
    let (mut after, mut pages) = (0, 0);
    while let events::Page::Events { events, revision, .. } = events::after(log.state(), "default", "g", after).unwrap()
        && revision > after
    {
        assert!(events.len() <= 3);
        (after, pages) = (revision, pages + 1);
    }
    assert_eq!(pages, 3);
    log.apply(by("alice", "g", Op::Delete(Delete {}))).unwrap();
    assert_eq!(code(log.apply(by("", "g", remove("user00000")))), ErrorCode::NotFound);
    let mut steps = 0;
    while super::sweep::has_work(log.state(), log.now_ms).unwrap() {
        log.apply(C::Sweep(Sweep {})).unwrap();
        steps += 1;
    }
    assert!((5..9).contains(&steps), "{steps}");
    memberships_agree(&log);
    assert!(groups::stored(log.state(), "default", "g").unwrap().is_none());
}

#[test]
fn a_group_has_a_hundred_thousand_members_and_not_one_more() {
    let mut log = group();
    let most = members::MAX_MEMBERS as usize;
    let name = |number: usize| format!("user{number:06}");
    // With alice, who is its owner, the last of these is one too many.
    for number in 0..most {
        log.apply(create_user(&name(number), "")).unwrap();
    }
    let chunk = |from: usize, to: usize| add((from..to).map(|number| plain(&name(number))).collect());
    for from in (0..most - 1_000).step_by(1_000) {
        log.apply(by("", "g", chunk(from, from + 1_000))).unwrap();
    }
    assert_eq!(code(log.apply(by("", "g", chunk(most - 1_000, most)))), ErrorCode::FailedPrecondition);
    let full = done(log.apply(by("", "g", chunk(most - 1_000, most - 1)))).group.unwrap();
    assert_eq!(full.members as usize, most);
    assert_eq!(code(log.apply(by("", "g", add(vec![plain(&name(most - 1))])))), ErrorCode::FailedPrecondition);
    log.apply(by("", "g", chunk(0, 1_000))).unwrap();
    log.apply(by("", "g", remove(&name(0)))).unwrap();
    log.apply(by("", "g", add(vec![plain(&name(most - 1))]))).unwrap();
}

#[test]
fn a_user_is_in_a_thousand_groups_and_deleting_it_takes_it_out_of_all() {
    let mut log = group();
    let create = |number: u32| {
        let members = vec![plain("bob")];
        by("", &format!("g{number}"), Op::Create(Create { group: None, members }))
    };
    for number in 0..members::MAX_GROUPS_OF_USER {
        log.apply(create(number)).unwrap();
    }
    assert_eq!(code(log.apply(create(members::MAX_GROUPS_OF_USER))), ErrorCode::FailedPrecondition);
    log.apply(C::DeleteUser(DeleteUser { app: "default".to_owned(), id: "bob".to_owned() })).unwrap();
    memberships_agree(&log);
    assert!(members_of(&log, "g999").is_empty());
    let group = group_of(&groups::stored(log.state(), "default", "g7").unwrap().unwrap());
    assert_eq!(group.members, 0);
    log.apply(create_user("bob", "")).unwrap();
    assert!(members_of(&log, "g7").is_empty(), "a new user of the same id inherits nothing");
}

#[test]
fn creating_twice_is_creating_once_and_a_stranger_s_group_is_told_from_one_s_own() {
    let mut log = group();
    let announcement = Group { kind: Kind::Announcement.into(), ..Group::default() };
    let create = |group: &Group| Op::Create(Create { group: Some(group.clone()), members: Vec::new() });
    let made = done(log.apply(by("bob", "news", create(&announcement)))).group;
    assert_eq!(done(log.apply(by("bob", "news", create(&announcement)))).group, made);
    assert_eq!(code(log.apply(by("bob", "news", create(&Group::default())))), ErrorCode::AlreadyExists);
    assert_eq!(code(log.apply(by("carol", "news", create(&announcement)))), ErrorCode::AlreadyExists);
    let crowd = Op::Create(Create { group: None, members: vec![as_role("carol", Role::Owner)] });
    assert_eq!(code(log.apply(by("bob", "other", crowd))), ErrorCode::InvalidArgument);
    let unknown = Op::Create(Create { group: None, members: vec![plain("nobody")] });
    assert_eq!(code(log.apply(by("", "other", unknown))), ErrorCode::NotFound);
    assert_eq!(code(log.apply(by("nobody", "other", Op::Create(Create::default())))), ErrorCode::NotFound);
}
