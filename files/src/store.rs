//! The object store: a folder, or a bucket of S3 or something compatible. All that is written is written once, under a
//! name that nobody has: creating is the one step that can be won by one alone, and both kinds of store have it.

use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ClientOptions, GetOptions, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, RetryConfig};

use crate::config::FilesConfig;
use crate::error::FilesError;

/// How long one request to a bucket may take, and all its repetitions.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const RETRY_TIMEOUT: Duration = Duration::from_secs(20);
const MAX_RETRIES: usize = 3;
/// Records are small.
const MAX_RECORD_BYTES: u64 = 1 << 20;

/// What became of an object that was to be created.
#[derive(Debug, PartialEq, Eq)]
pub enum Created {
    /// It is there, with these bytes: made now, or by an earlier attempt.
    Ours,
    /// There was another one.
    Other(Bytes),
}

/// An object in a listing.
#[derive(Debug, Clone)]
pub struct Object {
    pub name: String,
    pub size: u64,
    pub modified_ms: i64,
}

/// The store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store(Arc<dyn ObjectStore>);

impl Store {
    /// As configured; none where nothing is, and `default` (a folder) is none.
    pub fn open(config: &FilesConfig, default: Option<&FilePath>) -> Result<Option<Self>, FilesError> {
        if !config.s3_bucket.is_empty() {
            return bucket(config).map(Some);
        }
        let configured = Some(config.folder.as_path()).filter(|folder| !folder.as_os_str().is_empty());
        let Some(folder) = configured.or(default) else { return Ok(None) };
        let refused =
            |error: &dyn std::fmt::Display| FilesError::Config(format!("folder {}: {error}", folder.display()));
        std::fs::create_dir_all(folder).map_err(|error| refused(&error))?;
        let local = LocalFileSystem::new_with_prefix(folder).map_err(|error| refused(&error))?;
        Ok(Some(Self(Arc::new(local.with_fsync(true).with_automatic_cleanup(true)))))
    }

    /// Puts an object where there is none. Repeating it changes nothing.
    pub async fn create(&self, path: &Path, bytes: Bytes) -> Result<Created, FilesError> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.0.put_opts(path, bytes.clone().into(), options).await {
            Ok(_) => Ok(Created::Ours),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                // An answer that was lost leaves what an attempt has made.
                let found = self.0.get(path).await?;
                if found.meta.size != bytes.len() as u64 && found.meta.size > MAX_RECORD_BYTES {
                    return Ok(Created::Other(Bytes::new()));
                }
                let found = found.bytes().await?;
                Ok(if found == bytes { Created::Ours } else { Created::Other(found) })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A small object, if it is there.
    pub async fn record(&self, path: &Path) -> Result<Option<Bytes>, FilesError> {
        let found = match self.0.get(path).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            found => found?,
        };
        if found.meta.size > MAX_RECORD_BYTES {
            return Err(FilesError::Damaged("it is too large"));
        }
        Ok(Some(found.bytes().await?))
    }

    /// Bytes of an object.
    pub async fn read(
        &self,
        path: &Path,
        range: std::ops::Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, FilesError>>, FilesError> {
        let options = GetOptions { range: Some(range.into()), ..GetOptions::default() };
        let found = self.0.get_opts(path, options).await?;
        Ok(found.into_stream().map_err(FilesError::from).boxed())
    }

    /// Everything below a folder.
    pub async fn list(&self, folder: &Path) -> Result<Vec<Object>, FilesError> {
        let object = |meta: object_store::ObjectMeta| Object {
            name: meta.location.filename().unwrap_or_default().to_owned(),
            size: meta.size,
            modified_ms: meta.last_modified.timestamp_millis(),
        };
        Ok(self.0.list(Some(folder)).map_ok(object).try_collect().await?)
    }

    /// The paths of up to `most` objects below a folder.
    pub async fn paths(&self, folder: &Path, most: usize) -> Result<Vec<Path>, FilesError> {
        Ok(self.0.list(Some(folder)).map_ok(|meta| meta.location).take(most).try_collect().await?)
    }

    /// The folders in a folder.
    pub async fn folders(&self, folder: &Path) -> Result<Vec<Path>, FilesError> {
        Ok(self.0.list_with_delimiter(Some(folder)).await?.common_prefixes)
    }

    /// Takes an object away; one that is not there is as good.
    pub async fn delete(&self, path: &Path) -> Result<(), FilesError> {
        match self.0.delete(path).await {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            deleted => Ok(deleted?),
        }
    }
}

fn bucket(config: &FilesConfig) -> Result<Store, FilesError> {
    // The HTTP client takes the process's default; another part of the process may have set it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(&config.s3_bucket)
        .with_region(&config.s3_region)
        .with_client_options(
            ClientOptions::new()
                .with_timeout(REQUEST_TIMEOUT)
                .with_allow_http(config.s3_endpoint.starts_with("http://")),
        )
        .with_retry(RetryConfig { max_retries: MAX_RETRIES, retry_timeout: RETRY_TIMEOUT, ..RetryConfig::default() });
    if !config.s3_endpoint.is_empty() {
        builder = builder.with_endpoint(&config.s3_endpoint);
    }
    if !config.s3_access_key_id.is_empty() {
        builder =
            builder.with_access_key_id(&config.s3_access_key_id).with_secret_access_key(&config.s3_secret_access_key);
    }
    let store = builder.build().map_err(|error| FilesError::Config(format!("s3_bucket: {error}")))?;
    Ok(match config.s3_prefix.trim_matches('/') {
        "" => Store(Arc::new(store)),
        prefix => Store(Arc::new(PrefixStore::new(store, prefix))),
    })
}
