//! A user's conversations, with users and in groups, the one with the newest message first. Those with users stand in
//! this order in the store. Groups are ordered when they are read: a message moves no key of each member, and a user
//! has at most 1,000.

use prost::Message as _;
use tidings_consensus::StateView;
use tidings_proto::client::v1::{Conversations, ListConversations};
use tidings_proto::mailbox::v1::{BlocksRecord, ConversationRecord, HistoryRecord, MailboxRecord};
use tidings_proto::message::v1::{Block, Conversation};

use super::{PAGE_BYTES, limit_of, message_of, scan};
use crate::core::blocks::blocks;
use crate::core::conversation::summary;
use crate::core::group::conversations::{Standing, count_unread};
use crate::core::limits::UNREAD_COUNTED;
use crate::core::records::load;
use crate::core::{CoreError, GroupName, MailboxId, keys, records};
use crate::error::Error;

/// Groups of a user that are looked at. The registry lets nobody into more.
const MAX_GROUPS: usize = 1_000;
/// Messages that are counted as unread for one page, and those of one more group.
const MAX_COUNTED: usize = 20_000;

/// One of a user's conversations.
enum Found {
    With(String),
    In(Box<Standing>),
}

/// A page of a user's conversations, each with its last message. `asked.page` is the place in the order of the first.
pub fn conversations(view: &StateView, mailbox: &MailboxId, asked: &ListConversations) -> Result<Conversations, Error> {
    let limit = limit_of(asked.limit);
    let (first, end) = keys::conversations(mailbox);
    let with_users = scan(view, &[&first[..], &asked.page].concat(), &end, false, limit + 1)?.into_iter();
    let with_users = with_users.map(|(key, _)| {
        let with = keys::ordered_conversation(&key, mailbox);
        let with = with.ok_or(CoreError::Contradiction("a conversation's key cannot be read"))?;
        Ok::<_, Error>((key[first.len()..].to_vec(), Found::With(with)))
    });
    let mut ordered = with_users.collect::<Result<Vec<_>, _>>()?;
    for standing in groups_of(view, mailbox)? {
        let place = keys::group_order(standing.ordered_at_ms(), standing.group.group());
        if place >= asked.page {
            ordered.push((place, Found::In(Box::new(standing))));
        }
    }
    ordered.sort_by(|(one, _), (other, _)| one.cmp(other));

    let record: MailboxRecord = load(view, "mailbox", &keys::mailbox(mailbox))?.unwrap_or_default();
    let ignores =
        |from: &str| blocks(mailbox, &record, from, Block::GroupMessages, |key| Ok::<_, Error>(view.get(key)?));
    let mut page = Conversations::default();
    let (mut bytes, mut counted) = (0, 0);
    for (place, found) in ordered {
        let is_full = page.conversations.len() == limit || counted > MAX_COUNTED;
        if is_full && !page.conversations.is_empty() {
            page.next_page = place;
            break;
        }
        let conversation = match found {
            Found::With(with) => with_user(view, mailbox, &with)?,
            Found::In(standing) => in_group(view, mailbox.user(), &standing, &mut counted, ignores)?,
        };
        bytes += conversation.encoded_len();
        if bytes > PAGE_BYTES && !page.conversations.is_empty() {
            page.next_page = place;
            break;
        }
        page.conversations.push(conversation);
    }
    Ok(page)
}

/// The groups that a user is a member of.
pub fn group_names(view: &StateView, mailbox: &MailboxId) -> Result<Vec<GroupName>, Error> {
    let (from, to) = keys::group_conversations(mailbox);
    let unreadable = || CoreError::Contradiction("the key of a group's conversation cannot be read");
    let name = |key: &[u8]| Ok(keys::conversation_group(key, mailbox).ok_or_else(unreadable)?);
    view.scan(&from, &to, MAX_GROUPS)?.iter().map(|(key, _)| name(key)).collect()
}

fn groups_of(view: &StateView, mailbox: &MailboxId) -> Result<Vec<Standing>, Error> {
    let mut groups = Vec::new();
    for group in group_names(view, mailbox)? {
        groups.extend(Standing::load(group, mailbox.user(), |key| Ok::<_, Error>(view.get(key)?))?);
    }
    Ok(groups)
}

fn with_user(view: &StateView, mailbox: &MailboxId, with: &str) -> Result<Conversation, Error> {
    let record: ConversationRecord = load(view, "conversation", &keys::conversation(mailbox, with))?
        .ok_or(CoreError::Contradiction("a conversation that is ordered is not there"))?;
    let last: Option<HistoryRecord> = load(view, "message", &keys::history(mailbox, with, record.last_place))?;
    let last_message = last.map(|last| message_of(&last.envelope)).transpose()?.flatten();
    Ok(Conversation { last_message, ..summary(with, &record) })
}

/// Adds to `counted` how many messages were counted.
fn in_group(
    view: &StateView,
    user: &str,
    standing: &Standing,
    counted: &mut usize,
    ignores: impl Fn(&str) -> Result<bool, Error>,
) -> Result<Conversation, Error> {
    let unread = match standing.unread() {
        Some((from, to)) => view.scan(&from, &to, usize::try_from(UNREAD_COUNTED).unwrap_or(usize::MAX))?,
        None => Vec::new(),
    };
    *counted += unread.len();
    let body = standing.last_body().map(|key| view.get(&key)).transpose()?.flatten();
    let body = body.map(|stored| records::open_bytes("group body", stored)).transpose()?;
    let mut last_message = body.map(|body| message_of(&body)).transpose()?.flatten();
    if let Some(message) = &last_message
        && ignores(&message.from)?
    {
        last_message = None;
    }
    Ok(Conversation { last_message, ..standing.summary(count_unread(&unread, user, ignores)?) })
}

/// Whom a user ignores in groups.
pub fn ignored(view: &StateView, mailbox: &MailboxId) -> Result<Vec<String>, Error> {
    let blocks: Option<BlocksRecord> = load(view, "blocks", &keys::blocks(mailbox))?;
    Ok(blocks.unwrap_or_default().group_messages)
}
