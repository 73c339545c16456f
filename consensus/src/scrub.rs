//! Reads everything that this node stores, slowly and again and again, so that damage is found while the peers still
//! have what was lost.
//!
//! RocksDB checks each block that it reads, and the engine's own records have their own checksums. A block that is in
//! the cache is not read from disk; it is checked by a later round. Nothing is held between two pages but the place.

use std::sync::Arc;
use std::time::Duration;

use rocksdb::{DB, IteratorMode, ReadOptions};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::encoding;
use crate::error::Error;
use crate::failure::{Failure, GroupFailure};
use crate::group_id::GroupId;
use crate::keys;
use crate::log_tail::next_index;
use crate::record::{self, RecordError};
use crate::salvage;

/// Read at once; also about what the pacing is exact to.
const PAGE_BYTES: usize = 512 * 1024;
/// The first round waits for the groups to start and for leaders to be elected.
const FIRST_ROUND_AFTER: Duration = Duration::from_secs(60);

/// What a round of the scrub has read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScrubReport {
    /// Replicas read whole.
    pub groups: u64,
    /// Bytes of keys and values read.
    pub bytes: u64,
    /// Replicas that this round found damaged.
    pub damaged: u64,
}

/// Reads the two databases. One round runs at a time.
pub(crate) struct Scrubber {
    log: Arc<DB>,
    state: Arc<DB>,
    failure: Arc<Failure>,
    bytes_per_second: u64,
    stop: CancellationToken,
    round: tokio::sync::Mutex<()>,
}

/// A part of a group's records: how many bytes, and the key to go on from.
struct Page<K> {
    bytes: usize,
    next: Option<K>,
}

impl Scrubber {
    pub(crate) fn new(
        log: Arc<DB>,
        state: Arc<DB>,
        failure: Arc<Failure>,
        bytes_per_second: u64,
        stop: CancellationToken,
    ) -> Self {
        Self { log, state, failure, bytes_per_second, stop, round: tokio::sync::Mutex::default() }
    }

    /// Rounds with a pause between them, until the engine ends.
    pub(crate) async fn run(self: Arc<Self>, pause: Duration) {
        // Nodes that start together do not read together.
        let mut wait = FIRST_ROUND_AFTER.min(pause).mul_f64(rand::random_range(1.0..2.0));
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            match self.clone().round().await {
                Ok(report) => tracing::info!(?report, "scrub round done"),
                Err(Error::ShuttingDown) => return,
                Err(error) => tracing::error!(%error, "scrub round not done"),
            }
            wait = pause;
        }
    }

    /// Reads everything once. Damage is reported group by group, and the round goes on with the next group.
    pub(crate) async fn round(self: Arc<Self>) -> Result<ScrubReport, Error> {
        let _one_at_a_time = self.round.lock().await;
        let listed = self.page(|scrubber| salvage::groups(&scrubber.log)).await;
        let groups = listed.inspect_err(|error| match error {
            Error::ShuttingDown => {}
            // Which group this concerns cannot be told, so it is the whole node's.
            error => self.failure.report(format!("listing the groups: {error}")),
        })?;
        let mut report = ScrubReport::default();
        for group in groups {
            if self.failure.damage(group).is_some() {
                continue;
            }
            match self.scrub(group, &mut report).await {
                Ok(()) => report.groups += 1,
                Err(error) if error.is_damage() => {
                    GroupFailure::new(group, self.failure.clone()).report(&error);
                    report.damaged += 1;
                }
                Err(error) => return Err(error),
            }
        }
        crate::metrics::scrub_round(report.damaged);
        Ok(report)
    }

    async fn scrub(self: &Arc<Self>, group: GroupId, report: &mut ScrubReport) -> Result<(), Error> {
        self.page(move |scrubber| scrubber.check_records(group)).await?;
        let mut next = Some(0);
        while let Some(from) = next {
            let page = self.page(move |scrubber| scrubber.log_page(group, from)).await?;
            self.pace(page.bytes, report).await?;
            next = page.next;
        }
        let mut next = Some(keys::state_range(group).0.to_vec());
        while let Some(from) = next {
            let page = self.page(move |scrubber| scrubber.state_page(group, &from)).await?;
            self.pace(page.bytes, report).await?;
            next = page.next;
        }
        Ok(())
    }

    async fn page<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Self) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let scrubber = self.clone();
        tokio::task::spawn_blocking(move || read(&scrubber)).await.map_err(|_| Error::ShuttingDown)?
    }

    /// Waits as long as these bytes may take.
    async fn pace(&self, bytes: usize, report: &mut ScrubReport) -> Result<(), Error> {
        report.bytes += bytes as u64;
        crate::metrics::scrubbed(bytes as u64);
        let due = Instant::now() + Duration::from_secs_f64(bytes as f64 / self.bytes_per_second.max(1) as f64);
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Error::ShuttingDown),
            () = tokio::time::sleep_until(due) => Ok(()),
        }
    }

    fn failure_of(&self, group: GroupId) -> GroupFailure {
        GroupFailure::new(group, self.failure.clone())
    }

    /// The small records of the group in the log database.
    fn check_records(&self, group: GroupId) -> Result<(), Error> {
        for (key, what) in [
            (keys::vote(group), "the vote"),
            (keys::committed(group), "the commit mark"),
            (keys::purged(group), "the purge mark"),
            (keys::installing(group), "the mark of an installation"),
        ] {
            let stored = self.failure_of(group).read(&self.log, what, self.log.get(key))?;
            if let Some(stored) = stored {
                record::open(&key, &stored).map_err(corrupt(group, what))?;
            }
        }
        Ok(())
    }

    /// Entries from an index on: each whole, and none missing.
    fn log_page(&self, group: GroupId, from: u64) -> Result<Page<u64>, Error> {
        let failure = self.failure_of(group);
        // Entries and purge mark as of one moment: the log is purged meanwhile.
        let view = self.log.snapshot();
        let key = keys::purged(group);
        let purged = failure.read(&self.log, "the purge mark", view.get(key))?;
        let purged = purged.map(|stored| encoding::open_log_id(&key, &stored)).transpose();
        let purged = purged.map_err(corrupt(group, "the purge mark"))?;
        let mut next = from.max(next_index(purged));
        let mut bytes = 0;
        let options = read_options(&keys::entry(group, next), &keys::entries_end(group));
        for item in view.iterator_opt(IteratorMode::Start, options) {
            let (key, stored) = failure.read(&self.log, "the log", item)?;
            if keys::entry_index(group, &key) != Some(next) {
                return Err(Error::Inconsistent { group, reason: format!("its log has a hole at entry {next}") });
            }
            encoding::open_entry(&key, next, &stored).map_err(corrupt(group, &format!("log entry {next}")))?;
            next += 1;
            bytes += key.len() + stored.len();
            if bytes >= PAGE_BYTES {
                return Ok(Page { bytes, next: Some(next) });
            }
        }
        Ok(Page { bytes, next: None })
    }

    /// The state from a key on. What a state machine stores has RocksDB's checksums alone.
    fn state_page(&self, group: GroupId, from: &[u8]) -> Result<Page<Vec<u8>>, Error> {
        let failure = self.failure_of(group);
        let (_, to) = keys::state_range(group);
        let (applied, membership) = (keys::applied(group), keys::membership(group));
        let mut bytes = 0;
        for item in self.state.iterator_opt(IteratorMode::Start, read_options(from, &to)) {
            let (key, value) = failure.read(&self.state, "the state", item)?;
            if *key == applied {
                encoding::open_applied(&key, &value).map_err(corrupt(group, "the applied state"))?;
            } else if *key == membership {
                encoding::open_membership(&key, &value).map_err(corrupt(group, "the members"))?;
            }
            bytes += key.len() + value.len();
            if bytes >= PAGE_BYTES {
                let behind = [key.as_ref(), &[0]].concat();
                return Ok(Page { bytes, next: Some(behind) });
            }
        }
        Ok(Page { bytes, next: None })
    }
}

fn corrupt(group: GroupId, what: &str) -> impl FnOnce(RecordError) -> Error {
    let what = what.to_owned();
    move |source| Error::Corrupt { group, what, source }
}

fn read_options(from: &[u8], to: &[u8]) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_iterate_lower_bound(from);
    options.set_iterate_upper_bound(to);
    options.set_verify_checksums(true);
    options.fill_cache(false);
    options
}
