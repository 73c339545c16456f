//! What a group's home keeps, who may change it, and what is left of it where the members live.

use tidings_proto::ErrorCode;
use tidings_proto::client::v1::{GetHistory, HistoryPage};
use tidings_proto::mailbox::v1::{AppendMessage, GroupChange, GroupRecord};
use tidings_proto::message::v1::{MessageId, change::Kind, envelope};

use super::testing::{
    ALL, DAY_MS, MANAGE, RECEIVE, SEND, WINDOW_MS, bring, change, group, is_accepted, kept, member, two_shards,
};
use crate::core::limits::REACTIONS_OF_ALL;
use crate::core::testing::Shard;
use crate::core::{Reply, keys, records};
use crate::query;
use tidings_consensus::StateStore as _;

impl Shard {
    fn page_of_group(&self, name: &str, user: &str, asked: GetHistory) -> Result<HistoryPage, ErrorCode> {
        query::group_history(&self.store.view(), &group(name), user, &[], &asked).unwrap()
    }

    /// The texts that a member reads, and a dash where there is none any more.
    fn reads(&self, name: &str, user: &str) -> Vec<String> {
        let page = self.page_of_group(name, user, GetHistory::default()).unwrap();
        let text = |one: tidings_proto::client::v1::HistoryMessage| {
            one.message.unwrap().content.map_or("-".into(), |c| c.text)
        };
        page.messages.into_iter().map(text).collect()
    }

    fn told_changes(&self, user: &str) -> Vec<(Kind, Option<String>)> {
        let changes = self.entries(user, 0).into_iter().filter_map(|(_, envelope)| match envelope.event {
            Some(envelope::Event::Change(change)) => Some((change.kind(), change.content.map(|content| content.text))),
            _ => None,
        });
        changes.collect()
    }

    fn contains(&self, text: &str) -> bool {
        let pairs = self.store.dump();
        pairs.iter().any(|(_, value)| value.windows(text.len()).any(|window| window == text.as_bytes()))
    }
}

#[test]
fn members_read_from_where_they_joined_and_nobody_else_does() {
    let mut shard = Shard::alone();
    shard.form("team", &[member("alice", ALL), member("mute", SEND)]);
    let alice = shard.attach("alice", "phone", None);
    assert!(is_accepted(&shard.say_in(kept("team", &alice, "alice", 1, "early"))));
    shard.update_group("team", 2, vec![GroupChange { put: vec![member("bob", ALL)], ..GroupChange::default() }]);
    for (seq, text) in [(2, "one"), (3, "two"), (4, "three")] {
        assert!(is_accepted(&shard.say_in(kept("team", &alice, "alice", seq, text))));
    }
    assert_eq!(shard.reads("team", "alice"), ["early", "one", "two", "three"]);
    assert_eq!(shard.reads("team", "bob"), ["one", "two", "three"]);
    let page = |asked| {
        let page = shard.page_of_group("team", "bob", asked).unwrap();
        (page.messages.iter().map(|one| one.place).collect::<Vec<_>>(), page.more)
    };
    assert_eq!(page(GetHistory { limit: 2, ..GetHistory::default() }), (vec![5, 6], true));
    assert_eq!(page(GetHistory { before: 5, ..GetHistory::default() }), (vec![4], false));
    assert_eq!(page(GetHistory { after: 1, limit: 1, ..GetHistory::default() }), (vec![4], true));
    assert_eq!(page(GetHistory { after: 4, ..GetHistory::default() }), (vec![5, 6], false));
    assert_eq!(page(GetHistory { after: u64::MAX, ..GetHistory::default() }), (vec![], false));

    let asked = GetHistory::default();
    assert_eq!(shard.page_of_group("team", "mute", asked.clone()), Err(ErrorCode::PermissionDenied));
    assert_eq!(shard.page_of_group("team", "eve", asked.clone()), Err(ErrorCode::NotAMember));
    assert_eq!(shard.page_of_group("other", "alice", asked.clone()), Err(ErrorCode::NotAMember));
    // Who left sees nothing any more, and who comes again begins anew; a change of permissions begins nothing.
    let leaves = GroupChange { removed: vec!["bob".to_owned()], ..GroupChange::default() };
    shard.update_group("team", 3, vec![leaves]);
    assert_eq!(shard.page_of_group("team", "bob", asked), Err(ErrorCode::NotAMember));
    shard.update_group("team", 4, vec![GroupChange { put: vec![member("bob", ALL)], ..GroupChange::default() }]);
    assert!(shard.reads("team", "bob").is_empty());
    shard.say_in(kept("team", &alice, "alice", 5, "again"));
    let promoted = member("bob", ALL | MANAGE);
    shard.update_group("team", 5, vec![GroupChange { put: vec![promoted], ..GroupChange::default() }]);
    assert_eq!(shard.reads("team", "bob"), ["again"]);
}

#[test]
fn a_message_goes_with_its_retention_or_its_time_and_leaves_nothing() {
    let mut shard = Shard::alone();
    shard.form("team", &[member("alice", ALL)]);
    let alice = shard.attach("alice", "phone", None);
    shard.say_in(kept("team", &alice, "alice", 1, "for a day"));
    shard.say_in(AppendMessage { ttl_ms: Some(1_000), ..kept("team", &alice, "alice", 2, "for a second") });
    shard.say_in(AppendMessage { retention_ms: 0, ..kept("team", &alice, "alice", 3, "not at all") });
    assert_eq!(shard.reads("team", "alice"), ["for a day", "for a second"]);
    shard.ack("alice", &alice, 99);
    assert!(!shard.contains("not at all"));
    shard.now_ms += 1_001;
    shard.expire();
    assert_eq!(shard.reads("team", "alice"), ["for a day"]);
    shard.now_ms += DAY_MS.cast_signed();
    shard.expire();
    assert!(shard.reads("team", "alice").is_empty() && !shard.contains("for a"));
    let record: GroupRecord = records::open("group", shard.store.get(&keys::group(&group("team"))).unwrap()).unwrap();
    assert_eq!(record.history_bytes, 0);
    let left = shard.store.dump().into_iter().filter(|(key, _)| matches!(key[0], 0x24 | 0x25 | 0x2a..=0x2c));
    assert_eq!(left.count(), 0);
}

#[test]
fn who_may_change_what() {
    let mut shard = Shard::alone();
    let members = [member("alice", ALL), member("bob", ALL), member("boss", ALL | MANAGE), member("mute", RECEIVE)];
    shard.form("team", &members);
    let [alice, bob, boss, mute] = ["alice", "bob", "boss", "mute"].map(|user| shard.attach(user, "phone", None));
    shard.say_in(kept("team", &alice, "alice", 1, "hello"));
    let of = MessageId { stream: alice.stream, seq: 1 };
    let refused = |shard: &mut Shard, append| match shard.say_in(append) {
        Reply::Refused(code) => code,
        other => panic!("{other:?}"),
    };
    let unknown = MessageId { seq: 9, ..of };
    for (append, code) in [
        (change("team", &bob, "bob", 1, of, Kind::Edit), ErrorCode::PermissionDenied),
        (change("team", &bob, "bob", 1, of, Kind::Recall), ErrorCode::PermissionDenied),
        (change("team", &boss, "boss", 1, of, Kind::Edit), ErrorCode::PermissionDenied),
        (change("team", &mute, "mute", 1, of, Kind::React), ErrorCode::PermissionDenied),
        (change("team", &alice, "alice", 2, unknown, Kind::Edit), ErrorCode::NotFound),
        (change("team", &alice, "alice", 2, of, Kind::Unspecified), ErrorCode::InvalidArgument),
        (change("team", &alice, "eve", 2, of, Kind::React), ErrorCode::NotAMember),
    ] {
        assert_eq!(refused(&mut shard, append), code);
    }
    shard.update_group("team", 2, vec![GroupChange { put: vec![member("late", ALL)], ..GroupChange::default() }]);
    let late = shard.attach("late", "phone", None);
    assert_eq!(refused(&mut shard, change("team", &late, "late", 1, of, Kind::React)), ErrorCode::NotFound);

    assert!(is_accepted(&shard.say_in(change("team", &bob, "bob", 1, of, Kind::React))));
    assert!(is_accepted(&shard.say_in(change("team", &alice, "alice", 2, of, Kind::Edit))));
    assert_eq!(shard.reads("team", "bob"), ["edited"]);
    assert!(shard.told_changes("late").is_empty(), "what it was never told of is not told to have changed");
    shard.now_ms += WINDOW_MS.cast_signed() + 1;
    assert_eq!(refused(&mut shard, change("team", &alice, "alice", 3, of, Kind::Edit)), ErrorCode::TooLate);
    assert!(is_accepted(&shard.say_in(change("team", &boss, "boss", 1, of, Kind::Wipe))));
    assert_eq!(shard.reads("team", "bob"), ["-"]);
    // A retry changes nothing, and is answered as the first.
    let again = shard.say_in(change("team", &boss, "boss", 1, of, Kind::Wipe));
    assert!(matches!(again, Reply::Appended { duplicate: true, .. }));
    assert!(!shard.contains("edited") && !shard.contains("hello"));
}

#[test]
fn reactions_of_all_to_one_message_are_bounded() {
    let mut shard = Shard::alone();
    let users: Vec<_> = (0..=REACTIONS_OF_ALL).map(|number| format!("user-{number:03}")).collect();
    let members: Vec<_> = users.iter().map(|user| member(user, ALL)).collect();
    shard.form("team", &members);
    let devices: Vec<_> = users.iter().map(|user| shard.attach(user, "phone", None)).collect();
    shard.say_in(kept("team", &devices[0], &users[0], 1, "do you like it?"));
    let of = MessageId { stream: devices[0].stream, seq: 1 };
    for (user, device) in users[1..].iter().zip(&devices[1..]) {
        assert!(is_accepted(&shard.say_in(change("team", device, user, 1, of, Kind::React))));
    }
    let one_more = change("team", &devices[0], &users[0], 2, of, Kind::React);
    assert_eq!(shard.say_in(one_more), Reply::Refused(ErrorCode::FailedPrecondition));
    let mut taken_back = change("team", &devices[1], &users[1], 2, of, Kind::React);
    taken_back.change.as_mut().unwrap().off = true;
    assert!(is_accepted(&shard.say_in(taken_back)));
    assert!(is_accepted(&shard.say_in(change("team", &devices[0], &users[0], 2, of, Kind::React))));
}

#[test]
fn an_edit_comes_also_where_the_message_has_gone_and_a_later_recall_leaves_neither_text() {
    let (mut shards, name, users) = two_shards();
    let home = shards[0].attach(&users[0], "phone", None);
    let away = shards[1].attach(&users[1], "phone", None);
    let mut after = 0;
    let of = MessageId { stream: home.stream, seq: 1 };
    shards[0].say_in(kept(&name, &home, &users[0], 1, "first words"));
    bring(&mut shards, &mut after);
    assert_eq!(shards[1].messages(&users[1])[0].content.as_ref().unwrap().text, "first words");
    // The newest one stays for lists of conversations.
    shards[0].say_in(kept(&name, &home, &users[0], 2, "something else"));
    bring(&mut shards, &mut after);
    shards[1].ack(&users[1], &away, 99);
    assert!(!shards[1].contains("first words"), "all who live there have it");

    assert!(is_accepted(&shards[0].say_in(change(&name, &home, &users[0], 3, of, Kind::Edit))));
    bring(&mut shards, &mut after);
    assert_eq!(shards[1].told_changes(&users[1]), [(Kind::Edit, Some("edited".to_owned()))]);
    assert!(!shards[0].contains("first words"));

    assert!(is_accepted(&shards[0].say_in(change(&name, &home, &users[0], 4, of, Kind::Recall))));
    bring(&mut shards, &mut after);
    assert_eq!(shards[1].told_changes(&users[1]), [(Kind::Edit, None), (Kind::Recall, None)]);
    assert!(shards.iter().all(|shard| !shard.contains("edited")));
    assert_eq!(shards[0].reads(&name, &users[1]), ["-", "something else"]);
    shards[1].ack(&users[1], &away, 99);
    let bodies = shards[1].store.dump().into_iter().filter(|(key, _)| key[0] == 0x24);
    assert_eq!(bodies.count(), 1, "the newest message's");
}

#[test]
fn a_message_that_members_have_yet_to_be_given_changes_where_they_live() {
    let (mut shards, name, users) = two_shards();
    let home = shards[0].attach(&users[0], "phone", None);
    let mut after = 0;
    let of = MessageId { stream: home.stream, seq: 1 };
    shards[0].say_in(kept(&name, &home, &users[0], 1, "a secret"));
    bring(&mut shards, &mut after);
    for (seq, kind) in [(2, Kind::React), (3, Kind::Pin), (4, Kind::Edit)] {
        assert!(is_accepted(&shards[0].say_in(change(&name, &home, &users[0], seq, of, kind))));
    }
    bring(&mut shards, &mut after);
    let waiting = shards[1].messages(&users[1]).remove(0);
    assert_eq!((waiting.content.unwrap().text.as_str(), waiting.pinned, waiting.reactions.len()), ("edited", true, 1));
    // Taken back before it was brought: what travels has no content either.
    shards[0].say_in(kept(&name, &home, &users[0], 5, "another secret"));
    let second = MessageId { seq: 5, ..of };
    shards[0].say_in(change(&name, &home, &users[0], 6, second, Kind::Recall));
    bring(&mut shards, &mut after);
    let taken_back = shards[1].messages(&users[1]).remove(1);
    assert!(taken_back.content.is_none() && taken_back.recalled_at_ms != 0);
    assert!(shards.iter().all(|shard| !shard.contains("secret")));
}
