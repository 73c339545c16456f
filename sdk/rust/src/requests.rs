//! What an application can ask: each method is one request to the server, repeated until it is answered.

use tidings_proto::client::v1::{
    CancelScheduled, Conversations, Devices, Found, GetGroupReceipts, GetHistory, GroupReadMarked, GroupReceipts,
    HistoryPage, ListConversations, ListDevices, ListScheduled, MarkGroupRead, ScheduledCancelled, ScheduledMessages,
    Search, UpdateConversation, WatchGroupReceipts, request, response,
};
use tidings_proto::message::v1::{Conversation, MessageId};
use tokio::sync::oneshot;

use crate::client::{Client, Command};
use crate::error::RequestError;

/// Which page of a conversation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Messages before this place, the newest of them. 0: the newest of all.
    pub before: u64,
    /// Messages after this place, the oldest of them; goes before `before`. 0: unset.
    pub after: u64,
    /// At most so many, up to 100; 0 is 50.
    pub limit: u32,
}

macro_rules! ask {
    ($client:expr, $request:ident($asked:expr) -> $answer:ident) => {
        match $client.ask(request::Request::$request($asked)).await? {
            response::Response::$answer(answer) => Ok(answer),
            _ => Err(RequestError::UnknownAnswer),
        }
    };
}

impl Client {
    /// This user's devices, and where each stands in the mailbox.
    pub async fn devices(&self) -> Result<Devices, RequestError> {
        ask!(self, ListDevices(ListDevices {}) -> Devices)
    }

    /// A page of the conversation with a user, in the order of places.
    pub async fn history(&self, with: impl Into<String>, query: HistoryQuery) -> Result<HistoryPage, RequestError> {
        let HistoryQuery { before, after, limit } = query;
        let asked = GetHistory { with: with.into(), before, after, limit, ..GetHistory::default() };
        ask!(self, GetHistory(asked) -> History)
    }

    /// A page of the messages of a group that this user is a member of, from where it joined. Places are those of the
    /// group's order ([`crate::Message::group_seq`]).
    pub async fn group_history(
        &self,
        group: impl Into<String>,
        query: HistoryQuery,
    ) -> Result<HistoryPage, RequestError> {
        let HistoryQuery { before, after, limit } = query;
        let asked = GetHistory { group: group.into(), before, after, limit, ..GetHistory::default() };
        ask!(self, GetHistory(asked) -> History)
    }

    /// How far a message has come that this user sent to a group, and that is kept: how many have it and read it, and
    /// of at most 100 members who.
    pub async fn group_receipts(
        &self,
        group: impl Into<String>,
        group_seq: u64,
    ) -> Result<GroupReceipts, RequestError> {
        ask!(self, GetGroupReceipts(GetGroupReceipts { group: group.into(), group_seq }) -> GroupReceipts)
    }

    /// Has this user's devices told, as it happens, how far messages have come that it sends to a group: as
    /// [`crate::Event::GroupReceipt`], at most once a second, and soon how it stands. It is kept up until
    /// [`Self::unwatch_group_receipts`], the end of the membership, or that of the client. At most 64 groups: one more
    /// takes the place of the one that was asked for longest ago.
    pub async fn watch_group_receipts(&self, group: impl Into<String>) -> Result<(), RequestError> {
        let watch = WatchGroupReceipts { group: group.into(), off: false };
        ask!(self, WatchGroupReceipts(watch) -> GroupReceiptsWatched).map(drop)
    }

    /// Ends that.
    pub async fn unwatch_group_receipts(&self, group: impl Into<String>) -> Result<(), RequestError> {
        let watch = WatchGroupReceipts { group: group.into(), off: true };
        ask!(self, WatchGroupReceipts(watch) -> GroupReceiptsWatched).map(drop)
    }

    /// This user read a group up to a place of its order.
    pub(crate) async fn mark_group_read(&self, group: &str, group_seq: u64) -> Result<(), RequestError> {
        let mark = MarkGroupRead { group: group.to_owned(), group_seq, privately: false };
        ask!(self, MarkGroupRead(mark) -> GroupReadMarked).map(|GroupReadMarked {}| ())
    }

    /// A page of the messages in this user's history that have all words of `text`, each as the beginning of a word,
    /// the newest first. With an empty `with` in all conversations. `page` is empty, or `next_page` of the page before;
    /// a page may have no messages and still be followed by others.
    pub async fn search(&self, search: Search) -> Result<Found, RequestError> {
        ask!(self, Search(search) -> Found)
    }

    /// A page of this user's messages that wait for their time, in the order of their ids. `page` is empty, or
    /// `next_page` of the page before.
    pub async fn scheduled(&self, page: Vec<u8>, limit: u32) -> Result<ScheduledMessages, RequestError> {
        ask!(self, ListScheduled(ListScheduled { page, limit }) -> Scheduled)
    }

    /// A message that waits for its time is not to be sent after all. Refused with `NotFound` when it does not wait any
    /// more.
    pub async fn cancel_scheduled(&self, id: MessageId) -> Result<(), RequestError> {
        let cancel = CancelScheduled { id: Some(id) };
        ask!(self, CancelScheduled(cancel) -> ScheduledCancelled).map(|ScheduledCancelled {}| ())
    }

    /// A page of this user's conversations, the one with the newest message first, each with its last message and what
    /// is unread. `page` is empty, or `next_page` of the page before.
    pub async fn conversations(&self, page: Vec<u8>, limit: u32) -> Result<Conversations, RequestError> {
        ask!(self, ListConversations(ListConversations { page, limit }) -> Conversations)
    }

    /// Sets how a conversation stands, for all devices of the user; answers how it stands then.
    pub async fn update_conversation(&self, update: UpdateConversation) -> Result<Conversation, RequestError> {
        ask!(self, UpdateConversation(update) -> Conversation)
    }

    /// Asks, and waits for the answer: without a limit, since a request that is lost is repeated.
    pub(crate) async fn ask(&self, request: request::Request) -> Result<response::Response, RequestError> {
        let (answer, answered) = oneshot::channel();
        let command = Command::Request { request, answer };
        self.commands.send(command).await.map_err(|_| RequestError::Stopped(self.stop_reason()))?;
        answered.await.unwrap_or_else(|_| Err(RequestError::Stopped(self.stop_reason())))
    }
}
