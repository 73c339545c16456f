//! Presence: what this gateway's clients want to know of other users, asked of the users' shards.
//!
//! - [`watches`]: who watches whom, and what is known; pure
//!
//! Links, connections and the clock call in and wait for nothing; one task asks shards and tells sessions.

mod watches;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use parking_lot::Mutex;
use tidings_proto::ErrorCode;
use tidings_proto::broker::v1::{self as broker, PresenceChanged, gateway_frame};
use tidings_proto::client::v1::{UserPresence, user_presence};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::backoff;
use crate::config::GatewayConfig;
use crate::core::{Core, inbox_limits};
use crate::directory::UserKey;
use crate::session::{Event, Pushed};
use watches::{Asked, SHARD_LEASE, Said, UserState, View, Watches};
pub(crate) use watches::{Target, TooManyWatched, WatchLimits};

/// Users that one frame to a broker asks for.
const USERS_PER_FRAME: usize = 256;
/// A shard that could not be asked is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// A shard that takes no more users is asked again.
const OVERLOADED_AGAIN: Duration = Duration::from_secs(5);

/// Users whose policies are looked up at the same time.
const CONCURRENT_LOOKUPS: usize = 32;
/// One that could not be looked up is tried again.
const LOOK_UP_AGAIN: Duration = Duration::from_secs(2);

/// The watches of a gateway, shared by everything in it.
#[derive(Debug)]
pub(crate) struct Presence {
    watches: Mutex<Watches>,
    /// Shards for which the wrong node was asked: that node, and the leader where it is known (else 0).
    misled: Mutex<BTreeMap<u32, (u64, u64)>>,
    work: Notify,
}

impl Presence {
    pub fn new(config: &GatewayConfig) -> Arc<Self> {
        let watches = Mutex::new(Watches::new(config.watch_limits()));
        Arc::new(Self { watches, misled: Mutex::default(), work: Notify::new() })
    }

    /// A session of a user watches these from now on, and no others; see [`Watches::watch`].
    pub fn watch(&self, session: u64, user: &str, targets: HashSet<Target>) -> Result<(), TooManyWatched> {
        self.watches.lock().watch(session, user, targets, Instant::now())?;
        self.work.notify_one();
        Ok(())
    }

    /// A broker says something of a shard's users, or that it says nothing.
    pub fn told(&self, node: u64, changed: &PresenceChanged) {
        let now = Instant::now();
        let mut watches = self.watches.lock();
        for user in &changed.users {
            let state = match user.state() {
                user_presence::State::Online => UserState::Online,
                user_presence::State::Offline => UserState::Offline { last_seen_ms: user.last_seen_ms },
                user_presence::State::Unknown => continue,
            };
            let target = Target { shard: changed.shard, user: UserKey::new(&changed.app, &user.user) };
            let hiding = changed.hiding.iter().find(|hiding| hiding.user == user.user);
            let hides_from = hiding.map(|hiding| hiding.from.iter().cloned().collect()).unwrap_or_default();
            let acquainted = changed.acquainted.iter().find(|acquainted| acquainted.user == user.user);
            let acquainted =
                acquainted.map(|acquainted| (acquainted.among(), acquainted.with.iter().cloned().collect()));
            watches.changed(&target, Said { state, hides_from, acquainted }, now);
        }
        match ErrorCode::try_from(changed.code).unwrap_or(ErrorCode::Internal) {
            ErrorCode::Unspecified => {}
            ErrorCode::NotLeader => {
                watches.ask_again(changed.shard, now + backoff::spread(ASK_AGAIN));
                self.misled.lock().insert(changed.shard, (node, changed.leader_node));
            }
            _ => watches.ask_again(changed.shard, now + OVERLOADED_AGAIN),
        }
        drop(watches);
        self.work.notify_one();
    }

    /// These shards have a leader that may know nothing of what was asked before.
    pub fn led(&self, shards: impl IntoIterator<Item = u32>) {
        let (mut watches, now) = (self.watches.lock(), Instant::now());
        shards.into_iter().for_each(|shard| watches.ask_again(shard, now));
        drop(watches);
        self.work.notify_one();
    }

    /// Policies of these users may have changed.
    pub fn policies_changed(&self, is_meant: impl Fn(&UserKey) -> bool) {
        self.watches.lock().policies_changed(is_meant);
        self.work.notify_one();
    }

    /// A link is gone, and what was asked on it.
    pub fn link_lost(&self) {
        self.watches.lock().ask_all_again(Instant::now() + backoff::spread(ASK_AGAIN));
        self.work.notify_one();
    }
}

/// Asks shards and tells sessions, for as long as the gateway runs.
pub(crate) async fn run(core: Arc<Core>) {
    let presence = core.presence.clone();
    loop {
        for (shard, (node, leader)) in std::mem::take(&mut *presence.misled.lock()) {
            core.router.not_leader(shard, node, leader);
        }
        let (work, next) = {
            let mut watches = presence.watches.lock();
            let work = watches.due(Instant::now(), |session| core.registry.find(session).is_some());
            let (users, sessions) = watches.len();
            core.metrics.watched_users.set(users as f64);
            core.metrics.watching_sessions.set(sessions as f64);
            (work, watches.next_due())
        };
        for (shard, asked) in work.asks {
            if !ask(&core, shard, &asked) {
                presence.watches.lock().ask_again(shard, Instant::now() + backoff::spread(ASK_AGAIN));
            }
        }
        for (session, users) in work.tells {
            tell(&core, session, users);
        }
        if !work.look_up.is_empty() {
            tokio::spawn(look_up(core.clone(), work.look_up));
        }
        tokio::select! {
            () = presence.work.notified() => {}
            () = sleep_until(next) => {}
        }
    }
}

/// Finds out what the policies of users let others see. One that cannot be found out is tried again later.
async fn look_up(core: Arc<Core>, targets: Vec<Target>) {
    let lookups = targets.into_iter().map(|target| {
        let core = core.clone();
        async move {
            let found = core.directory.user(target.user.app(), target.user.user()).await;
            (target, found)
        }
    });
    let mut lookups = futures_util::stream::iter(lookups).buffer_unordered(CONCURRENT_LOOKUPS);
    let mut failed = Vec::new();
    while let Some((target, found)) = lookups.next().await {
        match found {
            Ok(found) => {
                let policy = found.map(|policy| policy.effective()).unwrap_or_default();
                let view = View {
                    audience: policy.presence_audience,
                    round_ms: i64::from(policy.last_seen_round_seconds) * 1_000,
                };
                core.presence.watches.lock().viewed(&target, view, Instant::now());
            }
            Err(_) => failed.push(target),
        }
    }
    core.presence.work.notify_one();
    if !failed.is_empty() {
        tokio::time::sleep(LOOK_UP_AGAIN + backoff::spread(LOOK_UP_AGAIN)).await;
        let mut watches = core.presence.watches.lock();
        failed.into_iter().for_each(|target| watches.not_viewed(target));
        drop(watches);
        core.presence.work.notify_one();
    }
}

/// Puts the question in the queue of the link to the shard's leader; `false` when there is no link, or no room.
fn ask(core: &Core, shard: u32, asked: &[Asked]) -> bool {
    let Some(link) = core.router.route(shard) else { return false };
    let mut by_app: Vec<&Asked> = asked.iter().collect();
    by_app.sort_by(|one, other| one.user.app().cmp(other.user.app()));
    let of_one_app = by_app.chunk_by(|one, other| one.user.app() == other.user.app());
    for users in of_one_app.flat_map(|of_app| of_app.chunks(USERS_PER_FRAME)) {
        let watch = broker::WatchUsers {
            shard,
            app: users[0].user.app().to_owned(),
            users: users.iter().map(|asked| watched_user(asked, core.clock.now_ms())).collect(),
            lease_ms: u32::try_from(SHARD_LEASE.as_millis()).unwrap_or(u32::MAX),
        };
        let presence = broker::Presence { presence: Some(broker::presence::Presence::Watch(watch)) };
        if link.try_send(gateway_frame::Frame::Presence(presence)).is_err() {
            return false;
        }
        core.metrics.presence_asks.increment(1);
    }
    true
}

/// What is known here helps a new leader, which knows nothing: one who was online until now was seen now.
fn watched_user(asked: &Asked, now_ms: i64) -> broker::WatchedUser {
    let last_seen_ms = match asked.known {
        Some(UserState::Offline { last_seen_ms }) => last_seen_ms,
        Some(UserState::Online) => now_ms,
        None => 0,
    };
    broker::WatchedUser {
        user: asked.user.user().to_owned(),
        is_known: asked.known.is_some(),
        last_seen_ms,
        among: asked.among.into(),
        knows_them: asked.knows_them,
    }
}

fn tell(core: &Core, session: u64, users: Vec<UserPresence>) {
    // One that is gone is forgotten soon.
    let Some(found) = core.registry.find(session) else { return };
    let users = Arc::new(users);
    if found.push(Event::Presence(users.clone()), inbox_limits(&core.config)) == Pushed::Queued {
        core.metrics.presence_frames.increment(1);
    } else {
        core.presence.watches.lock().not_told(session, &users, Instant::now());
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
