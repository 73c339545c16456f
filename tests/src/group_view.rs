//! What one member sees of a group, and what follows from it: the order is the same for all, and each sees of it what
//! stands between joining and leaving, once (promises 2 and 3).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use tidings_sdk::group_event::Kind;
use tidings_sdk::{Event, Events};
use tokio::sync::Notify;

use crate::{DEADLINE, within};

/// A place in a group's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its number.
    pub seq: u64,
    /// What stands there.
    pub what: What,
}

/// What stands at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Who said what.
    Said(String, String),
    /// What happened to whom.
    Happened(Kind, Vec<String>),
    /// What stands at this place is different now.
    Changed(u64),
}

/// What one device was shown.
#[derive(Debug, Clone, Default)]
pub struct GroupView(Arc<Mutex<Vec<Place>>>, Arc<Notify>);

impl GroupView {
    /// Takes down what comes from now on, until the client ends.
    pub fn of(mut events: Events) -> Self {
        let view = Self::default();
        let written = view.clone();
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                let place = match event {
                    Event::Message(message) if message.group().is_some() => {
                        // Before anybody sees it here: who then closes the client is not shown it again.
                        message.ack();
                        let what = What::Said(message.from().to_owned(), message.text().to_owned());
                        Place { seq: message.group_seq(), what }
                    }
                    Event::GroupEvent(event) => {
                        Place { seq: event.group_seq, what: What::Happened(event.kind(), event.users.clone()) }
                    }
                    _ => continue,
                };
                written.0.lock().unwrap().push(place);
                written.1.notify_waiters();
            }
        });
        view
    }

    /// Everything so far.
    pub fn places(&self) -> Vec<Place> {
        self.0.lock().unwrap().clone()
    }

    /// What was said so far.
    pub fn texts(&self) -> Vec<String> {
        let said = |place: Place| match place.what {
            What::Said(_, text) => Some(text),
            What::Happened(..) | What::Changed(_) => None,
        };
        self.places().into_iter().filter_map(said).collect()
    }

    /// Waits until a place like this was shown.
    pub async fn until(&self, what: &str, is_it: impl Fn(&Place) -> bool) {
        let shown = async {
            loop {
                let changed = self.1.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if self.0.lock().unwrap().iter().any(&is_it) {
                    return;
                }
                changed.await;
            }
        };
        within(DEADLINE * 2, what, shown).await;
    }

    /// Waits until this was said.
    pub async fn until_said(&self, text: &str) {
        self.until(&format!("{text:?} is shown"), |place| matches!(&place.what, What::Said(_, said) if said == text))
            .await;
    }

    /// This view is of a member from the beginning to the end: it holds the whole order. `user`'s is what stands in it
    /// while `user` was a member.
    pub fn assert_whole(&self) {
        let seqs: Vec<_> = self.places().iter().map(|place| place.seq).collect();
        assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "the whole order, without a gap, once");
    }

    /// What `user` should have been shown, when this view is whole.
    pub fn seen_by(&self, user: &str) -> Vec<Place> {
        seen_by(&self.places(), user)
    }

    /// Each of these was said once.
    pub fn assert_said_once(&self, texts: &[String]) {
        let said = self.texts();
        let once: BTreeSet<_> = said.iter().collect();
        assert_eq!(once.len(), said.len(), "something was said twice");
        let missing: Vec<_> = texts.iter().filter(|text| !once.contains(text)).collect();
        assert!(missing.is_empty(), "accepted and never shown: {missing:?}");
    }
}

/// What of a whole order `user` is shown.
pub fn seen_by(whole: &[Place], user: &str) -> Vec<Place> {
    let (mut joined, mut seen) = (None, Vec::new());
    for place in whole {
        let (mut joins, mut leaves) = (false, false);
        if let What::Happened(kind, users) = &place.what {
            let is_named = users.iter().any(|named| named == user);
            joins = is_named && matches!(kind, Kind::Created | Kind::Joined);
            leaves = is_named && matches!(kind, Kind::Left | Kind::Removed);
        }
        if joins {
            joined = joined.or(Some(place.seq));
        }
        let is_for = |joined: u64| match place.what {
            What::Changed(of) => joined <= of,
            What::Said(..) | What::Happened(..) => true,
        };
        if joined.is_some_and(is_for) {
            seen.push(place.clone());
        }
        joined = joined.filter(|_| !leaves);
    }
    seen
}
