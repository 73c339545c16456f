//! Envelopes as bytes: a message's is built around its content without touching it, and what the shard has to know of a
//! stored one is read without decoding the content. Both agree with `tidings.message.v1.Envelope`; tests hold them to it.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint, encoded_len_varint, key_len};
use tidings_proto::mailbox::v1::{GroupPointer, PointerEntry};
use tidings_proto::message::v1::{Envelope, Failure, GroupEvent, Receipt, envelope};

use super::records::{CoreError, FORMAT};

/// The parts of a message around its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MessageHead<'a> {
    pub stream: u64,
    pub seq: u64,
    pub from: &'a str,
    pub to: &'a str,
    pub sent_at_ms: i64,
    /// 0: never.
    pub expires_at_ms: i64,
    /// A `ReceiptRequest`.
    pub receipts: i32,
    pub from_slot: u32,
    /// Empty: to a user.
    pub group: &'a str,
    pub group_seq: u64,
}

/// What stands in a mailbox for an envelope that is stored elsewhere in the shard, once for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PointerHead<'a> {
    pub group: &'a str,
    pub group_seq: u64,
    pub at_ms: i64,
    /// 0: never.
    pub expires_at_ms: i64,
    /// A message, not an event.
    pub is_message: bool,
}

/// Field numbers of message.proto.
mod field {
    pub const ENVELOPE_MESSAGE: u32 = 1;
    pub const ENVELOPE_RECEIPT: u32 = 2;
    pub const ENVELOPE_FAILURE: u32 = 3;
    pub const ENVELOPE_GROUP_EVENT: u32 = 5;
    pub const GROUP_EVENT_AT_MS: u32 = 6;
    pub const GROUP_POINTER: u32 = 100;
    pub const POINTER_GROUP: u32 = 1;
    pub const POINTER_SEQ: u32 = 2;
    pub const POINTER_AT_MS: u32 = 3;
    pub const POINTER_EXPIRES_AT_MS: u32 = 4;
    pub const POINTER_IS_MESSAGE: u32 = 5;
    pub const RECEIPT_AT_MS: u32 = 5;
    pub const FAILURE_AT_MS: u32 = 4;
    pub const ID: u32 = 1;
    pub const ID_STREAM: u32 = 1;
    pub const ID_SEQ: u32 = 2;
    pub const FROM: u32 = 2;
    pub const TO: u32 = 3;
    pub const SENT_AT_MS: u32 = 4;
    pub const EXPIRES_AT_MS: u32 = 5;
    pub const CONTENT: u32 = 6;
    pub const RECEIPTS: u32 = 7;
    pub const FROM_SLOT: u32 = 8;
    pub const GROUP: u32 = 9;
    pub const GROUP_SEQ: u32 = 10;
}

/// An entry as it is stored: the format byte, then the envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub stored: Bytes,
}

impl Entry {
    /// The envelope, as it is sent.
    pub fn envelope(&self) -> Bytes {
        self.stored.slice(1..)
    }

    /// An entry of a receipt.
    pub fn of_receipt(receipt: Receipt) -> Self {
        Self::of_event(envelope::Event::Receipt(receipt))
    }

    /// An entry of a failure.
    pub fn of_failure(failure: Failure) -> Self {
        Self::of_event(envelope::Event::Failure(failure))
    }

    /// An entry of something that changed in a group.
    pub fn of_group_event(event: GroupEvent) -> Self {
        Self::of_event(envelope::Event::GroupEvent(event))
    }

    /// An entry that stands for an envelope stored elsewhere in the shard.
    pub fn of_pointer(pointer: GroupPointer) -> Self {
        Self { stored: super::records::seal(&PointerEntry { group: Some(pointer) }) }
    }

    fn of_event(event: envelope::Event) -> Self {
        Self { stored: super::records::seal(&Envelope { event: Some(event) }) }
    }

    /// An entry of a message, around an encoded `Content`.
    pub fn of_message(head: &MessageHead<'_>, content: &[u8]) -> Self {
        let id = varint_len(field::ID_STREAM, head.stream) + varint_len(field::ID_SEQ, head.seq);
        let numbers = [
            (field::SENT_AT_MS, head.sent_at_ms.cast_unsigned()),
            (field::EXPIRES_AT_MS, head.expires_at_ms.cast_unsigned()),
            (field::RECEIPTS, u64::from(head.receipts.cast_unsigned())),
            (field::FROM_SLOT, u64::from(head.from_slot)),
            (field::GROUP_SEQ, head.group_seq),
        ];
        let group = if head.group.is_empty() { 0 } else { delimited_len(field::GROUP, head.group.len()) };
        let message = delimited_len(field::ID, id)
            + delimited_len(field::FROM, head.from.len())
            + delimited_len(field::TO, head.to.len())
            + delimited_len(field::CONTENT, content.len())
            + group
            + numbers.iter().map(|(tag, value)| varint_len(*tag, *value)).sum::<usize>();
        let mut buffer = BytesMut::with_capacity(1 + delimited_len(field::ENVELOPE_MESSAGE, message));
        buffer.put_u8(FORMAT);
        put_length(field::ENVELOPE_MESSAGE, message, &mut buffer);
        put_length(field::ID, id, &mut buffer);
        put_varint(field::ID_STREAM, head.stream, &mut buffer);
        put_varint(field::ID_SEQ, head.seq, &mut buffer);
        put_text(field::FROM, head.from, &mut buffer);
        put_text(field::TO, head.to, &mut buffer);
        put_varint(field::SENT_AT_MS, numbers[0].1, &mut buffer);
        put_varint(field::EXPIRES_AT_MS, numbers[1].1, &mut buffer);
        put_length(field::CONTENT, content.len(), &mut buffer);
        buffer.put_slice(content);
        put_varint(field::RECEIPTS, numbers[2].1, &mut buffer);
        put_varint(field::FROM_SLOT, numbers[3].1, &mut buffer);
        if group > 0 {
            put_text(field::GROUP, head.group, &mut buffer);
        }
        put_varint(field::GROUP_SEQ, numbers[4].1, &mut buffer);
        Self { stored: buffer.freeze() }
    }
}

fn varint_len(tag: u32, value: u64) -> usize {
    if value == 0 { 0 } else { key_len(tag) + encoded_len_varint(value) }
}

fn delimited_len(tag: u32, length: usize) -> usize {
    key_len(tag) + encoded_len_varint(length as u64) + length
}

fn put_varint(tag: u32, value: u64, buffer: &mut BytesMut) {
    if value != 0 {
        encode_key(tag, WireType::Varint, buffer);
        encode_varint(value, buffer);
    }
}

fn put_length(tag: u32, length: usize, buffer: &mut BytesMut) {
    encode_key(tag, WireType::LengthDelimited, buffer);
    encode_varint(length as u64, buffer);
}

fn put_text(tag: u32, text: &str, buffer: &mut BytesMut) {
    put_length(tag, text.len(), buffer);
    buffer.put_slice(text.as_bytes());
}

/// What is read of a stored envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peeked<'a> {
    Message(MessageHead<'a>),
    /// An envelope that is stored elsewhere in the shard.
    Pointer(PointerHead<'a>),
    /// A receipt, a failure, an event of a group, or what a newer version puts here.
    Event {
        at_ms: i64,
    },
}

impl Peeked<'_> {
    /// When it stops being worth delivering; 0: never.
    pub fn expires_at_ms(&self) -> i64 {
        match self {
            Self::Message(head) => head.expires_at_ms,
            Self::Pointer(head) => head.expires_at_ms,
            Self::Event { .. } => 0,
        }
    }

    /// When it came into being.
    pub fn at_ms(&self) -> i64 {
        match self {
            Self::Message(head) => head.sent_at_ms,
            Self::Pointer(head) => head.at_ms,
            Self::Event { at_ms } => *at_ms,
        }
    }
}

/// Reads the head of a message, passing over its content.
pub fn peek(envelope: &[u8]) -> Result<Peeked<'_>, CoreError> {
    peek_envelope(envelope).ok_or_else(|| CoreError::Damaged { what: "entry", reason: "no envelope".to_owned() })
}

fn peek_envelope(mut envelope: &[u8]) -> Option<Peeked<'_>> {
    match next_field(&mut envelope)? {
        (field::ENVELOPE_MESSAGE, Value::Bytes(message)) => peek_message(message).map(Peeked::Message),
        (field::ENVELOPE_RECEIPT, Value::Bytes(receipt)) => peek_event(receipt, field::RECEIPT_AT_MS),
        (field::ENVELOPE_FAILURE, Value::Bytes(failure)) => peek_event(failure, field::FAILURE_AT_MS),
        (field::ENVELOPE_GROUP_EVENT, Value::Bytes(event)) => peek_event(event, field::GROUP_EVENT_AT_MS),
        (field::GROUP_POINTER, Value::Bytes(pointer)) => peek_pointer(pointer).map(Peeked::Pointer),
        (_, Value::Bytes(_)) => Some(Peeked::Event { at_ms: 0 }),
        _ => None,
    }
}

fn peek_pointer(mut pointer: &[u8]) -> Option<PointerHead<'_>> {
    let mut head = PointerHead { group: "", group_seq: 0, at_ms: 0, expires_at_ms: 0, is_message: false };
    while !pointer.is_empty() {
        match next_field(&mut pointer)? {
            (field::POINTER_GROUP, Value::Bytes(group)) => head.group = std::str::from_utf8(group).ok()?,
            (field::POINTER_SEQ, Value::Number(seq)) => head.group_seq = seq,
            (field::POINTER_AT_MS, Value::Number(at)) => head.at_ms = at.cast_signed(),
            (field::POINTER_EXPIRES_AT_MS, Value::Number(at)) => head.expires_at_ms = at.cast_signed(),
            (field::POINTER_IS_MESSAGE, Value::Number(is_message)) => head.is_message = is_message != 0,
            _ => {}
        }
    }
    Some(head)
}

fn peek_event(mut event: &[u8], at_field: u32) -> Option<Peeked<'_>> {
    let mut at_ms = 0;
    while !event.is_empty() {
        match next_field(&mut event)? {
            (tag, Value::Number(at)) if tag == at_field => at_ms = at.cast_signed(),
            _ => {}
        }
    }
    Some(Peeked::Event { at_ms })
}

fn peek_message(mut message: &[u8]) -> Option<MessageHead<'_>> {
    let mut head = MessageHead::default();
    while !message.is_empty() {
        match next_field(&mut message)? {
            (field::ID, Value::Bytes(mut id)) => {
                while !id.is_empty() {
                    match next_field(&mut id)? {
                        (field::ID_STREAM, Value::Number(stream)) => head.stream = stream,
                        (field::ID_SEQ, Value::Number(seq)) => head.seq = seq,
                        _ => {}
                    }
                }
            }
            (field::FROM, Value::Bytes(from)) => head.from = std::str::from_utf8(from).ok()?,
            (field::TO, Value::Bytes(to)) => head.to = std::str::from_utf8(to).ok()?,
            (field::SENT_AT_MS, Value::Number(at)) => head.sent_at_ms = at.cast_signed(),
            (field::EXPIRES_AT_MS, Value::Number(at)) => head.expires_at_ms = at.cast_signed(),
            (field::RECEIPTS, Value::Number(receipts)) => head.receipts = i32::try_from(receipts).ok()?,
            (field::FROM_SLOT, Value::Number(slot)) => head.from_slot = u32::try_from(slot).ok()?,
            (field::GROUP, Value::Bytes(group)) => head.group = std::str::from_utf8(group).ok()?,
            (field::GROUP_SEQ, Value::Number(seq)) => head.group_seq = seq,
            _ => {}
        }
    }
    Some(head)
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Passed,
}

fn next_field<'a>(rest: &mut &'a [u8]) -> Option<(u32, Value<'a>)> {
    let (tag, wire_type) = decode_key(rest).ok()?;
    let value = match wire_type {
        WireType::Varint => Value::Number(decode_varint(rest).ok()?),
        WireType::LengthDelimited => {
            let length = usize::try_from(decode_varint(rest).ok()?).ok()?;
            let (bytes, after) = rest.split_at_checked(length)?;
            *rest = after;
            Value::Bytes(bytes)
        }
        WireType::SixtyFourBit => pass(rest, 8)?,
        WireType::ThirtyTwoBit => pass(rest, 4)?,
        WireType::StartGroup | WireType::EndGroup => return None,
    };
    Some((tag, value))
}

fn pass<'a>(rest: &mut &'a [u8], length: usize) -> Option<Value<'a>> {
    if rest.len() < length {
        return None;
    }
    rest.advance(length);
    Some(Value::Passed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;
    use tidings_proto::message::v1::{Content, Message, MessageId};

    use super::*;

    proptest! {
        #[test]
        fn an_envelope_is_what_protobuf_would_write(
            stream: u64, seq: u64, from in "[a-z]{0,9}", to in "[a-zé]{0,9}", sent_at_ms: i64, expires_at_ms: i64,
            receipts in 0i32..4, from_slot in 0u32..256, text in ".{0,200}", group in "[a-z]{0,9}", group_seq: u64,
        ) {
            let content = Content { text, ..Content::default() };
            let head = MessageHead {
                stream, seq, from: &from, to: &to, sent_at_ms, expires_at_ms, receipts, from_slot, group: &group,
                group_seq,
            };
            let entry = Entry::of_message(&head, &content.encode_to_vec());
            let message = Message {
                id: Some(MessageId { stream, seq }),
                from: from.clone(),
                to: to.clone(),
                sent_at_ms,
                expires_at_ms,
                content: Some(content),
                receipts,
                from_slot,
                group: group.clone(),
                group_seq,
            };
            let envelope = entry.envelope();
            let decoded = Envelope::decode(envelope.clone()).unwrap();
            prop_assert_eq!(decoded, Envelope { event: Some(envelope::Event::Message(message)) });
            prop_assert_eq!(peek(&envelope), Ok(Peeked::Message(head)));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = peek(&bytes);
        }
    }

    #[test]
    fn events_are_told_from_messages() {
        let receipt = Entry::of_receipt(Receipt { up_to_seq: 3, at_ms: 4, ..Receipt::default() });
        assert_eq!(peek(&receipt.envelope()), Ok(Peeked::Event { at_ms: 4 }));
        let failure = Entry::of_failure(Failure { at_ms: 5, to: "bob".to_owned(), ..Failure::default() });
        assert_eq!(peek(&failure.envelope()), Ok(Peeked::Event { at_ms: 5 }));
        let joined = Entry::of_group_event(GroupEvent { at_ms: 6, group: "team".to_owned(), ..GroupEvent::default() });
        assert_eq!(peek(&joined.envelope()), Ok(Peeked::Event { at_ms: 6 }));
        assert!(peek(&[]).is_err());
    }

    /// Never change these bytes: they are stored.
    #[test]
    fn golden_pointer() {
        let group = "team".to_owned();
        let pointer = GroupPointer { group, group_seq: 300, at_ms: 4, expires_at_ms: 5, is_message: true };
        let entry = Entry::of_pointer(pointer);
        assert_eq!(&entry.stored[..], b"\x01\xa2\x06\x0f\x0a\x04team\x10\xac\x02\x18\x04\x20\x05\x28\x01");
        let head = PointerHead { group: "team", group_seq: 300, at_ms: 4, expires_at_ms: 5, is_message: true };
        assert_eq!(peek(&entry.envelope()), Ok(Peeked::Pointer(head)));
    }
}
