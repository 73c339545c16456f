//! What a backend posts: a right history is clean, and each kind of wrong done to it is found.

use super::{Findings, Verdict, judge};
use crate::history::{BACKEND, Client, Event, Record, SYSTEM, User};

/// In whose name it writes, with a second device; to whom; and a member of the group who leaves it.
const PHONE: Client = Client { user: 0, device: 0 };
const TABLET: Client = Client { user: 0, device: 1 };
const FRIEND: Client = Client { user: 1, device: 0 };
const GUEST: Client = Client { user: 2, device: 0 };

/// Its numbers for the friend, and those for the group: in each, first one of the system, and then one of the user.
const TO_FRIEND: [u64; 2] = [100, 102];
const TO_GROUP: [u64; 2] = [101, 103];

fn by(user: User) -> Client {
    Client { user, device: BACKEND }
}

fn accepted(number: u64) -> Event {
    Event::Accepted { number, stream: 7, seq: number }
}

fn shown(from: User, number: u64, place: u64) -> Event {
    Event::Shown { from, number, place }
}

fn shown_in_group(at: u64, from: User, number: u64) -> Event {
    Event::ShownInGroup { group: 0, at, from, number, place: 10 + at }
}

fn of_system() -> Event {
    shown(SYSTEM, TO_FRIEND[0], 1)
}

fn of_user() -> Event {
    shown(0, TO_FRIEND[1], 2)
}

fn copied() -> Event {
    Event::Copied { number: TO_FRIEND[1] }
}

/// The group's order: the guest was there for the first post and not for the second.
fn order() -> [Event; 5] {
    let member = |at, came: &[_], went: &[_]| Event::Membership { group: 0, at, came: came.into(), went: went.into() };
    [
        member(1, &[0, 1], &[]),
        member(2, &[2], &[]),
        shown_in_group(3, SYSTEM, TO_GROUP[0]),
        member(4, &[], &[2]),
        shown_in_group(5, 0, TO_GROUP[1]),
    ]
}

fn right() -> Vec<(Client, Event)> {
    let mut events = Vec::new();
    for (of, user) in [(0, SYSTEM), (1, 0)] {
        events.extend([
            (by(user), Event::Given { number: TO_FRIEND[of], to: 1 }),
            (by(user), accepted(TO_FRIEND[of])),
            (by(user), Event::GivenToGroup { number: TO_GROUP[of], group: 0 }),
            (by(user), accepted(TO_GROUP[of])),
        ]);
    }
    // It asked again, and was answered as the first time.
    events.push((by(SYSTEM), accepted(TO_FRIEND[0])));
    events.extend([of_system(), of_user(), Event::Acknowledged { place: 2 }].map(|event| (FRIEND, event)));
    events.extend([PHONE, TABLET].map(|client| (client, copied())));
    for client in [PHONE, TABLET, FRIEND] {
        events.extend(order().map(|event| (client, event)));
    }
    events.extend(order()[1..4].iter().map(|event| (GUEST, event.clone())));
    events
}

fn verdict(events: Vec<(Client, Event)>) -> Verdict {
    let records = events.into_iter().map(|(client, event)| Record { at_ms: 0, client, event });
    judge(&records.collect::<Vec<_>>())
}

/// What is wrong with the posts in a history that is right otherwise.
fn wrong(events: Vec<(Client, Event)>) -> Findings {
    let verdict = verdict(events);
    assert_eq!((verdict.direct, verdict.groups), (Findings::default(), Findings::default()));
    let findings = verdict.backend;
    assert!(!findings.is_clean() && !findings.examples.is_empty(), "{findings:?}");
    Findings { given: 0, accepted: 0, refused: 0, delivered: 0, examples: Vec::new(), ..findings }
}

fn without(client: Client, unwanted: &Event) -> Vec<(Client, Event)> {
    right().into_iter().filter(|(of, event)| (*of, event) != (client, unwanted)).collect()
}

fn with(client: Client, more: Event) -> Vec<(Client, Event)> {
    right().into_iter().chain([(client, more)]).collect()
}

/// Other events in the places of two, wherever they stand.
fn instead(of: [Event; 2], others: [Event; 2]) -> Vec<(Client, Event)> {
    let replace = |event| match of.iter().position(|one| *one == event) {
        Some(position) => others[position].clone(),
        None => event,
    };
    right().into_iter().map(|(client, event)| (client, replace(event))).collect()
}

fn contradiction() -> Findings {
    Findings { contradictions: 1, ..Findings::default() }
}

#[test]
fn posts_that_all_are_shown_once_and_in_order_are_clean() {
    let verdict = verdict(right());
    let findings = &verdict.backend;
    assert!(findings.is_clean(), "{findings:?}");
    assert_eq!((findings.given, findings.accepted, findings.delivered), (4, 4, 4));
    assert_eq!((verdict.direct, verdict.groups), (Findings::default(), Findings::default()));
}

#[test]
fn a_post_that_one_device_was_not_shown_is_lost() {
    let lost = Findings { lost: 1, ..Findings::default() };
    for event in [of_system(), of_user()] {
        assert_eq!(wrong(without(FRIEND, &event)), lost, "{event:?}");
    }
    for client in [PHONE, TABLET] {
        assert_eq!(wrong(without(client, &copied())), lost, "{client}, in whose name it was");
    }
    let [_, _, first, _, second] = order();
    for client in [PHONE, TABLET, FRIEND, GUEST] {
        assert_eq!(wrong(without(client, &first)), lost, "{client}");
    }
    let nobody_was: Vec<_> = right().into_iter().filter(|(_, event)| *event != second).collect();
    assert_eq!(wrong(nobody_was), lost);
}

#[test]
fn a_request_that_became_two_messages_is_doubled() {
    let doubled = Findings { doubled: 1, ..Findings::default() };
    assert_eq!(wrong(with(FRIEND, shown(SYSTEM, TO_FRIEND[0], 3))), doubled);
    assert_eq!(wrong(with(FRIEND, of_user())), Findings { returned: 1, ..doubled.clone() });
    assert_eq!(wrong(with(PHONE, copied())), doubled);
    assert_eq!(wrong(with(FRIEND, shown_in_group(6, SYSTEM, TO_GROUP[0]))), doubled, "at two places");
    let as_another = Event::Accepted { number: TO_FRIEND[0], stream: 7, seq: 99 };
    assert_eq!(wrong(with(by(SYSTEM), as_another)), contradiction(), "answered otherwise than the first time");
}

#[test]
fn posts_to_one_recipient_come_in_the_order_of_one_backend_whosever_name_they_bear() {
    let disorder = Findings { out_of_order: 1, ..Findings::default() };
    assert_eq!(wrong(instead([of_system(), of_user()], [of_user(), of_system()])), disorder);
    let mut late = without(PHONE, &shown_in_group(3, SYSTEM, TO_GROUP[0]));
    late.push((PHONE, shown_in_group(3, SYSTEM, TO_GROUP[0])));
    assert_eq!(wrong(late), disorder, "a place after a later one");

    // In the group, the later one has the first place, for all of those who were there.
    let [_, _, first, _, second] = order();
    let others = [shown_in_group(3, 0, TO_GROUP[1]), shown_in_group(5, SYSTEM, TO_GROUP[0])];
    assert_eq!(wrong(instead([first, second], others)), disorder);
}

#[test]
fn between_recipients_and_beside_the_users_own_messages_there_is_no_order() {
    let mut events = right();
    // The user's own numbers are lower, and come later; so is the group's first post shown after all of the friend's.
    events.extend([
        (PHONE, Event::Given { number: 3, to: 1 }),
        (PHONE, Event::Accepted { number: 3, stream: 1, seq: 4 }),
        (FRIEND, shown(0, 3, 4)),
        (TABLET, Event::Copied { number: 3 }),
    ]);
    let verdict = verdict(events);
    assert!(verdict.direct.is_clean() && verdict.backend.is_clean(), "{verdict:?}");
}

#[test]
fn what_has_no_answer_is_unknown_and_what_was_refused_may_not_come() {
    let answer = accepted(TO_GROUP[1]);
    assert_eq!(wrong(without(by(0), &answer)), Findings { unknown: 1, ..Findings::default() });
    let mut refused = without(by(0), &answer);
    refused.push((by(0), Event::Refused { number: TO_GROUP[1], code: "NOT_A_MEMBER".to_owned() }));
    assert_eq!(wrong(refused.clone()), contradiction());
    refused.retain(|(_, event)| *event != shown_in_group(5, 0, TO_GROUP[1]));
    assert!(verdict(refused).backend.is_clean());
}

#[test]
fn a_post_is_shown_to_whom_it_is_for_in_the_name_that_it_was_given() {
    assert_eq!(wrong(with(GUEST, of_system())), contradiction(), "to another one");
    assert_eq!(wrong(with(GUEST, shown_in_group(5, 0, TO_GROUP[1]))), contradiction(), "who had left the group");
    let in_another_name = verdict(with(FRIEND, shown(2, TO_FRIEND[0], 3)));
    assert_eq!(in_another_name.direct.contradictions, 1, "it was never given by that one");
}
