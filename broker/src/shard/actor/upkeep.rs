//! What the leader does by the clock.

use std::sync::atomic::Ordering;

use tidings_consensus::ProposeError;
use tidings_proto::mailbox::v1::{ExpandGroups, ExpireDue, TellGroupReceipts, command::Command};

use super::{Done, EXPIRED_AT_ONCE, ShardActor};
use crate::core::{Reply, encode, keys};
use crate::error::Error;

impl ShardActor {
    pub(super) fn tick(&mut self) {
        // A reign that `still_leads` ended too early, in a moment of silence, goes on.
        let now = self.group.leadership().borrow().clone();
        self.follow(&now);
        self.metrics.lagging(self.core.shard, self.lagging);
        self.metrics.watched(self.core.shard, self.presence.watched());
        self.count_voters();
        self.expire();
        self.expand_groups();
        self.tell_group_receipts();
    }

    /// Goes on bringing what stands in groups to their members here, one command at a time.
    pub(super) fn expand_groups(&mut self) {
        if self.reign.is_none() {
            return;
        }
        if self.is_expanding {
            self.expands_again = true;
            return;
        }
        (self.is_expanding, self.expands_again) = (true, false);
        let group = self.group.clone();
        self.running.push(Box::pin(async move {
            let view = group.view();
            let waits = tokio::task::spawn_blocking(move || {
                let (from, to) = keys::all_expanding();
                Ok::<_, Error>(!view.scan(&from, &to, 1)?.is_empty())
            });
            match waits.await {
                Ok(Ok(true)) => {
                    let command = encode(Command::ExpandGroups(ExpandGroups {}));
                    Done::Expanded { answer: Some(group.propose_when_ready(command).await) }
                }
                Ok(Err(error)) => {
                    tracing::error!(%error, "what waits in groups could not be read");
                    Done::Expanded { answer: None }
                }
                Ok(Ok(false)) | Err(_) => Done::Expanded { answer: None },
            }
        }));
    }

    /// A command that failed is tried again by the clock, or by the next leader.
    pub(super) fn expanded(&mut self, answer: Option<Result<Reply, ProposeError>>) {
        self.is_expanding = false;
        if self.expands_again || matches!(answer, Some(Ok(Reply::GroupsExpanded { more: true }))) {
            self.expand_groups();
        }
    }

    /// Tells the homes of groups what members here have and read: of a second together.
    fn tell_group_receipts(&mut self) {
        if self.reign.is_none() || self.is_telling_receipts {
            return;
        }
        self.is_telling_receipts = true;
        let group = self.group.clone();
        self.running.push(Box::pin(async move {
            let view = group.view();
            let waits = tokio::task::spawn_blocking(move || {
                let (from, to) = keys::all_group_receipts();
                Ok::<_, Error>(!view.scan(&from, &to, 1)?.is_empty())
            });
            match waits.await {
                Ok(Ok(true)) => {
                    let command = encode(Command::TellGroupReceipts(TellGroupReceipts {}));
                    Done::ReceiptsTold { answer: Some(group.propose_when_ready(command).await) }
                }
                Ok(Err(error)) => {
                    tracing::error!(%error, "receipts of groups could not be read");
                    Done::ReceiptsTold { answer: None }
                }
                Ok(Ok(false)) | Err(_) => Done::ReceiptsTold { answer: None },
            }
        }));
    }

    pub(super) fn group_receipts_told(&mut self, answer: Option<Result<Reply, ProposeError>>) {
        self.is_telling_receipts = false;
        if matches!(answer, Some(Ok(Reply::GroupReceiptsTold { more: true }))) {
            self.tell_group_receipts();
        }
    }

    pub(super) fn count_voters(&self) {
        let voters = self.group.status().members.values().filter(|member| member.is_voter).count();
        self.voters.store(voters, Ordering::Relaxed);
    }

    pub(super) fn expire(&mut self) {
        if self.reign.is_none() || self.is_expiring {
            return;
        }
        self.is_expiring = true;
        let (group, now_ms) = (self.group.clone(), self.clock.now_ms());
        self.running.push(Box::pin(async move {
            let view = group.view();
            let due = tokio::task::spawn_blocking(move || {
                let (from, to) = keys::expiring_before(now_ms);
                let (upkeep_from, upkeep_to) = keys::upkeep_before(now_ms.saturating_add(1));
                let (history_from, history_to) = keys::history_due_before(now_ms);
                let groups = keys::group_due_before(now_ms);
                let ranges = [(from, to), (upkeep_from, upkeep_to), (history_from, history_to), groups];
                for (from, to) in ranges {
                    if !view.scan(&from, &to, 1)?.is_empty() {
                        return Ok(true);
                    }
                }
                Ok::<_, Error>(false)
            });
            match due.await {
                Ok(Ok(true)) => {
                    let command = encode(Command::ExpireDue(ExpireDue { limit: EXPIRED_AT_ONCE }));
                    Done::Expired { answer: Some(group.propose_when_ready(command).await) }
                }
                Ok(Err(error)) => {
                    tracing::error!(%error, "what expires could not be read");
                    Done::Expired { answer: None }
                }
                Ok(Ok(false)) | Err(_) => Done::Expired { answer: None },
            }
        }));
    }

    pub(super) fn expired(&mut self, answer: Option<Result<Reply, ProposeError>>) {
        self.is_expiring = false;
        if let Some(Ok(Reply::Expired { entries, more })) = answer {
            self.metrics.expired.increment(u64::from(entries));
            if more {
                self.expire();
            }
        }
    }
}
