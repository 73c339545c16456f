//! How far messages have come: right answers are clean, and each kind of wrong done to one is found.

use super::{Findings, judge};
use crate::history::{Client, Event, GroupReach, Kept, Of, Reach, Reading, Record, Settings, User};

/// Sends, and owns the group.
const ALICE: Client = Client { user: 0, device: 0 };
/// Has and reads.
const BOB: Client = Client { user: 1, device: 0 };
/// Has, and leaves the group.
const GUEST: Client = Client { user: 2, device: 0 };
/// Members without a device, from this one on: one, or so many that nobody is named.
const STRANGER: User = 9;
const FEW: u32 = 1;
const MANY: u32 = 1_000;

/// Alice writes 0 and 1 to bob, who reads the first; and 2 and 3 to the group, between which the guest goes, and of which
/// bob reads the first.
fn sent(strangers: u32) -> Vec<(Client, Event)> {
    let mut events = Vec::new();
    for number in 0..4 {
        let given = if number < 2 { Event::Given { number, to: 1 } } else { Event::GivenToGroup { number, group: 0 } };
        events.extend([(ALICE, given), (ALICE, Event::Accepted { number, stream: 7, seq: number + 1 })]);
    }
    events.extend((0..2).map(|number| (BOB, Event::Shown { from: 0, number, place: number + 1 })));
    let member = |at, came: &[_], went: &[_]| Event::Membership { group: 0, at, came: came.into(), went: went.into() };
    let said = |at, number| Event::ShownInGroup { group: 0, at, from: 0, number, place: 10 + at };
    let members: Vec<User> = (0..3).chain(STRANGER..STRANGER + strangers).collect();
    let order = [member(1, &members, &[]), said(2, 2), member(3, &[], &[2]), said(4, 3)];
    for (client, until) in [(ALICE, 4), (BOB, 4), (GUEST, 3)] {
        events.extend(order[..until].iter().map(|event| (client, event.clone())));
    }
    events.extend([(BOB, Event::ReadWith { from: 0, number: 0 }), (BOB, Event::ReadInGroup { group: 0, at: 2 })]);
    events
}

fn read() -> Vec<(Client, Event)> {
    let kept = |place, number| Kept { place, from: 0, number, edit: None, gone: None };
    let reading = |up_to| Settings { reading: Some(Reading { up_to, marked_unread: false }), ..Settings::default() };
    let direct = [kept(1, 0), kept(2, 1)];
    let group = Event::GroupHistoryRead { group: 0, messages: vec![kept(2, 2), kept(4, 3)] };
    let mut events = vec![
        (ALICE, Event::HistoryRead { with: 1, messages: direct.to_vec() }),
        (BOB, Event::HistoryRead { with: 0, messages: direct.to_vec() }),
        (BOB, Event::SettingsRead { of: Of::With(0), settings: reading(1) }),
        (BOB, Event::SettingsRead { of: Of::Group(0), settings: reading(2) }),
    ];
    for client in [ALICE, BOB] {
        events.extend([(client, group.clone()), (client, Event::HistoriesRead)]);
    }
    events
}

const HAS: Reach = Reach { delivered: true, read: false };
const HAS_READ: Reach = Reach { delivered: true, read: true };

/// Of that many members, these have it, and these read it.
fn named(members: u32, delivered: &[User], read: &[User]) -> GroupReach {
    let names = Some((delivered.to_vec(), read.to_vec()));
    GroupReach { names, ..counted(members, delivered.len() as u32, read.len() as u32) }
}

fn counted(members: u32, delivered: u32, read: u32) -> GroupReach {
    GroupReach { members, delivered, read, names: None }
}

fn judged(strangers: u32, direct: [Reach; 2], group: &[(u64, GroupReach)]) -> Findings {
    let reaches = (0..).zip(direct).collect();
    let told = vec![
        (ALICE, Event::ReceiptsRead { with: 1, reaches }),
        (ALICE, Event::GroupReceiptsRead { group: 0, reaches: group.to_vec() }),
    ];
    let records = [sent(strangers), read(), told].into_iter().flatten();
    let verdict = judge(&records.map(|(client, event)| Record { at_ms: 0, client, event }).collect::<Vec<_>>());
    assert!(verdict.direct.is_clean() && verdict.groups.is_clean(), "{verdict:?}");
    assert!(verdict.histories.is_some_and(|findings| findings.is_clean()));
    verdict.receipts.unwrap()
}

fn wrong(direct: [Reach; 2], group: [GroupReach; 2]) -> (u64, u64) {
    wrong_among(FEW, direct, group)
}

fn wrong_among(strangers: u32, direct: [Reach; 2], group: [GroupReach; 2]) -> (u64, u64) {
    let [first, second] = group;
    let findings = judged(strangers, direct, &[(2, first), (4, second)]);
    assert!(!findings.is_clean() && !findings.examples.is_empty(), "{findings:?}");
    (findings.lost, findings.contradictions)
}

/// As it is, the group's with names, of those who are still there.
fn right() -> ([Reach; 2], [GroupReach; 2]) {
    ([HAS_READ, HAS], [named(2, &[1], &[1]), named(2, &[1], &[])])
}

#[test]
fn what_is_so_is_clean_with_names_and_as_counts_and_where_nobody_asked_nothing_is_judged() {
    let (direct, [first, second]) = right();
    let findings = judged(FEW, direct, &[(2, first), (4, second)]);
    assert!(findings.is_clean() && findings.delivered == 4, "{findings:?}");
    // Where it is counted, the guest who left is one of them.
    let findings = judged(MANY, direct, &[(2, counted(1_002, 2, 1)), (4, counted(1_001, 1, 0))]);
    assert!(findings.is_clean() && findings.delivered == 4, "{findings:?}");
    let records: Vec<_> = [sent(FEW), read()].into_iter().flatten().collect();
    let records = records.into_iter().map(|(client, event)| Record { at_ms: 0, client, event });
    assert_eq!(judge(&records.collect::<Vec<_>>()).receipts, None);
}

#[test]
fn a_receipt_that_is_not_there_is_lost() {
    let (direct, group) = right();
    for reaches in [[HAS, HAS], [HAS_READ, Reach::default()], [Reach::default(), HAS]] {
        assert_eq!(wrong(reaches, group.clone()), (1, 0), "{reaches:?}");
    }
    let [first, second] = group;
    let unnamed = GroupReach { names: Some((Vec::new(), vec![1])), ..counted(2, 1, 1) };
    for other in [named(2, &[], &[1]), named(2, &[1], &[]), named(1, &[1], &[1]), unnamed, counted(2, 1, 1)] {
        assert_eq!(wrong(direct, [other.clone(), second.clone()]), (1, 0), "{other:?}");
    }
    let many = counted(1_001, 1, 0);
    for other in [counted(1_002, 2, 0), counted(1_002, 0, 1), counted(1_000, 1, 1)] {
        assert_eq!(wrong_among(MANY, direct, [other.clone(), many.clone()]), (1, 0), "{other:?}");
    }
    let findings = judged(FEW, direct, &[(2, first)]);
    assert_eq!((findings.lost, findings.contradictions), (1, 0), "nothing is told of the second");
}

#[test]
fn a_receipt_of_what_is_not_so_is_a_contradiction() {
    let (direct, [first, second]) = right();
    assert_eq!(wrong([HAS_READ, HAS_READ], [first.clone(), second.clone()]), (0, 1), "nobody marked the second");
    for other in [named(2, &[1, STRANGER], &[]), named(2, &[1], &[1]), named(3, &[1], &[]), named(2, &[STRANGER], &[])]
    {
        assert!(matches!(wrong(direct, [first.clone(), other.clone()]), (_, 1..)), "{other:?}");
    }
    let many = counted(1_002, 2, 1);
    for other in [counted(1_001, 2, 0), counted(1_001, 1, 1), counted(1_002, 1, 0)] {
        assert_eq!(wrong_among(MANY, direct, [many.clone(), other.clone()]), (0, 1), "{other:?}");
    }
}

/// Of what nobody's device was shown nobody has anything, whatever it says.
#[test]
fn a_read_receipt_before_the_mark_contradicts_it() {
    let told = |up_to| (ALICE, Event::Receipt { from: 1, read: true, stream: 7, up_to });
    let verdict = |told| {
        let records = sent(FEW).into_iter().chain([told]);
        judge(&records.map(|(client, event)| Record { at_ms: 0, client, event }).collect::<Vec<_>>())
    };
    assert!(verdict(told(1)).direct.is_clean());
    assert_eq!(verdict(told(2)).direct.contradictions, 1);
}
