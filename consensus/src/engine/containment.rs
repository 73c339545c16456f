//! Damage of single replicas: found by the scrub or in passing, stopped, marked, and erased.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use rocksdb::DB;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Engine, Inner, blocking};
use crate::erasure::Eraser;
use crate::error::Error;
use crate::failure::Failure;
use crate::group_id::GroupId;
use crate::keys;
use crate::log_writer::{self, Job};
use crate::record;
use crate::salvage;
use crate::scrub::ScrubReport;
use crate::state_db::GroupState;

/// How often the databases whose compactions are held are looked at.
const WATCHED_EVERY: Duration = Duration::from_secs(10);

impl Engine {
    /// The groups whose replicas on this node are damaged, and why. They do not run, until they are
    /// [erased](Self::erase_group) and started anew; the others go on. It is known across restarts.
    pub fn damaged(&self) -> watch::Receiver<BTreeMap<GroupId, String>> {
        self.0.failure.watch_damaged()
    }

    /// Removes all that this node stores of a group, stopping its replica first if it runs; also of a damaged one,
    /// which can be started again then. The group must have removed this node from its members before: a member that
    /// forgets what it voted for can elect two leaders.
    pub async fn erase_group(&self, group: GroupId) -> Result<(), Error> {
        match self.stop_group(group).await {
            Ok(()) | Err(Error::NoSuchGroup(_)) => {}
            Err(error) => return Err(error),
        }
        let _marking = self.0.marking.lock().await;
        // The state first: a state without its log would be taken for a replica that has not voted yet.
        let engine = self.clone();
        let erase_state = move || {
            let state = GroupState::new(group, engine.0.state_db.database.clone(), engine.0.failure.clone());
            state.erase()?;
            engine.0.state_db.flush()?;
            state.drop_erased_files()
        };
        blocking(erase_state).await?;
        let erased = log_writer::write(&self.log_queue()?, |done| Job::Erase { group, done }).await;
        erased.map_err(|error| Error::Storage(error.to_string()))?;
        self.0.failure.erased(group);
        Ok(())
    }

    /// Reads all that this node stores of every group once, at the rate of [`Tuning`](crate::Tuning), and says what was
    /// read; damage is reported as ever ([`damaged`](Self::damaged)). Waits for a round that runs already.
    pub async fn scrub_now(&self) -> Result<ScrubReport, Error> {
        self.0.scrubber.clone().round().await
    }

    /// Scrubs, erases and sweeps again and again, from the first group that is started on.
    pub(super) fn scrub_from_now_on(&self) {
        if !self.0.is_scrubbing.swap(true, Ordering::AcqRel) {
            let pause = self.0.options.tuning.scrub_pause;
            self.0.tasks.spawn(self.0.scrubber.clone().run(pause));
            let eraser = Eraser {
                log: self.0.log_database.clone(),
                state: self.0.state_db.clone(),
                scrubber: self.0.scrubber.clone(),
                failure: self.0.failure.clone(),
                stop: self.0.stop.clone(),
            };
            self.0.tasks.spawn(eraser.run(self.0.options.tuning.erase_within));
            let databases = [self.0.log_database.clone(), self.0.state_db.database.clone()];
            self.0.tasks.spawn(watch_held(databases, self.0.failure.clone(), self.0.stop.clone()));
            self.0.tasks.spawn(self.0.incoming.clone().sweep(self.0.stop.clone()));
        }
    }

    /// Stops the replica once it is damaged.
    pub(super) fn contain(&self, group: GroupId, stopped: CancellationToken) {
        self.0.tasks.spawn(contain(Arc::downgrade(&self.0), self.damaged(), group, stopped));
    }

    /// Makes it known to the next start that the group is damaged, if it is.
    pub(super) async fn mark_damaged(&self, group: GroupId) {
        let _marking = self.0.marking.lock().await;
        let (Some(reason), Ok(log_queue)) = (self.0.failure.damage(group), self.log_queue()) else { return };
        let key = keys::damaged(group);
        let record = record::seal(&key, reason.as_bytes());
        let marked = log_writer::write(&log_queue, |done| Job::Put { key: key.to_vec(), record, done }).await;
        if let Err(error) = marked {
            tracing::error!(%group, %error, "the damage of a replica could not be stored");
        }
    }
}

/// Stops a replica once it is damaged, unless it was stopped before.
async fn contain(
    engine: Weak<Inner>,
    mut damaged: watch::Receiver<BTreeMap<GroupId, String>>,
    group: GroupId,
    stopped: CancellationToken,
) {
    tokio::select! {
        () = stopped.cancelled() => return,
        found = damaged.wait_for(|groups| groups.contains_key(&group)) => if found.is_err() { return },
    }
    drop(damaged);
    let Some(engine) = engine.upgrade().map(Engine) else { return };
    if let Err(error) = engine.stop_group(group).await {
        tracing::debug!(%group, %error, "the damaged replica was stopped already");
    }
    engine.mark_damaged(group).await;
}

/// Fails the process once a database has been without compactions for too long.
async fn watch_held(databases: [Arc<DB>; 2], failure: Arc<Failure>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(WATCHED_EVERY) => {}
        }
        let held = databases.iter().find_map(|database| salvage::held_too_long(database, salvage::MAX_HELD_TABLES));
        if let Some(reason) = held {
            return failure.write_failed(reason);
        }
    }
}
