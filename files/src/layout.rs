//! Where each object is. Apps' ids and files' ids hold nothing that a path could mean something by.
//!
//! ```text
//! files/<app>/<id>/upload        the upload's record, made once
//! files/<app>/<id>/part-<offset> bytes from this offset on (16 hexadecimal digits), made once
//! files/<app>/<id>/file          the file's record, made once, when all bytes are there
//! files/<app>/<id>/fate          `used` or `gone`, made once: whoever is first decides (decision 0034)
//! pending/<hour>/<app>/<id>      was created in this hour (since 1970, 10 digits), and may have to be swept
//! ```

use object_store::path::Path;
use tidings_proto::AppId;

use crate::id::FileId;

const FILES: &str = "files";
const PENDING: &str = "pending";
const PART: &str = "part-";
pub const UPLOAD: &str = "upload";
pub const FILE: &str = "file";
pub const FATE: &str = "fate";

const HOUR_MS: i64 = 3_600_000;

/// One file's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    app: String,
    id: FileId,
}

impl Place {
    /// None where the app's id is none.
    pub fn new(app: &str, id: &FileId) -> Option<Self> {
        AppId::new(app).ok()?;
        Some(Self { app: app.to_owned(), id: id.clone() })
    }

    /// What all objects of the file are below.
    pub fn folder(&self) -> Path {
        Path::from_iter([FILES, &self.app, self.id.as_str()])
    }

    pub fn object(&self, name: &str) -> Path {
        Path::from_iter([FILES, &self.app, self.id.as_str(), name])
    }

    pub fn part(&self, offset: u64) -> Path {
        self.object(&format!("{PART}{offset:016x}"))
    }

    pub fn pending(&self, hour: i64) -> Path {
        Path::from_iter([PENDING, &format!("{hour:010}"), &self.app, self.id.as_str()])
    }
}

/// The offset in a part's name.
pub fn part_offset(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PART).filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok()
}

/// What pending uploads are below, by hour.
pub fn pending() -> Path {
    Path::from(PENDING)
}

/// The hour of a folder of pending uploads.
pub fn hour_of_folder(path: &Path) -> Option<i64> {
    path.parts().nth(1)?.as_ref().parse().ok()
}

/// The file that a pending entry names.
pub fn place_of_pending(path: &Path) -> Option<Place> {
    let parts: Vec<_> = path.parts().collect();
    let [_, _, app, id] = parts.as_slice() else { return None };
    Place::new(app.as_ref(), &FileId::parse(id.as_ref())?)
}

/// Hours since 1970.
pub fn hour(at_ms: i64) -> i64 {
    at_ms / HOUR_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let id = FileId::random();
        let place = Place::new("shop", &id).unwrap();
        assert_eq!(part_offset(place.part(4 << 20).filename().unwrap()), Some(4 << 20));
        assert_eq!((part_offset("part-1"), part_offset("upload")), (None, None));
        let pending = place.pending(489_000);
        assert_eq!(pending.as_ref(), format!("pending/0000489000/shop/{id}"));
        assert_eq!((place_of_pending(&pending), hour_of_folder(&pending)), (Some(place), Some(489_000)));
        assert_eq!(place_of_pending(&Path::from("pending/1/shop/../x")), None);
        for app in ["..", "a/b", "", "A"] {
            assert_eq!(Place::new(app, &id), None, "{app}");
        }
        assert_eq!(hour(2 * HOUR_MS - 1), 1);
    }
}
