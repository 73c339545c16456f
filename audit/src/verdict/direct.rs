//! Messages and changes between two users: each device of the recipient is shown them, and so is each other device of
//! the sender, in the order of sending; receipts say nothing that is not so.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::messages::{Address, Giver, Message, Messages, Name, Named, findings_of};
use super::scheduled::{Counting, Reached};
use super::{Clients, Findings, Verdict};
use crate::history::{Client, SYSTEM, User};

#[derive(Debug)]
pub(super) struct Direct<'a> {
    messages: &'a Messages,
    clients: &'a Clients,
    /// On which devices each was shown, and at which position in the history.
    shown: HashMap<Name, BTreeMap<Client, usize>>,
    /// The highest number of each giver to each recipient that a device was shown.
    highest: HashMap<(Client, Giver, User), u64>,
    receipts: Vec<Receipt>,
    /// What each user marked as read of each other, by stream.
    marks: HashMap<(User, User, u64), BTreeSet<u64>>,
}

/// It speaks of everything in a stream up to a number.
#[derive(Debug)]
pub(super) struct Receipt {
    /// In the history.
    pub(super) position: usize,
    pub(super) to: User,
    pub(super) from: User,
    pub(super) read: bool,
    pub(super) stream: u64,
    pub(super) up_to: u64,
}

impl<'a> Direct<'a> {
    pub(super) fn new(messages: &'a Messages, clients: &'a Clients) -> Self {
        let (shown, highest, receipts, marks) = (HashMap::new(), HashMap::new(), Vec::new(), HashMap::new());
        Self { messages, clients, shown, highest, receipts, marks }
    }

    /// A message to a user, for one of its sides.
    fn find(&self, client: Client, (from, number): Name) -> Option<(&'a Message, User)> {
        let message = self.messages.get((from, number))?;
        match message.to {
            Address::User(to) if client.user == to || is_copied_to(client, from, message) => Some((message, to)),
            Address::User(_) | Address::Group(_) => None,
        }
    }

    pub(super) fn shown(&mut self, position: usize, client: Client, name: Name, findings: &mut Findings) {
        let (from, number) = name;
        let Some((message, to)) = self.find(client, name) else {
            return findings
                .contradiction(|| format!("{client} was shown {}, which was never given, or not for it", Named(name)));
        };
        let devices = self.shown.entry(name).or_default();
        if devices.contains_key(&client) {
            findings.doubled += 1;
            return findings.example(|| format!("{client} was shown {} again", Named(name)));
        }
        devices.insert(client, position);
        let Some(giver) = message.giver(from) else { return };
        let highest = self.highest.entry((client, giver, to)).or_insert(number);
        if number < *highest {
            findings.disorder(|| format!("{client} was shown {} after {highest}", Named(name)));
        } else {
            *highest = number;
        }
    }

    /// A change comes in its sender's order, after what it changes.
    pub(super) fn changed(&mut self, position: usize, client: Client, id: (u64, u64), findings: &mut Findings) {
        let found = self.messages.accepted(id).and_then(|name| Some((name, self.find(client, name)?.0.change?.number)));
        let Some(((from, number), of)) = found else {
            let (stream, seq) = id;
            return findings
                .contradiction(|| format!("{client} was told of {stream}.{seq}, no change that was accepted"));
        };
        let is_known = self.shown.get(&(from, of)).is_some_and(|devices| devices.contains_key(&client));
        if !is_known {
            findings.disorder(|| format!("{client} was told of {from}'s change {number} before the message {of}"));
        }
        self.shown(position, client, (from, number), findings);
    }

    /// A user has read another's messages up to this one, in its stream.
    pub(super) fn read(&mut self, reader: User, name: Name) {
        if let Some((stream, seq)) = self.receipt_id(name) {
            self.marks.entry((reader, name.0, stream)).or_default().insert(seq);
        }
    }

    /// The id by which receipts speak of a message.
    pub(super) fn receipt_id(&self, name: Name) -> Option<(u64, u64)> {
        self.messages.get(name)?.receipt_id()
    }

    /// The first of what a user marked as read in a stream of another, from a number on.
    pub(super) fn next_mark(&self, reader: User, from: User, (stream, seq): (u64, u64)) -> Option<u64> {
        self.marks.get(&(reader, from, stream))?.range(seq..).next().copied()
    }

    /// Whether a device of a user was shown a message.
    pub(super) fn has(&self, user: User, name: Name) -> bool {
        self.shown.get(&name).is_some_and(|devices| devices.keys().any(|client| client.user == user))
    }

    pub(super) fn receipt(&mut self, receipt: Receipt, findings: &mut Findings) {
        let Receipt { to, from, read, stream, up_to, .. } = receipt;
        if read && self.next_mark(from, to, (stream, up_to)).is_none() {
            findings.contradiction(|| format!("{to} was told that {from} has read {stream}.{up_to}, which it has not"));
        }
        self.receipts.push(receipt);
    }

    pub(super) fn conclude(mut self, counting: &Counting<'_>, verdict: &mut Verdict) {
        self.check_receipts(&mut verdict.direct);
        for (name, message) in self.messages.iter() {
            let Address::User(to) = message.to else { continue };
            let (from, _) = name;
            let shown = self.shown.get(&name);
            let is_on = |client: &Client| shown.is_some_and(|devices| devices.contains_key(client));
            let copies = self.clients.of_user(from).filter(|client| is_copied_to(*client, from, message));
            let missing = self.clients.of_user(to).chain(copies).find(|client| !is_on(client));
            let is_shown = self.has(to, name);
            let findings = findings_of(verdict, message);
            if message.schedule.is_some() {
                counting.count(name, message, &Reached { is_shown, missing }, findings);
            } else {
                findings.count(format_args!("{} to {to}", Named(name)), message, is_shown, missing);
            }
        }
    }

    /// A receipt speaks for every message of its stream up to its number that went to its sender and did not fail: one
    /// of the devices there was shown it before. Changes have none.
    fn check_receipts(&mut self, findings: &mut Findings) {
        let mut showings = Showings::default();
        for (name, message) in self.messages.iter() {
            if let (Some((stream, seq)), Address::User(to)) = (message.receipt_id(), message.to)
                && !message.failed
                && message.change.is_none()
            {
                let devices = self.shown.get(&name).into_iter().flatten();
                let first = devices.filter(|(client, _)| client.user == to).map(|(_, position)| *position).min();
                showings.entry((name.0, to, stream)).or_default().push((seq, first));
            }
        }
        showings.values_mut().for_each(|showings| latest_up_to_each(showings));
        for receipt in std::mem::take(&mut self.receipts) {
            let Receipt { position, to, from, stream, up_to, .. } = receipt;
            let Some(showings) = showings.get(&(to, from, stream)) else { continue };
            let covered = showings.partition_point(|(seq, _)| *seq <= up_to);
            let is_true = match covered.checked_sub(1).map(|last| showings[last].1) {
                None => true,
                Some(shown) => shown.is_some_and(|latest| latest < position),
            };
            if !is_true {
                findings
                    .contradiction(|| format!("{to} had {from}'s receipt up to {stream}.{up_to} before all was shown"));
            }
        }
    }
}

/// Whether a device is given what its own user sends: all but the one that sends, which does not know when something is
/// sent that waited, nor what a backend sends. The system has no devices.
fn is_copied_to(client: Client, from: User, message: &Message) -> bool {
    let is_known = client.device == 0 && message.schedule.is_none() && !message.is_post;
    client.user == from && from != SYSTEM && !is_known
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
