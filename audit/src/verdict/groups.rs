//! Messages to groups: each has one place, the same for all; who is a member at a place follows from the events before it; and
//! each member's devices are shown what stands there, once and in that order, and nobody else is.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::messages::{Address, Messages, Name};
use super::{Clients, Findings};
use crate::history::{Client, Group, User};

/// What stands at a place of a group's order.
#[derive(Debug, PartialEq, Eq)]
enum What {
    Said(Name),
    Membership { came: Vec<User>, went: Vec<User> },
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
}

impl<'a> Groups<'a> {
    pub(super) fn new(messages: &'a Messages, clients: &'a Clients) -> Self {
        let (orders, shown) = (BTreeMap::new(), HashMap::new());
        Self { messages, clients, orders, shown, places: HashMap::new(), missing: HashMap::new() }
    }

    pub(super) fn shown(&mut self, client: Client, place: (Group, u64), name: Name, findings: &mut Findings) {
        let ((group, at), (from, number)) = (place, name);
        if self.messages.get(name).is_none_or(|message| message.to != Address::Group(group)) {
            return findings.contradiction(|| {
                format!("{client} was shown {from}'s message {number}, which was never given to group {group}")
            });
        }
        if *self.places.entry(name).or_insert(at) != at {
            findings.doubled += 1;
            return findings
                .example(|| format!("{from}'s message {number} stands twice in group {group}, also at {at}"));
        }
        self.placed(client, place, What::Said(name), findings);
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

    pub(super) fn conclude(mut self, findings: &mut Findings) {
        for (group, order) in std::mem::take(&mut self.orders) {
            self.check_order(group, &order, findings);
        }
        for (name, message) in self.messages.iter() {
            let Address::Group(group) = message.to else { continue };
            let (from, number) = name;
            let is_shown = self.places.contains_key(&name);
            let nobody = (!is_shown).then_some(Client { user: from, device: 0 });
            let missing = self.missing.get(&name).copied().or(nobody);
            findings.count(format_args!("{from}'s message {number} to group {group}"), message, is_shown, missing);
        }
    }

    /// Who is a member at each place, and who was shown what stands there.
    fn check_order(&mut self, group: Group, order: &BTreeMap<u64, What>, findings: &mut Findings) {
        let (mut members, mut highest) = (BTreeSet::new(), HashMap::new());
        // Each place is for somebody who is there from the beginning to the end.
        if let Some((at, _)) = (1..).zip(order.keys()).find(|(expected, at)| expected != *at) {
            findings.contradiction(|| format!("place {at} of group {group} was shown to nobody"));
        }
        for (at, what) in order {
            if let What::Membership { came, .. } = what {
                members.extend(came);
            }
            if let What::Said((from, number)) = what {
                if !members.contains(from) {
                    findings.contradiction(|| format!("{from} spoke at {at} of group {group} and is no member there"));
                }
                let last = highest.insert(*from, *number);
                if last.is_some_and(|last| last > *number) {
                    findings.disorder(|| {
                        format!("{from}'s message {number} stands at {at} of group {group}, after {last:?}")
                    });
                }
            }
            self.check_place(group, (*at, what), &members, findings);
            if let What::Membership { went, .. } = what {
                went.iter().for_each(|user| _ = members.remove(user));
            }
        }
    }

    fn check_place(
        &mut self,
        group: Group,
        (at, what): (u64, &What),
        members: &BTreeSet<User>,
        findings: &mut Findings,
    ) {
        for client in self.clients.all() {
            let is_shown = self.shown.get(&(client, group)).is_some_and(|places| places.contains(&at));
            match (members.contains(&client.user), is_shown, what) {
                (false, true, _) => {
                    findings.contradiction(|| {
                        format!("{client} was shown place {at} of group {group}, and is no member there")
                    });
                }
                (true, false, What::Said(name)) => _ = self.missing.entry(*name).or_insert(client),
                _ => {}
            }
        }
    }
}
