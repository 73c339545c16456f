//! What can be wrong with a file.

use std::sync::Arc;

/// Characters of what a store says that are passed on.
const MAX_TOLD: usize = 300;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// There is no such file or upload for whom asks: it never was, was someone else's, or went.
    #[error("there is no such file")]
    NotFound,
    /// The upload goes on from somewhere else.
    #[error("the upload goes on at byte {offset}")]
    Offset {
        /// Where.
        offset: u64,
    },
    /// All its bytes are not there yet.
    #[error("the upload is at byte {offset} of {size}")]
    Incomplete {
        /// How many are there.
        offset: u64,
        /// How many it will have.
        size: u64,
    },
    /// Its time is over.
    #[error("the time for this upload is over")]
    Expired,
    /// More bytes than allowed, or than it was said to have.
    #[error("the file has {size} bytes, at most {most} are taken")]
    TooLarge {
        /// Said or sent.
        size: u64,
        /// Allowed.
        most: u64,
    },
    /// Files of this type are not taken from this user.
    #[error("files of the type {0} are not taken")]
    TypeRefused(String),
    /// The type is not what the first bytes say.
    #[error("this is no {declared}")]
    Lie {
        /// What the upload was said to be.
        declared: String,
    },
    /// What was said of a new upload has not the form that it should.
    #[error("{0}")]
    Invalid(&'static str),
    /// A message has named it: it stays.
    #[error("a message has this file")]
    Used,
    /// It came in more pieces than are kept apart.
    #[error("the upload came in too many pieces; begin again with larger ones")]
    TooManyParts,
    /// As many uploads are on their way as may be.
    #[error("too many uploads are on their way")]
    Busy,
    /// The link was not made here, or changed since.
    #[error("this link is not good")]
    LinkForged,
    /// The link's time is over.
    #[error("the time of this link is over")]
    LinkExpired,
    /// The store has no room.
    #[error("there is no room for the file")]
    Full,
    /// The store does not do what it should.
    #[error("{}", told(.0))]
    Store(object_store::Error),
    /// Nothing was created, because the store is not known to do what it has to.
    #[error("{0}")]
    Unusable(Arc<str>),
    /// It puts an object where there is one.
    #[error("the bucket's server takes no notice of `If-None-Match: *`, and overwrites what is there")]
    Overwrites,
    /// It does not answer in time.
    #[error("the store of files does not answer in time")]
    Slow,
    /// The store holds something else than was put there.
    #[error("a stored record cannot be read: {0}")]
    Damaged(&'static str),
    /// The configuration names a store that cannot be used.
    #[error("[files] {0}")]
    Config(String),
}

impl From<object_store::Error> for FilesError {
    fn from(error: object_store::Error) -> Self {
        match error {
            object_store::Error::NotFound { .. } if !root(&error).contains("NoSuchBucket") => Self::NotFound,
            error if is_full(&error) => Self::Full,
            error => Self::Store(error),
        }
    }
}

/// What an operator can do something about, of what a store says: the same words for the same fault.
fn told(error: &object_store::Error) -> String {
    use object_store::Error as E;
    let text = root(error);
    let between = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        rest.split_once(&format!("</{name}>")).map(|(value, _)| value)
    };
    let said = match between("Code") {
        Some(code) => format!("{code}: {}", between("Message").unwrap_or_default()),
        None => text.clone(),
    };
    let said: String = said.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_TOLD).collect();
    match error {
        E::NotFound { .. } => format!("there is no such bucket ({said})"),
        E::PermissionDenied { .. } | E::Unauthenticated { .. } => format!("the store of files refuses ({said})"),
        _ => format!("the store of files fails ({said})"),
    }
}

/// The innermost cause: what is around it tells of addresses and durations.
fn root(error: &object_store::Error) -> String {
    let mut cause: &(dyn std::error::Error + 'static) = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// Whether a disk, a quota or the largest file of the system is at its end.
fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    use std::io::ErrorKind;
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>()
            && matches!(io.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
        {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_told_in_a_line() {
        let body = "403 Forbidden: <?xml version=\"1.0\"?>\n<Error><Code>InvalidAccessKeyId</Code>\n<Message>No such key.</Message></Error>";
        let source = || Box::<dyn std::error::Error + Send + Sync>::from(body);
        let refused = object_store::Error::PermissionDenied { path: "a".to_owned(), source: source() };
        let said = "the store of files refuses (InvalidAccessKeyId: No such key.)";
        assert_eq!(FilesError::from(refused).to_string(), said);
        let missing = |body: &str| {
            FilesError::from(object_store::Error::NotFound { path: "a".to_owned(), source: body.to_owned().into() })
        };
        assert!(matches!(missing("404 Not Found: <Code>NoSuchKey</Code>"), FilesError::NotFound));
        let bucket = missing("404 Not Found: <Code>NoSuchBucket</Code><Message>none</Message>");
        assert_eq!(bucket.to_string(), "there is no such bucket (NoSuchBucket: none)");
        let long = object_store::Error::Generic { store: "S3", source: "x\n".repeat(MAX_TOLD).into() };
        let told = FilesError::from(long).to_string();
        assert!(told.len() < MAX_TOLD + 40 && !told.contains('\n'), "{told}");
    }
}
