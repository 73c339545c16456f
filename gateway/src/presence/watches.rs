//! Whom this gateway's clients watch, and what is known of them. Pure: calls and times in, what to ask and to tell out.
//!
//! However many clients watch a user, the user's shard is asked once. A client's watch has a lease; a gateway's watch
//! at a shard has one too, and is not prolonged for users whom nobody watches any more.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use tidings_proto::client::v1::{UserPresence, user_presence};
use tidings_proto::policy::v1::Audience;
use tokio::time::Instant;

use crate::directory::UserKey;

/// So often shards are told that their users are watched still.
const RENEWAL: Duration = Duration::from_secs(20);
/// How long they tell without being asked again.
pub(crate) const SHARD_LEASE: Duration = Duration::from_secs(60);
/// What becomes known at once goes to a client in one frame.
const GATHER: Duration = Duration::from_millis(20);

/// Limits of a gateway's watches (promise 6).
#[derive(Debug, Clone, Copy)]
pub(crate) struct WatchLimits {
    /// Users watched by any client.
    pub users: usize,
    /// Frames to one client are this far apart at least.
    pub interval: Duration,
    /// How long a client's watch holds.
    pub lease: Duration,
}

/// What a user's policy lets others see. Until it is known, nothing is told of the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct View {
    /// Who is told of the user. To others nothing is known of it, and they are told that once.
    pub audience: Audience,
    /// When the user was last seen is told rounded down to a multiple of it; 1 ms or more.
    pub round_ms: i64,
}

/// A user, and the shard that knows of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    pub shard: u32,
    pub user: UserKey,
}

/// What a shard says of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UserState {
    Online,
    /// Unix ms; 0: not known.
    Offline {
        last_seen_ms: i64,
    },
}

/// What else it says of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub state: UserState,
    /// Users to whom nothing is told of this one.
    pub hides_from: HashSet<String>,
    /// Where it was asked: who is among those to whom it may be told, and whom it was asked for.
    pub acquainted: Option<(Audience, HashSet<String>)>,
}

impl From<UserState> for Said {
    fn from(state: UserState) -> Self {
        Self { state, hides_from: HashSet::new(), acquainted: None }
    }
}

/// What a shard is to be asked for one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub user: UserKey,
    pub known: Option<UserState>,
    /// Among whom a watcher has to be, for the shard to say; unset: it needs not.
    pub among: Audience,
    /// Of all who watch it was said.
    pub knows_them: bool,
}

/// What is to be done.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// Shards to be asked, and for whom.
    pub asks: Vec<(u32, Vec<Asked>)>,
    /// Users whose policy has to be looked up; the answer goes to [`Watches::viewed`].
    pub look_up: Vec<Target>,
    /// Sessions to be told.
    pub tells: Vec<(u64, Vec<UserPresence>)>,
}

/// As many users are watched as the limit allows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooManyWatched;

/// All watches of a gateway.
#[derive(Debug)]
pub(crate) struct Watches {
    limits: WatchLimits,
    shards: BTreeMap<u32, Shard>,
    users: usize,
    sessions: HashMap<u64, Watcher>,
    /// When each session is looked at next: told something, or forgotten.
    timers: BTreeSet<(Instant, u64)>,
    /// Whose policy has to be looked up.
    to_look_up: HashSet<Target>,
}

#[derive(Debug)]
struct Shard {
    users: HashMap<UserKey, Watched>,
    /// When it is asked for users it was not asked for yet, if there are any.
    ask_at: Option<Instant>,
    renew_at: Instant,
}

#[derive(Debug, Default)]
struct Watched {
    state: Option<UserState>,
    /// Users to whom nothing is told of this one.
    hides_from: HashSet<String>,
    /// Of users who watch: whether they are among those to whom the view lets it be told, as far as the shard said it.
    acquainted: HashMap<String, bool>,
    view: Option<View>,
    is_asked: bool,
    watchers: HashSet<u64>,
}

#[derive(Debug)]
struct Watcher {
    user: String,
    targets: HashSet<Target>,
    until: Instant,
    /// Of whom it does not know the latest.
    untold: HashSet<Target>,
    /// Nothing is told before.
    quiet_until: Instant,
    timer: Instant,
}

impl View {
    /// Whether others are told of the user as it hangs on who they are.
    fn among(self) -> Audience {
        match self.audience {
            Audience::Contacts | Audience::Paired => self.audience,
            Audience::Unspecified | Audience::All | Audience::Nobody => Audience::Unspecified,
        }
    }
}

impl Watched {
    /// Whether the shard has said what has to be known of a user who watches.
    fn knows(&self, user: &str) -> bool {
        self.view.is_none_or(|view| view.among() == Audience::Unspecified) || self.acquainted.contains_key(user)
    }

    /// What a user who watches sees; `None` as long as that is not known.
    fn seen_by(&self, user: &str) -> Option<(user_presence::State, i64)> {
        let view = self.view?;
        if view.audience == Audience::Nobody {
            return Some((user_presence::State::Unknown, 0));
        }
        let state = self.state?;
        let is_acquainted = view.among() == Audience::Unspecified || *self.acquainted.get(user)?;
        Some(match state {
            _ if !is_acquainted || self.hides_from.contains(user) => (user_presence::State::Unknown, 0),
            UserState::Online => (user_presence::State::Online, 0),
            UserState::Offline { last_seen_ms } => {
                (user_presence::State::Offline, last_seen_ms - last_seen_ms.rem_euclid(view.round_ms.max(1)))
            }
        })
    }
}

/// The sessions that watch somebody, and whose they are.
fn watching<'s>(watchers: &HashSet<u64>, sessions: &'s HashMap<u64, Watcher>) -> impl Iterator<Item = (u64, &'s str)> {
    watchers.iter().filter_map(|session| Some((*session, sessions.get(session)?.user.as_str())))
}

impl Shard {
    /// It is asked by then, for users it was not asked for yet.
    fn ask_by(&mut self, at: Instant) {
        self.ask_at = Some(self.ask_at.map_or(at, |before| before.min(at)));
    }
}

impl Watches {
    pub fn new(limits: WatchLimits) -> Self {
        let (shards, sessions, timers) = (BTreeMap::new(), HashMap::new(), BTreeSet::new());
        Self { limits, shards, users: 0, sessions, timers, to_look_up: HashSet::new() }
    }

    /// A session of a user watches these from now on, instead of others; the same ones again prolong it. Either all of
    /// them are watched or nothing has changed.
    pub fn watch(
        &mut self,
        session: u64,
        user: &str,
        targets: HashSet<Target>,
        now: Instant,
    ) -> Result<(), TooManyWatched> {
        let is_new = |target: &&Target| self.watched(target).is_none();
        if self.users + targets.iter().filter(is_new).count() > self.limits.users {
            return Err(TooManyWatched);
        }
        let until = now + self.limits.lease;
        let mut watcher = self.take(session).unwrap_or_else(|| Watcher {
            user: user.to_owned(),
            targets: HashSet::new(),
            until,
            untold: HashSet::new(),
            quiet_until: now,
            timer: until,
        });
        for gone in watcher.targets.difference(&targets) {
            watcher.untold.remove(gone);
            if let Some(watched) = self.watched_mut(gone) {
                watched.watchers.remove(&session);
            }
        }
        for added in targets.difference(&watcher.targets) {
            if self.join(session, user, added, now) {
                watcher.untold.insert(added.clone());
            }
        }
        if targets.is_empty() {
            return Ok(());
        }
        (watcher.targets, watcher.until) = (targets, until);
        self.put(session, watcher, now);
        Ok(())
    }

    /// A shard says something of a user.
    pub fn changed(&mut self, target: &Target, said: impl Into<Said>, now: Instant) {
        let Said { state, hides_from, acquainted } = said.into();
        self.update(target, now, |watched, watching| {
            (watched.state, watched.hides_from) = (Some(state), hides_from);
            let among = watched.view.map(View::among);
            // The answer to what was asked by a policy of before says nothing of that of now.
            if let Some((_, acquainted)) = acquainted.filter(|(asked, _)| Some(*asked) == among) {
                watched.acquainted = watching.map(|user| (user.to_owned(), acquainted.contains(user))).collect();
            }
        });
    }

    /// What a user's policy says now.
    pub fn viewed(&mut self, target: &Target, view: View, now: Instant) {
        let mut asks = false;
        self.update(target, now, |watched, _| {
            let among = watched.view.replace(view).map_or(Audience::Unspecified, View::among);
            if among != view.among() {
                // Who saw nothing sees nothing for now, and is not told so again.
                watched.acquainted.retain(|_, is_acquainted| !*is_acquainted);
                (watched.is_asked, asks) = (false, true);
            }
        });
        if asks && let Some(shard) = self.shards.get_mut(&target.shard) {
            shard.ask_by(now);
        }
    }

    /// Policies of these users may have changed: they are looked up again.
    pub fn policies_changed(&mut self, is_meant: impl Fn(&UserKey) -> bool) {
        for (number, shard) in &self.shards {
            let meant = shard.users.keys().filter(|key| is_meant(key));
            self.to_look_up.extend(meant.map(|key| Target { shard: *number, user: key.clone() }));
        }
    }

    /// A policy could not be looked up: it is tried again with the next work.
    pub fn not_viewed(&mut self, target: Target) {
        if self.watched(&target).is_some() {
            self.to_look_up.insert(target);
        }
    }

    /// What a shard was asked for may be lost, or another node has to be asked: at `at`, for all of its users.
    pub fn ask_again(&mut self, shard: u32, at: Instant) {
        let Some(shard) = self.shards.get_mut(&shard) else { return };
        shard.users.values_mut().for_each(|watched| watched.is_asked = false);
        shard.ask_at = Some(at);
    }

    /// All shards, as [`Self::ask_again`].
    pub fn ask_all_again(&mut self, at: Instant) {
        let shards: Vec<u32> = self.shards.keys().copied().collect();
        shards.into_iter().for_each(|shard| self.ask_again(shard, at));
    }

    /// A session had no room for what it was told: it is told again, as it is then.
    pub fn not_told(&mut self, session: u64, told: &[UserPresence], now: Instant) {
        let Some(watcher) = self.sessions.get(&session) else { return };
        let is_told = |target: &&Target| told.iter().any(|one| one.user == target.user.user());
        let again: Vec<Target> = watcher.targets.iter().filter(is_told).cloned().collect();
        self.note_untold(session, again, now);
    }

    /// When there is something to do, at the earliest.
    pub fn next_due(&self) -> Option<Instant> {
        let asks = self.shards.values().map(|shard| shard.ask_at.map_or(shard.renew_at, |at| at.min(shard.renew_at)));
        asks.chain(self.timers.first().map(|(at, _)| *at)).min()
    }

    /// What is to be done now. Sessions of which `is_live` says that they are gone are forgotten.
    pub fn due(&mut self, now: Instant, is_live: impl Fn(u64) -> bool) -> Work {
        let mut work = Work::default();
        while let Some((at, session)) = self.timers.first().copied()
            && at <= now
        {
            self.session_due(session, now, &is_live, &mut work);
        }
        for number in self.shards.keys().copied().collect::<Vec<_>>() {
            self.shard_due(number, now, &is_live, &mut work);
        }
        work.look_up = std::mem::take(&mut self.to_look_up).into_iter().collect();
        work
    }

    /// Users watched, and sessions that watch.
    pub fn len(&self) -> (usize, usize) {
        (self.users, self.sessions.len())
    }

    fn watched(&self, target: &Target) -> Option<&Watched> {
        self.shards.get(&target.shard)?.users.get(&target.user)
    }

    fn watched_mut(&mut self, target: &Target) -> Option<&mut Watched> {
        self.shards.get_mut(&target.shard)?.users.get_mut(&target.user)
    }

    /// Adds a session to a user's watchers; answers whether something is known to tell.
    fn join(&mut self, session: u64, user: &str, target: &Target, now: Instant) -> bool {
        let renew_at = now + RENEWAL;
        let new_shard = || Shard { users: HashMap::new(), ask_at: None, renew_at };
        let shard = self.shards.entry(target.shard).or_insert_with(new_shard);
        let watched = shard.users.entry(target.user.clone()).or_insert_with(|| {
            self.users += 1;
            self.to_look_up.insert(target.clone());
            Watched::default()
        });
        watched.watchers.insert(session);
        watched.is_asked &= watched.knows(user);
        let (is_asked, is_known) = (watched.is_asked, watched.seen_by(user).is_some());
        if !is_asked {
            shard.ask_by(now);
        }
        is_known
    }

    /// Changes what is known of somebody, and tells the sessions that watch and now see something else. `change` is
    /// given the users who watch too.
    fn update(
        &mut self,
        target: &Target,
        now: Instant,
        change: impl FnOnce(&mut Watched, &mut dyn Iterator<Item = &str>),
    ) {
        let shard = self.shards.get_mut(&target.shard);
        let Some(watched) = shard.and_then(|shard| shard.users.get_mut(&target.user)) else { return };
        let watching: Vec<(u64, &str)> = watching(&watched.watchers, &self.sessions).collect();
        let before: Vec<_> = watching.iter().map(|(_, user)| watched.seen_by(user)).collect();
        change(watched, &mut watching.iter().map(|(_, user)| *user));
        let sees = watching.iter().zip(before);
        let news: Vec<u64> = sees
            .filter(|((_, user), before)| watched.seen_by(user) != *before)
            .map(|((session, _), _)| *session)
            .collect();
        for session in news {
            self.note_untold(session, [target.clone()], now);
        }
    }

    fn take(&mut self, session: u64) -> Option<Watcher> {
        let watcher = self.sessions.remove(&session)?;
        self.timers.remove(&(watcher.timer, session));
        Some(watcher)
    }

    /// Puts a session in its place, with its timer set.
    fn put(&mut self, session: u64, mut watcher: Watcher, now: Instant) {
        let tell_at = if watcher.untold.is_empty() { watcher.until } else { watcher.quiet_until.max(now + GATHER) };
        watcher.timer = tell_at.min(watcher.until);
        self.timers.insert((watcher.timer, session));
        self.sessions.insert(session, watcher);
    }

    fn note_untold(&mut self, session: u64, targets: impl IntoIterator<Item = Target>, now: Instant) {
        let Some(watcher) = self.sessions.get_mut(&session) else { return };
        let was_silent = watcher.untold.is_empty();
        watcher.untold.extend(targets);
        if was_silent && let Some(watcher) = self.take(session) {
            self.put(session, watcher, now);
        }
    }

    fn session_due(&mut self, session: u64, now: Instant, is_live: impl Fn(u64) -> bool, work: &mut Work) {
        let Some(mut watcher) = self.take(session) else { return };
        if watcher.until <= now || !is_live(session) {
            for target in &watcher.targets {
                if let Some(watched) = self.watched_mut(target) {
                    watched.watchers.remove(&session);
                }
            }
            return;
        }
        let untold = std::mem::take(&mut watcher.untold);
        let mut users: Vec<_> = untold.iter().filter_map(|target| self.presence_of(target, &watcher.user)).collect();
        users.sort_by(|one, other| one.user.cmp(&other.user));
        if !users.is_empty() {
            watcher.quiet_until = now + self.limits.interval;
            work.tells.push((session, users));
        }
        self.put(session, watcher, now);
    }

    /// What a user is told of another.
    fn presence_of(&self, target: &Target, to: &str) -> Option<UserPresence> {
        let (state, last_seen_ms) = self.watched(target)?.seen_by(to)?;
        Some(UserPresence { user: target.user.user().to_owned(), state: state.into(), last_seen_ms })
    }

    fn shard_due(&mut self, number: u32, now: Instant, is_live: impl Fn(u64) -> bool, work: &mut Work) {
        let Some(shard) = self.shards.get_mut(&number) else { return };
        let is_renewal = shard.renew_at <= now;
        if !is_renewal && shard.ask_at.is_none_or(|at| at > now) {
            return;
        }
        if is_renewal {
            let before = shard.users.len();
            shard.users.retain(|_, watched| {
                watched.watchers.retain(|session| is_live(*session));
                let watching: HashSet<&str> =
                    watching(&watched.watchers, &self.sessions).map(|(_, user)| user).collect();
                watched.acquainted.retain(|user, _| watching.contains(user.as_str()));
                !watched.watchers.is_empty()
            });
            self.users -= before - shard.users.len();
            shard.renew_at = now + RENEWAL;
        }
        shard.ask_at = None;
        let wanted = shard.users.iter_mut().filter(|(_, watched)| is_renewal || !watched.is_asked);
        let asked: Vec<_> = wanted
            .map(|(user, watched)| {
                watched.is_asked = true;
                let knows_them = watching(&watched.watchers, &self.sessions).all(|(_, user)| watched.knows(user));
                let among = watched.view.map_or(Audience::Unspecified, View::among);
                Asked { user: user.clone(), known: watched.state, among, knows_them }
            })
            .collect();
        if shard.users.is_empty() {
            self.shards.remove(&number);
        }
        if !asked.is_empty() {
            work.asks.push((number, asked));
        }
    }
}

#[cfg(test)]
mod tests;
