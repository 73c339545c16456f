//! Erasing what was deleted. RocksDB only notes that a key is gone or has another value; what stood there stays in its
//! files until they are written anew, which for a quiet database is never. Here that happens by the clock: logs lose
//! their old entries ([`crate::compaction`]), and both databases are flushed and compacted, a replica at a time.
//!
//! A compaction that meets damage stops all writes of the process, while the scrub stops one replica. So each round
//! begins with a scrub, and nothing is compacted while a replica is damaged.

use std::sync::Arc;
use std::time::Duration;

use rocksdb::{BottommostLevelCompaction, CompactOptions, DB};
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::failure::Failure;
use crate::keys;
use crate::salvage;
use crate::scrub::Scrubber;
use crate::state_db::StateDb;

/// Rounds within the promised time: an entry becomes old in one, leaves the log in the next, and the files in the
/// third.
pub(crate) const STEPS: u32 = 3;

/// Compacts the two databases, in rounds.
pub(crate) struct Eraser {
    pub(crate) log: Arc<DB>,
    pub(crate) state: Arc<StateDb>,
    pub(crate) scrubber: Arc<Scrubber>,
    pub(crate) failure: Arc<Failure>,
    pub(crate) stop: CancellationToken,
}

impl Eraser {
    /// Rounds until the engine ends, so often that what was deleted is in no file any more after `within`.
    pub(crate) async fn run(self, within: Duration) {
        let mut erased = None;
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(within / STEPS) => {}
            }
            // What nobody has written to has nothing to erase.
            let written = [self.log.latest_sequence_number(), self.state.database.latest_sequence_number()];
            if erased == Some(written) {
                continue;
            }
            match self.round().await {
                Ok(true) => erased = Some(written),
                Ok(false) => tracing::warn!("nothing is erased while a replica is damaged"),
                Err(Error::ShuttingDown) => return,
                Err(error) => tracing::error!(%error, "what was deleted is not erased yet"),
            }
        }
    }

    /// Writes both databases anew; `false` when it did not, because of damage.
    async fn round(&self) -> Result<bool, Error> {
        self.scrubber.clone().round().await?;
        let (log, state) = (self.log.clone(), self.state.clone());
        let groups = blocking(move || {
            // The write-ahead log of the one, and what is in the memory of the other.
            log.flush()?;
            state.flush()?;
            salvage::groups(&log)
        })
        .await?;
        // Also what lies between the groups: that of former replicas.
        let mut bounds = vec![None];
        bounds.extend(groups.into_iter().map(|group| Some(keys::state_range(group).0.to_vec())));
        bounds.push(None);
        let of_state = bounds.windows(2).map(|ends| (self.state.database.clone(), ends[0].clone(), ends[1].clone()));
        for (database, from, to) in of_state.chain([(self.log.clone(), None, None)]) {
            if self.stop.is_cancelled() {
                return Err(Error::ShuttingDown);
            }
            if self.failure.have_writes_failed() || !self.failure.watch_damaged().borrow().is_empty() {
                return Ok(false);
            }
            blocking(move || {
                compact(&database, from, to);
                Ok(())
            })
            .await?;
        }
        crate::metrics::erased();
        Ok(true)
    }
}

/// Blocks; a failure is told by the database's next write.
fn compact(database: &DB, from: Option<Vec<u8>>, to: Option<Vec<u8>>) {
    let mut options = CompactOptions::default();
    options.set_exclusive_manual_compaction(false);
    // The oldest values stand at the bottom, which RocksDB would leave as it is.
    options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
    database.compact_range_opt(from, to, &options);
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::ShuttingDown)?
}
