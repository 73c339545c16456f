//! How conversations stand for a user: the first device mutes, archives, favours and reads some of them, one after the
//! other. What has no answer is asked again, until it has one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::seq::IteratorRandom as _;
use rand::{Rng as _, SeedableRng as _};
use tidings_sdk::{Client, Conversation, RequestError, UpdateConversation};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::{Phase, Workload, owner};
use crate::history::{self, Event, Group, History, Of, Reading, Settings, User};
use crate::people::{Names, Person};

/// A user sets something about so often, in milliseconds.
const TURN_MS: std::ops::Range<u64> = 100..900;
/// Before what has no answer is asked again.
const REST: Duration = Duration::from_millis(100);
/// In conversations with so many others: few, so that each is set several times.
const OTHERS: User = 3;
/// No conversation is muted for that long otherwise: the year 2100. What is set is told apart by the milliseconds
/// behind it.
const MUTE_UNTIL_MS: i64 = 4_102_444_800_000;

/// Whether a user marks messages of a conversation as read one by one. Those of others are read with their settings, so
/// that it is known how they stand.
pub(super) fn is_read_by_message(user: User, of: Of) -> bool {
    let (Of::With(other) | Of::Group(other)) = of;
    (user ^ other) & 1 == 0
}

/// Which conversation it is, and how it stands.
pub(super) fn standing(conversation: &Conversation, names: &Names) -> (Of, Settings) {
    let of = match conversation.group.as_str() {
        "" => Of::With(names.user(&conversation.with)),
        group => Of::Group(names.user(owner::owner_of(group))),
    };
    let Conversation { mute_until_ms, archived, favourite, read_place, marked_unread, .. } = *conversation;
    let reading = Some(Reading { up_to: read_place, marked_unread });
    (of, Settings { mute_until_ms, archived, favourite, reading })
}

/// Something that is to be set.
#[derive(Debug, Clone, Copy)]
struct Update {
    number: u64,
    of: Of,
    settings: Settings,
}

/// What one device sets.
pub(super) struct Setting {
    this: history::Client,
    people: Arc<[Person]>,
    names: Names,
    history: History,
    /// The last place of each conversation, as far as it is known.
    places: BTreeMap<Of, u64>,
    given: u64,
    /// What has no answer yet.
    open: Option<Update>,
    asking: Option<JoinHandle<Result<Conversation, RequestError>>>,
    next: Instant,
    rng: SmallRng,
}

impl Setting {
    pub(super) fn new(workload: &Workload, this: history::Client, names: Names, history: History) -> Self {
        Self {
            this,
            people: workload.people.clone(),
            names,
            history,
            places: BTreeMap::new(),
            given: 0,
            open: None,
            asking: None,
            next: Instant::now(),
            rng: SmallRng::seed_from_u64(workload.seed.wrapping_add(u64::from(this.user))),
        }
    }

    /// Whether something has no answer yet.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Waits for the answer, where something is asked, and until it is time to ask again. What was begun goes on when
    /// this is cancelled.
    pub(super) async fn turn(&mut self) {
        if let Some(asking) = &mut self.asking {
            let answer = asking.await;
            self.asking = None;
            self.next = Instant::now() + REST;
            if let (Ok(answer), Some(update)) = (answer, self.open) {
                self.answered(update, answer);
            }
        }
        sleep_until(self.next).await;
    }

    /// Asks, for a user who is a regular member of these groups.
    pub(super) fn ask(&mut self, client: &Client, regular_in: &BTreeSet<Group>, phase: &watch::Receiver<Phase>) {
        if self.open.is_none() {
            self.open = self.draw(regular_in, phase);
        }
        if let Some(update) = self.open {
            let (client, request) = (client.clone(), self.request(update));
            self.asking = Some(tokio::spawn(async move { client.update_conversation(request).await }));
        }
    }

    /// What is set next.
    fn draw(&mut self, regular_in: &BTreeSet<Group>, phase: &watch::Receiver<Phase>) -> Option<Update> {
        // The phase does not change while it is looked at: whoever waits from its end on waits for this too.
        let now = phase.borrow();
        if *now != Phase::Busy {
            return None;
        }
        let users = self.people.len() as User;
        let others = (1..users.min(OTHERS + 1)).map(|ahead| Of::With((self.this.user + ahead) % users));
        let of = others.chain(regular_in.iter().map(|group| Of::Group(*group))).choose(&mut self.rng)?;
        let place = self.places.get(&of).filter(|_| !is_read_by_message(self.this.user, of));
        let settings = Settings {
            mute_until_ms: MUTE_UNTIL_MS + self.given as i64,
            archived: self.rng.random(),
            favourite: self.rng.random(),
            reading: place.map(|up_to| Reading { up_to: *up_to, marked_unread: self.rng.random() }),
        };
        let number = self.given;
        self.given += 1;
        self.history.record(self.this, Event::GivenSettings { number, of, settings });
        Some(Update { number, of, settings })
    }

    fn request(&self, Update { of, settings, .. }: Update) -> UpdateConversation {
        let (with, group) = match of {
            Of::With(other) => (self.people[other as usize].id.clone(), String::new()),
            Of::Group(owner) => (String::new(), owner::group_of(&self.people, owner)),
        };
        UpdateConversation {
            with,
            group,
            read_place: settings.reading.map(|reading| reading.up_to),
            marked_unread: settings.reading.map(|reading| reading.marked_unread),
            mute_until_ms: Some(settings.mute_until_ms),
            archived: Some(settings.archived),
            favourite: Some(settings.favourite),
            ..UpdateConversation::default()
        }
    }

    fn answered(&mut self, Update { number, of, .. }: Update, answer: Result<Conversation, RequestError>) {
        let event = match answer {
            Ok(conversation) => {
                self.places.insert(of, conversation.last_place);
                Event::SettingsAccepted { number, settings: standing(&conversation, &self.names).1 }
            }
            Err(RequestError::Refused { code, .. }) => {
                Event::SettingsRefused { number, code: code.as_str_name().to_owned() }
            }
            // The client was closed: the next one asks again.
            Err(_) => return,
        };
        self.open = None;
        self.next = Instant::now() + Duration::from_millis(self.rng.random_range(TURN_MS));
        self.history.record(self.this, event);
    }
}
