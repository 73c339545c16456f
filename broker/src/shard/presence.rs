//! Who of a shard's users is online, for the gateways that asked: in the memory of the shard's leader, stored nowhere
//! (decision 0015). Pure: calls and times in, what is to be told out.
//!
//! A user is online while a device of theirs is attached; how many is nobody's concern. Going offline counts after a
//! time of grace, so that a change of the leader, a lost link or a client that comes back is no news. A user about whom
//! nobody asked costs a note of when they left, and no frame.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tidings_proto::client::v1::{UserPresence, user_presence};
use tidings_proto::policy::v1::Audience;
use tokio::time::Instant;

use crate::core::MailboxId;

/// What happens at once is told at once, and together.
const GATHER: Duration = Duration::from_millis(20);
/// After a link had no room.
const RETRY: Duration = Duration::from_millis(250);

/// Limits of one shard's presence (promise 6).
#[derive(Debug, Clone, Copy)]
pub struct PresenceLimits {
    /// From the last session's end, or the beginning of the reign, until a user counts as offline.
    pub grace: Duration,
    /// Changes of one user are told to one gateway this far apart at least; what changed back meanwhile is not told.
    pub interval: Duration,
    /// Users who may be watched; more are refused.
    pub watched: usize,
    /// Users of whom it is remembered when they left; the longest gone are forgotten first.
    pub last_seen: usize,
}

/// What may be said of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserState {
    /// A device is attached.
    Online,
    /// None is.
    Offline {
        /// Unix ms; 0: not known.
        last_seen_ms: i64,
    },
}

impl UserState {
    /// As others are told of a user.
    pub fn told(self, user: &str) -> UserPresence {
        let (state, last_seen_ms) = match self {
            Self::Online => (user_presence::State::Online, 0),
            Self::Offline { last_seen_ms } => (user_presence::State::Offline, last_seen_ms),
        };
        UserPresence { user: user.to_owned(), state: state.into(), last_seen_ms }
    }
}

/// A gateway asks for a user, or asks on.
#[derive(Debug, Clone)]
pub struct Watch {
    /// The gateway's link.
    pub link: u64,
    /// Of whom.
    pub mailbox: MailboxId,
    /// Whether a device is attached now.
    pub is_online: bool,
    /// What the gateway knows from an earlier leader: Unix ms, 0 is nothing.
    pub last_seen_ms: i64,
    /// The gateway was told the user's state before, and needs it again only when it was not by this leader.
    pub is_known: bool,
    /// Until when it wants to be told.
    pub until: Instant,
    /// Others whom the user hides from; of one who is watched already it is known.
    pub hides_from: Vec<String>,
    /// Which others the gateway wants to know of; unset: of none.
    pub among: Audience,
    /// It knows them, and is told when they change.
    pub knows_them: bool,
}

/// Something to tell a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telling {
    /// The gateway's link.
    pub link: u64,
    /// Of whom.
    pub mailbox: MailboxId,
    /// What.
    pub state: UserState,
    /// Whom it is not for.
    pub hides_from: Arc<[String]>,
    /// Which others are to be told along; unset: none.
    pub among: Audience,
}

/// There are as many watched users as the limit allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyWatched;

/// The presence of a shard's users during one reign of its leader.
#[derive(Debug)]
pub struct Presence {
    limits: PresenceLimits,
    since: Instant,
    watched: HashMap<MailboxId, Watched>,
    /// When each watched user is looked at next.
    due: BTreeSet<(Instant, MailboxId)>,
    left: Left,
}

#[derive(Debug)]
struct Watched {
    is_online: bool,
    /// When the last session ended, if it was in this reign.
    left_at: Option<Instant>,
    last_seen_ms: i64,
    hides_from: Arc<[String]>,
    /// One for each link.
    watchers: Vec<Watcher>,
    /// Until then no change is told.
    quiet_until: Instant,
    due_at: Instant,
}

#[derive(Debug)]
struct Watcher {
    link: u64,
    until: Instant,
    told: Option<UserState>,
    among: Audience,
    /// It was told who they are, or wants to know of none.
    knows_them: bool,
}

impl Presence {
    /// Of a leader that begins now.
    pub fn new(limits: PresenceLimits, now: Instant) -> Self {
        Self { limits, since: now, watched: HashMap::new(), due: BTreeSet::new(), left: Left::default() }
    }

    /// Takes a watch up, or prolongs it.
    pub fn watch(&mut self, watch: Watch, now: Instant) -> Result<(), TooManyWatched> {
        let Watch { link, mailbox, is_online, last_seen_ms, is_known, until, hides_from, among, knows_them } = watch;
        if !self.watched.contains_key(&mailbox) && self.watched.len() >= self.limits.watched {
            return Err(TooManyWatched);
        }
        let left = self.left.get(&mailbox);
        let user = self.watched.entry(mailbox.clone()).or_insert_with(|| Watched {
            is_online,
            left_at: left.map(|left| left.at),
            last_seen_ms: left.map_or(0, |left| left.last_seen_ms),
            hides_from: hides_from.into(),
            watchers: Vec::with_capacity(1),
            quiet_until: now,
            due_at: until,
        });
        if user.last_seen_ms == 0 {
            user.last_seen_ms = last_seen_ms;
        }
        match user.watchers.iter_mut().find(|watcher| watcher.link == link) {
            Some(watcher) => {
                watcher.until = until;
                watcher.told = watcher.told.filter(|_| is_known);
                watcher.knows_them &= knows_them && among == watcher.among;
                watcher.among = among;
            }
            None => user.watchers.push(Watcher { link, until, told: None, among, knows_them: false }),
        }
        self.look_at(&mailbox, now);
        Ok(())
    }

    /// A user hides from these others from now on, and from nobody else: whoever watches is told before anything else.
    pub fn hides(&mut self, mailbox: &MailboxId, hides_from: Vec<String>, now: Instant) {
        if let Some(user) = self.watched.get_mut(mailbox) {
            user.hides_from = hides_from.into();
            user.watchers.iter_mut().for_each(|watcher| watcher.told = None);
            self.look_at(mailbox, now);
        }
    }

    /// A user was deleted, and hides from nobody: one of the same id begins anew.
    pub fn forget(&mut self, mailbox: &MailboxId, now: Instant) {
        self.left.forget(mailbox);
        if let Some(user) = self.watched.get_mut(mailbox) {
            user.last_seen_ms = 0;
        }
        self.hides(mailbox, Vec::new(), now);
        self.contacts_changed(mailbox, now);
    }

    /// A user has other contacts, or is among those of others: whoever goes by that is told.
    pub fn contacts_changed(&mut self, mailbox: &MailboxId, now: Instant) {
        if let Some(user) = self.watched.get_mut(mailbox) {
            for watcher in user.watchers.iter_mut().filter(|watcher| watcher.among != Audience::Unspecified) {
                // Who is to know nothing any more is told so before anything else.
                (watcher.told, watcher.knows_them) = (None, false);
            }
            self.look_at(mailbox, now);
        }
    }

    /// A user's first device was attached.
    pub fn came(&mut self, mailbox: &MailboxId, now: Instant) {
        if let Some(user) = self.watched.get_mut(mailbox) {
            user.is_online = true;
            self.look_at(mailbox, now + GATHER);
        }
    }

    /// A user's last device is gone.
    pub fn left(&mut self, mailbox: &MailboxId, now: Instant, now_ms: i64) {
        self.left.note(mailbox.clone(), LeftAt { at: now, last_seen_ms: now_ms }, self.limits.last_seen);
        if let Some(user) = self.watched.get_mut(mailbox) {
            (user.is_online, user.left_at, user.last_seen_ms) = (false, Some(now), now_ms);
            self.look_at(mailbox, now + GATHER);
        }
    }

    /// A gateway's link has ended: it is told nothing more.
    pub fn unlink(&mut self, link: u64, now: Instant) {
        let watches = |user: &&MailboxId| self.watched[*user].watchers.iter().any(|watcher| watcher.link == link);
        let users: Vec<_> = self.watched.keys().filter(watches).cloned().collect();
        for mailbox in users {
            if let Some(user) = self.watched.get_mut(&mailbox) {
                user.watchers.retain(|watcher| watcher.link != link);
                self.look_at(&mailbox, now);
            }
        }
    }

    /// The link had no room for what was to be told: it is told later, as it is then.
    pub fn not_told(&mut self, telling: &Telling, now: Instant) {
        let Some(user) = self.watched.get_mut(&telling.mailbox) else { return };
        if let Some(watcher) = user.watchers.iter_mut().find(|watcher| watcher.link == telling.link) {
            (watcher.told, watcher.knows_them) = (None, false);
            self.look_at(&telling.mailbox, now + RETRY);
        }
    }

    /// When there will be something to tell, at the earliest.
    pub fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// What is to be told now; about `users` users at most, the rest is due still.
    pub fn take_due(&mut self, now: Instant, users: usize) -> Vec<Telling> {
        let mut tellings = Vec::new();
        for _ in 0..users {
            match self.due.first() {
                Some((at, mailbox)) if *at <= now => {
                    let mailbox = mailbox.clone();
                    self.tell(&mailbox, now, &mut tellings);
                }
                _ => break,
            }
        }
        tellings
    }

    /// What may be said of a user now, watched or not. `None`: the reign is too young to say.
    pub fn of(&self, mailbox: &MailboxId, is_online: bool, now: Instant) -> Option<UserState> {
        let (left_at, last_seen_ms) = match (self.watched.get(mailbox), self.left.get(mailbox)) {
            (Some(user), _) => (user.left_at, user.last_seen_ms),
            (None, Some(left)) => (Some(left.at), left.last_seen_ms),
            (None, None) => (None, 0),
        };
        match decide(is_online, left_at, last_seen_ms, self.since, self.limits.grace, now) {
            Ok(state) => Some(state),
            // Whoever watches takes the user for online still.
            Err(_) => left_at.map(|_| UserState::Online),
        }
    }

    /// Whether a gateway watches a user.
    pub fn is_watched(&self, mailbox: &MailboxId) -> bool {
        self.watched.contains_key(mailbox)
    }

    /// How many users are watched.
    pub fn watched(&self) -> usize {
        self.watched.len()
    }

    /// Has a user looked at by then.
    fn look_at(&mut self, mailbox: &MailboxId, at: Instant) {
        let Some(user) = self.watched.get_mut(mailbox) else { return };
        let is_listed = self.due.contains(&(user.due_at, mailbox.clone()));
        if is_listed && user.due_at <= at {
            return;
        }
        self.due.remove(&(user.due_at, mailbox.clone()));
        user.due_at = at;
        self.due.insert((at, mailbox.clone()));
    }

    /// Tells whoever does not know yet, forgets watches whose time is over, and sets the next look.
    fn tell(&mut self, mailbox: &MailboxId, now: Instant, tellings: &mut Vec<Telling>) {
        let Some(user) = self.watched.get_mut(mailbox) else { return };
        self.due.remove(&(user.due_at, mailbox.clone()));
        user.watchers.retain(|watcher| watcher.until > now);
        let Some(mut next) = user.watchers.iter().map(|watcher| watcher.until).min() else {
            self.watched.remove(mailbox);
            return;
        };
        match user.state(self.since, self.limits.grace, now) {
            Err(decided_at) => next = next.min(decided_at),
            Ok(state) => {
                let is_quiet = now < user.quiet_until;
                let mut changed = false;
                for watcher in user.watchers.iter_mut().filter(|watcher| watcher.lacks(state)) {
                    // Who was told nothing yet does not wait.
                    if is_quiet && watcher.told.is_some() {
                        next = next.min(user.quiet_until);
                        continue;
                    }
                    changed |= watcher.told.replace(state).is_some();
                    let (link, hides_from) = (watcher.link, user.hides_from.clone());
                    let among = if watcher.knows_them { Audience::Unspecified } else { watcher.among };
                    watcher.knows_them = true;
                    tellings.push(Telling { link, mailbox: mailbox.clone(), state, hides_from, among });
                }
                if changed {
                    user.quiet_until = now + self.limits.interval;
                }
            }
        }
        user.due_at = next;
        self.due.insert((next, mailbox.clone()));
    }
}

impl Watcher {
    /// Whether there is something to tell.
    fn lacks(&self, state: UserState) -> bool {
        self.told != Some(state) || (!self.knows_them && self.among != Audience::Unspecified)
    }
}

impl Watched {
    /// What may be said of the user now, or when it may be.
    fn state(&self, reign_since: Instant, grace: Duration, now: Instant) -> Result<UserState, Instant> {
        decide(self.is_online, self.left_at, self.last_seen_ms, reign_since, grace, now)
    }
}

fn decide(
    is_online: bool,
    left_at: Option<Instant>,
    last_seen_ms: i64,
    reign_since: Instant,
    grace: Duration,
    now: Instant,
) -> Result<UserState, Instant> {
    let decided_at = left_at.unwrap_or(reign_since).max(reign_since) + grace;
    match is_online {
        true => Ok(UserState::Online),
        false if now < decided_at => Err(decided_at),
        false => Ok(UserState::Offline { last_seen_ms }),
    }
}

/// When users left, in two generations: as the younger one is full, the older one is forgotten.
#[derive(Debug, Default)]
struct Left {
    younger: HashMap<MailboxId, LeftAt>,
    older: HashMap<MailboxId, LeftAt>,
}

#[derive(Debug, Clone, Copy)]
struct LeftAt {
    at: Instant,
    /// Unix ms.
    last_seen_ms: i64,
}

impl Left {
    fn note(&mut self, mailbox: MailboxId, left: LeftAt, limit: usize) {
        if self.younger.len() >= limit.div_ceil(2) {
            self.older = std::mem::take(&mut self.younger);
        }
        self.younger.insert(mailbox, left);
    }

    fn forget(&mut self, mailbox: &MailboxId) {
        self.younger.remove(mailbox);
        self.older.remove(mailbox);
    }

    fn get(&self, mailbox: &MailboxId) -> Option<LeftAt> {
        self.younger.get(mailbox).or_else(|| self.older.get(mailbox)).copied()
    }
}

#[cfg(test)]
mod tests;
