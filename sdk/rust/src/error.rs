//! Why something did not work, in terms of what the application can do about it.

use tidings_proto::{ErrorCode, InvalidId};

use crate::store::StoreError;

/// How a message ended without being sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The recipient is no user id.
    #[error(transparent)]
    InvalidRecipient(#[from] InvalidId),
    /// The outbox is at its limit (promise 6); only from `try_send`.
    #[error("the outbox is full")]
    OutboxFull,
    /// The server will not take it; nobody received it.
    #[error("{}: {message}", code.as_str_name())]
    Refused {
        /// The reason.
        code: ErrorCode,
        /// For people.
        message: String,
    },
    /// It had been sent, and then failed to be delivered (expired, for example).
    #[error("not delivered: {}", code.as_str_name())]
    Undelivered {
        /// The reason.
        code: ErrorCode,
    },
    /// It waited for its time, and was cancelled before.
    #[error("cancelled before its time")]
    Cancelled,
    /// The server gave this device another stream while the message had no answer: it may or may not have been sent.
    #[error("the stream was lost before an answer came: the message may or may not have been sent")]
    Unknown,
    /// The client stopped before an answer came. With a durable store the message stays in the outbox, and goes out
    /// when the device connects again; otherwise it may or may not have been sent.
    #[error("the client stopped before an answer came: {0}")]
    Stopped(StopReason),
}

/// Why a request was not answered with what it asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The server will not do it.
    #[error("{}: {message}", code.as_str_name())]
    Refused {
        /// The reason.
        code: ErrorCode,
        /// For people.
        message: String,
    },
    /// The answer is of a kind that this build does not know.
    #[error("the server's answer is of a kind that is not known here")]
    UnknownAnswer,
    /// Too many requests wait already (promise 6).
    #[error("too many requests wait for their answers")]
    TooMany,
    /// The client stopped before there was an answer.
    #[error("the client stopped before an answer came: {0}")]
    Stopped(StopReason),
}

/// Why a client stopped for good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StopReason {
    /// The application closed it, or dropped the last handle.
    #[error("the client was closed")]
    Closed,
    /// The server refuses this client, and would again: another token, another build or a person is needed.
    #[error("{}: {message}", code.as_str_name())]
    Refused {
        /// The reason.
        code: ErrorCode,
        /// For people.
        message: String,
    },
    /// A close code that this build does not know, in the range that says not to come back.
    #[error("closed by the server with code {0}")]
    CloseCode(u16),
    /// The store holds the state of another user or device; nothing was sent.
    #[error("the stored state belongs to {found}, and the token is for {expected}")]
    StateOfAnother {
        /// Whose state it is.
        found: String,
        /// Who the token says we are.
        expected: String,
    },
    /// The store does not work: nothing can be promised any more.
    #[error("store: {0}")]
    Store(String),
    /// The source of tokens has none.
    #[error("no token: {0}")]
    Token(String),
}

impl StopReason {
    /// The server's code, where it has one.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }
}

/// Why no client could be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address is not `ws://host[:port][/path]` or `wss://…`.
    #[error("{url} is no gateway address: {reason}")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The device's name is not valid.
    #[error(transparent)]
    Device(#[from] InvalidId),
    /// The stored state cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No trusted root certificate was found for `wss://`.
    #[error("no usable TLS configuration: {0}")]
    Tls(String),
}
