//! What was given to clients, and how they were answered.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use super::scheduled::Schedule;
use super::{Findings, Verdict};
use crate::history::{Change, Event, Group, Record, SYSTEM, User};

/// A message's sender, and its number among those of the sender.
pub(super) type Name = (User, u64);

/// A message's name for people.
pub(super) struct Named(pub(super) Name);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            (SYSTEM, number) => write!(f, "the system's message {number}"),
            (from, number) => write!(f, "{from}'s message {number}"),
        }
    }
}

/// Who gives messages one after the other: what one gives for one recipient comes in that order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Giver {
    User(User),
    /// In whosever name.
    Backend,
}

/// For whom a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Address {
    User(User),
    Group(Group),
}

/// How its sender was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Accepted { stream: u64, seq: u64 },
    Refused,
    Unknown,
}

/// A change of the sender's message of a number.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChangeOf {
    pub(super) number: u64,
    pub(super) kind: Change,
}

#[derive(Debug)]
pub(super) struct Message {
    pub(super) to: Address,
    /// It is no message of its own, but changes an earlier one.
    pub(super) change: Option<ChangeOf>,
    pub(super) answer: Option<Answer>,
    pub(super) failed: bool,
    /// A backend gave it in its sender's name.
    pub(super) is_post: bool,
    /// Of one that waits for its time.
    pub(super) schedule: Option<Schedule>,
}

impl Message {
    /// The id that receipts speak of: the stream, and the number in it.
    pub(super) fn receipt_id(&self) -> Option<(u64, u64)> {
        match (&self.schedule, self.answer) {
            (Some(schedule), _) => schedule.sent_as(),
            (None, Some(Answer::Accepted { stream, seq })) => Some((stream, seq)),
            (None, _) => None,
        }
    }

    /// In whose order it comes, being sent by `from`; in nobody's where it waits, and comes at its time.
    pub(super) fn giver(&self, from: User) -> Option<Giver> {
        match (&self.schedule, self.is_post) {
            (Some(_), _) => None,
            (None, true) => Some(Giver::Backend),
            (None, false) => Some(Giver::User(from)),
        }
    }
}

/// All of a history, as their senders know them.
#[derive(Debug, Default)]
pub(super) struct Messages {
    by_name: BTreeMap<Name, Message>,
    /// Accepted ones, by stream and number.
    by_id: HashMap<(u64, u64), Name>,
}

impl Messages {
    /// A message may be shown before its sender's task notes that it was given: all of the senders' records are read
    /// first.
    pub(super) fn of(records: &[Record], verdict: &mut Verdict) -> Self {
        let mut messages = Self::default();
        for Record { client, event, .. } in records {
            let (number, to, change, schedule) = match event {
                Event::Given { number, to } => (*number, Address::User(*to), None, None),
                Event::GivenToGroup { number, group } => (*number, Address::Group(*group), None, None),
                Event::GivenChange { number, to, of, change } => {
                    (*number, Address::User(*to), Some(ChangeOf { number: *of, kind: *change }), None)
                }
                Event::GivenGroupChange { number, group, of, change } => {
                    (*number, Address::Group(*group), Some(ChangeOf { number: *of, kind: *change }), None)
                }
                Event::GivenScheduled { number, to, due_ms } => {
                    (*number, Address::User(*to), None, Some(Schedule::new(*due_ms)))
                }
                Event::GivenGroupScheduled { number, group, due_ms } => {
                    (*number, Address::Group(*group), None, Some(Schedule::new(*due_ms)))
                }
                _ => continue,
            };
            let message = Message { to, change, answer: None, failed: false, is_post: client.is_backend(), schedule };
            let findings = findings_of(verdict, &message);
            if messages.by_name.insert((client.user, number), message).is_some() {
                findings.contradiction(|| format!("{} was given twice", Named((client.user, number))));
            }
        }
        for Record { client, event, .. } in records {
            let from = client.user;
            match event {
                Event::Accepted { number, stream, seq } => {
                    messages.by_id.insert((*stream, *seq), (from, *number));
                    messages.answered((from, *number), Answer::Accepted { stream: *stream, seq: *seq }, verdict);
                }
                Event::Refused { number, .. } => messages.answered((from, *number), Answer::Refused, verdict),
                Event::Unknown { number } => messages.answered((from, *number), Answer::Unknown, verdict),
                Event::Failed { number, code } => match messages.by_name.get_mut(&(from, *number)) {
                    Some(message) => message.failed = true,
                    None => {
                        let text = || format!("{from}'s message {number} failed ({code}) and was never given");
                        verdict.direct.contradiction(text);
                    }
                },
                Event::Cancelled { number, in_time } => match messages.schedule((from, *number)) {
                    Some(schedule) => schedule.cancelled(*in_time),
                    None => {
                        let text = || format!("{from} cancelled {number}, which does not wait");
                        verdict.scheduled.contradiction(text);
                    }
                },
                _ => {}
            }
        }
        messages.ends(records, verdict);
        messages
    }

    /// What became of those that waited, as the devices of their senders were told.
    fn ends(&mut self, records: &[Record], verdict: &mut Verdict) {
        for Record { client, event, .. } in records {
            let Event::ScheduleEnded { stream, seq, end } = event else { continue };
            let name = self.accepted((*stream, *seq)).filter(|(from, _)| *from == client.user);
            match name.and_then(|name| self.schedule(name)) {
                Some(schedule) => schedule.ended(*client, end, &mut verdict.scheduled),
                None => verdict.scheduled.contradiction(|| {
                    format!("{client} was told that {stream}.{seq}, which it did not schedule, ended: {end:?}")
                }),
            }
        }
    }

    fn schedule(&mut self, name: Name) -> Option<&mut Schedule> {
        self.by_name.get_mut(&name)?.schedule.as_mut()
    }

    fn answered(&mut self, name: Name, answer: Answer, verdict: &mut Verdict) {
        match self.by_name.get_mut(&name) {
            Some(message) if message.answer.is_none() => message.answer = Some(answer),
            // A backend may ask again, and is answered as the first time.
            Some(message) if message.is_post && message.answer == Some(answer) => {}
            Some(message) => {
                findings_of(verdict, message).contradiction(|| format!("{} was answered twice", Named(name)))
            }
            None => verdict.direct.contradiction(|| format!("{} was answered and never given", Named(name))),
        }
    }

    pub(super) fn get(&self, name: Name) -> Option<&Message> {
        self.by_name.get(&name)
    }

    /// What was accepted under an id, of a stream and a number in it.
    pub(super) fn accepted(&self, id: (u64, u64)) -> Option<Name> {
        self.by_id.get(&id).copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Name, &Message)> {
        self.by_name.iter().map(|(name, message)| (*name, message))
    }
}

/// The line of the verdict that a message counts in.
pub(super) fn findings_of<'a>(verdict: &'a mut Verdict, message: &Message) -> &'a mut Findings {
    match (&message.schedule, message.to) {
        (Some(_), _) => &mut verdict.scheduled,
        (None, _) if message.is_post => &mut verdict.backend,
        (None, Address::User(_)) => &mut verdict.direct,
        (None, Address::Group(_)) => &mut verdict.groups,
    }
}
