//! What users say and take back, and what is left of it in files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use memchr::memmem::Finder;
use rand::distr::{Alphanumeric, SampleString as _};
use tidings_node::Clock;
use tidings_proto::policy::v1::Policy;
use tidings_sdk::disappearance::Start;
use tidings_sdk::{
    AckMode, Builder, Change, Client, Content, Disappearance, Event, Events, Message, MessageId, Outgoing,
};

use crate::answers::{changed, changed_in, done, sent};
use crate::{Control, DEADLINE, told, within};

/// Long enough to be found in the files before.
const TTL: Duration = Duration::from_secs(8);
const HOUR_MS: i64 = 3600 * 1000;

/// Texts that do not compress, so that they are found in any file that has them.
#[derive(Default)]
pub struct Said {
    /// What will not be there any more, and how it goes.
    pub deleted: Vec<(String, String)>,
    /// In the histories.
    pub kept: Vec<String>,
}

/// Such a text.
pub fn needle() -> String {
    Alphanumeric.sample_string(&mut rand::rng(), 48)
}

/// Users, and what they said so far.
struct Scene {
    alice: Client,
    carol: Client,
    /// Keeps what she was shown until she deals with it.
    erins: Events,
    said: Said,
}

/// To bob, to a group that is a small one, and to a large one, whose timeline stands in the shards of its members.
fn places() -> [Outgoing; 3] {
    [Outgoing::new("bob", ""), Outgoing::to_group("team", ""), Outgoing::to_group("crowd", "")]
}

/// Alice tells bob, whose device is away, what she takes back, and one thing more, and so in two groups of theirs; she
/// schedules what she cancels; and to erin and the groups she says what disappears once erin has it. Carol tells those
/// with a short history what is kept by nobody for long. `before_deleting` looks at what was said.
pub async fn say_and_delete(
    control: &Control,
    client: impl Fn(&str) -> Builder,
    before_deleting: impl AsyncFnOnce(&Said),
) -> Said {
    let large = Policy { id: "default".to_owned(), large_group_members: Some(3), ..Policy::default() };
    control.set_policy(large, &["large_group_members"]).await;
    control.create_policy(Policy { id: "brief".to_owned(), history_seconds: Some(5), ..Policy::default() }).await;
    let online = async |user: &str, policy: &str| {
        let token = control.user(user).await;
        control.assign_policy(user, policy).await;
        let (client, events) = client(&token).ack_mode(AckMode::Explicit).connect().unwrap();
        within(DEADLINE, "a client is online", client.online()).await.unwrap();
        (client, events)
    };
    online("bob", "").await.0.close().await;
    online("gus", "brief").await.0.close().await;
    let (alice, _alices) = online("alice", "").await;
    let (carol, _carols) = online("carol", "brief").await;
    let (_dave, mut daves) = online("dave", "brief").await;
    let (_erin, erins) = online("erin", "").await;
    control.group("team", &["alice", "bob", "erin"]).await;
    control.group("crowd", &["alice", "bob", "carol", "dave", "erin"]).await;

    let mut scene = Scene { alice, carol, erins, said: Said::default() };
    let changes = scene.says_what_is_changed().await;
    let waits = scene.says("is cancelled", Outgoing::new("bob", "").at(Clock::system().now_ms() + HOUR_MS)).await;
    scene.carol_says("is past its retention", Outgoing::new("dave", "")).await;
    told(&mut daves, "what carol says comes", |event| {
        let Event::Message(message) = event else { return None };
        message.ack();
        (message.from() == "carol").then_some(())
    })
    .await;
    let disappearing = scene.says_what_disappears().await;
    scene.carol_says("is past its time", Outgoing { ttl: Some(TTL), ..Outgoing::new("gus", "") }).await;
    scene.says("is past its time in a group", Outgoing { ttl: Some(TTL), ..Outgoing::to_group("team", "") }).await;
    before_deleting(&scene.said).await;

    disappearing.iter().for_each(Message::ack);
    for (place, of, change) in changes {
        match place.group.as_str() {
            "" => changed(&scene.alice, &place.to, of, change).await.unwrap(),
            group => changed_in(&scene.alice, group, of, change).await.unwrap(),
        };
    }
    done(scene.alice.cancel_scheduled(waits)).await.unwrap();
    scene.said
}

impl Scene {
    async fn says(&mut self, how_it_goes: &str, outgoing: Outgoing) -> MessageId {
        let outgoing = self.doomed(how_it_goes, outgoing);
        sent(&self.alice, outgoing).await.unwrap()
    }

    async fn carol_says(&mut self, how_it_goes: &str, outgoing: Outgoing) {
        let outgoing = self.doomed(how_it_goes, outgoing);
        sent(&self.carol, outgoing).await.unwrap();
    }

    /// Gives what is to be said a text that will go.
    fn doomed(&mut self, how_it_goes: &str, mut outgoing: Outgoing) -> Outgoing {
        outgoing.content.text = needle();
        let said = format!("what {how_it_goes}, to {:?}{:?}", outgoing.to, outgoing.group);
        self.said.deleted.push((said, outgoing.content.text.clone()));
        outgoing
    }

    /// In each place what is recalled, wiped and edited, and what is kept.
    async fn says_what_is_changed(&mut self) -> Vec<(Outgoing, MessageId, Change)> {
        let mut changes = Vec::new();
        for place in places() {
            for (how_it_goes, change) in [
                ("is recalled", Change::recall()),
                ("is wiped", Change::wipe()),
                ("is edited", Change::edit("something else")),
            ] {
                let id = self.says(how_it_goes, place.clone()).await;
                changes.push((place.clone(), id, change));
            }
            let text = needle();
            self.said.kept.push(text.clone());
            let content = Content { text, ..place.content.clone() };
            sent(&self.alice, Outgoing { content, ..place }).await.unwrap();
        }
        changes
    }

    /// To erin and both groups; answers everything that she was shown up to it.
    async fn says_what_disappears(&mut self) -> Vec<Message> {
        let disappears = Some(Disappearance { after_ms: 1_000, from: Start::Delivered.into() });
        let mut left = 0;
        for place in [Outgoing::new("erin", ""), Outgoing::to_group("team", ""), Outgoing::to_group("crowd", "")] {
            self.says("disappears", Outgoing { disappears, ..place }).await;
            left += 1;
        }
        let mut shown = Vec::new();
        told(&mut self.erins, "all that disappears comes", |event| {
            if let Event::Message(message) = event {
                left -= i32::from(message.as_proto().disappears.is_some());
                shown.push(message);
            }
            (left == 0).then_some(())
        })
        .await;
        shown
    }
}

impl Said {
    /// Waits until no file below these folders has what was deleted. What was kept is in each of `with_state`.
    pub async fn comes_to_an_end(&self, folders: &[PathBuf], with_state: &[PathBuf]) {
        let left = || {
            let has_it = |text: &String| folders.iter().any(|folder| !files_with(folder, text).is_empty());
            self.deleted.iter().filter(move |(_, text)| has_it(text)).map(|(how, _)| how).collect::<Vec<_>>()
        };
        let going = async {
            while !left().is_empty() {
                // Files say nothing when they change.
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        };
        if tokio::time::timeout(DEADLINE * 4, going).await.is_err() {
            panic!("there is still {:?}", left());
        }
        for (folder, text) in with_state.iter().flat_map(|folder| self.kept.iter().map(move |text| (folder, text))) {
            assert!(!files_with(folder, text).is_empty(), "{} lost what is kept", folder.display());
        }
    }
}

/// Waits until no file below these folders has any of these texts.
pub async fn are_in_no_file(texts: &[String], folders: &[PathBuf]) {
    within(DEADLINE * 2, "what was deleted is in no file", async {
        let has_some = |folder: &PathBuf| texts.iter().any(|text| !files_with(folder, text).is_empty());
        while folders.iter().any(has_some) {
            // Files say nothing when they change.
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    })
    .await;
}

/// The files below a folder that have something of a text in them.
pub fn files_with(folder: &Path, text: &str) -> Vec<PathBuf> {
    let traces: Vec<_> = traces(text).iter().map(|trace| Finder::new(trace).into_owned()).collect();
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if std::fs::read(&path).is_ok_and(|bytes| traces.iter().any(|trace| trace.find(&bytes).is_some())) {
                // A file that went meanwhile has nothing.
                found.push(path);
            }
        }
    }
    found
}

/// What a text is found by: parts of it, because where a block is compressed a part that stands in it twice is written
/// once; and the beginning of its first word as the search has it.
fn traces(text: &str) -> Vec<Vec<u8>> {
    let word: String = text.to_lowercase().chars().take(16).collect();
    text.as_bytes().chunks(12).map(<[u8]>::to_vec).chain([word.into_bytes()]).collect()
}
