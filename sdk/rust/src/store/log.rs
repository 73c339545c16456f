//! The frames of the state file: each batch of changes is one frame with checksums over its head and its body, so that
//! a write that a power cut tore is told from damage. Each frame is synced before the next is written; hence only the
//! last one can be torn, and no whole frame can follow a torn one.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message as _;

use super::{Change, State, StoredSend};

/// First bytes of the file, before the version.
pub const MAGIC: [u8; 8] = *b"tidings\0";
/// The format that this build writes.
pub const VERSION: u32 = 1;
/// Magic and version.
pub const HEADER_BYTES: usize = MAGIC.len() + 4;
const FRAME_MARK: u32 = 0x7464_6e67;
/// Mark, body length, checksum of both, checksum of the body.
const FRAME_HEAD_BYTES: usize = 16;

/// One change as the file holds it. Fields are added, never changed (promise 7).
#[derive(Clone, PartialEq, prost::Message)]
struct Record {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4")]
    kind: Option<Kind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Kind {
    #[prost(message, tag = "1")]
    Reset(State),
    #[prost(message, tag = "2")]
    Enqueued(StoredSend),
    #[prost(uint64, tag = "3")]
    Answered(u64),
    #[prost(uint64, tag = "4")]
    Cursor(u64),
}

#[derive(Clone, PartialEq, prost::Message)]
struct Batch {
    #[prost(message, repeated, tag = "1")]
    records: Vec<Record>,
}

/// The head of a new file.
pub fn header() -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..MAGIC.len()].copy_from_slice(&MAGIC);
    header[MAGIC.len()..].copy_from_slice(&VERSION.to_le_bytes());
    header
}

/// One frame that holds the changes.
pub fn encode(changes: Vec<Change>) -> Bytes {
    let records = changes.into_iter().map(|change| Record { kind: Some(Kind::from(change)) }).collect();
    let batch = Batch { records };
    let body_len = batch.encoded_len();
    let mut frame = BytesMut::with_capacity(FRAME_HEAD_BYTES + body_len);
    frame.put_u32_le(FRAME_MARK);
    frame.put_u32_le(u32::try_from(body_len).expect("a batch is bounded by the outbox, far below 4 GiB"));
    let head_checksum = crc32fast::hash(&frame);
    frame.put_u32_le(head_checksum);
    let checksum_at = frame.len();
    frame.put_u32_le(0);
    batch.encode(&mut frame).expect("the buffer grows as needed");
    let body_checksum = crc32fast::hash(&frame[FRAME_HEAD_BYTES..]);
    frame[checksum_at..FRAME_HEAD_BYTES].copy_from_slice(&body_checksum.to_le_bytes());
    frame.freeze()
}

/// What stands at the front of some bytes of the file.
pub enum Found {
    /// A whole frame of that many bytes.
    Frame(Vec<Change>, usize),
    /// No whole frame.
    Nothing,
}

/// Looks for a whole frame at the front of `bytes`.
pub fn decode_front(bytes: &Bytes) -> Found {
    if bytes.len() < FRAME_HEAD_BYTES {
        return Found::Nothing;
    }
    let mut head = bytes.slice(..FRAME_HEAD_BYTES);
    let head_is_sound = crc32fast::hash(&head[..8]) == (&head[8..12]).get_u32_le();
    if head.get_u32_le() != FRAME_MARK || !head_is_sound {
        return Found::Nothing;
    }
    let body_len = head.get_u32_le() as usize;
    let end = FRAME_HEAD_BYTES + body_len;
    if bytes.len() < end {
        return Found::Nothing;
    }
    let body = bytes.slice(FRAME_HEAD_BYTES..end);
    let stored = (&bytes[12..FRAME_HEAD_BYTES]).get_u32_le();
    if crc32fast::hash(&body) != stored {
        return Found::Nothing;
    }
    match Batch::decode(body) {
        Ok(batch) => {
            Found::Frame(batch.records.into_iter().filter_map(|record| record.kind.map(Change::from)).collect(), end)
        }
        Err(_) => Found::Nothing,
    }
}

/// Whether a whole frame begins anywhere in `bytes`: then what stands before it was not torn but damaged.
pub fn holds_a_frame(bytes: &Bytes) -> bool {
    let mark = FRAME_MARK.to_le_bytes();
    let starts = bytes.windows(mark.len()).enumerate().filter(|(_, window)| *window == mark);
    starts.into_iter().any(|(start, _)| matches!(decode_front(&bytes.slice(start..)), Found::Frame(..)))
}

impl From<Change> for Kind {
    fn from(change: Change) -> Self {
        match change {
            Change::Reset(state) => Self::Reset(state),
            Change::Enqueued(send) => Self::Enqueued(send),
            Change::Answered(seq) => Self::Answered(seq),
            Change::Cursor(cursor) => Self::Cursor(cursor),
        }
    }
}

impl From<Kind> for Change {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Reset(state) => Self::Reset(state),
            Kind::Enqueued(send) => Self::Enqueued(send),
            Kind::Answered(seq) => Self::Answered(seq),
            Kind::Cursor(cursor) => Self::Cursor(cursor),
        }
    }
}
