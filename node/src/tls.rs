//! TLS by rustls: a server's certificate from PEM files, taken up again when the files change; trust for clients.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;

use crate::Error;
use crate::config::Section;

/// How often, at most, the files are looked at.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Where distributions keep the certificates that a machine trusts; the first that exists counts.
const SYSTEM_BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

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
        let (Some(cert), Some(key)) = (&self.cert, &self.key) else {
            return Ok(None);
        };
        let resolver = ReloadingCertificate::load(cert, key, CHECK_INTERVAL)?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(cert, error))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(Some(Arc::new(config)))
    }
}

/// The client's side, which trusts the certificates in a PEM file, or without one those that the machine trusts
/// (`SSL_CERT_FILE`, or the distribution's bundle).
pub fn client(trusted: Option<&Path>, protocols: &[&[u8]]) -> Result<Arc<ClientConfig>, Error> {
    let file = trusted.map(Path::to_path_buf).unwrap_or_else(system_bundle);
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates(&file)?);
    if added == 0 {
        return Err(unusable(&file, "no certificate in it can be trusted"));
    }
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&file, error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(config))
}

fn system_bundle() -> PathBuf {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let found = || SYSTEM_BUNDLES.iter().map(PathBuf::from).find(|bundle| bundle.exists());
    named.or_else(found).unwrap_or_else(|| PathBuf::from(SYSTEM_BUNDLES[0]))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn unusable(file: &Path, reason: impl std::fmt::Display) -> Error {
    Error::Tls { file: file.to_path_buf(), reason: reason.to_string() }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read = CertificateDer::pem_file_iter(file).map_err(|error| unusable(file, error))?;
    let chain = read.collect::<Result<Vec<_>, _>>().map_err(|error| unusable(file, error))?;
    if chain.is_empty() { Err(unusable(file, "there is no certificate in it")) } else { Ok(chain) }
}

fn certified_key(cert: &Path, key: &Path) -> Result<Arc<CertifiedKey>, Error> {
    let chain = certificates(cert)?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, error))?;
    // Checks that the key belongs to the certificate.
    CertifiedKey::from_der(chain, private, &provider()).map(Arc::new).map_err(|error| unusable(key, error))
}

/// Serves the certificate in the files as they are now. A pair that cannot be used (a half-written one) is reported,
/// and the last good one stays.
#[derive(Debug)]
struct ReloadingCertificate {
    cert: PathBuf,
    key: PathBuf,
    interval: Duration,
    // A blocking mutex: held for two `stat` calls per interval, never across an await.
    loaded: Mutex<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    certified: Arc<CertifiedKey>,
    stamps: Stamps,
    checked: Instant,
}

type Stamps = [Option<(SystemTime, u64)>; 2];

impl ReloadingCertificate {
    fn load(cert: &Path, key: &Path, interval: Duration) -> Result<Self, Error> {
        let stamps = stamps(cert, key);
        let loaded = Loaded { certified: certified_key(cert, key)?, stamps, checked: Instant::now() };
        Ok(Self { cert: cert.to_path_buf(), key: key.to_path_buf(), interval, loaded: Mutex::new(loaded) })
    }

    fn current(&self) -> Arc<CertifiedKey> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.checked.elapsed() >= self.interval {
            loaded.checked = Instant::now();
            let found = stamps(&self.cert, &self.key);
            if found != loaded.stamps {
                match certified_key(&self.cert, &self.key) {
                    Ok(certified) => {
                        tracing::info!(cert = %self.cert.display(), "took up the new certificate");
                        (loaded.certified, loaded.stamps) = (certified, found);
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the certificate changed but cannot be used; the old one stays")
                    }
                }
            }
        }
        loaded.certified.clone()
    }
}

impl ResolvesServerCert for ReloadingCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

/// Time and length of each file. The inode's change comes with the time: a replaced file has a newer one.
fn stamps(cert: &Path, key: &Path) -> Stamps {
    [cert, key].map(|file| {
        let metadata = std::fs::metadata(file).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls_pki_types::ServerName;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    fn write_pair(folder: &Path, names: &[&str]) -> TlsConfig {
        let pair = rcgen::generate_simple_self_signed(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        let pair = pair.unwrap();
        let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        std::fs::write(&cert, pair.cert.pem()).unwrap();
        std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
        TlsConfig { cert: Some(cert), key: Some(key) }
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
        let TlsConfig { cert: Some(cert), key: Some(key) } = write_pair(folder.path(), &["one.example"]) else {
            panic!()
        };
        let resolver = ReloadingCertificate::load(&cert, &key, Duration::ZERO).unwrap();
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
        let config = write_pair(folder.path(), &["one.example"]);
        let (cert, key) = (config.cert.unwrap(), config.key.unwrap());
        let resolver = ReloadingCertificate::load(&cert, &key, Duration::from_secs(3600)).unwrap();
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
