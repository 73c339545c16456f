//! The web app that this gateway serves, with what keeps a page from being made to do what it should not.

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use super::body::{Body, full};
use super::failure::Failure;
use super::origin;

/// A file of the app.
#[derive(Debug, Clone)]
pub struct Asset {
    /// What it holds.
    pub bytes: Bytes,
    /// Names this content of the file; of visible ASCII characters without quotes.
    pub version: String,
}

/// Where the files of the app come from: by their paths below the root, such as `assets/index.js`.
pub type Assets = fn(&str) -> Option<Asset>;

const INDEX: &str = "index.html";
/// Files whose names change with their content are below this.
const HASHED: &str = "assets/";
const ABOUT: &str = "This is a Tidings gateway: a real-time messaging server for apps.

Clients connect by WebSocket to /v1/connect, with one of the subprotocols
  tidings.v1.protobuf   binary messages (default)
  tidings.v1.json       text messages
and send Hello with a token as the first frame. The protocol is in docs/protocol.md of the Tidings sources.

This binary was built without the web app, which `make build` includes.
";

/// Answers a GET or HEAD of `path`. A path that names no file and has no extension is a place inside of the app.
pub(crate) fn answer(assets: Option<Assets>, path: &str, headers: &HeaderMap) -> Result<Response<Body>, Failure> {
    let name = path.trim_start_matches('/');
    let index = assets.and_then(|assets| assets(INDEX));
    let (Some(assets), Some(index)) = (assets, index) else {
        return match name {
            "" => Ok(super::text(StatusCode::OK, ABOUT)),
            _ => Err(Failure::nothing_here()),
        };
    };
    match (is_plain(name)).then(|| assets(name)).flatten() {
        Some(asset) => Ok(file(name, asset, headers)),
        None if name.rsplit('/').next().is_some_and(|last| last.contains('.')) => Err(Failure::nothing_here()),
        None => Ok(file(INDEX, index, headers)),
    }
}

/// Letters, digits and a few signs, and nothing hidden: `..` is no part of it.
fn is_plain(name: &str) -> bool {
    let part = |part: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '~');
        !part.is_empty() && !part.starts_with('.') && part.chars().all(plain)
    };
    name.split('/').all(part)
}

fn file(name: &str, asset: Asset, request: &HeaderMap) -> Response<Body> {
    let tag = format!("\"{}\"", asset.version);
    let known = request.get_all(IF_NONE_MATCH).iter().any(|seen| seen.to_str().is_ok_and(|seen| seen.contains(&tag)));
    let mut response = if known {
        let mut response = Response::new(full(""));
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        Response::new(full(asset.bytes))
    };
    let caching = if name.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type(name)));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(ETAG, tag);
    }
    guard(headers, origin::host(request));
    response
}

/// Nothing runs, and nothing is asked, but what comes from here.
fn guard(headers: &mut HeaderMap, host: Option<&str>) {
    // Not every browser takes 'self' for WebSockets.
    let plain =
        |host: &&str| host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']'));
    let sockets = host.filter(plain).map_or_else(String::new, |host| format!(" ws://{host} wss://{host}"));
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; manifest-src 'self'; \
         worker-src 'self'; img-src 'self' data: blob:; media-src 'self' data: blob:; connect-src 'self'{sockets}; \
         base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    );
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    for (name, value) in [
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", "camera=(self), microphone=(self), geolocation=(self)"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        "wasm" => "application/wasm",
        "mp3" => "audio/mpeg",
        "ogg" => "audio/ogg",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::HOST;

    fn assets(name: &str) -> Option<Asset> {
        let known = ["index.html", "sw.js", "assets/index-1a2b.js"].contains(&name);
        known.then(|| Asset { bytes: Bytes::from(name.to_owned()), version: "v1".to_owned() })
    }

    fn get(path: &str) -> Result<Response<Body>, StatusCode> {
        let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static("chat.example:7700"))]);
        answer(Some(assets), path, &headers).map_err(|failure| failure.status)
    }

    #[test]
    fn files_are_served_by_their_kind_and_places_in_the_app_are_its_index() {
        for (path, kind, caching) in [
            ("/", "text/html; charset=utf-8", "no-cache"),
            ("/chats/ada", "text/html; charset=utf-8", "no-cache"),
            ("/sw.js", "text/javascript; charset=utf-8", "no-cache"),
            ("/assets/index-1a2b.js", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"),
        ] {
            let response = get(path).unwrap();
            assert_eq!(response.headers()[CONTENT_TYPE], kind, "{path}");
            assert_eq!(response.headers()[CACHE_CONTROL], caching, "{path}");
        }
        for path in ["/nothing.js", "/.env", "/assets/../index.html", "/%2e%2e/index.html", "/assets/.index-1a2b.js"] {
            assert_eq!(get(path).err(), Some(StatusCode::NOT_FOUND), "{path}");
        }
    }

    #[test]
    fn every_page_is_guarded_and_talks_to_nobody_else() {
        let response = get("/").unwrap();
        let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("connect-src 'self' ws://chat.example:7700 wss://chat.example:7700;"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(response.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(response.headers()[REFERRER_POLICY], "no-referrer");
        let odd = HeaderMap::from_iter([(HOST, HeaderValue::from_static("x; script-src *"))]);
        let response = answer(Some(assets), "/", &odd).unwrap();
        assert!(!response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().contains('*'));
    }

    #[test]
    fn who_has_it_already_is_told_so() {
        let headers = HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static("\"v0\", \"v1\""))]);
        assert_eq!(answer(Some(assets), "/", &headers).unwrap().status(), StatusCode::NOT_MODIFIED);
        let headers = HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static("\"v0\""))]);
        assert_eq!(answer(Some(assets), "/", &headers).unwrap().status(), StatusCode::OK);
    }

    #[test]
    fn without_the_app_a_person_is_told_what_this_is() {
        assert_eq!(answer(None, "/", &HeaderMap::new()).unwrap().status(), StatusCode::OK);
        assert_eq!(answer(None, "/chats", &HeaderMap::new()).unwrap_err().status, StatusCode::NOT_FOUND);
    }
}
