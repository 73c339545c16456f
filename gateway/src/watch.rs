//! Follows the control plane's changes: invalidates the directory, closes the sessions that a change ends, gives the
//! others what they go by now, and hands the shard map to the router. While the control plane is away, all goes on with
//! the last state.

use std::sync::Arc;
use std::time::Duration;

use tidings_node::Shutdown;
use tidings_proto::ErrorCode;
use tidings_proto::cluster::v1::{Change, WatchRequest, WatchResponse, change};
use tidings_proto::effective_policy::DEFAULT_POLICY;
use tidings_proto::error::Next;
use tokio::sync::Semaphore;

use crate::backoff;
use crate::control_plane::ControlPlane;
use crate::core::Core;
use crate::directory::{Policy, UserKey};
use crate::session::{Close, Session};

const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(2);
/// Tokens asked for at once after a reset.
const CONCURRENT_CHECKS: usize = 32;

/// Follows until shutdown is requested.
pub(crate) async fn follow(core: Arc<Core>, control_plane: Arc<ControlPlane>, shutdown: Shutdown) {
    let watcher = Watcher { core, control_plane, shutdown: shutdown.clone(), revision: 0, attempts: 0 };
    tokio::select! {
        () = shutdown.requested() => {}
        () = watcher.run() => {}
    }
}

struct Watcher {
    core: Arc<Core>,
    control_plane: Arc<ControlPlane>,
    shutdown: Shutdown,
    /// Everything up to here was taken up.
    revision: u64,
    attempts: u32,
}

impl Watcher {
    async fn run(mut self) {
        loop {
            if let Err(status) = self.watch().await {
                tracing::warn!(code = ?status.code(), message = status.message(), revision = self.revision, "the watch of the control plane ended");
            }
            tokio::time::sleep(backoff::jittered(FIRST_RETRY, LAST_RETRY, self.attempts)).await;
            self.attempts += 1;
        }
    }

    async fn watch(&mut self) -> Result<(), tonic::Status> {
        let mut answers = self.control_plane.watch(WatchRequest { after_revision: self.revision }).await?;
        self.core.metrics.watch_connects.increment(1);
        // Another node may know policies where the last one, of an earlier release, did not.
        self.load(self.core.directory.policies_may_have_changed());
        while let Some(answer) = answers.message().await? {
            self.attempts = 0;
            self.take(&answer);
        }
        Err(tonic::Status::unavailable("the control plane ended it"))
    }

    fn take(&mut self, answer: &WatchResponse) {
        if let Some(map) = &answer.shard_map {
            self.core.router.set_map(map);
        }
        if answer.reset {
            self.core.directory.reset();
            self.core.presence.policies_changed(|_| true);
            self.check_live_sessions();
        }
        self.load(self.core.directory.apply(&answer.changes));
        answer.changes.iter().for_each(|change| self.close_sessions(change));
        answer.changes.iter().for_each(|change| self.assign_policy(change));
        self.revision = answer.revision;
    }

    /// Asks for policies that have changed until it is answered; they hold for all sessions at once.
    fn load(&self, policies: Vec<Arc<Policy>>) {
        for policy in policies {
            let core = self.core.clone();
            self.until_done(move || {
                let (core, policy) = (core.clone(), policy.clone());
                async move {
                    let loaded = core.directory.load_policy(&policy).await.is_ok();
                    core.presence.policies_changed(|key| key.app() == policy.app());
                    loaded
                }
            });
        }
    }

    /// Gives the sessions of a user another policy, where it goes by another one now.
    fn assign_policy(&self, change: &Change) {
        let Some(change::Change::UserChanged(user)) = &change.change else { return };
        self.core.presence.policies_changed(|key| key.app() == user.app && key.user() == user.user);
        for session in self.core.registry.of_user(&UserKey::new(&user.app, &user.user)) {
            let policy = session.policy();
            if policy.id() == user.policy || (user.policy.is_empty() && policy.id() == DEFAULT_POLICY) {
                continue;
            }
            let (core, session) = (self.core.clone(), Arc::downgrade(&session));
            self.until_done(move || {
                let (core, session) = (core.clone(), session.upgrade());
                async move {
                    let Some(session) = session else { return true };
                    let assigned = core.directory.assign_policy(&session).await;
                    assigned.is_ok() || core.registry.find(session.id).is_none()
                }
            });
        }
    }

    /// Tries until it is done, in a task of its own.
    fn until_done<F: Future<Output = bool> + Send>(&self, attempt: impl Fn() -> F + Send + 'static) {
        let shutdown = self.shutdown.clone();
        tokio::spawn(async move {
            for failed in 0.. {
                tokio::select! {
                    () = shutdown.requested() => return,
                    done = attempt() => if done { return },
                }
                tokio::time::sleep(backoff::jittered(FIRST_RETRY, LAST_RETRY, failed)).await;
            }
        });
    }

    fn close_sessions(&self, change: &Change) {
        let revoked = |session: &Arc<Session>, why: &str| session.close(Close::new(ErrorCode::TokenRevoked, why));
        match &change.change {
            Some(change::Change::TokenRevoked(token)) => {
                let sessions = self.core.registry.of_user(&UserKey::new(&token.app, &token.user));
                let of_token = sessions.iter().filter(|session| *session.token.token_id == *token.token_id);
                of_token.for_each(|session| revoked(session, "the token was revoked"));
            }
            Some(change::Change::UserChanged(user)) if !(user.exists && user.active) => {
                for session in self.core.registry.of_user(&UserKey::new(&user.app, &user.user)) {
                    match user.exists {
                        true => session.close(Close::new(ErrorCode::UserInactive, "the user was deactivated")),
                        false => revoked(&session, "the user was deleted"),
                    }
                }
            }
            Some(change::Change::AppDeleted(deleted)) => {
                self.of_app(&deleted.app, |session| revoked(session, "the app was deleted"));
            }
            Some(change::Change::AppDeactivated(changed)) => self.of_app(&changed.app, |session| {
                session.close(Close::new(ErrorCode::UserInactive, "the user's app was deactivated"));
            }),
            Some(
                change::Change::UserChanged(_)
                | change::Change::ShardMapChanged(_)
                | change::Change::PolicyChanged(_)
                | change::Change::GroupChanged(_),
            )
            | None => {}
        }
    }

    fn of_app(&self, app: &str, act: impl Fn(&Arc<Session>)) {
        self.core.registry.visit(|session| {
            if session.token.user.app() == app {
                act(session);
            }
        });
    }

    /// Changes may have been missed: asks for the token of each live session again.
    fn check_live_sessions(&self) {
        let mut live = Vec::new();
        self.core.registry.visit(|session| live.push(Arc::downgrade(session)));
        if live.is_empty() {
            return;
        }
        tracing::info!(sessions = live.len(), "the watch began anew; checking the tokens of live sessions");
        let (core, shutdown) = (self.core.clone(), self.shutdown.clone());
        tokio::spawn(async move {
            let turns = Arc::new(Semaphore::new(CONCURRENT_CHECKS));
            for session in live {
                let Ok(turn) = turns.clone().acquire_owned().await else { return };
                let Some(session) = session.upgrade() else { continue };
                let (core, shutdown) = (core.clone(), shutdown.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        () = shutdown.requested() => {}
                        () = check(&core, &session) => {}
                    }
                    drop(turn);
                });
            }
        });
    }
}

async fn check(core: &Core, session: &Session) {
    for attempt in 0.. {
        match core.directory.token(&session.token.secret, &session.token.app_id).await {
            // What it goes by may be another policy since.
            Ok(_) if core.directory.assign_policy(session).await.is_ok() => return,
            Ok(_) => tokio::time::sleep(backoff::jittered(FIRST_RETRY, LAST_RETRY, attempt)).await,
            Err(refusal) if refusal.code.next() == Next::Stop => {
                return session.close(Close::new(refusal.code, refusal.message));
            }
            Err(_) => tokio::time::sleep(backoff::jittered(FIRST_RETRY, LAST_RETRY, attempt)).await,
        }
        if core.registry.find(session.id).is_none() {
            return;
        }
    }
}
