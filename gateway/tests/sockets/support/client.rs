//! A client of the protocol: one on a foreign WebSocket library, and one that writes any bytes.

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use prost::Message as _;
use tidings_proto::ErrorCode;
use tidings_proto::client::v1::{
    Ack, ClientFrame, Closing, Deliver, Hello, Ping, Refused, Send, ServerFrame, Welcome, client_frame, server_frame,
};
use tidings_proto::frame::{SUBPROTOCOL_JSON, SUBPROTOCOL_PROTOBUF};
use tidings_proto::message::v1::{Content, envelope};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use super::PATIENCE;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Protobuf,
    Json,
}

pub struct Client {
    socket: WebSocketStream<TcpStream>,
    format: Format,
}

pub fn hello(token: &str, device: &str) -> Hello {
    let (token, device, agent) = (token.to_owned(), device.to_owned(), "test".to_owned());
    Hello { version: 1, token, device, agent, ..Hello::default() }
}

impl Client {
    pub async fn connect(address: &str, format: Format) -> Self {
        let mut request = format!("ws://{address}/v1/connect").into_client_request().unwrap();
        let name = if format == Format::Json { SUBPROTOCOL_JSON } else { SUBPROTOCOL_PROTOBUF };
        request.headers_mut().insert("sec-websocket-protocol", name.parse().unwrap());
        let stream = TcpStream::connect(address).await.unwrap();
        let (socket, response) = tokio_tungstenite::client_async(request, stream).await.unwrap();
        assert_eq!(response.headers()["sec-websocket-protocol"], name);
        Self { socket, format }
    }

    pub async fn send(&mut self, frame: client_frame::Frame) {
        let frame = ClientFrame { frame: Some(frame) };
        let message = match self.format {
            Format::Protobuf => Message::Binary(frame.encode_to_vec().into()),
            Format::Json => Message::Text(serde_json::to_string(&frame).unwrap().into()),
        };
        self.raw(message).await;
    }

    /// Whatever the library can write; a connection that is gone already is the reader's business.
    pub async fn raw(&mut self, message: Message) {
        let _ = tokio::time::timeout(PATIENCE, self.socket.send(message)).await.expect("writing takes too long");
    }

    async fn message(&mut self) -> Message {
        let next = tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("nothing comes");
        next.expect("the connection ended without a close").unwrap()
    }

    pub async fn receive(&mut self) -> server_frame::Frame {
        loop {
            let frame = match self.message().await {
                Message::Binary(bytes) => ServerFrame::decode(bytes).unwrap(),
                Message::Text(text) => serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => continue,
                other => panic!("no frame: {other:?}"),
            };
            return frame.frame.unwrap();
        }
    }

    pub async fn welcome(&mut self, token: &str, device: &str) -> Welcome {
        self.welcome_with(hello(token, device)).await
    }

    pub async fn welcome_with(&mut self, hello: Hello) -> Welcome {
        self.send(client_frame::Frame::Hello(hello)).await;
        match self.receive().await {
            server_frame::Frame::Welcome(welcome) => welcome,
            other => panic!("no welcome: {other:?}"),
        }
    }

    pub async fn send_text(&mut self, seq: u64, after: u64, to: &str, text: &str) {
        let content = Some(Content { text: text.to_owned(), ..Content::default() });
        let send = Send { seq, after, to: to.to_owned(), content, ..Send::default() };
        self.send(client_frame::Frame::Send(send)).await;
    }

    pub async fn ack(&mut self, cursor: u64) {
        self.send(client_frame::Frame::Ack(Ack { cursor })).await;
    }

    /// How a send was refused; nothing when it was accepted.
    pub async fn answer(&mut self, seq: u64) -> Option<Refused> {
        match self.receive().await {
            server_frame::Frame::Accepted(accepted) if accepted.seq == seq => None,
            server_frame::Frame::Refused(refused) if refused.seq == seq => Some(refused),
            other => panic!("no answer to {seq}: {other:?}"),
        }
    }

    pub async fn expect_accepted(&mut self, seq: u64) {
        match self.receive().await {
            server_frame::Frame::Accepted(accepted) => assert_eq!(accepted.seq, seq),
            other => panic!("not accepted: {other:?}"),
        }
    }

    pub async fn expect_refused(&mut self, seq: u64, code: ErrorCode) -> Option<u32> {
        match self.receive().await {
            server_frame::Frame::Refused(refused) => {
                assert_eq!((refused.seq, refused.code()), (seq, code));
                refused.retry_after_ms
            }
            other => panic!("not refused: {other:?}"),
        }
    }

    /// The next delivery, and the text in it.
    pub async fn expect_delivery(&mut self) -> (Deliver, String) {
        match self.receive().await {
            server_frame::Frame::Deliver(deliver) => {
                let text = match deliver.envelope.clone().unwrap().event {
                    Some(envelope::Event::Message(message)) => message.content.unwrap().text,
                    other => panic!("no message: {other:?}"),
                };
                (deliver, text)
            }
            other => panic!("no delivery: {other:?}"),
        }
    }

    /// `Closing`, then the close code that says the same, whatever came before.
    pub async fn expect_closed(&mut self, code: ErrorCode) -> Closing {
        let closing = loop {
            if let server_frame::Frame::Closing(closing) = self.receive().await {
                break closing;
            }
        };
        assert_eq!(closing.code(), code, "{}", closing.message);
        match self.message().await {
            Message::Close(Some(close)) => assert_eq!(u16::from(close.code), code.close_code()),
            other => panic!("no close: {other:?}"),
        }
        let reconnects = tidings_proto::error::reconnects(code.close_code());
        assert_eq!(closing.reconnect_within_ms.is_some(), reconnects);
        closing
    }

    /// The close code at the end of all that still comes, unless the connection ends without one.
    pub async fn close_code_at_the_end(&mut self) -> Option<u16> {
        loop {
            match tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("nothing comes") {
                Some(Ok(Message::Close(Some(close)))) => return Some(close.code.into()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// The connection is alive and works.
    pub async fn expect_alive(&mut self) {
        self.send(client_frame::Frame::Ping(Ping { nonce: 77 })).await;
        match self.receive().await {
            server_frame::Frame::Pong(pong) => assert_eq!(pong.nonce, 77),
            other => panic!("no pong: {other:?}"),
        }
    }
}

/// A WebSocket without a library: what it writes need not be a frame.
pub struct RawClient {
    pub stream: TcpStream,
}

impl RawClient {
    pub async fn connect(address: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "GET /v1/connect HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut client = Self { stream };
        let head = client.read_until(b"\r\n\r\n").await;
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 101"), "{head}");
        assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
        client
    }

    async fn read_until(&mut self, end: &[u8]) -> Vec<u8> {
        let mut read = Vec::new();
        while !read.ends_with(end) {
            let byte = tokio::time::timeout(PATIENCE, self.stream.read_u8()).await.unwrap().unwrap();
            read.push(byte);
        }
        read
    }

    pub async fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// The payload of the next frame.
    pub async fn frame(&mut self) -> (u8, Bytes) {
        let read = async {
            let first = self.stream.read_u8().await?;
            let length = match self.stream.read_u8().await? {
                126 => usize::from(self.stream.read_u16().await?),
                127 => usize::try_from(self.stream.read_u64().await?).unwrap(),
                short => usize::from(short),
            };
            let mut payload = vec![0; length];
            self.stream.read_exact(&mut payload).await?;
            std::io::Result::Ok((first & 0x0f, payload.into()))
        };
        tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap()
    }

    /// Reads on until the close frame, and answers its code.
    pub async fn close_code(&mut self) -> u16 {
        loop {
            let (opcode, payload) = self.frame().await;
            if opcode == 8 {
                return u16::from_be_bytes([payload[0], payload[1]]);
            }
        }
    }

    /// An unfragmented frame with a mask.
    pub fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0x80 | opcode];
        match u16::try_from(payload.len()) {
            Ok(length @ 0..=125) => frame.push(0x80 | length as u8),
            Ok(length) => {
                frame.push(0x80 | 126);
                frame.extend(length.to_be_bytes());
            }
            Err(_) => {
                frame.push(0x80 | 127);
                frame.extend((payload.len() as u64).to_be_bytes());
            }
        }
        let mask = [1, 2, 3, 4];
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame
    }
}
