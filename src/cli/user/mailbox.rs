//! What a user sees, for operators: conversations, history and search.

use clap::Args;
use serde_json::{Value, json};
use tidings_proto::control::v1::mailboxes_client::MailboxesClient;
use tidings_proto::control::v1::{ListConversationsRequest, ListHistoryRequest, SearchMessagesRequest, StoredMessage};
use tidings_proto::message::v1::MessageState;

use crate::cli::control::ControlOptions;
use crate::cli::exit::Outcome;
use crate::cli::history::PageOptions;
use crate::cli::{conversations, output, wording};

/// Conversations of a page: as many as there may be.
const PAGE_SIZE: u32 = 100;

/// `tidings user conversations`.
#[derive(Debug, Args)]
pub struct Conversations {
    /// The user's id
    id: String,
    #[command(flatten)]
    control: ControlOptions,
}

/// `tidings user history`.
#[derive(Debug, Args)]
pub struct History {
    /// The user's id
    id: String,
    #[command(flatten)]
    page: PageOptions,
    #[command(flatten)]
    control: ControlOptions,
}

/// `tidings user search`.
#[derive(Debug, Args)]
pub struct Search {
    /// The user's id
    id: String,
    /// Words, each of which begins a word of the message
    text: String,
    /// Only in the conversation with this user
    #[arg(long, value_name = "USER", default_value = "", conflicts_with = "group")]
    with: String,
    /// Only in this group
    #[arg(long, value_name = "GROUP", default_value = "")]
    group: String,
    /// At most so many messages
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    #[command(flatten)]
    control: ControlOptions,
}

impl Conversations {
    pub async fn run(self) -> Outcome {
        let mut mailboxes = MailboxesClient::new(self.control.connect().await?);
        let page = async |page_token| {
            let (app, user) = (self.control.app.clone(), self.id.clone());
            let request = ListConversationsRequest { app, user, page_size: PAGE_SIZE, page_token };
            let page = mailboxes.list_conversations(request).await?.into_inner();
            Ok((page.conversations, page.next_page_token))
        };
        let as_json = |conversation: &_| json!(conversation);
        output::list(self.control.json, conversations::HEADINGS, as_json, conversations::row, page).await
    }
}

impl History {
    pub async fn run(self) -> Outcome {
        let mut mailboxes = MailboxesClient::new(self.control.connect().await?);
        let PageOptions { with, group, before, after, limit } = self.page;
        let request = ListHistoryRequest {
            app: self.control.app.clone(),
            user: self.id,
            with: with.unwrap_or_default(),
            group: group.unwrap_or_default(),
            before,
            after,
            page_size: limit,
        };
        for stored in mailboxes.list_history(request).await?.into_inner().messages {
            match self.control.json {
                true => output::json(&as_json(&stored))?,
                false => output::line(&wording::kept(stored.place, &stored.message.unwrap_or_default()))?,
            }
        }
        Ok(())
    }
}

impl Search {
    pub async fn run(self) -> Outcome {
        let mut mailboxes = MailboxesClient::new(self.control.connect().await?);
        let (mut left, mut page_token) = (self.limit, String::new());
        while left > 0 {
            let request = SearchMessagesRequest {
                app: self.control.app.clone(),
                user: self.id.clone(),
                text: self.text.clone(),
                with: self.with.clone(),
                group: self.group.clone(),
                page_size: left.min(PAGE_SIZE),
                page_token,
            };
            let page = mailboxes.search_messages(request).await?.into_inner();
            left -= left.min(u32::try_from(page.messages.len()).unwrap_or(u32::MAX));
            for stored in page.messages {
                match self.control.json {
                    true => output::json(&as_json(&stored))?,
                    false => {
                        let message = stored.message.unwrap_or_default();
                        output::line(&wording::found(&stored.with, &stored.group, stored.place, &message))?;
                    }
                }
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        Ok(())
    }
}

fn as_json(stored: &StoredMessage) -> Value {
    let StoredMessage { id, with, group, place, message, state: _, delivered_at, read_at } = stored;
    let state =
        (stored.state() != MessageState::Unspecified).then(|| stored.state().as_str_name().to_ascii_lowercase());
    let [delivered_at, read_at] = [delivered_at, read_at].map(|at| output::json_time(at.as_ref()));
    json!({
        "id": id,
        "with": with,
        "group": group,
        "place": place,
        "message": message,
        "state": state,
        "delivered_at": delivered_at,
        "read_at": read_at,
    })
}
