//! `tidings.control.v1.Messages`.

use std::sync::Arc;

use prost::Message as _;
use tidings_limits::{LimitOf, Limits, Rates, Verdict};
use tidings_node::secret::random_text;
use tidings_proto::broker::v1::{LocateRequest, LocateResponse, PostRequest};
use tidings_proto::control::v1::messages_server::Messages;
use tidings_proto::control::v1::{
    CancelScheduledMessageRequest, CancelScheduledMessageResponse, GetGroupMessageStatusRequest,
    GetMessageStatusRequest, GetScheduledMessageRequest, GroupMessageStatus, ListScheduledMessagesRequest,
    ListScheduledMessagesResponse, MessageStatus, ScheduledMessageStatus, SendMessageRequest, SentMessage,
};
use tidings_proto::effective_policy::DEFAULT_POLICY;
use tidings_proto::mailbox::v1::{AppendMessage, PostMessage};
use tidings_proto::message::v1::{MessageId, MessageState};
use tidings_proto::registry::v1::GroupRecord;
use tidings_proto::{EffectivePolicy, ErrorCode, Towards};
use tonic::{Request, Response, Status};

use super::auth::Scope;
use super::group_messages::ms;
use super::{answer, door, messages};
use crate::brokers::{self, Said};
use crate::registry::refusal::Refusal;
use crate::registry::{cluster, groups, policies, users};
use crate::replica::Replica;

/// Bytes of a content, encoded, at most.
pub const MAX_CONTENT_BYTES: usize = 64 * 1024;
/// Bytes of a request, at most: a content with what stands around it.
pub const MAX_POST_BYTES: usize = MAX_CONTENT_BYTES + 4096;
/// Who the system is to the recipient. Names of users are the backend's to give, so that nobody else can be it.
pub const SYSTEM: &str = "system";

/// Messages, for backends.
#[derive(Clone)]
pub struct MessagesService {
    pub(super) replica: Replica,
    limits: Arc<Limits>,
    /// No history keeps a message for longer.
    history_seconds: u64,
}

impl MessagesService {
    /// Of this node's registry; `limits` count what is sent as users.
    pub fn new(replica: Replica, limits: Arc<Limits>, history_seconds: u32) -> Self {
        Self { replica, limits, history_seconds: history_seconds.into() }
    }

    /// What a user goes by. Looks for the user here, and for one who is not here yet, at the leader; none: there is
    /// none.
    async fn policy_of(&self, app: &str, user: &str) -> Result<Option<EffectivePolicy>, Status> {
        let recent = self.replica.recent()?;
        let found = match users::find(&recent, app, user)? {
            Some(found) => Some(found),
            None => users::find(&self.replica.current().await?, app, user)?,
        };
        let Some(found) = found else { return Ok(None) };
        let policy = policies::get_or_default(&self.replica.view(), app, &found.policy)?;
        Ok(Some(EffectivePolicy::from(&policy)))
    }

    /// What the recipient goes by, who has to be there.
    async fn recipient(&self, app: &str, user: &str) -> Result<EffectivePolicy, Status> {
        let unknown = || ErrorCode::RecipientUnknown.status(format!("to: there is no user {user:?} in app {app:?}"));
        self.policy_of(app, user).await?.ok_or_else(unknown)
    }

    /// The group has to be there.
    pub(super) async fn check_group(&self, app: &str, group: &str) -> Result<(), Status> {
        let is_there = |found: Option<GroupRecord>| found.is_some_and(|record| !record.deleting);
        if is_there(groups::stored(&self.replica.recent()?, app, group)?)
            || is_there(groups::stored(&self.replica.current().await?, app, group)?)
        {
            return Ok(());
        }
        Err(Refusal::not_found(format!("group {group:?} in app {app:?}")).into())
    }

    /// Where a user or a group is at home.
    pub(super) fn shard(&self, app: &str, id: &str) -> Result<u32, Status> {
        Ok(cluster::shard_of(&self.replica.view(), app, id)?)
    }

    /// A group's home may have yet to hear what the registry has: then it is asked again.
    fn is_behind(&self, said: ErrorCode, append: &AppendMessage, by_system: bool) -> bool {
        let view = self.replica.view();
        let is_member = || matches!(groups::member(&view, &append.app, &append.to, &append.from), Ok(Some(_)));
        said == ErrorCode::NotAMember && (by_system || is_member())
    }

    async fn send(&self, app: String, request: SendMessageRequest) -> Result<SentMessage, Status> {
        let SendMessageRequest {
            from, to, group, content, ttl_ms, request_id, deliver_at, receipts, disappears, ..
        } = request;
        let to_group = !group.is_empty();
        match to_group {
            true if !to.is_empty() => return Err(Refusal::invalid("group", "is one recipient, and to another").into()),
            true => door::groups::group_id("group", &group)?,
            false => door::user_id("to", &to)?,
        }
        door::label("request_id", &request_id)?;
        let in_full = door::receipts("receipts", receipts)?;
        disappears.as_ref().map_or(Ok(()), |disappears| door::disappears("disappears", disappears))?;
        let deliver_at_ms = ms("deliver_at", deliver_at)?;
        if ttl_ms == Some(0) {
            if deliver_at_ms != 0 || disappears.is_some() {
                return Err(Refusal::invalid("ttl_ms", "is 0, of what neither waits nor disappears").into());
            }
            self.replica.admit_brokers(cluster::BROKERS_THAT_HAND_OUT).await?;
        }
        let content = content.ok_or_else(|| Refusal::invalid("content", "is missing"))?;
        door::content("content", &content)?;
        let content = content.encode_to_vec();
        if content.len() > MAX_CONTENT_BYTES {
            let message = format!("content: has {} bytes, more than {MAX_CONTENT_BYTES}", content.len());
            return Err(ErrorCode::TooLarge.status(message));
        }
        let recipient = if to_group {
            self.check_group(&app, &group).await?;
            None
        } else {
            Some(self.recipient(&app, &to).await?)
        };
        let by_system = from.is_empty();
        let policy = if by_system {
            EffectivePolicy::from(&policies::get(&self.replica.view(), &app, DEFAULT_POLICY)?)
        } else {
            door::user_id("from", &from)?;
            let policy = self.policy_of(&app, &from).await?;
            let policy = policy.ok_or_else(|| Refusal::not_found(format!("user {from:?} in app {app:?}")))?;
            permit(&policy, Towards::of(&from, &to, &group), content.len())?;
            policy
        };
        // A group's history is as long as its senders' policies say, the system's as the app's default; a user's as the
        // user's own.
        let kept_ms = |policy: &EffectivePolicy| policy.history_seconds.min(self.history_seconds).saturating_mul(1000);
        if !by_system {
            self.count(&app, &from, &policy).await?;
        }
        let has_own_history = !by_system && !to_group;
        let large_beyond = if to_group { self.large_group_members(&app)? } else { 0 };
        let append = AppendMessage {
            app,
            to: if to_group { group } else { to },
            from: sender(from),
            ttl_ms,
            disappears,
            content: content.into(),
            receipts: recipient.as_ref().map_or(0, |recipient| recipient.receipts_of(receipts)),
            inbox_limit: recipient.as_ref().map_or(0, |recipient| recipient.inbox_entries),
            retention_ms: kept_ms(recipient.as_ref().unwrap_or(&policy)),
            sender_retention_ms: if has_own_history { kept_ms(&policy) } else { 0 },
            large_beyond,
            audience: policy.restriction(by_system || to_group).into(),
            ..AppendMessage::default()
        };
        let post = PostMessage { message: Some(append), request_id, to_group, by_system, in_full };
        // The way to the leader takes much room: only while it is gone.
        match deliver_at_ms {
            0 => Box::pin(self.post(post)).await,
            at_ms => Box::pin(self.schedule(post, at_ms)).await,
        }
    }

    /// Counts a message in the limits of the user in whose name it is sent, and of the app.
    async fn count(&self, app: &str, user: &str, policy: &EffectivePolicy) -> Result<(), Status> {
        let of_app = EffectivePolicy::from(&policies::get_or_default(&self.replica.view(), app, DEFAULT_POLICY)?);
        let rates = Rates { user: Arc::new(policy.clone()), app: Arc::new(of_app) };
        let meters = self.limits.meters(app, user);
        let limited = match self.limits.take(&meters, &rates) {
            Verdict::Taken => return Ok(()),
            Verdict::Limited(limited) => limited,
            Verdict::Ask => match self.limits.ask(&meters, &rates).await {
                Ok(()) => return Ok(()),
                Err(limited) => limited,
            },
        };
        let message = match limited.of {
            LimitOf::User => "from: more messages than the user may send",
            LimitOf::App => "more messages than the app may send",
        };
        Err(ErrorCode::RateLimited.status_after(message, limited.wait))
    }

    fn large_group_members(&self, app: &str) -> Result<u32, Status> {
        let policy = policies::get_or_default(&self.replica.view(), app, DEFAULT_POLICY)?;
        Ok(EffectivePolicy::from(&policy).large_group_members)
    }

    async fn post(&self, mut post: PostMessage) -> Result<SentMessage, Status> {
        // A request without a name gets one, so that it can be repeated here.
        if post.request_id.is_empty() {
            post.request_id = random_text();
        }
        let append = post.message.clone().unwrap_or_default();
        let by_system = post.by_system;
        let shard = self.shard(&append.app, &append.to)?;
        let post = PostRequest { shard, post: Some(post) };
        let posted = brokers::ask_leader(&self.replica, shard, |mut broker| {
            let (post, append) = (post.clone(), &append);
            async move {
                let answer = broker.post(post).await?.into_inner();
                let is_behind = self.is_behind(answer.code(), append, by_system);
                let code = if is_behind { ErrorCode::Unavailable.into() } else { answer.code };
                Ok(Said { code, leader_node: answer.leader_node, answer })
            }
        });
        let posted = posted.await?;
        let id = posted.id.map(|id| id.to_string()).unwrap_or_default();
        let (sent_at, repeated) = (messages::at(posted.sent_at_ms), posted.duplicate);
        Ok(SentMessage { id, sent_at, repeated, scheduled: false })
    }

    async fn status(&self, app: String, request: GetMessageStatusRequest) -> Result<MessageStatus, Status> {
        let GetMessageStatusRequest { to, id, from, .. } = request;
        door::user_id("to", &to)?;
        let parsed: MessageId = id.parse().map_err(|error| Refusal::invalid("id", error))?;
        if !from.is_empty() {
            door::user_id("from", &from)?;
        }
        self.recipient(&app, &to).await?;
        let shard = self.shard(&app, &to)?;
        let locate = LocateRequest { shard, app, to, from: sender(from), id: Some(parsed), by_sender: false };
        let located = self.locate(locate.clone()).await?;
        let told = if located.state() == MessageState::Waiting || locate.from == SYSTEM {
            None
        } else {
            // Brokers of before, and senders without a history, know nothing of it.
            let shard = self.shard(&locate.app, &locate.from)?;
            self.locate(LocateRequest { shard, by_sender: true, ..locate }).await.ok()
        };
        let told = told.unwrap_or_default();
        let (delivered_at, read_at) =
            (messages::unless_zero(told.delivered_at_ms), messages::unless_zero(told.read_at_ms));
        let state = if located.state() == MessageState::Ended && told.state != 0 { told.state } else { located.state };
        Ok(MessageStatus { id, state, delivered_at, read_at })
    }

    async fn locate(&self, locate: LocateRequest) -> Result<LocateResponse, Status> {
        brokers::ask_leader(&self.replica, locate.shard, |mut broker| {
            let locate = locate.clone();
            async move {
                let answer = broker.locate(locate).await?.into_inner();
                Ok(Said { code: answer.code, leader_node: answer.leader_node, answer })
            }
        })
        .await
    }
}

/// Whether whoever goes by `policy` may send this.
fn permit(policy: &EffectivePolicy, towards: Towards, content_bytes: usize) -> Result<(), Status> {
    let (code, message) = if let Err((code, reason)) = policy.may_write(towards) {
        (code, format!("from: {reason}"))
    } else if content_bytes > policy.max_message_bytes as usize {
        let most = policy.max_message_bytes;
        (ErrorCode::TooLarge, format!("content: has {content_bytes} bytes, more than the user's {most}"))
    } else {
        return Ok(());
    };
    Err(code.status(message))
}

pub(super) fn sender(from: String) -> String {
    if from.is_empty() { SYSTEM.to_owned() } else { from }
}

#[tonic::async_trait]
impl Messages for MessagesService {
    async fn send_message(&self, request: Request<SendMessageRequest>) -> Result<Response<SentMessage>, Status> {
        answer("SendMessage", async {
            let app = Scope::of(&self.replica, request.metadata())?.app(&request.get_ref().app)?;
            self.send(app, request.into_inner()).await
        })
        .await
    }

    async fn get_message_status(
        &self,
        request: Request<GetMessageStatusRequest>,
    ) -> Result<Response<MessageStatus>, Status> {
        answer("GetMessageStatus", async {
            let app = Scope::of(&self.replica, request.metadata())?.app(&request.get_ref().app)?;
            self.status(app, request.into_inner()).await
        })
        .await
    }

    async fn get_group_message_status(
        &self,
        request: Request<GetGroupMessageStatusRequest>,
    ) -> Result<Response<GroupMessageStatus>, Status> {
        answer("GetGroupMessageStatus", async {
            let app = Scope::of(&self.replica, request.metadata())?.app(&request.get_ref().app)?;
            self.group_status(app, request.into_inner()).await
        })
        .await
    }

    async fn list_scheduled_messages(
        &self,
        request: Request<ListScheduledMessagesRequest>,
    ) -> Result<Response<ListScheduledMessagesResponse>, Status> {
        answer("ListScheduledMessages", async {
            let app = Scope::of(&self.replica, request.metadata())?.app(&request.get_ref().app)?;
            self.list_scheduled(app, request.into_inner()).await
        })
        .await
    }

    async fn get_scheduled_message(
        &self,
        request: Request<GetScheduledMessageRequest>,
    ) -> Result<Response<ScheduledMessageStatus>, Status> {
        answer("GetScheduledMessage", async {
            let app = Scope::of(&self.replica, request.metadata())?.app(&request.get_ref().app)?;
            self.get_scheduled(app, request.into_inner()).await
        })
        .await
    }

    async fn cancel_scheduled_message(
        &self,
        request: Request<CancelScheduledMessageRequest>,
    ) -> Result<Response<CancelScheduledMessageResponse>, Status> {
        answer("CancelScheduledMessage", async {
            let app = Scope::of(&self.replica, request.metadata())?.app(&request.get_ref().app)?;
            self.cancel_scheduled(app, request.into_inner()).await
        })
        .await
    }
}
