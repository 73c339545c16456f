//! The form of a message's attachments: what a gateway and the control plane check before they take it.

use crate::message::v1::{Attachment, Content};

/// Attachments of one message, at most.
pub const MAX_ATTACHMENTS: usize = 10;
/// Bytes of a file's name, at most.
pub const MAX_NAME_BYTES: usize = 255;
/// Bytes of the address of a file that the app keeps itself, at most.
pub const MAX_URL_BYTES: usize = 2048;
/// Bytes of a thumbnail, at most.
pub const MAX_THUMBNAIL_BYTES: usize = 16 * 1024;
/// Bytes of a file's type and of its id, at most.
const MAX_TYPE_BYTES: usize = 127;
const MAX_FILE_BYTES: usize = 64;

/// Whether all attachments have the form that they should; the error is a sentence.
pub fn check(content: &Content) -> Result<(), String> {
    let count = content.attachments.len();
    if count > MAX_ATTACHMENTS {
        return Err(format!("the message has {count} attachments, more than {MAX_ATTACHMENTS}"));
    }
    content.attachments.iter().try_for_each(check_one)
}

fn check_one(attachment: &Attachment) -> Result<(), String> {
    let Attachment { file, url, name, media_type, sha256, thumbnail, .. } = attachment;
    if file.is_empty() == url.is_empty() {
        return Err("an attachment names a file or a url".to_owned());
    }
    if !(url.is_empty() || url.starts_with("https://") || url.starts_with("http://")) {
        return Err("an attachment's url begins with https:// or http://".to_owned());
    }
    for (what, text, most) in [
        ("file", file, MAX_FILE_BYTES),
        ("url", url, MAX_URL_BYTES),
        ("name", name, MAX_NAME_BYTES),
        ("media_type", media_type, MAX_TYPE_BYTES),
    ] {
        if text.len() > most || text.chars().any(char::is_control) {
            return Err(format!("an attachment's {what} has at most {most} bytes and no control characters"));
        }
    }
    if !matches!(sha256.len(), 0 | 32) {
        return Err("an attachment's sha256 has 32 bytes".to_owned());
    }
    if thumbnail.len() > MAX_THUMBNAIL_BYTES {
        return Err(format!(
            "an attachment's thumbnail has {} bytes, more than {MAX_THUMBNAIL_BYTES}",
            thumbnail.len()
        ));
    }
    let is_picture =
        [b"\xff\xd8\xff".as_slice(), b"\x89PNG\r\n\x1a\n"].iter().any(|magic| thumbnail.starts_with(magic))
            || (thumbnail.starts_with(b"RIFF") && thumbnail.get(8..12) == Some(b"WEBP"));
    if !thumbnail.is_empty() && !is_picture {
        return Err("an attachment's thumbnail is a JPEG, a PNG or a WebP".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_good(change: impl FnOnce(&mut Attachment)) -> bool {
        let mut attachment = Attachment { file: "f".to_owned(), ..Attachment::default() };
        change(&mut attachment);
        check(&Content { attachments: vec![attachment], ..Content::default() }).is_ok()
    }

    #[test]
    fn bounds_hold_at_the_edge_and_one_beyond() {
        let png = |bytes: usize| {
            let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
            png.resize(bytes, 0);
            png
        };
        assert!(is_good(|a| a.name = "n".repeat(255)) && !is_good(|a| a.name = "n".repeat(256)));
        assert!(is_good(|a| a.thumbnail = png(16_384)) && !is_good(|a| a.thumbnail = png(16_385)));
        assert!(is_good(|a| a.sha256 = vec![0; 32]) && !is_good(|a| a.sha256 = vec![0; 31]));
        assert!(is_good(|a| a.file = "f".repeat(64)) && !is_good(|a| a.file = "f".repeat(65)));
        let url = |bytes: usize| format!("https://{}", "u".repeat(bytes - 8));
        let by_url = |url: String| is_good(|a| *a = Attachment { url, ..Attachment::default() });
        assert!(by_url(url(2048)) && !by_url(url(2049)));
        let many = |count| Content {
            attachments: vec![Attachment { file: "f".to_owned(), ..Attachment::default() }; count],
            ..Content::default()
        };
        assert!(check(&many(10)).is_ok() && check(&many(11)).is_err());
    }

    #[test]
    fn what_is_no_attachment_is_refused() {
        assert!(is_good(|_| ()));
        assert!(!is_good(|a| a.file.clear()));
        assert!(!is_good(|a| a.url = "https://x".to_owned()));
        assert!(!is_good(|a| *a = Attachment { url: "javascript:alert(1)".to_owned(), ..Attachment::default() }));
        assert!(!is_good(|a| a.name = "a\nb".to_owned()));
        assert!(!is_good(|a| a.thumbnail = b"<svg onload=alert(1)>".to_vec()));
    }
}
