//! Messages to groups: each has one place, the same for all; who is a member at a place follows from the events before
//! it; and each member's devices are shown what stands there, once and in that order, and nobody else is.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::messages::{Address, ChangeOf, Messages, Name, Named, findings_of};
use super::scheduled::{Counting, Reached};
use super::{Clients, Findings, Verdict};
use crate::history::{Client, Group, GroupReach, SYSTEM, User};

/// What stands at a place of a group's order.
#[derive(Debug, PartialEq, Eq)]
enum What {
    Said(Name),
    /// A change of the message at a place.
    Changed(Name, u64),
    Membership {
        came: Vec<User>,
        went: Vec<User>,
    },
}

impl What {
    /// Who came is a member from this place on.
    fn let_in(&self, at: u64, members: &mut BTreeMap<User, u64>) {
        if let Self::Membership { came, .. } = self {
            members.extend(came.iter().map(|user| (*user, at)));
        }
    }

    /// Who went is none any more, after it.
    fn show_out(&self, members: &mut BTreeMap<User, u64>) {
        if let Self::Membership { went, .. } = self {
            went.iter().for_each(|user| _ = members.remove(user));
        }
    }
}

/// Goes along an order, with the members at each place and since when they are; answers those at the end.
fn walk(order: &BTreeMap<u64, What>, mut at_each: impl FnMut(u64, &BTreeMap<User, u64>)) -> BTreeMap<User, u64> {
    let mut members = BTreeMap::new();
    for (at, what) in order {
        what.let_in(*at, &mut members);
        at_each(*at, &members);
        what.show_out(&mut members);
    }
    members
}

#[derive(Debug)]
pub(super) struct Groups<'a> {
    messages: &'a Messages,
    clients: &'a Clients,
    /// As any device was shown it.
    orders: BTreeMap<Group, BTreeMap<u64, What>>,
    /// The places that a device was shown.
    shown: HashMap<(Client, Group), BTreeSet<u64>>,
    /// Of each message that was shown.
    places: HashMap<Name, u64>,
    /// A member's device that was not shown a message which was.
    missing: HashMap<Name, Client>,
    /// The highest place that each user marked as read.
    read: HashMap<(User, Group), u64>,
}

impl<'a> Groups<'a> {
    pub(super) fn new(messages: &'a Messages, clients: &'a Clients) -> Self {
        let (orders, shown) = (BTreeMap::new(), HashMap::new());
        let (places, missing, read) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { messages, clients, orders, shown, places, missing, read }
    }

    pub(super) fn shown(&mut self, client: Client, place: (Group, u64), name: Name, findings: &mut Findings) {
        let (group, at) = place;
        if self.messages.get(name).is_none_or(|message| message.to != Address::Group(group)) {
            return findings.contradiction(|| {
                format!("{client} was shown {}, which was never given to group {group}", Named(name))
            });
        }
        if *self.places.entry(name).or_insert(at) != at {
            findings.doubled += 1;
            return findings.example(|| format!("{} stands twice in group {group}, also at {at}", Named(name)));
        }
        self.placed(client, place, What::Said(name), findings);
    }

    /// A change, by its id, of the message at a place.
    pub(super) fn message_changed(
        &mut self,
        client: Client,
        place: (Group, u64),
        of: u64,
        (stream, seq): (u64, u64),
        findings: &mut Findings,
    ) {
        let (group, at) = place;
        let name = self.messages.accepted((stream, seq));
        let found = name.and_then(|name| Some((name, self.messages.get(name)?)));
        let Some((name, message)) = found.filter(|(_, message)| message.to == Address::Group(group)) else {
            return findings.contradiction(|| {
                format!("{client} was told of {stream}.{seq} in group {group}, no change that was accepted")
            });
        };
        let is_of = |change: ChangeOf| self.places.get(&(name.0, change.number)) == Some(&of);
        if !message.change.is_some_and(is_of) {
            return findings.disorder(|| {
                format!(
                    "{client} was told of {}'s change {} of place {of} of group {group}, where it is not",
                    name.0, name.1
                )
            });
        }
        if *self.places.entry(name).or_insert(at) != at {
            findings.doubled += 1;
            return findings.example(|| format!("{}'s change {} stands twice in group {group}", name.0, name.1));
        }
        self.placed(client, place, What::Changed(name, of), findings);
    }

    /// Where a message stands in its group, if any device was shown it.
    pub(super) fn place_of(&self, name: Name) -> Option<u64> {
        self.places.get(&name).copied()
    }

    /// The members of each group at the end, and the places from which on they are.
    pub(super) fn standing(&self) -> BTreeMap<Group, BTreeMap<User, u64>> {
        self.orders.iter().map(|(group, order)| (*group, walk(order, |_, _| {}))).collect()
    }

    /// A user has read a group up to a place.
    pub(super) fn read(&mut self, user: User, (group, at): (Group, u64)) {
        let read = self.read.entry((user, group)).or_default();
        *read = (*read).max(at);
    }

    /// Nobody has what no device of theirs was shown before, or read what they did not mark.
    pub(super) fn receipts(&self, (group, at): (Group, u64), reach: &GroupReach, findings: &mut Findings) {
        let has = |user: User| {
            let was_shown = |client: Client| {
                let places = self.shown.get(&(client, group));
                places.is_some_and(|places| places.last().is_some_and(|last| *last >= at))
            };
            self.clients.of_user(user).any(was_shown)
        };
        let has_read = |user: User| self.marked(user, group) >= at;
        let (delivered, read) = reach.names.as_ref().map_or((&[][..], &[][..]), |(delivered, read)| (delivered, read));
        for user in delivered.iter().filter(|user| !has(**user)) {
            findings.contradiction(|| format!("{user} is said to have place {at} of group {group}, and has not"));
        }
        for user in read.iter().filter(|user| !has_read(**user)) {
            findings.contradiction(|| format!("{user} is said to have read place {at} of group {group}"));
        }
        let count = |is_so: &dyn Fn(User) -> bool| self.clients.users().filter(|user| is_so(*user)).count() as u32;
        let is_too_much = reach.delivered > count(&has) || reach.read > count(&has_read);
        if reach.names.is_none() && is_too_much {
            let GroupReach { delivered, read, .. } = reach;
            findings.contradiction(|| {
                format!(
                    "{delivered} are said to have place {at} of group {group}, and {read} to have read it: too many"
                )
            });
        }
    }

    /// The highest place of a group that a user marked as read; 0: none.
    pub(super) fn marked(&self, user: User, group: Group) -> u64 {
        self.read.get(&(user, group)).copied().unwrap_or(0)
    }

    /// Whether a device of a user was shown what stands there.
    pub(super) fn has(&self, user: User, (group, at): (Group, u64)) -> bool {
        self.clients.of_user(user).any(|client| self.was_shown(client, (group, at)))
    }

    fn was_shown(&self, client: Client, (group, at): (Group, u64)) -> bool {
        self.shown.get(&(client, group)).is_some_and(|places| places.contains(&at))
    }

    /// Who is a member at each of these places of a group, and since which.
    pub(super) fn members_at(&self, group: Group, places: &BTreeSet<u64>) -> BTreeMap<u64, BTreeMap<User, u64>> {
        let mut at_each = BTreeMap::new();
        if let Some(order) = self.orders.get(&group) {
            walk(order, |at, members| {
                if places.contains(&at) {
                    at_each.insert(at, members.clone());
                }
            });
        }
        at_each
    }

    /// An event: these are members from here on, and those are none any more.
    pub(super) fn changed(
        &mut self,
        client: Client,
        place: (Group, u64),
        (came, went): (&[User], &[User]),
        findings: &mut Findings,
    ) {
        let what = What::Membership { came: came.to_vec(), went: went.to_vec() };
        self.placed(client, place, what, findings);
    }

    fn placed(&mut self, client: Client, (group, at): (Group, u64), what: What, findings: &mut Findings) {
        let seen = self.shown.entry((client, group)).or_default();
        let last = seen.last().copied().unwrap_or(0);
        if !seen.insert(at) {
            findings.doubled += 1;
            findings.example(|| format!("{client} was shown place {at} of group {group} again"));
        } else if at < last {
            findings.disorder(|| format!("{client} was shown place {at} of group {group} after {last}"));
        }
        match self.orders.entry(group).or_default().entry(at) {
            // The first to tell of a place says what stands there.
            Entry::Vacant(free) => _ = free.insert(what),
            Entry::Occupied(known) if *known.get() != what => {
                findings.disorder(|| {
                    format!("place {at} of group {group} is {:?} for one, {what:?} for {client}", known.get())
                });
            }
            Entry::Occupied(_) => {}
        }
    }

    pub(super) fn conclude(mut self, counting: &Counting<'_>, verdict: &mut Verdict) {
        for (group, order) in std::mem::take(&mut self.orders) {
            self.check_order(group, &order, verdict);
        }
        for (name, message) in self.messages.iter() {
            let Address::Group(group) = message.to else { continue };
            let is_shown = self.places.contains_key(&name);
            // Nobody was: its owner, who always is a member, neither.
            let nobody = (!is_shown).then_some(Client { user: group, device: 0 });
            let missing = self.missing.get(&name).copied().or(nobody);
            let findings = findings_of(verdict, message);
            if message.schedule.is_some() {
                counting.count(name, message, &Reached { is_shown, missing }, findings);
            } else {
                findings.count(format_args!("{} to group {group}", Named(name)), message, is_shown, missing);
            }
        }
    }

    /// Who is a member at each place, since when, and who was shown what stands there.
    fn check_order(&mut self, group: Group, order: &BTreeMap<u64, What>, verdict: &mut Verdict) {
        let (mut members, mut highest) = (BTreeMap::new(), HashMap::new());
        // Each place is for somebody who is there from the beginning to the end.
        if let Some((at, _)) = (1..).zip(order.keys()).find(|(expected, at)| expected != *at) {
            verdict.groups.contradiction(|| format!("place {at} of group {group} was shown to nobody"));
        }
        for (at, what) in order {
            what.let_in(*at, &mut members);
            if let What::Said(name) | What::Changed(name, _) = what
                && let Some(message) = self.messages.get(*name)
            {
                let ((from, number), findings) = (*name, findings_of(verdict, message));
                // The system is a member nowhere, and speaks everywhere.
                if from != SYSTEM && !members.contains_key(&from) {
                    findings.contradiction(|| format!("{from} spoke at {at} of group {group} and is no member there"));
                }
                let last = message.giver(from).and_then(|giver| highest.insert(giver, number));
                if last.is_some_and(|last| last > number) {
                    findings.disorder(|| format!("{} stands at {at} of group {group}, after {last:?}", Named(*name)));
                }
            }
            self.check_place(group, (*at, what), &members, verdict);
            what.show_out(&mut members);
        }
    }

    fn check_place(
        &mut self,
        group: Group,
        (at, what): (u64, &What),
        members: &BTreeMap<User, u64>,
        verdict: &mut Verdict,
    ) {
        let said = if let What::Said(name) | What::Changed(name, _) = what { Some(*name) } else { None };
        let findings = match said.and_then(|name| self.messages.get(name)) {
            Some(message) => findings_of(verdict, message),
            None => &mut verdict.groups,
        };
        for client in self.clients.all() {
            let is_shown = self.was_shown(client, (group, at));
            // Who came after a message is not told what became of it.
            let is_for = |joined: &u64| !matches!(what, What::Changed(_, of) if of < joined);
            match (members.get(&client.user).is_some_and(is_for), is_shown, said) {
                (false, true, _) => {
                    findings.contradiction(|| {
                        format!("{client} was shown place {at} of group {group}, which is not for it")
                    });
                }
                (true, false, Some(name)) => _ = self.missing.entry(name).or_insert(client),
                _ => {}
            }
        }
    }
}
