//! Where a request comes from, as far as a browser says it. Pure.

use std::net::IpAddr;

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, Uri};

/// The authority that the request was sent to: `host` or `host:port`.
pub(crate) fn host(headers: &HeaderMap) -> Option<&str> {
    headers.get(HOST)?.to_str().ok()
}

/// The origin that the browser names, as it stands there.
pub(crate) fn origin(headers: &HeaderMap) -> Option<&str> {
    headers.get(ORIGIN)?.to_str().ok()
}

/// Whether a page of this very host and port asks. No page that a browser shows can say so of another one.
pub(crate) fn is_same(headers: &HeaderMap) -> bool {
    let named = origin(headers).and_then(|origin| origin.parse::<Uri>().ok());
    let authority = named.as_ref().and_then(Uri::authority).map(http::uri::Authority::as_str);
    matches!((authority, host(headers)), (Some(authority), Some(host)) if authority.eq_ignore_ascii_case(host))
}

/// Whether the host is an address or `localhost`: a name that somebody made point here is neither.
pub(crate) fn is_address(host: &str) -> bool {
    let Ok(authority) = host.parse::<http::uri::Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(host: &str, origin: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_a_page_of_the_same_host_and_port_is_of_the_same_origin() {
        for (host, origin, same) in [
            ("127.0.0.1:7700", Some("http://127.0.0.1:7700"), true),
            ("chat.example", Some("https://Chat.example"), true),
            ("127.0.0.1:7700", Some("http://127.0.0.1:7701"), false),
            ("127.0.0.1:7700", Some("http://evil.example"), false),
            ("127.0.0.1:7700", Some("null"), false),
            ("127.0.0.1:7700", Some("not an origin"), false),
            ("127.0.0.1:7700", None, false),
        ] {
            assert_eq!(is_same(&headers(host, origin)), same, "{host} {origin:?}");
        }
    }

    #[test]
    fn an_address_is_told_from_a_name() {
        for (host, address) in [
            ("127.0.0.1:7700", true),
            ("[::1]:7700", true),
            ("localhost", true),
            ("LOCALHOST:1", true),
            ("evil.example:7700", false),
            ("127.0.0.1.evil.example", false),
            ("", false),
        ] {
            assert_eq!(is_address(host), address, "{host}");
        }
    }
}
