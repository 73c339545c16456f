//! The object store: a folder, or a bucket of S3 or something compatible. All that is written is written once, under a
//! name that nobody has: creating is the one step that can be won by one alone, and both kinds of store have it
//! (`check` looks whether that is so).

use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{GetOptions, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::bucket;
use crate::check::Standing;
use crate::config::FilesConfig;
use crate::error::FilesError;

/// Attempts at one thing in a bucket, each with repetitions of its own, and for how long another one is begun.
const ATTEMPTS: u32 = 4;
const ATTEMPTS_FOR: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(100);
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
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    in_bucket: bool,
    pub(crate) standing: Arc<watch::Sender<Standing>>,
    /// Something failed: it is time to look again.
    pub(crate) doubt: Arc<Notify>,
}

impl Store {
    /// As configured; none where nothing is, and `default` (a folder) is none.
    pub fn open(config: &FilesConfig, default: Option<&FilePath>) -> Result<Option<Self>, FilesError> {
        if !config.s3_bucket.is_empty() {
            return Ok(Some(Self::over(bucket::open(config)?, true, Standing::Unknown)));
        }
        let configured = Some(config.folder.as_path()).filter(|folder| !folder.as_os_str().is_empty());
        let Some(folder) = configured.or(default) else { return Ok(None) };
        let refused =
            |error: &dyn std::fmt::Display| FilesError::Config(format!("folder {}: {error}", folder.display()));
        std::fs::create_dir_all(folder).map_err(|error| refused(&error))?;
        let local = LocalFileSystem::new_with_prefix(folder).map_err(|error| refused(&error))?;
        let objects = Arc::new(local.with_fsync(true).with_automatic_cleanup(true));
        Ok(Some(Self::over(objects, false, Standing::Good)))
    }

    fn over(objects: Arc<dyn ObjectStore>, in_bucket: bool, standing: Standing) -> Self {
        Self { objects, in_bucket, standing: Arc::new(watch::Sender::new(standing)), doubt: Arc::default() }
    }

    /// What the store said, and doubts where that is a fault of its.
    fn heard<T>(&self, said: object_store::Result<T>) -> Result<T, FilesError> {
        said.map_err(|error| {
            let error = FilesError::from(error);
            if matches!(error, FilesError::Store(_)) {
                self.doubt.notify_one();
            }
            error
        })
    }

    /// Puts an object where there is none. Repeating it changes nothing. Waits until it is known that the store keeps
    /// to that.
    pub async fn create(&self, path: &Path, bytes: Bytes) -> Result<Created, FilesError> {
        self.is_good().await?;
        self.put(path, bytes).await
    }

    /// The same, whatever the store does.
    pub(crate) async fn put(&self, path: &Path, bytes: Bytes) -> Result<Created, FilesError> {
        use object_store::Error as E;
        let (begun, mut attempts) = (Instant::now(), 0);
        loop {
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            let error = match self.objects.put_opts(path, bytes.clone().into(), options).await {
                Ok(_) => return Ok(Created::Ours),
                Err(error) => error,
            };
            attempts += 1;
            match &error {
                // An answer that was lost leaves what an attempt has made. Nothing is there where another one is about
                // to put something (409 of Amazon's), and where it was taken away meanwhile.
                E::AlreadyExists { .. } | E::Precondition { .. } => {
                    if let Some(created) = self.found(path, &bytes).await? {
                        return Ok(created);
                    }
                }
                // What is missing is the bucket.
                E::NotFound { .. } if self.in_bucket => {
                    self.doubt.notify_one();
                    return Err(FilesError::Store(error));
                }
                // Of a request that broke off nobody knows what became of it.
                E::Generic { .. } if self.in_bucket => {}
                _ => return self.heard(Err(error)),
            }
            if !goes_on(begun, attempts).await {
                return self.heard(Err(error));
            }
        }
    }

    /// What is where an object was to be put.
    async fn found(&self, path: &Path, bytes: &Bytes) -> Result<Option<Created>, FilesError> {
        let found = match self.heard(self.objects.get(path).await) {
            Err(FilesError::NotFound) => return Ok(None),
            found => found?,
        };
        if found.meta.size != bytes.len() as u64 && found.meta.size > MAX_RECORD_BYTES {
            return Ok(Some(Created::Other(Bytes::new())));
        }
        let found = self.heard(found.bytes().await)?;
        Ok(Some(if found == bytes { Created::Ours } else { Created::Other(found) }))
    }

    /// A small object, if it is there.
    pub async fn record(&self, path: &Path) -> Result<Option<Bytes>, FilesError> {
        let found = match self.heard(self.objects.get(path).await) {
            Err(FilesError::NotFound) => return Ok(None),
            found => found?,
        };
        if found.meta.size > MAX_RECORD_BYTES {
            return Err(FilesError::Damaged("it is too large"));
        }
        self.heard(found.bytes().await).map(Some)
    }

    /// Bytes of an object. A reader who takes their time outlives connections to a bucket: then it goes on from where
    /// it was, for as long as each attempt brings something.
    pub fn read(&self, path: &Path, range: std::ops::Range<u64>) -> BoxStream<'static, Result<Bytes, FilesError>> {
        let reading = Reading { store: self.clone(), path: path.clone(), range, open: None };
        stream::try_unfold(reading, |mut reading| async {
            let next = reading.next().await?;
            Ok(next.map(|bytes| (bytes, reading)))
        })
        .boxed()
    }

    /// Everything below a folder.
    pub async fn list(&self, folder: &Path) -> Result<Vec<Object>, FilesError> {
        let object = |meta: object_store::ObjectMeta| Object {
            name: meta.location.filename().unwrap_or_default().to_owned(),
            size: meta.size,
            modified_ms: meta.last_modified.timestamp_millis(),
        };
        self.heard(self.objects.list(Some(folder)).map_ok(object).try_collect().await)
    }

    /// The paths of up to `most` objects below a folder.
    pub async fn paths(&self, folder: &Path, most: usize) -> Result<Vec<Path>, FilesError> {
        self.heard(self.objects.list(Some(folder)).map_ok(|meta| meta.location).take(most).try_collect().await)
    }

    /// The folders in a folder.
    pub async fn folders(&self, folder: &Path) -> Result<Vec<Path>, FilesError> {
        Ok(self.heard(self.objects.list_with_delimiter(Some(folder)).await)?.common_prefixes)
    }

    /// Takes an object away; one that is not there is as good.
    pub async fn delete(&self, path: &Path) -> Result<(), FilesError> {
        match self.heard(self.objects.delete(path).await) {
            Err(FilesError::NotFound) => Ok(()),
            deleted => deleted,
        }
    }
}

/// Whether something is tried again that failed; waits before it is.
async fn goes_on(begun: Instant, attempts: u32) -> bool {
    let may = attempts < ATTEMPTS && begun.elapsed() < ATTEMPTS_FOR;
    if may {
        tokio::time::sleep(PAUSE * attempts).await;
    }
    may
}

/// An object that is being read.
struct Reading {
    store: Store,
    path: Path,
    /// What is still to come.
    range: std::ops::Range<u64>,
    open: Option<BoxStream<'static, object_store::Result<Bytes>>>,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>, FilesError> {
        let (mut begun, mut attempts) = (Instant::now(), 0);
        while self.range.start < self.range.end {
            let error = match self.attempt().await {
                Ok(bytes) if bytes.is_empty() => continue,
                Ok(bytes) => {
                    self.range.start += bytes.len() as u64;
                    return Ok(Some(bytes));
                }
                Err(error) => error,
            };
            if self.open.take().is_some() {
                // How long the reader let it wait does not count.
                begun = Instant::now();
            }
            attempts += 1;
            if !self.store.in_bucket || !matches!(error, FilesError::Store(_)) || !goes_on(begun, attempts).await {
                return Err(error);
            }
        }
        Ok(None)
    }

    async fn attempt(&mut self) -> Result<Bytes, FilesError> {
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                let options = GetOptions { range: Some(self.range.clone().into()), ..GetOptions::default() };
                let found = self.store.heard(self.store.objects.get_opts(&self.path, options).await)?;
                self.open.insert(found.into_stream())
            }
        };
        match open.next().await {
            Some(bytes) => Ok(bytes?),
            None => Err(FilesError::Damaged("a part is too short")),
        }
    }
}
