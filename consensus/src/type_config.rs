//! The types that Raft runs with: what a log entry, a vote and a member are here.

use openraft::type_config::alias::{
    CommittedLeaderIdOf, EntryOf, LeaderIdOf, LogIdOf, SnapshotMetaOf, StoredMembershipOf, VoteOf,
};

use crate::command_batch::CommandBatch;
use crate::group_id::NodeId;

openraft::declare_raft_types!(
    /// Commands come packed, many in one entry; replies go their own way ([`crate::in_flight`]); a member is known by
    /// the address of its Raft service.
    pub TypeConfig:
        D = CommandBatch,
        R = (),
        NodeId = NodeId,
        Node = String,
);

pub(crate) type Entry = EntryOf<TypeConfig>;
pub(crate) type LogId = LogIdOf<TypeConfig>;
pub(crate) type LeaderId = LeaderIdOf<TypeConfig>;
pub(crate) type CommittedLeaderId = CommittedLeaderIdOf<TypeConfig>;
pub(crate) type Vote = VoteOf<TypeConfig>;
pub(crate) type Membership = openraft::Membership<NodeId, String>;
pub(crate) type StoredMembership = StoredMembershipOf<TypeConfig>;
pub(crate) type SnapshotMeta = SnapshotMetaOf<TypeConfig>;

/// The id of the entry at `index`, made by `node` as the leader of `term`.
pub(crate) fn log_id(term: u64, node: NodeId, index: u64) -> LogId {
    LogId::new(CommittedLeaderId { term, node_id: node }, index)
}
