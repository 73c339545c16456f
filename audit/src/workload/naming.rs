//! How messages are known: each by its number, with which its text begins; an edited one has the number of the edit
//! behind it. Where the text is gone, by the id.

use tidings_proto::message::v1::{Message, MessageId};

use crate::history::History;

/// What an edit says.
pub(super) fn edited(number: u64, edit: u64) -> String {
    format!("{number} {edit}")
}

/// The number that a text begins with. What has none was never given: a contradiction.
pub(super) fn number_in(text: &str) -> u64 {
    number(text.split(' ').next())
}

/// The number of the edit as which a message stands, if it was edited.
pub(super) fn edit_in(text: &str) -> Option<u64> {
    text.split_once(' ').map(|(_, edit)| number(Some(edit)))
}

/// The number of a message.
pub(super) fn number_of(message: &Message, history: &History) -> u64 {
    if let Some(content) = &message.content {
        return number_in(&content.text);
    }
    let MessageId { stream, seq } = message.id.unwrap_or_default();
    history.number_of(stream, seq)
}

fn number(text: Option<&str>) -> u64 {
    text.and_then(|text| text.parse().ok()).unwrap_or(u64::MAX)
}
