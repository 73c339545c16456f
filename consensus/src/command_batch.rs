//! Many commands packed into one blob, which becomes one Raft entry. Packing copies each command once; at apply the
//! commands are slices of the blob.
//!
//! Format 1: format (1 byte), leader's time in ms since the epoch (8, signed), chain (8), position in the chain (8),
//! count (4), then for each command its length (4) and bytes; all big-endian.
//!
//! **Chains** keep one caller's commands in order though several entries are in flight (promise 3). The batches that a
//! leader proposes one after the other form a chain: an id that is never used again, and positions 0, 1, 2… An entry is
//! applied only at position 0, or directly behind its predecessor. If one entry is refused, those in flight behind it
//! are skipped on every replica alike, and the leader begins a new chain.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::record::RecordError;

const FORMAT: u8 = 1;
const HEADER_BYTES: usize = 1 + 8 + 8 + 8 + 4;
/// What a command costs in a batch beside its own bytes.
pub(crate) const COMMAND_OVERHEAD_BYTES: usize = 4;

/// A place in a leader's sequence of batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ChainPosition {
    pub(crate) chain: u64,
    pub(crate) position: u64,
}

impl ChainPosition {
    pub(crate) fn next(self) -> Self {
        Self { chain: self.chain, position: self.position + 1 }
    }

    /// Whether a batch at this place may be applied when `last` was the batch applied before it.
    pub(crate) fn follows(self, last: Option<Self>) -> bool {
        self.position == 0 || last.is_some_and(|last| last.next() == self)
    }
}

/// The payload of a Raft entry: packed commands, opaque to Raft. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandBatch(#[serde(with = "as_byte_string")] Bytes);

impl CommandBatch {
    pub(crate) fn pack<'a>(
        now_ms: i64,
        place: ChainPosition,
        commands: impl ExactSizeIterator<Item = &'a Bytes> + Clone,
    ) -> Self {
        let bytes: usize = commands.clone().map(|command| COMMAND_OVERHEAD_BYTES + command.len()).sum();
        let mut blob = BytesMut::with_capacity(HEADER_BYTES + bytes);
        blob.put_u8(FORMAT);
        blob.put_i64(now_ms);
        blob.put_u64(place.chain);
        blob.put_u64(place.position);
        blob.put_u32(u32::try_from(commands.len()).expect("the proposer packs at most a few thousand commands"));
        for command in commands {
            blob.put_u32(u32::try_from(command.len()).expect("the proposer refuses commands above its limit"));
            blob.put_slice(command);
        }
        Self(blob.freeze())
    }

    pub(crate) fn from_bytes(bytes: Bytes) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// Reads the header and checks the framing of every command.
    pub(crate) fn unpack(&self) -> Result<Unpacked<'_>, RecordError> {
        match self.0.first() {
            Some(&FORMAT) => {}
            Some(&found) => return Err(RecordError::UnknownFormat { found, newest: FORMAT }),
            None => return Err(RecordError::Malformed("empty batch")),
        }
        let Some((header, mut rest)) = self.0.split_at_checked(HEADER_BYTES) else {
            return Err(RecordError::Malformed("batch shorter than its header"));
        };
        let word = |at: usize| u64::from_be_bytes(std::array::from_fn(|byte| header[at + byte]));
        let count = u32::from_be_bytes(std::array::from_fn(|byte| header[25 + byte]));
        let mut commands = Vec::with_capacity((count as usize).min(self.0.len() / COMMAND_OVERHEAD_BYTES));
        for _ in 0..count {
            let (length, after) = rest.split_first_chunk::<4>().ok_or(RecordError::Malformed("batch ends early"))?;
            let length = u32::from_be_bytes(*length) as usize;
            let (command, after) = after.split_at_checked(length).ok_or(RecordError::Malformed("batch ends early"))?;
            commands.push(command);
            rest = after;
        }
        if !rest.is_empty() {
            return Err(RecordError::Malformed("bytes after the last command"));
        }
        Ok(Unpacked {
            now_ms: i64::from_be_bytes(word(1).to_be_bytes()),
            place: ChainPosition { chain: word(9), position: word(17) },
            commands,
        })
    }
}

/// A batch taken apart; the commands are slices of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unpacked<'a> {
    pub(crate) now_ms: i64,
    pub(crate) place: ChainPosition,
    pub(crate) commands: Vec<&'a [u8]>,
}

impl fmt::Debug for CommandBatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "CommandBatch({} bytes)", self.0.len())
    }
}

impl fmt::Display for CommandBatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}

/// Raft asks that payloads can be serialized; the engine's own formats never use this.
mod as_byte_string {
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        Vec::<u8>::deserialize(deserializer).map(Bytes::from)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLACE: ChainPosition = ChainPosition { chain: 0x0a0b, position: 2 };

    #[test]
    fn golden_format_1() {
        let batch = CommandBatch::pack(-1, PLACE, [Bytes::from_static(b"ab"), Bytes::new()].iter());
        let mut expected = vec![1];
        expected.extend([0xff; 8]);
        expected.extend([0, 0, 0, 0, 0, 0, 0x0a, 0x0b]);
        expected.extend([0, 0, 0, 0, 0, 0, 0, 2]);
        expected.extend([0, 0, 0, 2]);
        expected.extend([0, 0, 0, 2, b'a', b'b']);
        expected.extend([0, 0, 0, 0]);
        assert_eq!(batch.as_bytes(), &expected);
    }

    #[test]
    fn unknown_formats_are_named() {
        for found in [0, 2] {
            let batch = CommandBatch::from_bytes(Bytes::copy_from_slice(&[found]));
            assert_eq!(batch.unpack(), Err(RecordError::UnknownFormat { found, newest: 1 }));
        }
    }

    #[test]
    fn a_chain_has_no_gaps() {
        assert!(ChainPosition { chain: 1, position: 0 }.follows(None));
        assert!(ChainPosition { chain: 2, position: 0 }.follows(Some(PLACE)));
        assert!(PLACE.next().follows(Some(PLACE)));
        assert!(!PLACE.next().next().follows(Some(PLACE)));
        assert!(!PLACE.follows(Some(PLACE)));
        assert!(!PLACE.follows(None));
        assert!(!ChainPosition { chain: 1, position: 3 }.follows(Some(PLACE)));
    }

    proptest! {
        #[test]
        fn what_was_packed_unpacks(now_ms: i64, chain: u64, position: u64, commands: Vec<Vec<u8>>) {
            let place = ChainPosition { chain, position };
            let owned: Vec<Bytes> = commands.iter().cloned().map(Bytes::from).collect();
            let batch = CommandBatch::pack(now_ms, place, owned.iter());
            let unpacked = batch.unpack().unwrap();
            prop_assert_eq!(unpacked.now_ms, now_ms);
            prop_assert_eq!(unpacked.place, place);
            prop_assert_eq!(unpacked.commands, commands.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let mut bytes = bytes;
            let _ = CommandBatch::from_bytes(Bytes::from(bytes.clone())).unpack();
            if let Some(first) = bytes.first_mut() {
                *first = FORMAT;
            }
            let _ = CommandBatch::from_bytes(Bytes::from(bytes)).unpack();
        }
    }
}
