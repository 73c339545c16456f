//! `tidings.control.v1.Mailboxes`: what users can see. The leaders of their shards answer, as they answer the users.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use tidings_proto::ErrorCode;
use tidings_proto::broker::v1::{self as broker, AskRequest};
use tidings_proto::client::v1::{
    self as client, FoundMessage, GetHistory, HistoryMessage, ListConversations, Search, request, response,
};
use tidings_proto::control::v1::mailboxes_server::Mailboxes;
use tidings_proto::control::v1::{
    GetPresenceRequest, GetPresenceResponse, ListConversationsRequest, ListConversationsResponse, ListHistoryRequest,
    ListHistoryResponse, SearchMessagesRequest, SearchMessagesResponse, StoredMessage, UpdateConversationRequest,
    UserPresence,
};
use tidings_proto::message::v1::Conversation;
use tonic::{Request, Response, Status};

use super::auth::Scope;
use super::{answer, door, messages, page};
use crate::brokers::{self, Said};
use crate::registry::refusal::Refusal;
use crate::registry::{cluster, users};
use crate::replica::Replica;

/// Users whose presence is asked for at a time.
const MAX_USERS: usize = 200;

/// Mailboxes, for backends. Cheap to clone.
#[derive(Clone)]
pub struct MailboxesService(pub Replica);

impl MailboxesService {
    async fn conversations(
        &self,
        app: String,
        request: ListConversationsRequest,
    ) -> Result<ListConversationsResponse, Status> {
        let ListConversationsRequest { user, page_size, page_token, .. } = request;
        page::check_broker_size(page_size)?;
        let list = ListConversations { page: page::place_of(&page_token)?, limit: page_size };
        let response = self.ask(app, user, None, request::Request::ListConversations(list)).await?;
        let response::Response::Conversations(listed) = response else { return Err(another()) };
        let next_page_token = page::token_of(&listed.next_page);
        Ok(ListConversationsResponse { conversations: listed.conversations, next_page_token })
    }

    async fn update(&self, app: String, request: UpdateConversationRequest) -> Result<Conversation, Status> {
        let update = request.update.ok_or_else(|| Refusal::invalid("update", "is missing"))?;
        match (update.with.is_empty(), update.group.is_empty()) {
            (false, true) => door::user_id("update.with", &update.with)?,
            (true, false) => door::groups::group_id("update.group", &update.group)?,
            _ => return Err(Refusal::invalid("update.with", "or group names the conversation, one of them").into()),
        }
        if !update.group.is_empty() && (update.blocks.is_some() || update.contact.is_some()) {
            return Err(Refusal::invalid("update", "sets blocks or contact, which a group has not").into());
        }
        // Those of an earlier release set nothing for backends.
        self.0.admit_brokers(cluster::BROKERS_WITH_CONTACTS).await?;
        if update.contact == Some(true) {
            self.check_user(&app, &update.with).await?;
        }
        let asked = self.ask(app, request.user, None, request::Request::UpdateConversation(update)).await;
        let response = asked.map_err(|status| match ErrorCode::of_status(&status) {
            ErrorCode::InboxFull => {
                ErrorCode::InboxFull.status("update: the user has as many contacts, blocks or conversations as may be")
            }
            _ => status,
        })?;
        let response::Response::Conversation(conversation) = response else { return Err(another()) };
        Ok(conversation)
    }

    async fn history(&self, app: String, request: ListHistoryRequest) -> Result<ListHistoryResponse, Status> {
        let ListHistoryRequest { user, with, group, before, after, page_size, .. } = request;
        page::check_broker_size(page_size)?;
        match (with.is_empty(), group.is_empty()) {
            (false, true) => door::user_id("with", &with)?,
            (true, false) => door::groups::group_id("group", &group)?,
            _ => return Err(Refusal::invalid("with", "or group names the conversation, one of them").into()),
        }
        let get = GetHistory { with: with.clone(), group: group.clone(), before, after, limit: page_size };
        let home = Some(group.clone()).filter(|group| !group.is_empty());
        let response = self.ask(app, user, home, request::Request::GetHistory(get)).await?;
        let response::Response::History(read) = response else { return Err(another()) };
        let stored = |HistoryMessage { place, message, state, delivered_at_ms, read_at_ms }| {
            let (delivered_at, read_at) = (messages::unless_zero(delivered_at_ms), messages::unless_zero(read_at_ms));
            let found = FoundMessage { with: with.clone(), group: group.clone(), place, message };
            StoredMessage { state, delivered_at, read_at, ..stored(found) }
        };
        Ok(ListHistoryResponse { messages: read.messages.into_iter().map(stored).collect(), more: read.more })
    }

    async fn search(&self, app: String, request: SearchMessagesRequest) -> Result<SearchMessagesResponse, Status> {
        let SearchMessagesRequest { user, text, with, group, page_size, page_token, .. } = request;
        page::check_broker_size(page_size)?;
        match (with.is_empty(), group.is_empty()) {
            (true, true) => {}
            (false, true) => door::user_id("with", &with)?,
            (true, false) => door::groups::group_id("group", &group)?,
            (false, false) => return Err(Refusal::invalid("group", "is searched alone, or with is").into()),
        }
        let home = Some(group.clone()).filter(|group| !group.is_empty());
        let search = Search { text, with, group, page: page::place_of(&page_token)?, limit: page_size };
        let found = self.ask(app, user, home, request::Request::Search(search)).await.map_err(|status| {
            match ErrorCode::of_status(&status) {
                // Everything else was looked at before.
                ErrorCode::InvalidArgument => {
                    Refusal::invalid("text", "must have 1 to 8 words and 1 to 256 bytes").into()
                }
                _ => status,
            }
        })?;
        let response::Response::Found(found) = found else { return Err(another()) };
        let next_page_token = page::token_of(&found.next_page);
        Ok(SearchMessagesResponse { messages: found.messages.into_iter().map(stored).collect(), next_page_token })
    }

    /// Asks for a user, who has to be there: the leader of the user's shard, or of a group's home.
    async fn ask(
        &self,
        app: String,
        user: String,
        group: Option<String>,
        request: request::Request,
    ) -> Result<response::Response, Status> {
        door::user_id("user", &user)?;
        self.check_user(&app, &user).await?;
        let shard = cluster::shard_of(&self.0.view(), &app, group.as_deref().unwrap_or(&user))?;
        let request = Some(client::Request { request: Some(request), ..client::Request::default() });
        let asked = AskRequest { shard, app, user, request };
        let answered = brokers::ask_leader(&self.0, shard, |mut broker| {
            let asked = asked.clone();
            async move {
                let answer = broker.ask(asked).await?.into_inner();
                Ok(Said { code: answer.code, leader_node: answer.leader_node, answer })
            }
        });
        let answered = answered.await.map_err(|status| match ErrorCode::of_status(&status) {
            ErrorCode::NotAMember => ErrorCode::NotAMember.status("group: the user is no member of it"),
            ErrorCode::PermissionDenied => ErrorCode::PermissionDenied.status("group: the user may not read in it"),
            _ => status,
        })?;
        answered.response.and_then(|response| response.response).ok_or_else(another)
    }

    /// Looks for the user here, and for one who is not here yet, at the leader.
    async fn check_user(&self, app: &str, user: &str) -> Result<(), Status> {
        if users::find(&self.0.recent()?, app, user)?.is_none() {
            users::get(&self.0.current().await?, app, user)?;
        }
        Ok(())
    }

    async fn presence(&self, app: String, request: GetPresenceRequest) -> Result<GetPresenceResponse, Status> {
        let asked = request.users;
        if asked.is_empty() || asked.len() > MAX_USERS {
            return Err(Refusal::invalid("users", format!("must name 1 to {MAX_USERS}")).into());
        }
        let mut by_shard = BTreeMap::<u32, Vec<String>>::new();
        for user in &asked {
            door::user_id("users", user)?;
            self.check_user(&app, user).await?;
            by_shard.entry(cluster::shard_of(&self.0.view(), &app, user)?).or_default().push(user.clone());
        }
        let asking = by_shard.into_iter().map(|(shard, users)| self.presence_in(shard, &app, users));
        let states: BTreeMap<_, _> = try_join_all(asking).await?.into_iter().flatten().collect();
        let users = asked.iter().filter_map(|user| states.get(user).cloned()).collect();
        Ok(GetPresenceResponse { users })
    }

    async fn presence_in(
        &self,
        shard: u32,
        app: &str,
        users: Vec<String>,
    ) -> Result<Vec<(String, UserPresence)>, Status> {
        let asked = broker::GetPresenceRequest { shard, app: app.to_owned(), users };
        let answered = brokers::ask_leader(&self.0, shard, |mut broker| {
            let asked = asked.clone();
            async move {
                let answer = broker.get_presence(asked).await?.into_inner();
                Ok(Said { code: answer.code, leader_node: answer.leader_node, answer })
            }
        });
        let told = |one: client::UserPresence| {
            let last_seen = messages::unless_zero(one.last_seen_ms);
            (one.user.clone(), UserPresence { user: one.user, state: one.state, last_seen })
        };
        Ok(answered.await?.users.into_iter().map(told).collect())
    }
}

fn stored(found: FoundMessage) -> StoredMessage {
    let FoundMessage { with, group, place, message } = found;
    let id = message.as_ref().and_then(|message| message.id).unwrap_or_default().to_string();
    StoredMessage { id, with, group, place, message, ..StoredMessage::default() }
}

fn another() -> Status {
    ErrorCode::Internal.status("the shard gave an answer of another kind")
}

#[tonic::async_trait]
impl Mailboxes for MailboxesService {
    async fn list_conversations(
        &self,
        request: Request<ListConversationsRequest>,
    ) -> Result<Response<ListConversationsResponse>, Status> {
        answer("ListConversations", async {
            let app = Scope::of(&self.0, request.metadata())?.app(&request.get_ref().app)?;
            self.conversations(app, request.into_inner()).await
        })
        .await
    }

    async fn update_conversation(
        &self,
        request: Request<UpdateConversationRequest>,
    ) -> Result<Response<Conversation>, Status> {
        answer("UpdateConversation", async {
            let app = Scope::of(&self.0, request.metadata())?.app(&request.get_ref().app)?;
            self.update(app, request.into_inner()).await
        })
        .await
    }

    async fn list_history(
        &self,
        request: Request<ListHistoryRequest>,
    ) -> Result<Response<ListHistoryResponse>, Status> {
        answer("ListHistory", async {
            let app = Scope::of(&self.0, request.metadata())?.app(&request.get_ref().app)?;
            self.history(app, request.into_inner()).await
        })
        .await
    }

    async fn search_messages(
        &self,
        request: Request<SearchMessagesRequest>,
    ) -> Result<Response<SearchMessagesResponse>, Status> {
        answer("SearchMessages", async {
            let app = Scope::of(&self.0, request.metadata())?.app(&request.get_ref().app)?;
            self.search(app, request.into_inner()).await
        })
        .await
    }

    async fn get_presence(
        &self,
        request: Request<GetPresenceRequest>,
    ) -> Result<Response<GetPresenceResponse>, Status> {
        answer("GetPresence", async {
            let app = Scope::of(&self.0, request.metadata())?.app(&request.get_ref().app)?;
            self.presence(app, request.into_inner()).await
        })
        .await
    }
}
