//! When a watermark (of a member in a group, of another user in a conversation) came where it is. The last steps are
//! kept, and what came before them is not known: a time is never that of another step.

use tidings_proto::mailbox::v1::{GroupMemberRecord, Steps};

/// Steps that are kept of a watermark: as many as an event tells messages of.
pub const STEPS: usize = 16;

/// A watermark went so many places on. Where the time is not known (0), that of earlier steps is forgotten too: steps
/// have no gaps.
pub fn stepped(steps: Option<Steps>, places: u64, at_ms: i64) -> Option<Steps> {
    if at_ms == 0 {
        return None;
    }
    let Some(mut steps) = steps else {
        return Some(Steps { at_ms, places: vec![places], earlier_ms: Vec::new() });
    };
    steps.earlier_ms.insert(0, at_ms.wrapping_sub(steps.at_ms));
    steps.places.insert(0, places);
    steps.places.truncate(STEPS);
    steps.earlier_ms.truncate(STEPS - 1);
    Some(Steps { at_ms, ..steps })
}

/// When a watermark that is at `reached` came to a place; 0: it has not, or it is not known when.
fn came_at(steps: Option<&Steps>, reached: u64, place: u64) -> i64 {
    let Some(steps) = steps.filter(|_| place <= reached) else { return 0 };
    let (mut from, mut at_ms) = (reached, steps.at_ms);
    let mut earlier = steps.earlier_ms.iter();
    for places in &steps.places {
        from = from.saturating_sub(*places);
        if place > from {
            return at_ms;
        }
        let Some(earlier_ms) = earlier.next() else { return 0 };
        at_ms = at_ms.wrapping_sub(*earlier_ms);
    }
    0
}

/// A watermark, and how it came where it is.
pub type Reached<'a> = (u64, Option<&'a Steps>);

/// When a member had what stands at a place, and read it; 0: not so far, or it is not known when.
pub fn times(member: &GroupMemberRecord, place: u64) -> (i64, i64) {
    let delivered = (member.delivered, member.delivered_steps.as_ref());
    times_of(delivered, (member.read, member.read_steps.as_ref()), place)
}

/// When these two came to a place; 0: they have not, or it is not known when.
pub fn times_of(delivered: Reached<'_>, read: Reached<'_>, place: u64) -> (i64, i64) {
    let [delivered, read] = [delivered, read].map(|(reached, steps)| came_at(steps, reached, place));
    // What was acknowledged within a moment is told as one step, at its end. Who read it had it.
    (if read == 0 { delivered } else { delivered.min(read) }, read)
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    /// Steps of so many places each, an hour apart, from 1 on.
    fn walked(steps: u64, places: u64) -> (Option<Steps>, u64) {
        let walked = (1..=steps).fold(None, |before, step| stepped(before, places, hour(step)));
        (walked, steps * places)
    }

    fn hour(step: u64) -> i64 {
        1_700_000_000_000 + i64::try_from(step).unwrap() * 3_600_000
    }

    #[test]
    fn a_place_has_the_time_of_the_step_that_came_to_it() {
        let (steps, reached) = walked(3, 4);
        let at = |place| came_at(steps.as_ref(), reached, place);
        assert_eq!([1, 4, 5, 8, 9, 12].map(at), [1, 1, 2, 2, 3, 3].map(hour));
        assert_eq!((at(0), at(13)), (0, 0), "before the first, and behind the last");
        assert_eq!(came_at(None, 5, 5), 0);
        // A clock that was set back.
        let back = stepped(steps, 1, hour(1));
        assert_eq!([13, 12, 1].map(|place| came_at(back.as_ref(), 13, place)), [1, 3, 1].map(hour));
    }

    #[test]
    fn so_many_steps_are_kept_and_of_older_ones_no_time_is_known() {
        let (steps, reached) = walked(16, 1);
        assert_eq!([1, 16].map(|place| came_at(steps.as_ref(), reached, place)), [1, 16].map(hour));
        let (steps, reached) = walked(17, 1);
        assert_eq!([1, 2, 17].map(|place| came_at(steps.as_ref(), reached, place)), [0, hour(2), hour(17)]);
        let (forever, _) = walked(1_000, 1);
        let forever = forever.unwrap();
        assert_eq!((forever.places.len(), forever.earlier_ms.len()), (STEPS, STEPS - 1));
    }

    #[test]
    fn a_step_without_a_time_forgets_what_was_before() {
        let (steps, reached) = walked(3, 1);
        assert_eq!(stepped(steps, 5, 0), None);
        let on = stepped(None, 2, hour(9));
        let at = |place| came_at(on.as_ref(), reached + 7, place);
        assert_eq!([reached, 8, 9, 10].map(at), [0, 0, hour(9), hour(9)]);
    }

    #[test]
    fn a_member_s_record_is_bounded() {
        let record = |steps: Option<Steps>| GroupMemberRecord {
            joined_at: 1_000_000,
            delivered: 2_000_000,
            read: 2_000_000,
            delivered_steps: steps.clone(),
            read_steps: steps,
            ..GroupMemberRecord::default()
        };
        let usual = record(walked(100, 3).0).encoded_len();
        assert!(usual < 200, "{usual}");
        let widest =
            (0..100).fold(None, |steps, step| stepped(steps, u64::MAX, if step % 2 == 0 { -1 } else { i64::MAX }));
        let widest = record(widest).encoded_len();
        assert!(widest < 700, "{widest}");
    }

    #[test]
    fn who_read_it_had_it_by_then() {
        // Within one second it had 3, read 3, and had 5.
        let steps = |places, at_ms| Some(Steps { at_ms, places: vec![places], earlier_ms: Vec::new() });
        let member = GroupMemberRecord {
            delivered: 5,
            read: 3,
            delivered_steps: steps(5, 300),
            read_steps: steps(3, 200),
            ..GroupMemberRecord::default()
        };
        assert_eq!([3, 4, 6].map(|place| times(&member, place)), [(200, 200), (300, 0), (0, 0)]);
    }
}
