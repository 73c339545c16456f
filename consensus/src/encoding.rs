//! How votes, log ids, memberships, entries and the applied state are written inside their records.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use openraft::EntryPayload;
use openraft::entry::RaftEntry;
use serde::{Deserialize, Serialize};

use crate::command_batch::{ChainPosition, CommandBatch};
use crate::group_id::NodeId;
use crate::record::{self, RecordError};
use crate::type_config::{Entry, LeaderId, LogId, Membership, StoredMembership, Vote, log_id};

#[derive(Serialize, Deserialize)]
struct StoredLogId {
    term: u64,
    node: NodeId,
    index: u64,
}

impl From<&LogId> for StoredLogId {
    fn from(id: &LogId) -> Self {
        Self { term: id.leader_id.term, node: id.leader_id.node_id, index: id.index }
    }
}

impl From<StoredLogId> for LogId {
    fn from(stored: StoredLogId) -> Self {
        log_id(stored.term, stored.node, stored.index)
    }
}

#[derive(Serialize, Deserialize)]
struct StoredVote {
    term: u64,
    node: NodeId,
    committed: bool,
}

#[derive(Serialize, Deserialize)]
struct StoredMembers {
    log_id: Option<StoredLogId>,
    configs: Vec<BTreeSet<NodeId>>,
    nodes: BTreeMap<NodeId, String>,
}

#[derive(Serialize, Deserialize)]
struct StoredApplied {
    log_id: Option<StoredLogId>,
    now_ms: i64,
    chain: Option<(u64, u64)>,
}

/// What a state machine has applied, stored with its data in one write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) log_id: Option<LogId>,
    /// The latest time that a command was applied at; time never goes back in a group.
    pub(crate) now_ms: i64,
    pub(crate) chain: Option<ChainPosition>,
}

fn seal(key: &[u8], value: &impl Serialize) -> Result<Vec<u8>, RecordError> {
    let mut buffer = Vec::with_capacity(64);
    record::begin(&mut buffer);
    let mut buffer = postcard::to_extend(value, buffer)?;
    record::finish(key, &mut buffer);
    Ok(buffer)
}

/// Format 1 is the only one yet; a later one adds its own type and an arm here.
fn open<'a, T: Deserialize<'a>>(key: &[u8], stored: &'a [u8]) -> Result<T, RecordError> {
    let (_format_1, body) = record::open(key, stored)?;
    Ok(postcard::from_bytes(body)?)
}

pub(crate) fn seal_log_id(key: &[u8], id: &LogId) -> Result<Vec<u8>, RecordError> {
    seal(key, &StoredLogId::from(id))
}

pub(crate) fn open_log_id(key: &[u8], stored: &[u8]) -> Result<LogId, RecordError> {
    Ok(open::<StoredLogId>(key, stored)?.into())
}

pub(crate) fn seal_vote(key: &[u8], vote: &Vote) -> Result<Vec<u8>, RecordError> {
    let LeaderId { term, node_id } = vote.leader_id;
    seal(key, &StoredVote { term, node: node_id, committed: vote.committed })
}

pub(crate) fn open_vote(key: &[u8], stored: &[u8]) -> Result<Vote, RecordError> {
    let StoredVote { term, node, committed } = open(key, stored)?;
    Ok(Vote { leader_id: LeaderId { term, node_id: node }, committed })
}

pub(crate) fn seal_membership(key: &[u8], stored: &StoredMembership) -> Result<Vec<u8>, RecordError> {
    let membership = stored.membership();
    seal(
        key,
        &StoredMembers {
            log_id: stored.log_id().as_ref().map(StoredLogId::from),
            configs: membership.get_joint_config().clone(),
            nodes: membership.nodes().map(|(node, address)| (*node, address.clone())).collect(),
        },
    )
}

pub(crate) fn open_membership(key: &[u8], stored: &[u8]) -> Result<StoredMembership, RecordError> {
    let StoredMembers { log_id, configs, nodes } = open(key, stored)?;
    let membership =
        Membership::new(configs, nodes).map_err(|_| RecordError::Malformed("members do not fit together"))?;
    Ok(StoredMembership::new(log_id.map(LogId::from), membership))
}

pub(crate) fn seal_applied(key: &[u8], applied: &Applied) -> Result<Vec<u8>, RecordError> {
    seal(
        key,
        &StoredApplied {
            log_id: applied.log_id.as_ref().map(StoredLogId::from),
            now_ms: applied.now_ms,
            chain: applied.chain.map(|place| (place.chain, place.position)),
        },
    )
}

pub(crate) fn open_applied(key: &[u8], stored: &[u8]) -> Result<Applied, RecordError> {
    let StoredApplied { log_id, now_ms, chain } = open(key, stored)?;
    let chain = chain.map(|(chain, position)| ChainPosition { chain, position });
    Ok(Applied { log_id: log_id.map(LogId::from), now_ms, chain })
}

const BLANK: u8 = 0;
const COMMANDS: u8 = 1;
const MEMBERSHIP: u8 = 2;
const ENTRY_HEADER_BYTES: usize = 1 + 8 + 8;

/// The bytes of an entry's payload, and the membership's encoding where it is one.
pub(crate) enum PayloadBytes<'a> {
    Blank,
    Commands(&'a Bytes),
    Membership(Vec<u8>),
}

impl<'a> PayloadBytes<'a> {
    pub(crate) fn of(entry: &'a Entry) -> Result<Self, RecordError> {
        Ok(match &entry.payload {
            EntryPayload::Blank => Self::Blank,
            EntryPayload::Normal(batch) => Self::Commands(batch.as_bytes()),
            EntryPayload::Membership(membership) => {
                Self::Membership(seal_membership(&[], &StoredMembership::new(None, membership.clone()))?)
            }
        })
    }
}

/// An entry with the membership in `payload`, a record as made by [`PayloadBytes::of`].
pub(crate) fn membership_entry(id: LogId, payload: &[u8]) -> Result<Entry, RecordError> {
    let stored = open_membership(&[], payload)?;
    Ok(Entry::new_membership(id, stored.membership().clone()))
}

/// Writes an entry's record into `buffer`: kind (1), term (8), leader (8), payload; the index is in the key.
pub(crate) fn seal_entry(key: &[u8], entry: &Entry, buffer: &mut Vec<u8>) -> Result<(), RecordError> {
    let payload = PayloadBytes::of(entry)?;
    let (kind, bytes): (u8, &[u8]) = match &payload {
        PayloadBytes::Blank => (BLANK, &[]),
        PayloadBytes::Commands(bytes) => (COMMANDS, bytes),
        PayloadBytes::Membership(bytes) => (MEMBERSHIP, bytes),
    };
    record::begin(buffer);
    buffer.push(kind);
    buffer.extend_from_slice(&entry.log_id.leader_id.term.to_be_bytes());
    buffer.extend_from_slice(&entry.log_id.leader_id.node_id.to_be_bytes());
    buffer.extend_from_slice(bytes);
    record::finish(key, buffer);
    Ok(())
}

pub(crate) fn open_entry(key: &[u8], index: u64, stored: &[u8]) -> Result<Entry, RecordError> {
    let (_format_1, body) = record::open(key, stored)?;
    let (header, payload) =
        body.split_at_checked(ENTRY_HEADER_BYTES).ok_or(RecordError::Malformed("entry shorter than its header"))?;
    let word = |at: usize| u64::from_be_bytes(std::array::from_fn(|byte| header[at + byte]));
    let id = log_id(word(1), word(9), index);
    match header[0] {
        BLANK => Ok(Entry::new_blank(id)),
        COMMANDS => Ok(Entry::new_normal(id, CommandBatch::from_bytes(Bytes::copy_from_slice(payload)))),
        MEMBERSHIP => membership_entry(id, payload),
        _ => Err(RecordError::Malformed("unknown kind of entry")),
    }
}

/// About what an entry costs in memory and on disk, in bytes.
pub(crate) fn entry_cost(entry: &Entry) -> usize {
    const FIXED: usize = 64;
    match &entry.payload {
        EntryPayload::Blank => FIXED,
        EntryPayload::Normal(batch) => FIXED + batch.as_bytes().len(),
        EntryPayload::Membership(membership) => FIXED + 64 * membership.nodes().count(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members() -> StoredMembership {
        let configs = vec![BTreeSet::from([1, 2]), BTreeSet::from([2, 3])];
        let nodes = BTreeMap::from([(1, "a:1".to_owned()), (2, "b:2".to_owned()), (3, "c:3".to_owned())]);
        StoredMembership::new(Some(log_id(4, 2, 9)), Membership::new(configs, nodes).unwrap())
    }

    fn body(stored: &[u8]) -> &[u8] {
        &stored[1..stored.len() - 4]
    }

    #[test]
    fn golden_format_1() {
        let key = b"k";
        assert_eq!(body(&seal_log_id(key, &log_id(1, 2, 300)).unwrap()), [1, 2, 0xac, 2]);
        let vote = Vote { leader_id: LeaderId { term: 5, node_id: 6 }, committed: true };
        assert_eq!(body(&seal_vote(key, &vote).unwrap()), [5, 6, 1]);
        let applied =
            Applied { log_id: Some(log_id(1, 2, 3)), now_ms: -1, chain: Some(ChainPosition { chain: 4, position: 5 }) };
        assert_eq!(body(&seal_applied(key, &applied).unwrap()), [1, 1, 2, 3, 1, 1, 4, 5]);
        assert_eq!(
            body(&seal_membership(key, &members()).unwrap()),
            b"\x01\x04\x02\x09\x02\x02\x01\x02\x02\x02\x03\x03\x01\x03a:1\x02\x03b:2\x03\x03c:3"
        );
        let entry = Entry::new_normal(log_id(1, 2, 3), CommandBatch::from_bytes(Bytes::from_static(b"xyz")));
        let mut stored = Vec::new();
        seal_entry(key, &entry, &mut stored).unwrap();
        assert_eq!(body(&stored), b"\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x02xyz");
    }

    #[test]
    fn what_was_sealed_opens() {
        let key = b"k";
        let id = log_id(u64::MAX, 0, 77);
        assert_eq!(open_log_id(key, &seal_log_id(key, &id).unwrap()), Ok(id));
        assert_eq!(open_membership(key, &seal_membership(key, &members()).unwrap()), Ok(members()));
        let empty = StoredMembership::default();
        assert_eq!(open_membership(key, &seal_membership(key, &empty).unwrap()), Ok(empty));
        let applied = Applied::default();
        assert_eq!(open_applied(key, &seal_applied(key, &applied).unwrap()), Ok(applied));
        let payloads = [
            Entry::new_blank(id),
            Entry::new_normal(id, CommandBatch::from_bytes(Bytes::from_static(b"xyz"))),
            Entry::new_membership(id, members().membership().clone()),
        ];
        for entry in payloads {
            let mut stored = vec![0; 9];
            seal_entry(key, &entry, &mut stored).unwrap();
            assert_eq!(open_entry(key, id.index, &stored), Ok(entry));
        }
    }

    #[test]
    fn an_unknown_kind_of_entry_is_refused() {
        let stored = record::seal(b"k", &[9; ENTRY_HEADER_BYTES]);
        assert_eq!(open_entry(b"k", 1, &stored), Err(RecordError::Malformed("unknown kind of entry")));
    }
}
