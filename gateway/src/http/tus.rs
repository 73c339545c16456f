//! The headers of resumable uploads (tus 1.0.0, <https://tus.io/protocols/resumable-upload>). Pure.

use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tidings_files::Progress;
use tidings_proto::ErrorCode;

use super::failure::Failure;

pub(crate) const VERSION: &str = "1.0.0";
const EXTENSIONS: &str = "creation,creation-with-upload,expiration,termination";
/// The type of a body that brings bytes.
pub(crate) const BYTES: &str = "application/offset+octet-stream";

pub(crate) const RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
const VERSIONS: HeaderName = HeaderName::from_static("tus-version");
pub(crate) const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
pub(crate) const LENGTH: HeaderName = HeaderName::from_static("upload-length");
const METADATA: HeaderName = HeaderName::from_static("upload-metadata");
const EXPIRES: HeaderName = HeaderName::from_static("upload-expires");

/// What a client says of an upload that it creates.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub size: u64,
    pub name: String,
    pub media_type: String,
}

/// Whether the client speaks this version.
pub(crate) fn check_version(headers: &HeaderMap) -> Result<(), Failure> {
    if headers.get(RESUMABLE).is_some_and(|version| version == VERSION) {
        return Ok(());
    }
    let failure = Failure::with_status(
        StatusCode::PRECONDITION_FAILED,
        ErrorCode::ProtocolVersionUnsupported,
        "uploads speak tus 1.0.0 (Tus-Resumable)",
    );
    Err(failure.header(VERSIONS, HeaderValue::from_static(VERSION)))
}

/// A number in a header.
pub(crate) fn number(headers: &HeaderMap, name: &HeaderName) -> Result<u64, Failure> {
    let text = headers.get(name).and_then(|value| value.to_str().ok());
    let digits = text.filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| invalid(format!("{name} is a number of bytes")))
}

/// What is said of a new upload.
pub(crate) fn said(headers: &HeaderMap) -> Result<Said, Failure> {
    let mut said = Said { size: number(headers, &LENGTH)?, ..Said::default() };
    let Some(metadata) = headers.get(METADATA) else { return Ok(said) };
    let metadata = metadata.to_str().map_err(|_| invalid("Upload-Metadata is ASCII"))?;
    for pair in metadata.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once(' ').unwrap_or((pair, ""));
        let decoded = STANDARD.decode(value.trim()).or_else(|_| STANDARD_NO_PAD.decode(value.trim()));
        let text = decoded.ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let text = text.ok_or_else(|| invalid("Upload-Metadata holds keys, and values as UTF-8 in base64"))?;
        match key {
            "filename" | "name" => said.name = text,
            "filetype" | "type" => said.media_type = text,
            _ => {}
        }
    }
    Ok(said)
}

/// What every answer says.
pub(crate) fn mark(headers: &mut HeaderMap) {
    headers.insert(RESUMABLE, HeaderValue::from_static(VERSION));
}

/// What there is, for a client that asks before it begins.
pub(crate) fn offer(headers: &mut HeaderMap, max_bytes: u64) {
    headers.insert(VERSIONS, HeaderValue::from_static(VERSION));
    headers.insert("tus-extension", HeaderValue::from_static(EXTENSIONS));
    headers.insert("tus-max-size", HeaderValue::from(max_bytes));
}

/// How far an upload is.
pub(crate) fn tell(headers: &mut HeaderMap, progress: Progress) {
    headers.insert(OFFSET, HeaderValue::from(progress.offset));
    headers.insert(LENGTH, HeaderValue::from(progress.size));
    let seconds = u64::try_from(progress.expires_at_ms / 1000).unwrap_or_default();
    let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
    if let Ok(date) = HeaderValue::try_from(date) {
        headers.insert(EXPIRES, date);
    }
}

fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(ErrorCode::InvalidArgument, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn metadata_is_read_as_clients_write_it() {
        let said_of = |metadata| said(&headers(&[("upload-length", "12"), ("upload-metadata", metadata)])).ok();
        let expected = Said { size: 12, name: "ä.png".to_owned(), media_type: "image/png".to_owned() };
        assert_eq!(said_of("filename w6QucG5n,filetype aW1hZ2UvcG5n"), Some(expected));
        let expected = Said { size: 12, name: "a".to_owned(), ..Said::default() };
        assert_eq!(said_of("is_private, name YQ ,other eA=="), Some(expected));
        assert_eq!((said_of("filename ???"), said_of("filename /w==")), (None, None));
    }

    #[test]
    fn sizes_are_numbers_and_nothing_else() {
        let length = |text: &str| number(&headers(&[("upload-length", text)]), &LENGTH).ok();
        assert_eq!((length("0"), length("18446744073709551615")), (Some(0), Some(u64::MAX)));
        for none in ["", "-1", "+1", "1.0", "0x10", "18446744073709551616", "1 2"] {
            assert_eq!(length(none), None, "{none}");
        }
        assert!(number(&HeaderMap::new(), &LENGTH).is_err());
    }

    #[test]
    fn only_this_version_is_spoken() {
        assert!(check_version(&headers(&[("tus-resumable", "1.0.0")])).is_ok());
        for other in [headers(&[("tus-resumable", "0.2.2")]), HeaderMap::new()] {
            assert_eq!(check_version(&other).unwrap_err().status, StatusCode::PRECONDITION_FAILED);
        }
    }
}
