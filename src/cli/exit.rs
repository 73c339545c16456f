//! Exit codes: the same for every command, so that a script can tell what happened.

use std::fmt;
use std::process::ExitCode;

use tidings_proto::ErrorCode;
use tidings_sdk::{ConnectError, RequestError, SendError, StopReason, StoreError};
use tonic::Status;

/// What `--help` says about exit codes.
pub const EXIT_CODES: &str = "\
Exit codes:
   0  done
   1  something else went wrong
   2  the command line is wrong
   3  the server cannot be reached, or did not answer in time; nothing was done
   4  not allowed: the token or the API key is unknown, expired, revoked or not sufficient
   5  the recipient, or the thing asked for, does not exist
   6  the recipient's inbox is full
   7  the message expired
   8  refused: blocked, not a member, or against the policy
   9  the message is too large
  10  the outcome is unknown: the message may have been sent
  11  it exists already
  12  the request is not valid";

/// An exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Anything without a code of its own.
    Other = 1,
    /// Nothing was done.
    Unreachable = 3,
    /// Credentials.
    NotAllowed = 4,
    /// The recipient, or the thing asked for.
    NotFound = 5,
    /// The recipient must fetch first.
    InboxFull = 6,
    /// The deadline of delivery is over.
    Expired = 7,
    /// Blocked, not a member, policy.
    Refused = 8,
    /// Over the size limit.
    TooLarge = 9,
    /// It may have been sent.
    Unknown = 10,
    /// Another one of this name.
    Exists = 11,
    /// The server does not understand the request.
    Invalid = 12,
}

/// Why a command failed: one sentence and its code.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    sentence: String,
}

/// How a command ends.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure with its own words.
    pub fn new(exit: Exit, sentence: impl Into<String>) -> Self {
        Self { exit, sentence: sentence.into() }
    }

    /// Says it on stderr.
    pub fn report(self) -> ExitCode {
        eprintln!("tidings: {self}");
        ExitCode::from(self.exit as u8)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl From<ErrorCode> for Exit {
    fn from(code: ErrorCode) -> Self {
        use ErrorCode as E;
        match code {
            E::TokenUnknown | E::TokenExpired | E::TokenRevoked | E::TokenWrongAppId | E::UserInactive => {
                Self::NotAllowed
            }
            E::ApiKeyUnknown | E::PermissionDenied => Self::NotAllowed,
            E::RecipientUnknown | E::NotFound => Self::NotFound,
            E::InboxFull => Self::InboxFull,
            E::Expired => Self::Expired,
            E::Blocked | E::NotAMember | E::RefusedByPolicy | E::RateLimited => Self::Refused,
            E::TooLarge | E::FrameTooLarge => Self::TooLarge,
            E::Unavailable | E::Overloaded | E::NotLeader | E::StorageFailed | E::Draining => Self::Unreachable,
            E::OutcomeUnknown => Self::Unknown,
            E::AlreadyExists => Self::Exists,
            E::InvalidArgument | E::FailedPrecondition => Self::Invalid,
            _ => Self::Other,
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::new(Exit::Other, format!("{error:#}"))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(Exit::Other, error.to_string())
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::new(ErrorCode::of_status(&status).into(), status.message())
    }
}

impl From<StopReason> for Failure {
    fn from(reason: StopReason) -> Self {
        Self::new(reason.code().map_or(Exit::Other, Exit::from), reason.to_string())
    }
}

impl From<SendError> for Failure {
    fn from(error: SendError) -> Self {
        let exit = match &error {
            SendError::Refused { code, .. } | SendError::Undelivered { code } => Exit::from(*code),
            SendError::InvalidRecipient(_) => Exit::Invalid,
            SendError::OutboxFull | SendError::Cancelled => Exit::Other,
            SendError::Unknown => Exit::Unknown,
            SendError::Stopped(reason) => reason.code().map_or(Exit::Other, Exit::from),
        };
        Self::new(exit, error.to_string())
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        let exit = match &error {
            RequestError::Refused { code, .. } => Exit::from(*code),
            RequestError::UnknownAnswer | RequestError::TooMany => Exit::Other,
            RequestError::Stopped(reason) => reason.code().map_or(Exit::Other, Exit::from),
        };
        Self::new(exit, error.to_string())
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let exit = match &error {
            ConnectError::Url { .. } | ConnectError::Device(_) => Exit::Invalid,
            ConnectError::Store(_) | ConnectError::Tls(_) => Exit::Other,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::new(Exit::Other, error.to_string())
    }
}
