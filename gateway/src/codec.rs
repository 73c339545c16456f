//! Frames to and from the two encodings of a connection.

use bytes::{Bytes, BytesMut};
use prost::Message as _;
use tidings_proto::ErrorCode;
use tidings_proto::client::v1::{Deliver, ServerFrame, Transient, client_frame, server_frame};
use tidings_proto::frame;
use tidings_proto::message::v1::Envelope;

use crate::session::Close;
use crate::websocket::{Opcode, encode_frame};

/// How a connection's frames are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Protobuf in binary messages.
    Protobuf,
    /// Protobuf's JSON mapping in text messages.
    Json,
}

impl Encoding {
    /// By the name of a WebSocket subprotocol.
    pub fn of_subprotocol(name: &str) -> Option<Self> {
        match name {
            frame::SUBPROTOCOL_PROTOBUF => Some(Self::Protobuf),
            frame::SUBPROTOCOL_JSON => Some(Self::Json),
            _ => None,
        }
    }

    /// The name of the WebSocket subprotocol.
    pub fn subprotocol(self) -> &'static str {
        match self {
            Self::Protobuf => frame::SUBPROTOCOL_PROTOBUF,
            Self::Json => frame::SUBPROTOCOL_JSON,
        }
    }

    /// Decodes a data message; `is_text` says of which kind it was.
    pub fn decode(self, payload: Bytes, is_text: bool) -> Result<client_frame::Frame, Close> {
        let decoded = match (self, is_text) {
            (Self::Protobuf, false) => frame::decode_client(payload),
            (Self::Json, true) => {
                let text = std::str::from_utf8(&payload);
                let text = text.map_err(|_| Close::new(ErrorCode::FrameMalformed, "text that is not UTF-8"))?;
                frame::decode_client_json(text)
            }
            (Self::Protobuf, true) => {
                let message = "this connection speaks protobuf in binary messages";
                return Err(Close::new(ErrorCode::FrameWrongEncoding, message));
            }
            (Self::Json, false) => {
                let message = "this connection speaks JSON in text messages";
                return Err(Close::new(ErrorCode::FrameWrongEncoding, message));
            }
        };
        decoded.map_err(|error| Close::new(error.code(), error.to_string()))
    }

    /// Appends a frame as one WebSocket message.
    pub fn encode(self, frame: server_frame::Frame, out: &mut BytesMut) -> Result<(), Close> {
        match self {
            Self::Protobuf => {
                let bytes = ServerFrame { frame: Some(frame) }.encode_to_vec();
                encode_frame(Opcode::Binary, &bytes, out);
            }
            Self::Json => {
                let text = frame::encode_server_json(frame).map_err(|error| internal(error.to_string()))?;
                encode_frame(Opcode::Text, text.as_bytes(), out);
            }
        }
        Ok(())
    }

    /// Appends a delivery of an envelope that is still encoded.
    pub fn encode_deliver(self, seq: u64, after: u64, envelope: &[u8], out: &mut BytesMut) -> Result<(), Close> {
        match self {
            Self::Protobuf => {
                encode_frame(Opcode::Binary, &frame::encode_deliver(seq, after, envelope), out);
                Ok(())
            }
            Self::Json => {
                let envelope = Some(decode_envelope(envelope)?);
                self.encode(server_frame::Frame::Deliver(Deliver { seq, after, envelope }), out)
            }
        }
    }

    /// Appends a transient of an envelope that is still encoded.
    pub fn encode_transient(self, envelope: &[u8], out: &mut BytesMut) -> Result<(), Close> {
        match self {
            Self::Protobuf => {
                encode_frame(Opcode::Binary, &frame::encode_transient(envelope), out);
                Ok(())
            }
            Self::Json => {
                let envelope = Some(decode_envelope(envelope)?);
                self.encode(server_frame::Frame::Transient(Transient { envelope }), out)
            }
        }
    }
}

fn decode_envelope(bytes: &[u8]) -> Result<Envelope, Close> {
    Envelope::decode(bytes).map_err(|error| internal(format!("an entry of the mailbox cannot be read: {error}")))
}

fn internal(message: String) -> Close {
    Close::new(ErrorCode::Internal, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidings_proto::client::v1::Ping;
    use tidings_proto::message::v1::{Failure, envelope};

    #[test]
    fn the_other_kind_of_message_is_refused_by_its_own_code() {
        let ping = frame::encode_client(client_frame::Frame::Ping(Ping { nonce: 1 }));
        assert!(Encoding::Protobuf.decode(ping.clone(), false).is_ok());
        assert_eq!(Encoding::Protobuf.decode(ping.clone(), true).unwrap_err().code, ErrorCode::FrameWrongEncoding);
        assert_eq!(Encoding::Json.decode(ping, false).unwrap_err().code, ErrorCode::FrameWrongEncoding);
        let truncated = Bytes::from_static(&[0x12, 0x7f, 1]);
        assert_eq!(Encoding::Protobuf.decode(truncated, false).unwrap_err().code, ErrorCode::FrameMalformed);
        assert_eq!(Encoding::Json.decode("{".into(), true).unwrap_err().code, ErrorCode::FrameMalformed);
    }

    #[test]
    fn a_delivery_is_the_same_frame_in_both_encodings() {
        let failure = Failure { to: "bob".to_owned(), ..Failure::default() };
        let envelope = Envelope { event: Some(envelope::Event::Failure(failure)) }.encode_to_vec();
        let (mut binary, mut text) = (BytesMut::new(), BytesMut::new());
        Encoding::Protobuf.encode_deliver(7, 3, &envelope, &mut binary).unwrap();
        Encoding::Json.encode_deliver(7, 3, &envelope, &mut text).unwrap();
        let from_binary = frame::decode_server(binary.split_off(2).freeze()).unwrap();
        let from_text: ServerFrame = serde_json::from_slice(&text[2..]).unwrap();
        assert_eq!(Some(from_binary), from_text.frame);
    }
}
