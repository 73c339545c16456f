//! What a gateway asks on behalf of one user: read from the state of the shard's leader, or set through its log.
//! Answered in any order, beside the other work of the link.

use std::sync::Arc;
use std::time::Duration;

use tidings_consensus::{ProposeError, StateView};
use tidings_proto::broker::v1::{Request, Response, broker_frame};
use tidings_proto::client::v1::{
    self as client, Found, GetGroupReceipts, GetHistory, GroupReadMarked, GroupReceiptsWatched, Search,
    WatchGroupReceipts, request, response,
};
use tidings_proto::mailbox::v1::{self as mailbox, ChannelOutRecord, command::Command};
use tidings_proto::shard::shard_of;
use tidings_proto::{ErrorCode, UserId};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::LinkContext;
use super::outbox::Outbox;
use crate::core::records::load;
use crate::core::{GroupName, MailboxId, Reply, Scheduler, keys};
use crate::error::{Error, code_of};
use crate::shard::ShardHandle;
use crate::shard::session::SessionKey;
use crate::{group_receipts, group_search, query};

/// From which level of brokers on groups can be searched, and members block what others say in them.
const GROUPS_SEARCHED: u32 = 3;

/// How long an answer waits for the shard of another user to hear of it.
const TOLD_WITHIN: Duration = Duration::from_secs(1);

/// Why a request was not answered with what it asked for.
pub struct Refusal {
    pub code: ErrorCode,
    /// For `NotLeader`; 0: not known.
    pub leader_node: u64,
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self { code, leader_node: 0 }
    }
}

/// A request that was admitted.
pub struct Asked {
    pub context: Arc<LinkContext>,
    pub outbox: Arc<Outbox>,
    /// The request's place among those of the node that are being answered.
    pub place: OwnedSemaphorePermit,
    pub mailbox: MailboxId,
    pub request: Request,
}

impl Asked {
    /// Answers it.
    pub async fn answer(self) {
        // An answer may be large: it is not made before the link has room for it.
        self.outbox.room().await;
        let Request { session, shard, request, attachment, .. } = self.request;
        let fence = (attachment != 0).then_some(SessionKey { link: self.outbox.id, session: attachment });
        let client::Request { id, request } = request.unwrap_or_default();
        let outcome = match (self.context.shards.get(shard), request) {
            (None, _) => Err(Refusal::from(ErrorCode::NotLeader)),
            // Of a newer gateway.
            (_, None) => Err(ErrorCode::InvalidArgument.into()),
            (Some(shard), Some(request)) => ask(&self.context, &shard, self.mailbox, fence, request).await,
        };
        if let Err(refusal) = &outcome {
            self.context.metrics.refused(refusal.code);
        }
        self.outbox.push(answer(session, id, outcome, self.context.config.retry_after_ms));
        drop(self.place);
    }
}

/// Asks a shard, for the user of a mailbox. What it sets is set only as long as `fence` is attached, if that is given.
pub async fn ask(
    context: &LinkContext,
    shard: &ShardHandle,
    mailbox: MailboxId,
    fence: Option<SessionKey>,
    request: request::Request,
) -> Result<response::Response, Refusal> {
    match request {
        request::Request::ListDevices(_) => {
            read(shard, move |view| query::devices(view, &mailbox)).await.map(response::Response::Devices)
        }
        request::Request::GetHistory(asked) if !asked.group.is_empty() => {
            is_about_one(&asked)?;
            let (group, ignored) = (asked.group.clone(), ignored_by(context, shard, &mailbox).await?);
            let look = move |view: &StateView, group: &GroupName, user: &str| {
                query::group_history(view, group, user, &ignored, &asked)
            };
            ask_home(context, shard, mailbox, &group, look).await.map(response::Response::History)
        }
        request::Request::GetHistory(asked) => {
            is_id(&asked.with)?;
            read(shard, move |view| query::history(view, &mailbox, &asked)).await.map(response::Response::History)
        }
        request::Request::ListConversations(asked) => {
            let list = move |view: &StateView| query::conversations(view, &mailbox, &asked);
            read(shard, list).await.map(response::Response::Conversations)
        }
        request::Request::Search(asked) => {
            if !query::is_valid_search(&asked) {
                return Err(ErrorCode::InvalidArgument.into());
            }
            search(context, shard, mailbox, asked).await.map(response::Response::Found)
        }
        request::Request::ListScheduled(asked) => {
            let of = Scheduler { mailbox, is_system: false };
            let list = move |view: &StateView| query::scheduled(view, &of, &asked);
            read(shard, list).await.map(response::Response::Scheduled)
        }
        request::Request::CancelScheduled(client::CancelScheduled { id }) => {
            let (app, user) = (mailbox.app().to_owned(), mailbox.user().to_owned());
            let cancel = mailbox::CancelScheduled { app, user, by_system: false, id };
            set(shard, fence, Command::CancelScheduled(cancel)).await?;
            Ok(response::Response::ScheduledCancelled(client::ScheduledCancelled {}))
        }
        request::Request::UpdateConversation(update) => {
            let (app, user, with) = (mailbox.app().to_owned(), mailbox.user().to_owned(), update.with.clone());
            if update.group.is_empty() {
                is_id(&with)?;
            }
            let sets_contact = update.contact.is_some();
            let command =
                mailbox::UpdateConversation { app: app.clone(), user, with: with.clone(), update: Some(update) };
            let reply = set(shard, fence, Command::UpdateConversation(command)).await?;
            let Reply::Conversation(conversation) = reply else { return Err(ErrorCode::Internal.into()) };
            if sets_contact && let Ok(_place) = context.waits.try_acquire() {
                until_told(shard, &app, &with).await;
            }
            Ok(response::Response::Conversation(*conversation))
        }
        request::Request::GetGroupReceipts(GetGroupReceipts { group, group_seq }) => {
            let look = move |view: &StateView, group: &GroupName, user: &str| {
                query::group_receipts(view, group, user, group_seq)
            };
            ask_home(context, shard, mailbox, &group, look).await.map(response::Response::GroupReceipts)
        }
        request::Request::WatchGroupReceipts(WatchGroupReceipts { group, off }) => {
            watch_receipts(context, shard, mailbox, &group, off).await.map(response::Response::GroupReceiptsWatched)
        }
        request::Request::MarkGroupRead(client::MarkGroupRead { group, group_seq, privately }) => {
            let (app, user) = (mailbox.app().to_owned(), mailbox.user().to_owned());
            let mark = mailbox::MarkGroupRead { app, user, group, group_seq, privately };
            set(shard, fence, Command::MarkGroupRead(mark)).await?;
            Ok(response::Response::GroupReadMarked(GroupReadMarked {}))
        }
        // Gateways answer it, or the control plane does.
        request::Request::WatchPresence(_)
        | request::Request::ActOnGroup(_)
        | request::Request::GetGroup(_)
        | request::Request::ListMembers(_)
        | request::Request::ListMyGroups(_) => Err(ErrorCode::InvalidArgument.into()),
    }
}

/// Searches in a group, in a conversation, or in everything that the user can find.
async fn search(
    context: &LinkContext,
    shard: &ShardHandle,
    mailbox: MailboxId,
    asked: Search,
) -> Result<Found, Refusal> {
    if !asked.group.is_empty() {
        let (group, ignored) = (asked.group.clone(), ignored_by(context, shard, &mailbox).await?);
        let look = move |view: &StateView, group: &GroupName, user: &str| {
            query::search_group(view, group, user, &ignored, &asked)
        };
        return ask_home(context, shard, mailbox, &group, look).await;
    }
    let is_about_one = !asked.with.is_empty();
    let (of, search) = (mailbox.clone(), asked.clone());
    let look = move |view: &StateView| {
        let groups = if is_about_one { Vec::new() } else { query::group_names(view, &of)? };
        Ok((query::search(view, &of, &search)?, groups, query::ignored(view, &of)?))
    };
    let (own, groups, ignored) = read(shard, look).await?;
    // Brokers of an earlier release cannot be asked.
    if groups.is_empty() || shard.level.now() < GROUPS_SEARCHED {
        return Ok(own);
    }
    let found =
        group_search::with_groups(&context.relay, shard.core.shards, &mailbox, &asked, own, groups, ignored).await;
    found.map_err(|error| {
        tracing::warn!(shard = shard.core.shard, %error, "not all groups could be searched");
        Refusal::from(ErrorCode::Unavailable)
    })
}

/// Whom a user ignores in groups: the user's own shard knows, which may be another than the group's home.
async fn ignored_by(context: &LinkContext, home: &ShardHandle, mailbox: &MailboxId) -> Result<Vec<String>, Refusal> {
    // Brokers of an earlier release have no blocks.
    if home.level.now() < GROUPS_SEARCHED {
        return Ok(Vec::new());
    }
    let shard = shard_of(mailbox.app(), mailbox.user(), home.core.shards);
    context.relay.ignored_by(shard, mailbox).await.map_err(|error| {
        tracing::warn!(shard, %error, "whom a user ignores could not be found out");
        ErrorCode::Unavailable.into()
    })
}

/// The group whose home answers a request; none: the shard of the user who asks does.
pub fn group_of(request: &client::Request) -> Option<&str> {
    match request.request.as_ref()? {
        request::Request::GetHistory(asked) => Some(asked.group.as_str()).filter(|group| !group.is_empty()),
        request::Request::GetGroupReceipts(asked) => Some(&asked.group),
        request::Request::Search(asked) => Some(asked.group.as_str()).filter(|group| !group.is_empty()),
        request::Request::WatchGroupReceipts(asked) => Some(&asked.group),
        _ => None,
    }
}

/// A page is of a conversation or of a group.
fn is_about_one(asked: &GetHistory) -> Result<(), Refusal> {
    if asked.with.is_empty() { Ok(()) } else { Err(ErrorCode::InvalidArgument.into()) }
}

/// Reads at the home of a group, for one of its members.
async fn ask_home<T: Send + 'static>(
    context: &LinkContext,
    shard: &ShardHandle,
    mailbox: MailboxId,
    group: &str,
    look: impl FnOnce(&StateView, &GroupName, &str) -> Result<Result<T, ErrorCode>, Error> + Send + 'static,
) -> Result<T, Refusal> {
    let group = GroupName::new(mailbox.app(), group).ok_or(ErrorCode::InvalidArgument)?;
    let (name, user) = (group.clone(), mailbox.user().to_owned());
    let answer = read(shard, move |view| look(view, &name, mailbox.user())).await?;
    match (answer, &context.groups) {
        (Err(ErrorCode::NotAMember), Some(registry)) => {
            Err(registry.code_for_stranger(&shard.news, group, user).await.into())
        }
        (answer, _) => answer.map_err(Refusal::from),
    }
}

/// A member is to be told how far what it sends comes.
async fn watch_receipts(
    context: &LinkContext,
    shard: &ShardHandle,
    mailbox: MailboxId,
    group: &str,
    off: bool,
) -> Result<GroupReceiptsWatched, Refusal> {
    let name = GroupName::new(mailbox.app(), group).ok_or(ErrorCode::InvalidArgument)?;
    let user = mailbox.user().to_owned();
    if off {
        shard.receipts.end(&name, &user);
        return Ok(GroupReceiptsWatched::default());
    }
    ask_home(context, shard, mailbox, group, group_receipts::may_watch).await?;
    let lease_ms = shard.receipts.watch(name, user, Instant::now()).ok_or(ErrorCode::Overloaded)?;
    Ok(GroupReceiptsWatched { lease_ms })
}

/// Waits until the shard of another user has what it is owed: from then on what was set holds there too. It comes there
/// in any case.
async fn until_told(shard: &ShardHandle, app: &str, user: &str) {
    let target = shard_of(app, user, shard.core.shards);
    if target == shard.core.shard {
        return;
    }
    let end = move |view: &StateView| load::<ChannelOutRecord>(view, "channel", &keys::channel_out(target));
    let Ok(Some(end)) = read(shard, end).await else { return };
    if end.trimmed_to < end.last_seq {
        let _ = tokio::time::timeout(TOLD_WITHIN, shard.backlog.until_delivered(target, end.last_seq)).await;
    }
}

fn is_id(user: &str) -> Result<(), Refusal> {
    UserId::new(user).map(drop).map_err(|_| ErrorCode::InvalidArgument.into())
}

/// Sets something through the shard's log. When it is not known whether it was set, it is set again: that does no harm
/// before the device sets something else. What it said in a session that has a successor may come late, and is not set
/// then (promise 5).
async fn set(shard: &ShardHandle, fence: Option<SessionKey>, command: Command) -> Result<Reply, Refusal> {
    let command = shard.level.encode(command).ok_or(ErrorCode::Unavailable)?;
    let outcome = match fence {
        None => shard.propose(command).await,
        Some(key) => shard.propose_for(key, command).await.ok_or(ErrorCode::Unavailable)?,
    };
    match outcome {
        Ok(Reply::Refused(code)) => Err(code.into()),
        Ok(reply) => Ok(reply),
        Err(error) => Err(refusal(&error)),
    }
}

fn refusal(error: &ProposeError) -> Refusal {
    let (code, leader_node) = code_of(error);
    Refusal { code, leader_node }
}

/// Reads what the shard's leader has applied: everything that anybody was told to be done before.
async fn read<T: Send + 'static>(
    shard: &ShardHandle,
    look: impl FnOnce(&StateView) -> Result<T, Error> + Send + 'static,
) -> Result<T, Refusal> {
    let looked = shard.read(look).await.map_err(|error| refusal(&error))?;
    looked.map_err(|error| {
        tracing::error!(shard = shard.core.shard, %error, "a request could not be answered");
        Refusal::from(ErrorCode::StorageFailed)
    })
}

/// The frame that answers a request.
pub fn answer(
    session: u64,
    id: u64,
    outcome: Result<response::Response, Refusal>,
    retry_after_ms: u32,
) -> broker_frame::Frame {
    let (leader_node, response) = match outcome {
        Ok(response) => (0, client::Response { id, response: Some(response), ..client::Response::default() }),
        Err(Refusal { code, leader_node }) => {
            let retry_after_ms = (code == ErrorCode::Overloaded).then_some(retry_after_ms);
            (leader_node, client::Response { id, code: code.into(), retry_after_ms, ..client::Response::default() })
        }
    };
    broker_frame::Frame::Response(Response { session, leader_node, response: Some(response) })
}
