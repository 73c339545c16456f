//! What the parts of a process say about themselves, put together into one answer for orchestrators.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

/// The state of one component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ComponentState {
    /// Not yet able to serve.
    Starting,
    /// Serves.
    Ready,
    /// Serves, but for a part of what it is for, for this reason.
    Impaired(String),
    /// Alive, cannot serve for now, for this reason.
    NotReady(String),
    /// Will not serve again in this process, for this reason; the process should be replaced.
    Failed(String),
}

type Components = BTreeMap<String, ComponentState>;

/// The registry of components. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Health(Arc<watch::Sender<Components>>);

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl Health {
    /// Without components, hence not ready.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Components::new())))
    }

    /// Adds a component that is starting; one of the same name begins anew.
    pub fn component(&self, name: &str) -> Component {
        let component = Component { name: name.to_owned(), health: self.clone() };
        component.set(ComponentState::Starting);
        component
    }

    /// Whether any component has failed for good.
    pub fn is_live(&self) -> bool {
        !self.0.borrow().values().any(|state| matches!(state, ComponentState::Failed(_)))
    }

    /// Whether there are components, and all serve.
    pub fn is_ready(&self) -> bool {
        all_ready(&self.0.borrow())
    }

    /// Waits until [`Health::is_ready`].
    pub async fn ready(&self) {
        // The sender lives in `self`: the wait cannot end in an error.
        let _ = self.0.subscribe().wait_for(all_ready).await;
    }

    /// All components and their states as JSON:
    /// `{"ready":false,"components":{"storage":{"state":"failed","reason":"…"}}}`.
    pub fn report(&self) -> serde_json::Value {
        let components = self.0.borrow().clone();
        let describe = |state: &ComponentState| match state {
            ComponentState::Starting => serde_json::json!({"state": "starting"}),
            ComponentState::Ready => serde_json::json!({"state": "ready"}),
            ComponentState::Impaired(reason) => serde_json::json!({"state": "impaired", "reason": reason}),
            ComponentState::NotReady(reason) => serde_json::json!({"state": "not_ready", "reason": reason}),
            ComponentState::Failed(reason) => serde_json::json!({"state": "failed", "reason": reason}),
        };
        let ready = all_ready(&components);
        let components: serde_json::Map<_, _> =
            components.iter().map(|(name, state)| (name.clone(), describe(state))).collect();
        serde_json::json!({"ready": ready, "components": components})
    }
}

fn all_ready(components: &Components) -> bool {
    let serves = |state: &ComponentState| matches!(state, ComponentState::Ready | ComponentState::Impaired(_));
    !components.is_empty() && components.values().all(serves)
}

/// One component's own entry. Cheap to clone. Dropping it leaves the last state: a part that is gone says so itself.
#[derive(Debug, Clone)]
pub struct Component {
    name: String,
    health: Health,
}

impl Component {
    /// Serves from now on.
    pub fn ready(&self) {
        self.set(ComponentState::Ready);
    }

    /// Serves, but for a part of it.
    pub fn impaired(&self, reason: impl Into<String>) {
        self.set(ComponentState::Impaired(reason.into()));
    }

    /// Cannot serve for now.
    pub fn not_ready(&self, reason: impl Into<String>) {
        self.set(ComponentState::NotReady(reason.into()));
    }

    /// Will not serve again in this process. Later states do not take this back.
    pub fn failed(&self, reason: impl Into<String>) {
        self.set(ComponentState::Failed(reason.into()));
    }

    /// Takes the component off the list: it stopped as it should.
    pub fn remove(self) {
        self.health.0.send_if_modified(|components| components.remove(&self.name).is_some());
    }

    fn set(&self, state: ComponentState) {
        self.health.0.send_if_modified(|components| {
            let old = components.get(&self.name);
            let final_already = matches!(old, Some(ComponentState::Failed(_)));
            if final_already || old == Some(&state) {
                return false;
            }
            tracing::info!(component = %self.name, ?state, "health changed");
            components.insert(self.name.clone(), state);
            true
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_all_of_them_and_live_is_none_failed() {
        let health = Health::new();
        assert!(!health.is_ready() && health.is_live());
        let (storage, network) = (health.component("storage"), health.component("network"));
        storage.ready();
        assert!(!health.is_ready());
        network.ready();
        assert!(health.is_ready());
        network.not_ready("no leader");
        assert!(!health.is_ready() && health.is_live());
        assert_eq!(health.report()["components"]["network"]["reason"], "no leader");
        network.impaired("one of two");
        assert!(health.is_ready());
        assert_eq!(health.report()["components"]["network"]["state"], "impaired");
        network.remove();
        assert!(health.is_ready());
    }

    #[test]
    fn a_failure_is_final() {
        let health = Health::new();
        let storage = health.component("storage");
        storage.failed("the disk is full");
        storage.ready();
        assert!(!health.is_live() && !health.is_ready());
    }

    #[tokio::test]
    async fn waiting_ends_with_the_last_component() {
        let health = Health::new();
        let storage = health.component("storage");
        let waiting = tokio::spawn({
            let health = health.clone();
            async move { health.ready().await }
        });
        storage.ready();
        waiting.await.unwrap();
    }
}
