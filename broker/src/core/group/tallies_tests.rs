//! How many of a large group have a message, and how many read it.

use tidings_proto::ErrorCode;
use tidings_proto::group::v1::Role;
use tidings_proto::mailbox::v1::command::Command;
use tidings_proto::mailbox::v1::{
    AppendMessage, ChannelItem, GroupChange, GroupMember, GroupMemberRecord, GroupRecord, GroupSettings, GroupTallies,
    GroupTally, MarkGroupRead, MoveCursor, channel_item,
};
use tidings_proto::message::v1::ReceiptRequest;
use tidings_proto::shard::shard_of;

use super::testing::{ALL, DAY_MS, RECEIVE, SEND, bring, group, kept, member, two_shards};
use crate::core::limits::{GROUP_RECEIPT_MEMBERS, GROUP_RECEIPTS_PASSED, GROUP_RECEIPTS_TAKEN_ALONG};
use crate::core::testing::{APP, Shard};
use crate::core::{AttachedDevice, Reply, keys, records};
use tidings_consensus::StateStore as _;

/// More members than are known one by one, of whom these few say something.
fn crowd(few: &[&str]) -> Vec<GroupMember> {
    let limit = usize::try_from(GROUP_RECEIPT_MEMBERS).unwrap();
    let names = few.iter().map(|user| (*user).to_owned());
    names.chain((few.len()..=limit).map(|number| format!("user-{number:04}"))).map(|user| member(&user, ALL)).collect()
}

fn join(shard: &mut Shard, name: &str, revision: u64, members: &[GroupMember]) {
    shard.update_group(name, revision, vec![GroupChange { put: members.to_vec(), ..GroupChange::default() }]);
}

/// A team of so many in which alice says so many things, from the place behind its forming on, and bob and carol have
/// devices.
fn team(says: u64) -> (Shard, [AttachedDevice; 3], u64) {
    let mut shard = Shard::alone();
    let devices = ["alice", "bob", "carol"].map(|user| shard.attach(user, "phone", None));
    let members = crowd(&["alice", "bob", "carol"]);
    shard.form("team", &members[..1000]);
    join(&mut shard, "team", 2, &members[1000..]);
    let last = stands(&shard, "team").last_seq;
    (1..=says).for_each(|seq| drop(shard.say_in(kept("team", &devices[0], "alice", seq, "hello"))));
    (shard, devices, last + 1)
}

fn stands(shard: &Shard, name: &str) -> GroupRecord {
    records::open("group", shard.store.get(&keys::group(&group(name))).unwrap()).unwrap()
}

/// For how many it is, how many have it, and how many read it.
fn counts(shard: &Shard, place: u64) -> Result<(u32, u32, u32), ErrorCode> {
    let receipts = shard.receipts_of("team", "alice", place)?;
    assert!(receipts.delivered_to.is_empty() && receipts.read_by.is_empty() && receipts.times.is_empty());
    Ok((receipts.members, receipts.delivered, receipts.read))
}

fn notes(shard: &Shard) -> usize {
    let (from, to) = keys::all_group_receipts();
    shard.store.scan(&from, &to, 9).len()
}

#[test]
fn each_who_has_or_reads_a_message_counts_once_and_its_sender_does_not() {
    let (mut shard, [alice, bob, carol], first) = team(3);
    assert_eq!(counts(&shard, first), Ok((1000, 0, 0)));
    for (user, device) in [("alice", &alice), ("bob", &bob), ("bob", &bob), ("carol", &carol)] {
        shard.ack(user, device, u64::MAX);
    }
    // A second device has what the first had.
    let tablet = shard.attach("bob", "tablet", None);
    shard.ack("bob", &tablet, u64::MAX);
    for (user, up_to) in [("bob", first + 1), ("bob", first), ("bob", first + 1), ("alice", first + 2)] {
        assert_eq!(shard.reads_group("team", user, up_to), Reply::ReadRecorded);
    }
    assert_eq!(counts(&shard, first), Ok((1000, 0, 0)), "within the second");
    shard.tell();
    let all = [0, 1, 2].map(|place| counts(&shard, first + place));
    assert_eq!(all, [Ok((1000, 2, 1)), Ok((1000, 2, 1)), Ok((1000, 2, 0))]);
    shard.reads_group("team", "bob", first + 2);
    shard.tell();
    let all = [0, 1, 2].map(|place| counts(&shard, first + place));
    assert_eq!(all, [Ok((1000, 2, 1)), Ok((1000, 2, 1)), Ok((1000, 2, 1))], "each once");
    assert_eq!(notes(&shard), 0, "nobody is named");
    assert_eq!(shard.receipts_of("team", "bob", first), Err(ErrorCode::PermissionDenied));
    assert_eq!(shard.replay().dump(), shard.store.dump());
}

#[test]
fn what_is_kept_back_is_not_counted_and_what_wants_no_receipts_is_for_nobody() {
    let (mut shard, [alice, bob, carol], first) = team(1);
    let silent = ReceiptRequest::ReceiptsNone.into();
    shard.say_in(AppendMessage { receipts: silent, ..kept("team", &alice, "alice", 2, "never mind") });
    let (app, user) = (APP.to_owned(), "bob".to_owned());
    let (slot, stream, cursor) = (bob.slot, bob.stream, u64::MAX);
    shard.apply(Command::MoveCursor(MoveCursor { app, user, slot, cursor, stream, withholds_delivered: true }));
    let (app, user, name, group_seq) = (APP.to_owned(), "bob".to_owned(), "team".to_owned(), first);
    let privately = MarkGroupRead { app, user, group: name, group_seq, privately: true };
    assert_eq!(shard.apply(Command::MarkGroupRead(privately)), Reply::ReadRecorded);
    shard.ack("carol", &carol, u64::MAX);
    shard.tell();
    assert_eq!([0, 1].map(|place| counts(&shard, first + place)), [Ok((1000, 1, 0)), Ok((0, 0, 0))]);
    // Who reads on and says so has read what was read before.
    shard.say_in(kept("team", &alice, "alice", 3, "hello"));
    shard.reads_group("team", "bob", first + 2);
    shard.tell();
    let all = [0, 1, 2].map(|place| counts(&shard, first + place));
    assert_eq!(all, [Ok((1000, 1, 1)), Ok((0, 0, 0)), Ok((1000, 1, 1))]);
}

#[test]
fn the_counts_of_a_shard_come_home_together_and_once() {
    let (mut shards, name, users) = two_shards();
    let crowd = crowd(&[&users[0], &users[1]]);
    join(&mut shards[0], &name, 2, &crowd[2..]);
    let there: Vec<_> =
        crowd[2..].iter().map(|one| &one.user).filter(|user| shard_of(APP, user, 2) == 1).take(9).collect();
    let devices: Vec<_> = there.iter().map(|user| shards[1].attach(user, "phone", None)).collect();
    let home = shards[0].attach(&users[0], "phone", None);
    let mut after = 0;
    for seq in 1..=2 {
        shards[0].say_in(kept(&name, &home, &users[0], seq, "hello"));
    }
    bring(&mut shards, &mut after);
    let last = stands(&shards[0], &name).last_seq;
    for (user, device) in there.iter().zip(&devices) {
        shards[1].ack(user, device, u64::MAX);
        shards[1].reads_group(&name, user, last - 1);
    }
    shards[1].tell();
    let page = shards[1].page(0, 0, 9).unwrap();
    let told = |item: &ChannelItem| match &item.item {
        Some(channel_item::Item::GroupTallies(told)) => told.tallies.clone(),
        other => panic!("{other:?}"),
    };
    let expected = [(last - 1, 9, 9), (last, 9, 0)];
    let expected = expected.map(|(group_seq, delivered, read)| GroupTally { group_seq, delivered, read });
    assert_eq!(page.items.iter().map(told).collect::<Vec<_>>(), [expected]);
    shards[0].deliver(page.clone());
    shards[0].deliver(page);
    let of = |place| shards[0].receipts_of(&name, &users[0], place).map(|all| (all.members, all.delivered, all.read));
    assert_eq!([of(last - 1), of(last)], [Ok((1000, 9, 9)), Ok((1000, 9, 0))]);
    let (from, to) = keys::all_group_tallies();
    assert!(shards[1].store.scan(&from, &to, 1).is_empty());
}

#[test]
fn a_group_that_becomes_so_large_goes_on_knowing_of_what_was_said_before() {
    let mut shard = Shard::alone();
    let members = crowd(&["alice", "bob", "carol"]);
    let (few, many) = members.split_at(3);
    shard.form("team", few);
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|user| shard.attach(user, "phone", None));
    (1..=3).for_each(|seq| drop(shard.say_in(kept("team", &alice, "alice", seq, "hello"))));
    let first = 2;
    shard.ack("bob", &bob, first);
    shard.reads_group("team", "bob", first);
    shard.ack("carol", &carol, first);
    shard.tell();
    // Acknowledged, and not told yet.
    shard.ack("carol", &carol, first + 1);
    join(&mut shard, "team", 2, many);
    let all = |shard: &Shard| [0, 1, 2].map(|place| counts(shard, first + place).unwrap());
    assert_eq!(all(&shard), [(2, 2, 1), (2, 0, 0), (2, 0, 0)]);
    shard.ack("bob", &bob, u64::MAX);
    shard.reads_group("team", "bob", first + 1);
    shard.tell();
    assert_eq!(all(&shard), [(2, 2, 1), (2, 2, 1), (2, 1, 0)]);
    // Small again, then large: what is counted one way is not counted the other way too.
    shard.say_in(kept("team", &alice, "alice", 4, "to many"));
    let place = stands(&shard, "team").last_seq;
    let removed = GroupChange { removed: vec![many[0].user.clone()], ..GroupChange::default() };
    shard.update_group("team", 3, vec![removed]);
    shard.say_in(kept("team", &alice, "alice", 5, "to fewer"));
    let between = stands(&shard, "team").last_seq;
    for (user, device) in [("bob", &bob), ("carol", &carol)] {
        shard.ack(user, device, u64::MAX);
        shard.reads_group("team", user, between);
    }
    join(&mut shard, "team", 4, &many[..1]);
    shard.tell();
    assert_eq!(all(&shard), [(2, 2, 2); 3]);
    assert_eq!([place, between].map(|place| counts(&shard, place).unwrap()), [(1000, 2, 2), (999, 2, 2)]);
    assert_eq!(shard.replay().dump(), shard.store.dump());
}

#[test]
fn watermarks_pass_what_all_have_and_what_is_kept_no_longer() {
    let (mut shard, [alice, ..], first) = team(2);
    let tell = |shard: &mut Shard, place: u64, delivered: u32, read: u32| {
        shard.tell_home(GroupTally { group_seq: place, delivered, read });
    };
    let marks = |shard: &Shard| {
        let record = stands(shard, "team");
        (record.delivered_to_all, record.read_by_all)
    };
    assert_eq!(marks(&shard), (0, 0));
    tell(&mut shard, first + 1, 1000, 1000);
    assert_eq!(marks(&shard), (0, 0), "not all have what stands before");
    tell(&mut shard, first, 1000, 999);
    assert_eq!(marks(&shard), (first + 1, 0));
    // The last one never reads it. It is kept for a day.
    shard.now_ms += i64::try_from(DAY_MS).unwrap() - 1;
    shard.say_in(kept("team", &alice, "alice", 3, "on the next day"));
    let last = stands(&shard, "team").last_seq;
    tell(&mut shard, last, 1000, 1000);
    assert_eq!(marks(&shard), (last, 0));
    shard.now_ms += 2;
    shard.expire();
    assert_eq!(counts(&shard, first), Err(ErrorCode::NotFound));
    shard.tell();
    assert_eq!(marks(&shard), (last, last));
    // What comes late, or was never said, is nothing.
    let before = shard.store.dump();
    for nothing in [0, first, last + 1, u64::MAX] {
        tell(&mut shard, nothing, 1, 1);
        assert_eq!(shard.store.get(&keys::group_timeline(&group("team"), nothing)), None, "{nothing}");
    }
    assert_eq!((marks(&shard), shard.store.dump().len()), ((last, last), before.len()));
    assert_eq!(shard.replay().dump(), shard.store.dump());
}

#[test]
fn what_is_said_to_so_many_by_brokers_below_level_5_is_not_known_of() {
    let (mut shard, [alice, bob, _], first) = team(0);
    shard.level = 4;
    shard.say_in(kept("team", &alice, "alice", 1, "hello"));
    shard.level = 5;
    shard.say_in(kept("team", &alice, "alice", 2, "hello"));
    shard.ack("bob", &bob, u64::MAX);
    shard.reads_group("team", "bob", first + 1);
    shard.tell();
    let all = [0, 1].map(|place| counts(&shard, first + place));
    assert_eq!(all, [Err(ErrorCode::FailedPrecondition), Ok((1000, 1, 1))]);
    // It holds nobody back.
    shard.tell_home(GroupTally { group_seq: first + 1, delivered: 999, read: 998 });
    let record = stands(&shard, "team");
    assert_eq!((record.delivered_to_all, record.read_by_all), (first + 1, first));
}

#[test]
fn so_many_messages_are_taken_along() {
    let mut shard = Shard::alone();
    let members = crowd(&["alice", "bob"]);
    let (few, many) = members.split_at(2);
    let few = [few[0].clone(), GroupMember { allow: RECEIVE, ..few[1].clone() }];
    shard.form("team", &few);
    let alice = shard.attach("alice", "phone", None);
    let says = GROUP_RECEIPTS_TAKEN_ALONG as u64 + 1;
    (1..=says).for_each(|seq| drop(shard.say_in(kept("team", &alice, "alice", seq, "hello"))));
    // She speaks alone, and asks for no receipts of the last.
    let silent = ReceiptRequest::ReceiptsNone.into();
    shard.say_in(AppendMessage { receipts: silent, ..kept("team", &alice, "alice", says + 1, "never mind") });
    join(&mut shard, "team", 2, many);
    assert_eq!([2, 3].map(|place| counts(&shard, place)), [Err(ErrorCode::FailedPrecondition); 2]);
    assert_eq!(
        [4, says + 1, says + 2].map(|place| counts(&shard, place)),
        [Ok((1, 0, 0)), Ok((1, 0, 0)), Ok((0, 0, 0))]
    );
    shard.reads_group("team", "bob", says + 1);
    shard.tell();
    assert_eq!([4, says + 1].map(|place| counts(&shard, place)), [Ok((1, 1, 1)); 2]);
    // Who has what was not taken along was known once: it holds the watermarks back until it goes.
    let record = stands(&shard, "team");
    assert_eq!((record.delivered_to_all, record.read_by_all), (0, 0));
    shard.now_ms += i64::try_from(DAY_MS).unwrap() - 1;
    shard.say_in(kept("team", &alice, "alice", says + 2, "on the next day"));
    let last = stands(&shard, "team").last_seq;
    shard.tell_home(GroupTally { group_seq: last, delivered: 1000, read: 1000 });
    assert_eq!(stands(&shard, "team").read_by_all, 0);
    shard.now_ms += 2;
    while let Reply::Expired { more: true, .. } = shard.expire() {}
    shard.tell();
    assert_eq!((stands(&shard, "team").delivered_to_all, stands(&shard, "team").read_by_all), (last, last));
}

#[test]
fn whoever_may_not_receive_is_not_counted_whatever_is_said_of_it() {
    let mut shard = Shard::alone();
    let members = crowd(&["alice", "bob", "carol"]);
    let (few, many) = members.split_at(3);
    // Carol speaks, and hears nothing.
    let few = [few[0].clone(), few[1].clone(), GroupMember { allow: SEND, ..few[2].clone() }];
    shard.form("team", &few);
    let alice = shard.attach("alice", "phone", None);
    shard.say_in(kept("team", &alice, "alice", 1, "to few"));
    join(&mut shard, "team", 2, many);
    shard.say_in(kept("team", &alice, "alice", 2, "to many"));
    let last = stands(&shard, "team").last_seq;
    let all = |shard: &Shard| [2, last].map(|place| counts(shard, place).unwrap());
    assert_eq!(all(&shard), [(1, 0, 0), (999, 0, 0)]);
    shard.reads_group("team", "carol", last);
    shard.tell();
    assert_eq!(all(&shard), [(1, 0, 0), (999, 0, 0)]);
    assert_eq!(stands(&shard, "team").read_by_all, 0);
    // Now they are to: all but whom it was taken from, whoever that is by then.
    let put = vec![member("carol", ALL), GroupMember { deny: RECEIVE, ..many[0].clone() }];
    shard.update_group("team", 3, vec![GroupChange { put, ..GroupChange::default() }]);
    shard.say_in(kept("team", &alice, "alice", 3, "hello"));
    let next = stands(&shard, "team").last_seq;
    assert_eq!(counts(&shard, next), Ok((999, 0, 0)));
    shard.reads_group("team", "carol", next);
    shard.tell();
    assert_eq!((all(&shard), counts(&shard, next)), ([(1, 0, 0), (999, 0, 0)], Ok((999, 1, 1))));
    let removed = vec![many[0].user.clone(), many[1].user.clone(), "carol".to_owned()];
    shard.update_group("team", 4, vec![GroupChange { removed, ..GroupChange::default() }]);
    shard.update_group("team", 5, vec![GroupChange { put: many[..3].to_vec(), ..GroupChange::default() }]);
    shard.say_in(kept("team", &alice, "alice", 4, "hello"));
    assert_eq!(receivers_of(&shard), (1000, 1000));
}

#[test]
fn where_members_receive_by_right_alone_a_message_is_for_these() {
    let mut shard = Shard::alone();
    let bare = |user: &str| GroupMember { user: user.to_owned(), ..GroupMember::default() };
    let limit = usize::try_from(GROUP_RECEIPT_MEMBERS).unwrap();
    let settings = |bits| {
        let settings = Some(GroupSettings { member_permissions: bits, ..GroupSettings::default() });
        GroupChange { settings, ..GroupChange::default() }
    };
    let put = vec![member("alice", ALL), member("bob", RECEIVE)];
    shard.update_group("team", 1, vec![settings(SEND), GroupChange { put, ..GroupChange::default() }]);
    let crowd: Vec<_> = (0..limit).map(|number| bare(&format!("user-{number:04}"))).collect();
    join(&mut shard, "team", 2, &crowd);
    let alice = shard.attach("alice", "phone", None);
    for (seq, bits, members) in [(1, SEND, 1), (2, SEND | RECEIVE, 1_001), (3, SEND, 1)] {
        shard.update_group("team", seq + 2, vec![settings(bits)]);
        shard.say_in(kept("team", &alice, "alice", seq, "hello"));
        assert_eq!(counts(&shard, stands(&shard, "team").last_seq), Ok((members, 0, 0)), "{seq}");
    }
    // It was not for whoever did not receive then.
    let last = stands(&shard, "team").last_seq;
    shard.reads_group("team", "user-0000", last);
    shard.tell();
    let all = [4, 2, 0].map(|before| counts(&shard, last - before));
    assert_eq!(all, [Ok((1, 0, 0)), Ok((1_001, 1, 1)), Ok((1, 0, 0))]);
}

#[test]
fn watermarks_go_on_over_more_messages_than_one_command_passes() {
    let says = 2 * GROUP_RECEIPTS_PASSED as u64 + 3;
    let mut shard = Shard::alone();
    // All speak, and two hear it.
    let mut members: Vec<_> = crowd(&["alice", "bob"]);
    members[2..].iter_mut().for_each(|member| member.allow = SEND);
    shard.form("team", &members[..1000]);
    join(&mut shard, "team", 2, &members[1000..]);
    let first = stands(&shard, "team").last_seq + 1;
    let alice = shard.attach("alice", "phone", None);
    (1..=says).for_each(|seq| drop(shard.say_in(kept("team", &alice, "alice", seq, "hello"))));
    let rest = (first + 1..first + says).map(|group_seq| GroupTally { group_seq, delivered: 1, read: 1 }).collect();
    let (group, tallies) = ("team".to_owned(), rest);
    shard.bring_home(channel_item::Item::GroupTallies(GroupTallies { group, tallies }));
    shard.tell_home(GroupTally { group_seq: first, delivered: 1, read: 1 });
    let marks = |shard: &Shard| (stands(shard, "team").delivered_to_all, stands(shard, "team").read_by_all);
    let passed = first + GROUP_RECEIPTS_PASSED as u64 - 1;
    assert_eq!(marks(&shard), (passed, passed));
    shard.tell();
    assert_eq!(marks(&shard), (first + says - 1, first + says - 1));
    let (from, to) = keys::all_group_passing();
    assert!(shard.store.scan(&from, &to, 1).is_empty());
    assert_eq!(shard.replay().dump(), shard.store.dump());
}

#[test]
fn nobody_is_told_of_by_name_whatever_is_read() {
    let (mut shard, [alice, bob, _], first) = team(1);
    let silent = ReceiptRequest::ReceiptsNone.into();
    shard.say_in(AppendMessage { receipts: silent, ..kept("team", &alice, "alice", 2, "never mind") });
    shard.say_in(AppendMessage { retention_ms: 0, ..kept("team", &alice, "alice", 3, "not kept") });
    shard.ack("bob", &bob, u64::MAX);
    for place in first..first + 3 {
        assert_eq!(shard.reads_group("team", "bob", place), Reply::ReadRecorded);
    }
    assert_eq!(notes(&shard), 0);
}

#[test]
fn who_is_promoted_received_before() {
    let mut shard = Shard::alone();
    let bare = |user: &str| GroupMember { user: user.to_owned(), ..GroupMember::default() };
    let admin = |user: &str| GroupMember { role: Role::Admin as u32, ..bare(user) };
    let settings = Some(GroupSettings { member_permissions: ALL, ..GroupSettings::default() });
    let put = ["alice", "bob", "carol"].map(bare).to_vec();
    let formed = [GroupChange { settings, ..GroupChange::default() }, GroupChange { put, ..GroupChange::default() }];
    shard.update_group("team", 1, formed.to_vec());
    let alice = shard.attach("alice", "phone", None);
    shard.say_in(kept("team", &alice, "alice", 1, "to few"));
    for reader in ["alice", "carol"] {
        shard.reads_group("team", reader, 2);
    }
    shard.tell();
    join(&mut shard, "team", 2, &[admin("bob")]);
    let crowd: Vec<_> = (0..999).map(|number| bare(&format!("user-{number:04}"))).collect();
    join(&mut shard, "team", 3, &crowd);
    assert_eq!((counts(&shard, 2), stands(&shard, "team").read_by_all), (Ok((2, 1, 1)), 0));
    shard.say_in(kept("team", &alice, "alice", 2, "to many"));
    let last = stands(&shard, "team").last_seq;
    join(&mut shard, "team", 4, &[bare("bob"), admin("user-0000")]);
    for reader in ["bob", "user-0000"] {
        shard.reads_group("team", reader, last);
    }
    shard.tell();
    assert_eq!([2, last].map(|place| counts(&shard, place)), [Ok((2, 2, 2)), Ok((1001, 2, 2))]);
    assert_eq!(stands(&shard, "team").read_by_all, 2);
}

#[test]
fn a_group_that_grows_again_goes_on_counting_what_it_took_along_before() {
    let mut shard = Shard::alone();
    // Strangers speak alone.
    let mut members = crowd(&["alice", "bob"]);
    members[2..].iter_mut().for_each(|member| member.allow = SEND);
    let (few, many) = members.split_at(2);
    shard.form("team", few);
    let alice = shard.attach("alice", "phone", None);
    shard.say_in(kept("team", &alice, "alice", 1, "hello"));
    join(&mut shard, "team", 2, many);
    let removed = vec![many[0].user.clone()];
    shard.update_group("team", 3, vec![GroupChange { removed, ..GroupChange::default() }]);
    let says = GROUP_RECEIPTS_TAKEN_ALONG as u64 + 1;
    (2..=says).for_each(|seq| drop(shard.say_in(kept("team", &alice, "alice", seq, "hello"))));
    join(&mut shard, "team", 4, &many[..1]);
    assert_eq!(counts(&shard, 2), Ok((1, 0, 0)));
    let last = stands(&shard, "team").last_seq;
    shard.reads_group("team", "bob", last);
    shard.tell();
    assert_eq!([2, last - 1].map(|place| counts(&shard, place)), [Ok((1, 1, 1)); 2]);
    assert_eq!((stands(&shard, "team").read_by_all, shard.replay().dump()), (last - 1, shard.store.dump()));
}

#[test]
fn in_a_group_that_is_small_again_members_are_told_of_by_name() {
    let (mut shard, [alice, ..], _) = team(1);
    let removed = GroupChange { removed: vec!["user-0999".to_owned()], ..GroupChange::default() };
    shard.update_group("team", 3, vec![removed]);
    shard.say_in(AppendMessage { retention_ms: 0, ..kept("team", &alice, "alice", 2, "not kept") });
    let last = stands(&shard, "team").last_seq;
    shard.reads_group("team", "bob", last);
    shard.tell();
    let bob = shard.store.get(&keys::group_member(&group("team"), "bob")).unwrap();
    assert_eq!(records::open::<GroupMemberRecord>("member", bob).unwrap().read, last);
}

#[test]
fn a_group_of_before_counts_its_receivers_once_it_is_formed_anew() {
    let mut shard = Shard::alone();
    shard.level = 4;
    shard.form("team", &[member("alice", ALL), member("bob", SEND)]);
    shard.level = 5;
    join(&mut shard, "team", 2, &[member("carol", ALL)]);
    assert_eq!(receivers_of(&shard), (0, 0));
    let removed = ["alice", "bob", "carol"].map(str::to_owned).to_vec();
    shard.update_group("team", 3, vec![GroupChange { removed, ..GroupChange::default() }]);
    join(&mut shard, "team", 4, &[member("alice", ALL), member("bob", SEND), member("dave", 0)]);
    assert_eq!(receivers_of(&shard), (3, 1));
}

/// How many receive, where members do and where they do not.
fn receivers_of(shard: &Shard) -> (u64, u64) {
    let record = stands(shard, "team");
    (record.receivers, record.receivers_by_right)
}

impl Shard {
    /// What a shard counted, as it comes from there.
    fn tell_home(&mut self, tally: GroupTally) {
        let (group, tallies) = ("team".to_owned(), vec![tally]);
        self.bring_home(channel_item::Item::GroupTallies(GroupTallies { group, tallies }));
    }
}
