//! What is kept: right histories are clean, and each kind of wrong done to one is found.

use super::{Findings, Verdict, judge};
use crate::history::{Change, Client, Event, Kept, Record, SYSTEM};

const ALICE: Client = Client { user: 0, device: 0 };
const BOB: Client = Client { user: 1, device: 0 };
/// Came to the group after its first message.
const GUEST: Client = Client { user: 2, device: 0 };
const BACKEND: Client = Client { user: SYSTEM, device: crate::history::BACKEND };

const POST: u64 = 1_000;

fn accepted(number: u64) -> Event {
    Event::Accepted { number, stream: 1, seq: number + 1 }
}

fn kept(place: u64, from: u32, number: u64) -> Kept {
    Kept { place, from, number, edit: None, gone: None }
}

/// Alice writes 0 and 1 to bob, changes 0 by 2 and 3, and says 4 and 5 in the group; the system posts to bob.
fn sent() -> Vec<(Client, Event)> {
    let shown = |number, place| (BOB, Event::Shown { from: 0, number, place });
    let change = |number| Event::GivenChange { number, to: 1, of: 0, change: Change::Edit };
    let mut events = vec![
        (ALICE, Event::Given { number: 0, to: 1 }),
        (ALICE, Event::Given { number: 1, to: 1 }),
        (ALICE, change(2)),
        (ALICE, change(3)),
        (ALICE, Event::GivenToGroup { number: 4, group: 0 }),
        (ALICE, Event::GivenToGroup { number: 5, group: 0 }),
        (BACKEND, Event::Given { number: POST, to: 1 }),
        (BACKEND, Event::Accepted { number: POST, stream: 2, seq: 1 }),
        shown(0, 1),
        shown(1, 2),
        (BOB, Event::Changed { stream: 1, seq: 3 }),
        (BOB, Event::Changed { stream: 1, seq: 4 }),
        (BOB, Event::Shown { from: SYSTEM, number: POST, place: 5 }),
    ];
    events.extend((0..6).map(|number| (ALICE, accepted(number))));
    let member = |at, came: &[_]| Event::Membership { group: 0, at, came: came.into(), went: Vec::new() };
    let said = |at, number| Event::ShownInGroup { group: 0, at, from: 0, number, place: 10 + at };
    for client in [ALICE, BOB] {
        events.extend([member(1, &[0, 1]), said(2, 4), member(3, &[2]), said(4, 5)].map(|event| (client, event)));
    }
    events.extend([member(3, &[2]), said(4, 5)].map(|event| (GUEST, event)));
    events
}

/// What the three read: with each other, and of the group.
fn read() -> Vec<(Client, Event)> {
    let direct = || vec![Kept { edit: Some(3), ..kept(1, 0, 0) }, kept(2, 0, 1)];
    let with = |with, messages| Event::HistoryRead { with, messages };
    let group = |messages: &[Kept]| Event::GroupHistoryRead { group: 0, messages: messages.to_vec() };
    let said = [kept(2, 0, 4), kept(4, 0, 5)];
    vec![
        (ALICE, with(1, direct())),
        (ALICE, group(&said)),
        (ALICE, Event::HistoriesRead),
        (BOB, with(0, direct())),
        (BOB, with(SYSTEM, vec![kept(1, SYSTEM, POST)])),
        (BOB, group(&said)),
        (BOB, Event::HistoriesRead),
        (GUEST, group(&said[1..])),
        (GUEST, Event::HistoriesRead),
    ]
}

fn verdict(sent: Vec<(Client, Event)>, read: Vec<(Client, Event)>) -> Verdict {
    let records = sent.into_iter().chain(read).map(|(client, event)| Record { at_ms: 0, client, event });
    judge(&records.collect::<Vec<_>>())
}

/// What is wrong with the histories where these messages stand in the first one, alice's with bob.
fn wrong(messages: Vec<Kept>) -> Findings {
    let mut read = read();
    read[0].1 = Event::HistoryRead { with: 1, messages };
    found(sent(), read)
}

fn found(sent: Vec<(Client, Event)>, read: Vec<(Client, Event)>) -> Findings {
    let findings = verdict(sent, read).histories.unwrap();
    assert!(!findings.is_clean() && !findings.examples.is_empty(), "{findings:?}");
    Findings { given: 0, accepted: 0, delivered: 0, examples: Vec::new(), ..findings }
}

fn contradiction() -> Findings {
    Findings { contradictions: 1, ..Findings::default() }
}

#[test]
fn what_is_whole_is_clean_and_where_nobody_read_nothing_is_judged() {
    let findings = verdict(sent(), read()).histories.unwrap();
    assert!(findings.is_clean(), "{findings:?}");
    // Two of alice's with bob for each of them, the system's, and five in the group.
    assert_eq!((findings.accepted, findings.delivered), (10, 10));
    assert_eq!(verdict(sent(), Vec::new()).histories, None);
}

#[test]
fn a_message_that_is_not_there_is_lost_and_so_is_a_history() {
    let lost = |lost| Findings { lost, ..Findings::default() };
    assert_eq!(wrong(vec![kept(2, 0, 1)]), lost(1));
    for (at, messages) in [(0, 2), (1, 2), (4, 1), (7, 1)] {
        let mut read = read();
        read.remove(at);
        assert_eq!(found(sent(), read), lost(messages), "without {at}");
    }
}

#[test]
fn twice_or_in_another_order_is_wrong() {
    let [first, second] = [Kept { edit: Some(3), ..kept(1, 0, 0) }, kept(2, 0, 1)];
    let again = vec![first.clone(), second.clone(), Kept { place: 3, ..first.clone() }];
    assert_eq!(wrong(again), Findings { doubled: 1, ..Findings::default() });
    let disorder = Findings { out_of_order: 1, ..Findings::default() };
    let turned = vec![Kept { place: 1, ..second.clone() }, Kept { place: 2, ..first.clone() }];
    assert_eq!(wrong(turned), disorder);
    assert_eq!(wrong(vec![Kept { place: 2, ..first }, second]), disorder, "two at one place");
}

/// A backend posts to both in the name of the other: later numbers to the one may stand before earlier ones to the
/// other.
#[test]
fn posts_are_in_order_for_each_of_two() {
    let posted = |from, number, to| {
        let by = Client { user: from, ..BACKEND };
        let event = Event::Given { number, to };
        let shown = Event::Shown { from, number, place: number };
        [(by, event), (by, Event::Accepted { number, stream: 3, seq: number }), (Client { user: to, ..ALICE }, shown)]
    };
    let sent: Vec<_> = [posted(1, 2_001, 0), posted(0, 2_000, 1)].into_iter().flatten().chain(sent()).collect();
    let both = || vec![kept(1, 1, 2_001), kept(2, 0, 2_000), Kept { edit: Some(3), ..kept(3, 0, 0) }, kept(4, 0, 1)];
    let mut read = read();
    for (at, with) in [(0, 1), (3, 0)] {
        read[at].1 = Event::HistoryRead { with, messages: both() };
    }
    let findings = verdict(sent, read).histories.unwrap();
    assert!(findings.is_clean(), "{findings:?}");
}

#[test]
fn what_does_not_belong_there_is_a_contradiction() {
    let right = || vec![Kept { edit: Some(3), ..kept(1, 0, 0) }, kept(2, 0, 1)];
    for stranger in [kept(3, 0, 77), kept(3, 0, 4), kept(3, 1, 0), kept(3, 0, 2)] {
        let mut messages = right();
        messages.push(stranger.clone());
        assert_eq!(wrong(messages), contradiction(), "{stranger:?}");
    }
    let mut read = read();
    read[7].1 = Event::GroupHistoryRead { group: 0, messages: vec![kept(2, 0, 4), kept(4, 0, 5)] };
    assert_eq!(found(sent(), read), contradiction(), "the guest reads what was said before");
}

#[test]
fn a_message_stands_as_it_was_changed_last() {
    for edit in [None, Some(2), Some(9)] {
        assert_eq!(wrong(vec![Kept { edit, ..kept(1, 0, 0) }, kept(2, 0, 1)]), contradiction(), "{edit:?}");
    }
    // Of the last one it is not known whether it was taken.
    let unknown: Vec<_> = sent().into_iter().filter(|(_, event)| *event != accepted(3)).collect();
    let findings = verdict(unknown.clone(), read()).histories.unwrap();
    assert!(findings.is_clean(), "{findings:?}");
    let mut read = read();
    for at in [0, 3] {
        let messages = vec![Kept { edit: Some(2), ..kept(1, 0, 0) }, kept(2, 0, 1)];
        read[at].1 = Event::HistoryRead { with: if at == 0 { 1 } else { 0 }, messages };
    }
    let findings = verdict(unknown, read).histories.unwrap();
    assert!(findings.is_clean(), "{findings:?}");
}

#[test]
fn a_message_without_an_answer_may_be_there_or_not() {
    let unknown: Vec<_> = sent().into_iter().filter(|(_, event)| *event != accepted(1)).collect();
    let findings = verdict(unknown.clone(), read()).histories.unwrap();
    assert!(findings.is_clean(), "{findings:?}");
    let mut read = read();
    read[0].1 = Event::HistoryRead { with: 1, messages: vec![Kept { edit: Some(3), ..kept(1, 0, 0) }] };
    let findings = verdict(unknown, read).histories.unwrap();
    assert!(findings.is_clean(), "{findings:?}");
}
