//! The tasks of a process by name: a panic or an error in one is reported and ends the process in order, and what does
//! not stop in time is named.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::Instant;

use crate::Shutdown;

/// How the tasks ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ended {
    /// Tasks that panicked or gave an error, each with what they said.
    pub failed: Vec<(String, String)>,
    /// Tasks that had not stopped by the deadline and were aborted.
    pub stuck: Vec<String>,
}

impl Ended {
    /// Whether every task stopped in time and well.
    pub fn is_clean(&self) -> bool {
        self.failed.is_empty() && self.stuck.is_empty()
    }
}

/// A supervised set. Dropping it aborts what still runs.
#[derive(Debug)]
pub struct Tasks {
    shutdown: Shutdown,
    running: JoinSet<Result<(), String>>,
    names: BTreeMap<Id, String>,
    ended: Ended,
}

impl Tasks {
    /// Without tasks; a task that fails requests this shutdown.
    pub fn new(shutdown: Shutdown) -> Self {
        Self { shutdown, running: JoinSet::new(), names: BTreeMap::new(), ended: Ended::default() }
    }

    /// Runs a task that ends well when its future does.
    pub fn spawn(&mut self, name: &str, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn_fallible(name, async move {
            task.await;
            Ok::<(), String>(())
        });
    }

    /// Runs a task that may end in an error.
    pub fn spawn_fallible<E: Display>(
        &mut self,
        name: &str,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let (name, shutdown) = (name.to_owned(), self.shutdown.clone());
        let supervised =
            supervise(name.clone(), shutdown, async move { task.await.map_err(|error| error.to_string()) });
        let id = self.running.spawn(supervised).id();
        self.names.insert(id, name);
    }

    /// Waits for the tasks to stop by themselves until the deadline, aborts the rest, and says how each bad one ended.
    pub async fn join_within(mut self, deadline: Duration) -> Ended {
        let until = Instant::now() + deadline;
        while let Ok(Some(joined)) = tokio::time::timeout_at(until, self.running.join_next_with_id()).await {
            self.note(joined);
        }
        if !self.running.is_empty() {
            self.running.abort_all();
            self.ended.stuck = self.names.values().cloned().collect();
            tracing::error!(tasks = ?self.ended.stuck, ?deadline, "did not stop in time");
        }
        std::mem::take(&mut self.ended)
    }

    fn note(&mut self, joined: Result<(Id, Result<(), String>), JoinError>) {
        let (id, outcome) = match joined {
            Ok((id, outcome)) => (id, outcome),
            Err(error) => (error.id(), Err(error.to_string())),
        };
        let name = self.names.remove(&id).unwrap_or_default();
        if let Err(reason) = outcome {
            self.ended.failed.push((name, reason));
        }
    }
}

/// Runs the task as one of its own, so that its panic is seen at once and not when somebody joins.
async fn supervise(
    name: String,
    shutdown: Shutdown,
    task: impl Future<Output = Result<(), String>> + Send + 'static,
) -> Result<(), String> {
    let running = tokio::spawn(task);
    let _abort = AbortOnDrop(running.abort_handle());
    let outcome = running.await.unwrap_or_else(|error| Err(panic_message(error)));
    match &outcome {
        Ok(()) => tracing::debug!(task = %name, "ended"),
        Err(reason) => {
            tracing::error!(task = %name, %reason, "a task failed; shutting down");
            shutdown.request();
        }
    }
    outcome
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn panic_message(error: JoinError) -> String {
    let Ok(payload) = error.try_into_panic() else {
        return "it was aborted".to_owned();
    };
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    format!("panicked: {}", text.as_deref().unwrap_or("without a message"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_does_not_stop_is_named() {
        let shutdown = Shutdown::new();
        let mut tasks = Tasks::new(shutdown.clone());
        let stop = shutdown.clone();
        tasks.spawn("polite", async move { stop.requested().await });
        tasks.spawn("deaf", std::future::pending());
        shutdown.request();
        let ended = tasks.join_within(Duration::from_secs(10)).await;
        assert_eq!(ended, Ended { failed: Vec::new(), stuck: vec!["deaf".to_owned()] });
        assert!(!ended.is_clean());
    }

    #[tokio::test]
    async fn a_panic_is_reported_and_requests_shutdown() {
        let shutdown = Shutdown::new();
        let mut tasks = Tasks::new(shutdown.clone());
        let stop = shutdown.clone();
        tasks.spawn("other", async move { stop.requested().await });
        tasks.spawn("bad", async { panic!("out of {}", "luck") });
        shutdown.requested().await;
        let ended = tasks.join_within(Duration::from_secs(10)).await;
        assert_eq!(ended.failed, [("bad".to_owned(), "panicked: out of luck".to_owned())]);
        assert!(ended.stuck.is_empty());
    }

    #[tokio::test]
    async fn an_error_requests_shutdown_too_and_an_end_does_not() {
        let shutdown = Shutdown::new();
        let mut tasks = Tasks::new(shutdown.clone());
        tasks.spawn("brief", async {});
        tasks.spawn_fallible("server", async { Err("the port is gone") });
        let ended = tasks.join_within(Duration::from_secs(10)).await;
        assert!(shutdown.is_requested());
        assert_eq!(ended.failed, [("server".to_owned(), "the port is gone".to_owned())]);
    }

    #[tokio::test]
    async fn dropping_the_set_stops_the_tasks_themselves() {
        struct Tell(Option<tokio::sync::oneshot::Sender<()>>);
        impl Drop for Tell {
            fn drop(&mut self) {
                self.0.take().map(|sender| sender.send(()));
            }
        }
        let (sender, dropped) = tokio::sync::oneshot::channel();
        let (started, start) = tokio::sync::oneshot::channel();
        let mut tasks = Tasks::new(Shutdown::new());
        tasks.spawn("waiting", async move {
            let _tell = Tell(Some(sender));
            started.send(()).unwrap();
            std::future::pending::<()>().await;
        });
        start.await.unwrap();
        drop(tasks);
        dropped.await.unwrap();
    }
}
