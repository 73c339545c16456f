//! How conversations stand for their users: what one device sets, one after the other, the other devices are told, and
//! at the end each conversation stands as it was set last.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Clients, Findings};
use crate::history::{Client, Event, Of, Record, Settings, User};

/// Something that a device set.
#[derive(Debug)]
struct Update {
    by: Client,
    number: u64,
    settings: Settings,
    answer: Option<Answer>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// It stands so then.
    Accepted(Settings),
    Refused,
}

impl Update {
    fn is_accepted(&self) -> bool {
        matches!(self.answer, Some(Answer::Accepted(_)))
    }

    /// Whether a conversation stands as this left it.
    fn is_in(&self, stands: &Settings) -> bool {
        let reading = self.settings.reading.and(stands.reading);
        Settings { reading, ..*stands } == self.settings
    }
}

/// All that was set in one conversation, in its order, and what was seen of it.
#[derive(Debug, Default)]
struct Conversation {
    updates: Vec<Update>,
    /// What each device was told, one after the other.
    told: HashMap<Client, Vec<Settings>>,
    /// As it was read at the end.
    read: Option<Settings>,
}

/// Judges all of a history.
pub(super) fn judge(records: &[Record], clients: &Clients) -> Findings {
    let mut findings = Findings::default();
    let mut conversations = BTreeMap::<(User, Of), Conversation>::new();
    let (mut given, mut readers) = (HashMap::new(), BTreeSet::new());
    for Record { client, event, .. } in records {
        if let Event::GivenSettings { number, of, settings } = event {
            let updates = &mut conversations.entry((client.user, *of)).or_default().updates;
            given.insert((client.user, *number), (*of, updates.len()));
            updates.push(Update { by: *client, number: *number, settings: *settings, answer: None });
        }
    }
    for Record { client, event, .. } in records {
        let user = client.user;
        let (number, answer) = match event {
            Event::SettingsAccepted { number, settings } => (*number, Answer::Accepted(*settings)),
            Event::SettingsRefused { number, .. } => (*number, Answer::Refused),
            Event::SettingsTold { of, settings } => {
                let conversation = conversations.entry((user, *of)).or_default();
                conversation.told.entry(*client).or_default().push(*settings);
                continue;
            }
            Event::SettingsRead { of, settings } => {
                conversations.entry((user, *of)).or_default().read = Some(*settings);
                continue;
            }
            Event::HistoriesRead => {
                readers.insert(user);
                continue;
            }
            _ => continue,
        };
        let update =
            given.get(&(user, number)).and_then(|(of, at)| conversations.get_mut(&(user, *of))?.updates.get_mut(*at));
        match update {
            Some(update) if update.answer.is_none() => update.answer = Some(answer),
            Some(_) => findings.contradiction(|| format!("{client} was answered twice to what it set: {number}")),
            None => findings.contradiction(|| format!("{client} was answered to what it did not set: {number}")),
        }
    }
    for ((user, of), conversation) in &conversations {
        let name = format!("{user}'s conversation {of}");
        conversation.check_answers(&name, &mut findings);
        conversation.check_told(&name, clients.of_user(*user), &mut findings);
        if readers.contains(user) {
            conversation.check_read(&name, &mut findings);
        }
    }
    findings
}

impl Conversation {
    /// Each update has one, which says what was asked for.
    fn check_answers(&self, name: &str, findings: &mut Findings) {
        for update in &self.updates {
            let Update { number, settings, answer, .. } = update;
            findings.given += 1;
            match answer {
                Some(Answer::Accepted(stands)) => {
                    findings.accepted += 1;
                    if !update.is_in(stands) {
                        findings
                            .contradiction(|| format!("{name} was set as {settings:?} and then stood as {stands:?}"));
                    }
                }
                Some(Answer::Refused) => findings.refused += 1,
                None => {
                    findings.unknown += 1;
                    findings.example(|| format!("what was set of {name} by {number} has no answer"));
                }
            }
        }
    }

    /// Each device but the one that sets is told of all that was accepted, in that order. What was asked again may be
    /// told again.
    fn check_told(&self, name: &str, devices: impl Iterator<Item = Client>, findings: &mut Findings) {
        for device in devices {
            let told = self.told.get(&device).map_or(&[][..], Vec::as_slice);
            let mut last = 0;
            for stands in told {
                let Some(at) =
                    self.updates.iter().position(|update| update.settings.mute_until_ms == stands.mute_until_ms)
                else {
                    continue;
                };
                if at < last {
                    findings.disorder(|| format!("{device} was told of {name} as it stood before: {stands:?}"));
                }
                last = at;
            }
            for update in self.updates.iter().filter(|update| update.is_accepted() && update.by != device) {
                if !told.iter().any(|stands| update.is_in(stands)) {
                    findings.lost += 1;
                    findings.example(|| format!("{device} was not told of {name}: {:?}", update.settings));
                }
            }
        }
    }

    /// It stands as the last accepted update left it, or as one without an answer.
    fn check_read(&self, name: &str, findings: &mut Findings) {
        let last = self.updates.iter().rfind(|update| update.is_accepted());
        let Some(stands) = self.read else {
            if last.is_some() {
                findings.lost += 1;
                findings.example(|| format!("{name} is not there"));
            }
            return;
        };
        let is_unset = Settings { reading: None, ..stands } == Settings::default();
        let mut may_be = self.updates.iter().filter(|update| update.answer.is_none()).chain(last);
        if may_be.any(|update| update.is_in(&stands)) {
            findings.delivered += 1;
        } else if is_unset && last.is_none() {
            // Nothing was set.
        } else if is_unset || self.updates.iter().any(|update| update.is_accepted() && update.is_in(&stands)) {
            findings.lost += 1;
            findings.example(|| format!("{name} stands as before it was set last: {stands:?}"));
        } else {
            findings.contradiction(|| format!("{name} stands as nobody set it: {stands:?}"));
        }
    }
}
