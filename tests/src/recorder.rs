//! The account of a run: what was sent, what the sender was told, what came. Its verdict is one line per class, and
//! lost, doubled and out of order must be nothing (promises 1, 2 and 3).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;

/// The longest that a run may take to reach a count.
const LIMIT: Duration = Duration::from_secs(300);

/// One sender's messages to one recipient, numbered from 0 by the test in the order of sending.
#[derive(Debug, Default, Clone)]
pub struct Recorder(Arc<Mutex<Account>>, Arc<Notify>);

#[derive(Debug, Default)]
struct Account {
    sent: u64,
    accepted: BTreeMap<u64, bool>,
    came: Vec<u64>,
}

/// What became of the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Given to the client.
    pub sent: u64,
    /// Told to the sender as sent.
    pub accepted: u64,
    /// Shown to the recipient.
    pub delivered: u64,
    /// Accepted, and never shown.
    pub lost: u64,
    /// Shown again.
    pub doubled: u64,
    /// Shown after a later one.
    pub out_of_order: u64,
    /// The sender was told that nobody knows, or that it failed.
    pub not_accepted: u64,
}

impl Recorder {
    /// A message is given to the client: answers its number.
    pub fn next_number(&self) -> u64 {
        let mut account = self.0.lock().unwrap();
        account.sent += 1;
        account.sent - 1
    }

    /// The sender was told how a message ended.
    pub fn ended(&self, number: u64, accepted: bool) {
        let before = self.0.lock().unwrap().accepted.insert(number, accepted);
        assert_eq!(before, None, "message {number} ended twice");
        self.1.notify_waiters();
    }

    /// The recipient was shown a message.
    pub fn came(&self, number: u64) {
        self.0.lock().unwrap().came.push(number);
        self.1.notify_waiters();
    }

    /// How many messages were given to the client.
    pub fn sent(&self) -> u64 {
        self.0.lock().unwrap().sent
    }

    /// Waits until so many messages were accepted.
    pub async fn accepted_at_least(&self, count: u64) {
        self.until(&format!("{count} are accepted"), || self.accepted() >= count).await;
    }

    /// Waits until so many messages were shown.
    pub async fn delivered_at_least(&self, count: u64) {
        self.until(&format!("{count} are delivered"), || self.delivered() >= count).await;
    }

    async fn until(&self, what: &str, reached: impl Fn() -> bool) {
        let wait = async {
            loop {
                let changed = self.1.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if reached() {
                    return;
                }
                changed.await;
            }
        };
        if tokio::time::timeout(LIMIT, wait).await.is_err() {
            panic!("not within {LIMIT:?}: {what}; {}", self.verdict());
        }
    }

    /// How many messages the sender knows to be accepted.
    pub fn accepted(&self) -> u64 {
        self.0.lock().unwrap().accepted.values().filter(|accepted| **accepted).count() as u64
    }

    /// How many messages have ended for the sender.
    pub fn ends(&self) -> u64 {
        self.0.lock().unwrap().accepted.len() as u64
    }

    /// How many were shown.
    pub fn delivered(&self) -> u64 {
        self.0.lock().unwrap().came.len() as u64
    }

    /// The account at the end.
    pub fn verdict(&self) -> Verdict {
        let account = self.0.lock().unwrap();
        let mut times = BTreeMap::<u64, u64>::new();
        let (mut out_of_order, mut highest) = (0, None);
        for number in &account.came {
            *times.entry(*number).or_default() += 1;
            if highest.is_some_and(|highest| *number < highest) {
                out_of_order += 1;
            }
            highest = highest.max(Some(*number));
        }
        let accepted = account.accepted.iter().filter(|(_, accepted)| **accepted);
        Verdict {
            sent: account.sent,
            accepted: accepted.clone().count() as u64,
            delivered: account.came.len() as u64,
            lost: accepted.filter(|(number, _)| !times.contains_key(number)).count() as u64,
            doubled: times.values().map(|times| times - 1).sum(),
            out_of_order,
            not_accepted: account.accepted.values().filter(|accepted| !**accepted).count() as u64,
        }
    }
}

impl Verdict {
    /// Nothing lost, doubled or out of order.
    pub fn assert_clean(&self) {
        println!("{self}");
        assert!(self.lost == 0 && self.doubled == 0 && self.out_of_order == 0, "{self}");
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, accepted, delivered, lost, doubled, out_of_order, not_accepted } = self;
        write!(f, "sent {sent}, accepted {accepted}, delivered {delivered}, lost {lost}, doubled {doubled}, ")?;
        write!(f, "out of order {out_of_order}, not accepted or unknown {not_accepted}")
    }
}
