//! What backends schedule, list and cancel, in the shard of the sender.

use tidings_consensus::NodeId;
use tidings_proto::ErrorCode;
use tidings_proto::broker::v1::{
    CancelScheduledRequest, CancelScheduledResponse, GetScheduledRequest, GetScheduledResponse, ListScheduledRequest,
    ListScheduledResponse, ScheduleRequest, ScheduleResponse,
};
use tidings_proto::mailbox::v1::command::Command;

use super::{led, proposed, seen};
use crate::core::{Reply, Scheduler};
use crate::query::{self, Whereabouts};
use crate::shards::Shards;

/// Lets a backend's message wait for its time.
pub async fn schedule(shards: &Shards, node: NodeId, request: ScheduleRequest) -> ScheduleResponse {
    let refused = |(code, leader): (ErrorCode, u64)| ScheduleResponse {
        code: code.into(),
        leader_node: leader,
        ..ScheduleResponse::default()
    };
    // Devices schedule through their gateway.
    let Some(schedule) = request.schedule.filter(|schedule| schedule.by_backend) else {
        return refused((ErrorCode::InvalidArgument, 0));
    };
    let (app, from) = schedule.message.as_ref().map_or(("", ""), |message| (&message.app, &message.from));
    let handle = match led(shards, node, request.shard, app, from) {
        Ok((handle, _)) => handle,
        Err(refusal) => return refused(refusal),
    };
    match proposed(&handle, Command::ScheduleMessage(schedule)).await {
        Ok(Reply::Scheduled { id, at_ms, duplicate }) => {
            ScheduleResponse { id: Some(id), scheduled_at_ms: at_ms, duplicate, ..ScheduleResponse::default() }
        }
        Ok(_) => refused((ErrorCode::Internal, 0)),
        Err(refusal) => refused(refusal),
    }
}

/// A page of what one has scheduled.
pub async fn list(shards: &Shards, node: NodeId, request: ListScheduledRequest) -> ListScheduledResponse {
    let refused = |(code, leader): (ErrorCode, u64)| ListScheduledResponse {
        code: code.into(),
        leader_node: leader,
        ..ListScheduledResponse::default()
    };
    let ListScheduledRequest { shard, app, user, by_system, list } = request;
    let (handle, mailbox) = match led(shards, node, shard, &app, &user) {
        Ok(found) => found,
        Err(refusal) => return refused(refusal),
    };
    let of = Scheduler { mailbox, is_system: by_system };
    match seen(&handle, move |view| query::scheduled(view, &of, &list.unwrap_or_default())).await {
        Ok(scheduled) => ListScheduledResponse { scheduled: Some(scheduled), ..ListScheduledResponse::default() },
        Err(refusal) => refused(refusal),
    }
}

/// What became of something that was scheduled.
pub async fn get(shards: &Shards, node: NodeId, request: GetScheduledRequest) -> GetScheduledResponse {
    let refused = |(code, leader): (ErrorCode, u64)| GetScheduledResponse {
        code: code.into(),
        leader_node: leader,
        ..GetScheduledResponse::default()
    };
    let GetScheduledRequest { shard, app, user, by_system, id } = request;
    let (handle, mailbox) = match led(shards, node, shard, &app, &user) {
        Ok(found) => found,
        Err(refusal) => return refused(refusal),
    };
    let of = Scheduler { mailbox, is_system: by_system };
    match seen(&handle, move |view| query::whereabouts(view, &of, id.unwrap_or_default())).await {
        Ok(Some(Whereabouts::Waits(waits))) => {
            GetScheduledResponse { scheduled: Some(*waits), ..GetScheduledResponse::default() }
        }
        Ok(Some(Whereabouts::Ended(end))) => GetScheduledResponse { end: Some(end), ..GetScheduledResponse::default() },
        Ok(None) => refused((ErrorCode::NotFound, 0)),
        Err(refusal) => refused(refusal),
    }
}

/// Takes back what waits.
pub async fn cancel(shards: &Shards, node: NodeId, request: CancelScheduledRequest) -> CancelScheduledResponse {
    let refused = |(code, leader): (ErrorCode, u64)| CancelScheduledResponse { code: code.into(), leader_node: leader };
    let cancel = request.cancel.unwrap_or_default();
    let handle = match led(shards, node, request.shard, &cancel.app, &cancel.user) {
        Ok((handle, _)) => handle,
        Err(refusal) => return refused(refusal),
    };
    match proposed(&handle, Command::CancelScheduled(cancel)).await {
        Ok(Reply::ScheduledCancelled) => CancelScheduledResponse::default(),
        Ok(_) => refused((ErrorCode::Internal, 0)),
        Err(refusal) => refused(refusal),
    }
}
