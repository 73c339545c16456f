//! What the servers keep: at the end each user reads the own histories with others and those of the own groups, whole.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, TryStreamExt as _};
use tidings_sdk::{Client, Conversation, HistoryMessage, HistoryPage, HistoryQuery};

use super::client_of;
use super::naming::{edit_in, number_of};
use super::settings::standing;
use crate::history::{self, Event, Gone, History, Kept, Of, User};
use crate::people::{Names, Person};

/// Users who read at a time.
const READERS: usize = 4;
/// Conversations and messages in a page.
const PAGE: u32 = 100;
/// How long a page is waited for; nothing happens to the cluster any more.
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
    pub(super) async fn read(self, history: &History) -> Result<()> {
        let gateways = &self.gateways;
        let reading = (0..).zip(&*self.people).map(|(user, person): (User, _)| {
            let names = self.names.clone();
            async move {
                // Without a device: nothing comes to it.
                let (client, events) = client_of(person, gateways)?.connect()?;
                drop(events);
                let reader = Reader { client, user, names, history };
                reader.read().await.with_context(|| format!("user {user} reads what is kept"))?;
                reader.client.close().await;
                Ok(())
            }
        });
        futures_util::stream::iter(reading).buffer_unordered(READERS).try_collect().await
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
        let reader = history::Client { user: self.user, device: 0 };
        let mut page = Vec::new();
        loop {
            let asked = tokio::time::timeout(PATIENCE, self.client.conversations(page, PAGE));
            let listed = asked.await.context("no list of conversations came")??;
            for conversation in listed.conversations {
                let (of, settings) = standing(&conversation, &self.names);
                self.history.record(reader, Event::SettingsRead { of, settings });
                let messages = self.messages(&conversation).await?;
                let event = match of {
                    Of::With(with) => Event::HistoryRead { with, messages },
                    Of::Group(group) => Event::GroupHistoryRead { group, messages },
                };
                self.history.record(reader, event);
            }
            page = listed.next_page;
            if page.is_empty() {
                self.history.record(reader, Event::HistoriesRead);
                return Ok(());
            }
        }
    }

    /// Backwards from the newest; answered from the oldest on.
    async fn messages(&self, conversation: &Conversation) -> Result<Vec<Kept>> {
        let (mut kept, mut before) = (Vec::new(), 0);
        loop {
            let query = HistoryQuery { before, limit: PAGE, ..HistoryQuery::default() };
            let HistoryPage { messages, more } = self.page(conversation, query).await?;
            before = messages.first().map_or(0, |oldest| oldest.place);
            kept.extend(messages.into_iter().rev().map(|one| self.kept(one)));
            if !more || before == 0 {
                kept.reverse();
                return Ok(kept);
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
        Ok(tokio::time::timeout(PATIENCE, asked).await.context("no page of a history came")??)
    }
}
