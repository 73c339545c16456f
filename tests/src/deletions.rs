//! What users say and take back, and what is left of it in files.

use std::path::{Path, PathBuf};

use rand::distr::{Alphanumeric, SampleString as _};
use tidings_proto::policy::v1::Policy;
use tidings_sdk::disappearance::Start;
use tidings_sdk::{Builder, Change, Client, Disappearance, MessageId, Outgoing};

use crate::{Control, DEADLINE, next_message, within};

/// Texts that do not compress, so that they are found in any file that has them.
pub struct Said {
    /// Recalled, wiped, edited away, past its retention, and disappeared in a group.
    pub deleted: [String; 5],
    /// In the history of both.
    pub kept: String,
}

/// Such a text.
pub fn needle() -> String {
    Alphanumeric.sample_string(&mut rand::rng(), 48)
}

/// Alice tells bob, whose device is away, what she takes back, and one thing more; carol tells dave what neither keeps for
/// long. To a group of alice, bob and carol alice says what disappears once carol has it. `before_deleting` looks at what was said.
pub async fn say_and_delete(
    control: &Control,
    client: impl Fn(&str) -> Builder,
    before_deleting: impl FnOnce(&Said),
) -> Said {
    let said = Said { deleted: [needle(), needle(), needle(), needle(), needle()], kept: needle() };
    control.create_policy(Policy { id: "brief".to_owned(), history_seconds: Some(5), ..Policy::default() }).await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let (carol, dave) = (control.user("carol").await, control.user("dave").await);
    control.assign_policy("carol", "brief").await;
    control.assign_policy("dave", "brief").await;
    let online = async |token: &str| {
        let (client, events) = client(token).connect().unwrap();
        within(DEADLINE, "a client is online", client.online()).await.unwrap();
        (client, events)
    };
    online(&bob).await.0.close().await;
    let (alice, _alices) = online(&alice).await;
    let (carol, mut carols) = online(&carol).await;
    let (_dave, mut daves) = online(&dave).await;

    control.group("team", &["alice", "bob", "carol"]).await;
    let [recalled, wiped, edited, expired, disappearing] = &said.deleted;
    let ids =
        [send(&alice, "bob", recalled).await, send(&alice, "bob", wiped).await, send(&alice, "bob", edited).await];
    send(&alice, "bob", &said.kept).await;
    send(&carol, "dave", expired).await;
    next_message(&mut daves).await.ack();
    let after = Disappearance { after_ms: 1_000, from: Start::Delivered.into() };
    let outgoing = Outgoing { disappears: Some(after), ..Outgoing::to_group("team", disappearing.as_str()) };
    within(DEADLINE, "it is sent", async { alice.send_message(outgoing).await.unwrap().sent().await }).await.unwrap();
    let disappearing = next_message(&mut carols).await;
    before_deleting(&said);
    disappearing.ack();
    for (id, change) in ids.into_iter().zip([Change::recall(), Change::wipe(), Change::edit("something else")]) {
        within(DEADLINE, "it is changed", async { alice.change("bob", id, change).await.unwrap().sent().await })
            .await
            .unwrap();
    }
    said
}

async fn send(client: &Client, to: &str, text: &str) -> MessageId {
    within(DEADLINE, "it is sent", async { client.send(to, text).await.unwrap().sent().await }).await.unwrap().id
}

impl Said {
    /// Waits until no file below these folders has what was deleted. What was kept is in each of `with_state`.
    pub async fn comes_to_an_end(&self, folders: &[PathBuf], with_state: &[PathBuf]) {
        are_in_no_file(&self.deleted, folders).await;
        for folder in with_state {
            assert!(!files_with(folder, &self.kept).is_empty(), "{} lost what is kept", folder.display());
        }
    }
}

/// Waits until no file below these folders has any of these texts.
pub async fn are_in_no_file(texts: &[String], folders: &[PathBuf]) {
    within(DEADLINE * 2, "what was deleted is in no file", async {
        let has_some = |folder: &PathBuf| texts.iter().any(|text| !files_with(folder, text).is_empty());
        while folders.iter().any(has_some) {
            // Files say nothing when they change.
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        }
    })
    .await;
}

/// The files below a folder that have a text in them.
pub fn files_with(folder: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return found };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else if std::fs::read(&path).is_ok_and(|bytes| has(&bytes, text.as_bytes())) {
            // A file that went meanwhile has nothing.
            found.push(path);
        }
    }
    found
}

fn has(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}
