//! Between Raft's messages and the contract's ([`tidings_proto::raft::v1`]).

use openraft::entry::RaftEntry as _;
use openraft::raft::{
    AppendEntriesRequest, StreamAppendError, StreamAppendResult, TransferLeaderRequest, VoteRequest, VoteResponse,
};
use tidings_proto::raft::v1 as proto;

use crate::command_batch::CommandBatch;
use crate::encoding::{self, PayloadBytes};
use crate::group_id::{GroupId, NodeId};
use crate::incoming::{Chunk, SnapshotName};
use crate::record::RecordError;
use crate::type_config::{Entry, LeaderId, LogId, SnapshotMeta, TypeConfig, Vote, log_id};

pub(crate) fn to_log_id(id: LogId) -> proto::LogId {
    proto::LogId { term: id.leader_id.term, leader_node: id.leader_id.node_id, index: id.index }
}

pub(crate) fn from_log_id(id: &proto::LogId) -> LogId {
    log_id(id.term, id.leader_node, id.index)
}

pub(crate) fn to_vote(vote: &Vote) -> proto::VoteId {
    proto::VoteId { term: vote.leader_id.term, node: vote.leader_id.node_id, committed: vote.committed }
}

pub(crate) fn from_vote(vote: Option<&proto::VoteId>) -> Result<Vote, RecordError> {
    let vote = vote.ok_or(RecordError::Malformed("a vote is missing"))?;
    Ok(Vote { leader_id: LeaderId { term: vote.term, node_id: vote.node }, committed: vote.committed })
}

fn to_entry(entry: &Entry) -> Result<proto::LogEntry, RecordError> {
    let (kind, payload) = match PayloadBytes::of(entry)? {
        PayloadBytes::Blank => (proto::EntryKind::Blank, bytes::Bytes::new()),
        PayloadBytes::Commands(bytes) => (proto::EntryKind::Commands, bytes.clone()),
        PayloadBytes::Membership(bytes) => (proto::EntryKind::Membership, bytes.into()),
    };
    Ok(proto::LogEntry { id: Some(to_log_id(entry.log_id)), kind: kind.into(), payload })
}

fn from_entry(entry: proto::LogEntry) -> Result<Entry, RecordError> {
    let id = entry.id.as_ref().map(from_log_id).ok_or(RecordError::Malformed("an entry has no id"))?;
    match entry.kind() {
        proto::EntryKind::Blank => Ok(Entry::new_blank(id)),
        proto::EntryKind::Commands => Ok(Entry::new_normal(id, CommandBatch::from_bytes(entry.payload))),
        proto::EntryKind::Membership => encoding::membership_entry(id, &entry.payload),
        proto::EntryKind::Unspecified => Err(RecordError::Malformed("unknown kind of entry")),
    }
}

pub(crate) fn to_append(
    group: GroupId,
    request: &AppendEntriesRequest<TypeConfig>,
) -> Result<proto::AppendRequest, RecordError> {
    Ok(proto::AppendRequest {
        group: group.0,
        vote: Some(to_vote(&request.vote)),
        previous: request.prev_log_id.map(to_log_id),
        leader_commit: request.leader_commit.map(to_log_id),
        entries: request.entries.iter().map(to_entry).collect::<Result<_, _>>()?,
    })
}

pub(crate) fn from_append(request: proto::AppendRequest) -> Result<AppendEntriesRequest<TypeConfig>, RecordError> {
    Ok(AppendEntriesRequest {
        vote: from_vote(request.vote.as_ref())?,
        prev_log_id: request.previous.as_ref().map(from_log_id),
        leader_commit: request.leader_commit.as_ref().map(from_log_id),
        entries: request.entries.into_iter().map(from_entry).collect::<Result<_, _>>()?,
    })
}

pub(crate) fn to_append_reply(result: StreamAppendResult<TypeConfig>) -> proto::AppendReply {
    use proto::append_reply::Outcome;
    let outcome = match result {
        Ok(last) => Outcome::Matched(proto::Matched { last: last.map(to_log_id) }),
        Err(StreamAppendError::Conflict(at)) => Outcome::Conflict(to_log_id(at)),
        Err(StreamAppendError::HigherVote(vote)) => Outcome::HigherVote(to_vote(&vote)),
    };
    proto::AppendReply { outcome: Some(outcome) }
}

pub(crate) fn from_append_reply(reply: &proto::AppendReply) -> Result<StreamAppendResult<TypeConfig>, RecordError> {
    use proto::append_reply::Outcome;
    match &reply.outcome {
        Some(Outcome::Matched(matched)) => Ok(Ok(matched.last.as_ref().map(from_log_id))),
        Some(Outcome::Conflict(at)) => Ok(Err(StreamAppendError::Conflict(from_log_id(at)))),
        Some(Outcome::HigherVote(vote)) => Ok(Err(StreamAppendError::HigherVote(from_vote(Some(vote))?))),
        None => Err(RecordError::Malformed("an append has no outcome")),
    }
}

pub(crate) fn to_vote_request(group: GroupId, request: &VoteRequest<TypeConfig>) -> proto::VoteRequest {
    proto::VoteRequest {
        group: group.0,
        vote: Some(to_vote(&request.vote)),
        last_log: request.last_log_id.map(to_log_id),
        leadership_transfer: request.leadership_transfer,
    }
}

pub(crate) fn from_vote_request(request: &proto::VoteRequest) -> Result<VoteRequest<TypeConfig>, RecordError> {
    let mut vote = VoteRequest::new(from_vote(request.vote.as_ref())?, request.last_log.as_ref().map(from_log_id));
    vote.leadership_transfer = request.leadership_transfer;
    Ok(vote)
}

pub(crate) fn to_vote_reply(response: &VoteResponse<TypeConfig>) -> proto::VoteReply {
    proto::VoteReply {
        vote: Some(to_vote(&response.vote)),
        granted: response.vote_granted,
        last_log: response.last_log_id.map(to_log_id),
    }
}

pub(crate) fn from_vote_reply(reply: &proto::VoteReply) -> Result<VoteResponse<TypeConfig>, RecordError> {
    let vote = from_vote(reply.vote.as_ref())?;
    Ok(VoteResponse::new(vote, reply.last_log.as_ref().map(from_log_id), reply.granted))
}

pub(crate) fn to_transfer(group: GroupId, request: &TransferLeaderRequest<TypeConfig>) -> proto::TransferLeaderRequest {
    proto::TransferLeaderRequest {
        group: group.0,
        from_leader: Some(to_vote(request.from_leader())),
        to_node: *request.to_node_id(),
        last_log: request.last_log_id().copied().map(to_log_id),
    }
}

pub(crate) fn from_transfer(
    request: &proto::TransferLeaderRequest,
) -> Result<TransferLeaderRequest<TypeConfig>, RecordError> {
    let to: NodeId = request.to_node;
    let from = from_vote(request.from_leader.as_ref())?;
    Ok(TransferLeaderRequest::new(from, to, request.last_log.as_ref().map(from_log_id)))
}

pub(crate) fn to_snapshot_header(
    group: GroupId,
    vote: &Vote,
    meta: &SnapshotMeta,
) -> Result<proto::SnapshotHeader, RecordError> {
    Ok(proto::SnapshotHeader {
        group: group.0,
        vote: Some(to_vote(vote)),
        last_log: meta.last_log_id.map(to_log_id),
        membership: encoding::seal_membership(&[], &meta.last_membership)?.into(),
    })
}

pub(crate) fn from_snapshot_header(header: &proto::SnapshotHeader) -> Result<(Vote, SnapshotMeta), RecordError> {
    let meta = SnapshotMeta {
        last_log_id: header.last_log.as_ref().map(from_log_id),
        last_membership: encoding::open_membership(&[], &header.membership)?,
    };
    Ok((from_vote(header.vote.as_ref())?, meta))
}

/// Which snapshot a chunk belongs to, what it describes, and the chunk itself.
pub(crate) fn from_snapshot_chunk(
    chunk: proto::SnapshotChunk,
) -> Result<(GroupId, SnapshotMeta, SnapshotName, Chunk), RecordError> {
    let header = chunk.header.ok_or(RecordError::Malformed("a chunk does not say of what"))?;
    let (vote, meta) = from_snapshot_header(&header)?;
    let name = SnapshotName { vote, id: chunk.id, bytes: chunk.size };
    let chunk = Chunk { offset: chunk.offset, data: chunk.data, checksum: chunk.checksum };
    Ok((GroupId(header.group), meta, name, chunk))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use bytes::Bytes;

    use super::*;
    use crate::type_config::{Membership, StoredMembership};

    const GROUP: GroupId = GroupId(3);

    fn vote() -> Vote {
        Vote { leader_id: LeaderId { term: 4, node_id: 2 }, committed: true }
    }

    fn members() -> Membership {
        Membership::new(vec![BTreeSet::from([1])], BTreeMap::from([(1, "a:1".to_owned())])).unwrap()
    }

    #[test]
    fn appends_round_trip() {
        let request = AppendEntriesRequest {
            vote: vote(),
            prev_log_id: Some(log_id(1, 1, 1)),
            leader_commit: None,
            entries: vec![
                Entry::new_blank(log_id(4, 2, 2)),
                Entry::new_normal(log_id(4, 2, 3), CommandBatch::from_bytes(Bytes::from_static(b"x"))),
                Entry::new_membership(log_id(4, 2, 4), members()),
            ],
        };
        let again = from_append(to_append(GROUP, &request).unwrap()).unwrap();
        assert_eq!(format!("{again:?}"), format!("{request:?}"));
        assert_eq!(again.entries, request.entries);
        for result in [
            Ok(None),
            Ok(Some(log_id(1, 2, 3))),
            Err(StreamAppendError::Conflict(log_id(1, 2, 3))),
            Err(StreamAppendError::HigherVote(vote())),
        ] {
            assert_eq!(from_append_reply(&to_append_reply(result.clone())), Ok(result));
        }
        assert!(from_append_reply(&proto::AppendReply::default()).is_err());
        assert!(from_append(proto::AppendRequest::default()).is_err());
    }

    #[test]
    fn votes_transfers_and_snapshot_headers_round_trip() {
        let mut request = VoteRequest::new(vote(), Some(log_id(1, 2, 3)));
        request.leadership_transfer = true;
        assert_eq!(from_vote_request(&to_vote_request(GROUP, &request)), Ok(request));
        let response = VoteResponse::new(vote(), None, true);
        assert_eq!(from_vote_reply(&to_vote_reply(&response)), Ok(response));
        let transfer = TransferLeaderRequest::new(vote(), 9, Some(log_id(1, 2, 3)));
        assert_eq!(from_transfer(&to_transfer(GROUP, &transfer)), Ok(transfer));
        let meta = SnapshotMeta {
            last_log_id: Some(log_id(4, 2, 9)),
            last_membership: StoredMembership::new(Some(log_id(1, 1, 1)), members()),
        };
        let header = to_snapshot_header(GROUP, &vote(), &meta).unwrap();
        assert_eq!(from_snapshot_header(&header), Ok((vote(), meta)));
    }
}
