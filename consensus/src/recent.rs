//! What commands read a moment ago. A few records (of a mailbox, its devices, a member) are read and written by command
//! after command; the database finds each again in microseconds.

use std::collections::HashMap;

use bytes::Bytes;

/// Bytes of the younger half; there are two.
const HALF_BYTES: usize = 2 * 1024 * 1024;
/// Longer values are not kept.
const VALUE_BYTES: usize = 1024;
/// What a key costs beside its own bytes and those of its value.
const ENTRY_BYTES: usize = 96;

/// A value, or that there is none.
type Known = Option<Bytes>;

/// What is known of keys that were read. When the younger half is full, the older one goes: what was not asked for
/// since.
#[derive(Default)]
pub(crate) struct Recent {
    young: HashMap<Vec<u8>, Known>,
    old: HashMap<Vec<u8>, Known>,
    bytes: usize,
}

impl Recent {
    /// What is known of a key.
    pub(crate) fn get(&mut self, key: &[u8]) -> Option<Known> {
        if let Some(known) = self.young.get(key) {
            return Some(known.clone());
        }
        let (key, known) = self.old.remove_entry(key)?;
        self.keep(key, known.clone());
        Some(known)
    }

    /// A key was read.
    pub(crate) fn read(&mut self, key: &[u8], value: &Known) {
        if value.as_ref().is_none_or(|value| value.len() <= VALUE_BYTES) {
            self.keep(key.to_vec(), value.clone());
        }
    }

    /// A key was written. One that nobody reads is not kept.
    pub(crate) fn written(&mut self, key: &[u8], value: &Known) {
        let was = self.young.remove_entry(key);
        if let Some((key, was)) = &was {
            self.bytes -= cost(key, was);
        }
        let Some((key, _)) = was.or_else(|| self.old.remove_entry(key)) else { return };
        if value.as_ref().is_none_or(|value| value.len() <= VALUE_BYTES) {
            // A slice of something larger would keep all of that.
            self.keep(key, value.as_ref().map(|value| Bytes::copy_from_slice(value)));
        }
    }

    fn keep(&mut self, key: Vec<u8>, known: Known) {
        let bytes = cost(&key, &known);
        if self.bytes + bytes > HALF_BYTES {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        self.bytes += bytes;
        self.young.insert(key, known);
    }
}

fn cost(key: &[u8], known: &Known) -> usize {
    key.len() + known.as_ref().map_or(0, Bytes::len) + ENTRY_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Known {
        Some(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn what_was_read_is_known_as_it_was_written_last() {
        let mut recent = Recent::default();
        recent.written(b"a", &value("never read"));
        assert_eq!(recent.get(b"a"), None);
        recent.read(b"a", &None);
        assert_eq!(recent.get(b"a"), Some(None));
        recent.written(b"a", &value("one"));
        assert_eq!(recent.get(b"a"), Some(value("one")));
        recent.written(b"a", &value(&"x".repeat(VALUE_BYTES + 1)));
        assert_eq!(recent.get(b"a"), None, "too long to be kept, and what was before is not true any more");
    }

    #[test]
    fn it_is_bounded_and_keeps_what_is_asked_for() {
        let mut recent = Recent::default();
        recent.read(b"asked for", &value("still"));
        for number in 0..200_000u32 {
            recent.read(&number.to_be_bytes(), &None);
            recent.written(&number.to_be_bytes(), &value(&"x".repeat(500)));
            assert_eq!(recent.get(b"asked for"), Some(value("still")));
        }
        let of = |half: &HashMap<Vec<u8>, Known>| half.iter().map(|(key, known)| cost(key, known)).sum::<usize>();
        assert_eq!(of(&recent.young), recent.bytes);
        assert!(of(&recent.young) <= HALF_BYTES && of(&recent.old) <= HALF_BYTES);
        assert_eq!(recent.get(&0u32.to_be_bytes()), None);
    }
}
