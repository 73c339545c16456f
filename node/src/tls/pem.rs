//! Certificates and keys from PEM files. Every error names the file.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::provider;
use crate::Error;

pub(super) fn unusable(file: &Path, reason: impl std::fmt::Display) -> Error {
    Error::Tls { file: file.to_path_buf(), reason: reason.to_string() }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read = CertificateDer::pem_file_iter(file).map_err(|error| unusable(file, error))?;
    let chain = read.collect::<Result<Vec<_>, _>>().map_err(|error| unusable(file, error))?;
    if chain.is_empty() { Err(unusable(file, "there is no certificate in it")) } else { Ok(chain) }
}

/// A chain and its key; the key must belong to the first certificate.
pub(super) fn certified_key(cert: &Path, key: &Path) -> Result<Arc<CertifiedKey>, Error> {
    let chain = certificates(cert)?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, error))?;
    CertifiedKey::from_der(chain, private, &provider()).map(Arc::new).map_err(|error| unusable(key, error))
}

/// The certificates to trust; those that cannot be parsed are left out, but one at least must be good.
pub(super) fn roots(file: &Path) -> Result<Arc<RootCertStore>, Error> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates(file)?);
    if added == 0 {
        return Err(unusable(file, "no certificate in it can be trusted"));
    }
    Ok(Arc::new(roots))
}
