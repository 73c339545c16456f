//! Limits of a mailbox (promise 6). They decide what apply does, so they are the same on every replica: they are
//! constants and not configuration, and changing one needs a command that says from when on it holds.

/// Undelivered entries in a mailbox when the command names no limit.
pub const DEFAULT_INBOX_ENTRIES: u64 = 100_000;
/// Bytes of undelivered entries in a mailbox.
pub const INBOX_BYTES: u64 = 256 * 1024 * 1024;
/// Undelivered entries beyond which even receipts and failures are dropped, and the loss recorded.
pub const HARD_INBOX_ENTRIES: u64 = 2 * DEFAULT_INBOX_ENTRIES;

/// Entries kept for devices that lag behind the furthest one.
pub const RETAINED_ENTRIES: u64 = 100_000;
/// Bytes of entries kept for devices that lag.
pub const RETAINED_BYTES: u64 = 256 * 1024 * 1024;
/// How long entries are kept for devices that lag: 30 days.
pub const RETAINED_MS: i64 = 30 * 24 * 3600 * 1000;

/// Streams of a user's devices of which a conversation notes how far their messages came.
pub const RECEIVED_STREAMS: usize = 16;
/// Messages of a conversation of which is noted that they never did.
pub const UNDELIVERED: usize = 64;

/// Named devices of a user when the command names no limit.
pub const DEFAULT_DEVICES: u32 = 8;
/// Named devices of a user, at most; their slots are 0 to 63.
pub const DEVICES: u32 = 64;
/// The first slot of sessions that only send.
pub const FIRST_EPHEMERAL_SLOT: u32 = 64;
/// Slots of sessions that only send, given out in a ring: 64 to 127.
pub const EPHEMERAL_SLOTS: u32 = 64;
/// The slot of what backends send.
pub const BACKEND_SLOT: u32 = 255;
/// Messages of backends that a mailbox remembers by their request.
pub const POSTED: usize = 64;
/// The slot of scheduled messages whose time has come.
pub const SCHEDULE_SLOT: u32 = 254;
/// Messages of a user, and of the system of an app, that wait for their time.
pub const SCHEDULED: u32 = 100;
pub const SCHEDULED_BY_SYSTEM: u32 = 10_000;
/// How far ahead a message may be scheduled: 365 days.
pub const SCHEDULED_AHEAD_MS: i64 = 365 * 24 * 3600 * 1000;
/// What a schedule remembers of messages that do not wait any more, and of what backends asked for.
pub const SCHEDULE_REMEMBERED: usize = 64;
/// Messages that one command lets go because their time has come.
pub const RELEASED_PER_COMMAND: usize = 64;
/// The largest slot number that a message may carry.
pub const LAST_SLOT: u32 = 255;

/// Conversations that a mailbox has at most; a message that would begin one more is delivered and not kept, a setting
/// is refused.
pub const CONVERSATIONS: u32 = 100_000;
/// Users whom one keeps from what is said in groups, and from being seen, at most; one more is refused.
pub const BLOCKED: usize = 1_000;
/// Contacts of a user; one more is refused.
pub const CONTACTS: usize = 1_000;
/// Bytes of messages in a mailbox's history; beyond it messages are delivered and not kept.
pub const HISTORY_BYTES: u64 = 8 * 1024 * 1024 * 1024;
/// Reactions of one user to one message; one more is refused.
pub const REACTIONS: usize = 16;
/// The longest reaction, in bytes.
pub const EMOJI_BYTES: usize = 64;
/// Words of a message that it can be found by, signs of each, and the bytes that these have in a key.
pub const WORDS: usize = 64;
pub const WORD_SIGNS: usize = 16;
pub const WORD_BYTES: usize = 2 * WORD_SIGNS;
/// Messages that one read lets begin to disappear; it is the next read that reaches further ones.
pub const DISAPPEARING_PER_READ: usize = 4096;
/// A message whose retention has ended, and that some device has yet to be given, is looked at again after so long: 1
/// h.
pub const RETENTION_PAUSE_MS: i64 = 3600 * 1000;

/// Sequence numbers that one command moves a mailbox's furthest cursor over; the rest takes another command.
pub const PASSED_PER_COMMAND: u64 = 4096;
/// Entries kept for lagging devices that one command removes; the rest is left to the upkeep.
pub const REMOVED_PER_COMMAND: usize = 4096;
/// Entries, messages and settings of a deleted user that one command removes; the rest takes further commands.
pub const ERASED_PER_COMMAND: usize = 512;
/// Entries read at once in apply.
pub const PAGE: usize = 256;
/// Bytes of a page of a channel, unless one item alone has more.
pub const CHANNEL_PAGE_BYTES: usize = 1024 * 1024;
/// Earlier streams of a sender device that a mailbox remembers.
pub const PAST_STREAMS: usize = 4;

/// Places in mailboxes that one command gives to what stands in groups; the rest takes further commands.
pub const EXPANDED_PER_COMMAND: usize = 2048;
/// Users that one change of a group's members may name.
pub const USERS_PER_UPDATE: usize = 1000;
/// What may wait in the channel to a shard, or for the members in one, before messages to a group with members there
/// are refused with OVERLOADED.
pub const GROUP_BACKLOG: u64 = 100_000;
/// Bytes of messages in a group's history; beyond it messages are delivered and not kept.
pub const GROUP_HISTORY_BYTES: u64 = 8 * 1024 * 1024 * 1024;
/// Reactions to one message, of all users together; one more is refused.
pub const REACTIONS_OF_ALL: usize = 256;
/// Entries that wait in a mailbox from which on its user rests in large groups: what comes in them stands in the
/// shard's copy of the timeline alone.
pub const FOLLOWED_ENTRIES: u64 = 32;
/// Entries up to which a mailbox is filled from the timelines of groups that its user rests in, once fewer than
/// [`FOLLOWED_ENTRIES`] wait.
pub const DRAWN_ENTRIES: u64 = 256;
/// Places and bytes of a large group that a shard keeps for members who rest; the oldest go first, and who has not had
/// them is told.
pub const LOCAL_TIMELINE_PLACES: u64 = 100_000;
pub const LOCAL_TIMELINE_BYTES: u64 = 256 * 1024 * 1024;
/// Members of a group up to which it is known who has a message, and who read it; of more, how many.
pub const GROUP_RECEIPT_MEMBERS: u64 = 1_000;
/// Messages, the newest of those kept, that a group which comes to have more members goes on knowing this of.
pub const GROUP_RECEIPTS_TAKEN_ALONG: usize = 256;
/// Messages by which one command moves the watermarks of a group on; the rest takes further commands.
pub const GROUP_RECEIPTS_PASSED: usize = 64;
/// Members whose receipts, and messages whose tallies one command tells to the homes of groups; the rest takes further
/// commands.
pub const GROUP_RECEIPTS_PER_COMMAND: usize = 1024;
/// Members of a group up to which they are told what the others do, and given what is stored nowhere.
pub const GROUP_ACTIVITY_MEMBERS: u64 = 1_000;
/// Messages of a group that can count as unread; earlier ones do not.
pub const UNREAD_COUNTED: u64 = 1_000;
/// Members whom one command gives a conversation with a group.
pub const ADOPTED_PER_COMMAND: usize = 1024;
/// Members of a hunt group that are looked at to find whose turn it is.
pub const HUNTED_PER_COMMAND: usize = 256;
