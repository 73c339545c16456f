//! What a request that is refused is answered with: a status, and the code and the reason in JSON.

use std::time::Duration;

use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use tidings_proto::ErrorCode;
use tidings_proto::error::http_status;
use tonic::Status;

use super::body::{Body, full};
use crate::directory::Refusal;

/// A refusal on its way to HTTP.
#[derive(Debug)]
pub(crate) struct Failure {
    pub status: StatusCode,
    pub code: ErrorCode,
    pub message: String,
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Failure {
    /// By the code's own status.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let status = match code {
            ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            // A busy service, not a client that asks too often.
            ErrorCode::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            code => http_status(code.grpc()),
        };
        Self { status, code, message: message.into(), headers: Vec::new() }
    }

    /// With a status that says more than the code.
    pub fn with_status(status: StatusCode, code: ErrorCode, message: impl Into<String>) -> Self {
        Self { status, ..Self::new(code, message) }
    }

    /// The path takes these verbs alone.
    pub fn verb(verbs: &'static str) -> Self {
        let failure =
            Self::with_status(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::InvalidArgument, format!("only {verbs}"));
        failure.header(ALLOW, HeaderValue::from_static(verbs))
    }

    /// There is nothing at this path.
    pub fn nothing_here() -> Self {
        Self::new(ErrorCode::NotFound, "there is nothing here; clients connect to /v1/connect")
    }

    /// The same request may succeed after this time.
    pub fn after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs_f64().ceil().max(1.0) as u64;
        self.header(RETRY_AFTER, HeaderValue::from(seconds))
    }

    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    pub fn response(self) -> Response<Body> {
        let error = serde_json::json!({ "error": { "code": self.code.as_str_name(), "message": self.message } });
        let mut response = Response::new(full(format!("{error}\n")));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.extend(self.headers);
        response
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::new(ErrorCode::of_status(&status), status.message())
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.code, refusal.message)
    }
}
