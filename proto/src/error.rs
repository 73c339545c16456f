//! What each [`ErrorCode`] means: to gRPC, to a WebSocket, and for what the other side should do next.
//!
//! Close codes stand in two ranges, so that a client that does not know a code still does right: 4000 to 4499 reconnect
//! (after a random delay), 4500 to 4999 stop (another token, another build or a person is needed).

use std::time::Duration;

use tonic::codegen::http::StatusCode;
use tonic::{Code, Status};

use crate::ErrorCode;

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The same request again, after a while; the connection is good.
    Retry,
    /// A new connection, then the same again.
    Reconnect,
    /// Nothing that a machine could do alone.
    Stop,
}

/// The largest close code that asks for a reconnect.
pub const LAST_RECONNECT_CLOSE_CODE: u16 = 4499;

/// The metadata in which a gRPC status says when the same request may be sent again, in milliseconds from now.
pub const RETRY_AFTER_MS: &str = "tidings-retry-after-ms";

/// The whole table; `docs/reference/errors.md` is checked against it.
const TABLE: &[(ErrorCode, Code, u16, Next)] = {
    use ErrorCode as E;
    use Next::{Reconnect, Retry, Stop};
    &[
        (E::TokenUnknown, Code::Unauthenticated, 4501, Stop),
        (E::TokenExpired, Code::Unauthenticated, 4502, Stop),
        (E::TokenRevoked, Code::Unauthenticated, 4503, Stop),
        (E::TokenWrongAppId, Code::Unauthenticated, 4504, Stop),
        (E::UserInactive, Code::PermissionDenied, 4505, Stop),
        (E::ApiKeyUnknown, Code::Unauthenticated, 4506, Stop),
        (E::PermissionDenied, Code::PermissionDenied, 4507, Stop),
        (E::FrameMalformed, Code::InvalidArgument, 4520, Stop),
        (E::FrameTooLarge, Code::InvalidArgument, 4521, Stop),
        (E::FrameUnexpected, Code::FailedPrecondition, 4522, Stop),
        (E::FrameWrongEncoding, Code::InvalidArgument, 4523, Stop),
        (E::ProtocolVersionUnsupported, Code::Unimplemented, 4524, Stop),
        (E::HandshakeTimeout, Code::DeadlineExceeded, 4025, Reconnect),
        (E::HeartbeatTimeout, Code::DeadlineExceeded, 4026, Reconnect),
        (E::SendWindowExceeded, Code::ResourceExhausted, 4527, Stop),
        (E::Flood, Code::ResourceExhausted, 4028, Reconnect),
        (E::RecipientUnknown, Code::NotFound, 4540, Stop),
        (E::InboxFull, Code::ResourceExhausted, 4541, Stop),
        (E::Expired, Code::DeadlineExceeded, 4542, Stop),
        (E::Blocked, Code::PermissionDenied, 4543, Stop),
        (E::NotAMember, Code::PermissionDenied, 4544, Stop),
        (E::RefusedByPolicy, Code::PermissionDenied, 4545, Stop),
        (E::RateLimited, Code::ResourceExhausted, 4046, Retry),
        (E::TooLarge, Code::InvalidArgument, 4547, Stop),
        (E::OutOfOrder, Code::Aborted, 4048, Retry),
        (E::TooLate, Code::FailedPrecondition, 4555, Stop),
        (E::StreamSuperseded, Code::Aborted, 4549, Stop),
        (E::ScheduleFull, Code::ResourceExhausted, 4550, Stop),
        (E::GroupPaused, Code::FailedPrecondition, 4554, Stop),
        (E::FeatureOff, Code::PermissionDenied, 4556, Stop),
        (E::SessionSuperseded, Code::Aborted, 4560, Stop),
        (E::TooManyConnections, Code::ResourceExhausted, 4561, Stop),
        (E::SlowConsumer, Code::ResourceExhausted, 4062, Reconnect),
        (E::Draining, Code::Unavailable, 4063, Reconnect),
        (E::Unavailable, Code::Unavailable, 4080, Retry),
        (E::Overloaded, Code::ResourceExhausted, 4081, Retry),
        (E::StorageFailed, Code::Unavailable, 4082, Retry),
        (E::NotLeader, Code::Unavailable, 4083, Retry),
        (E::OutcomeUnknown, Code::Unavailable, 4084, Retry),
        (E::Internal, Code::Internal, 4085, Reconnect),
        (E::InvalidArgument, Code::InvalidArgument, 4600, Stop),
        (E::NotFound, Code::NotFound, 4601, Stop),
        (E::AlreadyExists, Code::AlreadyExists, 4602, Stop),
        (E::FailedPrecondition, Code::FailedPrecondition, 4603, Stop),
    ]
};

impl ErrorCode {
    fn row(self) -> (Code, u16, Next) {
        TABLE
            .iter()
            .find(|row| row.0 == self)
            .map_or((Code::Unknown, 4085, Next::Reconnect), |row| (row.1, row.2, row.3))
    }

    /// The gRPC status code.
    pub fn grpc(self) -> Code {
        self.row().0
    }

    /// The WebSocket close code.
    pub fn close_code(self) -> u16 {
        self.row().1
    }

    /// What the one who gets it should do.
    pub fn next(self) -> Next {
        self.row().2
    }

    /// A gRPC status that carries this code in the metadata `tidings-error`.
    pub fn status(self, message: impl Into<String>) -> Status {
        let mut status = Status::new(self.grpc(), message);
        let name = tonic::metadata::MetadataValue::from_static(self.as_str_name());
        status.metadata_mut().insert("tidings-error", name);
        status
    }

    /// The same, saying when the request may be sent again.
    pub fn status_after(self, message: impl Into<String>, after: Duration) -> Status {
        let mut status = self.status(message);
        let ms = u32::try_from(after.as_millis()).unwrap_or(u32::MAX);
        status.metadata_mut().insert(RETRY_AFTER_MS, ms.into());
        status
    }

    /// The code that a status of ours carries; a foreign status answers by its gRPC code.
    pub fn of_status(status: &Status) -> Self {
        let named = status.metadata().get("tidings-error").and_then(|name| name.to_str().ok());
        named.and_then(Self::from_str_name).unwrap_or(match status.code() {
            Code::Unavailable | Code::Cancelled => Self::Unavailable,
            Code::InvalidArgument | Code::OutOfRange => Self::InvalidArgument,
            Code::NotFound => Self::NotFound,
            Code::AlreadyExists => Self::AlreadyExists,
            Code::PermissionDenied => Self::PermissionDenied,
            Code::Unauthenticated => Self::ApiKeyUnknown,
            Code::FailedPrecondition => Self::FailedPrecondition,
            Code::ResourceExhausted => Self::Overloaded,
            Code::DeadlineExceeded | Code::Unknown | Code::Aborted => Self::OutcomeUnknown,
            _ => Self::Internal,
        })
    }

    /// The code behind a close code of ours.
    pub fn of_close_code(close_code: u16) -> Option<Self> {
        TABLE.iter().find(|row| row.2 == close_code).map(|row| row.0)
    }
}

/// The status that HTTP has for one of gRPC; the usual table (`google/rpc/code.proto`).
pub fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Cancelled | Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Whether a client that was closed with this code, known to it or not, should connect again.
pub fn reconnects(close_code: u16) -> bool {
    // Below 4000 are the codes of RFC 6455 (a server going away, an abnormal end): connections that broke.
    close_code <= LAST_RECONNECT_CLOSE_CODE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_row_and_ranges_agree_with_what_to_do() {
        for number in 1..=200 {
            let Ok(code) = ErrorCode::try_from(number) else {
                continue;
            };
            assert_eq!(TABLE.iter().filter(|row| row.0 == code).count(), 1, "{code:?}");
            assert_eq!(reconnects(code.close_code()), code.next() != Next::Stop, "{code:?}");
            assert_eq!(ErrorCode::of_close_code(code.close_code()), Some(code));
            assert_eq!(ErrorCode::of_status(&code.status("")), code);
        }
    }

    #[test]
    fn the_reference_page_lists_the_table() {
        let page = include_str!("../../docs/reference/errors.md");
        for (code, grpc, close, next) in TABLE {
            let row = format!(
                "| `{}` | {:?} | {} | {} |",
                code.as_str_name(),
                grpc,
                close,
                format!("{next:?}").to_lowercase()
            );
            assert!(page.contains(&row), "docs/reference/errors.md lacks the row:\n{row}");
        }
    }
}
