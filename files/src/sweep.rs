//! What nobody sent goes: uploads that were not completed in time, and files that no message has named.
//!
//! Every gateway sweeps; what it does is the same whoever does it, and twice is as good as once. First the file's fate
//! is decided, which a message that names it at the same moment may win; then everything but the fate goes. A day later
//! the fate goes too, when nothing can be on its way any more that would have to see it.

use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path;
use tidings_node::Shutdown;

use crate::error::FilesError;
use crate::files::{Files, GONE};
use crate::layout::{self, FATE, Place};
use crate::store::Created;

/// How often a gateway looks, about.
const INTERVAL: Duration = Duration::from_secs(600);
/// Clocks of gateways differ by less, and the last request for an upload took less.
const MARGIN_MS: i64 = 3_600_000;
/// How long a fate is kept.
const FATE_MS: i64 = 24 * 3_600_000;
/// Entries that one round looks at, at most.
const MOST: usize = 10_000;

impl Files {
    /// Sweeps again and again, until shutdown is requested.
    pub async fn keep_swept(self, shutdown: Shutdown) {
        loop {
            // Not all gateways at the same moment.
            let pause = INTERVAL.mul_f64(0.5 + rand::random::<f64>());
            tokio::select! {
                () = shutdown.requested() => return,
                () = tokio::time::sleep(pause) => {}
            }
            match self.sweep().await {
                Ok(0) => {}
                Ok(swept) => tracing::info!(swept, "took away uploads that no message has named"),
                Err(error) => tracing::warn!(%error, "the files could not be swept"),
            }
        }
    }

    /// Takes away what is due; answers how many files and uploads went.
    pub async fn sweep(&self) -> Result<usize, FilesError> {
        let life_ms = i64::try_from(self.config().upload_life().as_millis()).unwrap_or(i64::MAX);
        let due_before = self.now_ms().saturating_sub(life_ms).saturating_sub(MARGIN_MS);
        let mut hours = self.store().folders(&layout::pending()).await?;
        // Created until the end of their hour.
        hours.retain(|folder| layout::hour_of_folder(folder).is_some_and(|hour| hour < layout::hour(due_before)));
        hours.sort_unstable();
        let (mut swept, mut looked) = (0, 0);
        for folder in hours {
            let entries = self.store().paths(&folder, MOST - looked).await?;
            looked += entries.len();
            for entry in entries {
                let Some(place) = layout::place_of_pending(&entry) else { continue };
                swept += usize::from(self.settle(&entry, &place).await?);
            }
            if looked >= MOST {
                break;
            }
        }
        Ok(swept)
    }

    /// Decides about one entry; answers whether something went.
    async fn settle(&self, entry: &Path, place: &Place) -> Result<bool, FilesError> {
        if let Created::Other(_) = self.store().create(&place.object(FATE), Bytes::from_static(GONE)).await? {
            self.store().delete(entry).await?;
            return Ok(false);
        }
        let objects = self.store().list(&place.folder()).await?;
        let decided_ms = objects.iter().find(|object| object.name == FATE).map(|object| object.modified_ms);
        let goes = objects.iter().any(|object| object.name != FATE);
        self.clear(place).await?;
        if decided_ms.is_some_and(|at| at.saturating_add(FATE_MS) < self.now_ms()) {
            self.store().delete(&place.object(FATE)).await?;
            self.store().delete(entry).await?;
        }
        Ok(goes)
    }
}
