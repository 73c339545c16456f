//! All sessions of the gateway, by id for the links and by user for the limits and the watch.
//!
//! A session enters with [`Registry::admit`] and leaves when the [`SessionGuard`] that this returns is dropped, on
//! whatever way its connection ends.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use crate::directory::{Policy, TokenEntry, UserKey};
use crate::metrics::Metrics;
use crate::session::Session;

/// Parts of each map, so that links and handshakes seldom meet at a lock. Also the steps of one heartbeat round.
pub(crate) const PARTS: usize = 64;

/// The sessions.
#[derive(Debug)]
pub(crate) struct Registry {
    by_id: Vec<RwLock<HashMap<u64, Arc<Session>>>>,
    by_user: Vec<Mutex<HashMap<UserKey, Vec<Arc<Session>>>>>,
    next_id: AtomicU64,
    /// Sessions whose token expires: when (Unix ms), and who.
    expiries: Mutex<BTreeSet<(i64, u64)>>,
    count: AtomicUsize,
    emptied: Notify,
    max_per_user: usize,
    metrics: Arc<Metrics>,
}

/// The user has as many connections as allowed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooManyConnections;

impl Registry {
    /// Admits up to `max_per_user` sessions of each user.
    pub fn new(max_per_user: usize, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            by_id: (0..PARTS).map(|_| RwLock::default()).collect(),
            by_user: (0..PARTS).map(|_| Mutex::default()).collect(),
            next_id: AtomicU64::new(1),
            expiries: Mutex::default(),
            count: AtomicUsize::new(0),
            emptied: Notify::new(),
            max_per_user,
            metrics,
        })
    }

    /// Takes a session in, unless its user has too many.
    pub fn admit(
        self: &Arc<Self>,
        token: Arc<TokenEntry>,
        policy: Arc<Policy>,
        device: &str,
    ) -> Result<SessionGuard, TooManyConnections> {
        let user = token.user.clone();
        let mut part = self.user_part(&user).lock();
        let sessions = part.entry(user).or_insert_with(|| Vec::with_capacity(1));
        if sessions.len() >= self.max_per_user {
            return Err(TooManyConnections);
        }
        let session = Arc::new(Session::new(self.fresh_id(), token, policy, device));
        sessions.push(session.clone());
        drop(part);
        self.by_id[part_of(session.id)].write().insert(session.id, session.clone());
        if session.token.expires_at_ms != 0 {
            self.expiries.lock().insert((session.token.expires_at_ms, session.id));
        }
        self.count.fetch_add(1, Ordering::AcqRel);
        self.metrics.sessions.increment(1);
        Ok(SessionGuard { session, registry: self.clone() })
    }

    /// A number that no session or attachment of this gateway has or had.
    fn fresh_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// The session behind the id of a session or of an attachment.
    pub fn find(&self, id: u64) -> Option<Arc<Session>> {
        self.by_id[part_of(id)].read().get(&id).cloned()
    }

    /// All sessions of a user.
    pub fn of_user(&self, user: &UserKey) -> Vec<Arc<Session>> {
        self.user_part(user).lock().get(user).cloned().unwrap_or_default()
    }

    /// Calls `visit` with each session of one part (0 to [`PARTS`] − 1).
    pub fn visit_part(&self, part: usize, mut visit: impl FnMut(&Arc<Session>)) {
        for (id, session) in self.by_id[part].read().iter() {
            // An attachment's id leads to the same session as its own.
            if *id == session.id {
                visit(session);
            }
        }
    }

    /// Calls `visit` with each session.
    pub fn visit(&self, mut visit: impl FnMut(&Arc<Session>)) {
        for part in 0..PARTS {
            self.visit_part(part, &mut visit);
        }
    }

    /// The sessions whose token's time is over.
    pub fn expired(&self, now_ms: i64) -> Vec<Arc<Session>> {
        let mut expiries = self.expiries.lock();
        let later = expiries.split_off(&(now_ms.saturating_add(1), 0));
        let over = std::mem::replace(&mut *expiries, later);
        drop(expiries);
        over.iter().filter_map(|(_, id)| self.find(*id)).collect()
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Waits until there is no session.
    pub async fn empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.len() == 0 {
                return;
            }
            emptied.await;
        }
    }

    fn user_part(&self, user: &UserKey) -> &Mutex<HashMap<UserKey, Vec<Arc<Session>>>> {
        &self.by_user[user.part(PARTS)]
    }
}

fn part_of(id: u64) -> usize {
    (id % PARTS as u64) as usize
}

/// A session's place in the registry; dropping it takes the session out.
#[derive(Debug)]
pub(crate) struct SessionGuard {
    session: Arc<Session>,
    registry: Arc<Registry>,
}

impl SessionGuard {
    /// The session itself.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// A new attachment id, under which the session is found from now on; the former one is forgotten.
    pub fn fresh_attachment(&self) -> u64 {
        let (old, new) = (self.session.attachment(), self.registry.fresh_id());
        self.forget(old);
        self.session.set_attachment(new);
        self.registry.by_id[part_of(new)].write().insert(new, self.session.clone());
        new
    }

    fn forget(&self, id: u64) {
        if id != 0 {
            self.registry.by_id[part_of(id)].write().remove(&id);
        }
    }
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        self.forget(self.session.attachment());
        self.forget(self.session.id);
        if self.session.token.expires_at_ms != 0 {
            self.registry.expiries.lock().remove(&(self.session.token.expires_at_ms, self.session.id));
        }
        let user = &self.session.token.user;
        let mut part = self.registry.user_part(user).lock();
        if let Some(sessions) = part.get_mut(user) {
            sessions.retain(|session| session.id != self.session.id);
            if sessions.is_empty() {
                part.remove(user);
            }
        }
        drop(part);
        self.registry.metrics.sessions.decrement(1);
        if self.registry.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.registry.emptied.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Arc<TokenEntry> {
        Arc::new(TokenEntry::for_tests("app", "user"))
    }

    #[test]
    fn a_session_is_found_until_its_guard_is_dropped_and_the_limit_counts_it() {
        let registry = Registry::new(2, Arc::new(Metrics::new()));
        let first = registry.admit(token(), Policy::for_tests(), "a").unwrap();
        let second = registry.admit(token(), Policy::for_tests(), "b").unwrap();
        assert_eq!(registry.admit(token(), Policy::for_tests(), "c").err(), Some(TooManyConnections));
        let old = first.fresh_attachment();
        let new = first.fresh_attachment();
        assert!(registry.find(old).is_none());
        assert_eq!(registry.find(new).unwrap().id, first.session().id);
        let mut seen = 0;
        registry.visit(|_| seen += 1);
        assert_eq!((seen, registry.len()), (2, 2));
        drop(first);
        assert!(registry.find(new).is_none());
        assert!(registry.admit(token(), Policy::for_tests(), "c").is_ok());
        drop(second);
        assert_eq!(registry.len(), 0);
        assert!(registry.of_user(&token().user).is_empty());
        assert!(registry.by_id.iter().all(|part| part.read().is_empty()));
    }
}
