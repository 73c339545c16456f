//! Groups, further devices, and changes: a right history is clean, and each kind of wrong done to it is found.

use super::{Findings, judge};
use crate::history::{Change, Client, Event, GroupReach, Record, User};

/// The owner, a member with two devices, and a guest.
const OWNER: Client = Client { user: 0, device: 0 };
const PHONE: Client = Client { user: 1, device: 0 };
const TABLET: Client = Client { user: 1, device: 1 };
const GUEST: Client = Client { user: 2, device: 0 };

fn given(number: u64) -> Event {
    Event::GivenToGroup { number, group: 0 }
}

fn accepted(from: User, number: u64) -> Event {
    Event::Accepted { number, stream: u64::from(from), seq: number + 1 }
}

fn shown(at: u64, from: User, number: u64) -> Event {
    Event::ShownInGroup { group: 0, at, from, number, place: at }
}

fn membership(at: u64, came: &[User], went: &[User]) -> Event {
    Event::Membership { group: 0, at, came: came.to_vec(), went: went.to_vec() }
}

/// The group's order: made with 0 and 1; 0 speaks; 2 comes; 2 speaks; 2 goes; 1 speaks.
fn order() -> Vec<Event> {
    vec![
        membership(1, &[0, 1], &[]),
        shown(2, 0, 0),
        membership(3, &[2], &[]),
        shown(4, 2, 0),
        membership(5, &[], &[2]),
        shown(6, 1, 0),
    ]
}

fn right() -> Vec<(Client, Event)> {
    let mut events = Vec::new();
    for (client, from) in [(OWNER, 0), (GUEST, 2), (PHONE, 1)] {
        events.extend([(client, given(0)), (client, accepted(from, 0))]);
    }
    // The guest speaks once more, when it is none.
    events.push((GUEST, given(1)));
    events.push((GUEST, Event::Refused { number: 1, code: "NOT_A_MEMBER".to_owned() }));
    for client in [OWNER, PHONE, TABLET] {
        events.extend(order().into_iter().map(|event| (client, event)));
    }
    events.extend(order()[2..5].iter().map(|event| (GUEST, event.clone())));
    events
}

fn history(events: Vec<(Client, Event)>) -> Vec<Record> {
    events.into_iter().map(|(client, event)| Record { at_ms: 0, client, event }).collect()
}

/// What is wrong with groups in a history that is right otherwise.
fn wrong(events: Vec<(Client, Event)>) -> Findings {
    let findings = judge(&history(events)).groups;
    assert!(!findings.is_clean() && !findings.examples.is_empty(), "{findings:?}");
    Findings { given: 0, accepted: 0, refused: 0, delivered: 0, examples: Vec::new(), ..findings }
}

fn without(client: Client, unwanted: &Event) -> Vec<(Client, Event)> {
    right().into_iter().filter(|(of, event)| (*of, event) != (client, unwanted)).collect()
}

fn with(client: Client, more: Event) -> Vec<(Client, Event)> {
    right().into_iter().chain([(client, more)]).collect()
}

#[test]
fn one_order_for_all_between_joining_and_leaving_is_clean() {
    let findings = judge(&history(right())).groups;
    assert!(findings.is_clean(), "{findings:?}");
    assert_eq!((findings.given, findings.accepted, findings.refused, findings.delivered), (4, 3, 1, 3));
}

#[test]
fn a_message_that_one_device_of_one_member_was_not_shown_is_lost() {
    for (client, at, from) in [(TABLET, 2, 0), (PHONE, 4, 2), (OWNER, 6, 1), (GUEST, 4, 2)] {
        let events = without(client, &shown(at, from, 0));
        assert_eq!(wrong(events), Findings { lost: 1, ..Findings::default() }, "{client}");
    }
    let nobody_was: Vec<_> = right().into_iter().filter(|(_, event)| *event != shown(6, 1, 0)).collect();
    assert_eq!(wrong(nobody_was), Findings { lost: 1, ..Findings::default() });
}

#[test]
fn who_is_no_member_is_shown_nothing() {
    for event in [shown(2, 0, 0), shown(6, 1, 0)] {
        // Before joining, it also comes too late.
        let findings = wrong(with(GUEST, event));
        assert_eq!((findings.contradictions, findings.lost), (1, 0));
    }
}

#[test]
fn a_place_twice_and_a_message_at_two_places_are_doubled() {
    let doubled = Findings { doubled: 1, ..Findings::default() };
    assert_eq!(wrong(with(OWNER, shown(6, 1, 0))), doubled);
    assert_eq!(wrong(with(OWNER, shown(7, 1, 0))), doubled);
}

#[test]
fn orders_that_differ_are_found() {
    let mut late = without(PHONE, &shown(2, 0, 0));
    late.push((PHONE, shown(2, 0, 0)));
    assert_eq!(wrong(late), Findings { out_of_order: 1, ..Findings::default() }, "a place after a later one");

    let mut another = without(TABLET, &membership(5, &[], &[2]));
    another.push((TABLET, membership(5, &[], &[1])));
    assert!(wrong(another).out_of_order > 0, "one place, two things");

    let events = right().into_iter().map(|(client, event)| match event {
        Event::GivenToGroup { number: 0, .. } if client == GUEST => (OWNER, given(1)),
        Event::Accepted { number: 0, .. } if client == GUEST => (OWNER, accepted(0, 1)),
        // The owner's second message stands before its first.
        Event::ShownInGroup { at: 2, .. } => (client, shown(2, 0, 1)),
        Event::ShownInGroup { at: 4, .. } => (client, shown(4, 0, 0)),
        other => (client, other),
    });
    assert_eq!(wrong(events.collect()), Findings { out_of_order: 1, ..Findings::default() });
}

#[test]
fn other_contradictions_in_groups_are_found() {
    let contradiction = Findings { contradictions: 1, ..Findings::default() };
    let left_out = right().into_iter().filter(|(_, event)| *event != membership(5, &[], &[2]));
    let findings = wrong(left_out.collect());
    // The guest, of whose going nobody was told, was not shown the end either.
    assert_eq!(findings, Findings { lost: 1, ..contradiction.clone() }, "a place that nobody was shown");
    assert_eq!(wrong(with(OWNER, shown(7, 1, 9))), contradiction, "never given");
    let twice = (GUEST, Event::Refused { number: 0, code: "NOT_A_MEMBER".to_owned() });
    assert_eq!(wrong(right().into_iter().chain([twice]).collect()), contradiction, "answered twice");
    let refused = right().into_iter().map(|(client, event)| match event {
        Event::Accepted { number, .. } if client == OWNER => (client, Event::Refused { number, code: String::new() }),
        other => (client, other),
    });
    assert_eq!(wrong(refused.collect()), contradiction, "refused and shown");
    // The guest's message stands where it is a member no more.
    let moved = right().into_iter().map(|(client, event)| match event {
        Event::ShownInGroup { at: 4, .. } => (client, membership(4, &[], &[2])),
        Event::Membership { at: 5, .. } => (client, shown(5, 2, 0)),
        other => (client, other),
    });
    // That it was shown its own is a second one.
    assert_eq!(wrong(moved.collect()), Findings { contradictions: 2, ..Findings::default() });
}

/// A message and an edit of it from the phone to the owner; the tablet gets copies.
fn changed() -> Vec<(Client, Event)> {
    let change = Event::Changed { stream: 1, seq: 2 };
    vec![
        (PHONE, Event::Given { number: 0, to: 0 }),
        (PHONE, accepted(1, 0)),
        (PHONE, Event::GivenChange { number: 1, to: 0, of: 0, change: Change::Edit }),
        (PHONE, accepted(1, 1)),
        (OWNER, Event::Shown { from: 1, number: 0, place: 1 }),
        (OWNER, change.clone()),
        (TABLET, Event::Copied { number: 0 }),
        (TABLET, change),
    ]
}

#[test]
fn changes_come_after_their_message_to_every_device_of_both_sides() {
    let findings = judge(&history(changed())).direct;
    assert!(findings.is_clean(), "{findings:?}");
    assert_eq!((findings.accepted, findings.delivered), (2, 2));
    for lost in [5, 6, 7] {
        let mut events = changed();
        events.remove(lost);
        let findings = judge(&history(events)).direct;
        // A copy that is not there is also one that did not come before its change.
        assert_eq!((findings.lost, findings.out_of_order), (1, u64::from(lost == 6)), "{lost}");
    }
    for (first, second) in [(4, 5), (6, 7)] {
        let mut events = changed();
        events.swap(first, second);
        assert!(judge(&history(events)).direct.out_of_order > 0);
    }
    let mut events = changed();
    events.push((OWNER, Event::Changed { stream: 1, seq: 3 }));
    assert_eq!(judge(&history(events)).direct.contradictions, 1, "a change that was not accepted");
}

/// As [`right`], and the owner's message is edited, which the guest, who came later, is not told.
fn edited() -> Vec<(Client, Event)> {
    let change = Event::ChangedInGroup { group: 0, at: 7, of: 2, stream: 0, seq: 2 };
    let mut events = right();
    events.extend([
        (OWNER, Event::GivenGroupChange { number: 1, group: 0, of: 0, change: Change::Edit }),
        (OWNER, accepted(0, 1)),
    ]);
    events.extend([OWNER, PHONE, TABLET].map(|client| (client, change.clone())));
    events
}

#[test]
fn a_change_in_a_group_is_for_those_who_were_members_when_its_message_was_sent() {
    let findings = judge(&history(edited())).groups;
    assert!(findings.is_clean(), "{findings:?}");
    assert_eq!((findings.accepted, findings.delivered), (4, 4));
    let last = edited().len() - 1;
    let mut lost = edited();
    lost.remove(last);
    assert_eq!(wrong(lost), Findings { lost: 1, ..Findings::default() });

    // The guest comes again, and is none of those.
    let again = |event: Option<Event>| {
        let mut events = edited();
        let come = membership(8, &[2], &[]);
        let change = Event::ChangedInGroup { group: 0, at: 9, of: 2, stream: 0, seq: 3 };
        events.extend([OWNER, PHONE, TABLET, GUEST].map(|client| (client, come.clone())));
        events.extend([
            (OWNER, Event::GivenGroupChange { number: 2, group: 0, of: 0, change: Change::Edit }),
            (OWNER, accepted(0, 2)),
        ]);
        events.extend([OWNER, PHONE, TABLET].map(|client| (client, change.clone())));
        events.extend(event.map(|event| (GUEST, event)));
        events
    };
    assert!(judge(&history(again(None))).groups.is_clean());
    let told = Event::ChangedInGroup { group: 0, at: 9, of: 2, stream: 0, seq: 3 };
    assert_eq!(wrong(again(Some(told))), Findings { contradictions: 1, ..Findings::default() });

    let of_another = edited().into_iter().map(|(client, event)| match event {
        Event::ChangedInGroup { group, at, stream, seq, .. } if client == TABLET => {
            (client, Event::ChangedInGroup { group, at, of: 6, stream, seq })
        }
        other => (client, other),
    });
    assert_eq!(wrong(of_another.collect()).out_of_order, 1);
    let never = Event::ChangedInGroup { group: 0, at: 8, of: 2, stream: 0, seq: 9 };
    assert_eq!(wrong(edited().into_iter().chain([(OWNER, never)]).collect()).contradictions, 1);
}

#[test]
fn receipts_of_groups_say_nothing_that_is_not_so() {
    let told = |delivered: &[User], read: &[User]| {
        let (members, counts) = (2, [delivered, read].map(|users| users.len() as u32));
        let names = Some((delivered.to_vec(), read.to_vec()));
        let reach = GroupReach { members, delivered: counts[0], read: counts[1], names };
        Event::GroupReceipts { group: 0, at: 6, reach }
    };
    let marked = (TABLET, Event::ReadInGroup { group: 0, at: 6 });
    let right = right().into_iter().chain([marked, (PHONE, told(&[0, 1], &[1]))]).collect();
    let verdict = judge(&history(right));
    assert!(verdict.groups.is_clean() && verdict.told.group_receipts == 1, "{verdict:?}");
    let contradiction = Findings { contradictions: 1, ..Findings::default() };
    assert_eq!(wrong(with(PHONE, told(&[2], &[]))), contradiction, "the guest was gone by then");
    assert_eq!(wrong(with(PHONE, told(&[0], &[0]))), contradiction, "the owner marked nothing");
}

#[test]
fn typing_is_told_once_to_members_of_what_was_said() {
    let seen = Event::Typing { from: 1, group: 0, number: 3 };
    let typed = |more: &[(Client, Event)]| {
        let given = (PHONE, Event::GivenTyping { number: 3, group: 0 });
        right().into_iter().chain([given]).chain(more.to_vec()).collect::<Vec<_>>()
    };
    let told = judge(&history(typed(&[(OWNER, seen.clone()), (GUEST, seen.clone())])));
    assert!(told.groups.is_clean() && told.told.typing == 2, "{told:?}");
    assert!(judge(&history(typed(&[]))).groups.is_clean(), "it may be lost");
    let contradiction = Findings { contradictions: 1, ..Findings::default() };
    assert_eq!(wrong(with(OWNER, seen.clone())), contradiction);
    let stranger = Client { user: 9, device: 0 };
    assert_eq!(wrong(typed(&[(stranger, seen.clone())])), contradiction);
    let twice = [(OWNER, seen.clone()), (OWNER, seen)];
    assert_eq!(wrong(typed(&twice)), Findings { doubled: 1, ..Findings::default() });
}
