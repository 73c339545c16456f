//! Stored values: one byte for the format, then protobuf. A new format gets a new byte and a function from the old one.

use bytes::Bytes;
use prost::Message;

/// The format written by this build, and the only one so far.
const FORMAT: u8 = 1;

/// Why stored bytes are no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Written by a newer build.
    #[error("a record has the format {0}, which this version does not know")]
    Format(u8),
    /// Not what was written.
    #[error("a record is damaged: {0}")]
    Damaged(String),
}

/// A record as bytes.
pub fn encode(record: &impl Message) -> Bytes {
    let mut bytes = Vec::with_capacity(1 + record.encoded_len());
    bytes.push(FORMAT);
    bytes.extend_from_slice(&record.encode_to_vec());
    bytes.into()
}

/// A record from bytes.
pub fn decode<T: Message + Default>(bytes: &[u8]) -> Result<T, RecordError> {
    match bytes.split_first() {
        Some((&FORMAT, body)) => T::decode(body).map_err(|error| RecordError::Damaged(error.to_string())),
        Some((&format, _)) => Err(RecordError::Format(format)),
        None => Err(RecordError::Damaged("it is empty".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidings_proto::registry::v1::AppRecord;

    fn app() -> AppRecord {
        AppRecord { id: "shop".to_owned(), display_name: "Shop".to_owned(), created_at_ms: 5, ..AppRecord::default() }
    }

    #[test]
    fn records_of_format_1_are_read_as_they_were_written() {
        // As written by 0.1.0; this vector stays when the format changes.
        let stored = b"\x01\x0a\x04shop\x12\x04Shop\x18\x05";
        assert_eq!(decode::<AppRecord>(stored).unwrap(), app());
        assert_eq!(encode(&app()), stored.as_slice());
    }

    #[test]
    fn fields_of_a_newer_version_are_passed_over() {
        let mut stored = encode(&app()).to_vec();
        stored.extend_from_slice(b"\xa2\x06\x03new");
        assert_eq!(decode::<AppRecord>(&stored).unwrap(), app());
    }

    #[test]
    fn a_newer_format_and_damage_are_told_apart() {
        assert_eq!(decode::<AppRecord>(b"\x02x"), Err(RecordError::Format(2)));
        assert!(matches!(decode::<AppRecord>(b""), Err(RecordError::Damaged(_))));
        assert!(matches!(decode::<AppRecord>(b"\x01\x0a\x7fx"), Err(RecordError::Damaged(_))));
    }
}
