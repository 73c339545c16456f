//! `tidings.control.v1.Messages`.

use prost::Message as _;
use tidings_node::secret::random_text;
use tidings_proto::broker::v1::{LocateRequest, PostRequest};
use tidings_proto::control::v1::messages_server::Messages;
use tidings_proto::control::v1::{GetMessageStatusRequest, MessageStatus, SendMessageRequest, SentMessage};
use tidings_proto::effective_policy::DEFAULT_POLICY;
use tidings_proto::mailbox::v1::{AppendMessage, PostMessage};
use tidings_proto::message::v1::MessageId;
use tidings_proto::policy::v1::Audience;
use tidings_proto::registry::v1::GroupRecord;
use tidings_proto::shard::shard_of;
use tidings_proto::{EffectivePolicy, ErrorCode};
use tonic::{Request, Response, Status};

use super::auth::Scope;
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
    replica: Replica,
}

impl MessagesService {
    /// Of this node's registry.
    pub fn new(replica: Replica) -> Self {
        Self { replica }
    }

    /// What a user goes by. Looks for the user here, and for one who is not here yet, at the leader; none: there is none.
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
    async fn check_group(&self, app: &str, group: &str) -> Result<(), Status> {
        let is_there = |found: Option<GroupRecord>| found.is_some_and(|record| !record.deleting);
        if is_there(groups::stored(&self.replica.recent()?, app, group)?)
            || is_there(groups::stored(&self.replica.current().await?, app, group)?)
        {
            return Ok(());
        }
        Err(Refusal::not_found(format!("group {group:?} in app {app:?}")).into())
    }

    /// Where a user or a group is at home.
    fn shard(&self, app: &str, id: &str) -> Result<u32, Status> {
        let settings = cluster::settings(&self.replica.view())?;
        let settings = settings.ok_or_else(|| ErrorCode::Unavailable.status("the cluster is being founded"))?;
        Ok(shard_of(app, id, settings.shards))
    }

    /// A group's home may have yet to hear what the registry has: then it is asked again.
    fn is_behind(&self, said: ErrorCode, append: &AppendMessage, by_system: bool) -> bool {
        let view = self.replica.view();
        let is_member = || matches!(groups::member(&view, &append.app, &append.to, &append.from), Ok(Some(_)));
        said == ErrorCode::NotAMember && (by_system || is_member())
    }

    async fn send(&self, app: String, request: SendMessageRequest) -> Result<SentMessage, Status> {
        let SendMessageRequest { from, to, group, content, ttl_ms, request_id, .. } = request;
        let to_group = !group.is_empty();
        match to_group {
            true if !to.is_empty() => return Err(Refusal::invalid("group", "is one recipient, and to another").into()),
            true => door::groups::group_id("group", &group)?,
            false => door::user_id("to", &to)?,
        }
        door::label("request_id", &request_id)?;
        if ttl_ms == Some(0) {
            return Err(Refusal::invalid("ttl_ms", "must be 1 or more").into());
        }
        let content = content.ok_or_else(|| Refusal::invalid("content", "is missing"))?.encode_to_vec();
        if content.len() > MAX_CONTENT_BYTES {
            let message = format!("content: has {} bytes, more than {MAX_CONTENT_BYTES}", content.len());
            return Err(ErrorCode::TooLarge.status(message));
        }
        let inbox_limit = if to_group {
            self.check_group(&app, &group).await?;
            0
        } else {
            self.recipient(&app, &to).await?.inbox_entries
        };
        let by_system = from.is_empty();
        let policy = if by_system {
            EffectivePolicy::from(&policies::get(&self.replica.view(), &app, DEFAULT_POLICY)?)
        } else {
            door::user_id("from", &from)?;
            let policy = self.policy_of(&app, &from).await?;
            let policy = policy.ok_or_else(|| Refusal::not_found(format!("user {from:?} in app {app:?}")))?;
            permit(&policy, to_group, content.len())?;
            policy
        };
        // A group's history is as long as its senders' policies say; the system's is that of the app's default.
        let retention_ms = if to_group { policy.history_seconds.saturating_mul(1000) } else { 0 };
        let large_beyond = if to_group { self.large_group_members(&app)? } else { 0 };
        let (to, from, content) = (if to_group { group } else { to }, sender(from), content.into());
        let append = AppendMessage {
            app,
            to,
            from,
            ttl_ms,
            content,
            inbox_limit,
            retention_ms,
            large_beyond,
            ..Default::default()
        };
        // The way to the leader takes much room: only while it is gone.
        Box::pin(self.post(PostMessage { message: Some(append), request_id, to_group, by_system })).await
    }

    fn large_group_members(&self, app: &str) -> Result<u32, Status> {
        let policy = policies::get(&self.replica.view(), app, DEFAULT_POLICY)?;
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
        let id = posted.id.unwrap_or_default().to_string();
        Ok(SentMessage { id, sent_at: messages::at(posted.sent_at_ms), repeated: posted.duplicate })
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
        let locate = LocateRequest { shard, app, to, from: sender(from), id: Some(parsed) };
        let located = brokers::ask_leader(&self.replica, shard, |mut broker| {
            let locate = locate.clone();
            async move {
                let answer = broker.locate(locate).await?.into_inner();
                Ok(Said { code: answer.code, leader_node: answer.leader_node, answer })
            }
        });
        Ok(MessageStatus { id, state: located.await?.state })
    }
}

/// Whether whoever goes by `policy` may send this.
fn permit(policy: &EffectivePolicy, to_group: bool, content_bytes: usize) -> Result<(), Status> {
    let (code, message) = if !policy.messages || (to_group && !policy.groups) {
        (ErrorCode::FeatureOff, "from: this is switched off for the user".to_owned())
    } else if policy.audience == Audience::Nobody {
        (ErrorCode::RefusedByPolicy, "from: the user may send to nobody".to_owned())
    } else if content_bytes > policy.max_message_bytes as usize {
        let most = policy.max_message_bytes;
        (ErrorCode::TooLarge, format!("content: has {content_bytes} bytes, more than the user's {most}"))
    } else {
        return Ok(());
    };
    Err(code.status(message))
}

fn sender(from: String) -> String {
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
}
