//! TLS for clients.

use std::net::SocketAddr;
use std::time::Duration;

use tidings_node::tls::{self, TlsConfig};
use tidings_proto::client::v1::client_frame;
use tidings_proto::frame::encode_client;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::Message;

use futures_util::{SinkExt as _, StreamExt as _};

use crate::support::{PATIENCE, World, config, hello};
use tidings_gateway::GatewayConfig;

#[tokio::test(flavor = "multi_thread")]
async fn a_session_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let pair = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, pair.cert.pem()).unwrap();
    std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
    let server = TlsConfig { cert: Some(cert.clone()), key: Some(key) }.server(&[b"http/1.1"]).unwrap();
    let config = GatewayConfig { handshake_timeout_ms: 500, ..config() };
    let world = World::with_tls(config, server).await;

    let address: SocketAddr = world.address.parse().unwrap();
    let connector = TlsConnector::from(tls::client(Some(&cert), &[b"http/1.1"]).unwrap());
    let stream = TcpStream::connect(address).await.unwrap();
    let stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async("wss://localhost/v1/connect", stream).await.unwrap();
    let greeting = encode_client(client_frame::Frame::Hello(hello("alice", "d")));
    socket.send(Message::Binary(greeting)).await.unwrap();
    let welcome = tokio::time::timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap();
    assert!(matches!(welcome, Message::Binary(_)));

    // Somebody who does not speak TLS, or says nothing, is let go.
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut silent = TcpStream::connect(address).await.unwrap();
    for stream in [&mut plain, &mut silent] {
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok());
    }
}
