//! Messages of a history by their words, the newest first.

use std::collections::BTreeSet;

use bytes::Bytes;
use prost::Message as _;
use tidings_consensus::StateView;
use tidings_proto::client::v1::{Found, FoundMessage, Search};
use tidings_proto::mailbox::v1::HistoryRecord;

use super::{PAGE_BYTES, limit_of, message_of, scan};
use crate::core::records::load;
use crate::core::search::{digest, words, words_of};
use crate::core::{CoreError, MailboxId, keys};
use crate::error::Error;

/// Words that a search may have, and bytes of them.
const MAX_WORDS: usize = 8;
const MAX_BYTES: usize = 256;
/// Words of the index that a word of a search may begin; further ones are passed over.
const MAX_BEGUN: usize = 64;
/// Messages that one page looks at, whether they are what is searched or not.
const MAX_LOOKED_AT: usize = 256;

/// Whether it can be searched for.
pub fn is_valid(asked: &Search) -> bool {
    asked.text.len() <= MAX_BYTES && (1..=MAX_WORDS).contains(&words([&asked.text], MAX_WORDS + 1).len())
}

/// A page of the messages that have all words. They are taken from the index by the longest word, and read to see whether they
/// have the others.
pub fn search(view: &StateView, mailbox: &MailboxId, asked: &Search) -> Result<Found, Error> {
    let wanted = words([&asked.text], MAX_WORDS);
    let Some(longest) = wanted.iter().max_by_key(|word| word.chars().count()) else { return Ok(Found::default()) };
    let (candidates, is_end) = candidates(view, mailbox, &digest(mailbox, longest), &asked.page)?;
    let mut page = Found::default();
    let mut bytes = 0;
    let mut looked_at = Bytes::new();
    for candidate in candidates {
        let named = keys::found_message(&candidate);
        let (with, place) = named.ok_or(CoreError::Contradiction("the key of a word names no message"))?;
        let is_asked = asked.with.is_empty() || asked.with == with;
        if is_asked && let Some(found) = found(view, mailbox, with, place, &wanted)? {
            bytes += found.encoded_len();
            let is_full = page.messages.len() == limit_of(asked.limit) || bytes > PAGE_BYTES;
            if is_full && !page.messages.is_empty() {
                page.next_page = looked_at.to_vec();
                return Ok(page);
            }
            page.messages.push(found);
        }
        looked_at = candidate;
    }
    if !is_end {
        page.next_page = looked_at.to_vec();
    }
    Ok(page)
}

/// The message at a place, when it has all words; also `None` when it went while the page was read.
fn found(
    view: &StateView,
    mailbox: &MailboxId,
    with: &str,
    place: u64,
    wanted: &BTreeSet<String>,
) -> Result<Option<FoundMessage>, Error> {
    let record: Option<HistoryRecord> = load(view, "message", &keys::history(mailbox, with, place))?;
    let Some(message) = record.map(|record| message_of(&record.envelope)).transpose()?.flatten() else {
        return Ok(None);
    };
    let has = words_of(&message);
    let has_all = wanted.iter().all(|word| has.iter().any(|other| other.starts_with(word)));
    Ok(has_all.then(|| FoundMessage { with: with.to_owned(), place, message: Some(message), ..FoundMessage::default() }))
}

/// The next messages with a word that begins so, behind one of them, in order: of each what its key has after the word. And
/// whether these are all.
fn candidates(
    view: &StateView,
    mailbox: &MailboxId,
    beginning: &[u8],
    after: &[u8],
) -> Result<(Vec<Bytes>, bool), Error> {
    let mut found = BTreeSet::new();
    // Of some word there are more behind this one: what other words have there would come too early.
    let mut horizon: Option<Bytes> = None;
    for word in begun_words(view, mailbox, beginning)? {
        let (from, to) = keys::found_by(mailbox, &word, after);
        let prefix = keys::found_by(mailbox, &word, &[]).0.len();
        let read = scan(view, &from, &to, false, MAX_LOOKED_AT)?;
        if read.len() == MAX_LOOKED_AT
            && let Some((last, _)) = read.last()
        {
            let last = last.slice(prefix..);
            horizon = Some(horizon.map_or(last.clone(), |nearest| nearest.min(last)));
        }
        found.extend(read.into_iter().map(|(key, _)| key.slice(prefix..)));
    }
    let total = found.len();
    let within = found.into_iter().filter(|one| horizon.as_ref().is_none_or(|horizon| one <= horizon));
    let candidates: Vec<Bytes> = within.take(MAX_LOOKED_AT).collect();
    let is_end = horizon.is_none() && candidates.len() == total;
    Ok((candidates, is_end))
}

fn begun_words(view: &StateView, mailbox: &MailboxId, beginning: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    let (mut from, to) = keys::found_words(mailbox, beginning);
    let mut begun = Vec::new();
    while begun.len() < MAX_BEGUN
        && let Some((key, _)) = scan(view, &from, &to, false, 1)?.pop()
    {
        let word = keys::word_in(&key, mailbox).ok_or(CoreError::Contradiction("the key of a word has none"))?;
        from = keys::found_by(mailbox, word, &[]).1;
        begun.push(word.to_owned());
    }
    Ok(begun)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidings_proto::message::v1::{Content, Message};

    use super::*;
    use crate::core::history_tests::{accepted, kept};
    use crate::core::testing::{Shard, mailbox_of};

    fn asked(text: &str) -> Search {
        Search { text: text.to_owned(), ..Search::default() }
    }

    /// The texts of all pages, and how many pages there were.
    fn all(shard: &Shard, asked: &Search) -> (Vec<String>, usize) {
        let (mut texts, mut pages, mut asked) = (Vec::new(), 0, asked.clone());
        loop {
            let page = search(&shard.store.view(), &mailbox_of("bob"), &asked).unwrap();
            pages += 1;
            let text = |one: FoundMessage| one.message.unwrap().content.unwrap_or_default().text;
            texts.extend(page.messages.into_iter().map(text));
            if page.next_page.is_empty() {
                return (texts, pages);
            }
            asked.page = page.next_page;
        }
    }

    fn said(texts: &[&str]) -> Shard {
        let mut shard = Shard::alone();
        let alice = shard.attach("alice", "phone", None);
        for (seq, text) in (1..).zip(texts) {
            shard.now_ms += 1;
            accepted(shard.append(kept("bob", &alice, "alice", seq, text)));
        }
        shard
    }

    #[test]
    fn every_word_counts_and_begins_one() {
        let shard = said(&["Lunch at noon?", "lunchbox", "at noon: dinner", "noon"]);
        let texts = |text| all(&shard, &asked(text)).0;
        assert_eq!(texts("LUNCH"), ["lunchbox", "Lunch at noon?"]);
        assert_eq!(texts("noon at"), ["at noon: dinner", "Lunch at noon?"]);
        assert_eq!(texts("unch"), [""; 0]);
        assert_eq!(all(&shard, &Search { with: "carol".to_owned(), ..asked("noon") }).0, [""; 0]);
        assert_eq!(all(&shard, &Search { with: "alice".to_owned(), ..asked("noon") }).0.len(), 3);
        assert_eq!(all(&shard, &Search { limit: 1, ..asked("noon") }).1, 3);
    }

    #[test]
    fn what_is_no_search_is_not_valid_and_foreign_pages_do_no_harm() {
        let eight = "a b c d e f g h";
        assert!(is_valid(&asked(eight)) && !is_valid(&asked(&format!("{eight} i"))));
        let long = "y".repeat(MAX_BYTES);
        assert!(is_valid(&asked(&long)) && !is_valid(&asked(&format!("{long}y"))));
        assert!(!is_valid(&asked("")) && !is_valid(&asked("...")));
        let shard = said(&["hello"]);
        for page in [vec![0xff; 300], vec![0], b"\0\0hello".to_vec()] {
            all(&shard, &Search { page, ..asked("hello") });
        }
    }

    #[test]
    fn many_are_found_in_pages_the_newest_first() {
        let texts: Vec<String> = (0..600).map(|number| format!("word{} other", number % 70)).collect();
        let shard = said(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        let (found, _) = all(&shard, &asked("other"));
        assert!(found.iter().eq(texts.iter().rev()));
        let (found, pages) = all(&shard, &asked("other word69"));
        assert_eq!((found.len(), pages), (8, 1));
        let begun = all(&shard, &asked("word")).0.len();
        assert!((64 * 8..600).contains(&begun), "64 words are looked at: {begun}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn it_finds_what_reading_everything_would(
            texts in prop::collection::vec("[ab]{1,2}( [ab]{1,2}){0,3}", 1..40),
            query in "[ab]{1,2}( [ab]{1,2}){0,1}",
            limit in 1u32..5,
        ) {
            let shard = said(&texts.iter().map(String::as_str).collect::<Vec<_>>());
            let wanted = words([&query], MAX_WORDS);
            let has = |text: &&String| {
                let content = Some(Content { text: (*text).clone(), ..Content::default() });
                let words = words_of(&Message { content, ..Message::default() });
                wanted.iter().all(|word| words.iter().any(|other| other.starts_with(word)))
            };
            let expected: Vec<_> = texts.iter().rev().filter(has).cloned().collect();
            prop_assert_eq!(all(&shard, &Search { limit, ..asked(&query) }).0, expected);
        }
    }
}
