//! That somebody types in a group is told at most once to each device, in the name of the one who said so, and to
//! members alone. It may be lost.

use std::collections::{BTreeSet, HashSet};

use super::Findings;
use crate::history::{Client, Event, Group, Record, User};

/// Who said it, where, and which one it was.
type Said = (User, Group, u64);

#[derive(Debug, Default)]
pub(super) struct Typing {
    said: HashSet<Said>,
    /// Whoever is told to be a member at any time: how such a telling stands to joining and leaving is not to be known.
    members: BTreeSet<(Group, User)>,
    seen: HashSet<(Client, Said)>,
}

impl Typing {
    /// It may be seen before the task of its sender notes that it was said: all that was said is read first.
    pub(super) fn of(records: &[Record]) -> Self {
        let said = records.iter().filter_map(|record| match record.event {
            Event::GivenTyping { number, group } => Some((record.client.user, group, number)),
            _ => None,
        });
        let members = records.iter().filter_map(|record| match &record.event {
            Event::Membership { group, came, .. } => Some(came.iter().map(move |user| (*group, *user))),
            _ => None,
        });
        Self { said: said.collect(), members: members.flatten().collect(), ..Self::default() }
    }

    pub(super) fn seen(&mut self, client: Client, said: Said, findings: &mut Findings) {
        let (from, group, number) = said;
        if !self.said.contains(&said) {
            findings.contradiction(|| format!("{client} was told that {from} types ({number}) in group {group}"));
        } else if !self.members.contains(&(group, client.user)) {
            findings.contradiction(|| format!("{client} was told who types in group {group}, and was never a member"));
        } else if !self.seen.insert((client, said)) {
            findings.doubled += 1;
            findings.example(|| format!("{client} was told twice that {from} types ({number}) in group {group}"));
        }
    }
}
