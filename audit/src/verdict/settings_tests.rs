//! How conversations stand: a right history is clean, and each kind of wrong done to it is found.

use super::{Findings, judge};
use crate::history::{Client, Event, Of, Reading, Record, Settings};

/// Sets.
const PHONE: Client = Client { user: 0, device: 0 };
/// Is told.
const TABLET: Client = Client { user: 0, device: 1 };
const WITH_BOB: Of = Of::With(1);
const IN_GROUP: Of = Of::Group(4);

/// What the phone sets: 0 and 1 with bob, 2 in a group. Only 1 says what is read.
fn set(number: u64) -> Settings {
    let reading = (number == 1).then_some(Reading { up_to: 7, marked_unread: true });
    Settings { mute_until_ms: 100 + number as i64, archived: number == 0, favourite: number == 1, reading }
}

/// As it stands after that.
fn stands(number: u64) -> Settings {
    Settings { reading: Some(set(number).reading.unwrap_or(Reading { up_to: 3, marked_unread: false })), ..set(number) }
}

fn of(number: u64) -> Of {
    if number == 2 { IN_GROUP } else { WITH_BOB }
}

fn given(number: u64) -> (Client, Event) {
    (PHONE, Event::GivenSettings { number, of: of(number), settings: set(number) })
}

fn accepted(number: u64) -> (Client, Event) {
    (PHONE, Event::SettingsAccepted { number, settings: stands(number) })
}

fn told(number: u64) -> (Client, Event) {
    (TABLET, Event::SettingsTold { of: of(number), settings: stands(number) })
}

fn read(of: Of, settings: Settings) -> (Client, Event) {
    (PHONE, Event::SettingsRead { of, settings })
}

fn right() -> Vec<(Client, Event)> {
    let mut events: Vec<_> = (0..3).flat_map(|number| [given(number), told(number), accepted(number)]).collect();
    events.extend([read(WITH_BOB, stands(1)), read(IN_GROUP, stands(2)), read(Of::With(2), Settings::default())]);
    events.push((PHONE, Event::HistoriesRead));
    events
}

/// In the place of one event another one, or none.
fn replaced(old: &(Client, Event), new: Option<&(Client, Event)>) -> Vec<(Client, Event)> {
    let events: Vec<_> = right();
    assert!(events.contains(old));
    events.into_iter().filter_map(|event| if event == *old { new.cloned() } else { Some(event) }).collect()
}

fn findings(events: Vec<(Client, Event)>) -> Findings {
    let records = events.into_iter().map(|(client, event)| Record { at_ms: 0, client, event });
    judge(&records.collect::<Vec<_>>()).settings
}

/// What is wrong.
fn wrong(events: Vec<(Client, Event)>) -> Findings {
    let found = findings(events);
    assert!(!found.is_clean() && !found.examples.is_empty(), "{found:?}");
    Findings { given: 0, accepted: 0, refused: 0, delivered: 0, examples: Vec::new(), ..found }
}

fn lost() -> Findings {
    Findings { lost: 1, ..Findings::default() }
}

fn contradiction() -> Findings {
    Findings { contradictions: 1, ..Findings::default() }
}

#[test]
fn what_stands_as_it_was_set_last_is_clean() {
    let found = findings(right());
    assert!(found.is_clean(), "{found:?}");
    assert_eq!((found.given, found.accepted, found.delivered), (3, 3, 2));
    // Asked again, and so told again.
    let mut again = right();
    again.insert(2, told(0));
    assert!(findings(again).is_clean());
}

#[test]
fn what_stands_as_before_or_is_not_there_is_lost() {
    let right = read(WITH_BOB, stands(1));
    for earlier in [stands(0), Settings::default()] {
        assert_eq!(wrong(replaced(&right, Some(&read(WITH_BOB, earlier)))), lost(), "{earlier:?}");
    }
    assert_eq!(wrong(replaced(&right, None)), lost());
}

#[test]
fn what_nobody_set_is_a_contradiction() {
    let right = read(WITH_BOB, stands(1));
    let forgotten = Settings { reading: Some(Reading { up_to: 3, marked_unread: true }), ..stands(1) };
    for mixed in [forgotten, Settings { archived: true, ..stands(1) }, Settings { mute_until_ms: 7, ..stands(1) }] {
        assert_eq!(wrong(replaced(&right, Some(&read(WITH_BOB, mixed)))), contradiction(), "{mixed:?}");
    }
    let other = read(Of::With(2), Settings::default());
    assert_eq!(wrong(replaced(&other, Some(&read(Of::With(2), stands(2))))), contradiction());
}

#[test]
fn another_device_is_told_of_all_in_order() {
    for number in 0..3 {
        assert_eq!(wrong(replaced(&told(number), None)), lost(), "{number}");
    }
    let mut late = right();
    late.push(told(0));
    assert_eq!(wrong(late), Findings { out_of_order: 1, ..Findings::default() });
}

#[test]
fn an_answer_says_what_was_asked_for_and_comes_once() {
    let other = (PHONE, Event::SettingsAccepted { number: 0, settings: stands(1) });
    assert_eq!(wrong(replaced(&accepted(0), Some(&other))), contradiction());
    for number in [0, 9] {
        let mut events = right();
        events.push((PHONE, Event::SettingsRefused { number, code: "X".to_owned() }));
        assert_eq!(wrong(events), contradiction(), "{number}");
    }
}

#[test]
fn what_has_no_answer_is_unknown_and_stands_or_does_not() {
    let events = replaced(&accepted(1), None);
    assert_eq!(wrong(events.clone()), Findings { unknown: 1, ..Findings::default() });
    let before = |event| if event == read(WITH_BOB, stands(1)) { read(WITH_BOB, stands(0)) } else { event };
    let events: Vec<_> = events.into_iter().map(before).collect();
    assert_eq!(wrong(events), Findings { unknown: 1, ..Findings::default() });
}
