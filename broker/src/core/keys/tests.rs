//! Keys are golden, are read back, and range as they should.

use tidings_proto::message::v1::MessageId;

use super::*;

fn alice() -> MailboxId {
    MailboxId::new("a", "alice").unwrap()
}

#[test]
fn golden_keys() {
    let alice = alice();
    let (name, seq) = (b"a\0alice\0", [0, 0, 0, 0, 0, 0, 1, 2]);
    assert_eq!(shard(), [1]);
    assert_eq!(mailbox(&alice), [&[2], &name[..]].concat());
    assert_eq!(devices(&alice), [&[3], &name[..]].concat());
    assert_eq!(ephemeral(&alice), [&[4], &name[..]].concat());
    assert_eq!(entry(&alice, 258), [&[5], &name[..], &seq].concat());
    assert_eq!(sender(&alice, "bob", 9), [&[6], &name[..], b"bob\0\x09"].concat());
    assert_eq!(expiry(258, &alice, 258), [&[7], &seq[..], &name[..], &seq].concat());
    assert_eq!(upkeep(258, &alice), [&[8], &seq[..], &name[..]].concat());
    assert_eq!(channel_out(3), [9, 0, 0, 0, 3]);
    assert_eq!(channel_item(3, 258), [&[10, 0, 0, 0, 3], &seq[..]].concat());
    assert_eq!(channel_in(3), [11, 0, 0, 0, 3]);
    assert_eq!(history(&alice, "bob", 258), [&[16], &name[..], b"bob\0", &seq].concat());
    assert_eq!(place_of(&alice, 258, 258), [&[17], &name[..], &seq, &seq].concat());
    assert_eq!(conversation(&alice, "bob"), [&[18], &name[..], b"bob\0"].concat());
    let inverted = [255, 255, 255, 255, 255, 255, 254, 253];
    assert_eq!(conversation_order(&alice, 258, "bob"), [&[19], &name[..], &inverted, b"bob\0"].concat());
    assert_eq!(history_due(258, &alice, "bob", 258), [&[20], &seq[..], &name[..], b"bob\0", &seq].concat());
    assert_eq!(unread_disappearing(&alice, 258, 258), [&[21], &name[..], &seq, &seq].concat());
    assert_eq!(blocks(&alice), [&[0x17], &name[..]].concat());
    assert_eq!(contacts(&alice), [&[0x18], &name[..]].concat());
    assert_eq!(contact_of(&alice, "bob"), [&[0x19], &name[..], b"bob\0"].concat());
    assert_eq!(posted(&alice), [&[0x40], &name[..]].concat());
}

#[test]
fn golden_keys_of_groups() {
    let team = GroupName::new("a", "team").unwrap();
    let (name, seq) = (b"a\0team\0", [0, 0, 0, 0, 0, 0, 1, 2]);
    assert_eq!(group(&team), [&[0x20], &name[..]].concat());
    assert_eq!(group_member(&team, "bob"), [&[0x21], &name[..], b"bob\0"].concat());
    assert_eq!(group_targets(&team), [&[0x22], &name[..]].concat());
    assert_eq!(group_sender(&team, "bob", 9), [&[0x23], &name[..], b"bob\0\x09"].concat());
    assert_eq!(group_body(&team, 258), [&[0x24], &name[..], &seq].concat());
    assert_eq!(group_body_uses(&team, 258), [&[0x25], &name[..], &seq].concat());
    assert_eq!(local_group(&team), [&[0x26], &name[..]].concat());
    assert_eq!(local_member(&team, "bob"), [&[0x27], &name[..], b"bob\0"].concat());
    assert_eq!(local_item(&team, 258), [&[0x28], &name[..], &seq].concat());
    assert_eq!(group_posted(&team), [&[0x41], &name[..]].concat());
    assert_eq!(expanding(&team), [&[0x29], &name[..]].concat());
    assert_eq!(group_timeline(&team, 258), [&[0x2a], &name[..], &seq].concat());
    assert_eq!(group_place(&team, 258, 258), [&[0x2b], &name[..], &seq, &seq].concat());
    assert_eq!(group_due(258, &team, 258), [&[0x2c], &seq[..], &name[..], &seq].concat());
    assert_eq!(group_receipt(&team, "bob"), [&[0x2d], &name[..], b"bob\0"].concat());
    assert_eq!(group_receipt_of(&group_receipt(&team, "bob")), Some((team.clone(), "bob".to_owned())));
    assert_eq!(group_receipt_of(&local_member(&team, "bob")), None);
    assert_eq!(group_tally(&team, 258), [&[0x2e], &name[..], &seq].concat());
    assert_eq!(group_tally_of(&group_tally(&team, 258)), Some((team.clone(), 258)));
    assert_eq!(group_tally_of(&group_timeline(&team, 258)), None);
    assert_eq!(group_passing(&team), [&[0x2f], &name[..]].concat());
    assert_eq!(passing_group(&group_passing(&team)), Some(team.clone()));
    assert_eq!(passing_group(&expanding(&team)), None);
    assert_eq!(group_noted(&team, 258), [&[0x35], &name[..], &seq].concat());
    assert_eq!((noted_place(&group_noted(&team, 258)), noted_place(&group_tally(&team, 258))), (Some(258), None));
    assert_eq!(timeline_place(&group_timeline(&team, 258)), Some(258));
    assert_eq!(due_group_message(&group_due(9, &team, 258)), Some((team.clone(), 258)));
    assert_eq!((timeline_place(&expanding(&team)), due_group_message(&expanding(&team))), (None, None));
    assert_eq!(expanding_group(&expanding(&team)), Some(team.clone()));
    assert_eq!(member_user(&local_member(&team, "bob")), Some("bob"));
    assert_eq!(member_user(&expanding(&team)), None);
}

#[test]
fn golden_keys_of_schedules() {
    let (name, number) = (b"a\0alice\0", [0, 0, 0, 0, 0, 0, 1, 2]);
    let of = |is_system| Scheduler::new("a", "alice", is_system).unwrap();
    let id = MessageId { stream: 258, seq: 258 };
    assert_eq!(scheduled(&of(false), id), [&[0x50], &name[..], &[0], &number, &number].concat());
    assert_eq!(schedule(&of(true)), [&[0x51], &name[..], &[1]].concat());
    assert_eq!(schedule_due(258, &of(true), id), [&[0x52], &number[..], name, &[1], &number, &number].concat());
    assert_eq!(schedule_sender(&alice(), 9), [&[0x53], &name[..], &[9]].concat());
    assert_eq!(scheduled_id(&scheduled(&of(true), id)), Some(id));
    for of in [of(false), of(true)] {
        assert_eq!(due_scheduled(&schedule_due(5, &of, id)), Some((of.clone(), id)));
        let (from, to) = all_scheduled(&of);
        let within = |key: &Vec<u8>| (from.clone()..to.clone()).contains(key);
        assert!(within(&scheduled(&of, MessageId { stream: u64::MAX, seq: u64::MAX })));
        assert!(!within(&scheduled(&Scheduler { is_system: !of.is_system, ..of.clone() }, id)));
    }
    assert_eq!((scheduled_id(&schedule(&of(true))), due_scheduled(&schedule(&of(true)))), (None, None));
}

#[test]
fn golden_keys_of_large_groups() {
    let (alice, team) = (alice(), GroupName::new("a", "team").unwrap());
    let (name, seq) = (b"a\0team\0", [0, 0, 0, 0, 0, 0, 1, 2]);
    assert_eq!(follower(&team, "bob"), [&[0x30], &name[..], b"bob\0"].concat());
    assert_eq!(resting(&alice, &team), b"\x31a\0alice\0team\0");
    assert_eq!(local_place(&team, 258), [&[0x32], &name[..], &seq].concat());
    assert_eq!(local_due(258, &team, 258), [&[0x33], &seq[..], &name[..], &seq].concat());
    assert_eq!(drawing(&alice), b"\x34a\0alice\0");
    assert_eq!(member_user(&follower(&team, "bob")), Some("bob"));
    assert_eq!(resting_group(&resting(&alice, &team), &alice), Some(team.clone()));
    assert_eq!(resting_group(&resting(&alice, &team), &MailboxId::new("a", "ali").unwrap()), None);
    assert_eq!(due_local_place(&local_due(9, &team, 258)), Some((team.clone(), 258)));
    assert_eq!(drawing_mailbox(&drawing(&alice)), Some(alice.clone()));
    let (from, to) = all_resting(&alice);
    assert!((from..to).contains(&resting(&alice, &team)));
    let (from, to) = local_places(&team, 3, 5);
    let within = [3, 4, 5, 6].map(|seq| (from.clone()..to.clone()).contains(&local_place(&team, seq)));
    assert_eq!(within, [false, true, true, false]);
}

#[test]
fn members_are_found_behind_one_of_them() {
    let team = GroupName::new("a", "team").unwrap();
    let names = ["\u{1}", "a", "b", "bo", "bob", "\u{10ffff}"];
    for (place, after) in names.iter().enumerate() {
        let (from, to) = group_members(&team, after);
        for (other, name) in names.iter().enumerate() {
            assert_eq!((from.clone()..to.clone()).contains(&group_member(&team, name)), other > place);
        }
    }
    let (from, to) = group_members(&team, "");
    assert!(names.iter().all(|name| (from.clone()..to.clone()).contains(&group_member(&team, name))));
    assert!(!(from..to).contains(&group_member(&GroupName::new("a", "team2").unwrap(), "a")));
    let (from, to) = local_items(&team, 3);
    assert!(!(from.clone()..to.clone()).contains(&local_item(&team, 3)));
    assert!((from.clone()..to.clone()).contains(&local_item(&team, 4)));
    assert!((from..to).contains(&local_item(&team, u64::MAX)));
}

#[test]
fn keys_are_read_back() {
    let alice = alice();
    assert_eq!(entry_seq(&entry(&alice, 7)), Some(7));
    assert_eq!(expiring_entry(&expiry(5, &alice, 7)), Some((alice.clone(), 7)));
    assert_eq!(upkeep_mailbox(&upkeep(5, &alice)), Some(alice.clone()));
    assert_eq!(channel_target(&channel_out(3)), Some(3));
    assert_eq!(channel_item_seq(&channel_item(3, 7)), Some(7));
    assert_eq!(history_place(&history(&alice, "bob", 7)), Some(7));
    assert_eq!(ordered_conversation(&conversation_order(&alice, 5, "bob"), &alice).as_deref(), Some("bob"));
    assert_eq!(due_message(&history_due(5, &alice, "bob", 7)), Some((alice.clone(), "bob".to_owned(), 7)));
    assert_eq!((alice.app(), alice.user()), ("a", "alice"));
    assert_eq!(entry_seq(&mailbox(&alice)), None);
}

#[test]
fn ranges_end_where_they_should() {
    let alice = alice();
    let (from, to) = entries(&alice, 1, u64::MAX);
    assert!(from <= entry(&alice, 1) && entry(&alice, u64::MAX) < to);
    assert!(to < entry(&MailboxId::new("a", "alicf").unwrap(), 0));
    let (from, to) = senders(&alice, "bob");
    for slot in [0, 255] {
        let key = sender(&alice, "bob", slot);
        assert!(from <= key && key < to);
    }
    assert!(!(from..to).contains(&sender(&alice, "bobo", 0)));
    let (from, to) = expiring_before(10);
    assert!((from.clone()..to.clone()).contains(&expiry(9, &alice, u64::MAX)));
    assert!(!(from..to).contains(&expiry(10, &alice, 0)));
    let (from, to) = conversations(&alice);
    for at_ms in [0, 258, i64::MAX] {
        assert!((from.clone()..to.clone()).contains(&conversation_order(&alice, at_ms, "zoe")));
    }
    let newer = conversation_order(&alice, 6, "zoe");
    assert!(newer < conversation_order(&alice, 5, "bob"), "the newest comes first");
}

#[test]
fn ids_that_would_break_keys_are_refused() {
    assert_eq!(MailboxId::new("", "bob"), None);
    assert_eq!(MailboxId::new("a", &"b".repeat(64)), None);
    assert_eq!(MailboxId::new("a", "b\0c"), None);
    let longest = MailboxId::new(&"a".repeat(63), &"b".repeat(63)).unwrap();
    let longest_word = [1; WORD_BYTES];
    assert_eq!(words_of(&longest).at(&longest_word, &position(1, &"c".repeat(63), 1)).len(), MAX_KEY_BYTES);
    assert!(history_due(1, &longest, &"c".repeat(63), 1).len() < MAX_KEY_BYTES);
}
