//! The index by which the history is searched: a key for each word of each message that is kept. It changes in the same
//! command as the message, so that what is edited, taken back or gone cannot be found either. A word stands in its key
//! as a digest, because keys are copied to where nothing erases them: the bounds of tables in RocksDB's manifest.

use std::collections::BTreeSet;

use bytes::Bytes;
use tidings_proto::mailbox::v1::HistoryPlace;
use tidings_proto::message::v1::{Message, envelope};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Applying;
use super::entry;
use super::keys::{self, GroupName, MailboxId, Words};
use super::limits::{WORD_SIGNS, WORDS};
use super::records::CoreError;

/// What an envelope can be found by.
#[derive(Default)]
struct Indexed {
    sent_at_ms: i64,
    words: BTreeSet<String>,
}

impl Applying<'_> {
    /// The message at a place says something else than before; `None`: it was not, or is not, there.
    pub(super) fn reindex(
        &mut self,
        mailbox: &MailboxId,
        place: &HistoryPlace,
        before: Option<&Bytes>,
        after: Option<&Bytes>,
    ) -> Result<(), CoreError> {
        let position = |sent_at_ms| keys::position(sent_at_ms, &place.conversation, place.place);
        self.move_words(keys::words_of(mailbox), mailbox.fingerprint(), before, after, position)
    }

    /// The same of a message in the history of a group.
    pub(super) fn reindex_in_group(
        &mut self,
        group: &GroupName,
        place: u64,
        before: Option<&Bytes>,
        after: Option<&Bytes>,
    ) -> Result<(), CoreError> {
        let position = |sent_at_ms| keys::position_in_group(sent_at_ms, place);
        self.move_words(keys::words_in(group), group.fingerprint(), before, after, position)
    }

    fn move_words(
        &mut self,
        words: Words<'_>,
        seed: u64,
        before: Option<&Bytes>,
        after: Option<&Bytes>,
        position: impl Fn(i64) -> Vec<u8>,
    ) -> Result<(), CoreError> {
        let (before, after) = (indexed(before)?, indexed(after)?);
        if before.words == after.words {
            return Ok(());
        }
        for word in before.words.difference(&after.words) {
            self.store.delete(&words.at(&digest(seed, word), &position(before.sent_at_ms)));
        }
        // All of them: what an earlier release kept has none yet.
        for word in &after.words {
            self.store.put(words.at(&digest(seed, word), &position(after.sent_at_ms)), Bytes::new());
        }
        Ok(())
    }
}

fn indexed(envelope: Option<&Bytes>) -> Result<Indexed, CoreError> {
    match envelope.map(entry::decode).transpose()? {
        Some(envelope::Event::Message(message)) => {
            Ok(Indexed { sent_at_ms: message.sent_at_ms, words: words_of(&message) })
        }
        _ => Ok(Indexed::default()),
    }
}

/// The words that a message is found by.
pub fn words_of(message: &Message) -> BTreeSet<String> {
    let Some(content) = &message.content else { return BTreeSet::new() };
    words([&content.title, &content.text], WORDS)
}

/// The first different words of some texts, in the form in which they are compared: upper case and lower case are one,
/// and the signs of scripts that put no spaces between words count as words.
pub fn words<'a>(texts: impl IntoIterator<Item = &'a String>, limit: usize) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for text in texts {
        for part in text.split(|sign: char| !sign.is_alphanumeric()) {
            let mut rest = part;
            while !rest.is_empty() {
                if words.len() == limit {
                    return words;
                }
                let alone = rest.find(stands_alone).map(|at| (at, rest[at..].chars().next().map_or(0, char::len_utf8)));
                let end = match alone {
                    Some((0, length)) => length,
                    Some((at, _)) => at,
                    None => rest.len(),
                };
                let (word, after) = rest.split_at(end);
                words.insert(folded(word));
                rest = after;
            }
        }
    }
    words
}

/// Kana and Han.
fn stands_alone(sign: char) -> bool {
    matches!(sign, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}')
}

/// A word without case, cut where it is long. By way of upper case, which makes one of what lower case has several of.
fn folded(word: &str) -> String {
    word.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).take(WORD_SIGNS).collect()
}

/// A word as it stands in keys: two bytes for each sign, neither 0 nor 255, from the signs up to it. The digest of a
/// beginning is the beginning of the digest. Two words can have the same one; the message itself tells. `seed` is the
/// fingerprint of the mailbox or the group.
pub fn digest(seed: u64, word: &str) -> Vec<u8> {
    let mut digest = Vec::with_capacity(2 * word.len().min(WORD_SIGNS));
    let mut state = seed;
    for sign in word.chars() {
        state = xxh3_64_with_seed(&u32::from(sign).to_be_bytes(), state);
        digest.extend([state % 254, state / 254 % 254].map(|part| 1 + part as u8));
    }
    digest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidings_proto::mailbox::v1::AppendMessage;
    use tidings_proto::message::v1::{Change, Content, MessageId, change::Kind};

    use super::super::history_tests::{accepted, kept};
    use super::super::limits::WORD_BYTES;
    use super::super::testing::{Shard, mailbox_of};
    use super::*;
    use tidings_consensus::StateStore as _;

    /// Those of some words by which anything is found; all keys are of them.
    fn found(shard: &Shard, user: &str) -> Vec<&'static str> {
        let mailbox = mailbox_of(user);
        let words = keys::words_of(&mailbox);
        let (from, to) = words.begun_by(&[]);
        let all = shard.store.scan(&from, &to, 99);
        let mut stored: Vec<Vec<u8>> = all.iter().map(|(key, _)| words.read(key).unwrap().0.into()).collect();
        let mut is_stored = |word: &&str| {
            let digest = digest(mailbox.fingerprint(), word);
            let count = stored.len();
            stored.retain(|other| *other != digest);
            stored.len() < count
        };
        let found = ["evening", "good", "gone", "morning", "tomorrow"].into_iter().filter(&mut is_stored).collect();
        assert!(stored.is_empty());
        found
    }

    #[test]
    fn words_are_compared_without_case_and_cut() {
        let split = |text: &str| words([&text.to_owned()], WORDS).into_iter().collect::<Vec<_>>();
        assert_eq!(split("Hello, WORLD! hello…"), ["hello", "world"]);
        assert_eq!(split("Straße ΣΊΣΥΦΟΣ σίσυφος"), ["strasse", "σίσυφοσ"]);
        assert_eq!(split("in 東京ab"), ["ab", "in", "京", "東"]);
        assert_eq!(split(&"x".repeat(WORD_SIGNS + 1)), ["x".repeat(WORD_SIGNS)]);
        let many: String = (0..WORDS + 1).map(|number| format!("w{number} ")).collect();
        assert_eq!(split(&many).len(), WORDS);
    }

    proptest! {
        #[test]
        fn a_digest_begins_as_the_word_does_and_fits_a_key(text: String, signs in 0..WORD_SIGNS) {
            let seed = mailbox_of("bob").fingerprint();
            for word in words([&text], WORDS) {
                let whole = digest(seed, &word);
                prop_assert!(!whole.is_empty() && whole.len() <= WORD_BYTES && !whole.contains(&0) && !whole.contains(&255));
                let beginning: String = word.chars().take(signs).collect();
                prop_assert!(whole.starts_with(&digest(seed, &beginning)));
                prop_assert_ne!(whole, digest(mailbox_of("alice").fingerprint(), &word));
            }
        }

        #[test]
        fn any_text_has_words_of_a_bounded_length(text: String) {
            for word in words([&text], WORDS) {
                prop_assert!((1..=WORD_SIGNS).contains(&word.chars().count()));
            }
        }
    }

    #[test]
    fn it_is_found_as_long_as_it_says_so() {
        let mut shard = Shard::alone();
        let alice = shard.attach("alice", "phone", None);
        accepted(shard.append(kept("bob", &alice, "alice", 1, "Good morning")));
        for user in ["alice", "bob"] {
            assert_eq!(found(&shard, user), ["good", "morning"]);
        }
        let change = |kind: Kind, seq, text: &str| AppendMessage {
            change: Some(Change {
                of: Some(MessageId { stream: alice.stream, seq: 1 }),
                kind: kind.into(),
                content: (kind == Kind::Edit).then(|| Content { text: text.to_owned(), ..Content::default() }),
                emoji: "+".to_owned(),
                ..Change::default()
            }),
            ..kept("bob", &alice, "alice", seq, "")
        };
        accepted(shard.append(change(Kind::React, 2, "")));
        accepted(shard.append(change(Kind::Edit, 3, "good evening")));
        for user in ["alice", "bob"] {
            assert_eq!(found(&shard, user), ["evening", "good"]);
        }
        accepted(shard.append(change(Kind::Wipe, 4, "")));
        assert!(found(&shard, "alice").is_empty() && found(&shard, "bob").is_empty());
        accepted(shard.append(kept("bob", &alice, "alice", 5, "gone tomorrow")));
        let bob = shard.attach("bob", "phone", None);
        shard.ack("bob", &bob, 99);
        shard.now_ms += 25 * 3600 * 1000;
        shard.expire();
        assert!(found(&shard, "alice").is_empty() && found(&shard, "bob").is_empty());
        assert_eq!(shard.replay().dump(), shard.store.dump());
    }
}
