//! Who a token speaks for, which users exist, and what they may do: answers of the control plane, cached until the
//! watch says otherwise.
//!
//! Works on what it has while the control plane is away; only what is not cached is then unavailable. Questions that
//! several connections ask at once are asked once. A refusal is remembered for a second, so that a client that comes
//! back at once with a bad token does not cost a call each time.

mod keys;
mod policies;
mod recent;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tidings_node::Clock;
use tidings_proto::ErrorCode;
use tidings_proto::cluster::v1::{Change, ResolveTokenRequest, ResolveUserRequest, UserChanged, change};
use tidings_proto::effective_policy::DEFAULT_POLICY;
use tokio::time::Instant;

use crate::cache::Cache;
use crate::control_plane::ControlPlane;
use crate::metrics::Metrics;
use crate::session::Session;
pub(crate) use keys::{TokenEntry, TokenHash, UserKey, token_hash};
use policies::Policies;
pub(crate) use policies::Policy;
use recent::{Asked, RecentChanges, Touched, TouchedSet};

const REFUSAL_REMEMBERED: Duration = Duration::from_secs(1);
const REFUSALS_REMEMBERED: usize = 10_000;
/// How often a question is asked again because its answer was overtaken by a change.
const ATTEMPTS: usize = 3;
/// No token that was ever given out is longer.
const MAX_TOKEN_BYTES: usize = 512;

/// Why a token is not taken, or a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub code: ErrorCode,
    pub message: String,
}

impl Refusal {
    fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    fn unavailable() -> Self {
        Self::new(ErrorCode::Unavailable, "the control plane cannot be reached")
    }
}

/// `None`: the answer was overtaken by a change; ask again.
type Answer<T> = Result<Option<T>, Refusal>;
/// What a user goes by; nothing where there is no such user.
pub(crate) type Found = Option<Arc<Policy>>;
type Asking<T> = Shared<BoxFuture<'static, Answer<T>>>;

struct State {
    tokens: Cache<TokenHash, Arc<TokenEntry>>,
    refused: Cache<TokenHash, (Refusal, Instant)>,
    /// Users that exist, and what they go by.
    users: Cache<UserKey, Arc<Policy>>,
    missing: Cache<UserKey, Instant>,
    recent: RecentChanges,
    asking_tokens: HashMap<TokenHash, Asking<Arc<TokenEntry>>>,
    asking_users: HashMap<UserKey, Asking<Found>>,
}

/// The directory. All methods may be called from anywhere.
pub(crate) struct Directory {
    control_plane: Arc<ControlPlane>,
    clock: Clock,
    metrics: Arc<Metrics>,
    policies: Policies,
    state: Mutex<State>,
}

impl Directory {
    /// Remembers up to `cache_entries` tokens and as many users.
    pub fn new(
        control_plane: Arc<ControlPlane>,
        clock: Clock,
        metrics: Arc<Metrics>,
        cache_entries: usize,
    ) -> Arc<Self> {
        let state = State {
            tokens: Cache::new(cache_entries),
            refused: Cache::new(REFUSALS_REMEMBERED),
            users: Cache::new(cache_entries),
            missing: Cache::new(REFUSALS_REMEMBERED),
            recent: RecentChanges::default(),
            asking_tokens: HashMap::new(),
            asking_users: HashMap::new(),
        };
        let policies = Policies::new(cache_entries);
        Arc::new(Self { control_plane, clock, metrics, policies, state: Mutex::new(state) })
    }

    /// Who the token speaks for.
    pub async fn token(self: &Arc<Self>, secret: &str, app_id: &str) -> Result<Arc<TokenEntry>, Refusal> {
        if secret.len() > MAX_TOKEN_BYTES || app_id.len() > MAX_TOKEN_BYTES {
            return Err(Refusal::new(ErrorCode::TokenUnknown, "no such token"));
        }
        let hash = token_hash(secret, app_id);
        for _ in 0..ATTEMPTS {
            let asking = {
                let mut state = self.state.lock();
                if let Some(entry) = state.tokens.get(&hash) {
                    self.metrics.token_cache_hits.increment(1);
                    return self.unless_expired(entry);
                }
                match state.refused.get(&hash) {
                    Some((refusal, until)) if until > Instant::now() => return Err(refusal),
                    _ => {}
                }
                self.metrics.token_cache_misses.increment(1);
                let asked = state.recent.asked();
                state.asking_tokens.entry(hash).or_insert_with(|| self.ask_token(hash, secret, app_id, asked)).clone()
            };
            if let Some(entry) = asking.await? {
                return self.unless_expired(entry);
            }
        }
        Err(Refusal::unavailable())
    }

    fn unless_expired(&self, entry: Arc<TokenEntry>) -> Result<Arc<TokenEntry>, Refusal> {
        let expired = entry.expires_at_ms != 0 && entry.expires_at_ms <= self.clock.now_ms();
        if expired { Err(Refusal::new(ErrorCode::TokenExpired, "the token has expired")) } else { Ok(entry) }
    }

    fn ask_token(
        self: &Arc<Self>,
        hash: TokenHash,
        secret: &str,
        app_id: &str,
        asked: Asked,
    ) -> Asking<Arc<TokenEntry>> {
        let directory = self.clone();
        let request = ResolveTokenRequest { secret: secret.to_owned(), app_id: app_id.to_owned() };
        let asking = async move {
            let answer = directory.resolve_token(request, hash, asked).await;
            directory.state.lock().asking_tokens.remove(&hash);
            answer
        };
        driven(asking.boxed())
    }

    async fn resolve_token(
        &self,
        request: ResolveTokenRequest,
        hash: TokenHash,
        asked: Asked,
    ) -> Answer<Arc<TokenEntry>> {
        let (secret, app_id) = (request.secret.as_str().into(), request.app_id.as_str().into());
        let answer = self.control_plane.resolve_token(request).await.map_err(|status| {
            tracing::warn!(%status, "a token could not be resolved");
            Refusal::unavailable()
        })?;
        let mut state = self.state.lock();
        if answer.refusal != 0 {
            let code = ErrorCode::try_from(answer.refusal).unwrap_or(ErrorCode::TokenUnknown);
            let refusal = Refusal::new(code, "the token is not accepted");
            state.refused.insert(hash, (refusal.clone(), Instant::now() + REFUSAL_REMEMBERED));
            return Err(refusal);
        }
        let user = UserKey::new(&answer.app, &answer.user);
        if state.recent.may_be_stale(asked, answer.revision, &user, Some(&answer.token_id)) {
            return Ok(None);
        }
        let policy = self.policies.get(user.app(), &answer.policy);
        if policy.is_known() {
            state.users.insert(user.clone(), policy);
        }
        let (token_id, expires_at_ms, policy) = (answer.token_id.into(), answer.expires_at_ms, answer.policy.into());
        let entry = Arc::new(TokenEntry { secret, app_id, user, token_id, expires_at_ms, policy });
        state.tokens.insert(hash, entry.clone());
        Ok(Some(entry))
    }

    /// Whether the token is still as it was resolved. Asked after a session was made known to the watch, so that a
    /// revocation is either seen here or finds the session.
    pub fn still_holds(&self, entry: &TokenEntry) -> bool {
        self.state.lock().tokens.get(&entry.hash()).is_some()
    }

    /// What the user goes by, if that is known; `key` as of [`UserKey::text`].
    pub fn user_cached(&self, key: &str) -> Option<Found> {
        let mut state = self.state.lock();
        if let Some(policy) = state.users.get(key) {
            self.metrics.user_cache_hits.increment(1);
            return Some(Some(policy));
        }
        state.missing.get(key).is_some_and(|until| until > Instant::now()).then_some(None)
    }

    /// What the user goes by.
    pub async fn user(self: &Arc<Self>, app: &str, user: &str) -> Result<Found, Refusal> {
        let key = UserKey::new(app, user);
        for _ in 0..ATTEMPTS {
            let asking = {
                let mut state = self.state.lock();
                if let Some(policy) = state.users.get(key.as_str()) {
                    return Ok(Some(policy));
                }
                self.metrics.user_cache_misses.increment(1);
                let asked = state.recent.asked();
                state.asking_users.entry(key.clone()).or_insert_with(|| self.ask_user(key.clone(), asked)).clone()
            };
            if let Some(found) = asking.await? {
                return Ok(found);
            }
        }
        Err(Refusal::unavailable())
    }

    fn ask_user(self: &Arc<Self>, key: UserKey, asked: Asked) -> Asking<Found> {
        let directory = self.clone();
        let asking = async move {
            let answer = directory.resolve_user(&key, asked).await;
            directory.state.lock().asking_users.remove(&key);
            answer
        };
        driven(asking.boxed())
    }

    async fn resolve_user(&self, key: &UserKey, asked: Asked) -> Answer<Found> {
        let request = ResolveUserRequest { app: key.app().to_owned(), user: key.user().to_owned() };
        let answer = self.control_plane.resolve_user(request).await.map_err(|status| {
            tracing::warn!(%status, "a user could not be resolved");
            Refusal::unavailable()
        })?;
        let policy = match answer.exists {
            true => Some(self.policies.get(key.app(), &answer.policy)),
            false => None,
        };
        if let Some(policy) = policy.as_ref().filter(|policy| !policy.is_known()) {
            policy.load(&self.control_plane).await?;
        }
        let mut state = self.state.lock();
        if state.recent.may_be_stale(asked, answer.revision, key, None) {
            return Ok(None);
        }
        match &policy {
            Some(policy) => state.users.insert(key.clone(), policy.clone()),
            None => state.missing.insert(key.clone(), Instant::now() + REFUSAL_REMEMBERED),
        }
        Ok(Some(policy))
    }

    /// What the token's user went by when it was resolved; perhaps not known.
    pub fn last_policy(&self, token: &TokenEntry) -> Arc<Policy> {
        self.policies.get(token.user.app(), &token.policy)
    }

    /// Gives a session that the registry knows the policy that its user goes by now. A change in between is either seen
    /// here, or finds the session.
    pub async fn assign_policy(self: &Arc<Self>, session: &Session) -> Result<(), Refusal> {
        let user = &session.token.user;
        for _ in 0..ATTEMPTS {
            let policy = self.user(user.app(), user.user()).await?;
            let policy = policy.ok_or_else(|| Refusal::new(ErrorCode::TokenRevoked, "the user was deleted"))?;
            session.set_policy(policy.clone());
            let cached = self.state.lock().users.get(user.as_str());
            if cached.is_some_and(|cached| Arc::ptr_eq(&cached, &policy)) {
                break;
            }
        }
        Ok(())
    }

    /// Asks for a policy that has changed.
    pub async fn load_policy(&self, policy: &Policy) -> Result<(), Refusal> {
        policy.load(&self.control_plane).await
    }

    /// Any policy may have changed, unseen: all of them have to be loaded again.
    pub fn policies_may_have_changed(&self) -> Vec<Arc<Policy>> {
        self.policies.all_changed()
    }

    /// Takes changes up; answers the policies that have to be loaded again. Sessions are the caller's business.
    pub fn apply(&self, changes: &[Change]) -> Vec<Arc<Policy>> {
        let mut state = self.state.lock();
        let mut touched = TouchedSet::default();
        let mut policies = Vec::new();
        for change in changes {
            match &change.change {
                Some(change::Change::UserChanged(changed)) => state.user_changed(change.revision, changed),
                Some(change::Change::PolicyChanged(changed)) => {
                    policies.extend(self.policies.changed(&changed.app, &changed.id, change.revision));
                }
                _ => {}
            }
            let Some(what) = touched_by(change) else { continue };
            if matches!(&change.change, Some(change::Change::UserChanged(changed)) if !changed.exists)
                && let Touched::User(user) = &what
            {
                state.users.remove(user);
            }
            state.recent.note(change.revision, what.clone());
            touched.add(what);
        }
        if touched.is_empty() {
            return policies;
        }
        // One pass for all changes of the answer: it looks at every entry.
        state.tokens.retain(|_, entry| !touched.holds_token(&entry.user, &entry.token_id));
        if !touched.apps.is_empty() {
            state.users.retain(|user, _| !touched.apps.contains(user.app()));
        }
        policies
    }

    /// Forgets everything: changes may have been missed.
    pub fn reset(&self) {
        let mut state = self.state.lock();
        state.tokens.clear();
        state.refused.clear();
        state.users.clear();
        state.missing.clear();
        state.recent.reset();
    }
}

impl State {
    /// A user came, changed, or went.
    fn user_changed(&mut self, revision: u64, changed: &UserChanged) {
        let key = UserKey::new(&changed.app, &changed.user);
        self.missing.remove(key.as_str());
        let policy = if changed.policy.is_empty() { DEFAULT_POLICY } else { changed.policy.as_str() };
        if self.users.get(key.as_str()).is_some_and(|known| known.id() != policy) {
            self.users.remove(key.as_str());
        }
        self.recent.note(revision, Touched::User(key));
    }
}

/// What a change takes away; a user who comes, or comes back, takes nothing away.
fn touched_by(change: &Change) -> Option<Touched> {
    match change.change.as_ref()? {
        change::Change::TokenRevoked(revoked) => {
            let user = UserKey::new(&revoked.app, &revoked.user);
            Some(Touched::Token { user, id: revoked.token_id.as_str().into() })
        }
        change::Change::UserChanged(changed) if changed.exists && changed.active => None,
        change::Change::UserChanged(changed) => Some(Touched::User(UserKey::new(&changed.app, &changed.user))),
        change::Change::AppDeleted(deleted) => Some(Touched::App(deleted.app.as_str().into())),
        change::Change::AppDeactivated(changed) => Some(Touched::App(changed.app.as_str().into())),
        change::Change::ShardMapChanged(_) | change::Change::PolicyChanged(_) | change::Change::GroupChanged(_) => None,
    }
}

/// Goes on even when everybody who waits for it goes away, so that its place in the map is cleared.
fn driven<T: Clone + Send + Sync + 'static>(asking: BoxFuture<'static, Answer<T>>) -> Asking<T> {
    let asking = asking.shared();
    tokio::spawn(asking.clone());
    asking
}
