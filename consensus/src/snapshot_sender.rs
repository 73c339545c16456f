//! Sends a snapshot to a follower: asks where to begin, and goes on from where the follower says.

use std::time::Duration;

use bytes::Bytes;
use openraft::errors::{StreamingError, Unreachable};
use openraft::raft::SnapshotResponse;
use openraft::storage::Snapshot;
use tidings_proto::raft::v1 as proto;
use tonic::{Code, Status};

use crate::group_id::NodeId;
use crate::outgoing::OutgoingFile;
use crate::peers::PeerClient;
use crate::snapshot::SnapshotData;
use crate::type_config::{CommittedLeaderId, TypeConfig, Vote};
use crate::wire;

/// What a break can cost, and what one call carries.
const CHUNK_BYTES: usize = 512 * 1024;
/// Chunks that were not taken in a row before the transfer is given up on for now.
const MAX_REFUSALS: usize = 8;

type SendError = StreamingError<TypeConfig>;

fn unreachable(error: &(impl std::error::Error + 'static)) -> SendError {
    Unreachable::new(error).into()
}

/// Returns once the follower has installed the snapshot, or with its vote if that is higher.
pub(crate) async fn send(
    peer: &PeerClient,
    vote: Vote,
    snapshot: Snapshot<CommittedLeaderId, NodeId, String, SnapshotData>,
) -> Result<SnapshotResponse<TypeConfig>, SendError> {
    let header = wire::to_snapshot_header(peer.group, &vote, &snapshot.meta).map_err(|error| unreachable(&error))?;
    let SnapshotData::Outgoing(outgoing) = snapshot.snapshot else {
        return Err(Unreachable::from_string("the snapshot has no contents to send").into());
    };
    let file = outgoing.file().await.map_err(|error| unreachable(&error))?;
    let transfer = Transfer { peer, header, id: outgoing.id(), file };
    let answered = match transfer.in_chunks(vote).await {
        // A node of an earlier version.
        Err(status) if status.code() == Code::Unimplemented => transfer.in_one_piece().await,
        answered => answered,
    };
    let vote = answered.inspect_err(|status| {
        tracing::warn!(group = %peer.group, to = peer.to, error = %status, "snapshot not sent");
    });
    Ok(SnapshotResponse::new(vote.map_err(|status| unreachable(&status))?))
}

struct Transfer<'a> {
    peer: &'a PeerClient,
    header: proto::SnapshotHeader,
    id: u64,
    file: &'a OutgoingFile,
}

impl Transfer<'_> {
    async fn in_chunks(&self, vote: Vote) -> Result<Vote, Status> {
        let (mut sent, mut refusals) = (0u64, 0);
        let mut reply = self.chunk(0, Bytes::new()).await?;
        loop {
            let theirs = wire::from_vote(reply.vote.as_ref()).map_err(|error| Status::internal(error.to_string()))?;
            if reply.installed || theirs > vote {
                crate::metrics::snapshot_moved("sent", sent);
                tracing::info!(group = %self.peer.group, to = self.peer.to, bytes = sent, "snapshot sent");
                return Ok(theirs);
            }
            let offset = reply.next_offset;
            if offset >= self.file.bytes() {
                return Err(Status::internal("the peer has all of the snapshot and has not installed it"));
            }
            let data =
                self.file.read(offset, CHUNK_BYTES).await.map_err(|error| Status::internal(error.to_string()))?;
            let length = data.len() as u64;
            self.peer.peers.snapshot_pace.wait(data.len()).await;
            reply = self.chunk(offset, data).await?;
            sent += length;
            let is_taken = reply.installed || reply.next_offset == offset + length;
            refusals = if is_taken { 0 } else { refusals + 1 };
            if refusals >= MAX_REFUSALS {
                return Err(Status::data_loss("the peer does not take the chunks of the snapshot"));
            }
        }
    }

    async fn chunk(&self, offset: u64, data: Bytes) -> Result<proto::SnapshotChunkReply, Status> {
        let (size, checksum) = (self.file.bytes(), crc32fast::hash(&data));
        let is_last = offset + data.len() as u64 == size;
        let header = Some(self.header.clone());
        let chunk = proto::SnapshotChunk { header, id: self.id, size, offset, data, checksum };
        let request = self.peer.peers.stamp(self.peer.to, self.peer.group, chunk);
        let mut client = self.peer.client().map_err(|error| Status::unavailable(error.to_string()))?;
        // The last chunk is answered after the installation, which takes as long as it takes; a connection that has
        // died is noticed by its keep-alive.
        let patience = if is_last { Duration::MAX } else { self.peer.peers.timeout };
        match tokio::time::timeout(patience, client.transfer_snapshot(request)).await {
            Ok(reply) => Ok(reply?.into_inner()),
            Err(_) => Err(Status::deadline_exceeded("the peer did not answer a chunk of the snapshot")),
        }
    }

    async fn in_one_piece(&self) -> Result<Vote, Status> {
        let (pieces, outgoing) = tokio::sync::mpsc::channel(2);
        let reader = async move {
            let mut piece = proto::snapshot_piece::Piece::Header(self.header.clone());
            let mut offset = 0;
            while pieces.send(proto::SnapshotPiece { piece: Some(piece) }).await.is_ok() {
                if offset == self.file.bytes() {
                    break;
                }
                // A file that is cut off is refused by the peer, so its answer alone decides.
                let Ok(data) = self.file.read(offset, CHUNK_BYTES).await else { break };
                self.peer.peers.snapshot_pace.wait(data.len()).await;
                offset += data.len() as u64;
                piece = proto::snapshot_piece::Piece::Data(data);
            }
            offset
        };
        let outgoing = tokio_stream::wrappers::ReceiverStream::new(outgoing);
        let mut client = self.peer.client().map_err(|error| Status::unavailable(error.to_string()))?;
        let call = client.install_snapshot(self.peer.peers.stamp(self.peer.to, self.peer.group, outgoing));
        let (sent, answered) = tokio::join!(reader, call);
        let vote = wire::from_vote(answered?.into_inner().vote.as_ref());
        crate::metrics::snapshot_moved("sent", sent);
        vote.map_err(|error| Status::internal(error.to_string()))
    }
}
