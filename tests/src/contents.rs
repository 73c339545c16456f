//! What a message can say, and what is pinned, in a conversation and in a group: it comes as it was sent to whoever is
//! there, waits so for whoever is not, and stands so in the history.

use tidings_sdk::change::Kind;
use tidings_sdk::content::{location, mentioning};
use tidings_sdk::{
    Change, ChangeEvent, Client, Content, Event, Events, HistoryQuery, Mention, MessageId, Outgoing, Priority,
};

use crate::answers::{changed, changed_in, sent};
use crate::{Control, DEADLINE, told, within};

/// Alice with two devices, and bob with one and another that is away. Their messages, to each other and in their group.
pub struct Talk {
    alice: Client,
    alices: Events,
    laptop: Events,
    bob: Client,
    bobs: Events,
    bob_token: String,
    said: [Vec<(MessageId, Content)>; 2],
    _laptop: Client,
}

/// The conversation, and the group.
const PLACES: [bool; 2] = [false, true];

/// Everything that a content can say beside typed fields, polls and files, which have tests of their own.
fn contents(earlier: MessageId) -> Vec<Content> {
    let text = |text: &str| Content { text: text.to_owned(), ..Content::default() };
    let urgent = Priority::Urgent.into();
    let everybody = Mention { user: String::new(), start: 0, length: 4 };
    vec![
        Content { title: "Minutes".to_owned(), ..text("all agreed") },
        Content { r#type: 7_001, data: vec![0, 255, 0, 1].into(), ..Content::default() },
        Content { reply_to: Some(earlier), thread: "budget".to_owned(), ..text("not all of us") },
        Content { forwarded: true, fields: [("lang".to_owned(), "en".to_owned())].into(), ..text("from elsewhere") },
        Content { priority: urgent, ..mentioning("@bob and @alice: fire!", &["bob", "alice"]) },
        Content { priority: Priority::Low.into(), mentions: vec![everybody], ..text("@all: tea") },
        Content { priority: Priority::High.into(), location: location(47.37, 8.54), ..Content::default() },
    ]
}

fn message(event: Event) -> Option<(MessageId, Content)> {
    match event {
        Event::Message(message) => Some((message.id(), message.content().cloned().unwrap_or_default())),
        Event::Sent(copy) => Some((copy.id?, copy.content?)),
        _ => None,
    }
}

fn pin(event: Event) -> Option<ChangeEvent> {
    match event {
        Event::Changed(change) if change.kind() == Kind::Pin => Some(change),
        _ => None,
    }
}

impl Talk {
    /// `online` opens a client for a token and a device.
    pub async fn open(control: &Control, mut online: impl AsyncFnMut(&str, &str) -> (Client, Events)) -> Self {
        let (alice_token, bob_token) = (control.user("alice").await, control.user("bob").await);
        control.group("team", &["alice", "bob"]).await;
        online(&bob_token, "tablet").await.0.close().await;
        let (alice, alices) = online(&alice_token, "phone").await;
        let (_laptop, laptop) = online(&alice_token, "laptop").await;
        let (bob, bobs) = online(&bob_token, "phone").await;
        Self { alice, alices, laptop, bob, bobs, bob_token, said: [Vec::new(), Vec::new()], _laptop }
    }

    /// Alice says all that can be said: bob is shown it, and so is her other device.
    pub async fn says_all(&mut self) {
        for in_group in PLACES {
            let said = &mut self.said[usize::from(in_group)];
            let earlier = say(&self.alice, in_group, Content { text: "first".into(), ..Content::default() }).await;
            said.push(earlier.clone());
            for content in contents(earlier.0) {
                said.push(say(&self.alice, in_group, content).await);
            }
            for expected in said {
                for events in [&mut self.bobs, &mut self.laptop] {
                    assert_eq!(told(events, "it comes", message).await, *expected, "in the group: {in_group}");
                }
            }
        }
    }

    /// Each pins what the other can see, and takes it back: the other is told, and the history has it.
    pub async fn pins(&mut self) {
        for in_group in PLACES {
            let [first, second] = [0, 1].map(|at| self.said[usize::from(in_group)][at].0);
            self.change(in_group, &self.bob, "alice", first, Change::pin()).await;
            self.change(in_group, &self.bob, "alice", second, Change::pin()).await;
            for events in [&mut self.alices, &mut self.laptop] {
                is_told(events, in_group, "bob", (first, false)).await;
                is_told(events, in_group, "bob", (second, false)).await;
            }
            self.both_have_pinned(in_group, &[first, second]).await;
            self.change(in_group, &self.alice, "bob", first, Change::pin().off()).await;
            // Whoever changes something in a group is told it too.
            let mut change = told(&mut self.bobs, "bob is told", pin).await;
            while change.from == "bob" {
                change = told(&mut self.bobs, "bob is told", pin).await;
            }
            assert_eq!((change.from.as_str(), change.of, change.off), ("alice", Some(first), true));
            is_told(&mut self.laptop, in_group, "alice", (first, true)).await;
            self.both_have_pinned(in_group, &[second]).await;
        }
    }

    /// The device that was away is given all of it in order, and both read the same in the history.
    pub async fn who_was_away_has_it_all(&self, mut online: impl AsyncFnMut(&str, &str) -> (Client, Events)) {
        let (_tablet, mut events) = online(&self.bob_token, "tablet").await;
        let (mut came, mut pins) = (Vec::new(), Vec::new());
        told(&mut events, "all that waited comes", |event| match event {
            Event::CaughtUp => Some(()),
            Event::Changed(change) => {
                pins.push((change.of.unwrap(), change.off));
                None
            }
            event => {
                came.extend(message(event));
                None
            }
        })
        .await;
        // The conversation and the group have each their own order.
        let ids = self.said.each_ref().map(|said| said.iter().map(|(id, _)| *id).collect::<Vec<_>>());
        for (said, ids) in self.said.iter().zip(&ids) {
            let of_place: Vec<_> = came.iter().filter(|(id, _)| ids.contains(id)).cloned().collect();
            assert_eq!(of_place, *said);
            let of_place: Vec<_> = pins.iter().filter(|(of, _)| ids.contains(of)).copied().collect();
            assert_eq!(of_place, [(ids[0], false), (ids[1], false), (ids[0], true)]);
        }
        assert_eq!(came.len(), ids.concat().len(), "{came:?}");
        for in_group in PLACES {
            for (client, with) in [(&self.bob, "alice"), (&self.alice, "bob")] {
                let kept: Vec<_> = history(client, with, in_group).await.into_iter().map(|(said, _)| said).collect();
                assert_eq!(kept, self.said[usize::from(in_group)], "with {with}, in the group: {in_group}");
            }
        }
    }

    async fn change(&self, in_group: bool, client: &Client, with: &str, of: MessageId, change: Change) {
        match in_group {
            true => changed_in(client, "team", of, change).await.unwrap(),
            false => changed(client, with, of, change).await.unwrap(),
        };
    }

    /// The other side's history has it at once, and one's own when it has come back.
    async fn both_have_pinned(&self, in_group: bool, pinned: &[MessageId]) {
        for (client, with) in [(&self.bob, "alice"), (&self.alice, "bob")] {
            within(DEADLINE, "the history says what is pinned", async {
                loop {
                    let kept = history(client, with, in_group).await.into_iter();
                    let are: Vec<_> = kept.filter(|(_, is_pinned)| *is_pinned).map(|((id, _), _)| id).collect();
                    if are == pinned {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
            })
            .await;
        }
    }
}

async fn say(client: &Client, in_group: bool, content: Content) -> (MessageId, Content) {
    let outgoing = match in_group {
        true => Outgoing::to_group("team", content.clone()),
        false => Outgoing::new("bob", content.clone()),
    };
    (sent(client, outgoing).await.unwrap(), content)
}

/// The next pin that a device is told.
async fn is_told(events: &mut Events, in_group: bool, by: &str, pinned: (MessageId, bool)) {
    let change = told(events, "a pin is told", pin).await;
    assert_eq!((change.of.unwrap(), change.off), pinned);
    assert_eq!((change.from.as_str(), change.group.as_str()), (by, if in_group { "team" } else { "" }));
}

/// What is kept of the conversation or the group, and whether it is pinned.
async fn history(client: &Client, with: &str, in_group: bool) -> Vec<((MessageId, Content), bool)> {
    let query = HistoryQuery::default();
    let page = match in_group {
        true => within(DEADLINE, "a page", client.group_history("team", query)).await.unwrap(),
        false => within(DEADLINE, "a page", client.history(with, query)).await.unwrap(),
    };
    let kept = page.messages.into_iter().map(|one| one.message.unwrap());
    kept.map(|message| ((message.id.unwrap(), message.content.unwrap()), message.pinned)).collect()
}
