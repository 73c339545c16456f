//! How far what users sent has come, as the servers say when everything is over: of each message that stands in a
//! history, its sender is told that those have it who were shown it, and that those have read it who marked it, or what
//! comes after it; and nothing else.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeInclusive;

use super::direct::Direct;
use super::groups::Groups;
use super::histories::Histories;
use super::messages::{Name, Named};
use super::{Findings, Verdict};
use crate::history::{Group, GroupReach, Kept, Of, Reach, Reading, User};

/// Members who are named, and of a group that can be kept one by one (docs/reference/limits.md).
const NAMED: u32 = 100;
const ONE_BY_ONE: usize = 1_000;

/// What senders were told; who asked again is told the last.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    direct: BTreeMap<(User, User), HashMap<u64, Reach>>,
    groups: BTreeMap<(User, Group), BTreeMap<u64, GroupReach>>,
    /// Up to where users have read, as the servers know.
    reading: HashMap<(User, Of), u64>,
}

/// What else the history says.
pub(super) struct Seen<'a> {
    pub(super) histories: &'a Histories,
    pub(super) direct: &'a Direct<'a>,
    pub(super) groups: &'a Groups<'a>,
}

impl Receipts {
    pub(super) fn told(&mut self, user: User, with: User, reaches: &[(u64, Reach)]) {
        self.direct.insert((user, with), reaches.iter().copied().collect());
    }

    pub(super) fn told_of_group(&mut self, user: User, group: Group, reaches: &[(u64, GroupReach)]) {
        self.groups.insert((user, group), reaches.iter().cloned().collect());
    }

    pub(super) fn stands(&mut self, user: User, of: Of, reading: Option<Reading>) {
        self.reading.insert((user, of), reading.unwrap_or_default().up_to);
    }

    /// Nothing is judged where nobody asked.
    pub(super) fn conclude(&self, seen: &Seen<'_>, verdict: &mut Verdict) {
        if self.direct.is_empty() && self.groups.is_empty() {
            return;
        }
        let counted = |reach: &&GroupReach| reach.members as usize > ONE_BY_ONE;
        verdict.told.counted_receipts = self.groups.values().flat_map(BTreeMap::values).filter(counted).count() as u64;
        let mut findings = Findings::default();
        let standing = seen.groups.standing();
        for (user, of, kept) in seen.histories.all() {
            let own = kept.iter().filter(|kept| kept.from == user);
            match of {
                Of::With(other) => self.judge_direct((user, other), own, seen, &mut findings),
                Of::Group(group) => {
                    let here = Here { group, members: standing.get(&group), seen, reading: &self.reading };
                    self.judge_group((user, group), own, &here, &mut findings);
                }
            }
        }
        verdict.receipts = Some(findings);
    }

    fn judge_direct<'k>(
        &self,
        (from, to): (User, User),
        own: impl Iterator<Item = &'k Kept>,
        seen: &Seen<'_>,
        findings: &mut Findings,
    ) {
        let told = self.direct.get(&(from, to));
        // The mark up to which the servers know that it is read: that one came to them.
        let last = self.reading.get(&(to, Of::With(from))).and_then(|up_to| {
            let name = seen.histories.at(to, Of::With(from), *up_to)?;
            let id = seen.direct.receipt_id(name).filter(|_| name.0 == from)?;
            (seen.direct.next_mark(to, from, id) == Some(id.1)).then_some(id)
        });
        for kept in own {
            let name: Name = (from, kept.number);
            let text = format!("{} to {to}", Named(name));
            let Some(reach) = told.and_then(|told| told.get(&kept.number)) else {
                findings.told(&text, [Some(Wrong::Missing("anything"))]);
                continue;
            };
            let has = seen.direct.has(to, name);
            let id = seen.direct.receipt_id(name);
            let may_be_read = id.is_some_and(|id| seen.direct.next_mark(to, from, id).is_some());
            let must_be_read = last.zip(id).is_some_and(|(last, id)| last.0 == id.0 && last.1 >= id.1);
            let delivered = compare("that it is there", u32::from(reach.delivered), count(has)..=count(has));
            let read = compare("that it is read", u32::from(reach.read), count(must_be_read)..=count(may_be_read));
            findings.told(&text, [delivered, read]);
        }
    }

    fn judge_group<'k>(
        &self,
        (from, group): (User, Group),
        own: impl Iterator<Item = &'k Kept>,
        here: &Here<'_>,
        findings: &mut Findings,
    ) {
        let told = self.groups.get(&(from, group));
        let own: BTreeMap<u64, u64> = own.map(|kept| (kept.place, kept.number)).collect();
        let members = here.seen.groups.members_at(group, &own.keys().copied().collect());
        for (at, number) in own {
            let text = format!("{} to group {group}", Named((from, number)));
            let Some(reach) = told.and_then(|told| told.get(&at)) else {
                findings.told(&text, [Some(Wrong::Missing("anything"))]);
                continue;
            };
            let Some(members) = members.get(&at) else { continue };
            let (delivered, read) = here.reached(at, members, from);
            let wrong = [
                compare("for how many it is", reach.members, here.are_for(members, from)),
                compare("how many have it", reach.delivered, delivered.counts()),
                compare("how many read it", reach.read, read.counts()),
            ];
            let names = reach.names.iter().flat_map(|(has, has_read)| [delivered.compare(has), read.compare(has_read)]);
            let must_be_named = reach.members <= NAMED && here.members.is_some_and(|all| all.len() <= ONE_BY_ONE);
            let are_named = match &reach.names {
                Some((has, has_read)) => (has.len(), has_read.len()) == (reach.delivered as usize, reach.read as usize),
                None => !must_be_named,
            };
            let unnamed = (!are_named).then_some(Wrong::Missing("who has it and who read it"));
            findings.told(&text, wrong.into_iter().chain(names).chain([unnamed]));
        }
    }
}

/// A group at the end.
struct Here<'a> {
    group: Group,
    /// Since where.
    members: Option<&'a BTreeMap<User, u64>>,
    seen: &'a Seen<'a>,
    reading: &'a HashMap<(User, Of), u64>,
}

/// Who has to be counted, and who may be: of who has left it is not known up to where it had read, and with names only
/// those are told who are still there.
#[derive(Default)]
struct Who {
    must: BTreeSet<User>,
    may: BTreeSet<User>,
}

impl Here<'_> {
    /// Whether somebody who was a member at a place has been one since.
    fn stays(&self, user: User, at: u64) -> bool {
        self.members.and_then(|members| members.get(&user)).is_some_and(|joined| *joined < at)
    }

    fn are_for(&self, members: &BTreeMap<User, u64>, from: User) -> RangeInclusive<u32> {
        let others = || members.iter().filter(|(user, _)| **user != from);
        let staying = others().filter(|(user, joined)| self.stays(**user, *joined + 1)).count() as u32;
        staying..=others().count() as u32
    }

    /// Who has what stands at a place, and who read it.
    fn reached(&self, at: u64, members: &BTreeMap<User, u64>, from: User) -> (Who, Who) {
        let (mut delivered, mut read) = (Who::default(), Who::default());
        let Self { group, seen, .. } = *self;
        for user in members.keys().copied().filter(|user| *user != from) {
            if !seen.groups.has(user, (group, at)) {
                continue;
            }
            delivered.add(user, self.stays(user, at), true);
            let marked = seen.groups.marked(user, group);
            // What is read with the settings of a conversation is told to nobody.
            let up_to = self.reading.get(&(user, Of::Group(group))).copied().filter(|_| marked > 0);
            read.add(user, self.stays(user, at) && up_to.unwrap_or(0) >= at, marked >= at);
        }
        (delivered, read)
    }
}

impl Who {
    fn add(&mut self, user: User, must: bool, may: bool) {
        if must {
            self.must.insert(user);
        }
        if may {
            self.may.insert(user);
        }
    }

    fn counts(&self) -> RangeInclusive<u32> {
        self.must.len() as u32..=self.may.len() as u32
    }

    fn compare(&self, told: &[User]) -> Option<Wrong> {
        let told: BTreeSet<User> = told.iter().copied().collect();
        if !told.is_subset(&self.may) {
            return Some(Wrong::TooMuch("who", format!("{told:?}")));
        }
        (!self.must.is_subset(&told)).then_some(Wrong::Missing("all who have it or read it"))
    }
}

/// What is wrong with an answer.
enum Wrong {
    /// Something is not told that is so.
    Missing(&'static str),
    /// Something is told that is not so.
    TooMuch(&'static str, String),
}

fn compare(what: &'static str, told: u32, right: RangeInclusive<u32>) -> Option<Wrong> {
    if told > *right.end() {
        return Some(Wrong::TooMuch(what, format!("{told}, where it is {right:?}")));
    }
    (told < *right.start()).then_some(Wrong::Missing(what))
}

fn count(is_so: bool) -> u32 {
    u32::from(is_so)
}

impl Findings {
    /// Counts a message of which was told how far it has come.
    fn told(&mut self, text: &str, wrong: impl IntoIterator<Item = Option<Wrong>>) {
        self.given += 1;
        self.accepted += 1;
        let (mut is_missing, mut is_right) = (false, true);
        for wrong in wrong.into_iter().flatten() {
            is_right = false;
            match wrong {
                Wrong::Missing(what) => {
                    is_missing = true;
                    self.example(|| format!("of {text} is not told {what}"));
                }
                Wrong::TooMuch(what, told) => {
                    self.contradiction(|| format!("of {text} is told {what}: {told}"));
                }
            }
        }
        self.lost += u64::from(is_missing);
        self.delivered += u64::from(is_right);
    }
}
