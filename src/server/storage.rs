//! The consensus engine of this process, and what its failure means for the process.

use anyhow::{Context as _, Result};
use tidings_consensus::{Engine, EngineOptions, StorageConfig};
use tidings_node::cluster::ClusterConfig;

use super::Process;

/// Where the engine of a node stores, and whose it is.
pub fn engine_options(cluster: &ClusterConfig) -> EngineOptions {
    EngineOptions::new(cluster.data.join("db"), cluster.node, cluster.id.clone())
}

/// Opens the engine in the data folder and reports its failure as the component `storage`.
pub async fn open(process: &mut Process) -> Result<Engine> {
    let options = EngineOptions {
        clock: process.clock.clone(),
        peer_secret: Some(process.membership.secret().expose().to_owned()),
        dialer: process.dialer.clone(),
        tuning: process.config.section::<StorageConfig>()?.tuning(),
        ..engine_options(&process.cluster)
    };
    // After a crash, opening reads what was written last.
    let engine = tokio::task::spawn_blocking(move || Engine::open(options)).await?.context("opening the storage")?;
    let component = process.health.component("storage");
    component.ready();
    let (mut failure, services) = (engine.failure(), process.services.clone());
    process.tasks.spawn("storage watch", async move {
        tokio::select! {
            () = services.requested() => return,
            waited = failure.wait_for(Option::is_some) => if waited.is_err() { return },
        }
        // Nothing more is accepted; the process stays up to say so until somebody replaces it.
        let reason = failure.borrow().clone().unwrap_or_default();
        tracing::error!(%reason, "the storage failed; nothing more is accepted");
        component.failed(&reason);
    });
    Ok(engine)
}
