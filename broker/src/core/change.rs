//! Changes of earlier messages: edited, recalled, wiped, reacted to, pinned. A change is accepted by the recipient's
//! mailbox, in the order of its sender's messages (promise 3), changes the message in the history of both, and reaches
//! all devices of both.

use prost::Message as _;
use tidings_proto::ErrorCode;
use tidings_proto::mailbox::v1::{AppendMessage, Copy, MailboxRecord};
use tidings_proto::message::v1::{Change, Content, Envelope, Message, MessageId, Reaction, change::Kind, envelope};

use super::Applying;
use super::channel::Owed;
use super::entry::{self, Entry};
use super::history::Kept;
use super::keys::MailboxId;
use super::limits::{EMOJI_BYTES, REACTIONS, REACTIONS_OF_ALL};
use super::records::CoreError;

/// From which level of brokers on a live location may be moved for as long as it said.
const MOVING_LEVEL: u32 = 5;

/// From which level of brokers on both histories agree on what both of the users pin.
const AGREEING_LEVEL: u32 = 5;

impl Applying<'_> {
    /// Takes a change into the recipient's mailbox; the reason when it may not be made. The caller saves `record`.
    pub(super) fn append_change(
        &mut self,
        mailbox: &MailboxId,
        record: &mut MailboxRecord,
        append: &AppendMessage,
        change: Change,
    ) -> Result<Result<(), ErrorCode>, CoreError> {
        let of = change.of.unwrap_or_default();
        let Some(mut kept) = self.kept(mailbox, of.stream, of.seq)? else { return Ok(Err(ErrorCode::NotFound)) };
        if kept.place.conversation != append.from {
            return Ok(Err(ErrorCode::NotFound));
        }
        let change = Change {
            id: Some(MessageId { stream: append.stream, seq: append.seq }),
            from: append.from.clone(),
            to: append.to.clone(),
            at_ms: self.context.now_ms,
            group: String::new(),
            group_seq: 0,
            of_group_seq: 0,
            ..change
        };
        let message = message_of(&kept)?;
        let rights = self.rights(append, false);
        if let Err(code) = may_change(&message, &change, rights) {
            return Ok(Err(code));
        }
        self.change_kept(mailbox, record, &mut kept, &change)?;
        self.push_entry(mailbox, record, Entry::of_change(&change, &kept.place.conversation, kept.place.place), 0);
        if append.from != mailbox.user() {
            let envelope = Envelope { event: Some(envelope::Event::Change(change)) }.encode_to_vec().into();
            let copy = Copy { envelope, retention_ms: append.sender_retention_ms };
            self.owe(mailbox.app(), &append.from, Owed::Copy(copy))?;
        }
        Ok(Ok(()))
    }

    /// What the sender of a change may change.
    pub(super) fn rights(&self, append: &AppendMessage, manages: bool) -> Rights {
        Rights { window_ms: append.change_window_ms, manages, moves: self.level >= MOVING_LEVEL }
    }

    /// Changes a message where it is kept. The caller saves `record`.
    pub(super) fn change_kept(
        &mut self,
        mailbox: &MailboxId,
        record: &mut MailboxRecord,
        kept: &mut Kept,
        change: &Change,
    ) -> Result<(), CoreError> {
        let mut message = message_of(kept)?;
        if change.kind() == Kind::Pin && self.level >= AGREEING_LEVEL {
            // Each side has its own before the other's.
            if (change.at_ms, &change.from) < (message.pinned_at_ms, &message.pinned_by) {
                return Ok(());
            }
            (message.pinned_at_ms, message.pinned_by) = (change.at_ms, change.from.clone());
        }
        let changed = changed(message, change);
        let envelope = Envelope { event: Some(envelope::Event::Message(changed)) };
        self.replace_kept(mailbox, record, kept, envelope.encode_to_vec().into())
    }
}

fn message_of(kept: &Kept) -> Result<Message, CoreError> {
    match entry::decode(&kept.record.envelope)? {
        envelope::Event::Message(message) => Ok(message),
        _ => Err(CoreError::Contradiction("the history holds what is no message")),
    }
}

/// Whether a change says all that its kind needs, and no more than it may.
pub fn is_valid(change: &Change) -> bool {
    let names_a_message = change.of.is_some_and(|of| of.stream != 0 && of.seq != 0);
    let says_what = match change.kind() {
        // The server's own.
        Kind::Unspecified | Kind::Disappears => false,
        Kind::Edit => change.content.is_some(),
        Kind::Recall | Kind::Wipe | Kind::Pin => true,
        Kind::React => (1..=EMOJI_BYTES).contains(&change.emoji.len()),
    };
    names_a_message && says_what
}

/// What somebody may change.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rights {
    /// How long after a message its sender may edit, recall and wipe it.
    pub window_ms: u64,
    /// Messages of others may be recalled and wiped, whenever they were sent.
    pub manages: bool,
    /// A live location may be moved for as long as it said.
    pub moves: bool,
}

/// Whether a change only moves a live location, within its time.
fn moves(message: &Message, change: &Change) -> bool {
    let (Some(content), Some(changed)) = (&message.content, &change.content) else { return false };
    let (Some(location), Some(moved)) = (&content.location, &changed.location) else { return false };
    let is_live = change.at_ms <= location.live_until_ms && moved.live_until_ms <= location.live_until_ms;
    let elsewhere = Content { location: changed.location, ..content.clone() };
    is_live && elsewhere == *changed
}

/// Whether a change may be made by whoever makes it, when it does.
pub(super) fn may_change(message: &Message, change: &Change, rights: Rights) -> Result<(), ErrorCode> {
    let is_gone = message.recalled_at_ms != 0 || message.wiped_at_ms != 0;
    match change.kind() {
        Kind::Unspecified | Kind::Disappears => Err(ErrorCode::InvalidArgument),
        Kind::Recall | Kind::Wipe if rights.manages && message.from != change.from => Ok(()),
        Kind::Edit | Kind::Recall | Kind::Wipe => {
            if message.from != change.from {
                return Err(ErrorCode::PermissionDenied);
            }
            if is_gone && change.kind() == Kind::Edit {
                return Err(ErrorCode::NotFound);
            }
            let window_ms = i64::try_from(rights.window_ms).unwrap_or(i64::MAX);
            let is_late = change.at_ms > message.sent_at_ms.saturating_add(window_ms);
            let moves = rights.moves && change.kind() == Kind::Edit && moves(message, change);
            if is_late && !moves { Err(ErrorCode::TooLate) } else { Ok(()) }
        }
        Kind::React if is_gone && !change.off => Err(ErrorCode::NotFound),
        Kind::React => {
            let own = message.reactions.iter().filter(|reaction| reaction.from == change.from).count();
            let is_full = own >= REACTIONS || message.reactions.len() >= REACTIONS_OF_ALL;
            if !change.off && is_full { Err(ErrorCode::FailedPrecondition) } else { Ok(()) }
        }
        Kind::Pin => Ok(()),
    }
}

/// The message as a change leaves it. A change that was made already changes nothing.
pub fn changed(mut message: Message, change: &Change) -> Message {
    match change.kind() {
        Kind::Unspecified => {}
        Kind::Edit => {
            message.content.clone_from(&change.content);
            message.edited_at_ms = change.at_ms;
        }
        Kind::Recall => {
            message.content = None;
            message.reactions.clear();
            message.recalled_at_ms = change.at_ms;
        }
        Kind::Wipe => {
            message.content = None;
            message.wiped_at_ms = change.at_ms;
        }
        // Each side is told of both in its own order: what was taken back has no reactions in either.
        Kind::React if message.recalled_at_ms != 0 => {}
        Kind::React => {
            let is_it = |other: &Reaction| other.from == change.from && other.emoji == change.emoji;
            if change.off {
                message.reactions.retain(|other| !is_it(other));
            } else if !message.reactions.iter().any(is_it) {
                let (from, emoji, at_ms) = (change.from.clone(), change.emoji.clone(), change.at_ms);
                message.reactions.push(Reaction { from, emoji, at_ms });
            }
        }
        Kind::Pin => message.pinned = !change.off,
        Kind::Disappears => message.disappears_at_ms = change.disappears_at_ms,
    }
    message
}
