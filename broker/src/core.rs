//! The shard's pure core: a command in; records written, a reply and effects out. No clock, no randomness, no I/O but
//! the store it is handed, so that every replica comes to the same bytes and tests need no runtime.
//!
//! - [`append`]: a message enters a mailbox, once, in its sender's order (promises 2 and 3)
//! - [`attach`]: a device gets its slot and its stream, or takes up the ones it has (promise 5)
//! - [`cursor`]: acknowledgements, delivered receipts, and when entries go
//! - [`read`]: read receipts; [`received`]: what senders were told; [`steps`]: since when
//! - [`history`], [`change`], [`conversation`]: what is kept, what becomes of it, and how far the user is in it
//! - [`blocks`]: whom a user keeps from what; [`contacts`]: with whom policies let a user do what others may not
//! - [`search`]: by which words a message is found
//! - [`disappear`]: messages that go after a time
//! - [`schedule`]: messages that wait for their time; [`release`]: when it has come
//! - [`post`]: a backend's message; [`locate`]: where a message is
//! - [`erase`]: what is stored of users who were deleted
//! - [`channel`]: what one shard owes the mailboxes of another, exactly once
//! - [`expiry`]: entries whose time has passed, and mailboxes that want upkeep
//! - [`group`]: groups: one order at home, a copy of each body per shard, a pointer per member
//! - [`level`]: what replicas of an earlier release would apply otherwise
//! - [`keys`], [`records`], [`envelope`], [`entry`], [`window`], [`limits`]: how and how much is stored

pub mod append;
pub mod attach;
pub mod blocks;
pub mod change;
pub mod channel;
pub mod contacts;
pub mod conversation;
pub mod cursor;
pub mod disappear;
pub mod entry;
pub mod envelope;
pub mod erase;
pub mod expiry;
pub mod group;
pub mod history;
pub mod keys;
pub mod level;
pub mod limits;
pub mod locate;
pub mod mailbox;
pub mod post;
pub mod read;
pub mod received;
pub mod records;
pub mod release;
pub mod schedule;
pub mod search;
pub mod steps;
pub mod window;

#[cfg(test)]
pub(crate) mod history_tests;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
pub mod testing;

use bytes::Bytes;
use group::append::Speaker;
use prost::Message as _;
use tidings_proto::ErrorCode;
use tidings_proto::mailbox::v1::{AdoptGroups, Command, ExpandGroups, TellGroupReceipts, command};
use tidings_proto::message::v1::{Conversation, MessageId};

pub use attach::AttachedDevice;
pub use keys::{GroupName, MailboxId, Scheduler};
pub use records::CoreError;
use tidings_consensus::{ApplyContext, StateStore};

/// What the proposer of a command is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// Nothing was changed.
    Refused(ErrorCode),
    /// To `AttachDevice`.
    Attached(AttachedDevice),
    /// To `AppendMessage`: it is in the mailbox, now or since an earlier attempt. The time of a duplicate is that of
    /// the sender device's newest message in the mailbox: exact when it is that one, else an upper bound.
    Appended { sent_at_ms: i64, duplicate: bool },
    /// To `PostMessage`: it is in the mailbox under this id, now or since an earlier attempt.
    Posted { id: MessageId, sent_at_ms: i64, duplicate: bool },
    /// To `ScheduleMessage` of a backend: it waits under this id, now or since an earlier attempt.
    Scheduled { id: MessageId, at_ms: i64, duplicate: bool },
    /// To `CancelScheduled`: it will not be sent.
    ScheduledCancelled,
    /// To `ReleaseScheduled`.
    Released,
    /// To `MoveCursor`: where the device's cursor stands now. Below what was asked, ask again.
    CursorMoved { cursor: u64 },
    /// To `MarkRead` and `MarkGroupRead`.
    ReadRecorded,
    /// To `UpdateConversation`: as it is now.
    Conversation(Box<Conversation>),
    /// To `ChannelDeliver`: everything up to here has come. Below `first_seq - 1` there was a gap, and nothing changed.
    ChannelDelivered { up_to: u64 },
    /// To `ChannelTrim`.
    ChannelTrimmed,
    /// To `ExpireDue`.
    Expired {
        /// Entries removed.
        entries: u32,
        /// The limit was reached: there may be more.
        more: bool,
    },
    /// To `UpdateGroup`: the revision of the registry that the group stands at now.
    GroupStands { revision: u64 },
    /// To `ExpandGroups`: whether there is more to do.
    GroupsExpanded { more: bool },
    /// To `TellGroupReceipts`: whether there may be more to do.
    GroupReceiptsTold { more: bool },
    /// To `AdoptGroups`: whether there is more to do.
    GroupsAdopted { more: bool },
    /// To `EraseMailbox`: how much was found and removed, and whether there is more, now or in a while.
    MailboxErased { erased: u32, more: bool },
}

/// What the leader's memory has to know of what was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// An entry joined a mailbox. A mailbox's entries come in the order of their numbers, without gaps.
    Appended {
        mailbox: MailboxId,
        seq: u64,
        /// An encoded `Envelope`.
        envelope: Bytes,
        /// Unix ms; 0: never.
        expires_at_ms: i64,
    },
    /// A number of this mailbox was given to an entry that had no room: its devices have to attach again to be told.
    Lost { mailbox: MailboxId },
    /// There is something in the channel to this shard.
    Owed { target: u32 },
    /// Something in a group waits to be brought to members here.
    Expanding,
    /// A user is not to be seen by these others from now on, and by all others.
    HidesFrom { mailbox: MailboxId, users: Vec<String> },
    /// A user has other contacts, or is among those of others.
    ContactsChanged { mailbox: MailboxId },
    /// At home: members of a group have or read more of it than before, or are none any more.
    ReceiptsMoved { group: GroupName },
    /// A user was deleted, and something of the mailbox is gone.
    Erased { mailbox: MailboxId },
}

/// A shard's place in its cluster, fixed for the cluster's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Core {
    /// This shard.
    pub shard: u32,
    /// How many there are.
    pub shards: u32,
}

impl Core {
    /// Applies one encoded command. On an error nothing that was put into the store may be kept.
    pub fn apply(
        self,
        context: &ApplyContext,
        command: &[u8],
        store: &mut dyn StateStore,
        effects: &mut Vec<Effect>,
    ) -> Result<Reply, CoreError> {
        self.apply_within(Bounds::default(), context, command, store, effects)
    }

    /// As [`apply`](Self::apply), within other bounds: for tests.
    fn apply_within(
        self,
        bounds: Bounds,
        context: &ApplyContext,
        command: &[u8],
        store: &mut dyn StateStore,
        effects: &mut Vec<Effect>,
    ) -> Result<Reply, CoreError> {
        let command = Command::decode(command).map_err(|error| CoreError::UnknownCommand(error.to_string()))?;
        let level = command.level;
        let command = command.command.ok_or_else(|| CoreError::UnknownCommand("of an unknown kind".to_owned()))?;
        let mut applying = Applying { core: self, context, level, store, effects, bounds, places: bounds.places };
        match command {
            command::Command::AppendMessage(append) => applying.append_message(append),
            command::Command::MoveCursor(cursor) => applying.move_cursor(cursor),
            command::Command::AttachDevice(attach) => applying.attach_device(attach),
            command::Command::MarkRead(read) => applying.mark_read(read),
            command::Command::ChannelDeliver(deliver) => applying.channel_deliver(deliver),
            command::Command::ChannelTrim(trim) => applying.channel_trim(trim),
            command::Command::ExpireDue(due) => applying.expire_due(due.limit),
            command::Command::AppendToGroup(append) => applying.append_to_group(append, Speaker::Member),
            command::Command::UpdateGroup(update) => applying.update_group(update),
            command::Command::ExpandGroups(ExpandGroups {}) => applying.expand_groups(),
            command::Command::MarkGroupRead(mark) => applying.mark_group_read(mark),
            command::Command::TellGroupReceipts(TellGroupReceipts {}) => applying.tell_group_receipts(),
            command::Command::UpdateConversation(update) => applying.update_conversation(update),
            command::Command::PostMessage(post) => applying.post_message(post),
            command::Command::ScheduleMessage(schedule) => applying.schedule_message(schedule),
            command::Command::CancelScheduled(cancel) => applying.cancel_scheduled(&cancel),
            command::Command::ReleaseScheduled(release) => applying.release_scheduled(release),
            command::Command::AdoptGroups(AdoptGroups {}) => applying.adopt_groups(),
            command::Command::EraseMailbox(erase) => applying.erase_mailbox(erase),
        }
    }
}

/// Encodes a command for [`Core::apply`] that does the same at every level.
pub fn encode(command: command::Command) -> Bytes {
    encode_at(command, 0)
}

/// Encodes a command that every broker applies up to a level.
pub fn encode_at(command: command::Command, level: u32) -> Bytes {
    Command { command: Some(command), level }.encode_to_vec().into()
}

/// How much of groups one command gives, and a mailbox and a shard hold.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// [`limits::EXPANDED_PER_COMMAND`]
    places: usize,
    /// [`limits::FOLLOWED_ENTRIES`]
    followed: u64,
    /// [`limits::DRAWN_ENTRIES`]
    drawn: u64,
    /// [`limits::LOCAL_TIMELINE_PLACES`]
    timeline: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            places: limits::EXPANDED_PER_COMMAND,
            followed: limits::FOLLOWED_ENTRIES,
            drawn: limits::DRAWN_ENTRIES,
            timeline: limits::LOCAL_TIMELINE_PLACES,
        }
    }
}

/// One command on its way through.
struct Applying<'a> {
    core: Core,
    context: &'a ApplyContext,
    /// Of the command.
    level: u32,
    store: &'a mut dyn StateStore,
    effects: &'a mut Vec<Effect>,
    bounds: Bounds,
    /// Places in mailboxes that this command may still give to what stands in groups.
    places: usize,
}

fn refused(code: ErrorCode) -> Result<Reply, CoreError> {
    Ok(Reply::Refused(code))
}
