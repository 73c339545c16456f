//! How long messages may be edited, recalled and wiped, by the policy of whoever sent them: within the window it goes,
//! beyond it is too late.

use futures_util::future::join_all;
use tidings_node::Clock;
use tidings_proto::policy::v1::Policy;
use tidings_sdk::change::Kind;
use tidings_sdk::{Change, Client, ErrorCode, Events, HistoryMessage, HistoryQuery, MessageId, Outgoing};

use crate::answers::{changed, changed_in, sent};
use crate::{Control, DEADLINE, within};

/// Long enough for a message and its change on a slow machine.
const SHORT_SECONDS: u32 = 6;
const LONG_SECONDS: u32 = 3600;
const KINDS: [Kind; 3] = [Kind::Edit, Kind::Recall, Kind::Wipe];

/// Two users, each with a short window for something else, the owner of a group of theirs, and whom they write to; all
/// online.
pub struct Writers {
    control: Control,
    writers: [Writer; 2],
    owner: Client,
    reader: Client,
    _events: Vec<Events>,
}

struct Writer {
    name: &'static str,
    client: Client,
    /// What the user's policy lets be done for a short time alone.
    short: &'static [Kind],
    /// What was said and left as it was, by what will be done to it.
    kept: Vec<(Kind, Said)>,
}

#[derive(Clone, Copy)]
struct Said {
    in_group: bool,
    id: MessageId,
    before_ms: i64,
    after_ms: i64,
}

fn now_ms() -> i64 {
    Clock::system().now_ms()
}

fn windows(id: &str, edit: u32, recall: u32) -> Policy {
    let (edit_window_seconds, recall_window_seconds) = (Some(edit), Some(recall));
    Policy { id: id.to_owned(), edit_window_seconds, recall_window_seconds, ..Policy::default() }
}

impl Writers {
    /// Makes the users, their policies and their group. `online` opens a client for a token.
    pub async fn open(control: &Control, mut online: impl AsyncFnMut(&str) -> (Client, Events)) -> Self {
        control.create_policy(windows("edits", SHORT_SECONDS, LONG_SECONDS)).await;
        control.create_policy(windows("recalls", LONG_SECONDS, SHORT_SECONDS)).await;
        let (mut clients, mut all) = (Vec::new(), Vec::new());
        for (name, policy) in [("alice", "edits"), ("carol", "recalls"), ("olga", ""), ("bob", "")] {
            let token = control.user(name).await;
            control.assign_policy(name, policy).await;
            let (client, events) = online(&token).await;
            clients.push(client);
            all.push(events);
        }
        control.group("team", &["olga", "alice", "carol"]).await;
        let [alice, carol, owner, reader] = clients.try_into().expect("four users");
        let writers = [
            Writer { name: "alice", client: alice, short: &[Kind::Edit], kept: Vec::new() },
            Writer { name: "carol", client: carol, short: &[Kind::Recall, Kind::Wipe], kept: Vec::new() },
        ];
        Self { control: control.clone(), writers, owner, reader, _events: all }
    }

    /// Within the windows all changes go.
    pub async fn change_in_time(&mut self) {
        for writer in &mut self.writers {
            for (kind, in_group) in KINDS.into_iter().flat_map(|kind| [(kind, false), (kind, true)]) {
                let kept = writer.say(in_group).await;
                writer.kept.push((kind, kept));
                let said = writer.say(in_group).await;
                assert_eq!(writer.change(said, kind).await, Ok(()), "{kind:?} by {}", writer.name);
            }
        }
    }

    /// What has a short window is refused beyond it, and the rest goes. Who manages the group takes back what others
    /// said in it, whenever that was.
    pub async fn change_too_late(&self) {
        let short = self.writers.iter().flat_map(|writer| writer.short.iter().map(move |kind| (writer, *kind)));
        join_all(short.map(|(writer, kind)| async move {
            tokio::join!(writer.until_too_late(kind, false), writer.until_too_late(kind, true));
        }))
        .await;
        // What was kept is older than what is too late by now.
        for writer in &self.writers {
            for (kind, said) in &writer.kept {
                let expected = if writer.short.contains(kind) { Err(ErrorCode::TooLate) } else { Ok(()) };
                let in_group = said.in_group;
                assert_eq!(writer.change(*said, *kind).await, expected, "{kind:?} by {}, {in_group}", writer.name);
            }
        }
        let recalled = self.writers[1].kept_in_group(Kind::Recall);
        changed_in(&self.owner, "team", recalled.id, Change::recall()).await.expect("who manages the group may");
    }

    /// What is read is what the changes left that were in time.
    pub async fn reader_sees_what_was_changed_in_time(&self) {
        // The two of each kind, kept and changed at once, and what was changed until it was too late.
        let alices = ["said", "edited", "-", "-", "-", "-", "edited"];
        let carols = ["edited", "edited", "said", "-", "said", "-", "-", "-"];
        for (writer, expected) in self.writers.iter().zip([&alices[..], &carols[..]]) {
            assert_eq!(texts(&self.reader, writer.name).await, expected, "by {}", writer.name);
        }
    }

    /// A policy that allows more does so in the session that there is, of earlier messages too.
    pub async fn change_by_a_longer_window(&self) {
        self.control.set_policy(windows("edits", LONG_SECONDS, LONG_SECONDS), &["edit_window_seconds"]).await;
        let alice = &self.writers[0];
        let kept = alice.kept_in_group(Kind::Edit);
        within(DEADLINE, "the longer window holds", async {
            while let Err(code) = alice.change(kept, Kind::Edit).await {
                assert_eq!(code, ErrorCode::TooLate);
            }
        })
        .await;
    }
}

impl Writer {
    async fn say(&self, in_group: bool) -> Said {
        let outgoing = if in_group { Outgoing::to_group("team", "said") } else { Outgoing::new("bob", "said") };
        let before_ms = now_ms();
        let id = sent(&self.client, outgoing).await.expect("it is sent");
        Said { in_group, id, before_ms, after_ms: now_ms() }
    }

    async fn change(&self, said: Said, kind: Kind) -> Result<(), ErrorCode> {
        let change = match kind {
            Kind::Edit => Change::edit("edited"),
            Kind::Recall => Change::recall(),
            _ => Change::wipe(),
        };
        let done = match said.in_group {
            true => changed_in(&self.client, "team", said.id, change).await,
            false => changed(&self.client, "bob", said.id, change).await,
        };
        done.map(drop)
    }

    /// Changes another message until it is too late, which it is from the end of the window on, and not before. The
    /// clock is that of the brokers, on the same machine.
    async fn until_too_late(&self, kind: Kind, in_group: bool) {
        let (said, window_ms) = (self.say(in_group).await, i64::from(SHORT_SECONDS) * 1000);
        within(DEADLINE, "the window closes", async {
            loop {
                let asked_ms = now_ms();
                match self.change(said, kind).await {
                    Ok(()) => assert!(asked_ms <= said.after_ms + window_ms, "{kind:?} by {} is late", self.name),
                    Err(code) => {
                        assert_eq!(code, ErrorCode::TooLate, "{kind:?} by {}", self.name);
                        assert!(now_ms() > said.before_ms + window_ms, "{kind:?} by {} is in time", self.name);
                        return;
                    }
                }
            }
        })
        .await;
    }

    fn kept_in_group(&self, kind: Kind) -> Said {
        self.kept.iter().find(|(of, said)| *of == kind && said.in_group).expect("one of each kind").1
    }
}

/// The texts of a conversation; a dash where there is none any more.
async fn texts(client: &Client, with: &str) -> Vec<String> {
    let page = within(DEADLINE, "a page", client.history(with, HistoryQuery::default())).await.unwrap();
    let text = |one: HistoryMessage| one.message.unwrap().content.map_or("-".to_owned(), |content| content.text);
    page.messages.into_iter().map(text).collect()
}
