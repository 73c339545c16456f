//! What a request that is refused is answered with.

use axum::body::Body;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Response, StatusCode};
use prost_reflect::{DescriptorPool, DynamicMessage};
use tidings_proto::ErrorCode;
use tidings_proto::error::{Next, RETRY_AFTER_MS, http_status};
use tidings_proto::errors::v1::Error;
use tonic::Status;

use super::json;

/// A refusal on its way to HTTP.
#[derive(Debug)]
pub struct Failure {
    pub status: StatusCode,
    pub error: Error,
    /// What the path takes, for a verb that it does not take.
    allow: String,
}

impl Failure {
    /// By the code's own status.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::with_status(http_status(code.grpc()), code, message)
    }

    /// With a status that says more than the code.
    pub fn with_status(status: StatusCode, code: ErrorCode, message: impl Into<String>) -> Self {
        let retry = code.next() != Next::Stop;
        let error = Error { code: code.into(), message: message.into(), retry, retry_after_ms: None };
        Self { status, error, allow: String::new() }
    }

    /// A part of the request is not of its form.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidArgument, message)
    }

    /// The path takes these verbs alone.
    pub fn verb(verbs: &[&Method]) -> Self {
        let allow = verbs.iter().map(|verb| verb.as_str()).collect::<Vec<_>>().join(", ");
        let message = format!("this path takes {allow}");
        let failure = Self::with_status(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::InvalidArgument, message);
        Self { allow, ..failure }
    }

    /// As a response: the error in JSON, and in headers what HTTP has headers for.
    pub fn response(self, pool: &DescriptorPool) -> Response<Body> {
        let mut response = Response::new(Body::from(error_json(pool, &self.error)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(json::MEDIA_TYPE));
        if let Some(ms) = self.error.retry_after_ms {
            headers.insert(RETRY_AFTER, HeaderValue::from(ms.div_ceil(1000)));
        }
        if let Ok(allow) = HeaderValue::from_str(&self.allow)
            && !self.allow.is_empty()
        {
            headers.insert(ALLOW, allow);
        }
        response
    }
}

fn error_json(pool: &DescriptorPool, error: &Error) -> Vec<u8> {
    let message = pool.get_message_by_name("tidings.errors.v1.Error").and_then(|descriptor| {
        let mut message = DynamicMessage::new(descriptor);
        message.transcode_from(error).ok()?;
        json::write(&message).ok()
    });
    message.unwrap_or_default()
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let code = ErrorCode::of_status(&status);
        let retry_after_ms = status.metadata().get(RETRY_AFTER_MS).and_then(|text| text.to_str().ok()?.parse().ok());
        let failure = Self::with_status(http_status(status.code()), code, status.message());
        Self { error: Error { retry_after_ms, ..failure.error }, ..failure }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt as _;

    use super::*;

    async fn answered(failure: Failure) -> (StatusCode, Option<HeaderValue>, String) {
        let pool = DescriptorPool::decode(tidings_proto::DESCRIPTORS).unwrap();
        let (head, body) = failure.response(&pool).into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status, head.headers.get(RETRY_AFTER).cloned(), String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn an_error_says_its_code_and_whether_to_try_again() {
        let (status, _, body) = answered(ErrorCode::AlreadyExists.status("app \"x\" exists").into()).await;
        assert_eq!(status, StatusCode::CONFLICT);
        assert_eq!(body, "{\"code\":\"ALREADY_EXISTS\",\"message\":\"app \\\"x\\\" exists\",\"retry\":false}\n");

        let overloaded = ErrorCode::Overloaded.status_after("later", Duration::from_millis(1001));
        let (status, after, body) = answered(overloaded.into()).await;
        assert_eq!((status, after), (StatusCode::TOO_MANY_REQUESTS, Some(HeaderValue::from(2))));
        assert_eq!(body, "{\"code\":\"OVERLOADED\",\"message\":\"later\",\"retry\":true,\"retryAfterMs\":1001}\n");
    }

    #[tokio::test]
    async fn a_wrong_verb_names_the_right_ones() {
        let pool = DescriptorPool::decode(tidings_proto::DESCRIPTORS).unwrap();
        let response = Failure::verb(&[&Method::GET, &Method::POST]).response(&pool);
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[ALLOW], "GET, POST");
    }
}
