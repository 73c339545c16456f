//! A certificate authority for tests.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::NodeTlsConfig;

pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// Writes `ca.pem`, and `cert.pem` with `key.pem` in these names.
    pub(crate) fn write(&self, folder: &Path, names: &[&str]) -> NodeTlsConfig {
        let (ca, cert, key) = (folder.join("ca.pem"), folder.join("cert.pem"), folder.join("key.pem"));
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let pair = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&pair, &self.0).unwrap();
        std::fs::write(&ca, self.pem()).unwrap();
        std::fs::write(&cert, certificate.pem()).unwrap();
        std::fs::write(&key, pair.serialize_pem()).unwrap();
        NodeTlsConfig { ca: Some(ca), cert: Some(cert), key: Some(key) }
    }
}
