//! `GET /files/v1/download/{app}/{id}?expires=…&signature=…`: the bytes behind a link. What browsers could run is given
//! out as bytes, and everything as an attachment.

use std::io;

use futures_util::TryStreamExt as _;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use metrics::Counter;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tidings_files::range::{Wanted, wanted};
use tidings_files::{FileId, Files, FilesError, Link, id, media};
use tidings_proto::ErrorCode;

use super::body::{Body, full, stream};
use super::failure::Failure;

/// What downloads are below.
pub(crate) const PREFIX: &str = "/files/v1/download/";
/// RFC 8187: what may stand unescaped in an extended value.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The path and query of a link.
pub(crate) fn url(app: &str, id: &FileId, link: &Link) -> String {
    format!("{PREFIX}{app}/{id}?expires={}&signature={}", link.expires_at_ms, link.signature)
}

/// Answers a GET or HEAD of a link.
pub(crate) async fn answer(files: &Files, given_out: &Counter, head: &Parts) -> Result<Response<Body>, Failure> {
    let path = head.uri.path().strip_prefix(PREFIX).unwrap_or_default();
    let (app, id) = path.split_once('/').ok_or_else(Failure::nothing_here)?;
    let id = FileId::parse(id).ok_or(FilesError::NotFound)?;
    let link = link_in(head.uri.query().unwrap_or_default()).ok_or(FilesError::LinkForged)?;
    let file = files.linked(app, &id, &link).await?;

    let tag = format!("\"{}\"", id::hex(&file.sha256));
    let mut response = Response::new(full(""));
    let headers = response.headers_mut();
    set(headers, ETAG, &tag);
    set(headers, CONTENT_DISPOSITION, &disposition(&file.name));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media::shown_as(&file.media_type)));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=3600, immutable"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));

    let names = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
    if names(IF_NONE_MATCH).is_some_and(|seen| seen.contains(&tag)) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(response);
    }
    // A part of a file that is another one by now would be of no use.
    let range = names(RANGE).filter(|_| names(IF_RANGE).is_none_or(|seen| seen == tag));
    let range = match range.map_or(Wanted::Whole, |range| wanted(range, file.size)) {
        Wanted::Whole => 0..file.size,
        Wanted::Part(range) => {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let said = format!("bytes {}-{}/{}", range.start, range.end - 1, file.size);
            set(response.headers_mut(), CONTENT_RANGE, &said);
            range
        }
        Wanted::Unsatisfiable => {
            let failure = Failure::with_status(
                StatusCode::RANGE_NOT_SATISFIABLE,
                ErrorCode::InvalidArgument,
                "the file has no such bytes",
            );
            return Err(match HeaderValue::try_from(format!("bytes */{}", file.size)) {
                Ok(size) => failure.header(CONTENT_RANGE, size),
                Err(_) => failure,
            });
        }
    };
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    if head.method != Method::HEAD && range.start < range.end {
        let bytes = files.read(app, &id, &file, range)?;
        let given_out = given_out.clone();
        let counted = bytes.inspect_ok(move |bytes| given_out.increment(bytes.len() as u64));
        *response.body_mut() = stream(counted.map_err(io::Error::other));
    }
    Ok(response)
}

fn link_in(query: &str) -> Option<Link> {
    let value = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    Some(Link { expires_at_ms: value("expires")?.parse().ok()?, signature: value("signature")?.to_owned() })
}

/// An attachment of this name: as it is (RFC 8187), and for who does not read that, in ASCII.
fn disposition(name: &str) -> String {
    let name = if name.is_empty() { "file" } else { name };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ' ' | '(' | ')');
    let ascii: String = name.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{}", utf8_percent_encode(name, ESCAPED))
}

fn set(headers: &mut HeaderMap, name: http::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_place() {
        assert_eq!(disposition("a b.png"), "attachment; filename=\"a b.png\"; filename*=UTF-8''a%20b.png");
        assert_eq!(disposition(""), "attachment; filename=\"file\"; filename*=UTF-8''file");
        assert_eq!(
            disposition("é\";x=../y"),
            "attachment; filename=\"___x_.._y\"; filename*=UTF-8''%C3%A9%22%3Bx%3D..%2Fy"
        );
    }

    #[test]
    fn a_link_is_read_as_it_is_written() {
        let (link, id) = (Link { expires_at_ms: 7, signature: "ab".to_owned() }, FileId::random());
        let url = url("app", &id, &link);
        assert_eq!(link_in(url.split_once('?').unwrap().1), Some(link));
        for none in
            ["", "expires=7", "signature=ab", "expires=x&signature=ab", "expires=9223372036854775808&signature=a"]
        {
            assert_eq!(link_in(none), None, "{none}");
        }
    }
}
