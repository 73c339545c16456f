//! How far an upload is, by the parts of it that are stored. Pure.
//!
//! A part's name is the offset at which it begins, and is made once: two who write at the same offset cannot both
//! succeed.

use crate::layout::{FATE, FILE, part_offset};

/// Bytes of a part, when there are enough of them.
pub const PART_BYTES: usize = 4 << 20;
/// Parts of one upload, at most.
pub const MAX_PARTS: usize = 4096;

/// What is stored of an upload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// Where each part begins, in order and without a gap.
    pub parts: Vec<u64>,
    /// Where the next one would begin.
    pub offset: u64,
    /// The file's record is there.
    pub is_complete: bool,
    /// Somebody decided what becomes of it.
    pub has_fate: bool,
}

impl Stored {
    /// From the names and sizes in the upload's folder.
    pub fn of<'a>(objects: impl IntoIterator<Item = (&'a str, u64)>) -> Self {
        let mut stored = Self::default();
        let mut found = Vec::new();
        for (name, size) in objects {
            match (name, part_offset(name)) {
                (_, Some(offset)) => found.push((offset, size)),
                (FILE, _) => stored.is_complete = true,
                (FATE, _) => stored.has_fate = true,
                _ => {}
            }
        }
        found.sort_unstable();
        for (offset, size) in found {
            if offset == stored.offset && size > 0 {
                stored.parts.push(offset);
                stored.offset += size;
            }
        }
        stored
    }
}

/// The pieces of parts that hold the bytes from `start` to before `end`: each part's beginning, and the range within
/// it.
pub fn pieces(parts: &[u64], size: u64, start: u64, end: u64) -> Vec<(u64, std::ops::Range<u64>)> {
    let ends = parts.iter().skip(1).copied().chain([size]);
    let overlapping = parts.iter().copied().zip(ends).filter(|(from, to)| start < end && *from < end && *to > start);
    overlapping.map(|(from, to)| (from, start.max(from) - from..end.min(to) - from)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(offset: u64) -> String {
        format!("part-{offset:016x}")
    }

    #[test]
    fn parts_count_as_far_as_they_follow_each_other() {
        let names = [name(0), name(10), name(15), name(30)];
        let sizes = [10, 5, 7, 1];
        let objects = || names.iter().map(String::as_str).zip(sizes);
        let stored = Stored::of(objects().chain([("upload", 80)]));
        assert_eq!(stored, Stored { parts: vec![0, 10, 15], offset: 22, is_complete: false, has_fate: false });
        let stored = Stored::of(objects().chain([("file", 1), ("fate", 4)]));
        assert!(stored.is_complete && stored.has_fate);
        assert_eq!(Stored::of([]), Stored::default());
    }

    proptest! {
        #[test]
        fn pieces_are_the_bytes_that_were_asked_for(
            lengths in proptest::collection::vec(1u64..20, 1..8), from in 0u64..200, length in 0u64..200,
        ) {
            let mut parts = Vec::new();
            let mut size = 0;
            for length in lengths {
                parts.push(size);
                size += length;
            }
            let (start, end) = (from.min(size), (from + length).min(size));
            let read: Vec<u64> = pieces(&parts, size, start, end)
                .into_iter()
                .flat_map(|(part, range)| range.map(move |at| part + at))
                .collect();
            prop_assert_eq!(read, (start..end).collect::<Vec<_>>());
        }
    }
}
