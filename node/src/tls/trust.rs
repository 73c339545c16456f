//! Whom a client trusts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ClientConfig;

use super::pem::{roots, unusable};
use super::provider;
use crate::Error;

/// Where distributions keep the certificates that a machine trusts; the first that exists counts.
const SYSTEM_BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The client's side, which trusts the certificates in a PEM file, or without one those that the machine trusts
/// (`SSL_CERT_FILE`, or the distribution's bundle).
pub fn client(trusted: Option<&Path>, protocols: &[&[u8]]) -> Result<Arc<ClientConfig>, Error> {
    let file = trusted.map(Path::to_path_buf).unwrap_or_else(system_bundle);
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&file, error))?
        .with_root_certificates(roots(&file)?)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(config))
}

fn system_bundle() -> PathBuf {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let found = || SYSTEM_BUNDLES.iter().map(PathBuf::from).find(|bundle| bundle.exists());
    named.or_else(found).unwrap_or_else(|| PathBuf::from(SYSTEM_BUNDLES[0]))
}
