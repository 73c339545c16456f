//! Bytes on their way in. They gather to a part, which is stored before the next one begins; what was stored stays,
//! whatever becomes of the connection.

use bytes::{Bytes, BytesMut};
use sha2::{Digest as _, Sha256};
use tidings_proto::files::v1 as wire;
use tokio::sync::OwnedSemaphorePermit;

use crate::error::FilesError;
use crate::files::{Files, Progress};
use crate::layout::Place;
use crate::media;
use crate::parts::{MAX_PARTS, PART_BYTES, Stored};
use crate::store::Created;

/// One request's bytes for an upload. Dropping it forgets those that were not stored yet.
pub struct Upload {
    files: Files,
    place: Place,
    record: wire::Upload,
    stored: Stored,
    buffer: BytesMut,
    /// Of all bytes, where this request brings them from the beginning.
    hash: Option<Sha256>,
    /// One of those that may be on their way at a moment.
    _permit: OwnedSemaphorePermit,
}

impl Upload {
    pub(crate) fn new(
        files: Files,
        place: Place,
        record: wire::Upload,
        stored: Stored,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let hash = (stored.offset == 0).then(Sha256::new);
        Self { files, place, record, stored, buffer: BytesMut::new(), hash, _permit: permit }
    }

    /// How many bytes are stored or held.
    pub fn offset(&self) -> u64 {
        self.stored.offset + self.buffer.len() as u64
    }

    /// Takes bytes. Answers whether some were stored meanwhile, so that the caller can look whether who sends them
    /// still may.
    pub async fn push(&mut self, mut bytes: Bytes) -> Result<bool, FilesError> {
        let size = self.offset() + bytes.len() as u64;
        if size > self.record.size {
            return Err(FilesError::TooLarge { size, most: self.record.size });
        }
        let mut has_stored = false;
        while !bytes.is_empty() {
            let room = PART_BYTES - self.buffer.len();
            let taken = bytes.split_to(room.min(bytes.len()));
            self.buffer.extend_from_slice(&taken);
            if self.buffer.len() == PART_BYTES {
                self.store().await?;
                has_stored = true;
            }
        }
        Ok(has_stored)
    }

    /// Stores what is held; answers how far the upload is then, and with its last byte, makes the file.
    pub async fn finish(mut self) -> Result<Progress, FilesError> {
        self.store().await?;
        let Self { files, place, record, stored, hash, .. } = self;
        if stored.offset == record.size {
            let sha256 = hash.map(|hash| hash.finalize().to_vec());
            files.complete_from(&place, &record, &stored, sha256).await?;
        }
        Ok(Progress { offset: stored.offset, size: record.size, expires_at_ms: record.expires_at_ms })
    }

    async fn store(&mut self) -> Result<(), FilesError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        if self.files.now_ms() >= self.record.expires_at_ms {
            return Err(FilesError::Expired);
        }
        if self.stored.parts.len() >= MAX_PARTS {
            return Err(FilesError::TooManyParts);
        }
        let bytes = std::mem::take(&mut self.buffer).freeze();
        let offset = self.stored.offset;
        if offset == 0 && bytes.len() >= media::SNIFFED_BYTES && !media::agrees(&self.record.media_type, &bytes) {
            return Err(FilesError::Lie { declared: self.record.media_type.clone() });
        }
        match self.files.store().create(&self.place.part(offset), bytes.clone()).await? {
            Created::Ours => {}
            Created::Other(other) => return Err(FilesError::Offset { offset: offset + other.len() as u64 }),
        }
        if let Some(hash) = &mut self.hash {
            hash.update(&bytes);
        }
        self.stored.parts.push(offset);
        self.stored.offset += bytes.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tidings_node::Clock;
    use tidings_node::secret::Secret;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::config::FilesConfig;
    use crate::id::FileId;

    #[tokio::test]
    async fn an_upload_has_so_many_parts_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let secret = Secret::new("the-cluster-secret").unwrap();
        let clock = Clock::manual(0);
        let files = Files::open(FilesConfig::default(), Some(folder.path()), &secret, clock).unwrap().unwrap();
        let finished = async |parts: u64| {
            let place = Place::new("app", &FileId::random()).unwrap();
            let record = wire::Upload { size: 1 << 20, expires_at_ms: 1, ..wire::Upload::default() };
            let stored = Stored { parts: (0..parts).collect(), offset: parts, ..Stored::default() };
            let permit = Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap();
            let mut upload = Upload::new(files.clone(), place, record, stored, permit);
            upload.push(Bytes::from_static(b"x")).await.unwrap();
            upload.finish().await
        };
        let most = MAX_PARTS as u64;
        assert_eq!(finished(most - 1).await.unwrap().offset, most);
        assert!(matches!(finished(most).await, Err(FilesError::TooManyParts)));
    }
}
