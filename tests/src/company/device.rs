//! A device of somebody, with everything that it was shown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::seq::IteratorRandom as _;
use tidings_sdk::change::Kind;
use tidings_sdk::{
    AckMode, Change, ChangeEvent, Client, Content, ErrorCode, Event, Events, FileStore, HistoryMessage, HistoryQuery,
    MessageId, Reaction, SendError,
};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use crate::group_view::{Place, What};
use crate::{DEADLINE, within};

/// A message's stream and number.
type Id = (u64, u64);

/// What is known of a message between two people, whichever side knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    from: String,
    to: String,
    /// None: it was taken back.
    text: Option<String>,
    reactions: BTreeSet<(String, String)>,
}

/// All that a device was shown.
#[derive(Debug, Default)]
struct View {
    said: BTreeMap<Id, Said>,
    groups: BTreeMap<String, Vec<Place>>,
}

#[derive(Debug, Default)]
struct Shared {
    view: Mutex<View>,
    changed: Notify,
}

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

    /// Says something in a group. Answers whether it was accepted; otherwise this user is none of its members.
    pub async fn say_in(&self, group: &str, text: &str) -> bool {
        let sending = self.client().send_to_group(group, text).await.unwrap();
        match within(DEADLINE, "a message is answered", sending.sent()).await {
            Ok(_) => true,
            Err(SendError::Refused { code: ErrorCode::NotAMember, .. }) => false,
            Err(other) => panic!("{self} in {group}: {other}"),
        }
    }

    /// Gives what it said last another text.
    pub async fn edit_last(&self, text: &str) {
        if let Some((to, of)) = &self.last {
            self.change(to, *of, Change::edit(text), |said| said.text = Some(text.to_owned())).await;
        }
    }

    /// Takes back what it said last.
    pub async fn recall_last(&mut self) {
        if let Some((to, of)) = self.last.take() {
            self.change(&to, of, Change::recall(), |said| said.text = None).await;
        }
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

    /// Changes a message. What the other side has taken back meanwhile, or does not have yet, is not there to be changed.
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

    /// Everything in all conversations of this user.
    async fn held(&self) -> BTreeMap<Id, Said> {
        let (mut held, mut page) = (BTreeMap::new(), Vec::new());
        loop {
            let conversations = self.client().conversations(page, 3).await.unwrap();
            for conversation in conversations.conversations.iter().filter(|one| one.group.is_empty()) {
                self.read_back(&conversation.with, &mut held).await;
            }
            page = conversations.next_page;
            if page.is_empty() {
                return held;
            }
        }
    }

    /// What the servers hold of a group for this user.
    pub async fn held_of(&self, group: &str) -> Vec<Place> {
        let (mut held, mut before) = (Vec::new(), 0);
        loop {
            let query = HistoryQuery { before, limit: 7, ..HistoryQuery::default() };
            let page = self.client().group_history(group, query).await.unwrap();
            let said = |one: &HistoryMessage| {
                let message = one.message.clone().unwrap();
                Place { seq: one.place, what: What::Said(message.from, text(&message.content).unwrap()) }
            };
            held.splice(0..0, page.messages.iter().map(said));
            match page.messages.first() {
                Some(first) if page.more => before = first.place,
                _ => return held,
            }
        }
    }

    async fn read_back(&self, with: &str, held: &mut BTreeMap<Id, Said>) {
        let mut before = 0;
        loop {
            let query = HistoryQuery { before, limit: 7, ..HistoryQuery::default() };
            let page = self.client().history(with, query).await.unwrap();
            for message in page.messages.iter().filter_map(|one| one.message.as_ref()) {
                let MessageId { stream, seq } = message.id.unwrap();
                let (from, to, text) = (message.from.clone(), message.to.clone(), text(&message.content));
                let reactions = message.reactions.iter().map(pair).collect();
                held.insert((stream, seq), Said { from, to, text, reactions });
            }
            match page.messages.first() {
                Some(first) if page.more => before = first.place,
                _ => return,
            }
        }
    }
}

impl View {
    fn say(&mut self, id: MessageId, from: &str, to: &str, text: Option<String>) {
        // A reaction can be told before the answer.
        let said = self.said.entry((id.stream, id.seq)).or_default();
        (said.from, said.to, said.text) = (from.to_owned(), to.to_owned(), text);
    }

    fn change(&mut self, change: &ChangeEvent) {
        let MessageId { stream, seq } = change.of.unwrap();
        let said = self.said.entry((stream, seq)).or_default();
        let reaction = (change.from.clone(), change.emoji.clone());
        match change.kind() {
            Kind::Edit => said.text = text(&change.content),
            Kind::Recall | Kind::Wipe => said.text = None,
            Kind::React if change.off => _ = said.reactions.remove(&reaction),
            Kind::React => _ = said.reactions.insert(reaction),
            other => panic!("nobody does this: {other:?}"),
        }
    }

    /// Places rise: none comes twice, and none after a later one.
    fn place(&mut self, group: &str, seq: u64, what: What) {
        let places = self.groups.entry(group.to_owned()).or_default();
        assert!(
            places.last().is_none_or(|last| last.seq < seq),
            "{group}: {what:?} at {seq} after {:?}",
            places.last()
        );
        places.push(Place { seq, what });
    }
}

async fn read(mut events: Events, shown: Arc<Shared>, mut stopped: oneshot::Receiver<()>) -> Events {
    loop {
        let event = tokio::select! {
            event = events.next() => event.expect("the client goes on"),
            _ = &mut stopped => return events,
        };
        let mut view = shown.view.lock().unwrap();
        match event {
            Event::Message(message) => {
                match message.group() {
                    Some(group) => {
                        let what = What::Said(message.from().to_owned(), message.text().to_owned());
                        view.place(group, message.group_seq(), what);
                    }
                    None => {
                        let to = message.as_proto().to.clone();
                        view.say(message.id(), message.from(), &to, text(&message.as_proto().content));
                    }
                }
                message.ack();
            }
            Event::Sent(copy) => view.say(copy.id.unwrap(), &copy.from, &copy.to, text(&copy.content)),
            Event::Changed(change) => view.change(&change),
            Event::GroupEvent(event) => {
                let what = What::Happened(event.kind(), event.users.clone());
                view.place(&event.group, event.group_seq, what);
            }
            Event::UnknownRange { from, to } => panic!("entries {from} to {to} may be lost"),
            _ => {}
        }
        drop(view);
        shown.changed.notify_waiters();
    }
}

fn text(content: &Option<Content>) -> Option<String> {
    content.as_ref().map(|content| content.text.clone())
}

fn pair(reaction: &Reaction) -> (String, String) {
    (reaction.from.clone(), reaction.emoji.clone())
}
