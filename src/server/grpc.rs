//! gRPC servers of this process; the one for backends takes HTTP/1.1 too, for REST/JSON.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tidings_node::tls;
use tokio::net::TcpListener;
use tokio_rustls::rustls::ServerConfig;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::{Router, TcpIncoming};

use super::Process;

/// Flow-control windows: what may be in flight on one stream and on one connection, in bytes.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;

/// The TLS of the next connection.
type Tls = Box<dyn Fn() -> Arc<ServerConfig> + Send>;

/// Serves the other nodes of the cluster on `cluster.listen`: with `[node_tls]` only those that show a certificate of
/// its CA, otherwise in the clear.
pub async fn serve_nodes(process: &mut Process, routes: Routes, grace: Duration) -> Result<()> {
    let node_tls = process.node_tls.clone();
    let tls = node_tls.map(|tls| -> Tls { Box::new(move || tls.server()) });
    serve(process, "nodes", process.cluster.listen, tls, builder().add_routes(routes), grace).await
}

/// Serves backends and operators, over HTTP/2 and 1.1, with the certificate of `[tls]` where there is one.
pub async fn serve_backends(process: &mut Process, address: SocketAddr, routes: Routes, grace: Duration) -> Result<()> {
    let tls = process.tls(&[b"h2", b"http/1.1"])?.map(|config| -> Tls { Box::new(move || config.clone()) });
    serve(process, "backends", address, tls, builder().accept_http1(true).add_routes(routes), grace).await
}

fn builder() -> Server {
    Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keepalive_interval(Some(Duration::from_secs(10)))
        .http2_keepalive_timeout(Some(Duration::from_secs(5)))
}

/// Opens the port at once, so that a taken port is an error of the start, and serves until the services stop. The
/// last requests have `grace` to end.
async fn serve(
    process: &mut Process,
    name: &'static str,
    address: SocketAddr,
    tls: Option<Tls>,
    server: Router,
    grace: Duration,
) -> Result<()> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("listening on {address} ({name})"))?;
    tracing::info!(server = name, address = %listener.local_addr()?, tls = tls.is_some(), "listening");
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let shutdown = process.services.clone();
    process.tasks.spawn_fallible(name, async move {
        let stopping = shutdown.clone();
        let stopping = async move { stopping.requested().await };
        let served = async {
            match tls {
                None => server.serve_with_incoming_shutdown(incoming, stopping).await,
                Some(tls) => server.serve_with_incoming_shutdown(tls::accept(incoming, tls), stopping).await,
            }
        };
        tokio::select! {
            served = served => served,
            // Streams of other nodes have no end of their own.
            () = async { shutdown.requested().await; tokio::time::sleep(grace).await } => Ok(()),
        }
    });
    Ok(())
}
