//! Why a command was not done, or a read not answered: a code of the one vocabulary, and a sentence.

use std::fmt;

use tidings_proto::ErrorCode;

use super::record::RecordError;

/// A refusal. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What kind.
    pub code: ErrorCode,
    /// A sentence for people.
    pub message: String,
}

impl Refusal {
    /// With a code.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// Something that was named does not exist.
    pub fn not_found(what: impl fmt::Display) -> Self {
        Self::new(ErrorCode::NotFound, format!("there is no {what}"))
    }

    /// Something exists, and differs from what was to be created.
    pub fn already_exists(what: impl fmt::Display) -> Self {
        Self::new(ErrorCode::AlreadyExists, format!("{what} exists with other fields"))
    }

    /// Not in this state of things.
    pub fn precondition(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::FailedPrecondition, message)
    }

    /// A field of the request cannot be taken.
    pub fn invalid(field: &str, reason: impl fmt::Display) -> Self {
        Self::new(ErrorCode::InvalidArgument, format!("{field}: {reason}"))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str_name(), self.message)
    }
}

impl std::error::Error for Refusal {}

impl From<RecordError> for Refusal {
    fn from(error: RecordError) -> Self {
        Self::new(ErrorCode::StorageFailed, error.to_string())
    }
}

impl From<Refusal> for tonic::Status {
    fn from(refusal: Refusal) -> Self {
        refusal.code.status(refusal.message)
    }
}
