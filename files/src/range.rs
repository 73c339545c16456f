//! Which bytes of a file a request asks for (RFC 9110, section 14). Pure.

use std::ops::Range;

/// What a `Range` header means for a file of some size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// All of it: nothing else was asked, or nothing that is understood.
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// None that it has.
    Unsatisfiable,
}

/// Reads `bytes=first-last`, `bytes=first-` and `bytes=-length`. Several ranges are answered with the whole, as they
/// may be.
pub fn wanted(header: &str, size: u64) -> Wanted {
    let Some((unit, ranges)) = header.split_once('=') else { return Wanted::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") || ranges.contains(',') {
        return Wanted::Whole;
    }
    let Some((first, last)) = ranges.trim().split_once('-') else { return Wanted::Whole };
    let number = |text: &str| -> Option<u64> {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // More digits than a number has are beyond any end.
        is_number.then(|| text.parse().unwrap_or(u64::MAX))
    };
    match (number(first), number(last)) {
        (None, Some(length)) if first.is_empty() => match length.min(size) {
            0 => Wanted::Unsatisfiable,
            length => Wanted::Part(size - length..size),
        },
        (Some(first), _) if !last.is_empty() && number(last).is_none_or(|last| last < first) => Wanted::Whole,
        (Some(first), _) if first >= size => Wanted::Unsatisfiable,
        (Some(first), last) => Wanted::Part(first..last.map_or(size, |last| last.saturating_add(1).min(size))),
        _ => Wanted::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_at_their_edges() {
        use Wanted::{Part, Unsatisfiable, Whole};
        for (header, expected) in [
            ("bytes=0-0", Part(0..1)),
            ("bytes=0-9", Part(0..10)),
            ("bytes=0-10", Part(0..10)),
            ("bytes=9-", Part(9..10)),
            ("bytes=10-", Unsatisfiable),
            ("bytes=10-20", Unsatisfiable),
            ("bytes=-1", Part(9..10)),
            ("bytes=-10", Part(0..10)),
            ("bytes=-11", Part(0..10)),
            ("bytes=-0", Unsatisfiable),
            ("Bytes = 2-3", Part(2..4)),
            ("bytes=5-4", Whole),
            ("bytes=a-b", Whole),
            ("bytes=-", Whole),
            ("bytes=1-x", Whole),
            ("bytes=0-1,3-4", Whole),
            ("lines=0-1", Whole),
            ("bytes", Whole),
            ("bytes=99999999999999999999-", Unsatisfiable),
            ("bytes=0-99999999999999999999", Part(0..10)),
            ("bytes=+1-2", Whole),
        ] {
            assert_eq!(wanted(header, 10), expected, "{header}");
        }
        assert_eq!((wanted("bytes=0-", 0), wanted("bytes=-5", 0)), (Unsatisfiable, Unsatisfiable));
    }
}
