//! Secrets in files that only their owner may read, made when missing, compared in constant time.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand::RngCore;
use subtle::ConstantTimeEq;

use crate::Error;

/// Random characters in a secret made here: 43 of an alphabet of 64 hold 258 bits.
const RANDOM_CHARACTERS: usize = 43;
/// What is read of a secret file at most.
const MAX_FILE_BYTES: u64 = 4096;

/// A secret text, 16 to 512 visible ASCII characters. Cheap to clone; its debug output hides it.
#[derive(Clone)]
pub struct Secret(Arc<str>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// A secret given as text; the error is the rest of a sentence.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        if !(16..=512).contains(&text.len()) {
            return Err("a secret has 16 to 512 characters");
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("a secret has visible ASCII characters only");
        }
        Ok(Self(text.into()))
    }

    /// A new random secret with a prefix that tells people and scanners what it is.
    pub fn random(prefix: &str) -> Self {
        Self(format!("{prefix}{}", random_text()).into())
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether a candidate is the secret, in a time that depends on its length alone.
    pub fn matches(&self, candidate: &str) -> bool {
        self.0.as_bytes().ct_eq(candidate.as_bytes()).into()
    }

    /// Reads the file, or makes it with mode 0600 and a random secret. Processes that start at once all read the same
    /// one. A file that others may read is refused.
    pub fn load_or_create(file: &Path) -> Result<Self, Error> {
        match Self::load(file)? {
            Some(secret) => Ok(secret),
            None => {
                let secret = Self::random("");
                let created = create(file, secret.expose()).map_err(|error| refused(file, error))?;
                if created {
                    return Ok(secret);
                }
                Self::load(file)?.ok_or_else(|| refused(file, "it vanished while it was read"))
            }
        }
    }

    /// Reads the file; `None` when it does not exist.
    pub fn load(file: &Path) -> Result<Option<Self>, Error> {
        let mut opened = match File::open(file) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(refused(file, error)),
        };
        let mode = opened.metadata().map_err(|error| refused(file, error))?.mode() & 0o777;
        if mode & 0o077 != 0 {
            let reason = format!("its mode is {mode:04o}, so others may read it; set it with chmod 600");
            return Err(refused(file, reason));
        }
        let mut text = String::new();
        Read::by_ref(&mut opened)
            .take(MAX_FILE_BYTES)
            .read_to_string(&mut text)
            .map_err(|error| refused(file, error))?;
        Self::new(text.trim()).map(Some).map_err(|reason| refused(file, reason))
    }

    /// Writes the secret to a file of mode 0600, in place of what is there; a crash leaves the old file or the new one.
    pub fn write(&self, file: &Path) -> Result<(), Error> {
        let put = || {
            let temporary = write_temporary(file, self.expose())?;
            fs::rename(&temporary, file)?;
            sync_folder(file)
        };
        put().map_err(|error| refused(file, error))
    }
}

/// 43 random characters of `A-Z a-z 0-9 - _`, 258 bits from the operating system's generator.
pub fn random_text() -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bytes = [0; RANDOM_CHARACTERS];
    rand::rng().fill_bytes(&mut bytes);
    bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 63)])).collect()
}

fn refused(file: &Path, reason: impl fmt::Display) -> Error {
    Error::Secret { file: file.to_path_buf(), reason: reason.to_string() }
}

/// Makes the file with its content at once; false when another process was first.
fn create(file: &Path, text: &str) -> io::Result<bool> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let temporary = write_temporary(file, text)?;
    // A link appears whole or not at all, and unlike a rename it replaces nothing.
    let linked = fs::hard_link(&temporary, file);
    fs::remove_file(&temporary)?;
    match linked {
        Ok(()) => sync_folder(file).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

fn write_temporary(file: &Path, text: &str) -> io::Result<PathBuf> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", random_text()));
    let temporary = file.with_file_name(name);
    let mut opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    opened.write_all(format!("{text}\n").as_bytes())?;
    opened.sync_all()?;
    Ok(temporary)
}

fn sync_folder(file: &Path) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn made_once_with_mode_0600_and_read_after() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new/cluster.secret");
        let made = Secret::load_or_create(&file).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        let read = Secret::load_or_create(&file).unwrap();
        assert!(made.matches(read.expose()) && made.expose().len() == RANDOM_CHARACTERS);
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1, "no temporary file is left");
        assert!(!format!("{made:?}").contains(made.expose()));
    }

    #[test]
    fn many_at_once_agree() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("s");
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let file = file.clone();
                std::thread::spawn(move || Secret::load_or_create(&file).unwrap().expose().to_owned())
            })
            .collect();
        let mut secrets: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        secrets.dedup();
        assert_eq!(secrets.len(), 1);
    }

    #[test]
    fn wider_modes_and_bad_contents_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("s");
        Secret::random("x_").write(&file).unwrap();
        for mode in [0o640, 0o604, 0o660] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            let error = Secret::load_or_create(&file).unwrap_err().to_string();
            assert!(error.contains("chmod 600") && error.contains(&format!("{mode:04o}")), "{error}");
        }
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(Secret::load(&file).unwrap().unwrap().expose().starts_with("x_"));
        for bad in ["", "short", "with a space in the middle", &"x".repeat(600)] {
            fs::write(&file, bad).unwrap();
            assert!(Secret::load(&file).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_the_same_text_matches() {
        let secret = Secret::new("0123456789abcdef").unwrap();
        assert!(secret.matches("0123456789abcdef"));
        for other in ["", "0123456789abcdeg", "0123456789abcde", "0123456789abcdef0"] {
            assert!(!secret.matches(other), "{other}");
        }
    }
}
