//! The frames that a client writes most, encoded straight from its outbox: the content is encoded once, when the
//! application sends it, and copied into each attempt's frame.

use bytes::{BufMut, BytesMut};
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

const FRAME_SEND: u32 = 2;
const SEQ: u32 = 1;
const AFTER: u32 = 2;
const TO: u32 = 3;
const CONTENT: u32 = 4;
const TTL_MS: u32 = 5;
const RECEIPTS: u32 = 6;
const GROUP: u32 = 7;
const CHANGE: u32 = 8;
const DISAPPEARS: u32 = 12;
const DELIVER_AT_MS: u32 = 13;
const CONFLATION_KEY: u32 = 16;

/// A `Send` whose content is encoded already.
#[derive(Debug)]
pub struct SendFrame<'a> {
    /// As in `Send`.
    pub seq: u64,
    /// As in `Send`.
    pub after: u64,
    /// As in `Send`.
    pub to: &'a str,
    /// What it carries, encoded already.
    pub body: Body<'a>,
    /// As in `Send`.
    pub ttl_ms: Option<u64>,
    /// As in `Send`.
    pub receipts: i32,
    /// As in `Send`.
    pub group: &'a str,
    /// An encoded `Disappearance`.
    pub disappears: Option<&'a [u8]>,
    /// As in `Send`.
    pub deliver_at_ms: i64,
    /// As in `Send`.
    pub conflation_key: &'a str,
}

/// What a `Send` carries, encoded.
#[derive(Debug, Clone, Copy)]
pub enum Body<'a> {
    /// A `Content`.
    Content(&'a [u8]),
    /// A `Change`.
    Change(&'a [u8]),
}

impl SendFrame<'_> {
    /// Bytes of the whole frame.
    pub fn encoded_len(&self) -> usize {
        delimited_len(FRAME_SEND, self.body_len())
    }

    /// Appends the same bytes as `proto`'s `encode_client`.
    pub fn encode(&self, buffer: &mut BytesMut) {
        buffer.reserve(self.encoded_len());
        encode_key(FRAME_SEND, WireType::LengthDelimited, buffer);
        encode_varint(self.body_len() as u64, buffer);
        for (tag, value) in [(SEQ, self.seq), (AFTER, self.after)] {
            if value != 0 {
                put_number(tag, value, buffer);
            }
        }
        if !self.to.is_empty() {
            put_delimited(TO, self.to.as_bytes(), buffer);
        }
        if let Body::Content(content) = self.body {
            put_delimited(CONTENT, content, buffer);
        }
        if let Some(ttl_ms) = self.ttl_ms {
            put_number(TTL_MS, ttl_ms, buffer);
        }
        if self.receipts != 0 {
            put_number(RECEIPTS, self.receipts as u64, buffer);
        }
        if !self.group.is_empty() {
            put_delimited(GROUP, self.group.as_bytes(), buffer);
        }
        if let Body::Change(change) = self.body {
            put_delimited(CHANGE, change, buffer);
        }
        if let Some(disappears) = self.disappears {
            put_delimited(DISAPPEARS, disappears, buffer);
        }
        if self.deliver_at_ms != 0 {
            put_number(DELIVER_AT_MS, self.deliver_at_ms.cast_unsigned(), buffer);
        }
        if !self.conflation_key.is_empty() {
            put_delimited(CONFLATION_KEY, self.conflation_key.as_bytes(), buffer);
        }
    }

    fn body_len(&self) -> usize {
        let number = |tag, value| key_len(tag) + encoded_len_varint(value);
        let set_number = |tag, value| if value == 0 { 0 } else { number(tag, value) };
        let text = |tag, text: &str| if text.is_empty() { 0 } else { delimited_len(tag, text.len()) };
        set_number(SEQ, self.seq)
            + set_number(AFTER, self.after)
            + text(TO, self.to)
            + text(GROUP, self.group)
            + text(CONFLATION_KEY, self.conflation_key)
            + match self.body {
                Body::Content(content) => delimited_len(CONTENT, content.len()),
                Body::Change(change) => delimited_len(CHANGE, change.len()),
            }
            + self.disappears.map_or(0, |disappears| delimited_len(DISAPPEARS, disappears.len()))
            + self.ttl_ms.map_or(0, |ttl_ms| number(TTL_MS, ttl_ms))
            + set_number(RECEIPTS, self.receipts as u64)
            + set_number(DELIVER_AT_MS, self.deliver_at_ms.cast_unsigned())
    }
}

fn delimited_len(tag: u32, length: usize) -> usize {
    key_len(tag) + encoded_len_varint(length as u64) + length
}

fn put_number(tag: u32, value: u64, buffer: &mut BytesMut) {
    encode_key(tag, WireType::Varint, buffer);
    encode_varint(value, buffer);
}

fn put_delimited(tag: u32, bytes: &[u8], buffer: &mut BytesMut) {
    encode_key(tag, WireType::LengthDelimited, buffer);
    encode_varint(bytes.len() as u64, buffer);
    buffer.put_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use prost::Message as _;
    use tidings_proto::client::v1::{Send, client_frame};
    use tidings_proto::frame::encode_client;
    use tidings_proto::message::v1::{Change, Content, Disappearance};

    proptest! {
        #[test]
        fn equals_the_generated_encoding(
            seq: u64, after: u64, to in ".{0,20}", text in ".{0,300}", ttl_ms: Option<u64>, receipts in 0..4i32,
            group in ".{0,20}", after_ms: Option<u64>, key in ".{0,5}", deliver_at_ms: i64,
        ) {
            let disappears = after_ms.map(|after_ms| Disappearance { after_ms, from: 0 });
            let encoded_disappears = disappears.map(|disappears| disappears.encode_to_vec());
            let content = Content { text, ..Content::default() };
            let encoded = content.encode_to_vec();
            let frame = SendFrame { seq, after, to: &to, body: Body::Content(&encoded), ttl_ms, receipts, group: &group,
                disappears: encoded_disappears.as_deref(), conflation_key: &key, deliver_at_ms };
            let mut buffer = BytesMut::new();
            frame.encode(&mut buffer);
            prop_assert_eq!(buffer.len(), frame.encoded_len());
            let named = Send {
                seq, after, to: to.clone(), ttl_ms, receipts, group: group.clone(), disappears, deliver_at_ms,
                conflation_key: key.clone(), ..Send::default()
            };
            let generated = Send { content: Some(content), ..named.clone() };
            prop_assert_eq!(buffer.freeze(), encode_client(client_frame::Frame::Send(generated)));

            let change = Change { emoji: to.clone(), ..Change::default() };
            let encoded = change.encode_to_vec();
            let frame = SendFrame { body: Body::Change(&encoded), ..frame };
            let mut buffer = BytesMut::new();
            frame.encode(&mut buffer);
            prop_assert_eq!(buffer.len(), frame.encoded_len());
            let generated = Send { change: Some(change), ..named };
            prop_assert_eq!(buffer.freeze(), encode_client(client_frame::Frame::Send(generated)));
        }
    }
}
