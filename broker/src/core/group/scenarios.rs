//! What groups do, one short story each.

use tidings_proto::ErrorCode;
use tidings_proto::mailbox::v1::command::Command;
use tidings_proto::mailbox::v1::{
    AppendMessage, ExpandGroups, GroupChange, GroupMember, GroupSettings, PostMessage, UpdateGroup,
};
use tidings_proto::message::v1::group_event::Kind;
use tidings_proto::message::v1::{GroupEvent, envelope};

use crate::core::limits::{EXPANDED_PER_COMMAND, USERS_PER_UPDATE};
use crate::core::testing::{APP, Shard, message};
use crate::core::{AttachedDevice, Reply};

const SEND: u32 = 1 << 1;
const RECEIVE: u32 = 1 << 2;
const ALL: u32 = SEND | RECEIVE;

/// A member who may do this, in a group that lets plain members do nothing.
fn member(user: &str, allow: u32) -> GroupMember {
    GroupMember { user: user.to_owned(), allow, ..GroupMember::default() }
}

fn update(shard: &mut Shard, revisions: (u64, u64), changes: Vec<GroupChange>) -> Reply {
    let (from_revision, to_revision) = revisions;
    let (app, group) = (APP.to_owned(), "team".to_owned());
    shard.apply(Command::UpdateGroup(UpdateGroup {
        app,
        group,
        from_revision,
        to_revision,
        changes,
        ..UpdateGroup::default()
    }))
}

fn put(members: &[GroupMember]) -> GroupChange {
    GroupChange { put: members.to_vec(), ..GroupChange::default() }
}

fn removed(kind: Kind, users: &[&str]) -> GroupChange {
    let removed = users.iter().map(|user| (*user).to_owned()).collect();
    GroupChange { kind: kind.into(), removed, ..GroupChange::default() }
}

fn settings(settings: GroupSettings) -> GroupChange {
    GroupChange { settings: Some(settings), ..GroupChange::default() }
}

/// A shard with a group of these members.
fn shard_with(members: &[GroupMember]) -> Shard {
    let mut shard = Shard::alone();
    let created = GroupChange { kind: Kind::Created.into(), ..put(members) };
    let changes = vec![settings(GroupSettings::default()), created];
    assert_eq!(update(&mut shard, (0, 5), changes), Reply::GroupStands { revision: 5 });
    shard
}

fn say(shard: &mut Shard, from: &AttachedDevice, user: &str, seq: u64) -> Reply {
    shard.apply(Command::AppendToGroup(message("team", from, user, seq)))
}

fn is_accepted(reply: &Reply) -> bool {
    matches!(reply, Reply::Appended { duplicate: false, .. })
}

fn events(shard: &Shard, user: &str) -> Vec<GroupEvent> {
    let entries = shard.entries(user, 0).into_iter();
    let events = entries.filter_map(|(_, envelope)| match envelope.event {
        Some(envelope::Event::GroupEvent(event)) => Some(event),
        _ => None,
    });
    events.collect()
}

#[test]
fn all_members_see_one_order_and_the_sender_its_own_place_in_it() {
    let mut shard = shard_with(&[member("alice", ALL), member("bob", ALL)]);
    let alice = shard.attach("alice", "phone", None);
    let bob = shard.attach("bob", "phone", None);
    assert!(is_accepted(&say(&mut shard, &alice, "alice", 1)));
    assert!(is_accepted(&say(&mut shard, &bob, "bob", 1)));
    for user in ["alice", "bob"] {
        let messages = shard.messages(user);
        let seen: Vec<_> = messages.iter().map(|message| (message.from.as_str(), message.group_seq)).collect();
        assert_eq!(seen, [("alice", 2), ("bob", 3)], "after the event that the group was created");
        assert!(messages.iter().all(|message| message.group == "team" && message.to.is_empty()));
        let created = &events(&shard, user)[0];
        assert_eq!((created.kind(), created.group_seq), (Kind::Created, 1));
        assert_eq!(created.users, ["alice", "bob"]);
    }
    shard.check(&["alice", "bob"]);
}

#[test]
fn who_is_removed_is_told_so_last_and_a_retry_is_still_answered() {
    let mut shard = shard_with(&[member("alice", ALL), member("bob", ALL)]);
    let (alice, bob) = (shard.attach("alice", "phone", None), shard.attach("bob", "phone", None));
    say(&mut shard, &bob, "bob", 1);
    update(&mut shard, (5, 6), vec![removed(Kind::Removed, &["bob", "nobody"])]);
    assert!(matches!(say(&mut shard, &bob, "bob", 1), Reply::Appended { duplicate: true, .. }));
    assert_eq!(say(&mut shard, &bob, "bob", 2), Reply::Refused(ErrorCode::NotAMember));
    assert!(is_accepted(&say(&mut shard, &alice, "alice", 1)));
    let last = events(&shard, "bob").pop().unwrap();
    assert_eq!((last.kind(), last.users), (Kind::Removed, vec!["bob".to_owned()]));
    assert_eq!(shard.messages("bob").len(), 1);
    assert_eq!(shard.messages("alice").len(), 2);
}

#[test]
fn backends_speak_as_members_and_as_the_system_once_for_each_request() {
    let mut shard = shard_with(&[member("alice", ALL), member("bob", RECEIVE)]);
    let post = |from: &str, request: &str, by_system| {
        let (app, to, from) = (APP.to_owned(), "team".to_owned(), from.to_owned());
        let message = Some(AppendMessage { app, to, from, ..AppendMessage::default() });
        Command::PostMessage(PostMessage {
            message,
            request_id: request.to_owned(),
            to_group: true,
            by_system,
            ..PostMessage::default()
        })
    };
    let Reply::Posted { id, duplicate: false, .. } = shard.apply(post("system", "1", true)) else { panic!() };
    let Reply::Posted { id: again, duplicate: true, .. } = shard.apply(post("system", "1", true)) else { panic!() };
    assert_eq!(id, again);
    assert!(matches!(shard.apply(post("alice", "1", false)), Reply::Posted { duplicate: false, .. }));
    assert_eq!(shard.apply(post("bob", "1", false)), Reply::Refused(ErrorCode::PermissionDenied));
    assert_eq!(shard.apply(post("system", "2", false)), Reply::Refused(ErrorCode::NotAMember));
    let seen: Vec<_> = shard.messages("bob").iter().map(|message| (message.from.clone(), message.group_seq)).collect();
    assert_eq!(seen, [("system".to_owned(), 2), ("alice".to_owned(), 3)]);
    update(&mut shard, (5, 6), vec![settings(GroupSettings { deleted: true, ..GroupSettings::default() })]);
    assert_eq!(shard.apply(post("system", "3", true)), Reply::Refused(ErrorCode::NotAMember));
    assert_eq!(shard.replay().dump(), shard.store.dump());
}

#[test]
fn refusals_have_their_reasons() {
    let mut shard = shard_with(&[member("alice", ALL), member("bob", RECEIVE)]);
    let (alice, bob) = (shard.attach("alice", "phone", None), shard.attach("bob", "phone", None));
    let eve = shard.attach("eve", "phone", None);
    assert_eq!(say(&mut shard, &eve, "eve", 1), Reply::Refused(ErrorCode::NotAMember));
    assert_eq!(say(&mut shard, &bob, "bob", 1), Reply::Refused(ErrorCode::PermissionDenied));
    let unknown = shard.apply(Command::AppendToGroup(message("other", &alice, "alice", 1)));
    assert_eq!(unknown, Reply::Refused(ErrorCode::NotAMember));
    let mut transient = message("team", &alice, "alice", 1);
    transient.ttl_ms = Some(0);
    assert_eq!(shard.apply(Command::AppendToGroup(transient)), Reply::Refused(ErrorCode::InvalidArgument));
    update(&mut shard, (5, 6), vec![settings(GroupSettings { paused: true, ..GroupSettings::default() })]);
    assert_eq!(say(&mut shard, &alice, "alice", 1), Reply::Refused(ErrorCode::GroupPaused));
    assert_eq!(events(&shard, "bob").last().unwrap().kind(), Kind::Settings);
    update(&mut shard, (6, 7), vec![settings(GroupSettings::default())]);
    let mut second = message("team", &alice, "alice", 2);
    second.after = 1;
    assert_eq!(shard.apply(Command::AppendToGroup(second)), Reply::Refused(ErrorCode::OutOfOrder));
    assert!(is_accepted(&say(&mut shard, &alice, "alice", 1)));
}

#[test]
fn a_listener_alone_gets_messages_and_everybody_hears_who_comes() {
    let mut shard = shard_with(&[member("alice", ALL), member("bob", SEND)]);
    let alice = shard.attach("alice", "phone", None);
    say(&mut shard, &alice, "alice", 1);
    update(&mut shard, (5, 6), vec![put(&[member("carol", ALL)])]);
    assert!(shard.messages("bob").is_empty());
    assert_eq!(events(&shard, "bob").last().unwrap().kind(), Kind::Joined);
    update(&mut shard, (6, 7), vec![put(&[member("bob", ALL)])]);
    say(&mut shard, &alice, "alice", 2);
    assert_eq!(shard.messages("bob").len(), 1);
    assert_eq!(events(&shard, "bob").last().unwrap().kind(), Kind::MembersChanged);
}

#[test]
fn what_plain_members_may_do_changes_for_all_at_one_place_in_the_order() {
    let mut shard = shard_with(&[member("alice", ALL), member("bob", 0)]);
    let (alice, bob) = (shard.attach("alice", "phone", None), shard.attach("bob", "phone", None));
    say(&mut shard, &alice, "alice", 1);
    assert_eq!(say(&mut shard, &bob, "bob", 1), Reply::Refused(ErrorCode::PermissionDenied));
    let open = GroupSettings { member_permissions: ALL, ..GroupSettings::default() };
    update(&mut shard, (5, 6), vec![settings(open)]);
    say(&mut shard, &alice, "alice", 2);
    assert!(is_accepted(&say(&mut shard, &bob, "bob", 1)));
    let seqs: Vec<_> = shard.messages("bob").iter().map(|message| message.id.unwrap().seq).collect();
    assert_eq!(seqs, [2, 1], "nothing of what was said before");
}

#[test]
fn a_hunt_group_gives_each_message_to_the_next_one() {
    let mut shard = shard_with(&[member("alice", ALL), member("bob", ALL), member("carol", ALL)]);
    update(&mut shard, (5, 6), vec![settings(GroupSettings { hunt: true, ..GroupSettings::default() })]);
    let customer = shard.attach("alice", "phone", None);
    for seq in 1..=4 {
        assert!(is_accepted(&say(&mut shard, &customer, "alice", seq)));
    }
    let got = |user: &str| -> Vec<u64> { shard.messages(user).iter().map(|message| message.id.unwrap().seq).collect() };
    assert_eq!((got("bob"), got("carol"), got("alice")), (vec![1, 3], vec![2, 4], vec![1, 2, 3, 4]));
}

#[test]
fn a_deleted_group_takes_no_message_and_tells_each_member_once() {
    let mut shard = shard_with(&[member("alice", ALL), member("bob", ALL)]);
    let alice = shard.attach("alice", "phone", None);
    update(&mut shard, (5, 5), vec![settings(GroupSettings { deleted: true, ..GroupSettings::default() })]);
    assert_eq!(say(&mut shard, &alice, "alice", 1), Reply::Refused(ErrorCode::NotAMember));
    update(&mut shard, (5, 5), vec![removed(Kind::Deleted, &["alice"])]);
    update(&mut shard, (5, 6), vec![removed(Kind::Deleted, &["bob"])]);
    for user in ["alice", "bob"] {
        let told = events(&shard, user).into_iter().filter(|event| event.kind() == Kind::Deleted);
        assert_eq!(told.map(|event| event.users).collect::<Vec<_>>(), [[user.to_owned()]]);
    }
}

#[test]
fn what_is_not_from_the_revision_that_the_home_has_changes_nothing() {
    let mut shard = shard_with(&[member("alice", ALL)]);
    let gap = update(&mut shard, (6, 7), vec![put(&[member("bob", ALL)])]);
    assert_eq!(gap, Reply::GroupStands { revision: 5 });
    let backwards = update(&mut shard, (5, 4), vec![put(&[member("bob", ALL)])]);
    assert_eq!(backwards, Reply::Refused(ErrorCode::InvalidArgument));
    let crowd: Vec<_> = (0..=USERS_PER_UPDATE).map(|number| member(&number.to_string(), ALL)).collect();
    assert_eq!(update(&mut shard, (5, 6), vec![put(&crowd)]), Reply::Refused(ErrorCode::InvalidArgument));
    assert_eq!(update(&mut shard, (5, 6), vec![put(&crowd[1..])]), Reply::GroupStands { revision: 6 });
    assert_eq!(
        update(&mut shard, (6, 7), vec![put(&[member("a\0b", ALL)])]),
        Reply::Refused(ErrorCode::InvalidArgument)
    );
    assert!(events(&shard, "bob").is_empty());
}

#[test]
fn one_command_gives_no_more_than_its_places_and_the_rest_follows() {
    let mut shard = Shard::alone();
    let everybody: Vec<_> = (0..EXPANDED_PER_COMMAND + 500).map(|number| format!("user-{number:05}")).collect();
    for (revision, users) in (0..).zip(everybody.chunks(USERS_PER_UPDATE)) {
        let members: Vec<_> = users.iter().map(|user| member(user, ALL)).collect();
        update(&mut shard, (revision, revision + 1), vec![put(&members)]);
    }
    while shard.apply(Command::ExpandGroups(ExpandGroups {})) == (Reply::GroupsExpanded { more: true }) {}
    let sender = shard.attach(&everybody[0], "phone", None);
    say(&mut shard, &sender, &everybody[0], 1);
    let has_it = |shard: &Shard| everybody.iter().filter(|user| shard.messages(user).len() == 1).count();
    assert_eq!(has_it(&shard), EXPANDED_PER_COMMAND);
    assert_eq!(shard.apply(Command::ExpandGroups(ExpandGroups {})), Reply::GroupsExpanded { more: false });
    assert_eq!(has_it(&shard), everybody.len());
}

#[test]
fn a_message_whose_time_has_passed_goes_with_its_body_and_fails_nobody() {
    let mut shard = shard_with(&[member("alice", ALL), member("bob", ALL)]);
    let alice = shard.attach("alice", "phone", None);
    let mut short = message("team", &alice, "alice", 1);
    short.ttl_ms = Some(10);
    assert!(is_accepted(&shard.apply(Command::AppendToGroup(short))));
    shard.now_ms += 11;
    assert_eq!(shard.expire(), Reply::Expired { entries: 2, more: false });
    assert!(shard.messages("alice").is_empty() && shard.messages("bob").is_empty());
    assert!(shard.failures("alice").is_empty());
    shard.check(&["alice", "bob"]);
}
