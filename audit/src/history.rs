//! What the clients saw, in one order: told by their tasks as it happens, kept as JSON lines.

mod event;

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::verdict;
pub use event::{
    BACKEND, Change, Client, End, Event, Gone, Group, GroupReach, Kept, Of, Reach, Reading, Record, SYSTEM, Settings,
    User,
};

/// At most so often is looked at whether all is settled.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The history of a run. Clones share it. Bounded by what the workload sends: a handful of records for each message.
#[derive(Debug, Clone)]
pub struct History(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    began: Instant,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    records: Vec<Record>,
    accepted: u64,
    /// Of messages that were accepted, by stream and number in it.
    numbers: HashMap<(u64, u64), u64>,
}

impl Default for History {
    fn default() -> Self {
        Self(Arc::new(Shared { began: Instant::now(), state: Mutex::default(), changed: Notify::new() }))
    }
}

impl History {
    /// Adds what a client saw.
    pub fn record(&self, client: Client, event: Event) {
        let at_ms = self.now_ms();
        let mut state = self.0.state.lock();
        if let Event::Accepted { number, stream, seq } = event {
            state.accepted += 1;
            state.numbers.insert((stream, seq), number);
        }
        state.records.push(Record { at_ms, client, event });
        drop(state);
        self.0.changed.notify_waiters();
    }

    /// Since the beginning of the run.
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Everything so far.
    pub fn records(&self) -> Vec<Record> {
        self.0.state.lock().records.clone()
    }

    /// How many messages were accepted so far.
    pub fn accepted(&self) -> u64 {
        self.0.state.lock().accepted
    }

    /// The number that the sender gave to what was accepted under an id. What has none was never given: a
    /// contradiction.
    pub fn number_of(&self, stream: u64, seq: u64) -> u64 {
        self.0.state.lock().numbers.get(&(stream, seq)).copied().unwrap_or(u64::MAX)
    }

    /// Waits until every message that was given has an answer and every accepted one was shown to all for whom it is,
    /// at most so long; answers how many are missing. What that means is for the verdict to say, which takes a look now
    /// and then.
    pub async fn settled(&self, limit: Duration) -> u64 {
        let begin = tokio::time::Instant::now();
        loop {
            let began = Instant::now();
            let missing = verdict::judge(&self.records()).missing();
            if missing == 0 || begin.elapsed() >= limit {
                return missing;
            }
            // A long history is looked at less often than it is written.
            tokio::time::sleep(LOOK_EVERY.max(4 * began.elapsed())).await;
        }
    }

    /// Waits until so many messages were accepted.
    pub async fn accepted_at_least(&self, count: u64) {
        self.until(|| self.accepted() >= count).await;
    }

    async fn until(&self, is_so: impl Fn() -> bool) {
        loop {
            let changed = self.0.changed.notified();
            tokio::pin!(changed);
            // Registers before the look, so that a change between the two is not missed.
            changed.as_mut().enable();
            if is_so() {
                return;
            }
            changed.await;
        }
    }

    /// Writes it as JSON lines.
    pub fn keep(&self, file: &Path) -> Result<()> {
        let mut out = BufWriter::new(File::create(file).with_context(|| format!("creating {}", file.display()))?);
        for record in self.records() {
            serde_json::to_writer(&mut out, &record)?;
            out.write_all(b"\n")?;
        }
        Ok(out.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(number: u64) -> Event {
        Event::Given { number, to: 2 }
    }

    fn accepted(number: u64) -> Event {
        Event::Accepted { number, stream: 9, seq: number + 1 }
    }

    fn shown(number: u64) -> Event {
        Event::Shown { from: 1, number, place: number }
    }

    fn client(user: User) -> Client {
        Client { user, device: 0 }
    }

    #[tokio::test(start_paused = true)]
    async fn settled_is_answered_and_shown_in_whatever_order() {
        let history = History::default();
        for (user, event) in [(1, given(0)), (2, shown(0)), (1, accepted(0)), (1, given(1)), (1, accepted(1))] {
            history.record(client(user), event);
        }
        assert_eq!(history.settled(Duration::from_secs(1)).await, 1, "the second was not shown");
        history.record(client(2), shown(1));
        assert_eq!(history.settled(Duration::ZERO).await, 0);
        history.record(client(1), given(2));
        assert_eq!(history.settled(Duration::ZERO).await, 1, "the third has no answer");
    }

    #[test]
    fn a_kept_history_reads_back() {
        let history = History::default();
        let events = [given(0), accepted(0), shown(0), Event::Opened, Event::Refused { number: 3, code: "X".into() }];
        let ended = Event::ScheduleEnded { stream: 9, seq: 4, end: End::Sent { stream: 8, seq: 1 } };
        let events = events.into_iter().chain([Event::GivenScheduled { number: 4, to: 2, due_ms: None }, ended]);
        events.for_each(|event| history.record(client(1), event));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("history.jsonl");
        history.keep(&file).unwrap();
        let text = std::fs::read_to_string(file).unwrap();
        let read: Vec<Record> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read, history.records());
        assert!(text.contains(r#""user":1,"device":0,"event":"given","number":0,"to":2}"#), "{text}");
    }
}
