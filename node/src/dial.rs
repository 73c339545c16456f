//! Calls to other nodes: in the clear, or over mutual TLS where `[node_tls]` is configured.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint, Error};
use tower_service::Service;

use crate::tls::NodeTls;

/// What to call at `host:port`; how long it may take and how it is kept alive is the caller's to set.
pub fn endpoint(address: &str) -> Result<Endpoint, Error> {
    // The scheme says nothing about TLS: that is the dialer's matter, for all nodes alike.
    Ok(Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true))
}

/// Connects to other nodes. The default one does so in the clear. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Dialer {
    tls: Option<Arc<NodeTls>>,
}

impl Dialer {
    /// Shows this node's certificate to others and demands theirs, in the name of the host that is dialled; without
    /// `tls` in the clear.
    pub fn new(tls: Option<Arc<NodeTls>>) -> Self {
        Self { tls }
    }

    /// Connects now. With TLS 1.3 a refusal of this node's own certificate shows in the first call.
    pub async fn connect(&self, endpoint: &Endpoint) -> Result<Channel, Error> {
        match &self.tls {
            None => endpoint.connect().await,
            Some(tls) => endpoint.connect_with_connector(TlsConnector(tls.clone())).await,
        }
    }

    /// Connects when it is first called, and again after a connection broke; each time with the certificates as they
    /// are then.
    pub fn connect_lazy(&self, endpoint: &Endpoint) -> Channel {
        match &self.tls {
            None => endpoint.connect_lazy(),
            Some(tls) => endpoint.connect_with_connector_lazy(TlsConnector(tls.clone())),
        }
    }
}

/// TCP, then TLS. The endpoint's `connect_timeout` covers both.
struct TlsConnector(Arc<NodeTls>);

impl Service<Uri> for TlsConnector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let config = self.0.client();
        Box::pin(async move { connect(config, &uri).await.map(TokioIo::new) })
    }
}

async fn connect(config: Arc<ClientConfig>, uri: &Uri) -> io::Result<TlsStream<TcpStream>> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidInput, format!("{uri} is not host:port"));
    let (host, port) = uri.host().zip(uri.port_u16()).ok_or_else(invalid)?;
    // An IPv6 address stands in brackets in a URI, and without them in a certificate.
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(host.to_owned()).map_err(|_| invalid())?;
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    tokio_rustls::TlsConnector::from(config).connect(name, stream).await
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::path::Path;
    use std::time::Duration;

    use tidings_proto::cluster::v1::HeartbeatRequest;
    use tidings_proto::cluster::v1::nodes_client::NodesClient;
    use tokio::net::TcpListener;
    use tokio_stream::wrappers::TcpListenerStream;
    use tonic::Code;
    use tonic::service::Routes;
    use tonic::transport::Server;

    use super::*;
    use crate::tls::testing::Authority;
    use crate::tls::{self, NodeTlsConfig, accept};

    const LOOPBACK: &[&str] = &["127.0.0.1", "localhost"];
    /// Longer than a handshake takes on a busy machine.
    const PATIENCE: Duration = Duration::from_secs(20);

    fn load(config: &NodeTlsConfig) -> Arc<NodeTls> {
        config.load_with(Duration::ZERO).unwrap().unwrap()
    }

    fn dialer(authority: &Authority, folder: &Path) -> Dialer {
        Dialer::new(Some(load(&authority.write(folder, LOOPBACK))))
    }

    /// A node's port, on which no service is mounted: whoever comes through is answered `UNIMPLEMENTED`.
    async fn serve(tls: Arc<NodeTls>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let incoming = accept(TcpListenerStream::new(listener), move || tls.server());
        tokio::spawn(Server::builder().add_routes(Routes::default()).serve_with_incoming(incoming));
        address
    }

    async fn call(channel: &Channel) -> Code {
        let call = async { NodesClient::new(channel.clone()).heartbeat(HeartbeatRequest::default()).await };
        tokio::time::timeout(PATIENCE, call).await.expect("an answer, or an error").unwrap_err().code()
    }

    fn channel(dialer: &Dialer, address: &str) -> Channel {
        dialer.connect_lazy(&endpoint(address).unwrap().connect_timeout(PATIENCE))
    }

    async fn dial(dialer: &Dialer, address: SocketAddr) -> Code {
        call(&channel(dialer, &address.to_string())).await
    }

    #[tokio::test]
    async fn nodes_of_one_authority_reach_each_other_by_name_and_by_address() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let authority = Authority::new();
        let address = serve(load(&authority.write(there.path(), LOOPBACK))).await;
        let dialer = dialer(&authority, here.path());
        assert_eq!(dial(&dialer, address).await, Code::Unimplemented);
        assert_eq!(call(&channel(&dialer, &format!("localhost:{}", address.port()))).await, Code::Unimplemented);
        let connected = dialer.connect(&endpoint(&address.to_string()).unwrap()).await.unwrap();
        assert_eq!(call(&connected).await, Code::Unimplemented);
    }

    #[tokio::test]
    async fn a_caller_that_the_authority_does_not_know_is_refused() {
        let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let authority = Authority::new();
        let config = authority.write(ours.path(), LOOPBACK);
        let address = serve(load(&config)).await;
        assert_ne!(dial(&Dialer::default(), address).await, Code::Unimplemented, "plain");

        // Trusts the right authority, and shows another one's certificate.
        let foreign = Authority::new();
        let theirs = foreign.write(theirs.path(), LOOPBACK);
        std::fs::write(theirs.ca.as_ref().unwrap(), authority.pem() + &foreign.pem()).unwrap();
        let foreign = Dialer::new(Some(load(&theirs)));
        assert_ne!(dial(&foreign, address).await, Code::Unimplemented, "the certificate of another authority");

        // No certificate at all. With TLS 1.3 the client learns it when it reads.
        let anonymous = tls::client(config.ca.as_deref(), &[b"h2"]).unwrap();
        let uri = format!("http://{address}").parse().unwrap();
        let mut stream = connect(anonymous, &uri).await.unwrap();
        let refused = tokio::io::AsyncReadExt::read_u8(&mut stream).await.unwrap_err();
        assert!(refused.to_string().contains("CertificateRequired"), "{refused}");
    }

    #[tokio::test]
    async fn a_server_that_the_authority_does_not_know_or_with_another_name_is_refused() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let authority = Authority::new();
        let dialer = dialer(&authority, here.path());
        let misnamed = serve(load(&authority.write(there.path(), &["elsewhere.example"]))).await;
        assert_ne!(dial(&dialer, misnamed).await, Code::Unimplemented);

        let foreign = Authority::new();
        let config = foreign.write(there.path(), LOOPBACK);
        std::fs::write(config.ca.as_ref().unwrap(), authority.pem() + &foreign.pem()).unwrap();
        let unknown = serve(load(&config)).await;
        assert_ne!(dial(&dialer, unknown).await, Code::Unimplemented);
    }

    #[tokio::test]
    async fn new_connections_use_new_files_and_old_ones_go_on() {
        let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let [serving, staying, rotating] = &folders;
        let (old, new) = (Authority::new(), Authority::new());
        let address = serve(load(&old.write(serving.path(), LOOPBACK))).await;
        let (staying, rotating_dialer) = (dialer(&old, staying.path()), dialer(&old, rotating.path()));
        let open = channel(&staying, &address.to_string());
        assert_eq!(call(&open).await, Code::Unimplemented);
        assert_eq!(dial(&rotating_dialer, address).await, Code::Unimplemented);

        // All three files of the server and of one caller are replaced while the server serves.
        new.write(serving.path(), LOOPBACK);
        new.write(rotating.path(), LOOPBACK);
        assert_eq!(dial(&rotating_dialer, address).await, Code::Unimplemented, "both have the new files");
        assert_ne!(dial(&staying, address).await, Code::Unimplemented, "new connections need the new ones");
        assert_eq!(call(&open).await, Code::Unimplemented, "an open connection goes on");

        std::fs::write(serving.path().join("key.pem"), "half a fi").unwrap();
        assert_eq!(dial(&rotating_dialer, address).await, Code::Unimplemented, "the last good files stay");
    }

    #[tokio::test]
    async fn an_address_without_a_port_is_no_address() {
        assert!(endpoint("a b:1").is_err());
        let folder = tempfile::tempdir().unwrap();
        let dialer = dialer(&Authority::new(), folder.path());
        assert!(dialer.connect(&endpoint("localhost").unwrap()).await.is_err());
    }
}
