//! The file that a group's state travels in, written and read as a stream.
//!
//! Format 1: `TIDSNAP`, format (1 byte), group (4); then blocks: length (4), checksum over the block's number and
//! payload (4), payload; then a footer: length 0 (4), checksum (4), records (8), blocks (8). A payload is pairs: key
//! length (4), value length (4), key, value; keys ascend and are without the group. All big-endian.

use std::io::{self, Read};

use bytes::{BufMut, Bytes, BytesMut};

use crate::group_id::GroupId;
use crate::record::RecordError;

const MAGIC: &[u8; 7] = b"TIDSNAP";
const FORMAT: u8 = 1;
/// A block is closed when it has reached this size; a single pair may make it larger.
const BLOCK_BYTES: usize = 256 * 1024;
/// Larger than any pair can be: commands are limited to less.
const LARGEST_BLOCK_BYTES: usize = 256 * 1024 * 1024;
const BLOCK_HEADER_BYTES: usize = 8;

fn checksum(number: u64, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_be_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// Turns pairs into consecutive pieces of the file.
pub(crate) struct SnapshotEncoder {
    block: BytesMut,
    blocks: u64,
    records: u64,
}

impl SnapshotEncoder {
    pub(crate) fn new() -> Self {
        Self { block: BytesMut::new(), blocks: 0, records: 0 }
    }

    pub(crate) fn header(&self, group: GroupId) -> Bytes {
        let mut header = BytesMut::with_capacity(MAGIC.len() + 5);
        header.put_slice(MAGIC);
        header.put_u8(FORMAT);
        header.put_u32(group.0);
        header.freeze()
    }

    /// Adds a pair; returns a piece when a block is full.
    pub(crate) fn add(&mut self, key: &[u8], value: &[u8]) -> Option<Bytes> {
        if self.block.is_empty() {
            self.block.reserve(BLOCK_BYTES + 4096);
            self.block.put_bytes(0, BLOCK_HEADER_BYTES);
        }
        self.block.put_u32(u32::try_from(key.len()).expect("RocksDB's keys are below 4 GiB"));
        self.block.put_u32(u32::try_from(value.len()).expect("RocksDB's values are below 4 GiB"));
        self.block.put_slice(key);
        self.block.put_slice(value);
        self.records += 1;
        if self.block.len() >= BLOCK_BYTES { self.close_block() } else { None }
    }

    fn close_block(&mut self) -> Option<Bytes> {
        if self.block.is_empty() {
            return None;
        }
        let mut block = self.block.split();
        let payload = &block[BLOCK_HEADER_BYTES..];
        let length = u32::try_from(payload.len()).expect("a block holds one pair above its size at most");
        let checksum = checksum(self.blocks, payload);
        block[..4].copy_from_slice(&length.to_be_bytes());
        block[4..8].copy_from_slice(&checksum.to_be_bytes());
        self.blocks += 1;
        Some(block.freeze())
    }

    /// The last pieces.
    pub(crate) fn finish(mut self) -> impl Iterator<Item = Bytes> {
        let last_block = self.close_block();
        let mut counts = [0; 16];
        counts[..8].copy_from_slice(&self.records.to_be_bytes());
        counts[8..].copy_from_slice(&self.blocks.to_be_bytes());
        let mut footer = BytesMut::with_capacity(24);
        footer.put_u32(0);
        footer.put_u32(checksum(self.blocks, &counts));
        footer.put_slice(&counts);
        last_block.into_iter().chain([footer.freeze()])
    }
}

/// A snapshot file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotFileError {
    #[error("reading: {0}")]
    Read(#[from] io::Error),
    #[error(transparent)]
    Damaged(#[from] RecordError),
    #[error("storing: {0}")]
    Store(#[from] rocksdb::Error),
}

/// Calls `pair` for every pair of the file, in order, each checked; fails if the file is not whole.
pub(crate) fn read_snapshot(
    file: &mut impl Read,
    group: GroupId,
    mut pair: impl FnMut(&[u8], &[u8]) -> Result<(), SnapshotFileError>,
) -> Result<u64, SnapshotFileError> {
    let malformed = |what| Err(RecordError::Malformed(what).into());
    let mut header = [0; MAGIC.len() + 5];
    file.read_exact(&mut header)?;
    if !header.starts_with(MAGIC) {
        return malformed("not a snapshot file");
    }
    if header[MAGIC.len()] != FORMAT {
        return Err(RecordError::UnknownFormat { found: header[MAGIC.len()], newest: FORMAT }.into());
    }
    if header[MAGIC.len() + 1..] != group.0.to_be_bytes() {
        return malformed("snapshot of another group");
    }
    let (mut blocks, mut records) = (0u64, 0u64);
    let mut payload = Vec::new();
    loop {
        let (length, stored_checksum) = (read_u32(file)?, read_u32(file)?);
        let is_footer = length == 0;
        let length = if is_footer { 16 } else { length as usize };
        if length > LARGEST_BLOCK_BYTES {
            return malformed("snapshot block too long");
        }
        payload.resize(length, 0);
        file.read_exact(&mut payload)?;
        if checksum(blocks, &payload) != stored_checksum {
            return Err(RecordError::Checksum.into());
        }
        if is_footer {
            let counted = [records.to_be_bytes(), blocks.to_be_bytes()].concat();
            return if payload == counted { Ok(records) } else { malformed("snapshot counts do not match") };
        }
        blocks += 1;
        let mut rest = payload.as_slice();
        while !rest.is_empty() {
            let (key, value, after) = split_pair(rest).ok_or(RecordError::Malformed("snapshot pair ends early"))?;
            pair(key, value)?;
            records += 1;
            rest = after;
        }
    }
}

fn read_u32(file: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    file.read_exact(&mut bytes)?;
    Ok(u32::from_be_bytes(bytes))
}

fn split_pair(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (key_length, bytes) = bytes.split_first_chunk::<4>()?;
    let (value_length, bytes) = bytes.split_first_chunk::<4>()?;
    let (key, bytes) = bytes.split_at_checked(u32::from_be_bytes(*key_length) as usize)?;
    let (value, bytes) = bytes.split_at_checked(u32::from_be_bytes(*value_length) as usize)?;
    Some((key, value, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: GroupId = GroupId(7);

    type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

    fn file(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
        let mut encoder = SnapshotEncoder::new();
        let mut file = encoder.header(GROUP).to_vec();
        for (key, value) in pairs {
            file.extend(encoder.add(key, value).into_iter().flatten());
        }
        file.extend(encoder.finish().flatten());
        file
    }

    fn read(mut file: &[u8]) -> Result<Pairs, SnapshotFileError> {
        let mut pairs = Vec::new();
        read_snapshot(&mut file, GROUP, |key, value| {
            pairs.push((key.to_vec(), value.to_vec()));
            Ok(())
        })?;
        Ok(pairs)
    }

    #[test]
    fn what_was_written_is_read() {
        let pairs: Vec<_> = (0..10_000u32).map(|n| (n.to_be_bytes().to_vec(), vec![7; (n % 200) as usize])).collect();
        assert_eq!(read(&file(&pairs)).unwrap(), pairs);
        assert_eq!(read(&file(&[])).unwrap(), []);
    }

    #[test]
    fn golden_format_1() {
        let mut expected = b"TIDSNAP\x01\0\0\0\x07\0\0\0\x0a".to_vec();
        let payload = b"\0\0\0\x01\0\0\0\x01kv";
        expected.extend(checksum(0, payload).to_be_bytes());
        expected.extend(payload);
        let counts = [1u64.to_be_bytes(), 1u64.to_be_bytes()].concat();
        expected.extend([0; 4]);
        expected.extend(checksum(1, &counts).to_be_bytes());
        expected.extend(counts);
        assert_eq!(file(&[(b"k".to_vec(), b"v".to_vec())]), expected);
    }

    #[test]
    fn every_flipped_byte_and_every_cut_is_found() {
        let whole = file(&[(b"key".to_vec(), b"value".to_vec())]);
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            assert!(read(&damaged).is_err(), "byte {at}");
            assert!(read(&whole[..at]).is_err(), "cut at {at}");
        }
    }
}
