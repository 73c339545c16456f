//! The WebSocket: opening one (plain, or TLS by rustls), and one poll that writes what waits and reads what came, so
//! that neither direction can hold up the other.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{Sink, Stream};
use http::Uri;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tidings_proto::frame::SUBPROTOCOL_PROTOBUF;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{self, Message};

use crate::error::ConnectError;

/// Where a gateway takes WebSockets (docs/protocol.md).
const CONNECT_PATH: &str = "/v1/connect";

pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Io for S {}

/// Where the gateway is.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    url: String,
    host: String,
    port: u16,
    tls: Option<Arc<rustls::ClientConfig>>,
}

impl Address {
    /// Reads `ws://…` or `wss://…`; `tls` replaces the default configuration, which trusts the system's roots.
    pub(crate) fn parse(url: &str, tls: Option<Arc<rustls::ClientConfig>>) -> Result<Self, ConnectError> {
        let invalid = |reason: &str| ConnectError::Url { url: url.to_owned(), reason: reason.to_owned() };
        let uri: Uri = url.parse().map_err(|error: http::uri::InvalidUri| invalid(&error.to_string()))?;
        let host = uri.host().ok_or_else(|| invalid("it names no host"))?;
        let (tls, default_port) = match uri.scheme_str() {
            Some("ws") => (None, 80),
            Some("wss") => (Some(tls.map_or_else(system_tls, Ok)?), 443),
            _ => return Err(invalid("it must begin with ws:// or wss://")),
        };
        let port = uri.port_u16().unwrap_or(default_port);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        // An address without a path means the place where every gateway takes connections.
        let url =
            if uri.path() == "/" { format!("{}{CONNECT_PATH}", url.trim_end_matches('/')) } else { url.to_owned() };
        Ok(Self { url, host, port, tls })
    }

    /// `host:port`, as a request names it.
    pub(crate) fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// A connection, over TLS where the address says so.
    pub(crate) async fn dial(&self) -> Result<Box<dyn Io>, String> {
        let dial = TcpStream::connect((self.host.as_str(), self.port));
        let tcp = dial.await.map_err(|error| format!("{}:{}: {error}", self.host, self.port))?;
        tcp.set_nodelay(true).map_err(|error| error.to_string())?;
        let Some(config) = &self.tls else { return Ok(Box::new(tcp)) };
        let name = ServerName::try_from(self.host.clone()).map_err(|error| error.to_string())?;
        let connector = tokio_rustls::TlsConnector::from(config.clone());
        Ok(Box::new(connector.connect(name, tcp).await.map_err(|error| format!("TLS: {error}"))?))
    }
}

/// A client configuration that trusts the certificates of the operating system.
fn system_tls() -> Result<Arc<rustls::ClientConfig>, ConnectError> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(ConnectError::Tls("the system has no root certificates".into()));
    }
    tls_with(roots)
}

/// A client configuration that trusts the certificates in a PEM text.
pub(crate) fn tls_trusting(pem: &[u8]) -> Result<Arc<rustls::ClientConfig>, ConnectError> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| ConnectError::Tls(error.to_string()))?;
        roots.add(certificate).map_err(|error| ConnectError::Tls(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(ConnectError::Tls("the PEM text holds no certificate".into()));
    }
    tls_with(roots)
}

fn tls_with(roots: rustls::RootCertStore) -> Result<Arc<rustls::ClientConfig>, ConnectError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ConnectError::Tls(error.to_string()))?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

/// One open WebSocket with the frames that wait to be written.
pub(crate) struct Socket {
    stream: WebSocketStream<Box<dyn Io>>,
    outgoing: VecDeque<Bytes>,
    unflushed: bool,
}

/// What a socket has to say.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A binary message.
    Frame(Bytes),
    /// A ping or a pong.
    Sign,
    /// It is over.
    Closed { code: Option<u16>, reason: String },
}

impl Socket {
    pub(crate) async fn open(address: &Address) -> Result<Self, String> {
        let io = address.dial().await?;
        let mut request = address.url.as_str().into_client_request().map_err(|error| error.to_string())?;
        let protocol = HeaderValue::from_static(SUBPROTOCOL_PROTOBUF);
        request.headers_mut().insert("sec-websocket-protocol", protocol);
        let opened = tokio_tungstenite::client_async(request, io).await;
        let (stream, _) = opened.map_err(|error| format!("WebSocket: {error}"))?;
        Ok(Self { stream, outgoing: VecDeque::new(), unflushed: false })
    }

    /// Queues a binary message; [`Self::poll`] writes it. Bounded by the send window.
    pub(crate) fn write(&mut self, frame: Bytes) {
        self.outgoing.push_back(frame);
    }

    /// Writes as far as the socket takes it, then reads, if `reading`.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, reading: bool) -> Poll<Heard> {
        if let Poll::Ready(Err(error)) = self.poll_write(cx) {
            // What the server said before it went explains more than our failure to write.
            return match Pin::new(&mut self.stream).poll_next(cx) {
                Poll::Ready(Some(Ok(message))) => Poll::Ready(read(message)),
                _ => Poll::Ready(broken(&error)),
            };
        }
        if !reading {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_next(cx).map(|next| match next {
            Some(Ok(message)) => read(message),
            Some(Err(error)) => broken(&error),
            None => Heard::Closed { code: None, reason: "the connection ended".into() },
        })
    }

    /// Writes what waits, then says good-bye; the caller limits the time.
    pub(crate) async fn close(mut self) {
        let written = std::future::poll_fn(|cx| self.poll_write(cx)).await;
        if written.is_ok() && self.stream.close(None).await.is_ok() {
            // Reads to the end: data left unread would make the kernel reset the connection, and with it our last
            // words.
            while let Some(Ok(_)) = std::future::poll_fn(|cx| Pin::new(&mut self.stream).poll_next(cx)).await {}
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), tungstenite::Error>> {
        let mut stream = Pin::new(&mut self.stream);
        while !self.outgoing.is_empty() {
            match stream.as_mut().poll_ready(cx) {
                Poll::Ready(Ok(())) => {}
                other => return other,
            }
            if let Some(frame) = self.outgoing.pop_front() {
                stream.as_mut().start_send(Message::Binary(frame))?;
                self.unflushed = true;
            }
        }
        if self.unflushed {
            match stream.as_mut().poll_flush(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                other => return other,
            }
        }
        Poll::Ready(Ok(()))
    }
}

fn read(message: Message) -> Heard {
    match message {
        Message::Binary(bytes) => Heard::Frame(bytes),
        Message::Close(Some(frame)) => {
            Heard::Closed { code: Some(frame.code.into()), reason: frame.reason.to_string() }
        }
        Message::Close(None) => Heard::Closed { code: None, reason: "closed by the server".into() },
        Message::Text(_) => Heard::Closed { code: None, reason: "the server sent text where binary is due".into() },
        Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Heard::Sign,
    }
}

fn broken(error: &tungstenite::Error) -> Heard {
    Heard::Closed { code: None, reason: error.to_string() }
}
