//! What the application read and the server has not recorded yet: one watermark for each sender's stream.

use std::collections::BTreeMap;
use std::time::Duration;

use tidings_proto::UserId;
use tidings_proto::message::v1::MessageId;

/// At most so many streams may have an unrecorded watermark; beyond it the oldest sender's is dropped.
const LIMIT: usize = 16_384;
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
        for ((from, stream), mark) in &mut self.marks {
            match mark.due {
                Some(due) if due <= now => {
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
        if !self.anything_due {
            return None;
        }
        self.marks.values().filter_map(|mark| mark.due).min()
    }
}
