//! Times on the command line: RFC 3339 (`2027-01-01T08:00:00Z`), or a duration from now (`10m`).

use std::time::Duration;

use prost_types::Timestamp;
use tidings_node::Clock;

use super::duration;

/// A time that was named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Unix ms.
    At(i64),
    After(Duration),
}

impl Moment {
    /// Unix ms.
    pub fn at_ms(self) -> i64 {
        match self {
            Self::At(at_ms) => at_ms,
            Self::After(wait) => {
                Clock::system().now_ms().saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
            }
        }
    }

    /// As requests of backends hold it.
    pub fn timestamp(self) -> Timestamp {
        timestamp(self.at_ms())
    }
}

/// Reads a time.
pub fn parse(text: &str) -> Result<Moment, String> {
    if let Ok(wait) = duration::parse(text) {
        return Ok(Moment::After(wait));
    }
    let nonsense = || format!("{text} is no time, such as 10m (from now) or 2027-01-01T08:00:00Z");
    let time: Timestamp = text.parse().map_err(|_| nonsense())?;
    let ms = time.seconds.checked_mul(1000).and_then(|ms| ms.checked_add(i64::from(time.nanos) / 1_000_000));
    ms.filter(|ms| *ms > 0).map(Moment::At).ok_or_else(nonsense)
}

/// A time for people.
pub fn text(at_ms: i64) -> String {
    timestamp(at_ms).to_string()
}

fn timestamp(at_ms: i64) -> Timestamp {
    Timestamp { seconds: at_ms.div_euclid(1000), nanos: (at_ms.rem_euclid(1000) * 1_000_000) as i32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_or_a_while_from_now() {
        assert_eq!(parse("10m"), Ok(Moment::After(Duration::from_secs(600))));
        assert_eq!(parse("2027-01-01T08:00:00Z"), Ok(Moment::At(1_798_790_400_000)));
        assert_eq!(parse("2027-01-01T08:00:00.250Z"), Ok(Moment::At(1_798_790_400_250)));
        assert_eq!(text(1_798_790_400_000), "2027-01-01T08:00:00Z");
        for nonsense in ["", "tomorrow", "2027-13-01T08:00:00Z", "1960-01-01T00:00:00Z", "10"] {
            assert!(parse(nonsense).is_err(), "{nonsense}");
        }
    }
}
