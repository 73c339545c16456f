//! What a file says that it is, whether its first bytes agree, and as what it is given out. Pure.
//!
//! A type that browsers show is believed only where the first bytes are of that kind; what claims to be harmless and is
//! recognised as something else is refused. Whatever is left is given out as bytes without a meaning.

use infer::MatcherType;

/// Bytes at a file's beginning that tell what it is.
pub const SNIFFED_BYTES: usize = 8192;
/// What a file is that says nothing.
pub const UNKNOWN: &str = "application/octet-stream";
const MAX_TYPE_BYTES: usize = 127;

/// Types with one look: a file of one is recognised as any of its row. The first columns are what browsers show or
/// play.
const FAMILIES: &[&[&str]] = &[
    &["image/png"],
    &["image/jpeg", "image/jpg"],
    &["image/gif"],
    &["image/webp"],
    &["image/avif"],
    &["image/bmp"],
    &["video/mp4", "audio/mp4", "audio/m4a", "audio/x-m4a", "video/x-m4v", "video/quicktime"],
    &["video/webm", "audio/webm", "video/x-matroska", "audio/x-matroska"],
    &["audio/ogg", "video/ogg", "application/ogg", "audio/opus"],
    &["audio/mpeg", "audio/mp3"],
    &["audio/wav", "audio/x-wav", "audio/wave"],
    &["audio/aac"],
    &["audio/flac", "audio/x-flac"],
    &["application/pdf"],
    &["application/zip"],
    &["application/gzip", "application/x-gzip"],
];

/// Types that are given out under their own name: nothing in them runs.
const SHOWN: &[&str] = &[
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "image/avif",
    "image/bmp",
    "video/mp4",
    "video/webm",
    "video/ogg",
    "video/quicktime",
    "audio/mp4",
    "audio/m4a",
    "audio/x-m4a",
    "audio/webm",
    "audio/ogg",
    "audio/opus",
    "audio/mpeg",
    "audio/mp3",
    "audio/wav",
    "audio/x-wav",
    "audio/aac",
    "audio/flac",
];

/// The type in small and without parameters; none where it is no type. Nothing said is [`UNKNOWN`].
pub fn normal(declared: &str) -> Option<String> {
    let essence = declared.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence.is_empty() {
        return Some(UNKNOWN.to_owned());
    }
    let token = |text: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b);
        !text.is_empty() && text.bytes().all(plain)
    };
    let is_type = essence.split_once('/').is_some_and(|(kind, name)| token(kind) && token(name));
    (is_type && essence.len() <= MAX_TYPE_BYTES).then_some(essence)
}

/// Whether the first bytes can be of a file of this (normal) type.
pub fn agrees(media_type: &str, first: &[u8]) -> bool {
    let found = infer::get(&first[..first.len().min(SNIFFED_BYTES)]);
    let family = |media_type: &str| FAMILIES.iter().position(|row| row.contains(&media_type));
    if let Some(claimed) = family(media_type) {
        // An empty file shows nothing that would be untrue.
        return first.is_empty() || found.is_some_and(|found| family(found.mime_type()) == Some(claimed));
    }
    let Some(found) = found else { return true };
    let kind = media_type.split('/').next().unwrap_or_default();
    match kind {
        // It claims nothing.
        _ if media_type == UNKNOWN => true,
        "text" => matches!(found.matcher_type(), MatcherType::Text),
        // One that is not in the table has to be of its kind at least.
        "image" => matches!(found.matcher_type(), MatcherType::Image | MatcherType::Text),
        "audio" | "video" => matches!(found.matcher_type(), MatcherType::Audio | MatcherType::Video),
        _ => !matches!(found.matcher_type(), MatcherType::Image | MatcherType::Audio | MatcherType::Video),
    }
}

/// The type that it is given out with.
pub fn shown_as(media_type: &str) -> &'static str {
    SHOWN.iter().find(|shown| **shown == media_type).copied().unwrap_or(UNKNOWN)
}

/// Whether a policy's list (`image/*`, `application/pdf`, `*/*`; empty: all) takes this type.
pub fn is_taken(patterns: &[String], media_type: &str) -> bool {
    let kind = media_type.split('/').next().unwrap_or_default();
    let takes = |pattern: &String| match pattern.strip_suffix("/*") {
        Some("*") => true,
        Some(of) => of.eq_ignore_ascii_case(kind),
        None => pattern.eq_ignore_ascii_case(media_type),
    };
    patterns.is_empty() || patterns.iter().any(takes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    const JPEG: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF\0";
    const PDF: &[u8] = b"%PDF-1.7\n";
    const ELF: &[u8] = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    const HTML: &[u8] = b"<!DOCTYPE html><html><script>alert(1)</script></html>";
    const WEBM: &[u8] = b"\x1a\x45\xdf\xa3\x01\0\0\0\0\0\0\x1f\x42\x86\x81\x01\x42\xf7\x81\x01\x42\xf2\x81\x04\x42\xf3\x81\x08\x42\x82\x84webm";

    #[test]
    fn a_type_is_what_its_first_bytes_are() {
        for (declared, bytes, good) in [
            ("image/png", PNG, true),
            ("image/jpeg", JPEG, true),
            ("image/png", JPEG, false),
            ("image/png", HTML, false),
            ("image/png", b"not a picture".as_slice(), false),
            ("image/png", b"".as_slice(), true),
            ("video/webm", WEBM, true),
            ("audio/webm", WEBM, true),
            ("video/mp4", WEBM, false),
            ("application/pdf", PDF, true),
            ("application/pdf", HTML, false),
            ("text/plain", b"hello".as_slice(), true),
            ("text/plain", ELF, false),
            ("text/plain", PNG, false),
            ("text/html", HTML, true),
            ("application/octet-stream", ELF, true),
            ("application/octet-stream", PNG, true),
            ("application/x-thing", b"anything".as_slice(), true),
            ("application/x-thing", PNG, false),
            ("image/svg+xml", b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>".as_slice(), true),
            ("image/x-other", ELF, false),
        ] {
            assert_eq!(agrees(declared, bytes), good, "{declared} {:?}", infer::get(bytes));
        }
    }

    #[test]
    fn what_could_run_is_given_out_as_bytes() {
        for shown in ["image/png", "audio/mpeg", "video/mp4"] {
            assert_eq!(shown_as(shown), shown);
        }
        for other in ["text/html", "image/svg+xml", "application/pdf", "text/javascript", "application/xhtml+xml"] {
            assert_eq!(shown_as(other), UNKNOWN);
        }
        // Whatever is given out under its own name was looked at.
        for shown in SHOWN {
            assert!(FAMILIES.iter().any(|row| row.contains(shown)), "{shown}");
        }
    }

    #[test]
    fn types_are_read_in_one_form() {
        assert_eq!(normal("Image/PNG; charset=x").as_deref(), Some("image/png"));
        assert_eq!(normal("").as_deref(), Some(UNKNOWN));
        for none in [
            "image",
            "a/b/c",
            "a b/c",
            "/x",
            "x/",
            "a/b\r\nSet-Cookie: x",
            "text/plain\"",
            &format!("a/{}", "b".repeat(126)),
        ] {
            assert_eq!(normal(none), None, "{none}");
        }
        assert!(normal(&format!("a/{}", "b".repeat(125))).is_some());
    }

    #[test]
    fn a_policy_names_types_or_kinds() {
        let patterns = ["image/*".to_owned(), "application/pdf".to_owned()];
        for (media_type, taken) in
            [("image/png", true), ("application/pdf", true), ("application/zip", false), ("imagex/png", false)]
        {
            assert_eq!(is_taken(&patterns, media_type), taken, "{media_type}");
        }
        assert!(is_taken(&[], "x/y") && is_taken(&["*/*".to_owned()], "x/y"));
    }
}
