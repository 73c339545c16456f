//! The policies that users here go by, as the control plane has them now.
//!
//! A policy is one place in memory for everybody who goes by it: when the watch says that it has changed it is asked
//! for again, and holds for all of them at once. Until the answer is there, and while the control plane is away, the
//! last one holds.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidings_proto::EffectivePolicy;
use tidings_proto::cluster::v1::GetPolicyRequest;
use tidings_proto::effective_policy::DEFAULT_POLICY;
use tidings_proto::policy::v1 as wire;
use tonic::Code;

use super::{Refusal, UserKey};
use crate::control_plane::ControlPlane;

/// How often a replica of the control plane that is behind a change is asked, and the pause in between.
const ATTEMPTS: usize = 20;
const PAUSE: Duration = Duration::from_millis(20);

/// A policy of an app.
pub(crate) struct Policy {
    app: Box<str>,
    id: Box<str>,
    /// The app's policy `default`; none where this is it.
    app_default: Option<Arc<Policy>>,
    state: Mutex<State>,
    /// One question at a time.
    asking: tokio::sync::Mutex<()>,
}

struct State {
    effective: Arc<EffectivePolicy>,
    /// There has been an answer.
    known: bool,
    /// There is no later one that would have to be asked for.
    current: bool,
    /// An answer from before this revision is not current.
    changed_at: u64,
}

impl Policy {
    fn new(app: &str, id: &str, app_default: Option<Arc<Policy>>) -> Self {
        let state = State { effective: Arc::default(), known: false, current: false, changed_at: 0 };
        Self {
            app: app.into(),
            id: id.into(),
            app_default,
            state: Mutex::new(state),
            asking: tokio::sync::Mutex::default(),
        }
    }

    /// Whose it is.
    pub fn app(&self) -> &str {
        &self.app
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it says now.
    pub fn effective(&self) -> Arc<EffectivePolicy> {
        self.state.lock().effective.clone()
    }

    /// What the app's policy `default` says now: some of it holds for all of the app.
    pub fn of_app(&self) -> Arc<EffectivePolicy> {
        self.app_default.as_deref().unwrap_or(self).effective()
    }

    /// Whether there has been an answer, of whatever age.
    pub fn is_known(&self) -> bool {
        self.state.lock().known
    }

    /// Asks for it, unless it is current.
    pub async fn load(&self, control_plane: &ControlPlane) -> Result<(), Refusal> {
        if let Some(default) = &self.app_default {
            default.load_this(control_plane).await?;
        }
        self.load_this(control_plane).await
    }

    async fn load_this(&self, control_plane: &ControlPlane) -> Result<(), Refusal> {
        if self.state.lock().current {
            return Ok(());
        }
        let _turn = self.asking.lock().await;
        for _ in 0..ATTEMPTS {
            if self.state.lock().current {
                return Ok(());
            }
            let request = GetPolicyRequest { app: self.app.to_string(), id: self.id.to_string() };
            let (policy, revision) = match control_plane.get_policy(request).await {
                Ok(answer) => (answer.policy.unwrap_or_default(), answer.revision),
                // A control plane of the last release has no policies (promise 7); a deleted app has none either.
                Err(status) if matches!(status.code(), Code::Unimplemented | Code::NotFound) => Default::default(),
                Err(status) => {
                    tracing::warn!(%status, app = %self.app, policy = %self.id, "a policy could not be read");
                    return Err(Refusal::unavailable());
                }
            };
            if self.take(&policy, revision) {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(Refusal::unavailable())
    }

    /// Takes an answer up, unless it is from before the last change; 0 is from whom knows no revisions of policies.
    fn take(&self, policy: &wire::Policy, revision: u64) -> bool {
        let mut state = self.state.lock();
        if revision != 0 && revision < state.changed_at {
            return false;
        }
        state.effective = Arc::new(EffectivePolicy::from(policy));
        (state.known, state.current) = (true, true);
        true
    }

    fn changed(&self, revision: u64) {
        let mut state = self.state.lock();
        state.current = false;
        state.changed_at = state.changed_at.max(revision);
    }

    #[cfg(test)]
    pub fn for_tests() -> Arc<Self> {
        Arc::new(Self::new("app", DEFAULT_POLICY, None))
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Policy({}/{})", self.app, self.id)
    }
}

/// All that somebody goes by, or went by not long ago.
pub(crate) struct Policies {
    /// By app and id.
    all: Mutex<HashMap<UserKey, Arc<Policy>>>,
    /// From so many on, those that nobody goes by are forgotten.
    limit: usize,
}

impl Policies {
    pub fn new(limit: usize) -> Self {
        Self { all: Mutex::default(), limit }
    }

    /// The policy of this id, perhaps not known yet; an empty id is `default`.
    pub fn get(&self, app: &str, id: &str) -> Arc<Policy> {
        let mut all = self.all.lock();
        let default = Self::entry(&mut all, app, DEFAULT_POLICY, None);
        let policy = match id {
            "" | DEFAULT_POLICY => default,
            id => Self::entry(&mut all, app, id, Some(default)),
        };
        if all.len() > self.limit {
            all.retain(|_, policy| Arc::strong_count(policy) > 1);
        }
        policy
    }

    fn entry(
        all: &mut HashMap<UserKey, Arc<Policy>>,
        app: &str,
        id: &str,
        app_default: Option<Arc<Policy>>,
    ) -> Arc<Policy> {
        let make = || Arc::new(Policy::new(app, id, app_default));
        all.entry(UserKey::new(app, id)).or_insert_with(make).clone()
    }

    /// Notes that a policy changed at a revision; answers it where somebody goes by it.
    pub fn changed(&self, app: &str, id: &str, revision: u64) -> Option<Arc<Policy>> {
        let policy = self.all.lock().get(UserKey::text(app, id).as_str()).cloned()?;
        policy.changed(revision);
        Some(policy)
    }

    /// Notes that any may have changed, unseen; answers all.
    pub fn all_changed(&self) -> Vec<Arc<Policy>> {
        let all: Vec<_> = self.all.lock().values().cloned().collect();
        all.iter().for_each(|policy| policy.changed(0));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_from_before_a_change_is_not_taken() {
        let policy = Policy::for_tests();
        let answer = |messages| wire::Policy { messages: Some(messages), ..wire::Policy::default() };
        assert!(policy.take(&answer(true), 5) && policy.is_known());
        policy.changed(9);
        assert!(!policy.take(&answer(false), 8) && policy.effective().messages, "the last one holds");
        assert!(policy.take(&answer(false), 9) && !policy.effective().messages);
    }

    #[test]
    fn one_place_for_everybody_and_what_nobody_goes_by_is_forgotten() {
        let policies = Policies::new(3);
        let held = policies.get("app", "bots");
        assert!(Arc::ptr_eq(&held, &policies.get("app", "bots")));
        assert!(Arc::ptr_eq(&policies.get("app", ""), &policies.get("app", DEFAULT_POLICY)));
        for number in 0..100 {
            policies.get("app", &number.to_string());
            assert!(policies.all.lock().len() <= 4, "{number}");
        }
        assert!(Arc::ptr_eq(&held, &policies.get("app", "bots")), "somebody goes by it");
        assert!(policies.changed("app", "nobody's", 7).is_none());
        assert!(policies.changed("app", "bots", 7).is_some());
    }
}
