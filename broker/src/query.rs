//! What a shard's state answers to its users' questions. Pages are bounded in number and in bytes (promise 6).

use bytes::Bytes;
use prost::Message as _;
use tidings_consensus::StateView;
use tidings_proto::client::v1::{
    Conversations, Device, Devices, GetHistory, HistoryMessage, HistoryPage, ListConversations,
};
use tidings_proto::mailbox::v1::{ConversationRecord, DevicesRecord, HistoryRecord, MailboxRecord};
use tidings_proto::message::v1::{Conversation, Message, envelope};

use crate::core::conversation::summary;
use crate::core::records::load;
use crate::core::{CoreError, MailboxId, entry, keys, records};
use crate::error::Error;

mod search;

pub use search::{is_valid as is_valid_search, search};

/// Messages or conversations in a page, when none are asked for, and at most.
const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 100;
/// Bytes of messages in a page, unless one alone has more.
const PAGE_BYTES: usize = 256 * 1024;
/// Messages read from the store at once.
const READ_AT_ONCE: usize = 16;

/// The named devices of a user. A user who never connected has none.
pub fn devices(view: &StateView, mailbox: &MailboxId) -> Result<Devices, Error> {
    let record: MailboxRecord = load(view, "mailbox", &keys::mailbox(mailbox))?.unwrap_or_default();
    let devices: DevicesRecord = load(view, "devices", &keys::devices(mailbox))?.unwrap_or_default();
    let devices = devices.devices.into_iter();
    let devices = devices.map(|device| Device { device: device.device, stream: device.stream, cursor: device.cursor });
    Ok(Devices { devices: devices.collect(), tail: record.last_seq })
}

/// A page of a conversation. One that never was has no messages.
pub fn history(view: &StateView, mailbox: &MailboxId, asked: &GetHistory) -> Result<HistoryPage, Error> {
    let limit = limit_of(asked.limit);
    let backward = asked.after == 0;
    let before = if asked.before == 0 { u64::MAX } else { asked.before };
    let (mut first, mut end) = (asked.after.saturating_add(1), before);
    let mut page = HistoryPage::default();
    let mut bytes = 0;
    'reading: loop {
        let (from, to) = (keys::history(mailbox, &asked.with, first), keys::history(mailbox, &asked.with, end));
        let read = scan(view, &from, &to, backward, READ_AT_ONCE)?;
        let is_end = read.len() < READ_AT_ONCE;
        for (key, stored) in read {
            bytes += stored.len();
            let is_full = page.messages.len() >= limit || bytes > PAGE_BYTES;
            if is_full && !page.messages.is_empty() {
                page.more = true;
                break 'reading;
            }
            let message = history_message(&key, stored)?;
            if backward {
                end = message.place
            } else {
                first = message.place.saturating_add(1)
            }
            page.messages.push(message);
        }
        if is_end {
            break;
        }
    }
    if backward {
        page.messages.reverse();
    }
    Ok(page)
}

fn history_message(key: &[u8], stored: Bytes) -> Result<HistoryMessage, Error> {
    let place = keys::history_place(key).ok_or(CoreError::Contradiction("a message's key has no place"))?;
    Ok(HistoryMessage { place, message: message_of(records::open("message", stored)?)? })
}

fn message_of(record: HistoryRecord) -> Result<Option<Message>, Error> {
    match entry::decode(&record.envelope)? {
        envelope::Event::Message(message) => Ok(Some(message)),
        _ => Ok(None),
    }
}

/// A page of a user's conversations, the newest first, each with its last message. `page` is the key behind which it goes
/// on, without what all keys of the mailbox have in common.
pub fn conversations(view: &StateView, mailbox: &MailboxId, asked: &ListConversations) -> Result<Conversations, Error> {
    let (first, end) = keys::conversations(mailbox);
    let from = [&first[..], &asked.page].concat();
    let read = scan(view, &from, &end, false, limit_of(asked.limit) + 1)?;
    let mut page = Conversations::default();
    let mut bytes = 0;
    for (key, _) in read {
        let conversation = conversation(view, mailbox, &key)?;
        bytes += conversation.encoded_len();
        let is_full = page.conversations.len() == limit_of(asked.limit) || bytes > PAGE_BYTES;
        if is_full && !page.conversations.is_empty() {
            page.next_page = key[first.len()..].to_vec();
            break;
        }
        page.conversations.push(conversation);
    }
    Ok(page)
}

fn conversation(view: &StateView, mailbox: &MailboxId, ordered: &[u8]) -> Result<Conversation, Error> {
    let with = keys::ordered_conversation(ordered, mailbox)
        .ok_or(CoreError::Contradiction("a conversation's key cannot be read"))?;
    let record: ConversationRecord = load(view, "conversation", &keys::conversation(mailbox, &with))?
        .ok_or(CoreError::Contradiction("a conversation that is ordered is not there"))?;
    let last: Option<HistoryRecord> = load(view, "message", &keys::history(mailbox, &with, record.last_place))?;
    let last_message = last.map(message_of).transpose()?.flatten();
    Ok(Conversation { last_message, ..summary(&with, &record) })
}

fn scan(view: &StateView, from: &[u8], to: &[u8], backward: bool, limit: usize) -> Result<Vec<(Bytes, Bytes)>, Error> {
    // What a client asks for may end before it begins.
    if from >= to {
        return Ok(Vec::new());
    }
    Ok(if backward { view.scan_reverse(from, to, limit)? } else { view.scan(from, to, limit)? })
}

fn limit_of(asked: u32) -> usize {
    if asked == 0 { DEFAULT_LIMIT } else { (asked as usize).min(MAX_LIMIT) }
}
