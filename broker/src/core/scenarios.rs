//! What the core does, one short story each.

use tidings_proto::ErrorCode;
use tidings_proto::mailbox::v1::command::Command;
use tidings_proto::mailbox::v1::{AppendMessage, ChannelTrim};
use tidings_proto::message::v1::ReceiptRequest;
use tidings_proto::message::v1::receipt::Kind;
use tidings_proto::shard::{shard_of, shard_of_stream};

use super::limits::{DEFAULT_DEVICES, FIRST_EPHEMERAL_SLOT, PASSED_PER_COMMAND, RETAINED_MS};
use super::testing::{APP, Shard, mailbox_of, message};
use super::{AttachedDevice, Core, CoreError, Effect, Reply, encode, keys};
use tidings_consensus::{ApplyContext, MemoryStore, StateStore};

fn resume(device: &AttachedDevice, cursor: u64) -> Option<(u64, u64, u64)> {
    Some((device.mailbox_epoch, device.stream, cursor))
}

fn accepted(reply: &Reply) -> bool {
    matches!(reply, Reply::Appended { duplicate: false, .. })
}

#[test]
fn a_retry_is_answered_as_the_first_and_adds_nothing() {
    let mut shard = Shard::alone();
    let alice = shard.attach("alice", "phone", None);
    let first = shard.append(message("bob", &alice, "alice", 1));
    assert_eq!(first, Reply::Appended { sent_at_ms: shard.now_ms, duplicate: false });
    let sent_at_ms = shard.now_ms;
    shard.now_ms += 5000;
    let retry = shard.append(message("bob", &alice, "alice", 1));
    assert_eq!(retry, Reply::Appended { sent_at_ms, duplicate: true });
    assert_eq!(shard.messages("bob").len(), 1);
}

#[test]
fn a_message_waits_for_the_one_before_it() {
    let mut shard = Shard::alone();
    let alice = shard.attach("alice", "phone", None);
    let mut second = message("bob", &alice, "alice", 2);
    second.after = 1;
    assert_eq!(shard.append(second.clone()), Reply::Refused(ErrorCode::OutOfOrder));
    assert!(accepted(&shard.append(message("bob", &alice, "alice", 1))));
    assert!(accepted(&shard.append(second)));
    let seqs: Vec<u64> = shard.messages("bob").iter().map(|message| message.id.unwrap().seq).collect();
    assert_eq!(seqs, [1, 2]);
}

#[test]
fn a_newer_stream_of_a_device_fences_the_older() {
    let mut shard = Shard::alone();
    let old = shard.attach("alice", "phone", None);
    assert!(accepted(&shard.append(message("bob", &old, "alice", 1))));
    let new = shard.attach("alice", "phone", None);
    assert_eq!(new.slot, old.slot);
    assert!(new.stream > old.stream);
    assert!(accepted(&shard.append(message("bob", &new, "alice", 1))));
    assert_eq!(shard.append(message("bob", &old, "alice", 2)), Reply::Refused(ErrorCode::StreamSuperseded));
    assert_eq!(shard.ack("alice", &old, 1), Reply::Refused(ErrorCode::StreamSuperseded));
}

#[test]
fn an_out_of_order_first_message_of_a_newer_stream_fences_nothing() {
    let mut shard = Shard::alone();
    let old = shard.attach("alice", "phone", None);
    assert!(accepted(&shard.append(message("bob", &old, "alice", 1))));
    let new = shard.attach("alice", "phone", None);
    let mut early = message("bob", &new, "alice", 2);
    early.after = 1;
    assert_eq!(shard.append(early), Reply::Refused(ErrorCode::OutOfOrder));
    assert!(accepted(&shard.append(message("bob", &old, "alice", 2))));
}

#[test]
fn a_full_inbox_refuses_and_takes_again_when_it_was_emptied() {
    let mut shard = Shard::alone();
    let alice = shard.attach("alice", "phone", None);
    let bob = shard.attach("bob", "phone", None);
    let limited = |seq| {
        let mut limited = message("bob", &alice, "alice", seq);
        limited.inbox_limit = 2;
        limited
    };
    assert!(accepted(&shard.append(limited(1))));
    assert!(accepted(&shard.append(limited(2))));
    assert_eq!(shard.append(limited(3)), Reply::Refused(ErrorCode::InboxFull));
    shard.ack("bob", &bob, 1);
    assert!(accepted(&shard.append(limited(3))));
    shard.check(&["alice", "bob"]);
}

#[test]
fn a_device_that_lags_does_not_fill_the_inbox() {
    let mut shard = Shard::alone();
    let alice = shard.attach("alice", "phone", None);
    shard.attach("bob", "old-tablet", None);
    let phone = shard.attach("bob", "phone", None);
    for seq in 1..=20 {
        let mut limited = message("bob", &alice, "alice", seq);
        limited.inbox_limit = 2;
        assert!(accepted(&shard.append(limited)));
        shard.ack("bob", &phone, seq);
    }
    assert_eq!(shard.record("bob").retained_entries, 20);
    shard.check(&["alice", "bob"]);
}

#[test]
fn entries_go_when_every_device_has_them() {
    let mut shard = Shard::alone();
    let alice = shard.attach("alice", "phone", None);
    let phone = shard.attach("bob", "phone", None);
    let tablet = shard.attach("bob", "tablet", None);
    for seq in 1..=3 {
        shard.append(message("bob", &alice, "alice", seq));
    }
    shard.ack("bob", &phone, 3);
    assert_eq!(shard.messages("bob").len(), 3);
    shard.ack("bob", &tablet, 2);
    assert_eq!(shard.messages("bob").len(), 1);
    shard.ack("bob", &tablet, 3);
    assert_eq!(shard.messages("bob").len(), 0);
    shard.check(&["alice", "bob"]);
}

#[test]
fn what_was_kept_too_long_goes_and_the_device_is_told_the_range() {
    let mut shard = Shard::alone();
    let alice = shard.attach("alice", "phone", None);
    let tablet = shard.attach("bob", "tablet", None);
    let phone = shard.attach("bob", "phone", None);
    shard.append(message("bob", &alice, "alice", 1));
    shard.append(message("bob", &alice, "alice", 2));
    shard.ack("bob", &phone, 2);
    shard.now_ms += RETAINED_MS / 2;
    shard.append(message("bob", &alice, "alice", 3));
    shard.ack("bob", &phone, 3);
    shard.now_ms += RETAINED_MS / 2 + 2;
    assert_eq!(shard.expire(), Reply::Expired { entries: 0, more: true });
    assert_eq!(shard.expire(), Reply::Expired { entries: 0, more: false });
    assert_eq!(shard.messages("bob").len(), 1);
    shard.check(&["alice", "bob"]);

    let back = shard.attach("bob", "tablet", resume(&tablet, 0));
    assert_eq!((back.unknown, back.cursor, back.tail), (Some((1, 2)), 2, 3));
    assert_eq!(back.stream, tablet.stream);
    shard.ack("bob", &back, 3);
    assert_eq!(shard.messages("bob").len(), 0);
    shard.now_ms += RETAINED_MS;
    assert_eq!(shard.expire(), Reply::Expired { entries: 0, more: true });
    assert_eq!(shard.expire(), Reply::Expired { entries: 0, more: false });
}

#[test]
fn resuming_goes_on_where_the_client_stands() {
    let mut shard = Shard::alone();
    let alice = shard.attach("alice", "phone", None);
    let bob = shard.attach("bob", "phone", None);
    for seq in 1..=5 {
        shard.append(message("bob", &alice, "alice", seq));
    }
    // The client has more than it acknowledged: that is an acknowledgement.
    let ahead = shard.attach("bob", "phone", resume(&bob, 3));
    assert_eq!((ahead.cursor, ahead.recorded_cursor, ahead.tail, ahead.unknown), (3, 3, 5, None));
    assert_eq!(shard.messages("bob").len(), 2);
    // The client lost what it had: what is gone is named, the rest comes again.
    let behind = shard.attach("bob", "phone", resume(&bob, 1));
    assert_eq!((behind.cursor, behind.unknown), (3, Some((2, 3))));
    // A client of another epoch knows nothing of this mailbox.
    let stranger = shard.attach("bob", "phone", Some((bob.mailbox_epoch + 1, bob.stream, 5)));
    assert_eq!((stranger.cursor, stranger.unknown), (3, None));
    assert!(stranger.stream > bob.stream);
    // Nobody can acknowledge what is not there.
    let liar = shard.attach("bob", "phone", resume(&stranger, 50));
    assert_eq!((liar.cursor, liar.tail), (5, 5));
    shard.check(&["alice", "bob"]);
}

#[test]
fn what_a_lagging_device_still_has_here_is_delivered_again_without_a_gap() {
    let mut shard = Shard::alone();
    let alice = shard.attach("alice", "phone", None);
    let phone = shard.attach("bob", "phone", None);
    shard.attach("bob", "tablet", None);
    for seq in 1..=4 {
        shard.append(message("bob", &alice, "alice", seq));
    }
    shard.ack("bob", &phone, 4);
    let again = shard.attach("bob", "phone", resume(&phone, 2));
    assert_eq!((again.cursor, again.recorded_cursor, again.unknown), (2, 4, None));
}

#[test]
fn the_ninth_device_takes_the_place_of_the_one_away_longest() {
    let mut shard = Shard::alone();
    let mut devices: Vec<_> = (0..DEFAULT_DEVICES).map(|n| shard.attach("bob", &format!("device-{n}"), None)).collect();
    let alice = shard.attach("alice", "phone", None);
    devices[0] = shard.attach("bob", "device-0", resume(&devices[0], 0));
    let ninth = shard.attach("bob", "device-8", None);
    assert_eq!((ninth.slot, &ninth.evicted_slots[..]), (1, &[1][..]));
    assert_eq!(shard.ack("bob", &devices[1], 0), Reply::Refused(ErrorCode::StreamSuperseded));

    // The evicted one's place among the cursors is free: what all the others have goes.
    shard.append(message("bob", &alice, "alice", 1));
    for n in (0..8).filter(|n| *n != 1) {
        shard.ack("bob", &devices[n], 1);
    }
    shard.ack("bob", &ninth, 1);
    assert_eq!(shard.messages("bob").len(), 0);
    let back = shard.attach("bob", "device-1", resume(&devices[1], 0));
    assert!(back.stream > devices[1].stream);
    assert_eq!(back.unknown, Some((1, 1)));
    shard.check(&["alice", "bob"]);
}

#[test]
fn a_policy_says_how_many_devices_there_are_also_when_it_says_fewer_than_before() {
    let mut shard = Shard::alone();
    let evicted = |shard: &mut Shard, number: u32, max_devices| {
        let attached = shard.attach_of("bob", &format!("device-{number}"), max_devices);
        (attached.slot, attached.evicted_slots)
    };
    for number in 0..64 {
        assert_eq!(evicted(&mut shard, number, 64), (number, vec![]));
    }
    assert_eq!(evicted(&mut shard, 64, u32::MAX), (0, vec![0]), "there are no more slots, whatever is asked for");
    // Now three: one that is known stays, with the two that came last.
    let (slot, gone) = evicted(&mut shard, 5, 3);
    assert_eq!((slot, gone.len()), (5, 61));
    assert_eq!(evicted(&mut shard, 63, 3), (63, vec![]));
    assert_eq!(evicted(&mut shard, 70, 3), (0, vec![0]));
    shard.check(&["bob"]);
    assert_eq!(shard.replay().dump(), shard.store.dump());
}

#[test]
fn senders_without_a_device_share_a_ring_of_slots() {
    let mut shard = Shard::alone();
    let first = shard.attach("alice", "", None);
    assert_eq!(first.slot, FIRST_EPHEMERAL_SLOT);
    let again = shard.attach("alice", "", resume(&first, 0));
    assert_eq!((again.slot, again.stream), (first.slot, first.stream));
    let others: Vec<_> = (0..63).map(|_| shard.attach("alice", "", None).slot).collect();
    assert_eq!(others, (65..128).collect::<Vec<_>>());
    let around = shard.attach("alice", "", None);
    assert_eq!(around.slot, first.slot);
    assert!(accepted(&shard.append(message("bob", &around, "alice", 1))));
    assert_eq!(shard.append(message("bob", &first, "alice", 1)), Reply::Refused(ErrorCode::StreamSuperseded));
    let lost = shard.attach("alice", "", resume(&first, 0));
    assert_ne!(lost.stream, first.stream);
}

#[test]
fn the_first_device_to_have_a_message_makes_it_delivered() {
    let mut shard = Shard::alone();
    let alice = shard.attach("alice", "phone", None);
    let phone = shard.attach("bob", "phone", None);
    let tablet = shard.attach("bob", "tablet", None);
    for seq in 1..=3 {
        shard.append(message("bob", &alice, "alice", seq));
    }
    let mut silent = message("bob", &alice, "alice", 4);
    silent.receipts = ReceiptRequest::ReceiptsRead.into();
    shard.append(silent);
    shard.ack("bob", &phone, 2);
    shard.ack("bob", &tablet, 4);
    shard.ack("bob", &phone, 4);
    let told: Vec<_> = shard.receipts("alice").iter().map(|one| (one.kind(), one.stream, one.up_to_seq)).collect();
    assert_eq!(told, [(Kind::Delivered, alice.stream, 2), (Kind::Delivered, alice.stream, 3)]);
    shard.check(&["alice", "bob"]);
}

#[test]
fn read_is_told_once_and_only_of_what_came() {
    let mut shard = Shard::alone();
    let alice = shard.attach("alice", "phone", None);
    shard.append(message("bob", &alice, "alice", 1));
    shard.append(message("bob", &alice, "alice", 2));
    let mut unwanted = message("bob", &alice, "alice", 3);
    unwanted.receipts = ReceiptRequest::ReceiptsDelivered.into();
    shard.append(unwanted);
    let invalid = Reply::Refused(ErrorCode::InvalidArgument);
    assert_eq!(shard.read("bob", "alice", alice.stream, 4), invalid);
    assert_eq!(shard.read("bob", "alice", alice.stream + 1, 1), invalid);
    assert_eq!(shard.read("carol", "alice", alice.stream, 1), invalid);
    for up_to_seq in [2, 1, 2, 3] {
        assert_eq!(shard.read("bob", "alice", alice.stream, up_to_seq), Reply::ReadRecorded);
    }
    let told: Vec<_> = shard.receipts("alice").iter().map(|one| (one.kind(), one.up_to_seq)).collect();
    assert_eq!(told, [(Kind::Read, 2)]);

    // What came in an earlier stream can still be read.
    let anew = shard.attach("alice", "phone", None);
    shard.append(message("bob", &alice, "alice", 4));
    shard.append(message("bob", &anew, "alice", 1));
    assert_eq!(shard.read("bob", "alice", alice.stream, 4), Reply::ReadRecorded);
    assert_eq!(shard.receipts("alice").last().map(|one| (one.stream, one.up_to_seq)), Some((alice.stream, 4)));
}

#[test]
fn one_who_writes_to_himself_gets_his_receipts() {
    let mut shard = Shard::alone();
    let alice = shard.attach("alice", "phone", None);
    shard.append(message("alice", &alice, "alice", 1));
    shard.ack("alice", &alice, 1);
    assert_eq!(shard.read("alice", "alice", alice.stream, 1), Reply::ReadRecorded);
    let kinds: Vec<_> = shard.receipts("alice").iter().map(|one| one.kind()).collect();
    assert_eq!(kinds, [Kind::Delivered, Kind::Read]);
    shard.check(&["alice"]);
}

#[test]
fn a_receipt_without_a_device_to_wait_for_it_is_not_kept() {
    let mut shard = Shard::alone();
    let alice = shard.attach("alice", "", None);
    let bob = shard.attach("bob", "phone", None);
    shard.append(message("bob", &alice, "alice", 1));
    shard.ack("bob", &bob, 1);
    assert_eq!(shard.entries("alice", 0).len(), 0);
}

#[test]
fn what_expires_is_told_to_its_sender_unless_a_device_has_it() {
    let mut shard = Shard::alone();
    let alice = shard.attach("alice", "phone", None);
    let phone = shard.attach("bob", "phone", None);
    shard.attach("bob", "tablet", None);
    for seq in 1..=3 {
        let mut short = message("bob", &alice, "alice", seq);
        short.ttl_ms = Some(1000);
        short.receipts = ReceiptRequest::ReceiptsNone.into();
        shard.append(short);
    }
    shard.append(message("bob", &alice, "alice", 4));
    shard.ack("bob", &phone, 1);
    shard.now_ms += 1000;
    assert_eq!(shard.expire(), Reply::Expired { entries: 0, more: false });
    shard.now_ms += 1;
    assert_eq!(shard.expire(), Reply::Expired { entries: 3, more: false });
    let failed: Vec<_> = shard.failures("alice").iter().map(|one| (one.id.unwrap().seq, one.reason())).collect();
    assert_eq!(failed, [(2, ErrorCode::Expired), (3, ErrorCode::Expired)]);
    assert_eq!(shard.messages("bob").len(), 1);
    shard.check(&["alice", "bob"]);
}

#[test]
fn a_far_cursor_moves_in_steps() {
    let mut shard = Shard::alone();
    let alice = shard.attach("alice", "phone", None);
    let bob = shard.attach("bob", "phone", None);
    let many = PASSED_PER_COMMAND + 10;
    for seq in 1..=many {
        shard.append(message("bob", &alice, "alice", seq));
    }
    let back = shard.attach("bob", "phone", resume(&bob, many));
    assert_eq!((back.cursor, back.recorded_cursor), (many, PASSED_PER_COMMAND));
    assert_eq!(shard.ack("bob", &bob, many), Reply::CursorMoved { cursor: many });
    assert_eq!(shard.entries("bob", 0).len(), 0);
    shard.check(&["alice", "bob"]);
}

#[test]
fn arguments_that_cannot_be_are_refused() {
    let mut shard = Shard::alone();
    let alice = shard.attach("alice", "phone", None);
    let good = message("bob", &alice, "alice", 2);
    let spoil: [fn(&mut AppendMessage); 7] = [
        |m| m.seq = 0,
        |m| m.stream = 0,
        |m| m.after = 2,
        |m| m.from_slot = 256,
        |m| m.to = String::new(),
        |m| m.from = "a\0b".to_owned(),
        |m| m.ttl_ms = Some(0),
    ];
    for bad in spoil {
        let mut message = good.clone();
        bad(&mut message);
        assert_eq!(shard.append(message), Reply::Refused(ErrorCode::InvalidArgument));
    }
}

#[test]
fn a_damaged_record_is_an_error_and_never_an_answer() {
    let mut store = MemoryStore::default();
    store.put(keys::mailbox(&mailbox_of("bob")), bytes::Bytes::from_static(&[9, 9]));
    let mut shard = Shard::alone();
    let alice = shard.attach("alice", "phone", None);
    let command = encode(Command::AppendMessage(message("bob", &alice, "alice", 1)));
    let context = ApplyContext { now_ms: 1, index: 1, ordinal: 0, term: 1 };
    let core = Core { shard: 0, shards: 1 };
    let answer = core.apply(&context, &command, &mut store, &mut Vec::new());
    assert_eq!(answer, Err(CoreError::UnknownFormat { what: "mailbox", found: 9 }));
    let future = core.apply(&context, &[0xfa, 0x01, 0x00], &mut store, &mut Vec::new());
    assert!(matches!(future, Err(CoreError::UnknownCommand(_))));
}

/// A user of each of two shards.
pub fn users_of_two_shards() -> [String; 2] {
    [0, 1].map(|shard| (0..).map(|n| format!("user-{n}")).find(|user| shard_of(APP, user, 2) == shard).unwrap())
}

#[test]
fn a_receipt_reaches_another_shard_once() {
    let [alice_name, bob_name] = users_of_two_shards();
    let (mut home, mut away) = (Shard::new(0, 2), Shard::new(1, 2));
    let alice = home.attach(&alice_name, "phone", None);
    assert_eq!(shard_of_stream(alice.stream), 0);
    let bob = away.attach(&bob_name, "phone", None);
    for seq in 1..=3 {
        away.append(message(&bob_name, &alice, &alice_name, seq));
        away.ack(&bob_name, &bob, seq);
        assert!(away.effects.contains(&Effect::Owed { target: 0 }));
    }
    // What was delivered and its answer lost is delivered again, alone or with more.
    let first = away.page(0, 0, 1).unwrap();
    assert_eq!(home.deliver(first.clone()), 1);
    assert_eq!(home.deliver(first), 1);
    let all = away.page(0, 0, 9).unwrap();
    assert_eq!((all.first_seq, all.last_seq, all.items.len()), (1, 3, 1), "three receipts are one watermark");
    assert_eq!(home.deliver(all.clone()), 3);
    assert_eq!(home.deliver(all), 3);
    let told: Vec<_> = home.receipts(&alice_name).iter().map(|one| one.up_to_seq).collect();
    assert_eq!(told, [1, 3]);

    let gap = away.page(0, 0, 9).map(|page| tidings_proto::mailbox::v1::ChannelDeliver {
        first_seq: 5,
        last_seq: 5,
        items: Vec::new(),
        ..page
    });
    assert_eq!(home.deliver(gap.unwrap()), 3);
    away.apply(Command::ChannelTrim(ChannelTrim { target_shard: 0, up_to: 99 }));
    assert_eq!(away.page(0, 0, 9), None);
    home.check(&[&alice_name]);
    away.check(&[&bob_name]);
}
