//! A device of somebody, with everything that it was shown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::seq::IteratorRandom as _;
use tidings_proto::message::v1 as message;
use tidings_sdk::change::Kind;
use tidings_sdk::{
    AckMode, Change, ChangeEvent, Client, Content, Conversation, ErrorCode, Event, Events, FileStore, HistoryMessage,
    HistoryQuery, MessageId, Reaction, RequestError, SendError, UpdateConversation,
};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use crate::group_view::{Place, What};
use crate::{DEADLINE, within};

/// A message's stream and number.
type Id = (u64, u64);

/// What is known of a message between two people, or in a group, whichever side knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// Who said it.
    pub from: String,
    to: String,
    /// None: it was taken back.
    pub text: Option<String>,
    reactions: BTreeSet<(String, String)>,
}

/// All that a device was shown.
#[derive(Debug, Default)]
struct View {
    said: BTreeMap<Id, Said>,
    groups: BTreeMap<String, Vec<Place>>,
    /// What was said in groups, by its places.
    said_in: BTreeMap<String, BTreeMap<u64, Said>>,
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

    /// Gives what it said last in a group another text, or takes it back.
    pub async fn change_last_in_group(&mut self, text: &str, takes_back: bool) {
        let change = if takes_back { Change::recall() } else { Change::edit(text) };
        let last = if takes_back { self.last_in.take() } else { self.last_in.clone() };
        if let Some((group, of)) = last {
            self.change_in(&group, of, change).await;
        }
    }

    /// Reacts to one of the messages that were shown in groups.
    pub async fn react_in_group(&self, rng: &mut SmallRng) {
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
            self.change_in(&group, of, Change::react("\u{1f44d}")).await;
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

    /// What it was shown of what was said in a group behind a place. What was taken back has no reactions.
    pub fn said_in(&self, group: &str, behind: u64) -> BTreeMap<u64, Said> {
        let mut said = self.shown.view.lock().unwrap().said_in.get(group).cloned().unwrap_or_default();
        said.retain(|place, _| *place > behind);
        said.values_mut().filter(|said| said.text.is_none()).for_each(|said| said.reactions.clear());
        said
    }

    /// This user's conversations with groups.
    pub async fn conversations_with_groups(&self) -> BTreeMap<String, Conversation> {
        let (mut found, mut page) = (BTreeMap::new(), Vec::new());
        loop {
            let conversations = self.client().conversations(page, 3).await.unwrap();
            let groups = conversations.conversations.into_iter().filter(|one| !one.group.is_empty());
            for one in groups {
                assert!(found.insert(one.group.clone(), one).is_none(), "a group is listed twice");
            }
            page = conversations.next_page;
            if page.is_empty() {
                return found;
            }
        }
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

    async fn read_back(&self, with: &str, held: &mut BTreeMap<Id, Said>) {
        let mut before = 0;
        loop {
            let query = HistoryQuery { before, limit: 7, ..HistoryQuery::default() };
            let page = self.client().history(with, query).await.unwrap();
            for message in page.messages.iter().filter_map(|one| one.message.as_ref()) {
                let MessageId { stream, seq } = message.id.unwrap();
                held.insert((stream, seq), said_of(message));
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
        let said = if change.group.is_empty() {
            self.said.entry((stream, seq)).or_default()
        } else {
            self.place(&change.group, change.group_seq, What::Changed(change.of_group_seq));
            let said = self.said_in.entry(change.group.clone()).or_default();
            said.get_mut(&change.of_group_seq).expect("a message comes before its changes")
        };
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
                        let what = What::Said(message.from().to_owned(), message.id().to_string());
                        view.place(group, message.group_seq(), what);
                        let said = Said { reactions: BTreeSet::new(), ..said_of(message.as_proto()) };
                        view.said_in.entry(group.to_owned()).or_default().insert(message.group_seq(), said);
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

fn said_of(message: &message::Message) -> Said {
    let to = if message.group.is_empty() { &message.to } else { &message.group };
    Said {
        from: message.from.clone(),
        to: to.clone(),
        text: text(&message.content),
        reactions: message.reactions.iter().map(pair).collect(),
    }
}

fn pair(reaction: &Reaction) -> (String, String) {
    (reaction.from.clone(), reaction.emoji.clone())
}
