use tidings_consensus::StateStore as _;
use tidings_proto::client::v1::{Blocks, UpdateConversation as Update};
use tidings_proto::mailbox::v1::{
    GroupChange, ReleaseScheduled, ReleaseTerms, ScheduleRelease, UpdateConversation, command::Command,
};
use tidings_proto::message::v1::{Block, Message, ReceiptRequest};
use tidings_proto::shard::shard_of;

use super::super::AttachedDevice;
use super::super::group::testing::{ALL, bring, member, two_shards};
use super::super::history_tests::kept;
use super::super::testing::{APP, Shard, message};
use super::*;

const HOUR_MS: i64 = 3600 * 1000;

fn of(user: &str) -> Scheduler {
    Scheduler::new(APP, user, false).unwrap()
}

fn later(shard: &Shard, message: AppendMessage, wait_ms: i64) -> ScheduleMessage {
    let deliver_at_ms = shard.now_ms + wait_ms;
    ScheduleMessage { message: Some(message), deliver_at_ms, ..ScheduleMessage::default() }
}

fn schedule(shard: &mut Shard, message: AppendMessage, wait_ms: i64) -> Reply {
    let command = Command::ScheduleMessage(later(shard, message, wait_ms));
    shard.apply(command)
}

fn by_backend(shard: &mut Shard, from: &str, request_id: &str, by_system: bool) -> Reply {
    let message = AppendMessage {
        app: APP.to_owned(),
        from: from.to_owned(),
        to: "bob".to_owned(),
        content: Bytes::from_static(b"\x1a\x02hi"),
        ..AppendMessage::default()
    };
    let schedule = ScheduleMessage {
        by_backend: true,
        by_system,
        request_id: request_id.to_owned(),
        ..later(shard, message, HOUR_MS)
    };
    shard.apply(Command::ScheduleMessage(schedule))
}

fn cancel(shard: &mut Shard, user: &str, id: MessageId) -> Reply {
    let (app, user) = (APP.to_owned(), user.to_owned());
    shard.apply(Command::CancelScheduled(CancelScheduled { app, user, by_system: false, id: Some(id) }))
}

fn release_as(shard: &mut Shard, user: &str, id: MessageId, terms: Option<ReleaseTerms>, refusal: ErrorCode) {
    let release = ScheduleRelease {
        app: APP.to_owned(),
        user: user.to_owned(),
        by_system: false,
        id: Some(id),
        terms,
        refusal: refusal.into(),
    };
    let command = Command::ReleaseScheduled(ReleaseScheduled { releases: vec![release] });
    assert_eq!(shard.apply(command), Reply::Released);
}

fn release(shard: &mut Shard, user: &str, id: MessageId) {
    release_as(shard, user, id, None, ErrorCode::Unspecified);
}

fn record(shard: &Shard, user: &str) -> ScheduleRecord {
    let stored = shard.store.get(&keys::schedule(&of(user)));
    stored.map(|stored| records::open("schedule", stored).unwrap()).unwrap_or_default()
}

fn end(shard: &Shard, user: &str, id: MessageId) -> Option<ScheduleEnd> {
    record(shard, user).ended.into_iter().find(|end| end.id == Some(id))
}

fn updates(shard: &Shard, user: &str) -> Vec<(Kind, Option<MessageId>)> {
    let entries = shard.entries(user, 0).into_iter();
    let update = |(_, envelope): (u64, Envelope)| match envelope.event {
        Some(envelope::Event::ScheduleUpdate(update)) => Some((update.kind(), update.message)),
        _ => None,
    };
    entries.filter_map(update).collect()
}

const fn id(device: &AttachedDevice, seq: u64) -> MessageId {
    MessageId { stream: device.stream, seq }
}

/// Nothing waits, and no index says that something does.
fn nothing_waits(shard: &Shard, user: &str) {
    let (from, to) = keys::all_scheduled(&of(user));
    assert!(shard.store.scan(&from, &to, 10).is_empty());
    let (from, to) = keys::schedule_due_before(i64::MAX);
    assert!(shard.store.scan(&from, &to, 10).is_empty());
    assert_eq!(record(shard, user).pending, 0);
}

#[test]
fn it_is_taken_once_and_released_once_in_the_moment_that_was_named() {
    let mut shard = Shard::alone();
    let (alice, bob) = (shard.attach("alice", "phone", None), shard.attach("bob", "phone", None));
    let waits = || kept("bob", &alice, "alice", 1, "good morning");
    let accepted = |duplicate| Reply::Appended { sent_at_ms: 1_700_000_000_000, duplicate };
    assert_eq!(schedule(&mut shard, waits(), HOUR_MS), accepted(false));
    shard.now_ms += 5;
    assert_eq!(schedule(&mut shard, waits(), HOUR_MS - 5), accepted(true), "a retry is answered as the first time");
    let now = shard.append(message("bob", &alice, "alice", 2));
    assert!(matches!(now, Reply::Appended { duplicate: false, .. }), "others do not wait for it");
    shard.ack("bob", &bob, 1);
    shard.read("bob", "alice", alice.stream, 2);

    shard.now_ms += HOUR_MS - 6;
    release(&mut shard, "alice", id(&alice, 1));
    assert_eq!(shard.messages("bob").len(), 0, "a leader whose clock is ahead releases nothing");
    shard.now_ms += 1;
    release(&mut shard, "alice", id(&alice, 1));
    release(&mut shard, "alice", id(&alice, 1));
    let came: Vec<Message> = shard.messages("bob");
    assert_eq!(came.len(), 1);
    let became = came[0].id.unwrap();
    assert_eq!((came[0].sent_at_ms, came[0].from_slot), (shard.now_ms, super::super::limits::SCHEDULE_SLOT));
    assert_ne!(became.stream, alice.stream, "what was read before says nothing of it");
    assert_eq!(updates(&shard, "alice"), [(Kind::Sent, Some(became))]);
    let ended = end(&shard, "alice", id(&alice, 1)).unwrap();
    assert_eq!((ended.state(), ended.message), (ScheduleState::Sent, Some(became)));

    shard.ack("bob", &bob, 2);
    shard.read("bob", "alice", became.stream, became.seq);
    assert_eq!(shard.receipts("alice").iter().filter(|receipt| receipt.stream == became.stream).count(), 2);
    assert_eq!(cancel(&mut shard, "alice", id(&alice, 1)), Reply::Refused(ErrorCode::NotFound));
    nothing_waits(&shard, "alice");
    shard.check(&["alice", "bob"]);
    assert_eq!(shard.replay().dump(), shard.store.dump());
}

#[test]
fn a_device_of_ones_own_is_told_and_what_is_cancelled_is_never_sent() {
    let mut shard = Shard::alone();
    let alice = shard.attach("alice", "phone", None);
    assert!(matches!(schedule(&mut shard, message("bob", &alice, "alice", 1), HOUR_MS), Reply::Appended { .. }));
    assert!(updates(&shard, "alice").is_empty(), "a sole device knows");
    shard.attach("alice", "laptop", None);
    assert!(matches!(schedule(&mut shard, message("bob", &alice, "alice", 2), HOUR_MS), Reply::Appended { .. }));
    for _ in 0..2 {
        assert_eq!(cancel(&mut shard, "alice", id(&alice, 1)), Reply::ScheduledCancelled);
    }
    assert_eq!(updates(&shard, "alice"), [(Kind::Scheduled, None), (Kind::Cancelled, None)]);
    assert_eq!(cancel(&mut shard, "alice", id(&alice, 9)), Reply::Refused(ErrorCode::NotFound));
    assert_eq!(cancel(&mut shard, "bob", id(&alice, 2)), Reply::Refused(ErrorCode::NotFound), "it is not bob's");
    shard.now_ms += HOUR_MS;
    release(&mut shard, "alice", id(&alice, 1));
    assert!(shard.messages("bob").is_empty());
    release(&mut shard, "alice", id(&alice, 2));
    assert_eq!(shard.messages("bob").len(), 1);
    nothing_waits(&shard, "alice");
}

#[test]
fn so_many_wait_so_far_ahead_and_not_one_more() {
    let mut shard = Shard::alone();
    let alice = shard.attach("alice", "phone", None);
    for seq in 1..=100 {
        let reply = schedule(&mut shard, message("bob", &alice, "alice", seq), HOUR_MS);
        assert!(matches!(reply, Reply::Appended { duplicate: false, .. }), "{seq}: {reply:?}");
    }
    let full = Reply::Refused(ErrorCode::ScheduleFull);
    assert_eq!(schedule(&mut shard, message("bob", &alice, "alice", 101), HOUR_MS), full);
    assert_eq!(by_backend(&mut shard, "alice", "1", false), full, "whoever schedules it");
    assert_eq!(cancel(&mut shard, "alice", id(&alice, 50)), Reply::ScheduledCancelled);
    let reply = schedule(&mut shard, message("bob", &alice, "alice", 101), SCHEDULED_AHEAD_MS);
    assert!(matches!(reply, Reply::Appended { duplicate: false, .. }), "its number is as good as before: {reply:?}");

    let bob = shard.attach("bob", "phone", None);
    let refused = Reply::Refused(ErrorCode::InvalidArgument);
    assert_eq!(schedule(&mut shard, message("alice", &bob, "bob", 1), SCHEDULED_AHEAD_MS + 1), refused);
    let transient = AppendMessage { ttl_ms: Some(0), ..message("alice", &bob, "bob", 1) };
    assert_eq!(schedule(&mut shard, transient, HOUR_MS), refused);
    assert_eq!(schedule(&mut shard, message("a\0b", &bob, "bob", 1), HOUR_MS), refused);

    let system = Scheduler::new(APP, "system", true).unwrap();
    let almost = ScheduleRecord { pending: SCHEDULED_BY_SYSTEM - 1, ..ScheduleRecord::default() };
    shard.store.put(keys::schedule(&system), records::seal(&almost));
    assert!(matches!(by_backend(&mut shard, "system", "1", true), Reply::Scheduled { duplicate: false, .. }));
    assert_eq!(by_backend(&mut shard, "system", "2", true), full);
}

#[test]
fn a_backend_s_request_is_one_message_and_a_user_of_the_system_s_name_is_another() {
    let mut shard = Shard::alone();
    shard.attach("system", "phone", None);
    let first = by_backend(&mut shard, "system", "order 1", true);
    let Reply::Scheduled { id: named, duplicate: false, .. } = first else { panic!("{first:?}") };
    shard.now_ms += 7;
    let again = by_backend(&mut shard, "system", "order 1", true);
    assert_eq!(again, Reply::Scheduled { id: named, at_ms: shard.now_ms - 7, duplicate: true });
    assert!(updates(&shard, "system").is_empty() && record(&shard, "system").pending == 0);
    let of_user = by_backend(&mut shard, "system", "order 1", false);
    assert!(matches!(of_user, Reply::Scheduled { id, duplicate: false, .. } if id != named), "{of_user:?}");
    assert_eq!(updates(&shard, "system"), [(Kind::Scheduled, None)], "no device knows what a backend does");
    for request in 2..=65 {
        by_backend(&mut shard, "system", &format!("order {request}"), true);
    }
    let forgotten = by_backend(&mut shard, "system", "order 1", true);
    assert!(matches!(forgotten, Reply::Scheduled { id, duplicate: false, .. } if id != named), "{forgotten:?}");
}

#[test]
fn what_the_recipient_does_not_take_comes_back_with_the_reason() {
    let mut shard = Shard::alone();
    let alice = shard.attach("alice", "phone", None);
    for seq in 1..=3 {
        schedule(&mut shard, message("bob", &alice, "alice", seq), HOUR_MS);
    }
    let blocks = Some(Blocks { blocks: vec![Block::Messages.into()] });
    let update = Some(Update { with: "alice".to_owned(), blocks, ..Update::default() });
    let (app, user, with) = (APP.to_owned(), "bob".to_owned(), "alice".to_owned());
    shard.apply(Command::UpdateConversation(UpdateConversation { app, user, with, update }));
    shard.now_ms += HOUR_MS;
    release(&mut shard, "alice", id(&alice, 1));
    release_as(&mut shard, "alice", id(&alice, 2), None, ErrorCode::FeatureOff);
    let failures = shard.failures("alice");
    let reasons: Vec<_> = failures.iter().map(|failure| (failure.id.unwrap().seq, failure.reason())).collect();
    assert_eq!(reasons, [(1, ErrorCode::Blocked), (2, ErrorCode::FeatureOff)]);
    assert!(failures.iter().all(|failure| failure.to == "bob"));
    let ended = end(&shard, "alice", id(&alice, 1)).unwrap();
    assert_eq!((ended.state(), ended.reason()), (ScheduleState::Failed, ErrorCode::Blocked));
    assert!(shard.messages("bob").is_empty());
    assert_eq!(record(&shard, "alice").pending, 1);
}

#[test]
fn the_policies_of_the_moment_decide() {
    let mut shard = Shard::alone();
    let alice = shard.attach("alice", "phone", None);
    shard.attach("bob", "phone", None);
    let waits = AppendMessage { ttl_ms: Some(1000), ..kept("bob", &alice, "alice", 1, "hi") };
    schedule(&mut shard, waits, HOUR_MS);
    shard.now_ms += HOUR_MS;
    let terms = ReleaseTerms { receipts: ReceiptRequest::ReceiptsNone.into(), ..ReleaseTerms::default() };
    release_as(&mut shard, "alice", id(&alice, 1), Some(terms), ErrorCode::Unspecified);
    let came = shard.messages("bob").remove(0);
    assert_eq!(came.receipts(), ReceiptRequest::ReceiptsNone);
    assert_eq!(came.expires_at_ms, shard.now_ms + 1000, "its time runs from now");
    assert_eq!(shard.record("bob").history_bytes, 0, "nobody keeps it any more");
}

fn in_group(shard: &Shard, message: AppendMessage) -> Command {
    Command::ScheduleMessage(ScheduleMessage { to_group: true, ..later(shard, message, HOUR_MS) })
}

/// Time goes by in both shards.
fn wait(shards: &mut [Shard; 2], ms: i64) {
    shards.iter_mut().for_each(|shard| shard.now_ms += ms);
}

#[test]
fn a_group_takes_it_at_the_place_that_is_next_then() {
    let (mut shards, name, [here, there]) = two_shards();
    let phone = shards[1].attach(&there, "phone", None);
    let command = in_group(&shards[1], message(&name, &phone, &there, 1));
    assert!(matches!(shards[1].apply(command), Reply::Appended { .. }));
    wait(&mut shards, HOUR_MS);
    let desk = shards[0].attach(&here, "desk", None);
    shards[0].say_in(message(&name, &desk, &here, 1));
    release(&mut shards[1], &there, id(&phone, 1));
    let page = shards[1].page(0, 0, 10).unwrap();
    let up_to = shards[0].deliver(page.clone());
    assert_eq!(shards[0].deliver(page), up_to, "an item that comes twice is taken once");
    let places: Vec<_> = shards[0].messages(&here).iter().map(|message| message.group_seq).collect();
    assert_eq!(places, [2, 3]);
    bring(&mut shards, &mut 0);
    assert_eq!(updates(&shards[1], &there).len(), 1);
    assert_eq!(shards[1].messages(&there).len(), 2, "its sender gets it at its place too");
}

#[test]
fn a_home_may_have_to_hear_of_a_member_first() {
    let (mut shards, name, _) = two_shards();
    let late = (0..).map(|n| format!("late-{n}")).find(|user| shard_of(APP, user, 2) == 1).unwrap();
    let phone = shards[1].attach(&late, "phone", None);
    for seq in [1, 2] {
        let command = in_group(&shards[1], message(&name, &phone, &late, seq));
        shards[1].apply(command);
    }
    wait(&mut shards, HOUR_MS);
    let (mut brought, mut after) = (0, 0);
    let mut try_again = |shards: &mut [Shard; 2], seq: u64| {
        release(&mut shards[1], &late, id(&phone, seq));
        let page = shards[1].page(0, brought, 10).unwrap();
        brought = shards[0].deliver(page);
        bring(shards, &mut after);
        end(&shards[1], &late, id(&phone, seq)).map(|end| (end.state(), end.reason()))
    };
    assert_eq!(try_again(&mut shards, 1), None);
    assert_eq!(record(&shards[1], &late).pending, 2, "it waits once more");
    let joins = GroupChange { put: vec![member(&late, ALL)], ..GroupChange::default() };
    shards[0].update_group(&name, 2, vec![joins]);
    wait(&mut shards, 1000);
    assert_eq!(try_again(&mut shards, 1), Some((ScheduleState::Sent, ErrorCode::Unspecified)));
    assert!(shards[1].failures(&late).is_empty());

    let leaves = GroupChange { removed: vec![late.clone()], ..GroupChange::default() };
    shards[0].update_group(&name, 3, vec![leaves]);
    wait(&mut shards, 4000);
    assert_eq!(try_again(&mut shards, 2), Some((ScheduleState::Failed, ErrorCode::NotAMember)));
    assert_eq!(shards[1].failures(&late).len(), 1);
    nothing_waits(&shards[1], &late);
}

#[test]
fn what_a_cancelled_message_said_is_in_no_record() {
    let mut shard = Shard::alone();
    let alice = shard.attach("alice", "phone", None);
    shard.attach("alice", "laptop", None);
    schedule(&mut shard, kept("bob", &alice, "alice", 1, "nobody-may-read-this"), HOUR_MS);
    let says = |shard: &Shard| format!("{:?}", shard.store.dump()).contains("nobody-may-read-this");
    assert!(says(&shard));
    cancel(&mut shard, "alice", id(&alice, 1));
    assert!(!says(&shard));
}
