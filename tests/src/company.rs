//! A day of a small company's chat: 20 people, 5 groups, two or three devices each; they write, edit, take back, wipe,
//! react and pin, to each other and in groups, read and mute, join, also by invitation, and leave, and are away for a
//! while. In the evening all come back, and every device has to have seen what the servers hold.
//!
//! - [`device`]: a device of somebody; [`shown`]: what it was shown

pub mod device;
pub mod shown;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use rand::rngs::SmallRng;
use rand::seq::{IndexedMutRandom as _, IndexedRandom as _};
use rand::{Rng as _, SeedableRng as _};
use tempfile::TempDir;
use tidings_proto::control::v1::Invite;
use tidings_sdk::group_event::Kind;
use tidings_sdk::{Change, Conversation};
use tokio::task::JoinSet;

use crate::group_view::{Place, What, seen_by};
use crate::{Control, DEADLINE, within};
use device::Device;
use shown::{Said, Settings};

const PEOPLE: usize = 20;
const GROUPS: [&str; 5] = ["all-hands", "kitchen", "sales", "tower", "weekend"];
/// What one of the people does in an hour.
const DEEDS: usize = 8;
/// Who owns all groups, is in them from the beginning to the end, and is never away.
const SECRETARY: usize = 0;

/// The company on this day.
#[derive(Debug)]
pub struct Company {
    rng: SmallRng,
    people: Vec<Person>,
    /// As the secretary wants it, apart from who left by themselves.
    members: BTreeMap<&'static str, BTreeSet<String>>,
    /// What was told to groups, and accepted, by its id.
    said: Vec<(&'static str, String)>,
    _stores: TempDir,
}

#[derive(Debug)]
struct Person {
    name: String,
    /// The first is the phone.
    devices: Vec<Device>,
    /// What was set of conversations with others.
    settings: BTreeMap<String, Settings>,
}

impl Company {
    /// In the morning everybody's devices come online, and the secretary makes the groups.
    pub async fn open(control: &Control, gateways: &[String], seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let stores = tempfile::tempdir().unwrap();
        let mut people = Vec::new();
        for number in 0..PEOPLE {
            let name = format!("person-{number:02}");
            let token = control.user(&name).await;
            let mut devices = Vec::new();
            for device in ["phone", "laptop", "tablet"].into_iter().take(2 + number % 2) {
                let mut device = Device::new(&name, device, &token, gateways, stores.path());
                device.come_online().await;
                devices.push(device);
            }
            people.push(Person { name, devices, settings: BTreeMap::new() });
        }
        let mut members = BTreeMap::new();
        for group in GROUPS {
            let others: Vec<_> = people[1..].iter().map(|person| person.name.clone()).collect();
            let chosen: BTreeSet<_> = others.choose_multiple(&mut rng, 8).cloned().collect();
            people[SECRETARY].phone().client().create_group(group, group, chosen.clone()).await.unwrap();
            control.invite(Invite { group: group.to_owned(), code: invitation(group), ..Invite::default() }).await;
            members.insert(group, chosen);
        }
        Self { rng, people, members, said: Vec::new(), _stores: stores }
    }

    /// People come and go, groups change, and everybody who is there is busy, all at once.
    pub async fn hour(&mut self) {
        self.come_and_go().await;
        let changes = self.change_groups();
        let names: Vec<_> = self.people.iter().map(|person| person.name.clone()).collect();
        let mut busy = JoinSet::new();
        for mut person in std::mem::take(&mut self.people) {
            let (names, rng) = (names.clone(), SmallRng::seed_from_u64(self.rng.random()));
            busy.spawn(async move {
                let said = person.work(&names, rng).await;
                (person, said)
            });
        }
        while let Some(done) = busy.join_next().await {
            let (person, said) = done.unwrap();
            self.people.push(person);
            self.said.extend(said);
        }
        self.people.sort_by(|a, b| a.name.cmp(&b.name));
        within(DEADLINE, "the groups are as wanted", changes).await;
    }

    /// Somebody goes with all devices, some close only their laptops, and some of those who are away come back.
    async fn come_and_go(&mut self) {
        for person in &mut self.people[SECRETARY + 1..] {
            if self.rng.random_ratio(1, 4) {
                person.set_online(!person.is_online()).await;
            } else if let [_, laptop, ..] = &mut person.devices[..]
                && self.rng.random_ratio(1, 3)
            {
                laptop.set_online(!laptop.is_online()).await;
            }
        }
    }

    /// In each of three groups somebody joins by the invitation, is added, is removed, or leaves.
    fn change_groups(&mut self) -> impl Future<Output = ()> + use<> {
        let secretary = self.people[SECRETARY].phone().client().clone();
        let mut changes = Vec::new();
        for group in GROUPS.choose_multiple(&mut self.rng, 3) {
            let person = self.people[SECRETARY + 1..].choose(&mut self.rng).unwrap();
            let members = self.members.get_mut(group).unwrap();
            let was_member = members.remove(&person.name);
            if !was_member {
                members.insert(person.name.clone());
            }
            let alone = person.is_online() && self.rng.random();
            let by = if alone { person.phone().client().clone() } else { secretary.clone() };
            changes.push((by, *group, person.name.clone(), was_member, alone));
        }
        async move {
            for (by, group, name, was_member, alone) in changes {
                let done = match (was_member, alone) {
                    (true, true) => by.leave_group(group).await,
                    (false, true) => by.join_group(invitation(group)).await,
                    (true, false) => by.remove_from_group(group, [name]).await,
                    (false, false) => by.add_to_group(group, [name]).await,
                };
                done.unwrap();
            }
        }
    }

    /// Everybody comes back, and everything that everybody saw is compared: with the servers, with the other side of
    /// each conversation, and with the one order of each group (promises 1 to 4).
    pub async fn evening(mut self) {
        for person in &mut self.people {
            person.set_online(true).await;
        }
        for person in &self.people {
            for device in &person.devices {
                within(DEADLINE, "a device sees what the servers hold", device.sees_what_the_servers_hold()).await;
            }
        }
        self.compare_the_sides();
        for person in &self.people {
            person.compare_settings().await;
        }
        for group in GROUPS {
            self.compare_group(group).await;
        }
    }

    fn compare_the_sides(&self) {
        for one in &self.people {
            for other in self.people.iter().filter(|other| other.name > one.name) {
                let (ours, theirs) = (one.phone().said_with(&other.name), other.phone().said_with(&one.name));
                assert_eq!(ours, theirs, "{} and {}", one.name, other.name);
            }
        }
        let said: usize = self.people.iter().map(|person| person.phone().said().len()).sum();
        assert!(said > 2 * PEOPLE, "the people said something: {said}");
        let pinned = self.people.iter().filter(|person| person.phone().said().values().any(|said| said.pinned));
        let set = self.people.iter().filter(|person| !person.settings.is_empty());
        assert!(pinned.count() > 0 && set.count() > 0, "something was pinned, and set");
    }

    async fn compare_group(&mut self, group: &'static str) {
        let good_night = self.people[SECRETARY].devices[0].say_in(group, "good night").await.unwrap().to_string();
        let secretary = self.people[SECRETARY].phone();
        let is_last = |place: &Place| matches!(&place.what, What::Said(_, id) if *id == good_night);
        secretary.until_place(group, is_last).await;
        let whole = secretary.places(group);
        let seqs: Vec<_> = whole.iter().map(|place| place.seq).collect();
        assert!(seqs.iter().copied().eq(1..=seqs.len() as u64), "{group}: {seqs:?}");
        for (_, id) in self.said.iter().filter(|(to, _)| *to == group) {
            let times = whole.iter().filter(|place| matches!(&place.what, What::Said(_, said) if said == id)).count();
            assert_eq!(times, 1, "{id} in {group}");
        }
        for person in &self.people {
            let expected = seen_by(&whole, &person.name);
            for device in &person.devices {
                if let Some(last) = expected.last() {
                    device.until_place(group, |place| place.seq >= last.seq).await;
                }
                assert_eq!(device.places(group), expected, "{group} on {device}");
            }
            let joined = joined_at(&whole, &person.name);
            let conversation = person.phone().conversations_with_groups().await.remove(group);
            assert_eq!(joined.is_some(), conversation.is_some(), "{group} among the conversations of {}", person.name);
            if let Some((joined, conversation)) = joined.zip(conversation) {
                person.compare_member(group, joined, secretary, &conversation).await;
            }
        }
    }
}

/// By which anybody joins a group.
fn invitation(group: &str) -> String {
    format!("welcome to {group}")
}

/// Where a user joined who is a member at the end.
fn joined_at(whole: &[Place], user: &str) -> Option<u64> {
    let mut joined = None;
    for place in whole {
        if let What::Happened(kind, users) = &place.what
            && users.iter().any(|named| named == user)
        {
            match kind {
                Kind::Created | Kind::Joined => joined = Some(place.seq),
                Kind::Left | Kind::Removed => joined = None,
                _ => {}
            }
        }
    }
    joined
}

impl Person {
    /// What the servers hold of a group, what each device was shown, and how the conversation stands, is one.
    async fn compare_member(&self, group: &str, joined: u64, secretary: &Device, conversation: &Conversation) {
        let held = self.phone().held_of(group).await;
        assert_eq!(held, secretary.said_in(group, joined), "the history of {group} for {}", self.name);
        for device in &self.devices {
            assert_eq!(device.said_in(group, joined), held, "{group} on {device}");
        }
        let is_unread = |(place, said): &(&u64, &Said)| **place > conversation.read_place && said.from != self.name;
        let unread = held.iter().filter(is_unread).count() as u64;
        assert_eq!(conversation.unread, unread, "unread of {group} for {}", self.name);
        let (last, said) = held.last_key_value().unwrap();
        let content = conversation.last_message.as_ref().and_then(|message| message.content.as_ref());
        let shown = (conversation.last_place, content.map(|content| &content.text));
        assert_eq!(shown, (*last, said.text.as_ref()), "the last of {group} for {}", self.name);
    }

    /// How the conversations with others stand is what was set, for the servers and on each device; and what is unread
    /// is what the others said behind what was read.
    async fn compare_settings(&self) {
        let conversations = self.phone().conversations_with_others().await;
        for (with, conversation) in &conversations {
            let expected = self.settings.get(with).copied().unwrap_or_default();
            assert_eq!(Settings::of(conversation), expected, "{} with {with}", self.name);
            let unread = self.phone().said_behind(with, conversation.read_place).await;
            assert_eq!(conversation.unread, unread, "unread for {} with {with}", self.name);
            for device in &self.devices {
                device.until_settings(with, expected).await;
            }
        }
        assert!(self.settings.keys().all(|with| conversations.contains_key(with)), "{}: one is missing", self.name);
    }

    fn phone(&self) -> &Device {
        &self.devices[0]
    }

    fn is_online(&self) -> bool {
        self.phone().is_online()
    }

    async fn set_online(&mut self, online: bool) {
        for device in &mut self.devices {
            device.set_online(online).await;
        }
    }

    /// Does this and that, each time on one of the devices that are online; answers the ids of what was told to groups
    /// and accepted.
    async fn work(&mut self, names: &[String], mut rng: SmallRng) -> Vec<(&'static str, String)> {
        let mut said = Vec::new();
        for deed in 0..DEEDS {
            let mut online: Vec<_> = self.devices.iter_mut().filter(|device| device.is_online()).collect();
            let Some(device) = online.choose_mut(&mut rng) else { break };
            let text = format!("{device}: {deed} {:08x}", rng.random::<u32>());
            match rng.random_range(0..17) {
                0..4 => {
                    let to = names.choose(&mut rng).unwrap();
                    if *to != self.name {
                        device.say(to, &text).await;
                    }
                }
                4..7 => {
                    let group = *GROUPS.choose(&mut rng).unwrap();
                    if let Some(id) = device.say_in(group, &text).await {
                        said.push((group, id.to_string()));
                    }
                }
                7 => device.edit_last(&text).await,
                8 if rng.random() => device.take_back_last(taking_back(&mut rng)).await,
                10 if rng.random_ratio(1, 4) => device.take_back_last_in_group(taking_back(&mut rng)).await,
                10 => device.edit_last_in_group(&text).await,
                11 => device.change_any_in_group(Change::react("\u{1f44d}"), &mut rng).await,
                12 => device.read_group(&mut rng).await,
                13 => device.pin(&mut rng).await,
                14 => device.change_any_in_group(Change::pin(), &mut rng).await,
                15 => self.settings.extend(device.set(&mut rng).await),
                _ => device.react(&mut rng).await,
            }
        }
        said
    }
}

/// As if it had not been said, or without what was said.
fn taking_back(rng: &mut SmallRng) -> Change {
    if rng.random() { Change::recall() } else { Change::wipe() }
}
