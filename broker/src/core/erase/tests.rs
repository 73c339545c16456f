use std::collections::BTreeSet;

use tidings_proto::client::v1::{Blocks, UpdateConversation as Update};
use tidings_proto::mailbox::v1::command::Command;
use tidings_proto::mailbox::v1::{AppendMessage, GroupChange, ScheduleMessage};
use tidings_proto::message::v1::{Block, Disappearance, disappearance::Start};

use super::super::group::testing::{ALL, kept as kept_in, member};
use super::super::history_tests::{accepted, kept};
use super::super::scenarios::users_of_two_shards;
use super::super::testing::{APP, Shard, mailbox_of, message, post};
use super::*;

const HOUR_MS: u64 = 3600 * 1000;
/// The one kind that begins with a mailbox and is another's to say.
const CONTACT_OF: u8 = 0x19;

fn erase_once(shard: &mut Shard, user: &str) -> (u32, bool) {
    let (app, user) = (APP.to_owned(), user.to_owned());
    let erase = EraseMailbox { app, user, of_system: false, tells_senders: true };
    match shard.apply(Command::EraseMailbox(erase)) {
        Reply::MailboxErased { erased, more } => (erased, more),
        other => panic!("it was answered {other:?}"),
    }
}

fn erase(shard: &mut Shard, user: &str) {
    while erase_once(shard, user).1 {}
    assert_eq!(erase_once(shard, user), (0, false), "nothing is left");
}

/// The kinds of keys that hold a mailbox's name.
fn kinds(shard: &Shard, user: &str) -> BTreeSet<u8> {
    let name = format!("{APP}\0{user}\0");
    let is_of = |key: &[u8]| key.windows(name.len()).any(|part| part == name.as_bytes());
    shard.store.dump().into_iter().map(|(key, _)| key).filter(|key| is_of(key)).map(|key| key[0]).collect()
}

fn contact() -> Update {
    Update { contact: Some(true), ..Update::default() }
}

fn leave(shard: &mut Shard, group: &str, user: &str) {
    shard.update_group(group, 2, vec![GroupChange { removed: vec![user.to_owned()], ..GroupChange::default() }]);
}

/// Alice with something of every kind: what waits, what a device lags behind with, history, settings, what is
/// scheduled, a group.
fn filled() -> Shard {
    let mut shard = Shard::alone();
    let (phone, _laptop) = (shard.attach("alice", "phone", None), shard.attach("alice", "laptop", None));
    shard.attach("alice", "", None);
    let bob = shard.attach("bob", "phone", None);
    // Bob keeps nothing of it.
    let to_alice = |seq, text: &str| AppendMessage { sender_retention_ms: 0, ..kept("alice", &bob, "bob", seq, text) };
    accepted(shard.append(to_alice(1, "a secret")));
    accepted(shard.append(AppendMessage { ttl_ms: Some(HOUR_MS), ..to_alice(2, "a secret for an hour") }));
    shard.ack("alice", &phone, 1);
    let disappears = Some(Disappearance { after_ms: HOUR_MS, from: Start::Read.into() });
    accepted(shard.append(AppendMessage { disappears, ..to_alice(3, "a secret that burns") }));
    accepted(shard.append(kept("bob", &phone, "alice", 1, "said by alice")));
    let mut posted = post("shop", "order 1");
    posted.message.as_mut().unwrap().to = "alice".to_owned();
    assert!(matches!(shard.apply(Command::PostMessage(posted)), Reply::Posted { .. }));

    let blocks = Some(Blocks { blocks: vec![Block::GroupMessages.into(), Block::Profile.into()] });
    shard.update("alice", "carol", Update { blocks, ..Update::default() });
    shard.update("alice", "bob", contact());
    shard.update("bob", "alice", contact());
    let deliver_at_ms = shard.now_ms + 1_000;
    let later = Some(message("bob", &phone, "alice", 1));
    let schedule = ScheduleMessage { message: later, deliver_at_ms, ..ScheduleMessage::default() };
    accepted(shard.apply(Command::ScheduleMessage(schedule)));
    shard.form("team", &[member("alice", ALL), member("bob", ALL)]);
    accepted(shard.say_in(kept_in("team", &bob, "bob", 1, "said in the group")));
    shard
}

#[test]
fn of_everything_that_a_mailbox_can_have_nothing_is_left() {
    let mut shard = filled();
    let in_pairs = (0x02..=0x08).chain(0x10..=0x19).chain([0x1b]);
    let all: BTreeSet<u8> = in_pairs.chain([0x40]).chain(0x50..=0x53).chain([0x60]).collect();
    assert_eq!(kinds(&shard, "alice"), all, "the story has every kind");
    let before = shard.record("alice").epoch;

    // The group has yet to hear of it: what is said there may go on coming.
    let (erased, more) = erase_once(&mut shard, "alice");
    assert!(erased > 0 && more);
    assert!(shard.effects.contains(&Effect::Erased { mailbox: mailbox_of("alice") }));
    assert!(!shard.holds("a secret"), "what was said to alice is gone at once");
    let bob = shard.attach("bob", "phone", None);
    accepted(shard.say_in(kept_in("team", &bob, "bob", 1, "said to the last")));
    leave(&mut shard, "team", "alice");
    erase(&mut shard, "alice");

    assert_eq!(kinds(&shard, "alice"), BTreeSet::from([CONTACT_OF]), "bob has alice among the contacts");
    let named = |kind: u8| shard.store.dump().iter().any(|(key, _)| key[0] == kind && key.ends_with(b"\0alice\0"));
    for kind in [0x21, 0x27, 0x30, 0x2d] {
        assert!(!named(kind), "{kind:#x} is of members");
    }
    assert_eq!(shard.texts("bob", "alice"), ["said by alice"], "it is bob's too");
    let told: Vec<_> = shard.failures("bob").iter().map(|failure| (failure.id.unwrap().seq, failure.reason)).collect();
    let unknown = ErrorCode::RecipientUnknown.into();
    assert_eq!(told, [(2, unknown), (3, unknown)], "alice has the first one");
    shard.check(&["alice", "bob"]);

    // One of the same id, whose device has kept its place from before.
    let phone = shard.attach("alice", "phone", Some((before, 1, 2)));
    assert!(phone.mailbox_epoch != before && phone.stream > 1, "{phone:?}");
    assert_eq!((phone.cursor, phone.tail, phone.unknown), (0, 0, None));
    assert!(shard.history("alice", "bob").is_empty() && shard.entries("alice", 0).is_empty());
    accepted(shard.append(kept("alice", &bob, "bob", 1, "hello, new alice")));
    assert_eq!(shard.texts("alice", "bob"), ["hello, new alice"]);
    shard.now_ms += 400 * 24 * HOUR_MS.cast_signed();
    while matches!(shard.expire(), Reply::Expired { more: true, .. }) {}
    shard.check(&["alice", "bob"]);
    assert_eq!(shard.replay().dump(), shard.store.dump());
}

#[test]
fn each_command_does_so_much_and_what_happens_in_between_does_no_harm() {
    let mut shard = Shard::alone();
    let (phone, bob) = (shard.attach("alice", "phone", None), shard.attach("bob", "phone", None));
    for seq in 1..=600 {
        let ttl_ms = (seq % 2 == 0).then_some(HOUR_MS);
        accepted(shard.append(AppendMessage { ttl_ms, ..kept("alice", &bob, "bob", seq, "one of many") }));
    }
    shard.ack("alice", &phone, 100);
    assert_eq!(erase_once(&mut shard, "alice"), (512, true));
    shard.check(&["alice", "bob"]);
    shard.ack("alice", &phone, 600);
    accepted(shard.append(kept("alice", &bob, "bob", 601, "on its way")));
    shard.now_ms += 2 * HOUR_MS.cast_signed();
    shard.expire();
    shard.check(&["alice", "bob"]);
    erase(&mut shard, "alice");
    assert_eq!(kinds(&shard, "alice"), BTreeSet::new());
    assert_eq!(shard.replay().dump(), shard.store.dump());
}

#[test]
fn what_was_kept_under_earlier_brokers_ends_nothing_that_came_later() {
    let mut shard = Shard::alone();
    shard.level = 4;
    let bob = shard.attach("bob", "phone", None);
    accepted(shard.append(kept("alice", &bob, "bob", 1, "as before")));
    shard.level = super::super::level::LEVEL;
    erase(&mut shard, "alice");
    let due = BTreeSet::from([0x14]);
    assert_eq!(kinds(&shard, "alice"), due, "where it stands in the index nobody knows; it goes when it is due");
    shard.now_ms += HOUR_MS.cast_signed();
    accepted(shard.append(kept("alice", &bob, "bob", 2, "at the same place")));
    let alice = shard.attach("alice", "phone", None);
    shard.ack("alice", &alice, 9);
    for (after_hours, texts) in [(23, 1), (1, 0)] {
        shard.now_ms += after_hours * HOUR_MS.cast_signed() + 1;
        shard.expire();
        assert_eq!(shard.texts("alice", "bob").len(), texts);
    }
    assert!(!kinds(&shard, "alice").contains(&0x14));
}

#[test]
fn the_shards_of_contacts_hear_of_it() {
    let [here, there] = users_of_two_shards();
    let (mut first, mut second) = (Shard::new(0, 2), Shard::new(1, 2));
    first.update(&here, &there, contact());
    second.deliver(first.page(1, 0, 9).unwrap());
    assert!(kinds(&second, &there).contains(&CONTACT_OF));
    erase(&mut first, &here);
    second.deliver(first.page(1, 1, 9).unwrap());
    assert!(kinds(&second, &there).is_empty());
}

#[test]
fn the_schedule_of_a_system_is_its_own() {
    let mut shard = filled();
    let (app, user) = (APP.to_owned(), "alice".to_owned());
    let of_system = Command::EraseMailbox(EraseMailbox { app, user, of_system: true, ..EraseMailbox::default() });
    assert_eq!(shard.apply(of_system), Reply::MailboxErased { erased: 0, more: false });
    assert!(kinds(&shard, "alice").contains(&0x50));
    let nobody = Command::EraseMailbox(EraseMailbox::default());
    assert_eq!(shard.apply(nobody), Reply::Refused(ErrorCode::InvalidArgument));
}
