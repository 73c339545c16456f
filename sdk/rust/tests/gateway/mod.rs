//! A WebSocket server over which a test plays the gateway, frame by frame.

use futures_util::{SinkExt as _, StreamExt as _};
use tidings_proto::client::v1::{Accepted, Deliver, Hello, Send, Welcome, client_frame, server_frame};
use tidings_proto::frame::{SUBPROTOCOL_PROTOBUF, decode_client, encode_server};
use tidings_proto::message::v1::{Content, Envelope, Message, MessageId, envelope};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message as WebSocketMessage};

pub const STREAM: u64 = 4096;

pub struct Gateway {
    listener: TcpListener,
}

pub struct Session {
    socket: WebSocketStream<TcpStream>,
}

impl Gateway {
    pub async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub fn url(&self) -> String {
        format!("ws://{}", self.listener.local_addr().unwrap())
    }

    /// Accepts a connection and reads its `Hello`.
    pub async fn session(&self) -> (Session, Hello) {
        let (tcp, _) = self.listener.accept().await.unwrap();
        #[allow(clippy::result_large_err)] // The callback's type is given.
        let protocol = |request: &Request, mut response: Response| {
            assert_eq!(request.headers()["sec-websocket-protocol"], SUBPROTOCOL_PROTOBUF);
            response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL_PROTOBUF));
            Ok(response)
        };
        let socket = tokio_tungstenite::accept_hdr_async(tcp, protocol).await.unwrap();
        let mut session = Session { socket };
        let Some(client_frame::Frame::Hello(hello)) = session.next().await else {
            panic!("the first frame is no Hello")
        };
        (session, hello)
    }

    /// A session that was welcomed in [`STREAM`], with the mailbox at `cursor` of `tail`.
    pub async fn welcomed(&self, cursor: u64, tail: u64) -> (Session, Hello) {
        let (mut session, hello) = self.session().await;
        session.welcome(STREAM, cursor, tail).await;
        (session, hello)
    }
}

impl Session {
    pub async fn next(&mut self) -> Option<client_frame::Frame> {
        loop {
            match self.socket.next().await?.ok()? {
                WebSocketMessage::Binary(bytes) => return Some(decode_client(bytes).unwrap()),
                WebSocketMessage::Close(_) => return None,
                _ => {}
            }
        }
    }

    pub async fn next_send(&mut self) -> Send {
        loop {
            if let client_frame::Frame::Send(send) = self.next().await.expect("the client went away") {
                return send;
            }
        }
    }

    pub async fn next_ack(&mut self) -> u64 {
        loop {
            if let client_frame::Frame::Ack(ack) = self.next().await.expect("the client went away") {
                return ack.cursor;
            }
        }
    }

    pub async fn write(&mut self, frame: server_frame::Frame) {
        self.socket.send(WebSocketMessage::Binary(encode_server(frame))).await.unwrap();
    }

    pub async fn welcome(&mut self, stream: u64, cursor: u64, tail: u64) {
        let welcome = Welcome {
            version: 1,
            app: "default".into(),
            user: "alice".into(),
            mailbox_epoch: 1,
            stream,
            cursor,
            tail,
            send_window: 256,
            max_frame_bytes: 70_000,
            heartbeat_ms: 10_000,
            ..Welcome::default()
        };
        self.write(server_frame::Frame::Welcome(welcome)).await;
    }

    pub async fn accept(&mut self, seq: u64) {
        self.write(server_frame::Frame::Accepted(Accepted { seq, sent_at_ms: 7, durability: 2 })).await;
    }

    pub async fn deliver(&mut self, seq: u64, event: envelope::Event) {
        let envelope = Some(Envelope { event: Some(event) });
        self.write(server_frame::Frame::Deliver(Deliver { seq, after: seq - 1, envelope })).await;
    }

    pub async fn deliver_text(&mut self, seq: u64, text: &str) {
        let content = Some(Content { text: text.into(), ..Content::default() });
        let id = Some(MessageId { stream: 8192, seq });
        let message = Message { id, from: "bob".into(), to: "alice".into(), content, ..Message::default() };
        self.deliver(seq, envelope::Event::Message(message)).await;
    }

    pub async fn close(mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "closed by the test".into() };
        self.socket.close(Some(frame)).await.unwrap();
        while self.next().await.is_some() {}
    }
}
