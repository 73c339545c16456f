//! Lists in pages. A page token is the key behind which the next page begins, so that entries which come or go between
//! two pages shift nothing.

use std::fmt::Write as _;

use prost::Message;

use crate::registry::keys;
use crate::registry::read::Read;
use crate::registry::refusal::Refusal;

const DEFAULT_SIZE: u32 = 100;
const MAX_SIZE: u32 = 1000;
/// Records that one request looks at, at most: a filter that matches little gives short pages, not long requests.
const MAX_SCANNED: usize = 10_000;
/// Entries of a page of a broker's, at most.
const MAX_BROKER_SIZE: u32 = 100;
/// Of a place in a list of a broker's.
const MAX_TOKEN_BYTES: usize = 1024;
/// Records read at once.
const CHUNK: usize = 500;

/// What a request says about the page it wants.
#[derive(Debug)]
pub struct PageRequest<'a> {
    /// 1 to 1,000; 0 is 100.
    pub size: u32,
    /// Empty, or the token that the page before gave.
    pub token: &'a str,
}

/// A page, and the token of the next one; empty on the last.
pub type Page<T> = (Vec<T>, String);

impl PageRequest<'_> {
    /// The records whose keys begin with `prefix`, those that are wanted. Keys below `prefix` and `narrowed` are
    /// skipped by reading from `narrowed`, which begins with `prefix`.
    pub fn list<T: Message + Default>(
        &self,
        state: &impl Read,
        prefix: &[u8],
        narrowed: &[u8],
        wanted: impl Fn(&T) -> bool,
    ) -> Result<Page<T>, Refusal> {
        if self.size > MAX_SIZE {
            return Err(Refusal::invalid("page_size", format!("is {}, more than {MAX_SIZE}", self.size)));
        }
        let size = if self.size == 0 { DEFAULT_SIZE } else { self.size } as usize;
        let mut from = match self.token {
            "" => narrowed.to_vec(),
            token => behind(token, prefix)?,
        };
        let end = keys::end_of(narrowed);
        let (mut page, mut scanned) = (Vec::new(), 0);
        loop {
            let chunk = state.records::<T>(&from, &end, CHUNK)?;
            let last_chunk = chunk.len() < CHUNK;
            for (key, record) in chunk {
                if page.len() == size || scanned == MAX_SCANNED {
                    return Ok((page, token_of(&from)));
                }
                scanned += 1;
                from = [key.as_ref(), &[0]].concat();
                if wanted(&record) {
                    page.push(record);
                }
            }
            if last_chunk {
                return Ok((page, String::new()));
            }
        }
    }
}

fn behind(token: &str, prefix: &[u8]) -> Result<Vec<u8>, Refusal> {
    // A token of another list, or of another app's, must not lead out of this one.
    let ours = bytes_of(token).filter(|from| from.starts_with(prefix));
    ours.ok_or_else(foreign)
}

/// A place in a list of a broker's, which checks it, as a token; and back.
pub fn token_of(from: &[u8]) -> String {
    from.iter().fold(String::with_capacity(2 * from.len()), |mut token, byte| {
        // Writing to a string cannot fail.
        let _ = write!(token, "{byte:02x}");
        token
    })
}

/// A page that a broker is asked for is bounded by it, and said so here.
pub fn check_broker_size(size: u32) -> Result<(), Refusal> {
    if size <= MAX_BROKER_SIZE {
        return Ok(());
    }
    Err(Refusal::invalid("page_size", format!("must be at most {MAX_BROKER_SIZE}")))
}

/// The place that a token of [`token_of`] names.
pub fn place_of(token: &str) -> Result<Vec<u8>, Refusal> {
    bytes_of(token).filter(|_| token.len() <= MAX_TOKEN_BYTES).ok_or_else(foreign)
}

fn bytes_of(token: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| (byte as char).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = token.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    });
    pairs.collect()
}

fn foreign() -> Refusal {
    Refusal::invalid("page_token", "is not one that this list gave")
}

/// What stands before the first star of a pattern, which bounds the range that is read.
pub fn head(pattern: &str) -> &str {
    pattern.split('*').next().unwrap_or_default()
}

/// Whether a text matches a pattern in which `*` stands for any run of characters.
pub fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        // The leftmost place leaves the most for the parts behind.
        let Some(place) = text.find(part) else { return false };
        text = &text[place + part.len()..];
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidings_consensus::{MemoryStore, StateStore};
    use tidings_proto::registry::v1::AppRecord;

    #[test]
    fn tokens_are_text_and_lead_back() {
        assert_eq!(token_of(&[0, 255, 16]), "00ff10");
        assert_eq!(place_of("00ff10").unwrap(), [0, 255, 16]);
        assert!(place_of("").unwrap().is_empty());
        assert!(place_of(&"0".repeat(MAX_TOKEN_BYTES)).is_ok());
        for nonsense in ["0", "xy", "é", "+1", &"0".repeat(MAX_TOKEN_BYTES + 2)] {
            assert!(place_of(nonsense).is_err(), "{nonsense}");
        }
    }

    #[test]
    fn patterns() {
        for (pattern, text) in [
            ("*", ""),
            ("*", "bob"),
            ("b*", "bob"),
            ("*b", "bob"),
            ("b*b", "bob"),
            ("*o*", "bob"),
            ("a**c", "abc"),
            ("a*b*a*", "aXbYa"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in
            [("", "bob"), ("b", "bob"), ("b*b", "b"), ("a*", "bob"), ("*x*", "bob"), ("ab*ba", "aba")]
        {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    fn apps(count: usize) -> MemoryStore {
        let mut store = MemoryStore::default();
        for number in 0..count {
            let id = format!("app{number:05}");
            let record = AppRecord { id: id.clone(), ..AppRecord::default() };
            store.put(keys::texts(keys::APP, &[&id]), crate::registry::record::encode(&record));
        }
        store
    }

    #[test]
    fn pages_hold_everything_once_and_foreign_tokens_are_refused() {
        let view = apps(1234).view();
        let prefix = keys::single(keys::APP);
        let (mut token, mut seen) = (String::new(), Vec::new());
        loop {
            let request = PageRequest { size: 100, token: &token };
            let (page, next) = request.list::<AppRecord>(&view, &prefix, &prefix, |_| true).unwrap();
            assert!(page.len() <= 100);
            seen.extend(page.into_iter().map(|app| app.id));
            if next.is_empty() {
                break;
            }
            token = next;
        }
        assert_eq!(seen.len(), 1234);
        assert!(seen.windows(2).all(|pair| pair[0] < pair[1]));

        let elsewhere = keys::single(keys::USER);
        for (bad, prefix) in [(token.as_str(), &elsewhere), ("zz", &prefix), ("1", &prefix), ("é", &prefix)] {
            let refused = PageRequest { size: 1, token: bad }.list::<AppRecord>(&view, prefix, prefix, |_| true);
            assert!(refused.unwrap_err().message.starts_with("page_token"), "{bad}");
        }
        let refused = PageRequest { size: 1001, token: "" }.list::<AppRecord>(&view, &prefix, &prefix, |_| true);
        assert!(refused.unwrap_err().message.starts_with("page_size"));
    }

    #[test]
    fn a_filter_that_matches_nothing_ends_a_page_after_a_bounded_scan() {
        let view = apps(MAX_SCANNED + 10).view();
        let prefix = keys::single(keys::APP);
        let request = PageRequest { size: 100, token: "" };
        let (page, next) = request.list::<AppRecord>(&view, &prefix, &prefix, |_| false).unwrap();
        assert!(page.is_empty() && !next.is_empty());
        let (_, next) =
            PageRequest { size: 100, token: &next }.list::<AppRecord>(&view, &prefix, &prefix, |_| false).unwrap();
        assert!(next.is_empty());
    }

    #[test]
    fn a_full_last_page_says_that_it_is_the_last() {
        let view = apps(3).view();
        let prefix = keys::single(keys::APP);
        let (page, next) =
            PageRequest { size: 3, token: "" }.list::<AppRecord>(&view, &prefix, &prefix, |_| true).unwrap();
        assert_eq!((page.len(), next.as_str()), (3, ""));
    }
}
