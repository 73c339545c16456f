//! Messages that wait for their time, as their sender sees them.

use prost::Message as _;
use tidings_consensus::StateView;
use tidings_proto::client::v1::{ListScheduled, ScheduledMessages};
use tidings_proto::mailbox::v1::{ScheduleEnd, ScheduleRecord, ScheduledRecord};
use tidings_proto::message::v1::{Content, MessageId, ScheduledMessage};

use super::{PAGE_BYTES, limit_of, scan};
use crate::core::records::{self, load};
use crate::core::schedule::recipient;
use crate::core::{CoreError, Scheduler, keys};
use crate::error::Error;

/// A page of what one has scheduled, in the order of ids.
pub fn scheduled(view: &StateView, of: &Scheduler, asked: &ListScheduled) -> Result<ScheduledMessages, Error> {
    let (first, end) = keys::all_scheduled(of);
    // Behind the key that the page before ended with.
    let from = if asked.page.is_empty() { first.clone() } else { [&first[..], &asked.page, &[0]].concat() };
    let mut page = ScheduledMessages::default();
    let mut bytes = 0;
    let mut last = Vec::new();
    for (key, stored) in scan(view, &from, &end, false, limit_of(asked.limit) + 1)? {
        let id = keys::scheduled_id(&key).ok_or(CoreError::Contradiction("a scheduled message's key has no id"))?;
        let message = message_of(id, records::open("scheduled message", stored)?)?;
        bytes += message.encoded_len();
        let is_full = page.messages.len() == limit_of(asked.limit) || bytes > PAGE_BYTES;
        if is_full && !page.messages.is_empty() {
            page.next_page = last;
            break;
        }
        last = key[first.len()..].to_vec();
        page.messages.push(message);
    }
    Ok(page)
}

/// A message that waits, or what became of one that does not any more.
pub enum Whereabouts {
    Waits(Box<ScheduledMessage>),
    Ended(ScheduleEnd),
}

/// What was scheduled under an id, as long as that is known.
pub fn whereabouts(view: &StateView, of: &Scheduler, id: MessageId) -> Result<Option<Whereabouts>, Error> {
    if let Some(waits) = load::<ScheduledRecord>(view, "scheduled message", &keys::scheduled(of, id))? {
        return Ok(Some(Whereabouts::Waits(Box::new(message_of(id, waits)?))));
    }
    let record: ScheduleRecord = load(view, "schedule", &keys::schedule(of))?.unwrap_or_default();
    Ok(record.ended.into_iter().find(|end| end.id == Some(id)).map(Whereabouts::Ended))
}

fn message_of(id: MessageId, waits: ScheduledRecord) -> Result<ScheduledMessage, Error> {
    let message = waits.message.unwrap_or_default();
    let (to, group) = recipient(&message.to, waits.to_group);
    let content = Content::decode(message.content)
        .map_err(|error| CoreError::Damaged { what: "scheduled message", reason: error.to_string() })?;
    Ok(ScheduledMessage {
        id: Some(id),
        to,
        group,
        content: Some(content),
        deliver_at_ms: waits.deliver_at_ms,
        ttl_ms: message.ttl_ms,
        disappears: message.disappears,
        scheduled_at_ms: waits.scheduled_at_ms,
        by_backend: waits.by_backend,
    })
}
