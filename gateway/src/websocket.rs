//! RFC 6455 framing for the server's side, over plain byte buffers: no I/O, and no memory while nothing is under way.
//!
//! An idle session is what a gateway has most of. A general WebSocket library keeps a read buffer for each; here bytes
//! come from a buffer that all connections of a thread share, and only an unfinished frame is kept. No extensions are
//! negotiated (compression would cost a window per connection), so the reserved bits must be zero.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// What one message from the peer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A text message; its bytes are valid UTF-8.
    Text(Bytes),
    /// A binary message.
    Binary(Bytes),
    /// A ping, to be answered with a pong of the same payload.
    Ping(Bytes),
    /// A pong.
    Pong,
    /// The peer closes; its close code, if it gave one.
    Close(Option<u16>),
}

/// Why the peer's bytes are no WebSocket messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebSocketError {
    /// Against RFC 6455.
    #[error("not a WebSocket frame: {0}")]
    Malformed(&'static str),
    /// A message above the limit.
    #[error("the message is larger than {0} bytes")]
    TooLarge(usize),
}

/// The kind of a frame (RFC 6455, 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// Goes on with the message that the last data frame began.
    Continuation = 0,
    /// UTF-8.
    Text = 1,
    /// Bytes.
    Binary = 2,
    /// The end.
    Close = 8,
    /// Asks for a pong.
    Ping = 9,
    /// Answers a ping.
    Pong = 10,
}

impl Opcode {
    fn of(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    fn is_control(self) -> bool {
        self as u8 >= 8
    }
}

const MAX_CONTROL_BYTES: usize = 125;

struct Header {
    last: bool,
    opcode: Opcode,
    mask: [u8; 4],
    header_bytes: usize,
    payload_bytes: usize,
}

/// Takes bytes, gives messages. Holds at most one message's bytes and what was fed after it.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    fragments: Option<Box<Fragments>>,
    max_message_bytes: u32,
}

#[derive(Debug)]
struct Fragments {
    opcode: Opcode,
    payload: BytesMut,
}

impl Decoder {
    /// Messages above `max_message_bytes` are refused as soon as their header says so.
    pub fn new(max_message_bytes: u32) -> Self {
        Self { buffer: BytesMut::new(), fragments: None, max_message_bytes }
    }

    /// Another limit from now on.
    pub fn set_max_message_bytes(&mut self, max_message_bytes: u32) {
        self.max_message_bytes = max_message_bytes;
    }

    /// Adds bytes from the peer.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete message, if there is one. After an error the stream cannot be read on.
    pub fn next(&mut self) -> Result<Option<Incoming>, WebSocketError> {
        loop {
            let Some(header) = parse_header(&self.buffer)? else { return Ok(None) };
            self.check(&header)?;
            if self.buffer.len() - header.header_bytes < header.payload_bytes {
                return Ok(None);
            }
            self.buffer.advance(header.header_bytes);
            let mut payload = self.buffer.split_to(header.payload_bytes);
            if self.buffer.is_empty() {
                // Gives the memory back: an idle connection keeps none.
                self.buffer = BytesMut::new();
            }
            unmask(&mut payload, header.mask);
            if let Some(message) = self.take(header, payload)? {
                return Ok(Some(message));
            }
        }
    }

    fn check(&self, header: &Header) -> Result<(), WebSocketError> {
        if header.opcode.is_control() {
            if header.payload_bytes > MAX_CONTROL_BYTES || !header.last {
                return Err(WebSocketError::Malformed("a control frame is fragmented or longer than 125 bytes"));
            }
            return Ok(());
        }
        let before = self.fragments.as_ref().map_or(0, |fragments| fragments.payload.len());
        if before + header.payload_bytes > self.max_message_bytes as usize {
            return Err(WebSocketError::TooLarge(self.max_message_bytes as usize));
        }
        match (header.opcode == Opcode::Continuation, self.fragments.is_some()) {
            (true, false) => Err(WebSocketError::Malformed("a continuation of nothing")),
            (false, true) => Err(WebSocketError::Malformed("a new message inside an unfinished one")),
            _ => Ok(()),
        }
    }

    fn take(&mut self, header: Header, payload: BytesMut) -> Result<Option<Incoming>, WebSocketError> {
        let (opcode, payload) = match (header.opcode, header.last) {
            (Opcode::Ping, _) => return Ok(Some(Incoming::Ping(payload.freeze()))),
            (Opcode::Pong, _) => return Ok(Some(Incoming::Pong)),
            (Opcode::Close, _) => return close_of(&payload).map(|code| Some(Incoming::Close(code))),
            (Opcode::Continuation, last) => {
                let Some(mut fragments) = self.fragments.take() else {
                    return Err(WebSocketError::Malformed("a continuation of nothing"));
                };
                fragments.payload.unsplit(payload);
                if !last {
                    self.fragments = Some(fragments);
                    return Ok(None);
                }
                (fragments.opcode, fragments.payload)
            }
            (opcode, false) => {
                self.fragments = Some(Box::new(Fragments { opcode, payload }));
                return Ok(None);
            }
            (opcode, true) => (opcode, payload),
        };
        if opcode != Opcode::Text {
            return Ok(Some(Incoming::Binary(payload.freeze())));
        }
        match std::str::from_utf8(&payload) {
            Ok(_) => Ok(Some(Incoming::Text(payload.freeze()))),
            Err(_) => Err(WebSocketError::Malformed("text that is not UTF-8")),
        }
    }
}

fn parse_header(bytes: &[u8]) -> Result<Option<Header>, WebSocketError> {
    let [first, second, ..] = *bytes else { return Ok(None) };
    if first & 0x70 != 0 {
        return Err(WebSocketError::Malformed("a reserved bit is set"));
    }
    let opcode = Opcode::of(first & 0x0f).ok_or(WebSocketError::Malformed("an unknown opcode"))?;
    if second & 0x80 == 0 {
        return Err(WebSocketError::Malformed("a client's frame without a mask"));
    }
    let (length_bytes, short) = match second & 0x7f {
        126 => (2, None),
        127 => (8, None),
        length => (0, Some(u64::from(length))),
    };
    let header_bytes = 2 + length_bytes + 4;
    if bytes.len() < header_bytes {
        return Ok(None);
    }
    let big_endian = |bytes: &[u8]| bytes.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
    let length = short.unwrap_or_else(|| big_endian(&bytes[2..2 + length_bytes]));
    // A length that no address space holds is above every limit.
    let payload_bytes = usize::try_from(length).unwrap_or(usize::MAX).min(usize::MAX / 4);
    let mut mask = [0; 4];
    mask.copy_from_slice(&bytes[2 + length_bytes..header_bytes]);
    Ok(Some(Header { last: first & 0x80 != 0, opcode, mask, header_bytes, payload_bytes }))
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut chunks = payload.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(chunk);
        chunk.copy_from_slice(&(u64::from_ne_bytes(bytes) ^ wide).to_ne_bytes());
    }
    for (byte, mask) in chunks.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

fn close_of(payload: &[u8]) -> Result<Option<u16>, WebSocketError> {
    match *payload {
        [] => Ok(None),
        [high, low, ref reason @ ..] if std::str::from_utf8(reason).is_ok() => {
            Ok(Some(u16::from_be_bytes([high, low])))
        }
        _ => Err(WebSocketError::Malformed("a close frame's payload")),
    }
}

/// Appends one unfragmented, unmasked frame.
pub fn encode_frame(opcode: Opcode, payload: &[u8], out: &mut BytesMut) {
    out.reserve(10 + payload.len());
    out.put_u8(0x80 | opcode as u8);
    match payload.len() {
        length @ 0..=125 => out.put_u8(length as u8),
        length @ 126..=0xffff => {
            out.put_u8(126);
            out.put_u16(length as u16);
        }
        length => {
            out.put_u8(127);
            out.put_u64(length as u64);
        }
    }
    out.put_slice(payload);
}

/// Appends a close frame; the reason is cut to what fits a control frame.
pub fn encode_close(code: u16, reason: &str, out: &mut BytesMut) {
    let mut end = reason.len().min(MAX_CONTROL_BYTES - 2);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(&reason.as_bytes()[..end]);
    encode_frame(Opcode::Close, &payload, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn masked(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
        let mut frame = vec![first];
        match payload.len() {
            length @ 0..=125 => frame.push(0x80 | length as u8),
            length @ 126..=0xffff => {
                frame.push(0x80 | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            length => {
                frame.push(0x80 | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame
    }

    fn all(bytes: &[u8], limit: u32) -> Result<Vec<Incoming>, WebSocketError> {
        let mut decoder = Decoder::new(limit);
        decoder.feed(bytes);
        std::iter::from_fn(|| decoder.next().transpose()).collect()
    }

    #[test]
    fn the_examples_of_the_rfc() {
        let hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        assert_eq!(all(&hello, 100), Ok(vec![Incoming::Text("Hello".into())]));
        let mut out = BytesMut::new();
        encode_frame(Opcode::Text, b"Hello", &mut out);
        assert_eq!(&out[..], [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
    }

    #[test]
    fn fragments_are_joined_and_control_frames_may_stand_between() {
        let bytes = [masked(0x01, b"Hel", [1; 4]), masked(0x89, b"?", [2; 4]), masked(0x80, b"lo", [3; 4])].concat();
        assert_eq!(all(&bytes, 5), Ok(vec![Incoming::Ping("?".into()), Incoming::Text("Hello".into())]));
        assert_eq!(all(&bytes, 4), Err(WebSocketError::TooLarge(4)));
    }

    #[test]
    fn what_the_rfc_forbids_is_refused() {
        let malformed = |bytes: &[u8]| matches!(all(bytes, 1000), Err(WebSocketError::Malformed(_)));
        assert!(malformed(&[0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]), "no mask");
        assert!(malformed(&masked(0xc1, b"x", [0; 4])), "reserved bit");
        assert!(malformed(&masked(0x83, b"x", [0; 4])), "unknown opcode");
        assert!(malformed(&masked(0x80, b"x", [0; 4])), "continuation of nothing");
        assert!(malformed(&masked(0x09, b"x", [0; 4])), "fragmented ping");
        assert!(malformed(&masked(0x89, &[0; 126], [0; 4])), "long ping");
        assert!(malformed(&masked(0x81, &[0xff], [0; 4])), "not UTF-8");
        assert!(malformed(&masked(0x88, &[3], [0; 4])), "half a close code");
        let twice = [masked(0x01, b"a", [0; 4]), masked(0x81, b"b", [0; 4])].concat();
        assert!(malformed(&twice), "a message inside a message");
    }

    #[test]
    fn a_length_is_refused_before_its_bytes_come_and_a_huge_one_does_not_overflow() {
        let huge = [&[0x82, 0x80 | 127][..], &[0xff; 8], &[0; 4]].concat();
        assert_eq!(all(&huge, 10), Err(WebSocketError::TooLarge(10)));
    }

    #[test]
    fn nothing_is_held_between_messages() {
        let mut decoder = Decoder::new(1000);
        decoder.feed(&masked(0x82, &[7; 500], [9; 4]));
        assert!(decoder.next().unwrap().is_some());
        assert_eq!((decoder.buffer.capacity(), decoder.fragments.is_none()), (0, true));
    }

    proptest! {
        #[test]
        fn any_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = all(&bytes, 100);
        }

        #[test]
        fn messages_survive_any_split(payload in proptest::collection::vec(any::<u8>(), 0..70_000), mask: [u8; 4], at in 0usize..70_010) {
            let bytes = masked(0x82, &payload, mask);
            let (head, tail) = bytes.split_at(at.min(bytes.len()));
            let mut decoder = Decoder::new(70_000);
            decoder.feed(head);
            let early = decoder.next().unwrap();
            prop_assert_eq!(early.is_some(), tail.is_empty());
            decoder.feed(tail);
            let message = early.or(decoder.next().unwrap());
            prop_assert_eq!(message, Some(Incoming::Binary(payload.into())));
        }
    }
}
