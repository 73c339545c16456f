//! What is made of files, made again when they change.

use std::fmt::Debug;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::Error;

/// How often, at most, the files are looked at.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Files, and what is made of them all at once.
pub(super) trait Source: Debug {
    type Made;

    fn files(&self) -> Vec<&Path>;
    /// Reads and checks the files.
    fn make(&self) -> Result<Arc<Self::Made>, Error>;
}

/// What the files are worth now. Files that cannot be used (half of them written) are reported, and what was made of
/// the last good ones stays.
#[derive(Debug)]
pub(super) struct Reloading<S: Source> {
    source: S,
    interval: Duration,
    // A blocking mutex: held for a few `stat` calls per interval, never across an await.
    latest: Mutex<Latest<S::Made>>,
}

#[derive(Debug)]
struct Latest<T> {
    made: Arc<T>,
    stamps: Stamps,
    checked: Instant,
}

/// Time and length of each file; a file that is replaced has another time.
type Stamps = Vec<Option<(SystemTime, u64)>>;

impl<S: Source> Reloading<S> {
    /// Makes it for the first time; looks at the files again when it is asked after `interval`.
    pub(super) fn load(source: S, interval: Duration) -> Result<Self, Error> {
        let stamps = stamps(&source);
        let latest = Latest { made: source.make()?, stamps, checked: Instant::now() };
        Ok(Self { source, interval, latest: Mutex::new(latest) })
    }

    pub(super) fn current(&self) -> Arc<S::Made> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.checked.elapsed() >= self.interval {
            latest.checked = Instant::now();
            let found = stamps(&self.source);
            if found != latest.stamps {
                match self.source.make() {
                    Ok(made) => {
                        tracing::info!(files = ?self.source.files(), "took up the new certificates");
                        (latest.made, latest.stamps) = (made, found);
                    }
                    // Tried again after the next interval: whoever writes the files may not be done.
                    Err(error) => {
                        tracing::warn!(%error, "the certificates changed but cannot be used; the old ones stay");
                    }
                }
            }
        }
        latest.made.clone()
    }
}

fn stamps(source: &impl Source) -> Stamps {
    let stamp = |file: &Path| {
        let metadata = std::fs::metadata(file).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    source.files().into_iter().map(stamp).collect()
}
