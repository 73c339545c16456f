//! Ids that were checked when they came in, so that nothing behind the door has to check them again.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// The longest id of any kind, in bytes of UTF-8.
pub const MAX_ID_BYTES: usize = 63;

/// Why a text is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// Nothing was given.
    #[error("{kind} id is empty")]
    Empty {
        /// Which kind of id.
        kind: &'static str,
    },
    /// Longer than [`MAX_ID_BYTES`].
    #[error("{kind} id has {length} bytes, more than {MAX_ID_BYTES}")]
    TooLong {
        /// Which kind of id.
        kind: &'static str,
        /// Its length in bytes.
        length: usize,
    },
    /// A control character, or one outside the kind's alphabet.
    #[error("{kind} id holds the character {character:?}, which it may not")]
    Character {
        /// Which kind of id.
        kind: &'static str,
        /// The first offending one.
        character: char,
    },
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $allowed:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and takes the text.
            pub fn new(text: &str) -> Result<Self, InvalidId> {
                let allowed: fn(char) -> bool = $allowed;
                if text.is_empty() {
                    return Err(InvalidId::Empty { kind: $kind });
                }
                if text.len() > MAX_ID_BYTES {
                    return Err(InvalidId::TooLong { kind: $kind, length: text.len() });
                }
                if let Some(character) = text.chars().find(|c| !allowed(*c)) {
                    return Err(InvalidId::Character { kind: $kind, character });
                }
                Ok(Self(text.into()))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }
    };
}

id!(
    /// An application: a namespace of users. 1 to 63 of `a-z 0-9 - _`.
    AppId,
    "app",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_'
);
id!(
    /// A user of an app. 1 to 63 bytes of UTF-8 without control characters.
    UserId,
    "user",
    |c| !c.is_control()
);
id!(
    /// A policy of an app. 1 to 63 of `a-z 0-9 - _`.
    PolicyId,
    "policy",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_'
);
id!(
    /// A group of an app. 1 to 63 bytes of UTF-8 without control characters.
    GroupId,
    "group",
    |c| !c.is_control()
);
id!(
    /// A device of a user. 1 to 63 bytes of UTF-8 without control characters.
    DeviceId,
    "device",
    |c| !c.is_control()
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_at_the_edge_and_one_above() {
        assert!(UserId::new(&"é".repeat(31)).is_ok());
        assert_eq!(UserId::new(&"é".repeat(32)), Err(InvalidId::TooLong { kind: "user", length: 64 }));
        assert_eq!(UserId::new(&"a".repeat(63)).unwrap().as_str().len(), 63);
        assert_eq!(UserId::new(""), Err(InvalidId::Empty { kind: "user" }));
    }

    #[test]
    fn alphabets_differ_by_kind() {
        assert!(UserId::new("Zoë @ home").is_ok());
        assert_eq!(UserId::new("a\0b"), Err(InvalidId::Character { kind: "user", character: '\0' }));
        assert_eq!(AppId::new("Shop"), Err(InvalidId::Character { kind: "app", character: 'S' }));
        assert!(AppId::new("shop-1_eu").is_ok());
    }
}
