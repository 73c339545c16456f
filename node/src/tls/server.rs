//! The certificate that this server shows to clients and backends.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use serde::Deserialize;

use super::pem::{certified_key, unusable};
use super::provider;
use super::reload::{CHECK_INTERVAL, Reloading, Source};
use crate::Error;
use crate::config::Section;

/// The `[tls]` section: both files or neither.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct TlsConfig {
    /// The certificate chain in PEM, the server's own first.
    pub cert: Option<PathBuf>,
    /// Its private key in PEM.
    pub key: Option<PathBuf>,
}

impl Section for TlsConfig {
    const NAME: &'static str = "tls";

    fn validate(&self) -> Result<(), String> {
        match (&self.cert, &self.key) {
            (Some(_), None) => Err("cert is given without key".to_owned()),
            (None, Some(_)) => Err("key is given without cert".to_owned()),
            _ => Ok(()),
        }
    }
}

impl TlsConfig {
    /// The server's side, or `None` where no certificate is configured. `protocols` go into ALPN, the preferred first.
    pub fn server(&self, protocols: &[&[u8]]) -> Result<Option<Arc<ServerConfig>>, Error> {
        let (Some(cert), Some(key)) = (self.cert.clone(), self.key.clone()) else {
            return Ok(None);
        };
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&cert, error))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Reloading::load(Pair { cert, key }, CHECK_INTERVAL)?));
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(Some(Arc::new(config)))
    }
}

#[derive(Debug)]
struct Pair {
    cert: PathBuf,
    key: PathBuf,
}

impl Source for Pair {
    type Made = CertifiedKey;

    fn files(&self) -> Vec<&Path> {
        vec![&self.cert, &self.key]
    }

    fn make(&self) -> Result<Arc<CertifiedKey>, Error> {
        certified_key(&self.cert, &self.key)
    }
}

impl ResolvesServerCert for Reloading<Pair> {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls_pki_types::ServerName;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::tls::client;

    fn write_pair(folder: &Path, names: &[&str]) -> TlsConfig {
        let pair = rcgen::generate_simple_self_signed(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        let pair = pair.unwrap();
        let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        std::fs::write(&cert, pair.cert.pem()).unwrap();
        std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
        TlsConfig { cert: Some(cert), key: Some(key) }
    }

    fn reloading(config: TlsConfig, interval: Duration) -> Reloading<Pair> {
        Reloading::load(Pair { cert: config.cert.unwrap(), key: config.key.unwrap() }, interval).unwrap()
    }

    #[tokio::test]
    async fn a_client_that_trusts_the_certificate_talks_and_another_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let config = write_pair(folder.path(), &["localhost"]);
        let server = tokio_rustls::TlsAcceptor::from(config.server(&[b"h2"]).unwrap().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                if let Ok(mut stream) = server.accept(stream).await {
                    stream.write_all(b"hello").await.unwrap();
                    stream.shutdown().await.unwrap();
                }
            }
        });
        let connect = |trusted: PathBuf, name: &'static str| async move {
            let connector = tokio_rustls::TlsConnector::from(client(Some(&trusted), &[b"h2"]).unwrap());
            let stream = TcpStream::connect(address).await.unwrap();
            let mut stream = connector.connect(ServerName::try_from(name).unwrap(), stream).await?;
            let mut text = String::new();
            stream.read_to_string(&mut text).await?;
            std::io::Result::Ok(text)
        };
        let own = config.cert.clone().unwrap();
        assert_eq!(connect(own.clone(), "localhost").await.unwrap(), "hello");
        assert!(connect(own, "elsewhere").await.is_err());
        let other = tempfile::tempdir().unwrap();
        assert!(connect(write_pair(other.path(), &["localhost"]).cert.unwrap(), "localhost").await.is_err());
        serving.abort();
    }

    #[test]
    fn a_changed_pair_is_taken_up_and_a_broken_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let config = write_pair(folder.path(), &["one.example"]);
        let key = config.key.clone().unwrap();
        let resolver = reloading(config, Duration::ZERO);
        let first = resolver.current().cert.clone();
        assert_eq!(resolver.current().cert, first);

        write_pair(folder.path(), &["two.example", "three.example"]);
        let second = resolver.current().cert.clone();
        assert_ne!(second, first);

        std::fs::write(&key, "half a fi").unwrap();
        assert_eq!(resolver.current().cert, second);
        write_pair(folder.path(), &["four.example"]);
        assert_ne!(resolver.current().cert, second);
    }

    #[test]
    fn within_the_interval_the_files_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let resolver = reloading(write_pair(folder.path(), &["one.example"]), Duration::from_secs(3600));
        let first = resolver.current().cert.clone();
        write_pair(folder.path(), &["two.example", "three.example"]);
        assert_eq!(resolver.current().cert, first);
    }

    #[test]
    fn mistakes_name_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let config = write_pair(folder.path(), &["one.example"]);
        let other = tempfile::tempdir().unwrap();
        let mixed = TlsConfig { key: write_pair(other.path(), &["one.example"]).key, ..config.clone() };
        let error = mixed.server(&[]).unwrap_err().to_string();
        assert!(error.contains("key.pem"), "{error}");
        let missing = TlsConfig { cert: Some(folder.path().join("none.pem")), ..config.clone() };
        assert!(missing.server(&[]).unwrap_err().to_string().contains("none.pem"));
        assert!(TlsConfig { key: None, ..config }.validate().is_err());
        assert!(TlsConfig::default().server(&[]).unwrap().is_none());
    }
}
