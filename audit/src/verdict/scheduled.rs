//! Messages that wait for their time: accepted, each is sent once and not before it, or was taken back, or was not
//! taken for a reason that can be so; and every device of the sender, and a backend that asks, is told which of the
//! three.

use std::collections::{BTreeMap, BTreeSet};

use super::messages::{Address, Answer, Message, Name};
use super::{Clients, Findings};
use crate::history::{BACKEND, Client, End, Event, Group, Record, SYSTEM, User};

/// A message that comes so much before its time is early. Times are told by two clocks of one machine.
const SLACK_MS: u64 = 250;
/// The one reason for which a message of the audit may not be taken: its sender has left the group.
const NOT_A_MEMBER: &str = "NOT_A_MEMBER";

/// How one waits, and what became of it.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    due_ms: Option<u64>,
    /// What who cancelled it was answered.
    cancelled_in_time: Option<bool>,
    /// What each device was told.
    ends: BTreeMap<Client, End>,
}

impl Schedule {
    pub(super) fn new(due_ms: Option<u64>) -> Self {
        Self { due_ms, ..Self::default() }
    }

    pub(super) fn cancelled(&mut self, in_time: bool) {
        self.cancelled_in_time = Some(in_time);
    }

    pub(super) fn ended(&mut self, client: Client, end: &End, findings: &mut Findings) {
        if let Some(before) = self.ends.insert(client, end.clone()) {
            findings.doubled += 1;
            findings.example(|| format!("{client} was told twice what became of a message: {before:?}, {end:?}"));
        }
    }

    /// The id under which it was sent.
    pub(super) fn sent_as(&self) -> Option<(u64, u64)> {
        self.ends.values().find_map(|end| match end {
            End::Sent { stream, seq } => Some((*stream, *seq)),
            End::Cancelled | End::Failed { .. } => None,
        })
    }

    /// What a device was told; all are told the same.
    fn end(&self) -> Option<&End> {
        self.ends.values().next()
    }

    fn was_cancelled(&self) -> bool {
        self.cancelled_in_time == Some(true) || self.end() == Some(&End::Cancelled)
    }

    /// It was shown at a time.
    pub(super) fn shown(&self, at_ms: u64, client: Client, (from, number): Name, findings: &mut Findings) {
        if let Some(due_ms) = self.due_ms.filter(|due_ms| at_ms + SLACK_MS < *due_ms) {
            findings.early += 1;
            findings
                .example(|| format!("{client} was shown {from}'s message {number} {} ms too early", due_ms - at_ms));
        }
    }
}

/// Who was shown a message.
pub(super) struct Reached {
    /// Somebody.
    pub(super) is_shown: bool,
    /// One that was not, and should have been.
    pub(super) missing: Option<Client>,
}

/// What is wrong with one.
enum Wrong {
    Lost,
    Contradiction,
    Unknown,
}

/// Counts scheduled messages of which all is known.
pub(super) struct Counting<'a> {
    clients: &'a Clients,
    /// Who has left which group at some time.
    left: BTreeSet<(Group, User)>,
}

impl<'a> Counting<'a> {
    pub(super) fn new(records: &[Record], clients: &'a Clients) -> Self {
        let left = records.iter().filter_map(|record| match &record.event {
            Event::Membership { group, went, .. } => Some(went.iter().map(move |user| (*group, *user))),
            _ => None,
        });
        Self { clients, left: left.flatten().collect() }
    }

    pub(super) fn count(&self, name: Name, message: &Message, reached: &Reached, findings: &mut Findings) {
        let (from, number) = name;
        let Some((schedule, Answer::Accepted { .. })) = message.schedule.as_ref().zip(message.answer) else {
            let text = format_args!("{from}'s scheduled message {number}");
            return findings.count(text, message, reached.is_shown, reached.missing);
        };
        findings.given += 1;
        findings.accepted += 1;
        findings.delivered += u64::from(reached.is_shown);
        findings.cancelled += u64::from(schedule.was_cancelled());
        findings.refused += u64::from(self.is_excused(schedule, from, message.to));
        let Some((wrong, text)) = self.wrong(schedule, (from, message), reached) else { return };
        match wrong {
            Wrong::Lost => findings.lost += 1,
            Wrong::Contradiction => findings.contradictions += 1,
            Wrong::Unknown => findings.unknown += 1,
        }
        findings.example(|| format!("{from}'s scheduled message {number} {text}"));
    }

    fn wrong(
        &self,
        schedule: &Schedule,
        (from, message): (User, &Message),
        reached: &Reached,
    ) -> Option<(Wrong, String)> {
        let (end, was_cancelled) = (schedule.end(), schedule.was_cancelled());
        let is_excused = self.is_excused(schedule, from, message.to);
        let contradiction = |text: String| Some((Wrong::Contradiction, text));
        if schedule.ends.values().any(|other| Some(other) != end) {
            return contradiction(format!("ended in several ways: {:?}", schedule.ends));
        }
        if was_cancelled && !matches!(end, None | Some(End::Cancelled)) {
            return contradiction(format!("was cancelled, and ended otherwise: {end:?}"));
        }
        if was_cancelled && schedule.cancelled_in_time == Some(false) {
            return contradiction("was cancelled, and was said to wait no more".to_owned());
        }
        if was_cancelled && reached.is_shown {
            return contradiction("was cancelled and shown".to_owned());
        }
        if matches!(end, Some(End::Failed { .. })) && reached.is_shown {
            return contradiction("was not taken, and shown".to_owned());
        }
        if let (false, false, Some(client)) = (was_cancelled, is_excused, reached.missing) {
            return Some((Wrong::Lost, format!("was accepted and never shown to {client}: {end:?}")));
        }
        let untold = self.told(from, message).find(|client| !schedule.ends.contains_key(client))?;
        Some((Wrong::Unknown, format!("came to an end that {untold} was not told of")))
    }

    /// Who is told what became of it: the devices of its sender, and a backend, which asks. The system has no devices.
    fn told(&self, from: User, message: &Message) -> impl Iterator<Item = Client> {
        let devices = (from != SYSTEM).then(|| self.clients.of_user(from));
        let backend = message.is_post.then_some(Client { user: from, device: BACKEND });
        devices.into_iter().flatten().chain(backend)
    }

    /// Whether it was not taken for a reason that can be so.
    fn is_excused(&self, schedule: &Schedule, from: User, to: Address) -> bool {
        match (schedule.end(), to) {
            (Some(End::Failed { code }), Address::Group(group)) => {
                code == NOT_A_MEMBER && self.left.contains(&(group, from))
            }
            _ => false,
        }
    }
}
