//! Plain HTTP requests to a gateway, beside its WebSocket: files go that way. One connection for each request that is
//! not followed by another one at once.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::time::Duration;

use crate::socket::Address;

/// Until the head of an answer is there.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Answers that are not files are small.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// An open connection.
pub(crate) struct Http {
    sender: SendRequest<Full<Bytes>>,
    authority: String,
}

/// An answer whose body was read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Http {
    pub(crate) async fn open(address: &Address) -> Result<Self, String> {
        let io = address.dial().await?;
        let (sender, connection) = handshake(TokioIo::new(io)).await.map_err(|error| format!("HTTP: {error}"))?;
        // Ends when the sender is dropped.
        tokio::spawn(connection);
        Ok(Self { sender, authority: address.authority() })
    }

    /// Whether another request can follow.
    pub(crate) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Sends a request; the answer's body is yet to be read.
    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, String> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().map_err(|error| format!("{path}: {error}"))?;
        *request.headers_mut() = headers;
        let host = HeaderValue::try_from(&self.authority).map_err(|error| error.to_string())?;
        request.headers_mut().insert(http::header::HOST, host);
        let sending = async {
            self.sender.ready().await?;
            self.sender.send_request(request).await
        };
        let answered = tokio::time::timeout(ANSWER_TIMEOUT, sending).await;
        answered.map_err(|_| "HTTP: no answer in time".to_owned())?.map_err(|error| format!("HTTP: {error}"))
    }

    /// The same, with the body of the answer.
    pub(crate) async fn ask(
        &mut self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, String> {
        let (head, body) = self.send(method, path, headers, body).await?.into_parts();
        let reading = tokio::time::timeout(ANSWER_TIMEOUT, Limited::new(body, MAX_ANSWER_BYTES).collect()).await;
        let body = reading.map_err(|_| "HTTP: the answer stopped".to_owned())?;
        let body = body.map_err(|error| format!("HTTP: {error}"))?.to_bytes();
        Ok(Answer { status: head.status, headers: head.headers, body })
    }
}

/// Headers from names and values; a value that no header can carry is an error.
pub(crate) fn headers(pairs: &[(&'static str, &str)]) -> Result<HeaderMap, String> {
    let pair = |(name, value): &(&'static str, &str)| {
        let value = HeaderValue::from_str(value).map_err(|error| format!("{name}: {error}"))?;
        Ok((HeaderName::from_static(name), value))
    };
    pairs.iter().map(pair).collect()
}
