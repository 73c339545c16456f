//! Whether a history keeps the promises (docs/invariants.md 1 to 4). Pure: records in, counts and examples out.
//!
//! - `messages`: what was given to clients, and how they were answered
//! - `direct`: messages and changes between two users; `groups`: messages to groups, their changes and receipts
//! - `changes`: what edits, recalls and wipes leave of a message
//! - `scheduled`: messages that wait for their time
//! - a backend's posts to users and groups are told apart by who gave them, and counted in a line of their own
//! - `histories`: what the servers keep for each user; `receipts`: how far they say that it has come
//! - `settings`: how conversations stand for their users
//! - `typing`: who was told that somebody types in a group

#[cfg(test)]
mod backend_tests;
mod changes;
#[cfg(test)]
mod changes_tests;
mod direct;
#[cfg(test)]
mod group_tests;
mod groups;
mod histories;
#[cfg(test)]
mod histories_tests;
mod messages;
mod receipts;
#[cfg(test)]
mod receipts_tests;
mod scheduled;
#[cfg(test)]
mod scheduled_tests;
mod settings;
#[cfg(test)]
mod settings_tests;
#[cfg(test)]
mod tests;
mod typing;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Display;

use serde::Serialize;

use crate::history::{Client, Event, Of, Record, User};
use changes::Changes;
use direct::{Direct, Receipt};
use groups::Groups;
use histories::Histories;
use messages::{Answer, Message, Messages, Name, findings_of};
use receipts::{Receipts, Seen};
use scheduled::Counting;
use typing::Typing;

/// Examples that are kept of what is wrong.
const EXAMPLES: usize = 20;

/// What became of the messages of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Verdict {
    /// Of messages between two users, and of their changes.
    pub direct: Findings,
    /// Of messages to groups.
    pub groups: Findings,
    /// Of messages to users and groups that waited for their time.
    pub scheduled: Findings,
    /// Of what a backend posted to users and groups.
    pub backend: Findings,
    /// Of what devices set of conversations: muted, archived, favourite, read.
    pub settings: Findings,
    /// Of messages in what the servers keep for each user, where users read that: those that have to be there.
    pub histories: Option<Findings>,
    /// Of what users sent and the servers keep, where users read that: those of which is told how far they have come.
    pub receipts: Option<Findings>,
    /// What more was told of groups.
    pub told: Told,
}

/// How often something was told that is not counted as a message: each was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Told {
    /// Answers that say how far a message of a group has come.
    pub group_receipts: u64,
    /// Those at the end that are of messages to more than 1,000 members.
    pub counted_receipts: u64,
    /// That a member of a group types.
    pub typing: u64,
}

/// Counts of one kind of messages. All but the first five have to be 0.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Findings {
    /// Given to clients.
    pub given: u64,
    /// Told to the sender as sent.
    pub accepted: u64,
    /// Told to the sender as not sent, with a reason.
    pub refused: u64,
    /// Shown to somebody for whom it was, each counted once.
    pub delivered: u64,
    /// Taken back before it was sent.
    pub cancelled: u64,
    /// Accepted and not shown on every device for which it was (promise 1).
    pub lost: u64,
    /// Shown again on one device (promise 2).
    pub doubled: u64,
    /// Shown although the device had acknowledged that place of its mailbox, or a later one (promise 2).
    pub returned: u64,
    /// Shown after a later one of the same sender, or of the same backend in whosever name, to the same recipient; in a
    /// group: not at the same place for all, or not in the order of places (promise 3).
    pub out_of_order: u64,
    /// Shown before its time (promise 4).
    pub early: u64,
    /// One client's words against another's: refused, or cancelled, and shown; answered twice; a receipt for what was
    /// not shown; shown and never given; shown to who was no member (promise 4).
    pub contradictions: u64,
    /// Without an answer at the end, or with the answer that nobody knows; and gaps in a mailbox (promise 4).
    pub unknown: u64,
    /// Some of what is wrong, for people.
    pub examples: Vec<String>,
}

impl Verdict {
    /// Whether every promise was kept, and all kinds were tested at all.
    pub fn is_clean(&self) -> bool {
        self.kinds().all(Findings::is_clean)
    }

    /// What more time may mend: messages without an answer, and accepted ones that were not shown to all.
    pub fn missing(&self) -> u64 {
        self.kinds().map(|findings| findings.lost + findings.unknown).sum()
    }

    /// What is wrong, for people.
    pub fn examples(&self) -> impl Iterator<Item = &String> {
        self.kinds().flat_map(|findings| &findings.examples)
    }

    /// Those of [`Self::missing`] that are receipts.
    pub(crate) fn missing_receipts(&self) -> u64 {
        self.receipts.as_ref().map_or(0, |findings| findings.lost)
    }

    fn kinds(&self) -> impl Iterator<Item = &Findings> {
        let kinds = [&self.direct, &self.groups, &self.scheduled, &self.backend, &self.settings];
        kinds.into_iter().chain(&self.histories).chain(&self.receipts)
    }
}

impl Findings {
    /// Whether every promise was kept, and anything was tested at all.
    pub fn is_clean(&self) -> bool {
        let Self { lost, doubled, returned, out_of_order, early, contradictions, unknown, .. } = self;
        let wrong = [lost, doubled, returned, out_of_order, early, contradictions, unknown];
        self.accepted > 0 && wrong.into_iter().all(|count| *count == 0)
    }

    fn example(&mut self, text: impl FnOnce() -> String) {
        if self.examples.len() < EXAMPLES {
            self.examples.push(text());
        }
    }

    fn contradiction(&mut self, text: impl FnOnce() -> String) {
        self.contradictions += 1;
        self.example(text);
    }

    fn disorder(&mut self, text: impl FnOnce() -> String) {
        self.out_of_order += 1;
        self.example(text);
    }

    /// Counts a message of which all is known: whether it was shown at all, and one of the devices that it did not
    /// reach.
    fn count(&mut self, name: impl Display, message: &Message, is_shown: bool, missing: Option<Client>) {
        self.given += 1;
        self.delivered += u64::from(is_shown);
        let wrong = match (message.answer, missing) {
            // Messages of the audit have no end of life: one that fails after it was accepted is lost, with a word.
            (Some(Answer::Accepted { .. }), Some(client)) => {
                self.lost += 1;
                let end = if message.failed { ": it failed" } else { "" };
                Some(format!("was accepted and never shown to {client}{end}"))
            }
            (Some(Answer::Accepted { .. }), None) if message.failed => {
                self.contradictions += 1;
                Some("was shown, and failed".to_owned())
            }
            (Some(Answer::Refused), _) if is_shown => {
                self.contradictions += 1;
                Some("was refused and shown".to_owned())
            }
            (Some(Answer::Unknown) | None, _) => {
                self.unknown += 1;
                Some(if is_shown { "was shown and has no answer" } else { "has no answer" }.to_owned())
            }
            (Some(Answer::Accepted { .. } | Answer::Refused), _) => None,
        };
        self.accepted += u64::from(matches!(message.answer, Some(Answer::Accepted { .. })));
        self.refused += u64::from(message.answer == Some(Answer::Refused));
        if let Some(wrong) = wrong {
            self.example(|| format!("{name} {wrong}"));
        }
    }
}

/// Judges a complete history: clients had the time to settle everything, and every device was there from the beginning.
pub fn judge(records: &[Record]) -> Verdict {
    let mut verdict = Verdict::default();
    let messages = Messages::of(records, &mut verdict);
    let changes = Changes::of(&messages, &mut verdict);
    let clients = Clients::of(records);
    let counting = Counting::new(records, &clients);
    let (mut direct, mut groups) = (Direct::new(&messages, &clients), Groups::new(&messages, &clients));
    let mut cursors = Cursors::default();
    let mut typing = Typing::of(records);
    let (mut histories, mut receipts) = (Histories::default(), Receipts::default());
    for (position, record) in records.iter().enumerate() {
        let client = record.client;
        match &record.event {
            Event::Shown { from, number, place } => {
                let findings = line(&mut verdict, &messages, (*from, *number), record);
                cursors.check(client, *place, findings);
                direct.shown(position, client, (*from, *number), findings);
            }
            Event::Copied { number } => {
                let findings = line(&mut verdict, &messages, (client.user, *number), record);
                direct.shown(position, client, (client.user, *number), findings);
            }
            Event::TextGone { from, number } => {
                changes.text_gone(client, (*from, *number), line(&mut verdict, &messages, (*from, *number), record));
            }
            Event::Changed { stream, seq } => direct.changed(position, client, (*stream, *seq), &mut verdict.direct),
            Event::Receipt { from, read, stream, up_to } => {
                let (to, from, read, stream, up_to) = (client.user, *from, *read, *stream, *up_to);
                direct.receipt(Receipt { position, to, from, read, stream, up_to }, &mut verdict.direct);
            }
            Event::ShownInGroup { group, at, from, number, place } => {
                let findings = line(&mut verdict, &messages, (*from, *number), record);
                cursors.check(client, *place, findings);
                groups.shown(client, (*group, *at), (*from, *number), findings);
            }
            Event::ChangedInGroup { group, at, of, stream, seq } => {
                groups.message_changed(client, (*group, *at), *of, (*stream, *seq), &mut verdict.groups);
            }
            Event::ReadWith { from, number } => direct.read(client.user, (*from, *number)),
            Event::ReadInGroup { group, at } => groups.read(client.user, (*group, *at)),
            Event::GroupReceipts { group, at, reach } => {
                verdict.told.group_receipts += 1;
                groups.receipts((*group, *at), reach, &mut verdict.groups);
            }
            Event::Typing { from, group, number } => {
                verdict.told.typing += 1;
                typing.seen(client, (*from, *group, *number), &mut verdict.groups);
            }
            Event::Membership { group, at, came, went } => {
                groups.changed(client, (*group, *at), (came, went), &mut verdict.groups);
            }
            Event::HistoryRead { with, messages } => histories.read(client.user, Of::With(*with), messages),
            Event::GroupHistoryRead { group, messages } => histories.read(client.user, Of::Group(*group), messages),
            Event::HistoriesRead => histories.all_read(client.user),
            Event::ReceiptsRead { with, reaches } => receipts.told(client.user, *with, reaches),
            Event::GroupReceiptsRead { group, reaches } => receipts.told_of_group(client.user, *group, reaches),
            Event::SettingsRead { of, settings } => receipts.stands(client.user, *of, settings.reading),
            Event::Acknowledged { place } => cursors.acknowledged(client, *place),
            Event::Gap { from, to } => {
                verdict.direct.unknown += 1;
                verdict.direct.example(|| format!("{client} was told that entries {from} to {to} may be lost"));
            }
            Event::Opened
            | Event::Closed
            | Event::Given { .. }
            | Event::GivenToGroup { .. }
            | Event::GivenChange { .. }
            | Event::GivenGroupChange { .. }
            | Event::GivenScheduled { .. }
            | Event::GivenGroupScheduled { .. }
            | Event::Cancelled { .. }
            | Event::ScheduleEnded { .. }
            | Event::GivenTyping { .. }
            | Event::GivenSettings { .. }
            | Event::SettingsAccepted { .. }
            | Event::SettingsRefused { .. }
            | Event::SettingsTold { .. }
            | Event::Accepted { .. }
            | Event::Refused { .. }
            | Event::Unknown { .. }
            | Event::Failed { .. } => {}
        }
    }
    histories.conclude(&messages, &changes, &groups, &mut verdict);
    receipts.conclude(&Seen { histories: &histories, direct: &direct, groups: &groups }, &mut verdict);
    direct.conclude(&counting, &mut verdict);
    groups.conclude(&counting, &mut verdict);
    verdict.settings = settings::judge(records, &clients);
    verdict
}

/// The line of the verdict in which it counts that a message was shown.
fn line<'a>(verdict: &'a mut Verdict, messages: &Messages, name: Name, record: &Record) -> &'a mut Findings {
    let Some(message) = messages.get(name) else {
        return match record.event {
            Event::ShownInGroup { .. } => &mut verdict.groups,
            _ => &mut verdict.direct,
        };
    };
    let findings = findings_of(verdict, message);
    if let Some(schedule) = &message.schedule {
        schedule.shown(record.at_ms, record.client, name, findings);
    }
    findings
}

/// The devices of each user.
#[derive(Debug)]
struct Clients(BTreeMap<User, BTreeSet<Client>>);

impl Clients {
    fn of(records: &[Record]) -> Self {
        let mut clients: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for Record { client, .. } in records.iter().filter(|record| !record.client.is_backend()) {
            clients.entry(client.user).or_default().insert(*client);
        }
        Self(clients)
    }

    fn users(&self) -> impl Iterator<Item = User> {
        self.0.keys().copied()
    }

    fn all(&self) -> impl Iterator<Item = Client> {
        self.0.values().flatten().copied()
    }

    /// All of a user's; one of whom nothing was heard has the first, which then shows nothing.
    fn of_user(&self, user: User) -> impl Iterator<Item = Client> {
        let known = self.0.get(&user);
        let unheard = known.is_none().then_some(Client { user, device: 0 });
        known.into_iter().flatten().copied().chain(unheard)
    }
}

/// The places in their mailboxes up to which devices acknowledged.
#[derive(Debug, Default)]
struct Cursors(HashMap<Client, u64>);

impl Cursors {
    fn acknowledged(&mut self, client: Client, place: u64) {
        let cursor = self.0.entry(client).or_default();
        *cursor = (*cursor).max(place);
    }

    fn check(&self, client: Client, place: u64, findings: &mut Findings) {
        if self.0.get(&client).is_some_and(|cursor| place <= *cursor) {
            findings.returned += 1;
            findings.example(|| format!("{client} was shown place {place} after acknowledging it"));
        }
    }
}
