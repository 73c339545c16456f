//! What backends look at: what a user would be answered, and whether users are online; and what they set for a user.

use tidings_consensus::NodeId;
use tidings_proto::ErrorCode;
use tidings_proto::broker::v1::{AskRequest, AskResponse, GetPresenceRequest, GetPresenceResponse};
use tidings_proto::client::v1::{self as client, UserPresence};
use tokio::sync::oneshot;

use super::led;
use crate::core::MailboxId;
use crate::link::LinkContext;
use crate::link::requests::{self, Refusal, group_of};
use crate::shard;
use crate::shard::presence::UserState;
use crate::shards::Shards;

/// Users who are asked for at a time.
const MAX_USERS: usize = 256;

/// Answers a question as if the user had asked it.
pub async fn ask(context: &LinkContext, asked: AskRequest) -> AskResponse {
    let refused = |(code, leader): (ErrorCode, u64)| AskResponse {
        code: code.into(),
        leader_node: leader,
        ..AskResponse::default()
    };
    let AskRequest { shard, app, user, request } = asked;
    let request = request.unwrap_or_default();
    let answered_by = group_of(&request).unwrap_or(&user);
    let handle = match led(&context.shards, context.node, shard, &app, answered_by) {
        Ok((handle, _)) => handle,
        Err(refusal) => return refused(refusal),
    };
    let (Some(mailbox), Some(request)) = (MailboxId::new(&app, &user), request.request.filter(is_for_backends)) else {
        return refused((ErrorCode::InvalidArgument, 0));
    };
    // The places of what users ask.
    let Ok(_place) = context.requests.try_acquire() else { return refused((ErrorCode::Overloaded, 0)) };
    match requests::ask(context, &handle, mailbox, None, request).await {
        Ok(response) => {
            let response = client::Response { response: Some(response), ..client::Response::default() };
            AskResponse { response: Some(response), ..AskResponse::default() }
        }
        Err(Refusal { code, leader_node }) => refused((code, leader_node)),
    }
}

fn is_for_backends(request: &client::request::Request) -> bool {
    use client::request::Request;
    matches!(
        request,
        Request::GetHistory(_) | Request::ListConversations(_) | Request::Search(_) | Request::UpdateConversation(_)
    )
}

/// Whether users of a shard are online, if this node leads it.
pub async fn presence(shards: &Shards, node: NodeId, asked: GetPresenceRequest) -> GetPresenceResponse {
    let refused = |(code, leader): (ErrorCode, u64)| GetPresenceResponse {
        code: code.into(),
        leader_node: leader,
        ..GetPresenceResponse::default()
    };
    let GetPresenceRequest { shard, app, users } = asked;
    if users.len() > MAX_USERS {
        return refused((ErrorCode::InvalidArgument, 0));
    }
    let mut mailboxes = Vec::with_capacity(users.len());
    let mut leader = None;
    for user in &users {
        match led(shards, node, shard, &app, user) {
            Ok((handle, mailbox)) => {
                mailboxes.push(mailbox);
                leader = Some(handle);
            }
            Err(refusal) => return refused(refusal),
        }
    }
    let Some(handle) = leader else { return GetPresenceResponse::default() };
    let (answer, answered) = oneshot::channel();
    if handle.requests.try_send(shard::Request::GetPresence { users: mailboxes, answer }).is_err() {
        return refused((ErrorCode::Overloaded, 0));
    }
    match answered.await {
        Ok(states) => {
            let unknown = |user: &String| UserPresence { user: user.clone(), ..UserPresence::default() };
            let told = |(user, state): (&String, Option<UserState>)| {
                state.map_or_else(|| unknown(user), |state| state.told(user))
            };
            GetPresenceResponse {
                users: users.iter().zip(states).map(told).collect(),
                ..GetPresenceResponse::default()
            }
        }
        Err(_) => refused((ErrorCode::NotLeader, 0)),
    }
}
