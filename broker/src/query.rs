//! What a shard's state answers to its users' questions. Pages are bounded in number and in bytes (promise 6).

use bytes::Bytes;
use tidings_consensus::StateView;
use tidings_proto::ErrorCode;
use tidings_proto::client::v1::{
    Device, Devices, Found, GetHistory, GroupReceipts, HistoryMessage, HistoryPage, ReceiptTimes, Search,
};
use tidings_proto::group::v1::Permission;
use tidings_proto::mailbox::v1::{DevicesRecord, GroupMemberRecord, GroupRecord, HistoryRecord, MailboxRecord};
use tidings_proto::message::v1::{Message, MessageState, ReceiptRequest, envelope};

use crate::core::envelope::{Peeked, peek};
use crate::core::group::tallies::{have, have_read, tally_in};
use crate::core::group::{self as groups, permissions};
use crate::core::limits::GROUP_RECEIPT_MEMBERS;
use crate::core::received::{self, Progress, progress};
use crate::core::records::load;
use crate::core::steps::times;
use crate::core::{CoreError, GroupName, MailboxId, entry, keys, records};
use crate::error::Error;

mod between;
mod conversations;
mod group_status;
mod scheduled;
mod search;

pub use between::{has_blocked, refusal_of};
pub use conversations::{conversations, group_names, ignored};
pub use group_status::{InGroup, group_status};
pub use scheduled::{Whereabouts, scheduled, whereabouts};
pub use search::{is_valid as is_valid_search, merge, search, search_groups};

/// Messages or conversations in a page, when none are asked for, and at most.
const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 100;
/// Bytes of messages in a page, unless one alone has more.
const PAGE_BYTES: usize = 256 * 1024;
/// Members whom a message is for, up to which they are named.
const NAMED_RECEIPTS: u32 = 100;
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
    let key = |place| keys::history(mailbox, &asked.with, place);
    let mut page = page(view, asked, 0, key, |key, stored| {
        let place = keys::history_place(key).ok_or(CoreError::Contradiction("a message's key has no place"))?;
        Ok((place, Some(records::open::<HistoryRecord>("message", stored)?.envelope)))
    })?;
    let received = received::of(view, mailbox, &asked.with)?;
    for kept in &mut page.messages {
        let own = kept.message.as_ref().filter(|message| message.from == mailbox.user());
        let told = own.and_then(|message| Some((message.receipts(), progress(&received, message.id?)?)));
        // A later receipt speaks for what wants none, too.
        if let Some((wanted, Progress { state, delivered_at_ms, read_at_ms })) = told
            && (wanted != ReceiptRequest::ReceiptsNone || state == MessageState::Expired)
        {
            kept.state = state.into();
            (kept.delivered_at_ms, kept.read_at_ms) = (delivered_at_ms, read_at_ms);
        }
    }
    Ok(page)
}

/// A page of a group's messages, as far as a member may read them, without those of whom the member ignores; the code
/// when this user may not.
pub fn group_history(
    view: &StateView,
    group: &GroupName,
    user: &str,
    ignored: &[String],
    asked: &GetHistory,
) -> Result<Result<HistoryPage, ErrorCode>, Error> {
    let (_, member) = match group_and_member(view, group, user)? {
        Ok(found) => found,
        Err(code) => return Ok(Err(code)),
    };
    let key = |place| keys::group_timeline(group, place);
    let page = page(view, asked, member.joined_at, key, |key, _| {
        let place = keys::timeline_place(key).ok_or(CoreError::Contradiction("a message's key has no place"))?;
        let body = view.get(&keys::group_body(group, place))?;
        let body = body.map(|body| records::open_bytes("group body", body)).transpose()?;
        let is_ignored = match &body {
            Some(body) if !ignored.is_empty() => match peek(body)? {
                Peeked::Message(head) => ignored.iter().any(|other| other == head.from),
                _ => false,
            },
            _ => false,
        };
        Ok((place, body.filter(|_| !is_ignored)))
    })?;
    Ok(Ok(page))
}

/// A group, and a user as a member who receives from it; the code when this user is none.
pub fn group_and_member(
    view: &StateView,
    group: &GroupName,
    user: &str,
) -> Result<Result<(GroupRecord, GroupMemberRecord), ErrorCode>, Error> {
    let record: GroupRecord = load(view, "group", &keys::group(group))?.unwrap_or_default();
    let settings = record.settings.unwrap_or_default();
    let member: Option<GroupMemberRecord> = load(view, "group member", &keys::group_member(group, user))?;
    Ok(match member {
        Some(_) if settings.deleted => Err(ErrorCode::NotAMember),
        Some(member) if !permissions(&member, settings.member_permissions).has(Permission::Receive) => {
            Err(ErrorCode::PermissionDenied)
        }
        Some(member) => Ok((record, member)),
        None => Err(ErrorCode::NotAMember),
    })
}

/// A page of what a member finds in a group; the code when this user is none.
pub fn search_group(
    view: &StateView,
    group: &GroupName,
    user: &str,
    ignored: &[String],
    asked: &Search,
) -> Result<Result<Found, ErrorCode>, Error> {
    match group_and_member(view, group, user)? {
        Ok(_) => Ok(Ok(search_groups(view, user, std::slice::from_ref(group), ignored, asked)?)),
        Err(code) => Ok(Err(code)),
    }
}

/// The members who receive from a group of at most [`GROUP_RECEIPT_MEMBERS`].
pub fn receivers(
    view: &StateView,
    group: &GroupName,
    record: &GroupRecord,
) -> Result<Vec<(String, GroupMemberRecord)>, Error> {
    let (from, to) = keys::group_members(group, "");
    // As many as the group has, which was looked at before, and a few who joined since.
    let members = view.scan(&from, &to, 2 * usize::try_from(GROUP_RECEIPT_MEMBERS).unwrap_or(usize::MAX))?;
    Ok(groups::receivers(members, record.settings.unwrap_or_default().member_permissions)?)
}

/// How far a message of this user in a group has come; the code when it is not to be known.
pub fn group_receipts(
    view: &StateView,
    group: &GroupName,
    user: &str,
    place: u64,
) -> Result<Result<GroupReceipts, ErrorCode>, Error> {
    let (record, _) = match group_and_member(view, group, user)? {
        Ok(found) => found,
        Err(code) => return Ok(Err(code)),
    };
    let is_kept = view.get(&keys::group_timeline(group, place))?.is_some();
    let body = view.get(&keys::group_body(group, place))?.filter(|_| is_kept);
    let Some(body) = body else { return Ok(Err(ErrorCode::NotFound)) };
    match peek(&records::open_bytes("group body", body)?)? {
        Peeked::Message(head) if head.from == user => {}
        _ => return Ok(Err(ErrorCode::PermissionDenied)),
    }
    count_receipts(view, group, &record, user, place)
}

/// How many members have and read what stands at a place, without its sender; the code where that is not known.
fn count_receipts(
    view: &StateView,
    group: &GroupName,
    record: &GroupRecord,
    sender: &str,
    place: u64,
) -> Result<Result<GroupReceipts, ErrorCode>, Error> {
    let stands = view.get(&keys::group_timeline(group, place))?;
    if let Some(tally) = stands.map(tally_in).transpose()?.flatten() {
        let (members, delivered, read) = (tally.members, have(&tally), have_read(&tally));
        return Ok(Ok(GroupReceipts { members, delivered, read, ..GroupReceipts::default() }));
    }
    if record.members > GROUP_RECEIPT_MEMBERS {
        return Ok(Err(ErrorCode::FailedPrecondition));
    }
    let mut receipts = GroupReceipts::default();
    for (name, member) in receivers(view, group, record)? {
        if member.joined_at > place || name == sender {
            continue;
        }
        receipts.members += 1;
        if member.delivered >= place {
            let (delivered_at_ms, read_at_ms) = times(&member, place);
            receipts.times.push(ReceiptTimes { user: name.clone(), delivered_at_ms, read_at_ms });
            receipts.delivered_to.push(name.clone());
        }
        if member.read >= place {
            receipts.read_by.push(name);
        }
    }
    receipts.delivered = u32::try_from(receipts.delivered_to.len()).unwrap_or(u32::MAX);
    receipts.read = u32::try_from(receipts.read_by.len()).unwrap_or(u32::MAX);
    if receipts.members > NAMED_RECEIPTS {
        (receipts.delivered_to, receipts.read_by, receipts.times) = Default::default();
    }
    Ok(Ok(receipts))
}

/// A page of messages from `lowest` on. `key` names a place; `read` answers the place in a key, and the envelope there
/// (`None`: it is not shown, or went meanwhile).
fn page(
    view: &StateView,
    asked: &GetHistory,
    lowest: u64,
    key: impl Fn(u64) -> Vec<u8>,
    read: impl Fn(&[u8], Bytes) -> Result<(u64, Option<Bytes>), Error>,
) -> Result<HistoryPage, Error> {
    let limit = limit_of(asked.limit);
    let backward = asked.after == 0;
    let mut end = if asked.before == 0 { u64::MAX } else { asked.before };
    let mut first = asked.after.saturating_add(1).max(lowest);
    let mut page = HistoryPage::default();
    let mut bytes = 0;
    'reading: loop {
        let stored = scan(view, &key(first), &key(end), backward, READ_AT_ONCE)?;
        let is_end = stored.len() < READ_AT_ONCE;
        for (key, stored) in stored {
            let (place, envelope) = read(&key, stored)?;
            bytes += envelope.as_ref().map_or(0, Bytes::len);
            let is_full = page.messages.len() >= limit || bytes > PAGE_BYTES;
            if is_full && !page.messages.is_empty() {
                page.more = true;
                break 'reading;
            }
            if backward {
                end = place
            } else {
                first = place.saturating_add(1)
            }
            if let Some(envelope) = envelope {
                page.messages.push(HistoryMessage {
                    place,
                    message: message_of(&envelope)?,
                    ..HistoryMessage::default()
                });
            }
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

fn message_of(envelope: &Bytes) -> Result<Option<Message>, Error> {
    match entry::decode(envelope)? {
        envelope::Event::Message(message) => Ok(Some(message)),
        _ => Ok(None),
    }
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
