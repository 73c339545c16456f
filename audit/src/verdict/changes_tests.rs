//! Texts that are taken away: right histories are clean, and each kind of wrong done to one is found.

use super::{Verdict, judge};
use crate::history::{Change, Client, Event, Gone, Kept, Record};

const ALICE: Client = Client { user: 0, device: 0 };
const BOB: Client = Client { user: 1, device: 0 };
const RECALLED: Gone = Gone { recalled: true, wiped: false };
const WIPED: Gone = Gone { recalled: false, wiped: true };

/// Alice writes 0, 1 and 2 to bob; recalls 0 by 3 and wipes 1 by 4; the edit of 0 by 5 comes too late. When bob is
/// shown 0, its text is gone already.
fn right() -> Vec<(Client, Event)> {
    let change = |number, of, change| Event::GivenChange { number, to: 1, of, change };
    let mut events: Vec<_> = (0..3).map(|number| (ALICE, Event::Given { number, to: 1 })).collect();
    let changes = [change(3, 0, Change::Recall), change(4, 1, Change::Wipe), change(5, 0, Change::Edit)];
    events.extend(changes.map(|event| (ALICE, event)));
    events.extend((0..5).map(|number| (ALICE, accepted(number))));
    events.push((ALICE, refused(5)));
    events.push((BOB, Event::TextGone { from: 0, number: 0 }));
    events.extend((0..3).map(|number| (BOB, Event::Shown { from: 0, number, place: number + 1 })));
    events.extend([told(3), told(4)]);
    for (client, with) in [(ALICE, 1), (BOB, 0)] {
        events.push((client, Event::HistoryRead { with, messages: kept([Some(RECALLED), Some(WIPED), None]) }));
        events.push((client, Event::HistoriesRead));
    }
    events
}

fn accepted(number: u64) -> Event {
    Event::Accepted { number, stream: 1, seq: number + 1 }
}

fn refused(number: u64) -> Event {
    Event::Refused { number, code: "NOT_FOUND".to_owned() }
}

/// Bob is told of a change.
fn told(number: u64) -> (Client, Event) {
    (BOB, Event::Changed { stream: 1, seq: number + 1 })
}

fn kept(gone: [Option<Gone>; 3]) -> Vec<Kept> {
    (0..).zip(gone).map(|(number, gone)| Kept { place: number + 1, from: 0, number, edit: None, gone }).collect()
}

/// With these messages in both histories.
fn with_kept(mut events: Vec<(Client, Event)>, gone: [Option<Gone>; 3]) -> Vec<(Client, Event)> {
    for (_, event) in &mut events {
        if let Event::HistoryRead { messages, .. } = event {
            *messages = kept(gone);
        }
    }
    events
}

/// With one event in the place of another.
fn replaced(old: &Event, new: &Event) -> Vec<(Client, Event)> {
    let replace = |(client, event)| (client, if event == *old { new.clone() } else { event });
    right().into_iter().map(replace).collect()
}

fn without(unwanted: &Event) -> Vec<(Client, Event)> {
    right().into_iter().filter(|(_, event)| event != unwanted).collect()
}

fn verdict(events: Vec<(Client, Event)>) -> Verdict {
    let records = events.into_iter().map(|(client, event)| Record { at_ms: 0, client, event });
    judge(&records.collect::<Vec<_>>())
}

fn histories_contradict(events: Vec<(Client, Event)>) -> u64 {
    let histories = verdict(events).histories.unwrap();
    assert_eq!(histories.lost + histories.doubled + histories.out_of_order, 0, "{histories:?}");
    histories.contradictions
}

#[test]
fn texts_that_are_gone_for_everybody_are_clean() {
    let found = verdict(right());
    assert!(found.direct.is_clean(), "{found:?}");
    assert!(found.histories.as_ref().unwrap().is_clean(), "{found:?}");
    assert_eq!((found.direct.accepted, found.direct.refused, found.histories.unwrap().accepted), (5, 1, 6));
}

#[test]
fn a_recall_that_a_device_is_not_told_of_is_lost() {
    for number in [3, 4] {
        assert_eq!(verdict(without(&told(number).1)).direct.lost, 1);
    }
}

#[test]
fn a_text_that_stands_although_it_was_taken_away_is_found() {
    for (gone, contradictions) in [
        ([None, Some(WIPED), None], 2),
        ([Some(RECALLED), None, None], 2),
        ([Some(WIPED), Some(WIPED), None], 2),
        ([Some(RECALLED), Some(RECALLED), None], 2),
        ([None, None, None], 4),
    ] {
        assert_eq!(histories_contradict(with_kept(right(), gone)), contradictions, "{gone:?}");
    }
}

#[test]
fn a_text_that_is_gone_without_a_reason_is_found() {
    for gone in [Gone::default(), RECALLED, WIPED] {
        let events = with_kept(right(), [Some(RECALLED), Some(WIPED), Some(gone)]);
        assert_eq!(histories_contradict(events), 2, "{gone:?}");
    }
    let mut events = right();
    events.push((BOB, Event::TextGone { from: 0, number: 2 }));
    assert_eq!(verdict(events).direct.contradictions, 1);
}

#[test]
fn a_message_whose_recall_was_refused_keeps_its_text() {
    let events: Vec<_> = replaced(&accepted(3), &refused(3)).into_iter().filter(|event| *event != told(3)).collect();
    let found = verdict(events.clone());
    assert_eq!(found.direct.contradictions, 1, "it was shown without its text: {found:?}");
    assert_eq!(histories_contradict(events.clone()), 2);
    assert_eq!(histories_contradict(with_kept(events, [None, Some(WIPED), None])), 0);
}

#[test]
fn a_message_whose_recall_has_no_answer_stands_or_does_not() {
    let events: Vec<_> = without(&accepted(3)).into_iter().filter(|event| *event != told(3)).collect();
    assert_eq!(histories_contradict(events.clone()), 0);
    assert_eq!(histories_contradict(with_kept(events, [None, Some(WIPED), None])), 0);
}

#[test]
fn what_is_gone_is_not_edited() {
    let found = verdict(replaced(&refused(5), &accepted(5)).into_iter().chain([told(5)]).collect());
    assert_eq!((found.direct.lost, found.direct.contradictions), (0, 1), "{found:?}");
    assert!(found.histories.unwrap().is_clean(), "it stays gone");
}
