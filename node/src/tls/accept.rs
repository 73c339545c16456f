//! The server's side of TLS for a gRPC port.

use std::future::ready;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Handshakes at the same time, per port; at the limit new connections wait in the system's queue.
const HANDSHAKES: usize = 256;
/// A peer that takes longer is let go.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// The connections that come in and complete their handshake, each under the configuration that `config` gives at its
/// beginning. One that fails costs nobody else anything (promise 6).
pub fn accept<I>(
    incoming: I,
    config: impl Fn() -> Arc<ServerConfig> + Send,
) -> impl Stream<Item = io::Result<TlsStream<TcpStream>>> + Send
where
    I: Stream<Item = io::Result<TcpStream>> + Send,
{
    let secured = incoming.map(move |accepted| secured(accepted, TlsAcceptor::from(config())));
    secured.buffer_unordered(HANDSHAKES).filter_map(ready)
}

async fn secured(accepted: io::Result<TcpStream>, tls: TlsAcceptor) -> Option<io::Result<TlsStream<TcpStream>>> {
    let stream = match accepted {
        Ok(stream) => stream,
        Err(error) => return Some(Err(error)),
    };
    let peer = stream.peer_addr().ok();
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => return Some(Ok(stream)),
        Ok(Err(error)) => tracing::debug!(?peer, %error, "the TLS handshake failed"),
        Err(_) => tracing::debug!(?peer, "the TLS handshake took too long"),
    }
    None
}
