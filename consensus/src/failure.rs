//! What is wrong with the storage of this process, once something is.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

/// Keeps the first reason. A failed write is final: a retry after a failed fsync could report as durable what the kernel
/// has already thrown away, so nothing is written any more until the process opens the store anew.
pub(crate) struct Failure {
    writes_failed: AtomicBool,
    reason: watch::Sender<Option<String>>,
}

impl Failure {
    pub(crate) fn new() -> Self {
        Self { writes_failed: AtomicBool::new(false), reason: watch::Sender::new(None) }
    }

    /// A write failed: nothing is accepted from now on, by any group.
    pub(crate) fn write_failed(&self, reason: String) {
        self.writes_failed.store(true, Ordering::Release);
        self.report(reason);
    }

    /// Something stored is damaged: the group that it belongs to stops, the others go on.
    pub(crate) fn report(&self, reason: String) {
        tracing::error!(reason, "storage failed");
        crate::metrics::storage_failed();
        self.reason.send_if_modified(|current| {
            let first = current.is_none();
            if first {
                *current = Some(reason);
            }
            first
        });
    }

    pub(crate) fn have_writes_failed(&self) -> bool {
        self.writes_failed.load(Ordering::Acquire)
    }

    pub(crate) fn why(&self) -> Option<String> {
        self.reason.borrow().clone()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Option<String>> {
        self.reason.subscribe()
    }
}
