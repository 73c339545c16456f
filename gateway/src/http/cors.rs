//! Pages of other origins that may use files here (`allowed_origins`). Tokens are shown in headers that a page has to
//! set, and no cookie is taken, so this says which pages can read answers, and nothing more.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, VARY,
};
use http::{HeaderMap, HeaderValue};

use super::origin;

const METHODS: &str = "GET, HEAD, POST, PATCH, DELETE, OPTIONS";
const HEADERS: &str = "Authorization, Content-Type, Range, If-Range, Tidings-App-Id, Tus-Resumable, Upload-Length, Upload-Metadata, \
    Upload-Offset, X-HTTP-Method-Override";
const EXPOSED: &str = "Content-Disposition, Content-Range, ETag, Location, Retry-After, Tus-Extension, Tus-Max-Size, Tus-Resumable, \
    Tus-Version, Upload-Expires, Upload-Length, Upload-Offset";
const MAX_AGE_SECONDS: &str = "86400";

/// Says in an answer that the page that asked may read it, if it may.
pub(crate) fn allow(allowed: &[String], request: &HeaderMap, answer: &mut HeaderMap) {
    if allowed.is_empty() {
        return;
    }
    answer.append(VARY, HeaderValue::from_static("origin"));
    let Some(origin) = origin::origin(request).filter(|origin| is_allowed(allowed, origin)) else { return };
    let Ok(origin) = HeaderValue::from_str(origin) else { return };
    answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    for (name, value) in [
        (ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (ACCESS_CONTROL_ALLOW_HEADERS, HEADERS),
        (ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED),
        (ACCESS_CONTROL_MAX_AGE, MAX_AGE_SECONDS),
    ] {
        answer.insert(name, HeaderValue::from_static(value));
    }
    // What is given out to a page there is shown there.
    answer.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
}

fn is_allowed(allowed: &[String], origin: &str) -> bool {
    allowed.iter().any(|one| one == "*" || one.eq_ignore_ascii_case(origin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::ORIGIN;

    fn allowed(allowed: &[&str], origin: &str) -> Option<String> {
        let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
        let request = HeaderMap::from_iter([(ORIGIN, origin.parse().unwrap())]);
        let mut answer = HeaderMap::new();
        allow(&allowed, &request, &mut answer);
        answer.get(ACCESS_CONTROL_ALLOW_ORIGIN).map(|origin| origin.to_str().unwrap().to_owned())
    }

    #[test]
    fn an_origin_is_named_back_only_where_it_is_allowed() {
        let one = ["https://app.example"];
        assert_eq!(allowed(&one, "https://app.example").as_deref(), Some("https://app.example"));
        for other in ["https://app.example.evil", "http://app.example", "https://app.example:8443", "null"] {
            assert_eq!(allowed(&one, other), None, "{other}");
        }
        assert_eq!(allowed(&["*"], "https://any.example").as_deref(), Some("https://any.example"));
        assert_eq!(allowed(&[], "https://app.example"), None);
    }
}
