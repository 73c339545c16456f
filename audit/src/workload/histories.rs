//! What the servers keep: at the end each user reads the own histories with others and those of the own groups, whole,
//! and asks how far the own messages have come.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tidings_sdk::{
    Client, Conversation, GroupReceipts, HistoryMessage, HistoryPage, HistoryQuery, MessageState, RequestError,
};
use tokio::time::{Instant, sleep, timeout};

use super::client_of;
use super::naming::{edit_in, number_of};
use super::settings::standing;
use crate::history::{self, Event, Gone, GroupReach, History, Kept, Of, Reach, User};
use crate::people::{Names, Person};
use crate::verdict;

/// Users who read at a time.
const READERS: usize = 4;
/// Conversations and messages in a page.
const PAGE: u32 = 100;
/// Messages of a group whose receipts are asked for at a time.
const ASKED: usize = 16;
/// After an answer that was not yet what it has to be.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// How long an answer is waited for; nothing happens to the cluster any more.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who reads, and where.
#[derive(Debug, Clone)]
pub(super) struct Readers {
    pub(super) people: Arc<[Person]>,
    pub(super) names: Names,
    pub(super) gateways: Vec<String>,
}

impl Readers {
    /// Has all of them read.
    pub(super) async fn read(&self, history: &History) -> Result<()> {
        self.each(history, async |reader| reader.read().await).await
    }

    /// Has all of them ask how far the own messages have come, again and again until the answers are what they have to
    /// be, at most so long: receipts come a second later. What they are then is for the verdict.
    pub(super) async fn read_receipts(&self, history: &History, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            self.each(history, async |reader| reader.read_receipts().await).await?;
            if verdict::judge(&history.records()).missing_receipts() == 0 || Instant::now() >= deadline {
                return Ok(());
            }
            // Nothing tells when the last one has come.
            sleep(ASK_AGAIN).await;
        }
    }

    async fn each(&self, history: &History, read: impl AsyncFn(&Reader<'_>) -> Result<()>) -> Result<()> {
        let (gateways, read) = (&self.gateways, &read);
        let reading = (0..).zip(&*self.people).map(|(user, person): (User, _)| {
            let names = self.names.clone();
            async move {
                // Without a device: nothing comes to it.
                let (client, events) = client_of(person, gateways)?.connect()?;
                drop(events);
                let reader = Reader { client, user, names, history };
                read(&reader).await.with_context(|| format!("user {user} reads what is kept"))?;
                reader.client.close().await;
                Ok(())
            }
        });
        stream::iter(reading).buffer_unordered(READERS).try_collect().await
    }
}

struct Reader<'a> {
    client: Client,
    user: User,
    names: Names,
    history: &'a History,
}

impl Reader<'_> {
    async fn read(&self) -> Result<()> {
        for conversation in self.conversations().await? {
            let (of, settings) = standing(&conversation, &self.names);
            self.record(Event::SettingsRead { of, settings });
            let messages = self.messages(&conversation).await?;
            let messages = messages.into_iter().map(|one| self.kept(one)).collect();
            self.record(match of {
                Of::With(with) => Event::HistoryRead { with, messages },
                Of::Group(group) => Event::GroupHistoryRead { group, messages },
            });
        }
        self.record(Event::HistoriesRead);
        Ok(())
    }

    async fn read_receipts(&self) -> Result<()> {
        for conversation in self.conversations().await? {
            let mut own = self.messages(&conversation).await?;
            own.retain(|one| one.message.as_ref().is_some_and(|message| self.names.user(&message.from) == self.user));
            let event = match standing(&conversation, &self.names).0 {
                Of::With(with) => {
                    let number = |one: &HistoryMessage| Some(number_of(one.message.as_ref()?, self.history));
                    let reaches = own.iter().filter_map(|one| Some((number(one)?, reach(one)))).collect();
                    Event::ReceiptsRead { with, reaches }
                }
                Of::Group(group) => {
                    let asking = own.iter().map(|one| self.group_reach(&conversation.group, one.place));
                    let reaches = stream::iter(asking).buffered(ASKED).try_collect().await?;
                    Event::GroupReceiptsRead { group, reaches }
                }
            };
            self.record(event);
        }
        Ok(())
    }

    async fn conversations(&self) -> Result<Vec<Conversation>> {
        let (mut conversations, mut page) = (Vec::new(), Vec::new());
        loop {
            let listed = answer(self.client.conversations(page, PAGE)).await.context("the list of conversations")?;
            conversations.extend(listed.conversations);
            page = listed.next_page;
            if page.is_empty() {
                return Ok(conversations);
            }
        }
    }

    /// Backwards from the newest; answered from the oldest on.
    async fn messages(&self, conversation: &Conversation) -> Result<Vec<HistoryMessage>> {
        let (mut read, mut before) = (Vec::new(), 0);
        loop {
            let query = HistoryQuery { before, limit: PAGE, ..HistoryQuery::default() };
            let HistoryPage { messages, more } = self.page(conversation, query).await?;
            before = messages.first().map_or(0, |oldest| oldest.place);
            read.extend(messages.into_iter().rev());
            if !more || before == 0 {
                read.reverse();
                return Ok(read);
            }
        }
    }

    fn kept(&self, HistoryMessage { place, message, .. }: HistoryMessage) -> Kept {
        let message = message.unwrap_or_default();
        let (from, number) = (self.names.user(&message.from), number_of(&message, self.history));
        let gone = Gone { recalled: message.recalled_at_ms != 0, wiped: message.wiped_at_ms != 0 };
        let gone = message.content.is_none().then_some(gone);
        let edit = message.content.and_then(|content| edit_in(&content.text));
        Kept { place, from, number, edit, gone }
    }

    async fn page(&self, conversation: &Conversation, query: HistoryQuery) -> Result<HistoryPage> {
        let asked = async {
            match conversation.group.as_str() {
                "" => self.client.history(&conversation.with, query).await,
                group => self.client.group_history(group, query).await,
            }
        };
        answer(asked).await.context("a page of a history")
    }

    async fn group_reach(&self, group: &str, at: u64) -> Result<(u64, GroupReach)> {
        let receipts = answer(self.client.group_receipts(group, at)).await.context("receipts of a group")?;
        Ok((at, group_reach(&receipts, &self.names)))
    }

    fn record(&self, event: Event) {
        self.history.record(history::Client { user: self.user, device: 0 }, event);
    }
}

async fn answer<T>(asked: impl Future<Output = Result<T, RequestError>>) -> Result<T> {
    Ok(timeout(PATIENCE, asked).await.context("no answer came")??)
}

fn reach(message: &HistoryMessage) -> Reach {
    let read = message.state() == MessageState::Read;
    Reach { delivered: read || message.state() == MessageState::Delivered, read }
}

/// How far a message to a group has come, as the server says.
pub(super) fn group_reach(receipts: &GroupReceipts, names: &Names) -> GroupReach {
    let GroupReceipts { members, delivered, read, delivered_to, read_by, .. } = receipts;
    let named = |ids: &[String]| ids.iter().map(|id| names.user(id)).collect::<Vec<_>>();
    let are_named = !delivered_to.is_empty() || !read_by.is_empty() || (*delivered, *read) == (0, 0);
    let names = are_named.then(|| (named(delivered_to), named(read_by)));
    GroupReach { members: *members, delivered: *delivered, read: *read, names }
}
