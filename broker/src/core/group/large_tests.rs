//! Large groups, one short story each.

use bytes::Bytes;
use tidings_proto::mailbox::v1::command::Command;
use tidings_proto::mailbox::v1::{
    AppendMessage, EraseMailbox, GroupChange, GroupMember, GroupMemberRecord, GroupRecord, LocalPlaceRecord,
    RestingRecord, UpdateGroup,
};
use tidings_proto::message::v1::group_event::Kind;
use tidings_proto::message::v1::{Change, MessageId, change, envelope};

use super::large::measure;
use super::testing::{ALL, group, is_accepted, kept, member};
use crate::core::limits::{DRAWN_ENTRIES, FOLLOWED_ENTRIES, RETAINED_MS};
use crate::core::testing::{APP, Shard, mailbox_of};
use crate::core::{AttachedDevice, Bounds, Reply, keys, records};
use tidings_consensus::StateStore as _;

const TEAM: &str = "team";

fn change(shard: &mut Shard, revision: u64, change: GroupChange) {
    let (app, group, large_beyond) = (APP.to_owned(), TEAM.to_owned(), 2);
    let (from_revision, to_revision, changes) = (revision - 1, revision, vec![change]);
    let update = UpdateGroup { app, group, from_revision, to_revision, changes, large_beyond };
    assert_eq!(shard.apply(Command::UpdateGroup(update)), Reply::GroupStands { revision });
}

fn put(members: &[GroupMember]) -> GroupChange {
    GroupChange { put: members.to_vec(), ..GroupChange::default() }
}

fn removed(user: &str) -> GroupChange {
    GroupChange { kind: Kind::Removed.into(), removed: vec![user.to_owned()], ..GroupChange::default() }
}

/// A shard with a large group of alice, who is there, bob, who was once, and carol, who never was.
fn shard() -> (Shard, AttachedDevice, AttachedDevice) {
    let mut shard = Shard::alone();
    let (alice, bob) = (shard.attach("alice", "phone", None), shard.attach("bob", "phone", None));
    shard.form(TEAM, &[]);
    change(&mut shard, 2, put(&["alice", "bob", "carol"].map(|user| member(user, ALL))));
    (shard, alice, bob)
}

/// Alice says something so many times, and has it each time.
fn say(shard: &mut Shard, alice: &AttachedDevice, numbers: std::ops::RangeInclusive<u64>) {
    for seq in numbers {
        assert!(is_accepted(&shard.say_in(kept(TEAM, alice, "alice", seq, &format!("says {seq}")))));
        shard.ack("alice", alice, u64::MAX);
    }
}

/// The places of the group that wait in a mailbox, and that were acknowledged and wait for another device.
fn places(shard: &Shard, user: &str) -> Vec<u64> {
    let entries = shard.entries(user, 0).into_iter();
    let place = |event| match event {
        Some(envelope::Event::Message(message)) => Some(message.group_seq),
        Some(envelope::Event::GroupEvent(event)) => Some(event.group_seq),
        Some(envelope::Event::Change(change)) => Some(change.group_seq),
        _ => None,
    };
    entries.filter_map(|(_, envelope)| place(envelope.event)).collect()
}

/// Whether a text stands anywhere in the shard's state.
fn holds(shard: &Shard, text: &str) -> bool {
    let values = shard.store.dump().into_iter().map(|(_, value)| value);
    values.into_iter().any(|value| value.windows(text.len()).any(|part| part == text.as_bytes()))
}

fn kept_places(shard: &Shard) -> usize {
    let (from, to) = keys::local_places(&group(TEAM), 0, u64::MAX);
    shard.store.scan(&from, &to, usize::MAX).len()
}

#[test]
fn who_is_away_costs_nothing_and_catches_up_in_the_group_s_order() {
    let (mut shard, alice, bob) = shard();
    say(&mut shard, &alice, 1..=400);
    assert_eq!(places(&shard, "bob").len() as u64, FOLLOWED_ENTRIES, "then he rests");
    assert_eq!(places(&shard, "carol"), [0u64; 0], "she has no device that would wait for it");
    assert_eq!(kept_places(&shard), 401, "carol rests from the beginning");

    // As he acknowledges, bob is given the next.
    let mut got = places(&shard, "bob");
    while got.len() < 401 {
        let last = shard.record("bob").last_seq;
        shard.ack("bob", &bob, last);
        let entries = places(&shard, "bob");
        assert!(!entries.is_empty() && entries.len() as u64 <= DRAWN_ENTRIES, "{}", entries.len());
        got.extend(entries);
    }
    assert_eq!(got, (1..=401).collect::<Vec<_>>());
    shard.ack("bob", &bob, u64::MAX);
    say(&mut shard, &alice, 401..=401);
    assert_eq!(places(&shard, "bob"), [402], "he follows again");

    let carol = shard.attach("carol", "phone", None);
    assert_eq!((carol.cursor, carol.tail), (0, DRAWN_ENTRIES));
    shard.ack("carol", &carol, carol.tail);
    assert_eq!(places(&shard, "carol"), (DRAWN_ENTRIES + 1..=402).collect::<Vec<_>>());
    assert_eq!(kept_places(&shard), 402 - 256, "nobody rests: it goes, so many at a time");
    shard.ack("carol", &carol, u64::MAX);
    say(&mut shard, &alice, 402..=402);
    assert_eq!(kept_places(&shard), 0);
    shard.check(&["alice", "bob", "carol"]);
    assert_eq!(shard.replay().dump(), shard.store.dump());
}

#[test]
fn who_is_removed_while_away_is_given_what_stands_before_and_nothing_behind() {
    let (mut shard, alice, _) = shard();
    say(&mut shard, &alice, 1..=2);
    change(&mut shard, 3, removed("carol"));
    say(&mut shard, &alice, 3..=3);
    change(&mut shard, 4, put(&[member("carol", ALL)]));
    say(&mut shard, &alice, 4..=4);
    change(&mut shard, 5, removed("carol"));
    say(&mut shard, &alice, 5..=5);
    shard.attach("carol", "phone", None);
    // Created, two messages, the removal; joined again, a message, the other removal.
    assert_eq!(places(&shard, "carol"), [1, 2, 3, 4, 6, 7, 8]);
    assert_eq!(shard.record("carol").resting, 0);
    say(&mut shard, &alice, 6..=6);
    assert_eq!(places(&shard, "carol").len(), 7);
}

#[test]
fn permissions_hold_as_they_were_at_each_place() {
    let (mut shard, alice, _) = shard();
    say(&mut shard, &alice, 1..=1);
    change(&mut shard, 3, put(&[member("carol", 0)]));
    say(&mut shard, &alice, 2..=2);
    change(&mut shard, 4, put(&[member("carol", ALL)]));
    say(&mut shard, &alice, 3..=3);
    shard.attach("carol", "phone", None);
    assert_eq!(places(&shard, "carol"), [1, 2, 3, 5, 6], "the second was not for her; that she was changed is");
}

#[test]
fn what_was_trimmed_before_it_was_read_is_told_as_unknown() {
    let (mut shard, alice, bob) = shard();
    shard.bounds = Bounds { timeline: 10, ..Bounds::default() };
    say(&mut shard, &alice, 1..=60);
    assert_eq!(kept_places(&shard), 10);
    // Bob is online, and hears of it when he attaches again.
    let waiting = shard.record("bob").last_seq;
    shard.ack("bob", &bob, waiting);
    assert_eq!(places(&shard, "bob"), (52..=61).collect::<Vec<_>>());
    let resume = Some((bob.mailbox_epoch, bob.stream, waiting));
    assert_eq!(shard.attach("bob", "phone", resume).unknown, Some((waiting + 1, waiting + 1)));
    let carol = shard.attach("carol", "phone", None);
    assert_eq!((carol.unknown, places(&shard, "carol")), (Some((1, 1)), (52..=61).collect()));
    shard.check(&["alice", "bob", "carol"]);
}

#[test]
fn what_expires_goes_from_the_timeline_and_is_not_missed() {
    let (mut shard, alice, _) = shard();
    let text = "soon gone";
    let short = AppendMessage { ttl_ms: Some(1000), ..kept(TEAM, &alice, "alice", 1, text) };
    assert!(is_accepted(&shard.say_in(short)));
    shard.ack("alice", &alice, u64::MAX);
    say(&mut shard, &alice, 2..=2);
    shard.now_ms += 1001;
    while shard.expire() != (Reply::Expired { entries: 0, more: false }) {}
    assert!(!holds(&shard, text));
    let carol = shard.attach("carol", "phone", None);
    assert_eq!((carol.unknown, places(&shard, "carol")), (None, vec![1, 3]));

    // What nobody came for in 30 days goes too, and is missed.
    change(&mut shard, 3, put(&[member("dave", ALL)]));
    shard.now_ms += RETAINED_MS + 1;
    while !matches!(shard.expire(), Reply::Expired { entries: 0, more: false }) {}
    assert_eq!(kept_places(&shard), 0);
    assert_eq!(shard.attach("dave", "phone", None).unknown, Some((1, 1)));
}

#[test]
fn what_is_recalled_leaves_nothing_in_the_timeline() {
    let (mut shard, alice, _) = shard();
    let text = "a slip of the tongue";
    assert!(is_accepted(&shard.say_in(kept(TEAM, &alice, "alice", 1, text))));
    let of = Some(MessageId { stream: alice.stream, seq: 1 });
    let recall = Change { of, kind: change::Kind::Recall.into(), ..Change::default() };
    let recall = AppendMessage { content: Bytes::new(), change: Some(recall), ..kept(TEAM, &alice, "alice", 2, "") };
    assert!(is_accepted(&shard.say_in(recall)));
    assert!(!holds(&shard, text));
    shard.attach("carol", "phone", None);
    assert_eq!(places(&shard, "carol"), [1, 2, 3]);
    assert_eq!(shard.messages("carol")[0].content, None);
}

#[test]
fn a_group_that_becomes_small_goes_on_where_each_member_is() {
    let (mut shard, alice, bob) = shard();
    say(&mut shard, &alice, 1..=40);
    let followers = |shard: &Shard| {
        let (from, to) = keys::followers(&group(TEAM), "");
        shard.store.scan(&from, &to, 9).len()
    };
    change(&mut shard, 3, removed("carol"));
    change(&mut shard, 4, put(&[member("dave", ALL)]));
    change(&mut shard, 5, removed("dave"));
    assert_eq!(followers(&shard), 1, "alice; bob rests");
    change(&mut shard, 6, removed("bob"));
    say(&mut shard, &alice, 41..=41);
    assert_eq!(followers(&shard), 0, "it is small");
    let mut got = places(&shard, "bob");
    for _ in 0..3 {
        let last = shard.record("bob").last_seq;
        shard.ack("bob", &bob, last);
        got.extend(places(&shard, "bob"));
    }
    // Until he was removed: three events of others, and his own.
    assert_eq!(got, (1..=45).collect::<Vec<_>>());
    shard.check(&["alice", "bob"]);
}

#[test]
fn a_group_is_large_beyond_the_threshold_and_small_again_at_nine_tenths() {
    let mut record = GroupRecord::default();
    let mut at = |members, beyond| {
        record.members = members;
        measure(&mut record, beyond);
        record.is_large
    };
    assert_eq!(
        [at(50, 0), at(20, 20), at(21, 20), at(19, 20), at(18, 20), at(19, 20)],
        [false, false, true, true, false, false]
    );
    assert_eq!(
        [at(21, 0), at(19, 0), at(18, 0), at(21, 30), at(31, 0)],
        [true, true, false, false, true],
        "what it knows stays until it is told otherwise"
    );
    assert_eq!([at(27, 30), at(27, 5)], [false, true]);
}

#[test]
fn a_mailbox_that_one_command_does_not_fill_is_filled_by_the_upkeep() {
    let (mut shard, alice, _) = shard();
    say(&mut shard, &alice, 1..=20);
    shard.bounds = Bounds { places: 3, ..Bounds::default() };
    shard.attach("carol", "phone", None);
    assert_eq!(places(&shard, "carol"), [1, 2, 3]);
    let expand = || Command::ExpandGroups(Default::default());
    while shard.apply(expand()) == (Reply::GroupsExpanded { more: true }) {}
    assert_eq!(places(&shard, "carol"), (1..=21).collect::<Vec<_>>());
    let (from, to) = keys::all_drawing();
    assert!(shard.store.scan(&from, &to, 1).is_empty());
    assert!(shard.store.get(&keys::resting(&mailbox_of("carol"), &group(TEAM))).is_none());
}

/// Never change these bytes: they are stored.
#[test]
fn golden_records() {
    let member = Some(GroupMemberRecord { joined_at: 5, ..GroupMemberRecord::default() });
    assert_eq!(&records::seal(&RestingRecord { read_to: 300, member })[..], b"\x01\x08\xac\x02\x12\x02\x20\x05");
    let place = LocalPlaceRecord { item: None, due_ms: 300, bytes: 7, expires: true };
    assert_eq!(&records::seal(&place)[..], b"\x01\x10\xac\x02\x18\x07\x20\x01");
}

#[test]
fn who_rests_and_is_deleted_rests_no_more() {
    let (mut shard, alice, _) = shard();
    say(&mut shard, &alice, 1..=3);
    let resting = |shard: &Shard| shard.store.get(&keys::resting(&mailbox_of("carol"), &group(TEAM))).is_some();
    assert!(resting(&shard));
    let erase = |shard: &mut Shard| {
        let (app, user) = (APP.to_owned(), "carol".to_owned());
        shard.apply(Command::EraseMailbox(EraseMailbox { app, user, ..EraseMailbox::default() }))
    };
    assert_eq!(erase(&mut shard), Reply::MailboxErased { erased: 0, more: true }, "the group has yet to hear of it");
    change(&mut shard, 3, removed("carol"));
    assert!(matches!(erase(&mut shard), Reply::MailboxErased { erased: 1.., more: false }));
    assert_eq!(erase(&mut shard), Reply::MailboxErased { erased: 0, more: false });
    assert!(!resting(&shard) && shard.record("carol").resting == 0);
    say(&mut shard, &alice, 4..=4);
    assert_eq!(shard.replay().dump(), shard.store.dump());
}
