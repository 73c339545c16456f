//! The port for clients: accepts, speaks TLS where it is configured, then HTTP/1 within limits.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, ready};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tidings_node::Shutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::admission::{Admissions, ConnectionPermit};
use crate::core::Core;
use crate::error::GatewayError;
use crate::http::{Web, connect};
use crate::paced::Paced;
use crate::socket::Transport;

const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 16 << 10;
const BACKLOG: u32 = 4096;
/// After an error of `accept`, usually too many open files: connections that end make room.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Opens the port.
pub(crate) fn bind(address: SocketAddr) -> Result<TcpListener, GatewayError> {
    let open = || {
        let socket = if address.is_ipv4() { tokio::net::TcpSocket::new_v4() } else { tokio::net::TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    open().map_err(|source| GatewayError::Listen { address, source })
}

/// Everything that a connection needs until it is a session.
pub(crate) struct Door {
    pub core: Arc<Core>,
    pub admissions: Arc<Admissions>,
    pub tls: Option<TlsAcceptor>,
    pub web: Web,
    /// No further connections from here on.
    pub shutdown: Shutdown,
}

/// Accepts until shutdown is requested.
pub(crate) async fn accept(listener: TcpListener, door: Arc<Door>) {
    loop {
        let accepted = tokio::select! {
            () = door.shutdown.requested() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                let Some(permit) = door.admissions.admit(address.ip()) else {
                    tracing::debug!(%address, "closing a connection: there are too many");
                    continue;
                };
                let door = door.clone();
                tokio::spawn(Box::pin(async move { serve_transport(door, stream, permit).await }));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_transport(door: Arc<Door>, stream: TcpStream, permit: ConnectionPermit) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a client went away at once");
        return;
    }
    let Some(tls) = &door.tls else { return serve_http(door, stream, permit).await };
    match tokio::time::timeout(door.core.config.handshake_timeout(), tls.accept(stream)).await {
        Ok(Ok(stream)) => {
            let stream: Box<TlsStream<TcpStream>> = Box::new(stream);
            serve_http(door, stream, permit).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, "the TLS handshake failed"),
        Err(_) => tracing::debug!("the TLS handshake took too long"),
    }
}

async fn serve_http<S: Transport>(door: Arc<Door>, stream: S, permit: ConnectionPermit) {
    let timeout = door.core.config.handshake_timeout();
    let service = service_fn(|request| {
        let door = &door;
        let answer = match request.uri().path() {
            connect::PATH => {
                let draining = door.shutdown.is_requested();
                Either::Left(ready(connect::answer(&door.core, &permit, draining, request)))
            }
            _ => Either::Right(Box::pin(door.web.answer(request))),
        };
        async move { Ok::<_, std::convert::Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(timeout)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEADER_BYTES)
        .serve_connection(TokioIo::new(Paced::new(stream, door.core.config.write_timeout())), service)
        .with_upgrades();
    tokio::pin!(connection);
    tokio::select! {
        served = connection.as_mut() => {
            if let Err(error) = served {
                tracing::debug!(%error, "an HTTP connection ended");
            }
            return;
        }
        () = door.shutdown.requested() => connection.as_mut().graceful_shutdown(),
    }
    let _ = tokio::time::timeout(timeout, connection).await;
}
