//! The files that a message names: before the message goes on they are there, and stay from then on. A file may be
//! named again, by whoever was given its id: that is how a message is forwarded.

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, try_join_all};
use tidings_files::{FileId, Files, FilesError};
use tidings_proto::ErrorCode;
use tidings_proto::client::v1::Send;
use tidings_proto::files::v1::File;
use tidings_proto::message::v1::Attachment;

use crate::core::Core;
use crate::permission::content_of;

/// Why a message is refused for the sake of its files.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotClaimed {
    pub code: ErrorCode,
    pub message: String,
    /// It may be sent again as it is.
    pub retries: bool,
}

impl NotClaimed {
    fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retries: false }
    }
}

/// Has the files of a message stay. Nothing where it names none.
pub(crate) fn claim(core: &Core, app: &str, send: &Send) -> Option<BoxFuture<'static, Result<(), NotClaimed>>> {
    let attachments = content_of(send).map(|content| content.attachments.as_slice()).unwrap_or_default();
    let named: Vec<Attachment> = attachments
        .iter()
        .filter(|attachment| !attachment.file.is_empty())
        // Without what is not compared.
        .map(|attachment| Attachment { thumbnail: Vec::new(), ..attachment.clone() })
        .collect();
    if named.is_empty() {
        return None;
    }
    let Some(files) = core.files.clone() else {
        let refused = Err(NotClaimed::new(ErrorCode::FeatureOff, "this gateway keeps no files"));
        return Some(std::future::ready(refused).boxed());
    };
    let app = app.to_owned();
    let claiming = async move { try_join_all(named.iter().map(|named| one(&files, &app, named))).await.map(drop) };
    Some(claiming.boxed())
}

async fn one(files: &Files, app: &str, named: &Attachment) -> Result<(), NotClaimed> {
    let unknown = || NotClaimed::new(ErrorCode::NotFound, "there is no such file");
    let id = FileId::parse(&named.file).ok_or_else(unknown)?;
    match files.claim(app, &id).await {
        Ok(file) => agrees(named, &file),
        Err(FilesError::NotFound) => Err(unknown()),
        Err(error) => {
            tracing::warn!(%error, "the files of a message could not be looked at");
            let message = "the files cannot be reached".to_owned();
            Err(NotClaimed { code: ErrorCode::Unavailable, message, retries: true })
        }
    }
}

/// What a message says of a file, where it says it, is so: its recipients go by it.
fn agrees(named: &Attachment, file: &File) -> Result<(), NotClaimed> {
    let untrue = |what: &str| Err(NotClaimed::new(ErrorCode::InvalidArgument, format!("the file has another {what}")));
    if named.size != 0 && named.size != file.size {
        return untrue("size");
    }
    if !named.media_type.is_empty() && named.media_type != file.media_type {
        return untrue("media_type");
    }
    if !named.sha256.is_empty() && named.sha256 != file.sha256 {
        return untrue("sha256");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_file_has_to_be_so() {
        let file = File { media_type: "image/png".to_owned(), size: 9, sha256: vec![1; 32], ..File::default() };
        let said = |size, media_type: &str, sha256| Attachment {
            size,
            media_type: media_type.to_owned(),
            sha256,
            ..Attachment::default()
        };
        assert_eq!(agrees(&said(9, "image/png", vec![1; 32]), &file), Ok(()));
        assert_eq!(agrees(&said(0, "", Vec::new()), &file), Ok(()));
        for untrue in [said(8, "", Vec::new()), said(0, "text/html", Vec::new()), said(0, "", vec![2; 32])] {
            assert_eq!(agrees(&untrue, &file).unwrap_err().code, ErrorCode::InvalidArgument);
        }
    }
}
