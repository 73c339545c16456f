//! Conversations with groups: what members are told of them, and what is left when there is nothing to tell any more.

use tidings_proto::ErrorCode;
use tidings_proto::client::v1::{Conversations, ListConversations, UpdateConversation as Update};
use tidings_proto::mailbox::v1::command::Command;
use tidings_proto::mailbox::v1::{
    AdoptGroups, AppendMessage, ChannelDeliver, ExpandGroups, GroupChange, MarkGroupRead, UpdateConversation,
};
use tidings_proto::message::v1::{Change, Content, Conversation, MessageId, change::Kind, envelope};

use super::testing::{ALL, DAY_MS, SEND, bring, group, is_accepted, kept, member, two_shards};
use crate::core::history_tests::{accepted, kept as kept_for};
use crate::core::limits::{ADOPTED_PER_COMMAND, UNREAD_COUNTED};
use crate::core::testing::{APP, Shard, mailbox_of};
use crate::core::{AttachedDevice, Reply};
use crate::query;

impl Shard {
    fn listed(&self, user: &str) -> Vec<Conversation> {
        self.page_of(user, Vec::new(), 0).conversations
    }

    fn page_of(&self, user: &str, page: Vec<u8>, limit: u32) -> Conversations {
        query::conversations(&self.store.view(), &mailbox_of(user), &ListConversations { page, limit }).unwrap()
    }

    /// The only conversation of a user.
    fn sole(&self, user: &str) -> Conversation {
        let mut listed = self.listed(user);
        assert_eq!(listed.len(), 1, "{listed:?}");
        listed.remove(0)
    }

    fn mark(&mut self, user: &str, name: &str, group_seq: u64, privately: bool) -> Reply {
        let (app, user, group) = (APP.to_owned(), user.to_owned(), name.to_owned());
        self.apply(Command::MarkGroupRead(MarkGroupRead { app, user, group, group_seq, privately }))
    }

    fn set(&mut self, user: &str, update: Update) -> Reply {
        let (app, user) = (APP.to_owned(), user.to_owned());
        let (with, update) = (update.with.clone(), Some(update));
        self.apply(Command::UpdateConversation(UpdateConversation { app, user, with, update }))
    }

    /// Texts and unread counts of conversation updates in a mailbox.
    fn updates(&self, user: &str) -> Vec<Conversation> {
        let update = |event| match event {
            Some(envelope::Event::ConversationUpdate(update)) => update.conversation,
            _ => None,
        };
        self.entries(user, 0).into_iter().filter_map(|(_, envelope)| update(envelope.event)).collect()
    }

    /// How many keys of a kind there are.
    fn keys_of(&self, kind: u8) -> usize {
        self.store.dump().iter().filter(|(key, _)| key[0] == kind).count()
    }
}

fn text(conversation: &Conversation) -> Option<String> {
    Some(conversation.last_message.clone()?.content.unwrap_or_default().text)
}

fn in_group(name: &str) -> Update {
    Update { group: name.to_owned(), ..Update::default() }
}

/// Alice and bob in a team, and alice's phone.
fn team() -> (Shard, AttachedDevice) {
    let mut shard = Shard::alone();
    let alice = shard.attach("alice", "phone", None);
    shard.form("team", &[member("alice", ALL), member("bob", ALL)]);
    (shard, alice)
}

#[test]
fn what_others_said_since_one_joined_is_unread_until_it_is_read() {
    let (mut shard, alice) = team();
    let quiet = shard.sole("bob");
    assert_eq!((quiet.group.as_str(), quiet.with.as_str(), quiet.unread, quiet.last_place), ("team", "", 0, 0));
    for (seq, said) in (1..).zip(["one", "two", "three"]) {
        assert!(is_accepted(&shard.say_in(kept("team", &alice, "alice", seq, said))));
    }
    let add = GroupChange { put: vec![member("carol", ALL)], ..GroupChange::default() };
    shard.update_group("team", 2, vec![add]);
    let bob = shard.sole("bob");
    assert_eq!((bob.unread, bob.last_place, text(&bob).as_deref()), (3, 4, Some("three")));
    assert_eq!(shard.sole("alice").unread, 0, "one's own");
    let carol = shard.sole("carol");
    assert_eq!((carol.unread, carol.last_place, carol.last_message), (0, 0, None), "what was said before she came");

    let (phone, _laptop) = (shard.attach("bob", "phone", None), shard.attach("bob", "laptop", None));
    assert_eq!(shard.mark("bob", "team", 3, false), Reply::ReadRecorded);
    assert_eq!((shard.sole("bob").unread, shard.sole("bob").read_place), (1, 3));
    shard.mark("bob", "team", 2, false);
    shard.mark("bob", "team", 4, true);
    let told: Vec<_> = shard.updates("bob").iter().map(|one| (one.group.clone(), one.read_place, one.unread)).collect();
    assert_eq!(told, [("team".to_owned(), 3, 1), ("team".to_owned(), 4, 0)], "what says nothing new is not told");
    // What the user keeps back, and what comes later, is not told to the home.
    shard.apply(Command::TellGroupReceipts(Default::default()));
    let receipts = query::group_receipts(&shard.store.view(), &group("team"), "alice", 3).unwrap().unwrap();
    assert_eq!(receipts.read_by, ["bob"]);
    let receipts = query::group_receipts(&shard.store.view(), &group("team"), "alice", 4).unwrap().unwrap();
    assert!(receipts.read_by.is_empty());
    // Bob's own message is not unread to him, and what alice says then is.
    assert!(is_accepted(&shard.say_in(kept("team", &phone, "bob", 1, "four"))));
    assert!(is_accepted(&shard.say_in(kept("team", &alice, "alice", 4, "five"))));
    assert_eq!((shard.sole("bob").unread, shard.sole("alice").unread, shard.sole("carol").unread), (1, 1, 2));
    assert_eq!(shard.replay().dump(), shard.store.dump());
}

#[test]
fn settings_are_shared_by_all_devices_and_not_for_strangers() {
    let (mut shard, alice) = team();
    let (_, _) = (shard.attach("bob", "phone", None), shard.attach("bob", "laptop", None));
    assert!(is_accepted(&shard.say_in(kept("team", &alice, "alice", 1, "one"))));
    let update = Update {
        marked_unread: Some(true),
        mute_until_ms: Some(7),
        archived: Some(true),
        favourite: Some(true),
        ..in_group("team")
    };
    let Reply::Conversation(set) = shard.set("bob", update) else { panic!("refused") };
    assert!(set.marked_unread && set.archived && set.favourite && set.mute_until_ms == 7 && set.unread == 1);
    assert_eq!(shard.updates("bob"), [*set]);
    let Reply::Conversation(read) = shard.set("bob", Update { read_place: Some(u64::MAX), ..in_group("team") }) else {
        panic!("refused")
    };
    assert_eq!((read.unread, read.read_place, read.marked_unread, read.archived), (0, 2, false, true));
    assert!(!shard.sole("alice").archived);

    let refused = Reply::Refused;
    assert_eq!(shard.set("eve", in_group("team")), refused(ErrorCode::NotAMember));
    assert_eq!(shard.set("bob", in_group("other")), refused(ErrorCode::NotAMember));
    let both = Update { with: "alice".to_owned(), ..in_group("team") };
    assert_eq!(shard.set("bob", both), refused(ErrorCode::InvalidArgument));
    let blocks = Update { blocks: Some(Default::default()), ..in_group("team") };
    assert_eq!(shard.set("bob", blocks), refused(ErrorCode::InvalidArgument));
}

#[test]
fn the_newest_message_is_shown_as_it_is_by_now_also_in_another_shard() {
    let (mut shards, name, [alice, bob]) = two_shards();
    let device = shards[0].attach(&alice, "phone", None);
    let mut after = 0;
    assert!(is_accepted(&shards[0].say_in(kept(&name, &device, &alice, 1, "draft"))));
    bring(&mut shards, &mut after);
    let change = |seq, kind: Kind| AppendMessage {
        change: Some(Change {
            of: Some(MessageId { stream: device.stream, seq: 1 }),
            kind: kind.into(),
            content: (kind == Kind::Edit).then(|| Content { text: "final".to_owned(), ..Content::default() }),
            ..Change::default()
        }),
        ..kept(&name, &device, &alice, seq, "")
    };
    // The device has been given it: only the list keeps it.
    let phone = shards[1].attach(&bob, "phone", None);
    shards[1].ack(&bob, &phone, 99);
    assert_eq!((text(&shards[1].sole(&bob)).unwrap(), shards[1].sole(&bob).unread), ("draft".to_owned(), 1));
    assert!(is_accepted(&shards[0].say_in(change(2, Kind::Edit))));
    bring(&mut shards, &mut after);
    assert_eq!(text(&shards[1].sole(&bob)).unwrap(), "final");
    assert!(is_accepted(&shards[0].say_in(change(3, Kind::Recall))));
    bring(&mut shards, &mut after);
    for (shard, user) in shards.iter().zip([&alice, &bob]) {
        assert_eq!(text(&shard.sole(user)).unwrap(), "");
        assert!(shard.sole(user).last_message.unwrap().recalled_at_ms > 0);
    }
}

#[test]
fn what_its_home_keeps_no_longer_is_neither_unread_nor_shown() {
    let (mut shard, alice) = team();
    let (phone, alice_phone) = (shard.attach("bob", "phone", None), alice.clone());
    assert!(is_accepted(&shard.say_in(kept("team", &alice, "alice", 1, "one"))));
    shard.now_ms += 1_000;
    assert!(is_accepted(&shard.say_in(kept("team", &alice, "alice", 2, "two"))));
    let unkept = AppendMessage { retention_ms: 0, ..kept("team", &alice, "alice", 3, "three") };
    assert!(is_accepted(&shard.say_in(unkept)));
    let bob = shard.sole("bob");
    assert_eq!((bob.unread, text(&bob).as_deref()), (2, Some("two")), "what is not kept is in no list");
    shard.ack("bob", &phone, 99);
    shard.ack("alice", &alice_phone, 99);
    shard.now_ms += i64::try_from(DAY_MS).unwrap() - 999;
    shard.expire();
    assert_eq!((shard.sole("bob").unread, text(&shard.sole("bob")).as_deref()), (1, Some("two")));
    shard.now_ms += 1_000;
    shard.expire();
    let bob = shard.sole("bob");
    assert_eq!((bob.unread, bob.last_place, text(&bob)), (0, 3, None));
    assert_eq!([0x24, 0x25, 0x61, 0x62, 0x63].map(|kind| shard.keys_of(kind)), [0; 5], "nor found");
}

#[test]
fn so_many_are_counted_and_what_is_counted_goes_with_the_last_member() {
    let (mut shard, alice) = team();
    for seq in 1..=UNREAD_COUNTED {
        assert!(is_accepted(&shard.say_in(kept("team", &alice, "alice", seq, "x"))));
    }
    assert_eq!(shard.sole("bob").unread, UNREAD_COUNTED, "at the limit");
    assert!(is_accepted(&shard.say_in(kept("team", &alice, "alice", UNREAD_COUNTED + 1, "x"))));
    assert_eq!(shard.sole("bob").unread, UNREAD_COUNTED, "one above it");
    assert_eq!((shard.keys_of(0x61), shard.keys_of(0x62)), (1_000, 1_000));
    shard.mark("bob", "team", 3, false);
    assert_eq!(shard.sole("bob").unread, UNREAD_COUNTED - 1, "places 2 and 3 were the first two, of 1,001");

    let remove = |user: &str| vec![GroupChange { removed: vec![user.to_owned()], ..GroupChange::default() }];
    shard.update_group("team", 2, remove("bob"));
    assert_eq!((shard.listed("bob").len(), shard.keys_of(0x61)), (0, 1_000));
    shard.update_group("team", 3, remove("alice"));
    assert_eq!([0x60, 0x61, 0x62].map(|kind| shard.keys_of(kind)), [0; 3]);
    // Who comes again begins anew.
    shard.update_group("team", 4, vec![GroupChange { put: vec![member("bob", ALL)], ..GroupChange::default() }]);
    assert_eq!((shard.sole("bob").unread, shard.sole("bob").read_place), (0, 0));
    assert_eq!(shard.replay().dump(), shard.store.dump());
}

#[test]
fn groups_and_users_are_one_order_in_pages() {
    let (mut shard, alice) = team();
    for (revision, name) in [(1, "alice"), (1, "zoo")] {
        assert_eq!(revision, 1);
        shard.now_ms += 1;
        shard.form(name, &[member("alice", ALL), member("bob", ALL)]);
    }
    let mut seq = 0;
    let mut say = |shard: &mut Shard, to: &str, in_group: bool| {
        seq += 1;
        if in_group {
            assert!(is_accepted(&shard.say_in(kept(to, &alice, "alice", seq, to))));
        } else {
            accepted(shard.append(kept_for(to, &alice, "alice", seq, to)));
        }
    };
    // A user and a group of the same name, at the same time.
    shard.now_ms += 1;
    say(&mut shard, "bob", false);
    say(&mut shard, "alice", true);
    shard.now_ms += 1;
    say(&mut shard, "team", true);
    let names =
        |page: &[Conversation]| page.iter().map(|one| format!("{}#{}", one.with, one.group)).collect::<Vec<_>>();
    let all = names(&shard.listed("bob"));
    assert_eq!(all, ["#team", "#alice", "alice#", "#zoo"]);
    for limit in 1..=5 {
        let (mut listed, mut page) = (Vec::new(), Vec::new());
        loop {
            let next = shard.page_of("bob", page, limit);
            assert!(next.conversations.len() <= limit as usize);
            listed.extend(names(&next.conversations));
            page = next.next_page;
            if page.is_empty() {
                break;
            }
        }
        assert_eq!(listed, all, "{limit} at a time");
    }
}

#[test]
fn who_may_not_receive_sees_that_there_is_a_group_and_no_more() {
    let (mut shard, alice) = team();
    let add = GroupChange { put: vec![member("deaf", SEND)], ..GroupChange::default() };
    shard.update_group("team", 2, vec![add]);
    assert!(is_accepted(&shard.say_in(kept("team", &alice, "alice", 1, "one"))));
    let deaf = shard.sole("deaf");
    assert_eq!((deaf.unread, deaf.last_place, deaf.last_message, deaf.last_at_ms), (0, 0, None, 0));
}

#[test]
fn members_of_earlier_releases_are_given_their_conversations() {
    let mut shard = Shard::alone();
    shard.level = 1;
    let alice = shard.attach("alice", "phone", None);
    let many: Vec<_> = (0..ADOPTED_PER_COMMAND - 1).map(|number| member(&format!("user-{number}"), ALL)).collect();
    shard.form("team", &[member("alice", ALL)]);
    for (revision, some) in (2..).zip(many.chunks(1_000)) {
        shard.update_group("team", revision, vec![GroupChange { put: some.to_vec(), ..GroupChange::default() }]);
    }
    while shard.apply(Command::ExpandGroups(ExpandGroups {})) == (Reply::GroupsExpanded { more: true }) {}
    assert!(is_accepted(&shard.say_in(kept("team", &alice, "alice", 1, "before"))));
    assert_eq!([0x60, 0x61, 0x62].map(|kind| shard.keys_of(kind)), [0; 3], "nothing that the others do not know");

    shard.level = 3;
    assert_eq!(shard.apply(Command::AdoptGroups(AdoptGroups {})), Reply::GroupsAdopted { more: true });
    assert_eq!(shard.apply(Command::AdoptGroups(AdoptGroups {})), Reply::GroupsAdopted { more: false });
    assert_eq!(shard.keys_of(0x60), ADOPTED_PER_COMMAND);
    assert_eq!(shard.apply(Command::AdoptGroups(AdoptGroups {})), Reply::GroupsAdopted { more: false });
    assert_eq!(shard.sole("user-5").unread, 0);
    assert!(is_accepted(&shard.say_in(kept("team", &alice, "alice", 2, "after"))));
    assert_eq!((shard.sole("user-5").unread, text(&shard.sole("user-5")).as_deref()), (1, Some("after")));
}

#[test]
fn a_place_that_is_on_its_way_to_a_member_shows_nothing_too_early() {
    let (mut shards, name, [alice, bob]) = two_shards();
    let device = shards[0].attach(&alice, "phone", None);
    shards[0].update_group(&name, 2, vec![GroupChange { removed: vec![bob.clone()], ..GroupChange::default() }]);
    assert!(is_accepted(&shards[0].say_in(kept(&name, &device, &alice, 1, "without bob"))));
    let (mut after, mut seen) = (0, Vec::new());
    while let Some(ChannelDeliver { items, .. }) = shards[0].page(1, after, 1) {
        seen.extend(items);
        let page = shards[0].page(1, after, 1).unwrap();
        after = shards[1].deliver(page);
    }
    assert_eq!(seen.len(), 2, "both events, and not the message");
    assert!(shards[1].listed(&bob).is_empty());
}
