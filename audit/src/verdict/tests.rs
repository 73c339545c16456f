//! Messages between two users. Right histories come from a model of the service and are clean; each kind of wrong done
//! to one of them is found.

use std::collections::VecDeque;

use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};

use super::Findings;
use crate::history::{Client, Event, Record, User};

const USERS: User = 3;
const STREAM: u64 = 4096;

fn first(user: User) -> Client {
    Client { user, device: 0 }
}

fn judge(records: &[Record]) -> Findings {
    let verdict = super::judge(records);
    assert_eq!(verdict.groups, Findings::default());
    verdict.direct
}

/// One step of the model.
#[derive(Debug, Clone)]
enum Step {
    Send { from: User, to: User, accepted: bool },
    Show { to: User },
    Receipt { from: User, to: User },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step =
        (0..3u8, 0..USERS, 0..USERS, any::<bool>(), any::<bool>()).prop_map(|(kind, from, to, a, b)| match kind {
            0 => Step::Send { from, to, accepted: a || b },
            1 => Step::Show { to },
            _ => Step::Receipt { from, to },
        });
    proptest::collection::vec(step, 1..60)
}

/// A service that keeps its promises.
#[derive(Default)]
struct Model {
    records: Vec<Record>,
    sent: [u64; USERS as usize],
    places: [u64; USERS as usize],
    waiting: [VecDeque<(User, u64)>; USERS as usize],
    /// By sender and recipient: the number up to which everything was shown.
    shown: [[Option<u64>; USERS as usize]; USERS as usize],
}

impl Model {
    fn run(steps: &[Step]) -> Vec<Record> {
        let mut model = Self::default();
        // At least one message, so that there is something to be wrong.
        model.step(&Step::Send { from: 0, to: 1, accepted: true });
        model.step(&Step::Send { from: 0, to: 1, accepted: true });
        steps.iter().for_each(|step| model.step(step));
        for to in 0..USERS {
            while !model.waiting[to as usize].is_empty() {
                model.step(&Step::Show { to });
            }
            (0..USERS).for_each(|from| model.step(&Step::Receipt { from, to }));
        }
        model.records
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Send { from, to, accepted } => {
                let number = self.sent[from as usize];
                self.sent[from as usize] += 1;
                self.say(from, Event::Given { number, to });
                if accepted {
                    self.waiting[to as usize].push_back((from, number));
                    self.say(from, Event::Accepted { number, stream: STREAM, seq: number + 1 });
                } else {
                    self.say(from, Event::Refused { number, code: "INBOX_FULL".to_owned() });
                }
            }
            Step::Show { to } => {
                let Some((from, number)) = self.waiting[to as usize].pop_front() else { return };
                self.places[to as usize] += 1;
                let place = self.places[to as usize];
                self.shown[from as usize][to as usize] = Some(number);
                self.say(to, Event::Shown { from, number, place });
                self.say(to, Event::Acknowledged { place });
            }
            Step::Receipt { from, to } => {
                if let Some(number) = self.shown[from as usize][to as usize] {
                    self.say(from, Event::Receipt { from: to, read: false, stream: STREAM, up_to: number + 1 });
                }
            }
        }
    }

    fn say(&mut self, user: User, event: Event) {
        let at_ms = self.records.len() as u64;
        self.records.push(Record { at_ms, client: first(user), event });
    }
}

fn positions(records: &[Record], which: impl Fn(&Event) -> bool) -> Vec<usize> {
    (0..records.len()).filter(|at| which(&records[*at].event)).collect()
}

fn is_shown(event: &Event) -> bool {
    matches!(event, Event::Shown { .. })
}

/// One of the positions, drawn by proptest.
fn pick(positions: &[usize], draw: usize) -> usize {
    positions[draw % positions.len()]
}

fn only(verdict: &Findings) -> Findings {
    Findings { given: 0, accepted: 0, refused: 0, delivered: 0, examples: Vec::new(), ..verdict.clone() }
}

proptest! {
    #[test]
    fn a_history_of_a_service_that_keeps_its_promises_is_clean(steps in steps()) {
        let records = Model::run(&steps);
        let verdict = judge(&records);
        prop_assert!(verdict.is_clean(), "{verdict:?}");
        prop_assert_eq!(verdict.given, verdict.accepted + verdict.refused);
        prop_assert_eq!(verdict.delivered, verdict.accepted);
    }

    #[test]
    fn an_accepted_message_that_is_not_shown_is_lost(steps in steps(), draw in any::<usize>()) {
        let mut records = Model::run(&steps);
        let shown = pick(&positions(&records, is_shown), draw);
        records.remove(shown);
        let verdict = judge(&records);
        prop_assert_eq!(verdict.lost, 1);
        // A receipt that speaks for it is wrong too.
        prop_assert!(!verdict.is_clean() && verdict.contradictions > 0, "{verdict:?}");
    }

    #[test]
    fn a_message_that_is_shown_again_is_doubled(steps in steps(), draw in any::<usize>(), place_is_new in any::<bool>()) {
        let mut records = Model::run(&steps);
        let mut again = records[pick(&positions(&records, is_shown), draw)].clone();
        if let Event::Shown { place, .. } = &mut again.event && place_is_new {
            *place = 1_000_000;
        }
        records.push(again);
        let expected = Findings { doubled: 1, returned: u64::from(!place_is_new), ..Findings::default() };
        prop_assert_eq!(only(&judge(&records)), expected);
    }

    #[test]
    fn two_of_a_pair_that_change_places_are_out_of_order(steps in steps()) {
        let mut records = Model::run(&steps);
        // The first two messages of the model are of one pair; no receipt may tell of the exchange.
        records.retain(|record| !matches!(record.event, Event::Receipt { .. }));
        let of = |number| move |event: &Event| matches!(event, Event::Shown { from: 0, number: n, .. } if *n == number);
        let (first, second) = (positions(&records, of(0))[0], positions(&records, of(1))[0]);
        for (position, new_number) in [(first, 1), (second, 0)] {
            if let Event::Shown { number, .. } = &mut records[position].event {
                *number = new_number;
            }
        }
        prop_assert_eq!(only(&judge(&records)), Findings { out_of_order: 1, ..Findings::default() });
    }

    #[test]
    fn a_message_without_an_answer_is_unknown(steps in steps(), draw in any::<usize>(), is_told in any::<bool>()) {
        let mut records = Model::run(&steps);
        let answers = positions(&records, |event| matches!(event, Event::Accepted { .. } | Event::Refused { .. }));
        let answer = pick(&answers, draw);
        let (Event::Accepted { number, .. } | Event::Refused { number, .. }) = records[answer].event else { unreachable!() };
        if is_told {
            records[answer].event = Event::Unknown { number };
        } else {
            records.remove(answer);
        }
        prop_assert_eq!(only(&judge(&records)), Findings { unknown: 1, ..Findings::default() });
    }

    #[test]
    fn a_message_that_is_refused_and_shown_contradicts_itself(steps in steps(), draw in any::<usize>()) {
        let mut records = Model::run(&steps);
        let accepted = pick(&positions(&records, |event| matches!(event, Event::Accepted { .. })), draw);
        let Event::Accepted { number, .. } = records[accepted].event else { unreachable!() };
        records[accepted].event = Event::Refused { number, code: "UNAVAILABLE".to_owned() };
        prop_assert_eq!(only(&judge(&records)), Findings { contradictions: 1, ..Findings::default() });
    }

    #[test]
    fn a_receipt_before_the_showing_contradicts_it(steps in steps(), draw in any::<usize>(), beyond in any::<u64>()) {
        let mut records = Model::run(&steps);
        let shown = pick(&positions(&records, is_shown), draw);
        let Record { client, event: Event::Shown { from, number, .. }, at_ms } = records[shown].clone() else {
            unreachable!()
        };
        let event = Event::Receipt { from: client.user, read: false, stream: STREAM, up_to: (number + 1).saturating_add(beyond) };
        records.insert(shown, Record { at_ms, client: first(from), event });
        prop_assert_eq!(only(&judge(&records)), Findings { contradictions: 1, ..Findings::default() });
    }
}

fn history(events: &[(User, Event)]) -> Vec<Record> {
    events.iter().map(|(user, event)| Record { at_ms: 0, client: first(*user), event: event.clone() }).collect()
}

/// A message from 1 to 2 that went well.
fn one_message() -> Vec<(User, Event)> {
    vec![
        (1, Event::Given { number: 0, to: 2 }),
        (1, Event::Accepted { number: 0, stream: STREAM, seq: 1 }),
        (2, Event::Shown { from: 1, number: 0, place: 5 }),
        (2, Event::Acknowledged { place: 5 }),
    ]
}

#[test]
fn other_contradictions_are_found() {
    assert!(judge(&history(&one_message())).is_clean());
    let cases: [(&str, (User, Event)); 6] = [
        ("answered twice", (1, Event::Refused { number: 0, code: "EXPIRED".into() })),
        ("answered, never given", (1, Event::Accepted { number: 1, stream: STREAM, seq: 2 })),
        ("given twice", (1, Event::Given { number: 0, to: 2 })),
        ("failed after it was shown", (1, Event::Failed { number: 0, code: "EXPIRED".into() })),
        ("shown, never given", (2, Event::Shown { from: 1, number: 7, place: 6 })),
        ("shown to another one", (3, Event::Shown { from: 1, number: 0, place: 1 })),
    ];
    for (what, event) in cases {
        let mut events = one_message();
        events.push(event);
        let verdict = judge(&history(&events));
        assert_eq!(verdict.contradictions, 1, "{what}: {verdict:?}");
        assert!(!verdict.is_clean() && !verdict.examples.is_empty(), "{what}");
    }
}

#[test]
fn a_gap_in_a_mailbox_a_failure_and_a_run_without_messages_are_not_clean() {
    let mut events = one_message();
    events.push((2, Event::Gap { from: 1, to: 4 }));
    assert_eq!(only(&judge(&history(&events))), Findings { unknown: 1, ..Findings::default() });

    let mut events = one_message();
    events.truncate(2);
    events.push((1, Event::Failed { number: 0, code: "EXPIRED".into() }));
    assert_eq!(only(&judge(&history(&events))), Findings { lost: 1, ..Findings::default() });

    assert!(!judge(&[]).is_clean());
}

#[test]
fn what_was_acknowledged_may_not_come_again_under_another_name() {
    let mut events = one_message();
    events.extend([
        (1, Event::Given { number: 1, to: 2 }),
        (1, Event::Accepted { number: 1, stream: STREAM, seq: 2 }),
        (2, Event::Shown { from: 1, number: 1, place: 5 }),
    ]);
    assert_eq!(only(&judge(&history(&events))), Findings { returned: 1, ..Findings::default() });
}
