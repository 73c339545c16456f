//! Brings what a shard owes to mailboxes of other shards there. It runs with the shard's leader, delivers each page as
//! often as it takes, and removes items once the target has committed them; the target takes each item once (promise
//! 2).

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tidings_consensus::Group;
use tidings_node::Shutdown;
use tidings_proto::mailbox::v1::{ChannelOutRecord, ChannelTrim, command::Command};

use super::backlog::Backlog;
use crate::core::channel::page_of_channel;
use crate::core::group::fan_out::fill_bodies;
use crate::core::{Core, CoreError, encode, keys, records};
use crate::error::Error;
use crate::machine::ShardMachine;
use crate::metrics::Metrics;
use crate::reign::while_leading;
use crate::relay::Relay;

/// Items in a page, and bytes of what groups say in it, exceeded by one item.
const PAGE: usize = 256;
const PAGE_BYTES: usize = 1 << 20;
/// Delivered items that are left in the channel before it is trimmed while there is more to deliver.
const TRIM_AFTER: u64 = 4096;
/// How long items gather before they are brought to their target: receipts are in no hurry, and travel together.
const GATHER: Duration = Duration::from_millis(5);
/// Delivered items are removed after so long at the latest, and a target that failed is tried again.
const PAUSE: Duration = Duration::from_millis(500);

/// The courier of one shard.
pub struct Courier {
    pub core: Core,
    pub group: Group<ShardMachine>,
    pub backlog: Arc<Backlog>,
    pub relay: Relay,
    pub metrics: Metrics,
}

/// How far the channel to a target is, as this leader knows.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    delivered: u64,
    trimmed: u64,
}

struct Trip {
    target: u32,
    progress: Progress,
    outcome: Result<(), Error>,
}

impl Courier {
    /// Runs until the shard closes.
    pub async fn run(self, shutdown: Shutdown) {
        let this = Arc::new(self);
        while_leading(&this.group, &shutdown, || this.deliver()).await;
    }

    /// Delivers whatever there is, for as long as this replica leads.
    async fn deliver(self: &Arc<Self>) {
        let mut progress: BTreeMap<u32, Progress> = BTreeMap::new();
        let mut waiting = self.all_targets().await;
        let mut on_the_way = BTreeSet::new();
        let mut trips: FuturesUnordered<Pin<Box<dyn Future<Output = Trip> + Send>>> = FuturesUnordered::new();
        let mut pause = tokio::time::interval(PAUSE);
        pause.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut failed: BTreeSet<u32> = BTreeSet::new();
        loop {
            for target in std::mem::take(&mut waiting) {
                if failed.contains(&target) || !on_the_way.insert(target) {
                    // Looked at again when the trip ends, or after the pause.
                    failed.insert(target);
                    continue;
                }
                let (this, from) = (self.clone(), progress.get(&target).copied().unwrap_or_default());
                trips.push(Box::pin(async move { this.trip(target, from).await }));
            }
            tokio::select! {
                marked = self.backlog.take() => waiting.extend(marked),
                Some(trip) = trips.next(), if !trips.is_empty() => {
                    on_the_way.remove(&trip.target);
                    progress.insert(trip.target, trip.progress);
                    match trip.outcome {
                        // What came meanwhile.
                        Ok(()) => if failed.remove(&trip.target) {
                            waiting.insert(trip.target);
                        },
                        Err(error) => {
                            tracing::warn!(shard = self.core.shard, target_shard = trip.target, %error, "not delivered");
                            self.metrics.relay_failures.increment(1);
                            failed.insert(trip.target);
                        }
                    }
                }
                _ = pause.tick() => {
                    waiting.extend(std::mem::take(&mut failed));
                    for (target, progress) in &mut progress {
                        if !on_the_way.contains(target) && progress.delivered > progress.trimmed {
                            progress.trimmed = progress.delivered;
                            self.trim(*target, progress.delivered);
                        }
                    }
                    self.report_backlog().await;
                }
            }
        }
    }

    /// Delivers pages until there is nothing left for the target.
    async fn trip(&self, target: u32, from: Progress) -> Trip {
        tokio::time::sleep(GATHER).await;
        let mut progress = from;
        let outcome = self.deliver_pages(target, &mut progress).await;
        Trip { target, progress, outcome }
    }

    async fn deliver_pages(&self, target: u32, progress: &mut Progress) -> Result<(), Error> {
        if progress.delivered == 0 {
            let trimmed = self.end_of(target).await?.trimmed_to;
            *progress = Progress { delivered: trimmed, trimmed };
        }
        loop {
            let (view, after, source) = (self.group.view(), progress.delivered, self.core.shard);
            let page = tokio::task::spawn_blocking(move || {
                let (from, to) = (keys::channel_item(target, after + 1), keys::channel_item(target, u64::MAX));
                let mut page = page_of_channel(source, after, view.scan(&from, &to, PAGE)?)?;
                if let Some(page) = &mut page {
                    fill_bodies(page, PAGE_BYTES, |group, seq| {
                        Ok::<_, Error>(view.get(&keys::group_body(group, seq))?)
                    })?;
                }
                Ok::<_, Error>(page)
            });
            let Some(page) = page.await.unwrap_or(Err(Error::Interrupted))? else { return Ok(()) };
            let last = page.last_seq;
            let up_to = self.relay.deliver(target, page).await?;
            if up_to < progress.delivered {
                // The target has less than it had committed once: nothing here can mend that.
                return Err(CoreError::Contradiction("another shard has lost what it had taken").into());
            }
            self.metrics.relayed.increment(up_to - progress.delivered);
            self.backlog.delivered(target, up_to);
            // An earlier leader may have delivered more than this page.
            progress.delivered = up_to.min(last.max(progress.delivered));
            if progress.delivered - progress.trimmed >= TRIM_AFTER {
                progress.trimmed = progress.delivered;
                self.trim(target, progress.delivered);
            }
        }
    }

    /// Removes what was delivered. Not waited for: what fails is done again later, and by every leader.
    fn trim(&self, target_shard: u32, up_to: u64) {
        drop(self.group.propose(encode(Command::ChannelTrim(ChannelTrim { target_shard, up_to }))));
    }

    async fn end_of(&self, target: u32) -> Result<ChannelOutRecord, Error> {
        let view = self.group.view();
        let read = tokio::task::spawn_blocking(move || {
            let stored = view.get(&keys::channel_out(target))?;
            Ok::<_, Error>(stored.map(|stored| records::open("channel", stored)).transpose()?.unwrap_or_default())
        });
        read.await.unwrap_or(Err(Error::Interrupted))
    }

    async fn ends(&self) -> Result<Vec<(u32, ChannelOutRecord)>, Error> {
        let (view, shards) = (self.group.view(), self.core.shards as usize);
        let read = tokio::task::spawn_blocking(move || {
            let (from, to) = keys::channels_out();
            let mut ends = Vec::new();
            for (key, stored) in view.scan(&from, &to, shards)? {
                let target = keys::channel_target(&key).ok_or(CoreError::Contradiction("a channel has no target"))?;
                ends.push((target, records::open("channel", stored)?));
            }
            Ok::<_, Error>(ends)
        });
        read.await.unwrap_or(Err(Error::Interrupted))
    }

    async fn all_targets(&self) -> BTreeSet<u32> {
        match self.ends().await {
            Ok(ends) => {
                ends.into_iter().filter(|(_, end)| end.last_seq > end.trimmed_to).map(|(target, _)| target).collect()
            }
            Err(error) => {
                tracing::error!(shard = self.core.shard, %error, "the channels could not be read");
                (0..self.core.shards).filter(|target| *target != self.core.shard).collect()
            }
        }
    }

    async fn report_backlog(&self) {
        if let Ok(ends) = self.ends().await {
            let items = ends.iter().map(|(_, end)| end.last_seq - end.trimmed_to.min(end.last_seq)).sum();
            self.metrics.channel_backlog(self.core.shard, items);
        }
    }
}
