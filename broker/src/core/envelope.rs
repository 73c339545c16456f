//! Envelopes as bytes: a message's is built around its content without touching it, and what the shard has to know of a
//! stored one is read without decoding the content. Both agree with `tidings.message.v1.Envelope`; tests hold them to
//! it.

use bytes::{Buf, BufMut, BytesMut};
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint, encoded_len_varint, key_len};
use tidings_proto::mailbox::v1::GroupPointer;
use tidings_proto::message::v1::Disappearance;

use super::records::CoreError;

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
    /// A `Disappearance`; `after_ms` 0: it stays.
    pub disappears: Disappearance,
    /// 0: not known.
    pub disappears_at_ms: i64,
}

/// Field numbers of message.proto.
mod field {
    pub const ENVELOPE_MESSAGE: u32 = 1;
    pub const ENVELOPE_RECEIPT: u32 = 2;
    pub const ENVELOPE_FAILURE: u32 = 3;
    pub const ENVELOPE_CHANGE: u32 = 4;
    pub const ENVELOPE_GROUP_EVENT: u32 = 5;
    pub const ENVELOPE_CONVERSATION_UPDATE: u32 = 7;
    pub const ENVELOPE_SCHEDULE_UPDATE: u32 = 9;
    pub const GROUP_EVENT_AT_MS: u32 = 6;
    pub const RECEIPT_AT_MS: u32 = 5;
    pub const FAILURE_AT_MS: u32 = 4;
    pub const CHANGE_AT_MS: u32 = 9;
    pub const CONVERSATION_UPDATE_AT_MS: u32 = 2;
    pub const SCHEDULE_UPDATE_AT_MS: u32 = 7;
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
    pub const DISAPPEARS: u32 = 16;
    pub const DISAPPEARS_AFTER_MS: u32 = 1;
    pub const DISAPPEARS_FROM: u32 = 2;
    pub const DISAPPEARS_AT_MS: u32 = 17;
}

/// Appends the envelope of a message, around an encoded `Content`.
pub fn of_message(head: &MessageHead<'_>, content: Option<&[u8]>, buffer: &mut BytesMut) {
    let id = varint_len(field::ID_STREAM, head.stream) + varint_len(field::ID_SEQ, head.seq);
    let numbers = [
        (field::SENT_AT_MS, head.sent_at_ms.cast_unsigned()),
        (field::EXPIRES_AT_MS, head.expires_at_ms.cast_unsigned()),
        (field::RECEIPTS, u64::from(head.receipts.cast_unsigned())),
        (field::FROM_SLOT, u64::from(head.from_slot)),
        (field::GROUP_SEQ, head.group_seq),
        (field::DISAPPEARS_AT_MS, head.disappears_at_ms.cast_unsigned()),
    ];
    let (after_ms, start) = (head.disappears.after_ms, u64::from(head.disappears.from.cast_unsigned()));
    let disappears = varint_len(field::DISAPPEARS_AFTER_MS, after_ms) + varint_len(field::DISAPPEARS_FROM, start);
    let group = if head.group.is_empty() { 0 } else { delimited_len(field::GROUP, head.group.len()) };
    let message = delimited_len(field::ID, id)
        + delimited_len(field::FROM, head.from.len())
        + delimited_len(field::TO, head.to.len())
        + content.map_or(0, |content| delimited_len(field::CONTENT, content.len()))
        + group
        + if after_ms == 0 { 0 } else { delimited_len(field::DISAPPEARS, disappears) }
        + numbers.iter().map(|(tag, value)| varint_len(*tag, *value)).sum::<usize>();
    buffer.reserve(delimited_len(field::ENVELOPE_MESSAGE, message));
    put_length(field::ENVELOPE_MESSAGE, message, buffer);
    put_length(field::ID, id, buffer);
    put_varint(field::ID_STREAM, head.stream, buffer);
    put_varint(field::ID_SEQ, head.seq, buffer);
    put_text(field::FROM, head.from, buffer);
    put_text(field::TO, head.to, buffer);
    put_varint(field::SENT_AT_MS, numbers[0].1, buffer);
    put_varint(field::EXPIRES_AT_MS, numbers[1].1, buffer);
    if let Some(content) = content {
        put_length(field::CONTENT, content.len(), buffer);
        buffer.put_slice(content);
    }
    put_varint(field::RECEIPTS, numbers[2].1, buffer);
    put_varint(field::FROM_SLOT, numbers[3].1, buffer);
    if group > 0 {
        put_text(field::GROUP, head.group, buffer);
    }
    put_varint(field::GROUP_SEQ, numbers[4].1, buffer);
    if after_ms != 0 {
        put_length(field::DISAPPEARS, disappears, buffer);
        put_varint(field::DISAPPEARS_AFTER_MS, after_ms, buffer);
        put_varint(field::DISAPPEARS_FROM, start, buffer);
    }
    put_varint(field::DISAPPEARS_AT_MS, numbers[5].1, buffer);
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
    /// An entry that points to a place of a group's order.
    Group(&'a GroupPointer),
    /// Of an earlier message.
    Change {
        at_ms: i64,
    },
    /// Anything else, also what a newer version puts here.
    Event {
        at_ms: i64,
    },
}

impl Peeked<'_> {
    /// When it stops being worth delivering; 0: never.
    pub fn expires_at_ms(&self) -> i64 {
        match self {
            Self::Message(head) => head.expires_at_ms,
            Self::Group(pointer) => pointer.expires_at_ms,
            Self::Change { .. } | Self::Event { .. } => 0,
        }
    }

    /// When it came into being.
    pub fn at_ms(&self) -> i64 {
        match self {
            Self::Message(head) => head.sent_at_ms,
            Self::Group(pointer) => pointer.at_ms,
            Self::Change { at_ms } | Self::Event { at_ms } => *at_ms,
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
        (field::ENVELOPE_CHANGE, Value::Bytes(change)) => {
            Some(Peeked::Change { at_ms: peek_at(change, field::CHANGE_AT_MS)? })
        }
        (field::ENVELOPE_GROUP_EVENT, Value::Bytes(event)) => peek_event(event, field::GROUP_EVENT_AT_MS),
        (field::ENVELOPE_CONVERSATION_UPDATE, Value::Bytes(update)) => {
            peek_event(update, field::CONVERSATION_UPDATE_AT_MS)
        }
        (field::ENVELOPE_SCHEDULE_UPDATE, Value::Bytes(update)) => peek_event(update, field::SCHEDULE_UPDATE_AT_MS),
        (_, Value::Bytes(_)) => Some(Peeked::Event { at_ms: 0 }),
        _ => None,
    }
}

fn peek_event(event: &[u8], at_field: u32) -> Option<Peeked<'_>> {
    Some(Peeked::Event { at_ms: peek_at(event, at_field)? })
}

fn peek_at(mut event: &[u8], at_field: u32) -> Option<i64> {
    let mut at_ms = 0;
    while !event.is_empty() {
        match next_field(&mut event)? {
            (tag, Value::Number(at)) if tag == at_field => at_ms = at.cast_signed(),
            _ => {}
        }
    }
    Some(at_ms)
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
            (field::DISAPPEARS, Value::Bytes(mut disappears)) => {
                while !disappears.is_empty() {
                    match next_field(&mut disappears)? {
                        (field::DISAPPEARS_AFTER_MS, Value::Number(after)) => head.disappears.after_ms = after,
                        (field::DISAPPEARS_FROM, Value::Number(start)) => {
                            head.disappears.from = i32::try_from(start).ok()?;
                        }
                        _ => {}
                    }
                }
            }
            (field::DISAPPEARS_AT_MS, Value::Number(at)) => head.disappears_at_ms = at.cast_signed(),
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
    use tidings_proto::message::v1::{
        Change, Content, ConversationUpdate, Envelope, Failure, GroupEvent, Message, MessageId, Receipt, envelope,
    };

    use super::super::entry::Entry;
    use super::*;

    proptest! {
        #[test]
        fn an_envelope_is_what_protobuf_would_write(
            stream: u64, seq: u64, from in "[a-z]{0,9}", to in "[a-zé]{0,9}", sent_at_ms: i64, expires_at_ms: i64,
            receipts in 0i32..4, from_slot in 0u32..256, text in ".{0,200}", group in "[a-z]{0,9}", group_seq: u64,
            after_ms: u64, start in 0i32..3, disappears_at_ms: i64,
        ) {
            let start = if after_ms == 0 { 0 } else { start };
            let disappears = Disappearance { after_ms, from: start };
            let content = Content { text, ..Content::default() };
            let head = MessageHead {
                stream, seq, from: &from, to: &to, sent_at_ms, expires_at_ms, receipts, from_slot, group: &group,
                group_seq, disappears, disappears_at_ms,
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
                disappears: (after_ms != 0).then_some(disappears),
                disappears_at_ms,
                ..Message::default()
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
        let peeked = |event| at_of(&Envelope { event: Some(event) }.encode_to_vec());
        let receipt = Receipt { up_to_seq: 3, at_ms: 4, ..Receipt::default() };
        assert_eq!(peeked(envelope::Event::Receipt(receipt)), 4);
        let failure = Failure { at_ms: 5, to: "bob".to_owned(), ..Failure::default() };
        assert_eq!(peeked(envelope::Event::Failure(failure)), 5);
        let change = Change { at_ms: 6, emoji: "x".to_owned(), ..Change::default() };
        assert_eq!(peeked(envelope::Event::Change(change)), 6);
        let update = ConversationUpdate { at_ms: 7, ..ConversationUpdate::default() };
        assert_eq!(peeked(envelope::Event::ConversationUpdate(update)), 7);
        let joined = GroupEvent { at_ms: 8, group: "team".to_owned(), ..GroupEvent::default() };
        assert_eq!(peeked(envelope::Event::GroupEvent(joined)), 8);
        assert!(peek(&[]).is_err());
    }

    fn at_of(envelope: &[u8]) -> i64 {
        match peek(envelope).unwrap() {
            Peeked::Change { at_ms } | Peeked::Event { at_ms } => at_ms,
            other => panic!("{other:?}"),
        }
    }
}
