//! What was given to clients, and how they were answered.

use std::collections::{BTreeMap, HashMap};

use super::{Findings, Verdict};
use crate::history::{Event, Group, Record, User};

/// A message's sender, and its number among those of the sender.
pub(super) type Name = (User, u64);

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

#[derive(Debug)]
pub(super) struct Message {
    pub(super) to: Address,
    /// A change: of the sender's message of this number.
    pub(super) of: Option<u64>,
    pub(super) answer: Option<Answer>,
    pub(super) failed: bool,
}

/// All of a history, as their senders know them.
#[derive(Debug, Default)]
pub(super) struct Messages {
    by_name: BTreeMap<Name, Message>,
    /// Accepted ones, by stream and number.
    by_id: HashMap<(u64, u64), Name>,
}

impl Messages {
    /// A message may be shown before its sender's task notes that it was given: all of the senders' records are read first.
    pub(super) fn of(records: &[Record], verdict: &mut Verdict) -> Self {
        let mut messages = Self::default();
        for Record { client, event, .. } in records {
            let (number, to, of) = match event {
                Event::Given { number, to } => (*number, Address::User(*to), None),
                Event::GivenToGroup { number, group } => (*number, Address::Group(*group), None),
                Event::GivenChange { number, to, of } => (*number, Address::User(*to), Some(*of)),
                Event::GivenGroupChange { number, group, of } => (*number, Address::Group(*group), Some(*of)),
                _ => continue,
            };
            let message = Message { to, of, answer: None, failed: false };
            if messages.by_name.insert((client.user, number), message).is_some() {
                let findings = findings_of(verdict, to);
                findings.contradiction(|| format!("{}'s message {number} was given twice", client.user));
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
                _ => {}
            }
        }
        messages
    }

    fn answered(&mut self, (from, number): Name, answer: Answer, verdict: &mut Verdict) {
        match self.by_name.get_mut(&(from, number)) {
            Some(message) if message.answer.is_none() => message.answer = Some(answer),
            Some(message) => findings_of(verdict, message.to)
                .contradiction(|| format!("{from}'s message {number} was answered twice")),
            None => verdict.direct.contradiction(|| format!("{from}'s message {number} was answered and never given")),
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

fn findings_of(verdict: &mut Verdict, to: Address) -> &mut Findings {
    match to {
        Address::User(_) => &mut verdict.direct,
        Address::Group(_) => &mut verdict.groups,
    }
}
