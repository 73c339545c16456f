//! Keys of the words by which messages are found: in the history of a mailbox, and in that of a group at its home.

use super::{FOUND_WORD, GROUP_WORD, GroupName, MailboxId, key};

/// The words of one history. In a key stands a word as a digest without the bytes 0 and 255, and behind it the
/// message's position: of each word the newest message first.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a> {
    kind: u8,
    owner: &'a [u8],
}

/// Those of a mailbox.
pub fn words_of(mailbox: &MailboxId) -> Words<'_> {
    Words { kind: FOUND_WORD, owner: &mailbox.0 }
}

/// Those of a group.
pub fn words_in(group: &GroupName) -> Words<'_> {
    Words { kind: GROUP_WORD, owner: group.bytes() }
}

impl Words<'_> {
    /// A word of a message.
    pub fn at(&self, word: &[u8], position: &[u8]) -> Vec<u8> {
        key(self.kind, &[self.owner, word, &[0], position])
    }

    /// Every word that begins so, as the ends of a scan.
    pub fn begun_by(&self, beginning: &[u8]) -> (Vec<u8>, Vec<u8>) {
        (key(self.kind, &[self.owner, beginning]), key(self.kind, &[self.owner, beginning, &[0xff]]))
    }

    /// The messages with a word from a position on, as the ends of a scan. The end is where the next word's begin.
    pub fn found_by(&self, word: &[u8], from: &[u8]) -> (Vec<u8>, Vec<u8>) {
        // What a client asks for may be longer than any key.
        let first = [&[self.kind], self.owner, word, &[0], from].concat();
        (first, key(self.kind, &[self.owner, word, &[1]]))
    }

    /// The word in such a key, and the position.
    pub fn read<'k>(&self, key: &'k [u8]) -> Option<(&'k [u8], &'k [u8])> {
        let rest = key.strip_prefix(&[self.kind])?.strip_prefix(self.owner)?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        Some((&rest[..end], &rest[end + 1..]))
    }
}

/// The position of a message among all of a mailbox: the newest first.
pub fn position(sent_at_ms: i64, conversation: &str, place: u64) -> Vec<u8> {
    [&newest_first(sent_at_ms)[..], conversation.as_bytes(), &[0], &place.to_be_bytes()].concat()
}

/// Conversation and place in such a position.
pub fn message_at(position: &[u8]) -> Option<(&str, u64)> {
    let (_, rest) = position.split_first_chunk::<8>()?;
    let (conversation, place) = rest.split_last_chunk::<8>()?;
    let conversation = std::str::from_utf8(conversation.strip_suffix(&[0])?).ok()?;
    Some((conversation, u64::from_be_bytes(*place)))
}

/// The position of a message among all of a group.
pub fn position_in_group(sent_at_ms: i64, place: u64) -> Vec<u8> {
    [newest_first(sent_at_ms), place.to_be_bytes()].concat()
}

/// The same among all that a member can find, in groups and with users ([`position`]). No user's name begins with a
/// zero byte.
pub fn position_among_all(group: &GroupName, in_group: &[u8]) -> Option<Vec<u8>> {
    let (time, place) = in_group.split_first_chunk::<8>()?;
    Some([&time[..], &name_among_all(group), place].concat())
}

/// The position among all of a message that was found.
pub fn found_at(with: &str, group: &str, sent_at_ms: i64, place: u64) -> Vec<u8> {
    let tag: &[u8] = if group.is_empty() { &[] } else { &[0] };
    let name = if group.is_empty() { with } else { group };
    [&newest_first(sent_at_ms)[..], tag, name.as_bytes(), &[0], &place.to_be_bytes()].concat()
}

/// From where on the messages of a group stand behind a position among all.
pub fn behind_in_group(group: &GroupName, among_all: &[u8]) -> Vec<u8> {
    let Some((time, rest)) = among_all.split_first_chunk::<8>() else { return among_all.to_vec() };
    let name = name_among_all(group);
    if let Some(place) = rest.strip_prefix(&name[..]) {
        return [&time[..], place, &[0]].concat();
    }
    if rest < &name[..] { time.to_vec() } else { u64::from_be_bytes(*time).saturating_add(1).to_be_bytes().to_vec() }
}

fn name_among_all(group: &GroupName) -> Vec<u8> {
    [&[0], group.group().as_bytes(), &[0]].concat()
}

fn newest_first(sent_at_ms: i64) -> [u8; 8] {
    (!u64::try_from(sent_at_ms).unwrap_or(0)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_words() {
        let (alice, team) = (MailboxId::new("a", "alice").unwrap(), GroupName::new("a", "team").unwrap());
        let (inverted, place) = ([255, 255, 255, 255, 255, 255, 254, 253], [0, 0, 0, 0, 0, 0, 1, 2]);
        let found = words_of(&alice).at(b"word", &position(258, "bob", 258));
        assert_eq!(found, [&[0x16], &b"a\0alice\0word\0"[..], &inverted, b"bob\0", &place].concat());
        assert_eq!(words_of(&alice).read(&found).unwrap().0, b"word");
        assert_eq!(message_at(words_of(&alice).read(&found).unwrap().1), Some(("bob", 258)));
        let found = words_in(&team).at(b"word", &position_in_group(258, 258));
        assert_eq!(found, [&[0x63], &b"a\0team\0word\0"[..], &inverted, &place].concat());
    }

    #[test]
    fn words_are_found_by_their_beginning_and_messages_behind_one_another() {
        let alice = MailboxId::new("a", "alice").unwrap();
        let words = words_of(&alice);
        let at = |word: &[u8], sent_at_ms, place| words.at(word, &position(sent_at_ms, "bob", place));
        let (new, old, longer) = (at(b"word", 9, 1), at(b"word", 8, 2), at(b"words", 9, 1));
        assert!(new < old);
        let (from, to) = words.begun_by(b"wor");
        assert!([&new, &old, &longer].into_iter().all(|key| (from.clone()..to.clone()).contains(key)));
        let (first, end) = words.found_by(b"word", &[]);
        let within = |key: &Vec<u8>| (first.clone()..end.clone()).contains(key);
        assert_eq!([&new, &old, &longer].map(within), [true, true, false]);
        let behind = words.found_by(b"word", &[&position(9, "bob", 1)[..], &[0]].concat());
        assert_eq!([&new, &old].map(|key| (behind.0.clone()..behind.1.clone()).contains(key)), [false, true]);
    }

    #[test]
    fn behind_a_position_among_all_is_what_is_behind_it() {
        let groups = ["a", "team", "z"].map(|name| GroupName::new("a", name).unwrap());
        let in_group: Vec<_> = (1..4).flat_map(|at| (1..3).map(move |place| position_in_group(at, place))).collect();
        let mut positions = vec![vec![], vec![0], vec![0xff], vec![0xff; 99], [0xff; 8].to_vec()];
        positions.extend((1..4).map(|at| position(at, "bob", 1)));
        for group in &groups {
            positions.extend(in_group.iter().map(|one| position_among_all(group, one).unwrap()));
        }
        for (group, position) in groups.iter().flat_map(|group| positions.iter().map(move |one| (group, one))) {
            let from = behind_in_group(group, position);
            for one in &in_group {
                let is_behind = position_among_all(group, one).unwrap() > *position;
                assert_eq!(*one >= from, is_behind, "{one:?} behind {position:?} in {}", group.group());
            }
        }
    }
}
