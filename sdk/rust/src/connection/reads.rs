//! What the application read and the server has not recorded yet: one watermark for each sender's stream.

use std::collections::BTreeMap;
use std::time::Duration;

use tidings_proto::UserId;
use tidings_proto::message::v1::MessageId;

/// At most so many streams may have an unrecorded watermark; beyond it the oldest sender's is dropped.
const LIMIT: usize = 16_384;
/// At most so many marks wait for their answer at a time; the protocol allows 64.
const IN_FLIGHT: usize = 32;
const RETRY: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy)]
struct Mark {
    up_to: u64,
    /// When it is to be written; none while it waits for its answer.
    due: Option<Duration>,
}

/// Read watermarks that wait for `ReadRecorded`. They live in memory: a mark that a crash takes is made again when the
/// application shows the message again.
#[derive(Debug, Default)]
pub struct Reads {
    marks: BTreeMap<(UserId, u64), Mark>,
    anything_due: bool,
}

impl Reads {
    /// Everything from `from` in the message's stream up to it was read.
    pub fn mark(&mut self, from: UserId, id: MessageId, now: Duration) {
        let mark = self.marks.entry((from, id.stream)).or_insert(Mark { up_to: 0, due: None });
        if id.seq > mark.up_to {
            *mark = Mark { up_to: id.seq, due: Some(now) };
            self.anything_due = true;
        }
        if self.marks.len() > LIMIT {
            self.marks.pop_first();
        }
    }

    /// The connection is gone: every mark goes out again on the next one.
    pub fn disconnected(&mut self) {
        for mark in self.marks.values_mut() {
            mark.due = Some(Duration::ZERO);
            self.anything_due = true;
        }
    }

    /// The server's answer; `again` when it could not record it now.
    pub fn recorded(&mut self, from: &str, id: MessageId, again: bool, now: Duration) {
        let Ok(from) = UserId::new(from) else { return };
        let key = (from, id.stream);
        let Some(mark) = self.marks.get_mut(&key) else { return };
        if again {
            mark.due = Some(now + RETRY);
            self.anything_due = true;
        } else if mark.up_to <= id.seq {
            self.marks.remove(&key);
        }
    }

    /// The marks to write now.
    pub fn take_due(&mut self, now: Duration, mut write: impl FnMut(&UserId, MessageId)) {
        if !self.anything_due {
            return;
        }
        self.anything_due = false;
        let mut in_flight = self.marks.values().filter(|mark| mark.due.is_none()).count();
        for ((from, stream), mark) in &mut self.marks {
            match mark.due {
                Some(due) if due <= now && in_flight < IN_FLIGHT => {
                    in_flight += 1;
                    mark.due = None;
                    write(from, MessageId { stream: *stream, seq: mark.up_to });
                }
                Some(_) => self.anything_due = true,
                None => {}
            }
        }
    }

    /// When [`Self::take_due`] has something.
    pub fn wake_at(&self) -> Option<Duration> {
        let in_flight = self.marks.values().filter(|mark| mark.due.is_none()).count();
        // With no room for more, the next answer makes it.
        let next = self.marks.values().filter_map(|mark| mark.due).min();
        next.filter(|_| self.anything_due && in_flight < IN_FLIGHT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_go_out_a_few_at_a_time_and_again_when_refused_or_disconnected() {
        let mut reads = Reads::default();
        let user = |number: u64| UserId::new(&format!("user-{number}")).unwrap();
        let id = |seq| MessageId { stream: 1, seq };
        for number in 0..40 {
            reads.mark(user(number), id(5), Duration::ZERO);
        }
        let written = |reads: &mut Reads, now| {
            let mut written = Vec::new();
            reads.take_due(now, |from, _| written.push(from.clone()));
            written
        };
        let first = written(&mut reads, Duration::ZERO);
        assert_eq!((first.len(), reads.wake_at()), (IN_FLIGHT, None));
        reads.recorded(first[0].as_str(), id(5), false, Duration::ZERO);
        assert_eq!(written(&mut reads, Duration::ZERO).len(), 1);
        reads.recorded(first[1].as_str(), id(5), true, Duration::ZERO);
        reads.recorded(first[2].as_str(), id(4), false, Duration::ZERO);
        assert_eq!(
            written(&mut reads, Duration::ZERO).len(),
            1,
            "a later mark was not recorded yet, and one waits its time"
        );
        reads.disconnected();
        assert_eq!(written(&mut reads, Duration::ZERO).len(), IN_FLIGHT);
    }
}
