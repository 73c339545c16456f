//! gRPC servers of this process.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::Routes;
use tonic::transport::Server;

use super::Process;

/// Flow-control windows: what may be in flight on one stream and on one connection, in bytes.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;

/// Opens the port at once, so that a taken port is an error of the start, and serves until the services stop. The
/// last requests have `grace` to end.
pub async fn serve(
    process: &mut Process,
    name: &'static str,
    address: SocketAddr,
    routes: Routes,
    grace: Duration,
) -> Result<SocketAddr> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("listening on {address} ({name})"))?;
    let bound = listener.local_addr()?;
    let shutdown = process.services.clone();
    let server = Server::builder()
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keepalive_interval(Some(Duration::from_secs(10)))
        .http2_keepalive_timeout(Some(Duration::from_secs(5)))
        .add_routes(routes);
    process.tasks.spawn_fallible(name, async move {
        let stopping = shutdown.clone();
        let served = server.serve_with_incoming_shutdown(TcpListenerStream::new(listener), async move {
            stopping.requested().await;
        });
        tokio::select! {
            served = served => served,
            // Streams of other nodes have no end of their own.
            () = async { shutdown.requested().await; tokio::time::sleep(grace).await } => Ok(()),
        }
    });
    tracing::info!(server = name, address = %bound, "listening");
    Ok(bound)
}
