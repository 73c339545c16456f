//! The admin port: `/healthz`, `/readyz` and `/metrics` over HTTP/1.1, for orchestrators and Prometheus.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::config::Section;
use crate::metrics::Metrics;
use crate::{Error, Health, Shutdown};

/// Connections at once; the next ones wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 64;
/// How long a caller may take to send its request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// How often samples are folded into buckets.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// The `[admin]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AdminConfig {
    /// Where the admin port listens. It has no authentication: keep it off public networks. Port 0 takes a free one.
    pub listen: SocketAddr,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 7703)) }
    }
}

impl Section for AdminConfig {
    const NAME: &'static str = "admin";
}

/// The open port, not served yet.
#[derive(Debug)]
pub struct AdminServer {
    listener: TcpListener,
    address: SocketAddr,
    health: Health,
    metrics: Metrics,
}

impl AdminServer {
    /// Opens the port.
    pub async fn bind(config: &AdminConfig, health: Health, metrics: Metrics) -> Result<Self, Error> {
        let failed = |source| Error::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, health, metrics })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until shutdown is requested; requests under way then end within a second, so that the last readiness
    /// probe gets its answer.
    pub async fn run(self, shutdown: Shutdown) {
        let Self { listener, health, metrics, .. } = self;
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        let mut upkeep = tokio::time::interval(UPKEEP_INTERVAL);
        loop {
            tokio::select! {
                () = shutdown.requested() => break,
                _ = upkeep.tick() => metrics.upkeep(),
                Some(_) = connections.join_next() => {}
                Ok((permit, stream)) = admit(&listener, &permits) => {
                    let (health, metrics) = (health.clone(), metrics.clone());
                    connections.spawn(async move {
                        serve(stream, health, metrics).await;
                        drop(permit);
                    });
                }
            }
        }
        let _ =
            tokio::time::timeout(Duration::from_secs(1), async { while connections.join_next().await.is_some() {} })
                .await;
    }
}

async fn admit(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> std::io::Result<(tokio::sync::OwnedSemaphorePermit, tokio::net::TcpStream)> {
    let permit = permits.clone().acquire_owned().await.map_err(std::io::Error::other)?;
    match listener.accept().await {
        Ok((stream, _)) => Ok((permit, stream)),
        Err(error) => {
            // Out of file descriptors: trying again at once would spin.
            tracing::warn!(%error, "the admin port could not accept");
            tokio::time::sleep(Duration::from_millis(100)).await;
            Err(error)
        }
    }
}

async fn serve(stream: tokio::net::TcpStream, health: Health, metrics: Metrics) {
    let service = service_fn(move |request| {
        let response = answer(&request, &health, &metrics);
        async move { Ok::<_, Infallible>(response) }
    });
    let mut server = hyper::server::conn::http1::Builder::new();
    // One request per connection: probes and scrapes come seconds apart, and an idle connection holds a permit.
    server.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).keep_alive(false);
    if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "an admin connection ended");
    }
}

fn answer(request: &Request<Incoming>, health: &Health, metrics: &Metrics) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return respond(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "GET only\n".to_owned());
    }
    let passing = |good: bool| {
        if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
    };
    match request.uri().path() {
        "/healthz" => respond(passing(health.is_live()), "application/json", health.report().to_string()),
        "/readyz" => respond(passing(health.is_ready()), "application/json", health.report().to_string()),
        "/metrics" => respond(StatusCode::OK, "text/plain; version=0.0.4", metrics.render()),
        _ => respond(StatusCode::NOT_FOUND, "text/plain", "there are /healthz, /readyz and /metrics\n".to_owned()),
    }
}

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    async fn get(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("{request} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn probes_and_metrics_over_a_socket() {
        let (health, shutdown) = (Health::new(), Shutdown::new());
        let config = AdminConfig { listen: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let server = AdminServer::bind(&config, health.clone(), Metrics::install().unwrap()).await.unwrap();
        let address = server.local_addr();
        let running = tokio::spawn(server.run(shutdown.clone()));
        let storage = health.component("storage");

        let answer = get(address, "GET /readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("\"starting\""), "{answer}");
        assert!(get(address, "GET /healthz").await.starts_with("HTTP/1.1 200"));
        storage.ready();
        assert!(get(address, "GET /readyz").await.starts_with("HTTP/1.1 200"));
        storage.failed("fsync: input/output error");
        let answer = get(address, "GET /healthz").await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("input/output error"), "{answer}");
        assert!(get(address, "GET /metrics").await.contains("process_cpu_seconds_total"));
        assert!(get(address, "GET /else").await.starts_with("HTTP/1.1 404"));
        assert!(get(address, "POST /readyz").await.starts_with("HTTP/1.1 405"));

        shutdown.request();
        running.await.unwrap();
    }

    #[tokio::test]
    async fn a_taken_port_is_named() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let config = AdminConfig { listen: taken.local_addr().unwrap() };
        let error = AdminServer::bind(&config, Health::new(), Metrics::install().unwrap()).await.unwrap_err();
        assert!(error.to_string().contains(&config.listen.to_string()), "{error}");
    }
}
