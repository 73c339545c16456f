//! The gRPC service `tidings.broker.v1.Messages`: what backends ask through the control plane, answered where the shard is led.

use tidings_consensus::NodeId;
use tidings_proto::ErrorCode;
use tidings_proto::broker::v1::messages_server::Messages;
use tidings_proto::broker::v1::{LocateRequest, LocateResponse, PostRequest, PostResponse};
use tidings_proto::mailbox::v1::command::Command;
use tidings_proto::shard::shard_of;
use tonic::{Request, Response, Status};

use crate::core::locate::locate;
use crate::core::{MailboxId, Reply};
use crate::error::{Error, code_of};
use crate::shard::ShardHandle;
use crate::shards::Shards;

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct MessagesService {
    pub shards: Shards,
    pub node: NodeId,
}

#[tonic::async_trait]
impl Messages for MessagesService {
    async fn post(&self, request: Request<PostRequest>) -> Result<Response<PostResponse>, Status> {
        Ok(Response::new(post(&self.shards, self.node, request.into_inner()).await))
    }

    async fn locate(&self, request: Request<LocateRequest>) -> Result<Response<LocateResponse>, Status> {
        Ok(Response::new(whereabouts(&self.shards, self.node, request.into_inner()).await))
    }
}

/// Puts a backend's message into a mailbox of this node, if it leads the shard.
async fn post(shards: &Shards, node: NodeId, request: PostRequest) -> PostResponse {
    let refused = |(code, leader): (ErrorCode, u64)| PostResponse {
        code: code.into(),
        leader_node: leader,
        ..PostResponse::default()
    };
    let Some(post) = request.post else { return refused((ErrorCode::InvalidArgument, 0)) };
    let (app, to) = post.message.as_ref().map_or(("", ""), |message| (&message.app, &message.to));
    let handle = match led(shards, node, request.shard, app, to) {
        Ok((handle, _)) => handle,
        Err(refusal) => return refused(refusal),
    };
    let Some(command) = handle.level.encode(Command::PostMessage(post)) else {
        return refused((ErrorCode::Unavailable, 0));
    };
    match handle.group.propose_when_ready(command).await {
        Ok(Reply::Posted { id, sent_at_ms, duplicate }) => {
            PostResponse { id: Some(id), sent_at_ms, duplicate, ..PostResponse::default() }
        }
        Ok(Reply::Refused(code)) => refused((code, 0)),
        Ok(_) => refused((ErrorCode::Internal, 0)),
        Err(error) => refused(code_of(&error)),
    }
}

/// Where a message in a mailbox of this node is, if it leads the shard; not older than the question.
async fn whereabouts(shards: &Shards, node: NodeId, request: LocateRequest) -> LocateResponse {
    let refused = |(code, leader): (ErrorCode, u64)| LocateResponse {
        code: code.into(),
        leader_node: leader,
        ..LocateResponse::default()
    };
    let LocateRequest { shard, app, to, from, id } = request;
    let (handle, mailbox) = match led(shards, node, shard, &app, &to) {
        Ok(found) => found,
        Err(refusal) => return refused(refusal),
    };
    match handle.read(move |view| locate(view, &mailbox, &from, id.unwrap_or_default())).await {
        Ok(Ok(Some(state))) => LocateResponse { state: state.into(), ..LocateResponse::default() },
        Ok(Ok(None)) => refused((ErrorCode::NotFound, 0)),
        // The process is stopping.
        Ok(Err(Error::Interrupted)) => refused((ErrorCode::Unavailable, 0)),
        Ok(Err(error)) => {
            tracing::error!(shard, %error, "a message cannot be located");
            refused((ErrorCode::StorageFailed, 0))
        }
        Err(error) => refused(code_of(&error)),
    }
}

/// The shard on this node, and the mailbox in it; else the code, and the leader to turn to (0: not known).
fn led(
    shards: &Shards,
    node: NodeId,
    shard: u32,
    app: &str,
    to: &str,
) -> Result<(ShardHandle, MailboxId), (ErrorCode, u64)> {
    let handle = shards.get(shard).ok_or((ErrorCode::NotLeader, 0))?;
    let mailbox = MailboxId::new(app, to).filter(|_| shard_of(app, to, handle.core.shards) == shard);
    let mailbox = mailbox.ok_or((ErrorCode::InvalidArgument, 0))?;
    let leadership = handle.leadership();
    if !leadership.is_leader {
        return Err((ErrorCode::NotLeader, leadership.leader.filter(|leader| *leader != node).unwrap_or(0)));
    }
    Ok((handle, mailbox))
}
