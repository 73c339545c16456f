//! Who of a group has a message, and who read it.

use tidings_proto::ErrorCode;
use tidings_proto::client::v1::GroupReceipts;
use tidings_proto::mailbox::v1::command::Command;
use tidings_proto::mailbox::v1::{
    AppendMessage, ChannelItem, GroupChange, GroupReceipt, MarkGroupRead, MoveCursor, TellGroupReceipts, channel_item,
};
use tidings_proto::message::v1::ReceiptRequest;

use super::testing::{ALL, bring, group, kept, member, two_shards};
use crate::core::limits::{GROUP_RECEIPT_MEMBERS, GROUP_RECEIPTS_PER_COMMAND, USERS_PER_UPDATE};
use crate::core::testing::{APP, Shard};
use crate::core::{Reply, keys, records};
use crate::query;
use tidings_consensus::StateStore as _;

impl Shard {
    pub(super) fn receipts_of(&self, name: &str, user: &str, place: u64) -> Result<GroupReceipts, ErrorCode> {
        query::group_receipts(&self.store.view(), &group(name), user, place).unwrap()
    }

    pub(super) fn reads_group(&mut self, name: &str, user: &str, group_seq: u64) -> Reply {
        let (app, user, group) = (APP.to_owned(), user.to_owned(), name.to_owned());
        self.apply(Command::MarkGroupRead(MarkGroupRead { app, user, group, group_seq, ..MarkGroupRead::default() }))
    }

    /// As the upkeep does it: the command is the same for all levels.
    pub(super) fn tell(&mut self) {
        let level = std::mem::take(&mut self.level);
        while self.apply(Command::TellGroupReceipts(TellGroupReceipts {})) == (Reply::GroupReceiptsTold { more: true })
        {
        }
        self.level = level;
    }
}

/// Delivered and read.
fn counts(receipts: &GroupReceipts) -> (u32, u32) {
    (receipts.delivered, receipts.read)
}

#[test]
fn what_a_member_has_and_read_comes_home_together() {
    let (mut shards, name, users) = two_shards();
    let home = shards[0].attach(&users[0], "phone", None);
    let away = shards[1].attach(&users[1], "phone", None);
    let mut after = 0;
    for seq in 1..=3 {
        shards[0].say_in(kept(&name, &home, &users[0], seq, "hello"));
    }
    bring(&mut shards, &mut after);
    let first = shards[0].receipts_of(&name, &users[0], 2).unwrap();
    assert_eq!((first.members, counts(&first)), (1, (0, 0)));
    for cursor in 1..=4 {
        shards[1].ack(&users[1], &away, cursor);
    }
    assert_eq!(shards[1].reads_group(&name, &users[1], 3), Reply::ReadRecorded);
    shards[1].tell();
    let page = shards[1].page(0, 0, 9).unwrap();
    let (user, now_ms) = (users[1].clone(), shards[1].now_ms);
    let receipt = GroupReceipt { user, delivered: 4, read: 3, delivered_at_ms: now_ms, read_at_ms: now_ms };
    let told = |item: &ChannelItem| match &item.item {
        Some(channel_item::Item::GroupReceipts(told)) => told.receipts.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(page.items.iter().map(told).collect::<Vec<_>>(), [[receipt]], "four of them travel as one");
    shards[0].deliver(page);
    let of = |shards: &[Shard; 2], place| shards[0].receipts_of(&name, &users[0], place).unwrap();
    assert_eq!(of(&shards, 3).read_by, [users[1].clone()]);
    assert_eq!((counts(&of(&shards, 3)), counts(&of(&shards, 4))), ((1, 1), (1, 0)));
    // A lower one says nothing new, and nothing waits any more.
    shards[1].reads_group(&name, &users[1], 2);
    shards[1].tell();
    assert!(shards[1].page(0, 1, 9).is_none());
    assert_eq!(counts(&of(&shards, 3)), (1, 1));
    let (from, to) = keys::all_group_receipts();
    assert!(shards[1].store.scan(&from, &to, 1).is_empty());
}

#[test]
fn who_asked_for_no_receipts_or_withholds_them_is_not_told_of() {
    let (mut shards, name, users) = two_shards();
    let home = shards[0].attach(&users[0], "phone", None);
    let away = shards[1].attach(&users[1], "phone", None);
    let mut after = 0;
    let silent = ReceiptRequest::ReceiptsNone.into();
    shards[0].say_in(AppendMessage { receipts: silent, ..kept(&name, &home, &users[0], 1, "never mind") });
    shards[0].say_in(kept(&name, &home, &users[0], 2, "hello"));
    bring(&mut shards, &mut after);
    shards[1].ack(&users[1], &away, 2);
    let (app, user) = (APP.to_owned(), users[1].clone());
    let (slot, stream) = (away.slot, away.stream);
    let withheld = MoveCursor { app, user, slot, cursor: 3, stream, withholds_delivered: true };
    shards[1].apply(Command::MoveCursor(withheld));
    shards[1].tell();
    assert!(shards[1].page(0, 0, 9).is_none(), "there is nothing to tell");
}

#[test]
fn receipts_are_for_the_sender_and_of_those_who_were_there() {
    let mut shard = Shard::alone();
    shard.form("team", &[member("alice", ALL), member("bob", ALL)]);
    let [alice, bob] = ["alice", "bob"].map(|user| shard.attach(user, "phone", None));
    shard.say_in(kept("team", &alice, "alice", 1, "hello"));
    shard.update_group("team", 2, vec![GroupChange { put: vec![member("carol", ALL)], ..GroupChange::default() }]);
    shard.ack("bob", &bob, 99);
    shard.ack("alice", &alice, 99);
    assert_eq!(shard.reads_group("team", "carol", 2), Reply::ReadRecorded);
    shard.tell();
    let receipts = shard.receipts_of("team", "alice", 2).unwrap();
    assert_eq!((receipts.members, receipts.delivered_to), (1, vec!["bob".to_owned()]));
    assert_eq!(shard.receipts_of("team", "bob", 2), Err(ErrorCode::PermissionDenied));
    assert_eq!(shard.receipts_of("team", "eve", 2), Err(ErrorCode::NotAMember));
    for nothing in [0, 1, 3, u64::MAX] {
        assert_eq!(shard.receipts_of("team", "alice", nothing), Err(ErrorCode::NotFound), "{nothing}");
    }
    for nonsense in [0, 4, u64::MAX] {
        assert_eq!(shard.reads_group("team", "bob", nonsense), Reply::Refused(ErrorCode::InvalidArgument));
    }
    assert_eq!(shard.reads_group("team", "eve", 2), Reply::Refused(ErrorCode::NotAMember));
    // A change of permissions forgets nothing.
    shard.update_group("team", 3, vec![GroupChange { put: vec![member("bob", ALL | 8)], ..GroupChange::default() }]);
    assert_eq!(shard.receipts_of("team", "alice", 2).unwrap().delivered, 1);
}

#[test]
fn names_up_to_a_hundred_and_counts_beyond_it_also_of_more_than_a_thousand() {
    let limit = usize::try_from(GROUP_RECEIPT_MEMBERS).unwrap();
    let users: Vec<_> = (0..=limit).map(|number| format!("user-{number:04}")).collect();
    let mut shard = Shard::alone();
    shard.form("team", &[]);
    let mut revision = 1;
    let mut grow = |shard: &mut Shard, range: std::ops::Range<usize>| {
        for some in users[range].chunks(USERS_PER_UPDATE) {
            revision += 1;
            let put = some.iter().map(|user| member(user, ALL)).collect();
            shard.update_group("team", revision, vec![GroupChange { put, ..GroupChange::default() }]);
        }
    };
    let names_at = |shard: &mut Shard, seq: u64| {
        let sender = shard.attach(&users[0], "phone", None);
        // Another stream each time.
        let place = match shard.say_in(kept("team", &sender, &users[0], seq, "hello")) {
            Reply::Appended { .. } => {
                let stored = shard.store.get(&keys::group(&group("team"))).unwrap();
                records::open::<tidings_proto::mailbox::v1::GroupRecord>("group", stored).unwrap().last_seq
            }
            other => panic!("{other:?}"),
        };
        let reader = &users[1];
        shard.reads_group("team", reader, place);
        shard.tell();
        shard.receipts_of("team", &users[0], place).map(|receipts| (receipts.read, receipts.read_by.len()))
    };
    grow(&mut shard, 0..101);
    assert_eq!(names_at(&mut shard, 1), Ok((1, 1)));
    grow(&mut shard, 101..102);
    assert_eq!(names_at(&mut shard, 1), Ok((1, 0)));
    grow(&mut shard, 102..limit);
    assert_eq!(names_at(&mut shard, 1), Ok((1, 0)));
    grow(&mut shard, limit..limit + 1);
    assert_eq!(names_at(&mut shard, 1), Ok((1, 0)));
    // Of the last message it is counted, and of those before it is noted who.
    let bob = shard.attach(&users[2], "phone", None);
    shard.ack(&users[2], &bob, u64::MAX);
    let noted = shard.store.get(&keys::group_receipt(&group("team"), &users[2])).unwrap();
    let noted: GroupReceipt = records::open("receipt", noted).unwrap();
    let stored = shard.store.get(&keys::group(&group("team"))).unwrap();
    let last = records::open::<tidings_proto::mailbox::v1::GroupRecord>("group", stored).unwrap().last_seq;
    assert!(noted.delivered < last);
    assert!(shard.store.get(&keys::group_tally(&group("team"), last)).is_some());
    assert!(GROUP_RECEIPTS_PER_COMMAND > limit);
}

/// Of the only member who has it: when it had it, and read it.
fn times(shard: &Shard, place: u64) -> Option<(i64, i64)> {
    let receipts = shard.receipts_of("team", "alice", place).unwrap();
    assert_eq!(receipts.times.len(), receipts.delivered_to.len());
    receipts.times.first().map(|one| (one.delivered_at_ms, one.read_at_ms))
}

/// A team in which alice says so many things, from place 2 on, and bob's device is given them.
fn said(messages: u64) -> (Shard, crate::core::AttachedDevice) {
    let mut shard = Shard::alone();
    shard.form("team", &[member("alice", ALL), member("bob", ALL)]);
    let [alice, bob] = ["alice", "bob"].map(|user| shard.attach(user, "phone", None));
    for seq in 1..=messages {
        shard.say_in(kept("team", &alice, "alice", seq, "hello"));
    }
    (shard, bob)
}

#[test]
fn it_is_known_since_when_a_member_has_and_read_each_message_and_a_replay_knows_the_same() {
    let (mut shard, bob) = said(4);
    let start = shard.now_ms;
    assert_eq!(times(&shard, 2), None);
    shard.now_ms = start + 1_000;
    shard.ack("bob", &bob, 2);
    // The home hears of it later; it is the time of the member's shard that counts.
    shard.now_ms = start + 5_000;
    shard.tell();
    assert_eq!((times(&shard, 2), times(&shard, 3)), (Some((start + 1_000, 0)), None));
    shard.now_ms = start + 7_000;
    assert_eq!(shard.reads_group("team", "bob", 4), Reply::ReadRecorded);
    shard.tell();
    let read = start + 7_000;
    assert_eq!(
        [2, 3, 4].map(|place| times(&shard, place)),
        [Some((start + 1_000, read)), Some((read, read)), Some((read, read))]
    );
    // What says nothing new changes no time.
    shard.now_ms = start + 9_000;
    shard.reads_group("team", "bob", 3);
    shard.tell();
    assert_eq!(times(&shard, 2), Some((start + 1_000, read)));
    assert_eq!(shard.replay().dump(), shard.store.dump());
    // A member who left and came back begins anew.
    let removed = GroupChange { removed: vec!["bob".to_owned()], ..GroupChange::default() };
    shard.update_group("team", 2, vec![removed]);
    shard.update_group("team", 3, vec![GroupChange { put: vec![member("bob", ALL)], ..GroupChange::default() }]);
    assert_eq!(times(&shard, 2), None);
}

#[test]
fn brokers_below_level_3_keep_no_times_and_what_moved_then_has_none() {
    let (mut shard, bob) = said(4);
    shard.ack("bob", &bob, 2);
    shard.tell();
    assert_eq!(times(&shard, 2), Some((shard.now_ms, 0)));
    let member = |shard: &Shard| {
        let stored = shard.store.get(&keys::group_member(&group("team"), "bob")).unwrap();
        records::open::<tidings_proto::mailbox::v1::GroupMemberRecord>("member", stored).unwrap()
    };
    shard.level = 1;
    shard.ack("bob", &bob, 3);
    shard.tell();
    let below = member(&shard);
    assert_eq!((below.delivered, below.delivered_steps, below.read_steps), (3, None, None));
    shard.level = 3;
    shard.now_ms += 1_000;
    shard.ack("bob", &bob, 4);
    shard.tell();
    assert_eq!([2, 3, 4].map(|place| times(&shard, place)), [Some((0, 0)), Some((0, 0)), Some((shard.now_ms, 0))]);
    assert_eq!(shard.replay().dump(), shard.store.dump());
}
