//! What can be done with files. Everything is decided by what is in the store, so that any gateway can do it.

use std::path::Path as FilePath;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tidings_node::Clock;
use tidings_node::secret::Secret;
use tidings_proto::files::v1 as wire;
use tokio::sync::Semaphore;

use crate::config::FilesConfig;
use crate::error::FilesError;
use crate::id::FileId;
use crate::layout::{self, FATE, FILE, Place, UPLOAD};
use crate::link::{Link, LinkKey};
use crate::media;
use crate::parts::{Stored, pieces};
use crate::store::{Created, Store};
use crate::upload::Upload;

/// Bytes of a file's name, at most.
pub const MAX_NAME_BYTES: usize = 255;

/// A message has named the file.
const USED: &[u8] = b"used";
/// The file is being deleted.
pub(crate) const GONE: &[u8] = b"gone";

/// Whose an upload is.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    pub app: &'a str,
    pub user: &'a str,
}

/// What is said of an upload before its bytes come.
#[derive(Debug, Clone, Default)]
pub struct NewUpload {
    /// In bytes.
    pub size: u64,
    /// For people; may be empty.
    pub name: String,
    /// As the client says; empty: not known.
    pub media_type: String,
}

/// What the policy of a user says to its files.
#[derive(Debug, Clone)]
pub struct Limits {
    pub max_bytes: u64,
    /// Types that are taken, as [`media::is_taken`] reads them.
    pub types: Vec<String>,
}

/// How far an upload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that are stored.
    pub offset: u64,
    /// Bytes that it will have.
    pub size: u64,
    /// When it is no longer continued, in Unix ms.
    pub expires_at_ms: i64,
}

/// The files of a cluster. Cheap to clone.
#[derive(Clone)]
pub struct Files(Arc<Inner>);

struct Inner {
    store: Store,
    key: LinkKey,
    clock: Clock,
    config: FilesConfig,
    uploading: Arc<Semaphore>,
}

impl Files {
    /// Opens the store. `default` is the folder where none is configured; without it, and without a configured place,
    /// there are no files. The secret is the cluster's: it leads to the key of links.
    pub fn open(
        config: FilesConfig,
        default: Option<&FilePath>,
        secret: &Secret,
        clock: Clock,
    ) -> Result<Option<Self>, FilesError> {
        if config.max_file_bytes == 0 {
            return Ok(None);
        }
        let Some(store) = Store::open(&config, default)? else { return Ok(None) };
        let uploading = Arc::new(Semaphore::new(config.max_uploads as usize));
        let key = LinkKey::of(secret.expose());
        Ok(Some(Self(Arc::new(Inner { store, key, clock, config, uploading }))))
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn config(&self) -> &FilesConfig {
        &self.0.config
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.0.clock.now_ms()
    }

    /// The largest file that is taken of whoever goes by this limit.
    pub fn max_bytes(&self, limit: u64) -> u64 {
        self.0.config.max_file_bytes.min(limit)
    }

    /// Begins an upload.
    pub async fn create(
        &self,
        owner: Owner<'_>,
        new: NewUpload,
        limits: &Limits,
    ) -> Result<(FileId, Progress), FilesError> {
        let most = self.max_bytes(limits.max_bytes);
        if new.size > most {
            return Err(FilesError::TooLarge { size: new.size, most });
        }
        let media_type = media::normal(&new.media_type).ok_or(FilesError::Invalid("the file's type is none"))?;
        if !media::is_taken(&limits.types, &media_type) {
            return Err(FilesError::TypeRefused(media_type));
        }
        if new.name.len() > MAX_NAME_BYTES || new.name.chars().any(char::is_control) {
            return Err(FilesError::Invalid("a file's name has at most 255 bytes and no control characters"));
        }
        let id = FileId::random();
        let place = place(owner.app, &id)?;
        let created_at_ms = self.now_ms();
        let life_ms = i64::try_from(self.config().upload_life().as_millis()).unwrap_or(i64::MAX);
        let record = wire::Upload {
            user: owner.user.to_owned(),
            name: new.name,
            media_type,
            size: new.size,
            created_at_ms,
            expires_at_ms: created_at_ms.saturating_add(life_ms),
        };
        // First the entry that has it swept, then what would have to be.
        self.made_new(&place.pending(layout::hour(created_at_ms)), Bytes::new()).await?;
        self.made_new(&place.object(UPLOAD), record.encode_to_vec().into()).await?;
        let progress = Progress { offset: 0, size: record.size, expires_at_ms: record.expires_at_ms };
        if record.size == 0 {
            self.complete_from(&place, &record, &Stored::default(), None).await?;
        }
        Ok((id, progress))
    }

    async fn made_new(&self, path: &object_store::path::Path, bytes: Bytes) -> Result<(), FilesError> {
        match self.store().create(path, bytes).await? {
            Created::Ours => Ok(()),
            Created::Other(_) => Err(FilesError::Damaged("an id was there already")),
        }
    }

    /// How far an upload is.
    pub async fn progress(&self, owner: Owner<'_>, id: &FileId) -> Result<Progress, FilesError> {
        let (_, record, stored) = self.upload(owner, id).await?;
        Ok(Progress { offset: stored.offset, size: record.size, expires_at_ms: record.expires_at_ms })
    }

    /// Goes on with an upload at `offset`.
    pub async fn resume(&self, owner: Owner<'_>, id: &FileId, offset: u64) -> Result<Upload, FilesError> {
        let permit = self.0.uploading.clone().try_acquire_owned().map_err(|_| FilesError::Busy)?;
        let (place, record, stored) = self.upload(owner, id).await?;
        if stored.offset != offset {
            return Err(FilesError::Offset { offset: stored.offset });
        }
        if self.now_ms() >= record.expires_at_ms && !stored.is_complete {
            return Err(FilesError::Expired);
        }
        Ok(Upload::new(self.clone(), place, record, stored, permit))
    }

    /// The upload of this owner, and what is stored of it.
    async fn upload(&self, owner: Owner<'_>, id: &FileId) -> Result<(Place, wire::Upload, Stored), FilesError> {
        let place = place(owner.app, id)?;
        let record = self.store().record(&place.object(UPLOAD)).await?.ok_or(FilesError::NotFound)?;
        let record = wire::Upload::decode(record).map_err(|_| FilesError::Damaged("an upload"))?;
        if record.user != owner.user {
            return Err(FilesError::NotFound);
        }
        let objects = self.store().list(&place.folder()).await?;
        let stored = Stored::of(objects.iter().map(|object| (object.name.as_str(), object.size)));
        if stored.has_fate && !stored.is_complete {
            return Err(FilesError::NotFound);
        }
        Ok((place, record, stored))
    }

    /// The file that an upload of this owner became. Makes it where only that is missing: a gateway may have ended
    /// between the last byte and this.
    pub async fn complete(&self, owner: Owner<'_>, id: &FileId) -> Result<wire::File, FilesError> {
        let (place, record, stored) = self.upload(owner, id).await?;
        if stored.is_complete {
            return self.at(&place).await;
        }
        if stored.offset < record.size {
            return Err(FilesError::Incomplete { offset: stored.offset, size: record.size });
        }
        self.complete_from(&place, &record, &stored, None).await
    }

    /// Makes the file of an upload whose bytes are all there. `sha256` is known where they all came just now.
    pub(crate) async fn complete_from(
        &self,
        place: &Place,
        record: &wire::Upload,
        stored: &Stored,
        sha256: Option<Vec<u8>>,
    ) -> Result<wire::File, FilesError> {
        let mut file = wire::File {
            user: record.user.clone(),
            name: record.name.clone(),
            media_type: record.media_type.clone(),
            size: record.size,
            sha256: Vec::new(),
            parts: stored.parts.clone(),
            completed_at_ms: self.now_ms(),
        };
        let first = self.first_bytes(place, &file).await?;
        if !media::agrees(&file.media_type, &first) {
            // It will never be a file.
            if self.store().create(&place.object(FATE), Bytes::from_static(GONE)).await? == Created::Ours {
                self.clear(place).await?;
            }
            return Err(FilesError::Lie { declared: file.media_type });
        }
        file.sha256 = match sha256 {
            Some(sha256) => sha256,
            None => self.hash(place, &file).await?,
        };
        let encoded = file.encode_to_vec();
        let file = match self.store().create(&place.object(FILE), encoded.into()).await? {
            Created::Ours => file,
            // Two who completed it at the same time differ in the time alone.
            Created::Other(other) => decoded(other)?,
        };
        // Whoever sweeps it takes the upload away first: what was made after that is nobody's.
        if self.store().record(&place.object(UPLOAD)).await?.is_none() {
            self.store().delete(&place.object(FILE)).await?;
            return Err(FilesError::NotFound);
        }
        Ok(file)
    }

    async fn first_bytes(&self, place: &Place, file: &wire::File) -> Result<Vec<u8>, FilesError> {
        let end = file.size.min(media::SNIFFED_BYTES as u64);
        self.bytes_of(place, file, 0..end)
            .try_fold(Vec::new(), async |mut all, bytes| {
                all.extend_from_slice(&bytes);
                Ok(all)
            })
            .await
    }

    async fn hash(&self, place: &Place, file: &wire::File) -> Result<Vec<u8>, FilesError> {
        let hash = self.bytes_of(place, file, 0..file.size).try_fold(Sha256::new(), async |mut hash, bytes| {
            hash.update(&bytes);
            Ok(hash)
        });
        Ok(hash.await?.finalize().to_vec())
    }

    /// A complete file of an app.
    pub async fn file(&self, app: &str, id: &FileId) -> Result<wire::File, FilesError> {
        self.at(&place(app, id)?).await
    }

    async fn at(&self, place: &Place) -> Result<wire::File, FilesError> {
        let record = self.store().record(&place.object(FILE)).await?;
        decoded(record.ok_or(FilesError::NotFound)?)
    }

    /// A message names the file: from now on it stays. Whoever sweeps it at the same moment has either lost, or it is
    /// not found here.
    pub async fn claim(&self, app: &str, id: &FileId) -> Result<wire::File, FilesError> {
        let place = place(app, id)?;
        // So that ids that never were leave nothing behind.
        self.at(&place).await?;
        let fate = self.store().create(&place.object(FATE), Bytes::from_static(USED)).await?;
        if fate != Created::Ours {
            return Err(FilesError::NotFound);
        }
        self.at(&place).await
    }

    /// Gives an upload up, or a file that no message has named.
    pub async fn delete(&self, owner: Owner<'_>, id: &FileId) -> Result<(), FilesError> {
        let (place, _, _) = self.upload(owner, id).await?;
        match self.store().create(&place.object(FATE), Bytes::from_static(GONE)).await? {
            Created::Ours => self.clear(&place).await,
            Created::Other(_) => Err(FilesError::Used),
        }
    }

    /// Takes away all but the fate, of a file whose fate is to go.
    pub(crate) async fn clear(&self, place: &Place) -> Result<(), FilesError> {
        self.store().delete(&place.object(UPLOAD)).await?;
        self.store().delete(&place.object(FILE)).await?;
        for object in self.store().list(&place.folder()).await? {
            if object.name != FATE {
                self.store().delete(&place.object(&object.name)).await?;
            }
        }
        Ok(())
    }

    /// A link to a file, good for as long as is configured.
    pub fn link(&self, app: &str, id: &FileId) -> Link {
        let life_ms = i64::try_from(self.config().link_life().as_millis()).unwrap_or(i64::MAX);
        self.0.key.sign(app, id, self.now_ms().saturating_add(life_ms))
    }

    /// The file behind a link.
    pub async fn linked(&self, app: &str, id: &FileId, link: &Link) -> Result<wire::File, FilesError> {
        self.0.key.check(app, id, link, self.now_ms())?;
        self.file(app, id).await
    }

    /// Bytes of a file, as they are read.
    pub fn read(
        &self,
        app: &str,
        id: &FileId,
        file: &wire::File,
        range: std::ops::Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, FilesError>>, FilesError> {
        Ok(self.bytes_of(&place(app, id)?, file, range))
    }

    fn bytes_of(
        &self,
        place: &Place,
        file: &wire::File,
        range: std::ops::Range<u64>,
    ) -> BoxStream<'static, Result<Bytes, FilesError>> {
        let (store, place) = (self.store().clone(), place.clone());
        let read = move |(part, range)| store.read(&place.part(part), range);
        stream::iter(pieces(&file.parts, file.size, range.start, range.end)).flat_map(read).boxed()
    }
}

fn place(app: &str, id: &FileId) -> Result<Place, FilesError> {
    Place::new(app, id).ok_or(FilesError::NotFound)
}

fn decoded(record: Bytes) -> Result<wire::File, FilesError> {
    wire::File::decode(record).map_err(|_| FilesError::Damaged("a file"))
}
