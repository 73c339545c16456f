//! A certificate authority, and the certificates that it signs.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tonic::transport::Identity;

/// An authority of its own: nobody trusts it who was not told to.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Default for Authority {
    fn default() -> Self {
        let mut params = CertificateParams::default();
        // Of another name than what it signs, which OpenSSL would take for self-signed otherwise.
        params.distinguished_name.push(DnType::CommonName, "an authority for tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }
}

impl Authority {
    /// The authority's certificate in PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate in this name or address, and its key, in PEM.
    pub fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([name.to_owned()]).expect("a name");
        (params.signed_by(&key, &self.0).expect("a certificate").pem(), key.serialize_pem())
    }

    /// The same, for a client of tonic's.
    pub fn identity(&self, name: &str) -> Identity {
        let (certificate, key) = self.issue(name);
        Identity::from_pem(certificate, key)
    }

    /// Writes a new certificate as `cert.pem` and its key as `key.pem`.
    pub fn write(&self, folder: &Path, name: &str) {
        let (certificate, key) = self.issue(name);
        fs::write(folder.join("cert.pem"), certificate).expect("the folder can be written");
        fs::write(folder.join("key.pem"), key).expect("the folder can be written");
    }
}
