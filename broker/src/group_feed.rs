//! What the control plane says of groups, brought into the shards that are their homes. A node follows the control
//! plane's watch, and tells its shards which groups have changed; the leader of each asks for what it does not have,
//! and proposes it as `UpdateGroup`. A new leader compares all its groups with the registry once, so that nothing
//! depends on a notification. While the control plane is away, groups go on with the members that their homes know.
//!
//! - [`news`]: which groups have changed, for one shard
//! - [`registry`]: what is asked of the control plane
//! - [`registrar`]: the one who brings a shard up to date
//! - [`translation`]: the registry's events as changes of a group in its home

pub mod news;
pub mod registrar;
pub mod registry;
pub mod translation;

use std::time::Duration;

use tidings_node::Shutdown;
use tidings_proto::cluster::v1::{Change, WatchRequest, WatchResponse, change};
use tidings_proto::shard::shard_of;

use crate::core::GroupName;
use crate::shards::Shards;
use registry::GroupRegistry;

/// Between attempts to watch.
const RETRY: Duration = Duration::from_millis(500);

/// Follows the control plane for all shards of a node.
pub struct GroupFeed {
    pub registry: GroupRegistry,
    pub shards: Shards,
}

impl GroupFeed {
    /// Runs until the shutdown.
    pub async fn run(self, shutdown: Shutdown) {
        let mut revision = 0;
        loop {
            tokio::select! {
                () = shutdown.requested() => return,
                ended = self.watch(&mut revision) => {
                    if let Err(error) = ended {
                        tracing::warn!(%error, revision, "the watch of the control plane ended");
                    }
                }
            }
            tokio::select! {
                () = shutdown.requested() => return,
                () = tokio::time::sleep(RETRY) => {}
            }
        }
    }

    async fn watch(&self, revision: &mut u64) -> Result<(), tonic::Status> {
        let mut answers = self.registry.watch(WatchRequest { after_revision: *revision }).await?;
        while let Some(answer) = answers.message().await? {
            self.take(&answer);
            *revision = answer.revision;
        }
        Ok(())
    }

    fn take(&self, answer: &WatchResponse) {
        let shards = self.shards.all();
        let everything = answer.reset || answer.changes.iter().any(is_about_all_groups);
        if everything {
            shards.iter().for_each(|shard| shard.news.mark_all());
            return;
        }
        for change in &answer.changes {
            let Some(change::Change::GroupChanged(changed)) = &change.change else { continue };
            let Some(name) = GroupName::new(&changed.app, &changed.group) else { continue };
            let home = |shard: &&crate::shard::ShardHandle| {
                shard_of(&changed.app, &changed.group, shard.core.shards) == shard.core.shard
            };
            if let Some(shard) = shards.iter().find(home) {
                shard.news.mark(name, changed.revision);
            }
        }
    }
}

fn is_about_all_groups(change: &Change) -> bool {
    matches!(change.change, Some(change::Change::AppDeleted(_)))
}
