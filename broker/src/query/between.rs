//! What stands between two users, where nothing is stored that would be judged as it is applied.

use tidings_consensus::StateView;
use tidings_proto::ErrorCode;
use tidings_proto::mailbox::v1::MailboxRecord;
use tidings_proto::message::v1::Block;
use tidings_proto::policy::v1::Audience;

use crate::core::blocks::blocks;
use crate::core::contacts::is_reached_by;
use crate::core::records::load;
use crate::core::{MailboxId, keys};
use crate::error::Error;

/// Why what another says does not come to the user of a mailbox; `audience` is what the other's policy says.
pub fn refusal_of(
    view: &StateView,
    mailbox: &MailboxId,
    from: &str,
    audience: Audience,
) -> Result<Option<ErrorCode>, Error> {
    if has_blocked(view, mailbox, from, Block::Messages)? {
        return Ok(Some(ErrorCode::Blocked));
    }
    let is_reached = is_reached_by(mailbox, from, audience, |key| Ok::<_, Error>(view.get(key)?))?;
    Ok((!is_reached).then_some(ErrorCode::RefusedByPolicy))
}

/// Whether the user of a mailbox has blocked something of another.
pub fn has_blocked(view: &StateView, mailbox: &MailboxId, other: &str, what: Block) -> Result<bool, Error> {
    let record: MailboxRecord = load(view, "mailbox", &keys::mailbox(mailbox))?.unwrap_or_default();
    blocks(mailbox, &record, other, what, |key| Ok::<_, Error>(view.get(key)?))
}

#[cfg(test)]
mod tests {
    use tidings_proto::client::v1::{Blocks, UpdateConversation as Update};

    use super::*;
    use crate::core::testing::{Shard, mailbox_of};

    #[test]
    fn blocks_and_audiences_hold_for_what_is_stored_nowhere() {
        let mut shard = Shard::alone();
        let refused =
            |shard: &Shard, audience| refusal_of(&shard.store.view(), &mailbox_of("bob"), "alice", audience).unwrap();
        assert_eq!(refused(&shard, Audience::Unspecified), None);
        assert_eq!(refused(&shard, Audience::Contacts), Some(ErrorCode::RefusedByPolicy));
        shard.update("alice", "bob", Update { contact: Some(true), ..Update::default() });
        assert_eq!(refused(&shard, Audience::Contacts), None);
        let blocks = Some(Blocks { blocks: vec![Block::Messages.into(), Block::GroupMessages.into()] });
        shard.update("bob", "alice", Update { blocks, ..Update::default() });
        assert_eq!(refused(&shard, Audience::Contacts), Some(ErrorCode::Blocked));
        let has_blocked = |what| has_blocked(&shard.store.view(), &mailbox_of("bob"), "alice", what).unwrap();
        assert_eq!([Block::GroupMessages, Block::Profile].map(has_blocked), [true, false]);
    }
}
