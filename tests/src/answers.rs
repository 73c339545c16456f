//! What a client is answered: an id, or the code of the refusal.

use std::future::Future;

use tidings_sdk::{Change, Client, ErrorCode, MessageId, Outgoing, RequestError, SendError, Sending};

use crate::{DEADLINE, within};

/// Sends a message.
pub async fn sent(client: &Client, outgoing: Outgoing) -> Result<MessageId, ErrorCode> {
    end(client.send_message(outgoing).await).await
}

/// Changes a message of the conversation with another.
pub async fn changed(client: &Client, with: &str, of: MessageId, change: Change) -> Result<MessageId, ErrorCode> {
    end(client.change(with, of, change).await).await
}

/// Changes a message of a group.
pub async fn changed_in(client: &Client, group: &str, of: MessageId, change: Change) -> Result<MessageId, ErrorCode> {
    end(client.change_in_group(group, of, change).await).await
}

async fn end(sending: Result<Sending, SendError>) -> Result<MessageId, ErrorCode> {
    let end = async { sending?.sent().await };
    match within(DEADLINE, "it is answered", end).await {
        Ok(sent) => Ok(sent.id),
        Err(SendError::Refused { code, .. }) => Err(code),
        Err(other) => panic!("{other}"),
    }
}

/// Asks for something, or does it.
pub async fn done<T>(asking: impl Future<Output = Result<T, RequestError>>) -> Result<T, ErrorCode> {
    match within(DEADLINE, "it is answered", asking).await {
        Ok(answer) => Ok(answer),
        Err(RequestError::Refused { code, .. }) => Err(code),
        Err(other) => panic!("{other}"),
    }
}
