//! Messages of backends that wait for their time: handed to the shard of their sender, listed, looked at and taken back
//! there.

use tidings_node::secret::random_text;
use tidings_proto::ErrorCode;
use tidings_proto::broker::v1::{
    CancelScheduledRequest, GetScheduledRequest, ListScheduledRequest, LocateInGroupRequest, ScheduleRequest,
};
use tidings_proto::client::v1::ListScheduled;
use tidings_proto::control::v1::{
    CancelScheduledMessageRequest, CancelScheduledMessageResponse, GetGroupMessageStatusRequest,
    GetScheduledMessageRequest, GroupMessageStatus, GroupReceiptTimes, ListScheduledMessagesRequest,
    ListScheduledMessagesResponse, ScheduledMessageStatus, SentMessage,
};
use tidings_proto::mailbox::v1::{AppendMessage, CancelScheduled, PostMessage, ScheduleEnd, ScheduleMessage};
use tidings_proto::message::v1::{MessageId, ReceiptRequest, ScheduleState, ScheduledMessage};
use tonic::Status;

use super::sending::{MessagesService, sender};
use super::{door, messages, page};
use crate::brokers::{self, Said};
use crate::registry::refusal::Refusal;

/// How far ahead a message may be scheduled: 365 days.
const AHEAD_MS: i64 = 365 * 24 * 3600 * 1000;

impl MessagesService {
    /// Lets a message wait for its time.
    pub(super) async fn schedule(&self, post: PostMessage, deliver_at_ms: i64) -> Result<SentMessage, Status> {
        if deliver_at_ms.saturating_sub(self.replica.clock().now_ms()) > AHEAD_MS {
            return Err(Refusal::invalid("deliver_at", "is more than 365 days ahead").into());
        }
        let PostMessage { message, request_id, to_group, by_system, in_full } = post;
        let message = message.unwrap_or_default();
        // Who is given a copy is told, nobody else is there; in a group everybody asks.
        let wants = in_full && (to_group || message.sender_retention_ms != 0);
        let receipts = if wants { ReceiptRequest::ReceiptsAll } else { ReceiptRequest::ReceiptsNone };
        let message = AppendMessage { receipts: receipts.into(), ..message };
        let shard = self.shard(&message.app, &message.from)?;
        let schedule = ScheduleMessage {
            message: Some(message),
            to_group,
            deliver_at_ms,
            by_backend: true,
            by_system,
            // A request without a name gets one, so that it can be repeated here.
            request_id: if request_id.is_empty() { random_text() } else { request_id },
        };
        let request = ScheduleRequest { shard, schedule: Some(schedule) };
        let scheduled = brokers::ask_leader(&self.replica, shard, |mut broker| {
            let request = request.clone();
            async move {
                let answer = broker.schedule(request).await?.into_inner();
                Ok(Said { code: answer.code, leader_node: answer.leader_node, answer })
            }
        });
        let scheduled = scheduled.await?;
        Ok(SentMessage {
            id: scheduled.id.unwrap_or_default().to_string(),
            sent_at: messages::at(scheduled.scheduled_at_ms),
            repeated: scheduled.duplicate,
            scheduled: true,
        })
    }

    pub(super) async fn list_scheduled(
        &self,
        app: String,
        request: ListScheduledMessagesRequest,
    ) -> Result<ListScheduledMessagesResponse, Status> {
        let ListScheduledMessagesRequest { from, page_size, page_token, .. } = request;
        let by_system = check_sender(&from)?;
        page::check_broker_size(page_size)?;
        let page = page::place_of(&page_token)?;
        let user = sender(from);
        let shard = self.shard(&app, &user)?;
        let list = Some(ListScheduled { page, limit: page_size });
        let request = ListScheduledRequest { shard, app, user, by_system, list };
        let listed = brokers::ask_leader(&self.replica, shard, |mut broker| {
            let request = request.clone();
            async move {
                let answer = broker.list_scheduled(request).await?.into_inner();
                Ok(Said { code: answer.code, leader_node: answer.leader_node, answer })
            }
        });
        let listed = listed.await?.scheduled.unwrap_or_default();
        Ok(ListScheduledMessagesResponse {
            messages: listed.messages.into_iter().map(waiting).collect(),
            next_page_token: page::token_of(&listed.next_page),
        })
    }

    pub(super) async fn get_scheduled(
        &self,
        app: String,
        request: GetScheduledMessageRequest,
    ) -> Result<ScheduledMessageStatus, Status> {
        let GetScheduledMessageRequest { id, from, .. } = request;
        let (by_system, parsed) = (check_sender(&from)?, parse_id(&id)?);
        let user = sender(from);
        let shard = self.shard(&app, &user)?;
        let request = GetScheduledRequest { shard, app, user, by_system, id: Some(parsed) };
        let found = brokers::ask_leader(&self.replica, shard, |mut broker| {
            let request = request.clone();
            async move {
                let answer = broker.get_scheduled(request).await?.into_inner();
                Ok(Said { code: answer.code, leader_node: answer.leader_node, answer })
            }
        });
        let found = found.await.map_err(not_waiting)?;
        Ok(match found.scheduled {
            Some(message) => waiting(message),
            None => ended(id, found.end.unwrap_or_default()),
        })
    }

    pub(super) async fn cancel_scheduled(
        &self,
        app: String,
        request: CancelScheduledMessageRequest,
    ) -> Result<CancelScheduledMessageResponse, Status> {
        let CancelScheduledMessageRequest { id, from, .. } = request;
        let (by_system, parsed) = (check_sender(&from)?, parse_id(&id)?);
        let user = sender(from);
        let shard = self.shard(&app, &user)?;
        let cancel = Some(CancelScheduled { app, user, by_system, id: Some(parsed) });
        let request = CancelScheduledRequest { shard, cancel };
        let cancelled = brokers::ask_leader(&self.replica, shard, |mut broker| {
            let request = request.clone();
            async move {
                let answer = broker.cancel_scheduled(request).await?.into_inner();
                Ok(Said { code: answer.code, leader_node: answer.leader_node, answer })
            }
        });
        cancelled.await.map_err(not_waiting)?;
        Ok(CancelScheduledMessageResponse {})
    }

    pub(super) async fn group_status(
        &self,
        app: String,
        request: GetGroupMessageStatusRequest,
    ) -> Result<GroupMessageStatus, Status> {
        let GetGroupMessageStatusRequest { group, id, request_id, from, .. } = request;
        door::groups::group_id("group", &group)?;
        check_sender(&from)?;
        door::label("request_id", &request_id)?;
        let parsed = match (id.is_empty(), request_id.is_empty()) {
            (false, true) => Some(parse_id(&id)?),
            (true, false) => None,
            _ => return Err(Refusal::invalid("id", "or request_id names the message, one of them").into()),
        };
        self.check_group(&app, &group).await?;
        let shard = self.shard(&app, &group)?;
        let request = LocateInGroupRequest { shard, app, group, from: sender(from), id: parsed, request_id };
        let located = brokers::ask_leader(&self.replica, shard, |mut broker| {
            let request = request.clone();
            async move {
                let answer = broker.locate_in_group(request).await?.into_inner();
                Ok(Said { code: answer.code, leader_node: answer.leader_node, answer })
            }
        });
        let located = located.await.map_err(|status| match ErrorCode::of_status(&status) {
            ErrorCode::NotFound => ErrorCode::NotFound.status("the group knows no such message"),
            ErrorCode::FailedPrecondition => ErrorCode::FailedPrecondition
                .status("of this message it is not known: of a hunt group, or of more than 1,000 members and not kept"),
            _ => status,
        })?;
        let receipts = located.receipts.unwrap_or_default();
        let times = receipts.times.into_iter().map(|one| GroupReceiptTimes {
            user: one.user,
            delivered_at: messages::unless_zero(one.delivered_at_ms),
            read_at: messages::unless_zero(one.read_at_ms),
        });
        Ok(GroupMessageStatus {
            id: located.id.unwrap_or_default().to_string(),
            group_seq: located.group_seq,
            members: receipts.members,
            delivered: receipts.delivered,
            read: receipts.read,
            delivered_to: receipts.delivered_to,
            read_by: receipts.read_by,
            times: times.collect(),
        })
    }
}

fn not_waiting(status: Status) -> Status {
    match ErrorCode::of_status(&status) {
        ErrorCode::NotFound => ErrorCode::NotFound.status("no such message of the sender waits"),
        _ => status,
    }
}

/// Whether it is the system.
fn check_sender(from: &str) -> Result<bool, Status> {
    if from.is_empty() {
        return Ok(true);
    }
    door::user_id("from", from)?;
    Ok(false)
}

fn parse_id(id: &str) -> Result<MessageId, Status> {
    Ok(id.parse().map_err(|error| Refusal::invalid("id", error))?)
}

fn waiting(message: ScheduledMessage) -> ScheduledMessageStatus {
    ScheduledMessageStatus {
        id: message.id.unwrap_or_default().to_string(),
        state: ScheduleState::Pending.into(),
        to: message.to,
        group: message.group,
        content: message.content,
        deliver_at: messages::at(message.deliver_at_ms),
        scheduled_at: messages::at(message.scheduled_at_ms),
        ..ScheduledMessageStatus::default()
    }
}

fn ended(id: String, end: ScheduleEnd) -> ScheduledMessageStatus {
    ScheduledMessageStatus {
        id,
        state: end.state,
        message_id: end.message.map(|id| id.to_string()).unwrap_or_default(),
        reason: end.reason,
        ended_at: messages::at(end.at_ms),
        ..ScheduledMessageStatus::default()
    }
}
