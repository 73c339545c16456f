//! Three people among more than a thousand: who has what alice says and who reads it she is told, as numbers.

use tidings_proto::control::v1::{GetGroupMessageStatusRequest, GroupMessageStatus, SendMessageRequest, SentMessage};
use tidings_proto::message::v1::Content;
use tidings_sdk::{Client, Event, Events, GroupReceipt, Message};
use tokio::task::JoinHandle;

use crate::{Control, DEADLINE, told, within};

const GROUP: &str = "team";
/// With these more of them it is known how many, and not who.
const STRANGERS: usize = 1_000;

/// The three, while others come.
pub struct Crowd {
    control: Control,
    alice: Client,
    alices: Events,
    bob: Client,
    /// Until bob only deals with what comes.
    bobs: Option<Events>,
    carol_token: String,
    /// Where she spoke to few, and to many.
    places: Vec<u64>,
    posted: Option<SentMessage>,
}

impl Crowd {
    /// Alice and bob, who are online, and carol, who is not yet.
    pub async fn open(control: &Control, mut online: impl AsyncFnMut(&str) -> (Client, Events)) -> Self {
        let (alice, bob) = (control.user("alice").await, control.user("bob").await);
        let carol_token = control.user("carol").await;
        control.group(GROUP, &["alice", "bob", "carol"]).await;
        let (alice, alices) = online(&alice).await;
        let (bob, bobs) = online(&bob).await;
        alice.watch_group_receipts(GROUP).await.unwrap();
        let control = control.clone();
        Self { control, alice, alices, bob, bobs: Some(bobs), carol_token, places: Vec::new(), posted: None }
    }

    /// She speaks to few, the others come, and she speaks to many: bob reads all of it, and she is told how many did.
    pub async fn comes_together(&mut self) {
        self.is_read_by_bob("to few", 2).await;
        let strangers: Vec<_> = (0..STRANGERS).map(|number| format!("stranger-{number:04}")).collect();
        self.control.create_users(strangers.clone()).await;
        self.control.add(GROUP, &strangers.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let joined = |event| matches!(event, Event::GroupEvent(told) if told.users.len() == STRANGERS).then_some(());
        told(&mut self.alices, "the others join", joined).await;
        self.is_read_by_bob("to many", 1_002).await;
        self.is(0, (2, 1, 1)).await;
    }

    async fn is_read_by_bob(&mut self, text: &str, members: u32) {
        let sent = self.alice.send_to_group(GROUP, text).await.unwrap();
        within(DEADLINE, "it is sent", sent.sent()).await.unwrap();
        let got = self.hears(text).await;
        self.bob.mark_read(&got).await.unwrap();
        let place = got.group_seq();
        self.places.push(place);
        is_told(&mut self.alices, place, (members, 1, 1)).await;
    }

    async fn hears(&mut self, text: &str) -> Message {
        told(self.bobs.as_mut().unwrap(), text, |event| match event {
            Event::Message(message) if message.text() == text => Some(message),
            _ => None,
        })
        .await
    }

    /// Whoever counts has died, and others know as much. A backend speaks too.
    pub async fn goes_on(&mut self) {
        self.is(0, (2, 1, 1)).await;
        self.is(1, (1_002, 1, 1)).await;
        let request = SendMessageRequest {
            group: GROUP.to_owned(),
            content: Some(Content { text: "posted".to_owned(), ..Content::default() }),
            request_id: "once".to_owned(),
            ..SendMessageRequest::default()
        };
        self.posted = Some(self.control.send_once(request).await);
        let got = self.hears("posted").await;
        self.bob.mark_read(&got).await.unwrap();
        // Alice has it too, whose client deals with it while she waits for the rest.
        let has = |status: &GroupMessageStatus| (status.members, status.read) == (1_003, 1);
        self.status("bob read what was posted", has).await;
    }

    /// Carol comes, is given all of it, and reads it.
    pub async fn is_complete(mut self, mut online: impl AsyncFnMut(&str) -> (Client, Events)) {
        let (carol, mut carols) = online(&self.carol_token).await;
        let last = told(&mut carols, "carol has all of it", |event| match event {
            Event::Message(message) if message.text() == "posted" => Some(message),
            _ => None,
        })
        .await;
        carol.mark_read(&last).await.unwrap();
        // What they were shown they have dealt with.
        let mut bobs = self.bobs.take().unwrap();
        let bobs = tokio::spawn(async move { while bobs.next().await.is_some() {} });
        let carols = tokio::spawn(async move { while carols.next().await.is_some() {} });
        is_told(&mut self.alices, self.places[1], (1_002, 2, 2)).await;
        self.is(0, (2, 2, 2)).await;
        self.is(1, (1_002, 2, 2)).await;
        self.status("all three have it, and two read it", |status| (status.delivered, status.read) == (3, 2)).await;
        [bobs, carols].iter().for_each(JoinHandle::abort);
    }

    /// Waits until she is answered so of what she said there: for how many it was, how many have it, and how many read
    /// it.
    async fn is(&self, which: usize, expected: (u32, u32, u32)) {
        within(DEADLINE, "she is answered", async {
            loop {
                // While leaders change nobody may answer.
                let Ok(asked) = self.alice.group_receipts(GROUP, self.places[which]).await else { continue };
                assert!(asked.delivered_to.is_empty() && asked.times.is_empty(), "it is not known who");
                if (asked.members, asked.delivered, asked.read) == expected {
                    return;
                }
            }
        })
        .await;
    }

    async fn status(&self, what: &str, is_so: impl Fn(&GroupMessageStatus) -> bool) {
        let id = self.posted.as_ref().map(|posted| posted.id.clone()).unwrap_or_default();
        let request =
            GetGroupMessageStatusRequest { group: GROUP.to_owned(), id, ..GetGroupMessageStatusRequest::default() };
        within(DEADLINE, what, async {
            loop {
                let status = self.control.messages.clone().get_group_message_status(request.clone()).await;
                if status.is_ok_and(|status| is_so(status.get_ref())) {
                    return;
                }
            }
        })
        .await;
    }
}

async fn is_told(events: &mut Events, place: u64, expected: (u32, u32, u32)) {
    let of = |receipt: &GroupReceipt| receipt.messages.iter().find(|one| one.group_seq == place).copied();
    told(events, "she is told", |event| match event {
        Event::GroupReceipt(receipt) => of(&receipt).filter(|one| (one.members, one.delivered, one.read) == expected),
        _ => None,
    })
    .await;
}
