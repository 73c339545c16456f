//! `tidings.control.v1.Messages`.

use prost::Message as _;
use tidings_node::secret::random_text;
use tidings_proto::ErrorCode;
use tidings_proto::broker::v1::{LocateRequest, PostRequest};
use tidings_proto::control::v1::messages_server::Messages;
use tidings_proto::control::v1::{GetMessageStatusRequest, MessageStatus, SendMessageRequest, SentMessage};
use tidings_proto::mailbox::v1::{AppendMessage, PostMessage};
use tidings_proto::message::v1::MessageId;
use tidings_proto::shard::shard_of;
use tonic::{Request, Response, Status};

use super::auth::Scope;
use super::{answer, door, messages};
use crate::brokers::{self, Said};
use crate::registry::refusal::Refusal;
use crate::registry::{cluster, users};
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

    /// Looks for a user here, and for one who is not here yet, at the leader.
    async fn exists(&self, app: &str, user: &str) -> Result<bool, Status> {
        let is_known = users::find(&self.replica.recent()?, app, user)?.is_some();
        Ok(is_known || users::find(&self.replica.current().await?, app, user)?.is_some())
    }

    /// The shard of a recipient, who has to be there.
    async fn shard(&self, app: &str, user: &str) -> Result<u32, Status> {
        if !self.exists(app, user).await? {
            return Err(ErrorCode::RecipientUnknown.status(format!("to: there is no user {user:?} in app {app:?}")));
        }
        let settings = cluster::settings(&self.replica.view())?;
        let settings = settings.ok_or_else(|| ErrorCode::Unavailable.status("the cluster is being founded"))?;
        Ok(shard_of(app, user, settings.shards))
    }

    async fn send(&self, app: String, request: SendMessageRequest) -> Result<SentMessage, Status> {
        let SendMessageRequest { from, to, content, ttl_ms, request_id, .. } = request;
        door::user_id("to", &to)?;
        door::label("request_id", &request_id)?;
        if ttl_ms == Some(0) {
            return Err(Refusal::invalid("ttl_ms", "must be 1 or more").into());
        }
        let content = content.ok_or_else(|| Refusal::invalid("content", "is missing"))?.encode_to_vec();
        if content.len() > MAX_CONTENT_BYTES {
            let message = format!("content: has {} bytes, more than {MAX_CONTENT_BYTES}", content.len());
            return Err(ErrorCode::TooLarge.status(message));
        }
        let shard = self.shard(&app, &to).await?;
        if !from.is_empty() {
            door::user_id("from", &from)?;
            if !self.exists(&app, &from).await? {
                return Err(Refusal::not_found(format!("user {from:?} in app {app:?}")).into());
            }
        }
        let append =
            AppendMessage { app, to, from: sender(from), ttl_ms, content: content.into(), ..AppendMessage::default() };
        // A request without a name gets one, so that it can be repeated here.
        let request_id = if request_id.is_empty() { random_text() } else { request_id };
        let post = PostRequest { shard, post: Some(PostMessage { message: Some(append), request_id }) };
        let posted = brokers::ask_leader(&self.replica, shard, |mut broker| {
            let post = post.clone();
            async move {
                let answer = broker.post(post).await?.into_inner();
                Ok(Said { code: answer.code, leader_node: answer.leader_node, answer })
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
        let shard = self.shard(&app, &to).await?;
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
