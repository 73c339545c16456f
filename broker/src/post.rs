//! The gRPC service `tidings.broker.v1.Messages`: what backends ask through the control plane, answered where the shard
//! is led.
//!
//! - `scheduling`: messages that wait for their time
//! - `asking`: what users can see, and whether they are online
//! - `live`: what is stored nowhere
//! - `erasing`: what is stored of users who were deleted

mod asking;
mod erasing;
mod live;
mod scheduling;

use std::sync::Arc;

use tidings_consensus::{NodeId, StateView};
use tidings_proto::ErrorCode;
use tidings_proto::broker::v1::messages_server::Messages;
use tidings_proto::broker::v1::{
    AskRequest, AskResponse, CancelScheduledRequest, CancelScheduledResponse, EraseRequest, EraseResponse,
    GetPresenceRequest, GetPresenceResponse, GetScheduledRequest, GetScheduledResponse, ListScheduledRequest,
    ListScheduledResponse, LocateInGroupRequest, LocateInGroupResponse, LocateRequest, LocateResponse, PostRequest,
    PostResponse, ScheduleRequest, ScheduleResponse,
};
use tidings_proto::mailbox::v1::command::Command;
use tidings_proto::shard::shard_of;
use tonic::{Request, Response, Status};

use crate::core::locate::{locate, told};
use crate::core::received::Progress;
use crate::core::{GroupName, MailboxId, Reply};
use crate::error::{Error, code_of};
use crate::link::LinkContext;
use crate::query::{self, InGroup};
use crate::shard::ShardHandle;
use crate::shards::Shards;

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct MessagesService(pub Arc<LinkContext>);

#[tonic::async_trait]
impl Messages for MessagesService {
    async fn post(&self, request: Request<PostRequest>) -> Result<Response<PostResponse>, Status> {
        Ok(Response::new(post(&self.0, request.into_inner()).await))
    }

    async fn locate(&self, request: Request<LocateRequest>) -> Result<Response<LocateResponse>, Status> {
        Ok(Response::new(whereabouts(&self.0.shards, self.0.node, request.into_inner()).await))
    }

    async fn locate_in_group(
        &self,
        request: Request<LocateInGroupRequest>,
    ) -> Result<Response<LocateInGroupResponse>, Status> {
        Ok(Response::new(in_group(&self.0.shards, self.0.node, request.into_inner()).await))
    }

    async fn schedule(&self, request: Request<ScheduleRequest>) -> Result<Response<ScheduleResponse>, Status> {
        Ok(Response::new(scheduling::schedule(&self.0.shards, self.0.node, request.into_inner()).await))
    }

    async fn list_scheduled(
        &self,
        request: Request<ListScheduledRequest>,
    ) -> Result<Response<ListScheduledResponse>, Status> {
        Ok(Response::new(scheduling::list(&self.0.shards, self.0.node, request.into_inner()).await))
    }

    async fn get_scheduled(
        &self,
        request: Request<GetScheduledRequest>,
    ) -> Result<Response<GetScheduledResponse>, Status> {
        Ok(Response::new(scheduling::get(&self.0.shards, self.0.node, request.into_inner()).await))
    }

    async fn cancel_scheduled(
        &self,
        request: Request<CancelScheduledRequest>,
    ) -> Result<Response<CancelScheduledResponse>, Status> {
        Ok(Response::new(scheduling::cancel(&self.0.shards, self.0.node, request.into_inner()).await))
    }

    async fn ask(&self, request: Request<AskRequest>) -> Result<Response<AskResponse>, Status> {
        Ok(Response::new(asking::ask(&self.0, request.into_inner()).await))
    }

    async fn get_presence(
        &self,
        request: Request<GetPresenceRequest>,
    ) -> Result<Response<GetPresenceResponse>, Status> {
        Ok(Response::new(asking::presence(&self.0.shards, self.0.node, request.into_inner()).await))
    }

    async fn erase(&self, request: Request<EraseRequest>) -> Result<Response<EraseResponse>, Status> {
        Ok(Response::new(erasing::erase(&self.0.shards, self.0.node, request.into_inner()).await))
    }
}

/// Puts a backend's message into a mailbox of this node, or hands it out, if it leads the shard.
async fn post(context: &LinkContext, request: PostRequest) -> PostResponse {
    let refused = |(code, leader): (ErrorCode, u64)| PostResponse {
        code: code.into(),
        leader_node: leader,
        ..PostResponse::default()
    };
    let Some(post) = request.post else { return refused((ErrorCode::InvalidArgument, 0)) };
    let (app, to) = post.message.as_ref().map_or(("", ""), |message| (&message.app, &message.to));
    let (handle, mailbox) = match led(&context.shards, context.node, request.shard, app, to) {
        Ok(found) => found,
        Err(refusal) => return refused(refusal),
    };
    if post.message.as_ref().is_some_and(|message| message.ttl_ms == Some(0)) {
        return live::hand_out(context, &handle, mailbox, post).await.unwrap_or_else(refused);
    }
    match proposed(&handle, Command::PostMessage(post)).await {
        Ok(Reply::Posted { id, sent_at_ms, duplicate }) => {
            PostResponse { id: Some(id), sent_at_ms, duplicate, ..PostResponse::default() }
        }
        Ok(_) => refused((ErrorCode::Internal, 0)),
        Err(refusal) => refused(refusal),
    }
}

/// Where a message in a mailbox of this node is, if it leads the shard; not older than the question.
async fn whereabouts(shards: &Shards, node: NodeId, request: LocateRequest) -> LocateResponse {
    let refused = |(code, leader): (ErrorCode, u64)| LocateResponse {
        code: code.into(),
        leader_node: leader,
        ..LocateResponse::default()
    };
    let LocateRequest { shard, app, to, from, id, by_sender } = request;
    let lives_here = if by_sender { &from } else { &to };
    let (handle, mailbox) = match led(shards, node, shard, &app, lives_here) {
        Ok(found) => found,
        Err(refusal) => return refused(refusal),
    };
    let id = id.unwrap_or_default();
    let located = seen(&handle, move |view| {
        if by_sender {
            return told(view, &mailbox, &to, id);
        }
        let located = locate(view, &mailbox, &from, id)?;
        Ok(located.map(|state| Progress { state, delivered_at_ms: 0, read_at_ms: 0 }))
    });
    match located.await {
        Ok(Some(Progress { state, delivered_at_ms, read_at_ms })) => {
            LocateResponse { state: state.into(), delivered_at_ms, read_at_ms, ..LocateResponse::default() }
        }
        Ok(None) => refused((ErrorCode::NotFound, 0)),
        Err(refusal) => refused(refusal),
    }
}

/// How far a message has come in a group whose home is on this node, if it leads the shard.
async fn in_group(shards: &Shards, node: NodeId, request: LocateInGroupRequest) -> LocateInGroupResponse {
    let refused = |(code, leader): (ErrorCode, u64)| LocateInGroupResponse {
        code: code.into(),
        leader_node: leader,
        ..LocateInGroupResponse::default()
    };
    let LocateInGroupRequest { shard, app, group, from, id, request_id } = request;
    // A group's id is as a user's.
    let (handle, name) = match (led(shards, node, shard, &app, &group), GroupName::new(&app, &group)) {
        (Ok((handle, _)), Some(name)) => (handle, name),
        (Ok(_), None) => return refused((ErrorCode::InvalidArgument, 0)),
        (Err(refusal), _) => return refused(refusal),
    };
    match seen(&handle, move |view| query::group_status(view, &name, &from, id, &request_id)).await {
        Ok(Ok(InGroup { id, place, receipts })) => LocateInGroupResponse {
            id: Some(id),
            group_seq: place,
            receipts: Some(receipts),
            ..LocateInGroupResponse::default()
        },
        Ok(Err(code)) => refused((code, 0)),
        Err(refusal) => refused(refusal),
    }
}

/// Puts a command into the log of a shard that this node leads; else the code, and the leader to turn to (0: not
/// known).
async fn proposed(handle: &ShardHandle, command: Command) -> Result<Reply, (ErrorCode, u64)> {
    let command = handle.level.encode(command).ok_or((ErrorCode::Unavailable, 0))?;
    match handle.group.propose_when_ready(command).await {
        Ok(Reply::Refused(code)) => Err((code, 0)),
        Ok(reply) => Ok(reply),
        Err(error) => Err(code_of(&error)),
    }
}

/// Looks at a shard that this node leads; not older than the question.
pub async fn seen<T: Send + 'static>(
    handle: &ShardHandle,
    look: impl FnOnce(&StateView) -> Result<T, Error> + Send + 'static,
) -> Result<T, (ErrorCode, u64)> {
    match handle.read(look).await {
        Ok(Ok(seen)) => Ok(seen),
        // The process is stopping.
        Ok(Err(Error::Interrupted)) => Err((ErrorCode::Unavailable, 0)),
        Ok(Err(error)) => {
            tracing::error!(shard = handle.core.shard, %error, "a question cannot be answered");
            Err((ErrorCode::StorageFailed, 0))
        }
        Err(error) => Err(code_of(&error)),
    }
}

/// The shard on this node, and the mailbox in it; else the code, and the leader to turn to (0: not known).
pub fn led(
    shards: &Shards,
    node: NodeId,
    shard: u32,
    app: &str,
    to: &str,
) -> Result<(ShardHandle, MailboxId), (ErrorCode, u64)> {
    let handle = shards.led(shard, node).map_err(|leader| (ErrorCode::NotLeader, leader))?;
    let mailbox = MailboxId::new(app, to).filter(|_| shard_of(app, to, handle.core.shards) == shard);
    Ok((handle, mailbox.ok_or((ErrorCode::InvalidArgument, 0))?))
}
