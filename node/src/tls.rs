//! TLS by rustls, with certificates from PEM files that are taken up again when they change.
//!
//! - [`TlsConfig`]: the section `[tls]`, for clients and backends: this server shows a certificate
//! - [`NodeTlsConfig`]: the section `[node_tls]`, between nodes: both sides show one of the same CA
//! - [`accept`]: the connections of a port that complete their handshake
//! - [`client`]: trust for who calls a server of ours

mod accept;
mod nodes;
mod pem;
mod reload;
mod server;
mod trust;

#[cfg(test)]
pub(crate) mod testing;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

pub use accept::accept;
pub use nodes::{NodeTls, NodeTlsConfig};
pub use server::TlsConfig;
pub use trust::client;

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
