//! Messages that wait: a right history is clean, and each kind of wrong done to it is found.

use super::{Findings, Verdict, judge};
use crate::history::{BACKEND, Client, End, Event, Record, SYSTEM, User};

/// Who schedules, with a second device; to whom; and a member of the group who leaves it.
const PHONE: Client = Client { user: 0, device: 0 };
const TABLET: Client = Client { user: 0, device: 1 };
const FRIEND: Client = Client { user: 1, device: 0 };
const GUEST: Client = Client { user: 2, device: 0 };
/// The devices' stream, and the one of what was sent in its moment.
const STREAM: u64 = 4;
const LATER: u64 = 9;
/// The time of all of them.
const DUE_MS: u64 = 5_000;

/// Numbers: one to the friend, one that is cancelled, one to the group, and one of the guest's, who has left by then.
const SENT: u64 = 0;
const CANCELLED: u64 = 1;
const TO_GROUP: u64 = 2;
const OF_GUEST: u64 = 0;

fn accepted(stream: u64, number: u64) -> Event {
    Event::Accepted { number, stream, seq: number + 1 }
}

fn ended(number: u64, end: End) -> Event {
    Event::ScheduleEnded { stream: STREAM, seq: number + 1, end }
}

fn sent_as(seq: u64) -> End {
    End::Sent { stream: LATER, seq }
}

fn shown() -> Event {
    Event::Shown { from: 0, number: SENT, place: 7 }
}

fn shown_in_group() -> Event {
    Event::ShownInGroup { group: 0, at: 4, from: 0, number: TO_GROUP, place: 8 }
}

fn not_a_member() -> End {
    End::Failed { code: "NOT_A_MEMBER".to_owned() }
}

/// What happens before the time of the messages, and after it.
fn right() -> Vec<(u64, Client, Event)> {
    let member = |at, came: &[_], went: &[_]| Event::Membership { group: 0, at, came: came.into(), went: went.into() };
    let mut events = vec![
        (PHONE, Event::GivenScheduled { number: SENT, to: 1, due_ms: Some(DUE_MS) }),
        (PHONE, accepted(STREAM, SENT)),
        (PHONE, Event::GivenScheduled { number: CANCELLED, to: 1, due_ms: Some(DUE_MS) }),
        (PHONE, accepted(STREAM, CANCELLED)),
        (PHONE, Event::GivenGroupScheduled { number: TO_GROUP, group: 0, due_ms: Some(DUE_MS) }),
        (PHONE, accepted(STREAM, TO_GROUP)),
        (GUEST, Event::GivenGroupScheduled { number: OF_GUEST, group: 0, due_ms: Some(DUE_MS) }),
        (GUEST, accepted(STREAM + 1, OF_GUEST)),
        (PHONE, Event::Cancelled { number: CANCELLED, in_time: true }),
    ];
    for client in [PHONE, TABLET, FRIEND] {
        let order = [member(1, &[0, 1], &[]), member(2, &[2], &[]), member(3, &[], &[2])];
        events.extend(order.into_iter().map(|event| (client, event)));
    }
    events.extend([(GUEST, member(2, &[2], &[])), (GUEST, member(3, &[], &[2]))]);
    let before = events.into_iter().map(|(client, event)| (100, client, event)).collect::<Vec<_>>();

    let mut events = vec![
        (FRIEND, shown()),
        (FRIEND, Event::Acknowledged { place: 7 }),
        (FRIEND, shown_in_group()),
        (GUEST, Event::ScheduleEnded { stream: STREAM + 1, seq: OF_GUEST + 1, end: not_a_member() }),
    ];
    for client in [PHONE, TABLET] {
        events.extend([
            (client, Event::Copied { number: SENT }),
            (client, shown_in_group()),
            (client, ended(SENT, sent_as(1))),
            (client, ended(CANCELLED, End::Cancelled)),
            (client, ended(TO_GROUP, sent_as(2))),
        ]);
    }
    events.push((FRIEND, Event::ReadWith { from: PHONE.user, number: SENT }));
    events.push((PHONE, Event::Receipt { from: 1, read: true, stream: LATER, up_to: 1 }));
    before.into_iter().chain(events.into_iter().map(|(client, event)| (DUE_MS, client, event))).collect()
}

fn verdict(events: Vec<(u64, Client, Event)>) -> Verdict {
    let records = events.into_iter().map(|(at_ms, client, event)| Record { at_ms, client, event });
    judge(&records.collect::<Vec<_>>())
}

/// What is wrong with what waited in a history that is right otherwise.
fn wrong(events: Vec<(u64, Client, Event)>) -> Findings {
    let findings = verdict(events).scheduled;
    assert!(!findings.is_clean() && !findings.examples.is_empty(), "{findings:?}");
    Findings { given: 0, accepted: 0, refused: 0, delivered: 0, cancelled: 0, examples: Vec::new(), ..findings }
}

fn without(client: Client, unwanted: &Event) -> Vec<(u64, Client, Event)> {
    right().into_iter().filter(|(_, of, event)| (*of, event) != (client, unwanted)).collect()
}

fn with(client: Client, more: Event) -> Vec<(u64, Client, Event)> {
    right().into_iter().chain([(DUE_MS, client, more)]).collect()
}

/// Something else in the place of one event, wherever it stands.
fn instead(of: &Event, other: &Event) -> Vec<(u64, Client, Event)> {
    let replace = |event| if event == *of { other.clone() } else { event };
    right().into_iter().map(|(at_ms, client, event)| (at_ms, client, replace(event))).collect()
}

fn lost() -> Findings {
    Findings { lost: 1, ..Findings::default() }
}

fn contradiction() -> Findings {
    Findings { contradictions: 1, ..Findings::default() }
}

#[test]
fn sent_once_in_its_moment_or_taken_back_and_told_is_clean() {
    let verdict = verdict(right());
    let findings = &verdict.scheduled;
    assert!(findings.is_clean(), "{findings:?}");
    let Findings { given, accepted, delivered, cancelled, refused, .. } = *findings;
    assert_eq!((given, accepted, delivered, cancelled, refused), (4, 4, 2, 1, 1));
    assert!(verdict.direct.examples.is_empty() && verdict.groups.examples.is_empty(), "{verdict:?}");
}

#[test]
fn one_that_does_not_come_to_a_device_of_either_side_is_lost() {
    for client in [FRIEND, PHONE, TABLET] {
        assert_eq!(wrong(without(client, &shown_in_group())), lost(), "{client} in the group");
    }
    for client in [PHONE, TABLET] {
        assert_eq!(wrong(without(client, &Event::Copied { number: SENT })), lost(), "{client}");
    }
    let nobody_was: Vec<_> = right().into_iter().filter(|(_, _, event)| *event != shown_in_group()).collect();
    assert_eq!(wrong(nobody_was), lost());
    // Its receipt is not true either.
    assert_eq!(verdict(without(FRIEND, &shown())).direct.contradictions, 1);
    assert_eq!(wrong(without(FRIEND, &shown())), lost());
}

#[test]
fn one_that_comes_again_is_doubled() {
    let doubled = Findings { doubled: 1, ..Findings::default() };
    assert_eq!(wrong(with(FRIEND, Event::Shown { from: 0, number: SENT, place: 9 })), doubled);
    assert_eq!(wrong(with(FRIEND, shown())), Findings { returned: 1, ..doubled.clone() });
    assert_eq!(wrong(with(TABLET, Event::Copied { number: SENT })), doubled);
    let again = Event::ShownInGroup { group: 0, at: 5, from: 0, number: TO_GROUP, place: 9 };
    assert_eq!(wrong(with(FRIEND, again)), doubled, "at two places");
    assert_eq!(wrong(with(TABLET, ended(SENT, sent_as(1)))), doubled, "told twice");
}

#[test]
fn one_that_comes_before_its_time_is_early() {
    for event in [shown(), shown_in_group(), Event::Copied { number: SENT }] {
        let at = |at_ms| {
            let is_it = |other: &Event, client| *other == event && (client == FRIEND || client == PHONE);
            let moved = right().into_iter().map(move |(was_ms, client, other)| {
                (if is_it(&other, client) { at_ms } else { was_ms }, client, other)
            });
            moved.collect::<Vec<_>>()
        };
        let devices = if matches!(event, Event::ShownInGroup { .. }) { 2 } else { 1 };
        assert_eq!(wrong(at(DUE_MS - 1_000)), Findings { early: devices, ..Findings::default() }, "{event:?}");
        assert!(verdict(at(DUE_MS)).scheduled.is_clean());
        assert!(verdict(at(DUE_MS + 60_000)).scheduled.is_clean(), "it may come late");
    }
}

#[test]
fn where_clocks_differ_nothing_is_early() {
    let due = |due_ms| Event::GivenScheduled { number: SENT, to: 1, due_ms };
    let mut events = instead(&due(Some(DUE_MS)), &due(None));
    events.iter_mut().for_each(|(at_ms, _, event)| *at_ms = if *event == shown() { 0 } else { *at_ms });
    assert!(verdict(events).scheduled.is_clean());
}

#[test]
fn one_that_was_cancelled_may_not_come() {
    let came = Event::Shown { from: 0, number: CANCELLED, place: 9 };
    assert_eq!(wrong(with(FRIEND, came.clone())), contradiction());
    // Also where nobody was answered, and the devices were told so.
    let mut unanswered = without(PHONE, &Event::Cancelled { number: CANCELLED, in_time: true });
    assert!(verdict(unanswered.clone()).scheduled.is_clean());
    unanswered.push((DUE_MS, FRIEND, came));
    assert_eq!(wrong(unanswered), contradiction());
    // Answered as cancelled, and sent.
    let sent = instead(&ended(CANCELLED, End::Cancelled), &ended(CANCELLED, sent_as(2)));
    assert_eq!(wrong(sent), contradiction());
}

#[test]
fn one_that_was_too_late_to_cancel_comes() {
    let too_late = Event::Cancelled { number: SENT, in_time: false };
    assert!(verdict(with(PHONE, too_late)).scheduled.is_clean());
    let (in_time, late) =
        (Event::Cancelled { number: CANCELLED, in_time: true }, Event::Cancelled { number: CANCELLED, in_time: false });
    assert_eq!(wrong(instead(&in_time, &late)), contradiction(), "it was cancelled all the same");
    let mut vanished = instead(&in_time, &late);
    vanished.retain(|(_, _, event)| *event != ended(CANCELLED, End::Cancelled));
    assert_eq!(wrong(vanished), lost());
}

#[test]
fn every_device_of_the_sender_is_told_the_same_end() {
    for client in [PHONE, TABLET] {
        for (number, end) in [(SENT, sent_as(1)), (CANCELLED, End::Cancelled), (TO_GROUP, sent_as(2))] {
            let untold = Findings { unknown: 1, ..Findings::default() };
            assert_eq!(wrong(without(client, &ended(number, end))), untold, "{client}, {number}");
        }
    }
    let mut another = without(TABLET, &ended(SENT, sent_as(1)));
    another.push((DUE_MS, TABLET, ended(SENT, sent_as(3))));
    assert_eq!(wrong(another), contradiction());
    assert_eq!(wrong(with(FRIEND, ended(SENT, sent_as(1)))), contradiction(), "another user's");
    assert_eq!(wrong(with(PHONE, ended(8, End::Cancelled))), contradiction(), "never scheduled");
}

#[test]
fn only_who_left_a_group_may_fail_to_send_to_it() {
    let failed = |number| ended(number, not_a_member());
    let mut never_left = instead(&ended(TO_GROUP, sent_as(2)), &failed(TO_GROUP));
    never_left.retain(|(_, _, event)| *event != shown_in_group());
    assert_eq!(wrong(never_left), lost());
    assert_eq!(wrong(instead(&ended(SENT, sent_as(1)), &failed(SENT))), contradiction(), "it was shown");
    let guests = Event::ShownInGroup { group: 0, at: 4, from: 2, number: OF_GUEST, place: 8 };
    assert_eq!(
        wrong(instead(&shown_in_group(), &guests)).contradictions,
        2,
        "not taken, and shown; and who left, spoke"
    );
}

#[test]
fn what_has_no_answer_is_unknown_and_what_was_refused_may_not_come() {
    let answer = accepted(STREAM, CANCELLED);
    let mut unanswered = without(PHONE, &answer);
    let about_it = |event: &Event| {
        *event == ended(CANCELLED, End::Cancelled) || *event == Event::Cancelled { number: CANCELLED, in_time: true }
    };
    unanswered.retain(|(_, _, event)| !about_it(event));
    assert_eq!(wrong(unanswered.clone()), Findings { unknown: 1, ..Findings::default() });
    unanswered.push((DUE_MS, PHONE, Event::Refused { number: CANCELLED, code: "SCHEDULE_FULL".to_owned() }));
    assert!(verdict(unanswered.clone()).scheduled.is_clean());
    unanswered.push((DUE_MS, FRIEND, Event::Shown { from: 0, number: CANCELLED, place: 9 }));
    assert_eq!(wrong(unanswered), contradiction());
}

#[test]
fn neither_order_nor_receipts_of_the_first_stream_speak_of_them() {
    let mut events = right();
    // Given and shown before the time, with a receipt for all of its stream.
    let message = Event::Given { number: 3, to: 1 };
    let before = [
        (PHONE, message),
        (PHONE, accepted(STREAM, 3)),
        (FRIEND, Event::Shown { from: 0, number: 3, place: 1 }),
        (TABLET, Event::Copied { number: 3 }),
        (PHONE, Event::Receipt { from: 1, read: false, stream: STREAM, up_to: 4 }),
    ];
    events.splice(9..9, before.map(|(client, event)| (200, client, event)));
    let verdict = verdict(events);
    assert!(verdict.direct.is_clean() && verdict.scheduled.is_clean(), "{verdict:?}");
}

/// What a backend schedules: as the system and as the user, both to the friend.
const POSTS: [(User, u64); 2] = [(SYSTEM, 100), (0, 101)];
const BY_BACKEND: u64 = 11;

fn by(user: User) -> Client {
    Client { user, device: BACKEND }
}

/// The end of a post, as it is told.
fn post_sent(number: u64, as_seq: u64) -> Event {
    Event::ScheduleEnded { stream: BY_BACKEND, seq: number, end: sent_as(as_seq) }
}

/// With the posts, of which the author's devices are told; the backend asks.
fn posted() -> Vec<(u64, Client, Event)> {
    let mut events = right();
    for (author, number) in POSTS {
        let given = Event::GivenScheduled { number, to: 1, due_ms: Some(DUE_MS) };
        let accepted = Event::Accepted { number, stream: BY_BACKEND, seq: number };
        // It asks for the same again, and is answered as before.
        events.extend([given, accepted.clone(), accepted].map(|event| (100, by(author), event)));
        events.push((DUE_MS, FRIEND, Event::Shown { from: author, number, place: number }));
        events.push((DUE_MS, by(author), post_sent(number, number)));
    }
    let (_, number) = POSTS[1];
    for client in [PHONE, TABLET] {
        events.extend([Event::Copied { number }, post_sent(number, number)].map(|event| (DUE_MS, client, event)));
    }
    events
}

#[test]
fn a_backends_are_sent_once_and_told_like_a_users() {
    let right = verdict(posted());
    assert!(right.scheduled.is_clean() && right.backend == Findings::default(), "{right:?}");
    assert_eq!((right.scheduled.given, right.scheduled.delivered), (6, 4));
    let unknown = || Findings { unknown: 1, ..Findings::default() };
    for (event, client, found) in [
        (Event::Shown { from: SYSTEM, number: 100, place: 100 }, FRIEND, lost()),
        (Event::Shown { from: 0, number: 101, place: 101 }, FRIEND, lost()),
        (Event::Copied { number: 101 }, PHONE, lost()),
        (post_sent(101, 101), TABLET, unknown()),
        (post_sent(101, 101), by(0), unknown()),
        (post_sent(100, 100), by(SYSTEM), unknown()),
    ] {
        let events: Vec<_> = posted().into_iter().filter(|(_, of, other)| (*of, other) != (client, &event)).collect();
        assert_eq!(wrong(events), found, "{event:?} of {client}");
    }
    let with = |more| posted().into_iter().chain([more]).collect();
    let again = Event::Shown { from: SYSTEM, number: 100, place: 200 };
    assert_eq!(wrong(with((DUE_MS, FRIEND, again))), Findings { doubled: 1, ..Findings::default() });
    let other = Event::Accepted { number: 100, stream: BY_BACKEND, seq: 200 };
    assert_eq!(wrong(with((100, by(SYSTEM), other))), contradiction(), "one request, two messages");
    let mut early = posted();
    early.iter_mut().filter(|(_, client, _)| *client == FRIEND).for_each(|(at_ms, ..)| *at_ms = DUE_MS - 1_000);
    assert_eq!(wrong(early).early, 4);
}
