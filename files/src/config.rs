//! The `[files]` section: where files are kept, and for how long what nobody sent.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use tidings_node::Section;

/// What an operator can set about files.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct FilesConfig {
    /// The folder that files are kept in. Gateways of one cluster need the same one, on a file system that they share,
    /// or the same bucket. Empty: `files` in the data folder of a standalone node; no files in a gateway of its own.
    pub folder: PathBuf,
    /// A bucket of S3 or something compatible, in the place of the folder.
    pub s3_bucket: String,
    /// Where the bucket is, as `https://host:port`; empty: at Amazon, by the region.
    pub s3_endpoint: String,
    /// The region.
    pub s3_region: String,
    /// The key to the bucket. Empty: as the machine is given one (environment, web identity, instance metadata).
    pub s3_access_key_id: String,
    /// Its secret.
    pub s3_secret_access_key: KeySecret,
    /// A file of mode 0600 with the secret, in the place of it.
    pub s3_secret_access_key_file: PathBuf,
    /// In front of all names in the bucket.
    pub s3_prefix: String,
    /// No file is larger, whatever policies say; 0: there are no files.
    pub max_file_bytes: u64,
    /// Uploads that bring bytes at the same moment, at most; each holds up to 4 MiB of memory.
    pub max_uploads: u32,
    /// An upload that is not complete after so long is forgotten, and so is a file that no message has named by then.
    pub upload_seconds: u32,
    /// How long a link to a file is good.
    pub link_seconds: u32,
}

impl Default for FilesConfig {
    fn default() -> Self {
        Self {
            folder: PathBuf::new(),
            s3_bucket: String::new(),
            s3_endpoint: String::new(),
            s3_region: "us-east-1".to_owned(),
            s3_access_key_id: String::new(),
            s3_secret_access_key: KeySecret::default(),
            s3_secret_access_key_file: PathBuf::new(),
            s3_prefix: String::new(),
            max_file_bytes: MAX_FILE_BYTES,
            max_uploads: 64,
            upload_seconds: 24 * 3600,
            link_seconds: 3600,
        }
    }
}

/// The secret of a key to a bucket; its debug output hides it.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct KeySecret(String);

impl KeySecret {
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for KeySecret {
    fn from(secret: &str) -> Self {
        Self(secret.to_owned())
    }
}

impl fmt::Debug for KeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "none" } else { "KeySecret(…)" })
    }
}

/// The largest that a file may be: 5 GiB.
pub const MAX_FILE_BYTES: u64 = 5 << 30;

impl Section for FilesConfig {
    const NAME: &'static str = "files";

    fn validate(&self) -> Result<(), String> {
        if self.max_file_bytes > MAX_FILE_BYTES {
            return Err(format!("max_file_bytes must be 0 to {MAX_FILE_BYTES}"));
        }
        if !(1..=10_000).contains(&self.max_uploads) {
            return Err("max_uploads must be 1 to 10000".to_owned());
        }
        if !(60..=30 * 24 * 3600).contains(&self.upload_seconds) {
            return Err("upload_seconds must be 60 to 2592000 (30 days)".to_owned());
        }
        if !(1..=7 * 24 * 3600).contains(&self.link_seconds) {
            return Err("link_seconds must be 1 to 604800 (a week)".to_owned());
        }
        if !self.s3_bucket.is_empty() && !self.folder.as_os_str().is_empty() {
            return Err("folder and s3_bucket are two places: name one".to_owned());
        }
        if !(self.s3_endpoint.is_empty()
            || self.s3_endpoint.starts_with("https://")
            || self.s3_endpoint.starts_with("http://"))
        {
            return Err("s3_endpoint must begin with https:// or http://".to_owned());
        }
        let has_file = !self.s3_secret_access_key_file.as_os_str().is_empty();
        let secrets = usize::from(!self.s3_secret_access_key.0.is_empty()) + usize::from(has_file);
        if secrets != usize::from(!self.s3_access_key_id.is_empty()) {
            let message = "s3_access_key_id goes with s3_secret_access_key or s3_secret_access_key_file, one of them";
            return Err(message.to_owned());
        }
        Ok(())
    }
}

impl FilesConfig {
    pub(crate) fn upload_life(&self) -> Duration {
        Duration::from_secs(self.upload_seconds.into())
    }

    pub(crate) fn link_life(&self) -> Duration {
        Duration::from_secs(self.link_seconds.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_bounds_hold_at_the_edge_and_one_beyond() {
        assert_eq!(FilesConfig::default().validate(), Ok(()));
        let check = |change: fn(&mut FilesConfig, u64), value| {
            let mut config = FilesConfig::default();
            change(&mut config, value);
            config.validate().is_ok()
        };
        type Case = (fn(&mut FilesConfig, u64), u64, u64);
        let cases: [Case; 4] = [
            (|config, value| config.max_file_bytes = value, 0, 5 << 30),
            (|config, value| config.max_uploads = value as u32, 1, 10_000),
            (|config, value| config.upload_seconds = value as u32, 60, 2_592_000),
            (|config, value| config.link_seconds = value as u32, 1, 604_800),
        ];
        for (change, least, most) in cases {
            assert!(check(change, least) && check(change, most) && !check(change, most + 1));
            assert!(least == 0 || !check(change, least - 1));
        }
        let with_key = FilesConfig {
            s3_access_key_id: "key".to_owned(),
            s3_secret_access_key: "hidden".into(),
            ..FilesConfig::default()
        };
        assert_eq!(with_key.validate(), Ok(()));
        assert!(!format!("{with_key:?}").contains("hidden"));
        let wrong = [
            FilesConfig { folder: "a".into(), s3_bucket: "b".to_owned(), ..FilesConfig::default() },
            FilesConfig { s3_endpoint: "minio:9000".to_owned(), ..FilesConfig::default() },
            FilesConfig { s3_access_key_id: "key".to_owned(), ..FilesConfig::default() },
            FilesConfig { s3_secret_access_key_file: "file".into(), ..FilesConfig::default() },
            FilesConfig { s3_secret_access_key_file: "file".into(), ..with_key.clone() },
        ];
        for config in wrong {
            assert!(config.validate().is_err(), "{config:?}");
        }
    }
}
