//! Groups: some users own one each. An owner makes it with its regular members, who stay, and then lets in one guest
//! after the other, and shows each out again.

use std::future::pending;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use tidings_sdk::Client;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::history::User;
use crate::people::Person;

/// One user of so many owns a group.
const OWNER_ONE_OF: u32 = 4;
/// Regular members, the owner among them, at most; where there are fewer users, half of them and one.
const REGULARS: usize = 16;
/// How long a guest stays, and how long the group is without one, in milliseconds.
const TURN_MS: std::ops::Range<u64> = 500..2_500;
/// What the name of a group has after that of its owner.
const SUFFIX: &str = "-group";

/// Whether a user owns a group.
fn owns_a_group(user: User) -> bool {
    user.is_multiple_of(OWNER_ONE_OF)
}

/// All users who own a group.
pub(super) fn owners(people: &[Person]) -> impl Iterator<Item = User> {
    (0..).take(people.len()).filter(|user| owns_a_group(*user))
}

/// The name of the group that a user owns.
pub(super) fn group_of(people: &[Person], owner: User) -> String {
    format!("{}{SUFFIX}", people[owner as usize].id)
}

/// The users in a circle, from the owner of a group on: first its regular members, the owner among them, then who may
/// be its guests. Neighbouring groups have members in common.
pub(super) fn regulars_and_guests(people: &[Person], owner: User) -> (Vec<User>, Vec<User>) {
    let mut circle: Vec<User> = (0..).take(people.len()).collect();
    circle.rotate_left(owner as usize);
    let guests = circle.split_off(REGULARS.min(people.len() / 2 + 1));
    (circle, guests)
}

/// The name of the user who owns a group.
pub(super) fn owner_of(group: &str) -> &str {
    group.strip_suffix(SUFFIX).unwrap_or(group)
}

/// A turn of an owner, where there is one; otherwise it does not end. What was begun goes on when this is cancelled.
pub(super) async fn turn(owner: &mut Option<Owner>, client: &Client) {
    match owner {
        Some(owner) => owner.turn(client).await,
        None => pending().await,
    }
}

/// How a group stands, as far as its owner knows. Each turn may be done again.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    NotMade,
    WithoutGuest,
    With(String),
}

pub(super) struct Owner {
    group: String,
    /// But the owner.
    regulars: Vec<String>,
    guests: Vec<String>,
    standing: Standing,
    /// A turn, and how the group stands after it.
    running: Option<JoinHandle<Standing>>,
    next: Instant,
    rng: SmallRng,
}

impl Owner {
    /// None for a user who owns no group.
    pub(super) fn of(people: &[Person], user: User, seed: u64) -> Option<Self> {
        if !owns_a_group(user) {
            return None;
        }
        let (regulars, guests) = regulars_and_guests(people, user);
        let named = |users: &[User]| users.iter().map(|user| people[*user as usize].id.clone()).collect();
        Some(Self {
            group: group_of(people, user),
            regulars: named(&regulars[1..]),
            guests: named(&guests),
            standing: Standing::NotMade,
            running: None,
            next: Instant::now(),
            rng: SmallRng::seed_from_u64(seed),
        })
    }

    async fn turn(&mut self, client: &Client) {
        if let Some(running) = &mut self.running {
            if let Ok(standing) = running.await {
                self.standing = standing;
            }
            self.running = None;
            self.next = Instant::now() + Duration::from_millis(self.rng.random_range(TURN_MS));
            return;
        }
        sleep_until(self.next).await;
        let wanted = match &self.standing {
            Standing::NotMade | Standing::With(_) => Standing::WithoutGuest,
            Standing::WithoutGuest => match self.guests.choose(&mut self.rng) {
                Some(guest) => Standing::With(guest.clone()),
                None => return pending().await,
            },
        };
        let (client, group, regulars) = (client.clone(), self.group.clone(), self.regulars.clone());
        let standing = self.standing.clone();
        self.running = Some(tokio::spawn(async move {
            let done = match (&standing, &wanted) {
                (Standing::NotMade, _) => client.create_group(group, "", regulars).await,
                (_, Standing::With(guest)) => client.add_to_group(group, [guest.clone()]).await,
                (Standing::With(guest), _) => client.remove_from_group(group, [guest.clone()]).await,
                (Standing::WithoutGuest, _) => return standing,
            };
            // What was not answered is tried again: the client was closed, or the control plane is away.
            if done.is_ok() { wanted } else { standing }
        }));
    }
}
