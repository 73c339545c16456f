//! What a client can see and do, as it is told and kept.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A user of the audit.
pub type User = u32;

/// The system: a backend writes in its name where it names no user.
pub const SYSTEM: User = User::MAX - 1;

/// A group of the audit, by its owner.
pub type Group = User;

/// In the place of a device: a backend, which writes in the user's name, and is shown nothing.
pub const BACKEND: u32 = u32::MAX;

/// A device of a user. The first one, 0, is what the user sends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Client {
    /// Whose.
    pub user: User,
    /// Which, or [`BACKEND`].
    pub device: u32,
}

impl Client {
    /// Whether it is no device, but a backend that writes in this user's name.
    pub fn is_backend(&self) -> bool {
        self.device == BACKEND
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (device {})", self.user, self.device)
    }
}

/// A conversation of a user, or its history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Of {
    /// With another.
    With(User),
    /// In a group.
    Group(Group),
}

impl fmt::Display for Of {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::With(SYSTEM) => f.write_str("with the system"),
            Self::With(user) => write!(f, "with {user}"),
            Self::Group(group) => write!(f, "of group {group}"),
        }
    }
}

/// Something that one client saw or did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Since the beginning of the run.
    pub at_ms: u64,
    /// Which.
    #[serde(flatten)]
    pub client: Client,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// What a client can see or do. Messages are named by their sender and its `number`, which counts the sender's messages
/// in the order in which they were given to the client. A backend's have other numbers than those of the users in whose
/// names it writes, and grow for each recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The client was opened, on the state that it left.
    Opened,
    /// The client was closed.
    Closed,
    /// A message was given to the client.
    Given {
        /// Its number.
        number: u64,
        /// Its recipient.
        to: User,
    },
    /// The same of a message to a group.
    GivenToGroup {
        /// Its number.
        number: u64,
        /// The group.
        group: Group,
    },
    /// The same of a change of an earlier message; it counts as a message.
    GivenChange {
        /// Its number.
        number: u64,
        /// Its recipient.
        to: User,
        /// The number of the earlier message.
        of: u64,
        /// What becomes of that.
        change: Change,
    },
    /// The same of a change of an earlier message to a group.
    GivenGroupChange {
        /// Its number.
        number: u64,
        /// The group.
        group: Group,
        /// The number of the earlier message.
        of: u64,
        /// What becomes of that.
        change: Change,
    },
    /// A message was given to the client that waits on the server until its time.
    GivenScheduled {
        /// Its number.
        number: u64,
        /// Its recipient.
        to: User,
        /// Its time, since the beginning of the run; none where the clocks of the servers are not this one.
        due_ms: Option<u64>,
    },
    /// The same of a message to a group.
    GivenGroupScheduled {
        /// Its number.
        number: u64,
        /// The group.
        group: Group,
        /// Its time.
        due_ms: Option<u64>,
    },
    /// The client was answered that a message which waited will not be sent, or that it does not wait any more.
    Cancelled {
        /// Its number.
        number: u64,
        /// Whether it was taken back.
        in_time: bool,
    },
    /// The application was told what became of a message of its user that waited.
    ScheduleEnded {
        /// The name that it had when it was accepted: the stream.
        stream: u64,
        /// The number in it.
        seq: u64,
        /// What became of it.
        end: End,
    },
    /// The client was told to tell a group that its user types.
    GivenTyping {
        /// Counts what the client told so.
        number: u64,
        /// The group.
        group: Group,
    },
    /// The client said that it is sent.
    Accepted {
        /// Its number.
        number: u64,
        /// The stream in its id.
        stream: u64,
        /// The number in its id.
        seq: u64,
    },
    /// The client said that nobody will receive it.
    Refused {
        /// Its number.
        number: u64,
        /// The reason.
        code: String,
    },
    /// The client said that its fate cannot be known.
    Unknown {
        /// Its number.
        number: u64,
    },
    /// The client said that it had been sent, and will not be delivered.
    Failed {
        /// Its number.
        number: u64,
        /// The reason.
        code: String,
    },
    /// The client was told that a recipient has everything of a stream up to a number.
    Receipt {
        /// The recipient.
        from: User,
        /// Whether it also read it.
        read: bool,
        /// The stream.
        stream: u64,
        /// The number in it.
        up_to: u64,
    },
    /// The application was shown a message.
    Shown {
        /// Its sender.
        from: User,
        /// Its number.
        number: u64,
        /// Its place in the mailbox.
        place: u64,
    },
    /// The application was shown what this user sent with the first device.
    Copied {
        /// Its number.
        number: u64,
    },
    /// What the application is shown next has no text any more; its number is known by its id.
    TextGone {
        /// Its sender.
        from: User,
        /// Its number.
        number: u64,
    },
    /// The application was told of a change.
    Changed {
        /// The change's name: the stream.
        stream: u64,
        /// The number in it.
        seq: u64,
    },
    /// The application was shown a message to a group.
    ShownInGroup {
        /// The group.
        group: Group,
        /// Its place in the group's order.
        at: u64,
        /// Its sender.
        from: User,
        /// Its number.
        number: u64,
        /// Its place in the mailbox.
        place: u64,
    },
    /// The application was told of a change of a message to a group.
    ChangedInGroup {
        /// The group.
        group: Group,
        /// The change's place in the group's order.
        at: u64,
        /// The place of the message.
        of: u64,
        /// The change's name: the stream.
        stream: u64,
        /// The number in it.
        seq: u64,
    },
    /// The client was told how far a message has come that its user sent to a group.
    GroupReceipts {
        /// The group.
        group: Group,
        /// The message's place.
        at: u64,
        /// How far.
        reach: GroupReach,
    },
    /// The application was told that a member of a group types.
    Typing {
        /// Who.
        from: User,
        /// Where.
        group: Group,
        /// The number that its client gave it.
        number: u64,
    },
    /// The application marked a message of another as read, and everything before it in its stream.
    ReadWith {
        /// Its sender.
        from: User,
        /// Its number.
        number: u64,
    },
    /// The application marked a message of a group as read, and everything before it.
    ReadInGroup {
        /// The group.
        group: Group,
        /// The message's place.
        at: u64,
    },
    /// The application was told of an event in a group.
    Membership {
        /// The group.
        group: Group,
        /// Its place in the group's order.
        at: u64,
        /// Who is a member from here on.
        came: Vec<User>,
        /// Who is none any more, after this.
        went: Vec<User>,
    },
    /// The application acknowledged everything that it was shown up to a place in the mailbox.
    Acknowledged {
        /// The place.
        place: u64,
    },
    /// The user read the own history with another from the server, whole, in the order of its places.
    HistoryRead {
        /// The other.
        with: User,
        /// What stands there.
        messages: Vec<Kept>,
    },
    /// The same of the history of a group that the user is a member of.
    GroupHistoryRead {
        /// The group.
        group: Group,
        /// What stands there.
        messages: Vec<Kept>,
    },
    /// The user was told by the server, after everything, how far the own messages to another have come.
    ReceiptsRead {
        /// The other.
        with: User,
        /// The number of each message that stands there, and how far it has come.
        reaches: Vec<(u64, Reach)>,
    },
    /// The same of the own messages to a group that the user is a member of.
    GroupReceiptsRead {
        /// The group.
        group: Group,
        /// The place of each message that stands there, and how far it has come.
        reaches: Vec<(u64, GroupReach)>,
    },
    /// The client was told to set how a conversation stands. What has no answer is asked again, as it was.
    GivenSettings {
        /// Counts what the user sets.
        number: u64,
        /// Which conversation.
        of: Of,
        /// How it is to stand.
        settings: Settings,
    },
    /// The client was answered how the conversation stands then.
    SettingsAccepted {
        /// Of what was set.
        number: u64,
        /// How it stands.
        settings: Settings,
    },
    /// The client was answered that this will not be set.
    SettingsRefused {
        /// Of what was to be set.
        number: u64,
        /// The reason.
        code: String,
    },
    /// The application was told how a conversation stands since a device of its user has set or read something.
    SettingsTold {
        /// Which conversation.
        of: Of,
        /// How it stands.
        settings: Settings,
    },
    /// The user read from the server how a conversation stands.
    SettingsRead {
        /// Which.
        of: Of,
        /// How it stands.
        settings: Settings,
    },
    /// The user has read all the histories that there are.
    HistoriesRead,
    /// The client said that entries of the mailbox may be lost.
    Gap {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
}

/// What becomes of an earlier message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Another text.
    Edit,
    /// It is taken back: its text is gone.
    Recall,
    /// Its text is gone.
    Wipe,
}

/// How a conversation stands for its user. No two that a user sets are muted until the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Settings {
    /// Muted until then, Unix time in milliseconds.
    pub mute_until_ms: i64,
    /// Put away.
    pub archived: bool,
    /// Put in front.
    pub favourite: bool,
    /// What is read; none where it is not set with the others.
    pub reading: Option<Reading>,
}

/// What a user has read of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reading {
    /// Everything up to this place.
    pub up_to: u64,
    /// But it is marked as if that were not so.
    pub marked_unread: bool,
}

/// A message as the server keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Its place in the history.
    pub place: u64,
    /// Its sender.
    pub from: User,
    /// Its number.
    pub number: u64,
    /// The number of the edit as which it stands there.
    pub edit: Option<u64>,
    /// Where it has no text any more: why.
    pub gone: Option<Gone>,
}

/// How far a message to another has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reach {
    /// The other has it.
    pub delivered: bool,
    /// The other has read it.
    pub read: bool,
}

/// How far a message to a group has come.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GroupReach {
    /// For how many members it is.
    pub members: u32,
    /// How many of them have it.
    pub delivered: u32,
    /// How many have read it.
    pub read: u32,
    /// Who they are, where that is known.
    pub names: Option<(Vec<User>, Vec<User>)>,
}

/// What took the text of a message away, as the server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Gone {
    /// Its recall.
    pub recalled: bool,
    /// That it was wiped.
    pub wiped: bool,
}

/// What became of a message that waited for its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum End {
    /// It was sent, under another name.
    Sent {
        /// The stream.
        stream: u64,
        /// The number in it.
        seq: u64,
    },
    /// It was taken back.
    Cancelled,
    /// It was not taken when its time had come.
    Failed {
        /// The reason.
        code: String,
    },
}
