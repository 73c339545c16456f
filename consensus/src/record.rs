//! The envelope of everything that the engine itself stores: a format version, the body, and a checksum over key and
//! both, so that a flipped bit and a record in the wrong place are found alike.

use std::string::FromUtf8Error;

/// The format that this version of the code writes.
pub(crate) const FORMAT: u8 = 1;
const CHECKSUM_BYTES: usize = 4;

/// A stored record cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("checksum mismatch")]
    Checksum,
    #[error("format {found} is not known to this version, which reads up to format {newest}")]
    UnknownFormat { found: u8, newest: u8 },
    #[error("malformed: {0}")]
    Malformed(&'static str),
}

impl From<FromUtf8Error> for RecordError {
    fn from(_: FromUtf8Error) -> Self {
        Self::Malformed("text is not UTF-8")
    }
}

impl From<postcard::Error> for RecordError {
    fn from(_: postcard::Error) -> Self {
        Self::Malformed("fields do not decode")
    }
}

fn checksum(key: &[u8], format_and_body: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(format_and_body);
    hasher.finalize().to_be_bytes()
}

/// Starts a record in an empty buffer; the body is appended to it, then [`finish`] is called.
pub(crate) fn begin(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.push(FORMAT);
}

/// Ends a record that [`begin`] started.
pub(crate) fn finish(key: &[u8], buffer: &mut Vec<u8>) {
    let checksum = checksum(key, buffer);
    buffer.extend_from_slice(&checksum);
}

/// A whole record.
pub(crate) fn seal(key: &[u8], body: &[u8]) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(1 + body.len() + CHECKSUM_BYTES);
    begin(&mut buffer);
    buffer.extend_from_slice(body);
    finish(key, &mut buffer);
    buffer
}

/// The format and body of a stored record. The caller decodes by format, so that older ones stay readable.
pub(crate) fn open<'a>(key: &[u8], stored: &'a [u8]) -> Result<(u8, &'a [u8]), RecordError> {
    let Some(split) = stored.len().checked_sub(CHECKSUM_BYTES).filter(|split| *split >= 1) else {
        return Err(RecordError::Malformed("shorter than its envelope"));
    };
    let (format_and_body, stored_checksum) = stored.split_at(split);
    if checksum(key, format_and_body) != stored_checksum {
        return Err(RecordError::Checksum);
    }
    match format_and_body[0] {
        1..=FORMAT => Ok((format_and_body[0], &format_and_body[1..])),
        found => Err(RecordError::UnknownFormat { found, newest: FORMAT }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_format_1() {
        assert_eq!(seal(b"key", b"body"), [1, b'b', b'o', b'd', b'y', 0xda, 0x8c, 0xa1, 0xd1]);
    }

    #[test]
    fn what_was_sealed_opens() {
        let stored = seal(b"key", b"body");
        assert_eq!(open(b"key", &stored), Ok((1, b"body".as_slice())));
    }

    #[test]
    fn every_flipped_bit_and_another_place_are_found() {
        let stored = seal(b"key", b"body");
        for bit in 0..stored.len() * 8 {
            let mut damaged = stored.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(b"key", &damaged), Err(RecordError::Checksum), "bit {bit}");
        }
        assert_eq!(open(b"kez", &stored), Err(RecordError::Checksum));
        assert!(open(b"key", &stored[..4]).is_err());
    }

    #[test]
    fn unknown_formats_are_named() {
        for found in [0, FORMAT + 1] {
            let mut stored = vec![found, b'x'];
            finish(b"key", &mut stored);
            assert_eq!(open(b"key", &stored), Err(RecordError::UnknownFormat { found, newest: FORMAT }));
        }
    }
}
