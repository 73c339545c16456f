//! Whom a message is for.

use std::fmt;

use tidings_proto::{GroupId, UserId};

/// A user or a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Recipient {
    /// A user, with all devices.
    User(UserId),
    /// A group, with all members.
    Group(GroupId),
}

impl Recipient {
    /// The user's id; empty for a group.
    pub fn user(&self) -> &str {
        match self {
            Self::User(user) => user.as_str(),
            Self::Group(_) => "",
        }
    }

    /// The group's id; empty for a user.
    pub fn group(&self) -> &str {
        match self {
            Self::User(_) => "",
            Self::Group(group) => group.as_str(),
        }
    }
}

impl From<UserId> for Recipient {
    fn from(user: UserId) -> Self {
        Self::User(user)
    }
}

impl fmt::Display for Recipient {
    /// A group with `#` in front of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "{user}"),
            Self::Group(group) => write!(f, "#{group}"),
        }
    }
}
