//! How the conversations of a mailbox stand: read up to where, muted, archived, blocked. Shared by all devices of the
//! user, which are told when one of them changes it.

use bytes::Bytes;
use tidings_proto::ErrorCode;
use tidings_proto::client::v1::UpdateConversation as Update;
use tidings_proto::mailbox::v1::{ConversationRecord, HistoryRecord, MailboxRecord, UpdateConversation};
use tidings_proto::message::v1::{Block, Conversation, ConversationUpdate, Envelope, envelope};

use super::entry::Entry;
use super::keys::{self, MailboxId};
use super::limits::CONVERSATIONS;
use super::records::{self, CoreError};
use super::{Applying, Reply, blocks, contacts, refused};

impl Applying<'_> {
    pub(super) fn conversation(
        &self,
        mailbox: &MailboxId,
        with: &str,
    ) -> Result<Option<ConversationRecord>, CoreError> {
        self.load("conversation", &keys::conversation(mailbox, with))
    }

    pub(super) fn save_conversation(&mut self, mailbox: &MailboxId, with: &str, record: &ConversationRecord) {
        self.store.put(keys::conversation(mailbox, with), records::seal(record));
    }

    /// Moves a conversation to its place by a time. The caller saves `conversation`.
    pub(super) fn order_conversation(
        &mut self,
        mailbox: &MailboxId,
        with: &str,
        conversation: &mut ConversationRecord,
        at_ms: i64,
    ) {
        if conversation.ordered_at_ms == at_ms {
            return;
        }
        if conversation.ordered_at_ms != 0 {
            self.store.delete(&keys::conversation_order(mailbox, conversation.ordered_at_ms, with));
        }
        conversation.ordered_at_ms = at_ms;
        self.store.put(keys::conversation_order(mailbox, at_ms, with), Bytes::new());
    }

    pub(super) fn update_conversation(&mut self, asked: UpdateConversation) -> Result<Reply, CoreError> {
        let (Some(mailbox), Some(update)) = (MailboxId::new(&asked.app, &asked.user), asked.update.clone()) else {
            return refused(ErrorCode::InvalidArgument);
        };
        if !update.group.is_empty() {
            return self.update_group_conversation(UpdateConversation { update: Some(update), ..asked });
        }
        let blocks = update.blocks.as_ref().map(|blocks| blocks.blocks.clone());
        if !keys::is_id(&asked.with) || !blocks.iter().flatten().all(|block| is_known(*block)) {
            return refused(ErrorCode::InvalidArgument);
        }
        let listed = blocks.as_ref().map(|blocks| self.list_blocks(&mailbox, &asked.with, blocks)).transpose()?;
        let contact = update.contact.map(|contact| self.list_contact(&mailbox, &asked.with, contact)).transpose()?;
        let contacts = contact.flatten();
        if listed.as_ref().is_some_and(blocks::Listed::is_full)
            || contacts.as_ref().is_some_and(contacts::Listed::is_full)
        {
            return refused(ErrorCode::InboxFull);
        }
        let mut record = self.mailbox_or_new(&mailbox)?;
        let mut conversation = match self.conversation(&mailbox, &asked.with)? {
            Some(conversation) => conversation,
            None if record.conversations >= CONVERSATIONS => return refused(ErrorCode::InboxFull),
            None => {
                record.conversations += 1;
                let mut conversation = ConversationRecord::default();
                self.order_conversation(&mailbox, &asked.with, &mut conversation, self.context.now_ms);
                conversation
            }
        };
        if let Some(place) = update.read_place {
            self.read_to_place(&mailbox, &asked.with, &mut conversation, place)?;
        }
        set(&mut conversation, &update);
        if let Some(mut blocks) = blocks {
            blocks.sort_unstable();
            blocks.dedup();
            record.blocks += u32::from(!blocks.is_empty());
            record.blocks = record.blocks.saturating_sub(u32::from(!conversation.blocks.is_empty()));
            conversation.blocks = blocks;
        }
        if let Some(listed) = listed {
            self.save_blocks(&mailbox, listed);
        }
        conversation.contact = update.contact.unwrap_or(conversation.contact);
        if let Some(contacts) = contacts {
            self.save_contacts(&mailbox, &asked.with, &contacts)?;
        }
        self.save_conversation(&mailbox, &asked.with, &conversation);
        let conversation = summary(&asked.with, &conversation);
        self.tell_devices(&mailbox, &mut record, &conversation);
        self.save_mailbox(&mailbox, &record);
        Ok(Reply::Conversation(Box::new(conversation)))
    }

    /// The user read a message, and everything before it in its conversation.
    pub(super) fn read_message(&mut self, mailbox: &MailboxId, stream: u64, seq: u64) -> Result<(), CoreError> {
        let Some(kept) = self.kept(mailbox, stream, seq)? else { return Ok(()) };
        let with = &kept.place.conversation;
        let (Some(mut conversation), Some(mut record)) = (self.conversation(mailbox, with)?, self.mailbox(mailbox)?)
        else {
            return Ok(());
        };
        if !self.read_to_place(mailbox, with, &mut conversation, kept.place.place)? {
            return Ok(());
        }
        self.save_conversation(mailbox, with, &conversation);
        self.tell_devices(mailbox, &mut record, &summary(with, &conversation));
        self.save_mailbox(mailbox, &record);
        Ok(())
    }

    /// Moves the read position; answers whether it moved. The caller saves `conversation`.
    fn read_to_place(
        &mut self,
        mailbox: &MailboxId,
        with: &str,
        conversation: &mut ConversationRecord,
        place: u64,
    ) -> Result<bool, CoreError> {
        let place = place.min(conversation.last_place);
        if place <= conversation.read_place && !conversation.marked_unread {
            return Ok(false);
        }
        conversation.marked_unread = false;
        if place > conversation.read_place {
            conversation.read_place = place;
            let read = self.incoming_up_to(mailbox, with, conversation, place)?;
            conversation.read_incoming = conversation.read_incoming.max(read);
        }
        Ok(true)
    }

    /// How many messages had come in up to a place; 0 when the message there is gone.
    fn incoming_up_to(
        &self,
        mailbox: &MailboxId,
        with: &str,
        conversation: &ConversationRecord,
        place: u64,
    ) -> Result<u64, CoreError> {
        if place == conversation.last_place {
            return Ok(conversation.incoming);
        }
        let message = self.load::<HistoryRecord>("message", &keys::history(mailbox, with, place))?;
        Ok(message.map_or(0, |message| message.incoming))
    }

    /// Tells the user's devices, where there are several. The caller saves `record`.
    pub(super) fn tell_devices(
        &mut self,
        mailbox: &MailboxId,
        record: &mut MailboxRecord,
        conversation: &Conversation,
    ) {
        if record.devices < 2 {
            return;
        }
        let update = ConversationUpdate { conversation: Some(conversation.clone()), at_ms: self.context.now_ms };
        let entry = Entry::whole(&Envelope { event: Some(envelope::Event::ConversationUpdate(update)) });
        self.push_bounded(mailbox, record, entry, 0);
    }
}

/// Sets what is the user's alone to say.
pub(super) fn set(conversation: &mut ConversationRecord, update: &Update) {
    conversation.marked_unread = update.marked_unread.unwrap_or(conversation.marked_unread);
    conversation.mute_until_ms = update.mute_until_ms.unwrap_or(conversation.mute_until_ms);
    conversation.archived = update.archived.unwrap_or(conversation.archived);
    conversation.favourite = update.favourite.unwrap_or(conversation.favourite);
}

/// The conversation of a mailbox with another user. `read` answers what is stored under a key.
pub(super) fn conversation_with<E: From<CoreError>>(
    mailbox: &MailboxId,
    with: &str,
    read: impl Fn(&[u8]) -> Result<Option<Bytes>, E>,
) -> Result<Option<ConversationRecord>, E> {
    let stored = read(&keys::conversation(mailbox, with))?;
    Ok(stored.map(|stored| records::open("conversation", stored)).transpose()?)
}

fn is_known(block: i32) -> bool {
    matches!(Block::try_from(block), Ok(block) if block != Block::Unspecified)
}

/// A conversation as the user is told of it, without its last message.
pub fn summary(with: &str, record: &ConversationRecord) -> Conversation {
    Conversation {
        with: with.to_owned(),
        group: String::new(),
        last_place: record.last_place,
        last_at_ms: record.last_at_ms,
        unread: record.incoming.saturating_sub(record.read_incoming),
        read_place: record.read_place,
        marked_unread: record.marked_unread,
        mute_until_ms: record.mute_until_ms,
        archived: record.archived,
        favourite: record.favourite,
        blocks: record.blocks.clone(),
        contact: record.contact,
        last_message: None,
    }
}
