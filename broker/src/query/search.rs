//! Messages by their words, the newest first: of the history of a mailbox, and of groups whose home this shard is.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use prost::Message as _;
use tidings_consensus::StateView;
use tidings_proto::client::v1::{Found, FoundMessage, Search};
use tidings_proto::mailbox::v1::HistoryRecord;

use super::{PAGE_BYTES, group_and_member, limit_of, message_of, scan};
use crate::core::keys::{self, Words};
use crate::core::records::{self, load};
use crate::core::search::{digest, words, words_of};
use crate::core::{CoreError, GroupName, MailboxId};
use crate::error::Error;

/// Words that a search may have, and bytes of them.
const MAX_WORDS: usize = 8;
const MAX_BYTES: usize = 256;
/// Words of one index that a word of a search may begin; further ones are passed over.
const MAX_BEGUN: usize = 64;
/// Messages that one page looks at, whether they are what is searched or not.
const MAX_LOOKED_AT: usize = 256;
/// Keys that are read for one page, of all words in all indexes together, and of one at least.
const MAX_READ: usize = MAX_BEGUN * MAX_LOOKED_AT;
const LEAST_READ: usize = 4;

/// Whether it can be searched for.
pub fn is_valid(asked: &Search) -> bool {
    let is_about_one = asked.with.is_empty() || asked.group.is_empty();
    let is_bounded = asked.text.len() <= MAX_BYTES;
    is_about_one && is_bounded && (1..=MAX_WORDS).contains(&words([&asked.text], MAX_WORDS + 1).len())
}

/// The index of one history.
#[derive(Debug, Clone)]
enum Index {
    Mailbox(MailboxId),
    /// As far as a member may see it who joined at this place.
    Group(GroupName, u64),
}

impl Index {
    fn words(&self) -> Words<'_> {
        match self {
            Self::Mailbox(mailbox) => keys::words_of(mailbox),
            Self::Group(group, _) => keys::words_in(group),
        }
    }

    fn digest(&self, word: &str) -> Vec<u8> {
        match self {
            Self::Mailbox(mailbox) => digest(mailbox.fingerprint(), word),
            Self::Group(group, _) => digest(group.fingerprint(), word),
        }
    }

    /// From which position of the index on messages stand behind a position among all.
    fn behind(&self, among_all: &[u8]) -> Vec<u8> {
        match self {
            _ if among_all.is_empty() => Vec::new(),
            Self::Mailbox(_) => [among_all, &[0]].concat(),
            Self::Group(group, _) => keys::behind_in_group(group, among_all),
        }
    }

    /// The position among all of what stands at one of the index.
    fn among_all(&self, position: &[u8]) -> Result<Vec<u8>, CoreError> {
        let among_all = match self {
            Self::Mailbox(_) => Some(position.to_vec()),
            Self::Group(group, _) => keys::position_among_all(group, position),
        };
        among_all.ok_or(CoreError::Contradiction("the key of a word has no position"))
    }

    /// The message at a position, as far as it may be seen; also `None` when it went while the page was read.
    fn message(&self, view: &StateView, position: &[u8], with: &str) -> Result<Option<FoundMessage>, Error> {
        let unreadable = || CoreError::Contradiction("the key of a word names no message");
        match self {
            Self::Mailbox(mailbox) => {
                let (conversation, place) = keys::message_at(position).ok_or_else(unreadable)?;
                if !with.is_empty() && with != conversation {
                    return Ok(None);
                }
                let record: Option<HistoryRecord> =
                    load(view, "message", &keys::history(mailbox, conversation, place))?;
                let message = record.map(|record| message_of(&record.envelope)).transpose()?.flatten();
                let with = conversation.to_owned();
                Ok(Some(FoundMessage { with, place, message, ..FoundMessage::default() }))
            }
            Self::Group(group, joined_at) => {
                let (_, place) = position.split_last_chunk::<8>().ok_or_else(unreadable)?;
                let place = u64::from_be_bytes(*place);
                if place < *joined_at {
                    return Ok(None);
                }
                let body = view.get(&keys::group_body(group, place))?;
                let body = body.map(|stored| records::open_bytes("group body", stored)).transpose()?;
                let message = body.map(|body| message_of(&body)).transpose()?.flatten();
                let group = group.group().to_owned();
                Ok(Some(FoundMessage { group, place, message, ..FoundMessage::default() }))
            }
        }
    }
}

/// A page of the messages of a mailbox's history.
pub fn search(view: &StateView, mailbox: &MailboxId, asked: &Search) -> Result<Found, Error> {
    search_in(view, &[Index::Mailbox(mailbox.clone())], asked, &[])
}

/// A page of the messages of these groups that this user may see, without those of whom the user ignores. One that the
/// user is no member of has none.
pub fn search_groups(
    view: &StateView,
    user: &str,
    groups: &[GroupName],
    ignored: &[String],
    asked: &Search,
) -> Result<Found, Error> {
    let mut indexes = Vec::new();
    for group in groups {
        if let Ok((_, member)) = group_and_member(view, group, user)? {
            indexes.push(Index::Group(group.clone(), member.joined_at));
        }
    }
    search_in(view, &indexes, asked, ignored)
}

/// A page of the messages that have all words. They are taken from the indexes by the longest word, and read to see
/// whether they have the others.
fn search_in(view: &StateView, indexes: &[Index], asked: &Search, ignored: &[String]) -> Result<Found, Error> {
    let wanted = words([&asked.text], MAX_WORDS);
    let Some(longest) = wanted.iter().max_by_key(|word| word.chars().count()) else { return Ok(Found::default()) };
    let (candidates, is_end) = candidates(view, indexes, longest, &asked.page)?;
    let mut page = Found::default();
    let mut bytes = 0;
    let mut looked_at = Vec::new();
    for (among_all, Candidate { index, position }) in candidates {
        let found = indexes[index].message(view, &position, &asked.with)?;
        if let Some(found) = found.filter(|found| has_all(found, &wanted) && !is_from(found, ignored)) {
            bytes += found.encoded_len();
            let is_full = page.messages.len() == limit_of(asked.limit) || bytes > PAGE_BYTES;
            if is_full && !page.messages.is_empty() {
                page.next_page = looked_at;
                return Ok(page);
            }
            page.messages.push(found);
        }
        looked_at = among_all;
    }
    if !is_end {
        page.next_page = looked_at;
    }
    Ok(page)
}

fn has_all(found: &FoundMessage, wanted: &BTreeSet<String>) -> bool {
    let Some(message) = &found.message else { return false };
    let has = words_of(message);
    wanted.iter().all(|word| has.iter().any(|other| other.starts_with(word)))
}

fn is_from(found: &FoundMessage, ignored: &[String]) -> bool {
    found.message.as_ref().is_some_and(|message| ignored.contains(&message.from))
}

/// A message with the longest word.
struct Candidate {
    index: usize,
    /// Of the index.
    position: Bytes,
}

/// By their positions among all, in order.
type Candidates = Vec<(Vec<u8>, Candidate)>;

/// The next messages with a word that begins so, behind a position among all, in order. And whether these are all.
fn candidates(view: &StateView, indexes: &[Index], longest: &str, after: &[u8]) -> Result<(Candidates, bool), Error> {
    let mut sources = Vec::new();
    for (number, index) in indexes.iter().enumerate() {
        let begun = begun_words(view, index, &index.digest(longest))?;
        sources.extend(begun.into_iter().map(|word| (number, word)));
    }
    let read_of_each = (MAX_READ / sources.len().max(1)).clamp(LEAST_READ, MAX_LOOKED_AT);
    let mut found = BTreeMap::new();
    // Of some word there are more behind this one: what other words have there would come too early.
    let mut horizon: Option<Vec<u8>> = None;
    for (number, word) in sources {
        let index = &indexes[number];
        let (from, to) = index.words().found_by(&word, &index.behind(after));
        let prefix = index.words().found_by(&word, &[]).0.len();
        let read = scan(view, &from, &to, false, read_of_each)?;
        let is_cut = read.len() == read_of_each;
        let mut last = None;
        for (key, _) in read {
            let position = key.slice(prefix..);
            let among_all = index.among_all(&position)?;
            last = Some(among_all.clone());
            found.insert(among_all, Candidate { index: number, position });
        }
        if let Some(last) = last.filter(|_| is_cut) {
            horizon = Some(horizon.map_or(last.clone(), |nearest| nearest.min(last)));
        }
    }
    let total = found.len();
    let within = found.into_iter().filter(|(one, _)| horizon.as_ref().is_none_or(|horizon| one <= horizon));
    let candidates: Vec<_> = within.take(MAX_LOOKED_AT).collect();
    let is_end = horizon.is_none() && candidates.len() == total;
    Ok((candidates, is_end))
}

fn begun_words(view: &StateView, index: &Index, beginning: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    let words = index.words();
    let (mut from, to) = words.begun_by(beginning);
    let mut begun = Vec::new();
    while begun.len() < MAX_BEGUN
        && let Some((key, _)) = scan(view, &from, &to, false, 1)?.pop()
    {
        let (word, _) = words.read(&key).ok_or(CoreError::Contradiction("the key of a word has none"))?;
        from = words.found_by(word, &[]).1;
        begun.push(word.to_owned());
    }
    Ok(begun)
}

/// One page of several parts of what a user can find: each complete up to its `next_page`.
pub fn merge(parts: Vec<Found>, limit: u32) -> Found {
    let horizon = parts.iter().map(|part| &part.next_page).filter(|next| !next.is_empty()).min().cloned();
    let mut ordered = BTreeMap::new();
    for found in parts.into_iter().flat_map(|part| part.messages) {
        let sent_at_ms = found.message.as_ref().map_or(0, |message| message.sent_at_ms);
        ordered.insert(keys::found_at(&found.with, &found.group, sent_at_ms, found.place), found);
    }
    let mut page = Found::default();
    let (mut bytes, mut last) = (0, Vec::new());
    for (position, found) in ordered {
        if horizon.as_ref().is_some_and(|horizon| position > *horizon) {
            break;
        }
        bytes += found.encoded_len();
        let is_full = page.messages.len() == limit_of(limit) || bytes > PAGE_BYTES;
        if is_full && !page.messages.is_empty() {
            page.next_page = last;
            return page;
        }
        last = position;
        page.messages.push(found);
    }
    page.next_page = horizon.unwrap_or_default();
    page
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidings_proto::message::v1::{Content, Message};

    use super::*;
    use crate::core::group::testing::{ALL, group, is_accepted, kept as kept_in, member};
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
        let two = |with: &str| Search { with: with.to_owned(), group: "team".to_owned(), ..asked("x") };
        assert!(is_valid(&two("")) && !is_valid(&two("alice")));
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

    /// A page for bob of all that he can find in these groups, each of a home of its own.
    fn page_of_all(shard: &Shard, asked: &Search) -> Found {
        let view = shard.store.view();
        let homes = ["alice", "team"].map(|name| search_groups(&view, "bob", &[group(name)], &[], asked).unwrap());
        let own = search(&view, &mailbox_of("bob"), asked).unwrap();
        merge(homes.into_iter().chain([own]).collect(), asked.limit)
    }

    #[test]
    fn one_search_over_users_and_groups_is_one_order_in_pages() {
        let mut shard = Shard::alone();
        let alice = shard.attach("alice", "phone", None);
        for name in ["alice", "team"] {
            shard.form(name, &[member("alice", ALL)]);
        }
        assert!(is_accepted(&shard.say_in(kept_in("team", &alice, "alice", 1, "noon, before bob came"))));
        for name in ["alice", "team"] {
            let bob = tidings_proto::mailbox::v1::GroupChange { put: vec![member("bob", ALL)], ..Default::default() };
            shard.update_group(name, 2, vec![bob]);
        }
        let mut expected = Vec::new();
        for seq in 2..60 {
            // Some stand at the same time.
            shard.now_ms += i64::from(seq % 3 == 0);
            let text = format!("noon {seq}");
            match seq % 4 {
                0 => accepted(shard.append(kept("bob", &alice, "alice", seq, &text))),
                1 => assert!(is_accepted(&shard.say_in(kept_in("alice", &alice, "alice", seq, &text)))),
                _ => assert!(is_accepted(&shard.say_in(kept_in("team", &alice, "alice", seq, &text)))),
            }
            expected.push((shard.now_ms, text));
        }
        for limit in 1..5 {
            let (mut found, mut asked) = (Vec::new(), Search { limit, ..asked("noon") });
            loop {
                let page = page_of_all(&shard, &asked);
                assert!(page.messages.len() <= limit as usize);
                found.extend(page.messages.into_iter().map(|one| one.message.unwrap()));
                if page.next_page.is_empty() {
                    break;
                }
                assert!(page.next_page > asked.page, "it goes on");
                asked.page = page.next_page;
            }
            assert!(found.is_sorted_by(|one, next| one.sent_at_ms >= next.sent_at_ms));
            let mut found: Vec<_> = found.into_iter().map(|one| (one.sent_at_ms, one.content.unwrap().text)).collect();
            found.sort();
            let mut wanted = expected.clone();
            wanted.sort();
            assert_eq!(found, wanted, "{limit} at a time");
        }
        let stranger = search_groups(&shard.store.view(), "eve", &[group("team")], &[], &asked("noon")).unwrap();
        assert!(stranger.messages.is_empty());
        assert_eq!(shard.replay().dump(), shard.store.dump());
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
