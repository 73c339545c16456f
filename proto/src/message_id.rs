//! The text form of a message id: `<stream>.<seq>`, both decimal.

use std::fmt;
use std::str::FromStr;

use crate::message::v1::MessageId;

/// The text is not `<stream>.<seq>`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a message id is <stream>.<seq>, two numbers")]
pub struct InvalidMessageId;

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.stream, self.seq)
    }
}

impl FromStr for MessageId {
    type Err = InvalidMessageId;

    fn from_str(text: &str) -> Result<Self, InvalidMessageId> {
        let (stream, seq) = text.split_once('.').ok_or(InvalidMessageId)?;
        let number = |digits: &str| digits.parse().map_err(|_| InvalidMessageId);
        Ok(Self { stream: number(stream)?, seq: number(seq)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_and_nonsense_is_refused() {
        let id = MessageId { stream: u64::MAX, seq: 1 };
        assert_eq!(id.to_string().parse(), Ok(id));
        for nonsense in ["", ".", "1.", ".1", "1.2.3", "a.b", "-1.2"] {
            assert_eq!(nonsense.parse::<MessageId>(), Err(InvalidMessageId), "{nonsense}");
        }
    }
}
