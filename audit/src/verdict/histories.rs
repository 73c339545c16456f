//! What the servers keep: each history that a user reads has every message that was sent in it, once, as it was changed
//! last, and nothing else.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::changes::Changes;
use super::groups::Groups;
use super::messages::{Address, Answer, Message, Messages, Name, Named};
use super::{Findings, Verdict};
use crate::history::{Group, Kept, Of, SYSTEM, User};

/// What users read.
#[derive(Debug, Default)]
pub(super) struct Histories {
    readers: BTreeSet<User>,
    read: BTreeMap<(User, Of), Vec<Kept>>,
}

impl Histories {
    pub(super) fn read(&mut self, user: User, of: Of, messages: &[Kept]) {
        self.read.insert((user, of), messages.to_vec());
    }

    /// A user has read all of them.
    pub(super) fn all_read(&mut self, user: User) {
        self.readers.insert(user);
    }

    /// What stands in each history that was read.
    pub(super) fn all(&self) -> impl Iterator<Item = (User, Of, &[Kept])> {
        self.read.iter().map(|((user, of), kept)| (*user, *of, kept.as_slice()))
    }

    /// What stands at a place of a user's history.
    pub(super) fn at(&self, user: User, of: Of, place: u64) -> Option<Name> {
        let kept = self.read.get(&(user, of))?.iter().find(|kept| kept.place == place)?;
        Some((kept.from, kept.number))
    }

    /// Nothing is judged where nobody read.
    pub(super) fn conclude(&self, messages: &Messages, changes: &Changes, groups: &Groups<'_>, verdict: &mut Verdict) {
        if self.readers.is_empty() {
            return;
        }
        let mut findings = Findings::default();
        let mut expected = self.expected(messages, groups);
        for ((user, of), kept) in &self.read {
            let rest = expected.remove(&(*user, *of)).unwrap_or_default();
            let rest = check((*user, *of), kept, rest, (messages, changes), &mut findings);
            findings.lost(*user, *of, rest);
        }
        // Of these nothing was read, not even that they are there.
        for ((user, of), rest) in expected {
            findings.lost(user, of, rest);
        }
        findings.accepted = findings.delivered + findings.lost;
        findings.given = findings.accepted;
        verdict.histories = Some(findings);
    }

    /// What has to stand in the histories of those who read.
    fn expected(&self, messages: &Messages, groups: &Groups<'_>) -> BTreeMap<(User, Of), BTreeSet<Name>> {
        let mut expected = BTreeMap::<(User, Of), BTreeSet<Name>>::new();
        let mut expects = |user: User, of, name| {
            if self.readers.contains(&user) {
                expected.entry((user, of)).or_default().insert(name);
            }
        };
        let standing: BTreeMap<Group, BTreeMap<User, u64>> = groups.standing();
        for (name, message) in messages.iter().filter(|(_, message)| is_sent(message)) {
            match message.to {
                Address::User(to) => {
                    expects(to, Of::With(name.0), name);
                    if name.0 != SYSTEM {
                        expects(name.0, Of::With(to), name);
                    }
                }
                Address::Group(group) => {
                    let Some(at) = groups.place_of(name) else { continue };
                    let members = standing.get(&group).into_iter().flatten();
                    members
                        .filter(|(_, joined)| **joined < at)
                        .for_each(|(user, _)| expects(*user, Of::Group(group), name));
                }
            }
        }
        expected
    }
}

/// Looks at one history; answers what should be there and is not.
fn check(
    (user, of): (User, Of),
    kept: &[Kept],
    mut rest: BTreeSet<Name>,
    (messages, changes): (&Messages, &Changes),
    findings: &mut Findings,
) -> BTreeSet<Name> {
    let (mut known, mut last_place, mut highest) = (HashSet::new(), 0, HashMap::new());
    for one in kept {
        let Kept { place, from, number, .. } = one;
        let name = (*from, *number);
        let text = || format!("{} in {user}'s history {of}", Named(name));
        if *place <= last_place {
            findings.disorder(|| format!("{} stands at {place}, after {last_place}", text()));
        }
        last_place = *place;
        if !known.insert(name) {
            findings.doubled += 1;
            findings.example(|| format!("{} stands there twice", text()));
            continue;
        }
        let Some(message) = messages.get(name).filter(|message| message.change.is_none()) else {
            findings.contradiction(|| format!("{} was never given", text()));
            continue;
        };
        let is_expected = rest.remove(&name);
        let may_be = matches!(message.answer, None | Some(Answer::Unknown)) && is_between(user, of, name, message);
        if !is_expected && !may_be {
            findings.contradiction(|| format!("{} does not belong there", text()));
            continue;
        }
        findings.delivered += u64::from(is_expected);
        if !changes.may_stand(name, one) {
            findings.contradiction(|| format!("{} stands otherwise than its changes left it: {one:?}", text()));
        }
        // What a backend gives is in order for each of the two.
        let comes = message.to == Address::User(user);
        let last = message.giver(*from).and_then(|giver| highest.insert((giver, comes), *number));
        if last.is_some_and(|last| last > *number) {
            findings.disorder(|| format!("{} stands after {last:?}", text()));
        }
    }
    rest
}

impl Findings {
    fn lost(&mut self, user: User, of: Of, missing: BTreeSet<Name>) {
        self.lost += missing.len() as u64;
        for name in missing {
            self.example(|| format!("{} is not in {user}'s history {of}", Named(name)));
        }
    }
}

/// A message, no change of one, of which it is known that it went to its recipient.
fn is_sent(message: &Message) -> bool {
    let is_accepted = matches!(message.answer, Some(Answer::Accepted { .. })) && !message.failed;
    let waits = message.schedule.as_ref().is_some_and(|schedule| schedule.sent_as().is_none());
    message.change.is_none() && is_accepted && !waits
}

/// Whether a message is one that could stand in a history.
fn is_between(user: User, of: Of, (from, _): Name, message: &Message) -> bool {
    match (message.to, of) {
        (Address::User(to), Of::With(other)) => (user, other) == (to, from) || (user, other) == (from, to),
        (Address::Group(group), Of::Group(other)) => group == other,
        _ => false,
    }
}
