//! What the leader does by the clock.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use tidings_consensus::{Group, ProposeError};
use tidings_proto::mailbox::v1::{
    AdoptGroups, ExpandGroups, ExpireDue, ShardRecord, TellGroupReceipts, command::Command,
};

use super::{Adoption, Done, EXPIRED_AT_ONCE, ShardActor};
use crate::core::expiry::ranges_due_at;
use crate::core::{Reply, encode, keys, records};
use crate::error::Error;
use crate::machine::ShardMachine;

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
        self.adopt_groups();
    }

    /// Gives members a conversation with their groups where they have none, once every broker knows how.
    pub(super) fn adopt_groups(&mut self) {
        if self.reign.is_none() || self.adoption != Adoption::Waiting {
            return;
        }
        let Some(command) = self.level.encode(Command::AdoptGroups(AdoptGroups {})) else { return };
        self.adoption = Adoption::Running;
        let group = self.group.clone();
        self.running.push(Box::pin(async move {
            let view = group.view();
            let looking =
                tokio::task::spawn_blocking(move || records::load::<ShardRecord>(&view, "shard", &keys::shard()));
            let is_done = matches!(looking.await, Ok(Ok(Some(record))) if record.has_adopted);
            let answer = if is_done {
                Ok(Reply::GroupsAdopted { more: false })
            } else {
                group.propose_when_ready(command).await
            };
            Done::Adopted { answer }
        }));
    }

    pub(super) fn adopted(&mut self, answer: &Result<Reply, ProposeError>) {
        self.adoption = match answer {
            Ok(Reply::GroupsAdopted { more: false }) => Adoption::Done,
            _ => Adoption::Waiting,
        };
        if matches!(answer, Ok(Reply::GroupsAdopted { more: true })) {
            self.adopt_groups();
        }
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
        let command = encode(Command::ExpandGroups(ExpandGroups {}));
        let proposing =
            propose_where_waiting(self.group.clone(), vec![keys::all_expanding(), keys::all_drawing()], command);
        self.running.push(Box::pin(async move { Done::Expanded { answer: proposing.await } }));
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
        let command = encode(Command::TellGroupReceipts(TellGroupReceipts {}));
        let waiting =
            [keys::all_group_receipts(), keys::all_group_tallies(), keys::all_group_passing(), keys::all_group_begun()];
        let proposing = propose_where_waiting(self.group.clone(), waiting.into(), command);
        self.running.push(Box::pin(async move { Done::ReceiptsTold { answer: proposing.await } }));
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
        let expire = Command::ExpireDue(ExpireDue { limit: EXPIRED_AT_ONCE });
        let Some(command) = self.level.encode(expire) else { return };
        self.is_expiring = true;
        let due = ranges_due_at(self.clock.now_ms()).collect();
        let proposing = propose_where_waiting(self.group.clone(), due, command);
        self.running.push(Box::pin(async move { Done::Expired { answer: proposing.await } }));
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

/// Proposes a command when something stands in one of these ranges of keys. `None` when nothing does, or that could not
/// be read.
async fn propose_where_waiting(
    group: Group<ShardMachine>,
    ranges: Vec<(Vec<u8>, Vec<u8>)>,
    command: Bytes,
) -> Option<Result<Reply, ProposeError>> {
    let view = group.view();
    let looking = tokio::task::spawn_blocking(move || {
        for (from, to) in ranges {
            if !view.scan(&from, &to, 1)?.is_empty() {
                return Ok(true);
            }
        }
        Ok::<_, Error>(false)
    });
    match looking.await {
        Ok(Ok(true)) => Some(group.propose_when_ready(command).await),
        Ok(Err(error)) => {
            tracing::error!(%error, "what waits for the shard's upkeep could not be read");
            None
        }
        Ok(Ok(false)) | Err(_) => None,
    }
}
