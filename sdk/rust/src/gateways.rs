//! The gateways that a client may use, taken in turn: any client may use any gateway (docs/protocol.md).

use std::sync::Arc;

use crate::error::ConnectError;
use crate::socket::Address;

/// One gateway or more.
#[derive(Debug)]
pub(crate) struct Gateways {
    addresses: Vec<Address>,
    next: usize,
}

impl Gateways {
    /// Reads the addresses; the first attempt goes to a random one.
    pub(crate) fn parse(urls: &[String], tls: Option<Arc<rustls::ClientConfig>>) -> Result<Self, ConnectError> {
        let addresses = urls.iter().map(|url| Address::parse(url, tls.clone())).collect::<Result<Vec<_>, _>>()?;
        let next = rand::random_range(0..addresses.len());
        Ok(Self { addresses, next })
    }

    /// Where the next attempt goes.
    pub(crate) fn next(&mut self) -> Address {
        let address = self.addresses[self.next].clone();
        self.next = (self.next + 1) % self.addresses.len();
        address
    }
}
