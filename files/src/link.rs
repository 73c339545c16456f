//! Links to files: whoever has one may read the file until the link's time is over, with no token. Pure.
//!
//! All gateways of a cluster make and take the same links: the key comes from the cluster's secret (decision 0035).

use ring::hmac;

use crate::error::FilesError;
use crate::id::{FileId, hex, unhex};

const PURPOSE: &[u8] = b"tidings link to a file, version 1";

/// Makes links and tells good ones from others.
pub struct LinkKey(hmac::Key);

/// The parts of a link that say that it is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Until when, in Unix ms.
    pub expires_at_ms: i64,
    /// 64 hexadecimal digits.
    pub signature: String,
}

impl LinkKey {
    /// The key that a cluster's secret leads to.
    pub fn of(secret: &str) -> Self {
        let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), PURPOSE);
        Self(hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()))
    }

    /// A link to a file of an app.
    pub fn sign(&self, app: &str, id: &FileId, expires_at_ms: i64) -> Link {
        let signature = hex(hmac::sign(&self.0, &signed(app, id, expires_at_ms)).as_ref());
        Link { expires_at_ms, signature }
    }

    /// Whether the link was made here for this very file, and is good now.
    pub fn check(&self, app: &str, id: &FileId, link: &Link, now_ms: i64) -> Result<(), FilesError> {
        let signature = unhex(&link.signature).ok_or(FilesError::LinkForged)?;
        hmac::verify(&self.0, &signed(app, id, link.expires_at_ms), &signature).map_err(|_| FilesError::LinkForged)?;
        if link.expires_at_ms <= now_ms { Err(FilesError::LinkExpired) } else { Ok(()) }
    }
}

/// No id holds a zero byte, so that no two links are the same text.
fn signed(app: &str, id: &FileId, expires_at_ms: i64) -> Vec<u8> {
    format!("{app}\0{id}\0{expires_at_ms}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_good_for_one_file_until_its_time_at_every_gateway_of_the_cluster() {
        let (key, id) = (LinkKey::of("the-cluster-secret"), FileId::random());
        let link = key.sign("app", &id, 1_000);
        assert!(LinkKey::of("the-cluster-secret").check("app", &id, &link, 999).is_ok());
        assert!(matches!(key.check("app", &id, &link, 1_000), Err(FilesError::LinkExpired)));
        let later = Link { expires_at_ms: 2_000, ..link.clone() };
        let mut other = link.clone();
        other.signature.replace_range(0..1, if other.signature.starts_with('0') { "1" } else { "0" });
        let short = Link { signature: link.signature[..62].to_owned(), ..link.clone() };
        let none = Link { signature: String::new(), ..link.clone() };
        for forged in [later, other, short, none] {
            assert!(matches!(key.check("app", &id, &forged, 0), Err(FilesError::LinkForged)), "{forged:?}");
        }
        let forged = |checked| matches!(checked, Err(FilesError::LinkForged));
        assert!(forged(key.check("other", &id, &link, 0)));
        assert!(forged(key.check("app", &FileId::random(), &link, 0)));
        assert!(forged(LinkKey::of("another-secret----").check("app", &id, &link, 0)));
    }
}
