//! What a device was shown: messages, what became of them, and how conversations stand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use tidings_proto::message::v1 as message;
use tidings_sdk::change::Kind;
use tidings_sdk::{ChangeEvent, Content, Conversation, Event, Events, MessageId, Reaction};
use tokio::sync::{Notify, oneshot};

use crate::group_view::{Place, What};

/// A message's stream and number.
pub type Id = (u64, u64);

/// What is known of a message between two people, or in a group, whichever side knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// Who said it.
    pub from: String,
    pub(super) to: String,
    /// None: it was taken back, or wiped.
    pub text: Option<String>,
    pub(super) reactions: BTreeSet<(String, String)>,
    /// By either side.
    pub pinned: bool,
}

/// How a user's conversation with another stands, as far as the user says it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settings {
    /// Read up to here.
    pub read_place: u64,
    /// For ever.
    pub muted: bool,
    /// Out of the way.
    pub archived: bool,
    /// On top.
    pub favourite: bool,
}

impl Settings {
    /// Those of a conversation.
    pub fn of(conversation: &Conversation) -> Self {
        let Conversation { read_place, archived, favourite, .. } = *conversation;
        Self { read_place, muted: conversation.mute_until_ms == i64::MAX, archived, favourite }
    }
}

/// All that a device was shown.
#[derive(Debug, Default)]
pub(super) struct View {
    pub said: BTreeMap<Id, Said>,
    pub groups: BTreeMap<String, Vec<Place>>,
    /// What was said in groups, by its places.
    pub said_in: BTreeMap<String, BTreeMap<u64, Said>>,
    /// How the conversations with others stand.
    pub settings: BTreeMap<String, Settings>,
}

/// What a device was shown, and whoever waits for more of it.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub view: Mutex<View>,
    pub changed: Notify,
}

impl View {
    pub fn say(&mut self, id: MessageId, from: &str, to: &str, text: Option<String>) {
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
            Kind::Pin => said.pinned = !change.off,
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

/// Takes down what comes, until it is stopped.
pub(super) async fn read(mut events: Events, shown: Arc<Shared>, mut stopped: oneshot::Receiver<()>) -> Events {
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
                        // What was done to it comes behind it.
                        let said = Said { reactions: BTreeSet::new(), pinned: false, ..said_of(message.as_proto()) };
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
            Event::Conversation(conversation) if conversation.group.is_empty() => {
                view.settings.insert(conversation.with.clone(), Settings::of(&conversation));
            }
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

/// What the servers hold of a message. What was taken back or wiped has no reactions: each side hears of them in its
/// own order.
pub(super) fn said_of(message: &message::Message) -> Said {
    let to = if message.group.is_empty() { &message.to } else { &message.group };
    Said {
        from: message.from.clone(),
        to: to.clone(),
        text: text(&message.content),
        reactions: message.reactions.iter().filter(|_| message.content.is_some()).map(pair).collect(),
        pinned: message.pinned,
    }
}

fn pair(reaction: &Reaction) -> (String, String) {
    (reaction.from.clone(), reaction.emoji.clone())
}
