//! What users set for their conversations with others.

use tidings_proto::client::v1::Blocks;
use tidings_proto::message::v1::{Block, Conversation};
use tidings_sdk::{Client, UpdateConversation};

use crate::{DEADLINE, within};

/// What the other may not do, instead of what was set before.
pub async fn block(client: &Client, other: &str, blocks: &[Block]) -> Conversation {
    let blocks = Some(Blocks { blocks: blocks.iter().map(|block| (*block).into()).collect() });
    set(client, UpdateConversation { with: other.to_owned(), blocks, ..UpdateConversation::default() }).await
}

/// Takes the other among the contacts, or out of them.
pub async fn contact(client: &Client, other: &str, is_contact: bool) -> Conversation {
    let contact = Some(is_contact);
    set(client, UpdateConversation { with: other.to_owned(), contact, ..UpdateConversation::default() }).await
}

async fn set(client: &Client, update: UpdateConversation) -> Conversation {
    within(DEADLINE, "it is set", client.update_conversation(update)).await.expect("it is set")
}
