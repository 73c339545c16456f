//! A device of somebody, with everything that it was shown.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use rand::rngs::SmallRng;
use rand::seq::IteratorRandom as _;
use tidings_sdk::{
    AckMode, Change, Client, Conversation, ErrorCode, Events, FileStore, HistoryMessage, HistoryQuery, MessageId,
    RequestError, SendError, UpdateConversation,
};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::shown::{Id, Said, Settings, Shared, read, said_of};
use crate::group_view::{Place, What};
use crate::{DEADLINE, within};

/// A device. It keeps its state in a file, and goes on from there when it comes back.
#[derive(Debug)]
pub struct Device {
    user: String,
    device: &'static str,
    token: String,
    gateways: Vec<String>,
    store: PathBuf,
    shown: Arc<Shared>,
    online: Option<Online>,
    /// What it sent last, and may change.
    last: Option<(String, MessageId)>,
    /// The same in a group.
    last_in: Option<(String, MessageId)>,
}

#[derive(Debug)]
struct Online {
    client: Client,
    stop: oneshot::Sender<()>,
    reading: JoinHandle<Events>,
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}'s {}", self.user, self.device)
    }
}

impl Device {
    /// A device that was never online.
    pub fn new(user: &str, device: &'static str, token: &str, gateways: &[String], stores: &Path) -> Self {
        Self {
            user: user.to_owned(),
            device,
            token: token.to_owned(),
            gateways: gateways.to_vec(),
            store: stores.join(format!("{user}-{device}")),
            shown: Arc::default(),
            online: None,
            last: None,
            last_in: None,
        }
    }

    /// Whether its client is open.
    pub fn is_online(&self) -> bool {
        self.online.is_some()
    }

    /// Its client. Panics while it is offline.
    pub fn client(&self) -> &Client {
        &self.online.as_ref().unwrap().client
    }

    /// Opens or closes it.
    pub async fn set_online(&mut self, online: bool) {
        match (self.online.take(), online) {
            (None, true) => self.come_online().await,
            (Some(Online { client, stop, reading }), false) => {
                stop.send(()).unwrap();
                // While there is somebody to be told, nothing is acknowledged that was not shown.
                let _events = reading.await.unwrap();
                within(DEADLINE, "a client closes", client.close()).await;
            }
            (as_wanted, _) => self.online = as_wanted,
        }
    }

    /// Opens it on the state that it left.
    pub async fn come_online(&mut self) {
        let (quickly, store) = (Duration::from_millis(50), FileStore::open(&self.store).unwrap());
        let builder = Client::builder(self.gateways[0].clone(), self.token.as_str()).device(self.device).store(store);
        let builder = builder.backoff(quickly, 4 * quickly).ack_mode(AckMode::Explicit);
        let builder = self.gateways[1..].iter().fold(builder, |builder, url| builder.gateway(url.clone()));
        let (client, events) = builder.connect().unwrap();
        within(DEADLINE, "it is online", client.online()).await.unwrap();
        let (stop, stopped) = oneshot::channel();
        let reading = tokio::spawn(read(events, self.shown.clone(), stopped));
        self.online = Some(Online { client, stop, reading });
    }

    /// Says something to somebody; it is accepted in the end.
    pub async fn say(&mut self, to: &str, text: &str) {
        let sending = self.client().send(to, text).await.unwrap();
        let id = within(DEADLINE, "a message is accepted", sending.sent()).await.unwrap().id;
        self.last = Some((to.to_owned(), id));
        self.shown.view.lock().unwrap().say(id, &self.user, to, Some(text.to_owned()));
    }

    /// Says something in a group. Answers its id when it was accepted; otherwise this user is none of its members.
    pub async fn say_in(&mut self, group: &str, text: &str) -> Option<MessageId> {
        let sending = self.client().send_to_group(group, text).await.unwrap();
        match within(DEADLINE, "a message is answered", sending.sent()).await {
            Ok(sent) => {
                self.last_in = Some((group.to_owned(), sent.id));
                Some(sent.id)
            }
            Err(SendError::Refused { code: ErrorCode::NotAMember, .. }) => None,
            Err(other) => panic!("{self} in {group}: {other}"),
        }
    }

    /// Gives what it said last in a group another text.
    pub async fn edit_last_in_group(&self, text: &str) {
        if let Some((group, of)) = self.last_in.clone() {
            self.change_in(&group, of, Change::edit(text)).await;
        }
    }

    /// Takes back what it said last in a group, or wipes it.
    pub async fn take_back_last_in_group(&mut self, change: Change) {
        if let Some((group, of)) = self.last_in.take() {
            self.change_in(&group, of, change).await;
        }
    }

    /// Reacts to one of the messages that were shown in groups, or pins it.
    pub async fn change_any_in_group(&self, change: Change, rng: &mut SmallRng) {
        let any = {
            let view = self.shown.view.lock().unwrap();
            let said = view.groups.iter().flat_map(|(group, places)| places.iter().map(move |place| (group, place)));
            let ids = said.filter_map(|(group, place)| match &place.what {
                What::Said(_, id) => Some((group.clone(), id.parse::<MessageId>().unwrap())),
                _ => None,
            });
            ids.choose(rng)
        };
        if let Some((group, of)) = any {
            self.change_in(&group, of, change).await;
        }
    }

    /// Changes a message of a group. Who is no member, or came later, or whose message was taken back, changes nothing.
    async fn change_in(&self, group: &str, of: MessageId, change: Change) {
        let changing = self.client().change_in_group(group, of, change).await.unwrap();
        match within(DEADLINE, "a change is answered", changing.sent()).await {
            Ok(_) | Err(SendError::Refused { code: ErrorCode::NotFound | ErrorCode::NotAMember, .. }) => {}
            Err(other) => panic!("{self} changes {of} in {group}: {other}"),
        }
    }

    /// Has read one of the groups up to what was shown last.
    pub async fn read_group(&self, rng: &mut SmallRng) {
        let any = {
            let view = self.shown.view.lock().unwrap();
            let last = view.groups.iter().filter_map(|(group, places)| Some((group.clone(), places.last()?.seq)));
            last.choose(rng)
        };
        let Some((group, read_place)) = any else { return };
        let update = UpdateConversation { group, read_place: Some(read_place), ..UpdateConversation::default() };
        match within(DEADLINE, "it is marked", self.client().update_conversation(update)).await {
            Ok(_) | Err(RequestError::Refused { code: ErrorCode::NotAMember, .. }) => {}
            Err(other) => panic!("{self} reads: {other}"),
        }
    }

    /// Gives what it said last another text.
    pub async fn edit_last(&self, text: &str) {
        if let Some((to, of)) = &self.last {
            self.change(to, *of, Change::edit(text), |said| said.text = Some(text.to_owned())).await;
        }
    }

    /// Takes back what it said last, or wipes it.
    pub async fn take_back_last(&mut self, change: Change) {
        if let Some((to, of)) = self.last.take() {
            self.change(&to, of, change, |said| said.text = None).await;
        }
    }

    /// Pins one of the messages that were shown, which nobody takes off again: each side hears of pins in its own
    /// order.
    pub async fn pin(&self, rng: &mut SmallRng) {
        let any = {
            let view = self.shown.view.lock().unwrap();
            let others = view.said.iter().filter(|(_, said)| said.to == self.user && said.from != self.user);
            others
                .choose(rng)
                .map(|((stream, seq), said)| (said.from.clone(), MessageId { stream: *stream, seq: *seq }))
        };
        if let Some((with, of)) = any {
            self.change(&with, of, Change::pin(), |said| said.pinned = true).await;
        }
    }

    /// Says how the conversation with one of the others stands, read up to its last message.
    pub async fn set(&self, rng: &mut SmallRng) -> Option<(String, Settings)> {
        let with = {
            let view = self.shown.view.lock().unwrap();
            let said = view.said.values().choose(rng)?;
            if said.from == self.user { said.to.clone() } else { said.from.clone() }
        };
        let newest = HistoryQuery { limit: 1, ..HistoryQuery::default() };
        let page = within(DEADLINE, "a page", self.client().history(&*with, newest)).await.unwrap();
        let read_place = page.messages.first()?.place;
        let settings = Settings { read_place, muted: rng.random(), archived: rng.random(), favourite: rng.random() };
        let update = UpdateConversation {
            with: with.clone(),
            read_place: Some(read_place),
            mute_until_ms: Some(if settings.muted { i64::MAX } else { 0 }),
            archived: Some(settings.archived),
            favourite: Some(settings.favourite),
            ..UpdateConversation::default()
        };
        let set = within(DEADLINE, "it is set", self.client().update_conversation(update)).await.unwrap();
        assert_eq!(Settings::of(&set), settings, "{self} with {with}");
        Some((with, settings))
    }

    /// Reacts to one of the messages that were shown.
    pub async fn react(&self, rng: &mut SmallRng) {
        let view_of = || self.shown.view.lock().unwrap();
        let any = view_of()
            .said
            .iter()
            .filter(|(_, said)| said.to == self.user && said.text.is_some())
            .choose(rng)
            .map(|((stream, seq), said)| (said.from.clone(), MessageId { stream: *stream, seq: *seq }));
        if let Some((with, of)) = any {
            let reaction = (self.user.clone(), "\u{1f44d}".to_owned());
            self.change(&with, of, Change::react(&reaction.1), |said| _ = said.reactions.insert(reaction)).await;
        }
    }

    /// Changes a message. What the other side has taken back meanwhile, or does not have yet, is not there to be
    /// changed.
    async fn change(&self, with: &str, of: MessageId, change: Change, apply: impl FnOnce(&mut Said)) {
        let changing = self.client().change(with, of, change).await.unwrap();
        match within(DEADLINE, "a change is answered", changing.sent()).await {
            Ok(_) => apply(self.shown.view.lock().unwrap().said.entry((of.stream, of.seq)).or_default()),
            Err(SendError::Refused { code: ErrorCode::NotFound, .. }) => {}
            Err(other) => panic!("{self} changes {of:?}: {other}"),
        }
    }

    /// All messages between this user and others, as this device has them. What was taken back has no reactions.
    pub fn said(&self) -> BTreeMap<Id, Said> {
        let mut said = self.shown.view.lock().unwrap().said.clone();
        said.values_mut().filter(|said| said.text.is_none()).for_each(|said| said.reactions.clear());
        said
    }

    /// The same, between this user and another one.
    pub fn said_with(&self, other: &str) -> BTreeMap<Id, Said> {
        self.said().into_iter().filter(|(_, said)| said.from == other || said.to == other).collect()
    }

    /// What it was shown of a group.
    pub fn places(&self, group: &str) -> Vec<Place> {
        self.shown.view.lock().unwrap().groups.get(group).cloned().unwrap_or_default()
    }

    /// What it was shown of what was said in a group behind a place. What was taken back has no reactions.
    pub fn said_in(&self, group: &str, behind: u64) -> BTreeMap<u64, Said> {
        let mut said = self.shown.view.lock().unwrap().said_in.get(group).cloned().unwrap_or_default();
        said.retain(|place, _| *place > behind);
        said.values_mut().filter(|said| said.text.is_none()).for_each(|said| said.reactions.clear());
        said
    }

    /// All of this user's conversations, with users and in groups.
    async fn conversations(&self) -> Vec<Conversation> {
        let (mut found, mut page) = (Vec::new(), Vec::new());
        loop {
            let conversations = self.client().conversations(page, 3).await.unwrap();
            found.extend(conversations.conversations);
            page = conversations.next_page;
            if page.is_empty() {
                return found;
            }
        }
    }

    /// This user's conversations with groups.
    pub async fn conversations_with_groups(&self) -> BTreeMap<String, Conversation> {
        by_name(self.conversations().await, |one| &one.group)
    }

    /// This user's conversations with others.
    pub async fn conversations_with_others(&self) -> BTreeMap<String, Conversation> {
        by_name(self.conversations().await, |one| &one.with)
    }

    /// How many messages another user said behind a place.
    pub async fn said_behind(&self, with: &str, place: u64) -> u64 {
        let history = self.history(with).await.into_iter();
        history.filter(|one| one.place > place && one.message.as_ref().unwrap().from == with).count() as u64
    }

    /// Waits until it was told that a conversation stands so.
    pub async fn until_settings(&self, with: &str, settings: Settings) {
        let told = || self.shown.view.lock().unwrap().settings.get(with).copied().unwrap_or_default();
        within(DEADLINE, &format!("{self} knows {settings:?} with {with}"), self.until(|| told() == settings)).await;
    }

    /// Waits until it was shown such a place of a group.
    pub async fn until_place(&self, group: &str, is_it: impl Fn(&Place) -> bool) {
        let what = format!("{self} sees all of {group}");
        within(DEADLINE, &what, self.until(|| self.places(group).iter().any(&is_it))).await;
    }

    async fn until(&self, is_so: impl Fn() -> bool) {
        loop {
            let changed = self.shown.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if is_so() {
                return;
            }
            changed.await;
        }
    }

    /// Waits until the servers' history of this user is what this device was shown.
    pub async fn sees_what_the_servers_hold(&self) {
        let mut told = 0;
        while self.said() != self.held().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
            told += 1;
            if told == 500 {
                // Soon it will have taken too long.
                println!("{self} has {:#?}\nand the servers {:#?}", self.said(), self.held().await);
            }
        }
    }

    /// Everything in all conversations of this user with others.
    async fn held(&self) -> BTreeMap<Id, Said> {
        let mut held = BTreeMap::new();
        for with in self.conversations_with_others().await.keys() {
            for message in self.history(with).await.into_iter().filter_map(|one| one.message) {
                let MessageId { stream, seq } = message.id.unwrap();
                held.insert((stream, seq), said_of(&message));
            }
        }
        held
    }

    /// What the servers hold of a group for this user, by its places.
    pub async fn held_of(&self, group: &str) -> BTreeMap<u64, Said> {
        let (mut held, mut before) = (BTreeMap::new(), 0);
        loop {
            let query = HistoryQuery { before, limit: 7, ..HistoryQuery::default() };
            let page = self.client().group_history(group, query).await.unwrap();
            for HistoryMessage { place, message, .. } in &page.messages {
                held.insert(*place, said_of(message.as_ref().unwrap()));
            }
            match page.messages.first() {
                Some(first) if page.more => before = first.place,
                _ => return held,
            }
        }
    }

    /// The whole conversation with another user, the newest page first.
    async fn history(&self, with: &str) -> Vec<HistoryMessage> {
        let (mut history, mut before) = (Vec::new(), 0);
        loop {
            let query = HistoryQuery { before, limit: 7, ..HistoryQuery::default() };
            let page = self.client().history(with, query).await.unwrap();
            let first = page.messages.first().map(|first| first.place);
            history.extend(page.messages);
            match first {
                Some(first) if page.more => before = first,
                _ => return history,
            }
        }
    }
}

/// Those that have a name of this kind, each once.
fn by_name(all: Vec<Conversation>, name: impl Fn(&Conversation) -> &String) -> BTreeMap<String, Conversation> {
    let mut found = BTreeMap::new();
    for one in all.into_iter().filter(|one| !name(one).is_empty()) {
        let name = name(&one).clone();
        assert!(found.insert(name.clone(), one).is_none(), "{name} is listed twice");
    }
    found
}
