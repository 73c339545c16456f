//! A client's socket as WebSocket messages. While nothing is under way it holds no buffer at all: bytes are read into a
//! buffer that all connections of a thread share, and what is written is let go when the socket took it.

use std::cell::RefCell;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tidings_proto::ErrorCode;
use tidings_proto::client::v1::{Closing, server_frame};
use tidings_proto::error::Next;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::codec::Encoding;
use crate::session::Close;
use crate::websocket::{Decoder, Incoming, Opcode, WebSocketError, encode_close, encode_frame};

const SCRATCH_BYTES: usize = 32 << 10;
/// More than this in `out` and nothing is added before the socket took some.
const OUT_BYTES: usize = 64 << 10;
/// How long a closing connection waits for its last frame to be taken, and for the client to close.
pub(crate) const FAREWELL: Duration = Duration::from_secs(2);
/// Where nothing else is said.
const RECONNECT_WITHIN_MS: u32 = 2_000;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice());
}

/// Why nothing more comes.
#[derive(Debug)]
pub(crate) enum SocketEnd {
    /// The peer closed the TCP connection, or it broke.
    Gone,
    /// What came is no WebSocket message.
    Protocol(WebSocketError),
}

impl From<WebSocketError> for SocketEnd {
    fn from(error: WebSocketError) -> Self {
        Self::Protocol(error)
    }
}

/// Transport of a client: TCP, or TLS over it.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Transport for T {}

/// The two directions of one client.
pub(crate) struct Socket<S> {
    io: S,
    decoder: Decoder,
    out: BytesMut,
}

impl<S: Transport> Socket<S> {
    /// `early` are bytes that were read behind the HTTP request.
    pub fn new(io: S, early: &[u8], max_message_bytes: u32) -> Self {
        let mut decoder = Decoder::new(max_message_bytes);
        decoder.feed(early);
        Self { io, decoder, out: BytesMut::new() }
    }

    pub fn set_max_message_bytes(&mut self, max_message_bytes: u32) {
        self.decoder.set_max_message_bytes(max_message_bytes);
    }

    /// The next message. `heard` is set when any byte came, be it of half a message.
    pub fn poll_message(&mut self, cx: &mut Context<'_>, heard: &mut bool) -> Poll<Result<Incoming, SocketEnd>> {
        loop {
            if let Some(message) = self.decoder.next()? {
                return Poll::Ready(Ok(message));
            }
            let (io, decoder) = (&mut self.io, &mut self.decoder);
            let read = SCRATCH.with_borrow_mut(|scratch| {
                let mut buffer = ReadBuf::new(scratch);
                match Pin::new(io).poll_read(cx, &mut buffer) {
                    Poll::Ready(Ok(())) => {
                        decoder.feed(buffer.filled());
                        Poll::Ready(Ok(buffer.filled().len()))
                    }
                    Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                    Poll::Pending => Poll::Pending,
                }
            });
            match ready!(read) {
                Ok(0) | Err(_) => return Poll::Ready(Err(SocketEnd::Gone)),
                Ok(_) => *heard = true,
            }
        }
    }

    /// Where frames are appended.
    pub fn out(&mut self) -> &mut BytesMut {
        &mut self.out
    }

    /// Whether more should be appended before the socket took some.
    pub fn has_room(&self) -> bool {
        self.out.len() < OUT_BYTES
    }

    /// Bytes that the socket has not taken.
    pub fn unwritten(&self) -> usize {
        self.out.len()
    }

    /// Writes what was appended.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.out.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while !self.out.is_empty() {
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, &self.out))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.out.advance(written);
        }
        self.out = BytesMut::new();
        // TCP has nothing to flush; TLS may hold a record.
        Pin::new(&mut self.io).poll_flush(cx)
    }

    /// The next message, where there is nothing else to wait for.
    pub async fn message(&mut self) -> Result<Incoming, SocketEnd> {
        let mut heard = false;
        std::future::poll_fn(|cx| self.poll_message(cx, &mut heard)).await
    }

    /// Says why, closes, and waits shortly for the client to close too: a socket that is dropped with unread bytes is
    /// reset by the kernel, and the client would never read the reason.
    pub async fn close(mut self, encoding: Encoding, close: Close) {
        let closing = Closing {
            code: close.code as i32,
            message: close.message.clone(),
            reconnect_within_ms: reconnect_within_ms(&close),
        };
        if encoding.encode(server_frame::Frame::Closing(closing), &mut self.out).is_err() {
            return;
        }
        encode_close(close.code.close_code(), &close.message, &mut self.out);
        self.end().await;
    }

    /// Answers the client's close.
    pub async fn echo_close(mut self, code: Option<u16>) {
        match code {
            Some(code) => encode_close(code, "", &mut self.out),
            None => encode_frame(Opcode::Close, &[], &mut self.out),
        }
        self.end().await;
    }

    async fn end(mut self) {
        let deadline = tokio::time::Instant::now() + FAREWELL;
        let farewell = async {
            std::future::poll_fn(|cx| self.poll_flush(cx)).await?;
            std::future::poll_fn(|cx| Pin::new(&mut self.io).poll_shutdown(cx)).await?;
            let mut dropped = [0; 1024];
            loop {
                let mut buffer = ReadBuf::new(&mut dropped);
                std::future::poll_fn(|cx| Pin::new(&mut self.io).poll_read(cx, &mut buffer)).await?;
                if buffer.filled().is_empty() {
                    return io::Result::Ok(());
                }
            }
        };
        let _ = tokio::time::timeout_at(deadline, pin!(farewell)).await;
    }
}

fn reconnect_within_ms(close: &Close) -> Option<u32> {
    (close.code.next() != Next::Stop).then(|| close.reconnect_within_ms.unwrap_or(RECONNECT_WITHIN_MS))
}

/// How a connection ends whose client does not speak WebSocket.
pub(crate) fn close_of_protocol(error: WebSocketError) -> Close {
    let code = match error {
        WebSocketError::Malformed(_) => ErrorCode::FrameMalformed,
        WebSocketError::TooLarge(_) => ErrorCode::FrameTooLarge,
    };
    Close::new(code, error.to_string())
}
