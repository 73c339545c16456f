//! How far a message has come that was posted to a group.

use tidings_consensus::StateView;
use tidings_proto::ErrorCode;
use tidings_proto::client::v1::GroupReceipts;
use tidings_proto::mailbox::v1::{GroupRecord, HistoryPlace, Posted, PostedRecord};
use tidings_proto::message::v1::MessageId;

use super::count_receipts;
use crate::core::envelope::{Peeked, peek};
use crate::core::records::{self, load};
use crate::core::{GroupName, keys};
use crate::error::Error;

/// A message of a group, found.
pub struct InGroup {
    pub id: MessageId,
    pub place: u64,
    pub receipts: GroupReceipts,
}

/// How far a message from `from` has come, named by its id or by the request that it was posted with; the code when
/// that is not to be known.
pub fn group_status(
    view: &StateView,
    group: &GroupName,
    from: &str,
    id: Option<MessageId>,
    request_id: &str,
) -> Result<Result<InGroup, ErrorCode>, Error> {
    let Some(record) = load::<GroupRecord>(view, "group", &keys::group(group))? else {
        return Ok(Err(ErrorCode::NotFound));
    };
    let settings = record.settings.unwrap_or_default();
    // What goes to one member of many is told by no watermark.
    if settings.hunt {
        return Ok(Err(ErrorCode::FailedPrecondition));
    }
    let posted: PostedRecord = load(view, "posted", &keys::group_posted(group))?.unwrap_or_default();
    let is_it = |known: &&Posted| {
        let named = match id {
            Some(id) => (known.stream, known.seq) == (id.stream, id.seq),
            None => known.request_id == request_id,
        };
        named && known.from == from
    };
    let found = match (posted.posted.iter().find(is_it), id) {
        (Some(known), _) if known.entry != 0 => Some((MessageId { stream: known.stream, seq: known.seq }, known.entry)),
        (Some(known), _) => kept_at(view, group, from, MessageId { stream: known.stream, seq: known.seq })?,
        (None, Some(id)) => kept_at(view, group, from, id)?,
        (None, None) => None,
    };
    let Some((id, place)) = found else { return Ok(Err(ErrorCode::NotFound)) };
    Ok(count_receipts(view, group, &record, from, place)?.map(|receipts| InGroup { id, place, receipts }))
}

/// The place of a message that the group's history keeps.
fn kept_at(view: &StateView, group: &GroupName, from: &str, id: MessageId) -> Result<Option<(MessageId, u64)>, Error> {
    let stands: Option<HistoryPlace> = load(view, "place", &keys::group_place(group, id.stream, id.seq))?;
    let Some(HistoryPlace { place, .. }) = stands else { return Ok(None) };
    let Some(body) = view.get(&keys::group_body(group, place))? else { return Ok(None) };
    let is_theirs = match peek(&records::open_bytes("group body", body)?)? {
        Peeked::Message(head) => head.from == from,
        _ => false,
    };
    Ok(is_theirs.then_some((id, place)))
}

#[cfg(test)]
mod tests {
    use tidings_proto::mailbox::v1::{GroupChange, PostMessage, command::Command};

    use super::*;
    use crate::core::Reply;
    use crate::core::group::testing::{ALL, group, member};
    use crate::core::testing::{Shard, post};

    fn posted(shard: &mut Shard, request_id: &str, in_full: bool, retention_ms: u64) -> MessageId {
        let mut message = post("shop", "").message.unwrap_or_default();
        (message.to, message.retention_ms) = ("team".to_owned(), retention_ms);
        let request_id = request_id.to_owned();
        let post = PostMessage { message: Some(message), request_id, to_group: true, by_system: true, in_full };
        match shard.apply(Command::PostMessage(post)) {
            Reply::Posted { id, .. } => id,
            other => panic!("a post was answered {other:?}"),
        }
    }

    fn status(
        shard: &Shard,
        id: Option<MessageId>,
        request_id: &str,
    ) -> Result<(MessageId, u64, GroupReceipts), ErrorCode> {
        let found = group_status(&shard.store.view(), &group("team"), "shop", id, request_id).unwrap();
        found.map(|found| (found.id, found.place, found.receipts))
    }

    #[test]
    fn names_the_place_of_what_was_posted_also_to_more_than_a_thousand_members() {
        let mut shard = Shard::alone();
        let members: Vec<_> = (0..1000).map(|number| member(&format!("user-{number:04}"), ALL)).collect();
        shard.form("team", &members);
        let (first, second) = (posted(&mut shard, "1", true, 0), posted(&mut shard, "2", false, 1000));
        let (id, place, receipts) = status(&shard, None, "1").unwrap();
        assert_eq!((id, receipts.members, receipts.delivered), (first, 1000, 0));
        // A broker of an earlier release noted no place; the history has it.
        assert_eq!(status(&shard, Some(second), "").map(|found| found.1), Ok(place + 1));
        assert_eq!(status(&shard, None, "2").map(|found| found.1), Ok(place + 1));
        assert_eq!(status(&shard, None, "3"), Err(ErrorCode::NotFound));
        let other = group_status(&shard.store.view(), &group("team"), "bank", Some(first), "").unwrap();
        assert!(matches!(other.map(|_| ()), Err(ErrorCode::NotFound)));

        posted(&mut shard, "before", true, 1000);
        let joins = GroupChange { put: vec![member("one-more", ALL)], ..GroupChange::default() };
        shard.update_group("team", 2, vec![joins]);
        // Of so many it is known where the message is kept.
        assert_eq!(status(&shard, None, "1"), Err(ErrorCode::FailedPrecondition));
        let members = ["before", "2"].map(|request| status(&shard, None, request).unwrap().2.members);
        assert_eq!(members, [1000, 0], "one of them wanted no receipts");
        for (request_id, retention_ms, expected) in
            [("4", 1000, Ok(1001)), ("5", 0, Err(ErrorCode::FailedPrecondition))]
        {
            posted(&mut shard, request_id, true, retention_ms);
            let members = status(&shard, None, request_id).map(|(_, _, receipts)| receipts.members);
            assert_eq!(members, expected, "{request_id}");
        }
    }
}
