//! A client's unanswered requests. The client repeats what was not answered, so that nothing but its number and where
//! it was asked is kept here. Pure: no I/O, no clock.

use std::time::Duration;

use tokio::time::Instant;

/// Requests of one session that may be unanswered.
pub(crate) const MAX_UNANSWERED: usize = 32;
/// After so long the client is told that there is no answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// One request that was handed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub id: u64,
    pub shard: u32,
    pub link: u64,
    until: Instant,
}

/// What a request's number means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It may be asked.
    New,
    /// It was asked and will be answered: nothing to do.
    Unanswered,
    /// Too many are unanswered.
    TooMany,
}

/// The unanswered requests of one connection.
#[derive(Debug, Default)]
pub(crate) struct Requests(Vec<Asked>);

impl Requests {
    /// Whether the request may be asked.
    pub fn admission(&self, id: u64) -> Admission {
        if self.0.iter().any(|asked| asked.id == id) {
            return Admission::Unanswered;
        }
        if self.0.len() < MAX_UNANSWERED { Admission::New } else { Admission::TooMany }
    }

    /// A request that was admitted was asked.
    pub fn asked(&mut self, id: u64, shard: u32, link: u64, now: Instant) {
        self.0.push(Asked { id, shard, link, until: now + PATIENCE });
    }

    /// Takes out what was answered; `None` for an answer that nobody waits for any more.
    pub fn answered(&mut self, id: u64) -> Option<Asked> {
        let at = self.0.iter().position(|asked| asked.id == id)?;
        let asked = self.0.swap_remove(at);
        if self.0.is_empty() {
            // An idle session keeps no memory.
            self.0 = Vec::new();
        }
        Some(asked)
    }

    /// Takes out those that will not be answered; their numbers.
    pub fn lost(&mut self, is_lost: impl Fn(&Asked) -> bool) -> Vec<u64> {
        self.0.extract_if(.., |asked| is_lost(asked)).map(|asked| asked.id).collect()
    }

    /// Takes out those that have waited for long enough; their numbers.
    pub fn give_up(&mut self, now: Instant) -> Vec<u64> {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return Vec::new();
        }
        self.lost(|asked| asked.until <= now)
    }

    /// When to look again.
    pub fn deadline(&self) -> Option<Instant> {
        self.0.iter().map(|asked| asked.until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_may_be_unanswered_and_an_answer_makes_room() {
        let (mut requests, now) = (Requests::default(), Instant::now());
        for id in 0..MAX_UNANSWERED as u64 {
            assert_eq!(requests.admission(id), Admission::New);
            requests.asked(id, 0, 1, now);
        }
        assert_eq!(requests.admission(0), Admission::Unanswered);
        assert_eq!(requests.admission(99), Admission::TooMany);
        assert!(requests.answered(0).is_some() && requests.answered(0).is_none());
        assert_eq!(requests.admission(99), Admission::New);
    }

    #[test]
    fn what_will_not_be_answered_is_named_once() {
        let (mut requests, now) = (Requests::default(), Instant::now());
        for (id, shard, link) in [(1, 7, 1), (2, 8, 1), (3, 7, 2)] {
            requests.asked(id, shard, link, now);
        }
        assert_eq!(requests.lost(|asked| asked.shard == 7 && asked.link != 2), [1]);
        assert_eq!(requests.lost(|asked| asked.link == 1), [2]);
        assert!(requests.give_up(now).is_empty());
        let late = requests.deadline().unwrap();
        assert_eq!(requests.give_up(late), [3]);
        assert_eq!((requests.deadline(), requests.answered(3)), (None, None));
    }
}
