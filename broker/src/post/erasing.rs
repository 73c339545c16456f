//! What is stored of a user who was deleted, in the user's shard.

use tidings_consensus::NodeId;
use tidings_proto::ErrorCode;
use tidings_proto::broker::v1::{EraseRequest, EraseResponse};
use tidings_proto::mailbox::v1::command::Command;

use super::{led, proposed};
use crate::core::Reply;
use crate::shards::Shards;

/// Removes some of it.
pub async fn erase(shards: &Shards, node: NodeId, request: EraseRequest) -> EraseResponse {
    let refused = |(code, leader): (ErrorCode, u64)| EraseResponse {
        code: code.into(),
        leader_node: leader,
        ..EraseResponse::default()
    };
    let erase = request.erase.unwrap_or_default();
    let handle = match led(shards, node, request.shard, &erase.app, &erase.user) {
        Ok((handle, _)) => handle,
        Err(refusal) => return refused(refusal),
    };
    match proposed(&handle, Command::EraseMailbox(erase)).await {
        Ok(Reply::MailboxErased { erased, more }) => EraseResponse { erased, more, ..EraseResponse::default() },
        Ok(_) => refused((ErrorCode::Internal, 0)),
        Err(refusal) => refused(refusal),
    }
}
