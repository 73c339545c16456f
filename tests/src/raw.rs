//! A WebSocket to a gateway without the SDK between: for frames and faults that no SDK would make.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tidings_proto::client::v1::{
    Accepted, Ack, Deliver, Hello, Refused, Response, Resume, Send, ServerFrame, Welcome, client_frame, server_frame,
};
use tidings_proto::frame::{SUBPROTOCOL_PROTOBUF, decode_server, encode_client};
use tidings_proto::message::v1::{Content, Message, envelope};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::Message as WebSocketMessage;

use crate::within;

/// How long an answer may take.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// One WebSocket.
pub struct RawClient {
    /// The socket, for what is below frames.
    pub socket: WebSocketStream<TcpStream>,
}

/// What came.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // Most of them are frames.
pub enum Came {
    /// A binary frame.
    Frame(server_frame::Frame),
    /// A text message.
    Text(String),
    /// The end, with the close code where there was one.
    Closed(Option<u16>),
}

impl RawClient {
    /// A WebSocket with binary frames.
    pub async fn open(gateway: SocketAddr) -> Self {
        Self::open_as(gateway, SUBPROTOCOL_PROTOBUF).await
    }

    /// A WebSocket with the named subprotocol.
    pub async fn open_as(gateway: SocketAddr, subprotocol: &'static str) -> Self {
        let tcp = TcpStream::connect(gateway).await.expect("the gateway takes connections");
        let mut request = format!("ws://{gateway}/v1/connect").into_client_request().expect("a request");
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(subprotocol));
        let (socket, _) = tokio_tungstenite::client_async(request, tcp).await.expect("a WebSocket");
        Self { socket }
    }

    /// Attached as a device.
    pub async fn attached(gateway: SocketAddr, token: &str, device: &str, resume: Option<Resume>) -> (Self, Welcome) {
        let mut client = Self::open(gateway).await;
        client.hello(token, device, resume).await;
        match client.next().await {
            Came::Frame(server_frame::Frame::Welcome(welcome)) => (client, welcome),
            other => panic!("no welcome but {other:?}"),
        }
    }

    /// Introduces itself.
    pub async fn hello(&mut self, token: &str, device: &str, resume: Option<Resume>) {
        let hello = Hello { version: 1, token: token.into(), device: device.into(), resume, ..Hello::default() };
        self.write(client_frame::Frame::Hello(hello)).await;
    }

    /// Writes a frame.
    pub async fn write(&mut self, frame: client_frame::Frame) {
        self.write_bytes(encode_client(frame)).await;
    }

    /// Writes a binary message that need not be a frame. A gateway that is closing may refuse it.
    pub async fn write_bytes(&mut self, bytes: Bytes) {
        let _ = self.socket.send(WebSocketMessage::Binary(bytes)).await;
    }

    /// Writes a text message.
    pub async fn write_text(&mut self, text: &str) {
        let _ = self.socket.send(WebSocketMessage::Text(text.into())).await;
    }

    /// Sends a text to a user.
    pub async fn send(&mut self, seq: u64, after: u64, to: &str, text: &str) {
        let content = Some(Content { text: text.into(), ..Content::default() });
        self.write(client_frame::Frame::Send(Send { seq, after, to: to.into(), content, ..Send::default() })).await;
    }

    /// Acknowledges.
    pub async fn ack(&mut self, cursor: u64) {
        self.write(client_frame::Frame::Ack(Ack { cursor })).await;
    }

    /// What comes next.
    pub async fn next(&mut self) -> Came {
        within(PATIENCE, "a frame or the end of the connection", self.next_without_limit()).await
    }

    async fn next_without_limit(&mut self) -> Came {
        loop {
            match self.socket.next().await {
                Some(Ok(WebSocketMessage::Binary(bytes))) => {
                    return Came::Frame(decode_server(bytes).expect("the gateway sends frames"));
                }
                Some(Ok(WebSocketMessage::Text(text))) => return Came::Text(text.to_string()),
                Some(Ok(WebSocketMessage::Close(frame))) => return Came::Closed(frame.map(|frame| frame.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Came::Closed(None),
            }
        }
    }

    /// The next answer to a send.
    pub async fn outcome(&mut self) -> Result<Accepted, Refused> {
        loop {
            match self.next().await {
                Came::Frame(server_frame::Frame::Accepted(accepted)) => return Ok(accepted),
                Came::Frame(server_frame::Frame::Refused(refused)) => return Err(refused),
                Came::Frame(_) => {}
                other => panic!("no answer but {other:?}"),
            }
        }
    }

    /// The same: its number, and the error code where it was refused.
    pub async fn answer(&mut self) -> (u64, Option<tidings_proto::ErrorCode>) {
        match self.outcome().await {
            Ok(accepted) => (accepted.seq, None),
            Err(refused) => (refused.seq, Some(refused.code())),
        }
    }

    /// Sends so many to bob at once, numbered from `first`; answers how many were accepted. The others were refused for
    /// their rate.
    pub async fn burst(&mut self, first: u64, count: u64) -> u64 {
        for seq in first..first + count {
            self.send(seq, 0, "bob", "hi").await;
        }
        let mut accepted = 0;
        for _ in 0..count {
            match self.answer().await.1 {
                None => accepted += 1,
                Some(code) => assert_eq!(code, tidings_proto::ErrorCode::RateLimited),
            }
        }
        accepted
    }

    /// The answer to a request.
    pub async fn response(&mut self, id: u64) -> Response {
        loop {
            match self.next().await {
                Came::Frame(server_frame::Frame::Response(response)) if response.id == id => return response,
                Came::Frame(_) => {}
                other => panic!("no answer but {other:?}"),
            }
        }
    }

    /// The next delivery.
    pub async fn delivery(&mut self) -> Deliver {
        loop {
            match self.next().await {
                Came::Frame(server_frame::Frame::Deliver(deliver)) => return deliver,
                Came::Frame(_) => {}
                other => panic!("no delivery but {other:?}"),
            }
        }
    }

    /// The next message, and its place in the mailbox.
    pub async fn message(&mut self) -> (u64, Message) {
        loop {
            let deliver = self.delivery().await;
            if let Some(envelope::Event::Message(message)) = deliver.envelope.and_then(|envelope| envelope.event) {
                return (deliver.seq, message);
            }
        }
    }

    /// Reads to the end: the codes of the last `Closing` frame and of the close frame.
    pub async fn closed(&mut self) -> (Option<i32>, Option<u16>) {
        let mut closing = None;
        loop {
            match self.next().await {
                Came::Frame(server_frame::Frame::Closing(frame)) => closing = Some(frame.code),
                Came::Text(text) => closing = closing_in_json(&text).or(closing),
                Came::Frame(_) => {}
                Came::Closed(code) => return (closing, code),
            }
        }
    }
}

fn closing_in_json(text: &str) -> Option<i32> {
    let frame: ServerFrame = serde_json::from_str(text).expect("the gateway sends frames");
    match frame.frame? {
        server_frame::Frame::Closing(closing) => Some(closing.code),
        _ => None,
    }
}
