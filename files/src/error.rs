//! What can be wrong with a file.

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
    #[error("the files cannot be reached: {0}")]
    Store(object_store::Error),
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
            object_store::Error::NotFound { .. } => Self::NotFound,
            error if is_full(&error) => Self::Full,
            error => Self::Store(error),
        }
    }
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
