//! Watch streams. A watcher keeps nothing but its place: it is woken when the newest revision moves, and reads the
//! change log from its place on. A slow one costs its own connection's window, and falls back to `reset` when the log
//! has moved past it (promise 6).

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::unfold;
use tidings_node::Shutdown;
use tidings_proto::ErrorCode;
use tidings_proto::cluster::v1::{Change, WatchResponse, change};
use tokio::sync::watch;
use tonic::Status;

use crate::metrics;
use crate::registry::{changes, cluster};
use crate::replica::Replica;

/// Watchers at once; more are refused.
const MAX_WATCHERS: usize = 1024;
/// Changes in one answer, about.
const PAGE: usize = 500;
/// How often a watcher hears that all is well when nothing changes.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// What a watcher is sent.
pub type WatchStream = Pin<Box<dyn Stream<Item = Result<WatchResponse, Status>> + Send>>;

/// Admits watchers.
#[derive(Clone)]
pub struct Watchers {
    replica: Replica,
    shutdown: Shutdown,
    count: Arc<AtomicUsize>,
}

impl Watchers {
    /// None yet.
    pub fn new(replica: Replica, shutdown: Shutdown) -> Self {
        Self { replica, shutdown, count: Arc::default() }
    }

    /// Follows the changes after a revision; 0 begins with `reset`.
    pub fn watch(&self, after: u64) -> Result<WatchStream, Status> {
        let place = Admitted::new(self.count.clone())?;
        let watcher = Watcher {
            revisions: self.replica.revisions(),
            replica: self.replica.clone(),
            shutdown: self.shutdown.clone(),
            after,
            begun: false,
            more: false,
            _place: place,
        };
        // The state is `None` after an error: the stream has ended.
        Ok(Box::pin(unfold(Some(watcher), |watcher| async move {
            let mut watcher = watcher?;
            match watcher.next().await {
                Ok(answer) => Some((Ok(answer), Some(watcher))),
                Err(status) => Some((Err(status), None)),
            }
        })))
    }
}

struct Watcher {
    replica: Replica,
    revisions: watch::Receiver<u64>,
    shutdown: Shutdown,
    /// Everything up to here was sent.
    after: u64,
    begun: bool,
    /// The last page was full.
    more: bool,
    _place: Admitted,
}

impl Watcher {
    async fn next(&mut self) -> Result<WatchResponse, Status> {
        if !self.begun {
            self.begun = true;
            self.revisions.borrow_and_update();
            let from_now_on = self.after == 0;
            let mut first = if from_now_on { self.reset()? } else { self.page()? };
            first.shard_map = Some(cluster::shard_map(&self.replica.view())?);
            return Ok(first);
        }
        if self.more {
            return self.page();
        }
        tokio::select! {
            // A shutdown first: a watcher that is sent changes without end must hear of it too.
            biased;
            () = self.shutdown.requested() => Err(ErrorCode::Draining.status("this node is shutting down")),
            changed = self.revisions.changed() => match changed {
                Ok(()) => self.page(),
                Err(_) => Err(ErrorCode::Unavailable.status("the registry has stopped")),
            },
            () = tokio::time::sleep(PROGRESS_INTERVAL) => self.page(),
        }
    }

    fn page(&mut self) -> Result<WatchResponse, Status> {
        match changes::after(&self.replica.recent()?, self.after, PAGE)? {
            changes::Page::Reset { .. } => {
                metrics::watch_reset();
                self.reset()
            }
            changes::Page::Changes { revision, changes } => {
                self.more = changes.len() >= PAGE;
                self.after = revision;
                let moved = changes.iter().any(is_of_the_shard_map);
                let shard_map = if moved { Some(cluster::shard_map(&self.replica.view())?) } else { None };
                Ok(WatchResponse { revision, reset: false, changes, shard_map })
            }
        }
    }

    fn reset(&mut self) -> Result<WatchResponse, Status> {
        let view = self.replica.recent()?;
        // The revision before the map: a change in between comes again.
        self.after = changes::state(&view)?.revision;
        self.more = false;
        let shard_map = Some(cluster::shard_map(&view)?);
        Ok(WatchResponse { revision: self.after, reset: true, changes: Vec::new(), shard_map })
    }
}

fn is_of_the_shard_map(change: &Change) -> bool {
    matches!(change.change, Some(change::Change::ShardMapChanged(_)))
}

/// A place among the watchers, given back when it is dropped.
struct Admitted(Arc<AtomicUsize>);

impl Admitted {
    fn new(count: Arc<AtomicUsize>) -> Result<Self, Status> {
        let before = count.fetch_add(1, Ordering::Relaxed);
        let place = Self(count);
        metrics::watchers(before + 1);
        if before >= MAX_WATCHERS {
            return Err(ErrorCode::Overloaded.status(format!("there are {MAX_WATCHERS} watchers already")));
        }
        Ok(place)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        metrics::watchers(self.0.fetch_sub(1, Ordering::Relaxed) - 1);
    }
}
