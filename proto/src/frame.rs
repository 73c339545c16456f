//! Client frames to and from WebSocket messages: protobuf in binary ones, protobuf's JSON mapping in text ones.
//! Arbitrary input never panics; it costs at most the frame limit.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

use crate::ErrorCode;
use crate::client::v1::{ClientFrame, ServerFrame, client_frame, server_frame};

/// WebSocket subprotocol of binary frames.
pub const SUBPROTOCOL_PROTOBUF: &str = "tidings.v1.protobuf";
/// WebSocket subprotocol of JSON frames.
pub const SUBPROTOCOL_JSON: &str = "tidings.v1.json";
/// The largest encoded content of a message where no policy says otherwise: 64 KiB.
pub const DEFAULT_MAX_CONTENT_BYTES: usize = 64 * 1024;
/// The largest `Activity.data`.
pub const MAX_ACTIVITY_BYTES: usize = 256;
/// The most users that one session may watch.
pub const MAX_WATCHED_USERS: usize = 200;
/// What a frame may carry beside its content: ids, numbers, the envelope.
pub const FRAME_OVERHEAD_BYTES: usize = 4 * 1024;

/// Why bytes are no frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Not protobuf, or not JSON, of a frame.
    #[error("malformed frame: {0}")]
    Malformed(String),
    /// Well formed, but of no kind that this build knows.
    #[error("the frame is empty or of an unknown kind")]
    Empty,
}

impl FrameError {
    /// The code to close with.
    pub fn code(&self) -> ErrorCode {
        ErrorCode::FrameMalformed
    }
}

/// Decodes what a client sent in a binary message.
pub fn decode_client(bytes: Bytes) -> Result<client_frame::Frame, FrameError> {
    let frame = ClientFrame::decode(bytes).map_err(|e| FrameError::Malformed(e.to_string()))?;
    frame.frame.ok_or(FrameError::Empty)
}

/// Decodes what a client sent in a text message.
pub fn decode_client_json(text: &str) -> Result<client_frame::Frame, FrameError> {
    let frame: ClientFrame = serde_json::from_str(text).map_err(|e| FrameError::Malformed(e.to_string()))?;
    frame.frame.ok_or(FrameError::Empty)
}

/// Encodes a client's frame as protobuf.
pub fn encode_client(frame: client_frame::Frame) -> Bytes {
    ClientFrame { frame: Some(frame) }.encode_to_vec().into()
}

/// Decodes what a gateway sent in a binary message.
pub fn decode_server(bytes: Bytes) -> Result<server_frame::Frame, FrameError> {
    let frame = ServerFrame::decode(bytes).map_err(|e| FrameError::Malformed(e.to_string()))?;
    frame.frame.ok_or(FrameError::Empty)
}

/// Encodes a gateway's frame as protobuf.
pub fn encode_server(frame: server_frame::Frame) -> Bytes {
    ServerFrame { frame: Some(frame) }.encode_to_vec().into()
}

/// Encodes a gateway's frame as JSON text.
pub fn encode_server_json(frame: server_frame::Frame) -> Result<String, FrameError> {
    serde_json::to_string(&ServerFrame { frame: Some(frame) }).map_err(|e| FrameError::Malformed(e.to_string()))
}

/// The same bytes as [`encode_server`] of a `Deliver`, from an envelope that is still encoded: a delivery passes the
/// gateway without being decoded.
pub fn encode_deliver(seq: u64, after: u64, envelope: &[u8]) -> Bytes {
    const DELIVER: u32 = 4;
    const SEQ: u32 = 1;
    const AFTER: u32 = 2;
    const ENVELOPE: u32 = 3;
    let number = |tag, value| {
        if value == 0 { 0 } else { key_len(tag) + encoded_len_varint(value) }
    };
    let body = number(SEQ, seq) + number(AFTER, after) + delimited_len(ENVELOPE, envelope.len());
    let mut buffer = BytesMut::with_capacity(delimited_len(DELIVER, body));
    encode_key(DELIVER, WireType::LengthDelimited, &mut buffer);
    encode_varint(body as u64, &mut buffer);
    for (tag, value) in [(SEQ, seq), (AFTER, after)] {
        if value != 0 {
            encode_key(tag, WireType::Varint, &mut buffer);
            encode_varint(value, &mut buffer);
        }
    }
    put_delimited(ENVELOPE, envelope, &mut buffer);
    buffer.freeze()
}

/// The same bytes as [`encode_server`] of a `Transient`, from an envelope that is still encoded.
pub fn encode_transient(envelope: &[u8]) -> Bytes {
    const TRANSIENT: u32 = 5;
    const ENVELOPE: u32 = 1;
    let body = delimited_len(ENVELOPE, envelope.len());
    let mut buffer = BytesMut::with_capacity(delimited_len(TRANSIENT, body));
    encode_key(TRANSIENT, WireType::LengthDelimited, &mut buffer);
    encode_varint(body as u64, &mut buffer);
    put_delimited(ENVELOPE, envelope, &mut buffer);
    buffer.freeze()
}

fn delimited_len(tag: u32, length: usize) -> usize {
    key_len(tag) + encoded_len_varint(length as u64) + length
}

fn put_delimited(tag: u32, bytes: &[u8], buffer: &mut BytesMut) {
    encode_key(tag, WireType::LengthDelimited, buffer);
    encode_varint(bytes.len() as u64, buffer);
    buffer.put_slice(bytes);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::client::v1::{
        Accepted, Ack, Closing, Deliver, Hello, Ping, Pong, Read, ReadRecorded, Refused, Resume, Send, Transient,
        UnknownRange, Welcome,
    };
    use crate::message::v1::{
        Content, Envelope, Failure, FieldValue, GroupEvent, Message, MessageId, Receipt, envelope,
    };

    fn message_id() -> impl Strategy<Value = MessageId> {
        any::<(u64, u64)>().prop_map(|(stream, seq)| MessageId { stream, seq })
    }

    prop_compose! {
        fn content()(
            kind in any::<u32>(), text in ".{0,40}", data in proptest::collection::vec(any::<u8>(), 0..40),
            fields in proptest::collection::btree_map("[a-z]{1,5}", ".{0,9}", 0..4),
            reply_to in proptest::option::of(message_id()), forwarded in any::<bool>(),
            values in proptest::collection::btree_map("[A-Z]{1,5}", field_value(), 0..4),
        ) -> Content {
            Content { r#type: kind, text, data: data.into(), fields, reply_to, forwarded, values, ..Content::default() }
        }
    }

    fn field_value() -> impl Strategy<Value = FieldValue> {
        prop_oneof![
            any::<i64>().prop_map(FieldValue::from),
            proptest::num::f64::NORMAL.prop_map(FieldValue::from),
            any::<bool>().prop_map(FieldValue::from),
            proptest::collection::vec(any::<u8>(), 0..9).prop_map(FieldValue::from),
            any::<i64>().prop_map(FieldValue::time_ms),
        ]
    }

    fn envelope() -> impl Strategy<Value = Envelope> {
        let message = (message_id(), ".{1,20}", any::<i64>(), proptest::option::of(content()), 0..4i32).prop_map(
            |(id, from, sent_at_ms, content, receipts)| {
                let (group, group_seq) = ("team".to_owned(), id.seq);
                let (to, expires_at_ms, from_slot) = ("bob".to_owned(), sent_at_ms.wrapping_add(1), 3);
                let id = Some(id);
                envelope::Event::Message(Message {
                    id,
                    from,
                    to,
                    sent_at_ms,
                    expires_at_ms,
                    content,
                    receipts,
                    from_slot,
                    group,
                    group_seq,
                    ..Message::default()
                })
            },
        );
        let receipt = (".{1,20}", 0..3i32, any::<u64>(), any::<u64>(), any::<i64>()).prop_map(
            |(from, kind, stream, up_to_seq, at_ms)| {
                envelope::Event::Receipt(Receipt { from, kind, stream, up_to_seq, at_ms })
            },
        );
        let failure = (message_id(), ".{1,20}", 40..49i32, any::<i64>())
            .prop_map(|(id, to, reason, at_ms)| envelope::Event::Failure(Failure { id: Some(id), to, reason, at_ms }));
        let group_event =
            (0..8i32, proptest::collection::vec(".{1,20}", 0..3), any::<u64>()).prop_map(|(kind, users, group_seq)| {
                let (group, by) = ("team".to_owned(), users.first().cloned().unwrap_or_default());
                envelope::Event::GroupEvent(GroupEvent { group, group_seq, kind, users, by, at_ms: 1 })
            });
        prop_oneof![message, receipt, failure, group_event].prop_map(|event| Envelope { event: Some(event) })
    }

    fn client_frame() -> impl Strategy<Value = client_frame::Frame> {
        use client_frame::Frame;
        let resume = any::<(u64, u64, u64)>().prop_map(|(mailbox_epoch, stream, cursor)| Resume {
            mailbox_epoch,
            stream,
            cursor,
        });
        prop_oneof![
            (any::<u32>(), ".{0,30}", ".{0,30}", proptest::option::of(resume)).prop_map(
                |(version, token, device, resume)| {
                    let (app_id, agent) = (String::new(), "test".to_owned());
                    Frame::Hello(Hello { version, token, device, app_id, resume, agent })
                }
            ),
            (
                any::<u64>(),
                any::<u64>(),
                ".{0,30}",
                proptest::option::of(content()),
                proptest::option::of(any::<u64>()),
                0..4i32,
                ".{0,30}"
            )
                .prop_map(|(seq, after, to, content, ttl_ms, receipts, group)| {
                    Frame::Send(Send { seq, after, to, content, ttl_ms, receipts, group, ..Send::default() })
                }),
            any::<u64>().prop_map(|cursor| Frame::Ack(Ack { cursor })),
            (".{0,30}", message_id()).prop_map(|(from, id)| Frame::Read(Read { from, id: Some(id) })),
            any::<u64>().prop_map(|nonce| Frame::Ping(Ping { nonce })),
        ]
    }

    fn server_frame() -> impl Strategy<Value = server_frame::Frame> {
        use server_frame::Frame;
        let unknown = any::<(u64, u64)>().prop_map(|(from, to)| UnknownRange { from, to });
        prop_oneof![
            (any::<[u64; 4]>(), any::<[u32; 4]>(), proptest::option::of(unknown), any::<i64>()).prop_map(
                |(
                    [mailbox_epoch, stream, cursor, tail],
                    [version, send_window, max_frame_bytes, heartbeat_ms],
                    unknown,
                    server_time_ms,
                )| {
                    let (app, user) = ("default".to_owned(), "zoë".to_owned());
                    Frame::Welcome(Welcome {
                        version,
                        app,
                        user,
                        mailbox_epoch,
                        stream,
                        cursor,
                        tail,
                        unknown,
                        send_window,
                        max_frame_bytes,
                        heartbeat_ms,
                        server_time_ms,
                    })
                }
            ),
            (any::<u64>(), any::<i64>(), 0..4i32).prop_map(|(seq, sent_at_ms, durability)| Frame::Accepted(Accepted {
                seq,
                sent_at_ms,
                durability
            })),
            (any::<u64>(), 40..49i32, ".{0,20}", proptest::option::of(any::<u32>())).prop_map(
                |(seq, code, message, retry_after_ms)| Frame::Refused(Refused { seq, code, message, retry_after_ms })
            ),
            (any::<u64>(), any::<u64>(), envelope()).prop_map(|(seq, after, envelope)| Frame::Deliver(Deliver {
                seq,
                after,
                envelope: Some(envelope)
            })),
            envelope().prop_map(|envelope| Frame::Transient(Transient { envelope: Some(envelope) })),
            any::<u64>().prop_map(|nonce| Frame::Pong(Pong { nonce })),
            (1..8i32, ".{0,20}", proptest::option::of(any::<u32>())).prop_map(
                |(code, message, reconnect_within_ms)| {
                    Frame::Closing(Closing { code, message, reconnect_within_ms })
                }
            ),
            (".{0,20}", message_id()).prop_map(|(from, id)| Frame::ReadRecorded(ReadRecorded {
                from,
                id: Some(id),
                code: 0
            })),
        ]
    }

    proptest! {
        #[test]
        fn every_client_frame_round_trips(frame in client_frame()) {
            prop_assert_eq!(&decode_client(encode_client(frame.clone())).unwrap(), &frame);
            let json = serde_json::to_string(&ClientFrame { frame: Some(frame.clone()) }).unwrap();
            prop_assert_eq!(&decode_client_json(&json).unwrap(), &frame);
        }

        #[test]
        fn every_server_frame_round_trips(frame in server_frame()) {
            prop_assert_eq!(&decode_server(encode_server(frame.clone())).unwrap(), &frame);
            let json = encode_server_json(frame.clone()).unwrap();
            let back: ServerFrame = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(back.frame, Some(frame));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = decode_client(bytes.clone().into());
            let _ = decode_server(bytes.clone().into());
            let _ = decode_client_json(&String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn a_damaged_frame_never_panics(frame in client_frame(), at in any::<prop::sample::Index>(), with in any::<u8>(), cut in any::<prop::sample::Index>()) {
            let mut bytes = encode_client(frame).to_vec();
            let position = at.index(bytes.len());
            bytes[position] = with;
            bytes.truncate(cut.index(bytes.len()) + 1);
            let _ = decode_client(bytes.into());
        }

        #[test]
        fn deliveries_that_were_not_decoded_are_the_same_bytes(seq in any::<u64>(), after in any::<u64>(), envelope in envelope()) {
            let raw = envelope.encode_to_vec();
            let deliver = server_frame::Frame::Deliver(Deliver { seq, after, envelope: Some(envelope.clone()) });
            prop_assert_eq!(encode_deliver(seq, after, &raw), encode_server(deliver));
            let transient = server_frame::Frame::Transient(Transient { envelope: Some(envelope) });
            prop_assert_eq!(encode_transient(&raw), encode_server(transient));
        }
    }
}
