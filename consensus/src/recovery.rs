//! Restores the quorum of groups that have lost it for good, from what this node has, while no process runs on its
//! store.
//!
//! Raft cannot do that: who says that the others are lost must know it. The replica's log gets one more entry, in a
//! term of its own, that makes this node the only member. At the next start the node leads the group alone, and with
//! that entry everything before it is committed, also what was never acknowledged. What only the lost members had is
//! lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use openraft::EntryPayload;
use openraft::entry::RaftEntry;
use rocksdb::{DB, Direction, IteratorMode, ReadOptions, WriteBatch, WriteOptions};

use crate::encoding;
use crate::error::Error;
use crate::failure::Failure;
use crate::group::Member;
use crate::group_id::{GroupId, NodeId};
use crate::keys;
use crate::log_tail::next_index;
use crate::options::EngineOptions;
use crate::record::{self, RecordError};
use crate::snapshot;
use crate::state_db::GroupState;
use crate::store::Store;
use crate::type_config::{Entry, LeaderId, LogId, Membership, Vote, log_id};

/// The store of a node that does not run. Dropping it lets the store go.
pub struct Recovery {
    node: NodeId,
    store: Store,
    failure: Arc<Failure>,
}

/// A replica as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredReplica {
    /// The group.
    pub group: GroupId,
    /// The latest term that it knows of.
    pub term: u64,
    /// Term and index of the last entry. Of several survivors the one with the greatest pair has the most.
    pub last_log: (u64, u64),
    /// Index of the last entry that is in its state; those behind it may or may not have been committed.
    pub applied: Option<u64>,
    /// The members by the last entry that speaks of them, committed or not.
    pub members: BTreeMap<NodeId, Member>,
    /// The sets of voters that a quorum has a majority of each of; two while a change of members is under way.
    pub voters: Vec<BTreeSet<NodeId>>,
}

impl StoredReplica {
    /// Whether the group can never again have a quorum, if these nodes are lost.
    pub fn has_lost_quorum(&self, lost: &BTreeSet<NodeId>) -> bool {
        self.voters.iter().any(|voters| voters.difference(lost).count() <= voters.len() / 2)
    }
}

/// What a replica consists of, so far as its recovery goes by it.
struct Stored {
    replica: StoredReplica,
    last: LogId,
    /// A snapshot was installed, and the log before it is still there, with a hole behind it.
    purge_upto: Option<LogId>,
}

impl Recovery {
    /// Opens the store of the node. Fails with [`Error::Open`] where there is none, or a process has it open. As at
    /// every start, what a crash interrupted is finished. Blocks.
    pub fn open(options: &EngineOptions) -> Result<Self, Error> {
        if !options.dir.is_dir() {
            return Err(Error::Open { path: options.dir.clone(), reason: "there is no such folder".to_owned() });
        }
        Ok(Self { node: options.node_id, store: Store::open(options)?, failure: Arc::new(Failure::new()) })
    }

    /// Every group that this node has taken part in. Blocks.
    pub fn groups(&self) -> Result<Vec<GroupId>, Error> {
        let (from, to) = keys::votes();
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(from);
        options.set_iterate_upper_bound(to);
        let mut groups = Vec::new();
        // Whoever has entries has voted, or taken note of who was voted for.
        for item in self.store.log.iterator_opt(IteratorMode::Start, options) {
            let (key, _) = item?;
            groups.extend(keys::group_of(&key));
        }
        Ok(groups)
    }

    /// What is stored of a group; [`Error::NoSuchGroup`] where that is nothing but votes. Blocks.
    pub fn replica(&self, group: GroupId) -> Result<StoredReplica, Error> {
        self.read(group).map(|stored| stored.replica)
    }

    /// Makes this node the only member of a group whose quorum is lost with these nodes; it is durable when this
    /// returns. Fails with [`Error::Membership`], changing nothing, where the others still have a quorum, or this node
    /// is no member: two groups would go on. Blocks.
    pub fn make_only_member(&self, group: GroupId, lost: &BTreeSet<NodeId>) -> Result<(), Error> {
        let Stored { replica, last, purge_upto } = self.read(group)?;
        if !replica.has_lost_quorum(lost) {
            return Err(Error::Membership(format!("group {group} has a quorum without the lost nodes")));
        }
        let me = replica.members.get(&self.node).filter(|_| !lost.contains(&self.node));
        let Some(Member { address, .. }) = me else {
            return Err(Error::Membership(format!("node {} is not a member of group {group} that is left", self.node)));
        };
        let alone = Membership::new(vec![BTreeSet::from([self.node])], BTreeMap::from([(self.node, address.clone())]));
        let alone = alone.map_err(|error| Error::Membership(error.to_string()))?;
        // Above every term that this replica knows of: no former leader's entry can stand against it.
        let term = replica.term.max(last.leader_id.term) + 1;
        let entry = Entry::new_membership(log_id(term, self.node, last.index + 1), alone);
        let vote = Vote { leader_id: LeaderId { term, node_id: self.node }, committed: true };
        let batch = written(group, &entry, &vote, purge_upto);
        let batch = batch.map_err(|error| Error::Storage(error.to_string()))?;
        Ok(self.store.log.write_opt(batch, &synced())?)
    }

    /// Reads a replica, and every entry that is not in its state yet: all of them will be applied.
    fn read(&self, group: GroupId) -> Result<Stored, Error> {
        let log = &self.store.log;
        let key = keys::damaged(group);
        if let Some(mark) = log.get(key)? {
            let reason = record::open(&key, &mark).map(|(_, reason)| String::from_utf8_lossy(reason).into_owned());
            let reason = reason.unwrap_or_else(|error| error.to_string());
            return Err(Error::Damaged { group, reason });
        }
        let state = GroupState::new(group, self.store.state.clone(), self.failure.clone());
        self.finish_installation(group, &state)?;
        let (applied, membership) = state.applied()?;
        let applied = applied.log_id;
        let purged = self.log_id(keys::purged(group), group, "the purge mark")?;
        if next_index(applied) < next_index(purged) {
            let reason = "its state is older than the beginning of its log".to_owned();
            return Err(Error::Inconsistent { group, reason });
        }
        let mut last = applied;
        let mut membership = membership.membership().clone();
        for entry in Entries::after(log, group, applied) {
            let entry = entry?;
            last = Some(entry.log_id);
            if let EntryPayload::Membership(members) = entry.payload {
                membership = members;
            }
        }
        let last = last.ok_or(Error::NoSuchGroup(group))?;
        let reaches =
            |at: LogId| log.get(keys::entry(group, at.index)).map(|entry| purged == Some(at) || entry.is_some());
        let purge_upto = match applied {
            Some(at) if !reaches(at)? => Some(at),
            _ => None,
        };
        let vote_key = keys::vote(group);
        let vote = log.get(vote_key)?.map(|stored| encoding::open_vote(&vote_key, &stored)).transpose();
        let vote = vote.map_err(corrupt(group, "the vote"))?;
        let voters = membership.get_joint_config().clone();
        let is_voter = |node: &NodeId| voters.iter().any(|voters| voters.contains(node));
        let member = |(node, address): (&NodeId, &String)| {
            (*node, Member { address: address.clone(), is_voter: is_voter(node) })
        };
        let replica = StoredReplica {
            group,
            term: vote.map_or(0, |vote| vote.leader_id.term).max(last.leader_id.term),
            last_log: (last.leader_id.term, last.index),
            applied: applied.map(|applied| applied.index),
            members: membership.nodes().map(member).collect(),
            voters,
        };
        Ok(Stored { replica, last, purge_upto })
    }

    /// What the next start would do anyway.
    fn finish_installation(&self, group: GroupId, state: &GroupState) -> Result<(), Error> {
        let key = keys::installing(group);
        let Some(mark) = self.log_id(key, group, "the mark of an installation")? else { return Ok(()) };
        snapshot::finish_installation(state, &self.store.snapshot_folder, mark)?;
        Ok(self.store.log.delete_opt(key, &synced())?)
    }

    fn log_id(&self, key: [u8; 5], group: GroupId, what: &str) -> Result<Option<LogId>, Error> {
        let stored = self.store.log.get(key)?;
        stored.map(|stored| encoding::open_log_id(&key, &stored)).transpose().map_err(corrupt(group, what))
    }
}

/// The entry and the vote that belongs to it, behind a log without holes.
fn written(group: GroupId, entry: &Entry, vote: &Vote, purge_upto: Option<LogId>) -> Result<WriteBatch, RecordError> {
    let mut batch = WriteBatch::default();
    if let Some(upto) = purge_upto {
        let key = keys::purged(group);
        batch.put(key, encoding::seal_log_id(&key, &upto)?);
        batch.delete_range(keys::entry(group, 0), keys::entry(group, upto.index + 1));
    }
    let (key, mut record) = (keys::entry(group, entry.log_id.index), Vec::new());
    encoding::seal_entry(&key, entry, &mut record)?;
    batch.put(key, record);
    let key = keys::vote(group);
    batch.put(key, encoding::seal_vote(&key, vote)?);
    Ok(batch)
}

fn synced() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    options
}

fn corrupt(group: GroupId, what: &str) -> impl FnOnce(RecordError) -> Error {
    let what = what.to_owned();
    move |source| Error::Corrupt { group, what, source }
}

/// The entries of a log behind an index, one after the other without a hole.
struct Entries<'a> {
    stored: rocksdb::DBIteratorWithThreadMode<'a, DB>,
    group: GroupId,
    next: u64,
}

impl<'a> Entries<'a> {
    fn after(log: &'a DB, group: GroupId, last: Option<LogId>) -> Self {
        let next = next_index(last);
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(keys::entries_end(group));
        let start = keys::entry(group, next);
        Self { stored: log.iterator_opt(IteratorMode::From(&start, Direction::Forward), options), group, next }
    }

    fn open(&mut self, key: &[u8], stored: &[u8]) -> Result<Entry, Error> {
        let (group, index) = (self.group, self.next);
        if keys::entry_index(group, key) != Some(index) {
            return Err(Error::Inconsistent { group, reason: format!("its log has a hole at entry {index}") });
        }
        self.next += 1;
        encoding::open_entry(key, index, stored).map_err(corrupt(group, &format!("log entry {index}")))
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.stored.next()?;
        Some(item.map_err(Error::from).and_then(|(key, stored)| self.open(&key, &stored)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(voters: &[&[NodeId]]) -> StoredReplica {
        let voters = voters.iter().map(|voters| voters.iter().copied().collect()).collect();
        StoredReplica { group: GroupId(1), term: 1, last_log: (1, 1), applied: None, members: BTreeMap::new(), voters }
    }

    #[test]
    fn a_quorum_is_lost_with_half_of_any_set_of_voters() {
        let lost = |replica: &StoredReplica, lost: &[NodeId]| replica.has_lost_quorum(&lost.iter().copied().collect());
        let three = replica(&[&[1, 2, 3]]);
        assert!(!lost(&three, &[]) && !lost(&three, &[2]) && !lost(&three, &[2, 7, 8]));
        assert!(lost(&three, &[2, 3]) && lost(&three, &[1, 2, 3]));
        let two = replica(&[&[1, 2]]);
        assert!(!lost(&two, &[]) && lost(&two, &[2]));
        let joint = replica(&[&[1, 2, 3], &[1, 4, 5]]);
        assert!(!lost(&joint, &[2, 4]));
        assert!(lost(&joint, &[4, 5]) && lost(&joint, &[2, 3]));
    }
}
