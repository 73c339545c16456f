//! Sees to it that nothing stays stored of users who were deleted. The registry says who they are
//! (`registry::erasures`); the leader asks the shard of each to erase, as often as it takes, and takes out of the
//! registry whom it found to be gone. What it has found so far is memory: a new leader asks again, which changes
//! nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use tidings_proto::broker::v1::EraseRequest;
use tidings_proto::mailbox::v1::EraseMailbox;
use tidings_proto::registry::v1::{EndErasures, UserPointer, command::Command};
use tonic::Status;

use crate::brokers::{self, Said};
use crate::metrics;
use crate::registry::{apps, cluster, erasures};
use crate::replica::Replica;
use crate::services::sending::SYSTEM;

/// How often it looks for whom to erase.
const INTERVAL: Duration = Duration::from_millis(250);
/// How long what is on its way to a user who was deleted may take: gateways hear of the end within a second, and close
/// the user's sessions. Who is found to be gone is looked at once more after so long.
const SETTLES: Duration = Duration::from_secs(2);
/// Shards that are asked at the same time, one question each.
const SHARDS: usize = 16;
/// Questions about one user, before others have their turn.
const QUESTIONS: usize = 64;

/// The eraser of one node; it works while the node leads.
pub struct Eraser {
    replica: Replica,
    /// Where in the outbox the next round begins: whom a shard without a leader keeps waiting, keeps nobody else.
    after: Vec<u8>,
}

impl Eraser {
    pub fn new(replica: Replica) -> Self {
        Self { replica, after: Vec::new() }
    }

    /// Works until it is dropped.
    pub async fn work(mut self) {
        loop {
            if let Err(status) = self.round().await {
                tracing::warn!(%status, "deleted users could not be erased; trying again");
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    async fn round(&mut self) -> Result<(), Status> {
        let view = self.replica.view();
        let waiting = erasures::page(&view, &self.after, erasures::MAX_ENDED)?;
        // Until every broker knows how, they wait.
        if waiting.is_empty() && self.after.is_empty() || cluster::brokers_level(&view)? < cluster::BROKERS_THAT_ERASE {
            return Ok(());
        }
        let is_full = waiting.len() == erasures::MAX_ENDED;
        self.after = waiting.last().filter(|_| is_full).map(|(key, _)| key.to_vec()).unwrap_or_default();
        let looked_at = self.erase(waiting.into_iter().map(|(_, user)| user)).await?;
        let gone: Vec<_> = looked_at.into_iter().map(|looked| looked.user).collect();
        if gone.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(SETTLES).await;
        let looked_at = self.erase(gone.into_iter()).await?.into_iter();
        let users: Vec<_> = looked_at.filter(|looked| looked.erased == 0).map(|looked| looked.user).collect();
        if !users.is_empty() {
            let count = users.len();
            self.replica.propose(Command::EndErasures(EndErasures { users })).await?;
            metrics::erased(count);
        }
        Ok(())
    }

    /// Erases as much as one round may; answers of whom nothing is left.
    async fn erase(&self, users: impl Iterator<Item = UserPointer>) -> Result<Vec<Looked>, Status> {
        let view = self.replica.view();
        let mut by_shard: BTreeMap<u32, Vec<UserPointer>> = BTreeMap::new();
        for user in users {
            let shard = cluster::shard_of(&view, &user.app, name(&user))?;
            by_shard.entry(shard).or_default().push(user);
        }
        let asking = stream::iter(by_shard).map(|(shard, users)| self.erase_in(shard, users));
        Ok(asking.buffer_unordered(SHARDS).collect::<Vec<_>>().await.concat())
    }

    async fn erase_in(&self, shard: u32, users: Vec<UserPointer>) -> Vec<Looked> {
        let mut gone = Vec::new();
        for user in users {
            match self.erase_one(shard, &user).await {
                Ok(Some(erased)) => gone.push(Looked { user, erased }),
                Ok(None) => {}
                Err(status) => {
                    tracing::warn!(shard, %status, "the shard does not erase; trying again");
                    break;
                }
            }
        }
        gone
    }

    /// How much of a user was found and is gone with all the rest; `None` where there may be more.
    async fn erase_one(&self, shard: u32, user: &UserPointer) -> Result<Option<u32>, Status> {
        let erase = EraseMailbox {
            app: user.app.clone(),
            user: name(user).to_owned(),
            of_system: erasures::is_system(user),
            // With an app all go whom one could tell.
            tells_senders: apps::exists(&self.replica.view(), &user.app)?,
        };
        let request = EraseRequest { shard, erase: Some(erase) };
        let mut erased = 0_u32;
        for _ in 0..QUESTIONS {
            let answered = brokers::ask_leader(&self.replica, shard, |mut broker| {
                let request = request.clone();
                async move {
                    let answer = broker.erase(request).await?.into_inner();
                    Ok(Said { code: answer.code, leader_node: answer.leader_node, answer })
                }
            });
            let answer = answered.await?;
            erased = erased.saturating_add(answer.erased);
            if !answer.more {
                return Ok(Some(erased));
            }
            if answer.erased == 0 {
                // Homes of groups have yet to hear of it.
                return Ok(None);
            }
        }
        Ok(None)
    }
}

/// A user of whom nothing is left.
#[derive(Clone)]
struct Looked {
    user: UserPointer,
    /// What was found before.
    erased: u32,
}

/// The name under which the brokers have something.
fn name(user: &UserPointer) -> &str {
    if erasures::is_system(user) { SYSTEM } else { &user.user }
}
