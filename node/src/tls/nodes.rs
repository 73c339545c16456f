//! Mutual TLS between the nodes of a cluster: who calls shows a certificate that the cluster's CA signed, and so does
//! who answers, in the name of the host that was called.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::UnixTime;
use serde::Deserialize;

use super::pem::{certified_key, roots, unusable};
use super::provider;
use super::reload::{CHECK_INTERVAL, Reloading, Source};
use crate::Error;
use crate::config::Section;

/// gRPC is HTTP/2.
const PROTOCOL: &[u8] = b"h2";

/// The `[node_tls]` section: all three files or none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct NodeTlsConfig {
    /// The certificates, in PEM, of which one must have signed every node's certificate.
    pub ca: Option<PathBuf>,
    /// This node's certificate chain in PEM, its own first, in the names under which others call it.
    pub cert: Option<PathBuf>,
    /// Its private key in PEM.
    pub key: Option<PathBuf>,
}

impl Section for NodeTlsConfig {
    const NAME: &'static str = "node_tls";

    fn validate(&self) -> Result<(), String> {
        match (&self.ca, &self.cert, &self.key) {
            (Some(_), Some(_), Some(_)) | (None, None, None) => Ok(()),
            _ => Err("ca, cert and key must be given together".to_owned()),
        }
    }
}

impl NodeTlsConfig {
    /// Reads the files; `None` where none is configured.
    pub fn load(&self) -> Result<Option<Arc<NodeTls>>, Error> {
        self.load_with(CHECK_INTERVAL)
    }

    pub(crate) fn load_with(&self, interval: Duration) -> Result<Option<Arc<NodeTls>>, Error> {
        let (Some(ca), Some(cert), Some(key)) = (self.ca.clone(), self.cert.clone(), self.key.clone()) else {
            return Ok(None);
        };
        Ok(Some(Arc::new(NodeTls(Reloading::load(Files { ca, cert, key }, interval)?))))
    }
}

/// Both sides of TLS between nodes, as the files are now. A connection keeps what it began with.
#[derive(Debug)]
pub struct NodeTls(Reloading<Files>);

impl NodeTls {
    /// For a connection that another node opens.
    pub fn server(&self) -> Arc<ServerConfig> {
        self.0.current().server.clone()
    }

    /// For a connection that this node opens.
    pub fn client(&self) -> Arc<ClientConfig> {
        self.0.current().client.clone()
    }
}

#[derive(Debug)]
struct Files {
    ca: PathBuf,
    cert: PathBuf,
    key: PathBuf,
}

/// Made together, and whole, when a file changes: a session of an old configuration cannot be resumed in a new one,
/// which would spare its peer the look at its certificate.
#[derive(Debug)]
struct Sides {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl Source for Files {
    type Made = Sides;

    fn files(&self) -> Vec<&Path> {
        vec![&self.ca, &self.cert, &self.key]
    }

    fn make(&self) -> Result<Arc<Sides>, Error> {
        let (roots, own) = (roots(&self.ca)?, certified_key(&self.cert, &self.key)?);
        let not_ours = |error| unusable(&self.cert, format!("no other node would take it: {error}"));
        check(&own, &roots).map_err(not_ours)?;
        let both = Arc::new(SingleCertAndKey::from(own));
        let not_tls = |error| unusable(&self.ca, error);

        let callers = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider()).build();
        let callers = callers.map_err(|error| unusable(&self.ca, error))?;
        let mut server = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(not_tls)?
            .with_client_cert_verifier(callers)
            .with_cert_resolver(both.clone());
        server.alpn_protocols = vec![PROTOCOL.to_vec()];

        let mut client = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(not_tls)?
            .with_root_certificates(roots)
            .with_client_cert_resolver(both);
        client.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Arc::new(Sides { server: Arc::new(server), client: Arc::new(client) }))
    }
}

/// Whether the CA would vouch for this node as a caller and as one who answers. A set of files of which only some were
/// replaced is found here, before another node refuses it.
fn check(own: &CertifiedKey, roots: &Arc<RootCertStore>) -> Result<(), rustls::Error> {
    let (end_entity, intermediates) = (own.end_entity_cert()?, own.cert.get(1..).unwrap_or_default());
    let now = UnixTime::now();
    let callers = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider()).build();
    let callers = callers.map_err(|error| rustls::Error::General(error.to_string()))?;
    callers.verify_client_cert(end_entity, intermediates, now)?;
    let (parsed, algorithms) = (ParsedCertificate::try_from(end_entity)?, provider().signature_verification_algorithms);
    verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, now, algorithms.all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing::Authority;

    fn certificate(tls: &NodeTls) -> Arc<Sides> {
        tls.0.current()
    }

    #[test]
    fn all_three_files_or_none() {
        let file = || Some(PathBuf::from("file"));
        let whole = NodeTlsConfig { ca: file(), cert: file(), key: file() };
        assert_eq!(whole.validate(), Ok(()));
        assert_eq!(NodeTlsConfig::default().validate(), Ok(()));
        assert!(NodeTlsConfig::default().load().unwrap().is_none());
        for part in [
            NodeTlsConfig { ca: None, ..whole.clone() },
            NodeTlsConfig { cert: None, ..whole.clone() },
            NodeTlsConfig { key: None, ..whole },
        ] {
            assert!(part.validate().unwrap_err().contains("together"));
        }
    }

    #[test]
    fn files_that_other_nodes_would_refuse_are_refused_at_the_start() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let config = Authority::new().write(folder.path(), &["node.example"]);
        let foreign = Authority::new().write(other.path(), &["node.example"]);
        assert!(config.load().unwrap().is_some());
        let mistakes = [
            (NodeTlsConfig { ca: foreign.ca.clone(), ..config.clone() }, "cert.pem: no other node would take it"),
            (NodeTlsConfig { key: foreign.key, ..config.clone() }, "key.pem"),
            (NodeTlsConfig { ca: Some(folder.path().join("none.pem")), ..config.clone() }, "none.pem"),
            (NodeTlsConfig { ca: config.key.clone(), ..config }, "there is no certificate in it"),
        ];
        for (config, expected) in mistakes {
            let error = config.load().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_new_set_is_taken_up_whole_and_half_of_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (first_ca, second_ca) = (Authority::new(), Authority::new());
        let config = first_ca.write(folder.path(), &["node.example"]);
        let tls = config.load_with(Duration::ZERO).unwrap().unwrap();
        let first = certificate(&tls);
        assert!(Arc::ptr_eq(&first, &certificate(&tls)), "files that did not change are not read again");

        // Each step of a replacement in the order of a careless copy: the old set stays until the last.
        let staging = tempfile::tempdir().unwrap();
        let staged = second_ca.write(staging.path(), &["node.example"]);
        let place = |from: &Option<PathBuf>, to: &Option<PathBuf>| {
            std::fs::copy(from.as_ref().unwrap(), to.as_ref().unwrap()).unwrap();
        };
        std::fs::write(config.cert.as_ref().unwrap(), "-----BEGIN CERTIFICATE-----\nMIIB").unwrap();
        assert!(Arc::ptr_eq(&first, &certificate(&tls)));
        place(&staged.cert, &config.cert);
        assert!(Arc::ptr_eq(&first, &certificate(&tls)), "the key is still the old one's");
        place(&staged.key, &config.key);
        assert!(Arc::ptr_eq(&first, &certificate(&tls)), "the CA is still the old one");
        place(&staged.ca, &config.ca);
        assert!(!Arc::ptr_eq(&first, &certificate(&tls)));
    }
}
