//! What is kept, for whom, how it is changed, and when it goes: one short story each.

use bytes::Bytes;
use prost::Message as _;
use tidings_proto::ErrorCode;
use tidings_proto::client::v1::{Blocks, UpdateConversation as Update};
use tidings_proto::mailbox::v1::command::Command;
use tidings_proto::mailbox::v1::{AppendMessage, ConversationRecord, HistoryRecord, UpdateConversation};
use tidings_proto::message::v1::{
    Block, Change, Content, Conversation, Location, Message, MessageId, MessageState, change::Kind, envelope,
};

use super::change::changed;
use super::limits::{REACTIONS, RETENTION_PAUSE_MS};
use super::locate::locate;
use super::scenarios::users_of_two_shards;
use super::testing::{APP, Shard, mailbox_of, message};
use super::{AttachedDevice, Reply, entry, keys, records};
use tidings_consensus::StateStore as _;

const DAY_MS: u64 = 24 * 3600 * 1000;
const WINDOW_MS: u64 = 3600 * 1000;

/// A message with a text that is kept for a day on both sides.
pub(crate) fn kept(to: &str, from: &AttachedDevice, from_user: &str, seq: u64, text: &str) -> AppendMessage {
    let content = Content { text: text.to_owned(), ..Content::default() }.encode_to_vec().into();
    AppendMessage {
        retention_ms: DAY_MS,
        sender_retention_ms: DAY_MS,
        change_window_ms: WINDOW_MS,
        content,
        ..message(to, from, from_user, seq)
    }
}

fn change(to: &str, from: &AttachedDevice, from_user: &str, seq: u64, of: u64, kind: Kind) -> AppendMessage {
    let content = (kind == Kind::Edit).then(|| Content { text: "edited".to_owned(), ..Content::default() });
    let of = Some(MessageId { stream: from.stream, seq: of });
    let change = Change { of, kind: kind.into(), content, emoji: "+".to_owned(), ..Change::default() };
    AppendMessage { content: Bytes::new(), change: Some(change), ..kept(to, from, from_user, seq, "") }
}

impl Shard {
    pub(super) fn history(&self, user: &str, with: &str) -> Vec<Message> {
        let mailbox = mailbox_of(user);
        let (from, to) = (keys::history(&mailbox, with, 0), keys::history(&mailbox, with, u64::MAX));
        let message = |(_, stored)| match entry::decode(&records::open::<HistoryRecord>("", stored).unwrap().envelope) {
            Ok(envelope::Event::Message(message)) => message,
            other => panic!("{other:?}"),
        };
        self.store.scan(&from, &to, usize::MAX).into_iter().map(message).collect()
    }

    pub(super) fn texts(&self, user: &str, with: &str) -> Vec<String> {
        let text = |message: Message| message.content.map_or("-".to_owned(), |content| content.text);
        self.history(user, with).into_iter().map(text).collect()
    }

    pub(super) fn conversation(&self, user: &str, with: &str) -> ConversationRecord {
        let stored = self.store.get(&keys::conversation(&mailbox_of(user), with));
        stored.map(|stored| records::open("", stored).unwrap()).unwrap_or_default()
    }

    pub fn update(&mut self, user: &str, with: &str, update: Update) -> Conversation {
        let (app, user, with) = (APP.to_owned(), user.to_owned(), with.to_owned());
        let asked = UpdateConversation { app, user, with, update: Some(update) };
        match self.apply(Command::UpdateConversation(asked)) {
            Reply::Conversation(conversation) => *conversation,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn changes(&self, user: &str) -> Vec<Change> {
        let changes = self.entries(user, 0).into_iter().filter_map(|(_, envelope)| match envelope.event {
            Some(envelope::Event::Change(change)) => Some(change),
            _ => None,
        });
        changes.collect()
    }

    pub(super) fn holds(&self, text: &str) -> bool {
        let pairs = self.store.scan(&[], &[0xff], usize::MAX);
        pairs.iter().any(|(_, value)| value.windows(text.len()).any(|window| window == text.as_bytes()))
    }
}

pub(crate) fn accepted(reply: Reply) {
    assert!(matches!(reply, Reply::Appended { duplicate: false, .. }), "{reply:?}");
}

#[test]
fn a_body_is_stored_once_and_stays_after_every_device_has_it() {
    let mut shard = Shard::alone();
    let alice = shard.attach("alice", "phone", None);
    let bob = shard.attach("bob", "phone", None);
    accepted(shard.append(kept("bob", &alice, "alice", 1, "hello")));
    let entry = shard.store.get(&keys::entry(&mailbox_of("bob"), 1)).unwrap();
    assert!(!entry.windows(5).any(|window| window == b"hello"), "the entry points to the history");
    assert_eq!(shard.messages("bob")[0].content.as_ref().unwrap().text, "hello");
    let id = MessageId { stream: alice.stream, seq: 1 };
    let state = locate(&shard.store.view(), &mailbox_of("bob"), "alice", id).unwrap();
    assert_eq!(state, Some(MessageState::Waiting), "found by its head");
    shard.check(&["alice", "bob"]);
    shard.ack("bob", &bob, 1);
    assert_eq!(shard.messages("bob").len(), 0);
    assert_eq!(
        (shard.texts("bob", "alice"), shard.texts("alice", "bob")),
        (vec!["hello".into()], vec!["hello".into()])
    );
    // A retry keeps nothing twice.
    shard.append(kept("bob", &alice, "alice", 1, "hello"));
    assert_eq!(shard.texts("alice", "bob").len(), 1);
    shard.check(&["alice", "bob"]);
}

#[test]
fn a_live_location_is_moved_for_as_long_as_it_said_and_nothing_else_is() {
    let live = |latitude_e7, live_until_ms, text: &str| {
        let location = Some(Location { latitude_e7, live_until_ms, ..Location::default() });
        Content { location, text: text.to_owned(), ..Content::default() }
    };
    let mut shard = Shard::alone();
    let alice = shard.attach("alice", "phone", None);
    let hours = |hours: i64| hours * 3_600_000;
    let until = shard.now_ms + hours(8);
    let content = live(1, until, "on my way").encode_to_vec().into();
    accepted(shard.append(AppendMessage { content, ..kept("bob", &alice, "alice", 1, "") }));
    let edit = |seq, content: Content| {
        let mut edit = change("bob", &alice, "alice", seq, 1, Kind::Edit);
        edit.change.as_mut().unwrap().content = Some(content);
        edit
    };
    shard.now_ms += hours(7);
    for (seq, other) in
        [(2, live(2, until, "elsewhere")), (3, live(2, until + 1, "on my way")), (4, Content::default())]
    {
        assert_eq!(shard.append(edit(seq, other)), Reply::Refused(ErrorCode::TooLate));
    }
    accepted(shard.append(edit(5, live(2, until, "on my way"))));
    accepted(shard.append(edit(6, live(3, shard.now_ms + 5, "on my way"))));
    let location = shard.history("bob", "alice")[0].content.as_ref().unwrap().location;
    assert_eq!(location.unwrap().latitude_e7, 3);
    shard.now_ms += 6;
    assert_eq!(shard.append(edit(7, live(4, 0, "on my way"))), Reply::Refused(ErrorCode::TooLate), "it has ended");
}

#[test]
fn what_is_refused_leaves_no_copy_with_its_sender() {
    let mut shard = Shard::alone();
    let alice = shard.attach("alice", "phone", None);
    shard.update(
        "bob",
        "alice",
        Update { blocks: Some(Blocks { blocks: vec![Block::Messages.into()] }), ..Update::default() },
    );
    assert_eq!(shard.append(kept("bob", &alice, "alice", 1, "hello")), Reply::Refused(ErrorCode::Blocked));
    assert_eq!(shard.history("alice", "bob").len(), 0);
    shard.update("bob", "alice", Update { blocks: Some(Blocks::default()), ..Update::default() });
    assert_eq!(shard.record("bob").blocks, 0);
    accepted(shard.append(kept("bob", &alice, "alice", 1, "hello")));
}

#[test]
fn the_sender_s_other_devices_are_told_and_a_single_one_is_not() {
    let mut shard = Shard::alone();
    let phone = shard.attach("alice", "phone", None);
    accepted(shard.append(kept("bob", &phone, "alice", 1, "from the phone")));
    assert_eq!(shard.messages("alice").len(), 0);
    shard.attach("alice", "laptop", None);
    accepted(shard.append(kept("bob", &phone, "alice", 2, "again")));
    let copies = shard.messages("alice");
    assert_eq!((copies[0].from.as_str(), copies[0].to.as_str()), ("alice", "bob"));
    // To have the copy is no delivery to bob.
    let tail = shard.record("alice").last_seq;
    shard.ack("alice", &phone, tail);
    assert_eq!(shard.receipts("alice").len(), 0);
    shard.check(&["alice", "bob"]);
}

#[test]
fn a_copy_travels_to_the_sender_s_shard_once() {
    let [alice_name, bob_name] = users_of_two_shards();
    let (mut home, mut away) = (Shard::new(0, 2), Shard::new(1, 2));
    let alice = home.attach(&alice_name, "phone", None);
    home.attach(&alice_name, "laptop", None);
    accepted(away.append(kept(&bob_name, &alice, &alice_name, 1, "hello")));
    let mut recall = change(&bob_name, &alice, &alice_name, 2, 1, Kind::Edit);
    recall.sender_retention_ms = DAY_MS;
    accepted(away.append(recall));
    let page = away.page(0, 0, 10).unwrap();
    assert_eq!(home.deliver(page.clone()), 2);
    assert_eq!(home.deliver(page), 2);
    assert_eq!(home.texts(&alice_name, &bob_name), ["edited"]);
    assert_eq!((home.messages(&alice_name).len(), home.changes(&alice_name).len()), (1, 1));
    home.check(&[&alice_name]);
    assert_eq!(home.replay().dump(), home.store.dump());
    assert_eq!(away.replay().dump(), away.store.dump());
}

#[test]
fn a_page_of_large_copies_is_bounded_in_bytes() {
    let [alice_name, bob_name] = users_of_two_shards();
    let mut away = Shard::new(1, 2);
    let alice = Shard::new(0, 2).attach(&alice_name, "phone", None);
    for seq in 1..=40 {
        accepted(away.append(kept(&bob_name, &alice, &alice_name, seq, &"x".repeat(60_000))));
    }
    let page = away.page(0, 0, 100).unwrap();
    assert!(page.encoded_len() < 2 << 20, "{}", page.encoded_len());
    let next = away.page(0, page.last_seq, 100).unwrap();
    assert_eq!(next.first_seq, page.last_seq + 1);
}

#[test]
fn an_edit_is_seen_by_who_has_read_and_by_who_has_not() {
    let mut shard = Shard::alone();
    let alice = shard.attach("alice", "phone", None);
    let bob = shard.attach("bob", "phone", None);
    shard.attach("bob", "tablet", None);
    accepted(shard.append(kept("bob", &alice, "alice", 1, "original")));
    shard.ack("bob", &bob, 1);
    accepted(shard.append(change("bob", &alice, "alice", 2, 1, Kind::Edit)));
    assert!(!shard.holds("original"), "nothing of it is left in the state");
    let message = &shard.history("bob", "alice")[0];
    assert_eq!(message.content.as_ref().unwrap().text, "edited");
    assert!(message.edited_at_ms > 0);
    let changes = shard.changes("bob");
    assert_eq!(changes[0].content.as_ref().unwrap().text, "edited");
    assert_eq!((changes[0].from.as_str(), changes[0].id.unwrap().seq), ("alice", 2));
    // The tablet has had neither: the message comes to it as it is now.
    assert_eq!(shard.messages("bob")[0].content.as_ref().unwrap().text, "edited");
    shard.check(&["alice", "bob"]);
}

#[test]
fn what_is_recalled_or_wiped_is_gone_also_from_edits_that_still_wait() {
    for kind in [Kind::Recall, Kind::Wipe] {
        let mut shard = Shard::alone();
        let alice = shard.attach("alice", "phone", None);
        shard.attach("alice", "laptop", None);
        shard.attach("bob", "phone", None);
        accepted(shard.append(kept("bob", &alice, "alice", 1, "original")));
        accepted(shard.append(change("bob", &alice, "alice", 2, 1, Kind::Edit)));
        accepted(shard.append(change("bob", &alice, "alice", 3, 1, kind)));
        assert!(!shard.holds("original") && !shard.holds("edited"));
        for (user, with) in [("alice", "bob"), ("bob", "alice")] {
            let message = &shard.history(user, with)[0];
            assert_eq!(message.content, None);
            assert!(message.recalled_at_ms + message.wiped_at_ms > 0);
            assert_eq!(shard.changes(user).len(), 2);
        }
        let again = change("bob", &alice, "alice", 4, 1, Kind::Edit);
        assert_eq!(shard.append(again), Reply::Refused(ErrorCode::NotFound));
        shard.check(&["alice", "bob"]);
    }
}

#[test]
fn changes_have_a_window_and_an_author() {
    let mut shard = Shard::alone();
    let alice = shard.attach("alice", "phone", None);
    let bob = shard.attach("bob", "phone", None);
    accepted(shard.append(kept("bob", &alice, "alice", 1, "original")));
    // Bob may react to it and pin it, and not edit it.
    let of_alice = |kind| {
        let mut change = change("alice", &bob, "bob", 1, 1, kind);
        change.change.as_mut().unwrap().of = Some(MessageId { stream: alice.stream, seq: 1 });
        change
    };
    assert_eq!(shard.append(of_alice(Kind::Edit)), Reply::Refused(ErrorCode::PermissionDenied));
    accepted(shard.append(of_alice(Kind::React)));
    for user in [("alice", "bob"), ("bob", "alice")] {
        assert_eq!(shard.history(user.0, user.1)[0].reactions[0].from, "bob");
    }
    // Another conversation is nobody's business.
    let carol = shard.attach("carol", "phone", None);
    let mut foreign = change("bob", &carol, "carol", 1, 1, Kind::React);
    foreign.change.as_mut().unwrap().of = Some(MessageId { stream: alice.stream, seq: 1 });
    assert_eq!(shard.append(foreign), Reply::Refused(ErrorCode::NotFound));
    shard.now_ms += i64::try_from(WINDOW_MS).unwrap();
    accepted(shard.append(change("bob", &alice, "alice", 2, 1, Kind::Edit)));
    shard.now_ms += 1;
    for kind in [Kind::Edit, Kind::Recall, Kind::Wipe] {
        assert_eq!(shard.append(change("bob", &alice, "alice", 3, 1, kind)), Reply::Refused(ErrorCode::TooLate));
    }
    accepted(shard.append(change("bob", &alice, "alice", 3, 1, Kind::Pin)));
    assert!(shard.history("bob", "alice")[0].pinned);
    assert_eq!(shard.append(change("bob", &alice, "alice", 4, 99, Kind::Edit)), Reply::Refused(ErrorCode::NotFound));
}

#[test]
fn a_message_that_was_taken_back_has_no_reactions_whichever_came_first() {
    let of_kind = |kind: Kind| Change { kind: kind.into(), emoji: "+".to_owned(), at_ms: 1, ..Change::default() };
    let (recall, react) = (of_kind(Kind::Recall), of_kind(Kind::React));
    let either_way = [[&recall, &react], [&react, &recall]]
        .map(|[first, second]| changed(changed(Message::default(), first), second));
    assert_eq!(either_way[0], either_way[1]);
    assert!(either_way[0].reactions.is_empty() && either_way[0].recalled_at_ms == 1);
}

#[test]
fn a_user_s_reactions_are_bounded_and_can_be_taken_back() {
    let mut shard = Shard::alone();
    let alice = shard.attach("alice", "phone", None);
    accepted(shard.append(kept("bob", &alice, "alice", 1, "x")));
    let react = |seq: u64, emoji: usize, off| {
        let mut react = change("bob", &alice, "alice", seq, 1, Kind::React);
        let change = react.change.as_mut().unwrap();
        (change.emoji, change.off) = (format!("{emoji}"), off);
        react
    };
    let limit = REACTIONS as u64;
    for number in 0..limit {
        accepted(shard.append(react(2 + number, number as usize, false)));
    }
    let one_more = react(2 + limit, 99, false);
    assert_eq!(shard.append(one_more.clone()), Reply::Refused(ErrorCode::FailedPrecondition));
    accepted(shard.append(react(2 + limit, 0, true)));
    accepted(shard.append(AppendMessage { seq: 3 + limit, ..one_more }));
    assert_eq!(shard.history("bob", "alice")[0].reactions.len(), REACTIONS);
    let mut too_long = react(4 + limit, 0, false);
    too_long.change.as_mut().unwrap().emoji = "x".repeat(65);
    assert_eq!(shard.append(too_long), Reply::Refused(ErrorCode::InvalidArgument));
}

#[test]
fn unread_counts_follow_what_comes_and_what_is_read_on_any_device() {
    let mut shard = Shard::alone();
    let alice = shard.attach("alice", "phone", None);
    let phone = shard.attach("bob", "phone", None);
    shard.attach("bob", "laptop", None);
    for seq in 1..=3 {
        accepted(shard.append(kept("bob", &alice, "alice", seq, "x")));
    }
    accepted(shard.append(kept("alice", &phone, "bob", 1, "my own counts for nothing")));
    let unread = |shard: &Shard| {
        let conversation = shard.conversation("bob", "alice");
        conversation.incoming - conversation.read_incoming
    };
    assert_eq!((unread(&shard), shard.conversation("bob", "alice").last_place), (3, 4));
    shard.read("bob", "alice", alice.stream, 2);
    assert_eq!(unread(&shard), 1);
    let told = |shard: &Shard| {
        let updates = shard.entries("bob", 0).into_iter().filter_map(|(_, envelope)| match envelope.event {
            Some(envelope::Event::ConversationUpdate(update)) => update.conversation,
            _ => None,
        });
        updates.collect::<Vec<_>>()
    };
    assert_eq!((told(&shard)[0].unread, told(&shard)[0].read_place), (1, 2));
    let marked = shard.update("bob", "alice", Update { marked_unread: Some(true), ..Update::default() });
    assert!(marked.marked_unread);
    let read = shard.update("bob", "alice", Update { read_place: Some(99), ..Update::default() });
    assert_eq!((read.unread, read.read_place, read.marked_unread), (0, 4, false));
    let settings = Update { mute_until_ms: Some(5), archived: Some(true), favourite: Some(true), ..Update::default() };
    let set = shard.update("bob", "alice", settings);
    assert_eq!((set.mute_until_ms, set.archived, set.favourite), (5, true, true));
    assert_eq!(told(&shard).last(), Some(&set));
    shard.check(&["alice", "bob"]);
}

#[test]
fn retention_ends_and_what_no_device_has_had_waits_for_it() {
    let mut shard = Shard::alone();
    let alice = shard.attach("alice", "phone", None);
    let bob = shard.attach("bob", "phone", None);
    accepted(shard.append(kept("bob", &alice, "alice", 1, "first")));
    accepted(shard.append(kept("bob", &alice, "alice", 2, "second")));
    shard.ack("bob", &bob, 1);
    shard.now_ms += i64::try_from(DAY_MS).unwrap() + 1;
    shard.expire();
    assert_eq!((shard.texts("alice", "bob").len(), shard.texts("bob", "alice")), (0, vec!["second".to_owned()]));
    shard.check(&["alice", "bob"]);
    shard.ack("bob", &bob, 2);
    shard.now_ms += RETENTION_PAUSE_MS + 1;
    shard.expire();
    assert!(!shard.holds("first") && !shard.holds("second"));
    let (alice_s, bob_s) = (shard.record("alice"), shard.record("bob"));
    assert_eq!((alice_s.history_bytes, bob_s.history_bytes), (0, 0));
    let conversation = shard.conversation("bob", "alice");
    assert_eq!(conversation.incoming, conversation.read_incoming, "what is gone is not unread");
    assert_eq!(shard.replay().dump(), shard.store.dump());
}

#[test]
fn what_expired_undelivered_is_not_in_the_recipient_s_history() {
    let mut shard = Shard::alone();
    let alice = shard.attach("alice", "phone", None);
    shard.attach("bob", "phone", None);
    let mut short = kept("bob", &alice, "alice", 1, "short-lived");
    short.ttl_ms = Some(10);
    accepted(shard.append(short));
    shard.now_ms += 11;
    shard.expire();
    assert_eq!((shard.texts("bob", "alice").len(), shard.texts("alice", "bob").len()), (0, 1));
    assert_eq!(shard.failures("alice").len(), 1);
    shard.check(&["alice", "bob"]);
}
