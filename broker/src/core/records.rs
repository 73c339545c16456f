//! Stored records: a format byte, then protobuf (or, for an entry, the envelope as it is sent). A record of an unknown
//! format or one that cannot be read is an error that stops the shard: it is never taken for absent (promise 7).

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use tidings_consensus::StateView;
use tidings_proto::mailbox::v1::{PastStream, SenderRecord};

use super::limits::PAST_STREAMS;
use super::window::Window;
use crate::error::Error;

/// The format that this version writes.
pub const FORMAT: u8 = 1;

/// Why apply cannot go on. The shard's group stops; nothing of the command is written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CoreError {
    /// Written by a newer version.
    #[error("a {what} record has format {found}, this version knows up to {FORMAT}")]
    UnknownFormat { what: &'static str, found: u8 },
    /// Cannot be read.
    #[error("a {what} record is damaged: {reason}")]
    Damaged { what: &'static str, reason: String },
    /// Records that contradict each other.
    #[error("the shard's state contradicts itself: {0}")]
    Contradiction(&'static str),
    /// The log holds a command that this version cannot read.
    #[error("a command cannot be read: {0}")]
    UnknownCommand(String),
}

/// A record's stored form.
pub fn seal(record: &impl Message) -> Bytes {
    let mut stored = BytesMut::with_capacity(1 + record.encoded_len());
    stored.put_u8(FORMAT);
    record.encode(&mut stored).expect("the buffer has the record's length");
    stored.freeze()
}

/// Reads a stored record.
pub fn open<R: Message + Default>(what: &'static str, stored: Bytes) -> Result<R, CoreError> {
    let body = open_bytes(what, stored)?;
    R::decode(body).map_err(|error| CoreError::Damaged { what, reason: error.to_string() })
}

/// Reads a record outside apply, from a view of the state.
pub fn load<R: Message + Default>(view: &StateView, what: &'static str, key: &[u8]) -> Result<Option<R>, Error> {
    Ok(view.get(key)?.map(|stored| open(what, stored)).transpose()?)
}

/// Checks the format byte and takes it off.
pub fn open_bytes(what: &'static str, mut stored: Bytes) -> Result<Bytes, CoreError> {
    match stored.first() {
        Some(&FORMAT) => Ok(stored.split_off(1)),
        Some(&found) => Err(CoreError::UnknownFormat { what, found }),
        None => Err(CoreError::Damaged { what, reason: "empty".to_owned() }),
    }
}

/// The window that a sender's record holds.
pub fn window(sender: &SenderRecord) -> Window {
    Window { highest: sender.highest, words: [sender.window_0, sender.window_1, sender.window_2, sender.window_3] }
}

/// Puts a window into a sender's record.
pub fn set_window(sender: &mut SenderRecord, window: &Window) {
    sender.highest = window.highest;
    [sender.window_0, sender.window_1, sender.window_2, sender.window_3] = window.words;
}

/// The record of the same sender device in a newer stream.
pub fn succeed(older: SenderRecord, stream: u64) -> SenderRecord {
    let mut past = older.past;
    past.insert(
        0,
        PastStream {
            stream: older.stream,
            highest: older.highest,
            read: older.read,
            wants_read_to: older.wants_read_to,
        },
    );
    past.truncate(PAST_STREAMS);
    SenderRecord { stream, past, ..SenderRecord::default() }
}

#[cfg(test)]
mod tests {
    use tidings_proto::mailbox::v1::{
        ChannelInRecord, ChannelOutRecord, DeviceRecord, DevicesRecord, EphemeralRecord, MailboxRecord, ShardRecord,
    };

    use super::*;

    /// What version 1 wrote is read by every later version: never change these bytes.
    fn golden<R: Message + Default + PartialEq + std::fmt::Debug>(record: R, stored: &[u8]) {
        assert_eq!(seal(&record), stored);
        assert_eq!(open::<R>("test", Bytes::copy_from_slice(stored)), Ok(record));
    }

    #[test]
    fn golden_format_1() {
        golden(
            MailboxRecord {
                epoch: 300,
                last_seq: 2,
                delivered_to: 3,
                pending_entries: 4,
                pending_bytes: 5,
                retained_entries: 6,
                retained_bytes: 7,
                trimmed_to: 8,
                upkeep_due_ms: 9,
                lost_from: 10,
                lost_to: 11,
                devices: 12,
                ..MailboxRecord::default()
            },
            b"\x01\x08\xac\x02\x10\x02\x18\x03\x20\x04\x28\x05\x30\x06\x38\x07\x40\x08\x48\x09\x50\x0a\x58\x0b\x60\x0c",
        );
        let device = DeviceRecord { slot: 1, device: "d".to_owned(), stream: 2, cursor: 3, attached: 4, nonce: 0 };
        golden(DevicesRecord { devices: vec![device] }, b"\x01\x0a\x0b\x08\x01\x12\x01d\x18\x02\x20\x03\x28\x04");
        golden(EphemeralRecord { streams: vec![0, 5], next: 1 }, b"\x01\x0a\x02\x00\x05\x10\x01");
        golden(
            SenderRecord {
                stream: 1,
                highest: 2,
                window_0: 3,
                window_1: 0,
                window_2: 0,
                window_3: 4,
                highest_at_ms: 5,
                read: 6,
                wants_read_to: 7,
                past: vec![PastStream { stream: 1, highest: 2, read: 3, wants_read_to: 4 }],
            },
            b"\x01\x08\x01\x10\x02\x19\x03\0\0\0\0\0\0\0\x31\x04\0\0\0\0\0\0\0\x38\x05\x40\x06\x48\x07\
              \x52\x08\x08\x01\x10\x02\x18\x03\x20\x04",
        );
        golden(ChannelOutRecord { last_seq: 1, trimmed_to: 2 }, b"\x01\x08\x01\x10\x02");
        golden(ChannelInRecord { last_seq: 1 }, b"\x01\x08\x01");
        golden(ShardRecord { count: 1, ..ShardRecord::default() }, b"\x01\x08\x01");
    }

    #[test]
    fn what_cannot_be_read_is_named_and_not_taken_for_absent() {
        let future = open::<MailboxRecord>("mailbox", Bytes::from_static(&[2]));
        assert_eq!(future, Err(CoreError::UnknownFormat { what: "mailbox", found: 2 }));
        assert!(matches!(open::<MailboxRecord>("mailbox", Bytes::new()), Err(CoreError::Damaged { .. })));
        assert!(matches!(
            open::<MailboxRecord>("mailbox", Bytes::from_static(&[1, 0x08])),
            Err(CoreError::Damaged { .. })
        ));
    }

    #[test]
    fn a_newer_version_s_fields_do_no_harm() {
        let stored = b"\x01\x08\x07\xf8\x07\x2a";
        assert_eq!(
            open::<ShardRecord>("shard", Bytes::from_static(stored)),
            Ok(ShardRecord { count: 7, ..ShardRecord::default() })
        );
    }

    #[test]
    fn past_streams_are_bounded() {
        let mut record = SenderRecord { stream: 1, highest: 9, ..SenderRecord::default() };
        for stream in 2..20 {
            record = succeed(record, stream);
        }
        assert_eq!(record.stream, 19);
        assert_eq!(record.past.iter().map(|past| past.stream).collect::<Vec<_>>(), [18, 17, 16, 15]);
    }
}
