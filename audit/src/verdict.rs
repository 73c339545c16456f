//! Whether a history keeps the promises (docs/invariants.md 1 to 4). Pure: records in, counts and examples out.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use serde::Serialize;

use crate::history::{Event, Record, User};

/// Examples that are kept of what is wrong.
const EXAMPLES: usize = 20;

/// What became of the messages of a run. All but the first four have to be 0.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Verdict {
    /// Given to clients.
    pub given: u64,
    /// Told to the sender as sent.
    pub accepted: u64,
    /// Told to the sender as not sent, with a reason.
    pub refused: u64,
    /// Shown to the recipient, each counted once.
    pub delivered: u64,
    /// Accepted and never shown (promise 1).
    pub lost: u64,
    /// Shown again (promise 2).
    pub doubled: u64,
    /// Shown although the device had acknowledged that place of its mailbox, or a later one (promise 2).
    pub returned: u64,
    /// Shown after a later one of the same sender to the same recipient (promise 3).
    pub out_of_order: u64,
    /// One client's words against another's: refused and shown; answered twice; a receipt for what was not shown; shown
    /// and never given (promise 4).
    pub contradictions: u64,
    /// Without an answer at the end, or with the answer that nobody knows; and gaps in a mailbox (promise 4).
    pub unknown: u64,
    /// Some of what is wrong, for people.
    pub examples: Vec<String>,
}

impl Verdict {
    /// Whether every promise was kept, and anything was tested at all.
    pub fn is_clean(&self) -> bool {
        let wrong = [self.lost, self.doubled, self.returned, self.out_of_order, self.contradictions, self.unknown];
        self.accepted > 0 && wrong.iter().all(|count| *count == 0)
    }

    fn example(&mut self, text: impl FnOnce() -> String) {
        if self.examples.len() < EXAMPLES {
            self.examples.push(text());
        }
    }
}

/// Judges a complete history: clients had the time to settle everything.
pub fn judge(records: &[Record]) -> Verdict {
    let mut case = Case::default();
    // A message may be shown before its sender's task notes that it was given.
    for record in records {
        if let Event::Given { number, to } = record.event {
            case.given(record.user, number, to);
        }
    }
    for (position, record) in records.iter().enumerate() {
        case.hear(position, record.user, &record.event);
    }
    case.check_receipts();
    case.check_messages();
    case.verdict
}

/// How its sender was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Accepted { stream: u64, seq: u64 },
    Refused,
    Unknown,
}

#[derive(Debug)]
struct Message {
    to: User,
    answer: Option<Answer>,
    failed: bool,
    /// Position in the history of its first showing.
    shown_at: Option<usize>,
}

#[derive(Debug)]
struct Receipt {
    position: usize,
    to: User,
    from: User,
    stream: u64,
    up_to: u64,
}

#[derive(Debug, Default)]
struct Case {
    messages: BTreeMap<(User, u64), Message>,
    /// By recipient and sender: the highest number shown.
    highest_shown: HashMap<(User, User), u64>,
    /// By user: the place in the mailbox up to which it acknowledged.
    acknowledged: HashMap<User, u64>,
    receipts: Vec<Receipt>,
    verdict: Verdict,
}

impl Case {
    fn given(&mut self, from: User, number: u64, to: User) {
        let message = Message { to, answer: None, failed: false, shown_at: None };
        if self.messages.insert((from, number), message).is_some() {
            self.contradiction(|| format!("{from}'s message {number} was given twice"));
        }
    }

    fn hear(&mut self, position: usize, user: User, event: &Event) {
        match event {
            Event::Opened | Event::Closed | Event::Given { .. } => {}
            Event::Accepted { number, stream, seq } => {
                self.answered(user, *number, Answer::Accepted { stream: *stream, seq: *seq });
            }
            Event::Refused { number, .. } => self.answered(user, *number, Answer::Refused),
            Event::Unknown { number } => self.answered(user, *number, Answer::Unknown),
            Event::Failed { number, code } => self.failed(user, *number, code),
            Event::Receipt { from, stream, up_to, .. } => {
                let (from, stream, up_to) = (*from, *stream, *up_to);
                self.receipts.push(Receipt { position, to: user, from, stream, up_to });
            }
            Event::Shown { from, number, place } => self.shown(position, user, *from, *number, *place),
            Event::Acknowledged { place } => {
                let acknowledged = self.acknowledged.entry(user).or_default();
                *acknowledged = (*acknowledged).max(*place);
            }
            Event::Gap { from, to } => {
                self.verdict.unknown += 1;
                self.verdict.example(|| format!("{user} was told that entries {from} to {to} may be lost"));
            }
        }
    }

    fn answered(&mut self, from: User, number: u64, answer: Answer) {
        match self.messages.get_mut(&(from, number)) {
            Some(message) if message.answer.is_none() => message.answer = Some(answer),
            Some(_) => self.contradiction(|| format!("{from}'s message {number} was answered twice")),
            None => self.contradiction(|| format!("{from}'s message {number} was answered and never given")),
        }
    }

    fn failed(&mut self, from: User, number: u64, code: &str) {
        match self.messages.get_mut(&(from, number)) {
            Some(message) => message.failed = true,
            None => self.contradiction(|| format!("{from}'s message {number} failed ({code}) and was never given")),
        }
    }

    fn shown(&mut self, position: usize, to: User, from: User, number: u64, place: u64) {
        if self.acknowledged.get(&to).is_some_and(|acknowledged| place <= *acknowledged) {
            self.verdict.returned += 1;
            self.verdict.example(|| format!("{to} was shown place {place} ({from}'s {number}) after acknowledging it"));
        }
        let Some(message) = self.messages.get_mut(&(from, number)).filter(|message| message.to == to) else {
            return self.contradiction(|| format!("{to} was shown {from}'s message {number}, which was never given"));
        };
        if message.shown_at.is_some() {
            self.verdict.doubled += 1;
            return self.verdict.example(|| format!("{to} was shown {from}'s message {number} again"));
        }
        message.shown_at = Some(position);
        let highest = self.highest_shown.entry((to, from)).or_insert(number);
        if number < *highest {
            let highest = *highest;
            self.verdict.out_of_order += 1;
            self.verdict.example(|| format!("{to} was shown {from}'s message {number} after {highest}"));
        } else {
            *highest = number;
        }
    }

    /// A receipt speaks for every message of its stream up to its number that went to its sender and did not fail.
    fn check_receipts(&mut self) {
        let mut showings = Showings::default();
        for ((from, _), message) in &self.messages {
            if let Some(Answer::Accepted { stream, seq }) = message.answer
                && !message.failed
            {
                showings.entry((*from, message.to, stream)).or_default().push((seq, message.shown_at));
            }
        }
        showings.values_mut().for_each(|showings| latest_up_to_each(showings));
        for receipt in std::mem::take(&mut self.receipts) {
            let Receipt { position, to, from, stream, up_to } = receipt;
            let Some(showings) = showings.get(&(to, from, stream)) else { continue };
            let covered = showings.partition_point(|(seq, _)| *seq <= up_to);
            let is_true = match covered.checked_sub(1).map(|last| showings[last].1) {
                None => true,
                Some(shown) => shown.is_some_and(|latest| latest < position),
            };
            if !is_true {
                self.contradiction(|| format!("{to} had {from}'s receipt up to {stream}.{up_to} before all was shown"));
            }
        }
    }

    fn check_messages(&mut self) {
        let verdict = &mut self.verdict;
        verdict.given = self.messages.len() as u64;
        for ((from, number), message) in &self.messages {
            let (to, is_shown) = (message.to, message.shown_at.is_some());
            let mut wrong = String::new();
            match message.answer {
                Some(Answer::Accepted { .. }) => {
                    verdict.accepted += 1;
                    // Messages of the audit have no end of life: one that fails after it was accepted is lost, with a word.
                    if !is_shown {
                        verdict.lost += 1;
                        let _ = write!(
                            wrong,
                            "was accepted and never shown{}",
                            if message.failed { ": it failed" } else { "" }
                        );
                    } else if message.failed {
                        verdict.contradictions += 1;
                        wrong.push_str("was shown, and failed");
                    }
                }
                Some(Answer::Refused) => {
                    verdict.refused += 1;
                    if is_shown {
                        verdict.contradictions += 1;
                        wrong.push_str("was refused and shown");
                    }
                }
                Some(Answer::Unknown) | None => {
                    verdict.unknown += 1;
                    wrong.push_str(if is_shown { "was shown and has no answer" } else { "has no answer" });
                }
            }
            verdict.delivered += u64::from(is_shown);
            if !wrong.is_empty() {
                verdict.example(|| format!("{from}'s message {number} to {to} {wrong}"));
            }
        }
    }

    fn contradiction(&mut self, text: impl FnOnce() -> String) {
        self.verdict.contradictions += 1;
        self.verdict.example(text);
    }
}

/// By sender, recipient and stream: the number of each accepted message, and when it was shown.
type Showings = HashMap<(User, User, u64), Vec<(u64, Option<usize>)>>;

/// Sorts by number, and puts in the place of each showing the latest of all up to it; none where one is missing.
fn latest_up_to_each(showings: &mut [(u64, Option<usize>)]) {
    showings.sort_unstable();
    let mut latest = Some(0);
    for (_, shown) in showings {
        latest = latest.zip(*shown).map(|(latest, shown)| latest.max(shown));
        *shown = latest;
    }
}
